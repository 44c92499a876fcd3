package identity

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// Whoever adds only what is against nothing keeps a set without
// contradictions, and Resolve has nothing to refuse in it; and what is against
// something would bring one about.
func TestAgainst(t *testing.T) {
	t.Parallel()
	kept, refused := 0, 0
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		var set Decisions
		var all []Decision
		var evidence []Evidence
		for i := range 7 {
			evidence = append(evidence, Evidence{Account: Account{"tmall", "s", fmt.Sprint(i)}, Identifier: Identifier{Type: Phone, Hash: Hash{byte(i)}}, Role: RoleMember})
		}
		for n := range 30 {
			d := Decision{ID: fmt.Sprint(n), At: int64(n), Kind: Same}
			if r.IntN(3) == 0 {
				d.Kind = Different
			}
			i := r.IntN(7)
			d.A, d.B = evidence[i].Account, evidence[(i+1+r.IntN(6))%7].Account
			against := set.Against(d)
			if len(against) == 0 {
				kept++
				set.Add(d)
				all = append(all, d)
				if c := set.Contradictions(); len(c) > 0 {
					t.Fatalf("seed %d: %+v was against nothing and makes %v", seed, d, c)
				}
				continue
			}
			refused++
			var with Decisions
			for _, e := range append(all[:len(all):len(all)], d) {
				with.Add(e)
			}
			if len(with.Contradictions()) == 0 {
				t.Fatalf("seed %d: %+v was refused for %v, which it does not contradict", seed, d, against)
			}
		}
		for _, review := range Resolve(evidence, all, DefaultRules()).Reviews {
			if review.Reason == ReviewDifferent && review.Decision != "" {
				t.Fatalf("seed %d: Resolve refuses decision %s of a set without contradictions", seed, review.Decision)
			}
		}
	}
	if kept < 1000 || refused < 1000 {
		t.Errorf("%d were kept and %d refused: too few of one", kept, refused)
	}
}

func TestAgainstNamesThePath(t *testing.T) {
	t.Parallel()
	a, b, c, d := Account{"tmall", "s", "a"}, Account{"tmall", "s", "b"}, Account{"douyin", "s", "c"}, Account{"weidian", "s", "d"}
	var set Decisions
	set.Add(Decision{ID: "ab", Kind: Same, A: a, B: b, At: 1})
	set.Add(Decision{ID: "cb", Kind: Same, A: c, B: b, At: 2})
	set.Add(Decision{ID: "cd", Kind: Different, A: c, B: d, At: 3})
	ids := func(verdicts []Verdict) string {
		var out string
		for _, v := range verdicts {
			out += v.ID + " "
		}
		return out
	}
	for name, f := range map[string]struct {
		d    Decision
		want string
	}{
		"different along a path":       {Decision{Kind: Different, A: c, B: a}, "cb ab "},
		"and the other way":            {Decision{Kind: Different, A: a, B: c}, "ab cb "},
		"same across a different":      {Decision{Kind: Same, A: d, B: a}, "cd "},
		"the opposite of its own pair": {Decision{Kind: Different, A: b, B: a}, "ab "},
		"what is said already":         {Decision{Kind: Same, A: b, B: a}, ""},
		"what follows already":         {Decision{Kind: Same, A: a, B: c}, ""},
		"of strangers":                 {Decision{Kind: Same, A: d, B: Account{"tmall", "s", "e"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := ids(set.Against(f.d)); got != f.want {
				t.Errorf("it is against %q, want %q", got, f.want)
			}
		})
	}
	set.Add(Decision{ID: "undo", Kind: Undo, Undoes: "ab", At: 4})
	if got := set.Against(Decision{Kind: Different, A: a, B: c}); len(got) != 0 {
		t.Errorf("what was taken back is in the way: %v", got)
	}
	set.Add(Decision{ID: "late", Kind: Different, A: c, B: b, At: 5})
	for id, want := range map[string]Standing{"ab": Undone, "cb": Overruled, "late": Stands, "undo": Stands, "cd": Stands} {
		if _, got, ok := set.Get(id); got != want || !ok {
			t.Errorf("%s %s, want %s", id, got, want)
		}
	}
	if _, _, ok := set.Get("none"); ok {
		t.Error("a decision that nobody took is there")
	}
}

// Of two people who say the opposite of one pair at once neither is right by the
// clock of a machine: the accounts stay two, and both words are named until one is
// taken back.
func TestTheOppositeOfOnePairIsNamed(t *testing.T) {
	t.Parallel()
	a, b := Account{"tmall", "s", "a"}, Account{"douyin", "s", "b"}
	evidence := []Evidence{{Account: a, Identifier: Identifier{Phone, Hash{1}}, Role: RoleMember}, {Account: b, Identifier: Identifier{Phone, Hash{1}}, Role: RoleMember}}
	for _, later := range []int64{-1, 0, 1} { // than the same
		words := []Decision{{ID: "same", Kind: Same, A: a, B: b, At: 10}, {ID: "different", Kind: Different, A: b, B: a, At: 10 + later}}
		for _, undone := range []string{"", "same", "different"} {
			all := words
			if undone != "" {
				all = append(all[:2:2], Decision{ID: "undo", Kind: Undo, Undoes: undone, At: 20})
			}
			var set Decisions
			for _, d := range all {
				set.Add(d)
			}
			named := ""
			for _, contradiction := range set.Contradictions() {
				for _, v := range contradiction {
					named += v.ID + " "
				}
			}
			want := map[string]string{"": "different same "}[undone]
			together := len(Resolve(evidence, all, DefaultRules()).Customers) == 1
			if named != want || together != (undone == "different") {
				t.Errorf("the different %+d later, %q undone: named %q, want %q; one customer: %v", later, undone, named, want, together)
			}
		}
	}
}

// Of two undos only the later takes back the other: an undo that is said to be earlier
// than what it undoes changes nothing, whatever came first.
func TestAnEarlierUndoTakesNothingBack(t *testing.T) {
	t.Parallel()
	a, b := Account{"tmall", "s", "a"}, Account{"douyin", "s", "b"}
	for at, want := range map[int64]Standing{4: Undone, 5: Undone, 6: Stands} {
		words := []Decision{{ID: "word", Kind: Different, A: a, B: b, At: 1}, {ID: "undo", Kind: Undo, Undoes: "word", At: 5}, {ID: "back", Kind: Undo, Undoes: "undo", At: at}}
		if at == 5 {
			words[2].ID = "again" // before "undo": equal times go by the id
		}
		for _, order := range [][3]int{{0, 1, 2}, {2, 1, 0}, {1, 2, 0}} {
			var set Decisions
			for _, i := range order {
				set.Add(words[i])
			}
			if _, got, _ := set.Get("word"); got != want {
				t.Errorf("undone at 5, that undone at %d, in the order %v: the word %s, want %s", at, order, got, want)
			}
		}
	}
}
