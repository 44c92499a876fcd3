package events

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
	"unsafe"

	"google.golang.org/protobuf/proto"
)

// Topics are the topics of one brand.
type Topics struct {
	Orders, Users, Tickets, Spend                     string
	Journal, Decisions, Identity, Cursors, DeadLetter string
	Alerts, Redeliver                                 string
	Pushes                                            string
}

// TopicsOf names the topics of a brand.
func TopicsOf(brand string) Topics {
	return Topics{
		Orders: brand + ".orders", Users: brand + ".users", Tickets: brand + ".tickets", Spend: brand + ".spend",
		Journal: brand + ".journal", Decisions: brand + ".decisions", Identity: brand + ".identity",
		Cursors: brand + ".cursors", DeadLetter: brand + ".deadletter",
		Alerts: brand + ".alerts", Redeliver: brand + ".redeliver",
		Pushes: brand + ".pushes",
	}
}

// Of is the topic of a kind of event.
func (t Topics) Of(kind Kind) string {
	switch kind {
	case KindOrder, KindRefund:
		return t.Orders
	case KindUser:
		return t.Users
	case KindTicket:
		return t.Tickets
	case KindSpend:
		return t.Spend
	}
	return ""
}

// Resolved are the topics whose messages the resolver takes, in the order in
// which a batch takes them.
func (t Topics) Resolved() []string {
	return []string{t.Decisions, t.Users, t.Orders, t.Tickets, t.Spend}
}

// CloudEvent is what stands in a message's headers beside its value
// (CloudEvents 1.0, binary mode over Kafka).
type CloudEvent struct {
	ID, Type, Source, Time string
}

// Key is a message's key: the account as platform/shop/id; the channel for
// spend.
func Key(e *Event) string {
	if spend := e.GetSpend(); spend != nil {
		return spend.GetChannel()
	}
	h := e.GetHeader()
	return h.GetPlatform() + "/" + h.GetShop() + "/" + h.GetAccount()
}

// Describe makes an event's CloudEvents attributes. The id names the entity
// and its version without the time of observation, so that pulls that repeat
// a change, and a push of it, agree.
func Describe(e *Event) CloudEvent {
	h := e.GetHeader()
	v := h.GetVersion()
	kind := string(KindOf(e))
	return CloudEvent{
		ID: h.GetPlatform() + "|" + h.GetShop() + "|" + kind + "|" + h.GetEntityId() + "|" +
			strconv.FormatInt(v.GetModifiedMs(), 10) + "|" + strconv.Itoa(int(v.GetSource())) + "|" + strconv.Itoa(int(v.GetRevision())),
		Type:   "oneid." + kind + ".v1",
		Source: "/" + h.GetPlatform() + "/" + h.GetShop(),
		Time:   timeOf(v.GetModifiedMs()),
	}
}

func timeOf(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339Nano) }

// DescribeChange makes the attributes of an identity change: one that is
// published again has the same id.
func DescribeChange(c *IdentityChange) CloudEvent {
	return changeOf(string(appendChangeID(nil, c)), timeOf(c.GetChangedMs()))
}

func changeOf(id, at string) CloudEvent {
	return CloudEvent{ID: id, Type: "oneid.identity_change.v1", Source: "/identity", Time: at}
}

// appendChangeID appends the id of an identity change, which begins with the account.
func appendChangeID(b []byte, c *IdentityChange) []byte {
	return strconv.AppendUint(append(append(b, c.GetAccount()...), '|'), c.GetVersion(), 10)
}

// Wires is memory for messages, which is used again.
type Wires struct {
	wires   []Wire
	bytes   []byte // keys, ids and values
	headers [][2]string
}

// EncodeChanges makes the messages of identity changes. A batch may have tens of thousands:
// they lie in room, where they are until it is used for others.
func (t Topics) EncodeChanges(changes []*IdentityChange, room *Wires) ([]Wire, error) {
	sized, size := proto.MarshalOptions{UseCachedSize: true}, 0
	for _, c := range changes {
		size += sized.Size(c) + len(c.GetAccount()) + 1 + maxUintDigits
	}
	// None of these moves: what is handed out are parts of them.
	wires, headers := slices.Grow(room.wires[:0], len(changes)), slices.Grow(room.headers[:0], headerCount*len(changes))
	b, at := slices.Grow(room.bytes[:0], size), ""
	for i, c := range changes {
		if i == 0 || c.GetChangedMs() != changes[i-1].GetChangedMs() {
			at = timeOf(c.GetChangedMs())
		}
		begun, named := len(b), len(headers)
		b = appendChangeID(b, c)
		id := b[begun:len(b):len(b)]
		headers = changeOf(unsafe.String(unsafe.SliceData(id), len(id)), at).appendHeaders(headers)
		valued := len(b)
		var err error
		if b, err = sized.MarshalAppend(b, c); err != nil {
			return nil, fmt.Errorf("events: encode the change of an identity: %w", err)
		}
		wires = append(wires, Wire{
			Topic: t.Identity, Key: id[:len(c.GetAccount()):len(c.GetAccount())], Value: b[valued:len(b):len(b)],
			Headers: headers[named:len(headers):len(headers)],
		})
	}
	room.wires, room.bytes, room.headers = wires, b, headers
	return wires, nil
}

