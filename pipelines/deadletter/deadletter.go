// Package deadletter is what becomes of dead letters: what could not be
// decoded, mapped or stored, with its bytes, sealed.
//
// pull and resolve put them into the topic <brand>.deadletter and go on. That
// topic is a log: a letter's first message holds its bytes, and each later one
// says what happened to it since. Recorder keeps ClickHouse's view of them;
// Desk lists, shows, replays and drops them on a person's word. Nothing here
// retries by itself, so a message that nothing can be done with never spins.
package deadletter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"oneid/connectors"
	"oneid/internal/clickhouse"
	"oneid/internal/kafka"
	"oneid/pipelines"
	"oneid/schemas/events"
	"oneid/schemas/tables"
)

// The states of a letter.
const (
	StateOpen     = "open"
	StateReplayed = "replayed"
	StateDropped  = "dropped"
)

// ErrNotFound says that there is no letter of that id.
var ErrNotFound = errors.New("deadletter: there is no such letter")

// Letter is what is known of a dead letter, without its bytes.
type Letter struct {
	ID        string    `json:"letter_id" ch:"letter_id"`
	Platform  string    `json:"platform" ch:"platform"`
	Shop      string    `json:"shop" ch:"shop"`
	Stream    string    `json:"stream" ch:"stream"`
	Reason    string    `json:"reason" ch:"reason"`
	Detail    string    `json:"detail" ch:"detail"`
	Origin    string    `json:"origin" ch:"origin"`
	Attempts  uint32    `json:"attempts" ch:"attempts"`
	FirstSeen time.Time `json:"first_seen_at" ch:"first_seen_at"`
	State     string    `json:"state" ch:"state"`
	// Changed is when it was tried again, replayed or dropped, and by whom;
	// nil and empty before.
	Changed   *time.Time `json:"changed_at,omitempty" ch:"changed"`
	ChangedBy string     `json:"changed_by,omitempty" ch:"changed_by"`
	// BytesAt is the offset of its first message.
	BytesAt int64 `json:"-" ch:"bytes_at"`
}

// Filter says which letters are meant; what is zero does not count.
type Filter struct {
	IDs                           []string
	Reason, Platform, Shop, State string
	Stream                        string
}

// Desk is where people deal with letters.
type Desk struct {
	Kafka      *kafka.Client
	Publisher  *kafka.Publisher
	Topics     events.Topics
	Keys       events.Sealer
	ClickHouse *clickhouse.Conn
	// Mapper gives the connector whose mapping a record's letter is tried
	// with; raw is the record's payload.
	Mapper func(l *events.DeadLetter, raw []byte) (connectors.Connector, error)
	// Webhooks says whether a webhook of a stream, identity or alerts, is
	// configured: what it refused is told to it again. Nil knows none.
	Webhooks func(stream, name string) bool
	// Who does it, for the letter's state and the audit.
	Who string
	// Log is told when a replay waits for Kafka; nil says nothing.
	Log *slog.Logger

	// page is how many letters are taken in hand at once; 0 is pageLetters.
	page int
}

// List gives the letters of a filter, the newest first, limit at most.
func (d *Desk) List(ctx context.Context, f Filter, limit int) ([]Letter, error) {
	return d.find(ctx, f, "ORDER BY first_seen_at DESC, letter_id LIMIT "+strconv.Itoa(limit))
}

func (d *Desk) find(ctx context.Context, f Filter, rest string) ([]Letter, error) {
	where := []string{"1"}
	for column, value := range map[string]string{"reason": f.Reason, "platform": f.Platform, "shop": f.Shop, "state": f.State, "stream": f.Stream} {
		if value != "" {
			where = append(where, "s."+column+" = "+clickhouse.Quote(value))
		}
	}
	if len(f.IDs) > 0 {
		quoted := make([]string, len(f.IDs))
		for i, id := range f.IDs {
			quoted[i] = clickhouse.Quote(id)
		}
		where = append(where, "letter_id IN ("+strings.Join(quoted, ", ")+")")
	}
	letters := []Letter{}
	err := d.ClickHouse.Select(ctx, "list dead letters", &letters,
		"SELECT letter_id, toString(platform) AS platform, toString(shop) AS shop, toString(stream) AS stream, toString(reason) AS reason, detail, origin, attempts, first_seen_at,"+
			" toString(state) AS state, if(toUnixTimestamp64Milli(changed_at) = 0, NULL, changed_at) AS changed, changed_by, bytes_at"+
			" FROM "+d.ClickHouse.Database()+".dead_letter_states AS s FINAL WHERE "+strings.Join(where, " AND ")+" "+rest)
	return letters, err
}

