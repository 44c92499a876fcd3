package engine

import (
	"slices"

	"oneid/identity"
)

// Rules are those that the state began with, and those in force.
func (e *Engine) Rules() (given, inForce *identity.Rules) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.given, e.rules
}

// Adopted is the decision whose rules are in force; false if they are those that the
// state began with.
func (e *Engine) Adopted() (identity.Decision, bool) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.decisions.Adopted()
}

// adopt takes other rules into force: what each identifier joins is counted
// anew, and every account is resolved anew. Only what differs then moves, since
// an account whose customer is the same stays as it is.
func (e *Engine) adopt(b *batch, rules *identity.Rules) {
	t := &e.tables
	// What identifiers joined before, of types that are ruled otherwise.
	for id := range uint32(t.identifiers.len()) {
		if typ := e.typeOf(id); !e.rules.AlikeOf(rules, typ) {
			e.touch(b, id)
		}
	}
	joins, bridges := e.joins(rules)
	model := e.modelOf(rules) // beside the look-ups, as those
	if model != nil {
		b.changes.Reviews = append(b.changes.Reviews, model.inertBlocks()...)
	}
	e.replaced(b, model)
	for account := range uint32(t.accounts.len()) {
		b.soil(account)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.rule(rules, joins, bridges, model)
}

// joins counts for each identifier the accounts that bear it in a role that
// joins, and finds the bridges among these.
func (e *Engine) joins(rules *identity.Rules) (joins []uint32, bridges map[bearing]bool) {
	t := &e.tables
	joins, bridges = make([]uint32, t.identifiers.len()), map[bearing]bool{}
	var borne []uint32
	for account := range uint32(t.accounts.len()) {
		borne = borne[:0]
		for n := t.ofAccount(account); n != none; n = t.sighting(n).nextOfAccount {
			id := t.identifierOf(n)
			if rules.Strength(e.typeOf(id), t.role(n)) > 0 && !slices.Contains(borne, id) {
				borne = append(borne, id)
				joins[id]++
			}
		}
		for _, id := range borne {
			of, typ := bearing{account, t.typ(id)}, e.typeOf(id)
			if bound := rules.Types[typ].Values; bound == 0 || len(borne) <= bound || bridges[of] {
				continue
			}
			if _, times, _ := e.values(rules, account, of.typ); rules.TooMany(typ, times) {
				bridges[of] = true
			}
		}
	}
	return joins, bridges
}

// rule takes rules into force, and what identifiers and appearances join by them.
func (e *Engine) rule(rules *identity.Rules, joins []uint32, bridges map[bearing]bool, model *model) {
	for id, n := range joins {
		e.tables.setJoins(uint32(id), n)
	}
	e.rules, e.bridges, e.few, e.model = rules, bridges, map[bearing]bool{}, model
}

func (e *Engine) typeOf(id uint32) identity.IdentifierType {
	return identity.IdentifierType(e.tables.names[e.tables.typ(id)])
}

// unsettleOldWays leaves to the next batch the customers of a state that another way
// has made and who may be others now: those who may have met their bound, so that one of
// the two sides had more than half of what it allows; those to whom several shared
// values lead, or one that others bear, too; those who bear more values of an
// exclusive type than one person may; and those whom the model or a word has joined.
func (e *Engine) unsettleOldWays() {
	t := &e.tables
	for id := range uint32(t.identifiers.len()) {
		rule, joins := e.rules.Types[e.typeOf(id)], int(t.joins(id))
		if rule == nil || joins < 2 || rule.Accounts > 0 && joins > rule.Accounts {
			continue
		}
		first := none // of who bears it
		var account, next uint32
		for n := t.ofIdentifier(id); n != none; n = next {
			switch account, next = t.seen(n); {
			case first == none:
				first = account
			case t.accounts.at(account).leader != t.accounts.at(first).leader:
				e.unsettled = append(e.unsettled, first, account)
			}
		}
	}
	for n := range uint32(e.tables.accounts.len()) {
		if e.tables.accounts.at(n).leader != n {
			continue
		}
		if members := e.members(n); 2*len(members) > e.rules.LargestCustomer || e.bearSeveral(members) || e.bearTooMany(members) || e.pairJoined(members) {
			e.unsettled = append(e.unsettled, members...)
		}
	}
}

// pairJoined says whether the model or a word may be among what joined accounts. Why they
// moved does not tell: what held them then may be gone.
func (e *Engine) pairJoined(accounts []uint32) bool {
	return len(accounts) > 1 && (e.rules.Model != nil ||
		e.decisions.Pairs() > 0 && slices.ContainsFunc(accounts, func(n uint32) bool { return len(e.decisions.Of(e.tables.accountKey(n))) > 0 }))
}

// bearTooMany says whether accounts bear more values of an exclusive type than one
// person may.
func (e *Engine) bearTooMany(accounts []uint32) bool {
	if len(accounts) < 2 {
		return false
	}
	borne := map[identity.IdentifierType][]identity.Identifier{}
	for _, account := range accounts {
		for _, id := range e.exclusive(account) {
			if !slices.Contains(borne[id.Type], id) {
				borne[id.Type] = append(borne[id.Type], id)
			}
		}
	}
	for typ, ids := range borne {
		if len(ids) > e.rules.Types[typ].Exclusive {
			return true
		}
	}
	return false
}

// bearSeveral says whether accounts bear two shared values of one type that has a bound
// of a shop's persons.
func (e *Engine) bearSeveral(accounts []uint32) bool {
	t := &e.tables
	first := map[uint32]uint32{} // by type
	for _, account := range accounts {
		for n := t.ofAccount(account); n != none; n = t.sighting(n).nextOfAccount {
			id := t.identifierOf(n)
			if rule := e.rules.Types[e.typeOf(id)]; rule == nil || rule.PerShop == 0 || t.joins(id) < 2 {
				continue
			}
			if other, ok := first[t.typ(id)]; ok && other != id {
				return true
			}
			first[t.typ(id)] = id
		}
	}
	return false
}
