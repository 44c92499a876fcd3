package decide

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"oneid/identity"
	"oneid/identity/engine"
	"oneid/internal/embedded/chdb/chdbtest"
	"oneid/internal/kafka"
	"oneid/internal/pubsub"
	"oneid/internal/state"
	"oneid/pipelines/flowtest"
	"oneid/schemas/events"
)

func TestMain(m *testing.M) { chdbtest.Main(m) }

const why = "she told us on the phone"

// rig is a flow in which accounts tmall/s0/0, tmall/s1/1 … are known, each a
// customer of its own.
type rig struct {
	t *testing.T
	*flowtest.Flow
	desk   *Desk
	store  *state.Store
	engine *engine.Engine
}

func newRig(t *testing.T, accounts int) *rig {
	t.Helper()
	f := flowtest.New(t)
	r := &rig{t: t, Flow: f, desk: deskOf(t, f), store: f.State(t)}
	for i := range accounts {
		f.Publish(t, f.Message(t, flowtest.User(i, fmt.Sprintf("138%08d", i), 1_700_000_000_000)))
	}
	r.resolve()
	return r
}

func deskOf(t *testing.T, f *flowtest.Flow) *Desk {
	t.Helper()
	publisher := pubsub.NewPublisher(f.Client)
	t.Cleanup(func() { _ = publisher.Close() })
	return &Desk{Brand: flowtest.Brand, Kafka: f.Client, Publisher: publisher, Topics: f.Topics, ClickHouse: f.ClickHouse}
}

func (r *rig) resolve() {
	r.t.Helper()
	resolver, e := r.Resolver(r.t, r.store, nil)
	r.engine = e
	if err := flowtest.Run(r.t, resolver); err != nil {
		r.t.Fatal(err)
	}
}

func account(i int) string { return fmt.Sprintf("tmall/s%d/%d", i%2, i) }

// one says whether two accounts are one customer, in the state and in ClickHouse.
func (r *rig) one(i, j int) bool {
	r.t.Helper()
	of := func(n int) identity.CustomerID {
		a, err := identity.ParseAccount(account(n))
		if err != nil {
			r.t.Fatal(err)
		}
		id, ok := r.engine.CustomerOf(a)
		if !ok {
			r.t.Fatalf("%s is not known", a)
		}
		return id
	}
	together := of(i) == of(j)
	n, err := r.ClickHouse.Number(r.t.Context(), "count", fmt.Sprintf("SELECT uniqExact(customer_id) FROM %s.identity_map FINAL WHERE account IN ('%d', '%d')", r.Database.Name, i, j))
	if err != nil || (n == 1) != together {
		r.t.Errorf("the state says %v, ClickHouse has %d customers (%v)", together, n, err)
	}
	return together
}

func conflictWith(err error) string {
	var conflict *ConflictError
	if !errors.As(err, &conflict) {
		return ""
	}
	var ids []string
	for _, d := range conflict.With {
		ids = append(ids, d.ID)
	}
	return strings.Join(ids, " ")
}

