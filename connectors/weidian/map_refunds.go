package weidian

import (
	"errors"
	"strings"

	"oneid/connectors"
	"oneid/schemas/events"
)

// refund is what is read of a refund, by the names that the list is taken to
// use; the other spelling is that of an order's items.
type refund struct {
	No       text   `json:"refundNo"`
	NoOther  text   `json:"refund_no"`
	OrderID  text   `json:"orderId"`
	SubOrder text   `json:"subOrderId"`
	BuyerID  text   `json:"buyerId"`
	Stage    text   `json:"refundStage"`
	Kind     text   `json:"refundKind"`
	KindText text   `json:"refundTypeStr"`
	Status   text   `json:"status"`
	Fee      yuan   `json:"refundFee"`
	Reason   text   `json:"refundReason"`
	Added    moment `json:"addTime"`
	Updated  moment `json:"updateTime"`
	Finished moment `json:"finishTime"`
	Parcel   text   `json:"expressNo"`
}

type refundStatus struct {
	refund events.RefundStatus
	ticket events.TicketStatus
}

// refundStatuses: a ticket is open while the shop must act, pending while
// somebody else must.
var refundStatuses = map[text]refundStatus{
	"1":  {events.RefundStatus_REFUND_STATUS_REQUESTED, events.TicketStatus_TICKET_STATUS_OPEN},
	"3":  {events.RefundStatus_REFUND_STATUS_REFUSED, events.TicketStatus_TICKET_STATUS_PENDING},
	"4":  {events.RefundStatus_REFUND_STATUS_APPROVED, events.TicketStatus_TICKET_STATUS_PENDING}, // return agreed
	"5":  {events.RefundStatus_REFUND_STATUS_REFUSED, events.TicketStatus_TICKET_STATUS_PENDING},  // return refused
	"6":  {events.RefundStatus_REFUND_STATUS_RETURNED, events.TicketStatus_TICKET_STATUS_OPEN},
	"9":  {events.RefundStatus_REFUND_STATUS_CLOSED, events.TicketStatus_TICKET_STATUS_CLOSED}, // cancelled
	"10": {events.RefundStatus_REFUND_STATUS_SUCCEEDED, events.TicketStatus_TICKET_STATUS_SOLVED},
}

// kind of the refund: what the numbers of refundKind mean is not documented,
// but goods come back only in a return.
func (f *refund) kind() string {
	switch {
	case strings.Contains(string(f.KindText), "退货"), f.Parcel != "", f.Status == "4", f.Status == "5", f.Status == "6":
		return "return"
	}
	return "refund"
}

// mapRefund makes a refund and a ticket of a refund, of its own list or of an
// order's item. Both events carry its number: it is one thing, seen from two
// sides.
func mapRefund(r connectors.Record) ([]*events.Event, error) {
	f, err := readRefund(r)
	if err != nil {
		return nil, err
	}
	modified := f.Updated
	if modified == 0 {
		modified = max(f.Finished, f.Added)
	}
	if modified == 0 {
		return nil, errors.New("the refund has no updateTime")
	}
	if f.OrderID == "" && (f.BuyerID == "" || f.BuyerID == "0") {
		return nil, errors.New("the refund names neither an order nor a buyer")
	}
	status, ok := refundStatuses[f.Status]
	if !ok {
		status = refundStatus{events.RefundStatus_REFUND_STATUS_UNKNOWN, events.TicketStatus_TICKET_STATUS_UNKNOWN}
	}
	account, kind, reason := accountOf(f.BuyerID, f.OrderID), f.kind(), connectors.Choice(string(f.Reason))
	return []*events.Event{
		{
			Header: header(r, string(f.No), account, int64(modified)),
			Body: &events.Event_Refund{Refund: &events.Refund{
				OrderId: string(f.OrderID), ItemId: string(f.SubOrder), Status: status.refund, PlatformStatus: string(f.Status),
				RefundType: kind, PlatformType: string(f.Kind), Reason: reason, Currency: currency,
				RefundMinor: int64(f.Fee), CreatedMs: int64(f.Added), FinishedMs: int64(f.Finished),
			}},
		},
		{
			Header: header(r, string(f.No), account, int64(modified)),
			Body: &events.Event_Ticket{Ticket: &events.Ticket{
				Kind: kind, Status: status.ticket, PlatformStatus: string(f.Status), Channel: "refund", Subject: reason,
				OrderId: string(f.OrderID), ItemId: string(f.SubOrder), Currency: currency, AmountMinor: int64(f.Fee),
				CreatedMs: int64(f.Added), SolvedMs: int64(f.Finished),
			}},
		},
	}, nil
}

// readRefund reads either form of the raw payload.
func readRefund(r connectors.Record) (*refund, error) {
	var record struct {
		Refund  object[refund] `json:"refund"`
		BuyerID text           `json:"buyer_id"`
		No      text           `json:"refund_no"`
	}
	if err := r.Decode(&record); err != nil {
		return nil, errors.New("the refund is not of the form that the platform promises: " + connectors.Fault(err, errAmount, errMoment))
	}
	if record.No != "" {
		return refundOfOrder(r)
	}
	f := &record.Refund.V
	if f.No == "" {
		f.No = f.NoOther
	}
	if f.No == "" {
		return nil, errors.New("the refund has no refundNo")
	}
	if f.BuyerID == "" || f.BuyerID == "0" {
		f.BuyerID = record.BuyerID
	}
	return f, nil
}

// refundOfOrder finds a refund among an order's items. When it was asked for
// is not said there; the order's last change stands for the refund's.
func refundOfOrder(r connectors.Record) (*refund, error) {
	s, modified, err := readSold(r)
	if err != nil {
		return nil, err
	}
	d := &s.Detail.V
	f := &refund{No: s.RefundNo, OrderID: d.OrderID, BuyerID: d.Buyer.V.ID, Updated: modified}
	found := 0
	for i, it := range d.Items {
		of := it.Refund.V
		if of.No != f.No {
			continue
		}
		found++
		f.Fee += of.Fee
		f.Status, f.Kind, f.KindText, f.SubOrder = of.Status, of.Kind, of.Text, text(it.id(i))
	}
	switch {
	case found == 0:
		return nil, errors.New("no item of the order bears the refund's number")
	case found > 1:
		f.SubOrder = "" // it is of several items
	}
	if refundStatuses[f.Status].refund == events.RefundStatus_REFUND_STATUS_SUCCEEDED {
		f.Finished = modified
	}
	return f, nil
}
