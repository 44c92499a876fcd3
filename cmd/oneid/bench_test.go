package main

import (
	"path/filepath"
	"testing"
	"time"
)

func TestFigures(t *testing.T) {
	t.Parallel()
	var times []time.Duration
	for i := range 200 {
		times = append(times, time.Duration(200-i)*time.Millisecond)
	}
	f := figureOf(times, 2*time.Second)
	if f.Requests != 200 || f.PerSecond != 100 || f.P50 != 100 || f.P99 != 198 || f.Max != 200 {
		t.Errorf("%+v; want 200 requests at 100/s, 100, 198 and 200 ms", f)
	}
	if empty := figureOf(nil, time.Second); empty.Requests != 0 {
		t.Errorf("of no request: %+v", empty)
	}
}

func TestBenchLookup(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "bench")
	args := []string{"bench", "lookup", "--dir", dir, "--customers", "200", "--clients", "4", "--seconds", "1", "--json"}
	report := func() benchLookupReport {
		t.Helper()
		// A look-up that is slow on a busy machine is none that fails.
		a := startWith(t, "", []string{"ONEID_API_TIMEOUT=5m"}, args...).wait(t)
		if a.code != 0 {
			t.Fatalf("it exits with %d:\n%s%s", a.code, a.stdout, a.stderr)
		}
		return decode[benchLookupReport](t, a.stdout)
	}
	first, again := report(), report()
	for _, r := range []benchLookupReport{first, again} {
		if r.Identity.Requests == 0 || r.Identity.Failed != 0 || r.Profile.Requests == 0 || r.Profile.Failed != 0 {
			t.Errorf("%+v; want answers of both halves and no failure", r)
		}
	}
	// 200 customers: 300 users, 600 orders, 100 tickets.
	if first.Events != 1000 || again.LoadSeconds != first.LoadSeconds {
		t.Errorf("%d events in %f s, then %f s; want 1000, loaded once", first.Events, first.LoadSeconds, again.LoadSeconds)
	}
	wantRefused(t, oneid(t, "bench", "lookup", "--dir", dir, "--customers", "300"), 1, "has 200 customers")
}
