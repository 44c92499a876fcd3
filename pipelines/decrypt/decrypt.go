// Package decrypt asks the platforms for the personal fields that a shop's
// settings name, within the day's budget: of the newest paying buyers first, of
// each buyer once, by the newest order that was paid. Of members whose platform
// gave their phone encrypted, it asks for that phone, until it is known: who paid
// last first, once for each call and each order that was paid since.
//
// A Stream is a connector over the stored payloads of one shop: what it reads
// goes the way of a fresh page, sealed, through Kafka and the resolver, as the
// order, or the call, with those fields in clear. That is a version of it right
// above the reading that it was made of: whatever was read later wins, in which
// order they may come, since the platform goes on giving those fields encrypted and
// its states are newer. The evidence of every version stays. What it asks for is noted in the table
// decryptions before the platform is called, so that a crash counts against the
// budget and never beside it. No value is in the audit, a log or an error.
package decrypt

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"oneid/connectors"
	"oneid/internal/clickhouse"
	"oneid/internal/fault"
	"oneid/schemas/events"
	"oneid/schemas/tables"
)

// Stream decrypts records of one shop: those of the stream that it is read for.
// It implements connectors.Connector; its Read ends when the budget is used or
// there is nobody left.
type Stream struct {
	// Decrypter asks and maps; its Read is not used.
	connectors.Decrypter
	ClickHouse     *clickhouse.Conn
	Keys           events.Sealer
	Platform, Shop string
	// Who asks, for the audit.
	Who string
	// Now is the present.
	Now func() time.Time
}

var _ connectors.Connector = (*Stream)(nil)

// asked: the audit is written, and the platform is not called yet.
var asked = fault.New("decrypt/asked")

// zone is that of the platforms' days.
var zone = time.FixedZone("GMT+8", 8*60*60)

// candidate is an order to decrypt, or a call about a member, which has no order.
type candidate struct {
	order, account string
	record         connectors.Record
	id             uuid.UUID
	// observed is when the payload was read, in Unix milliseconds.
	observed int64
}

// Read implements connectors.Connector: a page a call. from is not used: the
// audit says what was asked before.
func (s *Stream) Read(ctx context.Context, stream string, _ connectors.Cursor) iter.Seq2[connectors.Page, error] {
	return func(yield func(connectors.Page, error) bool) {
		plans := s.Decrypts()
		i := slices.IndexFunc(plans, func(p connectors.Decryption) bool { return p.Stream == stream })
		if i < 0 {
			return
		}
		plan := plans[i]
		for {
			left, err := s.left(ctx, plan)
			if err == nil && left < len(plan.Fields) {
				return
			}
			var page connectors.Page
			var more bool
			if err == nil {
				page, more, err = s.call(ctx, plan, min(plan.PerCall, left/len(plan.Fields)))
			}
			if errors.Is(err, connectors.ErrDecryptQuota) {
				return // the budget is larger than the platform's: tomorrow again
			}
			if err != nil {
				yield(connectors.Page{}, fmt.Errorf("decrypt: %s/%s: %w", s.Platform, s.Shop, err))
				return
			}
			if !more || !yield(page, nil) {
				return
			}
		}
	}
}

// left is how much of today's budget is left, which all streams of the shop
// share; 0 once the platform has refused these fields for its own quota today.
func (s *Stream) left(ctx context.Context, plan connectors.Decryption) (int, error) {
	used, refused := uint64(0), uint64(0)
	err := s.ClickHouse.Rows(ctx, "count what was decrypted today",
		"SELECT toUInt64(sum(texts)), countIf(outcome = 'quota' AND fields = "+clickhouse.Quote(fieldsOf(plan))+") FROM "+s.ClickHouse.Database()+".decryptions FINAL WHERE "+s.ofShop()+" AND "+s.today(),
		func(scan func(...any) error) error { return scan(&used, &refused) })
	if err != nil || refused > 0 {
		return 0, err
	}
	return plan.PerDay - int(min(used, uint64(plan.PerDay))), nil
}

// today is the SQL condition of what was noted today.
func (s *Stream) today() string {
	now := s.Now().In(zone)
	day := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, zone)
	return "at >= fromUnixTimestamp64Milli(toInt64(" + strconv.FormatInt(day.UnixMilli(), 10) + "), 'UTC')"
}

