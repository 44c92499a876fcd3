package engine_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"oneid/identity"
	"oneid/identity/engine"
)

// told is the last that was told of each pair of accounts, as ClickHouse keeps it.
type told map[[2]identity.Account]identity.Review

func (t told) take(changes engine.Changes) (withdrawn int) {
	for _, v := range changes.Reviews {
		switch {
		case v.Reason == identity.ReviewWithdrawn:
			if t[[2]identity.Account(v.Accounts)].Weight > 0 {
				withdrawn++
			}
		case v.Weight == 0:
			continue
		}
		t[[2]identity.Account(v.Accounts)] = v
	}
	return withdrawn
}

// asked are the pairs of reviews that people are asked about by rules and decisions:
// those of two customers whom nobody parted.
func asked(reviews []identity.Review, rules *identity.Rules, customer map[identity.Account]int, decisions *identity.Decisions) (texts []string) {
	members := map[int][]identity.Account{}
	for a, of := range customer {
		members[of] = append(members[of], a)
	}
	for _, v := range reviews {
		if rules.Model == nil || v.Weight < rules.Model.Review {
			continue
		}
		if a, b := customer[v.Accounts[0]], customer[v.Accounts[1]]; a != b && !decisions.Apart(members[a], members[b]) {
			texts = append(texts, fmt.Sprintf("%v %v %s %+.3f", v.Accounts[0], v.Accounts[1], v.Reason, v.Weight))
		}
	}
	slices.Sort(texts)
	return texts
}

// asks are the pairs that people are asked about by what was told.
func (t told) asks(e *engine.Engine, decisions *identity.Decisions) []string {
	reviews := make([]identity.Review, 0, len(t))
	for _, v := range t {
		reviews = append(reviews, v)
	}
	customer, no := map[identity.Account]int{}, 0
	for c := range e.Customers {
		for _, a := range c.Accounts {
			customer[a] = no
		}
		no++
	}
	_, rules := e.Rules()
	return asked(reviews, rules, customer, decisions)
}

// looserModel asks of more pairs than the others, and of other ones.
const looserModel = testRules + `
model: {use: letters, accept: 9, review: 1, block: 6, strength: 10}
`

// Whatever came in which order, whatever rules were adopted and taken back: what was
// told last of each pair is what Resolve asks of what is known now.
func TestToldIsWhatIsAskedNow(t *testing.T) {
	t.Parallel()
	questions, byBlock, byRules, differed := 0, 0, 0, 0
	for seed := range *seedCount {
		base := rulesOf(t, seed)
		r := rand.New(rand.NewPCG(uint64(seed), 14))
		h := randomHistory(r)
		for range 3 {
			h := h.shuffled(r)
			store, last := engine.NewMemory(), told{}
			e := open(t, store, base)
			var said []identity.Decision
			var decisions identity.Decisions
			sequence := uint64(0)
			apply := func(updates []engine.Update, words ...identity.Decision) (withdrawn int) {
				_, before := e.Rules()
				changes, err := e.Apply(sequence, updates, words)
				if err != nil {
					t.Fatal(err)
				}
				said = append(said, words...)
				for _, d := range words {
					decisions.Add(d)
				}
				sequence++
				withdrawn = last.take(changes)
				if _, now := e.Rules(); now.Alike(before) {
					byBlock += withdrawn
				} else {
					byRules += withdrawn
				}
				return withdrawn
			}
			for updates, words := h.updates, h.decisions; len(updates)+len(words) > 0; {
				u, w := r.IntN(min(len(updates), 9)+1), r.IntN(len(words)+1)
				if len(updates) == 0 {
					w = len(words)
				}
				apply(updates[:u], words[:w]...)
				updates, words = updates[u:], words[w:]
				if r.IntN(4) == 0 {
					e = open(t, store, base)
				}
			}
			now := func(when string) []string {
				t.Helper()
				resolved := h.model().Resolve(h.evidence(), said, base)
				customer := map[identity.Account]int{}
				for no, accounts := range resolved.Customers {
					for _, a := range accounts {
						customer[a] = no
					}
				}
				want, got := asked(resolved.Reviews, decisions.Rules(base), customer, &decisions), last.asks(e, &decisions)
				if d := cmp.Diff(want, got); d != "" {
					t.Fatalf("seed %d, %s: what was told is not what is asked (-want +told)\n%s", seed, when, d)
				}
				questions += len(want)
				return got
			}
			before := now("as it came")
			apply(nil, identity.Decision{ID: "other", Kind: identity.Adopt, At: 9, Rules: parsed(t, []string{looserModel, otherRules[0], otherRules[4]}[r.IntN(3)])})
			if during := now("other rules adopted"); !slices.Equal(before, during) {
				differed++
			}
			apply(nil, identity.Decision{ID: "undo", Kind: identity.Undo, At: 10, Undoes: "other"})
			if d := cmp.Diff(before, now("taken back")); d != "" {
				t.Fatalf("seed %d: rules that were taken back left something behind (-never made +undone)\n%s", seed, d)
			}
		}
	}
	if questions == 0 || byBlock == 0 || byRules == 0 || differed == 0 {
		t.Errorf("%d questions, %d withdrawn by blocks and %d by rules, which differed %d times: the property shows nothing of it", questions, byBlock, byRules, differed)
	}
}

