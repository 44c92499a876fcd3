package match

import (
	"fmt"
	"strings"
)

const (
	// nearlyUnique is the share of different values among those of a single
	// comparison from which they name something. Cities and surnames are far below.
	nearlyUnique = 0.5
	// chance is the most of the equal pairs of a single comparison that may be
	// expected among strangers.
	chance = 0.1
)

// alone learns of a single comparison what can be: from how many pairs agree
// nothing follows for m and the prior, so that expectation and maximisation have
// nothing to find. Equal values are one entity if the column is nearly unique and
// strangers would hardly have any; all others are not. It says which, and why.
func (l *learning) alone() (warning string) {
	f := &l.out.Fields[0]
	l.out.Converged, l.out.Near, f.N = true, []float64{}, [][]float64{}
	if l.r.alike {
		return l.alike()
	}
	equal, expected := l.levels[0][1], l.r.all*l.r.byChance(0)
	unique := float64(f.Distinct) / float64(max(1, f.Filled))
	linked := unique >= nearlyUnique && equal >= 1 && expected <= chance*equal
	// What is not equal is as among strangers, and so are all where equal values
	// say nothing.
	l.strangers()
	copy(f.M, f.U)
	l.out.Prior = 0.5 / l.r.all
	if linked {
		const other = 1e-6
		for k := range f.M {
			f.M[k] *= other
		}
		f.M[0] = 1
		l.out.Prior = min(0.5, (equal-expected)/l.r.all)
		f.U[0] = max(expected, 0.5) / l.r.all
		normalise(l.kind(0), f.M)
		normalise(l.kind(0), f.U)
	}
	why := fmt.Sprintf("%s is all that is compared, and by one comparison alone it is not learned how alike two records of one entity are. %.0f %% of its values are different, %.0f pairs of records have equal ones, and among strangers it would be about %.1f", f.Name, 100*unique, equal, expected)
	if linked {
		return why + ": so records with equal values are one cluster, and those with like values are not. Compare more columns if equal values may be two entities, or like ones one"
	}
	return why + ": so equal values say nothing, and no two records are linked. Compare more columns"
}

// alike takes records that are equal in all columns for one entity.
func (l *learning) alike() (warning string) {
	f := &l.out.Fields[0]
	l.out.Prior = 0.5
	const hardly = 1e-6
	for k := range f.M {
		f.M[k], f.U[k] = hardly, hardly
	}
	f.M[0], f.U[len(f.U)-1] = 1, 1
	normalise(l.kind(0), f.M)
	normalise(l.kind(0), f.U)
	return fmt.Sprintf("all %d records are equal in all columns, so they are one cluster; if they are several entities, add a column that tells them apart", l.r.n)
}

// byChance is the probability that two strangers have equal values, if the parts of
// a value go together by chance: its words, or the characters of one word. How often
// two have the same part in a place is taken from the different values, so that
// what stands in the table twice counts once.
func (r *records) byChance(field int) float64 {
	f := &r.fields[field]
	words, characters := &places{}, &places{}
	for id := 1; id < f.column.Len(); id++ {
		text := f.column.Text(uint32(id))
		if f.counts[id] == 0 || strings.IndexByte(text, '*') >= 0 {
			continue
		}
		if parts := strings.Fields(text); len(parts) > 1 {
			words.add(parts)
		} else {
			characters.add(strings.Split(text, ""))
		}
	}
	all := words.values + characters.values
	if all == 0 {
		return 1
	}
	a, b := words.values/all, characters.values/all
	return a*a*words.agree() + b*b*characters.agree()
}

// places counts the parts of values by where they stand.
type places struct {
	parts  []map[string]float64
	values float64
}

func (p *places) add(parts []string) {
	p.values++
	for len(p.parts) < len(parts) {
		p.parts = append(p.parts, map[string]float64{})
	}
	for i, part := range parts {
		p.parts[i][part]++
	}
}

// agree is the probability that two values have the same parts in all places; none
// is a part, too.
func (p *places) agree() float64 {
	if p.values < 2 {
		return 0
	}
	product := 1.0
	for _, counts := range p.parts {
		none, same := p.values, 0.0
		for _, n := range counts {
			same += n * (n - 1)
			none -= n
		}
		product *= (same + none*(none-1)) / (p.values * (p.values - 1))
	}
	return product
}
