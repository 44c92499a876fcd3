package match

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"oneid/identity/match/compare"
)

// again writes what was learned and reads it.
func again(t testing.TB, l *Learned) *Learned {
	t.Helper()
	var b bytes.Buffer
	if err := l.Write(&b); err != nil {
		t.Fatal(err)
	}
	read, err := ParseLearned("l.json", b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return read
}

func linkWith(t testing.TB, tab *Table, m *Model, l *Learned, pairs ...[2]uint32) *Result {
	t.Helper()
	result, err := Run(t.Context(), tab, m, Options{Learned: l, Explain: pairs})
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// Linking with what was learned on the same records, in any order, is what
// learning and linking in one go is: links, weights, threshold, clusters.
func TestLinkingAfterTrainingIsMatching(t *testing.T) {
	t.Parallel()
	for seed := range uint64(7) {
		n := 200 + int(seed)*40
		if seed == 6 {
			n = 2200 // too many to compare all pairs: the rules are chosen, by the seed
		}
		rows, _ := people(seed, n)
		model := func() *Model {
			m := peopleModel()
			m.Seed = seed
			if seed%2 == 1 {
				m.Blocking = []Rule{{Keys: []string{"phone"}}, {Keys: []string{"first.sound", "born.year"}, Most: 50}, {Keys: []string{"last", "town"}}}
			}
			return m
		}
		want := run(t, table(rows), model())
		if everyPair := len(want.Rules) == 1 && len(want.Rules[0].Rule.Keys) == 0; seed%2 == 0 && everyPair != (seed < 6) {
			t.Fatalf("seed %d: rules %v: the test shows less than it should", seed, want.Rules)
		}
		other := model()
		other.Seed = seed + 99 // the training's counts
		got := linkWith(t, table(rows), other, again(t, want.Learned))
		if d := cmp.Diff(want.Cluster, got.Cluster); d != "" {
			t.Errorf("seed %d: other clusters:\n%s", seed, d)
		}
		if !slices.Equal(want.Links, got.Links) || want.Threshold != got.Threshold || !slices.Equal(want.Refused, got.Refused) {
			t.Errorf("seed %d: other links: %d and %d from %v and %v", seed, len(want.Links), len(got.Links), want.Threshold, got.Threshold)
		}
		if len(got.Warnings) > 0 {
			t.Errorf("seed %d: warnings about the very same records: %q", seed, got.Warnings)
		}
		number := numbers(len(rows))
		rand.New(rand.NewPCG(seed, 3)).Shuffle(len(rows), func(i, k int) {
			rows[i], rows[k] = rows[k], rows[i]
			number[i], number[k] = number[k], number[i]
		})
		shuffled := linkWith(t, table(rows), model(), again(t, want.Learned))
		if d := cmp.Diff(partition(want.Cluster, numbers(len(rows))), partition(shuffled.Cluster, number)); d != "" {
			t.Errorf("seed %d: another order, other clusters:\n%s", seed, d)
		}
	}
}

// An explanation has the very weight that the pair was linked with, and is the
// sum of its parts; what became of the pair is what became of it.
func TestExplanationsAreWhatLinked(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		trained, _ := people(seed, 300)
		rows, _ := people(seed, 300)
		if seed%3 == 2 { // other records than those of the training
			rows, _ = people(seed+50, 150)
		}
		model := func() *Model {
			m := peopleModel()
			m.Blocking = []Rule{{Keys: []string{"phone"}}, {Keys: []string{"first.sound"}, Most: 15}, {Keys: []string{"last", "town"}}}
			if seed%2 == 1 {
				m.Comparisons[1].Rarity, m.Comparisons[3].Rarity, m.Comparisons[0].Rarity = false, false, false
			}
			return m
		}
		learned := run(t, table(trained), model()).Learned
		plain := linkWith(t, table(rows), model(), learned)
		var pairs [][2]uint32
		for _, l := range plain.Links {
			pairs = append(pairs, [2]uint32{l.A, l.B}, [2]uint32{l.B, l.A})
		}
		draw := rand.New(rand.NewPCG(seed, 1))
		for range 300 {
			if a, b := uint32(draw.IntN(len(rows))), uint32(draw.IntN(len(rows))); a != b {
				pairs = append(pairs, [2]uint32{a, b})
			}
		}
		result := linkWith(t, table(rows), model(), learned, pairs...)
		if !slices.Equal(plain.Links, result.Links) || !slices.Equal(plain.Cluster, result.Cluster) {
			t.Fatalf("seed %d: explaining changes the result", seed)
		}
		linked := map[[2]uint32]Link{}
		for _, l := range result.Links {
			linked[[2]uint32{l.A, l.B}] = l
		}
		chains, skipped := 0, 0
		for k, e := range result.Explained {
			at := fmt.Sprintf("seed %d, pair %v", seed, pairs[k])
			a, b := pairs[k][0], pairs[k][1]
			l, known := linked[[2]uint32{min(a, b), max(a, b)}]
			if known && e.Weight != l.Weight {
				t.Fatalf("%s: explained with %v, linked with %v", at, e.Weight, l.Weight)
			}
			if known && (!e.Compared || e.Linked != (l.Probability() >= result.Threshold) || e.Probability() != l.Probability()) {
				t.Fatalf("%s: %+v is not what was linked, %v", at, e, l)
			}
			sum := e.Prior + e.Neighbours
			for i, f := range e.Fields {
				sum += f.Weight + f.Rarity
				if f.Level > 0 && (f.LevelName != compare.Levels(learned.Fields[i].Kind)[f.Level-1] || f.M != learned.Fields[i].M[f.Level-1] || f.U != learned.Fields[i].U[f.Level-1] || math.Abs(f.Weight-math.Log2(f.M/f.U)) > 1e-9) {
					t.Fatalf("%s: %+v", at, f)
				}
			}
			if math.Abs(sum-float64(e.Weight)) > 1e-4 {
				t.Fatalf("%s: the parts are %v, the weight %v", at, sum, e.Weight)
			}
			holds := false
			for _, rule := range e.Rules {
				holds = holds || rule.Holds && !rule.Skipped
				if rule.Skipped {
					skipped++
				}
			}
			if holds != e.Compared {
				t.Fatalf("%s: rules %+v, compared %v", at, e.Rules, e.Compared)
			}
			if e.Same != (result.Cluster[a] == result.Cluster[b]) || e.Same != (len(e.Chain) > 0) {
				t.Fatalf("%s: same %v, chain of %d", at, e.Same, len(e.Chain))
			}
			for i, link := range e.Chain {
				from := a
				if i > 0 {
					from = e.Chain[i-1].B
				}
				joined := linked[[2]uint32{min(link.A, link.B), max(link.A, link.B)}]
				if link.A != from || joined.Weight != link.Weight || link.Probability() < result.Threshold {
					t.Fatalf("%s: link %d of the chain is %+v", at, i, link)
				}
			}
			if e.Same {
				if e.Chain[len(e.Chain)-1].B != b {
					t.Fatalf("%s: the chain ends at %d", at, e.Chain[len(e.Chain)-1].B)
				}
				if len(e.Chain) > 1 {
					chains++
				}
			}
		}
		if chains == 0 || skipped == 0 {
			t.Errorf("seed %d: %d chains of several links, %d skipped rules: the test shows less than it should", seed, chains, skipped)
		}
	}
}

func TestWhatIsOfAnotherModelIsRefused(t *testing.T) {
	t.Parallel()
	rows, _ := people(4, 100)
	learned := run(t, table(rows), peopleModel()).Learned
	for want, change := range map[string]func(*Model){
		"about 5 comparisons, and the model has 4": func(m *Model) { m.Comparisons = m.Comparisons[:4] },
		`"first" where the model compares "given"`: func(m *Model) { m.Comparisons[0].Name = "given" },
		`kind "phone", and has "code"`:             func(m *Model) { m.Comparisons[4].Kind = compare.Code },
		"rarity":                                   func(m *Model) { m.Comparisons[3].Rarity = false },
		"levels":                                   func(m *Model) { m.Comparisons[4].Levels = []string{"equal"} },
		"swapped_with":                             func(m *Model) { m.Comparisons[0].SwappedWith = "" },
		"columns":                                  func(m *Model) { m.Comparisons[3].Name, m.Comparisons[3].Columns = "town", []string{"last"} },
	} {
		m := peopleModel()
		change(m)
		_, err := Run(t.Context(), table(rows), m, Options{Learned: learned})
		var other *OtherModelError
		if !errors.As(err, &other) || other.Hint() == "" || !strings.Contains(err.Error(), want) {
			t.Errorf("Run = %v, want a refusal with %q", err, want)
		}
	}
	// A threshold is a person's choice, and changes nothing that was learned.
	m := peopleModel()
	m.Accept = 0.8
	if result, err := Run(t.Context(), table(rows), m, Options{Learned: learned}); err != nil || len(result.Warnings) > 0 || result.Threshold != 0.8 {
		t.Errorf("Run = %+v, %v, want no objection to a threshold", result, err)
	}
}

func TestOtherDataIsSaid(t *testing.T) {
	t.Parallel()
	rows, _ := people(4, 400)
	model := func() *Model {
		m := peopleModel()
		m.Blocking = []Rule{{Keys: []string{"phone"}}, {Keys: []string{"last"}}}
		return m
	}
	learned := run(t, table(rows), model()).Learned
	copied := func(change func(row []string)) *Table {
		var list [][]string
		for _, row := range rows {
			row = slices.Clone(row)
			change(row)
			list = append(list, row)
		}
		return table(list)
	}
	rules := model()
	rules.Blocking = rules.Blocking[:1]
	for want, c := range map[string]struct {
		table *Table
		model *Model
	}{
		"the blocking rules are not those": {table(rows), rules},
		"records, and there were":          {table(rows[:80]), model()},
		"town has a value in 0 %":          {copied(func(row []string) { row[3] = "" }), model()},
		"last: ":                           {copied(func(row []string) { row[1] = row[1][:min(1, len(row[1]))] }), model()},
	} {
		if got := linkWith(t, c.table, c.model, learned).Warnings; len(got) != 1 || !strings.Contains(got[0], want) {
			t.Errorf("warnings %q, want one with %q", got, want)
		}
	}
}

// A level that the training never had is named when other data have it, and by
// nothing else.
func TestALevelNeverSeenIsSaidWhenLinking(t *testing.T) {
	t.Parallel()
	rows, _ := people(4, 400)
	learned := again(t, run(t, table(rows), peopleModel()).Learned)
	const want = `phone: `
	said := func(rows [][]string) (about []string) {
		for _, w := range linkWith(t, table(rows), peopleModel(), learned).Warnings {
			if strings.Contains(w, want) && strings.Contains(w, "no pair of the training was: what it is worth is assumed") {
				about = append(about, w)
			}
		}
		return about
	}
	if got := said(rows); len(got) != 0 {
		t.Errorf("of the data of the training is said %q", got)
	}
	masked := make([][]string, len(rows))
	for i, row := range rows {
		masked[i] = slices.Clone(row)
		if p := row[4]; i%2 == 0 && len(p) > 7 {
			masked[i][4] = p[:3] + strings.Repeat("*", len(p)-7) + p[len(p)-4:]
		}
	}
	if got := said(masked); len(got) == 0 {
		t.Error("masked phones, which the training did not have, are weighed without a word")
	}
}

// Frequencies tell how common a value is, for few new records too, and tell
// nobody's value.
func TestFrequencies(t *testing.T) {
	t.Parallel()
	rows, _ := people(7, 1500)
	result := run(t, table(rows), peopleModel())
	var b bytes.Buffer
	if err := result.Learned.Write(&b); err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		for _, value := range row {
			if len(value) >= 5 && bytes.Contains(b.Bytes(), []byte(value)) {
				t.Fatalf("%q stands in what was learned", value)
			}
		}
	}
	first := result.Learned.Fields[0].Frequencies
	if first == nil || len(first.Common) == 0 || result.Learned.Fields[2].Frequencies != nil {
		t.Fatalf("frequencies of first names %+v, of dates %+v", first, result.Learned.Fields[2].Frequencies)
	}
	entities := map[string]map[uint32]bool{}
	for i, row := range rows {
		if entities[row[0]] == nil {
			entities[row[0]] = map[uint32]bool{}
		}
		entities[row[0]][result.Cluster[i]] = true
	}
	common, rare := "", ""
	for value, who := range entities {
		n, listed := first.Common[first.name(value)]
		// The clusters of the first of two rounds are counted, so a few differ.
		if listed && (n < atLeast || math.Abs(float64(n-len(who))) > 5) {
			t.Errorf("%d entities called %q are counted as %d", len(who), value, n)
		}
		if listed && (common == "" || len(who) > len(entities[common])) {
			common = value
		}
		if !listed && value != "" {
			rare = value
			if len(who) > atLeast+5 {
				t.Errorf("%d entities are called %q, and that is not listed", len(who), value)
			}
		}
	}
	if first.Rest <= 0 || first.Rest >= atLeast {
		t.Errorf("a value that is not listed is of %v entities", first.Rest)
	}
	// Two records of one entity: by themselves both names are as common.
	weights := map[string]float64{}
	for _, name := range []string{common, rare} {
		few := table([][]string{{name, "zacharias", "1950-01-02", "ulm", ""}, {name, "zacharias", "1950-01-02", "ulm", ""}})
		e := linkWith(t, few, peopleModel(), again(t, result.Learned), [2]uint32{0, 1}).Explained[0]
		weights[name] = e.Fields[0].Rarity
	}
	want := math.Log2(float64(first.Common[first.name(common)]+2) / (first.Rest + 2))
	if got := weights[rare] - weights[common]; want < 1 || math.Abs(got-want) > 1e-5 {
		t.Errorf("a rare name is worth %v bits more than the most common one, want %v, more than 1", got, want)
	}
}

