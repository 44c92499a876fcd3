package match

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"sync"

	"oneid/identity/match/compare"
)

// records is a table as its comparisons see it.
type records struct {
	model *Model
	n     int
	// rows are the records as rows of the table: here they are in an order
	// made from their content, so that the order of the rows changes nothing.
	rows   []uint32
	fields []field
	// ids has the value of each field of each record, record by record, so
	// that all of one lie side by side: width of them, so that they lie in one
	// line of memory.
	ids     []uint32
	width   int
	sources []uint8 // nil unless only pairs of two sources count
	all     float64 // pairs that may be one entity

	// seed of what is drawn at random: the model's, or that of the training.
	seed uint64

	mu sync.Mutex // guards partNumbers
	// partNumbers of the values of a field, by its name and the part.
	partNumbers map[[2]string][]uint32
}

// field is one comparison over a table.
type field struct {
	name   string
	column *compare.Column // shared by two fields that are swapped now and then
	last   compare.Level
	rarity bool
	// partner is the field that this one is swapped with, or -1. Only the
	// first of the two has it.
	partner int
	// counts of records by value.
	counts []uint32
	filled int
	// folds says what each level counts as where the model chose some of
	// them; nil leaves them as they are.
	folds *[16]compare.Level
}

// keeps says that a level can occur.
func (f *field) keeps(l compare.Level) bool { return f.folds == nil || f.folds[l] == l }

func newRecords(t *Table, m *Model) (*records, error) {
	r := &records{model: m, seed: m.Seed, n: t.rows, fields: make([]field, len(m.Comparisons)), all: t.pairs(), partNumbers: map[[2]string][]uint32{}}
	if err := t.lacks(m); err != nil {
		return nil, err
	}
	columns := make([][]uint32, len(m.Comparisons))
	for i := range m.Comparisons {
		if r.fields[i].column != nil {
			continue // made with its partner
		}
		group := []int{i}
		if p := m.comparison(m.Comparisons[i].SwappedWith); p > i {
			group = append(group, p)
		}
		var raw []string
		var counts []int
		var cells [][]uint32
		var starts []int
		for _, g := range group {
			places := make([]int, len(m.Comparisons[g].Columns))
			for k, name := range m.Comparisons[g].Columns {
				place, err := t.column(name)
				if err != nil {
					return nil, fmt.Errorf("comparison %q: %w", m.Comparisons[g].Name, err)
				}
				places[k] = place
			}
			join := dashed
			if m.Comparisons[g].Kind == compare.ChineseAddress {
				join = widestFirst
			}
			c, values, n := t.joined(places, join)
			cells, starts = append(cells, c), append(starts, len(raw))
			raw, counts = append(raw, values...), append(counts, n...)
		}
		column, ids, err := compare.NewColumn(m.Comparisons[i].Kind, raw, counts)
		if err != nil {
			return nil, fmt.Errorf("comparison %q: %w", m.Comparisons[i].Name, err)
		}
		for k, g := range group {
			f := field{
				name: m.Comparisons[g].Name, column: column, last: compare.Level(len(compare.Levels(column.Kind()))),
				rarity: m.Comparisons[g].Rarity, partner: -1, counts: make([]uint32, column.Len()),
				folds: m.Comparisons[g].folds(),
			}
			if k == 0 && len(group) > 1 {
				f.partner = group[1]
			}
			columns[g] = make([]uint32, t.rows)
			for row, number := range cells[k] {
				id := ids[starts[k]+int(number)]
				columns[g][row] = id
				f.counts[id]++
			}
			f.filled = t.rows - int(f.counts[0])
			r.fields[g] = f
		}
	}
	r.order(columns, t)
	return r, nil
}

