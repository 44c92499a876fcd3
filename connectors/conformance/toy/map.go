package toy

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"oneid/connectors"
	"oneid/schemas/events"
)

// revision of the mapping below; raise it with every change of what comes out.
const revision = 1

// currency of the platform; its amounts are texts in 元.
const currency = "CNY"

// zone is that of the platform's days.
var zone = time.FixedZone("GMT+8", 8*60*60)

// Map turns a record into events. It is pure: what it needs is in the record.
func (*Connector) Map(r connectors.Record) ([]*events.Event, error) {
	var event *events.Event
	err := connectors.ErrNoStream
	switch r.Stream {
	case Orders:
		event, err = mapOrder(r)
	case Returns:
		event, err = mapReturn(r)
	}
	if err != nil {
		return nil, fmt.Errorf("toy: map %s of shop %s: %w", r.Stream, r.Shop, err)
	}
	return []*events.Event{event}, nil
}

func header(r connectors.Record, entity, account string, modified connectors.LenientWhole) *events.Header {
	return &events.Header{
		Platform: Platform, Shop: r.Shop, EntityId: entity, Account: account, Raw: r.Raw, Stream: r.Stream,
		Version: &events.Version{ModifiedMs: int64(modified) * 1000, Source: events.Source_SOURCE_API, ObservedMs: max(r.Observed.UnixMilli(), 0), Revision: revision},
	}
}

// yuan is an amount in 分, read from a text in 元.
type yuan int64

// UnmarshalJSON implements json.Unmarshaler.
func (y *yuan) UnmarshalJSON(raw []byte) error {
	var t connectors.LenientText
	if err := t.UnmarshalJSON(raw); err != nil {
		return err
	}
	*y = 0
	if t == "" {
		return nil
	}
	minor, err := events.ParseMinor(string(t), currency)
	if err != nil {
		return errors.New("an amount is not of the form 12.30")
	}
	*y = yuan(minor)
	return nil
}

// statuses are the platform's; one that is not among them is kept as a text.
var statuses = map[connectors.LenientText]events.OrderStatus{
	"NEW": events.OrderStatus_ORDER_STATUS_CREATED, "PAID": events.OrderStatus_ORDER_STATUS_PAID,
	"SENT": events.OrderStatus_ORDER_STATUS_SHIPPED, "DONE": events.OrderStatus_ORDER_STATUS_FINISHED,
}

// form is err without the values that encoding/json puts into it.
func form(what string, err error) error {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return fmt.Errorf("%s is not of the form that the platform promises: the field %s has a wrong type", what, wrong.Field)
	}
	if errors.As(err, new(*json.SyntaxError)) {
		return fmt.Errorf("%s is not JSON", what)
	}
	return fmt.Errorf("%s is not of the form that the platform promises: %w", what, err)
}

func mapOrder(r connectors.Record) (*events.Event, error) {
	var o struct {
		ID       connectors.LenientText  `json:"id"`
		Status   connectors.LenientText  `json:"status"`
		Created  connectors.LenientWhole `json:"created"` // seconds
		Paid     connectors.LenientWhole `json:"paid"`
		Updated  connectors.LenientWhole `json:"updated"`
		Total    yuan                    `json:"total"`
		Buyer    connectors.LenientText  `json:"buyer"`
		Phone    connectors.LenientText  `json:"phone"`
		Receiver connectors.LenientText  `json:"receiver"`
		City     connectors.LenientText  `json:"city"`
	}
	if err := json.Unmarshal(r.Raw, &o); err != nil {
		return nil, form("the order", err)
	}
	if o.ID == "" || o.Updated <= 0 {
		return nil, errors.New("the order has no id, or no updated")
	}
	status, ok := statuses[o.Status]
	if !ok {
		status = events.OrderStatus_ORDER_STATUS_UNKNOWN
	}
	account := string(o.Buyer)
	if account == "" {
		account = "order:" + string(o.ID)
	}
	order := &events.Order{
		Status: status, PlatformStatus: string(o.Status), CreatedMs: int64(o.Created) * 1000, PaidMs: int64(o.Paid) * 1000,
		Currency: currency, PayableMinor: int64(o.Total), City: string(o.City),
	}
	if order.PaidMs != 0 {
		order.PaidMinor = order.PayableMinor
	}
	e := &events.Event{Header: header(r, string(o.ID), account, o.Updated), Body: &events.Event_Order{Order: order}}
	e.Header.Person = &events.Person{Receiver: &events.Receiver{Name: string(o.Receiver), Phone: string(o.Phone), City: string(o.City)}}
	return e, nil
}

func mapReturn(r connectors.Record) (*events.Event, error) {
	var f struct {
		ID      connectors.LenientText  `json:"id"`
		Order   connectors.LenientText  `json:"order"`
		Buyer   connectors.LenientText  `json:"buyer"`
		Amount  yuan                    `json:"amount"`
		Updated connectors.LenientWhole `json:"updated"`
	}
	if err := json.Unmarshal(r.Raw, &f); err != nil {
		return nil, form("the return", err)
	}
	if f.ID == "" || f.Order == "" || f.Updated <= 0 {
		return nil, errors.New("the return has no id, no order or no updated")
	}
	account := string(f.Buyer)
	if account == "" {
		account = "order:" + string(f.Order)
	}
	return &events.Event{
		Header: header(r, string(f.ID), account, f.Updated),
		Body: &events.Event_Refund{Refund: &events.Refund{
			OrderId: string(f.Order), Status: events.RefundStatus_REFUND_STATUS_UNKNOWN, RefundType: "return", Currency: currency, RefundMinor: int64(f.Amount),
		}},
	}, nil
}
