package identity

import (
	"bytes"
	"cmp"
	"iter"
	"slices"
	"strings"
)

// Resolution is what Resolve found. Each slice is sorted, so equal sets of
// evidence give equal resolutions.
type Resolution struct {
	// Customers are sets of accounts, each sorted, in the order of their first
	// account. Every account of the evidence is in exactly one.
	Customers [][]Account
	// Links are what joined them.
	Links []Link
	// Reviews are the joins that were refused, for people to look at.
	Reviews []Review
}

// Link is one reason for which an account is in its customer: an identifier
// that it shares with others (those with a Link of equal Identifier and
// Span), a decision that names it together with Other, or the model, to which
// it resembles Other.
type Link struct {
	Account    Account
	Identifier Identifier
	// Span tells apart the times of an identifier between which it joins nobody: of
	// a phone that passed from hand to hand, each owner's. They are numbered in the
	// order of time, from 0; where a change of hands is seen within one, its later
	// owners are 1<<16 apart.
	Span     int
	Strength int // 1 to 100
	// Decision is the ID of a decision Same, else empty.
	Decision string
	Other    Account
	// Weight, in bits, is above 0 for a link of the model: of Identifier, Account's
	// appearance, and OtherAppearance, that of Other.
	Weight          float32
	OtherAppearance Hash
}

// paired says whether the link is between two accounts.
func (l *Link) paired() bool { return l.Decision != "" || l.Weight > 0 }

// ReviewReason says why a join was refused.
type ReviewReason string

// The reasons.
const (
	ReviewExclusive ReviewReason = "exclusive"        // two values of a type of which a customer has one
	ReviewDifferent ReviewReason = "different"        // a decision keeps them apart
	ReviewLargest   ReviewReason = "largest_customer" // the customer would pass its bound: its weakest identifiers went inert
	ReviewPerShop   ReviewReason = "per_shop"         // one shop knows several accounts by this value
	ReviewAccounts  ReviewReason = "accounts"         // the value bears too many accounts
	ReviewValues    ReviewReason = "values"           // the account bears too many values of the type
	ReviewModel     ReviewReason = "model"            // the two resemble each other, and not enough, or not surely themselves, to be joined
	ReviewBlock     ReviewReason = "block"            // too many accounts have appearances that meet under this key
	// Of two accounts that were told to resemble each other, and resemble no more: what
	// was told before is withdrawn. It says so to who keeps what was told; Resolve keeps
	// nothing and never gives it.
	ReviewWithdrawn ReviewReason = "withdrawn"
)

// Review is a refused join. For an inert identifier Accounts are those that
// it would have joined (not listed for ReviewAccounts and ReviewBlock, nor where
// they alone are more than a customer may have: there are too many), for
// ReviewValues those that it does not join, though it joins others; for one
// refused link, the account and one of those it would have met.
type Review struct {
	Reason     ReviewReason
	Identifier Identifier
	Span       int
	Decision   string // a decision Same that contradicts others
	Accounts   []Account
	// Weight, in bits, is above 0 for two accounts that resemble each other: by
	// Identifier, the appearance of the first, and Other, that of the second. Why
	// tells its parts where a Scorer was asked, with no value in them.
	Weight float32  `json:",omitzero"`
	Other  Hash     `json:",omitzero"`
	Why    []string `json:",omitempty"`
}

// Compare orders reviews.
func (v Review) Compare(w Review) int {
	return cmp.Or(strings.Compare(string(v.Reason), string(w.Reason)), v.Identifier.Compare(w.Identifier), cmp.Compare(v.Span, w.Span),
		strings.Compare(v.Decision, w.Decision), slices.CompareFunc(v.Accounts, w.Accounts, Account.Compare),
		cmp.Compare(w.Weight, v.Weight), bytes.Compare(v.Other[:], w.Other[:]))
}

