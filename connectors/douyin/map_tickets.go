package douyin

import (
	"cmp"
	"errors"
	"strings"

	"oneid/connectors"
	"oneid/schemas/events"
)

// aftersale is what is read of an after-sale.
type aftersale struct {
	Info object[struct {
		ID         text  `json:"aftersale_id"`
		OrderLevel text  `json:"aftersale_order_type"`
		RelatedID  text  `json:"related_id"`
		Type       text  `json:"aftersale_type"`
		Status     text  `json:"aftersale_status"`
		Applied    whole `json:"apply_time"`
		Created    whole `json:"create_time"`
		Updated    whole `json:"update_time"`
		Final      whole `json:"aftersale_status_to_final_time"`
		Refund     whole `json:"refund_amount"`
		Paid       text  `json:"refund_status"`
		PaidBy     text  `json:"aftersale_refund_type"`
		Arbitrate  text  `json:"arbitrate_status"`
		Reasons    list[struct {
			Name text `json:"name"`
		}] `json:"reason_second_labels"`
	}] `json:"aftersale_info"`
	Order object[struct {
		ID text `json:"shop_order_id"`
	}] `json:"order_info"`
	Text object[struct {
		Reason text `json:"reason_text"`
	}] `json:"text_part"`
}

// negotiated is one step of an after-sale's history.
type negotiated struct {
	Time text `json:"time"`
	Role text `json:"role"`
}

// shopRole is the role of the shop's own people in that history; 1 is the buyer,
// 3 the platform's service, 4 its system.
const shopRole = "2"

// firstAnswer is when the shop first did something in an after-sale; 0 where it has
// not, or its history is not known.
func firstAnswer(history []negotiated) (ms int64) {
	for _, step := range history {
		if at := detailMoment(step.Time); step.Role == shopRole && at > 0 && (ms == 0 || at < ms) {
			ms = at
		}
	}
	return ms
}

// detailMoment is a time of a detail, in milliseconds; one of another form is 0, for a
// ticket is worth having without it.
func detailMoment(t text) int64 {
	ms, ok := moment(t)
	if !ok {
		return 0
	}
	return ms
}

// aftersaleType is what a type of after-sales is: the kind of the ticket and
// of the refund.
type aftersaleType struct {
	kind           string
	beforeShipping bool
	// goods: it gives goods and no money.
	goods bool
}

var aftersaleTypes = map[text]aftersaleType{
	"0": {kind: "return"},
	"1": {kind: "refund"},
	"2": {kind: "refund", beforeShipping: true},
	"3": {kind: "exchange", goods: true},
	"4": {kind: "refund", beforeShipping: true}, // cancelled by the system
	"5": {kind: "refund", beforeShipping: true}, // cancelled by the buyer
	"6": {kind: "price_protection"},
	"7": {kind: "resend", goods: true},
	"8": {kind: "repair", goods: true},
}

type aftersaleStatus struct {
	refund events.RefundStatus
	ticket events.TicketStatus
}

// aftersaleStatuses: a ticket is open while the shop must act, pending while
// somebody else must.
var aftersaleStatuses = map[text]aftersaleStatus{
	"0":  {events.RefundStatus_REFUND_STATUS_REQUESTED, events.TicketStatus_TICKET_STATUS_OPEN},
	"6":  {events.RefundStatus_REFUND_STATUS_REQUESTED, events.TicketStatus_TICKET_STATUS_OPEN},   // applied
	"7":  {events.RefundStatus_REFUND_STATUS_APPROVED, events.TicketStatus_TICKET_STATUS_PENDING}, // buyer sends back
	"8":  {events.RefundStatus_REFUND_STATUS_APPROVED, events.TicketStatus_TICKET_STATUS_OPEN},    // shop sends again
	"11": {events.RefundStatus_REFUND_STATUS_RETURNED, events.TicketStatus_TICKET_STATUS_OPEN},    // sent back
	"12": {events.RefundStatus_REFUND_STATUS_SUCCEEDED, events.TicketStatus_TICKET_STATUS_SOLVED}, // success
	"13": {events.RefundStatus_REFUND_STATUS_APPROVED, events.TicketStatus_TICKET_STATUS_PENDING}, // exchange under way
	"14": {events.RefundStatus_REFUND_STATUS_SUCCEEDED, events.TicketStatus_TICKET_STATUS_SOLVED}, // exchange received
	"27": {events.RefundStatus_REFUND_STATUS_REFUSED, events.TicketStatus_TICKET_STATUS_PENDING},  // refused
	"28": {events.RefundStatus_REFUND_STATUS_CLOSED, events.TicketStatus_TICKET_STATUS_CLOSED},    // failed
	"29": {events.RefundStatus_REFUND_STATUS_REFUSED, events.TicketStatus_TICKET_STATUS_PENDING},  // refused after return
	"51": {events.RefundStatus_REFUND_STATUS_CLOSED, events.TicketStatus_TICKET_STATUS_CLOSED},    // cancelled
	"53": {events.RefundStatus_REFUND_STATUS_SUCCEEDED, events.TicketStatus_TICKET_STATUS_SOLVED}, // reverse trade done
}

