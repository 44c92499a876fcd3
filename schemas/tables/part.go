package tables

import "reflect"

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
		values[i] = reflect.ValueOf(column).Slice(p.from, p.to).Interface() // every column is a slice
	}
	return names, values
}

// Rows implements Block.
func (p part) Rows() int { return p.to - p.from }
