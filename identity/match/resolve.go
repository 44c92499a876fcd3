package match

import (
	"cmp"
	"context"
	"encoding/binary"
	"math"
	"slices"
	"sort"
	"strconv"

	"oneid/identity"
)

// Reason says why a link does not join its two clusters.
type Reason string

// The reasons. All but the first are constraints of the model.
const (
	// Bridge: next to nothing else speaks for the two clusters being one.
	Bridge    Reason = "bridge"
	Exclusive Reason = "exclusive"  // they have two values of what an entity has one of
	PerSource Reason = "per_source" // a source would have too many records in one
	Largest   Reason = "largest"    // it would have too many records
)

// Reasons lists them all.
func Reasons() []Reason { return []Reason{Bridge, Exclusive, PerSource, Largest} }

// reasons are the words for what identity's rules refuse, where records stand for
// accounts and sources for shops.
var reasons = map[identity.ReviewReason]Reason{
	identity.ReviewExclusive: Exclusive,
	identity.ReviewPerShop:   PerSource,
	identity.ReviewLargest:   Largest,
}

// Refusal is a link that was not followed, and why. Its records are in two
// clusters.
type Refusal struct {
	Link
	Reason Reason
}

const (
	// bridge is the mean probability of the pairs between two clusters below
	// which a link does not join them: one false link between two dense groups
	// is one pair of many.
	bridge = 0.3
	// maxBetween bounds how many of these pairs are looked at, evenly spread.
	maxBetween = 400
)

// rules are the model's constraints as package identity has them. A type of
// identifier is a comparison that is exclusive, by its name.
func (m *Model) rules() *identity.Rules {
	rules := &identity.Rules{
		LargestCustomer: math.MaxInt, Types: map[identity.IdentifierType]*identity.TypeRule{},
		Model: &identity.ModelRule{PerShop: m.PerSource},
	}
	if m.Largest > 0 {
		rules.LargestCustomer = m.Largest
	}
	for _, c := range m.Comparisons {
		if c.Exclusive {
			rules.Types[identity.IdentifierType(c.Name)] = &identity.TypeRule{Exclusive: 1}
		}
	}
	return rules
}

// resolution is clusters as identity's Partition makes them of links, one
// connected component after the other: the heaviest link first, each refused if it
// breaks a constraint or is a bridge.
type resolution struct {
	r     *records
	s     *scorer
	rules *identity.Rules
	// twice is what speaks against an entity that a source has twice, in bits
	// by source; nil is nothing.
	twice []float64

	links     []Link    // best first
	outcomes  []outcome // of the links
	threshold float64
	followed  int // so many links are from the threshold up
	cluster   []uint32
	refused   []Refusal
}

// outcome is what became of a link when its turn came. The zero value is one
// whose records were in one cluster already.
type outcome struct {
	reason Reason // "" if it was not refused
	// pairs between the two clusters that it joined, 0 if it joined none, and how
	// many of them are expected to be one entity.
	pairs, right float64
}

// resolve finds the clusters by links that are sorted, best first, down to the
// model's accept, or, if it is 0, to the probability that promises the best
// clusters. A link joins the same clusters however many weaker ones come after it,
// so all are tried, and what lies below that probability is left out afterwards.
func (x *resolution) resolve(ctx context.Context, links []Link) error {
	accept := x.r.model.Accept
	x.links, x.followed, x.threshold = links, len(links), accept
	if accept > 0 {
		x.followed = sort.Search(len(links), func(k int) bool { return links[k].Probability() < accept })
		x.links = links[:x.followed]
	}
	x.outcomes = make([]outcome, len(x.links))
	c := x.components()
	const pieces = 64
	err := parallel(ctx, pieces, nil, func(piece int) {
		p := &partitioning{resolution: x, ctx: ctx}
		from, to := piece*len(c.records)/pieces, (piece+1)*len(c.records)/pieces
		i, _ := slices.BinarySearch(c.at[:c.count()], from)
		for ; i < c.count() && c.at[i] < to && ctx.Err() == nil; i++ {
			p.partition(c, i)
		}
	})
	if err != nil {
		return err
	}
	if accept == 0 {
		if x.followed = x.best(); x.followed > 0 {
			x.threshold = links[x.followed-1].Probability()
		} else {
			x.threshold = 1
		}
	}
	x.join()
	return nil
}

// best says after how many links the pairs in one cluster that are expected to
// be right are most, against all pairs in one cluster and all expected right
// ones (the expected F1).
func (x *resolution) best() (best int) {
	total := 0.0
	for _, l := range x.links {
		total += l.Probability()
	}
	right, pairs, bestF := 0.0, 0.0, 0.0
	for k, o := range x.outcomes {
		right += o.right
		pairs += o.pairs
		if k+1 == len(x.links) || x.links[k+1].Weight < x.links[k].Weight {
			if f := 2 * right / (pairs + total); f > bestF {
				bestF, best = f, k+1
			}
		}
	}
	return best
}

