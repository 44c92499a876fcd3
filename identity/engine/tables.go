package engine

import (
	"encoding/binary"
	"hash/maphash"
	"strings"
	"unsafe"

	"oneid/identity"
)

// none ends a list.
const none = ^uint32(0)

// tables hold all state as numbered rows. Numbers are given in the order of
// the journal, so the number of an account orders births. Nothing is removed.
type tables struct {
	seed maphash.Seed

	names  []string // interned: types, sources, reasons
	nameOf map[string]uint32

	shops  []shop
	shopOf map[shop]uint32

	ids      texts // accounts' ids
	accounts rows[account]
	byKey    index
	byID     index // by birth id

	identifiers  rows[identifier]
	byIdentifier index

	sightings rows[sighting]

	fields       texts // of appearances
	appearances  rows[appearance]
	byAppearance index
}

type shop struct{ platform, shop string }

// Of these rows there are millions: what they take is most of what the process
// takes, so they hold no pointer and no gap.
type account struct {
	birth, moved uint64 // sequences
	id           uint32 // where in ids
	shop         uint32
	leader       uint32  // earliest-born account of its customer
	next         uint32  // account of the same customer: a ring
	head         uint32  // list of sightings
	why          counted // name; how many sightings
}

type identifier struct {
	hash  identity.Hash
	head  uint32  // list of sightings
	joins uint32  // accounts that bear it in a role that joins
	typ   counted // name; how many sightings
}

type sighting struct {
	times                           [2]uint32 // first and last, by second
	account, identifier             uint32
	nextOfAccount, nextOfIdentifier uint32
	how                             uint32 // name of the source, and, lowest, eight bits of role
}

func (s *sighting) first() int64        { return int64(s.times[0]) }
func (s *sighting) last() int64         { return int64(s.times[1]) }
func (s *sighting) source() uint32      { return s.how >> 8 }
func (s *sighting) role() identity.Role { return identity.Role(s.how & 0xff) }

// seen makes a sighting of an identifier at an account.
func seen(account, id uint32, role identity.Role, source uint32, first, last int64) sighting {
	return sighting{times: [2]uint32{second(first), second(last)}, account: account, identifier: id, how: source<<8 | uint32(role)}
}

// second is a time as the state keeps it, and ClickHouse too: one before 1970
// or after 2106 is as far away as can be.
func second(unix int64) uint32 { return uint32(min(max(unix, 0), 1<<32-1)) }

// counted is the number of a name and, in the lowest eight bits, a count that
// stops at its highest: it says which of two lists is the shorter.
type counted uint32

func (c counted) name() uint32  { return uint32(c >> 8) }
func (c counted) count() uint32 { return uint32(c & 0xff) }

func (c *counted) set(name uint32) { *c = counted(name<<8) | *c&0xff }

func (c *counted) more() {
	if *c&0xff < 0xff {
		*c++
	}
}

