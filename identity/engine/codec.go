package engine

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"oneid/identity"
)

// The tables of the state, and their rows. A number is a key of four bytes,
// big-endian, so that new rows are appended; values are varints and texts
// with their length, except where JSON is said.
//
// Of accounts, identifiers, sightings and appearances a batch brings many that are
// numbered one after the other. They lie in packs: a key is the number of the first
// and, in two bytes, how many there are; a value is theirs one after the other. A
// state of an earlier version has a row for each, before the packs. What becomes of
// them later lies in tables of its own.
const (
	tableNames       Table = 'n' // number → text
	tableShops       Table = 'p' // number → platform, shop
	tableAccounts    Table = 'a' // number → shop, id, birth, moved, leader, why
	tableIdentifiers Table = 'i' // number → type, hash
	tableSightings   Table = 's' // number → account, identifier, role, source, first, last
	tableMoves       Table = 'm' // number of an account → moved, leader, why: instead of what its row says
	tableTimes       Table = 't' // number of a sighting → first, last: likewise
	tableDecisions   Table = 'd' // decision ID → JSON
	tableOutbox      Table = 'o' // sequence → encoded Changes
	tableSequence    Table = 'q' // empty → sequence, format
	tableRules       Table = 'r' // empty → YAML of the rules that hold where none were adopted
	tableAppearances Table = 'v' // number → identifier, seven fields
	tableUnsettled   Table = 'u' // number → empty: accounts that the next batch resolves anew
	tableWay         Table = 'w' // empty → way in which accounts were partitioned last
)