// join puts together what the links from the threshold up joined, and lists
// those of them that lead from one cluster to another.
func (x *resolution) join() {
	u := newUnion(x.r.n)
	for k, o := range x.outcomes[:x.followed] {
		if o.pairs > 0 {
			u.join(x.links[k].A, x.links[k].B)
		}
	}
	for record := range u {
		u[record] = u.root(uint32(record))
	}
	x.cluster, x.refused = u, nil
	for k, l := range x.links[:x.followed] {
		if u[l.A] != u[l.B] {
			x.refused = append(x.refused, Refusal{l, x.outcomes[k].reason})
		}
	}
}

// joined are the links that joined two clusters: a tree over each cluster.
func (x *resolution) joined() (links []Link) {
	for k, o := range x.outcomes[:x.followed] {
		if o.pairs > 0 {
			links = append(links, x.links[k])
		}
	}
	return links
}

// union is records as they are connected: the next one on the way to the root,
// which is the lowest of them.
type union []uint32

func newUnion(n int) union {
	u := make(union, n)
	for i := range u {
		u[i] = uint32(i)
	}
	return u
}

func (u union) root(i uint32) uint32 {
	for u[i] != i {
		u[i] = u[u[i]]
		i = u[i]
	}
	return i
}

func (u union) join(a, b uint32) {
	a, b = u.root(a), u.root(b)
	u[max(a, b)] = min(a, b)
}

// components are the records that links connect, and these links.
type components struct {
	// records of all components, one after the other, each in the order of their
	// accounts; at says where each begins, and the last ends.
	records []uint32
	at      []int
	// links by their numbers, in the same way, best first.
	links  []uint32
	linkAt []int
	// place of a record among those of its component.
	place []uint32
}

func (c *components) count() int { return len(c.at) - 1 }

func (x *resolution) components() *components {
	u := newUnion(x.r.n)
	for _, l := range x.links {
		u.join(l.A, l.B)
	}
	// A root is the lowest record of its component, so that it comes first.
	const none = math.MaxUint32
	number := make([]uint32, x.r.n) // of the component, by root
	size := make([]uint32, x.r.n)   // by root
	for record := range u {
		root := u.root(uint32(record))
		u[record] = root
		size[root]++
	}
	c := &components{at: []int{0}, place: size} // a size is not needed once a place is
	for root := range u {
		number[root] = none
		if u[root] == uint32(root) && size[root] > 1 {
			number[root] = uint32(c.count())
			c.at = append(c.at, c.at[c.count()]+int(size[root]))
		}
	}
	c.records, c.linkAt = make([]uint32, c.at[c.count()]), make([]int, c.count()+1)
	next := slices.Clone(c.at)
	for record, root := range u {
		if i := number[root]; i != none {
			c.records[next[i]] = uint32(record)
			next[i]++
		}
	}
	for i := range c.count() {
		mine := c.records[c.at[i]:c.at[i+1]]
		if sources := x.r.sources; sources != nil {
			slices.SortFunc(mine, func(a, b uint32) int { return cmp.Or(cmp.Compare(sources[a], sources[b]), cmp.Compare(a, b)) })
		}
		for k, record := range mine {
			c.place[record] = uint32(k)
		}
	}
	for _, l := range x.links {
		c.linkAt[number[u[l.A]]+1]++
	}
	for i := range c.count() {
		c.linkAt[i+1] += c.linkAt[i]
	}
	c.links = make([]uint32, len(x.links))
	copy(next, c.linkAt)
	for k, l := range x.links {
		i := number[u[l.A]]
		c.links[next[i]] = uint32(k)
		next[i]++
	}
	return c
}

// partitioning resolves one component after the other.
type partitioning struct {
	*resolution
	ctx context.Context
	// Of the component: its records, and its links by their numbers.
	records []uint32
	numbers []uint32
	// apart has two clusters that a bridge did not join, by their lowest accounts
	// and sizes, so that their other links need not look again.
	apart  map[[4]int]bool
	judged int

	component identity.Component // its slices are used again
	digits    []byte
}

// partition resolves the i-th component.
func (p *partitioning) partition(c *components, i int) {
	p.begin(c, i)
	if len(p.records) == 2 && len(p.numbers) == 1 && len(p.rules.Types) == 0 && p.rules.LargestCustomer > 1 {
		// Most are two records that one link connects: no constraint is about them,
		// and the link is all there is.
		p.follow(p.numbers[0], p.links[p.numbers[0]].Probability(), 1)
		return
	}
	p.join(c)
}

// begin takes up the i-th component.
func (p *partitioning) begin(c *components, i int) {
	p.records, p.numbers, p.apart = c.records[c.at[i]:c.at[i+1]], c.links[c.linkAt[i]:c.linkAt[i+1]], nil
}

