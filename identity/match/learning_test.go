package match

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"oneid/identity/match/compare"
)

// TestEqualValuesAreCountedNotDrawn wants of a draw of few pairs what all pairs
// say of equal values: they are too rare to be drawn.
func TestEqualValuesAreCountedNotDrawn(t *testing.T) {
	t.Parallel()
	rows, _ := people(12, 300)
	learned := func(pairs int) *Learned {
		result, err := Run(t.Context(), table(rows), peopleModel(), Options{RandomPairs: pairs})
		if err != nil {
			t.Fatal(err)
		}
		return result.Learned
	}
	all, few := learned(len(rows)*len(rows)), learned(640)
	for i, f := range few.Fields[:2] { // a name is equal in one pair of sixty, or of 150
		if want := all.Fields[i].U[0]; math.Abs(f.U[0]/want-1) > 0.1 {
			t.Errorf("%s: equal in %.5f of the pairs of two entities by few pairs, in %.5f by all", f.Name, f.U[0], want)
		}
	}
}

// TestNeighboursHaveLessInCommonThanOneEntity invents families of one surname,
// town and phone: what they share beyond a bound is no neighbourhood, and left
// to pairs of one entity.
func TestNeighboursHaveLessInCommonThanOneEntity(t *testing.T) {
	t.Parallel()
	rows, _ := people(13, 300)
	for i := range rows {
		if i%4 == 1 {
			rows[i][1], rows[i][3], rows[i][4] = rows[i-1][1], rows[i-1][3], rows[i-1][4]
		}
	}
	m := peopleModel()
	if err := m.check(); err != nil {
		t.Fatal(err)
	}
	r, err := newRecords(t.Context(), table(rows), m)
	if err != nil {
		t.Fatal(err)
	}
	levels, _, err := r.sample(t.Context(), len(rows)*len(rows), 1)
	if err != nil {
		t.Fatal(err)
	}
	l := &learning{r: r, levels: levels, out: run(t, table(rows), peopleModel()).Learned}
	const share = 0.75 // of the bits that the prior asks of one entity
	bound := share * l.asked()
	for k := range l.out.Near {
		bits := 0.0
		for i, f := range l.out.Fields {
			bits += l.information(i, f.N[k])
		}
		if bits > bound+0.2 { // the prior still moved a little
			t.Errorf("neighbours by %s have %.2f bits in common, and may have %.2f", l.out.Fields[k].Name, bits, bound)
		}
	}
}

// Numbers that stand near each other were given out together, to two entities:
// two slips are no likelier than one, and what is over counts as none.
func TestTwoSlipsAreNoLikelierThanOne(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ m, want []float64 }{
		{[]float64{0.5, 0.1, 0.3, 0.1}, []float64{0.5, 0.1, 0.1, 0.3}},
		{[]float64{0.6, 0.2, 0.1, 0.1}, []float64{0.6, 0.2, 0.1, 0.1}},
	} {
		got := slices.Clone(c.m)
		oneSlip(compare.Code, got)
		if d := cmp.Diff(c.want, got, cmpopts.EquateApprox(0, 1e-12)); d != "" {
			t.Errorf("of %v (-want +got):\n%s", c.m, d)
		}
	}
}

// Learning keeps to it, for the kinds that know of slips.
func TestLearningTakesTwoSlipsForNoLikelierThanOne(t *testing.T) {
	t.Parallel()
	good, near := []float64{0.8, 0.1, 0.06, 0.04}, []float64{0.5, 0.05, 0.41, 0.04}
	r, seen, levels := madeUp(t, 2000, 0.001, []float64{0.01, 0.02, 0.07, 0.9}, near, near, good, good, good)
	code, _, err := compare.NewColumn(compare.Code, []string{"1", "2"}, []int{1, 1})
	if err != nil {
		t.Fatal(err)
	}
	r.fields[0].column, r.model.Comparisons[0].Kind = code, compare.Code
	learned := r.learn(seen, levels, 1, 500)
	if m := learned.Fields[0].M; m[2] > m[1] {
		t.Errorf("codes: %.3f of one entity differ by two slips, %.3f by one", m[2], m[1])
	}
	if m := learned.Fields[1].M; m[2] < 2*m[1] {
		t.Errorf("numbers have no slips, but were told that they had: %.3f", m)
	}
}

