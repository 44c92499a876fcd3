package engine

import (
	"encoding/binary"
	"sort"
	"strings"
	"unsafe"

	"oneid/identity"
)

// none ends a list.
const none = ^uint32(0)

// tables hold all state as numbered rows. Numbers are given in the order of
// the journal, so the number of an account orders births. Nothing is removed.
type tables struct {
	names  []string // interned: types, sources, reasons
	nameOf map[string]uint32

	shops  []shop
	shopOf map[shop]uint32

	stands  []stand // interned
	standOf map[stand]uint32

	ids      texts // accounts' ids
	accounts rows[account]
	byID     index // by birth id
	births   rows[birth]

	kinds  []kind // interned
	kindOf map[kind]uint32

	identifiers  rows[identifier]
	byIdentifier index
	many         map[uint32]uint32 // what identifiers join, of those that join many

	shared     rows[shared]
	further    rows[further]
	numbers    numbers // of sightings
	renumbered renumbered

	words        words // of appearances
	fields       texts
	appearances  rows[appearance]
	byAppearance index
}

type shop struct{ platform, shop string }

// stand is an account's shop and, by name, why it is in its customer.
type stand struct{ shop, why uint32 }

// birth says at which sequence an account was born, and those after it up to
// the next row's.
type birth struct {
	from     uint32
	sequence uint64
}

// Of these rows there are millions: what they take is most of what the process
// takes, so they hold no pointer and no gap, and what most of them have in common
// is a number of something kept once.
type account struct {
	id     uint32 // where in ids
	leader uint32 // earliest-born account of its customer
	next   uint32 // account of the same customer: a ring
	head   uint32 // list of sightings
	since  uint32 // sequence of its last move, all but the highest bits
	stand  tagged // and these
}

// identifier is a row together with the first sighting of it, for most are
// seen once.
type identifier struct {
	hash identity.Hash
	// kind, and how many accounts bear it in a role that joins; from manyJoins on
	// the number is in many.
	kind tagged
	sighting
}

// kind is a type by its name, and how an identifier of it was seen first.
type kind struct{ typ, how uint32 }

// shared is what the row of an identifier has no room for that was seen again: few are.
type shared struct {
	account uint32 // of its first sighting
	next    uint32 // place of another
}

// further is a sighting that is not the first of its identifier.
type further struct {
	sighting
	identifier       uint32
	how              uint32
	nextOfIdentifier uint32
}

type sighting struct {
	times [2]uint32 // first and last, by second
	// account; of the first sighting of an identifier that was seen again the number of a
	// row of shared, with isShared; none for one that is not seen yet, while a state is read.
	by            uint32
	nextOfAccount uint32
}

const isShared = 1 << 31

// again says whether an identifier was seen again.
func (i *identifier) again() bool { return i.by&isShared != 0 && i.by != none }

// A place is where a sighting lies: the number of its identifier for the first
// of that, else the number of a further one with this bit.
const isFurther = 1 << 31

func (s *sighting) first() int64 { return int64(s.times[0]) }
func (s *sighting) last() int64  { return int64(s.times[1]) }

// how an identifier was seen: the name of the source, and, lowest, eight bits of
// role.
func how(source uint32, role identity.Role) uint32 { return source<<8 | uint32(role) }

// second is a time as the state keeps it, and ClickHouse too: one before 1970
// or after 2106 is as far away as can be.
func second(unix int64) uint32 { return uint32(min(max(unix, 0), 1<<32-1)) }

// tagged is a number below 1<<24 and, lowest, eight bits of something else.
type tagged uint32

func (t tagged) number() uint32 { return uint32(t >> 8) }
func (t tagged) tag() uint32    { return uint32(t & 0xff) }

func (t *tagged) setNumber(n uint32) { *t = tagged(n<<8) | *t&0xff }
func (t *tagged) setTag(n uint32)    { *t = *t&^0xff | tagged(n&0xff) }

// manyJoins is the first number of accounts that an identifier's tag has no room
// for.
const manyJoins = 0xff

func (t *tables) joins(id uint32) uint32 {
	n := t.identifiers.at(id).kind.tag()
	if n == manyJoins {
		return t.many[id]
	}
	return n
}

func (t *tables) setJoins(id, n uint32) {
	t.identifiers.at(id).kind.setTag(min(n, manyJoins))
	if n < manyJoins {
		delete(t.many, id)
	} else {
		t.many[id] = n
	}
}

func (t *tables) init() {
	t.nameOf, t.shopOf, t.standOf, t.kindOf = map[string]uint32{}, map[shop]uint32{}, map[stand]uint32{}, map[kind]uint32{}
	t.many = map[uint32]uint32{}
}

