package engine

import (
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
			if found != known || got != want {
				t.Fatalf("seed %d: a text of %d bytes is number %d (%t), want %d (%t)", seed, len(s), got, found, want, known)
			}
			if known {
				continue
			}
			n := uint32(rows.len())
			numbers[s] = n
			rows.add(texts.add(s))
			x.put(hash(s), n, func(n uint32) uint32 { return hash(string(texts.at(*rows.at(n)))) })
		}
		for s, n := range numbers {
			if got, found := x.find(hash(s), equal(s)); !found || got != n {
				t.Fatalf("seed %d: in the end a text of %d bytes is number %d (%t), want %d", seed, len(s), got, found, n)
			}
		}
	}
}

// A name and a count in one number do not touch one another.
func TestCounted(t *testing.T) {
	var c counted
	c.set(1<<24 - 1)
	for range 1000 {
		c.more()
	}
	if c.name() != 1<<24-1 || c.count() != 0xff {
		t.Errorf("after a thousand it is name %d, count %d; want %d, 255", c.name(), c.count(), 1<<24-1)
	}
	if c.set(3); c.name() != 3 || c.count() != 0xff {
		t.Errorf("a new name makes it name %d, count %d; want 3, 255", c.name(), c.count())
	}
}
