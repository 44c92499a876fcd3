package engine_test

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	diff "github.com/google/go-cmp/cmp"

	"oneid/identity"
	"oneid/identity/engine"
)

// kept is what ClickHouse keeps of the changes: each account's history, and
// the evidence as it is now.
type kept struct {
	history   map[identity.Account][]engine.Placed
	evidence  map[identity.Evidence]identity.Evidence // by all but the times
	decisions []identity.Decision
	// appearances are the values behind some of the identifiers.
	appearances map[identity.Hash]identity.Appearance
	rules       *identity.Rules
}

func newKept(rules *identity.Rules) *kept {
	return &kept{map[identity.Account][]engine.Placed{}, map[identity.Evidence]identity.Evidence{}, nil, map[identity.Hash]identity.Appearance{}, rules}
}

// values adds those that a batch brought.
func (k *kept) values(updates []engine.Update) {
	for h, a := range (history{updates: updates}).model().Appearances {
		k.appearances[h] = a
	}
}

// take adds a batch's changes; a batch that was cut off reaches the evidence
// and the decisions alone.
func (k *kept) take(c engine.Changes, decisions []identity.Decision, cutOff bool) {
	for _, ev := range c.Evidence {
		key := ev
		key.First, key.Last = 0, 0
		if before, ok := k.evidence[key]; ok {
			ev.First, ev.Last = min(ev.First, before.First), max(ev.Last, before.Last)
		}
		k.evidence[key] = ev
	}
	k.decisions = append(k.decisions, decisions...)
	if cutOff {
		return
	}
	for _, b := range c.Born {
		k.history[b.Account] = []engine.Placed{{Account: b.Account, Born: b.Sequence, Since: b.Sequence, CustomerID: b.CustomerID, Reason: b.Reason}}
	}
	for _, m := range c.Moved {
		rows := k.history[m.Account]
		k.history[m.Account] = append(rows, engine.Placed{Account: m.Account, Born: rows[0].Born, Since: c.Sequence, CustomerID: m.To, Reason: m.Reason})
	}
}

// rebuild makes the state anew, from rows in any order.
func (k *kept) rebuild(t *testing.T, r *rand.Rand, sequence uint64) (*engine.Engine, engine.Rebuilt) {
	t.Helper()
	store := engine.NewMemory()
	b, err := engine.NewRebuilder(store, k.rules, engine.Models(models))
	if err != nil {
		t.Fatal(err)
	}
	var placed []engine.Placed
	for _, rows := range k.history {
		placed = append(placed, rows[len(rows)-1])
	}
	r.Shuffle(len(placed), func(i, j int) { placed[i], placed[j] = placed[j], placed[i] })
	slices.SortStableFunc(placed, func(p, q engine.Placed) int { return cmp.Compare(p.Born, q.Born) })
	for _, p := range placed {
		if err := b.Account(p); err != nil {
			t.Fatal(err)
		}
	}
	evidence := slices.Collect(maps.Values(k.evidence))
	slices.SortFunc(evidence, identity.Evidence.Compare)
	r.Shuffle(len(evidence), func(i, j int) { evidence[i], evidence[j] = evidence[j], evidence[i] })
	for _, ev := range evidence {
		b.Evidence(ev)
	}
	for h, a := range k.appearances {
		b.Appearance(h, a)
	}
	for _, i := range r.Perm(len(k.decisions)) {
		b.Decision(k.decisions[i])
	}
	report, err := b.Finish(sequence)
	if err != nil {
		t.Fatal(err)
	}
	return open(t, store, k.rules), report
}

// counting counts the rows of each commit.
type counting struct {
	*engine.Memory
	commits []int
}

func (c *counting) Commit(rows []engine.Row) error {
	c.commits = append(c.commits, len(rows))
	return c.Memory.Commit(rows)
}

// However many accounts are unsettled, a rebuild is written in pieces, and what makes a
// state of it is the last one alone.
func TestRebuildIsWrittenInPieces(t *testing.T) {
	t.Parallel()
	const accounts, most = 60_000, 50_000
	store := &counting{Memory: engine.NewMemory()}
	b, err := engine.NewRebuilder(store, rules(t))
	if err != nil {
		t.Fatal(err)
	}
	for i := range accounts { // of a customer who is not there
		if err := b.Account(engine.Placed{Account: identity.Account{Platform: "tmall", Shop: "1", ID: strconv.Itoa(i)}, Born: 1, Since: 1, Reason: "born"}); err != nil {
			t.Fatal(err)
		}
	}
	report, err := b.Finish(7)
	if err != nil || report.Unsettled != accounts {
		t.Fatalf("Finish = %+v, %v, want %d unsettled", report, err, accounts)
	}
	if last := store.commits[len(store.commits)-1]; slices.Max(store.commits) > most || last != 3 {
		t.Errorf("rows of the commits: %v, want %d at most, and in the last the rules, the way and the sequence", store.commits, most)
	}
	for d := range b.Engine().Compare(open(t, store, rules(t))) {
		t.Fatalf("read again: %s", d.What)
	}
}