// Show gives a letter and its bytes, nil if it has none. Who asked is in the
// audit before the bytes are given; without that they are not.
func (d *Desk) Show(ctx context.Context, id string) (Letter, []byte, error) {
	found, err := d.find(ctx, Filter{IDs: []string{id}}, "")
	if err != nil {
		return Letter{}, nil, err
	}
	if len(found) == 0 {
		return Letter{}, nil, fmt.Errorf("%w: %s", ErrNotFound, id)
	}
	var raw []byte
	err = d.read(ctx, found, func(o opened) error {
		raw = o.raw
		return o.err
	})
	if err != nil {
		return Letter{}, nil, err
	}
	note := tables.NewAudit()
	entry := uuid.New()
	note.Append(time.Now().Truncate(time.Millisecond), d.Who, "deadletter.show", id, entry)
	if err := d.ClickHouse.Insert(ctx, note, "audit/"+entry.String()); err != nil {
		return Letter{}, nil, fmt.Errorf("deadletter: the audit cannot be written, so nothing is shown: %w", err)
	}
	return found[0], raw, nil
}

// opened is a letter with what its messages hold; err says why its bytes
// cannot be had.
type opened struct {
	Letter
	message *events.DeadLetter
	key     []byte
	raw     []byte
	err     error
}

// errAll: all letters are read.
var errAll = errors.New("all are read")

// read calls f with each of letters, in one pass over the part of the topic
// that holds them. It stops at f's first error.
func (d *Desk) read(ctx context.Context, letters []Letter, f func(opened) error) error {
	type pending struct {
		opened
		parts []*events.DeadLetter
	}
	if len(letters) == 0 {
		return nil
	}
	wanted := make(map[string]*pending, len(letters))
	first := letters[0].BytesAt
	for _, l := range letters {
		wanted[l.ID] = &pending{opened: opened{Letter: l}}
		first = min(first, l.BytesAt)
	}
	_, next, err := d.Kafka.Ends(ctx, d.Topics.DeadLetter)
	if err != nil {
		return err
	}
	err = d.Kafka.ReadRange(ctx, d.Topics.DeadLetter, 0, first, next[0], true, func(m kafka.Fetched) error {
		l := new(events.DeadLetter)
		if proto.Unmarshal(m.Value, l) != nil || l.GetBytesAt() > 0 {
			return nil
		}
		p := wanted[l.GetLetterId()]
		if p == nil || int(l.GetPart()) != len(p.parts) || len(p.parts) == 0 && m.Offset < p.BytesAt {
			return nil // another's, or a repetition
		}
		if p.parts = append(p.parts, l); l.GetPart() == 0 {
			p.message, p.key = l, m.Key
		}
		if len(p.parts) < int(l.GetParts()) {
			return nil
		}
		delete(wanted, l.GetLetterId())
		p.raw, p.err = events.OpenLetter(p.parts, d.Keys)
		if err := f(p.opened); err != nil {
			return err
		}
		if len(wanted) == 0 {
			return errAll
		}
		return nil
	})
	if err != nil && !errors.Is(err, errAll) {
		return fmt.Errorf("deadletter: read letters: %w", err)
	}
	for _, p := range wanted {
		p.err = errors.New("its bytes are not in the topic, or not all of them")
		if err := f(p.opened); err != nil {
			return err
		}
	}
	return nil
}