func TestFingerprintsTellTablesApart(t *testing.T) {
	t.Parallel()
	rows, _ := people(9, 60)
	of := func(rows [][]string) string { return run(t, table(rows), peopleModel()).Learned.Data.Fingerprint }
	want := of(rows)
	changed := slices.Clone(rows)
	changed[3] = slices.Clone(changed[3])
	changed[3][2] = ""
	// As many values, two more of which are equal.
	again := slices.Clone(rows)
	here := slices.IndexFunc(rows, func(row []string) bool { return row[4] != "" })
	there := slices.IndexFunc(rows, func(row []string) bool { return row[4] != "" && row[4] != rows[here][4] })
	again[here] = slices.Clone(rows[here])
	again[here][4] = rows[there][4]
	for name, other := range map[string][][]string{"a record less": rows[1:], "a value less": changed, "a value that another record has": again} {
		if of(other) == want {
			t.Errorf("%s: the same fingerprint", name)
		}
	}
	slices.Reverse(rows)
	if of(rows) != want {
		t.Error("another order, another fingerprint")
	}
}

func TestWrongLearnedIsShownItsPlace(t *testing.T) {
	t.Parallel()
	rows, _ := people(2, 60)
	var b bytes.Buffer
	if err := run(t, table(rows), peopleModel()).Learned.Write(&b); err != nil {
		t.Fatal(err)
	}
	good := b.String()
	set := func(change func(map[string]any)) string {
		var tree map[string]any
		if err := json.Unmarshal([]byte(good), &tree); err != nil {
			t.Fatal(err)
		}
		change(tree)
		text, err := json.MarshalIndent(tree, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	field := func(tree map[string]any, i int) map[string]any { return tree["fields"].([]any)[i].(map[string]any) }
	for name, c := range map[string]struct {
		text string
		want string
		// at is what stands where the error points; "" for the whole file.
		at string
	}{
		"empty":             {"", "no JSON", ""},
		"cut off":           {good[:len(good)/2], "not complete", ""},
		"a table of people": {"id,name\n1,zoe\n", "no JSON", ""},
		"other JSON":        {`{"name":"zoe"}`, "does not hold what was learned", ""},
		"a list":            {`["zoe"]`, "does not hold what was learned", ""},
		"newer":             {set(func(l map[string]any) { l["version"] = 2; l["more"] = 1 }), "version 2; this oneid reads up to version 1", ""},
		"no version":        {set(func(l map[string]any) { delete(l, "version") }), "its version is not 1", ""},
		"unknown key":       {set(func(l map[string]any) { l["more"] = 1 }), `unknown field "more"`, ""},
		"a text as prior":   {set(func(l map[string]any) { l["prior"] = "zoe" }), "prior holds a string", ""},
		"prior 0":           {set(func(l map[string]any) { l["prior"] = 0 }), "prior: 0 is no share", "0,"},
		"nobody left":       {set(func(l map[string]any) { l["near"].([]any)[1] = 1 }), "near.1: 1 is no share", "1,"},
		"m 0":               {set(func(l map[string]any) { field(l, 2)["m"].([]any)[3] = 0 }), "fields.2.m.3: 0 is no probability", "0,"},
		"a level more":      {set(func(l map[string]any) { field(l, 1)["u"] = append(field(l, 1)["u"].([]any), 0.1) }), "fields.1.u: there are 10 levels, not 9", "["},
		"other levels":      {set(func(l map[string]any) { field(l, 2)["levels"].([]any)[0] = "identical" }), "fields.2.levels: they are not those", "["},
		"no such level":     {set(func(l map[string]any) { field(l, 1)["unseen"] = []any{"smells"} }), "fields.1.unseen.0: it is none of the levels", `"smells"`},
		"no such kind":      {set(func(l map[string]any) { field(l, 4)["kind"] = "smell" }), `fields.4.kind: there is no kind "smell"`, `"smell"`},
		"no fields":         {set(func(l map[string]any) { l["fields"] = []any{} }), "fields: there are 0", "[]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseLearned("l.json", []byte(c.text))
			var e *FileError
			if !errors.As(err, &e) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "l.json") || e.Hint() == "" {
				t.Fatalf("ParseLearned = %v, want a FileError with %q", err, c.want)
			}
			if strings.Contains(err.Error(), "zoe") {
				t.Errorf("it repeats a value: %v", err)
			}
			if c.at == "" {
				return
			}
			if lines := strings.Split(c.text, "\n"); e.Line == 0 || !strings.HasPrefix(lines[e.Line-1][e.Column-1:], c.at) {
				t.Errorf("%v points at %q, not at %q", err, lines[max(0, e.Line-1)], c.at)
			}
		})
	}
}

