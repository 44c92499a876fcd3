package pull

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"oneid/connectors"
	"oneid/internal/embedded/broker/brokertest"
	"oneid/internal/kafka"
	"oneid/internal/keyring"
	"oneid/pipelines"
	"oneid/schemas/events"
)

// script is a connector of pages of ten orders each; its cursor is the next
// page's number. It breaks before page stopAt once, if that is not 0.
type script struct {
	pages, stopAt int
}

var errBroken = errors.New("the platform is away")

func (s *script) Spec() connectors.Spec       { return connectors.Spec{Platform: "tmall"} }
func (s *script) Check(context.Context) error { return nil }

func (s *script) Read(_ context.Context, _ string, from connectors.Cursor) iter.Seq2[connectors.Page, error] {
	return func(yield func(connectors.Page, error) bool) {
		start, _ := strconv.Atoi(string(from))
		for n := start; n < s.pages; n++ {
			if s.stopAt != 0 && n == s.stopAt {
				s.stopAt = 0
				yield(connectors.Page{}, errBroken)
				return
			}
			page := connectors.Page{Next: connectors.Cursor(strconv.Itoa(n + 1)), Total: s.pages * 10}
			for i := range 10 {
				page.Records = append(page.Records, connectors.Record{Raw: fmt.Appendf(nil, `{"no":"%d"}`, n*10+i), Origin: fmt.Sprintf("page %d", n)})
			}
			if !yield(page, nil) {
				return
			}
		}
	}
}

func (s *script) Map(record connectors.Record) ([]*events.Event, error) {
	var no int
	if _, err := fmt.Sscanf(string(record.Raw), `{"no":"%d"}`, &no); err != nil {
		return nil, err
	}
	if no%17 == 16 {
		return nil, errors.New("no amount")
	}
	return []*events.Event{{
		Header: &events.Header{Platform: "tmall", Shop: "s", EntityId: strconv.Itoa(no), Account: fmt.Sprintf("a%d", no%5), Version: &events.Version{ModifiedMs: 1}, Raw: record.Raw},
		Body:   &events.Event_Order{Order: &events.Order{Currency: "CNY"}},
	}}, nil
}

type rig struct {
	client    *kafka.Client
	publisher *kafka.Publisher
	keys      *keyring.Ring
	topics    events.Topics
}

func newRig(t *testing.T) rig {
	t.Helper()
	return newRigAt(t, brokertest.Brokers(t))
}

