package identity

import (
	"cmp"
	"math"
	"slices"
)

// link is one account's tie to a group of its component.
type link struct{ group, member int }

// joinAlike takes links of one strength and type. Which of them comes first only their
// keys say, which are hashes: so it is settled before the first of them which are
// taken, and none is taken because it came before another.
func (p *partitioner) joinAlike(links []link, held []*holders) {
	for _, l := range links {
		if held[l.group] == nil {
			held[l.group] = p.holders(l.group)
		}
	}
	links = slices.DeleteFunc(links, func(l link) bool { return held[l.group].crowded })
	ends := func(l link) (account, holder int) {
		return p.find(p.component.Groups[l.group].Members[l.member].Account), p.find(held[l.group].of(l.member).node)
	}
	if len(links) == 0 {
		return
	}
	between := make([][2]int, len(links))
	for i, l := range links {
		between[i][0], between[i][1] = ends(l)
	}
	refused := p.refused(p.rules.Types[p.component.Groups[links[0].group].Identifier.Type], math.MaxInt, between)
	for i, l := range links {
		if refused[i] == "" {
			p.join(ends(l))
		}
	}
	for i, l := range links {
		group, span := &p.component.Groups[l.group], held[l.group].of(l.member).span
		member := group.Members[l.member]
		account := p.component.Accounts[member.Account]
		if a, b := ends(l); a != b { // what others have joined is no question
			p.reviews = append(p.reviews, Review{Reason: refused[i], Identifier: group.Identifier, Span: span, Accounts: []Account{account, p.met(l, held[l.group])}})
			continue
		}
		p.links = append(p.links, Link{Account: account, Identifier: group.Identifier, Span: span, Strength: member.Strength})
	}
}

// met is one of those whom a refused link would have joined its account to.
func (p *partitioner) met(l link, held *holders) Account {
	h := held.of(l.member)
	if first := p.clusters[p.find(h.node)].first; first >= 0 {
		return p.component.Accounts[first]
	}
	members := p.component.Groups[l.group].Members
	lowest, own := -1, p.find(members[l.member].Account)
	for i, m := range members {
		if p.find(m.Account) != own && held.of(i) == h && (lowest < 0 || m.Account < lowest) {
			lowest = m.Account
		}
	}
	if lowest < 0 { // the others held it at another time
		lowest = members[l.member].Account
	}
	return p.component.Accounts[lowest]
}

// refused says of links of one strength and type why each is not taken, "" if it is. Ends
// are what each would join, as far as stronger links have joined; one whose ends are one
// joins nobody. By the rule, that of their type, a customer may get so many accounts.
func (p *partitioner) refused(rule *TypeRule, largest int, ends [][2]int) []ReviewReason {
	refused := make([]ReviewReason, len(ends))
	if largest == math.MaxInt && !p.contradictions && !p.mayCrowd(ends, rule.PerShop) {
		return refused
	}
	t := p.ties(rule)
	t.largest = largest
	between := make([][2]int, len(ends))
	for i, e := range ends {
		if e[0] == e[1] {
			continue
		}
		if refused[i] = cmp.Or(p.nobodys[e[1]], p.refuse(e[0], e[1], rule.PerShop, largest)); refused[i] == "" {
			between[i] = t.tie(e[0], e[1])
		}
	}
	if len(t.roots) > 2 { // of two alone refuse has said it
		t.untangle()
	}
	for i := range ends {
		refused[i] = cmp.Or(refused[i], t.cuts[between[i]])
	}
	return refused
}

// mayCrowd says whether all that links would join, together, has more accounts of one shop
// than so many; 0 is no bound. Of more than a few links it says so in any case.
func (p *partitioner) mayCrowd(ends [][2]int, perShop int) bool {
	if perShop == 0 || len(ends) > few {
		return perShop > 0
	}
	var roots [2 * few]int
	n := 0
	for _, e := range ends {
		for _, root := range e {
			if !slices.Contains(roots[:n], root) {
				roots[n] = root
				n++
			}
		}
	}
	for i, a := range roots[:n] {
		for _, s := range p.clusters[a].shops {
			accounts := s.n
			for _, b := range roots[i+1 : n] {
				for _, t := range p.clusters[b].shops {
					if t.platform == s.platform && t.shop == s.shop {
						accounts += t.n
					}
				}
			}
			if accounts > perShop {
				return true
			}
		}
	}
	return false
}