// madeUp draws the patterns of all pairs of n records with a field of four
// levels for each m, the shares of levels among pairs of one entity.
func madeUp(t *testing.T, n int, prior float64, u []float64, m ...[]float64) (r *records, seen []counted, levels counts) {
	t.Helper()
	r = &records{model: &Model{}, n: n, all: float64(n) * float64(n-1) / 2}
	for i := range m {
		column, _, err := compare.NewColumn(compare.Number, []string{"1", "2"}, []int{1, 1})
		if err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprint("field ", i)
		r.model.Comparisons = append(r.model.Comparisons, Comparison{Name: name, Columns: []string{name}, Kind: compare.Number})
		r.fields = append(r.fields, field{name: name, column: column, last: 4, partner: -1, counts: make([]uint32, column.Len())})
	}
	draw := rand.New(rand.NewPCG(4, 4))
	level := func(p []float64) pattern {
		x := draw.Float64()
		for l, share := range p {
			if x -= share; x < 0 {
				return pattern(l + 1)
			}
		}
		return pattern(len(p))
	}
	count := map[pattern]float64{}
	levels = make(counts, len(r.fields))
	for range int(r.all) {
		p, same := pattern(0), draw.Float64() < prior
		for i := range r.fields {
			from := u
			if same {
				from = m[i]
			}
			l := level(from)
			p |= l << (4 * i)
			levels[i][l]++
		}
		count[p]++
	}
	for p, n := range count {
		seen = append(seen, counted{p, n})
	}
	return r, seen, levels
}

// TestLearningFindsWhatWasPutIn draws patterns from known m, u and prior, and
// wants them back.
func TestLearningFindsWhatWasPutIn(t *testing.T) {
	t.Parallel()
	m := []float64{0.8, 0.1, 0.06, 0.04}
	u := []float64{0.01, 0.02, 0.07, 0.9}
	const prior = 0.001
	r, seen, levels := madeUp(t, 2000, prior, u, m, m, m, m, m, m)
	learned := r.learn(seen, levels, 1, 500)
	warnings := learned.Warnings
	if !learned.Converged || len(warnings) > 0 {
		t.Errorf("converged %v, warnings %q", learned.Converged, warnings)
	}
	if math.Abs(learned.Prior/prior-1) > 0.1 {
		t.Errorf("prior %v, want %v", learned.Prior, prior)
	}
	for _, f := range learned.Fields {
		for l := range m {
			if math.Abs(f.M[l]-m[l]) > 0.03 || math.Abs(f.U[l]-u[l]) > 0.005 {
				t.Errorf("%s level %d: m %.3f u %.4f, want %.3f %.4f", f.Name, l+1, f.M[l], f.U[l], m[l], u[l])
			}
		}
	}
}

