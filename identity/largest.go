package identity

import (
	"cmp"
	"slices"
)

// lighten makes inert what makes customers larger than they may be: of each such
// customer the weakest identifier, and again the weakest, until none is too large.
// It says whether it did, and then the component is to be partitioned anew: what
// these identifiers have kept from being joined may join now.
//
// It needs one pass and not one for each identifier: one goes if it and all that is
// stronger make too large a customer of its accounts, for then all that is weaker
// there has gone before. Which is how strong: an identifier is as strong as the
// weakest of its links, then as its priority and its key say. What decisions alone
// have joined is too large for nobody.
func (p *partitioner) lighten() bool {
	largest, n := p.rules.LargestCustomer, len(p.component.Accounts)
	if n <= largest {
		return false
	}
	type joining struct {
		group    int
		span     int // of one of those who held it
		strength int
		accounts []int
	}
	type key struct {
		id   Identifier
		span int
	}
	groups, of := map[key]int{}, map[key]int{}
	for g, group := range p.component.Groups {
		if group.Inert != "" {
			continue // it has no links, and may have the key of one that has
		}
		groups[key{group.Identifier, group.Span}] = g
	}
	var all []joining
	sets := partitioner{parent: make([]int, n), clusters: make([]cluster, n)}
	for i := range n {
		sets.parent[i], sets.clusters[i].size = i, 1
	}
	for _, l := range p.links {
		account := p.account(l.Account)
		if l.Decision != "" {
			sets.join(sets.find(account), sets.find(p.account(l.Other)))
			continue
		}
		if p.clusters[p.find(account)].size <= largest {
			continue
		}
		held := key{l.Identifier, l.Span}
		i, ok := of[held]
		if !ok {
			i = len(all)
			of[held] = i
			all = append(all, joining{group: groups[key{l.Identifier, l.Span % spansApart}], span: l.Span, strength: l.Strength})
		}
		j := &all[i]
		j.strength = min(j.strength, l.Strength)
		j.accounts = append(j.accounts, account)
	}
	slices.SortFunc(all, func(a, b joining) int {
		g, h := &p.component.Groups[a.group], &p.component.Groups[b.group]
		return cmp.Or(cmp.Compare(b.strength, a.strength),
			cmp.Compare(p.rules.Types[g.Identifier.Type].Priority, p.rules.Types[h.Identifier.Type].Priority),
			g.Identifier.Compare(h.Identifier), cmp.Compare(a.span, b.span))
	})
	without, tooLarge := slices.Clone(p.component.Groups), make([]bool, n) // by root
	lightened := false
	for _, j := range all {
		root := sets.find(j.accounts[0])
		passed, joined := tooLarge[root], false
		for _, account := range j.accounts[1:] {
			if other := sets.find(account); other != root {
				passed, joined = passed || tooLarge[other], true
				sets.join(root, other)
				root = sets.find(root)
			}
		}
		if passed || joined && sets.clusters[root].size > largest {
			tooLarge[root], lightened = true, true
			without[j.group].Inert = ReviewLargest
		}
	}
	p.component.Groups = without
	return lightened
}