// join has identity's Partition join what the component's links join.
func (p *partitioning) join(c *components) {
	in := &p.component
	in.Accounts, in.Pairs, in.Exclusive, in.Judge = in.Accounts[:0], in.Pairs[:0], in.Exclusive[:0], p.judge
	for _, record := range p.records {
		in.Accounts = append(in.Accounts, p.account(record))
		if len(p.rules.Types) > 0 {
			in.Exclusive = append(in.Exclusive, p.exclusive(record))
		}
	}
	if len(in.Exclusive) == 0 {
		in.Exclusive = nil
	}
	for _, k := range p.numbers {
		a, b := int(c.place[p.links[k].A]), int(c.place[p.links[k].B])
		in.Pairs = append(in.Pairs, identity.Resemblance{A: min(a, b), B: max(a, b), Weight: p.links[k].Weight})
	}
	p.rules.Partition(*in)
}

// account is a record's, in the order of sources and then of records: with as
// many digits for each.
func (p *partitioning) account(record uint32) identity.Account {
	a := identity.Account{Platform: "table"}
	if p.r.sources != nil {
		a.Shop = shops[p.r.sources[record]]
	}
	p.digits = strconv.AppendUint(p.digits[:0], 1e10+uint64(record), 10)
	a.ID = string(p.digits)
	return a
}

// shops are the names of sources, in their order.
var shops = func() (names [256]string) {
	for i := range names {
		names[i] = strconv.Itoa(1000 + i)
	}
	return names
}()

// exclusive are a record's values of which an entity has one.
func (p *partitioning) exclusive(record uint32) (ids []identity.Identifier) {
	for i, value := range p.r.row(record) {
		if value != 0 && p.r.model.Comparisons[i].Exclusive {
			id := identity.Identifier{Type: identity.IdentifierType(p.r.fields[i].name)}
			binary.BigEndian.PutUint32(id.Hash[:], value)
			ids = append(ids, id)
		}
	}
	return ids
}

// judge is the identity.Judge of a component: it refuses bridges, unless the model
// wants whatever is connected.
func (p *partitioning) judge(pair int, constraint identity.ReviewReason, a, b identity.Cluster) identity.ReviewReason {
	o, l := &p.outcomes[p.numbers[pair]], p.links[p.numbers[pair]]
	if p.judged++; p.judged%4096 == 0 && p.ctx.Err() != nil {
		constraint = identity.ReviewLargest // nobody will look at it
	}
	if constraint != "" {
		o.reason = reasons[constraint]
		return constraint
	}
	if a.First() > b.First() {
		a, b = b, a
	}
	between := [4]int{a.First(), b.First(), a.Size(), b.Size()}
	if p.apart[between] {
		o.reason = Bridge
		return identity.ReviewReason(Bridge)
	}
	if !p.follow(p.numbers[pair], p.between(a, b, l), float64(a.Size())*float64(b.Size())) {
		if p.apart == nil {
			p.apart = map[[4]int]bool{}
		}
		p.apart[between] = true
		return identity.ReviewReason(Bridge)
	}
	return ""
}

// follow notes of a link, by its number, that it joins two clusters, with so many
// pairs of this mean probability between them. It refuses bridges, and says so.
func (p *partitioning) follow(number uint32, mean, pairs float64) bool {
	o := &p.outcomes[number]
	if mean < bridge && p.r.model.Clusters != Components {
		o.reason = Bridge
		return false
	}
	o.pairs, o.right = pairs, mean*pairs
	return true
}

// between is the mean probability of the pairs between two clusters; link is
// one of them.
func (p *partitioning) between(a, b identity.Cluster, link Link) float64 {
	if a.Size() == 1 && b.Size() == 1 {
		return link.Probability()
	}
	left, right := p.members(a), p.members(b)
	against := p.against(left, right)
	stepA, stepB := 1, 1
	for (len(left)/stepA)*(len(right)/stepB) > maxBetween {
		if len(left)/stepA > len(right)/stepB {
			stepA++
		} else {
			stepB++
		}
	}
	sum, n := 0.0, 0.0
	for i := 0; i < len(left); i += stepA {
		for k := 0; k < len(right); k += stepB {
			x, y := left[i], right[k]
			if p.r.sources != nil && p.r.sources[x] == p.r.sources[y] {
				continue // two records of one source were not compared
			}
			sum += probability(p.s.weight(p.r.compare(x, y), p.r.row(x)) - against)
			n++
		}
	}
	if n == 0 {
		return probability(float64(link.Weight) - against)
	}
	return sum / n
}

// members are the records of a cluster.
func (p *partitioning) members(c identity.Cluster) []uint32 {
	list := make([]uint32, 0, c.Size())
	for account := range c.Members() {
		list = append(list, p.records[account])
	}
	return list
}

// against is what speaks against two clusters being one because some sources
// would have it twice, in bits.
func (p *partitioning) against(left, right []uint32) (bits float64) {
	if p.twice == nil {
		return 0
	}
	var has [256]bool
	for _, x := range left {
		has[p.r.sources[x]] = true
	}
	for _, y := range right {
		if source := p.r.sources[y]; has[source] {
			bits += p.twice[source]
			has[source] = false
		}
	}
	return bits
}
