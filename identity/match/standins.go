package match

import (
	"fmt"
	"slices"
)

const (
	// standIn is the share of a column's values from which one is a stand-in for
	// none, as 1900-01-01 and none@none.com.
	standIn = 0.05
	// fewestStandIns is how many records must have it.
	fewestStandIns = 10
	// outstanding is with how many times the next most frequent value a stand-in
	// stands: common names come in all frequencies.
	outstanding = 5
	// mostStandIns are those of a column.
	mostStandIns = 3
)

// EmptyStandIns empties the values that a nearly unique column has far too often:
// they stand for none, and records with one would be taken for alike. It says which,
// by a row that has it, and how often; no value is told.
func (t *Table) EmptyStandIns() (notes []string) {
	if len(t.columns) < 2 {
		return nil // nothing says whether it is one, or one entity that is often there
	}
	found := make([][]uint32, len(t.columns))
	for c := range t.columns { // all, before the first is emptied
		found[c] = slices.DeleteFunc(t.standIns(c), func(number uint32) bool { return t.oneEntity(c, number) })
	}
	for c, name := range t.columns {
		for _, number := range found[c] {
			row := slices.Index(t.cells[c], number)
			n := t.counts[c][number]
			filled := t.rows - t.counts[c][0]
			for i, cell := range t.cells[c][row:] {
				if cell == number {
					t.cells[c][row+i] = 0
				}
			}
			t.counts[c][0], t.counts[c][number] = t.counts[c][0]+n, 0
			notes = append(notes, fmt.Sprintf("%s: %d of %d values are one and the same, that of row %d, and most others are different: it is taken for a stand-in for none, and left empty", name, n, filled, row+1))
		}
	}
	return notes
}

// standIns are the numbers of the values of a column that stand for none, the most
// frequent one first.
func (t *Table) standIns(column int) []uint32 {
	counts := t.counts[column]
	order := make([]uint32, 0, mostStandIns+1) // the most frequent values
	different := 0
	for number := 1; number < len(counts); number++ {
		if counts[number] == 0 {
			continue
		}
		different++
		at := len(order)
		for at > 0 && counts[order[at-1]] < counts[number] {
			at--
		}
		if at > mostStandIns {
			continue
		}
		order = slices.Insert(order, at, uint32(number))
		order = order[:min(len(order), mostStandIns+1)]
	}
	filled := t.rows - counts[0]
	rest := filled
	for i, number := range order[:min(len(order), mostStandIns)] {
		n := counts[number]
		if n < fewestStandIns || float64(n) < standIn*float64(filled) || i+1 == len(order) {
			break
		}
		rest -= n
		if 2*rest >= filled && n >= outstanding*counts[order[i+1]] && float64(different-i-1) >= nearlyUnique*float64(rest) {
			return order[:i+1]
		}
	}
	return nil
}

// oneEntity says that the records with a value have most of the other columns that tell
// records apart in common, too: they are one entity that is often there, and the value
// is no stand-in.
func (t *Table) oneEntity(column int, number uint32) bool {
	shared, telling := 0, 0
	for c := range t.columns {
		different := 0
		for _, n := range t.counts[c][1:] {
			if n > 0 {
				different++
			}
		}
		if c == column || float64(different) < nearlyUnique*float64(t.rows-t.counts[c][0]-t.counts[column][number]) {
			continue
		}
		telling++
		of, most, filled := map[uint32]int{}, 0, 0
		for row, cell := range t.cells[column] {
			if v := t.cells[c][row]; cell == number && v != 0 {
				filled++
				of[v]++
				most = max(most, of[v])
			}
		}
		if 2*most > filled && filled > 0 {
			shared++
		}
	}
	return 2*shared > telling
}
