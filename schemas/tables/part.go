package tables

import (
	"reflect"
	"slices"
)

// part is some rows of a block, which it shares.
type part struct {
	Block
	from, to int
}

// Part is the rows of a block from one up to but not including another, as a
// block of their own; it is for reading, and only until the block is Reset.
func Part(b Block, from, to int) Block { return part{b, from, to} }

// Columns implements Block.
func (p part) Columns() ([]string, []any) {
	names, values := p.Block.Columns()
	for i, column := range values {
		values[i] = cut(column, p.from, p.to)
	}
	return names, values
}

// Rows implements Block.
func (p part) Rows() int { return p.to - p.from }

// cut is some rows of a column.
func cut(column any, from, to int) any {
	switch c := column.(type) {
	case Texts:
		return c.Slice(from, to)
	case TextLists:
		return c.Slice(from, to)
	case IntLists:
		return c.Slice(from, to)
	}
	return reflect.ValueOf(column).Slice(from, to).Interface() // every other column is a slice
}

// Plain is a column as a slice of Go's own: of strings, of lists of them or of
// numbers; a column that is a slice already as it is.
func Plain(column any) any {
	switch c := column.(type) {
	case Texts:
		return slices.AppendSeq(make([]string, 0, c.Len()), c.All())
	case TextLists:
		return listed(slices.Collect(c.texts.All()), c.ends)
	case IntLists:
		return listed(c.values, c.ends)
	}
	return column
}

func listed[T any](values []T, ends []uint64) [][]T {
	lists, from := make([][]T, len(ends)), uint64(0)
	for i, end := range ends {
		lists[i] = values[from:end:end]
		from = end
	}
	return lists
}
