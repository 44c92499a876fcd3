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
			Overlap: time.Duration(r.IntN(300)) * time.Second, Oldest: 90 * 24 * time.Hour,
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
