package engine_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"oneid/identity"
	"oneid/identity/engine"
)

const modelRules = `
largest_customer: 50
types:
  phone: {priority: 1, join: {member: 90}}
model: {use: letters, accept: 8, review: 4, least_days: 2, block: 3, strength: 10, per_shop: 1}
`

// received is an order that an account had sent to somebody, over some days.
func received(account string, a identity.Appearance, days int64) engine.Update {
	of, err := identity.ParseAccount(account)
	if err != nil {
		panic(err)
	}
	ev := identity.Evidence{Identifier: identity.Identifier{Type: identity.AppearanceType}, Role: identity.RoleReceiver, Source: of.Platform, Last: days * 86400}
	copy(ev.Identifier.Hash[:], a.Name+a.Phone+a.District)
	return engine.Update{Account: of, Evidence: []identity.Evidence{ev}, Appearance: &a}
}

func customersOf(e *engine.Engine) (out []string) {
	for c := range e.Customers {
		accounts := slices.SortedFunc(slices.Values(c.Accounts), identity.Account.Compare)
		out = append(out, fmt.Sprint(accounts))
	}
	slices.Sort(out)
	return out
}

var (
	wang      = identity.Appearance{Name: "w", Phone: "1", District: "x"}
	wangsSon  = identity.Appearance{Name: "w", Phone: "2", District: "x"}
	wangAgain = identity.Appearance{Name: "w", Phone: "1", District: "y"}
)

