package tmall

import (
	"errors"

	"oneid/connectors"
	"oneid/schemas/events"
)

// A phase is what a refund's status says of the refund and of the ticket.
type phase struct {
	refund events.RefundStatus
	ticket events.TicketStatus
}

// refundPhases are the documented statuses; any other is unknown. A ticket is
// open while the seller must act, pending while the buyer must.
var refundPhases = map[string]phase{
	"WAIT_SELLER_AGREE":         {events.RefundStatus_REFUND_STATUS_REQUESTED, events.TicketStatus_TICKET_STATUS_OPEN},
	"WAIT_BUYER_RETURN_GOODS":   {events.RefundStatus_REFUND_STATUS_APPROVED, events.TicketStatus_TICKET_STATUS_PENDING},
	"WAIT_SELLER_CONFIRM_GOODS": {events.RefundStatus_REFUND_STATUS_RETURNED, events.TicketStatus_TICKET_STATUS_OPEN},
	"SELLER_REFUSE_BUYER":       {events.RefundStatus_REFUND_STATUS_REFUSED, events.TicketStatus_TICKET_STATUS_PENDING},
	"CLOSED":                    {events.RefundStatus_REFUND_STATUS_CLOSED, events.TicketStatus_TICKET_STATUS_CLOSED},
	"SUCCESS":                   {events.RefundStatus_REFUND_STATUS_SUCCEEDED, events.TicketStatus_TICKET_STATUS_SOLVED},
	"WAIT_BUYER_CONFIRM_EXCHANGE_SELLER_SEND_GOODS": {events.RefundStatus_REFUND_STATUS_RETURNED, events.TicketStatus_TICKET_STATUS_PENDING},
	"EXCHANGE_TRANSFORM_TO_REFUND":                  {events.RefundStatus_REFUND_STATUS_REQUESTED, events.TicketStatus_TICKET_STATUS_OPEN},
	"WAIT_SELLER_CONSIGN_GOODS":                     {events.RefundStatus_REFUND_STATUS_RETURNED, events.TicketStatus_TICKET_STATUS_OPEN},
	"WAIT_BUYER_CONFIRM_REDO_SEND_GOODS":            {events.RefundStatus_REFUND_STATUS_APPROVED, events.TicketStatus_TICKET_STATUS_PENDING},
	"WAIT_SELLER_CONFIRM_RETURN_ADDRESS":            {events.RefundStatus_REFUND_STATUS_APPROVED, events.TicketStatus_TICKET_STATUS_OPEN},
	// Spelt so by the platform.
	"WAIT_SELLER_CONSIGN_GOOGDS":        {events.RefundStatus_REFUND_STATUS_RETURNED, events.TicketStatus_TICKET_STATUS_OPEN},
	"EXCHANGE_WAIT_BUYER_CONFIRM_GOODS": {events.RefundStatus_REFUND_STATUS_RETURNED, events.TicketStatus_TICKET_STATUS_PENDING},
	"POST_FEE_DISPUTE_WAIT_ACTIVATE":    {events.RefundStatus_REFUND_STATUS_REQUESTED, events.TicketStatus_TICKET_STATUS_PENDING},
}

func phaseOf(status string) phase {
	if p, ok := refundPhases[status]; ok {
		return p
	}
	return phase{events.RefundStatus_REFUND_STATUS_UNKNOWN, events.TicketStatus_TICKET_STATUS_UNKNOWN}
}

// disputeKinds are the documented types of disputes in OneID's words for
// tickets; any other is "service".
var disputeKinds = map[string]string{
	"": "refund", "REFUND": "refund", "REFUND_AND_RETURN": "return",
	"TMALL_EXCHANGE": "exchange", "TAOBAO_EXCHANGE": "exchange",
	"REPAIR": "service", "RESHIPPING": "service", "OTHERS": "service",
}

