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
	for g, held := range p.held {
		if held == nil {
			continue // it has no links, and may have the key of one that has
		}
		for _, h := range held.all {
			groups[key{p.component.Groups[g].Identifier, h.span}] = g
		}
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
			all = append(all, joining{group: groups[held], span: l.Span, strength: l.Strength})
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
	inert, tooLarge := map[int][]int{}, make([]bool, n) // spans by group; customers by root
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
			tooLarge[root] = true
			inert[j.group] = append(inert[j.group], j.span)
		}
	}
	p.component.Groups = p.without(inert)
	return len(inert) > 0
}

// without are the component's groups of which those are inert by which too large a
// customer came about, by group: of one that changed hands what one held, which says
// nothing of who held it before and after. These are groups of their own from then on.
func (p *partitioner) without(inert map[int][]int) (groups []Group) {
	reason := func(g, span int) ReviewReason {
		if slices.Contains(inert[g], span) {
			return ReviewLargest
		}
		return ""
	}
	for g, group := range p.component.Groups {
		switch held := p.held[g]; {
		case len(inert[g]) == 0:
			groups = append(groups, group)
		case held.part == nil:
			group.Inert = reason(g, group.Span)
			groups = append(groups, group)
		default:
			for part, h := range held.all {
				of := Group{Identifier: group.Identifier, Span: h.span, Inert: reason(g, h.span)}
				for m, member := range group.Members {
					if held.part[m] == part {
						member.Turn = 0 // one held it: its span would be another part's if it were parted again
						of.Members = append(of.Members, member)
					}
				}
				groups = append(groups, of)
			}
		}
	}
	return groups
}
