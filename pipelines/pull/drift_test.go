package pull

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"oneid/connectors"
	"oneid/internal/kafka"
	"oneid/schemas/events"
)

// shaped is a connector of one page, whose payloads are known to be
// {"no":"…"}.
type shaped struct {
	payloads []string
}

func (s *shaped) Spec() connectors.Spec       { return connectors.Spec{Platform: "tmall"} }
func (s *shaped) Check(context.Context) error { return nil }

func (s *shaped) Shape(stream string) *connectors.Shape {
	return connectors.MustShapes([]byte(`{"orders":{"no":"text"}}`))[stream]
}

func (s *shaped) Read(context.Context, string, connectors.Cursor) iter.Seq2[connectors.Page, error] {
	return func(yield func(connectors.Page, error) bool) {
		page := connectors.Page{}
		for _, raw := range s.payloads {
			page.Records = append(page.Records, connectors.Record{Stream: "orders", Raw: []byte(raw)})
		}
		yield(page, nil)
	}
}

func (s *shaped) Map(connectors.Record) ([]*events.Event, error) { return nil, nil }

func (r rig) drifts(t *testing.T) *Drifts {
	t.Helper()
	d, err := OpenDrifts(t.Context(), r.client, r.publisher, r.topics.Cursors)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func texts(drifts []Drift) string {
	var all []string
	for _, d := range drifts {
		all = append(all, d.String())
	}
	return strings.Join(all, "; ")
}

func times(n int, raw string) []string { return slices.Repeat([]string{raw}, n) }

// What differs is counted, known to every process and after a restart, and
// ends when it is accepted, by whichever process, or gone. The dead letter and
// the mapping have nothing to do with it, and no value is kept.
func TestDriftIsKept(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const stream = "tmall/s/orders"
	c := &shaped{payloads: times(20, `{"no":"1"}`)}
	p := r.puller(t, c)
	p.Drifts = r.drifts(t)
	once := func() Summary {
		t.Helper()
		sum, err := p.Once(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return sum
	}
	if sum := once(); sum.Drift != 0 || len(p.Drifts.All()) != 0 {
		t.Errorf("as known: %+v, %v", sum, p.Drifts.All())
	}
	c.payloads = append(times(20, `{"no":"1","tax":{"vat":"secret value"}}`), `{"no":7}`)
	const want = "gained tax (object); retyped no (text, now number)"
	if sum := once(); sum.Drift != 21 || texts(p.Drifts.Open(stream)) != want {
		t.Errorf("%+v, %s", sum, texts(p.Drifts.Open(stream)))
	}
	other := r.drifts(t) // another process, or a restart
	if got := texts(other.Open(stream)); got != want {
		t.Errorf("another process knows %s", got)
	}
	// One of the two is accepted elsewhere.
	accepted := slices.DeleteFunc(other.Open(stream), func(d Drift) bool { return d.What != connectors.Gained })
	if err := other.Accept(t.Context(), stream, accepted); err != nil {
		t.Fatal(err)
	}
	if err := p.Drifts.hear(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if got := texts(p.Drifts.Open(stream)); got != "retyped no (text, now number)" {
		t.Errorf("after one was accepted: %s", got)
	}
	once() // it goes on, and stays accepted
	if got := p.Drifts.All()[stream]; len(got) != 2 || len(p.Drifts.Open(stream)) != 1 || got[0].Records+got[1].Records != 42 {
		t.Errorf("%+v", got)
	}
	// Gone: many payloads do not show it.
	c.payloads = times(goneAfter*lookEvery+2*lookedFirst, `{"no":"1"}`)
	once()
	if got := p.Drifts.All(); len(got) != 0 {
		t.Errorf("gone, and still %+v", got)
	}
	if got := r.drifts(t).All(); len(got) != 0 {
		t.Errorf("gone, and after a restart %+v", got)
	}
	first, next, err := r.client.Ends(t.Context(), r.topics.Cursors)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.client.ReadRange(t.Context(), r.topics.Cursors, 0, first[0], next[0], true, func(m kafka.Fetched) error {
		if strings.Contains(string(m.Value), "secret") {
			t.Errorf("a value is kept: %s", m.Value)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if values := r.values(t, r.topics.DeadLetter); len(values) != 0 {
		t.Errorf("%d dead letters", len(values))
	}
}

// What a push brought is looked at like what a pull reads, counted and kept for
// all processes, whoever tells of it, though each push has a puller of its own.
func TestDriftOfPushes(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	drifts := r.drifts(t)
	push := func(payload string, want int) {
		t.Helper()
		p := r.puller(t, &worded{})
		p.Drifts = drifts
		var counted Summary
		p.Count = func(sum Summary) { counted = sum }
		sum, err := p.Page(t.Context(), connectors.Page{Records: []connectors.Record{{Stream: "orders", Raw: []byte(payload)}}})
		if err != nil || counted != sum || sum.Drift != want {
			t.Errorf("%s: %+v, counted %+v, %v; want a drift of %d", payload, sum, counted, err, want)
		}
	}
	push(`{"no":"1","status":"known"}`, 0)
	push(`{"no":"2","status":"known","tax":1}`, 1)
	push(`{"no":"3","status":"BY_DRONE"}`, 1)
	for range 9 {
		push(`{"no":"4"}`, 1) // unknown, and only missing so far
	}
	push(`{"no":"4"}`, 2)
	for process, d := range map[string]*Drifts{"this": drifts, "another": r.drifts(t)} {
		got := texts(d.Open("tmall/s/orders"))
		for _, want := range []string{"gained tax (number)", "lost status", "BY_DRONE"} {
			if !strings.Contains(got, want) {
				t.Errorf("%s process knows %q, and not %s", process, got, want)
			}
		}
	}
}

// What pushes show and the pull does not is open until pushes do not show it, in
// each process: a pull that closed it would have it found, and told, anew.
func TestDriftOfPushesIsTheirs(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const key = "tmall/s/orders"
	tax, fee := connectors.Change{What: connectors.Gained, Field: "tax"}, connectors.Change{What: connectors.Gained, Field: "fee"}
	one := r.drifts(t)
	look := func(d *Drifts, w way, times int, shown ...connectors.Change) {
		t.Helper()
		for range times {
			d.looked(key, w, shown)
		}
		if err := d.keep(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	look(one, pushed, 1, tax, fee)
	look(one, pulled, 1, fee)
	other := r.drifts(t)
	for round := range 3 {
		for process, d := range map[string]*Drifts{"one": one, "other": other} {
			look(d, pulled, 2*goneAfter)
			if got := len(d.Open(key)); got != 2 {
				t.Errorf("round %d: after pulls of process %s %d differences are open", round, process, got)
			}
		}
		look(one, pushed, 1, tax, fee)
	}
	look(one, pushed, goneAfter+2)
	if got := r.drifts(t).All(); len(got) != 0 {
		t.Errorf("nothing shows it, and still %+v", got)
	}
}

// Of the many payloads a part is looked at: a change of all of them is seen,
// wherever it begins.
func TestDriftIsSeenInASample(t *testing.T) {
	t.Parallel()
	for _, before := range []int{0, 1, lookedFirst, lookedFirst + 1, 1000} {
		c := &shaped{}
		p := &Puller{Connector: c, Platform: "tmall", Shop: "s", Stream: "orders", Drifts: &Drifts{streams: make(map[string]*streamDrift)}}
		l := newLooker(p, pulled)
		for i := range before {
			l.look([]byte(`{"no":"1"}`), i%100 == 0)
		}
		for range lookEvery {
			l.look([]byte(`{"no":"1","new":1}`), false)
		}
		if got := texts(p.Drifts.Open("tmall/s/orders")); got != "gained new (number)" {
			t.Errorf("after %d payloads: %q", before, got)
		}
	}
}

// However many names a stream's fields have, what is kept of them is bounded.
func TestDriftIsBounded(t *testing.T) {
	t.Parallel()
	d := &Drifts{streams: make(map[string]*streamDrift)}
	for i := range 10 * maxDrifts {
		d.looked("s", pulled, []connectors.Change{{What: connectors.Gained, Field: fmt.Sprint("f", i)}})
	}
	if got := len(d.Open("s")); got != maxDrifts {
		t.Errorf("%d are kept", got)
	}
}
