package rebuild

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"oneid/identity"
	"oneid/identity/normalize"
	"oneid/internal/keyring"
	"oneid/pipelines/flowtest"
	"oneid/schemas/events"
	"oneid/schemas/tables"
)

// stored is a flow of which ClickHouse holds some evidence, and the decisions about it.
type stored struct {
	*flowtest.Flow
	all         []identity.Evidence
	words       []identity.Decision
	appearances map[identity.Hash]identity.Appearance
}

// store puts evidence and decisions into ClickHouse as a resolver does.
func store(t *testing.T, evidence []identity.Evidence, appearances map[identity.Hash]identity.Appearance, words ...identity.Decision) *stored {
	t.Helper()
	s := &stored{flowtest.New(t), evidence, words, appearances}
	history, seen, values, said := tables.NewIdentityHistory(), tables.NewEvidence(), tables.NewIdentifierValues(), tables.NewDecisions()
	born := map[identity.Account]bool{}
	for _, e := range evidence {
		of := tables.Account{Platform: e.Account.Platform, Shop: e.Account.Shop, ID: e.Account.ID}
		if !born[e.Account] {
			born[e.Account] = true
			history.Append(of, [16]byte{}, e.Account.BirthID(), time.UnixMilli(0), "born", 1<<40|1)
		}
		seen.Append(of, string(e.Identifier.Type), e.Identifier.Hash, e.Role.String(), "test", e.First, e.Last)
	}
	for hash, a := range appearances {
		values.Append(string(identity.AppearanceType), hash, s.Keys.Seal(nil, []byte(normalize.AppearanceValue(a)), keyring.IdentifierContext(string(identity.AppearanceType), hash)))
	}
	for i, d := range words {
		said.Append(&events.Decision{DecisionId: d.ID, Kind: events.DecisionKind(d.Kind), Accounts: []string{d.A.String(), d.B.String()}, DecidedMs: d.At}, uint64(i+1))
	}
	for _, block := range []tables.Block{history, seen, values, said} {
		if block.Rows() == 0 {
			continue
		}
		if err := s.ClickHouse.Insert(t.Context(), block, "stored"); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// resolve resolves what is stored as SQL, and wants as many customers as this program
// finds.
func (s *stored) resolve(t *testing.T, text string) Bulk {
	t.Helper()
	rules, err := identity.ParseRules([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	bulk, err := rebuildOf(s.Flow).Bulk(t.Context(), rules)
	if err != nil {
		t.Fatal(err)
	}
	model := identity.Model{Scorers: s.Models, Appearances: s.appearances}
	if want := len(model.Resolve(s.all, s.words, rules).Customers); bulk.Customers != want {
		t.Errorf("%d customers as SQL and %d in memory, by\n%s", bulk.Customers, want, text)
	}
	return bulk
}

func bears(account string, typ identity.IdentifierType, value byte, first, last int64) identity.Evidence {
	a, err := identity.ParseAccount(account)
	if err != nil {
		panic(err) // of a test's own making
	}
	const since = 1_700_000_000
	return identity.Evidence{Account: a, Identifier: identity.Identifier{Type: typ, Hash: identity.Hash{value}}, Role: identity.RoleBuyer, First: since + first, Last: since + last}
}

// A component is looked at by the rules when it may be too much of anything, and not
// when it is as much as may be.
func TestBulkLooksAtWhatIsTooMuch(t *testing.T) {
	t.Parallel()
	s := store(t, []identity.Evidence{
		bears("tmall/s/a", identity.Email, 1, 0, 0), bears("tmall/s/b", identity.Email, 1, 0, 0), bears("douyin/s/c", identity.Email, 1, 0, 0),
		bears("tmall/s/a", identity.UnionID, 1, 0, 0), bears("tmall/s/b", identity.UnionID, 2, 0, 0),
	}, nil)
	for _, c := range []struct {
		largest                     int
		email, union                string
		wantCustomers, wantLookedAt int
	}{
		{3, "", "", 1, 0},
		{2, "", "", 3, 1},
		{3, ", per_shop: 1", "", 3, 1},
		{3, ", per_shop: 2", "", 1, 0},
		{3, "", ", exclusive: 1", 3, 1},
		{3, "", ", exclusive: 2", 1, 0},
	} {
		got := s.resolve(t, fmt.Sprintf("largest_customer: %d\ntypes:\n  email: {priority: 1, join: {buyer: 80}%s}\n  unionid: {priority: 2, join: {buyer: 90}%s}\n", c.largest, c.email, c.union))
		if got.Customers != c.wantCustomers || got.Contested != c.wantLookedAt {
			t.Errorf("at most %d%s%s: %d customers and %d contested components, want %d and %d", c.largest, c.email, c.union, got.Customers, got.Contested, c.wantCustomers, c.wantLookedAt)
		}
	}
}

// Who has sent to somebody for exactly by_far times as long as to another is joined
// through him; for a second less a person is asked.
func TestBulkAtTheBorderOfByFar(t *testing.T) {
	t.Parallel()
	const day = 86400
	own, other := identity.Appearance{Name: "林**", Phone: "*******1135", City: "杭州市"}, identity.Appearance{Name: "周**", Phone: "*******2246", City: "宁波市"}
	for _, c := range []struct {
		toOther     int64
		byFar       int
		pairs, asks int
	}{{50 * day, 2, 1, 0}, {50*day + 1, 2, 0, 1}, {33 * day, 3, 1, 0}, {50 * day, 3, 0, 1}, {100 * day, 1, 0, 1}, {100 * day, 0, 1, 0}} {
		s := store(t, []identity.Evidence{
			bears("tmall/s/a", identity.AppearanceType, 1, 0, 100*day), bears("tmall/s/a", identity.AppearanceType, 2, 0, c.toOther),
			bears("douyin/s/b", identity.AppearanceType, 1, 0, 9*day),
		}, map[identity.Hash]identity.Appearance{{1}: own, {2}: other})
		got := s.resolve(t, fmt.Sprintf("largest_customer: 9\ntypes:\n  phone: {priority: 1, join: {member: 90}}\nmodel: {use: plain, accept: 8, review: 6, by_far: %d, strength: 9}\n", c.byFar))
		if got.Pairs != c.pairs || got.Asked != c.asks || got.Customers != 2-c.pairs {
			t.Errorf("by far %d, to the other for %d s: %d pairs, %d asked about, %d customers; want %d and %d", c.byFar, c.toOther, got.Pairs, got.Asked, got.Customers, c.pairs, c.asks)
		}
	}
}

// A pair by both accounts' own receivers joins them, though one by a receiver that is not
// surely an account's own weighs more: of the two it is the one that is kept.
func TestBulkPrefersWhatJoins(t *testing.T) {
	t.Parallel()
	const day = 86400
	own, gift := identity.Appearance{Name: "林**", Phone: "*******1135", City: "杭州市"}, identity.Appearance{Name: "林**", Phone: "*******2246", City: "杭州市"}
	s := store(t, []identity.Evidence{
		bears("tmall/s/a", identity.AppearanceType, 1, 0, 100*day), bears("tmall/s/a", identity.AppearanceType, 2, 0, 9*day),
		bears("douyin/s/b", identity.AppearanceType, 3, 0, 9*day),
	}, map[identity.Hash]identity.Appearance{{1}: own, {2}: gift, {3}: gift})
	for _, c := range []struct{ accept, pairs, asks int }{{8, 1, 0}, {9, 0, 1}} {
		got := s.resolve(t, fmt.Sprintf("largest_customer: 9\ntypes:\n  phone: {priority: 1, join: {member: 90}}\nmodel: {use: plain, accept: %d, review: 6, by_far: 2, strength: 9}\n", c.accept))
		if got.Pairs != c.pairs || got.Asked != c.asks || got.Customers != 2-c.pairs {
			t.Errorf("accept %d: %d pairs, %d asked about, %d customers; want %d and %d", c.accept, got.Pairs, got.Asked, got.Customers, c.pairs, c.asks)
		}
	}
}

// Who is not one of two persons of a shop, by somebody's word or by a unionid, is the
// other; with neither he is none of them, as in memory.
func TestBulkOfWhoIsNotOneOfTwo(t *testing.T) {
	t.Parallel()
	couple := []identity.Evidence{
		bears("weidian/1/w", identity.Phone, 1, 0, 0), bears("weidian/1/w", identity.Phone, 2, 0, 0),
		bears("tmall/f/w", identity.Phone, 1, 0, 0), bears("tmall/f/h", identity.Phone, 2, 0, 0),
	}
	unions := []identity.Evidence{bears("weidian/1/w", identity.UnionID, 7, 0, 0), bears("tmall/f/h", identity.UnionID, 8, 0, 0)}
	different := identity.Decision{ID: "1", Kind: identity.Different, A: couple[0].Account, B: couple[3].Account}
	for name, c := range map[string]struct {
		evidence []identity.Evidence
		words    []identity.Decision
		want     int
	}{
		"one of two":          {couple, nil, 3},
		"not one, by a word":  {couple, []identity.Decision{different}, 2},
		"not one, by unionid": {slices.Concat(couple, unions), nil, 2},
	} {
		rules, err := identity.DefaultRules().MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		if got := store(t, c.evidence, nil, c.words...).resolve(t, string(rules)); got.Customers != c.want || got.Contested != 1 {
			t.Errorf("%s: %d customers, %d contested components; want %d and 1", name, got.Customers, got.Contested, c.want)
		}
	}
}
