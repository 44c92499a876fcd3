package match

import (
	"fmt"
	"slices"
	"strings"
)

// Table is records as columns. Each different value of a column is kept once,
// and a record as the numbers of its values; 0 is an empty one.
type Table struct {
	columns []string
	rows    int
	cells   [][]uint32 // by column and row
	values  [][]string // by column and number
	counts  [][]int    // rows with each value, likewise
	numbers []map[string]uint32
	texts   []arena
	sources []uint8 // by row; empty while all rows are of source 0
	split   bool    // there is more than one source
}

// NewTable makes an empty table.
func NewTable(columns []string) *Table {
	t := &Table{columns: slices.Clone(columns)}
	for range columns {
		t.cells = append(t.cells, nil)
		t.values = append(t.values, []string{""})
		t.counts = append(t.counts, []int{0})
		t.numbers = append(t.numbers, map[string]uint32{"": 0})
		t.texts = append(t.texts, arena{})
	}
	return t
}

// Add appends a record of a source. fields has a value for each column, and is
// not kept.
func (t *Table) Add(source uint8, fields []string) {
	for c, text := range fields {
		number, ok := t.numbers[c][text]
		if !ok {
			number = uint32(len(t.values[c]))
			text = t.texts[c].keep(text)
			t.numbers[c][text] = number
			t.values[c] = append(t.values[c], text)
			t.counts[c] = append(t.counts[c], 0)
		}
		t.counts[c][number]++
		t.cells[c] = append(t.cells[c], number)
	}
	t.sources = append(t.sources, source)
	t.split = t.split || source != t.sources[0]
	t.rows++
}

// arena keeps texts side by side, so that the garbage collector has few blocks
// to look at instead of one for each text.
type arena struct{ block strings.Builder }

func (a *arena) keep(text string) string {
	const size = 1 << 16
	if a.block.Len()+len(text) > a.block.Cap() {
		a.block = strings.Builder{} // what is in the old block stays with its texts
		a.block.Grow(max(size, len(text)))
	}
	from := a.block.Len()
	a.block.WriteString(text)
	return a.block.String()[from:]
}

// Len is the number of records.
func (t *Table) Len() int { return t.rows }

// Columns are the columns' names.
func (t *Table) Columns() []string { return t.columns }

// Linked says whether records of several sources are there, so that only pairs
// of two sources are compared.
func (t *Table) Linked() bool { return t.split }

// Values gives the different values of a column and how many records have
// each; the first is the empty one.
func (t *Table) Values(column int) (values []string, counts []int) {
	return t.values[column], t.counts[column]
}

// Value is a record's value in a column.
func (t *Table) Value(row, column int) string { return t.values[column][t.cells[column][row]] }

// column finds a column by its name.
func (t *Table) column(name string) (int, error) {
	if i := slices.Index(t.columns, name); i >= 0 {
		return i, nil
	}
	return 0, fmt.Errorf("there is no column %q; there are %q", name, t.columns)
}

// lacks names the columns of a model that are not there.
func (t *Table) lacks(m *Model) error {
	var missing []string
	for _, c := range m.Comparisons {
		for _, name := range c.Columns {
			if !slices.Contains(t.columns, name) && !slices.Contains(missing, name) {
				missing = append(missing, name)
			}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("the model compares the columns %q, which are not there; there are %q", missing, t.columns)
}

// joined gives the columns' values of each record as one column: as they are
// for a single one, put together by join otherwise.
func (t *Table) joined(columns []int, join func(parts []string) string) (cells []uint32, values []string, counts []int) {
	if len(columns) == 1 {
		c := columns[0]
		return t.cells[c], t.values[c], t.counts[c]
	}
	cells = make([]uint32, t.rows)
	values, counts = []string{""}, []int{0}
	numbers := map[string]uint32{"": 0}
	parts := make([]string, len(columns))
	for row := range t.rows {
		for i, c := range columns {
			parts[i] = t.values[c][t.cells[c][row]]
		}
		text := join(parts)
		number, ok := numbers[text]
		if !ok {
			number = uint32(len(values))
			numbers[text] = number
			values, counts = append(values, text), append(counts, 0)
		}
		counts[number]++
		cells[row] = number
	}
	return cells, values, counts
}

// dashed puts the parts of a date or a place together. Without one of them
// there is none.
func dashed(parts []string) string {
	if slices.Contains(parts, "") {
		return ""
	}
	return strings.Join(parts, "-")
}

// widestFirst puts the parts of a Chinese address together: those that are
// there, and none that a later one says again, as where the town is a column of
// its own and begins the whole address, too.
func widestFirst(parts []string) string {
	var b strings.Builder
	for i, part := range parts {
		if !slices.ContainsFunc(parts[i+1:], func(later string) bool { return strings.Contains(later, part) }) {
			b.WriteString(part)
		}
	}
	return b.String()
}

// pairs is the number of pairs of records that may be one entity.
func (t *Table) pairs() float64 {
	n := float64(t.rows)
	all := n * (n - 1) / 2
	if !t.split {
		return all
	}
	var sizes [256]float64
	for _, s := range t.sources {
		sizes[s]++
	}
	for _, n := range sizes {
		all -= n * (n - 1) / 2
	}
	return all
}
