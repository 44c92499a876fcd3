package weidian

import (
	"math/rand/v2"
	"regexp"
	"testing"
)

// What isMobile takes is what this says, of texts that are nearly numbers.
func TestIsMobile(t *testing.T) {
	t.Parallel()
	want := regexp.MustCompile(`^(?:\+?86)?1[3-9][0-9]{9}$`)
	chance := rand.New(rand.NewPCG(1, 1))
	some := []string{"", "+", "8", "86", "+86", "+8613800001111", "8613800001111", "13800001111", "138****1111", "13800001111\n", "1３800001111"}
	numbers := 0
	for range 100_000 {
		text := []byte([]string{"", "+86", "86", "+", "8", "++86", "8686"}[chance.IntN(7)] + "1")
		for n := 9 + chance.IntN(3); n > 0; n-- {
			text = append(text, byte('0'+chance.IntN(10)))
		}
		if chance.IntN(10) == 0 {
			text[chance.IntN(len(text))] = byte(chance.IntN(256))
		}
		some = append(some, string(text))
	}
	for _, text := range some {
		if got := isMobile(text); got != want.MatchString(text) {
			t.Fatalf("isMobile(%q) = %v", text, got)
		} else if got {
			numbers++
		}
	}
	if numbers < 1000 {
		t.Errorf("%d of the texts are numbers: the test says little", numbers)
	}
}
