package resolve

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"oneid/identity"
	"oneid/identity/engine"
	"oneid/identity/extract"
	"oneid/internal/fault"
	"oneid/internal/kafka"
	"oneid/pipelines"
	"oneid/schemas/events"
)

// facts keeps the newest version of each entity and the last word on each
// account, as ClickHouse's replacing tables do.
type facts struct {
	mu       sync.Mutex
	versions map[string]string
	customer map[string]string
	values   map[identity.Identifier]bool
}

func newFacts() *facts {
	return &facts{versions: map[string]string{}, customer: map[string]string{}, values: map[identity.Identifier]bool{}}
}

func (f *facts) Write(_ context.Context, rows Rows) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range rows.Events {
		about := events.Describe(e)
		high, low := events.PackVersion(e.GetHeader().GetVersion())
		entity := about.Type + about.Source + "/" + e.GetHeader().GetEntityId()
		f.versions[entity] = max(f.versions[entity], fmt.Sprintf("%016x%016x", high, low))
	}
	for _, birth := range rows.Changes.Born {
		f.customer[birth.Account.String()] = birth.CustomerID.String()
	}
	for _, move := range rows.Changes.Moved {
		f.customer[move.Account.String()] = move.To.String()
	}
	for _, v := range rows.Values {
		f.values[v.Identifier] = true
	}
	n := 0
	for e, id := range rows.Customers {
		h := e.GetHeader()
		account := identity.Account{Platform: h.GetPlatform(), Shop: h.GetShop(), ID: h.GetAccount()}
		// One that comes again may meet a state that is further.
		if e != rows.Events[n] || !rows.Again && f.customer[account.String()] != id.String() {
			return 0, fmt.Errorf("event %d of batch %d is stamped with %s, and its account %s belongs to %s", n, rows.Sequence, id, account, f.customer[account.String()])
		}
		n++
	}
	if n != len(rows.Events) {
		return 0, fmt.Errorf("%d of the %d events of batch %d have a customer", n, len(rows.Events), rows.Sequence)
	}
	return n, nil
}

func (f *facts) Watch(context.Context, []identity.Account, time.Time) error { return nil }

func (f *facts) ReloadOverrides(context.Context) error { return nil }
func (f *facts) RefreshViews(context.Context) error    { return nil }
func (f *facts) IsAway(error) bool                     { return false }

// instance is the work of an instance over a state.
func (f *flow) instance(t testing.TB, store engine.Store, tables Tables) *Instance {
	t.Helper()
	rules, err := identity.ParseRules(identity.DefaultRulesYAML())
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(store, rules)
	if err != nil {
		t.Fatal(err)
	}
	hash := func(typ identity.IdentifierType, scope, value string) identity.Hash {
		return f.keys.Hash(string(typ), scope, value)
	}
	return &Instance{Identity: &Identity{Engine: e, Extract: &extract.Extractor{Hash: hash, Rules: rules}, Keys: f.keys}, Tables: tables}
}

// shopOf puts neighbours into two shops: a person has one account in each.
func shopOf(no int) string { return "shop" + strconv.Itoa(no%2) }

// population is users of which neighbours share a member's phone, in several
// versions.
func population() []*events.Event {
	var all []*events.Event
	for no := range 120 {
		for version := range 1 + no%3 {
			e := user(no)
			e.Header.Shop = shopOf(no)
			e.Header.Version.ModifiedMs = int64(1000 * (version + 1))
			e.Header.Person.Sightings[0].Value = "138" + fmt.Sprintf("%08d", 10000+no/2)
			all = append(all, e)
		}
	}
	return all
}

// together is the accounts of each customer: ids depend on the order of
// births, who is with whom does not.
func (f *facts) together() [][]string {
	groups := make(map[string][]string)
	for account, customer := range f.customer {
		groups[customer] = append(groups[customer], account)
	}
	var out [][]string
	for _, g := range groups {
		slices.Sort(g)
		out = append(out, g)
	}
	slices.SortFunc(out, slices.Compare)
	return out
}

