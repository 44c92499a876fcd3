package evaluate

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The wrong pairs of all confusions are the found pairs that are not right,
// and each names two records that show it.
func TestConfusionsAreTheWrongPairs(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		draw := rand.New(rand.NewPCG(seed, 1))
		n := 1 + draw.IntN(60)
		people, customers := make([]int, n), make([]string, n)
		for i := range n {
			people[i] = draw.IntN(1 + n/2)
			customers[i] = string(rune('a' + people[i]%20))
			if draw.IntN(4) == 0 {
				customers[i] = string(rune('a' + draw.IntN(20)))
			}
		}
		s := Compare(slices.All(people), func(record int) (string, bool) { return customers[record], true })
		joined, apart := Confusions(customers, people), Confusions(people, customers)
		sum := func(list []Confusion, same func(a, b int) (bool, bool)) (pairs int64) {
			for i, c := range list {
				if together, one := same(c.A, c.B); !together || one || c.A >= c.B {
					t.Fatalf("seed %d: %+v is not wrong", seed, c)
				}
				if i > 0 && list[i-1].Pairs < c.Pairs {
					t.Fatalf("seed %d: %+v comes too late", seed, c)
				}
				pairs += c.Pairs
			}
			return pairs
		}
		wrong := sum(joined, func(a, b int) (bool, bool) { return customers[a] == customers[b], people[a] == people[b] })
		missed := sum(apart, func(a, b int) (bool, bool) { return people[a] == people[b], customers[a] == customers[b] })
		if d := cmp.Diff([]int64{s.FoundPairs - s.RightPairs, s.TruePairs - s.RightPairs}, []int64{wrong, missed}); d != "" {
			t.Errorf("seed %d (-counted +listed):\n%s", seed, d)
		}
	}
}

func TestAHugeGroupListsItsLargestPeople(t *testing.T) {
	t.Parallel()
	people, customers := make([]int, 10000), make([]int, 10000)
	for i := range people {
		people[i] = i
	}
	people[9999] = 9998
	got := Confusions(customers, people)
	if len(got) != mostInGroup*(mostInGroup-1)/2 || got[0].Pairs != 2 || got[0].B != 9998 {
		t.Errorf("%d confusions, the first %+v", len(got), got[0])
	}
}
