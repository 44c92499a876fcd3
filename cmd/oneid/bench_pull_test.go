package main

import "testing"

// The measurement pulls every order of each platform, more of more people, over
// the network and, the same ones, without it.
func TestBenchPull(t *testing.T) {
	t.Parallel()
	for _, r := range decode[[]pullReport](t, must(t, "bench", "pull", "--people", "200", "--platform", "tmall", "--rounds", "1", "--json").stdout) {
		if r.Platform != "tmall" || r.Larger.Orders < 3*r.Smaller.Orders || r.Smaller.Orders == 0 || r.PerCPUSecond <= 0 || r.MemoryGrowth <= 0 {
			t.Errorf("%+v", r)
		}
		if r.Answered.Orders != r.Larger.Orders || r.FromAnswer <= 0 {
			t.Errorf("without the network: %+v", r)
		}
	}
}

// One round that another program disturbed changes no figure.
func TestMedianPull(t *testing.T) {
	t.Parallel()
	got := medianPull([]pullFigure{{Orders: 5, CPU: 3, PeakMiB: 90}, {Orders: 5, CPU: 1, PeakMiB: 300}, {Orders: 5, CPU: 2, PeakMiB: 80}})
	if want := (pullFigure{Orders: 5, CPU: 2, PeakMiB: 90}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	got = medianPull([]pullFigure{{Orders: 5, CPU: 3, PeakMiB: 90}, {Orders: 5, CPU: 1, PeakMiB: 100}})
	if want := (pullFigure{Orders: 5, CPU: 2, PeakMiB: 95}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
