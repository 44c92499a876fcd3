package main

import "testing"

// Where little lives much garbage may lie beside it, and a large table takes no more
// than it would by itself.
func TestGarbageHasItsRoom(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		live uint64
		want int
	}{
		"nothing yet":              {0, 400},
		"little":                   {64 << 20, 400},
		"a million people":         {256 << 20, 200},
		"as much as there is room": {roomForGarbage, 100},
		"a large table":            {16 << 30, 100},
	} {
		if got := garbagePercent(c.live); got != c.want {
			t.Errorf("%s: %d percent of %d MiB, want %d", name, got, c.live>>20, c.want)
		}
	}
}