func (s *Stream) ofShop() string {
	return "platform = " + clickhouse.Quote(s.Platform) + " AND shop = " + clickhouse.Quote(s.Shop)
}

// fieldsOf are a plan's fields as the audit has them.
func fieldsOf(plan connectors.Decryption) string { return strings.Join(plan.Fields, ",") }

// final are the outcomes after which nobody is asked for again; what came to
// nothing is tried again on another day.
const final = "outcome NOT IN ('asked', 'failed', 'quota')"

// buyers is the query for the newest paid orders of buyers who were not asked
// for: number, account, payload, when it was read.
func (s *Stream) buyers(plan connectors.Decryption, n int) string {
	db := s.ClickHouse.Database()
	// An order that does not name its buyer is of nobody. A call about a member is
	// no order: it has no number in the audit.
	return "WITH chosen AS (SELECT account, argMax(order_id, (paid_at, order_id)) AS number, max(paid_at) AS paid FROM " + db + ".orders FINAL WHERE " + s.ofShop() +
		" AND is_deleted = 0 AND paid_at > toDateTime(0, 'UTC') AND NOT startsWith(account, 'order:')" +
		" AND account NOT IN (SELECT account FROM " + db + ".decryptions FINAL WHERE " + s.ofShop() +
		" AND order_id != '' AND (" + final + " OR " + s.today() + "))" +
		" GROUP BY account ORDER BY paid DESC, account LIMIT " + strconv.Itoa(n) + ")" +
		" SELECT c.number, c.account, argMax(r.raw, r.version), toUnixTimestamp64Milli(argMax(r.observed_at, r.version)) FROM " + db + ".raw_events AS r INNER JOIN chosen AS c ON r.entity_id = c.number" +
		" WHERE r.platform = " + clickhouse.Quote(s.Platform) + " AND r.shop = " + clickhouse.Quote(s.Shop) + " AND r.kind = 'order' AND r.stream = " + clickhouse.Quote(plan.Stream) + " AND r.raw != ''" +
		" GROUP BY c.number, c.account, c.paid ORDER BY c.paid DESC, c.account"
}

// members is the query for the newest calls that told a phone, of members who
// have paid and whose phone is not known since that call: no number, account,
// payload, when it was read. Who was asked for since the call and the last payment is left out.
func (s *Stream) members(n int) string {
	db, at := s.ClickHouse.Database(), s.ofShop()
	calls := ".raw_events WHERE " + at + " AND kind = 'user' AND stream = '" + connectors.MembershipStream + "' AND raw != '' AND " + tellsPhone()
	return "WITH told AS (SELECT entity_id AS account, toDateTime(max(modified_at), 'UTC') AS called FROM " + db + calls + " GROUP BY entity_id)," +
		" paying AS (SELECT account, max(paid_at) AS paid FROM " + db + ".orders FINAL WHERE " + at + " AND is_deleted = 0 AND paid_at > toDateTime(0, 'UTC') GROUP BY account)," +
		" known AS (SELECT account, max(last_seen) AS seen FROM " + db + ".evidence WHERE " + at + " AND type = 'phone' AND role = 'member' GROUP BY account)," +
		" asked AS (SELECT account, toDateTime(max(at), 'UTC') AS last FROM " + db + ".decryptions FINAL WHERE " + at + " AND order_id = '' AND (" + final + " OR " + s.today() + ") GROUP BY account)," +
		" chosen AS (SELECT told.account AS account, paying.paid AS paid FROM told INNER JOIN paying ON paying.account = told.account" +
		" LEFT JOIN known ON known.account = told.account LEFT JOIN asked ON asked.account = told.account" +
		" WHERE told.account IN (SELECT account FROM " + db + ".users FINAL WHERE " + at + " AND is_deleted = 0 AND member = 1)" +
		" AND known.seen < told.called AND asked.last < greatest(told.called, paying.paid)" +
		" ORDER BY paid DESC, account LIMIT " + strconv.Itoa(n) + ")" +
		" SELECT '', c.account, argMax(r.raw, r.version), toUnixTimestamp64Milli(argMax(r.observed_at, r.version)) FROM (SELECT entity_id, version, observed_at, raw FROM " + db + calls + ") AS r INNER JOIN chosen AS c ON r.entity_id = c.account" +
		" GROUP BY c.account, c.paid ORDER BY c.paid DESC, c.account"
}