// refunded are the values of refund_status of an after-sale that has succeeded: whether
// the money has gone back. 5 is money that was recovered from the buyer, as its name says
// (assumed).
var refunded = map[text]events.RefundStatus{
	"0": events.RefundStatus_REFUND_STATUS_CLOSED,
	"1": events.RefundStatus_REFUND_STATUS_APPROVED,
	"2": events.RefundStatus_REFUND_STATUS_APPROVED,
	"3": events.RefundStatus_REFUND_STATUS_SUCCEEDED,
	"4": events.RefundStatus_REFUND_STATUS_CLOSED,
	"5": events.RefundStatus_REFUND_STATUS_CLOSED,
}

const (
	// refundedOffline is the aftersale_refund_type of money that the shop gives back by
	// itself, of which the platform knows no more than that the after-sale succeeded
	// (assumed), and refundedNothing that of an after-sale without a refund.
	refundedOffline = "1"
	refundedNothing = "4"
)

// moneyBack is what an after-sale of a status is as a refund, and of how much: an
// exchange succeeds, and gives nothing back.
func moneyBack(status events.RefundStatus, what aftersaleType, paid, paidBy text, amount int64) (events.RefundStatus, int64) {
	none := paid != "3" && (what.goods || paidBy == refundedNothing)
	if none {
		amount = 0
	}
	if status != events.RefundStatus_REFUND_STATUS_SUCCEEDED {
		return status, amount
	}
	switch {
	case none:
		return events.RefundStatus_REFUND_STATUS_CLOSED, amount
	case paid == "", paid == "0" && paidBy == refundedOffline:
		return status, amount
	}
	if is, ok := refunded[paid]; ok {
		return is, amount
	}
	return events.RefundStatus_REFUND_STATUS_UNKNOWN, amount
}

// arbitrating are the states of arbitration in which somebody waits for it.
var arbitrating = map[text]bool{"1": true, "4": true, "5": true}

// childOrder is the aftersale_order_type of an after-sale of one item.
const childOrder = "1"

