package pull

import (
	"encoding/json"
	"testing"

	"oneid/connectors"
	"oneid/schemas/events"
)

// worded maps {"no":"1","status":"…"} to an order of unknown status.
type worded struct{ shaped }

func (*worded) Map(record connectors.Record) ([]*events.Event, error) {
	var raw struct{ No, Status string }
	if err := json.Unmarshal(record.Raw, &raw); err != nil {
		return nil, err
	}
	o := &events.Order{Currency: "CNY", Status: events.OrderStatus_ORDER_STATUS_PAID, PlatformStatus: raw.Status}
	if raw.Status != "known" {
		o.Status = events.OrderStatus_ORDER_STATUS_UNKNOWN
	}
	return []*events.Event{{
		Header: &events.Header{Platform: "tmall", Shop: "s", EntityId: raw.No, Account: "a", Version: &events.Version{ModifiedMs: 1}, Raw: record.Raw},
		Body:   &events.Event_Order{Order: o},
	}}, nil
}

func (*worded) Shape(stream string) *connectors.Shape {
	return connectors.MustShapes([]byte(`{"orders":{"no":"text","status":"text"}}`))[stream]
}

// A status that the mapping does not know is published as it is, counted in each
// record (not in a sample of them), and told by its word until it is accepted.
func TestUnknownStatusesAreCounted(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	known, late := `{"no":"1","status":"known"}`, `{"no":"2","status":"WAIT_FOR_SOMETHING"}`
	c := &worded{shaped{payloads: append(times(lookedFirst+3, known), late, late)}}
	p := r.puller(t, c)
	p.Drifts = r.drifts(t)
	sum, err := p.Once(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const want = "unknown status order (WAIT_FOR_SOMETHING)"
	open := p.Drifts.Open("tmall/s/orders")
	if sum.Drift != 2 || sum.DeadLetters != 0 || sum.Events != lookedFirst+5 || texts(open) != want || open[0].Records != 2 {
		t.Fatalf("%+v; %+v", sum, open)
	}
	if got := texts(r.drifts(t).Open("tmall/s/orders")); got != want {
		t.Errorf("another process knows %q", got)
	}
	if err := p.Drifts.Accept(t.Context(), "tmall/s/orders", open); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Once(t.Context()); err != nil || len(p.Drifts.Open("tmall/s/orders")) != 0 {
		t.Errorf("accepted, and told again: %v, %v", p.Drifts.Open("tmall/s/orders"), err)
	}
}

// Each kind of event says its own, a line of an order too; a word that may be
// more than a status is not repeated.
func TestUnknownStatusesOfEachKind(t *testing.T) {
	t.Parallel()
	got := texts(func() (drifts []Drift) {
		for _, change := range unknownStatuses([]*events.Event{
			{Body: &events.Event_Order{Order: &events.Order{
				Status: events.OrderStatus_ORDER_STATUS_UNKNOWN, PlatformStatus: "105",
				Items: []*events.OrderItem{
					{Status: events.OrderStatus_ORDER_STATUS_UNKNOWN}, {Status: events.OrderStatus_ORDER_STATUS_UNKNOWN, PlatformStatus: "105"},
					{Status: events.OrderStatus_ORDER_STATUS_UNKNOWN, PlatformStatus: "待确认"}, {Status: events.OrderStatus_ORDER_STATUS_PAID, PlatformStatus: "2"},
				},
			}}},
			{Body: &events.Event_Refund{Refund: &events.Refund{Status: events.RefundStatus_REFUND_STATUS_UNKNOWN}}},
			{Body: &events.Event_Ticket{Ticket: &events.Ticket{Status: events.TicketStatus_TICKET_STATUS_UNKNOWN, PlatformStatus: "13800138000"}}},
			{Body: &events.Event_Ticket{Ticket: &events.Ticket{Status: events.TicketStatus_TICKET_STATUS_UNKNOWN, PlatformStatus: "a@b.example"}}},
			{Body: &events.Event_Ticket{Ticket: &events.Ticket{Status: events.TicketStatus_TICKET_STATUS_OPEN, PlatformStatus: "0"}}},
			{Body: &events.Event_User{User: &events.User{}}},
		}) {
			drifts = append(drifts, Drift{Change: change})
		}
		return drifts
	}())
	const want = "unknown status order (105); unknown status order line (待确认); unknown status refund (none); unknown status ticket (…); unknown status ticket (…)"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