// What a person says joins and parts accounts; said twice it is said once, and
// taken back it is as if it had not been said. What contradicts it is refused
// by name, also while the resolver has not taken it.
func TestDecide(t *testing.T) {
	t.Parallel()
	r, ctx := newRig(t, 4), t.Context()
	same, already, err := r.desk.Same(ctx, account(0), account(1), "Ada", why)
	if err != nil || already || same.Kind != "same" || same.Standing != identity.Stands || same.Resolved {
		t.Fatalf("same: %+v, %v, %v", same, already, err)
	}
	if again, already, err := r.desk.Same(ctx, account(1), account(0), "Bob", why); err != nil || !already || again.ID != same.ID || again.Who != "Ada" {
		t.Errorf("said again: %+v, %v, %v", again, already, err)
	}
	if _, _, err := r.desk.Different(ctx, account(0), account(1), "Bob", why); conflictWith(err) != same.ID || !strings.Contains(err.Error(), "Ada") {
		t.Errorf("the opposite before it is resolved: %v", err)
	}
	r.resolve()
	if !r.one(0, 1) || r.one(0, 2) {
		t.Error("0 and 1 are not one customer, or 2 is in it")
	}
	next, _, err := r.desk.Same(ctx, account(1), account(2), "Ada", why)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.desk.Different(ctx, account(2), account(0), "Bob", why); conflictWith(err) != next.ID+" "+same.ID {
		t.Errorf("the opposite of what follows from two: %v", err)
	}
	apart, _, err := r.desk.Different(ctx, account(2), account(3), "Ada", why)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.desk.Same(ctx, account(0), account(3), "Bob", why); conflictWith(err) != apart.ID {
		t.Errorf("a same across a different: %v", err)
	}
	undo, already, err := r.desk.Undo(ctx, same.ID, "Bob", "it was her sister")
	if err != nil || already || undo.Undoes != same.ID {
		t.Fatalf("undo: %+v, %v, %v", undo, already, err)
	}
	if again, already, err := r.desk.Undo(ctx, same.ID, "Ada", why); err != nil || !already || again.ID != undo.ID {
		t.Errorf("undone again: %+v, %v, %v", again, already, err)
	}
	r.resolve()
	if r.one(0, 1) || !r.one(1, 2) || r.one(2, 3) {
		t.Error("after the undo the customers are others")
	}
	// With 0 and 2 kept apart, taking back the undo would join them.
	against, _, err := r.desk.Different(ctx, account(0), account(2), "Ada", why)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.desk.Undo(ctx, undo.ID, "Ada", why); conflictWith(err) != against.ID {
		t.Errorf("to take the undo back is not refused: %v", err)
	}
	if _, _, err := r.desk.Undo(ctx, against.ID, "Ada", why); err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.desk.Undo(ctx, undo.ID, "Ada", why); err != nil {
		t.Errorf("nothing is in its way, and the undo is not taken back: %v", err)
	}
	r.resolve()
	if !r.one(0, 2) {
		t.Error("the undo was taken back, and 0 and 2 are two")
	}
	list, err := r.desk.List(ctx)
	if err != nil || len(list.Conflicts) > 0 {
		t.Fatalf("list: %+v, %v", list, err)
	}
	standing := make(map[string]identity.Standing)
	for _, d := range list.Decisions {
		if standing[d.ID] = d.Standing; !d.Resolved || d.Who == "" || d.Why == "" || d.At.IsZero() {
			t.Errorf("%+v", d)
		}
	}
	if len(standing) != 7 || standing[same.ID] != identity.Stands || standing[undo.ID] != identity.Undone || standing[against.ID] != identity.Undone {
		t.Errorf("the list says %v", standing)
	}
	if n, err := r.ClickHouse.Number(ctx, "count", "SELECT count() FROM "+r.Database.Name+".audit WHERE action LIKE 'decision.%' AND who IN ('Ada', 'Bob')"); err != nil || n != 7 {
		t.Errorf("the audit has %d decisions (%v), want 7", n, err)
	}
}

