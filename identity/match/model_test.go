package match

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"oneid/identity/match/compare"
)

// TestChosenRulesFindNearlyAll wants of a table with too many pairs that the
// rules chosen for it find what there is, with few pairs.
func TestChosenRulesFindNearlyAll(t *testing.T) {
	t.Parallel()
	rows, truth := people(9, 2600)
	if float64(len(rows))*float64(len(rows)-1)/2 <= everything {
		t.Fatalf("%d rows are too few", len(rows))
	}
	m := peopleModel()
	result := run(t, table(rows), m)
	if len(m.Blocking) < 2 || result.Candidates > fewestPairs {
		t.Errorf("%d rules, %d pairs", len(m.Blocking), result.Candidates)
	}
	linked := map[[2]uint32]bool{}
	for _, l := range result.Links {
		linked[[2]uint32{l.A, l.B}] = true
	}
	all, found := 0, 0
	for a := range rows {
		for b := a + 1; b < len(rows) && truth[b] == truth[a]; b++ {
			all++
			if linked[[2]uint32{uint32(a), uint32(b)}] {
				found++
			}
		}
	}
	if recall := float64(found) / float64(all); recall < 0.97 {
		t.Errorf("%d of %d pairs of one entity are compared and weigh something: %.3f", found, all, recall)
	}
}

func TestPartsOfValues(t *testing.T) {
	t.Parallel()
	for key, c := range map[string]struct {
		kind compare.Kind
		raw  string
		want string
	}{
		"initial":   {compare.Name, "Robert", "r"},
		"start":     {compare.Name, "Robert", "rob"},
		"sound":     {compare.Name, "Robert", "r163"},
		"initial 2": {compare.ChineseName, "张*", "张"},
		"initial 3": {compare.ChineseName, "*三", ""},
		"number":    {compare.Address, "12 Oak St", "12"},
		"year":      {compare.Date, "1971-06-24", "1971"},
		"day":       {compare.Date, "1971-06-24", "0624"},
		"end":       {compare.Phone, "138****1234", "1234"},
		"last2":     {compare.Phone, "1********35", "35"},
		"last2 2":   {compare.Phone, "138********", ""},
		"user":      {compare.Email, "ann@mail.example", "ann"},
		"start 2":   {compare.Code, "AB1 2CD", "ab1"},
		"district":  {compare.ChineseAddress, "广州天河体育西路12号", "广东省广州市天河区"},
		"road":      {compare.ChineseAddress, "广州天河体育西路12号", "体育西路"},
		"road 2":    {compare.ChineseAddress, "广州天河阳光花园3栋", "阳光花园"},
		"area":      {compare.Place, "31.2304,-121.4737", "31.23,-121.47"},
	} {
		column, ids, err := compare.NewColumn(c.kind, []string{c.raw}, []int{1})
		if err != nil {
			t.Fatal(err)
		}
		what, _, _ := strings.Cut(key, " ")
		if !slices.Contains(Parts(c.kind), what) {
			t.Errorf("%s has no part %s", c.kind, what)
		}
		if got := part(column, ids[0], what); got != c.want {
			t.Errorf("%s of %s %q is %q, want %q", what, c.kind, c.raw, got, c.want)
		}
	}
}

func TestEachCandidateOnceAndAsPredicted(t *testing.T) {
	t.Parallel()
	rows, _ := people(5, 200)
	for name, rules := range map[string][]Rule{
		"one":     {{Keys: []string{"last"}}},
		"several": {{Keys: []string{"last", "born.year"}}, {Keys: []string{"first.start"}}, {Keys: []string{"phone.end"}}, {Keys: []string{"last.sound", "town"}}},
		"all":     {{Keys: []string{"town"}}, {}},
	} {
		m := peopleModel()
		m.Blocking = rules
		if err := m.check(); err != nil {
			t.Fatal(err)
		}
		r, err := newRecords(t.Context(), table(rows), m)
		if err != nil {
			t.Fatal(err)
		}
		var blocks []*block
		for _, rule := range rules {
			blocks = append(blocks, r.newBlock(rule))
		}
		// The long way: each pair by each rule.
		want := map[[2]uint32]bool{}
		for k, rule := range rules {
			predicted := 0.0
			for a := range uint32(r.n) {
				for b := a + 1; b < uint32(r.n); b++ {
					agree := true
					for _, key := range rule.Keys {
						name, what := m.key(key)
						f := m.comparison(name)
						x := part(r.fields[f].column, r.row(a)[f], what)
						agree = agree && x != "" && x == part(r.fields[f].column, r.row(b)[f], what)
					}
					if agree {
						want[[2]uint32{a, b}] = true
						predicted++
					}
				}
			}
			if blocks[k].pairs != predicted {
				t.Errorf("%s: rule %s makes %v pairs, predicted %v", name, rule, predicted, blocks[k].pairs)
			}
		}
		c := newCandidates(r, blocks)
		units := c.units()
		got := make([][][2]uint32, len(units))
		if err := c.each(t.Context(), units, nil, nil, func(unit int, some *batch) {
			for k := range some.n {
				got[unit] = append(got[unit], [2]uint32{min(some.a[k], some.b[k]), max(some.a[k], some.b[k])})
			}
		}); err != nil {
			t.Fatal(err)
		}
		seen := map[[2]uint32]bool{}
		for _, pair := range slices.Concat(got...) {
			if seen[pair] {
				t.Fatalf("%s: pair %v comes twice", name, pair)
			}
			seen[pair] = true
		}
		if d := cmp.Diff(want, seen); d != "" {
			t.Errorf("%s: (-want +got):\n%s", name, d)
		}
	}
}

