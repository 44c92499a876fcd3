package compare

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
)

// Numbers are those that a map would give, for many texts and few, and texts
// of all lengths.
func TestTextsAreNumberedAsTheyCome(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		draw := rand.New(rand.NewPCG(seed, 1))
		var texts Texts
		known := map[string]uint32{}
		var list []string
		for range 5000 {
			raw := []byte(strconv.Itoa(draw.IntN(1 << (1 + seed))))
			if draw.IntN(50) == 0 {
				raw = slices.Repeat(raw, draw.IntN(20000)/len(raw))
			}
			text := string(raw)
			want, ok := known[text]
			if number, found := texts.Find(text); found != ok || number != want {
				t.Fatalf("seed %d: Find(%.20q) = %d, %v; want %d, %v", seed, text, number, found, want, ok)
			}
			if !ok {
				want = uint32(len(known))
				known[text] = want
				list = append(list, text)
			}
			if number, added := texts.Add(text); number != want || added == ok {
				t.Fatalf("seed %d: Add(%.20q) = %d, %v; want %d, %v", seed, text, number, added, want, !ok)
			}
		}
		if !slices.Equal(list, texts.List()) {
			t.Fatalf("seed %d: the texts are not those that came", seed)
		}
	}
}
