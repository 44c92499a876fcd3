package match

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"oneid/identity/match/compare"
)

// weighed makes records of a table with two comparisons, a name and a code, and
// what they are worth.
func weighed(t *testing.T, tab *Table, m *Model) (*records, *scorer) {
	t.Helper()
	m.Comparisons = []Comparison{{Columns: []string{"name"}, Kind: compare.Name}, {Columns: []string{"code"}, Kind: compare.Code, Exclusive: len(m.Comparisons) > 0}}
	if err := m.check(); err != nil {
		t.Fatal(err)
	}
	r, err := newRecords(t.Context(), tab, m)
	if err != nil {
		t.Fatal(err)
	}
	l := &Learned{Prior: 0.1, Near: []float64{0.01, 0.01}}
	for i := range r.fields {
		u := make([]float64, r.fields[i].last)
		for k := range u {
			u[k] = 0.01
		}
		u[len(u)-1] = 1 - 0.01*float64(len(u)-1)
		l.Fields = append(l.Fields, LearnedField{Name: r.fields[i].name, M: start(r.fields[i].column.Kind()), U: u, N: [][]float64{slices.Clone(u), slices.Clone(u)}})
	}
	return r, newScorer(r, l)
}

// resolved resolves links with the bits that speak against repetitions.
func resolved(t *testing.T, r *records, s *scorer, twice []float64, links []Link) *resolution {
	t.Helper()
	x := &resolution{r: r, s: s, rules: r.model.rules(), twice: twice}
	sortLinks(links)
	if err := x.resolve(t.Context(), links); err != nil {
		t.Fatal(err)
	}
	return x
}

// sizesOf are the clusters' sizes, the largest first.
func sizesOf(cluster []uint32) (sizes []int) {
	of := map[uint32]int{}
	for _, c := range cluster {
		of[c]++
	}
	for _, n := range of {
		sizes = append(sizes, n)
	}
	slices.SortFunc(sizes, func(a, b int) int { return cmp.Compare(b, a) })
	return sizes
}

// exclusive is a model in which an entity has one code.
func exclusive(m Model) Model {
	m.Comparisons = []Comparison{{}}
	return m
}

// Whatever the links and the constraints: no cluster breaks a constraint, each link
// from the threshold up is within a cluster or refused with its reason, the order of
// the links changes nothing, and the threshold that was found gives, as the model's
// accept, the same clusters.
func TestClustersKeepTheConstraints(t *testing.T) {
	t.Parallel()
	seen := map[Reason]int{}
	for seed := range uint64(300) {
		draw := rand.New(rand.NewPCG(seed, 5))
		m := Model{Largest: draw.IntN(2) * (2 + draw.IntN(4)), PerSource: draw.IntN(3), Clusters: []Method{"", Guarded, Components}[draw.IntN(3)]}
		if draw.IntN(2) == 0 {
			m = exclusive(m)
		}
		tab := NewTable([]string{"name", "code"})
		sources := uint8(1 + draw.IntN(4))
		n := uint32(4 + draw.IntN(30))
		for range n {
			tab.Add(uint8(draw.IntN(int(sources))), []string{[]string{"anna", "anne", "peter"}[draw.IntN(3)], []string{"", "", "11111", "99999", "99998"}[draw.IntN(5)]})
		}
		r, s := weighed(t, tab, &m)
		var links []Link
		for a := range n {
			for b := a + 1; b < n; b++ {
				if draw.IntN(4) == 0 && (r.sources == nil || r.sources[a] != r.sources[b]) {
					links = append(links, Link{A: a, B: b, Weight: float32(draw.IntN(16) - 7)})
				}
			}
		}
		var twice []float64
		if r.sources != nil && draw.IntN(2) == 0 {
			twice = slices.Repeat([]float64{float64(draw.IntN(6))}, 256)
		}
		want := resolved(t, r, s, twice, links)

		draw.Shuffle(len(links), func(i, j int) { links[i], links[j] = links[j], links[i] })
		got := resolved(t, r, s, twice, links)
		if d := gocmp.Diff(want.cluster, got.cluster); d != "" {
			t.Fatalf("seed %d: the order of the links changed the clusters:\n%s", seed, d)
		}
		if !slices.Equal(want.refused, got.refused) || want.threshold != got.threshold {
			t.Fatalf("seed %d: the order of the links changed what is refused: %v and %v", seed, want.refused, got.refused)
		}

		refused := map[[2]uint32]Reason{}
		for _, l := range got.refused {
			refused[[2]uint32{l.A, l.B}] = l.Reason
			seen[l.Reason]++
		}
		for _, l := range links {
			reason, is := refused[[2]uint32{l.A, l.B}]
			same, above := got.cluster[l.A] == got.cluster[l.B], l.Probability() >= got.threshold
			if is != (above && !same) || is && !slices.Contains(Reasons(), reason) || reason == Bridge && m.Clusters == Components {
				t.Fatalf("seed %d: the link %v, threshold %v, is in one cluster %v and refused %v for %q", seed, l, got.threshold, same, is, reason)
			}
		}

		type bound struct {
			cluster uint32
			what    string
		}
		records, values := map[bound]int{}, map[bound]map[uint32]bool{}
		for record, cluster := range got.cluster {
			records[bound{cluster, "all"}]++
			if r.sources != nil {
				records[bound{cluster, fmt.Sprint("source ", r.sources[record])}]++
			}
			if code := r.row(uint32(record))[1]; code != 0 {
				at := bound{cluster, "code"}
				if values[at] == nil {
					values[at] = map[uint32]bool{}
				}
				values[at][code] = true
			}
		}
		for at, n := range records {
			most := m.PerSource
			if at.what == "all" {
				most = m.Largest
			}
			if most > 0 && n > most {
				t.Fatalf("seed %d: cluster %d has %d records of %s, more than %d", seed, at.cluster, n, at.what, most)
			}
		}
		for at, codes := range values {
			if m.Comparisons[1].Exclusive && len(codes) > 1 {
				t.Fatalf("seed %d: cluster %d has %d codes", seed, at.cluster, len(codes))
			}
		}

		m.Accept = got.threshold
		if m.Accept < 1 { // nothing is followed at 1
			again := resolved(t, r, s, twice, links)
			if d := gocmp.Diff(got.cluster, again.cluster); d != "" || !slices.Equal(got.refused, again.refused) {
				t.Fatalf("seed %d: the threshold %v as accept makes other clusters:\n%s", seed, m.Accept, d)
			}
		}
	}
	for _, reason := range Reasons() {
		if seen[reason] < 10 {
			t.Errorf("%d links of 300 tables are refused for %s: it is not tried", seen[reason], reason)
		}
	}
}

