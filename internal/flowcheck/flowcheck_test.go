package flowcheck

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"oneid/schemas/events"
)

func facts(seed uint64, n int) []Fact {
	l := NewLoad(seed)
	out := make([]Fact, n)
	for i := range out {
		out[i] = l.Next()
	}
	return out
}

// plain seals nothing.
type plain struct{}

func (plain) Seal(to, b, _ []byte) []byte          { return append(to, b...) }
func (plain) Open(to, b, _ []byte) ([]byte, error) { return append(to, b...), nil }

// The load has enough of everything, and what is garbage cannot be read.
func TestLoad(t *testing.T) {
	count := map[Kind]int{}
	for _, f := range facts(1, 5000) {
		count[f.Kind]++
		m, err := Encode(f, events.TopicsOf("b"), plain{})
		if err != nil {
			t.Fatal(err)
		}
		if m.Topic == "" {
			t.Fatalf("fact %d (%s) has no topic", f.N, f.Kind)
		}
		err = events.Decode(m.Value, new(events.Event))
		if f.Kind == Garbage && err == nil || f.Kind != Garbage && f.Kind != Decision && err != nil {
			t.Fatalf("fact %d, a %s: Decode = %v", f.N, f.Kind, err)
		}
	}
	for kind, least := range map[Kind]int{Order: 1000, Refund: 300, Ticket: 300, User: 800, Decision: 100, Garbage: 25} {
		if count[kind] < least {
			t.Errorf("%d facts of kind %s, want at least %d", count[kind], kind, least)
		}
	}
	if d := cmp.Diff(facts(1, 500), facts(1, 500)); d != "" {
		t.Errorf("the same seed gave another load:\n%s", d)
	}
}

// Each story told to its end has the end that it says.
func TestStories(t *testing.T) {
	l := NewLoad(1)
	for range 9 {
		l.arrive()
	}
	want := [][]string{
		{douyin(0), tmall(0), weidian(0)},
		{douyin(1), tmall(1), weidian(1)},
		{douyin(2), tmall(2)},
		{douyin(3)}, {tmall(3)},
		{douyin(4)}, {tmall(4)}, {weidian(4)}, // nothing tells whose the third is
		{douyin(5), tmall(5)},
		{douyin(6)}, {second(6)}, {tmall(6)},
		{douyin(7), second(7), tmall(7)},
		{douyin(8)}, {tmall(8)}, {weidian(8)},
	}
	slices.SortFunc(want, slices.Compare)
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 0))
		told := slices.Clone(l.waiting)
		r.Shuffle(len(told), func(i, j int) { told[i], told[j] = told[j], told[i] })
		if d := cmp.Diff(want, NewOracle(told).Customers()); d != "" {
			t.Fatalf("seed %d:\n%s", seed, d)
		}
	}
}

// A fact counts once it was acknowledged; what failed is sent again.
func TestProducerLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var failed, published int
	p := &Producer{Load: NewLoad(3), Topics: events.TopicsOf("b"), Keys: plain{}, Log: file, Publish: func(_ context.Context, messages []Message) error {
		if acked, err := Acked(path); err != nil || int(acked) != published {
			t.Errorf("Acked = %d, %v before the publish of what follows %d", acked, err, published)
		}
		if failed++; failed%3 != 0 {
			return errors.New("away")
		}
		if published += len(messages); published > 100 {
			stop()
		}
		return nil
	}}
	if err := p.Run(ctx); err != nil {
		t.Fatal(err)
	}
	logged, acked, err := readLog(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(logged) != published || int(acked) != published {
		t.Errorf("the log has %d facts, the last %d; want %d", len(logged), acked, published)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// Cut in the middle of the last line: the last call was not acknowledged.
	if err := os.WriteFile(path, whole[:len(whole)-2], 0o600); err != nil {
		t.Fatal(err)
	}
	if cut, _, err := readLog(path); err != nil || len(cut) >= len(logged) || bytes.Count(whole, []byte("acked")) < 2 {
		t.Errorf("cut short, the log has %d of %d facts, %v", len(cut), len(logged), err)
	}
}
