package connectors

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// A MemberSPI is a connector whose platform asks the brand's own server about
// its members, and tells it who joins and who leaves (会员通). Both methods are
// functions of what they are given: they touch no network and no clock.
type MemberSPI interface {
	// ReadMembership checks the signature of a call and reads it. Its errors
	// are ErrForged and ErrNotUnderstood, wrapped; none repeats a value. now
	// judges how old the call is.
	ReadMembership(call SPICall, now time.Time) (Membership, error)
	// CarriesPoints says whether the answer to a call of this kind carries
	// points and level.
	CarriesPoints(kind MembershipKind) bool
	// AnswerMembership writes an answer in the platform's form. The Membership
	// may be zero, for a call that could not be read.
	AnswerMembership(m Membership, a MembershipAnswer) SPIReply
}

// The errors of reading a call.
var (
	// ErrForged: the signature is wrong, or older than the platform's calls get.
	ErrForged = errors.New("the signature is not the platform's")
	// ErrNotUnderstood: signed by the platform, and not of a form that is known.
	ErrNotUnderstood = errors.New("the call is of no form that is known")
)

// SPICall is a call of a platform as it came.
type SPICall struct {
	// Name is what the address that was given to the platform says behind the
	// shop: the name of the call, or "".
	Name   string
	Query  url.Values
	Header http.Header
	Body   []byte
}

// SPIReply is what a call is answered with: JSON.
type SPIReply struct {
	Status int
	Body   []byte
}

// MembershipKind is what a call is about.
type MembershipKind string

// The kinds.
const (
	// MemberQuery asks whether a buyer is bound, or may be.
	MemberQuery MembershipKind = "query"
	// MemberBind tells that a buyer has joined.
	MemberBind MembershipKind = "bind"
	// MemberUnbind tells that a buyer has left.
	MemberUnbind MembershipKind = "unbind"
	// MemberPhone tells that a member has another phone now.
	MemberPhone MembershipKind = "phone"
)

// MembershipKinds are all there are, in the order in which calls of one second
// count.
var MembershipKinds = []MembershipKind{MemberQuery, MemberBind, MemberPhone, MemberUnbind}

// Membership is a call about one member.
type Membership struct {
	Kind MembershipKind
	// Call is the platform's own name of it.
	Call string
	// Account is the platform's id of the buyer in the shop.
	Account string
	// Phone is in clear, and MixMobile the platform's hash of it; each may be
	// empty. Nick is as the platform shows it.
	Phone, MixMobile, Nick string
	// Sealed says that the call tells a phone which is not in clear. PhoneIndex is
	// the platform's index of it, which equal phones of one shop share; it may be
	// empty.
	Sealed     bool
	PhoneIndex string
	// Signature is the key of what was signed: calls that have it in common say the
	// same, whatever came with them unsigned.
	Signature string
	// At is when it happened, or when the platform called: whole seconds in UTC.
	At time.Time
	// Body holds the parameters as the platform gave them.
	Body json.RawMessage
}

// String names the call and none of its values.
func (m Membership) String() string { return "membership call " + string(m.Kind) }

// LogValue is String: a call holds personal values.
func (m Membership) LogValue() slog.Value { return slog.StringValue(m.String()) }

// MembershipOutcome is how a call ended.
type MembershipOutcome string

// The outcomes.
const (
	// MembershipDone: taken; of a query: the buyer is bound.
	MembershipDone MembershipOutcome = "done"
	// MembershipNobody: the brand knows no such member.
	MembershipNobody MembershipOutcome = "nobody"
	// MembershipUnbound: there is such a member, not bound to this buyer.
	MembershipUnbound MembershipOutcome = "unbound"
	// MembershipAgain: something of ours is away; the platform is to try again.
	MembershipAgain MembershipOutcome = "again"
	// MembershipForged and MembershipMalformed: see ErrForged, ErrNotUnderstood.
	MembershipForged    MembershipOutcome = "forged"
	MembershipMalformed MembershipOutcome = "malformed"
)

// MembershipOutcomes are all there are.
var MembershipOutcomes = []MembershipOutcome{MembershipDone, MembershipNobody, MembershipUnbound, MembershipAgain, MembershipForged, MembershipMalformed}

// MembershipAnswer is what a call is answered with, in no platform's words.
type MembershipAnswer struct {
	Outcome MembershipOutcome
	// Points, Level and Card are of a member, where the answer carries them.
	Points int64
	Level  string
	Card   string
}

// MembershipStream is the stream of the records that membership calls become.
// No connector reads it: it comes by itself.
const MembershipStream = "membership"

// MembershipRecord is such a record's payload.
type MembershipRecord struct {
	Kind MembershipKind `json:"kind"`
	// At is in Unix seconds.
	At int64 `json:"at"`
	// Bound says, of a query, whether the buyer was bound then.
	Bound bool `json:"bound,omitempty"`
	// Call holds the parameters as the platform gave them.
	Call json.RawMessage `json:"call"`
}

// ModifiedMs is the version's time of the event of a call. Calls tell whole
// seconds: within one of them a leaving comes after a joining and both after a
// query, so that no two of them are one event.
func (r MembershipRecord) ModifiedMs() int64 {
	return r.At*1000 + int64(slices.Index(MembershipKinds, r.Kind))
}

// Record is the call as a record, for Map. bound is of a query.
func (m Membership) Record(shop string, bound bool, observed time.Time) (Record, error) {
	raw, err := json.Marshal(MembershipRecord{Kind: m.Kind, At: m.At.Unix(), Bound: bound && m.Kind == MemberQuery, Call: m.Body})
	if err != nil {
		return Record{}, fmt.Errorf("%w: its parameters are not JSON", ErrNotUnderstood)
	}
	return Record{Stream: MembershipStream, Shop: shop, Raw: raw, Observed: observed, Origin: "call " + string(m.Kind)}, nil
}

// ReadMembershipRecord reads what Record wrote, and the parameters into call.
func ReadMembershipRecord(raw []byte, call any) (MembershipRecord, error) {
	var r MembershipRecord
	if json.Unmarshal(raw, &r) != nil || r.At <= 0 || r.At > 1<<32-1 {
		return r, errors.New("it is not a membership call")
	}
	if !slices.Contains(MembershipKinds, r.Kind) {
		return r, errors.New("it is a membership call of no kind that is known")
	}
	if Decode(r.Call, call) != nil {
		return r, errors.New("the parameters of a membership call have another form")
	}
	return r, nil
}

// SameSignature compares two signatures in a time that tells nothing of them.
func SameSignature(got, want string) bool {
	return got != "" && subtle.ConstantTimeCompare([]byte(got), []byte(want)) == 1
}

// MaxCallAge is how far a signed call's time may lie from ours.
const MaxCallAge = 10 * time.Minute