func TestDecideRefuses(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	for name, c := range map[string]struct {
		a, b, who, why string
		want           error
	}{
		"no account":         {"tmall", account(1), "Ada", why, ErrWrong},
		"one account":        {account(1), account(1), "Ada", why, ErrWrong},
		"nobody":             {account(0), account(1), " ", why, ErrWrong},
		"no reason":          {account(0), account(1), "Ada", "", ErrWrong},
		"too long":           {account(0), account(1), "Ada", strings.Repeat("x", MaxText+1), ErrWrong},
		"a slip of the pen":  {account(0), "tmall/s1/11", "Ada", why, ErrUnknown},
		"not in that shop":   {account(0), "tmall/s0/1", "Ada", why, ErrUnknown},
		"a quote in an name": {account(0), "tmall/s1/1' OR '1'='1", "Ada", why, ErrUnknown},
	} {
		if _, _, err := r.desk.Same(t.Context(), c.a, c.b, c.who, c.why); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := r.desk.Undo(t.Context(), "none", "Ada", why); !errors.Is(err, ErrNotFound) {
		t.Errorf("an undo of nothing: %v", err)
	}
	if list, err := r.desk.List(t.Context()); err != nil || len(list.Decisions) != 0 {
		t.Errorf("what was refused is listed: %+v (%v)", list, err)
	}
	// Nothing is decided that the audit does not say.
	if err := r.ClickHouse.Exec(t.Context(), "drop", "DROP TABLE "+r.Database.Name+".audit"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.desk.Same(t.Context(), account(0), account(1), "Ada", why); err == nil {
		t.Error("without an audit it is decided")
	}
	if _, next, err := r.Client.Ends(t.Context(), r.Topics.Decisions); err != nil || next[0] != 0 {
		t.Errorf("the topic has %v messages (%v)", next, err)
	}
}

// Two people who decide at once, each at a desk that does not see the other's
// word, contradict each other: the list names it.
func TestContradictionsAreListed(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3)
	var all []kafka.Message
	for id, d := range map[string]*events.Decision{
		"ab":  {Kind: events.DecisionKind_DECISION_KIND_SAME, Accounts: []string{account(0), account(1)}},
		"bc":  {Kind: events.DecisionKind_DECISION_KIND_SAME, Accounts: []string{account(1), account(2)}},
		"not": {Kind: events.DecisionKind_DECISION_KIND_DIFFERENT, Accounts: []string{account(0), account(2)}},
	} {
		d.DecisionId, d.Who, d.Why, d.DecidedMs = id, "Ada", why, 1_700_000_000_000
		value, err := proto.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, kafka.Message{Topic: r.Topics.Decisions, Value: value})
	}
	r.Publish(t, all...)
	want := "[[not ab bc]]"
	for _, resolved := range []bool{false, true} {
		if resolved {
			r.resolve()
		}
		list, err := r.desk.List(t.Context())
		if err != nil || fmt.Sprint(list.Conflicts) != want || len(list.Decisions) != 3 || list.Decisions[0].Resolved != resolved {
			t.Errorf("resolved %v: the list is %+v (%v), want the conflicts %s", resolved, list, err, want)
		}
	}
	if r.one(0, 2) {
		t.Error("those whom a person keeps apart are one customer")
	}
	if _, _, err := r.desk.Undo(t.Context(), "bc", "Ada", why); err != nil {
		t.Fatal(err)
	}
	if list, err := r.desk.List(t.Context()); err != nil || len(list.Conflicts) != 0 {
		t.Errorf("after the undo there are %v (%v)", list.Conflicts, err)
	}
}

// Two people say the opposite of one pair at once: the pair stays two, both words
// are named and shown, though one of them is overruled and old, and each can be
// taken back.
func TestTheOppositeAtOnceIsListed(t *testing.T) {
	t.Parallel()
	r := newRig(t, 4)
	var all []kafka.Message
	for i, d := range []*events.Decision{
		{DecisionId: "not", Kind: events.DecisionKind_DECISION_KIND_DIFFERENT, Accounts: []string{account(1), account(0)}},
		{DecisionId: "ab", Kind: events.DecisionKind_DECISION_KIND_SAME, Accounts: []string{account(0), account(1)}},
		{DecisionId: "other", Kind: events.DecisionKind_DECISION_KIND_SAME, Accounts: []string{account(2), account(3)}},
	} {
		d.Who, d.Why, d.DecidedMs = "Ada", why, 1_700_000_000_000+int64(i)
		value, err := proto.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, kafka.Message{Topic: r.Topics.Decisions, Value: value})
	}
	r.Publish(t, all...)
	r.resolve()
	ids := func(decisions []Decision) string {
		var out []string
		for _, d := range decisions {
			out = append(out, d.ID)
		}
		return strings.Join(out, " ")
	}
	list, err := r.desk.List(t.Context())
	if err != nil || fmt.Sprint(list.Conflicts) != "[[not ab]]" || ids(list.Standing()) != "other ab not" || ids(list.Newest(1)) != "other ab not" || r.one(0, 1) {
		t.Fatalf("the list is %+v (%v); one customer: %v", list, err, r.one(0, 1))
	}
	if _, _, err := r.desk.Same(t.Context(), account(0), account(1), "Bob", why); conflictWith(err) != "not" {
		t.Errorf("a third word for one side: %v", err)
	}
	if _, _, err := r.desk.Undo(t.Context(), "not", "Ada", why); err != nil {
		t.Fatal(err)
	}
	r.resolve()
	if list, err := r.desk.List(t.Context()); err != nil || len(list.Conflicts) != 0 || ids(list.Newest(1)) == "" || !r.one(0, 1) {
		t.Errorf("after the undo: %+v (%v); one customer: %v", list, err, r.one(0, 1))
	}
}