// A key that too many accounts share joins nobody any more: what it joined
// comes apart, and it is reported.
func TestBlockThatPassesItsBoundLetsGo(t *testing.T) {
	t.Parallel()
	rules := parsed(t, modelRules)
	store := engine.NewMemory()
	e := open(t, store, rules)
	if _, err := e.Apply(1, []engine.Update{received("tmall/1/a", wang, 5), received("douyin/1/b", wangAgain, 5)}, nil); err != nil {
		t.Fatal(err)
	}
	if got := customersOf(e); len(got) != 1 {
		t.Fatalf("customers %v, want one: they meet in two blocks", got)
	}
	// Two more bear the phone, then the name too.
	for i, u := range []engine.Update{received("weidian/1/c", identity.Appearance{Name: "l", Phone: "1"}, 5), received("weidian/1/d", identity.Appearance{Name: "z", Phone: "1"}, 5)} {
		changes, err := e.Apply(uint64(2+i), []engine.Update{u}, nil)
		if err != nil {
			t.Fatal(err)
		}
		inert := slices.ContainsFunc(changes.Reviews, func(v identity.Review) bool { return v.Reason == identity.ReviewBlock })
		if inert != (i == 1) || len(changes.Moved) != 0 {
			t.Errorf("update %d: inert %v, moved %v", i, inert, changes.Moved)
		}
	}
	e = open(t, store, rules)
	changes, err := e.Apply(4, []engine.Update{received("weidian/1/f", identity.Appearance{Name: "w"}, 5), received("weidian/1/g", identity.Appearance{Name: "w"}, 5)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := customersOf(e); len(got) != 6 || len(changes.Moved) != 1 || changes.Moved[0].Reason != "split" {
		t.Errorf("customers %v, moved %+v; want each alone", got, changes.Moved)
	}
}

// A warehouse is known by all who ever sent something there, though once is not
// enough for any of them to be joined.
func TestBlockCountsThoseThatDoNotCount(t *testing.T) {
	t.Parallel()
	e := open(t, engine.NewMemory(), parsed(t, modelRules))
	once := func(account string) engine.Update {
		return received(account, identity.Appearance{Name: "w", Phone: "1"}, 0)
	}
	for i, u := range []engine.Update{received("tmall/1/a", wang, 5), received("douyin/1/b", wangAgain, 5), once("weidian/1/c")} {
		if _, err := e.Apply(uint64(1+i), []engine.Update{u}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if got := customersOf(e); len(got) != 2 {
		t.Fatalf("customers %v, want two: those that count are joined, who does not is alone", got)
	}
	changes, err := e.Apply(4, []engine.Update{once("weidian/1/d")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := customersOf(e); len(got) != 4 || len(changes.Moved) != 1 {
		t.Errorf("customers %v, moved %+v; want each alone: both keys have passed their bound", got, changes.Moved)
	}
}

// What a person is asked is told with its parts, and answered once.
func TestBetweenTheThresholdsAPersonIsAsked(t *testing.T) {
	t.Parallel()
	e := open(t, engine.NewMemory(), parsed(t, modelRules))
	a, b := received("tmall/1/a", wang, 5), received("douyin/1/b", identity.Appearance{Name: "w"}, 5)
	changes, err := e.Apply(1, []engine.Update{a, b}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(changes.Reviews) != 1 || changes.Reviews[0].Reason != identity.ReviewModel || changes.Reviews[0].Weight != 4 ||
		!slices.Equal(changes.Reviews[0].Accounts, []identity.Account{b.Account, a.Account}) || len(changes.Reviews[0].Why) == 0 {
		t.Errorf("reviews %+v, want one question about both", changes.Reviews)
	}
	if changes, err = e.Apply(2, nil, []identity.Decision{{ID: "1", Kind: identity.Different, A: a.Account, B: b.Account}}); err != nil {
		t.Fatal(err)
	}
	if c, _ := e.Component(a.Account.BirthID()); len(changes.Reviews) != 0 || len(c.Reviews) != 0 {
		t.Errorf("it is asked again after the answer: %+v, %+v", changes.Reviews, c.Reviews)
	}
}

// A gift joins nobody, nor does a family behind one door.
func TestGuardsOfTheModel(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		updates []engine.Update
		want    int
	}{
		"two platforms":            {[]engine.Update{received("tmall/1/a", wang, 5), received("douyin/1/b", wang, 5)}, 1},
		"a gift":                   {[]engine.Update{received("tmall/1/a", wang, 0), received("douyin/1/b", wang, 5)}, 2},
		"a gift, then his own":     {[]engine.Update{received("tmall/1/a", wang, 0), received("douyin/1/b", wang, 5), received("tmall/1/a", wang, 5)}, 1},
		"two accounts of one shop": {[]engine.Update{received("tmall/1/a", wang, 5), received("tmall/1/b", wang, 5)}, 2},
		"two of a shop, one elsewhere": {[]engine.Update{received("tmall/1/a", wang, 5), received("tmall/1/b", wangAgain, 5),
			received("douyin/1/c", wang, 5)}, 3},
		"orders without a buyer are no family, on the one side":   {[]engine.Update{received("tmall/1/order:1", wang, 5), received("tmall/1/order:2", wangAgain, 5), received("douyin/1/c", wang, 5)}, 1},
		"orders without a buyer are no family, on the other side": {[]engine.Update{received("douyin/1/order:1", wang, 5), received("douyin/1/order:2", wangAgain, 5), received("tmall/1/c", wang, 5)}, 1},
		"father and son": {[]engine.Update{received("tmall/1/a", wang, 5), received("douyin/1/b", wangsSon, 5)}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := open(t, engine.NewMemory(), parsed(t, modelRules))
			for i, u := range c.updates {
				if _, err := e.Apply(uint64(i), []engine.Update{u}, nil); err != nil {
					t.Fatal(err)
				}
			}
			if got := customersOf(e); len(got) != c.want {
				t.Errorf("customers %v, want %d", got, c.want)
			}
		})
	}
}

// The path between two accounts names the model's weight and its parts.
func TestExplainShowsTheModel(t *testing.T) {
	t.Parallel()
	e := open(t, engine.NewMemory(), parsed(t, modelRules))
	a, b := received("tmall/1/a", wang, 5), received("douyin/1/b", wangAgain, 5)
	if _, err := e.Apply(1, []engine.Update{a, b}, nil); err != nil {
		t.Fatal(err)
	}
	for _, way := range [][2]identity.Account{{a.Account, b.Account}, {b.Account, a.Account}} {
		path := e.Explain(way[0], way[1])
		if len(path) != 1 || path[0].Weight != 9 || path[0].Strength != 10 || !slices.Equal(path[0].Why, []string{"letters +9.0"}) {
			t.Errorf("from %v: %+v, want one step of 9 bits", way[0], path)
		}
	}
	if p, _ := e.PlacementOf(a.Account); p.Reason != "born" && p.Reason != "merged: model" {
		t.Errorf("reason %q", p.Reason)
	}
}

// Rules that use a model which the program has not are refused, and change
// nothing.
func TestUnknownModel(t *testing.T) {
	t.Parallel()
	var unknown *identity.UnknownModelError
	if _, err := engine.New(engine.NewMemory(), parsed(t, modelRules)); !errors.As(err, &unknown) || unknown.Name != "letters" {
		t.Errorf("New = %v, want that the model is unknown", err)
	}
	e, err := engine.New(engine.NewMemory(), rules(t))
	if err != nil {
		t.Fatal(err)
	}
	adopt := identity.Decision{ID: "1", Kind: identity.Adopt, Rules: parsed(t, modelRules)}
	if _, err := e.Apply(1, []engine.Update{received("tmall/1/a", wang, 5)}, []identity.Decision{adopt}); !errors.As(err, &unknown) || e.Size().Accounts != 0 {
		t.Errorf("Apply = %v, %+v; want that the model is unknown, and nothing done", err, e.Size())
	}
}

// Who sends to somebody else for about as long as to himself is joined through neither
// any more, in whatever order it is told; a person is asked about both. So is who was
// joined through the other.
func TestWhoSendsToTwoIsNeither(t *testing.T) {
	t.Parallel()
	rules := parsed(t, strings.Replace(modelRules, "least_days: 2", "least_days: 2, by_far: 2", 1))
	e := open(t, engine.NewMemory(), rules)
	li := identity.Appearance{Name: "l", Phone: "3", District: "z"}
	for i, step := range []struct {
		what    string
		updates []engine.Update
		want    string
	}{
		{"each to himself", []engine.Update{received("tmall/1/a", wang, 100), received("douyin/1/b", wang, 9), received("weidian/1/c", li, 9)}, "[douyin/1/b tmall/1/a] [weidian/1/c]"},
		{"gifts now and then", []engine.Update{received("tmall/1/a", li, 50)}, "[douyin/1/b tmall/1/a] [weidian/1/c]"},
		{"as often as to himself", []engine.Update{received("tmall/1/a", li, 51)}, "[douyin/1/b] [tmall/1/a] [weidian/1/c]"},
		{"far more often", []engine.Update{received("tmall/1/a", li, 200)}, "[douyin/1/b] [tmall/1/a weidian/1/c]"},
		{"to himself for longest", []engine.Update{received("tmall/1/a", wangAgain, 400)}, "[douyin/1/b tmall/1/a] [weidian/1/c]"},
	} {
		changes, err := e.Apply(uint64(i), step.updates, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(customersOf(e), " "); got != step.want {
			t.Errorf("%s: customers %s, want %s", step.what, got, step.want)
		}
		if i == 2 && len(changes.Reviews) != 2 {
			t.Errorf("%s: reviews %+v, want a question about each of the two", step.what, changes.Reviews)
		}
	}
}

// Whose receiver somebody is, is said by all orders, also by those before his name was
// known: who is another's from then on lets go of whom he was joined to.
func TestWhoseReceiverTurnsOutLater(t *testing.T) {
	t.Parallel()
	e := open(t, engine.NewMemory(), parsed(t, strings.Replace(modelRules, "least_days: 2", "least_days: 2, by_far: 2", 1)))
	li := identity.Appearance{Name: "l", Phone: "3", District: "z"}
	unnamed := received("tmall/1/a", li, 400)
	unnamed.Appearance = nil
	for i, step := range []struct {
		updates []engine.Update
		want    string
	}{
		{[]engine.Update{received("tmall/1/a", wang, 100), unnamed, received("douyin/1/b", wang, 9)}, "[douyin/1/b tmall/1/a]"},
		{[]engine.Update{received("tmall/1/a", li, 1)}, "[douyin/1/b] [tmall/1/a]"},
	} {
		if _, err := e.Apply(uint64(i), step.updates, nil); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(customersOf(e), " "); got != step.want {
			t.Errorf("step %d: customers %s, want %s", i, got, step.want)
		}
	}
}

// Who is joined to nobody through a receiver any more lets go of all whom it was joined
// to through him, whether they are elder or younger.
func TestWhoeverIsElderIsLetGo(t *testing.T) {
	t.Parallel()
	rules := parsed(t, strings.Replace(modelRules, "least_days: 2", "least_days: 2, by_far: 2", 1))
	li := identity.Appearance{Name: "l", Phone: "3", District: "z"}
	a, b, c := received("tmall/1/a", wang, 100), received("douyin/1/b", wang, 9), received("weidian/1/c", wang, 9)
	unnamed := received("tmall/1/a", li, 100)
	unnamed.Appearance = nil
	for name, steps := range map[string][3][]engine.Update{
		"the elder sends to two":                      {{a}, {b, c}, {received("tmall/1/a", li, 100)}},
		"the younger sends to two":                    {{b, c}, {a}, {received("tmall/1/a", li, 100)}},
		"to whom the elder has sent turns out later":  {{a, unnamed}, {b, c}, {received("weidian/1/d", li, 0)}},
		"to whom the younger has sent turns out late": {{b, c}, {a, unnamed}, {received("weidian/1/d", li, 0)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := open(t, engine.NewMemory(), rules)
			for i, updates := range steps {
				if _, err := e.Apply(uint64(i), updates, nil); err != nil {
					t.Fatal(err)
				}
				if got := strings.Join(customersOf(e)[:1], ""); i == 1 && got != "[douyin/1/b tmall/1/a weidian/1/c]" {
					t.Fatalf("customers %v: all are to be one at first", got)
				}
			}
			if id, _ := e.CustomerOf(a.Account); id != a.Account.BirthID() {
				t.Errorf("who sends to two is the customer %v", id)
			}
			// The others are one by themselves.
			one, _ := e.CustomerOf(b.Account)
			two, _ := e.CustomerOf(c.Account)
			if one != two || one != b.Account.BirthID() && one != c.Account.BirthID() {
				t.Errorf("the others are the customers %v and %v, want one of their own", one, two)
			}
		})
	}
}

// Of two of a shop whom somebody resembles, so that he is joined to neither, one is not
// himself any more: he is the other, though he was in no customer with the one.
func TestOfTwoRivalsOneIsLetGo(t *testing.T) {
	t.Parallel()
	e := open(t, engine.NewMemory(), parsed(t, strings.Replace(modelRules, "least_days: 2", "least_days: 2, by_far: 2", 1)))
	for i, step := range []struct {
		updates []engine.Update
		want    string
	}{
		{[]engine.Update{received("tmall/1/a", wang, 100), received("tmall/1/c", wang, 100), received("douyin/1/b", wang, 9)}, "[douyin/1/b] [tmall/1/a] [tmall/1/c]"},
		{[]engine.Update{received("tmall/1/c", identity.Appearance{Name: "l", Phone: "3", District: "z"}, 100)}, "[douyin/1/b tmall/1/a] [tmall/1/c]"},
	} {
		if _, err := e.Apply(uint64(i), step.updates, nil); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(customersOf(e), " "); got != step.want {
			t.Errorf("step %d: customers %s, want %s", i, got, step.want)
		}
	}
}
