package connectors

import (
	"math/rand/v2"
	"testing"
	"time"
)

// Whatever the pace of the runs, each moment up to the settle margin lies in
// a window, windows are no longer than the span, and none reaches into the
// margin.
func TestWindowsLeaveNoGap(t *testing.T) {
	t.Parallel()
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 0))
		plan := Windows{
			Span: time.Duration(1+r.IntN(86400)) * time.Second, Settle: time.Duration(r.IntN(120)) * time.Second,
			Overlap: time.Duration(r.IntN(300)) * time.Second, First: 90 * 24 * time.Hour, Oldest: 90 * 24 * time.Hour,
		}
		now := time.Unix(1_700_000_000, r.Int64N(1e9))
		reached := now.Add(-time.Duration(r.IntN(10*86400)) * time.Second).Truncate(time.Second)
		for range 20 {
			first := true
			for {
				w, ok := plan.After(reached, now, first)
				if !ok {
					break
				}
				if w.From.After(reached) || w.Length() > plan.Span || w.To.After(now.Add(-plan.Settle)) || !w.To.After(reached) {
					t.Fatalf("seed %d: %+v: window %s after %s at %s", seed, plan, w, reached, now)
				}
				if plan.Span <= plan.Overlap {
					break
				}
				first, reached = false, w.To
			}
			now = now.Add(time.Duration(r.IntN(7200)) * time.Second)
		}
	}
}

// What becomes visible up to Late after it changed is in the window of a run that
// begins when it is visible, and no later than three times Late after that run
// could have been, whatever the pace of the runs.
func TestWindowsFindWhatComesLate(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 0))
		plan := Windows{
			Span: 24 * time.Hour, Settle: time.Duration(r.IntN(120)) * time.Second, Overlap: time.Duration(r.IntN(300)) * time.Second,
			Late: time.Duration(1+r.IntN(3600)) * time.Second, First: 90 * 24 * time.Hour, Oldest: 90 * 24 * time.Hour,
		}
		begun := time.Unix(1_700_000_000+r.Int64N(86400), 0)
		changed := begun.Add(time.Duration(1+r.IntN(7200)) * time.Second)
		visible := changed.Add(time.Duration(r.Int64N(int64(plan.Late) + 1)).Truncate(time.Second))
		pace, found := 1+r.IntN(1800), false
		now, reached := begun, begun.Add(-plan.Settle)
		for deadline := changed.Add(3*plan.Late + plan.Settle); now.Before(deadline.Add(time.Duration(2*pace) * time.Second)); {
			now = now.Add(time.Duration(1+r.IntN(pace)) * time.Second)
			for w := range plan.Between(reached, now) {
				found = found || !now.Before(visible) && w.Contains(changed)
				reached = w.To
			}
		}
		if !found {
			t.Fatalf("seed %d: %+v: what changed at %s and was visible from %s on is in no window", seed, plan, changed, visible)
		}
	}
}

// The zone in which a moment is written says nothing: a cursor kept under one
// offset and a platform's present told under another give the same window.
func TestWindowsKnowNoZone(t *testing.T) {
	t.Parallel()
	plan := Windows{Span: 24 * time.Hour, Settle: time.Minute, Overlap: 5 * time.Minute, First: 90 * 24 * time.Hour, Oldest: 90 * 24 * time.Hour}
	reached, now := time.Date(2026, 11, 11, 0, 30, 0, 0, time.UTC), time.Date(2026, 11, 11, 3, 0, 0, 0, time.UTC)
	want, ok := plan.After(reached, now, true)
	if !ok || want.Length() != 2*time.Hour+34*time.Minute {
		t.Fatalf("the window is %s, %v", want, ok)
	}
	for _, hours := range []int{-11, 0, 7, 8, 13} {
		zone := time.FixedZone("", hours*3600)
		for name, w := range map[string]func() (Window, bool){
			"cursor":  func() (Window, bool) { return plan.After(reached.In(zone), now, true) },
			"present": func() (Window, bool) { return plan.After(reached, now.In(zone), true) },
		} {
			if got, ok := w(); !ok || !got.From.Equal(want.From) || !got.To.Equal(want.To) || got.String() != want.String() {
				t.Errorf("the %s at %+d hours: %s, want %s", name, hours, got, want)
			}
		}
	}
}

// However far a run may be told to look back, it goes on: its first window ends behind
// what was read, at any moment.
func TestALookBackGoesOn(t *testing.T) {
	t.Parallel()
	chance := rand.New(rand.NewPCG(1, 2))
	seconds := func(most int) time.Duration { return time.Duration(chance.IntN(most+1)) * time.Second }
	for range 10_000 {
		plan := Windows{Span: 24 * time.Hour, Settle: time.Minute, Overlap: seconds(MaxOverlapSeconds), Late: seconds(MaxOverlapSeconds), Oldest: 90 * 24 * time.Hour}
		now := time.Unix(1_800_000_000, 0).Add(seconds(1_000_000))
		reached := now.Add(-2*time.Minute - seconds(80*24*60*60))
		if w, ok := plan.After(reached, now, true); !ok || !w.To.After(reached) {
			t.Fatalf("%+v stands at %s, %s before the present: %s", plan, reached, now.Sub(reached), w)
		}
	}
}
