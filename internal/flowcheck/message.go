package flowcheck

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	"oneid/schemas/events"
)

// Message is a fact as it goes to Kafka.
type Message struct {
	Topic      string
	Key, Value []byte
}

// epochMs is the time of version 0, 2026-11-11 in China, and of all that the
// evidence says: no gap between two sightings.
const epochMs = 1794240000000

// Encode makes the message of a fact.
func Encode(f Fact, topics events.Topics, keys events.Sealer) (Message, error) {
	switch f.Kind {
	case Garbage:
		topic := map[string]string{"orders": topics.Orders, "users": topics.Users, "tickets": topics.Tickets, "decisions": topics.Decisions}[f.Topic]
		return Message{topic, []byte("noise"), f.Bytes}, nil
	case Decision:
		value, err := proto.Marshal(decision(f))
		return Message{topics.Decisions, []byte(f.A), value}, err
	case Order, Refund, User, Ticket:
	}
	e, err := event(f)
	if err != nil {
		return Message{}, err
	}
	if err := events.Seal(e, keys); err != nil {
		return Message{}, err
	}
	value, err := events.Marshal(nil, e)
	return Message{topics.Of(events.Kind(f.Kind)), []byte(f.Account), value}, err
}

// decision is the message of a decision.
func decision(f Fact) *events.Decision {
	d := &events.Decision{DecisionId: f.ID, Undoes: f.Undoes, Who: "tester", DecidedMs: epochMs + f.N}
	switch f.Says {
	case "same":
		d.Kind, d.Accounts = events.DecisionKind_DECISION_KIND_SAME, []string{f.A, f.B}
	case "different":
		d.Kind, d.Accounts = events.DecisionKind_DECISION_KIND_DIFFERENT, []string{f.A, f.B}
	default:
		d.Kind = events.DecisionKind_DECISION_KIND_UNDO
	}
	return d
}

// event is the event of an order, refund, user or ticket.
func event(f Fact) (*events.Event, error) {
	place, id, ok := cutAccount(f.Account)
	platform, shop, _ := strings.Cut(place, "/")
	if !ok {
		return nil, fmt.Errorf("flowcheck: fact %d: the account %q is not platform/shop/id", f.N, f.Account)
	}
	e := &events.Event{Header: &events.Header{
		Platform: platform, Shop: shop, Account: id, EntityId: f.Entity, Stream: string(f.Kind) + "s",
		Version: &events.Version{ModifiedMs: epochMs + f.Version, Source: events.Source_SOURCE_API, ObservedMs: epochMs + f.Version, Revision: 1},
		Raw:     []byte(`{"id":"` + f.Entity + `","version":` + strconv.FormatInt(f.Version, 10) + `}`),
	}}
	var seen []*events.Sighting
	add := func(kind, value string, role events.Role) {
		if value != "" {
			seen = append(seen, &events.Sighting{Type: kind, Value: value, Role: role})
		}
	}
	add("phone", f.Phone, events.Role_ROLE_MEMBER)
	add("unionid", f.UnionID, events.Role_ROLE_MEMBER)
	add("phone", f.Gift, events.Role_ROLE_RECEIVER)
	if len(seen) > 0 {
		e.Header.Person = &events.Person{Sightings: seen}
	}
	switch f.Kind {
	case Order:
		e.Body = &events.Event_Order{Order: &events.Order{
			Status: events.OrderStatus_ORDER_STATUS_PAID, PlatformStatus: "PAID", CreatedMs: epochMs, PaidMs: epochMs, Currency: "CNY", PayableMinor: f.Minor, PaidMinor: f.Minor,
			Items: []*events.OrderItem{{ItemId: f.Entity + "-1", Title: "tea", Quantity: 1, UnitPriceMinor: f.Minor, PaidMinor: f.Minor}},
		}}
	case Refund:
		e.Body = &events.Event_Refund{Refund: &events.Refund{
			OrderId: "of-" + f.Entity, Status: events.RefundStatus_REFUND_STATUS_SUCCEEDED, Currency: "CNY", RefundMinor: f.Minor, CreatedMs: epochMs,
		}}
	case Ticket:
		e.Body = &events.Event_Ticket{Ticket: &events.Ticket{Kind: "service", Status: events.TicketStatus_TICKET_STATUS_OPEN, Currency: "CNY", AmountMinor: f.Minor, CreatedMs: epochMs}}
	case User:
		e.Body = &events.Event_User{User: &events.User{Member: f.Phone != "", Points: f.Minor, CreatedMs: epochMs, MemberSinceMs: epochMs}}
	default:
		return nil, errors.New("flowcheck: no event is of kind " + string(f.Kind))
	}
	return e, nil
}

// cutAccount parts platform/shop from the account's id.
func cutAccount(account string) (place, id string, ok bool) {
	i := strings.LastIndexByte(account, '/')
	if i < 0 {
		return "", "", false
	}
	return account[:i], account[i+1:], true
}