// mapAftersale makes a refund and a ticket of an after-sale. Both carry its
// number: an after-sale is one thing, seen from two sides.
func mapAftersale(r connectors.Record) ([]*events.Event, error) {
	var a struct {
		Aftersale object[aftersale] `json:"aftersale"`
		Buyer     text              `json:"doudian_open_id"`
		Detail    object[struct {
			History list[negotiated] `json:"record_logs_list"`
		}] `json:"detail"`
	}
	if err := r.Decode(&a); err != nil {
		return nil, errors.New("the after-sale is not of the form that the platform promises: " + connectors.Fault(err, errMoment))
	}
	info, orderID := a.Aftersale.V.Info.V, string(a.Aftersale.V.Order.V.ID)
	if info.ID == "" {
		return nil, errors.New("the after-sale has no aftersale_id")
	}
	if orderID == "" {
		return nil, errors.New("the after-sale names no order")
	}
	created := seconds(info.Applied)
	if created == 0 {
		created = seconds(info.Created)
	}
	modified := max(seconds(info.Updated), created)
	if modified == 0 {
		return nil, errors.New("the after-sale has no update_time")
	}
	what, ok := aftersaleTypes[info.Type]
	if !ok {
		what.kind = "unknown"
	}
	status, ok := aftersaleStatuses[info.Status]
	if !ok {
		status = aftersaleStatus{events.RefundStatus_REFUND_STATUS_UNKNOWN, events.TicketStatus_TICKET_STATUS_UNKNOWN}
	}
	itemID := ""
	if info.OrderLevel == childOrder {
		itemID = string(info.RelatedID)
	}
	reason := connectors.Choice(string(a.Aftersale.V.Text.V.Reason))
	if reason == "" {
		var names []string
		for _, label := range info.Reasons {
			names = append(names, string(label.Name))
		}
		reason = strings.Join(names, ", ")
	}
	priority := ""
	if arbitrating[info.Arbitrate] {
		priority = "arbitration"
	}
	account := accountOf(a.Buyer, orderID)
	refund, back := moneyBack(status.refund, what, info.Paid, info.PaidBy, int64(info.Refund))
	return []*events.Event{
		{
			Header: header(r, string(info.ID), account, modified),
			Body: &events.Event_Refund{Refund: &events.Refund{
				OrderId: orderID, ItemId: itemID, Status: refund, PlatformStatus: string(info.Status),
				RefundType: what.kind, PlatformType: string(info.Type), Reason: reason, Currency: currency,
				RefundMinor: back, BeforeShipping: what.beforeShipping,
				CreatedMs: created, FinishedMs: seconds(info.Final),
			}},
		},
		{
			Header: header(r, string(info.ID), account, modified),
			Body: &events.Event_Ticket{Ticket: &events.Ticket{
				Kind: what.kind, Status: status.ticket, PlatformStatus: string(info.Status), Priority: priority,
				Channel: "aftersale", Subject: reason, OrderId: orderID, ItemId: itemID, Currency: currency,
				AmountMinor: int64(info.Refund), CreatedMs: created, SolvedMs: seconds(info.Final),
				FirstAnswerMs: firstAnswer(a.Detail.V.History),
			}},
		},
	}, nil
}

var serviceStatuses = map[text]events.TicketStatus{
	"0":   events.TicketStatus_TICKET_STATUS_OPEN,
	"10":  events.TicketStatus_TICKET_STATUS_PENDING, // under review
	"100": events.TicketStatus_TICKET_STATUS_CLOSED,
}

// mapService makes a ticket of a service ticket. What was written in it is
// free text, and stays in the raw payload.
func mapService(r connectors.Record) ([]*events.Event, error) {
	var s struct {
		Service object[struct {
			ID      text    `json:"id"`
			OrderID text    `json:"order_id"`
			Type    text    `json:"service_type"`
			Status  text    `json:"operate_status"`
			Created anyTime `json:"create_time"`
			Updated anyTime `json:"update_time"`
			Replied anyTime `json:"reply_time"`
		}] `json:"service"`
		Buyer  text `json:"doudian_open_id"`
		Detail object[struct {
			Answered text `json:"first_reply_time"`
			Closed   text `json:"close_time"`
		}] `json:"detail"`
	}
	if err := r.Decode(&s); err != nil {
		return nil, errors.New("the service ticket is not of the form that the platform promises: " + connectors.Fault(err, errMoment))
	}
	ticket := s.Service.V
	if ticket.ID == "" || ticket.ID == "0" {
		return nil, errors.New("the service ticket has no id")
	}
	modified := max(int64(ticket.Updated), int64(ticket.Created))
	if modified == 0 {
		return nil, errors.New("the service ticket has no update_time")
	}
	account, orderID := accountOf(s.Buyer, string(ticket.OrderID)), string(ticket.OrderID)
	if s.Buyer == "" && (orderID == "" || orderID == "0") {
		return nil, errors.New("the service ticket names neither an order nor a buyer")
	}
	status, ok := serviceStatuses[ticket.Status]
	if !ok {
		status = events.TicketStatus_TICKET_STATUS_UNKNOWN
	}
	var solved int64
	if status == events.TicketStatus_TICKET_STATUS_CLOSED {
		solved = cmp.Or(detailMoment(s.Detail.V.Closed), modified)
	}
	return []*events.Event{{
		Header: header(r, "service:"+string(ticket.ID), account, modified),
		Body: &events.Event_Ticket{Ticket: &events.Ticket{
			Kind: "service", Status: status, PlatformStatus: string(ticket.Status), Channel: "service",
			Subject: string(ticket.Type), OrderId: orderID, CreatedMs: int64(ticket.Created),
			FirstAnswerMs: cmp.Or(detailMoment(s.Detail.V.Answered), int64(ticket.Replied)), SolvedMs: solved,
		}},
	}}, nil
}
