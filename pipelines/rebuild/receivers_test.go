package rebuild

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"oneid/connectors/simulator"
	"oneid/identity"
	"oneid/identity/match"
	"oneid/identity/match/receivers"
	"oneid/internal/kafka"
	"oneid/pipelines/flowtest"
	"oneid/schemas/events"
)

// A model that is learned from the receivers that the instance keeps is tried
// and adopted like any rule: what the plan says comes, on ClickHouse and in a
// rebuilt state too, who is joined is one person, and taken back it is as if it
// had never been.
func TestOwnModelFromWhatIsKept(t *testing.T) {
	t.Parallel()
	f := flowtest.New(t)
	keeping, err := identity.ParseRules(append(identity.DefaultRulesYAML(), "\nmodel: {use: plain, accept: 1000, review: 1000, strength: 1}\n"...))
	if err != nil {
		t.Fatal(err)
	}
	f.Rules = keeping
	store := f.State(t)
	run := runner(t, f, store)
	w, err := simulator.New(simulator.Config{People: 300, Seed: 9, Until: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)})
	if err != nil {
		t.Fatal(err)
	}
	person, sent := map[identity.Account]int{}, map[identity.Account]map[simulator.Receiver]bool{}
	var all []kafka.Message
	for _, platform := range simulator.Platforms {
		for a := range w.Accounts(platform) {
			account := identity.Account{Platform: a.Platform, Shop: a.Shop, ID: a.ID}
			person[account], sent[account] = a.Person, map[simulator.Receiver]bool{}
			for i, o := range w.OrdersOf(a) {
				to := o.Shown()
				sent[account][to] = true
				e := flowtest.User(0, "", o.Created.UnixMilli())
				e.Header.Platform, e.Header.Shop, e.Header.Account, e.Header.EntityId = a.Platform, a.Shop, a.ID, fmt.Sprint(a.ID, "-", i)
				e.Header.Person = &events.Person{Receiver: &events.Receiver{
					Name: to.Name, Phone: to.Phone, Province: to.Address.Province, City: to.Address.City, District: to.Address.District, Town: to.Address.Town, Detail: to.Address.Detail,
				}}
				all = append(all, f.Message(t, e))
			}
		}
	}
	before := run(all...)

	read := func() (out []receivers.Sighting) {
		t.Helper()
		if err := rebuildOf(f).Receivers(t.Context(), func(a identity.Account, seen identity.Appearance) {
			out = append(out, receivers.Sighting{Account: a, Seen: seen})
		}); err != nil {
			t.Fatal(err)
		}
		return out
	}
	kept := read()
	of := map[identity.Account]int{}
	for _, s := range kept {
		of[s.Account]++
		for _, shown := range []string{s.Seen.Name, s.Seen.Phone, s.Seen.Detail} {
			if len([]rune(shown)) > 1 && !strings.Contains(shown, "*") {
				t.Fatal("a receiver is kept without a mask")
			}
		}
	}
	for account, to := range sent {
		if of[account] == 0 || of[account] > len(to) {
			t.Fatalf("%s: %d receivers are kept of %d", account, of[account], len(to))
		}
	}
	model := func() *match.Model {
		m, err := match.ParseModel("model.yaml", receivers.ModelYAML())
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	trained, err := receivers.Train(t.Context(), kept, model(), match.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if again, err := receivers.Train(t.Context(), read(), model(), match.Options{}); err != nil || again.Name != trained.Name {
		t.Fatalf("learned again it is %s, %v; first %s", again.Name, err, trained.Name)
	}
	name, scorer, err := receivers.Own(trained.Learned)
	if err != nil {
		t.Fatal(err)
	}
	rules, err := identity.DefaultRules().WithModel(name, receivers.RulesYAML())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rebuildOf(f).Plan(t.Context(), rules, 10); err == nil {
		t.Error("a model that nobody has is planned with")
	}
	f.Models[name] = scorer
	plan, err := rebuildOf(f).Plan(t.Context(), rules, 1000)
	if err != nil {
		t.Fatal(err)
	}
	text, err := rules.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	after := run(decision(t, f, &events.Decision{DecisionId: "own", Kind: events.DecisionKind_DECISION_KIND_ADOPT, Rules: text, DecidedMs: 5000}))
	_, present := f.Resolver(t, store, nil)
	if found := wantBulk(t, f, present, nil); found.Differences != 0 {
		t.Errorf("on ClickHouse %d accounts are in another customer", found.Differences)
	}
	moved := 0
	for a, was := range before {
		if after[a] != was {
			moved++
		}
	}
	if plan.Moved != moved || plan.JoinedTo == 0 {
		t.Errorf("planned %+v, and %d moved", plan, moved)
	}
	one := map[identity.CustomerID]int{}
	wrong := 0
	for a, c := range after {
		if p, ok := one[c]; ok && p != person[a] {
			wrong++
		}
		one[c] = person[a]
	}
	t.Logf("%s: %d of %d accounts moved, %d customers came together as %d, %d joined wrongly", name, moved, len(before), plan.JoinedFrom, plan.JoinedTo, wrong)
	if wrong*100 > moved {
		t.Errorf("%d of %d moved accounts met a stranger", wrong, moved)
	}
	if back := run(decision(t, f, &events.Decision{DecisionId: "back", Kind: events.DecisionKind_DECISION_KIND_UNDO, Undoes: "own", DecidedMs: 6000})); !maps.Equal(before, back) {
		t.Error("taken back, the customers are not what they were")
	}
	if again := run(decision(t, f, &events.Decision{DecisionId: "forth", Kind: events.DecisionKind_DECISION_KIND_UNDO, Undoes: "back", DecidedMs: 7000})); !maps.Equal(after, again) {
		t.Error("with its undo undone, the customers are not what they were with it")
	}
}