// TestWhatIsNotLearnedWellIsSaid wants each trouble named, with the field and
// with what to do.
func TestWhatIsNotLearnedWellIsSaid(t *testing.T) {
	t.Parallel()
	u := []float64{0.1, 0.0005, 0.2, 0.6995}
	good := []float64{0.8, 0.1, 0.06, 0.04}
	for name, c := range map[string]struct {
		odd    []float64
		rounds int
		want   []string
	}{
		"rarer among pairs of one entity": {[]float64{0.01, 0.55, 0.3, 0.14}, 500, []string{"field 5", "rarer among pairs of one entity", "leave it out"}},
		"says nothing":                    {[]float64{0.01, 0.00001, 0.2, 0.78999}, 500, []string{"field 5", "says nothing", "worth 0", "leave it out"}},
		"says next to nothing":            {[]float64{0.12, 0.0006, 0.2, 0.6794}, 500, []string{"field 5", "says next to nothing", "bits", "leave it out"}},
		"a level never seen":              {[]float64{0.9, 0, 0.06, 0.04}, 500, []string{"field 5", `"within 1 or one percent"`, "hardly a pair of one entity", "--learned"}},
		"not settled":                     {good, 2, []string{"not settled after 2 rounds", "leave comparisons that repeat each other out"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, seen, levels := madeUp(t, 800, 0.003, u, good, good, good, good, good, c.odd)
			learned := r.learn(seen, levels, 1, c.rounds)
			warnings := learned.Warnings
			if !slices.ContainsFunc(warnings, func(w string) bool {
				return !slices.ContainsFunc(c.want, func(part string) bool { return !strings.Contains(w, part) })
			}) {
				t.Errorf("no warning has all of %q: %q", c.want, warnings)
			}
			of := 0 // notes that say what the field is worth: two would contradict each other
			for _, w := range warnings {
				if strings.HasPrefix(w, "field 5") && (strings.Contains(w, "is weighed with") || strings.Contains(w, "says nothing")) {
					of++
				}
			}
			if of > 1 {
				t.Errorf("two notes say what one field is worth: %q", warnings)
			}
			if learned.Converged != (c.rounds == 500) {
				t.Errorf("converged: %v", learned.Converged)
			}
			if name == "a level never seen" { // it keeps what is assumed, by as many pairs as the doubt is
				pairs := learned.Prior * r.all
				if got, want := learned.Fields[5].M[1], doubt*start(compare.Number)[1]/(pairs+doubt); math.Abs(got/want-1) > 0.2 {
					t.Errorf("m of the level is %.6f, want about %.6f", got, want)
				}
			}
			// Whatever was learned, a stronger level is worth no less.
			for _, f := range learned.Fields {
				for l := 2; l <= len(f.M); l++ {
					if f.Weight(l) > f.Weight(l-1)+1e-9 {
						t.Errorf("%s: level %d is worth %.2f bits, the stronger one %.2f", f.Name, l, f.Weight(l), f.Weight(l-1))
					}
				}
			}
		})
	}
}

func TestBatchesAreSinglePairs(t *testing.T) {
	rows, _ := people(4, 120)
	for i := range rows {
		if i%7 == 0 {
			rows[i][0], rows[i][1] = rows[i][1], rows[i][0]
		}
	}
	m := peopleModel()
	if err := m.check(); err != nil {
		t.Fatal(err)
	}
	r, err := newRecords(t.Context(), table(rows), m)
	if err != nil {
		t.Fatal(err)
	}
	var some batch
	seen := map[compare.Level]bool{}
	for a := range uint32(r.n) {
		for b := range a {
			if !some.add(a, b) && (a+1 < uint32(r.n) || b+1 < a) {
				continue
			}
			r.compareAll(&some)
			for k, p := range some.levels[:some.n] {
				if want := r.compare(some.a[k], some.b[k]); p != want {
					t.Fatalf("records %d and %d: levels %x, alone %x", some.a[k], some.b[k], p, want)
				}
				seen[p.level(0)] = true
			}
			some.n = 0
		}
	}
	if !seen[compare.Swapped] {
		t.Error("no names are swapped: the test shows less than it should")
	}
	if n := testing.AllocsPerRun(10, func() {
		for i := range uint32(compare.Batch) {
			some.add(i, i+1)
		}
		r.compareAll(&some)
		some.n = 0
	}); n != 0 {
		t.Errorf("a batch allocates %v times", n)
	}
}