func (t *tables) init() {
	t.seed = maphash.MakeSeed()
	t.nameOf, t.shopOf = map[string]uint32{}, map[shop]uint32{}
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

func (t *tables) accountID(n uint32) []byte { return t.ids.at(t.accounts.at(n).id) }

func (t *tables) accountKey(n uint32) identity.Account {
	s := t.shops[t.accounts.at(n).shop]
	return identity.Account{Platform: s.platform, Shop: s.shop, ID: string(t.accountID(n))}
}

// birthID is accountKey(n).BirthID(), without a copy of the id.
func (t *tables) birthID(n uint32) identity.CustomerID {
	s, id := t.shops[t.accounts.at(n).shop], t.accountID(n)
	return identity.Account{Platform: s.platform, Shop: s.shop, ID: unsafe.String(unsafe.SliceData(id), len(id))}.BirthID()
}

func (t *tables) identified(n uint32) bool {
	id := t.accountID(n)
	return identity.Account{ID: unsafe.String(unsafe.SliceData(id), len(id))}.Identified()
}

func (t *tables) accountHash(shop uint32, id string) uint32 {
	return uint32(maphash.String(t.seed, id)) ^ shop*0x9e3779b1
}

func (t *tables) findAccount(a identity.Account) (uint32, bool) {
	s, ok := t.shopOf[shop{a.Platform, a.Shop}]
	if !ok {
		return 0, false
	}
	return t.byKey.find(t.accountHash(s, a.ID), func(n uint32) bool {
		return t.accounts.at(n).shop == s && string(t.accountID(n)) == a.ID
	})
}

// addAccount numbers an account that is not there yet, a customer of its own.
// id is its BirthID.
func (t *tables) addAccount(a identity.Account, id identity.CustomerID) (n uint32) {
	key := shop{a.Platform, a.Shop}
	s, ok := t.shopOf[key]
	if !ok {
		key = shop{strings.Clone(a.Platform), strings.Clone(a.Shop)} // as with names
		s = uint32(len(t.shops))
		t.shops = append(t.shops, key)
		t.shopOf[key] = s
	}
	n = uint32(t.accounts.len())
	t.accounts.add(account{id: t.ids.add(a.ID), shop: s, leader: n, next: n, head: none})
	t.byKey.put(t.accountHash(s, a.ID), n, t.hashOfAccount)
	t.byID.put(idHash(id), n, t.hashOfBirth)
	return n
}

func (t *tables) hashOfAccount(n uint32) uint32 {
	id := t.accountID(n)
	return t.accountHash(t.accounts.at(n).shop, unsafe.String(unsafe.SliceData(id), len(id)))
}

func (t *tables) hashOfBirth(n uint32) uint32 { return idHash(t.birthID(n)) }

func (t *tables) hashOfIdentifier(n uint32) uint32 {
	i := t.identifiers.at(n)
	return t.identifierHash(i.typ.name(), i.hash)
}

func idHash(id identity.CustomerID) uint32 { return binary.LittleEndian.Uint32(id[:]) }

func (t *tables) findBirthID(id identity.CustomerID) (uint32, bool) {
	return t.byID.find(idHash(id), func(n uint32) bool { return t.birthID(n) == id })
}

func (t *tables) findIdentifier(id identity.Identifier) (uint32, bool) {
	typ, ok := t.nameOf[string(id.Type)]
	if !ok {
		return 0, false
	}
	return t.byIdentifier.find(t.identifierHash(typ, id.Hash), func(n uint32) bool {
		return t.identifiers.at(n).typ.name() == typ && t.identifiers.at(n).hash == id.Hash
	})
}

// identifierHash needs no seed: hashes are keyed with the brand's secret.
func (t *tables) identifierHash(typ uint32, h identity.Hash) uint32 {
	return binary.LittleEndian.Uint32(h[:]) ^ typ*0x9e3779b1
}

func (t *tables) identifier(id identity.Identifier) uint32 {
	if n, ok := t.findIdentifier(id); ok {
		return n
	}
	typ := t.name(string(id.Type))
	n := uint32(t.identifiers.len())
	t.identifiers.add(identifier{hash: id.Hash, typ: counted(typ << 8), head: none})
	t.byIdentifier.put(t.identifierHash(typ, id.Hash), n, t.hashOfIdentifier)
	return n
}

func (t *tables) identifierKey(n uint32) identity.Identifier {
	i := t.identifiers.at(n)
	return identity.Identifier{Type: identity.IdentifierType(t.names[i.typ.name()]), Hash: i.hash}
}

// findSighting returns the number of a sighting or -1, and the number of the
// source's name. It walks the shorter of the two lists.
func (t *tables) findSighting(account, id uint32, role identity.Role, source string) (int64, uint32) {
	of := t.name(source)
	how := of<<8 | uint32(role)
	if t.identifiers.at(id).typ.count() < t.accounts.at(account).why.count() {
		for n := t.identifiers.at(id).head; n != none; n = t.sightings.at(n).nextOfIdentifier {
			if s := t.sightings.at(n); s.account == account && s.how == how {
				return int64(n), of
			}
		}
		return -1, of
	}
	for n := t.accounts.at(account).head; n != none; n = t.sightings.at(n).nextOfAccount {
		if s := t.sightings.at(n); s.identifier == id && s.how == how {
			return int64(n), of
		}
	}
	return -1, of
}

func (t *tables) addSighting(s sighting) uint32 {
	n := uint32(t.sightings.len())
	a, i := t.accounts.at(s.account), t.identifiers.at(s.identifier)
	s.nextOfAccount, s.nextOfIdentifier = a.head, i.head
	a.head, i.head = n, n
	a.why.more()
	i.typ.more()
	t.sightings.add(s)
	return n
}

func (t *tables) evidence(n uint32) identity.Evidence {
	s := t.sightings.at(n)
	return identity.Evidence{Account: t.accountKey(s.account), Identifier: t.identifierKey(s.identifier),
		Role: s.role(), Source: t.names[s.source()], First: s.first(), Last: s.last()}
}