// A word on its way is a CloudEvent of Watermill's, under the first account's
// key.
func TestDecisionsAreCloudEvents(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	made, _, err := r.desk.Different(t.Context(), account(0), account(1), "Ada", why)
	if err != nil {
		t.Fatal(err)
	}
	subscriber := pubsub.NewSubscriber(r.Client, "look", 0, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	messages, err := subscriber.Subscribe(ctx, r.Topics.Decisions)
	if err != nil {
		t.Fatal(err)
	}
	m := <-messages
	if m.UUID != made.ID || m.Metadata.Get("ce_type") != "oneid.decision.v1" || m.Metadata.Get(pubsub.KeyMetadata) != account(0) {
		t.Errorf("the message is %s %v", m.UUID, m.Metadata)
	}
	m.Ack()
	if err := subscriber.Close(); err != nil {
		t.Error(err)
	}
}

// What a process says of the rules that it began with gives way to rules that a
// person has adopted, which may not be resolved yet; taken back, they are none.
func TestRulesThatBeganGiveWay(t *testing.T) {
	t.Parallel()
	r, ctx := newRig(t, 2), t.Context()
	began := *identity.DefaultRules()
	began.LargestCustomer = 7
	adopted, _, err := r.desk.Adopt(ctx, identity.DefaultRules(), "Ada", why)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // not resolved, and resolved
		if last, already, err := r.desk.Began(ctx, &began, "oneid", why); err != nil || !already || last.ID != adopted.ID {
			t.Errorf("said beside Ada's adoption: %+v, %v, %v", last, already, err)
		}
		r.resolve()
	}
	if _, _, err := r.desk.Undo(ctx, adopted.ID, "Ada", why); err != nil {
		t.Fatal(err)
	}
	if made, already, err := r.desk.Began(ctx, &began, "oneid", why); err != nil || already || made.Who != "oneid" || made.Kind != "adopt" {
		t.Errorf("said with no adoption that stands: %+v, %v, %v", made, already, err)
	}
}

// Rules bear on everybody: who may speak of accounts alone takes neither their
// adoption back nor an undo of it; the accounts' words they do.
func TestRulesAreNotForWhoSpeaksOfAccounts(t *testing.T) {
	t.Parallel()
	r, ctx := newRig(t, 2), t.Context()
	rules, err := identity.ParseRules(identity.DefaultRulesYAML())
	if err != nil {
		t.Fatal(err)
	}
	adopted, _, err := r.desk.Adopt(ctx, rules, "Ada", why)
	if err != nil {
		t.Fatal(err)
	}
	same, _, err := r.desk.Same(ctx, account(0), account(1), "Bob", why)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.desk.UndoOfAccounts(ctx, adopted.ID, "Bob", why); !errors.Is(err, ErrRules) {
		t.Errorf("the adoption is taken back: %v", err)
	}
	undo, _, err := r.desk.Undo(ctx, adopted.ID, "Ada", why)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.desk.UndoOfAccounts(ctx, undo.ID, "Bob", why); !errors.Is(err, ErrRules) {
		t.Errorf("the undo of an adoption is taken back: %v", err)
	}
	apart, _, err := r.desk.UndoOfAccounts(ctx, same.ID, "Bob", why)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.desk.UndoOfAccounts(ctx, apart.ID, "Bob", why); err != nil {
		t.Error(err)
	}
	list, err := r.desk.List(ctx)
	if err != nil || len(list.Decisions) != 5 {
		t.Errorf("%d decisions (%v), want the five that were not refused", len(list.Decisions), err)
	}
}

// told are decisions of desks that did not see each other's.
func (r *rig) told(t *testing.T, all ...*events.Decision) {
	t.Helper()
	messages := make([]kafka.Message, len(all))
	for i, d := range all {
		d.Who, d.Why, d.DecidedMs = "Ada", why, max(d.DecidedMs, 1_700_000_000_000)
		value, err := proto.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		messages[i] = kafka.Message{Topic: r.Topics.Decisions, Value: value}
	}
	r.Publish(t, messages...)
}

