// Package extract reads the evidence in an event. It is a function of the
// event alone, so a replay finds the same; the keyed hash is given to it.
package extract

import (
	"cmp"
	"crypto/md5" // Tmall's own hash of a phone, see MixMobile
	"encoding/hex"
	"slices"
	"strings"

	"oneid/identity"
	"oneid/identity/normalize"
	"oneid/schemas/events"
)

// Hash is the brand's keyed hash of an identifier's type, scope and
// normalised value.
type Hash func(typ identity.IdentifierType, scope, value string) identity.Hash

// Value is a normalised identifier in clear, for the caller to seal.
type Value struct {
	Identifier identity.Identifier
	Value      string
}

// Extractor reads evidence. It is safe for concurrent use if Hash is.
type Extractor struct {
	Hash Hash
	// Rules say which values are no evidence. Receivers are evidence only where
	// the rules use a model, which alone asks for them.
	Rules *identity.Rules
	// MixMobileKey is the key that Tmall gave the brand for mix_mobile; with
	// it, each plain phone is also evidence of type tmall_mix_mobile, so that
	// accounts known by hash meet those known by number.
	MixMobileKey string
}

// Result is what an event says of an account.
type Result struct {
	// Account of the event; its ID is empty for an event that has none (spend).
	Account  identity.Account
	Evidence []identity.Evidence // sorted, each once
	Values   []Value             // sorted by identifier, each once
	// Appearance are the fields behind the evidence of identity.AppearanceType; nil
	// if there is none.
	Appearance *identity.Appearance
	// Skipped counts sightings that point at nobody, by reason.
	Skipped map[normalize.Reason]int
}

// Never is the reason of a value that the rules let never join: a test
// number, the brand's own phone. It is no evidence at all.
const Never normalize.Reason = "never"

// Extract reads an event whose Person is in clear.
func (x *Extractor) Extract(e *events.Event) Result {
	var out Result
	x.Into(e, &out)
	return out
}

// Into is Extract into a Result whose memory is used again.
func (x *Extractor) Into(e *events.Event, out *Result) {
	header := e.GetHeader()
	*out = Result{
		Account:  identity.Account{Platform: header.GetPlatform(), Shop: header.GetShop(), ID: header.GetAccount()},
		Evidence: out.Evidence[:0], Values: out.Values[:0],
	}
	if out.Account.ID == "" {
		return
	}
	first, last := times(e)
	add := func(typ identity.IdentifierType, scope, value string, role identity.Role) {
		id := identity.Identifier{Type: typ, Hash: x.Hash(typ, scope, value)}
		out.Evidence = append(out.Evidence, identity.Evidence{Account: out.Account, Identifier: id, Role: role,
			Source: header.GetPlatform(), First: first, Last: last})
		out.Values = append(out.Values, Value{id, value})
	}
	for _, s := range header.GetPerson().GetSightings() {
		role, ok := role(s.GetRole())
		if !ok || s.GetType() == "" {
			out.skip(normalize.Malformed)
			continue
		}
		typ := typeOf(s.GetType())
		value, reason := normalize.Check(typ, s.GetValue())
		if reason == "" && x.Rules.Never(typ, value) {
			reason = Never
		}
		if reason != "" {
			out.skip(reason)
			continue
		}
		scope := s.GetScope()
		if scope == "" {
			scope = defaultScope(typ, out.Account)
		}
		add(typ, scope, value, role)
		if typ == identity.Phone && x.MixMobileKey != "" {
			add(identity.TmallMixMobile, "", MixMobile(value, x.MixMobileKey), role)
		}
	}
	if receiver := header.GetPerson().GetReceiver(); receiver != nil && x.Rules.Model != nil {
		a := normalize.AsSeen(receiver.GetName(), receiver.GetPhone(), receiver.GetProvince(), receiver.GetCity(), receiver.GetDistrict(), receiver.GetTown(), receiver.GetDetail())
		if normalize.Tells(a) {
			// One order is one moment: paid a day after it was placed it would look
			// like two orders on two days, and whom a gift is sent to once like its buyer.
			last = first
			add(identity.AppearanceType, "", normalize.AppearanceValue(a), identity.RoleReceiver)
			out.Appearance = &a
		}
	}
	slices.SortFunc(out.Evidence, func(a, b identity.Evidence) int { // all else is the event's
		if c := a.Identifier.Compare(b.Identifier); c != 0 {
			return c
		}
		return cmp.Compare(a.Role, b.Role)
	})
	out.Evidence = slices.Compact(out.Evidence)
	slices.SortFunc(out.Values, func(a, b Value) int { return a.Identifier.Compare(b.Identifier) })
	out.Values = slices.CompactFunc(out.Values, func(a, b Value) bool { return a.Identifier == b.Identifier })
}