func (t *tables) name(s string) uint32 {
	n, ok := t.nameOf[s]
	if !ok {
		s = strings.Clone(s) // it may be a part of a whole message
		n = uint32(len(t.names))
		t.names = append(t.names, s)
		t.nameOf[s] = n
	}
	return n
}

// interned is the number of a value that there are few of.
func interned[T comparable](list *[]T, numberOf map[T]uint32, value T) uint32 {
	n, ok := numberOf[value]
	if !ok {
		n = uint32(len(*list))
		*list = append(*list, value)
		numberOf[value] = n
	}
	return n
}

func (t *tables) accountID(n uint32) []byte { return t.ids.at(t.accounts.at(n).id) }

// accountKey is an account's key. Its id is part of the table's memory, which is never
// written again.
func (t *tables) accountKey(n uint32) identity.Account { return t.keyWith(n, t.accountID(n)) }

// keyWith is the key of an account whose id is known.
func (t *tables) keyWith(n uint32, id []byte) identity.Account {
	s := t.shops[t.shop(n)]
	return identity.Account{Platform: s.platform, Shop: s.shop, ID: unsafe.String(unsafe.SliceData(id), len(id))}
}

func (t *tables) shop(n uint32) uint32 { return t.stands[t.accounts.at(n).stand.number()].shop }

// why is the name of the reason for which an account is in its customer, since
// the sequence of its last move.
func (t *tables) why(n uint32) uint32 { return t.stands[t.accounts.at(n).stand.number()].why }

func (t *tables) since(n uint32) uint64 {
	a := t.accounts.at(n)
	return uint64(a.stand.tag())<<32 | uint64(a.since)
}

// move says since when and why an account is in its customer.
func (t *tables) move(n uint32, since uint64, why uint32) {
	a := t.accounts.at(n)
	a.since = uint32(since)
	a.stand.setNumber(interned(&t.stands, t.standOf, stand{t.shop(n), why}))
	a.stand.setTag(uint32(since >> 32))
}

// born is the sequence of an account's birth.
func (t *tables) born(n uint32) uint64 {
	after := sort.Search(t.births.len(), func(i int) bool { return t.births.at(uint32(i)).from > n })
	return t.births.at(uint32(after - 1)).sequence
}

func (t *tables) birthID(n uint32) identity.CustomerID { return t.accountKey(n).BirthID() }

func (t *tables) identified(n uint32) bool { return t.accountKey(n).Identified() }

// findAccount finds an account by its birth id, too: one index is enough.
func (t *tables) findAccount(a identity.Account) (uint32, bool) {
	return t.findAccountBy(a, a.BirthID())
}

func (t *tables) findAccountBy(a identity.Account, id identity.CustomerID) (uint32, bool) {
	return t.byID.find(idHash(id), func(n uint32) bool { return t.accountKey(n) == a })
}

// addAccount numbers an account that is not there yet, a customer of its own
// since a sequence. id is its BirthID.
func (t *tables) addAccount(a identity.Account, id identity.CustomerID, born, since uint64, why uint32) (n uint32) {
	key := shop{a.Platform, a.Shop}
	s, ok := t.shopOf[key]
	if !ok {
		key = shop{strings.Clone(a.Platform), strings.Clone(a.Shop)} // as with names
		s = interned(&t.shops, t.shopOf, key)
	}
	n = uint32(t.accounts.len())
	row := account{id: t.ids.add(a.ID), leader: n, next: n, head: none}
	row.stand.setNumber(interned(&t.stands, t.standOf, stand{s, why}))
	t.accounts.add(row)
	t.move(n, since, why)
	if runs := t.births.len(); runs == 0 || t.births.at(uint32(runs-1)).sequence != born {
		t.births.add(birth{n, born})
	}
	t.byID.put(idHash(id), n)
	return n
}

func (t *tables) hashOfIdentifier(n uint32) uint32 {
	return t.identifierHash(t.typ(n), t.identifiers.at(n).hash)
}

func idHash(id identity.CustomerID) uint32 { return binary.LittleEndian.Uint32(id[:]) }

func (t *tables) findBirthID(id identity.CustomerID) (uint32, bool) {
	return t.byID.find(idHash(id), func(n uint32) bool { return t.birthID(n) == id })
}

// typ is the name of an identifier's type.
func (t *tables) typ(id uint32) uint32 { return t.kinds[t.identifiers.at(id).kind.number()].typ }

func (t *tables) findIdentifier(id identity.Identifier) (uint32, bool) {
	typ, ok := t.nameOf[string(id.Type)]
	if !ok {
		return 0, false
	}
	return t.byIdentifier.find(t.identifierHash(typ, id.Hash), func(n uint32) bool {
		return t.identifiers.at(n).hash == id.Hash && t.typ(n) == typ
	})
}

