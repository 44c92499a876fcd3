package match

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"oneid/identity/match/compare"
)

// Table is records as columns. Each different value of a column is kept once,
// and a record as the numbers of its values; 0 is an empty one.
type Table struct {
	columns []string
	rows    int
	cells   [][]uint32      // by column and row
	values  []compare.Texts // by column; number 0 is the empty one
	counts  [][]int         // rows with each value, by column and number
	sources []uint8         // by row
	split   bool            // there is more than one source
}

// NewTable makes an empty table.
func NewTable(columns []string) *Table {
	t := &Table{columns: slices.Clone(columns), values: make([]compare.Texts, len(columns))}
	for c := range columns {
		t.cells = append(t.cells, nil)
		t.values[c].Add("")
		t.counts = append(t.counts, []int{0})
	}
	return t
}

// Add appends a record of a source. fields has a value for each column, and is
// not kept.
func (t *Table) Add(source uint8, fields []string) {
	for c, text := range fields {
		t.add(c, text)
	}
	t.addSource(source)
}

func (t *Table) addSource(source uint8) {
	t.sources = append(t.sources, source)
	t.split = t.split || source != t.sources[0]
	t.rows++
}

func (t *Table) add(column int, text string) {
	number, _ := t.values[column].Add(text)
	t.count(column, number)
}

// count takes up the number of the next row's value.
func (t *Table) count(column int, number uint32) {
	if int(number) == len(t.counts[column]) { // it is new
		t.counts[column] = append(withRoom(t.counts[column]), 0)
	}
	t.counts[column][number]++
	t.cells[column] = append(withRoom(t.cells[column]), number)
}

// withRoom doubles the room of a list that is full: append gives a long one a quarter
// more, and copies it every time.
func withRoom[T any](list []T) []T {
	if len(list) < cap(list) {
		return list
	}
	return slices.Grow(list, len(list)+64)
}

// Batch is some records on their way into a table. They may have values beyond
// the table's columns, which the table leaves alone. The zero value has no
// record.
type Batch struct {
	texts   strings.Builder
	text    string // all values, behind each other
	ends    []int  // of the values, record by record
	sources []uint8
}

// NewBatch makes an empty one with room for so many values, of so many bytes
// together.
func NewBatch(values, size int) *Batch {
	b := &Batch{ends: make([]int, 0, values)}
	b.texts.Grow(size)
	return b
}

// Add appends a record of a source, with as many values as the others of the
// batch have. They are not kept.
func (b *Batch) Add(source uint8, fields ...string) {
	for _, field := range fields {
		b.texts.WriteString(field)
		b.ends = append(b.ends, b.texts.Len())
	}
	b.text = b.texts.String()
	b.sources = append(b.sources, source)
}

// Len is the number of records.
func (b *Batch) Len() int { return len(b.sources) }

// Size is the number of bytes of all values.
func (b *Batch) Size() int { return len(b.text) }

// Values gives a value of each record, the column-th.
func (b *Batch) Values(column int) iter.Seq[string] {
	return func(yield func(string) bool) {
		if len(b.sources) == 0 {
			return
		}
		width := len(b.ends) / len(b.sources)
		for row := range b.sources {
			from, at := 0, row*width+column
			if at > 0 {
				from = b.ends[at-1]
			}
			if !yield(b.text[from:b.ends[at]]) {
				return
			}
		}
	}
}

// AddBatch appends records as Add does, several columns at a time. An error is
// the context's; the table is of no use then.
func (t *Table) AddBatch(ctx context.Context, b *Batch) error {
	err := parallel(ctx, len(t.columns), nil, func(c int) {
		for number := range t.values[c].AddAll(b.Values(c)) {
			t.count(c, number)
		}
	})
	for _, source := range b.sources {
		t.addSource(source)
	}
	return err
}

// Len is the number of records.
func (t *Table) Len() int { return t.rows }

// Columns are the columns' names.
func (t *Table) Columns() []string { return t.columns }

// Linked says whether records of several sources are there, so that only pairs
// of two sources are compared.
func (t *Table) Linked() bool { return t.split }

// Source is the source of a row.
func (t *Table) Source(row int) uint8 { return t.sources[row] }

// Values gives the different values of a column and how many records have
// each; the first is the empty one.
func (t *Table) Values(column int) (values []string, counts []int) {
	return t.values[column].List(), t.counts[column]
}

// Value is a record's value in a column.
func (t *Table) Value(row, column int) string {
	return t.values[column].List()[t.cells[column][row]]
}

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
		return t.cells[c], t.values[c].List(), t.counts[c]
	}
	cells = make([]uint32, t.rows)
	var texts compare.Texts
	texts.Add("")
	counts = []int{0}
	parts := make([]string, len(columns))
	for row := range t.rows {
		for i, c := range columns {
			parts[i] = t.Value(row, c)
		}
		number, added := texts.Add(join(parts))
		if added {
			counts = append(counts, 0)
		}
		counts[number]++
		cells[row] = number
	}
	return cells, texts.List(), counts
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

// Alike says that all records are equal, and have a value.
func (t *Table) Alike() bool {
	some := false
	for _, counts := range t.counts {
		for number, n := range counts {
			if n > 0 && n < t.rows {
				return false
			}
			some = some || n > 0 && number > 0
		}
	}
	return some
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