// Sighting is all that one account's evidence in joining roles says of one
// identifier. Account and Shop are the caller's numbers; Shop is -1 for an
// account that is not Identified.
type Sighting struct {
	Account, Shop int
	Strength      int
	First, Last   int64
	// Turn counts the times of its type's ReissueDays that the identifier was not
	// seen before this; Groups sets it.
	Turn int
	// Bridge says that the account bears more values of the type than it may.
	Bridge bool
}

// Group is the sightings of one identifier in one span. It joins its accounts
// unless it is inert.
type Group struct {
	Identifier Identifier
	Span       int
	Inert      ReviewReason // "" if it joins
	Members    []Sighting   // one an account
}

// Groups says what an identifier may join, given every account's sighting of
// it: a rule of the identifier alone, whatever else its accounts bear. It sorts
// the sightings. Groups of one account are left out. At most one group, with
// no members, comes back for an identifier that bears too many accounts. Bridges
// count among these and are in a group of their own, which is inert.
func (r *Rules) Groups(id Identifier, sightings []Sighting) []Group {
	rule := r.Types[id.Type]
	if rule == nil || len(sightings) < 2 {
		return nil
	}
	if rule.Accounts > 0 && len(sightings) > rule.Accounts {
		return []Group{{Identifier: id, Inert: ReviewAccounts}}
	}
	slices.SortFunc(sightings, func(a, b Sighting) int {
		return cmp.Or(cmp.Compare(a.First, b.First), cmp.Compare(a.Last, b.Last), cmp.Compare(a.Account, b.Account))
	})
	sightings, groups := r.withoutBridges(id, sightings)
	if len(sightings) < 2 {
		return groups
	}
	span, turn, from, last := 0, 0, 0, sightings[0].Last
	sightings[0].Turn = 0
	for i := 1; i <= len(sightings); i++ {
		if i < len(sightings) {
			if rule.reissue > 0 && sightings[i].First > last+rule.reissue {
				turn++
			}
			sightings[i].Turn = turn
		}
		if i < len(sightings) && (rule.gap == 0 || sightings[i].First <= last+rule.gap) {
			last = max(last, sightings[i].Last)
			continue
		}
		if i-from > 1 {
			groups = append(groups, Group{Identifier: id, Span: span, Members: sightings[from:i:i]})
		}
		if i < len(sightings) {
			span, from, last = span+1, i, sightings[i].Last
		}
	}
	return groups
}

// Component is accounts with all that may join or part them: whole, so that
// no group that joins, no decision Same and no pair reaches outside.
type Component struct {
	// Accounts are sorted.
	Accounts []Account
	// Groups' members number the Accounts. Those that are inert join nothing.
	Groups []Group
	// Exclusive lists, for each account, its identifiers of exclusive types.
	Exclusive [][]Identifier
	// Verdicts whose accounts are both in the component, ordered by pair.
	Verdicts []Verdict
	// Pairs are those of which the model says that they are one person, each of
	// two accounts once, A below B.
	Pairs []Resemblance
	// Judge has the last word on the Pairs; nil is that of accounts: who resembles
	// more persons of one shop than the model's PerShop is joined to none of them.
	Judge Judge
}

// Judge hears of each pair, numbered as in Component.Pairs, whose accounts are
// in two clusters when its turn comes, and of the constraint that keeps these
// apart; "" for none. It answers why they are not joined, "" joins them; what a
// constraint keeps apart stays so, whatever it answers. Where there is a judge,
// Links and Reviews leave the pairs to it.
type Judge func(pair int, constraint ReviewReason, a, b Cluster) ReviewReason

// Partition is a resolved component.
type Partition struct {
	// Customer gives for each account the number of its customer's first.
	Customer []int
	Links    []Link
	Reviews  []Review
}