// In any order, and three times over, events give the same tables and the
// same customers.
func TestAnyOrderThriceSameTables(t *testing.T) {
	var want *facts
	for seed := range uint64(4) {
		f, got := newFlow(t), newFacts()
		var messages []kafka.Message
		for _, e := range population() {
			messages = append(messages, f.message(t, e))
		}
		if seed > 0 {
			messages = slices.Concat(messages, messages, messages)
			r := rand.New(rand.NewPCG(seed, 0))
			r.Shuffle(len(messages), func(i, j int) { messages[i], messages[j] = messages[j], messages[i] })
		}
		f.publish(t, messages...)
		if err := run(t, f.resolver(f.instance(t, engine.NewMemory(), got))); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if len(got.together()) != 60 || len(got.values) != 60 {
			t.Fatalf("seed %d: %d customers and %d values, want 60 of each", seed, len(got.together()), len(got.values))
		}
		if want == nil {
			want = got
			continue
		}
		if d := cmp.Diff(want.versions, got.versions); d != "" {
			t.Errorf("seed %d: other versions:\n%s", seed, d)
		}
		if d := cmp.Diff(want.together(), got.together()); d != "" {
			t.Errorf("seed %d: other customers:\n%s", seed, d)
		}
	}
}

// Stopped at any point and started again on the same state, the tables say of
// each account what the state says.
func TestTablesAgreeWithStateAfterAnyStop(t *testing.T) {
	for _, point := range fault.Points("resolve") {
		t.Run(point, func(t *testing.T) {
			f, tables, store := newFlow(t), newFacts(), engine.NewMemory()
			var messages []kafka.Message
			for _, e := range population() {
				messages = append(messages, f.message(t, e))
			}
			f.publish(t, messages...)
			disarm, _ := fault.StopAt(point, 2)
			_ = run(t, f.resolver(f.instance(t, store, tables)))
			disarm()
			work := f.instance(t, store, tables)
			if err := run(t, f.resolver(work)); err != nil {
				t.Fatal(err)
			}
			want := make(map[string]string)
			for no := range 120 {
				a := identity.Account{Platform: "tmall", Shop: shopOf(no), ID: strconv.Itoa(no)}
				id, ok := work.Identity.Engine.CustomerOf(a)
				if !ok {
					t.Fatalf("the state does not know %s", a)
				}
				want[a.String()] = id.String()
			}
			if d := cmp.Diff(want, maps.Clone(tables.customer)); d != "" {
				t.Errorf("the tables differ from the state:\n%s", d)
			}
			if len(tables.versions) != 120 || len(tables.values) != 60 {
				t.Errorf("%d users and %d values, want 120 and 60", len(tables.versions), len(tables.values))
			}
		})
	}
}

// The active one ends between any two steps: one that stood by, with a state
// of its own, takes over, and the tables then say of each account what that
// state says. A third one, with nothing, ends with the same customers.
func TestStandbyTakesOverAnywhere(t *testing.T) {
	for _, point := range fault.Points("resolve") {
		t.Run(point, func(t *testing.T) {
			f, tables := newFlow(t), newFacts()
			left := 2
			disarm := fault.Arm(func(hit string) error { // only the active one comes by
				if hit == point {
					if left--; left == 0 {
						return fault.ErrStop
					}
				}
				return nil
			})
			defer disarm()
			active := f.resolver(f.instance(t, engine.NewMemory(), tables))
			ended := make(chan error, 1)
			go func() { ended <- active.Run(t.Context()) }()
			wantState(t, active, pipelines.Working)
			work := f.instance(t, engine.NewMemory(), tables)
			standby := f.resolver(work)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			over := make(chan error, 1)
			go func() { over <- standby.Run(ctx) }()
			wantState(t, standby, pipelines.Standby)
			var messages []kafka.Message
			for _, e := range population() {
				messages = append(messages, f.message(t, e))
			}
			f.publish(t, messages...)
			if err := <-ended; !errors.Is(err, fault.ErrStop) {
				t.Fatalf("the active one ended with %v, want the stop", err)
			}
			if err := standby.CaughtUp(t.Context()); err != nil {
				t.Fatal(err)
			}
			cancel()
			if err := <-over; err != nil {
				t.Fatal(err)
			}
			third := f.instance(t, engine.NewMemory(), newFacts())
			if err := run(t, f.resolver(third)); err != nil {
				t.Fatal(err)
			}
			for no := range 120 {
				a := identity.Account{Platform: "tmall", Shop: shopOf(no), ID: strconv.Itoa(no)}
				want, _ := work.Identity.Engine.CustomerOf(a)
				if again, _ := third.Identity.Engine.CustomerOf(a); again != want || tables.customer[a.String()] != want.String() {
					t.Fatalf("%s: the standby says %s, the tables %s, a new state %s", a, want, tables.customer[a.String()], again)
				}
			}
			if len(tables.versions) != 120 || len(tables.values) != 60 {
				t.Errorf("%d users and %d values, want 120 and 60", len(tables.versions), len(tables.values))
			}
		})
	}
}

