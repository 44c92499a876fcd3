package engine

import (
	"bytes"
	"encoding/binary"
	"slices"
	"unsafe"

	"oneid/identity"
)

// appearance is the fields behind an identifier of identity.AppearanceType.
type appearance struct {
	identifier uint32
	fields     uint32 // where in tables.fields
}

func (t *tables) findAppearance(id uint32) (uint32, bool) {
	return t.byAppearance.find(t.hashOfIdentifier(id), func(n uint32) bool { return t.appearances.at(n).identifier == id })
}

// addAppearance numbers an appearance that is not there yet.
func (t *tables) addAppearance(id uint32, a identity.Appearance) {
	n := uint32(t.appearances.len())
	t.appearances.add(appearance{identifier: id, fields: t.fields.add(string(t.fieldsOf(a)))})
	t.byAppearance.put(t.hashOfIdentifier(id), n)
}

// fieldsOf are an appearance's fields as they are kept. What many have in common
// is a number of words: the name, which is a surname, and the four parts of the
// address above the street.
func (t *tables) fieldsOf(a identity.Appearance) []byte {
	var district []byte
	for _, part := range [...]string{a.Province, a.City, a.District, a.Town} {
		district = appendText(district, part)
	}
	fields := binary.AppendUvarint(nil, uint64(t.words.number(a.Name)))
	fields = binary.AppendUvarint(fields, uint64(t.words.number(string(district))))
	return appendText(appendText(fields, a.Phone), a.Detail)
}

// appearance are the fields of a numbered one. They are part of the table's
// memory, which is never written again.
func (t *tables) appearance(n uint32) (a identity.Appearance) {
	rest := t.fields.at(t.appearances.at(n).fields)
	name, district := t.words.at(uint32(cutUint(&rest))), t.words.at(uint32(cutUint(&rest)))
	a.Name = unsafe.String(unsafe.SliceData(name), len(name))
	a.Province, a.City, a.District, a.Town = cutText(&district), cutText(&district), cutText(&district), cutText(&district)
	a.Phone, a.Detail = cutText(&rest), cutText(&rest)
	return a
}

// cutUint and cutText cut off what appendText and its like have appended.
func cutUint(rest *[]byte) uint64 {
	v, n := binary.Uvarint(*rest)
	*rest = (*rest)[n:]
	return v
}

func cutText(rest *[]byte) string {
	length := cutUint(rest)
	text := (*rest)[:length]
	*rest = (*rest)[length:]
	return unsafe.String(unsafe.SliceData(text), len(text))
}

// appearanceOf are the fields behind a hash; false if they are not known.
func (t *tables) appearanceOf(h identity.Hash) (identity.Appearance, bool) {
	id, ok := t.findIdentifier(identity.Identifier{Type: identity.AppearanceType, Hash: h})
	if !ok {
		return identity.Appearance{}, false
	}
	n, ok := t.findAppearance(id)
	if !ok {
		return identity.Appearance{}, false
	}
	return t.appearance(n), true
}

// model is what rules with a model need: which appearances meet under which
// keys. All of it follows from the tables, and is made anew at a start and
// whenever other rules are adopted. Nothing is removed.
type model struct {
	t      *tables
	rule   *identity.ModelRule
	scorer identity.Scorer
	typ    uint32 // name of identity.AppearanceType

	blocks  rows[block]
	byKey   index
	entries rows[entry]
	// first entry of each appearance, none for one that is in no block yet.
	first rows[uint32]
	keys  []uint64 // used again and again
}

// block is a key, and who meets under it.
type block struct {
	key  uint64
	head uint32 // list of entries
	// accounts that were seen with one of its appearances, whether they count or
	// not: a warehouse is known by all who ever sent something there. One that has
	// gone inert is not counted on.
	accounts uint32
}

type entry struct {
	appearance, block             uint32
	nextOfBlock, nextOfAppearance uint32
}

// modelOf makes the model of rules, whose name is known; nil if they have none.
func (e *Engine) modelOf(rules *identity.Rules) *model {
	if rules.Model == nil {
		return nil
	}
	t := &e.tables
	m := &model{t: t, rule: rules.Model, scorer: e.scorers[rules.Model.Use], typ: none}
	if typ, ok := t.nameOf[string(identity.AppearanceType)]; ok {
		m.typ = typ
	}
	for n := range uint32(t.appearances.len()) {
		id := t.appearances.at(n).identifier
		m.seen(id, func(account uint32, _ bool) { m.enter(account, id, nil) })
	}
	return m
}

