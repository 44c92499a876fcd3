package normalize

import (
	"math/rand/v2"
	"testing"
)

// What is taken at a glance is what the whole examination takes.
func TestAtAGlance(t *testing.T) {
	signs := []rune("0000000111xxXXab9..##??~$*-_=+/:@%| ·某　")
	taken := 0
	for seed := range uint64(200_000) {
		r := rand.New(rand.NewPCG(seed, 1))
		few := 1 + r.IntN(len(signs))
		raw := make([]rune, r.IntN(16))
		for i := range raw {
			raw[i] = signs[r.IntN(few)]
		}
		agrees(t, string(raw))
		if usual(string(raw)) {
			taken++
		}
	}
	if taken < 1000 {
		t.Errorf("of 200,000 only %d are taken at a glance", taken)
	}
	for _, id := range []string{"AAG0123456789abcdefOuid0000001", "1@#0123456789abcdef0000000001", "1800000001", "oU0123456789abcdef17"} {
		if !usual(id) {
			t.Errorf("%q is not taken at a glance", id)
		}
	}
}

func agrees(t *testing.T, raw string) {
	if value, reason := anyOpaque(raw); usual(raw) && (value != raw || reason != "") {
		t.Fatalf("%q is taken at a glance, and is %q for the reason %q", raw, value, reason)
	}
}

func FuzzAtAGlance(f *testing.F) {
	f.Add("AAG0123456789abcdefOuid0000001")
	f.Add("1xxxx000000")
	f.Fuzz(agrees)
}
