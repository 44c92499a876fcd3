package identity

import "math"

// link is one account's tie to a group of its component.
type link struct{ group, member int }

// joinAlike takes links of one strength and type. Which of them comes first only their
// keys say, which are hashes: so where they lead to several persons of one shop, none of
// those that lead there is taken.
func (p *partitioner) joinAlike(links []link, held []*holders) {
	for _, l := range links {
		if held[l.group] == nil {
			held[l.group] = p.holders(l.group)
		}
	}
	torn := p.torn(links, held)
	for i, l := range links {
		if held[l.group].crowded {
			continue
		}
		group, h := &p.component.Groups[l.group], held[l.group].of(l.member)
		member := group.Members[l.member]
		account := p.component.Accounts[member.Account]
		if a, b := p.find(member.Account), p.find(h.node); a != b {
			reason := p.refuse(a, b, p.rules.Types[group.Identifier.Type].PerShop, math.MaxInt)
			if reason == "" && torn != nil && torn[i] {
				reason = ReviewPerShop
			}
			if reason != "" {
				p.reviews = append(p.reviews, Review{Reason: reason, Identifier: group.Identifier, Span: h.span, Accounts: []Account{account, p.met(l, held[l.group])}})
				continue
			}
			p.join(a, b)
		}
		p.links = append(p.links, Link{Account: account, Identifier: group.Identifier, Span: h.span, Strength: member.Strength})
	}
}

// met is one of those whom a refused link would have joined its account to.
func (p *partitioner) met(l link, held *holders) Account {
	h := held.of(l.member)
	if first := p.clusters[p.find(h.node)].first; first >= 0 {
		return p.component.Accounts[first]
	}
	members := p.component.Groups[l.group].Members
	lowest := -1
	for i, m := range members {
		if i != l.member && held.of(i) == h && (lowest < 0 || m.Account < lowest) {
			lowest = m.Account
		}
	}
	if lowest < 0 { // the others held it at another time
		lowest = members[l.member].Account
	}
	return p.component.Accounts[lowest]
}

// torn marks of links of one strength and type those by which more persons of a shop
// would come together than one may be; nil if there are none. All links are laid out
// as a graph of what stronger ones have joined. Where it connects too many persons of a
// shop, what lies between them is torn; what merely hangs on is not.
func (p *partitioner) torn(links []link, held []*holders) []bool {
	bound := p.rules.Types[p.component.Groups[links[0].group].Identifier.Type].PerShop
	if bound == 0 || len(links) < 2 {
		return nil
	}
	nodes, roots := map[int]int{}, []int{}
	var near []map[int]bool // of each node
	node := func(root int) int {
		n, ok := nodes[root]
		if !ok {
			n = len(roots)
			nodes[root], roots, near = n, append(roots, root), append(near, map[int]bool{})
		}
		return n
	}
	ends := make([][2]int, len(links))
	for i, l := range links {
		if held[l.group].crowded {
			continue
		}
		a, b := p.find(p.component.Groups[l.group].Members[l.member].Account), p.find(held[l.group].of(l.member).node)
		if a == b || p.refuse(a, b, bound, math.MaxInt) != "" {
			continue
		}
		x, y := node(a), node(b)
		ends[i] = [2]int{x, y}
		near[x][y], near[y][x] = true, true
	}
	part := parts(near)
	type shop struct {
		part           int
		platform, shop string
	}
	accounts, persons := map[shop]int{}, map[shop]int{}
	for n, root := range roots {
		for _, s := range p.clusters[root].shops {
			accounts[shop{part[n], s.platform, s.shop}] += s.n
			persons[shop{part[n], s.platform, s.shop}]++
		}
	}
	// Persons of a shop that the graph connects though it may not.
	rival, contested := make([]bool, len(roots)), map[int]bool{}
	for n, root := range roots {
		for _, s := range p.clusters[root].shops {
			if of := (shop{part[n], s.platform, s.shop}); persons[of] > 1 && accounts[of] > bound {
				rival[n], contested[part[n]] = true, true
			}
		}
	}
	if len(contested) == 0 {
		return nil
	}
	for n := range near {
		for leaf := n; len(near[leaf]) == 1 && !rival[leaf]; {
			for other := range near[leaf] { // its only one
				delete(near[leaf], other)
				delete(near[other], leaf)
				leaf = other
			}
		}
	}
	torn := make([]bool, len(links))
	for i, e := range ends {
		torn[i] = e[0] != e[1] && contested[part[e[0]]] && near[e[0]][e[1]]
	}
	return torn
}

// parts numbers the connected parts of a graph by their first nodes.
func parts(near []map[int]bool) []int {
	part := make([]int, len(near))
	for n := range part {
		part[n] = -1
	}
	for n := range part {
		if part[n] >= 0 {
			continue
		}
		part[n] = n
		for queue := []int{n}; len(queue) > 0; queue = queue[1:] {
			for other := range near[queue[0]] {
				if part[other] < 0 {
					part[other] = n
					queue = append(queue, other)
				}
			}
		}
	}
	return part
}
