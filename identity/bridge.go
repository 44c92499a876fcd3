package identity

import (
	"cmp"
	"slices"
)

// Bridge is an account that alone holds a customer together: without it the
// customer's other accounts would fall into Parts, the numbers of accounts in
// each, the largest first. A wrong merge often has one.
type Bridge struct {
	Account Account
	Parts   []int
}

// Bridges finds the bridges in the links of one customer, those first whose
// second part is the largest; then by account.
func Bridges(links []Link) []Bridge {
	type hub struct {
		id   Identifier
		span int
	}
	number, hubs := map[Account]int{}, map[hub]int{}
	var accounts []Account
	account := func(a Account) int {
		n, ok := number[a]
		if !ok {
			n = len(accounts)
			number[a], accounts = n, append(accounts, a)
		}
		return n
	}
	type edge struct{ account, other int } // other: an account, or a hub below 0
	edges := make([]edge, len(links))
	for i, l := range links {
		if l.paired() {
			edges[i] = edge{account(l.Account), account(l.Other)}
			continue
		}
		key := hub{l.Identifier, l.Span}
		if hubs[key] == 0 {
			hubs[key] = -1 - len(hubs)
		}
		edges[i] = edge{account(l.Account), hubs[key]}
	}
	var bridges []Bridge
	parent := make([]int, len(accounts)+len(hubs))
	find := func(i int) int {
		for parent[i] != i {
			parent[i] = parent[parent[i]]
			i = parent[i]
		}
		return i
	}
	for without := range accounts {
		for i := range parent {
			parent[i] = i
		}
		for _, e := range edges {
			if e.account == without || e.other == without {
				continue
			}
			other := e.other
			if other < 0 {
				other = len(accounts) - 1 - other
			}
			parent[find(e.account)] = find(other)
		}
		sizes := map[int]int{}
		for i := range accounts {
			if i != without {
				sizes[find(i)]++
			}
		}
		if len(sizes) < 2 {
			continue
		}
		b := Bridge{Account: accounts[without]}
		for _, n := range sizes {
			b.Parts = append(b.Parts, n)
		}
		slices.SortFunc(b.Parts, func(x, y int) int { return cmp.Compare(y, x) })
		bridges = append(bridges, b)
	}
	slices.SortFunc(bridges, func(a, b Bridge) int {
		return cmp.Or(cmp.Compare(b.Parts[1], a.Parts[1]), a.Account.Compare(b.Account))
	})
	return bridges
}
