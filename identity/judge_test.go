package identity

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// Whatever the pairs, the constraints and the judge: the order of the pairs changes
// nothing, what a judge answers to a constraint counts for nothing, a judge sees the
// clusters as they are, and what is joined is what it joined.
func TestJudge(t *testing.T) {
	t.Parallel()
	told := map[ReviewReason]int{}
	for seed := range uint64(500) {
		draw := rand.New(rand.NewPCG(seed, 3))
		rules := &Rules{LargestCustomer: 2 + draw.IntN(6), Types: map[IdentifierType]*TypeRule{UnionID: {Exclusive: 1}}, Model: &ModelRule{PerShop: draw.IntN(4)}}
		c := Component{}
		n := 2 + draw.IntN(12)
		for i := range n {
			c.Accounts = append(c.Accounts, Account{"file", fmt.Sprint(i * 3 / n), fmt.Sprintf("%02d", i)})
			c.Exclusive = append(c.Exclusive, nil)
			if draw.IntN(3) == 0 {
				c.Exclusive[i] = []Identifier{{UnionID, Hash{byte(draw.IntN(2))}}}
			}
		}
		for a := range n {
			for b := a + 1; b < n; b++ {
				if draw.IntN(3) > 0 {
					c.Pairs = append(c.Pairs, Resemblance{A: a, B: b, Weight: float32(1 + draw.IntN(5))})
				}
			}
		}
		if n > 4 {
			c.Verdicts = []Verdict{{Pair: Pair{c.Accounts[0], c.Accounts[1]}, Kind: Different}, {Pair: Pair{c.Accounts[2], c.Accounts[n-1]}, Kind: Same}}
		}
		no := uint64(draw.IntN(5))
		partition := func(c Component) []int {
			of := make([]int, n) // cluster of each account, kept beside Partition
			for i := range of {
				of[i] = i
			}
			put := func(a, b int) {
				from, to := max(of[a], of[b]), min(of[a], of[b])
				for i := range of {
					if of[i] == from {
						of[i] = to
					}
				}
			}
			if n > 4 {
				put(2, n-1)
			}
			c.Judge = func(pair int, constraint ReviewReason, a, b Cluster) ReviewReason {
				told[constraint]++
				p := c.Pairs[pair]
				for side, cluster := range map[int]Cluster{p.A: a, p.B: b} {
					var want []int
					for i := range of {
						if of[i] == of[side] {
							want = append(want, i)
						}
					}
					got := slices.Sorted(cluster.Members())
					if !slices.Equal(got, want) || cluster.Size() != len(want) || cluster.First() != want[0] {
						t.Fatalf("seed %d: the judge sees %v of size %d from %d, want %v", seed, got, cluster.Size(), cluster.First(), want)
					}
				}
				if constraint == "" && uint64(p.A*7+p.B)%5 < no {
					return ReviewModel
				}
				if constraint == "" {
					put(p.A, p.B)
				}
				return "" // also to a constraint
			}
			p := rules.Partition(c)
			if len(p.Reviews) > 0 || slices.ContainsFunc(p.Links, func(l Link) bool { return l.Weight > 0 }) {
				t.Fatalf("seed %d: pairs that a judge was asked about are told: %v, %v", seed, p.Links, p.Reviews)
			}
			if !slices.Equal(p.Customer, of) {
				t.Fatalf("seed %d: customers %v, want what the judge joined, %v", seed, p.Customer, of)
			}
			return p.Customer
		}
		want := partition(c)
		draw.Shuffle(len(c.Pairs), func(i, j int) { c.Pairs[i], c.Pairs[j] = c.Pairs[j], c.Pairs[i] })
		if got := partition(c); !slices.Equal(got, want) {
			t.Fatalf("seed %d: the order of the pairs changed the customers: %v and %v", seed, want, got)
		}
	}
	for _, reason := range []ReviewReason{"", ReviewDifferent, ReviewExclusive, ReviewLargest, ReviewPerShop} {
		if told[reason] < 100 {
			t.Errorf("%q is told %d times: it is not tried", reason, told[reason])
		}
	}
}
