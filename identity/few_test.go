package identity

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// Few are judged as many are: how many of them one shop knows, and which links of them
// are refused, which are too many for the short way where each is told again and again.
func TestFewAreJudgedAsMany(t *testing.T) {
	rules := DefaultRules()
	for seed := range uint64(20_000) {
		r := rand.New(rand.NewPCG(seed, 3))
		c := Component{Groups: []Group{{Identifier: Identifier{Type: Phone}}, {Identifier: Identifier{Type: Phone, Hash: Hash{1}}}}}
		shops := 1 + r.IntN(4)
		members := make([]Sighting, 1+r.IntN(few))
		for i := range members {
			shop := r.IntN(shops+1) - 1
			a := Account{Platform: "tmall", Shop: fmt.Sprint(shop), ID: fmt.Sprint(i)}
			if shop < 0 {
				a.ID = "order:" + a.ID
			}
			c.Accounts = append(c.Accounts, a)
			members[i] = Sighting{Account: i, Shop: shop}
		}
		p := rules.partitioner(c)
		for range r.IntN(len(members)) {
			p.join(p.find(r.IntN(len(members))), p.find(r.IntN(len(members))))
		}
		bound := r.IntN(4)
		persons := map[int][]int{}
		crowded := false
		for _, m := range members {
			if root := p.find(m.Account); m.Shop >= 0 && !slices.Contains(persons[m.Shop], root) {
				persons[m.Shop] = append(persons[m.Shop], root)
				crowded = crowded || len(persons[m.Shop]) > bound
			}
		}
		if got := p.fewCrowded(members, bound); got != crowded {
			t.Fatalf("seed %d: of %+v a shop knows more than %d: %t, want %t", seed, members, bound, got, crowded)
		}
		var ends [][2]int
		for range 1 + r.IntN(8) {
			ends = append(ends, [2]int{p.find(r.IntN(len(members))), p.find(len(members) + r.IntN(2))})
		}
		rule := &TypeRule{PerShop: bound}
		short := p.refused(rule, math.MaxInt, ends)
		whole := p.refused(rule, math.MaxInt, slices.Repeat(ends, few+1))[:len(ends)]
		if !slices.Equal(short, whole) {
			t.Fatalf("seed %d: of links between %v with a bound of %d are refused %q, want %q", seed, ends, bound, short, whole)
		}
	}
}
