package evaluate

import (
	"cmp"
	"slices"
)

// Confusion is two people who were found as one customer, or, with the two
// sides of Confusions changed over, two customers that are one person.
type Confusion struct {
	// A and B are the first records of each in the common group.
	A, B int
	// Pairs of records of the two, all of which are wrong.
	Pairs int64
}

// mostInGroup bounds how many people of a group are looked at, the largest
// first: their pairs grow with the square.
const mostInGroup = 8

// Confusions lists which parts lie in one group together, by record: parts are
// the people and groups the customers for what is joined wrongly, and the
// other way round for what is apart wrongly. Most pairs first.
func Confusions[G, P comparable](groups []G, parts []P) []Confusion {
	type cell struct {
		part  P
		first int
		size  int64
	}
	cells := map[G][]cell{} // of a group, in the order of their first records
	var order []G
	at := map[G]map[P]int{}
	for record, g := range groups {
		if at[g] == nil {
			at[g] = map[P]int{}
			order = append(order, g)
		}
		i, ok := at[g][parts[record]]
		if !ok {
			i = len(cells[g])
			at[g][parts[record]] = i
			cells[g] = append(cells[g], cell{parts[record], record, 0})
		}
		cells[g][i].size++
	}
	var list []Confusion
	for _, g := range order {
		in := cells[g]
		slices.SortStableFunc(in, func(a, b cell) int { return cmp.Compare(b.size, a.size) })
		in = in[:min(len(in), mostInGroup)]
		for i, a := range in {
			for _, b := range in[i+1:] {
				list = append(list, Confusion{min(a.first, b.first), max(a.first, b.first), a.size * b.size})
			}
		}
	}
	slices.SortStableFunc(list, func(a, b Confusion) int { return cmp.Compare(b.Pairs, a.Pairs) })
	return list
}