// Report says what a replay or a drop did.
type Report struct {
	Replayed int `json:"replayed"`
	Dropped  int `json:"dropped"`
	// Kept are still in the dead letter, with the attempt counted.
	Kept int `json:"kept"`
	// Failures are the first of those that were kept, and what is wrong now.
	Failures []Failure `json:"failures,omitempty"`
}

// Failure is a letter that could not be replayed.
type Failure struct {
	ID     string `json:"letter_id"`
	Detail string `json:"detail"`
}

const (
	// mostFailures bounds what a report lists.
	mostFailures = 1000
	// pageLetters is how many letters are taken in hand at once.
	pageLetters = 5000
)

// Drop gives up the open letters of a filter.
func (d *Desk) Drop(ctx context.Context, f Filter) (Report, error) {
	var report Report
	err := d.pages(ctx, f, func(letters []Letter) error {
		states := make([]kafka.Message, 0, len(letters))
		for _, l := range letters {
			message, err := d.state(l, StateDropped)
			if err != nil {
				return err
			}
			states = append(states, message)
		}
		if err := d.Publisher.Publish(ctx, states); err != nil {
			return fmt.Errorf("deadletter: the letters stay as they are: %w", err)
		}
		report.Dropped += len(letters)
		return nil
	})
	return report, err
}

// pages calls take with the open letters of a filter, in the order of their
// bytes: those that there were at the call, for what take does may make new ones.
func (d *Desk) pages(ctx context.Context, f Filter, take func([]Letter) error) error {
	f.State = StateOpen
	page := cmp.Or(d.page, pageLetters)
	_, next, err := d.Kafka.Ends(ctx, d.Topics.DeadLetter)
	if err != nil {
		return err
	}
	for after := int64(-1); ; {
		letters, err := d.find(ctx, f, fmt.Sprintf("AND bytes_at > %d AND bytes_at < %d ORDER BY bytes_at LIMIT %d", after, next[0], page))
		if err != nil {
			return err
		}
		if len(letters) > 0 {
			if err := take(letters); err != nil {
				return err
			}
			after = letters[len(letters)-1].BytesAt
		}
		if len(letters) < page {
			return nil
		}
	}
}

// change publishes a letter's new state.
func (d *Desk) change(ctx context.Context, l Letter, state string) error {
	message, err := d.state(l, state)
	if err != nil {
		return err
	}
	if err := d.Publisher.Publish(ctx, []kafka.Message{message}); err != nil {
		return fmt.Errorf("deadletter: the letter stays as it is: %w", err)
	}
	return nil
}

// state is the message that says what became of a letter.
func (d *Desk) state(l Letter, state string) (kafka.Message, error) {
	message := &events.DeadLetter{
		LetterId: l.ID, Platform: l.Platform, Shop: l.Shop, Stream: l.Stream, Reason: l.Reason, Detail: l.Detail, Origin: l.Origin,
		Attempts: l.Attempts, FirstSeenMs: l.FirstSeen.UnixMilli(), ChangedMs: time.Now().UnixMilli(), ChangedBy: d.Who, BytesAt: l.BytesAt + 1,
	}
	switch state {
	case StateReplayed:
		message.State = events.LetterState_LETTER_STATE_REPLAYED
	case StateDropped:
		message.State = events.LetterState_LETTER_STATE_DROPPED
	}
	parts, err := events.Letters(message, nil, d.Keys)
	if err != nil {
		return kafka.Message{}, err
	}
	parts[0].Topic, parts[0].Key = d.Topics.DeadLetter, []byte(l.ID)
	return kafka.MessageOf(parts[0]), nil
}

