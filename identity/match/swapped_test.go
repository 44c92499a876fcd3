package match

import (
	"slices"
	"testing"

	"oneid/identity/match/compare"
)

// Names that stand in each other's column are found, where these are not alike as
// they stand, and nowhere else; what both columns say is said once.
func TestNamesInEachOthersColumn(t *testing.T) {
	t.Parallel()
	const equal, swapped, slip, other compare.Level = 1, compare.Swapped, 3, 7
	for name, c := range map[string]struct {
		a, b []string // first, last
		want []compare.Level
	}{
		"swapped":                          {[]string{"anna", "berger"}, []string{"berger", "anna"}, []compare.Level{swapped, 0}},
		"swapped, with a slip":             {[]string{"anna", "berger"}, []string{"bergre", "ana"}, []compare.Level{swapped, 0}},
		"swapped, one missing":             {[]string{"anna", "berger"}, []string{"berger", ""}, []compare.Level{swapped, 0}},
		"one name, in the other column":    {[]string{"anna", ""}, []string{"", "anna"}, []compare.Level{swapped, 0}},
		"one name twice":                   {[]string{"martin", "martin"}, []string{"martin", "martin"}, []compare.Level{equal, equal}},
		"one name twice, with slips":       {[]string{"martin", "martni"}, []string{"martni", "martin"}, []compare.Level{slip, slip}},
		"the first equal":                  {[]string{"martin", "martni"}, []string{"martin", "martin"}, []compare.Level{equal, slip}},
		"one across, the other a stranger": {[]string{"anna", "berger"}, []string{"zoltan", "anna"}, []compare.Level{other, other}},
		"a stranger and nothing":           {[]string{"anna", "berger"}, []string{"zoltan", ""}, []compare.Level{other, 0}},
		"nothing to compare":               {[]string{"anna", ""}, []string{"", "zoltan"}, []compare.Level{0, 0}},
	} {
		m := &Model{Comparisons: peopleModel().Comparisons[:2]}
		if err := m.check(); err != nil {
			t.Fatal(err)
		}
		of := NewTable([]string{"first", "last"})
		of.Add(0, c.a)
		of.Add(0, c.b)
		r, err := newRecords(t.Context(), of, m)
		if err != nil {
			t.Fatal(err)
		}
		for _, pair := range [][2]uint32{{0, 1}, {1, 0}} {
			p := r.compare(pair[0], pair[1])
			var some batch
			some.add(pair[0], pair[1])
			r.compareAll(&some)
			got := []compare.Level{p.level(0), p.level(1)}
			if !slices.Equal(got, c.want) || some.levels[0] != p {
				t.Errorf("%s, %v: levels %v, in a batch %x for %x; want %v", name, pair, got, some.levels[0], p, c.want)
			}
		}
	}
}