func (r *rig) standings(t *testing.T) map[string]identity.Standing {
	t.Helper()
	list, err := r.desk.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	standing := map[string]identity.Standing{}
	for _, d := range list.Decisions {
		standing[d.ID] = d.Standing
	}
	return standing
}

// A word that two people took back at once comes back when one of their undos is taken
// back: the other goes with it.
func TestOneOfTwoUndosIsTakenBack(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.told(t, &events.Decision{DecisionId: "word", Kind: events.DecisionKind_DECISION_KIND_DIFFERENT, Accounts: []string{account(0), account(1)}},
		&events.Decision{DecisionId: "one", Kind: events.DecisionKind_DECISION_KIND_UNDO, Undoes: "word"},
		&events.Decision{DecisionId: "two", Kind: events.DecisionKind_DECISION_KIND_UNDO, Undoes: "word"})
	made, already, err := r.desk.Undo(t.Context(), "one", "Bob", why)
	if err != nil || already || made.Undoes != "one" {
		t.Fatalf("%+v, already %v, %v", made, already, err)
	}
	got := r.standings(t)
	if got["word"] != identity.Stands || got["one"] != identity.Undone || got["two"] != identity.Undone || len(got) != 5 {
		t.Errorf("standings %v, want the word to stand and both undos not", got)
	}
}

// What a word has hidden comes to stand once that is taken back: if it contradicts what
// was said since, that is named, and nothing is taken back.
func TestAnUndoRevealsNoContradiction(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3)
	r.told(t, &events.Decision{DecisionId: "same", Kind: events.DecisionKind_DECISION_KIND_SAME, Accounts: []string{account(0), account(1)}},
		&events.Decision{DecisionId: "not", Kind: events.DecisionKind_DECISION_KIND_DIFFERENT, Accounts: []string{account(0), account(1)}})
	r.resolve()
	if _, _, err := r.desk.Same(t.Context(), account(1), account(2), "Bob", why); err != nil {
		t.Fatal(err)
	}
	apart, _, err := r.desk.Different(t.Context(), account(0), account(2), "Bob", why)
	if err != nil {
		t.Fatal(err)
	}
	var conflict *ConflictError
	if _, _, err := r.desk.Undo(t.Context(), "not", "Bob", why); !errors.As(err, &conflict) || len(conflict.With) != 1 || conflict.With[0].ID != apart.ID {
		t.Errorf("undone: %v, want that it contradicts %s", err, apart.ID)
	}
	if _, _, err := r.desk.Undo(t.Context(), apart.ID, "Bob", why); err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.desk.Undo(t.Context(), "not", "Bob", why); err != nil {
		t.Errorf("with nothing in the way: %v", err)
	}
}

// A word that an undo brings back is against the opposite that was said since about its
// own pair; taking back one of two equal words changes nothing, and is never refused.
func TestAWordThatComesBack(t *testing.T) {
	t.Parallel()
	kinds := map[string]events.DecisionKind{"same": events.DecisionKind_DECISION_KIND_SAME, "different": events.DecisionKind_DECISION_KIND_DIFFERENT}
	for first, then := range map[string]string{"same": "different", "different": "same"} {
		r := newRig(t, 3)
		pair := []string{account(0), account(1)}
		r.told(t, &events.Decision{DecisionId: "first", Kind: kinds[first], Accounts: pair},
			&events.Decision{DecisionId: "undo", Kind: events.DecisionKind_DECISION_KIND_UNDO, Undoes: "first"},
			&events.Decision{DecisionId: "then", Kind: kinds[then], Accounts: pair})
		r.resolve()
		var conflict *ConflictError
		if _, _, err := r.desk.Undo(t.Context(), "undo", "Bob", why); !errors.As(err, &conflict) || len(conflict.With) != 1 || conflict.With[0].ID != "then" {
			t.Errorf("%s comes back: %v, want that it contradicts what was said then", first, err)
		}
	}
	r := newRig(t, 3)
	r.told(t, &events.Decision{DecisionId: "one", Kind: kinds["same"], Accounts: []string{account(0), account(1)}},
		&events.Decision{DecisionId: "two", Kind: kinds["same"], Accounts: []string{account(0), account(1)}},
		&events.Decision{DecisionId: "path", Kind: kinds["same"], Accounts: []string{account(1), account(2)}},
		&events.Decision{DecisionId: "not", Kind: kinds["different"], Accounts: []string{account(0), account(2)}})
	r.resolve()
	if _, _, err := r.desk.Undo(t.Context(), "two", "Bob", why); err != nil {
		t.Errorf("one of two equal words is taken back: %v", err)
	}
}