// A pair is withdrawn in the batch in which it resembles no more, once, and only if
// nothing else is alike.
func TestPairIsWithdrawn(t *testing.T) {
	t.Parallel()
	asks := strings.NewReplacer("accept: 8", "accept: 20").Replace(modelRules)
	a, b := received("tmall/1/a", wang, 5), received("douyin/1/b", wang, 5)
	more := func(from int, seen identity.Appearance) (all []engine.Update) {
		for i := range 2 {
			all = append(all, received(fmt.Sprintf("weidian/%d/%d", from, i), seen, 5))
		}
		return all
	}
	adopt := func(id, rules string) []identity.Decision {
		return []identity.Decision{{ID: id, Kind: identity.Adopt, Rules: parsed(t, rules), At: 1}}
	}
	phone, name := more(1, identity.Appearance{Phone: "1"}), more(2, identity.Appearance{Name: "w"})
	for what, c := range map[string]struct {
		updates   []engine.Update
		decisions []identity.Decision
		want      bool
	}{
		"one of two keys goes inert":       {phone, nil, false},
		"both go inert":                    {append(slices.Clone(phone), name...), nil, true},
		"another review":                   {nil, adopt("1", strings.Replace(asks, "review: 4", "review: 11", 1)), true},
		"a lower review":                   {nil, adopt("1", strings.Replace(asks, "review: 4", "review: 2", 1)), false},
		"more days":                        {nil, adopt("1", strings.Replace(asks, "least_days: 2", "least_days: 60", 1)), true},
		"a narrower block":                 {nil, adopt("1", strings.Replace(asks, "block: 3", "block: 1", 1)), true},
		"no model":                         {nil, adopt("1", testRules), true},
		"one key, and rules by which both": {phone, adopt("1", strings.Replace(asks, "block: 3", "block: 1", 1)), true},
		"a key, and rules by which none":   {phone, adopt("1", strings.Replace(asks, "block: 3", "block: 9", 1)), false},
		"adopted and taken back at once":   {nil, append(adopt("1", testRules), identity.Decision{ID: "2", Kind: identity.Undo, Undoes: "1", At: 2}), false},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			e := open(t, engine.NewMemory(), parsed(t, asks))
			last := told{}
			for i, batch := range []struct {
				updates   []engine.Update
				decisions []identity.Decision
				withdrawn int
			}{{[]engine.Update{a, b}, nil, 0}, {c.updates, c.decisions, map[bool]int{true: 1}[c.want]}, {c.updates, nil, 0}} {
				changes, err := e.Apply(uint64(i), batch.updates, batch.decisions)
				if err != nil {
					t.Fatal(err)
				}
				if got := last.take(changes); got != batch.withdrawn {
					t.Errorf("batch %d: %d pairs withdrawn, want %d: %+v", i, got, batch.withdrawn, changes.Reviews)
				}
			}
		})
	}
}