func FuzzParseLearned(f *testing.F) {
	rows, _ := people(3, 40)
	model := func() *Model {
		return &Model{Comparisons: []Comparison{{Columns: []string{"town"}, Kind: compare.Category, Rarity: true}, {Columns: []string{"phone"}, Kind: compare.Code}}}
	}
	var b bytes.Buffer
	if err := run(f, table(rows), model()).Learned.Write(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte(`{"format":"oneid learned","version":1,"prior":0.1,"fields":[]}`))
	f.Add([]byte(`{"format":"oneid learned","version":1,"prior":2`))
	tab := table(rows)
	f.Fuzz(func(t *testing.T, text []byte) {
		l, err := ParseLearned("l", text)
		if err != nil {
			var e *FileError
			if !errors.As(err, &e) {
				t.Fatalf("%v is no FileError", err)
			}
			return
		}
		if d := cmp.Diff(l, again(t, l)); d != "" {
			t.Fatalf("(-first +again):\n%s", d)
		}
		// What is read can be used: it links or is refused.
		if result, err := Run(t.Context(), tab, model(), Options{Learned: l}); err == nil && len(result.Cluster) != tab.Len() {
			t.Fatalf("%d clusters for %d records", len(result.Cluster), tab.Len())
		}
	})
}

// Levels that a model leaves out count as the next weaker ones, in single
// pairs and in batches.
func TestLevelsThatAreLeftOut(t *testing.T) {
	t.Parallel()
	rows, _ := people(6, 300)
	whole, some := peopleModel(), peopleModel()
	some.Comparisons[4].Levels = []string{"equal", "two slips"}
	some.Comparisons[2].Levels = []string{"one digit"}
	a, err := newRecords(t.Context(), table(rows), whole)
	if err != nil {
		t.Fatal(err)
	}
	b, err := newRecords(t.Context(), table(rows), some)
	if err != nil {
		t.Fatal(err)
	}
	changed := 0
	for x := range uint32(a.n) {
		for y := range x {
			p, q := a.compare(x, y), b.compare(x, y)
			for i := range a.fields {
				want := p.level(i)
				switch {
				case i == 4 && (want == 2 || want == 3):
					want = 4
				case i == 2 && want == 2:
					want = 3
				case i == 2 && (want == 4 || want == 5):
					want = 6
				}
				if q.level(i) != want {
					t.Fatalf("field %d: level %d became %d, want %d", i, p.level(i), q.level(i), want)
				}
				if p.level(i) != want {
					changed++
				}
			}
			var one batch
			one.add(x, y)
			b.compareAll(&one)
			if one.levels[0] != q {
				t.Fatalf("in a batch %x, alone %x", one.levels[0], q)
			}
		}
	}
	if changed == 0 {
		t.Error("no level was left out")
	}
	result := run(t, table(rows), some)
	for _, w := range result.Warnings {
		if strings.Contains(w, "same last seven digits") {
			t.Errorf("a level that was left out is missed: %s", w)
		}
	}
	if sizes := len(partition(result.Cluster, numbers(len(rows)))); sizes < 200 || sizes > 400 {
		t.Errorf("%d clusters of 300 entities", sizes)
	}
}
