package identity

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// A bridge is what its definition says: without the account's links, the
// others fall into as many parts.
func TestBridgesPartTheirCustomer(t *testing.T) {
	found := 0
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 0))
		account := func(i int) Account { return Account{Platform: "tmall", Shop: "s", ID: fmt.Sprint(i)} }
		var links []Link
		n := 3 + r.IntN(6)
		for i := range n { // a chain of identifiers and decisions, with some more between them
			if i > 0 && r.IntN(4) == 0 {
				links = append(links, Link{Account: account(i), Other: account(r.IntN(i)), Decision: fmt.Sprint("d", i)})
				continue
			}
			id := Identifier{Type: Phone, Hash: Hash{byte(i)}}
			links = append(links, Link{Account: account(i), Identifier: id}, Link{Account: account(r.IntN(max(i, 1))), Identifier: id})
			if r.IntN(3) == 0 {
				links = append(links, Link{Account: account(r.IntN(n)), Identifier: id})
			}
		}
		bridges := Bridges(links)
		found += len(bridges)
		for i := range n {
			rest := slices.DeleteFunc(slices.Clone(links), func(l Link) bool { return l.Account == account(i) || l.Other == account(i) && l.Decision != "" })
			parts := map[int]int{}
			for j := range n {
				if j == i {
					continue
				}
				lowest := j // of those that a path leads to
				for k := range n {
					if k != i && k < lowest && Path(rest, account(j), account(k)) != nil {
						lowest = k
					}
				}
				parts[lowest]++
			}
			at := slices.IndexFunc(bridges, func(b Bridge) bool { return b.Account == account(i) })
			if (at >= 0) != (len(parts) > 1) {
				t.Fatalf("seed %d: account %d is a bridge: %t; without it there are %d parts", seed, i, at >= 0, len(parts))
			}
			if at < 0 {
				continue
			}
			var want []int
			for _, size := range parts {
				want = append(want, size)
			}
			slices.Sort(want)
			slices.Reverse(want)
			if !slices.Equal(bridges[at].Parts, want) {
				t.Fatalf("seed %d: account %d parts %v, want %v", seed, i, bridges[at].Parts, want)
			}
		}
	}
	if found == 0 {
		t.Error("no customer had a bridge")
	}
}
