package engine

import (
	"unsafe"

	"oneid/identity"
)

// batch is what an Apply gathers on its way.
type batch struct {
	sequence uint64
	changes  Changes
	rows     []Row
	// Numbers before the batch: what lies at or above is new.
	accounts, identifiers, sightings, names, shops, appearances int

	fresh    []newborn // in the order of births
	touched  marks     // identifiers of which something changed that joins
	before   []joined  // what those of them that joined anybody joined before, in their order
	dirty    marks     // accounts to resolve
	resolved marks     // and those that were
	widened  marks     // sightings
	order    []uint32  // sightings that are new or widened, in order
	moved    marks     // accounts whose row changed
	moves    []moveRow
	arena    []byte // of the rows
	// near are pairs that the model asks about, around what was resolved.
	near []identity.Resemblance
	// former are pairs of accounts that may resemble each other no more.
	former map[pair]bool
}

type joined struct {
	identifier uint32
	groups     []identity.Group
}

type moveRow struct{ account, from, to, reason uint32 }

// begin begins a batch, in the memory of the last one.
func (e *Engine) begin(sequence uint64) *batch {
	b, t := e.last, &e.tables
	if b == nil {
		b = &batch{}
	}
	e.last = nil
	for _, m := range []*marks{&b.touched, &b.dirty, &b.resolved, &b.widened, &b.moved} {
		m.clear()
	}
	b.sequence, b.former = sequence, nil
	b.accounts, b.identifiers, b.sightings = t.accounts.len(), t.identifiers.len(), t.numbers.n
	b.names, b.shops, b.appearances = len(t.names), len(t.shops), t.appearances.len()
	b.rows, b.arena, b.fresh, b.before = again(b.rows), again(b.arena), again(b.fresh), again(b.before)
	b.order, b.moves, b.near = again(b.order), again(b.moves), again(b.near)
	return b
}

// keptOfBatch bounds what is kept of a list for the next batch: the rules that a batch adopts
// may bring all accounts into it.
const keptOfBatch = 16 << 20

// again is the memory of a list, empty, for the next batch.
func again[T any](list []T) []T {
	var one T
	clear(list)
	if cap(list)*int(unsafe.Sizeof(one)) > keptOfBatch {
		return nil
	}
	return list[:0]
}

// marks are numbers, each once, in the order in which they were added.
type marks struct {
	list []uint32
	bits []uint64 // of those in the list
}

func (m *marks) has(n uint32) bool { return int(n/64) < len(m.bits) && m.bits[n/64]>>(n%64)&1 != 0 }

// add says whether a number was not there yet.
func (m *marks) add(n uint32) bool {
	if m.has(n) {
		return false
	}
	if missing := int(n/64) + 1 - len(m.bits); missing > 0 {
		m.bits = append(m.bits, make([]uint64, missing)...)
	}
	m.bits[n/64] |= 1 << (n % 64)
	m.list = append(m.list, n)
	return true
}

func (m *marks) clear() {
	for _, n := range m.list {
		m.bits[n/64] = 0
	}
	m.list = again(m.list)
}