// Partition resolves a component: decisions first, then links by strength, priority
// and type, then pairs by weight, each refused if it breaks a constraint; those that are
// equal in all of these at once, so that no key of an account decides, and no hash. The
// exception is which of equally strong identifiers goes inert.
// Where links make a customer too large, its weakest identifiers go inert and it
// begins anew without them, until none is too large.
func (r *Rules) Partition(c Component) Partition {
	p := r.partitioner(c)
	for p.lighten() {
		p = r.partitioner(p.component)
	}
	if len(c.Pairs) > 0 {
		p.resemble()
	}
	reviews := slices.DeleteFunc(p.reviews, func(v Review) bool { // what others have joined is no question
		return v.Decision != "" && p.find(p.account(v.Accounts[0])) == p.find(p.account(v.Accounts[1]))
	})
	out := Partition{Customer: make([]int, len(c.Accounts)), Links: p.links, Reviews: reviews}
	for i := range out.Customer {
		out.Customer[i] = p.clusters[p.find(i)].first
	}
	slices.SortFunc(out.Reviews, Review.Compare)
	return out
}

// partitioner has joined what decisions and identifiers join.
func (r *Rules) partitioner(c Component) *partitioner {
	n := len(c.Accounts)
	p := &partitioner{rules: r, component: c, parent: make([]int, n+len(c.Groups)), clusters: make([]cluster, n+len(c.Groups))}
	if c.Judge != nil {
		p.next, p.last = make([]int, n), make([]int, n)
		for i := range n {
			p.next[i], p.last[i] = -1, i
		}
	}
	shops := make([]shopCount, n) // one piece for all
	for i := range p.parent {
		p.parent[i] = i
		if i < n {
			p.clusters[i] = cluster{size: 1, first: i}
			if c.Exclusive != nil {
				p.clusters[i].exclusive = c.Exclusive[i]
			}
			if a := c.Accounts[i]; a.Identified() {
				shops[i] = shopCount{a.Platform, a.Shop, 1}
				p.clusters[i].shops = shops[i : i+1 : i+1]
			}
		} else {
			p.clusters[i].first = -1
		}
	}
	p.decide()
	p.link()
	return p
}

type shopCount struct {
	platform, shop string
	n              int
}

// A cluster is what was joined so far: what the constraints ask about.
type cluster struct {
	size      int // accounts
	first     int // its lowest account; -1 for a group that no account joined
	exclusive []Identifier
	shops     []shopCount
}

// partitioner is a union–find over accounts, then groups.
type partitioner struct {
	rules     *Rules
	component Component
	parent    []int
	clusters  []cluster // of roots
	apart     [][2]int  // accounts that a decision keeps apart
	// contradictions says that the component has some: see mayContradict.
	contradictions bool
	held           []*holders // of the component's groups; nil for one that has no links
	// nobodys are holders of whose bearers two are two persons: weaker links lead to
	// nobody there either.
	nobodys map[int]ReviewReason
	links   []Link
	reviews []Review
	// A cluster's accounts are a chain for its judge, from its first: next of each,
	// -1 after the last, which is kept by the first. nil where nobody asks.
	next, last []int
}

// Cluster is what was joined so far, as a Judge sees it until it answers.
type Cluster struct {
	p    *partitioner
	root int
}

// Size is how many accounts it has.
func (c Cluster) Size() int { return c.p.clusters[c.root].size }

// First is its lowest account. With the size it tells a cluster from all that
// it was before and from every other.
func (c Cluster) First() int { return c.p.clusters[c.root].first }

// Members are its accounts.
func (c Cluster) Members() iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := c.First(); i >= 0 && yield(i); i = c.p.next[i] {
		}
	}
}

func (p *partitioner) find(i int) int {
	for p.parent[i] != i {
		p.parent[i] = p.parent[p.parent[i]]
		i = p.parent[i]
	}
	return i
}

func (p *partitioner) account(a Account) int {
	i, _ := slices.BinarySearchFunc(p.component.Accounts, a, Account.Compare)
	return i
}