func TestWordsBlockOnce(t *testing.T) {
	t.Parallel()
	tab := NewTable([]string{"name"})
	for _, name := range []string{"grey heron inn", "grey heron", "heron inn", "the inn", "old mill", "mill", ""} {
		tab.Add(0, []string{name})
	}
	m := &Model{Comparisons: []Comparison{{Columns: []string{"name"}, Kind: compare.Text}}, Blocking: []Rule{{Keys: []string{"name.words"}}}}
	if result := run(t, tab, m); result.Candidates != 6 || result.Rules[0].Predicted != 8 {
		t.Errorf("%d candidates, want 6; predicted %v, want 8 (two pairs share two words)", result.Candidates, result.Rules[0].Predicted)
	}
}

func TestARuleThatExplodesIsRefused(t *testing.T) {
	t.Parallel()
	rows, _ := people(5, 200)
	m := peopleModel()
	m.Blocking = []Rule{{Keys: []string{"phone"}}, {Keys: []string{"town.initial"}}}
	_, err := Run(t.Context(), table(rows), m, Options{MaxPairs: 1000})
	var explodes *ExplodesError
	if !errors.As(err, &explodes) || explodes.Rule != "town.initial" || explodes.Pairs <= 1000 || explodes.Hint() == "" {
		t.Errorf("Run = %v, want a refusal of town.initial with its pairs", err)
	}
	// So are rules that are one by one few pairs, and many together.
	m.Blocking = []Rule{{Keys: []string{"last"}}, {Keys: []string{"town", "first.initial"}}}
	result, err := Run(t.Context(), table(rows), m, Options{MaxPairs: 1e6, RandomPairs: 1000})
	if err != nil {
		t.Fatal(err)
	}
	one, two := result.Rules[0].Predicted, result.Rules[1].Predicted
	if _, err = Run(t.Context(), table(rows), m, Options{MaxPairs: max(one, two)}); !errors.As(err, &explodes) || explodes.Pairs != one+two || !strings.Contains(err.Error(), "all rules together") {
		t.Errorf("Run = %v, want a refusal of %v and %v pairs together", err, one, two)
	}
	m.Blocking = []Rule{{Keys: []string{"phone"}}, {Keys: []string{"town.initial"}}}
	// What too many agree on is left out, and said.
	m.Blocking[1].Most = 20
	result, err = Run(t.Context(), table(rows), m, Options{MaxPairs: 1000, RandomPairs: 1000})
	if err != nil || result.Rules[1].Skipped == 0 || result.Rules[1].SkippedPairs == 0 {
		t.Errorf("Run = %+v, %v, want skipped keys", result, err)
	}
}

func TestWrongModelsAreExplained(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "no comparisons",
		"comparisons: [{columns: [a], kind: name, levels: [twin]}]": `no level "twin"`,
		"comparisons: []":                                                       "no comparisons",
		"comparisons: [{columns: [a]}]":                                         `no kind ""`,
		"comparisons: [{colums: [a]}]":                                          "colums",
		"comparisons: [{kind: name}]":                                           "names no column",
		"comparisons: [{columns: [a, b], kind: name}]":                          "only a date",
		"comparisons: [{columns: [a], kind: name}, {columns: [a], kind: name}]": "two comparisons",
		"comparisons: [{columns: [a], kind: name, swapped_with: b}]":            "swapped_with",
		"comparisons: [{columns: [a], kind: name}]\nblocking: [{on: [b]}]":      `no comparison "b"`,
		"comparisons: [{columns: [a], kind: name}]\nblocking: [{on: [a.year]}]": `no part "year"`,
		"comparisons: [{columns: [a], kind: name}]\naccept: 1.5":                "probability",
		"comparisons: [{columns: [a, b, a], kind: date}]":                       `the column "a" twice`,
		"comparisons: [{columns: [a], kind: name}]\nblocking: [{on: [a, a]}]":   `"a" twice`,
		"comparisons: [{columns: [a], kind: name}]\nversion: -1":                "its version is -1",
	} {
		if _, err := ParseModel("m.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "m.yaml") {
			t.Errorf("ParseModel(%q) = %v, want an error with the file and %q", text, err, want)
		}
	}
	m := peopleModel()
	m.Comparisons[0].Columns = []string{"forename"}
	rows, _ := people(1, 10)
	if _, err := Run(t.Context(), table(rows), m, Options{}); err == nil || !strings.Contains(err.Error(), "forename") {
		t.Errorf("Run = %v, want the missing column named", err)
	}
}

