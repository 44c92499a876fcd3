package engine

import (
	"cmp"
	"slices"

	"oneid/identity"
)

// Size counts what the state holds.
type Size struct {
	Accounts, Identifiers, Sightings, Decisions int
}

// Size returns the counts.
func (e *Engine) Size() Size {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return Size{e.tables.accounts.len(), e.tables.identifiers.len(), e.tables.numbers.n, e.decisions.Len()}
}

// CustomerOf returns the customer of an account; false for an account that
// was never seen.
func (e *Engine) CustomerOf(a identity.Account) (identity.CustomerID, bool) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	n, ok := e.tables.findAccount(a)
	if !ok {
		return identity.CustomerID{}, false
	}
	return e.tables.birthID(e.tables.accounts.at(n).leader), true
}

// CustomersOf appends to the list the customers of the accounts of the updates
// that Apply took with this sequence, in their order, without looking for each
// account again. It does so for the last sequence alone, and not for one that was
// applied before the Engine was made: ok is false else, and the list as it was.
func (e *Engine) CustomersOf(sequence uint64, list []identity.CustomerID) (_ []identity.CustomerID, ok bool) {
	e.applying.Lock()
	defer e.applying.Unlock()
	if e.updatedAt != sequence || len(e.updated) == 0 {
		return list, false
	}
	e.mu.RLock()
	defer e.mu.RUnlock()
	from := len(list)
	list = slices.Grow(list, len(e.updated))
	for accounts := range slices.Chunk(e.updated, together) {
		var leaders [together]uint32
		var ids [together][]byte
		e.tables.leadersOf(accounts, &leaders, &ids) // awaited at once
		for i, n := range accounts {
			id := e.ownIDs[len(list)-from]
			if leaders[i] != n {
				id = e.tables.keyWith(leaders[i], ids[i]).BirthID()
			}
			list = append(list, id)
		}
	}
	return list, true
}

// NumberOf returns the number of an account, which it keeps as long as the
// Engine lives; false for an account that was never seen.
func (e *Engine) NumberOf(a identity.Account) (uint32, bool) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.tables.findAccount(a)
}

// AccountOf returns the account of a number that NumberOf has given.
func (e *Engine) AccountOf(number uint32) identity.Account {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.tables.accountKey(number)
}

// Placement is where an account stands: what identity_map holds of it.
type Placement struct {
	CustomerID   identity.CustomerID
	BornSequence uint64
	// Since is the sequence from which it is in this customer, and Reason why.
	Since  uint64
	Reason string
}

// PlacementOf returns where an account stands; false if it was never seen.
func (e *Engine) PlacementOf(a identity.Account) (Placement, bool) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	t := &e.tables
	n, ok := t.findAccount(a)
	if !ok {
		return Placement{}, false
	}
	return Placement{CustomerID: t.birthID(t.accounts.at(n).leader), BornSequence: t.born(n), Since: t.since(n), Reason: t.names[t.why(n)]}, true
}

// Customer returns the living customer that an id stands for. For an id that
// redirects, redirect says from what to what and since when; it is nil for a
// living one. ok is false for an id that is no account's own; one that no customer
// ever bore, for the account was somebody's from its birth on, leads to that customer.
func (e *Engine) Customer(id identity.CustomerID) (customer Customer, redirect *Redirect, ok bool) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	t := &e.tables
	n, ok := t.findBirthID(id)
	if !ok {
		return Customer{}, nil, false
	}
	leader := t.accounts.at(n).leader
	customer = e.customer(leader)
	if leader != n {
		redirect = &Redirect{From: id, To: customer.ID, Sequence: t.since(n)}
	}
	return customer, redirect, true
}

func (e *Engine) customer(leader uint32) Customer {
	t := &e.tables
	numbers := e.members(leader)
	c := Customer{ID: t.birthID(leader), BornSequence: t.born(leader), Accounts: make([]identity.Account, len(numbers))}
	for i, n := range numbers {
		c.Accounts[i] = t.accountKey(n)
	}
	return c
}

