package membership

import (
	"crypto/sha256"
	"fmt"
	"sync"
	"time"

	"oneid/connectors"
	"oneid/identity"
)

// known is what is known of one account.
type known struct {
	evidence []identity.Evidence
	// last is when each identifier was last seen in a role, in Unix seconds.
	last map[sighting]int64
	// left is when the account was last seen to leave; 0 for never.
	left int64
	// phone is when the phone that was bound last was bound.
	phone int64
}

type sighting struct {
	identifier identity.Identifier
	role       identity.Role
}

func newKnown(evidence []identity.Evidence) *known {
	k := &known{last: make(map[sighting]int64, len(evidence))}
	k.add(evidence)
	return k
}

func (k *known) add(evidence []identity.Evidence) {
	k.evidence = append(k.evidence, evidence...)
	_, k.left = identity.MembershipOf(k.evidence)
	for _, e := range evidence {
		s := sighting{e.Identifier, e.Role}
		k.last[s] = max(k.last[s], e.Last)
		if e.Role == identity.RoleMember && e.Identifier.Type == identity.Phone {
			k.phone = max(k.phone, e.Last)
		}
	}
}

// bound says whether the account is a member.
func (k *known) bound() bool { return identity.Bound(k.evidence) }

// says whether what a call brings is known already. A new phone that cannot be
// read brings no evidence: its call is news until it, or a later one, is known.
func (k *known) says(call connectors.Membership, evidence []identity.Evidence) bool {
	kind := call.Kind
	covered := true
	for _, e := range evidence {
		last, ok := k.last[sighting{e.Identifier, e.Role}]
		if !ok {
			return false
		}
		covered = covered && last >= e.Last
		// A number that was given up and taken again is news; a late word of an
		// earlier change is not.
		if kind == connectors.MemberPhone && e.Identifier.Type == identity.Phone && last < k.phone && e.Last > last {
			return false
		}
	}
	if covered {
		return true
	}
	switch kind {
	case connectors.MemberBind, connectors.MemberPhone:
		return k.bound() && (kind == connectors.MemberBind || !call.Sealed)
	case connectors.MemberUnbind:
		return k.left > 0 && !k.bound()
	default:
		return true
	}
}

const (
	// recentCalls bounds how many accounts are remembered in each of two halves:
	// some 100 MB if all are in use.
	recentCalls = 50_000
	// recentFor is how long, at least: the resolver needs a second, and Kafka may
	// be away meanwhile.
	recentFor = 10 * time.Minute
)

// recent remembers what calls of the last minutes brought, until the state has
// it. What is forgotten too early costs an event that says the same with
// another time.
type recent struct {
	mu         sync.Mutex
	now, older map[identity.Account]*remembered
	since      time.Time
}

// signatures remembers of which kind each call of the last minutes was, and of
// which shop. The address of a call is not signed, and it alone may say so:
// whoever has seen a joining could make a leaving of it, or a joining of another
// shop of the app.
type signatures struct {
	mu         sync.Mutex
	now, older map[[sha256.Size]byte]address
	since      time.Time
}

// address is what the address of a call says.
type address struct {
	shop string
	kind connectors.MembershipKind
}

// another says whether a call has the signature of one that came to another
// address.
func (s *signatures) another(platform, shop string, call connectors.Membership, now time.Time) bool {
	key, this := sha256.Sum256([]byte(platform+"\x00"+call.Signature)), address{shop, call.Kind}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now == nil || now.Sub(s.since) > 2*connectors.MaxCallAge || len(s.now) >= 4*recentCalls {
		s.older, s.now, s.since = s.now, make(map[[sha256.Size]byte]address), now
	}
	first, known := s.now[key]
	if !known {
		first, known = s.older[key]
	}
	if !known {
		s.now[key] = this
	}
	return known && first != this
}

type remembered struct {
	evidence []identity.Evidence // acknowledged
	// said and at are of the last attempt, until it is acknowledged.
	said [sha256.Size]byte
	at   time.Time
}

// of is what was acknowledged of an account lately.
func (r *recent) of(account identity.Account) []identity.Evidence {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := r.find(account); m != nil {
		return m.evidence // only ever appended to
	}
	return nil
}

func (r *recent) find(account identity.Account) *remembered {
	if m := r.now[account]; m != nil {
		return m
	}
	return r.older[account]
}

// keep is find in the newer half.
func (r *recent) keep(account identity.Account, now time.Time) *remembered {
	if r.now == nil || now.Sub(r.since) > recentFor || len(r.now) >= recentCalls {
		r.older, r.now, r.since = r.now, make(map[identity.Account]*remembered), now
	}
	m := r.find(account)
	if m == nil {
		m = new(remembered)
	}
	r.now[account] = m
	return m
}

// try notes an attempt and returns its time: that of the last one, if that said
// the same and was not acknowledged, for it may have been written. One from
// before the account left says nothing of a joining since.
func (r *recent) try(account identity.Account, kind connectors.MembershipKind, evidence []identity.Evidence, left int64, at, now time.Time) time.Time {
	hash := sha256.New()
	fmt.Fprintln(hash, kind)
	for _, e := range evidence {
		fmt.Fprintln(hash, e.Identifier.Type, e.Identifier.Hash, e.Role)
	}
	said := [sha256.Size]byte(hash.Sum(nil))
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.keep(account, now)
	if m.said == said && m.at.Unix() > left {
		return m.at
	}
	m.said, m.at = said, at
	return at
}

// acknowledged notes that the evidence of an attempt is in Kafka.
func (r *recent) acknowledged(account identity.Account, evidence []identity.Evidence, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.keep(account, now)
	m.said = [sha256.Size]byte{}
	if len(m.evidence) < 64 { // more calls than a person makes
		m.evidence = append(m.evidence, evidence...)
	}
}
