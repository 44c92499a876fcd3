package guess

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"oneid/identity/match"
)

// TestSeriesAreNamed has things that are alike in all but a year, of which whole
// series are taken for one, and the same things without series, where years differ by
// slips alone: only of the first is it said, and only where most records have a year.
func TestSeriesAreNamed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		years  int     // of each thing
		filled float64 // of the records have one
		said   bool
	}{
		"years of one thing":      {4, 1, true},
		"one year":                {1, 1, false},
		"half of them have years": {4, 0.5, false},
	} {
		for seed := range uint64(2) {
			r := rand.New(rand.NewPCG(seed, 99))
			one := func(list string) string { words := strings.Fields(list); return words[r.IntN(len(words))] }
			word := func() string {
				return one("ka mo ti lu ra se no vi") + one("ran nod tik mel dor sin bek") + one("ka lo ne ri sta")
			}
			table := match.NewTable([]string{"label", "maker", "made", "region"})
			for range 1200 / c.years {
				label, maker, region := word()+" "+word()+" "+one("red white blanc"), word()+" "+word(), one("Alta Brina Costa Dorna Elva")
				for range c.years {
					year := fmt.Sprint(1980 + r.IntN(44))
					for copies := range 1 + r.IntN(2) {
						row := []string{label, maker, year, region}
						switch {
						case r.Float64() >= c.filled:
							row[2] = ""
						case copies > 0 && r.IntN(10) == 0:
							row[2] = year[:3] + fmt.Sprint(r.IntN(10))
						}
						if r.IntN(5) == 0 {
							row[r.IntN(2)] = word()
						}
						table.Add(0, row)
					}
				}
			}
			_, _, result := quality(t, table, make([]uint32, table.Len()))
			said := slices.ContainsFunc(result.Warnings, func(w string) bool {
				return strings.HasPrefix(w, "linked pairs often have two values of made (")
			})
			if said != c.said {
				t.Errorf("%s, seed %d: a series is named %t, want %t; notes %q", name, seed, said, c.said, result.Warnings)
			}
		}
	}
}