func newRigAt(t *testing.T, brokers []string) rig {
	t.Helper()
	brand := brokertest.Brand()
	client, err := kafka.New(kafka.Config{Brokers: brokers})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	var topics []kafka.Topic
	for _, topic := range pipelines.Topics(brand, 2) {
		topics = append(topics, kafka.Topic{Name: topic.Name, Partitions: topic.Partitions, Replication: 1, Config: topic.Config})
	}
	if err := client.EnsureTopics(t.Context(), topics); err != nil {
		t.Fatal(err)
	}
	keys, err := keyring.Create(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	publisher := client.Publisher()
	t.Cleanup(func() { _ = publisher.Close() })
	return rig{client, publisher, keys, events.TopicsOf(brand)}
}

func (r rig) puller(t *testing.T, c connectors.Connector) *Puller {
	t.Helper()
	cursors, err := OpenCursors(t.Context(), r.client, r.publisher, r.topics.Cursors)
	if err != nil {
		t.Fatal(err)
	}
	return &Puller{Connector: c, Platform: "tmall", Shop: "s", Stream: "orders", Publisher: r.publisher, Topics: r.topics, Keys: r.keys, Cursors: cursors, Log: slog.New(slog.DiscardHandler)}
}

// values reads all values of a topic.
func (r rig) values(t *testing.T, topic string) [][]byte {
	t.Helper()
	first, next, err := r.client.Ends(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	var all [][]byte
	for partition := range next {
		f := r.client.Fetcher(topic, partition, false)
		for at := first[partition]; at < next[partition]; {
			messages, _, err := f.Fetch(t.Context(), at, 1000, time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range messages {
				all = append(all, m.Value)
				at = m.Offset + 1
			}
		}
		_ = f.Close()
	}
	return all
}

// Wherever the stream breaks, the next pull goes on with the page that was not
// yet acknowledged: each order is published exactly once.
func TestPullResumesAfterEachPage(t *testing.T) {
	for stop := range 6 {
		t.Run(fmt.Sprintf("broken before page %d", stop), func(t *testing.T) {
			r := newRig(t)
			c := &script{pages: 6, stopAt: stop}
			if _, err := r.puller(t, c).Once(t.Context()); stop != 0 && !errors.Is(err, errBroken) {
				t.Fatalf("Once = %v, want the connector's error", err)
			}
			// A new process: cursors are read again.
			if _, err := r.puller(t, c).Once(t.Context()); err != nil {
				t.Fatal(err)
			}
			seen := make(map[string]int)
			for _, value := range r.values(t, r.topics.Orders) {
				var e events.Event
				if err := events.Decode(value, &e); err != nil {
					t.Fatal(err)
				}
				seen[e.GetHeader().GetEntityId()]++
				if raw, err := events.OpenRaw(&e, r.keys); err != nil || string(raw) != `{"no":"`+e.GetHeader().GetEntityId()+`"}` {
					t.Errorf("payload = %s, %v", raw, err)
				}
			}
			for no := range 60 {
				want := 1
				if no%17 == 16 {
					want = 0
				}
				if got := seen[strconv.Itoa(no)]; got != want {
					t.Errorf("order %d was published %d times, want %d", no, got, want)
				}
			}
			letters := r.values(t, r.topics.DeadLetter)
			if len(letters) != 3 {
				t.Fatalf("%d dead letters, want 3", len(letters))
			}
			var letter events.DeadLetter
			if err := proto.Unmarshal(letters[0], &letter); err != nil {
				t.Fatal(err)
			}
			raw, err := r.keys.Open(nil, letter.GetSealedRaw(), []byte("deadletter|"+letter.GetLetterId()))
			if err != nil || letter.GetReason() != "map" || letter.GetDetail() != "no amount" || string(raw) != `{"no":"16"}` {
				t.Errorf("dead letter = %s %s %s (%v)", letter.GetReason(), letter.GetDetail(), raw, err)
			}
		})
	}
}

func TestRunStopsAtOnce(t *testing.T) {
	r := newRig(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p := r.puller(t, &script{pages: 1000})
	var acknowledged int
	p.Progress = func(s Summary) {
		acknowledged = s.Pages
		cancel()
	}
	if err := p.Run(ctx, time.Hour); err != nil {
		t.Fatal(err)
	}
	if got := p.Cursors.Get("tmall/s/orders"); got != connectors.Cursor(strconv.Itoa(acknowledged)) {
		t.Errorf("cursor = %q, want %d: what was acknowledged is written down", got, acknowledged)
	}
	if acknowledged > 2*pagesAhead {
		t.Errorf("%d pages were published, want at most those that were read when it was asked to stop", acknowledged)
	}
}

// As long as a page is not acknowledged, the cursor stands where it was,
// however many pages were read meanwhile.
func TestCursorComesAfterItsPages(t *testing.T) {
	r := newRig(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	p := r.puller(t, &script{pages: 40})
	p.Topics.Orders = r.topics.Orders + ".nowhere" // Kafka acknowledges the cursors and not the orders
	if sum, err := p.Once(ctx); err == nil || sum != (Summary{}) {
		t.Errorf("Once = %+v, %v; want an error and nothing counted", sum, err)
	}
	if got := p.Cursors.Get("tmall/s/orders"); got != "" {
		t.Errorf("cursor = %q, want none", got)
	}
}

// failing is a platform that gives nothing, with an error or without one.
type failing struct {
	*script
	err error
}

func (f failing) Read(context.Context, string, connectors.Cursor) iter.Seq2[connectors.Page, error] {
	return func(yield func(connectors.Page, error) bool) {
		if f.err != nil {
			yield(connectors.Page{}, f.err)
		}
	}
}

// Nothing is ever taken for deleted because a platform does not give it: a
// reading that fails, or comes back empty, from the beginning too, publishes
// nothing and moves nothing.
func TestAnEmptySourceEmptiesNothing(t *testing.T) {
	r := newRig(t)
	if sum, err := r.puller(t, &script{pages: 3}).Once(t.Context()); err != nil || sum.Records != 30 {
		t.Fatalf("Once = %+v, %v", sum, err)
	}
	before := len(r.values(t, r.topics.Orders))
	for name, err := range map[string]error{"it fails": errors.New("the platform is away"), "it is empty": nil} {
		p := r.puller(t, failing{&script{pages: 3}, err})
		at := p.Cursors.Get("tmall/s/orders")
		for _, cursors := range []*Cursors{p.Cursors, nil} { // nil reads the whole again
			p.Cursors = cursors
			if sum, got := p.Once(t.Context()); (got != nil) != (err != nil) || sum.Events != 0 {
				t.Errorf("%s: Once = %+v, %v", name, sum, got)
			}
		}
		if got := r.puller(t, &script{}).Cursors.Get("tmall/s/orders"); got != at || at != "3" {
			t.Errorf("%s: the cursor is %q, and was %q", name, got, at)
		}
	}
	if after := len(r.values(t, r.topics.Orders)); after != before || before != 29 { // one order has no amount
		t.Errorf("%d events were there, and %d are", before, after)
	}
}

// All pages together are published in their order, whichever travel together.
func TestPagesKeepTheirOrder(t *testing.T) {
	r := newRig(t)
	p := r.puller(t, &script{pages: 40})
	p.Progress = func(s Summary) {
		if at := p.Cursors.Get("tmall/s/orders"); at != connectors.Cursor(strconv.Itoa(s.Pages)) {
			t.Errorf("cursor = %q after %d pages", at, s.Pages)
		}
	}
	sum, err := p.Once(t.Context())
	if err != nil || sum.Pages != 40 || sum.Records != 400 {
		t.Fatalf("Once = %+v, %v", sum, err)
	}
	last := make(map[string]int)
	for _, value := range r.values(t, r.topics.Orders) {
		var e events.Event
		if err := events.Decode(value, &e); err != nil {
			t.Fatal(err)
		}
		no, _ := strconv.Atoi(e.GetHeader().GetEntityId())
		if account := e.GetHeader().GetAccount(); no < last[account] {
			t.Errorf("order %d of %s came after %d", no, account, last[account])
		} else {
			last[account] = no
		}
	}
}

// What is counted is what was acknowledged, once, over rounds that break and
// rounds that end well; a round that was asked to stop is neither.
func TestPullCounts(t *testing.T) {
	r := newRig(t)
	var counted Summary
	var ended []error
	round := func(ctx context.Context, c *script) Summary {
		p := r.puller(t, c)
		p.Count = func(sum Summary) {
			counted.Pages += sum.Pages
			counted.Records += sum.Records
			counted.Events += sum.Events
			counted.DeadLetters += sum.DeadLetters
		}
		p.Ended = func(err error) { ended = append(ended, err) }
		sum, _ := p.Once(ctx) //nolint:errcheck // Ended has it
		return sum
	}
	first := round(t.Context(), &script{pages: 6, stopAt: 4})
	second := round(t.Context(), &script{pages: 6})
	want := Summary{Pages: first.Pages + second.Pages, Records: first.Records + second.Records, Events: first.Events + second.Events, DeadLetters: first.DeadLetters + second.DeadLetters}
	if counted != want || counted.Records != 60 || counted.DeadLetters != 3 {
		t.Errorf("counted %+v, want %+v: 60 records, 3 of them dead letters", counted, want)
	}
	if len(ended) != 2 || !errors.Is(ended[0], errBroken) || ended[1] != nil {
		t.Errorf("rounds ended with %v, want a broken one and a good one", ended)
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	round(stopped, &script{pages: 6})
	if len(ended) != 2 {
		t.Errorf("a round that was asked to stop counts as %v", ended[2:])
	}
}
