// Package identity holds the words and the pure function at the heart of
// OneID: who is who. It imports nothing of ours and touches nothing outside.
//
//	Resolve(evidence, decisions, rules) → customers
//
// The result depends on the set of evidence and decisions, not on the order
// in which they came, and on no clock.
package identity

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
)

// Account is a buyer as one shop knows it. It never changes and never moves.
type Account struct {
	Platform, Shop, ID string
}

// String writes the account as everywhere outside: platform/shop/id. The
// platform and the shop hold no slash; the id may.
func (a Account) String() string { return a.Platform + "/" + a.Shop + "/" + a.ID }

// IdentifierType is the type of an identifier. What a type may join is said
// by Rules, not by its name.
type IdentifierType string

// The identifier types that the shipped connectors and rules know.
const (
	Phone          IdentifierType = "phone" // normalised mainland number, 11 digits; or +CC…
	Email          IdentifierType = "email"
	UnionID        IdentifierType = "unionid"          // WeChat unionid; scope: the brand's apps
	OpenID         IdentifierType = "openid"           // WeChat openid; scope: one app
	MemberCard     IdentifierType = "member_card"      // the brand's own member number
	TmallMixMobile IdentifierType = "tmall_mix_mobile" // Tmall's hash of a member's phone
	TmallOUID      IdentifierType = "tmall_ouid"       // buyer × shop
	TmallOpenUID   IdentifierType = "tmall_open_uid"   // buyer × app key
	TmallOMID      IdentifierType = "tmall_omid"       // buyer × brand
	TmallUnionID   IdentifierType = "tmall_union_id"   // buyer × brand, in older membership calls
	DouyinOpenID   IdentifierType = "douyin_open_id"   // buyer × shop
	DouyinUnionID  IdentifierType = "douyin_union_id"  // buyer × brand
	// DouyinPhoneIndex is Douyin's search index of an encrypted phone: equal
	// phones of one shop have one. It is no phone, and never meets one.
	DouyinPhoneIndex IdentifierType = "douyin_phone_index"
	WeidianBuyerID   IdentifierType = "weidian_buyer_id" // buyer × shop
	// WeidianPhoneCipher is Weidian's ciphertext of a phone, which is always the
	// same under one version of one app's key: equal ones are of one phone in
	// whatever shop. It is no phone, and never meets one.
	WeidianPhoneCipher IdentifierType = "weidian_phone_cipher"
	ExternalCustomer   IdentifierType = "external_customer" // a customer number of another system of the brand
	// Membership is an account's own membership in its shop: it joins nothing.
	// Seen as member, the buyer has joined; as buyer, has left.
	Membership IdentifierType = "membership"
)

// Hash is the keyed hash (HMAC-SHA-256 under the brand's key, the first 16
// bytes) of an identifier's type, scope and normalised value. The value
// itself is nowhere in this package.
type Hash [16]byte

// Identifier points at a person.
type Identifier struct {
	Type IdentifierType
	Hash Hash
}

// Role says how an identifier was seen.
type Role uint8

// The roles, from the strongest to the weakest word.
const (
	RoleMember   Role = iota + 1 // bound by the buyer
	RoleBuyer                    // of the order or the account
	RoleReceiver                 // of the goods: may be a gift
	RoleAgent                    // typed by staff
)

// Evidence says that an account was seen with an identifier, in a role, by a
// source, from First to Last. Two pieces that agree in all but the times are
// one piece, from the earlier First to the later Last.
type Evidence struct {
	Account     Account
	Identifier  Identifier
	Role        Role
	Source      string // platform or file that said so
	First, Last int64  // Unix seconds
}

// CustomerID is the stable id of a customer: the id that its earliest-born
// account was given at birth.
type CustomerID [16]byte

// pseudoPrefix begins the id of an account that stands for one order whose
// buyer the source does not name.
const pseudoPrefix = "order:"

// Identified says whether the source named the buyer; false for the account
// of a single order (platform/shop/order:NO).
func (a Account) Identified() bool { return !strings.HasPrefix(a.ID, pseudoPrefix) }

// ParseAccount reads what Account.String writes.
func ParseAccount(s string) (Account, error) {
	platform, rest, ok := strings.Cut(s, "/")
	shop, id, ok2 := strings.Cut(rest, "/")
	if !ok || !ok2 || platform == "" || shop == "" || id == "" {
		return Account{}, errors.New("identity: read an account: want platform/shop/id")
	}
	return Account{Platform: platform, Shop: shop, ID: id}, nil
}

// Compare orders accounts by platform, shop and id.
func (a Account) Compare(b Account) int {
	return cmp.Or(strings.Compare(a.Platform, b.Platform), strings.Compare(a.Shop, b.Shop), strings.Compare(a.ID, b.ID))
}

// Compare orders identifiers by type and hash: the order of their keys.
func (i Identifier) Compare(j Identifier) int {
	return cmp.Or(strings.Compare(string(i.Type), string(j.Type)), bytes.Compare(i.Hash[:], j.Hash[:]))
}

// String names the identifier without its value: phone(#3fa90c17).
func (i Identifier) String() string {
	return string(i.Type) + "(#" + hex.EncodeToString(i.Hash[:4]) + ")"
}

// String names the role as rules and tables do.
func (r Role) String() string {
	switch r {
	case RoleMember:
		return "member"
	case RoleBuyer:
		return "buyer"
	case RoleReceiver:
		return "receiver"
	case RoleAgent:
		return "agent"
	}
	return "unknown"
}

// ParseRole reads what Role.String writes.
func ParseRole(s string) (Role, bool) {
	for r := RoleMember; r <= RoleAgent; r++ {
		if r.String() == s {
			return r, true
		}
	}
	return 0, false
}

// Compare orders evidence by account, identifier, role, source and times.
func (e Evidence) Compare(f Evidence) int {
	return cmp.Or(e.Account.Compare(f.Account), e.Identifier.Compare(f.Identifier), cmp.Compare(e.Role, f.Role),
		strings.Compare(e.Source, f.Source), cmp.Compare(e.First, f.First), cmp.Compare(e.Last, f.Last))
}

// BirthID is the id that the account is given at birth: a UUID (version 8)
// made of the SHA-256 of its key.
func (a Account) BirthID() CustomerID {
	var room [96]byte // most keys fit, and then nothing is allocated
	key := append(append(room[:0], a.Platform...), '/')
	key = append(append(key, a.Shop...), '/')
	sum := sha256.Sum256(append(key, a.ID...))
	id := CustomerID(sum[:16])
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return id
}

// String writes the id as a UUID.
func (id CustomerID) String() string {
	var b [36]byte
	hex.Encode(b[:8], id[:4])
	hex.Encode(b[9:13], id[4:6])
	hex.Encode(b[14:18], id[6:8])
	hex.Encode(b[19:23], id[8:10])
	hex.Encode(b[24:], id[10:])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return string(b[:])
}

// MarshalText makes the id a UUID in JSON too.
func (id CustomerID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads a UUID.
func (id *CustomerID) UnmarshalText(text []byte) (err error) {
	*id, err = ParseCustomerID(string(text))
	return err
}

// ParseCustomerID reads a UUID in its form of 36 characters.
func ParseCustomerID(s string) (id CustomerID, err error) {
	bad := errors.New("identity: read a customer_id: want a UUID such as 01234567-89ab-cdef-0123-456789abcdef")
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return id, bad
	}
	if _, err := hex.Decode(id[:], []byte(s[:8]+s[9:13]+s[14:18]+s[19:23]+s[24:])); err != nil {
		return CustomerID{}, bad
	}
	return id, nil
}