// What a model asks for and nobody can want is said, and a limit that is no number
// bounds nothing.
func TestModelsThatSayAThingTwiceOrCompareNothing(t *testing.T) {
	t.Parallel()
	rows, _ := people(7, 60)
	said := func(m *Model, want string) {
		t.Helper()
		result := run(t, table(rows), m)
		if !slices.ContainsFunc(result.Warnings, func(w string) bool { return strings.Contains(w, want) }) {
			t.Errorf("nothing says %q: %q", want, result.Warnings)
		}
	}
	m := peopleModel()
	m.Comparisons = append(m.Comparisons, Comparison{Name: "birthday", Columns: []string{"born"}, Kind: compare.Code})
	said(m, `"born" and "birthday" have the column born in common`)
	m = peopleModel()
	m.Blocking = []Rule{{Most: 2}}
	said(m, "no pair was compared")
	for _, limit := range []float64{math.NaN(), -1} {
		if _, err := Run(t.Context(), table(rows), peopleModel(), Options{MaxPairs: limit}); err == nil || !strings.Contains(err.Error(), "limit of pairs") {
			t.Errorf("a limit of %v pairs: %v", limit, err)
		}
	}
}

func TestWrongModelsAreShownTheirPlace(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"comparisons:\n  - columns: [a]\n    kind: nam\n":                                       "m.yaml line 3, column 11",
		"comparisons:\n  - columns: [a]\n    kind: name\nblocking:\n  - on: [a]\n  - on: [b]\n": "m.yaml line 6, column 5",
		"comparisons:\n  - columns: [a]\n    kind: name\n    color: red\n":                      "m.yaml line 4, column 5",
		"comparisons:\n  - columns: [a]\n    kind: name\n    levels: [equal, twin]\n":           "m.yaml line 4, column 13",
		"comparisons:\n  - columns: [a]\n   kind: name\n":                                       "m.yaml line 3",
		"comparisons:\n  - columns: [a]\n    kind: name\naccept: high\n":                        "m.yaml line 4, column 9",
		"comparisons:\n  - {columns: [a], kind: name}\naccept: 0.5\nreview: 0.7\n":              "m.yaml line 4, column 9",
		"version: 2\nfuture: 1\ncomparisons: []\n":                                              "version 2; this oneid reads up to version 1",
		"id,name\n1,zoe\n":     "it is no model",
		"comparisons: !zoe 00": "line 1, column 14: a model has no tags",
		"name: zoe\n":          "it is no model",
		"comparisons: [{columns: [a], kind: name}]\n---\ncomparisons: [{columns: [a], kind: name}]\n":                       "2 YAML documents",
		"comparisons:\n  - {columns: [a], kind: name, swapped_with: b, levels: [one slip]}\n  - {columns: [b], kind: name}": "swapped_with needs the levels",
	} {
		_, err := ParseModel("m.yaml", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseModel(%q) = %v, want %q", text, err, want)
			continue
		}
		var file *FileError
		if !errors.As(err, &file) || file.Hint() == "" {
			t.Errorf("ParseModel(%q) = %v, no FileError with a hint", text, err)
		}
		if strings.Contains(err.Error(), "zoe") {
			t.Errorf("ParseModel(%q) repeats a value of a foreign file: %v", text, err)
		}
	}
}

func FuzzParseModel(f *testing.F) {
	var b bytes.Buffer
	m := peopleModel()
	m.Blocking = []Rule{{Keys: []string{"first", "born.year"}, Most: 10}, {}}
	m.Comparisons[4].Levels, m.Accept, m.Review, m.Version = []string{"equal", "one slip"}, 0.9, 0.5, 1
	m.Comparisons[2].Exclusive, m.Clusters, m.Largest, m.PerSource = true, Components, 9, 1
	if err := m.Write(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte("comparisons: [{columns: [a], kind: name}]"))
	f.Add([]byte("{"))
	f.Add([]byte("comparisons: !zoe 00"))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := ParseModel("m", text)
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := m.Write(&b); err != nil {
			t.Fatal(err)
		}
		again, err := ParseModel("again", b.Bytes())
		if err != nil {
			t.Fatalf("what was written is not read: %v\n%s", err, b.Bytes())
		}
		m.Version = 1 // it is written where it was left out
		if d := cmp.Diff(m, again, cmpopts.EquateEmpty()); d != "" {
			t.Fatalf("(-first +again):\n%s", d)
		}
	})
}