// Killed between any two steps of the batch that adopts rules, or that takes them
// back, the next start goes on: the tables say of each account what the state says,
// and both are where one ends who was never stopped.
func TestStoppedWhileRulesAreAdopted(t *testing.T) {
	adopt := func(f *flow, id, undoes string) kafka.Message {
		d := &events.Decision{DecisionId: id, Kind: events.DecisionKind_DECISION_KIND_ADOPT, Rules: []byte("largest_customer: 9\ntypes:\n  email: {priority: 1, join: {member: 90}}\n"), Who: "Ada", Why: "phones joined strangers", DecidedMs: 1}
		if undoes != "" {
			d.Kind, d.Rules, d.Undoes, d.DecidedMs = events.DecisionKind_DECISION_KIND_UNDO, nil, undoes, 2
		}
		value, err := proto.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		return kafka.Message{Topic: f.topics.Decisions, Key: []byte(id), Value: value}
	}
	const joined, parted = 60, 120
	for _, point := range fault.Points("resolve") {
		t.Run(point, func(t *testing.T) {
			f, tables, store := newFlow(t), newFacts(), engine.NewMemory()
			customers := func(when string, want int) {
				t.Helper()
				work := f.instance(t, store, tables)
				if err := run(t, f.resolver(work)); err != nil {
					t.Fatal(err)
				}
				ids := map[string]bool{}
				for no := range 120 {
					a := identity.Account{Platform: "tmall", Shop: shopOf(no), ID: strconv.Itoa(no)}
					id, ok := work.Identity.Engine.CustomerOf(a)
					if got := tables.customer[a.String()]; !ok || got != id.String() {
						t.Fatalf("%s: %s is of %s by the tables, of %s by the state", when, a, got, id)
					}
					ids[id.String()] = true
				}
				if len(ids) != want {
					t.Errorf("%s: %d customers, want %d", when, len(ids), want)
				}
			}
			var messages []kafka.Message
			for _, e := range population() {
				messages = append(messages, f.message(t, e))
			}
			f.publish(t, messages...)
			customers("before", joined)
			before := maps.Clone(tables.customer)
			for round := range 2 { // and once more
				id := fmt.Sprint("rules-", round)
				for _, step := range []struct {
					message kafka.Message
					want    int
				}{{adopt(f, id, ""), parted}, {adopt(f, id+"-undo", id), joined}} {
					f.publish(t, step.message)
					disarm, hit := fault.StopAt(point, 1)
					_ = run(t, f.resolver(f.instance(t, store, tables)))
					disarm()
					if !hit() {
						t.Errorf("nobody came by %s", point)
					}
					customers(fmt.Sprintf("round %d, stopped at %s", round, point), step.want)
				}
			}
			if d := cmp.Diff(before, tables.customer); d != "" {
				t.Errorf("adopted and taken back twice (-before +after):\n%s", d)
			}
		})
	}
}

