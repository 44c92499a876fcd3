package engine

import (
	"slices"

	"oneid/identity"
)

// bearing is an account with a type of identifiers, by its name.
type bearing struct{ account, typ uint32 }

// isBridge says whether an account bears more values of an identifier's type than it
// may.
func (e *Engine) isBridge(account, id uint32) bool {
	return len(e.bridges) > 0 && e.bridges[bearing{account, e.tables.typ(id)}]
}

// values are an account's identifiers of a type in roles that join by some rules, and
// when each was seen first and last.
func (e *Engine) values(rules *identity.Rules, account, typ uint32) (ids []uint32, times [][2]int64) {
	t := &e.tables
	for n := t.ofAccount(account); n != none; {
		s, id := t.sighting(n), t.identifierOf(n)
		if t.typ(id) == typ && rules.Strength(e.typeOf(id), t.role(n)) > 0 {
			i := slices.Index(ids, id)
			if i < 0 {
				i = len(ids)
				ids, times = append(ids, id), append(times, [2]int64{s.first(), s.last()})
			}
			times[i] = [2]int64{min(times[i][0], s.first()), max(times[i][1], s.last())}
		}
		n = s.nextOfAccount
	}
	return ids, times
}

// span makes a bridge of an account which bears too many values of an identifier's
// type since it was seen with that: all of them join otherwise from now on.
func (e *Engine) span(b *batch, account, id uint32) {
	t := &e.tables
	typ := e.typeOf(id)
	of := bearing{account, t.typ(id)}
	if e.rules.Types[typ].Values == 0 || e.isBridge(account, id) {
		return
	}
	ids, times := e.values(e.rules, account, of.typ)
	if !e.rules.TooMany(typ, times) {
		return
	}
	for _, other := range ids {
		e.touch(b, other)
	}
	e.bridges[of] = true
	b.soil(account)
}