// refund is a refund as the platform gives it.
type refund struct {
	RefundID     text `json:"refund_id"`
	TID          text `json:"tid"`
	OID          text `json:"oid"`
	Status       text `json:"status"`
	OrderStatus  text `json:"order_status"`
	DisputeType  text `json:"dispute_type"`
	Created      text `json:"created"`
	Modified     text `json:"modified"`
	EndTime      text `json:"end_time"`
	Reason       text `json:"reason"`
	RefundFee    text `json:"refund_fee"`
	BuyerOpenUID text `json:"buyer_open_uid"`
	OUID         text `json:"ouid"`
}

// message is one of a refund's thread.
type message struct {
	Role    text `json:"owner_role"`
	Created text `json:"created"`
}

// sellerRole is the role of the shop's own people in a thread; 1 is the buyer, 3
// the platform's staff.
const sellerRole = "2"

// firstAnswer is when the seller first said something about a refund; 0 where he
// has not, or the thread is not known. A time of another form is none: the refund is
// worth having without it.
func firstAnswer(thread []message) (ms int64) {
	for _, m := range thread {
		var f fields
		if at := f.time("messages.created", m.Created); f.err == nil && m.Role == sellerRole && at > 0 && (ms == 0 || at < ms) {
			ms = at
		}
	}
	return ms
}

// refund maps one refund to the money that goes back (Refund) and to the case
// that a service agent has (Ticket); both bear the refund's number.
func (m mapper) refund(record connectors.Record) ([]*events.Event, error) {
	var raw struct {
		Refund   *refund   `json:"refund"`
		Messages []message `json:"messages"`
		OUID     string    `json:"ouid"`
	}
	if record.Decode(&raw) != nil || raw.Refund == nil {
		return nil, errors.New("it is not a refund")
	}
	r := raw.Refund
	var f fields
	id, order := f.must("refund_id", r.RefundID), f.must("tid", r.TID)
	status := f.must("status", r.Status)
	f.must("created", r.Created)
	created, modified, ended := f.time("created", r.Created), f.time("modified", r.Modified), f.time("end_time", r.EndTime)
	if modified == 0 {
		modified = created
	}
	amount, answered := f.money("refund_fee", r.RefundFee), firstAnswer(raw.Messages)
	if f.err != nil {
		return nil, f.err
	}
	p := phaseOf(status)
	if p.ticket != events.TicketStatus_TICKET_STATUS_SOLVED && p.ticket != events.TicketStatus_TICKET_STATUS_CLOSED {
		ended = 0
	} else if ended == 0 {
		ended = modified
	}
	kind, known := disputeKinds[string(r.DisputeType)]
	if !known {
		kind = "service"
	}
	account, sightings := m.buyer(firstOf(r.OUID, text(raw.OUID)), string(r.BuyerOpenUID), order)
	header := func() *events.Header {
		h := m.header(record, id, account, modified)
		h.Person = &events.Person{Sightings: sightings}
		return h
	}
	reason := connectors.Choice(string(r.Reason))
	orderState := orderStates[string(r.OrderStatus)]
	return []*events.Event{
		{Header: header(), Body: &events.Event_Refund{Refund: &events.Refund{
			OrderId: order, ItemId: firstOf(r.OID, r.TID), Status: p.refund, PlatformStatus: status,
			RefundType: kind, PlatformType: string(r.DisputeType), Reason: reason,
			Currency: "CNY", RefundMinor: amount,
			BeforeShipping: orderState.status == events.OrderStatus_ORDER_STATUS_PAID,
			CreatedMs:      created, FinishedMs: ended,
		}}},
		{Header: header(), Body: &events.Event_Ticket{Ticket: &events.Ticket{
			Kind: kind, Status: p.ticket, PlatformStatus: status, Channel: Platform, Subject: reason,
			OrderId: order, ItemId: firstOf(r.OID, r.TID), Currency: "CNY", AmountMinor: amount,
			CreatedMs: created, FirstAnswerMs: answered, SolvedMs: ended,
		}}},
	}, nil
}
