package engine

import (
	"encoding/binary"
	"hash/maphash"
)

// rows are numbered rows of one table, in pieces that stay where they are:
// nothing is copied when there are more, so that no look-up waits for that and
// no room is kept for what may come.
type rows[T any] struct {
	pieces [][]T
	n      int
}

const pieceRows = 1 << 12

func (r *rows[T]) len() int { return r.n }

// at is valid until the next add.
func (r *rows[T]) at(n uint32) *T { return &r.pieces[n/pieceRows][n%pieceRows] }

func (r *rows[T]) add(row T) {
	last := r.n / pieceRows
	if last == len(r.pieces) {
		var piece []T // the first one grows: most states in tests are small
		if last > 0 {
			piece = make([]T, 0, pieceRows)
		}
		r.pieces = append(r.pieces, piece)
	}
	r.pieces[last] = append(r.pieces[last], row)
	r.n++
}

// texts are texts with their lengths, one after the other in pieces; where one
// lies is its number. One that is longer than a piece takes several, of which
// the first holds all of it.
type texts struct {
	pieces [][]byte
	used   int // of the last piece
}

const pieceBytes = 1 << 16

func (t *texts) at(place uint32) []byte {
	rest := t.pieces[place/pieceBytes][place%pieceBytes:]
	length, n := binary.Uvarint(rest)
	return rest[n : n+int(length)] // as it was added
}

func (t *texts) add(s string) (place uint32) {
	size := len(s) + len(binary.AppendUvarint(make([]byte, 0, binary.MaxVarintLen64), uint64(len(s))))
	if len(t.pieces) == 0 || t.used+size > pieceBytes {
		piece := []byte(nil)
		if len(t.pieces) > 0 || size > pieceBytes {
			piece = make([]byte, 0, max(size, pieceBytes))
		}
		t.pieces, t.used = append(t.pieces, piece), 0
	}
	last := len(t.pieces) - 1
	place = uint32(last*pieceBytes + t.used)
	t.pieces[last] = append(binary.AppendUvarint(t.pieces[last], uint64(len(s))), s...)
	t.used += size
	for t.used > pieceBytes {
		t.pieces = append(t.pieces, nil)
		t.used -= pieceBytes
	}
	if len(t.pieces)-1 > last {
		t.used = pieceBytes // nothing lies in what one text alone takes
	}
	return place
}

// words are texts that many have in common, each kept once, by number.
type words struct {
	seed   maphash.Seed
	texts  texts
	places rows[uint32]
	byText index
}

// number of a text, which is added if it is not there.
func (w *words) number(s string) uint32 {
	if w.places.len() == 0 {
		w.seed = maphash.MakeSeed()
	}
	hash := uint32(maphash.String(w.seed, s))
	n, ok := w.byText.find(hash, func(n uint32) bool { return string(w.at(n)) == s })
	if !ok {
		n = uint32(w.places.len())
		w.places.add(w.texts.add(s))
		w.byText.put(hash, n)
	}
	return n
}

func (w *words) at(n uint32) []byte { return w.texts.at(*w.places.at(n)) }

// index finds numbers by hash. It is cut into parts that grow each on its own,
// by an eighth, so that growing is over soon, with ten million accounts, too, and
// little room is kept free. Of each hash a part keeps all that it goes by: to grow
// it asks for none anew, which would touch every row.
type index struct{ parts []part }

const indexBits = 12

// unevenSlots is from how many slots on a part has up to an eighth more than those
// before it: hashes fill all parts alike, and they would grow in the same batch.
const unevenSlots = 64

// part is open addressing.
type part struct {
	slots []slot
	n     int
}

// slot holds a number beside its tag, so that both are one wait for memory.
type slot struct {
	tag       uint16 // 0 if it is free
	low, high uint16 // of the number
}

func (s *slot) number() uint32 { return uint32(s.high)<<16 | uint32(s.low) }

// tag is what a part keeps of a hash, whose highest bits have chosen the part.
func tag(hash uint32) uint16 { return max(uint16(hash>>(32-indexBits-16)), 1) }

// begin is where the search for a tag begins.
func (p *part) begin(tag uint16) int { return int(uint64(tag) * uint64(len(p.slots)) >> 16) }

func (x *index) part(hash uint32) *part { return &x.parts[hash>>(32-indexBits)] }

// next is the slot from i on that holds a tag; nil if there is none. From there it goes on at
// the index that comes with it.
func (p *part) next(tag uint16, i int) (*slot, int) {
	for {
		s := &p.slots[i]
		if s.tag == 0 {
			return nil, i
		}
		if i++; i == len(p.slots) {
			i = 0
		}
		if s.tag == tag {
			return s, i
		}
	}
}

// at is where a number with this hash lies that equal says is it; nil if it is not
// there.
func (x *index) at(hash uint32, equal func(n uint32) bool) *slot {
	if len(x.parts) == 0 {
		return nil
	}
	p := x.part(hash)
	if p.n == 0 {
		return nil
	}
	own := tag(hash)
	s, i := p.next(own, p.begin(own))
	for s != nil && !equal(s.number()) {
		s, i = p.next(own, i)
	}
	return s
}

func (x *index) find(hash uint32, equal func(n uint32) bool) (uint32, bool) {
	if s := x.at(hash, equal); s != nil {
		return s.number(), true
	}
	return 0, false
}

// guess finds for each of some hashes the number that is most likely its, none where
// there is none: one that has the same tag. It waits for their memory at once, and is for
// as many as together at most.
func (x *index) guess(hashes, numbers []uint32) {
	if len(x.parts) == 0 {
		for i := range hashes {
			numbers[i] = none
		}
		return
	}
	// A first reading that no later one depends on: the processor goes on while it waits.
	for i, hash := range hashes {
		if p := x.part(hash); p.n > 0 {
			numbers[i] = uint32(p.slots[p.begin(tag(hash))].tag)
		}
	}
	for i, hash := range hashes {
		numbers[i] = none
		if p := x.part(hash); p.n > 0 {
			own := tag(hash)
			if s, _ := p.next(own, p.begin(own)); s != nil {
				numbers[i] = s.number()
			}
		}
	}
}

// replace puts another number where one with this hash is.
func (x *index) replace(hash, from, to uint32) {
	if s := x.at(hash, func(n uint32) bool { return n == from }); s != nil {
		s.low, s.high = uint16(to), uint16(to>>16)
	}
}

// put adds a number that is not there.
func (x *index) put(hash, n uint32) {
	if len(x.parts) == 0 {
		x.parts = make([]part, 1<<indexBits)
	}
	p := x.part(hash)
	if (p.n+1)*8 > len(p.slots)*7 {
		old := p.slots
		slots := max(8, len(old)*9/8)
		if len(old) < unevenSlots && slots >= unevenSlots {
			slots += slots * int(hash>>(32-indexBits)) >> (indexBits + 3)
		}
		p.slots = make([]slot, slots)
		for _, s := range old {
			if s.tag != 0 {
				p.place(s)
			}
		}
	}
	p.place(slot{tag(hash), uint16(n), uint16(n >> 16)})
	p.n++
}

func (p *part) place(s slot) {
	i := p.begin(s.tag)
	for p.slots[i].tag != 0 {
		if i++; i == len(p.slots) {
			i = 0
		}
	}
	p.slots[i] = s
}
