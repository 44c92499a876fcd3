package identity

import (
	"cmp"
	"slices"
)

// holders are who an identifier's group was held by: one after the other, if it
// changed hands, else one.
type holders struct {
	crowded bool // one shop knows more persons by it than it may: it joins nobody
	all     []holder
	part    []int // of each member, its holder; nil if there is one
	one     [1]holder
}

// holder is a node of the union–find that stands for a group, or for the part of
// it that one held.
type holder struct {
	node, span int
}

func (h *holders) of(member int) *holder {
	if h.part == nil {
		return &h.all[0]
	}
	return &h.all[h.part[member]]
}

// spansApart is between the Spans of the holders of one group.
const spansApart = 1 << 16

// holders says who holds a group, before the first of its links. Where one shop knows
// more persons by it than it may, nobody can say that it changed hands: a family, of
// whom each binds the number once, looks just so.
func (p *partitioner) holders(g int) *holders {
	group := &p.component.Groups[g]
	if p.crowded(group.Identifier, group.Members) {
		p.reviewMembers(group.Identifier, group.Span, group.Members, ReviewPerShop)
		return &holders{crowded: true}
	}
	h, parts := &holders{part: p.changesOfHands(group)}, 1
	h.all = h.one[:0]
	if h.part != nil {
		parts = slices.Max(h.part) + 1
	}
	for part := range parts {
		held := holder{node: len(p.component.Accounts) + g, span: group.Span + part*spansApart}
		if part > 0 {
			held.node = len(p.parent)
			p.parent, p.clusters = append(p.parent, held.node), append(p.clusters, cluster{first: -1})
		}
		h.all = append(h.all, held)
	}
	return h
}

// changesOfHands numbers for each member of a group who held the identifier, in the
// order of time; nil if that may be one, or if they are more than a customer may have
// accounts: each pair of them is compared, and so many are no change of hands.
//
// It changed hands in a time of at least ReissueDays in which nobody was seen with
// it, if somebody from before and somebody from after contradict each other, by
// values of which a customer has fewer or by a person's word, and no person was
// seen on both sides: who has it again never gave it up. Persons are what stronger
// links have joined. In which of several such times it changed hands nothing
// tells: then in each of them.
func (p *partitioner) changesOfHands(group *Group) []int {
	if n := len(group.Members); n < 2 || n > p.rules.LargestCustomer {
		return nil
	}
	order := make([]int, len(group.Members))
	for i := range order {
		order[i] = i
	}
	turn := func(k int) int { return group.Members[order[k]].Turn }
	slices.SortFunc(order, func(i, j int) int { return cmp.Compare(group.Members[i].Turn, group.Members[j].Turn) })
	if turn(0) == turn(len(order)-1) {
		return nil
	}
	roots := make([]int, len(order))
	for k, m := range order {
		roots[k] = p.find(group.Members[m].Account)
	}
	// Counts of what begins (above 0) and ends (below) before the k-th: pairs that
	// contradict each other, and persons who are on both sides.
	contradicted, spanned := make([]int, len(order)+1), make([]int, len(order)+1)
	for i := range order {
		for j := i + 1; j < len(order); j++ {
			count := contradicted
			switch {
			case roots[i] == roots[j]:
				count = spanned
			case !p.contradict(roots[i], roots[j]):
				continue
			}
			count[i+1]++
			count[j+1]--
		}
	}
	part := make([]int, len(order))
	number, between, both := 0, 0, 0
	for k, m := range order {
		between, both = between+contradicted[k], both+spanned[k]
		if k > 0 && turn(k) != turn(k-1) && between > 0 && both == 0 {
			number++
		}
		part[m] = number
	}
	if number == 0 {
		return nil
	}
	return part
}

// contradict says whether two clusters cannot be one person.
func (p *partitioner) contradict(a, b int) bool {
	return p.rules.exceedsExclusive(&p.clusters[a], &p.clusters[b]) || p.keptApart(a, b)
}
