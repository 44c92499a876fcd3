// Package replay runs the payloads that ClickHouse keeps through today's
// mapping again: after a mapping was mended, or learned to read more.
//
// A Stream is a Connector over the rows of raw_events of one shop and stream:
// what it reads goes the way of a fresh page, through Kafka and the resolver,
// beside the live flow. Its events keep the modification time, the source and
// the observation of what the platform said, and bear a higher revision: they
// win over the old mapping of the same change and over nothing newer. They
// carry no payload, so no payload lies in raw_events twice.
package replay

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math/big"
	"strconv"
	"time"

	"oneid/connectors"
	"oneid/internal/clickhouse"
	"oneid/schemas/events"
)

// Run is one replay: what it takes, and its number.
type Run struct {
	// Number counts the brand's replays, from 1 on; a later one wins over an
	// earlier one.
	Number uint32 `json:"number"`
	// From and To bound the platform's modification time; To is outside.
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// Selection is what else was asked for, in words of the caller's.
	Selection string `json:"selection"`
	Done      bool   `json:"done"`
}

// Stream replays one stream of one shop. It implements connectors.Connector.
type Stream struct {
	// Connector maps; its Read is not used.
	connectors.Connector
	ClickHouse     *clickhouse.Conn
	Keys           events.Sealer
	Platform, Shop string
	// Source of the rows that Connector can map.
	Source events.Source
	Run    Run
	// Skipped, if set, counts payloads that came with an entity before.
	Skipped func()
}

var _ connectors.Connector = (*Stream)(nil)

// position is where a replay stands: behind one row, in the order of reading.
type position struct {
	// Day of the modification time, in UTC, and the row's order in it; times
	// are Unix milliseconds.
	Modified int64  `json:"modified"`
	Observed int64  `json:"observed"`
	Kind     string `json:"kind"`
	Entity   string `json:"entity"`
	Version  string `json:"version"`
}

// after is the SQL condition of the rows behind a position.
func (p position) after() string {
	return fmt.Sprintf("(toUnixTimestamp64Milli(modified_at), toUnixTimestamp64Milli(observed_at), toString(kind), entity_id, version) > (%d, %d, %s, %s, toUInt128(%s))",
		p.Modified, p.Observed, clickhouse.Quote(p.Kind), clickhouse.Quote(p.Entity), clickhouse.Quote(p.Version))
}

// Found is a stream of a shop that has payloads to replay.
type Found struct {
	Platform, Shop, Stream string
	Source                 events.Source
	Rows                   uint64
}

// Find lists what there is to replay between two times.
func Find(ctx context.Context, ch *clickhouse.Conn, from, to time.Time) ([]Found, error) {
	var found []Found
	query := "SELECT platform, shop, stream, " + source + " AS source, uniqExact(kind, entity_id, version) AS n FROM " + ch.Database() + ".raw_events WHERE " + between(from, to) +
		" GROUP BY platform, shop, stream, source ORDER BY platform, shop, stream, source"
	err := ch.Rows(ctx, "look for payloads to replay", query, func(scan func(...any) error) error {
		var f Found
		var of uint8
		if err := scan(&f.Platform, &f.Shop, &f.Stream, &of, &f.Rows); err != nil {
			return err
		}
		f.Source = events.Source(of)
		found = append(found, f)
		return nil
	})
	return found, err
}

// source is the SQL of a version's source: see events.PackVersion.
const source = "toUInt8(bitAnd(bitShiftRight(version, 60), 3))"

// between picks the payloads of a time.
func between(from, to time.Time) string {
	at := func(t time.Time) string {
		return "fromUnixTimestamp64Milli(toInt64(" + strconv.FormatInt(t.UnixMilli(), 10) + "), 'UTC')"
	}
	// What came by a replay has a row for reconciliation, with no payload.
	return "raw != '' AND modified_at >= " + at(from) + " AND modified_at < " + at(to)
}

// pageRecords is how many records are mapped and published together.
const pageRecords = 500

// errStop ends a query whose rows nobody wants any more.
var errStop = errors.New("stopped")

// Read implements connectors.Connector: a day of modification times at a time,
// by time, so that what one payload brought lies together. What cannot be
// opened is a bad record.
func (s *Stream) Read(ctx context.Context, stream string, from connectors.Cursor) iter.Seq2[connectors.Page, error] {
	return func(yield func(connectors.Page, error) bool) {
		var at position
		if from != "" {
			if err := json.Unmarshal([]byte(from), &at); err != nil {
				yield(connectors.Page{}, fmt.Errorf("replay: the cursor %q is none: %w", from, err))
				return
			}
		}
		days, total, err := s.days(ctx, stream, at)
		if err != nil {
			yield(connectors.Page{}, err)
			return
		}
		for _, day := range days {
			err := s.readDay(ctx, stream, day, at, total, func(p connectors.Page) error {
				if !yield(p, nil) {
					return errStop
				}
				return nil
			})
			if errors.Is(err, errStop) {
				return
			}
			if err != nil {
				yield(connectors.Page{}, err)
				return
			}
		}
	}
}

