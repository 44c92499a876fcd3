package rebuild

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"oneid/identity"
	"oneid/identity/engine"
	"oneid/internal/embedded/chdb/chdbtest"
	"oneid/internal/kafka"
	"oneid/internal/state"
	"oneid/pipelines/flowtest"
	"oneid/schemas/events"
)

func TestMain(m *testing.M) { chdbtest.Main(m) }

func rebuildOf(f *flowtest.Flow) *Rebuild {
	return &Rebuild{Brand: flowtest.Brand, ClickHouse: f.ClickHouse, Kafka: f.Client, Topics: f.Topics, Rules: f.Rules, Models: f.Models, Keys: f.Keys, Log: slog.New(slog.DiscardHandler)}
}

// messages are random users whose phones meet, and decisions about them.
func messages(t testing.TB, f *flowtest.Flow, r *rand.Rand, round int) []kafka.Message {
	var all []kafka.Message
	for range 60 + r.IntN(60) {
		no := r.IntN(80)
		// Other pairs meet in each round.
		phone := fmt.Sprintf("138%08d", 1000*(round+1)+(no+round)/2+r.IntN(2))
		e := flowtest.User(no, phone, int64(1_700_000_000_000+r.IntN(1000)*86_400_123))
		// Four accounts are sent parcels to one door, some under a neighbour's name.
		e.Header.Person.Receiver = &events.Receiver{Name: string(rune('一' + no/4 + r.IntN(2))), Phone: fmt.Sprintf("139%08d", no/4), City: []string{"杭州市", "宁波市"}[r.IntN(2)]}
		all = append(all, f.Message(t, e))
	}
	account := func() string { n := r.IntN(80); return fmt.Sprintf("tmall/s%d/%d", n%2, n) }
	for i := range r.IntN(5) {
		d := &events.Decision{DecisionId: fmt.Sprintf("%d-%d", round, i), Kind: events.DecisionKind(1 + r.IntN(3)), Accounts: []string{account(), account()}, DecidedMs: int64(r.IntN(1000))}
		if d.Kind == events.DecisionKind_DECISION_KIND_UNDO {
			d.Undoes = fmt.Sprintf("%d-%d", r.IntN(round+1), r.IntN(5))
		}
		if r.IntN(4) == 0 {
			d.Kind, d.Accounts, d.Undoes, d.Rules = events.DecisionKind_DECISION_KIND_ADOPT, nil, "", []byte(looser[r.IntN(len(looser))])
		}
		all = append(all, decision(t, f, d))
	}
	return all
}

// looser and stricter rules about phones than those that ship.
var looser = []string{
	"largest_customer: 50\ntypes:\n  phone: {priority: 1, join: {member: 90}}\n",
	"largest_customer: 2\ntypes:\n  phone: {priority: 1, join: {member: 90}, per_shop: 1, gap_days: 30}\n",
	modelled,
}

// modelled rules join who is sent parcels to one door in one name.
const modelled = "largest_customer: 9\ntypes:\n  phone: {priority: 1, join: {member: 90}, accounts: 3}\nmodel: {use: plain, accept: 8, review: 4, least_days: 30, block: 6, strength: 9, per_shop: 2}\n"

func decision(t testing.TB, f *flowtest.Flow, d *events.Decision) kafka.Message {
	t.Helper()
	value, err := proto.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return kafka.Message{Topic: f.Topics.Decisions, Key: []byte("k"), Value: value}
}

