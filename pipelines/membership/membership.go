// Package membership answers the calls by which platforms ask the brand about
// its members, and turns each into evidence: who joined with which phone is
// the strongest there is.
//
// A call is answered as done only once its event is acknowledged by Kafka.
// While anything of ours is away (Kafka, the state, the source of points) the
// platform is told to try again, never that all is well. The platforms repeat
// calls, in any order: a call that says nothing new publishes nothing, and one
// that is repeated before its event is resolved publishes the same event, with
// the same ce_id, again.
//
// Who it is, and whether he is bound, comes from the evidence: bound is who was
// seen as a member later than as having left.
package membership

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"oneid/connectors"
	"oneid/identity"
	"oneid/identity/extract"
	"oneid/internal/kafka"
	"oneid/schemas/events"
)

// SPI is a connector that can read its platform's calls.
type SPI interface {
	connectors.MemberSPI
	Map(record connectors.Record) ([]*events.Event, error)
}

// Known is what is known of accounts. profile.State is one, in the resolver's
// state, and profile.Stored, in ClickHouse.
type Known interface {
	FindIdentifier(ctx context.Context, id identity.Identifier) ([]identity.Account, error)
	CustomerOf(ctx context.Context, account identity.Account) (identity.CustomerID, bool, error)
	Evidence(ctx context.Context, accounts []identity.Account) ([]identity.Evidence, error)
}

// Publisher writes messages and returns once they are acknowledged.
type Publisher interface {
	Publish(ctx context.Context, messages []kafka.Message) error
}

// Points says what an answer carries of a member.
type Points func(ctx context.Context, about About) (Standing, error)

// About is who the points are asked of.
type About struct {
	Platform, Shop, Account string
	// CustomerID is empty for who is not resolved yet.
	CustomerID string
	// Phone is in clear, where the call gave it so.
	Phone string
}

// Standing is what a member has. The zero value is a member without points.
type Standing struct {
	Points int64  `json:"points"`
	Level  string `json:"level"`
	Card   string `json:"card_no"`
}

const (
	// DefaultWithin is how long a call may take: platforms wait 1.2 seconds.
	DefaultWithin = time.Second
	// maxBody bounds a call: real ones have less than a kilobyte.
	maxBody = 64 << 10
	// atOnce is how many calls are worked on at the same time; with maxBody it
	// bounds the memory that a stranger can take.
	atOnce = 256
)

// Service answers calls. Its fields do not change once it serves.
type Service struct {
	Known     Known
	Publisher Publisher
	Topics    events.Topics
	Keys      events.Sealer
	Extract   *extract.Extractor
	// Points is asked where an answer carries points.
	Points Points
	// Within is how long a call may take; default DefaultWithin.
	Within time.Duration
	Log    *slog.Logger
	// Count, if set, is told of each call. kind is "unknown" for one that could
	// not be read.
	Count func(platform, shop string, kind connectors.MembershipKind, outcome connectors.MembershipOutcome, took time.Duration)
	// Now is the clock; default time.Now.
	Now func() time.Time

	recent     recent
	signatures signatures
	working    atomic.Int64
}

// Unknown is the kind of a call that could not be read.
const Unknown connectors.MembershipKind = "unknown"

// Shop answers the calls about one shop. The request's path value "call" is
// what its address says behind the shop.
func (s *Service) Shop(platform, shop string, spi SPI) http.Handler {
	return &handler{service: s, platform: platform, shop: shop, spi: spi, log: s.Log.With("platform", platform, "shop", shop)}
}

type handler struct {
	service        *Service
	platform, shop string
	spi            SPI
	log            *slog.Logger
	// away is while calls are told to try again; told is when, in Unix seconds,
	// a refusal of each kind was last logged. The metrics count all of them.
	away atomic.Bool
	told [2]atomic.Int64
}

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s := h.service
	began := s.now()
	ctx, cancel := context.WithTimeout(r.Context(), s.within())
	defer cancel()
	// A body that trickles in is cut off too.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.within()))
	kind := Unknown
	var answer connectors.MembershipAnswer
	var call connectors.Membership
	defer s.working.Add(-1)
	if s.working.Add(1) > atOnce {
		h.reply(w, kind, call, answer, errors.New("membership: too many calls at the same time"), began)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		err = fmt.Errorf("membership: read a call: %w: it is larger than %d bytes, or was cut off", connectors.ErrNotUnderstood, maxBody)
	} else {
		call, err = h.spi.ReadMembership(connectors.SPICall{Name: r.PathValue("call"), Query: r.URL.Query(), Header: r.Header, Body: body}, began)
		if err == nil {
			kind = call.Kind
			answer, err = h.answer(ctx, call, began)
		}
	}
	h.reply(w, kind, call, answer, err, began)
}

