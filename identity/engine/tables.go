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

	ids      []byte // accounts' ids, one after the other
	accounts []account
	byKey    index
	byID     index // by birth id

	identifiers  []identifier
	byIdentifier index

	sightings []sighting
}

type shop struct{ platform, shop string }

type account struct {
	birth, moved uint64 // sequences
	id           uint32 // offset in ids
	length       uint32
	shop         uint32
	leader       uint32 // earliest-born account of its customer
	next         uint32 // account of the same customer: a ring
	head, count  uint32 // list of sightings
	why          uint32 // name
}

type identifier struct {
	hash        identity.Hash
	typ         uint32 // name
	head, count uint32 // list of sightings
	joins       uint32 // accounts that bear it in a role that joins
}

type sighting struct {
	first, last                     int64
	account, identifier             uint32
	nextOfAccount, nextOfIdentifier uint32
	source                          uint32 // name
	role                            identity.Role
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

func (t *tables) accountID(n uint32) []byte {
	a := &t.accounts[n]
	return t.ids[a.id : a.id+a.length]
}

func (t *tables) accountKey(n uint32) identity.Account {
	s := t.shops[t.accounts[n].shop]
	return identity.Account{Platform: s.platform, Shop: s.shop, ID: string(t.accountID(n))}
}

// birthID is accountKey(n).BirthID(), without a copy of the id.
func (t *tables) birthID(n uint32) identity.CustomerID {
	s, id := t.shops[t.accounts[n].shop], t.accountID(n)
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
		return t.accounts[n].shop == s && string(t.accountID(n)) == a.ID
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
	n = uint32(len(t.accounts))
	t.accounts = append(t.accounts, account{id: uint32(len(t.ids)), length: uint32(len(a.ID)), shop: s, leader: n, next: n, head: none})
	t.ids = append(t.ids, a.ID...)
	t.byKey.put(t.accountHash(s, a.ID), n)
	t.byID.put(idHash(id), n)
	return n
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
		return t.identifiers[n].typ == typ && t.identifiers[n].hash == id.Hash
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
	n := uint32(len(t.identifiers))
	t.identifiers = append(t.identifiers, identifier{hash: id.Hash, typ: typ, head: none})
	t.byIdentifier.put(t.identifierHash(typ, id.Hash), n)
	return n
}

func (t *tables) identifierKey(n uint32) identity.Identifier {
	i := &t.identifiers[n]
	return identity.Identifier{Type: identity.IdentifierType(t.names[i.typ]), Hash: i.hash}
}

// findSighting returns the number of a sighting or -1, and the number of the
// source's name. It walks the shorter of the two lists.
func (t *tables) findSighting(account, id uint32, role identity.Role, source string) (int64, uint32) {
	of := t.name(source)
	if t.identifiers[id].count < t.accounts[account].count {
		for n := t.identifiers[id].head; n != none; n = t.sightings[n].nextOfIdentifier {
			if s := &t.sightings[n]; s.account == account && s.role == role && s.source == of {
				return int64(n), of
			}
		}
		return -1, of
	}
	for n := t.accounts[account].head; n != none; n = t.sightings[n].nextOfAccount {
		if s := &t.sightings[n]; s.identifier == id && s.role == role && s.source == of {
			return int64(n), of
		}
	}
	return -1, of
}

func (t *tables) addSighting(s sighting) uint32 {
	n := uint32(len(t.sightings))
	a, i := &t.accounts[s.account], &t.identifiers[s.identifier]
	s.nextOfAccount, s.nextOfIdentifier = a.head, i.head
	a.head, i.head = n, n
	a.count++
	i.count++
	t.sightings = append(t.sightings, s)
	return n
}

func (t *tables) evidence(n uint32) identity.Evidence {
	s := &t.sightings[n]
	return identity.Evidence{Account: t.accountKey(s.account), Identifier: t.identifierKey(s.identifier),
		Role: s.role, Source: t.names[s.source], First: s.first, Last: s.last}
}

// index finds numbers by hash: open addressing, eight bytes a slot (hash,
// number + 1), so that growing asks for no key again.
type index struct {
	slots []uint64
	n     int
}

func (x *index) find(hash uint32, equal func(n uint32) bool) (uint32, bool) {
	if len(x.slots) == 0 {
		return 0, false
	}
	mask := uint32(len(x.slots) - 1)
	for i := hash & mask; x.slots[i] != 0; i = (i + 1) & mask {
		if slot := x.slots[i]; uint32(slot>>32) == hash && equal(uint32(slot)-1) {
			return uint32(slot) - 1, true
		}
	}
	return 0, false
}

func (x *index) put(hash, n uint32) {
	if (x.n+1)*5 > len(x.slots)*4 {
		old := x.slots
		x.slots = make([]uint64, max(64, 2*len(old)))
		for _, slot := range old {
			if slot != 0 {
				x.place(slot)
			}
		}
	}
	x.place(uint64(hash)<<32 | uint64(n+1))
	x.n++
}

func (x *index) place(slot uint64) {
	mask := uint32(len(x.slots) - 1)
	i := uint32(slot>>32) & mask
	for x.slots[i] != 0 {
		i = (i + 1) & mask
	}
	x.slots[i] = slot
}