// times are when an account was seen with an appearance, in Unix seconds; false
// if it was not.
func (m *model) times(account, id uint32) (first, last int64, found bool) {
	from, to := none, uint32(0)
	m.t.between(account, id, func(place uint32) bool {
		s := m.t.sighting(place)
		from, to, found = min(from, s.times[0]), max(to, s.times[1]), true
		return false
	})
	return int64(from), int64(to), found
}

// receivers are those that an account was seen with, of whom the fields are known.
func (m *model) receivers(account uint32) identity.Receivers {
	receivers := identity.Receivers{}
	for n := m.t.ofAccount(account); n != none; {
		s := m.t.sighting(n)
		if id := m.t.identifierOf(n); m.t.typ(id) == m.typ {
			if a, known := m.t.findAppearance(id); known {
				receivers.See(m.t.appearance(a), int64(s.times[0]), int64(s.times[1]))
			}
		}
		n = s.nextOfAccount
	}
	return receivers
}

// own is the receiver through whom rules with a ByFar join an account; false if nothing
// tells.
func (m *model) own(account uint32) (identity.Appearance, bool) {
	return m.rule.Own(m.receivers(account))
}

// counts says whether an account counts as the bearer of an appearance.
func (m *model) counts(account, id uint32) bool {
	first, last, found := m.times(account, id)
	return found && m.rule.Counts(first, last)
}

// fewBearers are looked for one by one.
const fewBearers = 16

// bearers calls do for each account that counts as the bearer of an appearance.
func (m *model) bearers(id uint32, do func(account uint32)) {
	m.seen(id, func(account uint32, counts bool) {
		if counts {
			do(account)
		}
	})
}

// seen calls do for each account that was seen with an appearance.
func (m *model) seen(id uint32, do func(account uint32, counts bool)) {
	type times struct{ account, first, last uint32 }
	var room [fewBearers]times
	list := room[:0]
	var at map[uint32]int
	var account, next uint32
	for n := m.t.ofIdentifier(id); n != none; n = next {
		account, next = m.t.seen(n)
		s := m.t.sighting(n)
		if at == nil && len(list) == fewBearers {
			at = make(map[uint32]int, 2*fewBearers)
			for i, b := range list {
				at[b.account] = i
			}
		}
		i := -1
		if at == nil {
			i = slices.IndexFunc(list, func(b times) bool { return b.account == account })
		} else if k, ok := at[account]; ok {
			i = k
		}
		if i < 0 {
			if at != nil {
				at[account] = len(list)
			}
			list = append(list, times{account, s.times[0], s.times[1]})
			continue
		}
		list[i].first, list[i].last = min(list[i].first, s.times[0]), max(list[i].last, s.times[1])
	}
	for _, b := range list {
		do(b.account, m.rule.Counts(int64(b.first), int64(b.last)))
	}
}

func blockHash(key uint64) uint32 { return uint32((key * 0x9e3779b97f4a7c15) >> 32) }

func (m *model) block(key uint64) uint32 {
	n, ok := m.byKey.find(blockHash(key), func(n uint32) bool { return m.blocks.at(n).key == key })
	if !ok {
		n = uint32(m.blocks.len())
		m.blocks.add(block{key: key, head: none})
		m.byKey.put(blockHash(key), n)
	}
	return n
}

// head is an appearance's first entry.
func (m *model) head(n uint32) uint32 {
	if int(n) >= m.first.len() {
		return none
	}
	return *m.first.at(n)
}

// enter puts an account that was seen with an appearance for the first time into
// its blocks. inert is called for each that passes its bound by that.
func (m *model) enter(account, id uint32, inert func(block uint32)) {
	n, ok := m.t.findAppearance(id)
	if !ok {
		return // once its fields are known
	}
	if m.head(n) == none {
		m.keys = m.scorer.Blocks(m.keys[:0], m.t.appearance(n))
		slices.Sort(m.keys)
		for m.first.len() <= int(n) {
			m.first.add(none)
		}
		for _, key := range slices.Compact(m.keys) {
			of := m.block(key)
			k := uint32(m.entries.len())
			m.entries.add(entry{n, of, m.blocks.at(of).head, *m.first.at(n)})
			m.blocks.at(of).head, *m.first.at(n) = k, k
		}
	}
	for k := m.head(n); k != none; k = m.entries.at(k).nextOfAppearance {
		of := m.entries.at(k).block
		if b := m.blocks.at(of); m.rule.Inert(int(b.accounts)) || m.in(account, b, n) {
			continue
		}
		m.blocks.at(of).accounts++
		if inert != nil && m.rule.Inert(int(m.blocks.at(of).accounts)) {
			inert(of)
		}
	}
}

