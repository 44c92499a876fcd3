package main

import "testing"

// The measurement pulls every order of each platform, more of more people.
func TestBenchPull(t *testing.T) {
	t.Parallel()
	for _, r := range decode[[]pullReport](t, must(t, "bench", "pull", "--people", "200", "--platform", "tmall", "--json").stdout) {
		if r.Platform != "tmall" || r.Larger.Orders < 3*r.Smaller.Orders || r.Smaller.Orders == 0 || r.PerCPUSecond <= 0 || r.MemoryGrowth <= 0 {
			t.Errorf("%+v", r)
		}
	}
}
