package pull

import (
	"sync"
	"testing"
	"time"

	"oneid/internal/kafka"
)

func (r rig) quotas(t *testing.T) *Quotas {
	t.Helper()
	q, err := OpenQuotas(t.Context(), r.client, r.publisher, r.topics.Cursors)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// Processes that ask at the same time, and others that come after a restart,
// get together what the quota has and no more; another day has its own.
func TestAQuotaIsGrantedOnce(t *testing.T) {
	r := newRig(t)
	const perDay = 100
	take := func(q *Quotas, day string) int {
		n, err := q.Take(t.Context(), "app", day, 7, perDay)
		if err != nil {
			t.Error(err)
		}
		return n
	}
	var mu sync.Mutex
	granted := 0
	var all sync.WaitGroup
	for range 3 {
		q := r.quotas(t)
		all.Go(func() {
			for range 3 {
				n := take(q, "2026-11-11")
				mu.Lock()
				granted += n
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if granted != 63 {
		t.Fatalf("%d calls were granted of 9 × 7", granted)
	}
	restarted := r.quotas(t)
	for range 10 {
		granted += take(restarted, "2026-11-11")
	}
	if granted != perDay {
		t.Errorf("%d calls were granted, want %d", granted, perDay)
	}
	if n := take(restarted, "2026-11-12"); n != 7 {
		t.Errorf("the next day grants %d, want 7", n)
	}
	if n, err := r.quotas(t).Take(t.Context(), "another app", "2026-11-11", 7, perDay); err != nil || n != 7 {
		t.Errorf("another app is granted %d, %v", n, err)
	}
}

// A ban holds the others too, and those that start later; a cursor beside it
// is no share and is not lost. Who calls is counted.
func TestABanIsSharedAndSurvives(t *testing.T) {
	r := newRig(t)
	cursors, err := OpenCursors(t.Context(), r.client, r.publisher, r.topics.Cursors)
	if err != nil {
		t.Fatal(err)
	}
	one, other := r.quotas(t), r.quotas(t)
	until := time.Now().Add(8 * time.Hour).UTC().Truncate(time.Millisecond)
	if err := cursors.Put(t.Context(), "tmall/s/orders", "here"); err != nil {
		t.Fatal(err)
	}
	if err := one.Ban(t.Context(), "app", until); err != nil {
		t.Fatal(err)
	}
	if err := other.catchUp(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	for name, q := range map[string]*Quotas{"itself": one, "another": other, "a later one": r.quotas(t)} {
		if got := q.Banned("app"); !got.Equal(until) {
			t.Errorf("%s is banned until %s, want %s", name, got, until)
		}
		if got := q.Banned("other app"); !got.IsZero() {
			t.Errorf("%s: another app is banned until %s", name, got)
		}
	}
	if got := other.Share("app"); got != 2 {
		t.Errorf("%d processes call, want 2: the other has written", got)
	}
	if again, err := OpenCursors(t.Context(), r.client, r.publisher, r.topics.Cursors); err != nil || again.Get("tmall/s/orders") != "here" {
		t.Errorf("the cursor is %q, %v", again.Get("tmall/s/orders"), err)
	}
	// What is old is taken out.
	if err := other.forget(t.Context(), time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	last := make(map[string]int)
	first, next, err := r.client.Ends(t.Context(), r.topics.Cursors)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.client.ReadRange(t.Context(), r.topics.Cursors, 0, first[0], next[0], true, func(m kafka.Fetched) error {
		last[string(m.Key)] = len(m.Value)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if size, there := last[quotaPrefix+"app/"+one.process]; !there || size != 0 {
		t.Errorf("the old share is %d bytes, %v; want it gone", size, there)
	}
}