// in says whether an account is in a block by another appearance than n.
func (m *model) in(account uint32, b *block, n uint32) bool {
	for k := b.head; k != none; k = m.entries.at(k).nextOfBlock {
		if other := m.entries.at(k).appearance; other != n {
			if _, _, seen := m.times(account, m.t.appearances.at(other).identifier); seen {
				return true
			}
		}
	}
	return false
}

// joins says whether accounts meet in a block.
func (m *model) joins(of uint32) bool {
	n := int(m.blocks.at(of).accounts)
	return n > 1 && !m.rule.Inert(n)
}

// meets says whether an appearance meets any other account's.
func (m *model) meets(id uint32) bool {
	n, ok := m.t.findAppearance(id)
	if !ok {
		return false
	}
	for k := m.head(n); k != none; k = m.entries.at(k).nextOfAppearance {
		if m.joins(m.entries.at(k).block) {
			return true
		}
	}
	return false
}

// near finds the accounts that resemble one, by the review threshold at least:
// of each the best pair of appearances, A being the account.
func (m *model) near(account uint32) []identity.Resemblance {
	t := m.t
	var found []identity.Resemblance
	var seen []uint32 // appearances
	own, hasOwn := identity.Appearance{}, false
	if m.rule.ByFar > 0 {
		own, hasOwn = m.own(account)
	}
	var weighed map[uint32]bool
	for n := t.ofAccount(account); n != none; n = t.sighting(n).nextOfAccount {
		id := t.identifierOf(n)
		if t.typ(id) != m.typ {
			continue
		}
		x, ok := t.findAppearance(id)
		if !ok || m.head(x) == none || slices.Contains(seen, x) || !m.meets(id) || !m.counts(account, id) {
			continue
		}
		seen = append(seen, x)
		fields, hash := t.appearance(x), t.identifiers.at(id).hash
		asks := m.rule.ByFar > 0 && (!hasOwn || fields.Receiver() != own)
		clear(weighed)
		for k := m.head(x); k != none; k = m.entries.at(k).nextOfAppearance {
			of := m.entries.at(k).block
			if !m.joins(of) {
				continue
			}
			for j := m.blocks.at(of).head; j != none; j = m.entries.at(j).nextOfBlock {
				y := m.entries.at(j).appearance
				other := t.identifiers.at(t.appearances.at(y).identifier)
				if weighed[y] || y == x && !other.again() {
					continue
				}
				if weighed == nil {
					weighed = map[uint32]bool{}
				}
				weighed[y] = true
				others := t.appearance(y)
				weight := identity.Weigh(m.scorer, hash, other.hash, fields, others)
				if weight < m.rule.Review {
					continue
				}
				m.bearers(t.appearances.at(y).identifier, func(b uint32) {
					if b == account {
						return
					}
					r := identity.Resemblance{A: int(account), B: int(b), X: hash, Y: other.hash, Weight: weight, Asks: asks}
					if m.rule.ByFar > 0 && !asks {
						receiver, ok := m.own(b)
						r.Asks = !ok || receiver != others.Receiver()
					}
					found = m.better(found, r)
				})
			}
		}
	}
	return found
}

// better keeps of each other account the best pair.
func (m *model) better(found []identity.Resemblance, r identity.Resemblance) []identity.Resemblance {
	i := slices.IndexFunc(found, func(s identity.Resemblance) bool { return s.B == r.B })
	switch {
	case i < 0:
		return append(found, r)
	case found[i].Weight != r.Weight || found[i].Asks != r.Asks:
		if m.rule.Better(r, found[i]) {
			found[i] = r
		}
	case m.rule.Better(m.ordered(r), m.ordered(found[i])): // a tie: by the accounts' keys
		found[i] = r
	}
	return found
}