// typeOf is an identifier's type, which outlives the event: whoever keeps an identifier
// keeps it, and the event's texts may lie in memory that is used again.
func typeOf(s string) identity.IdentifierType {
	switch typ := identity.IdentifierType(s); typ {
	case identity.Phone:
		return identity.Phone
	case identity.Email:
		return identity.Email
	case identity.UnionID:
		return identity.UnionID
	case identity.OpenID:
		return identity.OpenID
	case identity.MemberCard:
		return identity.MemberCard
	case identity.TmallMixMobile:
		return identity.TmallMixMobile
	case identity.TmallOUID:
		return identity.TmallOUID
	case identity.TmallOpenUID:
		return identity.TmallOpenUID
	case identity.TmallOMID:
		return identity.TmallOMID
	case identity.TmallUnionID:
		return identity.TmallUnionID
	case identity.DouyinOpenID:
		return identity.DouyinOpenID
	case identity.DouyinUnionID:
		return identity.DouyinUnionID
	case identity.DouyinPhoneIndex:
		return identity.DouyinPhoneIndex
	case identity.WeidianBuyerID:
		return identity.WeidianBuyerID
	case identity.WeidianPhoneCipher:
		return identity.WeidianPhoneCipher
	case identity.ExternalCustomer:
		return identity.ExternalCustomer
	case identity.Membership:
		return identity.Membership
	default:
		return identity.IdentifierType(strings.Clone(s))
	}
}

func (r *Result) skip(reason normalize.Reason) {
	if r.Skipped == nil {
		r.Skipped = map[normalize.Reason]int{}
	}
	r.Skipped[reason]++
}

// defaultScope keeps the ids of one shop apart from those of another where
// the source did not name the scope. World- and brand-wide types have none.
func defaultScope(typ identity.IdentifierType, a identity.Account) string {
	switch typ {
	case identity.TmallOUID, identity.DouyinOpenID, identity.WeidianBuyerID, identity.DouyinPhoneIndex:
		return a.Shop
	default:
		return ""
	}
}

func role(r events.Role) (identity.Role, bool) {
	switch r {
	case events.Role_ROLE_MEMBER:
		return identity.RoleMember, true
	case events.Role_ROLE_BUYER:
		return identity.RoleBuyer, true
	case events.Role_ROLE_RECEIVER:
		return identity.RoleReceiver, true
	case events.Role_ROLE_AGENT:
		return identity.RoleAgent, true
	default:
		return 0, false
	}
}

// times says from when to when the event saw its identifiers, in Unix
// seconds: an order from its creation to its payment, a user at the binding of
// the membership. The time of a platform's later change of the entity says
// nothing of the person, and the time of reading would make a number that was
// given up long ago look alive.
func times(e *events.Event) (first, last int64) {
	var a, b int64
	switch body := e.GetBody().(type) {
	case *events.Event_Order:
		a, b = body.Order.GetCreatedMs(), body.Order.GetPaidMs()
	case *events.Event_Refund:
		a = body.Refund.GetCreatedMs()
	case *events.Event_User:
		if a = body.User.GetMemberSinceMs(); a == 0 {
			a = body.User.GetCreatedMs()
		}
	case *events.Event_Ticket:
		a = body.Ticket.GetCreatedMs()
	}
	switch {
	case a <= 0 && b <= 0:
		a = e.GetHeader().GetVersion().GetModifiedMs()
		b = a
	case a <= 0:
		a = b
	case b <= 0:
		b = a
	}
	return seconds(min(a, b)), seconds(max(a, b))
}

// seconds are those that ClickHouse's DateTime can hold, from 1970 to 2106, so
// that evidence is the same there as in the state.
func seconds(ms int64) int64 { return min(max(ms/1000, 0), 1<<32-1) }

// MixMobile is Tmall's hash of a member's phone under the brand's key:
// MD5(MD5("tmall" + phone + key)), the inner one as lower-case hexadecimal
// text. That text, and the letters' case, are assumed: no public document
// states them.
func MixMobile(phone, key string) string {
	inner := md5.Sum([]byte("tmall" + strings.TrimPrefix(phone, "+86") + key)) // as the platform prescribes
	outer := md5.Sum([]byte(hex.EncodeToString(inner[:])))                     // as the platform prescribes
	return hex.EncodeToString(outer[:])
}
