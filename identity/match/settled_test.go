package match

import (
	"math"
	"testing"
)

// Learning that says it has settled has: its last round moved neither a level's
// probability nor the share of pairs that are one entity, by how much that is.
func TestSettledMovesNoMore(t *testing.T) {
	t.Parallel()
	u := []float64{0.1, 0.0005, 0.2, 0.6995}
	m := []float64{0.8, 0.1, 0.06, 0.04}
	settled := 0
	for _, records := range []float64{100, 800} {
		for _, prior := range []float64{0.003, 0.01, 0.1} {
			moved := func(rounds int) (*Learned, float64) {
				r, seen, levels := madeUp(t, int(records), prior, u, m, m, m)
				before := r.learn(seen, levels, 1, rounds-1)
				r, seen, levels = madeUp(t, int(records), prior, u, m, m, m)
				after := r.learn(seen, levels, 1, rounds)
				change := math.Abs(after.Prior-before.Prior) / before.Prior
				for i, f := range after.Fields {
					for l := range f.M {
						change = max(change, math.Abs(f.M[l]-before.Fields[i].M[l]))
					}
				}
				return after, change
			}
			last, _ := moved(500)
			if !last.Converged {
				continue
			}
			settled++
			if _, change := moved(last.Rounds); change >= enough {
				t.Errorf("%v records, prior %v: settled after %d rounds, of which the last moved %.3g, want below %.0g", records, prior, last.Rounds, change, enough)
			}
		}
	}
	if settled < 4 {
		t.Errorf("%d of 6 have settled: the test shows less than it should", settled)
	}
}