// again makes the messages that a letter becomes today, or says what is still
// wrong with it.
func (d *Desk) again(ctx context.Context, o opened) ([]kafka.Message, error) {
	if o.err != nil {
		return nil, o.err
	}
	if isRow(o) {
		return nil, d.insertAgain(ctx, o)
	}
	if o.message.GetReason() == events.ReasonDeliver {
		return d.deliverAgain(o)
	}
	var messages []kafka.Message
	var err error
	stream, id, push := events.PushOf(o.Origin)
	switch {
	case push && o.message.GetReason() == events.ReasonRead:
		messages, err = d.fetchAgain(ctx, o, stream, id)
	case o.message.GetReason() == events.ReasonRead:
		err = errors.New("what the source gave could not be cut into a record: mend the source, read it again, and drop this letter")
	case o.message.GetSource() == events.Source_SOURCE_UNSPECIFIED:
		messages, err = d.decodeAgain(o)
	default:
		messages, err = d.mapAgain(o)
	}
	// Should the flow refuse it, that counts these attempts, too.
	for i := range messages {
		messages[i].Headers = append(messages[i].Headers, kafka.Header{Key: events.AttemptsHeader, Value: strconv.AppendUint(nil, uint64(o.Attempts)+1, 10)},
			kafka.Header{Key: events.LetterHeader, Value: []byte(o.ID)})
	}
	return messages, err
}

// mapAgain maps a record by today's mapping.
func (d *Desk) mapAgain(o opened) ([]kafka.Message, error) {
	connector, err := d.Mapper(o.message, o.raw)
	if err != nil {
		return nil, err
	}
	return d.mapped(connector, connectors.Record{
		Stream: o.Stream, Shop: o.Shop, Raw: o.raw, Observed: time.UnixMilli(o.message.GetObservedMs()).UTC(), Origin: o.Origin,
	})
}

// pulled says whether the pull brings what a push told of, too.
func pulled(connector connectors.Connector) string {
	if _, ages := connector.(connectors.Aging); ages {
		return "the pull brings it while the platform lists it, which of what is old nobody can say: where it matters, import an export of those days"
	}
	return "the pull brings it, since the platform lists all that changes"
}

// fetchAgain reads what a push names from its platform, as it is now.
func (d *Desk) fetchAgain(ctx context.Context, o opened, stream, id string) ([]kafka.Message, error) {
	connector, err := d.Mapper(o.message, o.raw)
	if err != nil {
		return nil, err
	}
	if id == "" {
		return nil, fmt.Errorf("the push could not be understood, so it names nothing to read: %s; drop this letter", pulled(connector))
	}
	fetcher, ok := connector.(connectors.Fetcher)
	if !ok {
		return nil, fmt.Errorf("its connector reads no single entity: %s; drop this letter", pulled(connector))
	}
	page, err := fetcher.Fetch(ctx, stream, id)
	switch {
	case err != nil:
		return nil, fmt.Errorf("what the push names cannot be had: %w", err)
	case len(page.Bad) > 0:
		return nil, fmt.Errorf("what the push names cannot be read: %w", page.Bad[0].Err)
	case len(page.Records) == 0:
		return nil, fmt.Errorf("the platform does not show what the push names: try again later, or drop this letter; %s", pulled(connector))
	}
	var messages []kafka.Message
	for _, record := range page.Records {
		more, err := d.mapped(connector, record)
		if err != nil {
			return nil, err
		}
		messages = append(messages, more...)
	}
	return messages, nil
}

// mapped maps one record and encodes what comes of it.
func (d *Desk) mapped(connector connectors.Connector, record connectors.Record) ([]kafka.Message, error) {
	mapped, err := connector.Map(record)
	if err != nil {
		return nil, err
	}
	messages := make([]kafka.Message, 0, len(mapped))
	for _, event := range mapped {
		if err := errors.Join(events.Check(event), events.Storable(event)); err != nil {
			return nil, err
		}
		wire, err := d.Topics.Encode(event, d.Keys)
		if err != nil {
			return nil, err
		}
		messages = append(messages, kafka.MessageOf(wire))
	}
	return messages, tooLarge(messages)
}

