package events

import (
	"iter"
	"strconv"
	"time"
)

// Topics are the topics of one brand.
type Topics struct {
	Orders, Users, Tickets, Spend                     string
	Journal, Decisions, Identity, Cursors, DeadLetter string
}

// TopicsOf names the topics of a brand.
func TopicsOf(brand string) Topics {
	return Topics{
		Orders: brand + ".orders", Users: brand + ".users", Tickets: brand + ".tickets", Spend: brand + ".spend",
		Journal: brand + ".journal", Decisions: brand + ".decisions", Identity: brand + ".identity",
		Cursors: brand + ".cursors", DeadLetter: brand + ".deadletter",
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

// Headers are the names and values of the headers.
func (c CloudEvent) Headers() iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for _, header := range [...][2]string{
			{"ce_specversion", "1.0"}, {"ce_id", c.ID}, {"ce_type", c.Type}, {"ce_source", c.Source}, {"ce_time", c.Time},
			{"content-type", ContentType},
		} {
			if !yield(header[0], header[1]) {
				return
			}
		}
	}
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
	return CloudEvent{
		ID: c.GetAccount() + "|" + strconv.FormatUint(c.GetVersion(), 10), Type: "oneid.identity_change.v1",
		Source: "/identity", Time: timeOf(c.GetChangedMs()),
	}
}

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

// DescribeLetter makes the attributes of a dead letter: each attempt at it is
// an event of its own.
func DescribeLetter(l *DeadLetter) CloudEvent {
	source := "/resolver"
	if l.GetPlatform() != "" {
		source = "/" + l.GetPlatform() + "/" + l.GetShop()
	}
	return CloudEvent{
		ID: l.GetLetterId() + "|" + strconv.Itoa(int(l.GetAttempts())), Type: "oneid.dead_letter.v1",
		Source: source, Time: timeOf(l.GetFirstSeenMs()),
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
