package engine

import (
	"cmp"
	"maps"
	"slices"

	"oneid/identity"
)

// What a pair of the model is told of ends when it resembles no more. Evidence only
// grows, so that happens in two ways: a block that both were in goes inert, or other
// rules come into force. Both note whom they let go of, and withdraw tells it of those
// who do not resemble each other by anything else.

// pair is two accounts, the lower number first.
type pair [2]uint32

func (p pair) compare(q pair) int { return cmp.Or(cmp.Compare(p[0], q[0]), cmp.Compare(p[1], q[1])) }

// letGoOf notes two accounts that may resemble each other no more. Of one that was born
// in this batch nothing was told.
func (b *batch) letGoOf(x, y uint32) {
	if x == y || int(max(x, y)) >= b.accounts {
		return
	}
	if b.former == nil {
		b.former = map[pair]bool{}
	}
	b.former[pair{min(x, y), max(x, y)}] = true
}

// closed notes whom a block lets go of that goes inert just now: it has no more accounts
// than its bound and one, besides those that this batch's appearances bring.
func (e *Engine) closed(b *batch, of uint32) {
	m, t := e.model, &e.tables
	for k := m.blocks.at(of).head; k != none; k = m.entries.at(k).nextOfBlock {
		x := m.entries.at(k).appearance
		if int(x) >= b.appearances {
			continue
		}
		one := t.appearances.at(x).identifier
		for j := k; j != none; j = m.entries.at(j).nextOfBlock {
			y := m.entries.at(j).appearance
			if int(y) >= b.appearances {
				continue
			}
			other := t.appearances.at(y).identifier
			if identity.Weigh(m.scorer, t.identifiers.at(one).hash, t.identifiers.at(other).hash, t.appearance(x), t.appearance(y)) < m.rule.Review {
				continue
			}
			m.bearers(one, func(a uint32) { m.bearers(other, func(c uint32) { b.letGoOf(a, c) }) })
		}
	}
}

// replaced notes whom the model in force lets go of when another takes its place, nil
// where the new rules have none.
func (e *Engine) replaced(b *batch, by *model) {
	before := e.model
	if before == nil || by != nil && by.rule.Use == before.rule.Use && by.rule.Review == before.rule.Review &&
		by.rule.LeastDays == before.rule.LeastDays && by.rule.Block == before.rule.Block {
		return
	}
	for account := range uint32(b.accounts) {
		found := before.near(account)
		if len(found) == 0 {
			continue
		}
		still := by.partners(account)
		for _, r := range found {
			if r.A < r.B && !still[uint32(r.B)] {
				b.letGoOf(uint32(r.A), uint32(r.B))
			}
		}
	}
}

// partners are the accounts that resemble one; of no model none do.
func (m *model) partners(account uint32) map[uint32]bool {
	partners := map[uint32]bool{}
	if m != nil {
		for _, r := range m.near(account) {
			partners[uint32(r.B)] = true
		}
	}
	return partners
}

// withdraw tells of the pairs that resemble no more.
func (e *Engine) withdraw(b *batch) {
	last, still := none, map[uint32]bool(nil)
	for _, p := range slices.SortedFunc(maps.Keys(b.former), pair.compare) {
		if p[0] != last {
			last, still = p[0], e.model.partners(p[0])
		}
		if still[p[1]] {
			continue
		}
		accounts := []identity.Account{e.tables.accountKey(p[0]), e.tables.accountKey(p[1])}
		slices.SortFunc(accounts, identity.Account.Compare)
		b.changes.Reviews = append(b.changes.Reviews, identity.Review{Reason: identity.ReviewWithdrawn, Accounts: accounts})
	}
}