// reply tells the platform what became of its call.
func (h *handler) reply(w http.ResponseWriter, kind connectors.MembershipKind, call connectors.Membership, answer connectors.MembershipAnswer, err error, began time.Time) {
	s := h.service
	switch {
	case errors.Is(err, connectors.ErrForged):
		answer.Outcome = connectors.MembershipForged
	case errors.Is(err, connectors.ErrNotUnderstood):
		answer.Outcome = connectors.MembershipMalformed
	case err != nil:
		answer = connectors.MembershipAnswer{Outcome: connectors.MembershipAgain}
	}
	h.note(answer.Outcome, err, began)
	reply := h.spi.AnswerMembership(call, answer)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(reply.Status)
	_, _ = w.Write(reply.Body) // who has gone away asks again
	if s.Count != nil {
		s.Count(h.platform, h.shop, kind, answer.Outcome, s.now().Sub(began))
	}
}

// note logs that something of ours goes away and is back, once, and calls that
// are refused, now and then: whoever finds the address can send any number.
func (h *handler) note(outcome connectors.MembershipOutcome, err error, now time.Time) {
	refused := 0
	switch outcome {
	case connectors.MembershipAgain:
		if !h.away.Swap(true) {
			h.log.Warn("membership calls are told to try again", "error", err)
		}
		return
	case connectors.MembershipForged:
	case connectors.MembershipMalformed:
		refused = 1
	default:
		if h.away.Swap(false) {
			h.log.Info("membership calls are answered again")
		}
		return
	}
	last := h.told[refused].Load()
	if now.Unix()-last >= toldEvery && h.told[refused].CompareAndSwap(last, now.Unix()) {
		h.log.Warn("a membership call is refused", "outcome", string(outcome), "error", err)
	}
}

// toldEvery is how many seconds lie between two lines about refused calls.
const toldEvery = 600

func (s *Service) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

func (s *Service) within() time.Duration {
	if s.Within > 0 {
		return s.Within
	}
	return DefaultWithin
}

// answer takes a call that is the platform's. An error other than
// ErrNotUnderstood means that something of ours is away.
func (h *handler) answer(ctx context.Context, call connectors.Membership, now time.Time) (connectors.MembershipAnswer, error) {
	s := h.service
	if s.signatures.another(h.platform, h.shop, call, now) {
		return connectors.MembershipAnswer{}, fmt.Errorf("membership: %w: its signature is that of a call of another kind or shop", connectors.ErrNotUnderstood)
	}
	account := identity.Account{Platform: h.platform, Shop: h.shop, ID: call.Account}
	evidence, err := s.Known.Evidence(ctx, []identity.Account{account})
	if err != nil {
		return connectors.MembershipAnswer{}, fmt.Errorf("membership: look up an account: %w", err)
	}
	known := newKnown(append(evidence, s.recent.of(account)...))
	event, found, err := h.event(call, known.bound(), now)
	if err != nil {
		return connectors.MembershipAnswer{}, err
	}
	if !known.says(call, found.Evidence) {
		// What was tried a moment ago, and perhaps written, is tried again as
		// the same event.
		if at := s.recent.try(account, call.Kind, found.Evidence, known.left, call.At, now); !at.Equal(call.At) {
			call.At = at
			if event, found, err = h.event(call, known.bound(), now); err != nil {
				return connectors.MembershipAnswer{}, err
			}
		}
		wire, err := s.Topics.Encode(event, s.Keys)
		if err != nil {
			return connectors.MembershipAnswer{}, err
		}
		if err := s.Publisher.Publish(ctx, []kafka.Message{kafka.MessageOf(wire)}); err != nil {
			return connectors.MembershipAnswer{}, fmt.Errorf("membership: %w", err)
		}
		s.recent.acknowledged(account, found.Evidence, now)
		known.add(found.Evidence)
	}
	answer := connectors.MembershipAnswer{Outcome: connectors.MembershipDone}
	if call.Kind == connectors.MemberQuery && !known.bound() {
		answer.Outcome, err = h.unbound(ctx, call, known)
		return answer, err
	}
	if h.spi.CarriesPoints(call.Kind) {
		standing, err := h.points(ctx, account, call)
		if err != nil {
			return connectors.MembershipAnswer{}, err
		}
		answer.Points, answer.Level, answer.Card = standing.Points, standing.Level, standing.Card
	}
	return answer, nil
}