func (p *partitioner) decide() {
	if len(p.component.Verdicts) == 0 {
		return
	}
	for _, v := range p.component.Verdicts {
		if v.Kind == Different {
			p.apart = append(p.apart, [2]int{p.account(v.Pair.A), p.account(v.Pair.B)})
		}
	}
	// Which of the sames that contradict a different comes first only their accounts say:
	// none is taken because it came before another.
	var sames []Verdict
	var between [][2]int
	t := p.ties(new(TypeRule))
	for _, v := range p.component.Verdicts {
		if v.Kind == Same {
			sames = append(sames, v)
			between = append(between, t.tie(p.account(v.Pair.A), p.account(v.Pair.B)))
		}
	}
	for t.partApart() || t.tearApart() {
	}
	for i, v := range sames {
		if reason := t.cuts[between[i]]; reason != "" {
			p.reviews = append(p.reviews, Review{Reason: reason, Decision: v.ID, Accounts: []Account{v.Pair.A, v.Pair.B}})
			continue
		}
		p.join(p.find(p.account(v.Pair.A)), p.find(p.account(v.Pair.B)))
		p.links = append(p.links, Link{Account: v.Pair.A, Other: v.Pair.B, Decision: v.ID})
	}
}

// link takes the links of identifiers: by strength, priority and type, and in the order
// of their keys.
func (p *partitioner) link() {
	n := 0
	for _, group := range p.component.Groups {
		n += len(group.Members)
	}
	links := make([]link, 0, n)
	p.links = slices.Grow(p.links, n)
	for g, group := range p.component.Groups {
		if group.Inert != "" {
			p.reviewMembers(group.Identifier, group.Span, group.Members, group.Inert)
			continue
		}
		for m := range group.Members {
			links = append(links, link{g, m})
		}
	}
	// alike orders by all but the keys.
	alike := func(a, b link) int {
		g, h := &p.component.Groups[a.group], &p.component.Groups[b.group]
		return cmp.Or(cmp.Compare(h.Members[b.member].Strength, g.Members[a.member].Strength),
			cmp.Compare(p.rules.Types[g.Identifier.Type].Priority, p.rules.Types[h.Identifier.Type].Priority),
			strings.Compare(string(g.Identifier.Type), string(h.Identifier.Type)))
	}
	slices.SortFunc(links, func(a, b link) int {
		g, h := &p.component.Groups[a.group], &p.component.Groups[b.group]
		return cmp.Or(alike(a, b), g.Identifier.Compare(h.Identifier), cmp.Compare(g.Span, h.Span),
			cmp.Compare(g.Members[a.member].Account, h.Members[b.member].Account))
	})
	p.held = make([]*holders, len(p.component.Groups))
	p.contradictions = p.mayContradict()
	for from := 0; from < len(links); {
		to := from + 1
		for to < len(links) && alike(links[from], links[to]) == 0 {
			to++
		}
		p.joinAlike(links[from:to], p.held)
		from = to
	}
}

// crowded says whether one shop knows more persons by an identifier's members
// than it may: accounts that something stronger has joined already are one
// person. It is asked before the first of the links, when all that is
// stronger has been taken.
func (p *partitioner) crowded(id Identifier, members []Sighting) bool {
	bound := p.rules.Types[id.Type].PerShop
	if bound == 0 {
		return false
	}
	if len(members) <= few {
		return p.fewCrowded(members, bound)
	}
	persons := make(map[int][]int) // by shop
	for _, m := range members {
		if m.Shop < 0 {
			continue
		}
		if root := p.find(m.Account); !slices.Contains(persons[m.Shop], root) {
			persons[m.Shop] = append(persons[m.Shop], root)
			if len(persons[m.Shop]) > bound {
				return true
			}
		}
	}
	return false
}

// few are compared one with each other, which takes no memory.
const few = 16

// fewCrowded is crowded for few members.
func (p *partitioner) fewCrowded(members []Sighting, bound int) bool {
	var roots, persons [few]int // persons are those whom the shop knows up to here; 0 for one that it knew before
	for i, m := range members {
		roots[i] = p.find(m.Account)
		known, again := 0, m.Shop < 0
		for j := range i {
			if members[j].Shop == m.Shop {
				known, again = max(known, persons[j]), again || roots[j] == roots[i]
			}
		}
		if again {
			continue
		}
		if persons[i] = known + 1; persons[i] > bound {
			return true
		}
	}
	return false
}

