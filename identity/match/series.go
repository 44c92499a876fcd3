package match

import (
	"fmt"
	"strings"

	"oneid/identity/match/compare"
)

const (
	// fewestAlike is how many links must have one value: a column in which no linked
	// pair agrees numbers the records, or what was measured each time.
	fewestAlike = 20
	// wellFilled is the share of the records that must have a value.
	wellFilled = 0.8
	// mostDiffer is the share of the links that have two values of which differ more
	// than slips make them.
	mostDiffer = 0.25
)

// series says of codes and categories that most records have where linked
// pairs often have two values: the years of a wine and the numbers of a magazine
// agree in all but that. What is worth nothing is said elsewhere.
func (out *Result) series(r *records) (warnings []string) {
	var columns []string
	for i := range r.fields {
		f := &r.fields[i]
		if kind := f.column.Kind(); kind != compare.Code && kind != compare.Category {
			continue // numbers are often measured anew
		}
		if float64(f.filled) < wellFilled*float64(r.n) || out.Learned.Fields[i].Weight(1) < 0.1 {
			continue
		}
		alike, differ := 0, 0
		for _, l := range out.Links {
			if l.Probability() < out.Threshold {
				break // the best come first
			}
			level := l.levels.level(i)
			if level == 0 || out.Cluster[l.A] != out.Cluster[l.B] {
				continue
			}
			if level >= 2 {
				differ++
			} else {
				alike++
			}
		}
		if both := float64(alike + differ); alike >= fewestAlike && float64(differ) >= mostDiffer*both {
			columns = append(columns, fmt.Sprintf("%s (in %.0f %%)", f.name, 100*float64(differ)/both))
		}
	}
	if len(columns) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("linked pairs often have two values of %s: if one entity has one of it, as a vintage or an issue has, whole series are taken for one; look at some pairs, and then say exclusive: true at that column in a model, which parts records with a slip in it, too", strings.Join(columns, ", "))}
}
