// Package identity holds the words and the pure function at the heart of
// OneID: who is who. It imports nothing of ours and touches nothing outside.
//
//	Resolve(evidence, decisions, rules) → customers
//
// The result depends on the set of evidence and decisions, not on the order
// in which they came, and on no clock.
package identity

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
	Phone            IdentifierType = "phone" // normalised mainland number, 11 digits; or +CC…
	Email            IdentifierType = "email"
	UnionID          IdentifierType = "unionid"           // WeChat unionid; scope: the brand's apps
	OpenID           IdentifierType = "openid"            // WeChat openid; scope: one app
	MemberCard       IdentifierType = "member_card"       // the brand's own member number
	TmallMixMobile   IdentifierType = "tmall_mix_mobile"  // Tmall's hash of a member's phone
	TmallOUID        IdentifierType = "tmall_ouid"        // buyer × shop
	TmallOpenUID     IdentifierType = "tmall_open_uid"    // buyer × app key
	TmallOMID        IdentifierType = "tmall_omid"        // buyer × brand
	DouyinOpenID     IdentifierType = "douyin_open_id"    // buyer × shop
	DouyinUnionID    IdentifierType = "douyin_union_id"   // buyer × brand
	WeidianBuyerID   IdentifierType = "weidian_buyer_id"  // buyer × shop
	ExternalCustomer IdentifierType = "external_customer" // a customer number of another system of the brand
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