// reviewMembers says that an identifier joins nobody of its members, and why.
func (p *partitioner) reviewMembers(id Identifier, span int, members []Sighting, reason ReviewReason) {
	var accounts []Account
	if len(members) <= p.rules.LargestCustomer {
		for _, m := range members {
			accounts = append(accounts, p.component.Accounts[m.Account])
		}
		slices.SortFunc(accounts, Account.Compare)
	}
	p.reviews = append(p.reviews, Review{Reason: reason, Identifier: id, Span: span, Accounts: accounts})
}

// refuse says why the clusters a and b must not be joined by a link through
// which a customer may get perShop accounts of one shop and so many in all, ""
// if they may.
func (p *partitioner) refuse(a, b, perShop, largest int) ReviewReason {
	x, y := &p.clusters[a], &p.clusters[b]
	switch {
	case x.size == 0 || y.size == 0:
		return ""
	case p.keptApart(a, b):
		return ReviewDifferent
	case p.rules.exceedsExclusive(x, y):
		return ReviewExclusive
	case x.size > largest-y.size:
		return ReviewLargest
	case perShop > 0 && exceedsPerShop(x, y, perShop):
		return ReviewPerShop
	}
	return ""
}

func (p *partitioner) keptApart(a, b int) bool {
	for _, pair := range p.apart {
		x, y := p.find(pair[0]), p.find(pair[1])
		if x == a && y == b || x == b && y == a {
			return true
		}
	}
	return false
}

// exceedsExclusive says whether x and y together bear more values of a type
// than allowed, and more than one of them does by itself.
func (r *Rules) exceedsExclusive(x, y *cluster) bool {
	for _, id := range y.exclusive {
		if slices.Contains(x.exclusive, id) {
			continue
		}
		ofType := func(other Identifier) bool { return other.Type == id.Type }
		inX, inY := count(x.exclusive, ofType), count(y.exclusive, ofType)
		both := inX + count(y.exclusive, func(other Identifier) bool { return other.Type == id.Type && !slices.Contains(x.exclusive, other) })
		if both > r.Types[id.Type].Exclusive && both > max(inX, inY) {
			return true
		}
	}
	return false
}

func count(ids []Identifier, match func(Identifier) bool) (n int) {
	for _, id := range ids {
		if match(id) {
			n++
		}
	}
	return n
}

func exceedsPerShop(x, y *cluster, bound int) bool {
	for _, s := range x.shops {
		for _, t := range y.shops {
			if s.platform == t.platform && s.shop == t.shop && s.n+t.n > bound {
				return true
			}
		}
	}
	return false
}

func (p *partitioner) join(a, b int) {
	if a == b {
		return
	}
	x, y := &p.clusters[a], &p.clusters[b]
	if x.size < y.size {
		a, b, x, y = b, a, y, x
	}
	p.parent[b] = a
	if y.size == 0 {
		return
	}
	if p.next != nil {
		first, then := min(x.first, y.first), max(x.first, y.first)
		p.next[p.last[first]], p.last[first] = then, p.last[then]
	}
	x.size += y.size
	x.first = min(x.first, y.first)
	// Clipped, for the slices of a single account belong to the caller.
	x.exclusive = slices.Clip(x.exclusive)
	for _, id := range y.exclusive {
		if !slices.Contains(x.exclusive, id) {
			x.exclusive = append(x.exclusive, id)
		}
	}
	for _, t := range y.shops {
		i := slices.IndexFunc(x.shops, func(s shopCount) bool { return s.platform == t.platform && s.shop == t.shop })
		if i < 0 {
			x.shops = append(x.shops, t)
		} else {
			x.shops[i].n += t.n
		}
	}
	*y = cluster{}
}

// Resolve finds the customers in all evidence and decisions. The result is a
// function of the sets: of neither order, nor repetition, nor any clock.
// Accounts that only a decision names are no part of it. The rules are in force
// unless a decision has adopted others. Their model is not asked: see
// Model.Resolve.
func Resolve(evidence []Evidence, decisions []Decision, rules *Rules) Resolution {
	return Model{}.Resolve(evidence, decisions, rules)
}