func differences(a, b *engine.Engine) []engine.Difference {
	var all []engine.Difference
	for d := range a.Compare(b) {
		all = append(all, d)
	}
	return all
}

// A state that is made anew from what ClickHouse keeps is the state, and goes
// on like it.
func TestRebuiltIsEqualAndGoesOnAlike(t *testing.T) {
	t.Parallel()
	settled, unsettled := 0, 0
	for seed := range *seedCount {
		rules := rulesOf(t, seed)
		r := rand.New(rand.NewPCG(uint64(seed), 8))
		h := randomHistory(r)
		live := open(t, engine.NewMemory(), rules)
		k := newKept(rules)
		var rebuilt *engine.Engine
		cutOff := false
		for sequence := uint64(1); len(h.updates)+len(h.decisions) > 0; sequence++ {
			u, d := r.IntN(min(len(h.updates), 9)+1), r.IntN(len(h.decisions)+1)
			if len(h.updates) == 0 {
				d = len(h.decisions)
			}
			updates, decisions := h.updates[:u], h.decisions[:d]
			h.updates, h.decisions = h.updates[u:], h.decisions[d:]
			want, err := live.Apply(sequence, updates, decisions)
			if err != nil {
				t.Fatal(err)
			}
			if rebuilt == nil && r.IntN(4) == 0 {
				// Before this batch; it may have been cut off in the middle of its inserts.
				if cutOff = r.IntN(2) == 0; cutOff {
					k.take(want, decisions, true)
					if r.IntN(2) == 0 {
						k.values(updates)
					}
				}
				var report engine.Rebuilt
				rebuilt, report = k.rebuild(t, r, sequence-1)
				if !cutOff && (report.Unsettled > 0 || report.Strangers > 0) {
					t.Fatalf("seed %d: %+v, where all was there", seed, report)
				}
				if report.Unsettled > 0 {
					unsettled++
				}
			}
			if rebuilt == nil {
				k.take(want, decisions, false)
				k.values(updates)
				if again, report := k.rebuild(t, r, sequence); report.Unsettled > 0 || len(differences(live, again)) > 0 {
					t.Fatalf("seed %d, sequence %d: %+v, %v", seed, sequence, report, differences(live, again))
				}
				settled++
				continue
			}
			got, err := rebuilt.Apply(sequence, updates, decisions)
			if err != nil {
				t.Fatal(err)
			}
			if cutOff {
				// The evidence was there already: only who is where counts.
				got.Evidence, want.Evidence, got.Reviews, want.Reviews = nil, nil, nil, nil
				cutOff = false
			}
			if d := diff.Diff(want, got); d != "" {
				t.Fatalf("seed %d, sequence %d: the rebuilt state changes otherwise:\n%s", seed, sequence, d)
			}
			if d := differences(live, rebuilt); len(d) > 0 {
				t.Fatalf("seed %d, sequence %d: the rebuilt state went another way: %v", seed, sequence, d)
			}
		}
	}
	if settled == 0 || unsettled == 0 {
		t.Errorf("%d settled and %d unsettled states were tried: the property tests nothing", settled, unsettled)
	}
}

// What differs is named.
func TestCompareNamesWhatDiffers(t *testing.T) {
	t.Parallel()
	a, b := identity.Account{Platform: "tmall", Shop: "1", ID: "a"}, identity.Account{Platform: "douyin", Shop: "1", ID: "b"}
	phone := func(role identity.Role) []identity.Evidence {
		return []identity.Evidence{{Identifier: identity.Identifier{Type: identity.Phone, Hash: identity.Hash{1}}, Role: role, Source: "tmall", First: 5, Last: 5}}
	}
	state := func(updates []engine.Update, decisions ...identity.Decision) *engine.Engine {
		e, err := engine.New(engine.NewMemory(), rules(t))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Apply(1, updates, decisions); err != nil {
			t.Fatal(err)
		}
		return e
	}
	both := []engine.Update{{Account: a, Evidence: phone(identity.RoleMember)}, {Account: b, Evidence: phone(identity.RoleMember)}}
	whole := state(both)
	if d := differences(whole, state(both)); len(d) > 0 {
		t.Fatalf("equal states differ: %v", d)
	}
	for name, other := range map[string]*engine.Engine{
		"an account is missing": state(both[:1]),
		"evidence is missing":   state([]engine.Update{both[0], {Account: b}}),
		"another role":          state([]engine.Update{both[0], {Account: b, Evidence: phone(identity.RoleAgent)}}),
		"a decision more":       state(both, identity.Decision{ID: "1", Kind: identity.Undo, Undoes: "0"}),
	} {
		if len(differences(whole, other)) == 0 || len(differences(other, whole)) == 0 {
			t.Errorf("%s: no difference is seen", name)
		}
	}
}