// Two groups of five, equal within; one link between them.
func TestOneFalseLinkJoinsNoDenseGroups(t *testing.T) {
	t.Parallel()
	for method, want := range map[Method][]int{"": {5, 5}, Guarded: {5, 5}, Components: {10}} {
		tab := NewTable([]string{"name", "code"})
		for range 5 {
			tab.Add(0, []string{"anna", "11111"})
		}
		for range 5 {
			tab.Add(0, []string{"peter", "99999"})
		}
		r, s := weighed(t, tab, &Model{Accept: 0.5, Clusters: method})
		var links []Link
		between := false
		for a := range uint32(10) {
			for b := a + 1; b < 10; b++ {
				switch {
				case r.row(a)[0] == r.row(b)[0]:
					links = append(links, Link{a, b, 9, 0x11})
				case !between:
					between = true
					links = append(links, Link{a, b, 8, 0x11})
				}
			}
		}
		x := resolved(t, r, s, nil, links)
		if got := sizesOf(x.cluster); !slices.Equal(got, want) {
			t.Errorf("%q: clusters of %v, want %v", method, got, want)
		}
		if guarded := method != Components; guarded != (len(x.refused) == 1 && x.refused[0].Reason == Bridge) {
			t.Errorf("%q: refused %v; want the link between them for a bridge, and none of components", method, x.refused)
		}
	}
}

// Each constraint by itself, over three records called alike that all links
// connect.
func TestConstraints(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		model  Model
		codes  [3]string
		want   []int
		reason Reason
	}{
		"none":                        {Model{}, [3]string{"11111", "", "99999"}, []int{3}, ""},
		"two codes are two entities":  {exclusive(Model{}), [3]string{"11111", "", "99999"}, []int{2, 1}, Exclusive},
		"one code, and a missing one": {exclusive(Model{}), [3]string{"11111", "", "11111"}, []int{3}, ""},
		"a source has it once":        {Model{PerSource: 1}, [3]string{}, []int{2, 1}, PerSource},
		"a source has it twice":       {Model{PerSource: 2}, [3]string{}, []int{3}, ""},
		"two records at most":         {Model{Largest: 2}, [3]string{}, []int{2, 1}, Largest},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := c.model
			m.Accept, m.Clusters = 0.5, Components
			tab := NewTable([]string{"name", "code"})
			for i, code := range c.codes {
				tab.Add(uint8(i%2), []string{"anna", code})
			}
			r, s := weighed(t, tab, &m)
			var links []Link
			for a := range uint32(3) {
				for b := a + 1; b < 3; b++ {
					if r.sources[a] != r.sources[b] {
						links = append(links, Link{A: a, B: b, Weight: 5})
					}
				}
			}
			x := resolved(t, r, s, nil, links)
			if got := sizesOf(x.cluster); !slices.Equal(got, c.want) {
				t.Errorf("clusters of %v, want %v", got, c.want)
			}
			if c.reason == "" && len(x.refused) > 0 || c.reason != "" && (len(x.refused) != 1 || x.refused[0].Reason != c.reason) {
				t.Errorf("refused %v, want %q", x.refused, c.reason)
			}
		})
	}
}

