package resolve

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"oneid/identity/engine"
	"oneid/schemas/events"
	"oneid/schemas/tables"
)

// tally keeps what a resolver counts.
type tally struct {
	mu sync.Mutex
	n  map[string]int
}

func (c *tally) counters() Counters {
	c.n = make(map[string]int)
	adds := func(name string) func(int) {
		return func(n int) { c.mu.Lock(); defer c.mu.Unlock(); c.n[name] += n }
	}
	return Counters{
		Events: adds("events"), DeadLetters: adds("letters"), Batches: adds("batches"), Rows: adds("rows"), Moves: adds("moves"),
		Merges: adds("merges"), Splits: adds("splits"), Headers: adds("headers"), WrongHeaders: adds("wrong headers"), Waits: adds("waits"), Retries: adds("retries"), BatchEvents: adds("batch events"),
		Stage: func(stage string, took time.Duration) {
			if took < 0 {
				panic("time runs backwards")
			}
			adds("stage " + stage)(1)
		},
	}
}

// sink is a ClickHouse that takes everything, but for the first refused times.
type sink struct{ refused int }

func (s *sink) Insert(context.Context, tables.Block, string) error {
	if s.refused > 0 {
		s.refused--
		return errAway
	}
	return nil
}
func (s *sink) InsertAgain(ctx context.Context, block tables.Block, token string) (int, error) {
	return 0, s.Insert(ctx, block, token)
}
func (s *sink) RefreshViews(context.Context) error { return nil }

// spans resolves messages and gives what was traced of them, in the order in
// which it began.
func spans(t *testing.T, f *flow, c *tally, refused int, messages int) tracetest.SpanStubs {
	t.Helper()
	kept := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(kept))
	for no := range messages {
		f.publish(t, f.message(t, user(no)))
	}
	r := f.resolver(f.instance(t, engine.NewMemory(), NewBlocks(&sink{refused}, func(err error) bool { return err != nil })))
	r.Tracer, r.Counters = provider.Tracer(TracerName), c.counters()
	if err := run(t, r); err != nil {
		t.Fatal(err)
	}
	out := kept.GetSpans()
	slices.SortStableFunc(out, func(a, b tracetest.SpanStub) int { return a.StartTime.Compare(b.StartTime) })
	return out
}

// A batch is a trace: a span for each stage, and below insert one for each
// table with its rows. Nothing of a person is in it.
func TestBatchIsTraced(t *testing.T) {
	var c tally
	all := spans(t, newFlow(t), &c, 0, 40)
	byParent := make(map[string][]string)
	name := map[string]string{"0000000000000000": ""}
	for _, s := range all {
		name[s.SpanContext.SpanID().String()] = s.Name
	}
	events := 0
	for _, s := range all {
		parent := name[s.Parent.SpanID().String()]
		if !slices.Contains(byParent[parent], s.Name) {
			byParent[parent] = append(byParent[parent], s.Name)
		}
		if s.Status.Code == codes.Error {
			t.Errorf("%s failed", s.Name)
		}
		for _, a := range s.Attributes {
			if a.Key == "oneid.events" {
				events += int(a.Value.AsInt64())
			}
			if a.Value.Type() == attribute.STRING && a.Key != "db.collection.name" {
				t.Errorf("%s has the text %s=%s", s.Name, a.Key, a.Value.AsString())
			}
		}
		if strings.HasPrefix(s.Name, "insert ") && !slices.ContainsFunc(s.Attributes, func(a attribute.KeyValue) bool { return a.Key == "oneid.rows" && a.Value.AsInt64() > 0 }) {
			t.Errorf("%s does not say how many rows", s.Name)
		}
	}
	slices.Sort(byParent["insert"])
	want := map[string][]string{
		"": {"batch"}, "batch": {"decode", "journal", "apply", "insert", "publish", "deliver", "commit"},
		"insert": {"insert evidence", "insert identifier_values", "insert identity_history", "insert identity_map", "insert raw_events", "insert users"},
	}
	if d := cmp.Diff(want, byParent); d != "" {
		t.Errorf("spans by the span above (-want +got):\n%s", d)
	}
	if events != 40 {
		t.Errorf("the batches' spans have %d events, want 40", events)
	}
	for _, stage := range Stages {
		if c.n["stage "+stage] != c.n["batches"] {
			t.Errorf("%s was timed %d times in %d batches", stage, c.n["stage "+stage], c.n["batches"])
		}
	}
	if c.n["events"] != 40 || c.n["batch events"] != 40 || c.n["rows"] < 80 || c.n["retries"] != 0 || c.n["moves"] < 40 {
		t.Errorf("counted %v", c.n)
	}
}

// What failed is marked, says nothing of the reason, and is tried again.
func TestFailedInsertIsTraced(t *testing.T) {
	var c tally
	failed := make(map[string]bool)
	for _, s := range spans(t, newFlow(t), &c, 1, 5) {
		if s.Status.Code != codes.Error {
			continue
		}
		failed[s.Name] = true
		if text := fmt.Sprint(s.Status, s.Attributes, s.Events); strings.Contains(text, errAway.Error()) {
			t.Errorf("%s says %s", s.Name, text)
		}
	}
	if !failed["batch"] || !failed["insert"] || failed["apply"] || len(failed) < 3 {
		t.Errorf("marked as failed: %v; want batch, insert and the table's insert", failed)
	}
	if c.n["retries"] != 1 || c.n["waits"] != 1 || c.n["events"] != 5 {
		t.Errorf("counted %v, want one retry, one wait and 5 events", c.n)
	}
}

// A customer that goes into another is one merge, however many accounts it
// had, and what is parted is one split.
func TestMergesAndSplitsAreCounted(t *testing.T) {
	var c tally
	r := &Resolver{Counters: c.counters()}
	r.countMoves([]*events.IdentityChange{
		{Account: "a", CustomerId: "1", Reason: "born"},
		{Account: "b", CustomerId: "1", PreviousCustomerId: "2", Reason: "merged: phone"},
		{Account: "c", CustomerId: "1", PreviousCustomerId: "2", Reason: "merged: phone, unionid"},
		{Account: "d", CustomerId: "1", PreviousCustomerId: "3", Reason: "merged: phone"},
		{Account: "e", CustomerId: "5", PreviousCustomerId: "4", Reason: "split"},
		{Account: "f", CustomerId: "5", PreviousCustomerId: "4", Reason: "split"},
	})
	if want := map[string]int{"moves": 6, "merges": 2, "splits": 1}; !cmp.Equal(want, c.n) {
		t.Errorf("counted %v, want %v", c.n, want)
	}
}

// The lag is what lies behind the last batch, and nothing while it is not
// known.
func TestLag(t *testing.T) {
	f := newFlow(t)
	r := f.resolver(newLedger())
	sum := func() (known int, messages int64) {
		t.Helper()
		lags, err := r.Lag(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range lags {
			messages += l.Messages
		}
		return len(lags), messages
	}
	f.publish(t, f.message(t, user(1)))
	if known, _ := sum(); known != 0 {
		t.Errorf("before the start the lag of %d partitions is known", known)
	}
	if err := run(t, r); err != nil {
		t.Fatal(err)
	}
	if known, messages := sum(); known == 0 || messages != 0 {
		t.Errorf("all is resolved: a lag of %d in %d partitions", messages, known)
	}
	for no := range 7 {
		f.publish(t, f.message(t, user(10+no)))
	}
	if _, messages := sum(); messages != 7 {
		t.Errorf("7 messages more: a lag of %d", messages)
	}
}