// ordered is a pair with the lower account first.
func (m *model) ordered(r identity.Resemblance) identity.Resemblance {
	if m.t.accountKey(uint32(r.A)).Compare(m.t.accountKey(uint32(r.B))) > 0 {
		r.A, r.B, r.X, r.Y = r.B, r.A, r.Y, r.X
	}
	return r
}

// appear takes an update's appearance: fields that were not known before let
// accounts that were seen with it already meet others.
func (e *Engine) appear(b *batch, u *Update) {
	for _, ev := range u.Evidence {
		if ev.Identifier.Type != identity.AppearanceType {
			continue
		}
		id, _ := e.tables.findIdentifier(ev.Identifier) // it was seen just now
		if _, known := e.tables.findAppearance(id); known {
			continue
		}
		e.tables.addAppearance(id, *u.Appearance)
		if m := e.model; m != nil {
			m.seen(id, func(account uint32, counts bool) {
				e.meet(b, account, id, counts)
				if n, _ := e.tables.findAccount(u.Account); account != n {
					e.letGo(b, account) // it may be another's own now
				}
			})
		}
	}
}

// letGo marks an account, and all whom it resembles: through whom it was joined to
// them may not be its own any more.
func (e *Engine) letGo(b *batch, account uint32) {
	if e.model.rule.ByFar == 0 {
		return
	}
	b.soil(account)
	for _, pair := range e.model.near(account) {
		b.soil(uint32(pair.B))
	}
}

// meet puts an account into the blocks of an appearance that it was seen with for
// the first time. A block that passes its bound lets go of all that it joined.
func (e *Engine) meet(b *batch, account, id uint32, counts bool) {
	m := e.model
	m.typ = e.tables.typ(id)
	m.enter(account, id, func(of uint32) {
		b.changes.Reviews = append(b.changes.Reviews, m.inert(of))
		e.closed(b, of)
		for k := m.blocks.at(of).head; k != none; k = m.entries.at(k).nextOfBlock {
			m.bearers(e.tables.appearances.at(m.entries.at(k).appearance).identifier, b.soil)
		}
	})
	if counts {
		b.soil(account)
	}
}

// inert is the review of a block that joins nobody.
func (m *model) inert(of uint32) identity.Review {
	return identity.Review{Reason: identity.ReviewBlock, Identifier: identity.BlockKey(m.blocks.at(of).key)}
}

// inertBlocks are the reviews of all that join nobody.
func (m *model) inertBlocks() (reviews []identity.Review) {
	for of := range uint32(m.blocks.len()) {
		if m.rule.Inert(int(m.blocks.at(of).accounts)) {
			reviews = append(reviews, m.inert(of))
		}
	}
	return reviews
}

// questions are the reviews of pairs between the thresholds whose accounts are
// of two customers, unless people have said that these are two.
func (e *Engine) questions(pairs []identity.Resemblance) (reviews []identity.Review) {
	t := &e.tables
	for _, r := range pairs {
		a, b := t.accounts.at(uint32(r.A)).leader, t.accounts.at(uint32(r.B)).leader
		if a == b || e.decisions.Pairs() > 0 && e.decisions.Apart(e.customer(a).Accounts, e.customer(b).Accounts) {
			continue
		}
		r = e.model.ordered(r)
		reviews = append(reviews, identity.Review{Reason: identity.ReviewModel, Identifier: identity.Identifier{Type: identity.AppearanceType, Hash: r.X}, Other: r.Y, Weight: r.Weight,
			Accounts: []identity.Account{t.accountKey(uint32(r.A)), t.accountKey(uint32(r.B))}})
	}
	return reviews
}

// why tells the parts of a weight, with no value in them.
func (e *Engine) why(x, y identity.Hash) []string {
	a, okA := e.tables.appearanceOf(x)
	b, okB := e.tables.appearanceOf(y)
	if e.model == nil || !okA || !okB {
		return nil
	}
	if bytes.Compare(x[:], y[:]) > 0 {
		a, b = b, a
	}
	return e.model.scorer.Explain(a, b)
}

// explained are reviews, those of the model with their parts.
func (e *Engine) explained(reviews []identity.Review) []identity.Review {
	for i, v := range reviews {
		if v.Weight > 0 {
			reviews[i].Why = e.why(v.Identifier.Hash, v.Other)
		}
	}
	return reviews
}