func key32(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
func key64(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func nameRow(t *tables, n int) Row {
	return Row{tableNames, key32(uint32(n)), appendText(nil, t.names[n])}
}

func shopRow(t *tables, n int) Row {
	return Row{tableShops, key32(uint32(n)), appendText(appendText(nil, t.shops[n].platform), t.shops[n].shop)}
}

// packs make rows in one piece of memory: keys and values of their own would be
// the greater part of a batch's garbage.
type packs struct {
	rows  []Row
	arena []byte
}

const (
	// usualRow is about what a numbered row takes of the arena. One that grows leaves
	// what it was to the rows in it: a batch takes twice the memory then.
	usualRow = 32
	// packRows and packBytes end a pack: a store has few of them, and none is long.
	packRows  = 1<<16 - 1
	packBytes = 32 << 10
)

// encode appends a numbered row's value.
type encode func(b []byte, t *tables, n uint32) []byte

// pack makes packs of the rows from a number on, up to another.
func (p *packs) pack(t *tables, table Table, from, to int, row encode) {
	for n := from; n < to; {
		first, begun := n, len(p.arena)
		p.arena = append(binary.BigEndian.AppendUint32(p.arena, uint32(n)), 0, 0)
		for ; n < to && n-first < packRows && len(p.arena)-begun < packBytes; n++ {
			p.arena = row(p.arena, t, uint32(n))
		}
		binary.BigEndian.PutUint16(p.arena[begun+4:], uint16(n-first))
		p.row(table, begun, 6)
	}
}

// one makes a row of its own.
func (p *packs) one(t *tables, table Table, n uint32, row encode) {
	begun := len(p.arena)
	p.arena = row(binary.BigEndian.AppendUint32(p.arena, n), t, n)
	p.row(table, begun, 4)
}

// row makes a row of what was appended to the arena, its key first.
func (p *packs) row(table Table, begun, key int) {
	row := p.arena[begun:len(p.arena):len(p.arena)]
	p.rows = append(p.rows, Row{table, row[:key:key], row[key:]})
}

func encodeAccount(b []byte, t *tables, n uint32) []byte {
	id := t.accountID(n)
	b = binary.AppendUvarint(b, uint64(t.shop(n)))
	b = append(binary.AppendUvarint(b, uint64(len(id))), id...)
	return encodeMove(binary.AppendUvarint(b, t.born(n)), t, n)
}

func encodeMove(b []byte, t *tables, n uint32) []byte {
	b = binary.AppendUvarint(b, t.since(n))
	b = binary.AppendUvarint(b, uint64(t.accounts.at(n).leader))
	return binary.AppendUvarint(b, uint64(t.why(n)))
}

func encodeIdentifier(b []byte, t *tables, n uint32) []byte {
	id := t.identifiers.at(n)
	return append(binary.AppendUvarint(b, uint64(t.typ(n))), id.hash[:]...)
}

func encodeAppearance(b []byte, t *tables, n uint32) []byte {
	b = binary.AppendUvarint(b, uint64(t.renumbered.inStore(t.appearances.at(n).identifier)))
	a := t.appearance(n)
	for _, field := range [...]string{a.Name, a.Phone, a.Province, a.City, a.District, a.Town, a.Detail} {
		b = appendText(b, field)
	}
	return b
}

func encodeSighting(b []byte, t *tables, n uint32) []byte {
	place := t.numbers.place(n)
	account, _ := t.seen(place)
	for _, v := range [...]uint32{account, t.renumbered.inStore(t.identifierOf(place)), uint32(t.role(place)), t.source(place)} {
		b = binary.AppendUvarint(b, uint64(v))
	}
	return encodeTimes(b, t, n)
}

func encodeTimes(b []byte, t *tables, n uint32) []byte {
	s := t.sighting(t.numbers.place(n))
	return binary.AppendVarint(binary.AppendVarint(b, s.first()), s.last())
}

func decisionRow(d identity.Decision) Row {
	value, err := json.Marshal(d)
	if err != nil {
		panic(err) // texts and numbers only
	}
	return Row{tableDecisions, []byte(d.ID), value}
}

// way counts how often identity's Partition has come to find other customers of the
// same evidence by the same rules. In the first the largest customer refused single
// links, and a state had no row of it; in the second the first of equal links was taken
// where they led to several persons of a shop; in the third, where they led to persons
// who contradict each other; in the fourth, the first of equal pairs of the model and of
// people's words that contradict each other.
const way = 5

func wayRow() Row { return Row{tableWay, []byte{}, binary.AppendUvarint(nil, way)} }

func givenRow(rules *identity.Rules) Row {
	text, err := rules.MarshalText()
	if err != nil {
		panic(err) // a copy of bytes
	}
	return Row{tableRules, []byte{}, text}
}

// format counts how often rows have come to be written so that an earlier version would
// read them wrongly: it has no table of moves, and would say of the accounts in it where
// they were before. It stands behind the sequence, in which that version sees damage and
// stops; its own sequence stands alone, of format 0.
const format = 1

func sequenceRow(sequence uint64) Row {
	return Row{tableSequence, []byte{}, binary.AppendUvarint(binary.AppendUvarint(nil, sequence), format)}
}

var (
	errDamaged = errors.New("a row is damaged")
	errLater   = errors.New("a later version of OneID has written it: use that one, or have the state rebuilt")
)

// reader takes a value apart; after the first fault it returns zeros.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.bad, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) int() int64 {
	v, n := binary.Varint(r.rest)
	if n <= 0 {
		r.bad, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// below reads a number of a table with n rows.
func (r *reader) below(n int) uint32 {
	v := r.uint()
	if v >= uint64(n) {
		r.bad = true
		return 0
	}
	return uint32(v)
}

func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.rest)) {
		r.bad, r.rest = true, nil
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) text() string { return string(r.bytes(r.uint())) }

func (r *reader) err() error {
	if r.bad || len(r.rest) > 0 {
		return errDamaged
	}
	return nil
}

// load fills the tables from the store.
func (e *Engine) load() error {
	t := &e.tables
	numbered := func(table Table, next func() int, row func(*reader)) error {
		return e.store.Scan(table, func(key, value []byte) error {
			r, count := reader{rest: value}, 1
			switch len(key) {
			case 4:
			case 6:
				count = int(binary.BigEndian.Uint16(key[4:]))
			default:
				return fmt.Errorf("table %c, row %x: %w", table, key, errDamaged)
			}
			if int(binary.BigEndian.Uint32(key)) != next() {
				return fmt.Errorf("table %c, row %x: %w: rows are missing before it", table, key, errDamaged)
			}
			for ; count > 0 && !r.bad; count-- {
				row(&r)
			}
			if err := r.err(); err != nil {
				return fmt.Errorf("table %c, row %x: %w", table, key, err)
			}
			return nil
		})
	}
	later := func(table Table, n func() int, row func(n uint32, r *reader)) error {
		return e.store.Scan(table, func(key, value []byte) error {
			r := reader{rest: value}
			if len(key) != 4 || int(binary.BigEndian.Uint32(key)) >= n() {
				return fmt.Errorf("table %c, row %x: %w", table, key, errDamaged)
			}
			row(binary.BigEndian.Uint32(key), &r)
			if err := r.err(); err != nil {
				return fmt.Errorf("table %c, row %x: %w", table, key, err)
			}
			return nil
		})
	}
	steps := []func() error{
		func() error { // first: what follows may be of a later format
			return e.store.Scan(tableSequence, func(_, value []byte) error {
				r := reader{rest: value}
				e.sequence, e.applied = r.uint(), true
				if len(r.rest) > 0 && r.uint() > format {
					return errLater
				}
				return r.err()
			})
		},
		func() error {
			return numbered(tableNames, func() int { return len(t.names) }, func(r *reader) { t.name(r.text()) })
		},
		func() error {
			return numbered(tableShops, func() int { return len(t.shops) }, func(r *reader) {
				s := shop{r.text(), r.text()}
				t.shopOf[s] = uint32(len(t.shops))
				t.shops = append(t.shops, s)
			})
		},
		func() error {
			return numbered(tableAccounts, func() int { return t.accounts.len() }, func(r *reader) {
				s := r.below(len(t.shops))
				id := r.text()
				if r.bad {
					return
				}
				key := identity.Account{Platform: t.shops[s].platform, Shop: t.shops[s].shop, ID: id}
				born, since := r.uint(), r.uint()
				leader, why := r.below(t.accounts.len()+1), r.below(len(t.names))
				if r.bad {
					return
				}
				t.accounts.at(t.addAccount(key, key.BirthID(), born, since, why)).leader = leader
			})
		},
		func() error {
			return later(tableMoves, t.accounts.len, func(n uint32, r *reader) {
				since, leader, why := r.uint(), r.below(int(n)+1), r.below(len(t.names))
				if !r.bad {
					t.move(n, since, why)
					t.accounts.at(n).leader = leader
				}
			})
		},
		func() error {
			for i := range t.accounts.len() {
				n := uint32(i)
				if a := t.accounts.at(n); a.leader != n {
					l := t.accounts.at(a.leader)
					a.next, l.next = l.next, n
				}
			}
			return nil
		},
		func() error {
			return numbered(tableIdentifiers, func() int { return t.identifiers.len() }, func(r *reader) {
				typ := r.below(len(t.names))
				hash := r.bytes(uint64(len(identity.Hash{})))
				if !r.bad {
					t.addIdentifier(typ, identity.Hash(hash))
				}
			})
		},
		func() error {
			return numbered(tableSightings, func() int { return t.numbers.n }, func(r *reader) {
				account, id := r.below(t.accounts.len()), r.below(t.identifiers.len())
				role, source := identity.Role(r.below(int(identity.RoleAgent)+1)), r.below(len(t.names))
				first, last := r.int(), r.int()
				if r.bad {
					return
				}
				id = t.renumbered.fromStore(id)
				if fresh := uint32(t.numbers.firsts); id > fresh {
					t.exchange(id, fresh)
					id = fresh
				}
				t.addSighting(account, id, how(source, role), first, last)
			})
		},
		func() error {
			return later(tableTimes, func() int { return t.numbers.n }, func(n uint32, r *reader) {
				first, last := r.int(), r.int()
				t.sighting(t.numbers.place(n)).times = [2]uint32{second(first), second(last)}
			})
		},
		func() error {
			if seen := t.numbers.firsts; seen < t.identifiers.len() {
				return fmt.Errorf("table %c: %w: identifier %d was seen nowhere", tableSightings, errDamaged, seen)
			}
			return nil
		},
		func() error {
			return numbered(tableAppearances, func() int { return t.appearances.len() }, func(r *reader) {
				id := t.renumbered.fromStore(r.below(t.identifiers.len()))
				a := identity.Appearance{Name: r.text(), Phone: r.text(), Province: r.text(), City: r.text(), District: r.text(), Town: r.text(), Detail: r.text()}
				if !r.bad {
					t.addAppearance(id, a)
				}
			})
		},
		func() error {
			return e.store.Scan(tableDecisions, func(_, value []byte) error {
				var d identity.Decision
				if err := json.Unmarshal(value, &d); err != nil {
					return fmt.Errorf("decisions: %w: %w", errDamaged, err)
				}
				if d.Kind == identity.Adopt {
					if _, err := e.scorers.Of(d.Rules); err != nil {
						return err
					}
				}
				e.decisions.Add(d)
				return nil
			})
		},
		func() error {
			err := e.store.Scan(tableRules, func(_, value []byte) (err error) {
				e.givenStored = true
				e.given, err = identity.ParseRules(value)
				return err
			})
			if err != nil {
				return err
			}
			if _, err := e.scorers.Of(e.given); err != nil {
				return err
			}
			rules := e.decisions.Rules(e.given)
			joins, bridges := e.joins(rules)
			e.rule(rules, joins, bridges, e.modelOf(rules))
			return nil
		},
		func() error {
			return later(tableUnsettled, t.accounts.len, func(n uint32, _ *reader) { e.unsettled = append(e.unsettled, n) })
		},
		func() error {
			return e.store.Scan(tableOutbox, func(key, value []byte) error {
				if len(key) != 8 {
					return fmt.Errorf("outbox: %w", errDamaged)
				}
				sequence := binary.BigEndian.Uint64(key)
				e.outbox[sequence] = slices.Clone(value)
				_, err := e.decodeChanges(sequence, value)
				return err
			})
		},
		func() error {
			err := e.store.Scan(tableWay, func(_, value []byte) error {
				r := reader{rest: value}
				e.wayStored = r.uint() == way
				return r.err()
			})
			if err == nil && !e.wayStored {
				e.unsettleOldWays()
			}
			return err
		},
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// encodeChanges writes the changes of a batch in numbers, which never change
// their meaning; customers and times are written out as they are now.
func (e *Engine) encodeChanges(b *batch) []byte {
	t := &e.tables
	usual := 16 + 10*(t.accounts.len()-b.accounts) + 18*len(b.moves) + 15*len(b.order) // nearly always enough
	out := binary.AppendUvarint(make([]byte, 0, usual), uint64(t.accounts.len()-b.accounts))
	for n := b.accounts; n < t.accounts.len(); n++ {
		out = binary.AppendUvarint(out, uint64(n))
		out = binary.AppendUvarint(out, uint64(t.accounts.at(uint32(n)).leader))
		out = binary.AppendUvarint(out, uint64(t.why(uint32(n))))
	}
	slices.SortFunc(b.moves, func(x, y moveRow) int { return int(int64(x.account) - int64(y.account)) })
	out = binary.AppendUvarint(out, uint64(len(b.moves)))
	for _, m := range b.moves {
		for _, v := range []uint32{m.account, m.from, m.to, m.reason} {
			out = binary.AppendUvarint(out, uint64(v))
		}
	}
	out = binary.AppendUvarint(out, uint64(len(b.order)))
	for _, n := range b.order {
		out = binary.AppendUvarint(out, uint64(n))
		s := t.sighting(t.numbers.place(n))
		out = binary.AppendVarint(binary.AppendVarint(out, s.first()), s.last())
	}
	if len(b.changes.Reviews) > 0 {
		reviews, err := json.Marshal(b.changes.Reviews)
		if err != nil {
			panic(err) // texts and numbers only
		}
		out = append(out, reviews...)
	}
	return out
}

// decodeChanges reads what encodeChanges wrote.
func (e *Engine) decodeChanges(sequence uint64, encoded []byte) (Changes, error) {
	t := &e.tables
	r := reader{rest: encoded}
	c := Changes{Sequence: sequence}
	id := func(n uint32) identity.CustomerID { return t.birthID(n) }
	fail := func() (Changes, error) {
		return Changes{}, fmt.Errorf("outbox, sequence %d: %w", sequence, errDamaged)
	}
	accounts := t.accounts.len()
	// A row takes a byte at least: what is damaged asks for no more room than that.
	most := func(left uint64) int { return int(min(left, uint64(len(r.rest)))) }
	born := r.uint()
	c.Born = slices.Grow(c.Born, most(born))
	for left := born; left > 0 && !r.bad; left-- {
		n, leader, why := r.below(accounts), r.below(accounts), r.below(len(t.names))
		if r.bad {
			return fail()
		}
		c.Born = append(c.Born, Birth{Account: t.accountKey(n), CustomerID: id(leader), Sequence: sequence, Reason: t.names[why]})
	}
	for left := r.uint(); left > 0 && !r.bad; left-- {
		n, from, to, reason := r.below(accounts), r.below(accounts), r.below(accounts), r.below(len(t.names))
		if r.bad {
			return fail()
		}
		c.Moved = append(c.Moved, Move{Account: t.accountKey(n), From: id(from), To: id(to), Reason: t.names[reason]})
		c.Redirects = append(c.Redirects, Redirect{From: id(n), To: id(to), Sequence: sequence})
	}
	evidence := r.uint()
	c.Evidence = slices.Grow(c.Evidence, most(evidence))
	for left := evidence; left > 0 && !r.bad; left-- {
		n, first, last := r.below(t.numbers.n), r.int(), r.int()
		if r.bad {
			return fail()
		}
		ev := t.evidence(t.numbers.place(n))
		ev.First, ev.Last = first, last
		c.Evidence = append(c.Evidence, ev)
	}
	if r.bad {
		return fail()
	}
	if len(r.rest) > 0 {
		if err := json.Unmarshal(r.rest, &c.Reviews); err != nil {
			return fail()
		}
	}
	return c, nil
}
