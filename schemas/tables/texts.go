package tables

import (
	"encoding/binary"
	"iter"
)

// Texts is a column of texts, in the form in which ClickHouse's format Native has
// them: of each its length, a varint, and its bytes. So nothing of what they were
// read from is held by them, and there is one pointer for the collector to follow,
// where a list of strings has one for each.
type Texts struct {
	bytes []byte
	rows  int
	idle  int // how many blocks without a row there were since the last with some
}

// TextsOf is a column of texts.
func TextsOf(texts []string) Texts {
	var t Texts
	for _, text := range texts {
		t.add(text)
	}
	return t
}

// Len is how many texts there are.
func (t Texts) Len() int { return t.rows }

// Native is the column as the format Native has it. It is the column's memory.
func (t Texts) Native() []byte { return t.bytes }

// All yields the texts, copied, in order.
func (t Texts) All() iter.Seq[string] {
	return func(yield func(string) bool) {
		for rest := t.bytes; len(rest) > 0; {
			size, prefix := binary.Uvarint(rest)
			end := prefix + int(size)
			if !yield(string(rest[prefix:end])) {
				return
			}
			rest = rest[end:]
		}
	}
}

// Slice is the texts from one up to but not including another. It shares their
// memory, and reads those before them to find it.
func (t Texts) Slice(from, to int) Texts {
	at := 0
	skip := func(n int) {
		for range n {
			size, prefix := binary.Uvarint(t.bytes[at:])
			at += prefix + int(size)
		}
	}
	skip(from)
	begin := at
	skip(to - from)
	return Texts{bytes: t.bytes[begin:at:at], rows: to - from}
}

func (t *Texts) add(text string) {
	t.rows++
	t.bytes = append(lengthened(t.bytes, len(text)), text...)
}

func (t *Texts) addBytes(text []byte) {
	t.rows++
	t.bytes = append(lengthened(t.bytes, len(text)), text...)
}

// lengthened appends the length of a text.
func lengthened(to []byte, n int) []byte {
	if n < 0x80 {
		return append(to, byte(n))
	}
	return binary.AppendUvarint(to, uint64(n))
}

const (
	// keptBytes is how much memory is kept whatever was in it.
	keptBytes = 64 << 10
	// keptIdle is for how many blocks without a row more is.
	keptIdle = 100
)

// reset keeps the memory for what comes next, but not that of a large block when
// this was a small one, or it has not been used for long.
func (t *Texts) reset() {
	if t.idle++; t.rows > 0 {
		t.idle = 0
	}
	if cap(t.bytes) > keptBytes && (t.idle > keptIdle || t.rows > 0 && len(t.bytes) < cap(t.bytes)/8) {
		t.bytes = nil
	}
	t.bytes, t.rows = t.bytes[:0], 0
}

// texts adds a column of texts to c.
func texts(c *columns, name string) *Texts {
	t := new(Texts)
	c.list = append(c.list, column{name, func() any { return *t }, t.reset})
	return t
}

// TextLists is a column of arrays of texts.
type TextLists struct {
	ends  []uint64 // where each row's end, among all
	texts Texts
}

// Len is how many arrays there are.
func (l TextLists) Len() int { return len(l.ends) }

// Ends says where each array ends among all Texts.
func (l TextLists) Ends() []uint64 { return l.ends }

// Texts are those of all arrays.
func (l TextLists) Texts() Texts { return l.texts }

// Slice is the arrays from one up to but not including another.
func (l TextLists) Slice(from, to int) TextLists {
	ends, first, last := cutEnds(l.ends, from, to)
	return TextLists{ends, l.texts.Slice(first, last)}
}

// IntLists is a column of arrays of numbers.
type IntLists struct {
	ends   []uint64
	values []int64
}

// Len is how many arrays there are.
func (l IntLists) Len() int { return len(l.ends) }

// Ends says where each array ends among all Values.
func (l IntLists) Ends() []uint64 { return l.ends }

// Values are those of all arrays.
func (l IntLists) Values() []int64 { return l.values }

// Slice is the arrays from one up to but not including another.
func (l IntLists) Slice(from, to int) IntLists {
	ends, first, last := cutEnds(l.ends, from, to)
	return IntLists{ends, l.values[first:last]}
}

// cutEnds are the ends of some arrays, counted from where the first of them
// begins, and which of all values are theirs.
func cutEnds(ends []uint64, from, to int) (cut []uint64, first, last int) {
	if from == to {
		return nil, 0, 0
	}
	var begin uint64
	if from > 0 {
		begin = ends[from-1]
	}
	cut = make([]uint64, to-from)
	for i := range cut {
		cut[i] = ends[from+i] - begin
	}
	return cut, int(begin), int(ends[to-1])
}

// arrays are columns of arrays that are as long as each other in each row.
type arrays struct{ ends []uint64 }

// add begins a row of arrays of n values, for the caller to add to each column.
func (a *arrays) add(n int) {
	last := uint64(n)
	if len(a.ends) > 0 {
		last += a.ends[len(a.ends)-1]
	}
	a.ends = append(a.ends, last)
}

func (a *arrays) texts(c *columns, name string) *Texts {
	t := new(Texts)
	c.list = append(c.list, column{name, func() any { return TextLists{a.ends, *t} }, func() {
		a.ends = a.ends[:0]
		t.reset()
	}})
	return t
}

func (a *arrays) ints(c *columns, name string) *[]int64 {
	values := new([]int64)
	c.list = append(c.list, column{name, func() any { return IntLists{a.ends, *values} }, func() {
		a.ends, *values = a.ends[:0], (*values)[:0]
	}})
	return values
}
