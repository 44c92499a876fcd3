package events

import (
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
		Time:   time.UnixMilli(v.GetModifiedMs()).UTC().Format(time.RFC3339Nano),
	}
}