// What another desk has said with a clock that runs ahead can be taken back, and other
// rules can follow its own, at once: the new word is later than what it answers.
func TestAClockThatRunsAhead(t *testing.T) {
	t.Parallel()
	r, ctx := newRig(t, 2), t.Context()
	text, err := identity.DefaultRules().MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	ahead := time.Now().Add(time.Hour).UnixMilli()
	r.told(t, &events.Decision{DecisionId: "word", Kind: events.DecisionKind_DECISION_KIND_DIFFERENT, Accounts: []string{account(0), account(1)}},
		&events.Decision{DecisionId: "undo", Kind: events.DecisionKind_DECISION_KIND_UNDO, Undoes: "word", DecidedMs: ahead},
		&events.Decision{DecisionId: "rules", Kind: events.DecisionKind_DECISION_KIND_ADOPT, Rules: text, DecidedMs: ahead})
	r.resolve()
	if _, already, err := r.desk.Undo(ctx, "undo", "Bob", why); err != nil || already {
		t.Fatalf("the undo is taken back: %v (already %v)", err, already)
	}
	var others identity.Rules
	source := strings.Replace(string(text), "largest_customer: 100", "largest_customer: 7", 1)
	if err := others.UnmarshalText([]byte(source)); err != nil {
		t.Fatal(err)
	}
	adopted, already, err := r.desk.Adopt(ctx, &others, "Bob", why)
	if err != nil || already {
		t.Fatalf("other rules are adopted: %v (already %v)", err, already)
	}
	standing := r.standings(t)
	if standing["word"] != identity.Stands || standing["undo"] != identity.Undone || standing[adopted.ID] != identity.Stands || standing["rules"] != identity.Overruled {
		t.Errorf("standings %v, want the word and Bob's rules to stand", standing)
	}
}

// Two people adopt rules at once, each at a desk that does not see the other's word: the
// ones decided last hold, whichever came first into the topic, and the list says of both
// who and when. Taken back, the other's hold.
func TestRulesAdoptedAtOnce(t *testing.T) {
	t.Parallel()
	for name, order := range map[string][]string{"the later one first": {"bob", "ada"}, "the later one last": {"ada", "bob"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, ctx := newRig(t, 2), t.Context()
			before, err := r.desk.List(ctx)
			if err != nil {
				t.Fatal(err)
			}
			var all []kafka.Message
			for _, who := range order {
				d := &events.Decision{DecisionId: who, Kind: events.DecisionKind_DECISION_KIND_ADOPT, Who: who, Why: why, DecidedMs: 1_700_000_000_000, Rules: []byte("largest_customer: 7\n")}
				if who == "bob" {
					d.Rules = []byte("largest_customer: 8\n")
				}
				value, err := proto.Marshal(d)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, kafka.Message{Topic: r.Topics.Decisions, Value: value})
			}
			r.Publish(t, all...)
			for range 2 { // not resolved, and resolved
				after, err := r.desk.List(ctx)
				if err != nil {
					t.Fatal(err)
				}
				var shown []string
				for _, d := range after.Standing() {
					shown = append(shown, fmt.Sprint(d.Who, " ", d.At.UnixMilli(), " ", d.Standing))
				}
				if d := cmp.Diff([]string{"bob 1700000000000 stands", "ada 1700000000000 overruled"}, shown); d != "" {
					t.Errorf("listed (-want +got):\n%s", d)
				}
				if others := after.AdoptedSince(before, "ada"); len(others) != 1 || others[0].ID != "bob" || others[0].Standing != identity.Stands {
					t.Errorf("Ada is told of %+v, want Bob's", others)
				}
				if others := after.AdoptedSince(before, "bob"); len(others) != 1 || others[0].ID != "ada" {
					t.Errorf("Bob is told of %+v, want Ada's", others)
				}
				if others := after.AdoptedSince(after, ""); len(others) != 0 {
					t.Errorf("told again of %+v", others)
				}
				r.resolve()
			}
			if _, inForce := r.engine.Rules(); inForce.LargestCustomer != 8 {
				t.Errorf("a customer may have %d accounts, want Bob's 8", inForce.LargestCustomer)
			}
			if _, _, err := r.desk.Undo(ctx, "bob", "Ada", why); err != nil {
				t.Fatal(err)
			}
			r.resolve()
			if _, inForce := r.engine.Rules(); inForce.LargestCustomer != 7 {
				t.Errorf("with Bob's taken back a customer may have %d accounts, want Ada's 7", inForce.LargestCustomer)
			}
		})
	}
}

