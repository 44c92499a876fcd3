package match

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

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
			record := got.Len() - b.Len()
			for id := range b.Values(len(names)) {
				if id != fmt.Sprint("r", record) {
					t.Fatalf("seed %d: record %d has the id %q", seed, record, id)
				}
				record++
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
