// Package events holds the messages that OneID moves through Kafka: their
// Protobuf schema (*.proto), the generated Go, and what is written by hand
// about them: kinds, topics, keys, CloudEvents headers, versions and money.
//
// An Event travels in two forms. Inside a process, from a connector's Map to
// pull, Header.Raw is the platform's plain payload and Header.Person is in
// clear. On Kafka, Raw is compressed and sealed, and Person lies sealed in
// SealedPerson; see Seal and Open.
package events

// ContentType of every value that OneID writes to Kafka.
const ContentType = "application/protobuf"

// Kind is what an event is about. It names the CloudEvents type
// ("oneid.order.v1") and the fact table.
type Kind string

// The kinds of events that connectors write.
const (
	KindOrder  Kind = "order"
	KindRefund Kind = "refund"
	KindUser   Kind = "user"
	KindTicket Kind = "ticket"
	KindSpend  Kind = "spend"
)

// KindOf says what e is about; "" for an event without a body.
func KindOf(e *Event) Kind {
	switch e.GetBody().(type) {
	case *Event_Order:
		return KindOrder
	case *Event_Refund:
		return KindRefund
	case *Event_User:
		return KindUser
	case *Event_Ticket:
		return KindTicket
	case *Event_Spend:
		return KindSpend
	}
	return ""
}
