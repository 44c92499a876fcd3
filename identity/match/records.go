package match

import (
	"cmp"
	"context"
	"errors"
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

	// alike says that all records of the table are equal in all columns.
	alike bool
	// seed of what is drawn at random: the model's, or that of the training.
	seed uint64
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

	mu sync.Mutex // guards partNumbers
	// partNumbers of the values, by the part.
	partNumbers map[string][]uint32
}

// keeps says that a level can occur.
func (f *field) keeps(l compare.Level) bool { return f.folds == nil || f.folds[l] == l }

func newRecords(ctx context.Context, t *Table, m *Model) (*records, error) {
	r := &records{model: m, seed: m.Seed, n: t.rows, fields: make([]field, len(m.Comparisons)), all: t.pairs(), alike: t.Alike()}
	if err := t.lacks(m); err != nil {
		return nil, err
	}
	columns := make([][]uint32, len(m.Comparisons))
	// Comparisons that are swapped now and then share a column.
	var groups [][]int
	partner := make([]bool, len(m.Comparisons))
	for i := range m.Comparisons {
		if partner[i] {
			continue // made with its partner
		}
		group := []int{i}
		if p := m.comparison(m.Comparisons[i].SwappedWith); p > i {
			group = append(group, p)
			partner[p] = true
		}
		groups = append(groups, group)
	}
	errs := make([]error, len(groups))
	err := parallel(ctx, len(groups), nil, func(g int) { errs[g] = r.newFields(t, groups[g], columns) })
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	return r, r.order(ctx, columns, t)
}

// newFields makes the comparisons of a group, which share a column, and of each
// the records' values in columns.
func (r *records) newFields(t *Table, group []int, columns [][]uint32) error {
	m := r.model
	var raw []string
	var counts []int
	var cells [][]uint32
	var starts []int
	for _, g := range group {
		places := make([]int, len(m.Comparisons[g].Columns))
		for k, name := range m.Comparisons[g].Columns {
			place, err := t.column(name)
			if err != nil {
				return fmt.Errorf("comparison %q: %w", m.Comparisons[g].Name, err)
			}
			places[k] = place
		}
		join := dashed
		if m.Comparisons[g].Kind == compare.ChineseAddress {
			join = widestFirst
		}
		c, values, n := t.joined(places, join)
		cells, starts = append(cells, c), append(starts, len(raw))
		if len(group) == 1 {
			raw, counts = values, n
		} else {
			raw, counts = append(raw, values...), append(counts, n...)
		}
	}
	column, ids, err := compare.NewColumn(m.Comparisons[group[0]].Kind, raw, counts)
	if err != nil {
		return fmt.Errorf("comparison %q: %w", m.Comparisons[group[0]].Name, err)
	}
	for k, g := range group {
		f := &r.fields[g]
		f.name, f.column, f.last = m.Comparisons[g].Name, column, compare.Level(len(compare.Levels(column.Kind())))
		// Of a single comparison all equal values weigh alike: see alone.
		f.rarity, f.partner, f.folds = m.Comparisons[g].Rarity && len(m.Comparisons) > 1, -1, m.Comparisons[g].folds()
		f.counts, f.partNumbers = make([]uint32, column.Len()), map[string][]uint32{}
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
	}
	return nil
}

