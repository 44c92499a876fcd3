package pull

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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

// endOf is the midnight of GMT+8 that ends a day.
func endOf(t *testing.T, day string) time.Time {
	t.Helper()
	begin, err := time.ParseInLocation(time.DateOnly, day, time.FixedZone("GMT+8", 8*60*60))
	if err != nil {
		t.Fatal(err)
	}
	return begin.AddDate(0, 0, 1)
}

// Processes that ask at the same time, and others that come after a restart,
// get together what the quota has and no more; another day has its own.
func TestAQuotaIsGrantedOnce(t *testing.T) {
	r := newRig(t)
	const perDay = 100
	take := func(q *Quotas, day string) int {
		n, err := q.Take(t.Context(), "app", endOf(t, day), 7, perDay, perDay)
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
	// What is used up is waited for until the platform's midnight.
	eve := time.Date(2026, 11, 11, 15, 59, 0, 0, time.UTC)
	for _, now := range []time.Time{eve, eve.Add(2 * time.Minute)} {
		ends := time.Time{}
		if now.Equal(eve) {
			ends = endOf(t, "2026-11-11")
		}
		if usage := r.quotas(t).Usage(now); len(usage) != 1 || usage[0].Used != perDay || !usage[0].UsedUp.Equal(ends) {
			t.Errorf("at %s the usage is %+v, want %d calls, used up until %s: what is not granted is not written down", now, usage, perDay, ends)
		}
	}
	if n := take(restarted, "2026-11-12"); n != 7 {
		t.Errorf("the next day grants %d, want 7", n)
	}
	// What can wait is granted a part of the quota; shown is the whole.
	if n, err := r.quotas(t).Take(t.Context(), "another app", endOf(t, "2026-11-11"), 7, perDay/2, perDay); err != nil || n != 7 {
		t.Errorf("another app is granted %d, %v", n, err)
	}
	noon := time.Date(2026, 11, 11, 12, 0, 0, 0, time.UTC)
	want := []Usage{{Name: "another app", Used: 7, Quota: perDay}, {Name: "app", Used: 7, Quota: perDay}}
	if d := cmp.Diff(want, r.quotas(t).Usage(noon)); d != "" {
		t.Errorf("the usage (-want +got):\n%s", d)
	}
}

// What this process reads of the topic beside the one who asks takes nothing
// from it: else a quota would be used up until midnight after a few calls.
func TestAQuotaIsGrantedWhoeverReadsIt(t *testing.T) {
	r := newRig(t)
	q := r.quotas(t)
	var reading sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	reading.Go(func() {
		for ctx.Err() == nil {
			if err := q.catchUp(ctx); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		}
	})
	for i := range 200 {
		if n, err := q.Take(t.Context(), "app", endOf(t, "2026-11-11"), 2, 1000, 1000); err != nil || n != 2 {
			t.Errorf("the %d. of 200 who ask for 2 of 1000 is granted %d (%v)", i+1, n, err)
			break
		}
	}
	stop()
	reading.Wait()
}

// A ban holds the others too, and those that start later; a cursor beside it
// is no share and is not lost.
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
	if err := other.catchUp(t.Context()); err != nil {
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
	// Those who run on forget it, too.
	if err := one.catchUp(t.Context()); err != nil || len(one.shares["app"]) != 0 {
		t.Errorf("%d shares are remembered that were taken out, %v", len(one.shares["app"]), err)
	}
}
