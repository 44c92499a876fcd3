package evaluate

import (
	"maps"
	"math"
	"math/rand/v2"
	"testing"
)

// Compare counts what a look at every pair counts.
func TestCompareIsThePairs(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		truth, found := map[int]int{}, map[int]int{}
		for a := range r.IntN(20) {
			truth[a] = r.IntN(6)
			if r.IntN(5) > 0 {
				found[a] = r.IntN(6)
			}
		}
		var want Score
		for a := range truth {
			size, person, both := 0.0, 0.0, 0.0 // of a's customer and person, itself among them
			for b := range truth {
				x, okX := found[a]
				y, okY := found[b]
				together, same := okX && okY && x == y || a == b, truth[a] == truth[b]
				if together {
					size++
				}
				if same {
					person++
				}
				if together && same {
					both++
				}
				if a >= b {
					continue
				}
				if together {
					want.FoundPairs++
				}
				if same {
					want.TruePairs++
				}
				if together && same {
					want.RightPairs++
				}
			}
			want.BCubedPrecision += both / size / float64(len(truth))
			want.BCubedRecall += both / person / float64(len(truth))
			want.Accounts++
		}
		if len(truth) == 0 {
			want.BCubedPrecision, want.BCubedRecall = 1, 1
		}
		got := Compare(maps.All(truth), func(a int) (int, bool) { c, ok := found[a]; return c, ok })
		if got.FoundPairs != want.FoundPairs || got.TruePairs != want.TruePairs || got.RightPairs != want.RightPairs {
			t.Fatalf("seed %d: %+v, want pairs %+v", seed, got, want)
		}
		if got.Accounts != want.Accounts || math.Abs(got.BCubedPrecision-want.BCubedPrecision) > 1e-9 || math.Abs(got.BCubedRecall-want.BCubedRecall) > 1e-9 {
			t.Fatalf("seed %d: %+v, want B-cubed %+v", seed, got, want)
		}
		people, customers := map[int]bool{}, map[int]bool{}
		for a, person := range truth {
			people[person] = true
			if c, ok := found[a]; ok {
				customers[c] = true
			} else {
				customers[-1-a] = true
			}
		}
		if got.People != len(people) || got.Customers != len(customers) {
			t.Fatalf("seed %d: %d people and %d customers, want %d and %d", seed, got.People, got.Customers, len(people), len(customers))
		}
	}
}

func TestFigures(t *testing.T) {
	t.Parallel()
	truth := map[string]string{"a": "Li", "b": "Li", "c": "Li", "d": "Wu"}
	found := map[string]int{"a": 1, "b": 1, "c": 2, "d": 2}
	s := Compare(maps.All(truth), func(a string) (int, bool) { c, ok := found[a]; return c, ok })
	if s.Precision != 0.5 || math.Abs(s.Recall-1.0/3) > 1e-9 || s.BCubedPrecision != 0.75 || math.Abs(s.BCubedRecall-(2.0/3+2.0/3+1.0/3+1)/4) > 1e-9 {
		t.Errorf("Compare = %+v", s)
	}
	bridges := map[string]string{"a": "b", "c": "d", "x": "a"}
	if got := RecallPossible(maps.All(truth), maps.All(bridges)); math.Abs(got-1.0/3) > 1e-9 {
		t.Errorf("RecallPossible = %v, want 1/3: the edge between two persons does not count", got)
	}
}