// tellsPhone is the SQL condition of an event of a call that tells a phone.
func tellsPhone() string {
	joined := connectors.MembershipRecord{Kind: connectors.MemberBind}.ModifiedMs()
	changed := connectors.MembershipRecord{Kind: connectors.MemberPhone}.ModifiedMs()
	return fmt.Sprintf("toUnixTimestamp64Milli(modified_at) %% 1000 IN (%d, %d)", joined, changed)
}

// candidates are those who are to be asked for next, the newest paying first.
func (s *Stream) candidates(ctx context.Context, plan connectors.Decryption, n int) ([]candidate, error) {
	stream, query := plan.Stream, s.buyers(plan, n)
	if stream == connectors.MembershipStream {
		query = s.members(n)
	}
	var found []candidate
	err := s.ClickHouse.Rows(ctx, "look for what to decrypt", query, func(scan func(...any) error) error {
		var one candidate
		var raw string
		if err := scan(&one.order, &one.account, &raw, &one.observed); err != nil {
			return err
		}
		entity := one.order
		if entity == "" {
			entity = one.account // a member's
		}
		plain, err := events.OpenRaw(&events.Event{Header: &events.Header{Platform: s.Platform, Shop: s.Shop, EntityId: entity, Raw: []byte(raw)}}, s.Keys)
		if err != nil {
			return fmt.Errorf("open a payload: %w", err)
		}
		one.record = connectors.Record{Stream: stream, Shop: s.Shop, Raw: plain, Origin: "decrypted, raw_events of " + s.Platform + "/" + s.Shop}
		one.id = uuid.New()
		found = append(found, one)
		return nil
	})
	return found, err
}

// call decrypts up to n records; more is false when there are none.
func (s *Stream) call(ctx context.Context, plan connectors.Decryption, n int) (page connectors.Page, more bool, err error) {
	chosen, err := s.candidates(ctx, plan, n)
	if err != nil || len(chosen) == 0 {
		return page, false, err
	}
	outcomes := make([]string, len(chosen))
	for i := range outcomes {
		outcomes[i] = "asked"
	}
	if err := s.note(ctx, plan, chosen, outcomes, 0); err != nil {
		return page, false, fmt.Errorf("the audit cannot be written, so nothing is asked: %w", err)
	}
	if err := asked.Hit(); err != nil {
		return page, false, err
	}
	records := make([]connectors.Record, len(chosen))
	for i, one := range chosen {
		records[i] = one.record
	}
	opened, failed := s.Decrypt(ctx, records)
	for i := range outcomes {
		switch {
		case errors.Is(failed, connectors.ErrDecryptQuota):
			outcomes[i] = "quota"
		case failed != nil:
			outcomes[i] = connectors.OpenedFailed
		default:
			outcomes[i] = opened[i].Outcome
			if opened[i].Record.Raw != nil {
				record := opened[i].Record
				record.Observed = time.UnixMilli(chosen[i].observed + 1).UTC()
				page.Records = append(page.Records, record)
			}
		}
	}
	noting, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	if err := s.note(noting, plan, chosen, outcomes, 1); err != nil && failed == nil {
		return page, false, fmt.Errorf("note what was decrypted: %w", err)
	}
	page.Server = s.Now()
	return page, true, failed
}

// note writes the audit.
func (s *Stream) note(ctx context.Context, plan connectors.Decryption, chosen []candidate, outcomes []string, stage uint8) error {
	block, at := tables.NewDecryptions(), s.Now().Truncate(time.Millisecond)
	for i, one := range chosen {
		block.Append(tables.Decryption{
			ID: one.id, At: at, Who: s.Who, Platform: s.Platform, Shop: s.Shop, OrderID: one.order, Account: one.account,
			Fields: fieldsOf(plan), Texts: uint32(len(plan.Fields)), Outcome: outcomes[i], Stage: stage,
		})
	}
	return s.ClickHouse.Insert(ctx, block, fmt.Sprintf("decryptions/%s/%d", chosen[0].id, stage))
}
