package engine_test

import (
	"bytes"
	order "cmp"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"oneid/identity"
	"oneid/identity/engine"
)

var seedCount = flag.Int("seeds", 200, "random histories a property is tried on")

// testRules have small bounds, so that random evidence passes them often.
const testRules = `
largest_customer: 4
types:
  openid:      {priority: 1, join: {member: 98, buyer: 98}, accounts: 3}
  unionid:     {priority: 1, join: {member: 96, buyer: 96}, exclusive: 1, accounts: 2}
  member_card: {priority: 2, join: {member: 92}}
  phone:       {priority: 3, join: {member: 90, buyer: 80}, accounts: 3, values: 3, per_shop: 1, gap_days: 4, reissue_days: 1}
  email:       {priority: 4, join: {member: 80}, accounts: 4, values: 1, exclusive: 2}
`

func rules(t testing.TB) *identity.Rules {
	t.Helper()
	return parsed(t, testRules)
}

func parsed(t testing.TB, source string) *identity.Rules {
	t.Helper()
	r, err := identity.ParseRules([]byte(source))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// rulesOf a seed use a model in two of three histories.
func rulesOf(t testing.TB, seed int) *identity.Rules {
	t.Helper()
	return parsed(t, testRules+testModels[seed%3])
}

// The first has a bound, and accepts what agrees in a single key: a key that
// passes its bound parts whom nothing else joins.
var testModels = []string{"", `
model: {use: letters, accept: 5, review: 3, least_days: 2, by_far: 2, block: 3, strength: 10, per_shop: 1}
`, `
model: {use: letters, accept: 5, review: 2, strength: 10}
`}

// letters is a model of appearances of few letters.
type letters struct{}

func (letters) Blocks(keys []uint64, a identity.Appearance) []uint64 {
	for i, field := range []string{a.Name, a.Phone} {
		if field != "" {
			keys = append(keys, uint64(i)<<8|uint64(field[0]))
		}
	}
	return keys
}

var lettersWorths = identity.Worths{Shares: []float64{0}, Fields: []identity.FieldWorth{
	{Name: "name", Levels: []string{"same", "not"}, Bits: [][]float64{{0, 4, -1}}},
	{Name: "phone", Levels: []string{"same", "not"}, Bits: [][]float64{{0, 5, -2}}},
	{Name: "district", Levels: []string{"same", "not"}, Bits: [][]float64{{0, 1.5, 0}}},
}}

func (letters) Compare(a, b identity.Appearance) (levels identity.Levels, rare float64) {
	for i, field := range [...][2]string{{a.Name, b.Name}, {a.Phone, b.Phone}, {a.District, b.District}} {
		switch {
		case field[0] == "" || field[1] == "":
		case field[0] == field[1]:
			levels |= 1 << (4 * i)
		default:
			levels |= 2 << (4 * i)
		}
	}
	return levels, 0
}

func (letters) Worths() *identity.Worths { return &lettersWorths }

func (l letters) Weigh(a, b identity.Appearance) float32 {
	return lettersWorths.Weight(l.Compare(a, b))
}

func (letters) Explain(a, b identity.Appearance) []string {
	return []string{fmt.Sprintf("letters %+.1f", letters{}.Weigh(a, b))}
}

var models = identity.Scorers{"letters": letters{}}

func open(t testing.TB, store engine.Store, rules *identity.Rules) *engine.Engine {
	t.Helper()
	e, err := engine.New(store, rules, engine.Models(models))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// otherRules join other types, more loosely and more strictly.
var otherRules = []string{`
largest_customer: 3
types:
  email:   {priority: 1, join: {member: 90, agent: 70}}
  unruled: {priority: 2, join: {buyer: 60}, exclusive: 1}
`, `
largest_customer: 20
types:
  unionid: {priority: 2, join: {member: 96}}
  phone:   {priority: 1, join: {member: 90, buyer: 90, receiver: 50}, accounts: 9, values: 2}
`,
	// The same groups: what is refused is another.
	strings.NewReplacer("largest_customer: 4", "largest_customer: 3", ", exclusive: 1", "").Replace(testRules),
	testRules + testModels[1],
	testRules + testModels[2],
}

// adopted is a decision for one of them.
func adopted(r *rand.Rand, id string) identity.Decision {
	rules, err := identity.ParseRules([]byte(otherRules[r.IntN(len(otherRules))]))
	if err != nil {
		panic(err)
	}
	return identity.Decision{ID: id, Kind: identity.Adopt, Rules: rules, At: int64(r.IntN(5))}
}

// A history is what came in, in one order.
type history struct {
	updates   []engine.Update
	decisions []identity.Decision
}

func randomHistory(r *rand.Rand) history {
	var h history
	shops := []identity.Account{{Platform: "tmall", Shop: "1"}, {Platform: "tmall", Shop: "2"}, {Platform: "douyin", Shop: "1"}, {Platform: "weidian", Shop: "1"}}
	n := 2 + r.IntN(14)
	accounts := make([]identity.Account, n)
	for i := range accounts {
		accounts[i] = shops[r.IntN(len(shops))]
		accounts[i].ID = fmt.Sprint("a", i)
		if r.IntN(6) == 0 {
			accounts[i].ID = fmt.Sprint("order:", i)
		}
	}
	types := []identity.IdentifierType{identity.Phone, identity.Phone, identity.UnionID, identity.OpenID, identity.MemberCard, identity.Email, "unruled"}
	for range 3 + r.IntN(40) {
		u := engine.Update{Account: accounts[r.IntN(n)]}
		for range r.IntN(4) {
			first := int64(r.IntN(10)) * 86400
			u.Evidence = append(u.Evidence, identity.Evidence{
				Account:    u.Account,
				Identifier: identity.Identifier{Type: types[r.IntN(len(types))], Hash: identity.Hash{byte(r.IntN(1 + n/3))}},
				Role:       identity.Role(1 + r.IntN(4)), Source: []string{"tmall", "file"}[r.IntN(2)],
				First: first, Last: first + int64(r.IntN(2))*86400,
			})
		}
		if r.IntN(3) > 0 {
			a := identity.Appearance{Name: []string{"", "a", "b"}[r.IntN(3)], Phone: []string{"", "1", "2", "3"}[r.IntN(4)], District: []string{"x", "y"}[r.IntN(2)]}
			first := int64(r.IntN(10)) * 86400
			ev := identity.Evidence{Account: u.Account, Identifier: identity.Identifier{Type: identity.AppearanceType}, Role: identity.RoleReceiver,
				Source: []string{"tmall", "file"}[r.IntN(2)], First: first, Last: first + int64(r.IntN(3))*86400}
			copy(ev.Identifier.Hash[:], a.Name+a.Phone+a.District)
			u.Evidence = append(u.Evidence, ev)
			if r.IntN(3) > 0 { // else its fields come later, or never
				u.Appearance = &a
			}
		}
		h.updates = append(h.updates, u)
	}
	for i := range r.IntN(8) {
		d := identity.Decision{ID: fmt.Sprint("d", i), Kind: identity.DecisionKind(1 + r.IntN(3)), At: int64(r.IntN(5))}
		if d.Kind == identity.Undo {
			d.Undoes = fmt.Sprint("d", r.IntN(8))
		} else if r.IntN(6) == 0 {
			d = adopted(r, d.ID)
		} else {
			d.A, d.B = accounts[r.IntN(n)], accounts[r.IntN(n)]
		}
		h.decisions = append(h.decisions, d)
	}
	return h
}

func (h history) shuffled(r *rand.Rand) history {
	out := history{slices.Clone(h.updates), slices.Clone(h.decisions)}
	r.Shuffle(len(out.updates), func(i, j int) { out.updates[i], out.updates[j] = out.updates[j], out.updates[i] })
	r.Shuffle(len(out.decisions), func(i, j int) { out.decisions[i], out.decisions[j] = out.decisions[j], out.decisions[i] })
	return out
}

// model is what the history says of appearances.
func (h history) model() identity.Model {
	m := identity.Model{Scorers: models, Appearances: map[identity.Hash]identity.Appearance{}}
	for _, u := range h.updates {
		for _, ev := range u.Evidence {
			if ev.Identifier.Type == identity.AppearanceType && u.Appearance != nil {
				m.Appearances[ev.Identifier.Hash] = *u.Appearance
			}
		}
	}
	return m
}

// evidence is all of it.
func (h history) evidence() (all []identity.Evidence) {
	seen := map[identity.Account]bool{}
	for _, u := range h.updates {
		if !seen[u.Account] {
			seen[u.Account] = true
			// An account without evidence is still there: say so in a type
			// that joins nothing.
			all = append(all, identity.Evidence{Account: u.Account, Identifier: identity.Identifier{Type: "none"}, Role: identity.RoleAgent})
		}
		all = append(all, u.Evidence...)
	}
	return all
}

// oracle is what the engine must hold: Resolve from scratch, with the ids of
// the earliest-born accounts, and of those born in one batch the lowest.
func (h history) oracle(rules *identity.Rules, born map[identity.Account]uint64) map[identity.Account]identity.CustomerID {
	out := map[identity.Account]identity.CustomerID{}
	for _, customer := range h.model().Resolve(h.evidence(), h.decisions, rules).Customers {
		eldest := slices.MinFunc(customer, func(a, b identity.Account) int {
			x, y := a.BirthID(), b.BirthID()
			return order.Or(order.Compare(born[a], born[b]), bytes.Compare(x[:], y[:]))
		})
		for _, a := range customer {
			out[a] = eldest.BirthID()
		}
	}
	return out
}

// cut applies a history in random batches. After each, reopen may give
// another engine over the same store.
func (h history) cut(t *testing.T, r *rand.Rand, e *engine.Engine, reopen func(*engine.Engine) *engine.Engine) (_ *engine.Engine, told map[identity.Account]identity.CustomerID, born map[identity.Account]uint64) {
	t.Helper()
	// What the changes said.
	told, born = map[identity.Account]identity.CustomerID{}, map[identity.Account]uint64{}
	updates, decisions := h.updates, h.decisions
	for sequence := uint64(0); len(updates)+len(decisions) > 0; sequence++ {
		u, d := r.IntN(min(len(updates), 9)+1), r.IntN(len(decisions)+1)
		if len(updates) == 0 {
			d = len(decisions)
		}
		batch := updates[:u]
		if sequence%2 == 1 {
			batch = slices.Clone(batch)
			e.LookUp(batch)
		}
		changes, err := e.Apply(sequence, batch, decisions[:d])
		if err != nil {
			t.Fatal(err)
		}
		list, ok := e.CustomersOf(sequence, nil)
		if ok != (u > 0) || len(list) != u {
			t.Fatalf("sequence %d had %d updates, and the customers of %d are known: %v", sequence, u, len(list), ok)
		}
		for i, id := range list {
			if want, _ := e.CustomerOf(updates[i].Account); id != want {
				t.Fatalf("sequence %d, update %d: the customer is %v, want %v", sequence, i, id, want)
			}
		}
		updates, decisions = updates[u:], decisions[d:]
		if reopen != nil && r.IntN(3) == 0 {
			e = reopen(e)
			if _, ok := e.CustomersOf(sequence, nil); ok {
				t.Fatalf("sequence %d: an engine that did not apply it knows its updates", sequence)
			}
			again, err := e.Apply(sequence, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(changes, again); d != "" {
				t.Fatalf("the changes of sequence %d are others after a restart:\n%s", sequence, d)
			}
		}
		for _, b := range changes.Born {
			told[b.Account], born[b.Account] = b.CustomerID, b.Sequence
		}
		for _, m := range changes.Moved {
			if told[m.Account] != m.From || m.From == m.To {
				t.Fatalf("sequence %d: %v moves from %v to %v, but was in %v", sequence, m.Account, m.From, m.To, told[m.Account])
			}
			told[m.Account] = m.To
		}
		if r.IntN(2) == 0 {
			e.Delivered(sequence)
		}
	}
	return e, told, born
}

func held(e *engine.Engine) map[identity.Account]identity.CustomerID {
	out := map[identity.Account]identity.CustomerID{}
	for c := range e.Customers {
		for _, a := range c.Accounts {
			out[a] = c.ID
		}
	}
	return out
}

// The property that all stands on: any order, any batch cut, any restarts =
// Resolve from scratch.
func TestAnyOrderAnyCutSameCustomers(t *testing.T) {
	t.Parallel()
	joined, asked, hands := 0, 0, 0
	inert := map[inertBy]int{}
	for seed := range *seedCount {
		rules := rulesOf(t, seed)
		r := rand.New(rand.NewPCG(uint64(seed), 4))
		base := randomHistory(r)
		for range 3 {
			h := base.shuffled(r)
			store := engine.NewMemory()
			reopen := func(*engine.Engine) *engine.Engine { return open(t, store, rules) }
			e, told, born := h.cut(t, r, reopen(nil), reopen)
			want := h.oracle(rules, born)
			if d := cmp.Diff(want, held(e)); d != "" {
				t.Fatalf("seed %d: not the customers of Resolve (-want +got):\n%s", seed, d)
			}
			if d := cmp.Diff(want, told); d != "" {
				t.Fatalf("seed %d: the changes do not add up to the customers (-want +got):\n%s", seed, d)
			}
			resolved := h.model().Resolve(h.evidence(), h.decisions, rules)
			if d := cmp.Diff(questions(resolved.Reviews), questions(allReviews(e))); d != "" {
				t.Fatalf("seed %d: not the questions of Resolve (-want +got):\n%s", seed, d)
			}
			asked += len(questions(resolved.Reviews))
			for _, v := range resolved.Reviews {
				if v.Weight == 0 {
					inert[inertBy{v.Reason, v.Identifier.Type}]++
				}
			}
			links := resolved.Links
			if d := cmp.Diff(linkTexts(links), linkTexts(allLinks(e))); d != "" {
				t.Fatalf("seed %d: not the links of Resolve (-want +got):\n%s", seed, d)
			}
			for _, l := range links {
				if l.Weight > 0 {
					joined++
				}
				if l.Span >= 1<<16 {
					hands++
				}
			}
			for a, id := range want {
				if got, ok := e.CustomerOf(a); !ok || got != id {
					t.Fatalf("seed %d: CustomerOf(%v) = %v, %v, want %v", seed, a, got, ok, id)
				}
				c, redirect, ok := e.Customer(a.BirthID())
				if !ok || c.ID != id || (redirect != nil) != (id != a.BirthID()) {
					t.Fatalf("seed %d: the birth id of %v leads to %v (redirect %v), want %v", seed, a, c.ID, redirect, id)
				}
			}
		}
	}
	if joined == 0 || asked == 0 || hands == 0 {
		t.Errorf("the model joined %d and asked %d times, identifiers changed hands %d times: the property tests nothing of it", joined, asked, hands)
	}
	for _, some := range []inertBy{{identity.ReviewAccounts, identity.OpenID}, {identity.ReviewAccounts, identity.UnionID}, {identity.ReviewAccounts, identity.Phone},
		{identity.ReviewValues, identity.Phone}, {identity.ReviewValues, identity.Email},
		{identity.ReviewLargest, identity.UnionID}, {identity.ReviewLargest, identity.Phone}, {identity.ReviewLargest, identity.MemberCard}} {
		if inert[some] == 0 {
			t.Errorf("no %s went inert by %s: the property tests nothing of it", some.typ, some.reason)
		}
	}
}

// inertBy is why identifiers of a type joined nobody.
type inertBy struct {
	reason identity.ReviewReason
	typ    identity.IdentifierType
}

// allLinks are those of all customers.
func allLinks(e *engine.Engine) (links []identity.Link) {
	for c := range e.Customers {
		of, _ := e.Component(c.ID)
		links = append(links, of.Links...)
	}
	return links
}

// allReviews are those of all customers.
func allReviews(e *engine.Engine) (reviews []identity.Review) {
	for c := range e.Customers {
		of, _ := e.Component(c.ID)
		reviews = append(reviews, of.Reviews...)
	}
	return reviews
}

// questions are what the model asks people, each once: both customers of a pair
// have it.
func questions(reviews []identity.Review) (texts []string) {
	for _, v := range reviews {
		if v.Reason == identity.ReviewModel {
			texts = append(texts, fmt.Sprintf("%v %v %+.3f", v.Accounts[0], v.Accounts[1], v.Weight))
		}
	}
	slices.Sort(texts)
	return slices.Compact(texts)
}

func linkTexts(links []identity.Link) []string {
	texts := make([]string, len(links))
	for i, l := range links {
		texts[i] = fmt.Sprintf("%+v", l)
	}
	slices.Sort(texts)
	return texts
}

// The partition does not depend on the order of births.
func TestResolveIgnoresOrder(t *testing.T) {
	t.Parallel()
	for seed := range *seedCount {
		rules := rulesOf(t, seed)
		r := rand.New(rand.NewPCG(uint64(seed), 5))
		h := randomHistory(r)
		want := h.model().Resolve(h.evidence(), h.decisions, rules)
		s := h.shuffled(r)
		doubled := append(s.evidence(), h.evidence()...)
		if d := cmp.Diff(want, s.model().Resolve(doubled, s.decisions, rules)); d != "" {
			t.Fatalf("seed %d: order or repetition changed the resolution:\n%s", seed, d)
		}
	}
}

// Rules that rule as those in force do, adopted again or read from elsewhere, resolve
// nobody anew: what makes a customer too large is not told again. Others do, and bear on
// what comes afterwards as those did.
func TestAlikeRulesResolveNobodyAnew(t *testing.T) {
	t.Parallel()
	text := strings.Replace(string(identity.DefaultRulesYAML()), "largest_customer: 100", "largest_customer: 2", 1)
	e := open(t, engine.NewMemory(), parsed(t, text))
	family := []engine.Update{bearsPhone(t, "tmall/r/a"), bearsPhone(t, "tmall/s/b"), bearsPhone(t, "weidian/s/c")}
	other := parsed(t, strings.Replace(text, "largest_customer: 2", "largest_customer: 1", 1))
	for i, c := range []struct {
		updates   []engine.Update
		decisions []identity.Decision
		refused   int
	}{
		{family, nil, 1},
		{nil, []identity.Decision{{ID: "alike", Kind: identity.Adopt, At: 1, Rules: parsed(t, text)}}, 0},
		{[]engine.Update{bearsPhone(t, "douyin/s/d")}, nil, 1},
		{nil, []identity.Decision{{ID: "other", Kind: identity.Adopt, At: 2, Rules: other}}, 1},
		{nil, []identity.Decision{{ID: "undo", Kind: identity.Undo, At: 3, Undoes: "other"}}, 1},
		{nil, []identity.Decision{{ID: "undo too", Kind: identity.Undo, At: 4, Undoes: "alike"}}, 0},
	} {
		changes, err := e.Apply(uint64(i+1), c.updates, c.decisions)
		if err != nil {
			t.Fatal(err)
		}
		if len(changes.Reviews) != c.refused || len(changes.Moved) > 0 {
			t.Errorf("batch %d: %d moved, refused %v; want none and %d", i+1, len(changes.Moved), changes.Reviews, c.refused)
		}
		for _, d := range c.decisions {
			if _, inForce := e.Rules(); d.Kind == identity.Adopt && inForce != d.Rules {
				t.Errorf("batch %d: the rules in force are not those that it adopts", i+1)
			}
		}
	}
}

func bearsPhone(t *testing.T, account string) engine.Update {
	t.Helper()
	a, err := identity.ParseAccount(account)
	if err != nil {
		t.Fatal(err)
	}
	return engine.Update{Account: a, Evidence: []identity.Evidence{{Identifier: identity.Identifier{Type: identity.Phone, Hash: identity.Hash{1}}, Role: identity.RoleMember, Source: a.Platform, First: 5, Last: 5}}}
}

// Rules that are adopted hold for all that was seen before, and what they did
// an undo takes back: as if never adopted.
func TestUndoneIsNeverAdopted(t *testing.T) {
	t.Parallel()
	for seed := range *seedCount {
		r := rand.New(rand.NewPCG(uint64(seed), 8))
		h, rules := randomHistory(r), rulesOf(t, seed)
		e := open(t, engine.NewMemory(), rules)
		steps := []struct {
			updates   []engine.Update
			decisions []identity.Decision
		}{{h.updates, h.decisions}, {nil, []identity.Decision{adopted(r, "rules")}}, {nil, []identity.Decision{{ID: "undo", Kind: identity.Undo, Undoes: "rules", At: 101}}}}
		steps[1].decisions[0].At = 100
		var customers []map[identity.Account]identity.CustomerID
		var moved []int
		for i, step := range steps {
			changes, err := e.Apply(uint64(i), step.updates, step.decisions)
			if err != nil {
				t.Fatal(err)
			}
			customers, moved = append(customers, held(e)), append(moved, len(changes.Moved))
		}
		h.decisions = append(h.decisions, steps[1].decisions...)
		if d := cmp.Diff(h.oracle(rules, nil), customers[1]); d != "" {
			t.Fatalf("seed %d: not the customers of the rules that were adopted (-want +got):\n%s", seed, d)
		}
		if d := cmp.Diff(customers[0], customers[2]); d != "" {
			t.Fatalf("seed %d: after adopting rules and taking them back (-before +after):\n%s", seed, d)
		}
		if moved[1] != moved[2] {
			t.Fatalf("seed %d: %d accounts moved, %d moved back", seed, moved[1], moved[2])
		}
	}
}

// A batch tells of no join that a constraint refused: an account with many would tell
// them all with each batch. Who looks at the customer sees them.
func TestRefusedJoinsAreToldOnlyOnDemand(t *testing.T) {
	t.Parallel()
	e := open(t, engine.NewMemory(), identity.DefaultRules())
	phone := func(account string, value byte) engine.Update {
		u := bearsPhone(t, account)
		u.Evidence[0].Identifier.Hash, u.Evidence[0].Role = identity.Hash{value}, identity.RoleBuyer
		return u
	}
	couple := []engine.Update{phone("weidian/1/w", 1), phone("weidian/1/w", 2), phone("tmall/f/w", 1), phone("tmall/f/h", 2)}
	different := identity.Decision{ID: "1", Kind: identity.Different, A: couple[0].Account, B: couple[3].Account}
	for i, c := range []struct {
		updates   []engine.Update
		decisions []identity.Decision
		refused   map[identity.ReviewReason]int
	}{
		{couple, nil, map[identity.ReviewReason]int{identity.ReviewPerShop: 4}},
		{nil, []identity.Decision{different}, map[identity.ReviewReason]int{identity.ReviewDifferent: 2}},
	} {
		changes, err := e.Apply(uint64(i+1), c.updates, c.decisions)
		if err != nil {
			t.Fatal(err)
		}
		if len(changes.Reviews) > 0 {
			t.Errorf("batch %d tells %+v", i+1, changes.Reviews)
		}
		id, _ := e.CustomerOf(couple[0].Account)
		of, _ := e.Component(id)
		got := map[identity.ReviewReason]int{}
		for _, v := range of.Reviews {
			got[v.Reason]++
		}
		if d := cmp.Diff(c.refused, got); d != "" {
			t.Errorf("after batch %d who looks at her sees (-want +got):\n%s", i+1, d)
		}
	}
}

// What a wrong decision did, its undo takes back: as if never merged.
func TestUndoneIsNeverMerged(t *testing.T) {
	t.Parallel()
	for seed := range *seedCount {
		r := rand.New(rand.NewPCG(uint64(seed), 6))
		h := randomHistory(r)
		e := open(t, engine.NewMemory(), rulesOf(t, seed))
		if _, err := e.Apply(1, h.updates, h.decisions); err != nil {
			t.Fatal(err)
		}
		before := held(e)
		accounts := slices.SortedFunc(maps.Keys(before), identity.Account.Compare)
		wrong := identity.Decision{ID: "wrong", Kind: identity.Same, A: accounts[0], B: accounts[len(accounts)-1], At: 100}
		merged, err := e.Apply(2, nil, []identity.Decision{wrong})
		if err != nil {
			t.Fatal(err)
		}
		undo := identity.Decision{ID: "undo", Kind: identity.Undo, Undoes: "wrong", At: 101}
		split, err := e.Apply(3, nil, []identity.Decision{undo})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(before, held(e)); d != "" {
			t.Fatalf("seed %d: after merge and undo (-before +after):\n%s", seed, d)
		}
		if len(merged.Moved) != len(split.Moved) {
			t.Fatalf("seed %d: %d accounts moved, %d moved back", seed, len(merged.Moved), len(split.Moved))
		}
	}
}

// A sighting that fills the time in which a number seemed to have changed hands
// resolves those anew whom it joins, though it joins the same accounts as before.
func TestASightingFillsTheTimeBetween(t *testing.T) {
	t.Parallel()
	see := func(account identity.Account, typ identity.IdentifierType, value byte, day int64) engine.Update {
		return engine.Update{Account: account, Evidence: []identity.Evidence{{Account: account, Identifier: identity.Identifier{Type: typ, Hash: identity.Hash{value}}, Role: identity.RoleMember, Source: account.Platform, First: day * 86400, Last: day * 86400}}}
	}
	a, b, c := identity.Account{Platform: "douyin", Shop: "1", ID: "a"}, identity.Account{Platform: "tmall", Shop: "1", ID: "b"}, identity.Account{Platform: "weidian", Shop: "1", ID: "c"}
	var h history
	e := open(t, engine.NewMemory(), identity.DefaultRules())
	for sequence, updates := range [][]engine.Update{
		{see(a, identity.UnionID, 1, 0), see(a, identity.Phone, 9, 0), see(b, identity.UnionID, 2, 0), see(b, identity.Phone, 9, 120), see(c, identity.Phone, 9, 130)},
		{see(a, identity.Phone, 9, 60)},
	} {
		if _, err := e.Apply(uint64(sequence), updates, nil); err != nil {
			t.Fatal(err)
		}
		h.updates = append(h.updates, updates...)
		if d := cmp.Diff(h.oracle(identity.DefaultRules(), nil), held(e)); d != "" {
			t.Errorf("batch %d: not the customers of Resolve (-want +got):\n%s", sequence, d)
		}
	}
}
