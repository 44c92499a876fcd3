package engine

import (
	"slices"

	"oneid/identity"
)

// Known says whether LookUp has found that all an update says is known: Apply needs its
// account alone then.
func (u *Update) Known() bool { return u.found.idle }

// together is how many look-ups wait for memory at once: the tables are far larger than
// the processor's cache, and it can wait for several lines at a time, but not for so many that
// the first are gone again before they are used.
const together = 32

// found is what LookUp found of an update.
type found struct {
	asked   bool
	idle    bool                // whether all that the update says is known
	account uint32              // none if it is not there
	ownID   identity.CustomerID // of the account
}

// LookUp finds what is known of updates that Apply is given next, many at a time, so
// that they are not looked for there one by one, and writes into each one's Numbers: of
// each of its evidence the number of the identifier, 0 for one that was never seen.
// Several may do so at once, each with other updates; it holds up no Apply for long.
// What it finds stays true as long as the Engine lives, and is worth nothing to another; what
// it does not find may come with any batch, and Apply looks for it once more.
func (e *Engine) LookUp(updates []Update) {
	for part := range slices.Chunk(updates, together) {
		e.mu.RLock()
		e.tables.lookUp(part)
		e.mu.RUnlock()
	}
}

// sought is a piece of evidence whose identifier is looked for.
type sought struct {
	update   *Update
	evidence int
	typ      uint32 // by name
}

func (t *tables) lookUp(updates []Update) {
	t.lookUpAccounts(updates)
	var of [together]sought
	var hashes [together]uint32
	n := 0
	var typ, source named
	for i := range updates {
		u := &updates[i]
		u.Numbers = slices.Grow(u.Numbers[:0], len(u.Evidence))[:len(u.Evidence)]
		u.found.idle = u.found.account != none
		for j := range u.Evidence {
			id := &u.Evidence[j].Identifier
			name, ok := typ.number(t, string(id.Type))
			if !ok {
				u.Numbers[j], u.found.idle = 0, false
				continue
			}
			of[n], hashes[n] = sought{u, j, name}, t.identifierHash(name, id.Hash)
			if n++; n == together {
				t.lookUpIdentifiers(of[:n], hashes[:n], &source)
				n = 0
			}
		}
	}
	t.lookUpIdentifiers(of[:n], hashes[:n], &source)
	for i := range updates {
		if u := &updates[i]; u.found.idle && u.Appearance != nil {
			u.found.idle = t.showsNothingNew(u)
		}
	}
}

// lookUpAccounts looks for the accounts of as many updates as together at most.
func (t *tables) lookUpAccounts(updates []Update) {
	var hashes, numbers [together]uint32
	var ids [together][]byte
	for i := range updates {
		u := &updates[i]
		u.found = found{asked: true, account: none, ownID: u.Account.BirthID()}
		hashes[i] = idHash(u.found.ownID)
	}
	t.byID.guess(hashes[:len(updates)], numbers[:])
	t.idsOf(numbers[:len(updates)], &ids)
	for i := range updates {
		u, n := &updates[i], numbers[i]
		if n == none {
			continue
		}
		if t.keyWith(n, ids[i]) == u.Account {
			u.found.account = n
		} else if n, ok := t.findAccountBy(u.Account, u.found.ownID); ok {
			u.found.account = n
		}
	}
}

// idsOf are the ids of accounts, of as many as together at most.
func (t *tables) idsOf(numbers []uint32, ids *[together][]byte) {
	var places [together]uint32
	for i, n := range numbers {
		if n != none {
			places[i] = t.accounts.at(n).id
		}
	}
	for i, n := range numbers {
		if n != none {
			ids[i] = t.ids.at(places[i])
		}
	}
}

// leadersOf are the leaders of accounts, and their ids if these are others.
func (t *tables) leadersOf(accounts []uint32, leaders *[together]uint32, ids *[together][]byte) {
	for i, n := range accounts {
		leaders[i] = t.accounts.at(n).leader
	}
	others := *leaders
	for i, n := range accounts {
		if others[i] == n {
			others[i] = none
		}
	}
	t.idsOf(others[:len(accounts)], ids)
}

// lookUpIdentifiers looks for as many identifiers as together at most.
func (t *tables) lookUpIdentifiers(of []sought, hashes []uint32, source *named) {
	var numbers [together]uint32
	var alike [together]bool
	t.byIdentifier.guess(hashes, numbers[:])
	for i, s := range of {
		if n := numbers[i]; n != none {
			alike[i] = t.identifiers.at(n).hash == s.update.Evidence[s.evidence].Identifier.Hash
		}
	}
	for i, s := range of {
		n, u := numbers[i], s.update
		ev := &u.Evidence[s.evidence]
		if n != none && (!alike[i] || t.typ(n) != s.typ) {
			n = none
			if other, ok := t.findIdentifier(ev.Identifier); ok {
				n = other
			}
		}
		u.Numbers[s.evidence] = n + 1
		if u.found.idle {
			u.found.idle = n != none && t.saysNothingNew(n, u.found.account, ev, source)
		}
	}
}

// awaitNew waits at once for where the identifiers of updates will lie that LookUp did
// not find, before they are added one by one.
func (t *tables) awaitNew(updates []Update) {
	var hashes, numbers [together]uint32
	n := 0
	var typ named
	for i := range updates {
		u := &updates[i]
		if !u.found.asked || u.found.idle {
			continue
		}
		for j, number := range u.Numbers {
			id := &u.Evidence[j].Identifier
			name, ok := typ.number(t, string(id.Type))
			if number != 0 || !ok {
				continue
			}
			hashes[n] = t.identifierHash(name, id.Hash)
			if n++; n == together {
				t.byIdentifier.guess(hashes[:], numbers[:])
				n = 0
			}
		}
	}
	t.byIdentifier.guess(hashes[:n], numbers[:])
}

// awaitBirths waits at once for where accounts will lie that are added then one by one.
func (t *tables) awaitBirths(fresh []newborn) {
	var hashes, numbers [together]uint32
	for some := range slices.Chunk(fresh, together) {
		for i := range some {
			hashes[i] = idHash(some[i].id)
		}
		t.byID.guess(hashes[:len(some)], numbers[:])
	}
}

// saysNothingNew says whether an account is known to have been seen with an identifier as a
// piece of evidence says.
func (t *tables) saysNothingNew(id, account uint32, ev *identity.Evidence, source *named) bool {
	name, ok := source.number(t, ev.Source)
	if !ok {
		return false
	}
	place := t.findSighting(account, id, how(name, ev.Role))
	return place != none && t.sighting(place).within(ev)
}

// within says whether evidence that agrees in all but the times was seen at no other than
// the sighting.
func (s *sighting) within(ev *identity.Evidence) bool {
	return s.times[0] <= second(ev.First) && second(ev.Last) <= s.times[1]
}

// showsNothingNew says whether the fields of an update's appearance are known.
func (t *tables) showsNothingNew(u *Update) bool {
	for i, ev := range u.Evidence {
		if ev.Identifier.Type != identity.AppearanceType {
			continue
		}
		if _, known := t.findAppearance(u.Numbers[i] - 1); !known {
			return false
		}
	}
	return true
}

// named is the number of the name that was asked for last: names come in runs.
type named struct {
	name string
	n    uint32
	ok   bool
}

// number is a name's; false if nothing has it.
func (m *named) number(t *tables, name string) (uint32, bool) {
	if !m.ok || m.name != name {
		m.name = name
		m.n, m.ok = t.nameOf[name]
	}
	return m.n, m.ok
}
