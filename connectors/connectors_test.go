package connectors

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

func TestMinor(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text     string
		decimals int
		want     int64
		ok       bool
	}{
		"two decimals":       {"12.30", 2, 1230, true},
		"one decimal":        {"12.3", 2, 1230, true},
		"none":               {"12", 2, 1200, true},
		"zeros behind":       {"12.3000", 2, 1230, true},
		"negative":           {"-0.05", 2, -5, true},
		"no whole part":      {".5", 2, 50, true},
		"no minor unit":      {"12", 0, 12, true},
		"would be rounded":   {"12.345", 2, 0, false},
		"empty":              {"", 2, 0, false},
		"a point":            {".", 2, 0, false},
		"a word":             {"free", 2, 0, false},
		"exponent":           {"1e3", 2, 0, false},
		"two points":         {"1.2.3", 2, 0, false},
		"the largest":        {"92233720368547757.99", 2, 9223372036854775799, true},
		"larger than int64":  {"92233720368547758.08", 2, 0, false},
		"much larger":        {"99999999999999999999999", 2, 0, false},
		"two signs":          {"--1", 2, 0, false},
		"full-width numeral": {"１２", 2, 0, false},
	} {
		got, err := Minor(c.text, c.decimals)
		if got != c.want && c.ok || (err == nil) != c.ok {
			t.Errorf("%s: Minor(%q, %d) = %d, %v; want %d", name, c.text, c.decimals, got, err, c.want)
		}
	}
}

func FuzzMinor(f *testing.F) {
	f.Add("12.30", 2)
	f.Fuzz(func(t *testing.T, text string, decimals int) {
		_, _ = Minor(text, decimals&3)
	})
}

func TestSpreadSumsExactly(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 0))
		weights := make([]int64, 1+r.IntN(8))
		for i := range weights {
			weights[i] = r.Int64N(1000) - 100
			if r.IntN(20) == 0 {
				weights[i] = math.MaxInt64
			}
		}
		total := r.Int64N(1<<40) - 1<<39
		var sum int64
		for i, share := range Spread(total, weights) {
			sum += share
			if share != 0 && (share > 0) != (total > 0) {
				t.Fatalf("seed %d: share %d of total %d has another sign", seed, share, total)
			}
			if weights[i] < 0 && share > 1 && len(weights) > 1 && anyPositive(weights) {
				t.Fatalf("seed %d: negative weight %d got %d", seed, weights[i], share)
			}
		}
		if sum != total {
			t.Fatalf("seed %d: shares of %v sum to %d, want %d", seed, weights, sum, total)
		}
	}
}

func anyPositive(weights []int64) bool {
	for _, w := range weights {
		if w > 0 {
			return true
		}
	}
	return false
}

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
