package match

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"oneid/identity/match/compare"
)

// people invents a table: n entities of one record to four, with slips, and
// who each record is.
func people(seed uint64, n int) (rows [][]string, truth []int) {
	r := rand.New(rand.NewPCG(seed, 7))
	word := func(syllables int) string {
		s := ""
		for range syllables {
			s += string("bdfgklmnprst"[r.IntN(12)]) + string("aeiou"[r.IntN(5)])
		}
		return s
	}
	var firsts, lasts, towns []string
	for range 60 {
		firsts = append(firsts, word(2))
	}
	for range 150 {
		lasts = append(lasts, word(3))
	}
	for range 20 {
		towns = append(towns, word(3))
	}
	slip := func(s string) string {
		i := r.IntN(len(s) - 1)
		switch r.IntN(3) {
		case 0:
			return s[:i] + s[i+1:]
		case 1:
			return s[:i] + string(s[i+1]) + string(s[i]) + s[i+2:]
		}
		return s[:i] + "x" + s[i+1:]
	}
	for entity := range n {
		row := []string{
			firsts[r.IntN(len(firsts))], lasts[r.IntN(len(lasts))], fmt.Sprintf("%d-%02d-%02d", 1940+r.IntN(60), 1+r.IntN(12), 1+r.IntN(28)),
			towns[r.IntN(len(towns))], fmt.Sprintf("07%09d", r.IntN(1e9)),
		}
		for copies := range 1 + r.IntN(4)*r.IntN(2) {
			mine := slices.Clone(row)
			for i := range mine {
				switch {
				case r.IntN(10) == 0:
					mine[i] = ""
				case copies > 0 && r.IntN(5) == 0:
					mine[i] = slip(mine[i])
				}
			}
			rows, truth = append(rows, mine), append(truth, entity)
		}
	}
	return rows, truth
}

func table(rows [][]string) *Table {
	t := NewTable([]string{"first", "last", "born", "town", "phone"})
	for _, row := range rows {
		t.Add(0, row)
	}
	return t
}

func peopleModel() *Model {
	return &Model{Comparisons: []Comparison{
		{Columns: []string{"first"}, Kind: compare.Name, Rarity: true, SwappedWith: "last"},
		{Columns: []string{"last"}, Kind: compare.Name, Rarity: true},
		{Columns: []string{"born"}, Kind: compare.Date},
		{Columns: []string{"town"}, Kind: compare.Name, Rarity: true},
		{Columns: []string{"phone"}, Kind: compare.Phone},
	}}
}

// partition names the clusters by the rows' own numbers: sets, sorted.
func partition(cluster []uint32, number []int) []string {
	sets := map[uint32][]int{}
	for row, c := range cluster {
		sets[c] = append(sets[c], number[row])
	}
	var list []string
	for _, set := range sets {
		slices.Sort(set)
		list = append(list, fmt.Sprint(set))
	}
	slices.Sort(list)
	return list
}

func numbers(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}

// run draws fewer random pairs than there are, so that the draw matters.
func run(t testing.TB, table *Table, m *Model) *Result {
	t.Helper()
	result, err := Run(t.Context(), table, m, Options{RandomPairs: 20000})
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func TestOrderOfRowsChangesNothing(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		rows, _ := people(seed, 150)
		// Of two sources, and of one.
		linked := seed%2 == 1
		made := func(order []int) *Table {
			tab := NewTable([]string{"first", "last", "born", "town", "phone"})
			for _, i := range order {
				source := uint8(0)
				if linked {
					source = uint8(i % 2)
				}
				tab.Add(source, rows[i])
			}
			return tab
		}
		find := func(tab *Table) *Result { // by fewer pairs than there are of two sources
			result, err := Run(t.Context(), tab, peopleModel(), Options{RandomPairs: 5000})
			if err != nil {
				t.Fatal(err)
			}
			return result
		}
		order := numbers(len(rows))
		want := find(made(order))
		rand.New(rand.NewPCG(seed, 99)).Shuffle(len(rows), func(i, j int) { order[i], order[j] = order[j], order[i] })
		got := find(made(order))
		if d := cmp.Diff(partition(want.Cluster, numbers(len(rows))), partition(got.Cluster, order)); d != "" {
			t.Fatalf("seed %d: another order of the rows made other clusters (-want +got):\n%s", seed, d)
		}
		if d := cmp.Diff(want.Learned, got.Learned); d != "" {
			t.Fatalf("seed %d: another order of the rows taught something else (-want +got):\n%s", seed, d)
		}
	}
}

