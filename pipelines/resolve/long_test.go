package resolve

import (
	"strings"
	"testing"

	kafkago "github.com/segmentio/kafka-go"
	"google.golang.org/protobuf/proto"

	"oneid/identity"
	"oneid/internal/kafka"
	"oneid/schemas/events"
)

// Whatever is long about a message, its key, what it calls its account or its
// platform: it is a dead letter with its very bytes, and the flow goes on. The
// letter, or what is told of the account, must fit into a message.
func TestNoLengthStopsTheFlow(t *testing.T) {
	t.Parallel()
	f, work := newFlow(t), newLedger()
	named := func(change func(*events.Header)) []byte {
		e := user(7)
		change(e.Header)
		return f.message(t, e).Value
	}
	const much = 600_000
	poison := map[string]kafkago.Message{
		"a key":                       {Key: []byte(strings.Repeat("k", 980_000)), Value: []byte("\xff")},
		"a key of no event of size":   {Key: []byte(strings.Repeat("k", 500_000)), Value: []byte("\xff" + strings.Repeat("v", 500_000))},
		"an account":                  {Value: named(func(h *events.Header) { h.Account = strings.Repeat("a", much) })},
		"an account that comes twice": {Value: named(func(h *events.Header) { h.Account = strings.Repeat("a", 10_000) })},
		"an entity":                   {Value: named(func(h *events.Header) { h.EntityId = strings.Repeat("e", much) })},
		"a shop":                      {Value: named(func(h *events.Header) { h.Shop = strings.Repeat("s", much) })},
		"a platform of the year 9999": {Value: named(func(h *events.Header) {
			h.Platform, h.Version.ModifiedMs = strings.Repeat("平", much/3), 253_402_300_799_000
		})},
		"a list of nothing": {Value: func() []byte {
			e := order("1", identity.Account{Platform: "tmall", Shop: "s", ID: "1"}, "13800001111")
			e.GetOrder().Items = make([]*events.OrderItem, 250_000)
			for i := range e.GetOrder().Items {
				e.GetOrder().Items[i] = new(events.OrderItem)
			}
			return f.message(t, e).Value
		}()},
		"a stream of the year 9999": {Value: named(func(h *events.Header) {
			h.Stream, h.Version.ModifiedMs = strings.Repeat("s", much), 253_402_300_799_000
		})},
	}
	writer := &kafkago.Writer{Addr: kafkago.TCP(f.brokers...), Topic: f.topics.Users, BatchBytes: 2 << 20, RequiredAcks: kafkago.RequireAll} // past the publisher, which makes no such messages
	defer writer.Close()
	for name, m := range poison {
		if err := writer.WriteMessages(t.Context(), m); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	f.publish(t, f.message(t, user(0)))
	if err := run(t, f.resolver(work)); err != nil {
		t.Fatal(err)
	}
	work.wantAllOnce(t, 1)
	letters := make(map[string][]*events.DeadLetter)
	if err := f.client.ReadAll(t.Context(), f.topics.DeadLetter, func(_ int, m kafka.Fetched) error {
		l := new(events.DeadLetter)
		if err := proto.Unmarshal(m.Value, l); err != nil {
			return err
		}
		letters[l.GetLetterId()] = append(letters[l.GetLetterId()], l)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	raws := make(map[string]bool)
	for id, parts := range letters {
		raw, err := events.OpenLetter(parts, f.keys)
		if err != nil {
			t.Fatal(err)
		}
		raws[string(raw)] = true
		if detail := parts[0].GetDetail(); strings.Contains(detail, "aaaa") || detail == "" {
			t.Errorf("the detail of %s is %q", id, detail)
		}
	}
	if len(letters) != len(poison) {
		t.Errorf("%d letters, want %d", len(letters), len(poison))
	}
	for name, m := range poison {
		if !raws[string(m.Value)] {
			t.Errorf("%s: its bytes are in no letter", name)
		}
	}
}