// rows is the SQL condition of the rows to read, from a position on.
func (s *Stream) rows(stream string, at position) string {
	where := "platform = " + clickhouse.Quote(s.Platform) + " AND shop = " + clickhouse.Quote(s.Shop) + " AND stream = " + clickhouse.Quote(stream) +
		" AND " + source + " = " + strconv.Itoa(int(s.Source)) + " AND " + between(s.Run.From, s.Run.To)
	if at != (position{}) {
		where += " AND " + at.after()
	}
	return where
}

// days are those that have rows, and how many rows there are in all.
func (s *Stream) days(ctx context.Context, stream string, at position) (days []time.Time, total int, err error) {
	query := "SELECT toStartOfDay(modified_at, 'UTC') AS day, count() FROM " + s.ClickHouse.Database() + ".raw_events WHERE " + s.rows(stream, at) + " GROUP BY day ORDER BY day"
	err = s.ClickHouse.Rows(ctx, "look for days to replay", query, func(scan func(...any) error) error {
		var day time.Time
		var n uint64
		if err := scan(&day, &n); err != nil {
			return err
		}
		days, total = append(days, day.UTC()), total+int(n)
		return nil
	})
	return days, total, err
}

func (s *Stream) readDay(ctx context.Context, stream string, day time.Time, at position, total int, yield func(connectors.Page) error) error {
	query := "SELECT toString(kind), entity_id, version, toUnixTimestamp64Milli(modified_at), toUnixTimestamp64Milli(observed_at), raw FROM " + s.ClickHouse.Database() + ".raw_events" +
		" WHERE " + s.rows(stream, at) + " AND " + between(day, day.AddDate(0, 0, 1)) +
		" ORDER BY modified_at, observed_at, toString(kind), entity_id, version LIMIT 1 BY modified_at, observed_at, kind, entity_id, version"
	page := connectors.Page{Total: total}
	var last position
	seen := map[[sha256.Size]byte]bool{} // payloads of the same moment
	flush := func() error {
		if len(page.Records)+len(page.Bad) == 0 && last == (position{}) {
			return nil
		}
		next, err := json.Marshal(last)
		if err != nil {
			return err
		}
		page.Next = connectors.Cursor(next)
		err = yield(page)
		page = connectors.Page{Total: total}
		return err
	}
	err := s.ClickHouse.Rows(ctx, "read the payloads of "+day.Format(time.DateOnly), query, func(scan func(...any) error) error {
		var row position
		var raw string
		version := new(big.Int)
		if err := scan(&row.Kind, &row.Entity, version, &row.Modified, &row.Observed, &raw); err != nil {
			return err
		}
		row.Version = version.String()
		if row.Modified != last.Modified || row.Observed != last.Observed {
			clear(seen)
		}
		last = row
		origin := "raw_events, " + s.Platform + "/" + s.Shop + " " + stream + " of " + time.UnixMilli(row.Modified).UTC().Format(time.RFC3339Nano)
		sealed := &events.Event{Header: &events.Header{Platform: s.Platform, Shop: s.Shop, EntityId: row.Entity, Raw: []byte(raw)}}
		plain, err := events.OpenRaw(sealed, s.Keys)
		if err != nil {
			page.Bad = append(page.Bad, connectors.BadRecord{Origin: origin, Err: err})
		} else if sum := sha256.Sum256(plain); seen[sum] {
			if s.Skipped != nil {
				s.Skipped()
			}
		} else {
			seen[sum] = true
			page.Records = append(page.Records, connectors.Record{Stream: stream, Shop: s.Shop, Raw: plain, Observed: observed(version), Origin: origin})
		}
		if len(page.Records)+len(page.Bad) < pageRecords {
			return nil
		}
		return flush()
	}, clickhouse.Setting{Name: "max_bytes_before_external_sort", Value: 1 << 30})
	if err != nil {
		return err
	}
	return flush()
}

// observed is the time of observation in a packed version.
func observed(version *big.Int) time.Time {
	return time.UnixMilli(unpacked(version).GetObservedMs()).UTC()
}

// unpacked is a version as ClickHouse holds it.
func unpacked(version *big.Int) *events.Version {
	low := new(big.Int).And(version, new(big.Int).SetUint64(1<<64-1)).Uint64()
	high := new(big.Int).Rsh(version, 64).Uint64()
	return events.UnpackVersion(high, low)
}

// Map implements connectors.Connector: today's mapping, with a revision above
// what an earlier replay or the live flow can have given to the same payload,
// and without the payload.
func (s *Stream) Map(record connectors.Record) ([]*events.Event, error) {
	mapped, err := s.Connector.Map(record)
	if err != nil {
		return nil, err
	}
	for _, e := range mapped {
		h := e.GetHeader()
		if h.GetVersion() == nil {
			continue // refused by events.Check
		}
		h.Raw = nil
		h.Version.Revision += s.Run.Number
	}
	return mapped, nil
}
