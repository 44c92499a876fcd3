package compare

import (
	"hash/maphash"
	"iter"
	"slices"
	"strings"
)

// Texts numbers different texts from 0, in the order in which they come. The
// zero value has none. A Go map of millions of texts costs several times as
// much: it keeps each text's address where the collector looks for it, and
// hashes all of them anew whenever it grows.
type Texts struct {
	list []string
	// slots are 0 or the upper half of a text's hash, and below it its number
	// plus 1. Their count is a power of two.
	slots []uint64
	// block is where texts are kept side by side, so that the collector has few
	// blocks to look at instead of one for each text.
	block strings.Builder
}

// textsSeed is one for the whole process. No number depends on it.
var textsSeed = maphash.MakeSeed()

// Add gives a text's number; added says that it came for the first time. The
// text itself is copied, and not kept.
func (t *Texts) Add(text string) (number uint32, added bool) {
	t.makeRoom(1)
	return t.add(maphash.String(textsSeed, text), text)
}

// AddAll gives the numbers of texts in their order, as Add does: those from as many
// as there were before are new. It is faster, for it waits for the memory of many
// texts at once.
func (t *Texts) AddAll(texts iter.Seq[string]) iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		var few [some]string
		var numbers [some]uint32
		n := 0
		add := func() bool {
			t.addSome(few[:n], &numbers)
			for _, number := range numbers[:n] {
				if !yield(number) {
					return false
				}
			}
			n = 0
			return true
		}
		for text := range texts {
			few[n] = text
			if n++; n == some && !add() {
				return
			}
		}
		add()
	}
}

// some is how many texts are added together.
const some = 64

// addSome is Add of each text.
func (t *Texts) addSome(texts []string, numbers *[some]uint32) {
	t.makeRoom(len(texts))
	var hashes, slots [some]uint64
	var known [some]string
	mask := uint64(len(t.slots) - 1)
	for i, text := range texts {
		hashes[i] = maphash.String(textsSeed, text)
	}
	for i := range texts {
		slots[i] = t.slots[hashes[i]>>32&mask]
	}
	for i := range texts {
		if s := slots[i]; s != 0 && s>>32 == hashes[i]>>32 {
			known[i] = t.list[uint32(s)-1]
		}
	}
	for i, text := range texts {
		if text != "" && text == known[i] {
			numbers[i] = uint32(slots[i]) - 1
			continue
		}
		numbers[i], _ = t.add(hashes[i], text)
	}
}

// makeRoom makes slots for so many more texts.
func (t *Texts) makeRoom(texts int) {
	for 4*(len(t.list)+texts) > 3*len(t.slots) {
		t.grow()
	}
}

// add is Add of a text by its hash, where there is room.
func (t *Texts) add(hash uint64, text string) (number uint32, added bool) {
	at, free := t.find(hash, text)
	if !free {
		return uint32(t.slots[at]) - 1, false
	}
	number = uint32(len(t.list))
	if len(t.list) == cap(t.list) { // doubled, for append copies a long one at every quarter
		t.list = slices.Grow(t.list, len(t.list)+some)
	}
	t.list = append(t.list, t.keep(text))
	t.slots[at] = hash>>32<<32 | uint64(number+1)
	return number, true
}

// Find gives a text's number, if it has one.
func (t *Texts) Find(text string) (number uint32, ok bool) {
	if len(t.slots) == 0 {
		return 0, false
	}
	at, free := t.find(maphash.String(textsSeed, text), text)
	if free {
		return 0, false
	}
	return uint32(t.slots[at]) - 1, true
}

// find gives the slot of a text, or the free one that it would have.
func (t *Texts) find(hash uint64, text string) (at uint64, free bool) {
	mask := uint64(len(t.slots) - 1)
	at = hash >> 32 & mask
	for ; t.slots[at] != 0; at = (at + 1) & mask {
		if s := t.slots[at]; s>>32 == hash>>32 && t.list[uint32(s)-1] == text {
			return at, false
		}
	}
	return at, true
}

func (t *Texts) grow() {
	old := t.slots
	t.slots = make([]uint64, max(64, 2*len(old)))
	mask := uint64(len(t.slots) - 1)
	for _, s := range old {
		if s == 0 {
			continue
		}
		at := s >> 32 & mask
		for t.slots[at] != 0 {
			at = (at + 1) & mask
		}
		t.slots[at] = s
	}
}

func (t *Texts) keep(text string) string {
	const size = 1 << 16
	if t.block.Len()+len(text) > t.block.Cap() {
		t.block = strings.Builder{} // what is in the old block stays with its texts
		t.block.Grow(max(size, len(text)))
	}
	from := t.block.Len()
	t.block.WriteString(text)
	return t.block.String()[from:]
}

// List is the texts by their numbers. It is not to be changed.
func (t *Texts) List() []string { return t.list }
