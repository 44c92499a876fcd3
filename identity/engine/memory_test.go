package engine

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// What was added is found again, by place, by number and by hash, whatever its
// length and however many hashes agree; what was not added is not found.
func TestWhatIsAddedIsFound(t *testing.T) {
	for seed := range uint64(20) {
		draw := rand.New(rand.NewPCG(seed, 1))
		var texts texts
		var rows rows[uint32] // where each text lies
		var x index
		hashes := []uint64{1, 7, 1 << 12, 1 << 32}[seed%4] // how many there are
		hash := func(s string) uint32 {
			h := uint32(2166136261)
			for i := range min(len(s), 12) {
				h = (h ^ uint32(s[i])) * 16777619
			}
			return uint32(uint64(h) % hashes * (1 << 32 / hashes))
		}
		equal := func(s string) func(uint32) bool {
			return func(n uint32) bool { return string(texts.at(*rows.at(n))) == s }
		}
		numbers := map[string]uint32{}
		for range 3000 {
			s := strings.Repeat(string(rune('a'+draw.IntN(26))), draw.IntN(300))
			if draw.IntN(200) == 0 {
				s = strings.Repeat("long ", draw.IntN(50_000))
			}
			want, known := numbers[s]
			got, found := x.find(hash(s), equal(s))
			like := []uint32{0}
			x.guess([]uint32{hash(s)}, like)
			if known && like[0] == none || like[0] != none && hash(string(texts.at(*rows.at(like[0]))))>>4 != hash(s)>>4 {
				t.Fatalf("seed %d: a text of %d bytes, known %t, is taken for number %d", seed, len(s), known, like[0])
			}
			if found != known || got != want {
				t.Fatalf("seed %d: a text of %d bytes is number %d (%t), want %d (%t)", seed, len(s), got, found, want, known)
			}
			if known {
				continue
			}
			n := uint32(rows.len())
			numbers[s] = n
			rows.add(texts.add(s))
			x.put(hash(s), n)
		}
		for s, n := range numbers {
			if got, found := x.find(hash(s), equal(s)); !found || got != n {
				t.Fatalf("seed %d: in the end a text of %d bytes is number %d (%t), want %d", seed, len(s), got, found, n)
			}
		}
	}
}

// A number and its tag do not touch one another.
func TestTagged(t *testing.T) {
	var x tagged
	x.setNumber(1<<24 - 1)
	x.setTag(0xff)
	x.setNumber(3)
	if x.number() != 3 || x.tag() != 0xff {
		t.Errorf("a new number makes it %d with tag %d; want 3, 255", x.number(), x.tag())
	}
	x.setNumber(1<<24 - 1)
	x.setTag(7)
	if x.number() != 1<<24-1 || x.tag() != 7 {
		t.Errorf("a new tag makes it %d with tag %d; want %d, 7", x.number(), x.tag(), 1<<24-1)
	}
}

// A sighting's number leads to its place and back, whichever are the first of
// their identifiers.
func TestNumbersAndPlaces(t *testing.T) {
	for seed := range uint64(20) {
		draw := rand.New(rand.NewPCG(seed, 2))
		var x numbers
		var places []uint32
		firsts, others := uint32(0), uint32(0)
		for range 1 + draw.IntN(20_000) {
			first := draw.IntN(10) < int(seed%11)
			x.add(first)
			if first {
				places, firsts = append(places, firsts), firsts+1
			} else {
				places, others = append(places, others|isFurther), others+1
			}
		}
		for n, want := range places {
			if got := x.place(uint32(n)); got != want || x.number(want) != uint32(n) {
				t.Fatalf("seed %d: sighting %d of %d lies at %x, want %x, which is that of %d", seed, n, len(places), got, want, x.number(want))
			}
		}
	}
}

// A word has one number.
func TestWords(t *testing.T) {
	var w words
	for range 2 {
		for n := range uint32(5000) {
			text := strings.Repeat(string(rune('一'+n)), int(n%7))
			if n%7 == 0 {
				text = ""
			}
			if got := string(w.at(w.number(text))); got != text {
				t.Fatalf("%q comes back as %q", text, got)
			}
		}
	}
	if got, want := w.places.len(), 1+5000-5000/7-1; got != want {
		t.Errorf("%d words are kept, want %d", got, want)
	}
}

// Parts of an index grow each at its own time: at no size is much more room free than at
// another, and no few numbers more make many parts grow. That shows where each holds
// thousands, so some hold all.
func TestIndexGrowsEvenly(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 1))
	var x index
	var hashes []uint32
	slots := func() (n int) {
		for _, p := range x.parts {
			n += len(p.slots)
		}
		return n
	}
	const begin, end, step, others = 100_000, 400_000, 5_000, 1<<6 - 1
	low, high, before := math.Inf(1), 0.0, 0
	for n := range uint32(end) {
		hashes = append(hashes, r.Uint32()&^(others<<(32-indexBits)))
		x.put(hashes[n], n)
		if n < begin || n%step != 0 {
			continue
		}
		now := slots()
		each := float64(now) / float64(n)
		low, high = min(low, each), max(high, each)
		if grown := now - before; before > 0 && grown > 4*step {
			t.Errorf("%d slots more for %d numbers more, at %d", grown, step, n)
		}
		before = now
	}
	if high > low*1.04 {
		t.Errorf("from %.2f to %.2f slots a number", low, high)
	}
}