// mayContradict says whether anything in the component keeps accounts from being one
// person, whatever joins them: a person's word, or values of exclusive types.
func (p *partitioner) mayContradict() bool {
	if len(p.apart) > 0 {
		return true
	}
	var borne []Identifier // as many as one person may bear, at most
	for _, ids := range p.component.Exclusive {
		for _, id := range ids {
			if slices.Contains(borne, id) {
				continue
			}
			borne = append(borne, id)
			if count(borne, func(other Identifier) bool { return other.Type == id.Type }) > p.rules.Types[id.Type].Exclusive {
				return true
			}
		}
	}
	return false
}

// ties are links of one strength and type as a graph of what stronger ones have joined.
// Where it connects whom one person cannot be, what lies between them is cut.
type ties struct {
	p       *partitioner
	rule    *TypeRule   // of the type
	largest int         // of the accounts that they may bring together
	number  map[int]int // of roots
	roots   []int
	near    []map[int]bool
	cuts    map[[2]int]ReviewReason // edges, the lower node first
}

func (p *partitioner) ties(rule *TypeRule) *ties {
	return &ties{p: p, rule: rule, largest: math.MaxInt, number: map[int]int{}, cuts: map[[2]int]ReviewReason{}}
}

func (t *ties) node(root int) int {
	n, ok := t.number[root]
	if !ok {
		n = len(t.roots)
		t.number[root], t.roots, t.near = n, append(t.roots, root), append(t.near, map[int]bool{})
	}
	return n
}

// tie adds an edge, and returns it as cuts names it.
func (t *ties) tie(a, b int) [2]int {
	x, y := t.node(a), t.node(b)
	t.near[x][y], t.near[y][x] = true, true
	return [2]int{min(x, y), max(x, y)}
}

func (t *ties) cluster(node int) *cluster { return &t.p.clusters[t.roots[node]] }

func (t *ties) cut(edges [][2]int, reason ReviewReason) bool {
	for _, e := range edges {
		x, y := min(e[0], e[1]), max(e[0], e[1])
		delete(t.near[x], y)
		delete(t.near[y], x)
		t.cuts[[2]int{x, y}] = reason
	}
	return len(edges) > 0
}

// untangle cuts until nothing connects whom one person cannot be. The nearest and the
// surest are cut first, since that may be all there is: who is not one of two persons, by
// somebody's word or by an exclusive value, may be the other.
func (t *ties) untangle() {
	steps := []func() bool{t.partApart, t.partExclusive, t.tearApart, t.tearExclusive, t.tearShops, t.tearLargest}
	if !t.p.contradictions {
		steps = steps[4:]
	}
	for i := 0; i < len(steps); {
		if steps[i]() {
			i = 0
		} else {
			i++
		}
	}
}

// keptApart are the nodes that a person's word keeps apart.
func (t *ties) keptApart() (pairs [][2]int) {
	for _, pair := range t.p.apart {
		x, here := t.number[t.p.find(pair[0])]
		y, hereToo := t.number[t.p.find(pair[1])]
		if here && hereToo {
			pairs = append(pairs, [2]int{x, y})
		}
	}
	return pairs
}

// nobodys says whether the first two who contradict each other cut off all bearers of what a
// node stands for.
func (t *ties) nobodys(hub int) bool { return t.cluster(hub).size == 0 && t.rule.Exclusive == 0 }

// part cuts off from a node two neighbours who contradict each other: it is with one of
// them at most, and nothing tells with which. An identifier that is nobody's yet tells
// nothing of its other bearers either, unless one person alone has it.
func (t *ties) part(edges [][2]int, hub, x, y int, why ReviewReason) [][2]int {
	if !t.nobodys(hub) {
		return append(edges, [2]int{x, hub}, [2]int{y, hub})
	}
	if t.p.nobodys == nil {
		t.p.nobodys = map[int]ReviewReason{}
	}
	t.p.nobodys[t.roots[hub]] = why
	for n := range t.near[hub] {
		edges = append(edges, [2]int{n, hub})
	}
	return edges
}

// partApart parts, of whatever they share, those whom a word keeps apart.
func (t *ties) partApart() bool {
	var edges [][2]int
	whole := map[int]bool{} // hubs of which all is cut
	for _, pair := range t.keptApart() {
		for hub := range t.near[pair[0]] {
			if t.near[pair[1]][hub] && !whole[hub] {
				edges = t.part(edges, hub, pair[0], pair[1], ReviewDifferent)
				whole[hub] = t.nobodys(hub)
			}
		}
	}
	return t.cut(edges, ReviewDifferent)
}

