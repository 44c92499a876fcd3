package resolve

import (
	"fmt"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	"oneid/identity/engine"
	"oneid/internal/clickhouse"
	"oneid/internal/kafka"
	"oneid/schemas/events"
)

// Good values are loaded whatever their headers say; those that say something
// else, or nothing, are counted, and nothing becomes a dead letter.
func TestWrongHeadersAreCounted(t *testing.T) {
	t.Parallel()
	w := newWholeFlow(t)
	change := func(name, value string) func([]kafka.Header) []kafka.Header {
		return func(h []kafka.Header) []kafka.Header {
			h[slices.IndexFunc(h, func(h kafka.Header) bool { return h.Key == name })].Value = []byte(value)
			return h
		}
	}
	wrongs := map[string]func([]kafka.Header) []kafka.Header{
		"none": func([]kafka.Header) []kafka.Header { return nil },
		"no id": func(h []kafka.Header) []kafka.Header {
			return slices.DeleteFunc(h, func(h kafka.Header) bool { return h.Key == "ce_id" })
		},
		"another's id":        change("ce_id", "tmall|s|user|99|0|2|0"),
		"another's type":      change("ce_type", "oneid.order.v1"),
		"another's source":    change("ce_source", "/douyin/s"),
		"another time":        change("ce_time", "2001-01-01T00:00:00Z"),
		"no time":             change("ce_time", "now"),
		"JSON, as they say":   change("content-type", "application/json"),
		"another version":     change("ce_specversion", "0.3"),
		"bytes of no meaning": change("ce_id", "\xff\x00\xfe"),
	}
	rights := map[string]func([]kafka.Header) []kafka.Header{
		"right":            func(h []kafka.Header) []kafka.Header { return h },
		"in another order": func(h []kafka.Header) []kafka.Header { slices.Reverse(h); return h },
		"with another's": func(h []kafka.Header) []kafka.Header {
			return append(h, kafka.Header{Key: "traceparent", Value: []byte("00-0-0-00")})
		},
		"the time otherwise": change("ce_time", "1970-01-01T08:00:00.000+08:00"),
	}
	var messages []kafka.Message
	add := func(of map[string]func([]kafka.Header) []kafka.Header) {
		for _, headers := range of {
			e := user(len(messages))
			e.Header.Version.ModifiedMs = 0
			m := w.message(t, e)
			m.Headers = headers(kafka.Headers(events.Describe(e).Headers()))
			messages = append(messages, m)
		}
	}
	add(rights)
	add(wrongs)
	people := len(messages)
	for i, headers := range [][]kafka.Header{nil, kafka.Headers(events.DescribeDecision(&events.Decision{DecisionId: "1"}).Headers())} {
		value, err := proto.Marshal(&events.Decision{DecisionId: fmt.Sprint(i), Kind: events.DecisionKind_DECISION_KIND_SAME, Accounts: []string{"tmall/s/0", "tmall/s/1"}})
		if err != nil {
			t.Fatal(err)
		}
		messages = append(messages, kafka.Message{Topic: w.topics.Decisions, Value: value, Headers: headers})
	}
	// What is no good value is a dead letter, and counts there alone.
	messages = append(messages, kafka.Message{Topic: w.topics.Users, Value: []byte("\xff\xff")})
	w.publish(t, messages...)

	conn := w.connect(t, w.db.URL)
	var counted tally
	r := w.resolver(w.instance(t, engine.NewMemory(), NewBlocks(conn, clickhouse.IsUnavailable)))
	r.Counters = counted.counters()
	if err := run(t, r); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Number(t.Context(), "count", "SELECT count() FROM "+w.db.Name+".users FINAL"); err != nil || n != uint64(people) {
		t.Errorf("%d users are loaded (%v), want %d", n, err, people)
	}
	for name, want := range map[string]int{"headers": people + 2, "wrong headers": len(wrongs) + 1, "letters": 1, "events": people + 2} {
		if counted.n[name] != want {
			t.Errorf("%s: %d, want %d", name, counted.n[name], want)
		}
	}
}

// Whoever keeps up looks at all headers, whoever is behind at one fetch in
// sixteen, and at once again when he has caught up.
func TestTurnsOfHeaders(t *testing.T) {
	t.Parallel()
	var turns headerTurns
	looked := 0
	for range 10 * headersEvery {
		if turns.next(true) {
			looked++
		}
	}
	if looked != 10 {
		t.Errorf("behind, %d of %d fetches read headers, want 10", looked, 10*headersEvery)
	}
	for range 100 {
		if !turns.next(false) {
			t.Fatal("one that keeps up does not look")
		}
	}
}