// members returns the accounts of a customer, earliest-born first.
func (e *Engine) members(leader uint32) []uint32 {
	numbers := []uint32{leader}
	for n := e.tables.accounts.at(leader).next; n != leader; n = e.tables.accounts.at(n).next {
		if e.tables.accounts.at(n).leader != leader {
			panic("engine: the accounts of a customer lead to one of another: one of both was not resolved") // else it never ends
		}
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	return numbers
}

// Find returns the accounts that were seen with an identifier, those of the
// strongest role first, then by key. With roles, only sightings in these
// count.
func (e *Engine) Find(id identity.Identifier, roles ...identity.Role) []identity.Account {
	e.mu.RLock()
	defer e.mu.RUnlock()
	t := &e.tables
	i, ok := t.findIdentifier(id)
	if !ok {
		return nil
	}
	best := map[uint32]identity.Role{}
	var account, next uint32
	for n := t.ofIdentifier(i); n != none; n = next {
		account, next = t.seen(n)
		role := t.role(n)
		if len(roles) > 0 && !slices.Contains(roles, role) {
			continue
		}
		if known, ok := best[account]; !ok || role < known {
			best[account] = role
		}
	}
	type found struct {
		account identity.Account
		role    identity.Role
	}
	list := make([]found, 0, len(best))
	for n, role := range best {
		list = append(list, found{t.accountKey(n), role})
	}
	slices.SortFunc(list, func(a, b found) int {
		return cmp.Or(cmp.Compare(a.role, b.role), a.account.Compare(b.account))
	})
	accounts := make([]identity.Account, len(list))
	for i, f := range list {
		accounts[i] = f.account
	}
	return accounts
}

// EvidenceOf returns an account's evidence, sorted; nil if there is none.
func (e *Engine) EvidenceOf(a identity.Account) []identity.Evidence {
	e.mu.RLock()
	defer e.mu.RUnlock()
	n, ok := e.tables.findAccount(a)
	if !ok {
		return nil
	}
	var list []identity.Evidence
	for s := e.tables.ofAccount(n); s != none; s = e.tables.sighting(s).nextOfAccount {
		list = append(list, e.tables.evidence(s))
	}
	slices.SortFunc(list, identity.Evidence.Compare)
	return list
}

// Component is why a customer is what it is: the links that hold it together
// (for identity.Path), its evidence, and the joins that were refused around it.
type Component struct {
	Customer  Customer
	Evidence  []identity.Evidence
	Links     []identity.Link
	Reviews   []identity.Review
	Decisions []identity.Verdict
}

// Component explains the customer that an id stands for, in the state as it
// is; false for an id that was never given.
func (e *Engine) Component(id identity.CustomerID) (Component, bool) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	t := &e.tables
	start, ok := t.findBirthID(id)
	if !ok {
		return Component{}, false
	}
	leader := t.accounts.at(start).leader
	out := Component{Customer: e.customer(leader)}
	own := map[identity.Account]bool{}
	for _, n := range e.members(leader) {
		own[t.accountKey(n)] = true
		for s := t.ofAccount(n); s != none; s = t.sighting(s).nextOfAccount {
			out.Evidence = append(out.Evidence, t.evidence(s))
		}
		if e.decisions.Len() > 0 {
			out.Decisions = append(out.Decisions, e.decisions.Of(t.accountKey(n))...)
		}
	}
	slices.SortFunc(out.Evidence, identity.Evidence.Compare)
	slices.SortFunc(out.Decisions, func(v, w identity.Verdict) int {
		return cmp.Or(v.Pair.A.Compare(w.Pair.A), v.Pair.B.Compare(w.Pair.B))
	})
	out.Decisions = slices.Compact(out.Decisions)
	// What went inert around it is known from its identifiers.
	asked := map[uint32]bool{}
	for _, n := range e.members(leader) {
		for s := t.ofAccount(n); s != none; s = t.sighting(s).nextOfAccount {
			id := t.identifierOf(s)
			if asked[id] {
				continue
			}
			asked[id] = true
			for _, g := range e.groups(id) {
				if g.Inert != "" {
					out.Reviews = append(out.Reviews, e.inert(g))
				}
			}
		}
	}
	var near []identity.Resemblance
	numbers, c := e.component(leader, &near)
	near = slices.DeleteFunc(near, func(r identity.Resemblance) bool {
		return !own[t.accountKey(uint32(r.A))] && !own[t.accountKey(uint32(r.B))]
	})
	out.Reviews = append(out.Reviews, e.questions(near)...)
	if len(numbers) > 1 {
		p := e.rules.Partition(c)
		for _, l := range p.Links {
			if own[l.Account] {
				out.Links = append(out.Links, l)
			}
		}
		for _, v := range p.Reviews {
			if slices.ContainsFunc(v.Accounts, func(a identity.Account) bool { return own[a] }) {
				out.Reviews = append(out.Reviews, v)
			}
		}
	}
	slices.SortFunc(out.Reviews, identity.Review.Compare)
	out.Reviews = e.explained(slices.CompactFunc(out.Reviews, func(v, w identity.Review) bool { return v.Compare(w) == 0 }))
	return out, true
}

// Explain returns the path of evidence between two accounts; nil if they are
// not of one customer.
func (e *Engine) Explain(from, to identity.Account) []identity.Step {
	id, ok := e.CustomerOf(from)
	if !ok {
		return nil
	}
	c, _ := e.Component(id)
	path := identity.Path(c.Links, from, to)
	e.mu.RLock()
	defer e.mu.RUnlock()
	for i, step := range path {
		if step.Weight > 0 {
			path[i].Why = e.why(step.Identifier.Hash, step.Other)
		}
	}
	return path
}

// Customers yields every living customer as of the call for each, in the
// order of birth. It takes the lock anew for each, so that a batch may come
// between.
func (e *Engine) Customers(yield func(Customer) bool) {
	for n := uint32(0); ; n++ {
		e.mu.RLock()
		if int(n) >= e.tables.accounts.len() {
			e.mu.RUnlock()
			return
		}
		var c Customer
		living := e.tables.accounts.at(n).leader == n
		if living {
			c = e.customer(n)
		}
		e.mu.RUnlock()
		if living && !yield(c) {
			return
		}
	}
}