func TestWhatSaysNothingIsNamed(t *testing.T) {
	t.Parallel()
	rows, _ := people(8, 300)
	draw := rand.New(rand.NewPCG(1, 2))
	noisy := NewTable([]string{"first", "last", "born", "town", "phone", "dice"})
	for _, row := range rows {
		noisy.Add(0, append(slices.Clone(row), fmt.Sprint(1+draw.IntN(6))))
	}
	m := peopleModel()
	m.Comparisons = append(m.Comparisons, Comparison{Columns: []string{"dice"}, Kind: compare.Category})
	result := run(t, noisy, m)
	f := result.Learned.Fields[5]
	if w := f.Weight(1); math.Abs(w) > 0.5 {
		t.Errorf("equal dice are worth %.2f bits", w)
	}
	if !slices.ContainsFunc(result.Warnings, func(w string) bool {
		return strings.HasPrefix(w, "dice says nothing") || strings.HasPrefix(w, "dice says next to nothing")
	}) {
		t.Errorf("nothing is said of the dice, worth %.3f and %.3f bits: %q", f.Weight(1), f.Weight(2), result.Warnings)
	}
	if !slices.ContainsFunc(result.Warnings, func(w string) bool { return strings.Contains(w, "hardly a pair of one entity") }) {
		t.Errorf("no warning of levels that were not seen: %q", result.Warnings)
	}
}

func TestWhatWasLearnedIsReadAgain(t *testing.T) {
	t.Parallel()
	rows, _ := people(2, 100)
	learned := run(t, table(rows), peopleModel()).Learned
	var b bytes.Buffer
	if err := learned.Write(&b); err != nil {
		t.Fatal(err)
	}
	again, err := ParseLearned("l.json", b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(learned, again); d != "" {
		t.Errorf("(-written +read):\n%s", d)
	}
}

func TestHowSeldomASourceRepeatsItself(t *testing.T) {
	t.Parallel()
	r := &records{}
	var cluster []uint32
	for entity := range uint32(100) { // once in source 0, twice in source 1
		cluster = append(cluster, entity, entity, entity)
		r.sources = append(r.sources, 0, 1, 1)
	}
	cluster, r.sources = append(cluster, 100), append(r.sources, 2) // alone
	if got := r.twice(cluster); got[0] < 6 || got[1] > 0.1 || got[2] != 0 {
		t.Errorf("bits against a second record = %.2f, want more than 6 where there is none, and none where that is common or not known", got[:3])
	}
}

// The candidates of one entity are those that agree on a rule, counted by hand:
// pair by pair, each once, and with sources only those of two.
func TestTruePairsThatAreCompared(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		for _, linked := range []bool{false, true} {
			rows, who := people(seed, 150)
			tab := NewTable([]string{"first", "last", "born", "town", "phone"})
			truth := make([]uint32, len(rows))
			for i, row := range rows {
				source := 0
				if linked {
					source = i % 2
				}
				tab.Add(uint8(source), row)
				truth[i] = uint32(who[i])
			}
			m := peopleModel()
			// Of names, whose writing is as it is compared.
			m.Blocking = []Rule{{Keys: []string{"first", "last"}}, {Keys: []string{"last", "town"}}, {Keys: []string{"first.initial", "town"}}}
			agree := func(a, b []string, columns ...int) bool {
				for _, c := range columns {
					if a[c] == "" || a[c] != b[c] {
						return false
					}
				}
				return true
			}
			initial := func(row []string) []string { // of the first name
				row = slices.Clone(row)
				row[0] = row[0][:min(1, len(row[0]))]
				return row
			}
			want := int64(0)
			for i, a := range rows {
				for k, b := range rows[:i] {
					if truth[i] == truth[k] && (!linked || i%2 != k%2) && (agree(a, b, 0, 1) || agree(a, b, 1, 3) || agree(initial(a), initial(b), 0, 3)) {
						want++
					}
				}
			}
			result, err := Run(t.Context(), tab, m, Options{RandomPairs: 20000, Truth: truth})
			if err != nil {
				t.Fatal(err)
			}
			if result.TrueCandidates != want || want == 0 || result.Candidates <= want {
				t.Errorf("seed %d, linked %v: %d of %d candidates are of one entity; counted %d", seed, linked, result.TrueCandidates, result.Candidates, want)
			}
		}
	}
}
