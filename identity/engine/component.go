package engine

import (
	"slices"

	"oneid/identity"
)

// joined says whether an account already bears an identifier in a role that
// joins.
func (e *Engine) joined(account, id uint32) (joined bool) {
	typ := e.typeOf(id)
	e.tables.between(account, id, func(place uint32) bool {
		joined = e.rules.Strength(typ, e.tables.role(place)) > 0
		return joined
	})
	return joined
}

// groups says what an identifier joins; Members number the engine's accounts.
func (e *Engine) groups(id uint32) []identity.Group {
	t := &e.tables
	joins := t.joins(id)
	if joins < 2 {
		return nil
	}
	key := t.identifierKey(id)
	if rule := e.rules.Types[key.Type]; rule.Accounts > 0 && int(joins) > rule.Accounts {
		return []identity.Group{{Identifier: key, Inert: identity.ReviewAccounts}}
	}
	list := make([]identity.Sighting, 0, joins)
	at := map[uint32]int{}
	var account, next uint32
	for n := t.ofIdentifier(id); n != none; n = next {
		account, next = t.seen(n)
		s := t.sighting(n)
		strength := e.rules.Strength(key.Type, t.role(n))
		if strength == 0 {
			continue
		}
		i, ok := at[account]
		if !ok {
			i = len(list)
			at[account] = i
			shop := -1
			if t.identified(account) {
				shop = int(t.shop(account))
			}
			list = append(list, identity.Sighting{Account: int(account), Shop: shop, First: s.first(), Last: s.last(), Bridge: e.isBridge(account, id)})
		}
		l := &list[i]
		l.Strength, l.First, l.Last = max(l.Strength, strength), min(l.First, s.first()), max(l.Last, s.last())
	}
	return e.rules.Groups(key, list)
}

// inert is the review of a group that does not join.
func (e *Engine) inert(group identity.Group) identity.Review {
	review := identity.Review{Reason: group.Inert, Identifier: group.Identifier, Span: group.Span}
	for _, m := range group.Members {
		review.Accounts = append(review.Accounts, e.tables.accountKey(uint32(m.Account)))
	}
	slices.SortFunc(review.Accounts, identity.Account.Compare)
	return review
}

func sameGroups(a, b []identity.Group) bool {
	return slices.EqualFunc(a, b, func(g, h identity.Group) bool {
		if g.Span != h.Span || g.Inert != h.Inert || len(g.Members) != len(h.Members) {
			return false
		}
		type joined struct{ strength, turn int }
		members := make(map[int]joined, len(g.Members))
		for _, m := range g.Members {
			members[m.Account] = joined{m.Strength, m.Turn}
		}
		for _, m := range h.Members {
			if j, ok := members[m.Account]; !ok || j != (joined{m.Strength, m.Turn}) {
				return false
			}
		}
		return true
	})
}

// alone says whether nothing can connect an account with another: most that
// were born just now.
func (e *Engine) alone(account uint32) bool {
	if e.decisions.Pairs() > 0 {
		return false
	}
	t := &e.tables
	for n := t.ofAccount(account); n != none; n = t.sighting(n).nextOfAccount {
		id := t.identifierOf(n)
		if t.joins(id) >= 2 && !e.isBridge(account, id) {
			return false
		}
		if m := e.model; m != nil && t.typ(id) == m.typ && m.meets(id) {
			return false
		}
	}
	return true
}

// component gathers all that is connected with an account. Pairs that the model
// asks about are added to near, if that is given.
func (e *Engine) component(account uint32, near *[]identity.Resemblance) (numbers []uint32, c identity.Component) {
	t := &e.tables
	in, asked := map[uint32]int{account: 0}, map[uint32]bool{}
	type part struct {
		identifier uint32
		span       int
	}
	gathered := map[part]bool{} // what c.Groups hold
	numbers = []uint32{account}
	add := func(a uint32) {
		if _, ok := in[a]; !ok {
			in[a] = 0
			numbers = append(numbers, a)
		}
	}
	for i := 0; i < len(numbers); i++ {
		for n := t.ofAccount(numbers[i]); n != none; n = t.sighting(n).nextOfAccount {
			id := t.identifierOf(n)
			if t.joins(id) < 2 || asked[id] || e.isBridge(numbers[i], id) {
				continue
			}
			asked[id] = true
			for _, group := range e.groups(id) {
				// Only a group of which some account is here; it may be that
				// another span's accounts are strangers.
				if group.Inert != "" {
					continue
				}
				if !slices.ContainsFunc(group.Members, func(m identity.Sighting) bool { return uint32(m.Account) == numbers[i] }) {
					asked[id] = false
					continue
				}
				if gathered[part{id, group.Span}] {
					continue
				}
				gathered[part{id, group.Span}] = true
				c.Groups = append(c.Groups, group)
				for _, m := range group.Members {
					add(uint32(m.Account))
				}
			}
		}
		if e.model != nil {
			for _, pair := range e.model.near(numbers[i]) {
				switch {
				case e.model.rule.Joins(pair):
					add(uint32(pair.B))
					if pair.A < pair.B { // once: the other side finds it too
						c.Pairs = append(c.Pairs, pair)
					}
				case near != nil:
					*near = append(*near, pair)
				}
			}
		}
		if e.decisions.Pairs() > 0 {
			for _, v := range e.decisions.Of(t.accountKey(numbers[i])) {
				if v.Kind != identity.Same {
					continue
				}
				for _, side := range []identity.Account{v.Pair.A, v.Pair.B} {
					if a, ok := t.findAccount(side); ok {
						add(a)
					}
				}
			}
		}
	}
	if len(numbers) == 1 {
		return numbers, c
	}
	keys := make(map[uint32]identity.Account, len(numbers))
	for _, n := range numbers {
		keys[n] = t.accountKey(n)
	}
	slices.SortFunc(numbers, func(a, b uint32) int { return keys[a].Compare(keys[b]) })
	c.Accounts, c.Exclusive = make([]identity.Account, len(numbers)), make([][]identity.Identifier, len(numbers))
	for i, n := range numbers {
		in[n] = i
		c.Accounts[i] = keys[n]
		c.Exclusive[i] = e.exclusive(n)
	}
	for _, group := range c.Groups {
		for i := range group.Members {
			group.Members[i].Account = in[uint32(group.Members[i].Account)]
		}
	}
	for i, pair := range c.Pairs {
		pair.A, pair.B = in[uint32(pair.A)], in[uint32(pair.B)]
		if pair.A > pair.B {
			pair.A, pair.B, pair.X, pair.Y = pair.B, pair.A, pair.Y, pair.X
		}
		c.Pairs[i] = pair
	}
	if e.decisions.Pairs() > 0 {
		for _, a := range c.Accounts {
			for _, v := range e.decisions.Of(a) {
				other := v.Pair.B
				if v.Pair.A != a {
					continue // once, from its lower account
				}
				if n, ok := t.findAccount(other); ok {
					if _, ok := in[n]; ok {
						c.Verdicts = append(c.Verdicts, v)
					}
				}
			}
		}
	}
	return numbers, c
}