// identifierHash needs no seed: hashes are keyed with the brand's secret.
func (t *tables) identifierHash(typ uint32, h identity.Hash) uint32 {
	return binary.LittleEndian.Uint32(h[:]) ^ typ*0x9e3779b1
}

// addIdentifier numbers an identifier that is not there yet, and that nobody was
// seen with.
func (t *tables) addIdentifier(typ uint32, h identity.Hash) uint32 {
	n := uint32(t.identifiers.len())
	row := identifier{hash: h, sighting: sighting{by: none, nextOfAccount: none}}
	row.kind.setNumber(interned(&t.kinds, t.kindOf, kind{typ, 0}))
	t.identifiers.add(row)
	t.byIdentifier.put(t.identifierHash(typ, h), n)
	return n
}

func (t *tables) identifierKey(n uint32) identity.Identifier {
	return identity.Identifier{Type: identity.IdentifierType(t.names[t.typ(n)]), Hash: t.identifiers.at(n).hash}
}

// sighting is valid until the next is added.
func (t *tables) sighting(place uint32) *sighting {
	if place&isFurther != 0 {
		return &t.further.at(place &^ isFurther).sighting
	}
	return &t.identifiers.at(place).sighting
}

func (t *tables) identifierOf(place uint32) uint32 {
	if place&isFurther != 0 {
		return t.further.at(place &^ isFurther).identifier
	}
	return place
}

func (t *tables) how(place uint32) uint32 {
	if place&isFurther != 0 {
		return t.further.at(place &^ isFurther).how
	}
	return t.kinds[t.identifiers.at(place).kind.number()].how
}

func (t *tables) source(place uint32) uint32      { return t.how(place) >> 8 }
func (t *tables) role(place uint32) identity.Role { return identity.Role(t.how(place) & 0xff) }

// ofAccount begins the list of an account's sightings, none if there are none.
func (t *tables) ofAccount(n uint32) uint32 { return t.accounts.at(n).head }

// ofIdentifier begins the list of an identifier's sightings.
func (t *tables) ofIdentifier(id uint32) uint32 {
	if t.identifiers.at(id).by == none {
		return none
	}
	return id
}

// seen is the account of a sighting, and the place of the next of its identifier's.
func (t *tables) seen(place uint32) (account, next uint32) {
	if place&isFurther != 0 {
		f := t.further.at(place &^ isFurther)
		return f.by, f.nextOfIdentifier
	}
	i := t.identifiers.at(place)
	if !i.again() {
		return i.by, none
	}
	s := t.shared.at(i.by &^ isShared)
	return s.account, s.next
}

// between calls do for each sighting of an account with an identifier, for some
// of them twice, until it returns true. It walks both lists in turn: the shorter
// one ends it.
func (t *tables) between(account, id uint32, do func(place uint32) bool) {
	of, by := t.ofAccount(account), t.ofIdentifier(id)
	for of != none && by != none {
		bearer, next := t.seen(by)
		if bearer == account && do(by) {
			return
		}
		by = next
		if t.identifierOf(of) == id && do(of) {
			return
		}
		of = t.sighting(of).nextOfAccount
	}
}

// findSighting returns the place of a sighting; none if there is none.
func (t *tables) findSighting(account, id, how uint32) uint32 {
	found := none
	t.between(account, id, func(place uint32) bool {
		if t.how(place) == how {
			found = place
		}
		return found != none
	})
	return found
}

// addSighting adds one that is not there yet. An identifier's first must come in
// the order of identifiers.
func (t *tables) addSighting(account, id, how uint32, first, last int64) (place uint32) {
	s := sighting{times: [2]uint32{second(first), second(last)}, by: account, nextOfAccount: t.ofAccount(account)}
	of := t.identifiers.at(id)
	if of.by == none {
		place, of.sighting = id, s
		of.kind.setNumber(interned(&t.kinds, t.kindOf, kind{t.typ(id), how}))
	} else {
		place = uint32(t.further.len()) | isFurther
		if !of.again() {
			t.shared.add(shared{of.by, none})
			of.by = uint32(t.shared.len()-1) | isShared
		}
		all := t.shared.at(of.by &^ isShared)
		t.further.add(further{s, id, how, all.next})
		all.next = place
	}
	t.accounts.at(account).head = place
	t.numbers.add(place == id)
	return place
}

func (t *tables) evidence(place uint32) identity.Evidence {
	s := t.sighting(place)
	account, _ := t.seen(place)
	return identity.Evidence{Account: t.accountKey(account), Identifier: t.identifierKey(t.identifierOf(place)),
		Role: t.role(place), Source: t.names[t.source(place)], First: s.first(), Last: s.last()}
}