// maxUintDigits is how many digits a version has at most.
const maxUintDigits = 20

// DescribeDecision makes the attributes of a decision.
func DescribeDecision(d *Decision) CloudEvent {
	return CloudEvent{ID: d.GetDecisionId(), Type: "oneid.decision.v1", Source: "/decisions", Time: timeOf(d.GetDecidedMs())}
}

// DescribeRecord makes the attributes of a record of the journal that its
// writer means for a sequence.
func DescribeRecord(r *JournalRecord, sequence uint64) CloudEvent {
	return CloudEvent{
		ID: strconv.FormatUint(r.GetEpoch(), 10) + "|" + strconv.FormatUint(sequence, 10), Type: "oneid.journal_record.v1",
		Source: "/journal", Time: timeOf(r.GetWrittenMs()),
	}
}

// DescribeLetter makes the attributes of a part of a dead letter: each attempt
// at it, and each change of its state, is an event of its own.
func DescribeLetter(l *DeadLetter, part uint32) CloudEvent {
	source := "/resolver"
	if l.GetPlatform() != "" {
		source = "/" + l.GetPlatform() + "/" + l.GetShop()
	}
	return CloudEvent{
		ID: l.GetLetterId() + "|" + strconv.Itoa(int(l.GetAttempts())) + "|" + strconv.FormatInt(l.GetChangedMs(), 10) + "|" + strconv.Itoa(int(part)), Type: "oneid.dead_letter.v1",
		Source: source, Time: timeOf(l.GetFirstSeenMs()),
	}
}

// DescribeAlert makes the attributes of an alert.
func DescribeAlert(a *Alert) CloudEvent {
	return CloudEvent{ID: a.GetAlertId(), Type: "oneid.alert.v1", Source: "/alerts", Time: timeOf(a.GetChangedMs())}
}

// RedeliveryType is the ce_type of a Redelivery.
const RedeliveryType = "oneid.redelivery.v1"

// DescribeRedelivery makes the attributes of what is to be delivered again.
func DescribeRedelivery(r *Redelivery) CloudEvent {
	return CloudEvent{
		ID: r.GetLetterId() + "|" + strconv.Itoa(int(r.GetAttempts())), Type: RedeliveryType,
		Source: "/deadletter", Time: timeOf(r.GetAskedMs()),
	}
}

// DescribeCursor makes the attributes of the cursor of a stream, written
// platform/shop/stream.
func DescribeCursor(stream string, c *Cursor) CloudEvent {
	return CloudEvent{
		ID: stream + "|" + strconv.FormatInt(c.GetWrittenMs(), 10), Type: "oneid.cursor.v1",
		Source: "/" + stream, Time: timeOf(c.GetWrittenMs()),
	}
}

// Wire is an event as it lies in Kafka.
type Wire struct {
	Topic      string
	Key, Value []byte
	Headers    [][2]string
}

// Encode seals an event, which it changes, and makes the message of it.
func (t Topics) Encode(e *Event, s Sealer) (Wire, error) {
	topic := t.Of(KindOf(e))
	if topic == "" {
		return Wire{}, errors.New("events: the mapping made an event without a body: a fault of the program")
	}
	if err := Seal(e, s); err != nil {
		return Wire{}, err
	}
	value, err := Marshal(nil, e)
	if err != nil {
		return Wire{}, err
	}
	return Wire{Topic: topic, Key: []byte(Key(e)), Value: value, Headers: Describe(e).Headers()}, nil
}

// headerCount is how many Headers there are.
const headerCount = 6

// Headers are the headers of a message whose value the attributes are of.
func (c CloudEvent) Headers() [][2]string {
	return c.appendHeaders(make([][2]string, 0, headerCount))
}

func (c CloudEvent) appendHeaders(to [][2]string) [][2]string {
	return append(to, [2]string{"ce_specversion", "1.0"}, [2]string{"ce_id", c.ID}, [2]string{"ce_type", c.Type},
		[2]string{"ce_source", c.Source}, [2]string{"ce_time", c.Time}, [2]string{"content-type", ContentType})
}