// The whole way: what a run refuses by a constraint stands in its result, told in
// rows.
func TestARunKeepsTheConstraints(t *testing.T) {
	t.Parallel()
	rows, truth := people(4, 200)
	m := peopleModel()
	m.Largest, m.Clusters = 2, Components
	result := run(t, table(rows), m)
	if got := sizesOf(result.Cluster); got[0] != 2 {
		t.Errorf("clusters of %v; want 2 at most", got[:3])
	}
	byReason := map[Reason]int{}
	right := 0
	for _, l := range result.Refused {
		byReason[l.Reason]++
		if result.Cluster[l.A] == result.Cluster[l.B] {
			t.Fatalf("rows %d and %d are refused, and in one cluster", l.A, l.B)
		}
		if truth[l.A] == truth[l.B] {
			right++
		}
	}
	if byReason[Largest] < 50 || byReason[Largest] != len(result.Refused) || right < byReason[Largest]*9/10 {
		t.Errorf("refused by reason %v, %d of them of one person; want more than 50, for the largest cluster alone, and nearly all of one person", byReason, right)
	}
	again := peopleModel()
	again.PerSource = 1
	if warnings := run(t, table(rows), again).Warnings; !slices.ContainsFunc(warnings, func(w string) bool { return w[:min(10, len(w))] == "per_source" }) {
		t.Errorf("warnings %q do not say that per_source bounds nothing in one source", warnings)
	}
}

// Two people called alike in both of two lists; a code tells them apart, but only
// one of them has it.
func TestListsThatRepeatNothingAreLinkedOneToOne(t *testing.T) {
	t.Parallel()
	tab := NewTable([]string{"name", "code"})
	for source := range uint8(2) {
		tab.Add(source, []string{"anna", "11111"})
		tab.Add(source, []string{"anna", ""})
	}
	r, s := weighed(t, tab, &Model{Accept: 0.5})
	var links []Link
	for a := range uint32(4) {
		for b := a + 1; b < 4; b++ {
			if r.sources[a] != r.sources[b] {
				p := r.compare(a, b)
				links = append(links, Link{a, b, float32(s.weight(p, r.row(a))), p})
			}
		}
	}
	for name, c := range map[string]struct {
		twice []float64
		want  int // clusters
	}{"nothing is known of repetitions": {nil, 1}, "repetitions are common": {make([]float64, 256), 1}, "repetitions are rare": {slices.Repeat([]float64{6}, 256), 2}} {
		x := resolved(t, r, s, c.twice, links)
		if sizes := sizesOf(x.cluster); len(sizes) != c.want {
			t.Errorf("%s: clusters of %v, want %d of them; refused %v", name, sizes, c.want, x.refused)
		}
	}
}

// Two records that one link connects fare as they do in identity's Partition, which
// is not asked for them.
func TestTwoRecordsFareAsInPartition(t *testing.T) {
	t.Parallel()
	for _, method := range []Method{Guarded, Components} {
		for _, largest := range []int{0, 1, 2} {
			m := Model{Clusters: method, Largest: largest}
			tab := NewTable([]string{"name", "code"})
			for range 200 {
				tab.Add(0, []string{"anna", "11111"})
			}
			r, s := weighed(t, tab, &m)
			var links []Link
			for a := uint32(0); a < 200; a += 2 {
				links = append(links, Link{A: a, B: a + 1, Weight: float32(a)/10 - 9})
			}
			x := &resolution{r: r, s: s, rules: r.model.rules(), links: links, outcomes: make([]outcome, len(links))}
			c := x.components()
			short, long := &partitioning{resolution: x, ctx: t.Context()}, &partitioning{resolution: x, ctx: t.Context()}
			for i := range c.count() {
				short.partition(c, i)
			}
			got := slices.Clone(x.outcomes)
			clear(x.outcomes)
			for i := range c.count() {
				long.begin(c, i)
				long.join(c)
			}
			if d := gocmp.Diff(x.outcomes, got, gocmp.AllowUnexported(outcome{})); d != "" {
				t.Errorf("clusters %s of at most %d: (-Partition +short way)\n%s", method, largest, d)
			}
		}
	}
}
