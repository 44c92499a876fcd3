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
		w.byText.put(hash, n, func(n uint32) uint32 { return uint32(maphash.Bytes(w.seed, w.at(n))) })
	}
	return n
}

func (w *words) at(n uint32) []byte { return w.texts.at(*w.places.at(n)) }

// index finds numbers by hash. It is cut into parts that grow each on its own,
// by a quarter, so that growing is over soon, with ten million accounts, too, and
// little room is kept free; hashes are not kept but asked for anew then, and of
// each but eight bits, which spare nearly all comparisons.
type index struct{ parts []part }

const indexBits = 12

// part is open addressing: a slot is free where its tag is 0.
type part struct {
	tags    []uint8
	numbers []uint32
	n       int
}

// slot and tag of a hash, whose highest bits have chosen the part.
func slot(hash uint32, slots int) int {
	return int(uint64(hash<<indexBits) * uint64(slots) >> 32)
}
func tag(hash uint32) uint8 { return uint8(hash) | 1 }

// at is where a number with this hash lies that equal says is it; false if it
// is not there.
func (x *index) at(hash uint32, equal func(n uint32) bool) (*uint32, bool) {
	if len(x.parts) == 0 {
		return nil, false
	}
	p := &x.parts[hash>>(32-indexBits)]
	if p.n == 0 {
		return nil, false
	}
	own := tag(hash)
	for i := slot(hash, len(p.tags)); p.tags[i] != 0; {
		if p.tags[i] == own && equal(p.numbers[i]) {
			return &p.numbers[i], true
		}
		if i++; i == len(p.tags) {
			i = 0
		}
	}
	return nil, false
}

func (x *index) find(hash uint32, equal func(n uint32) bool) (uint32, bool) {
	if n, ok := x.at(hash, equal); ok {
		return *n, true
	}
	return 0, false
}

// replace puts another number where one with this hash is.
func (x *index) replace(hash, from, to uint32) {
	if n, ok := x.at(hash, func(n uint32) bool { return n == from }); ok {
		*n = to
	}
}

// put adds a number that is not there; hashOf says the hash of those that are.
func (x *index) put(hash, n uint32, hashOf func(n uint32) uint32) {
	if len(x.parts) == 0 {
		x.parts = make([]part, 1<<indexBits)
	}
	p := &x.parts[hash>>(32-indexBits)]
	if (p.n+1)*8 > len(p.tags)*7 {
		slots := max(8, len(p.tags)*5/4)
		old := *p
		*p = part{make([]uint8, slots), make([]uint32, slots), p.n}
		for i, used := range old.tags {
			if used != 0 {
				p.place(hashOf(old.numbers[i]), old.numbers[i])
			}
		}
	}
	p.place(hash, n)
	p.n++
}

func (p *part) place(hash, n uint32) {
	i := slot(hash, len(p.tags))
	for p.tags[i] != 0 {
		if i++; i == len(p.tags) {
			i = 0
		}
	}
	p.tags[i], p.numbers[i] = tag(hash), n
}