// Two desks of two processes adopt in one moment: both words are there, one of them holds
// and the other is overruled, or one has seen the other's and is refused.
func TestTwoDesksAdoptInOneMoment(t *testing.T) {
	t.Parallel()
	r, ctx := newRig(t, 2), t.Context()
	desks := []*Desk{r.desk, deskOf(t, r.Flow)}
	made, faults := make([]Decision, len(desks)), make([]error, len(desks))
	var adopting sync.WaitGroup
	for i, desk := range desks {
		rules, err := identity.ParseRules(fmt.Appendf(nil, "largest_customer: %d\n", 7+i))
		if err != nil {
			t.Fatal(err)
		}
		adopting.Go(func() { made[i], _, faults[i] = desk.AdoptOver(ctx, "", rules, fmt.Sprint("person ", i), why) })
	}
	adopting.Wait()
	list, err := r.desk.List(ctx)
	if err != nil {
		t.Fatal(err)
	}
	standing, adopted := map[identity.Standing]int{}, 0
	for i, err := range faults {
		var overtaken *OvertakenError
		switch {
		case errors.As(err, &overtaken):
			if other := made[1-i]; overtaken.By == nil || overtaken.By.ID != other.ID || !strings.Contains(err.Error(), other.Who) {
				t.Errorf("person %d is refused by %v, want the other's", i, err)
			}
		case err != nil:
			t.Fatal(err)
		default:
			adopted++
		}
	}
	for _, d := range list.Standing() {
		standing[d.Standing]++
	}
	if adopted == 0 || standing[identity.Stands] != 1 || standing[identity.Overruled] != adopted-1 {
		t.Errorf("%d have adopted, and the list says %v", adopted, standing)
	}
}

// Who has seen a plan by other rules than those in force now adopts nothing, and hears
// whose these are.
func TestWhoSawAnotherPlanAdoptsNothing(t *testing.T) {
	t.Parallel()
	r, ctx := newRig(t, 2), t.Context()
	rules := func(largest int) *identity.Rules {
		parsed, err := identity.ParseRules(fmt.Appendf(nil, "largest_customer: %d\n", largest))
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	overtakenBy := func(err error) string {
		var overtaken *OvertakenError
		switch {
		case !errors.As(err, &overtaken):
			return fmt.Sprint(err)
		case overtaken.By == nil:
			return "nobody"
		}
		return overtaken.By.Who
	}
	adas, _, err := r.desk.AdoptOver(ctx, "", rules(7), "Ada", why)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // not resolved, and resolved
		if _, _, err := r.desk.AdoptOver(ctx, "", rules(8), "Bob", why); overtakenBy(err) != "Ada" {
			t.Errorf("Bob, who saw no adoption: %v", err)
		}
		r.resolve()
	}
	if last, already, err := r.desk.AdoptOver(ctx, "", rules(7), "Bob", why); err != nil || !already || last.ID != adas.ID {
		t.Errorf("Bob adopts what Ada has: %+v, %v, %v", last, already, err)
	}
	bobs, already, err := r.desk.AdoptOver(ctx, adas.ID, rules(8), "Bob", why)
	if err != nil || already {
		t.Fatalf("Bob, who saw Ada's: %v, %v", already, err)
	}
	for _, id := range []string{bobs.ID, adas.ID} {
		if _, _, err := r.desk.Undo(ctx, id, "Ada", why); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := r.desk.AdoptOver(ctx, bobs.ID, rules(9), "Eve", why); overtakenBy(err) != "nobody" {
		t.Errorf("Eve, who saw Bob's, which was taken back: %v", err)
	}
}
