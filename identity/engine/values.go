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
// when each was seen first and last; and how many sightings were walked for that. They are
// valid until the next call, under applying.
func (e *Engine) values(rules *identity.Rules, account, typ uint32) (ids []uint32, times [][2]int64, walked int) {
	t := &e.tables
	ids, times = e.walked.ids[:0], e.walked.times[:0]
	defer func() { e.walked.ids, e.walked.times = ids, times }()
	for n := t.ofAccount(account); n != none; walked++ {
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
	return ids, times, walked
}

// longWalk is from how many sightings on an account is remembered that bears few values:
// one with fewer is walked sooner than a million of them are remembered.
const longWalk = 64

// span makes a bridge of an account which bears too many values of an identifier's
// type since it was seen with that, fresh if it did not bear it before: all of them
// join otherwise from now on.
func (e *Engine) span(b *batch, account, id uint32, fresh bool) {
	t := &e.tables
	typ := e.typeOf(id)
	of := bearing{account, t.typ(id)}
	rule := e.rules.Types[typ]
	if rule.Values == 0 || e.isBridge(account, id) {
		return
	}
	if !fresh && (rule.GapDays == 0 || e.few[of]) {
		return // as many values as before, at whatever times
	}
	ids, times, walked := e.values(e.rules, account, of.typ)
	if len(ids) <= rule.Values {
		if walked >= longWalk {
			e.few[of] = true
		}
		return
	}
	delete(e.few, of)
	if !e.rules.TooMany(typ, times) {
		return
	}
	for _, other := range ids {
		e.touch(b, other)
	}
	e.bridges[of] = true
	b.soil(account)
}