func into(t testing.TB, f *flowtest.Flow) (*state.Store, *engine.Engine, Report) {
	t.Helper()
	store := f.State(t)
	report, err := rebuildOf(f).Into(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(store, f.Rules, engine.Models(f.Models))
	if err != nil {
		t.Fatal(err)
	}
	return store, e, report
}

func wantEqual(t testing.TB, f *flowtest.Flow, present, rebuilt *engine.Engine, a, b *state.Store) {
	t.Helper()
	c, err := rebuildOf(f).Compare(present, rebuilt, a, b)
	if err != nil || c.Differences > 0 {
		t.Fatalf("%d differences (%v):\n%v", c.Differences, err, c.Some)
	}
}

// A state made anew from ClickHouse is the state; the resolver goes on from it
// and both end alike, also when it died in the middle of a batch's inserts.
func TestRebuiltFromClickHouse(t *testing.T) {
	t.Parallel()
	unsettled, alike, asked := 0, 0, 0
	for seed := range uint64(3) {
		r := rand.New(rand.NewPCG(seed, 0))
		f := flowtest.New(t)
		if seed > 0 {
			rules, err := identity.ParseRules([]byte(modelled))
			if err != nil {
				t.Fatal(err)
			}
			f.Rules = rules
		}
		store := f.State(t)
		last := uint64(0)
		for round := range 2 {
			f.Publish(t, messages(t, f, r, round)...)
			resolver, present := f.Resolver(t, store, nil)
			if err := flowtest.Run(t, resolver); err != nil {
				t.Fatal(err)
			}
			again, rebuilt, report := into(t, f)
			if last, _ = present.Sequence(); report.Sequence != last || report.Unsettled > 0 || report.Accounts == 0 || report.Evidence == 0 || report.Values == 0 {
				t.Fatalf("seed %d: %+v; the state is at %d", seed, report, last)
			}
			wantEqual(t, f, present, rebuilt, store, again)
			wantBulk(t, f, present, nil)
			for c := range present.Customers {
				if of, _ := present.Component(c.ID); slices.ContainsFunc(of.Links, func(l identity.Link) bool { return l.Weight > 0 }) {
					alike++
				}
			}
			n, err := f.ClickHouse.Number(t.Context(), "count who is alike", "SELECT count() FROM "+rebuildOf(f).table("resemblances"))
			if err != nil {
				t.Fatal(err)
			}
			asked += int(n)
		}
		// Cut off between the inserts of a batch, with a lot behind it.
		done := [][]string{
			{"identifier_values", "evidence"},
			{"identifier_values", "evidence", "identity_map"},
			{"identifier_values", "evidence", "identity_map", "identity_history", "redirects", "identity_overrides"},
		}[seed]
		f.Publish(t, messages(t, f, r, 2)...)
		cut, _ := f.Resolver(t, store, &flowtest.Cut{ClickHouse: f.ClickHouse, After: last, Only: done})
		if err := flowtest.Run(t, cut); !errors.Is(err, flowtest.ErrCut) {
			t.Fatalf("seed %d: %v, want it cut off", seed, err)
		}
		other, _, report := into(t, f)
		unsettled += report.Unsettled
		onward, rebuilt := f.Resolver(t, other, nil)
		if err := flowtest.Run(t, onward); err != nil {
			t.Fatal(err)
		}
		// The state that was cut off delivers what it had not: all of it is there.
		late, present := f.Resolver(t, store, nil)
		if err := flowtest.Run(t, late); err != nil {
			t.Fatal(err)
		}
		wantEqual(t, f, present, rebuilt, store, other)
		again, fresh, _ := into(t, f)
		wantEqual(t, f, present, fresh, store, again)
		for _, c := range []struct{ what, query string }{
			{"accounts whose mapping is not their customer", "SELECT count() FROM (SELECT account, shop, argMax(customer_id, version) AS c FROM identity_history GROUP BY account, shop) AS h INNER JOIN (SELECT * FROM identity_map FINAL) AS m USING (account, shop) WHERE h.c != m.customer_id"},
			{"births told twice", "SELECT count() - uniqExact(account, shop) FROM identity_history WHERE previous_customer_id = toUUID('00000000-0000-0000-0000-000000000000')"},
		} {
			if got, err := f.Database.Query(t.Context(), c.query); err != nil || got != "0\n" {
				t.Errorf("seed %d: %s: %s (%v)", seed, c.what, got, err)
			}
		}
	}
	if alike == 0 || asked == 0 {
		t.Errorf("the model joined %d customers and asked about %d pairs: the test shows less than it says", alike, asked)
	}
	if unsettled == 0 {
		t.Error("no batch that was cut off left anything to settle: the test shows less than it says")
	}
}

// The record of one who was superseded counts for nothing, and a journal that
// ends before ClickHouse does is refused.
func TestJournal(t *testing.T) {
	t.Parallel()
	f := flowtest.New(t)
	log := f.Client.Log(f.Topics.Journal, 0)
	defer log.Close()
	for _, record := range []*events.JournalRecord{
		{Epoch: 1}, {Epoch: 1, Ranges: []*events.Range{{Topic: f.Topics.Users, First: 0, Last: 4}}}, {Epoch: 2},
		{Epoch: 1, Ranges: []*events.Range{{Topic: f.Topics.Users, First: 5, Last: 9}}},
		{Epoch: 2, Ranges: []*events.Range{{Topic: f.Topics.Users, First: 5, Last: 7}}},
		{Epoch: 2, Ranges: []*events.Range{{Topic: f.Topics.Users, First: 8, Last: 9}, {Topic: f.Topics.Users, Partition: 1, First: 0, Last: 0}}},
	} {
		value, err := proto.Marshal(record)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := log.Append(t.Context(), value, nil); err != nil {
			t.Fatal(err)
		}
	}
	j, err := readJournal(t.Context(), f.Client, f.Topics.Journal)
	if err != nil {
		t.Fatal(err)
	}
	if len(j.batches) != 3 || len(j.void) != 1 || j.void[0] != 1<<40|3 || j.next != 6 {
		t.Errorf("journal = %+v", j)
	}
	users := f.Topics.Users
	for _, c := range []struct {
		position kafka.Position
		want     uint64
	}{{kafka.Position{}, 0}, {kafka.Position{users: {4, 0}}, 0}, {kafka.Position{users: {5, 0}}, 1}, {kafka.Position{users: {8, 0}}, 4}, {kafka.Position{users: {10, 0}}, 4}, {kafka.Position{users: {10, 1}}, 5}} {
		if got := j.committed(c.position); got != c.want {
			t.Errorf("committed(%v) = %d, want %d", c.position, got, c.want)
		}
	}
	if got := j.before(5); got != 4 {
		t.Errorf("before(5) = %d, want 4", got)
	}
	if err := f.Database.Exec(t.Context(), "INSERT INTO identity_history (account, version) VALUES ('a', bitOr(bitShiftLeft(toUInt64(2), 40), 6))"); err != nil {
		t.Fatal(err)
	}
	var lost *LostJournalError
	if _, err := rebuildOf(f).Into(t.Context(), f.State(t)); !errors.As(err, &lost) {
		t.Errorf("Into = %v, want that the journal was lost", err)
	}
}

// wantBulk wants ClickHouse to find the customers of the state.
func wantBulk(t testing.TB, f *flowtest.Flow, present *engine.Engine, rules *identity.Rules) Bulk {
	t.Helper()
	got, err := rebuildOf(f).Bulk(t.Context(), rules)
	if err != nil {
		t.Fatal(err)
	}
	customers := 0
	for range present.Customers {
		customers++
	}
	if got.Accounts != present.Size().Accounts || got.Customers != customers || got.Differences > 0 {
		t.Errorf("in bulk: %+v; the state has %d customers", got, customers)
	}
	if again, err := rebuildOf(f).Again(t.Context(), rules); err != nil || again.Checksum != got.Checksum {
		t.Errorf("the checksum in bulk is %s, and in memory %s (%v)", got.Checksum, again.Checksum, err)
	}
	if left, err := f.Database.Query(t.Context(), "SELECT count() FROM system.tables WHERE database = currentDatabase() AND name LIKE 'bulk_%'"); err != nil || left != "0\n" {
		t.Errorf("%s tables are left (%v)", left, err)
	}
	return got
}

// runner returns what publishes messages, has them resolved, checks that a rebuilt
// state is equal, and says who is whose.
func runner(t *testing.T, f *flowtest.Flow, store *state.Store) func(messages ...kafka.Message) map[identity.Account]identity.CustomerID {
	t.Helper()
	return func(messages ...kafka.Message) map[identity.Account]identity.CustomerID {
		t.Helper()
		f.Publish(t, messages...)
		resolver, present := f.Resolver(t, store, nil)
		resolver.BatchEvents = 1000
		if err := flowtest.Run(t, resolver); err != nil {
			t.Fatal(err)
		}
		again, rebuilt, _ := into(t, f)
		wantEqual(t, f, present, rebuilt, store, again)
		out := map[identity.Account]identity.CustomerID{}
		for c := range present.Customers {
			for _, a := range c.Accounts {
				out[a] = c.ID
			}
		}
		return out
	}
}

// A plan says what adopting the rules does, and does nothing itself; taking
// them back brings everything back.
func TestPlanIsWhatAdoptingDoes(t *testing.T) {
	t.Parallel()
	f := flowtest.New(t)
	// Receivers are kept, and nothing comes of them yet.
	keeping, err := identity.ParseRules(append(identity.DefaultRulesYAML(), "\nmodel: {use: plain, accept: 1000, review: 1000, strength: 1}\n"...))
	if err != nil {
		t.Fatal(err)
	}
	f.Rules = keeping
	store := f.State(t)
	run := runner(t, f, store)
	ids := func(customers map[identity.Account]identity.CustomerID) map[identity.CustomerID]bool {
		out := map[identity.CustomerID]bool{}
		for _, id := range customers {
			out[id] = true
		}
		return out
	}
	r := rand.New(rand.NewPCG(3, 3))
	var kept []kafka.Message
	for _, no := range []int{900, 901} { // one receiver, by two accounts, each twice
		for day := range int64(2) {
			e := flowtest.User(no, fmt.Sprintf("138%08d", no), 1_700_000_000_000+day*50*86_400_000)
			e.Header.Person.Receiver = &events.Receiver{Name: "林一一", Phone: "13900009009", City: "杭州市"}
			kept = append(kept, f.Message(t, e))
		}
	}
	run(kept...)
	before := run(messages(t, f, r, 0)...)
	moved, alike, redirected := 0, 0, 0
	for i, text := range looser {
		rules, err := identity.ParseRules([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		plan, err := rebuildOf(f).Plan(t.Context(), rules, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := rebuildOf(f).Plan(t.Context(), rules, 1000); err != nil || !reflect.DeepEqual(plan, again) {
			t.Fatalf("the second plan is another (%v):\n%+v\n%+v", err, plan, again)
		}
		id := fmt.Sprint("rules-", i)
		after := run(decision(t, f, &events.Decision{DecisionId: id, Kind: events.DecisionKind_DECISION_KIND_ADOPT, Rules: []byte(text), DecidedMs: 5000}))
		if i == 0 {
			if over, err := rebuildOf(f).Plan(t.Context(), rules, 0); err != nil || plan.Over != "" || over.Over != id {
				t.Errorf("plans are over %q, then %q (%v), want none, then %s", plan.Over, over.Over, err, id)
			}
		}
		back := run(decision(t, f, &events.Decision{DecisionId: id + "-undo", Kind: events.DecisionKind_DECISION_KIND_UNDO, Undoes: id, DecidedMs: 6000}))
		if !maps.Equal(before, back) {
			t.Errorf("%s: taken back, the customers are not what they were", id)
		}
		want := Plan{Accounts: len(before), Customers: len(ids(before)), CustomersAfter: len(ids(after))}
		for id := range ids(before) {
			if !ids(after)[id] {
				want.Redirected++
			}
		}
		redirected += want.Redirected
		from, to := map[identity.CustomerID]map[identity.CustomerID]bool{}, map[identity.CustomerID]map[identity.CustomerID]bool{}
		for a, was := range before {
			if after[a] != was {
				want.Moved++
			}
			for of, pair := range map[*map[identity.CustomerID]map[identity.CustomerID]bool][2]identity.CustomerID{&from: {was, after[a]}, &to: {after[a], was}} {
				if (*of)[pair[0]] == nil {
					(*of)[pair[0]] = map[identity.CustomerID]bool{}
				}
				(*of)[pair[0]][pair[1]] = true
			}
		}
		for _, parts := range from {
			if len(parts) > 1 {
				want.SplitFrom, want.SplitTo = want.SplitFrom+1, want.SplitTo+len(parts)
			}
		}
		for _, parts := range to {
			if len(parts) > 1 {
				want.JoinedFrom, want.JoinedTo = want.JoinedFrom+len(parts), want.JoinedTo+1
			}
		}
		if len(plan.Joins) != want.JoinedTo || len(plan.Splits) != want.SplitFrom {
			t.Errorf("%s: %d joins and %d splits are shown, want %d and %d", id, len(plan.Joins), len(plan.Splits), want.JoinedTo, want.SplitFrom)
		}
		for _, shift := range plan.Joins {
			if strings.Contains(strings.Join(shift.Why, ""), "model") {
				alike++
			}
		}
		for _, shift := range append(slices.Clone(plan.Joins), plan.Splits...) {
			wantSides(t, id, shift, before, after)
		}
		plan.Joins, plan.Splits = nil, nil
		if plan.Never = nil; !reflect.DeepEqual(plan, want) {
			t.Errorf("%s: planned %+v, and it came to %+v", id, plan, want)
		}
		moved += want.Moved
	}
	if alike == 0 {
		t.Error("no plan joins by the model what was kept before it")
	}
	if moved == 0 || redirected == 0 {
		t.Error("no rules moved anything: the test shows less than it says")
	}
}

// population are accounts with all kinds of identifiers, in spans, families and a
// chain.
func population(t testing.TB, f *flowtest.Flow, r *rand.Rand) []kafka.Message {
	t.Helper()
	var all []kafka.Message
	roles := []events.Role{events.Role_ROLE_MEMBER, events.Role_ROLE_BUYER, events.Role_ROLE_RECEIVER}
	for i := range 250 {
		no := i
		if i%5 == 0 {
			no = r.IntN(250)
		}
		e := flowtest.User(no, "", int64(1_500_000_000_000+r.IntN(1500)*86_400_000))
		e.Header.Platform = []string{"tmall", "douyin", "weidian"}[no%3]
		if no%11 == 0 {
			e.Header.Account = "order:" + e.GetHeader().GetAccount()
		}
		e.Header.Person.Sightings = nil
		for range 1 + r.IntN(3) {
			typ := []string{"phone", "phone", "phone", "unionid", "unionid", "email", "email", "member_card", "openid", "tmall_open_uid", "tmall_omid", "weidian_buyer_id"}[r.IntN(12)]
			value := map[string]string{"phone": fmt.Sprintf("139%08d", 12_345_000+r.IntN(90)), "unionid": fmt.Sprint("u", r.IntN(120)), "email": fmt.Sprintf("p%d@mail.invalid", r.IntN(80)), "member_card": fmt.Sprint("c", r.IntN(60))}[typ]
			if value == "" { // few values, so that each has many bearers
				value = fmt.Sprint(typ, r.IntN(12))
			}
			e.Header.Person.Sightings = append(e.Header.Person.Sightings, &events.Sighting{Type: typ, Value: value, Role: roles[r.IntN(len(roles))]})
		}
		// A chain that needs more than one round.
		if i >= 220 {
			for _, link := range []int{i, i + 1} {
				e.Header.Person.Sightings = append(e.Header.Person.Sightings, &events.Sighting{Type: "email", Value: fmt.Sprintf("chain%d@mail.invalid", link), Role: events.Role_ROLE_MEMBER})
			}
		}
		all = append(all, f.Message(t, e))
	}
	return all
}

// On ClickHouse the customers are the engine's, whatever identifiers bear, in
// spans, families, chains and contradictions; by other rules as by those in
// force.
func TestBulkIsTheEngine(t *testing.T) {
	defer func(was int) { bearersAtOnce = was }(bearersAtOnce)
	bearersAtOnce = 20
	contested, rounds, alike, peaceful := 0, 0, 0, 0
	for seed := range uint64(2) {
		r := rand.New(rand.NewPCG(seed, 9))
		f := flowtest.New(t)
		// Receivers are kept, and nothing comes of them by these rules.
		keeping, err := identity.ParseRules(append(identity.DefaultRulesYAML(), "\nmodel: {use: plain, accept: 1000, review: 1000, strength: 1}\n"...))
		if err != nil {
			t.Fatal(err)
		}
		f.Rules = keeping
		store := f.State(t)
		all := population(t, f, r)
		all = append(all, messages(t, f, r, 0)...) // with decisions
		f.Publish(t, all...)
		resolver, present := f.Resolver(t, store, nil)
		if err := flowtest.Run(t, resolver); err != nil {
			t.Fatal(err)
		}
		got := wantBulk(t, f, present, nil)
		if again, err := rebuildOf(f).Again(t.Context(), nil); err != nil || again.Customers != got.Customers || again.Differences != 0 {
			t.Errorf("seed %d: in memory %+v (%v), in bulk %+v", seed, again, err, got)
		}
		contested, rounds = contested+got.Contested, max(rounds, got.Rounds)
		for _, text := range append(slices.Clone(looser), "largest_customer: 4\ntypes:\n  email: {priority: 2, join: {member: 80, receiver: 70}}\n  unionid: {priority: 1, join: {member: 90, buyer: 90}, exclusive: 1}\n  phone: {priority: 1, join: {buyer: 80}, accounts: 4, gap_days: 100}\n",
			strings.NewReplacer("per_shop: 2", "per_shop: 1", "least_days: 30", "least_days: 0").Replace(modelled),
			strings.NewReplacer("block: 6", "block: 3", "per_shop: 2", "per_shop: 0", "least_days: 30", "least_days: 0").Replace(modelled),
			strings.NewReplacer("largest_customer: 9", "largest_customer: 3", "block: 6", "block: 0", "per_shop: 2", "per_shop: 0", "least_days: 30", "least_days: 0").Replace(modelled)) {
			rules, err := identity.ParseRules([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			plan, err := rebuildOf(f).Plan(t.Context(), rules, 0)
			if err != nil {
				t.Fatal(err)
			}
			bulk, err := rebuildOf(f).Bulk(t.Context(), rules)
			if err != nil {
				t.Fatal(err)
			}
			again, err := rebuildOf(f).Again(t.Context(), rules)
			if err != nil || again.Customers != plan.CustomersAfter || again.Differences != plan.Moved {
				t.Errorf("seed %d, other rules: in memory %+v (%v), planned %+v", seed, again, err, plan)
			}
			if bulk.Checksum != again.Checksum || bulk.Checksum == got.Checksum && bulk.Differences > 0 {
				t.Errorf("seed %d, other rules: the checksum in bulk is %s, in memory %s, by the rules in force %s", seed, bulk.Checksum, again.Checksum, got.Checksum)
			}
			alike += bulk.Pairs
			if bulk.Pairs > 0 && bulk.ContestedAccounts < bulk.Accounts/2 {
				peaceful++ // the model's pairs are no reason to read all
			}
			if bulk.Customers != plan.CustomersAfter || bulk.Differences != plan.Moved {
				t.Errorf("seed %d, other rules: in bulk %d customers and %d moved, planned %d and %d", seed, bulk.Customers, bulk.Differences, plan.CustomersAfter, plan.Moved)
			}
			contested += bulk.Contested
		}
	}
	if contested == 0 || rounds < 3 || alike == 0 || peaceful == 0 {
		t.Errorf("%d contested components, at most %d rounds, %d pairs of the model, %d runs with it that read few: the test shows less than it says", contested, rounds, alike, peaceful)
	}
}
