package engine

import (
	"math/bits"
	"sort"
)

// numbers are those of sightings, in the order in which they came: what the
// store and the outbox call them by. A place tells where one lies. The first
// sightings of identifiers come in the order of the identifiers, so that to know
// which are first is enough to go from one to the other.
type numbers struct {
	n, firsts int
	words     rows[ranked]
}

// ranked is whether 64 sightings are first, and how many before them are.
type ranked struct {
	firsts uint64
	before uint32
}

func (x *numbers) add(first bool) {
	if x.n%64 == 0 {
		x.words.add(ranked{before: uint32(x.firsts)})
	}
	if first {
		x.words.at(uint32(x.n / 64)).firsts |= 1 << (x.n % 64)
		x.firsts++
	}
	x.n++
}

// place of a sighting by its number.
func (x *numbers) place(n uint32) uint32 {
	w := x.words.at(n / 64)
	first := w.before + uint32(bits.OnesCount64(w.firsts&(1<<(n%64)-1)))
	if w.firsts>>(n%64)&1 != 0 {
		return first
	}
	return (n - first) | isFurther
}

// number of a sighting by its place.
func (x *numbers) number(place uint32) uint32 {
	rank, of := place&^isFurther, func(w uint32) (before uint32, these uint64) {
		r := x.words.at(w)
		return r.before, r.firsts
	}
	if place&isFurther != 0 {
		of = func(w uint32) (before uint32, these uint64) {
			r := x.words.at(w)
			return w*64 - r.before, ^r.firsts
		}
	}
	w := uint32(sort.Search(x.words.len(), func(i int) bool { before, _ := of(uint32(i)); return before > rank })) - 1
	before, these := of(w)
	for range rank - before {
		these &= these - 1
	}
	return w*64 + uint32(bits.TrailingZeros64(these))
}

// renumbered are identifiers whose number in the store is another than here. A
// state of an earlier version numbered a receiver's appearance before it was
// seen; here an identifier's number says when it was seen first.
type renumbered struct{ stored, here map[uint32]uint32 }

// inStore is an identifier's number in the store.
func (r *renumbered) inStore(id uint32) uint32 {
	if n, ok := r.stored[id]; ok {
		return n
	}
	return id
}

// fromStore is the identifier of a number in the store.
func (r *renumbered) fromStore(n uint32) uint32 {
	if id, ok := r.here[n]; ok {
		return id
	}
	return n
}

// exchange gives two identifiers that were not seen yet each other's number.
func (t *tables) exchange(a, b uint32) {
	hashOfA, hashOfB := t.hashOfIdentifier(a), t.hashOfIdentifier(b)
	t.byIdentifier.replace(hashOfA, a, none)
	t.byIdentifier.replace(hashOfB, b, a)
	t.byIdentifier.replace(hashOfA, none, b)
	x, y := t.identifiers.at(a), t.identifiers.at(b)
	*x, *y = *y, *x
	r := &t.renumbered
	if r.stored == nil {
		r.stored, r.here = map[uint32]uint32{}, map[uint32]uint32{}
	}
	p, q := r.inStore(a), r.inStore(b)
	r.stored[a], r.stored[b], r.here[q], r.here[p] = q, p, a, b
}