// Not in parallel with others: it changes the processors of all.
func TestNumberOfProcessorsChangesNothing(t *testing.T) {
	rows, _ := people(31, 500)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for name, blocking := range map[string][]Rule{"all pairs": nil, "rules": {{Keys: []string{"phone.end"}}, {Keys: []string{"last", "town"}}, {Keys: []string{"born"}}}} {
		var want *Result
		for _, processors := range []int{1, 2, 7} {
			runtime.GOMAXPROCS(processors)
			m := peopleModel()
			m.Blocking = blocking
			got := run(t, table(rows), m)
			if want == nil {
				want = got
			}
			if d := cmp.Diff(want, got, cmp.AllowUnexported(Link{})); d != "" {
				t.Errorf("%s: %d processors find what one does not (-one +more):\n%s", name, processors, d)
			}
		}
	}
}

func TestSameSeedSameResult(t *testing.T) {
	t.Parallel()
	rows, _ := people(3, 300)
	want, got := run(t, table(rows), peopleModel()), run(t, table(rows), peopleModel())
	if d := cmp.Diff(want, got, cmp.AllowUnexported(Link{})); d != "" {
		t.Errorf("a second run differs (-first +second):\n%s", d)
	}
	other := peopleModel()
	other.Seed = 5
	shares := func(r *Result) (u [][]float64) { // of levels among the pairs that were drawn
		for _, f := range r.Learned.Fields {
			u = append(u, f.U)
		}
		return u
	}
	if cmp.Equal(shares(want), shares(run(t, table(rows), other))) {
		t.Error("another seed draws the same pairs")
	}
}

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
	bound := nearest * -math.Log2(min(l.out.Prior, float64(r.n)/r.all))
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

func TestPeopleAreFound(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2) {
		rows, truth := people(seed+20, 400)
		result := run(t, table(rows), peopleModel())
		found, right, all := 0, 0, 0
		for a := range rows {
			for b := range a {
				same, together := truth[a] == truth[b], result.Cluster[a] == result.Cluster[b]
				if same {
					all++
				}
				if together {
					found++
				}
				if same && together {
					right++
				}
			}
		}
		if precision, recall := float64(right)/float64(found), float64(right)/float64(all); precision < 0.97 || recall < 0.93 {
			t.Errorf("seed %d: precision %.3f, recall %.3f", seed, precision, recall)
		}
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

func TestLinkedSourcesAreNotComparedWithin(t *testing.T) {
	t.Parallel()
	rows, _ := people(6, 200)
	tab := NewTable([]string{"first", "last", "born", "town", "phone"})
	for i, row := range rows {
		tab.Add(uint8(i%2), row)
	}
	result := run(t, tab, peopleModel())
	for _, l := range result.Links {
		if l.A%2 == l.B%2 {
			t.Fatalf("rows %d and %d are of one source", l.A, l.B)
		}
	}
	if want := int64((len(rows) / 2) * ((len(rows) + 1) / 2)); result.Candidates != want {
		t.Errorf("%d candidates, want %d", result.Candidates, want)
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

// Records that come in batches, of any cut and with values beside the columns,
// make the table that they make one by one.
func TestBatchesMakeTheSameTable(t *testing.T) {
	t.Parallel()
	for seed := range uint64(10) {
		draw := rand.New(rand.NewPCG(seed, 3))
		rows, _ := people(seed, 100)
		names := []string{"first", "last", "born", "town", "phone"}
		want, got := NewTable(names), NewTable(names)
		var b Batch
		for i, row := range rows {
			source := uint8(draw.IntN(2))
			want.Add(source, row)
			b.Add(source, append(slices.Clone(row), fmt.Sprint("r", i), "")...)
			if draw.IntN(20) > 0 && i+1 < len(rows) {
				continue
			}
			if err := got.AddBatch(t.Context(), &b); err != nil {
				t.Fatal(err)
			}
			for k, id := range b.Values(len(names)) {
				if id != fmt.Sprint("r", got.Len()-b.Len()+k) {
					t.Fatalf("seed %d: record %d of a batch has the id %q", seed, k, id)
				}
			}
			b = Batch{}
		}
		if got.Len() != len(rows) || got.Linked() != want.Linked() {
			t.Fatalf("seed %d: %d rows of %d", seed, got.Len(), len(rows))
		}
		for c := range names {
			values, counts := want.Values(c)
			gotValues, gotCounts := got.Values(c)
			if !slices.Equal(values, gotValues) || !slices.Equal(counts, gotCounts) {
				t.Fatalf("seed %d: column %d has other values in batches", seed, c)
			}
			for row := range rows {
				if got.Value(row, c) != rows[row][c] || got.Source(row) != want.Source(row) {
					t.Fatalf("seed %d: row %d, column %d is %q; want %q", seed, row, c, got.Value(row, c), rows[row][c])
				}
			}
		}
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