// order puts the records into the order of their content.
func (r *records) order(ctx context.Context, columns [][]uint32, t *Table) error {
	hashes := make([][]uint64, len(columns)) // of the texts, by column and number
	err := parallel(ctx, len(columns), nil, func(i int) {
		list := make([]uint64, r.fields[i].column.Len())
		for id := range list {
			h := uint64(14695981039346656037)
			for _, b := range []byte(r.fields[i].column.Text(uint32(id))) {
				h = (h ^ uint64(b)) * 1099511628211
			}
			list[id] = h
		}
		hashes[i] = list
	})
	if err != nil {
		return err
	}
	// The hashes' first bits part the records into shares, which are sorted
	// one by one.
	const shares = 256
	type entry struct {
		hash uint64
		row  uint32
	}
	type share struct{ from, to int }
	pieces := make([]share, 0, 64)
	for from := 0; from < r.n; from += r.n/cap(pieces) + 1 {
		pieces = append(pieces, share{from, min(r.n, from+r.n/cap(pieces)+1)})
	}
	found := make([]entry, r.n)
	sizes := make([][shares]int, len(pieces))
	err = parallel(ctx, len(pieces), nil, func(piece int) {
		for row := pieces[piece].from; row < pieces[piece].to; row++ {
			e := entry{row: uint32(row)}
			if t.split {
				e.hash = uint64(t.sources[row])
			}
			for i, column := range columns {
				e.hash = mix(e.hash, hashes[i][column[row]])
			}
			found[row] = e
			sizes[piece][e.hash>>56]++
		}
	})
	if err != nil {
		return err
	}
	at := make([][shares]int, len(pieces)) // where the next entry of a piece and a share goes
	ends := [shares + 1]int{}
	sum := 0
	for s := range shares {
		for piece := range pieces {
			at[piece][s] = sum
			sum += sizes[piece][s]
		}
		ends[s+1] = sum
	}
	entries := make([]entry, r.n)
	err = parallel(ctx, len(pieces), nil, func(piece int) {
		for _, e := range found[pieces[piece].from:pieces[piece].to] {
			s := e.hash >> 56
			entries[at[piece][s]] = e
			at[piece][s]++
		}
	})
	if err != nil {
		return err
	}
	for r.width = 1; r.width < len(r.fields); {
		r.width *= 2
	}
	r.rows, r.ids = make([]uint32, r.n), make([]uint32, r.n*r.width)
	if t.split {
		r.sources = make([]uint8, r.n)
	}
	return parallel(ctx, shares, nil, func(s int) {
		mine := entries[ends[s]:ends[s+1]]
		slices.SortFunc(mine, func(a, b entry) int { return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.row, b.row)) })
		for k, e := range mine {
			record := ends[s] + k
			r.rows[record] = e.row
			for i, column := range columns {
				r.ids[record*r.width+i] = column[e.row]
			}
			if t.split {
				r.sources[record] = t.sources[e.row]
			}
		}
	})
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
	// Of one field: values and levels.
	x, y   [compare.Batch]uint32
	single [compare.Batch]compare.Level
}

// add takes a pair up, and says whether the batch is full.
func (b *batch) add(x, y uint32) bool {
	b.a[b.n], b.b[b.n] = x, y
	b.n++
	return b.n == compare.Batch
}

// compareAll sets the levels of a batch's pairs. The first field's values bring
// the others' into the cache, a line a record, with nothing in between that waits
// for them: so many lines are on their way at once.
func (r *records) compareAll(b *batch) {
	n := b.n
	clear(b.levels[:n])
	for i := range r.fields {
		ids, width := r.ids[i:], r.width
		for k := range n {
			b.x[k], b.y[k] = ids[int(b.a[k])*width], ids[int(b.b[k])*width]
		}
		r.fields[i].column.CompareAll(b.x[:n], b.y[:n], &b.single)
		if folds := r.fields[i].folds; folds != nil {
			for k, level := range b.single[:n] {
				b.single[k] = folds[level&15]
			}
		}
		for k, level := range b.single[:n] {
			b.levels[k] |= pattern(level) << (4 * i & 63)
		}
	}
	for i, j := range r.partners() {
		for k, p := range b.levels[:n] {
			if p>>(4*i)&13 == 1 || p>>(4*j)&13 == 1 {
				continue // as uncross says; most that are left are strangers
			}
			x, y := r.row(b.a[k]), r.row(b.b[k])
			b.levels[k] = r.uncross(p, i, j, x[i], x[j], y[i], y[j])
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