// exclusive lists an account's identifiers of exclusive types.
func (e *Engine) exclusive(account uint32) (ids []identity.Identifier) {
	t := &e.tables
	for n := t.ofAccount(account); n != none; n = t.sighting(n).nextOfAccount {
		id := t.identifierKey(t.identifierOf(n))
		if rule := e.rules.Types[id.Type]; rule != nil && rule.Exclusive > 0 && e.rules.Strength(id.Type, t.role(n)) > 0 && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// resolve partitions the component of an account and notes what differs. Those are left
// who were of a customer with some of it and are not in it.
func (e *Engine) resolve(b *batch, account uint32) (left []uint32) {
	if e.alone(account) {
		b.resolved.add(account)
		return e.assign(b, []uint32{account}, "split")
	}
	numbers, c := e.component(account, &b.near)
	for _, n := range numbers {
		b.resolved.add(n)
	}
	if len(numbers) == 1 {
		return e.assign(b, numbers, "split")
	}
	p := e.rules.Partition(c)
	for _, v := range p.Reviews {
		if v.Reason == identity.ReviewLargest || v.Weight > 0 {
			b.changes.Reviews = append(b.changes.Reviews, v)
		}
	}
	members := make([][]uint32, len(numbers))
	for i, first := range p.Customer {
		members[first] = append(members[first], numbers[i])
	}
	types := make([][]string, len(numbers))
	for _, l := range p.Links {
		i, _ := slices.BinarySearchFunc(c.Accounts, l.Account, identity.Account.Compare)
		name := string(l.Identifier.Type)
		switch {
		case l.Decision != "":
			name = byDecision
		case l.Weight > 0:
			name = byModel
		}
		if first := p.Customer[i]; !slices.Contains(types[first], name) {
			types[first] = append(types[first], name)
		}
	}
	for first, m := range members {
		if m == nil {
			continue
		}
		why := "split"
		if len(m) > 1 {
			slices.Sort(types[first])
			why = "merged: " + types[first][0]
			for _, name := range types[first][1:] {
				why += ", " + name
			}
		}
		slices.Sort(m)
		left = append(left, e.assign(b, m, why)...)
	}
	return left
}

// assign makes accounts, earliest-born first, one customer. Those of whom each was of
// the same customer before have only parted from others of it: whatever holds them
// together, that is no reason for their moving. Those are left who were of a customer
// with one of them.
func (e *Engine) assign(b *batch, members []uint32, why string) (left []uint32) {
	t := &e.tables
	left = e.leave(members)
	leader, before := members[0], t.accounts.at(members[0]).leader
	if !slices.ContainsFunc(members, func(n uint32) bool { return t.accounts.at(n).leader != before }) {
		why = "split"
	}
	for i, n := range members {
		a := t.accounts.at(n)
		a.next = members[(i+1)%len(members)]
		if a.leader == leader {
			continue
		}
		name := t.name(why)
		if int(n) < b.accounts {
			b.moves = append(b.moves, moveRow{n, a.leader, leader, name})
			b.moved.add(n)
		}
		a.leader = leader
		t.move(n, b.sequence, name)
	}
	return left
}

// leave takes the rings of accounts, which are in the order of their numbers, apart, and
// returns the others of these: they are resolved in the same turn, which makes their rings.
func (e *Engine) leave(members []uint32) (left []uint32) {
	t := &e.tables
	for _, n := range members {
		for other := t.accounts.at(n).next; other != n; {
			a := t.accounts.at(other)
			next := a.next
			a.next = other
			if _, leaves := slices.BinarySearch(members, other); !leaves {
				left = append(left, other)
			}
			other = next
		}
		t.accounts.at(n).next = n
	}
	return left
}
