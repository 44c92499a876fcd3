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

// However full it is, there is room for all that come at once.
func TestTextsThatComeAtOnceHaveRoom(t *testing.T) {
	t.Parallel()
	list := make([]string, 5*some)
	for i := range list {
		list[i] = strconv.Itoa(i)
	}
	for before := range 4 * some {
		var texts Texts
		for _, text := range list[:before] {
			texts.Add(text)
		}
		next := uint32(before)
		for number := range texts.AddAll(slices.Values(list[before : before+some])) {
			if number != next {
				t.Fatalf("behind %d texts the number %d comes, want %d", before, number, next)
			}
			next++
		}
	}
}

// Many at a time they have the numbers that they have one by one, whatever stands
// between, and if nobody asks for the rest.
func TestTextsAddedTogetherAreNumberedAlike(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		draw := rand.New(rand.NewPCG(seed, 2))
		var one, many Texts
		for range 50 {
			list := make([]string, draw.IntN(5*some))
			for i := range list {
				if n := draw.IntN(1 << (1 + seed/2)); n > 0 {
					list[i] = strconv.Itoa(n)
				}
			}
			var want []uint32
			for _, text := range list {
				number, _ := one.Add(text)
				want = append(want, number)
			}
			if got := slices.Collect(many.AddAll(slices.Values(list))); !slices.Equal(got, want) {
				t.Fatalf("seed %d: AddAll(%q) = %d, want %d", seed, list, got, want)
			}
		}
		if !slices.Equal(one.List(), many.List()) {
			t.Fatalf("seed %d: the texts are not those that came", seed)
		}
		for number := range many.AddAll(slices.Values([]string{"x", "y"})) {
			if text := many.List()[number]; text != "x" {
				t.Fatalf("seed %d: %q comes first", seed, text)
			}
			break
		}
	}
}