// decodeAgain decodes a message of a topic as it would be read today, and
// puts it there once more.
func (d *Desk) decodeAgain(o opened) ([]kafka.Message, error) {
	end := strings.LastIndexByte(o.Origin, '/')
	if end < 0 || !slices.Contains(d.Topics.Resolved(), o.Origin[:end]) {
		return nil, errors.New("its origin is no topic that is resolved")
	}
	message := kafka.Message{Topic: o.Origin[:end], Key: o.key, Value: o.raw}
	if message.Topic == d.Topics.Decisions {
		if err := pipelines.DecodeDecision(o.raw, new(events.Decision)); err != nil {
			return nil, err
		}
	} else {
		e := new(events.Event)
		if err := events.Decode(o.raw, e); err != nil {
			return nil, err
		}
		if err := events.Storable(e); err != nil {
			return nil, err
		}
		if _, err := events.OpenPerson(e, d.Keys); err != nil {
			return nil, err
		}
		message = kafka.MessageOf(events.Wire{Topic: message.Topic, Key: o.key, Value: o.raw, Headers: events.Describe(e).Headers()})
	}
	messages := []kafka.Message{message}
	return messages, tooLarge(messages)
}

// RefusedRows is how many rows of who is who wait here, refused by ClickHouse.
func (d *Desk) RefusedRows(ctx context.Context) (uint64, error) {
	return d.ClickHouse.Number(ctx, "count rows that were refused", "SELECT count() FROM "+d.ClickHouse.Database()+".dead_letter_states FINAL WHERE state = 'open' AND stream = "+clickhouse.Quote(events.StreamRows))
}

// insertAgain inserts a row of who is who that ClickHouse refused. Whatever
// else the resolver has said meanwhile, a later version wins over it. A move
// that is none any more has nothing left to say: were its override written
// after the one that came later had been folded into the facts, it would win.
func (d *Desk) insertAgain(ctx context.Context, o opened) error {
	row, err := tables.DecodeRow(o.raw)
	if err != nil {
		return err
	}
	overrides := row.Table() == tables.NewOverrides().Table()
	if overrides {
		holds, err := d.holds(ctx, row)
		if err != nil || !holds {
			return err
		}
	}
	switch err := d.ClickHouse.Insert(ctx, row, "letter/"+o.ID); {
	case err != nil && clickhouse.Refuses(err):
		return clickhouse.RefusedBy(row.Table(), err)
	case err != nil:
		return err
	case overrides:
		return d.ClickHouse.ReloadOverrides(ctx)
	}
	return nil
}

// holds says whether the account of an override is in that customer still.
func (d *Desk) holds(ctx context.Context, override tables.Block) (bool, error) {
	names, values := override.Columns()
	of := func(name string) string {
		return clickhouse.Quote(fmt.Sprint(reflect.ValueOf(tables.Plain(values[slices.Index(names, name)])).Index(0)))
	}
	n, err := d.ClickHouse.Number(ctx, "ask where an account is", "SELECT count() FROM "+d.ClickHouse.Database()+".identity_map FINAL WHERE platform = "+of("platform")+
		" AND shop = "+of("shop")+" AND account = "+of("account")+" AND customer_id = "+of("customer_id"))
	return n > 0, err
}

// deliverAgain asks for a webhook to be told once more what it refused. Should
// it refuse again, that is a letter of its own, with the attempts of both.
func (d *Desk) deliverAgain(o opened) ([]kafka.Message, error) {
	webhook := events.WebhookOf(o.ID)
	if d.Webhooks == nil || !d.Webhooks(o.Stream, webhook) {
		return nil, errors.New("its webhook is configured no longer: drop it")
	}
	r := &events.Redelivery{
		LetterId: o.ID, Attempts: o.Attempts + 1, Webhook: webhook, Stream: o.Stream, Value: o.raw, Who: d.Who, AskedMs: time.Now().UnixMilli(),
	}
	value, err := proto.Marshal(r)
	if err != nil {
		return nil, err
	}
	messages := []kafka.Message{kafka.MessageOf(events.Wire{Topic: d.Topics.Redeliver, Key: o.key, Value: value, Headers: events.DescribeRedelivery(r).Headers()})}
	return messages, tooLarge(messages)
}

func tooLarge(messages []kafka.Message) error {
	for _, m := range messages {
		if len(m.Value) > events.MaxMessage {
			return errors.New("it is larger than a message may be")
		}
	}
	return nil
}