// Whose identifier joins one account too many, and whom the model does, is told
// once, when it comes apart.
func TestWhatGoesInertIsTold(t *testing.T) {
	f := newFlow(t)
	i := f.instance(t, engine.NewMemory(), newFacts()).Identity
	var told []string
	i.Inert = func(identifiers, bridges, keys int) {
		told = append(told, fmt.Sprint(identifiers, " ", bridges, " ", keys))
	}
	from := 0
	for sequence, to := range []int{5, 8, 9, 12} { // a phone of the shipped rules may bear 8
		b := &Batch{Sequence: uint64(sequence + 1)}
		for ; from < to; from++ {
			e := user(from)
			e.Header.Shop = fmt.Sprint("shop", from)
			e.Header.Person.Sightings[0].Value = "13911111112"
			b.Events = append(b.Events, e)
		}
		if _, err := i.apply(b); err != nil {
			t.Fatal(err)
		}
		if _, err := i.apply(b); err != nil { // again, as after a crash
			t.Fatal(err)
		}
	}
	if d := cmp.Diff([]string{"1 0 0"}, told); d != "" {
		t.Errorf("told (-want +got):\n%s", d)
	}
}

// An identifier that makes a customer too large is told once too, though each batch
// that touches the customer says again that it joins nobody.
func TestWhatMadeACustomerTooLargeIsTold(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	i := f.instance(t, engine.NewMemory(), newFacts()).Identity
	rules := *identity.DefaultRules()
	rules.LargestCustomer = 3
	var err error
	if i.Engine, err = engine.New(engine.NewMemory(), &rules); err != nil {
		t.Fatal(err)
	}
	var told []string
	i.Inert = func(identifiers, bridges, keys int) {
		told = append(told, fmt.Sprint(identifiers, " ", bridges, " ", keys))
	}
	for no := range 6 {
		e := user(no)
		e.Header.Shop = fmt.Sprint("shop", no)
		e.Header.Person.Sightings[0].Value = "13911111112"
		got, err := i.apply(&Batch{Sequence: uint64(no + 1), Events: []*events.Event{e}})
		if err != nil {
			t.Fatal(err)
		}
		if inert := slices.ContainsFunc(got.changes.Reviews, func(v identity.Review) bool { return v.Reason == identity.ReviewLargest }); inert != (no >= 3) {
			t.Errorf("with %d accounts the phone is inert: %v", no+1, inert)
		}
	}
	if d := cmp.Diff([]string{"1 0 0"}, told); d != "" {
		t.Errorf("told (-want +got):\n%s", d)
	}
}

// Who bears one phone too many that others bear, too, is told once, when he comes apart
// from them.
func TestWhoBearsTooManyIsTold(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	i := f.instance(t, engine.NewMemory(), newFacts()).Identity
	var told []string
	i.Inert = func(identifiers, bridges, keys int) {
		told = append(told, fmt.Sprint(identifiers, " ", bridges, " ", keys))
	}
	for no := range 7 { // an account may bear 4
		hub, stranger := user(0), user(no+1)
		stranger.Header.Shop = fmt.Sprint("shop", no)
		hub.Header.Shop = "hub"
		phone := fmt.Sprintf("1391111112%d", no)
		hub.Header.Person.Sightings[0].Value, stranger.Header.Person.Sightings[0].Value = phone, phone
		hub.GetUser().MemberSinceMs, stranger.GetUser().MemberSinceMs = 1_700_000_000_000, 1_700_000_000_000
		got, err := i.apply(&Batch{Sequence: uint64(no + 1), Events: []*events.Event{hub, stranger}})
		if err != nil {
			t.Fatal(err)
		}
		if no == 4 && len(got.changes.Moved) == 0 {
			t.Error("with a fifth phone nobody came apart")
		}
	}
	if d := cmp.Diff([]string{"0 1 0"}, told); d != "" {
		t.Errorf("told (-want +got):\n%s", d)
	}
}

// wantState waits until a resolver is in a state.
func wantState(t *testing.T, r *Resolver, want pipelines.State) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(time.Millisecond) {
		state, err, _ := r.Health()
		if state == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the resolver is %s (%v), want %s", state, err, want)
		}
	}
}