// Resolve is the Resolve of rules that use a model. Weights of Links and Reviews
// are the model's, their Why is left out.
func (m Model) Resolve(evidence []Evidence, decisions []Decision, rules *Rules) Resolution {
	var set Decisions
	for _, d := range decisions {
		set.Add(d)
	}
	rules = set.Rules(rules)
	accounts := make([]Account, len(evidence))
	for i, e := range evidence {
		accounts[i] = e.Account
	}
	slices.SortFunc(accounts, Account.Compare)
	c := Component{Accounts: slices.Compact(accounts)}
	number, shops := map[Account]int{}, map[[2]string]int{}
	for i, a := range c.Accounts {
		number[a] = i
	}
	c.Exclusive = make([][]Identifier, len(c.Accounts))

	type seen struct {
		id      Identifier
		account int
	}
	sightings := map[seen]Sighting{}
	for _, e := range evidence {
		strength := rules.Strength(e.Identifier.Type, e.Role)
		if strength == 0 {
			continue
		}
		key := seen{e.Identifier, number[e.Account]}
		s, ok := sightings[key]
		if !ok {
			s = Sighting{Account: key.account, Shop: -1, First: e.First, Last: e.Last}
			if e.Account.Identified() {
				shop := [2]string{e.Account.Platform, e.Account.Shop}
				if _, ok := shops[shop]; !ok {
					shops[shop] = len(shops)
				}
				s.Shop = shops[shop]
			}
			if rules.Types[e.Identifier.Type].Exclusive > 0 {
				c.Exclusive[key.account] = append(c.Exclusive[key.account], e.Identifier)
			}
		}
		s.Strength, s.First, s.Last = max(s.Strength, strength), min(s.First, e.First), max(s.Last, e.Last)
		sightings[key] = s
	}
	byIdentifier, bridges := map[Identifier][]Sighting{}, rules.Bridges(evidence)
	for key, s := range sightings {
		s.Bridge = bridges[Bearing{c.Accounts[key.account], key.id.Type}]
		byIdentifier[key.id] = append(byIdentifier[key.id], s)
	}
	for id, list := range byIdentifier {
		c.Groups = append(c.Groups, rules.Groups(id, list)...)
	}
	slices.SortFunc(c.Groups, func(a, b Group) int {
		return cmp.Or(a.Identifier.Compare(b.Identifier), cmp.Compare(a.Span, b.Span), strings.Compare(string(a.Inert), string(b.Inert)))
	})

	for _, v := range set.All() {
		_, okA := number[v.Pair.A]
		_, okB := number[v.Pair.B]
		if okA && okB {
			c.Verdicts = append(c.Verdicts, v)
		}
	}

	pairs, inert := m.resemblances(evidence, rules, number)
	for _, pair := range pairs {
		if rules.Model.Joins(pair) {
			c.Pairs = append(c.Pairs, pair)
		}
	}

	p := rules.Partition(c)
	members := make([][]Account, len(c.Accounts))
	for i, first := range p.Customer {
		members[first] = append(members[first], c.Accounts[i])
	}
	out := Resolution{Links: p.Links, Reviews: append(p.Reviews, inert...)}
	for _, pair := range pairs {
		a, b := p.Customer[pair.A], p.Customer[pair.B]
		if !rules.Model.Joins(pair) && a != b && !set.Apart(members[a], members[b]) {
			out.Reviews = append(out.Reviews, Review{Reason: ReviewModel, Identifier: Identifier{AppearanceType, pair.X}, Other: pair.Y, Weight: pair.Weight,
				Accounts: []Account{c.Accounts[pair.A], c.Accounts[pair.B]}})
		}
	}
	slices.SortFunc(out.Reviews, Review.Compare)
	for _, m := range members {
		if m != nil {
			out.Customers = append(out.Customers, m)
		}
	}
	return out
}