// partExclusive parts, of whatever they share, those whose exclusive values contradict
// each other. Each pair of them is compared: of more than a customer may
// have accounts, none is.
func (t *ties) partExclusive() bool {
	var edges [][2]int
hubs:
	for hub := range t.near {
		var bearers []int
		for n := range t.near[hub] {
			if len(t.cluster(n).exclusive) > 0 {
				bearers = append(bearers, n)
			}
		}
		if len(bearers) > t.p.rules.LargestCustomer {
			continue
		}
		for i, x := range bearers {
			for _, y := range bearers[i+1:] {
				if t.p.rules.exceedsExclusive(t.cluster(x), t.cluster(y)) {
					edges = t.part(edges, hub, x, y, ReviewExclusive)
					if t.nobodys(hub) {
						continue hubs
					}
				}
			}
		}
	}
	return t.cut(edges, ReviewExclusive)
}

// tearApart tears what lies between those whom a word keeps apart.
func (t *ties) tearApart() bool {
	part := parts(t.near)
	var rivals []int
	for _, pair := range t.keptApart() {
		if part[pair[0]] == part[pair[1]] {
			rivals = append(rivals, pair[0], pair[1])
		}
	}
	return t.tear(part, rivals, ReviewDifferent)
}

// tearExclusive tears what lies between the bearers of an exclusive type where they
// bear more values together than one person may, and than one of them does.
func (t *ties) tearExclusive() bool {
	type borne struct {
		part int
		typ  IdentifierType
	}
	part := parts(t.near)
	values, most, bearers := map[borne]map[Hash]bool{}, map[borne]int{}, map[borne][]int{}
	for n := range t.roots {
		own := map[borne]int{}
		for _, id := range t.cluster(n).exclusive {
			of := borne{part[n], id.Type}
			if values[of] == nil {
				values[of] = map[Hash]bool{}
			}
			values[of][id.Hash] = true
			if own[of]++; own[of] == 1 {
				bearers[of] = append(bearers[of], n)
			}
			most[of] = max(most[of], own[of])
		}
	}
	var rivals []int
	for of, distinct := range values {
		if len(distinct) > max(most[of], t.p.rules.Types[of.typ].Exclusive) {
			rivals = append(rivals, bearers[of]...)
		}
	}
	return t.tear(part, rivals, ReviewExclusive)
}

// tearShops tears what lies between more persons of a shop than one may be.
func (t *ties) tearShops() bool {
	if t.rule.PerShop == 0 {
		return false
	}
	type shop struct {
		part           int
		platform, shop string
	}
	part := parts(t.near)
	accounts, persons := map[shop]int{}, map[shop][]int{}
	for n := range t.roots {
		for _, s := range t.cluster(n).shops {
			of := shop{part[n], s.platform, s.shop}
			accounts[of] += s.n
			persons[of] = append(persons[of], n)
		}
	}
	var rivals []int
	for of, nodes := range persons {
		if len(nodes) > 1 && accounts[of] > t.rule.PerShop {
			rivals = append(rivals, nodes...)
		}
	}
	return t.tear(part, rivals, ReviewPerShop)
}

// tearLargest cuts all ties of a part with more accounts than a customer may have: which
// of them are one, nothing tells.
func (t *ties) tearLargest() bool {
	if t.largest == math.MaxInt {
		return false
	}
	part, size := parts(t.near), map[int]int{}
	for n := range t.roots {
		size[part[n]] += t.cluster(n).size
	}
	var edges [][2]int
	for x := range t.near {
		for y := range t.near[x] {
			if x < y && size[part[x]] > t.largest {
				edges = append(edges, [2]int{x, y})
			}
		}
	}
	return t.cut(edges, ReviewLargest)
}

// tear cuts all that lies between rivals, of whom there are several in each part that
// has any; what merely hangs on stays.
func (t *ties) tear(part, rivals []int, reason ReviewReason) bool {
	if len(rivals) == 0 {
		return false
	}
	rival, torn := make([]bool, len(t.near)), map[int]bool{}
	for _, n := range rivals {
		rival[n], torn[part[n]] = true, true
	}
	left, hangs := make([]int, len(t.near)), make([]bool, len(t.near))
	for n := range t.near {
		left[n] = len(t.near[n])
	}
	for n := range t.near {
		for leaf := n; left[leaf] == 1 && !rival[leaf] && !hangs[leaf]; {
			hangs[leaf] = true
			for other := range t.near[leaf] {
				if !hangs[other] { // its only one
					left[other]--
					leaf = other
				}
			}
		}
	}
	var edges [][2]int
	for x := range t.near {
		for y := range t.near[x] {
			if x < y && torn[part[x]] && !hangs[x] && !hangs[y] {
				edges = append(edges, [2]int{x, y})
			}
		}
	}
	return t.cut(edges, reason)
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