// order puts the records into the order of their content.
func (r *records) order(columns [][]uint32, t *Table) {
	type entry struct {
		hash uint64
		row  uint32
	}
	entries := make([]entry, r.n)
	for row := range entries {
		entries[row].row = uint32(row)
		if t.split {
			entries[row].hash = uint64(t.sources[row])
		}
	}
	for i, column := range columns {
		hashes := make([]uint64, r.fields[i].column.Len())
		for id := range hashes {
			h := uint64(14695981039346656037)
			for _, b := range []byte(r.fields[i].column.Text(uint32(id))) {
				h = (h ^ uint64(b)) * 1099511628211
			}
			hashes[id] = h
		}
		for row, id := range column {
			entries[row].hash = mix(entries[row].hash, hashes[id])
		}
	}
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.row, b.row)) })
	for r.width = 1; r.width < len(r.fields); {
		r.width *= 2
	}
	r.rows, r.ids = make([]uint32, r.n), make([]uint32, r.n*r.width)
	if t.split {
		r.sources = make([]uint8, r.n)
	}
	for record, e := range entries {
		r.rows[record] = e.row
		for i, column := range columns {
			r.ids[record*r.width+i] = column[e.row]
		}
		if t.split {
			r.sources[record] = t.sources[e.row]
		}
	}
}

// row gives a record's values by field.
func (r *records) row(record uint32) []uint32 {
	at := int(record) * r.width
	return r.ids[at : at+len(r.fields)]
}

// pattern is the levels of a pair, four bits a field, the first lowest.
type pattern uint64

func (p pattern) level(field int) compare.Level { return compare.Level(p >> (4 * field) & 15) }

// compare gives the levels of a pair.
func (r *records) compare(a, b uint32) pattern {
	x, y := r.row(a), r.row(b)
	var p pattern
	for i := range r.fields {
		level := r.fields[i].column.Compare(x[i], y[i])
		if folds := r.fields[i].folds; folds != nil {
			level = folds[level]
		}
		p |= pattern(level) << (4 * i)
	}
	for i, j := range r.partners() {
		p = r.uncross(p, i, j, x[i], x[j], y[i], y[j])
	}
	return p
}

// batch is pairs to be compared together.
type batch struct {
	a, b   [compare.Batch]uint32
	n      int
	levels [compare.Batch]pattern
	// Values and levels by field.
	x, y   [maxComparisons][compare.Batch]uint32
	single [compare.Batch]compare.Level
}

// add takes a pair up, and says whether the batch is full.
func (b *batch) add(x, y uint32) bool {
	b.a[b.n], b.b[b.n] = x, y
	b.n++
	return b.n == compare.Batch
}

// compareAll sets the levels of a batch's pairs.
func (r *records) compareAll(b *batch) {
	for k := range b.n {
		b.levels[k] = 0
		x, y := r.row(b.a[k]), r.row(b.b[k])
		for i := range x {
			b.x[i][k], b.y[i][k] = x[i], y[i]
		}
	}
	for i := range r.fields {
		r.fields[i].column.CompareAll(b.x[i][:b.n], b.y[i][:b.n], &b.single)
		if folds := r.fields[i].folds; folds != nil {
			for k := range b.n {
				b.single[k] = folds[b.single[k]]
			}
		}
		for k := range b.n {
			b.levels[k] |= pattern(b.single[k]) << (4 * i)
		}
	}
	for i, j := range r.partners() {
		for k := range b.n {
			b.levels[k] = r.uncross(b.levels[k], i, j, b.x[i][k], b.x[j][k], b.y[i][k], b.y[j][k])
		}
	}
}

// partners are the pairs of fields that are swapped now and then.
func (r *records) partners() iter.Seq2[int, int] {
	return func(yield func(int, int) bool) {
		for i := range r.fields {
			if j := r.fields[i].partner; j >= 0 && !yield(i, j) {
				return
			}
		}
	}
}

// uncross finds names that stand in each other's column, fields i and j of two
// records: two that are nothing like each other may do so. What both say
// together is said once, by the first.
func (r *records) uncross(p pattern, i, j int, firstA, lastA, firstB, lastB uint32) pattern {
	if l, k := p.level(i), p.level(j); l == 1 || k == 1 || l == 3 || k == 3 || !crossed(r.fields[i].column, firstA, lastA, firstB, lastB) {
		return p
	}
	p &^= 15<<(4*i) | 15<<(4*j)
	return p | pattern(compare.Swapped)<<(4*i)
}

// crossed says that each of two names is like the other of the other record;
// one may be missing.
func crossed(c *compare.Column, firstA, lastA, firstB, lastB uint32) bool {
	one, missing := c.Alike(firstA, lastB), firstA == 0 || lastB == 0
	return (one || missing) && (c.Alike(lastA, firstB) || one && (lastA == 0 || firstB == 0))
}