// event is the event of a call, and the evidence in it.
func (h *handler) event(call connectors.Membership, bound bool, now time.Time) (*events.Event, extract.Result, error) {
	record, err := call.Record(h.shop, bound, now)
	if err != nil {
		return nil, extract.Result{}, err
	}
	list, err := h.spi.Map(record)
	if err == nil && len(list) != 1 {
		err = errors.New("a call makes one event")
	}
	if err == nil {
		err = errors.Join(events.Check(list[0]), events.Storable(list[0]))
	}
	if err != nil {
		return nil, extract.Result{}, fmt.Errorf("membership: %w: %w", connectors.ErrNotUnderstood, err)
	}
	return list[0], h.service.Extract.Extract(list[0]), nil
}

// unbound says of a buyer who is not bound whether the brand knows the member:
// by what it knew of the account itself, or by a phone that is a member's.
func (h *handler) unbound(ctx context.Context, call connectors.Membership, known *known) (connectors.MembershipOutcome, error) {
	if known.left > 0 {
		return connectors.MembershipUnbound, nil
	}
	for _, id := range h.service.identifiers(h.platform, h.shop, call) {
		accounts, err := h.service.Known.FindIdentifier(ctx, id)
		if err != nil {
			return "", fmt.Errorf("membership: look up a phone: %w", err)
		}
		if len(accounts) > mostBearers {
			continue // everybody's number is nobody's
		}
		evidence, err := h.service.Known.Evidence(ctx, accounts)
		if err != nil {
			return "", fmt.Errorf("membership: look up the bearers of a phone: %w", err)
		}
		for _, e := range evidence {
			if e.Identifier == id && e.Role == identity.RoleMember {
				return connectors.MembershipUnbound, nil
			}
		}
	}
	return connectors.MembershipNobody, nil
}

// mostBearers bounds how many accounts of one phone are looked at.
const mostBearers = 50

// identifiers are the phone of a call, its hash and the platform's index of it,
// as far as it gives them.
func (s *Service) identifiers(platform, shop string, call connectors.Membership) []identity.Identifier {
	// The same way as evidence goes, so that both meet.
	e := &events.Event{
		Header: &events.Header{Platform: platform, Shop: shop, Account: "-", Person: &events.Person{Sightings: []*events.Sighting{
			{Type: string(identity.Phone), Value: call.Phone, Role: events.Role_ROLE_MEMBER},
			{Type: string(identity.TmallMixMobile), Value: call.MixMobile, Role: events.Role_ROLE_MEMBER},
			{Type: string(identity.DouyinPhoneIndex), Value: call.PhoneIndex, Role: events.Role_ROLE_MEMBER},
		}}},
		Body: &events.Event_User{User: &events.User{}},
	}
	var ids []identity.Identifier
	for _, found := range s.Extract.Extract(e).Evidence {
		ids = append(ids, found.Identifier)
	}
	return ids
}

// points asks what the member has.
func (h *handler) points(ctx context.Context, account identity.Account, call connectors.Membership) (Standing, error) {
	about := About{Platform: account.Platform, Shop: account.Shop, Account: account.ID, Phone: call.Phone}
	id, ok, err := h.service.Known.CustomerOf(ctx, account)
	if err != nil {
		return Standing{}, fmt.Errorf("membership: look up an account: %w", err)
	}
	if ok {
		about.CustomerID = id.String()
	}
	return h.service.Points(ctx, about)
}
