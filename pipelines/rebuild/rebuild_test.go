package rebuild

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"reflect"
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
	return &Rebuild{Brand: flowtest.Brand, ClickHouse: f.ClickHouse, Kafka: f.Client, Topics: f.Topics, Rules: f.Rules, Log: slog.New(slog.DiscardHandler)}
}

// messages are random users whose phones meet, and decisions about them.
func messages(t testing.TB, f *flowtest.Flow, r *rand.Rand, round int) []kafka.Message {
	var all []kafka.Message
	for range 60 + r.IntN(60) {
		no := r.IntN(80)
		// Other pairs meet in each round.
		phone := fmt.Sprintf("138%08d", 1000*(round+1)+(no+round)/2+r.IntN(2))
		all = append(all, f.Message(t, flowtest.User(no, phone, int64(1_700_000_000_000+r.IntN(1000)*86_400_123))))
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
}

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
	e, err := engine.New(store, f.Rules)
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
	unsettled := 0
	for seed := range uint64(3) {
		r := rand.New(rand.NewPCG(seed, 0))
		f := flowtest.New(t)
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
	if unsettled == 0 {
		t.Error("no batch that was cut off left anything to settle: the test shows less than it says")
	}
}

// The record of one who was superseded counts for nothing, and a journal that
// ends before ClickHouse does is refused.
func TestJournal(t *testing.T) {
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

// A plan says what adopting the rules does, and does nothing itself; taking
// them back brings everything back.
func TestPlanIsWhatAdoptingDoes(t *testing.T) {
	f := flowtest.New(t)
	store := f.State(t)
	run := func(messages ...kafka.Message) map[identity.Account]identity.CustomerID {
		t.Helper()
		f.Publish(t, messages...)
		resolver, present := f.Resolver(t, store, nil)
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
	ids := func(customers map[identity.Account]identity.CustomerID) map[identity.CustomerID]bool {
		out := map[identity.CustomerID]bool{}
		for _, id := range customers {
			out[id] = true
		}
		return out
	}
	r := rand.New(rand.NewPCG(3, 3))
	before := run(messages(t, f, r, 0)...)
	moved := 0
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
		back := run(decision(t, f, &events.Decision{DecisionId: id + "-undo", Kind: events.DecisionKind_DECISION_KIND_UNDO, Undoes: id, DecidedMs: 6000}))
		if !maps.Equal(before, back) {
			t.Errorf("%s: taken back, the customers are not what they were", id)
		}
		want := Plan{Accounts: len(before), Customers: len(ids(before)), CustomersAfter: len(ids(after))}
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
		plan.Joins, plan.Splits = nil, nil
		if plan.Never = nil; !reflect.DeepEqual(plan, want) {
			t.Errorf("%s: planned %+v, and it came to %+v", id, plan, want)
		}
		moved += want.Moved
	}
	if moved == 0 {
		t.Error("no rules moved anything: the test shows less than it says")
	}
}
