package conformance

import (
	"errors"
	"testing"
	"time"

	"oneid/connectors"
	"oneid/internal/httpclient"
)

// china is the zone in which these platforms count a day.
var china = time.FixedZone("GMT+8", 8*60*60)

// With a limit of calls a second nearly all that is permitted are made, and
// none more.
func testRate(t *testing.T, s Subject) {
	const perSecond = 5
	b := open(t, s, func(ask *Ask, o *Options) {
		ask.Orders, ask.PerSecond, o.PerSecond = 3*smallShop, perSecond, perSecond
	})
	stream := b.Spec().Streams[0].Name
	whole(t, b, stream, "")
	all := b.net.made(func(c Call) bool { return !c.Token })
	calls := within(t, all, perSecond)
	busiest := ""
	for method := range calls {
		if len(calls[method]) > len(calls[busiest]) {
			busiest = method
		}
	}
	// Where the bound is on all calls together, no method of several reaches it.
	times := calls[busiest]
	permitted := times[len(times)-1].Sub(times[0]).Seconds()*perSecond + 1
	if used := float64(len(all)); used < 0.95*permitted || used < 4*perSecond {
		t.Errorf("%v calls, %d of them of %s, where %.0f were permitted: is requests_per_second the PerSecond of httpclient's Limit, and does nothing else wait?", used, len(times), busiest, permitted)
	}
}

// within fails the test where a method was called more than so often in a second. It
// gives the times of each method's calls.
func within(t *testing.T, calls []seen, perSecond int) map[string][]time.Time {
	t.Helper()
	of := make(map[string][]time.Time)
	for _, c := range calls {
		of[c.Method] = append(of[c.Method], c.at)
	}
	for method, times := range of {
		for i := range times {
			if i >= perSecond && times[i].Sub(times[i-perSecond]) < time.Second-time.Millisecond {
				t.Fatalf("%s: %d calls within %s, of %d a second that are permitted", method, perSecond+1, times[i].Sub(times[i-perSecond]), perSecond)
			}
		}
	}
	return of
}

// Two that share their limits, as the processes of a brand do, make no more calls
// together than one may.
func testSharedRate(t *testing.T, s Subject) {
	const perSecond = 5
	b := open(t, s, func(ask *Ask, o *Options) { ask.PerSecond, o.PerSecond = perSecond, perSecond })
	limits, store, stream := httpclient.NewLimits(nil), new(keptToken), b.Spec().Streams[0].Name
	both := make(chan error)
	for range 2 {
		c := b.again()
		limited, ok := c.(interface{ Share(l *httpclient.Limits) })
		if !ok {
			t.Fatal("the connector has no method Share(*httpclient.Limits): each process would use the platform's limits up for itself; hand what it is given to Share of each httpclient.Client")
		}
		limited.Share(limits)
		if user, ok := c.(connectors.TokenUser); ok {
			user.UseTokens(store)
		}
		go func() {
			_, err := read(t.Context(), c, stream, "", -1)
			both <- err
		}()
	}
	if err := errors.Join(<-both, <-both); err != nil {
		t.Fatal(err)
	}
	within(t, b.net.made(func(c Call) bool { return !c.Token }), perSecond)
}

// With a tenth of the quota that it needs a reading ends days later and
// complete, with nearly all of each day's quota used and none more.
func testQuota(t *testing.T, s Subject) {
	small := func(ask *Ask, _ *Options) { ask.Orders = 3 * smallShop }
	free := open(t, s, small)
	stream := free.Spec().Streams[0].Name
	want := whole(t, free, stream, "").newest
	business := func(c Call) bool { return !c.Token }
	perDay := len(free.net.made(business))/10 + 1
	b := open(t, s, func(ask *Ask, o *Options) { small(ask, o); o.PerDay = perDay })
	r := whole(t, b, stream, "")
	for key := range want {
		if _, ok := r.newest[key]; !ok {
			t.Errorf("%s did not come", key)
		}
	}
	days := make(map[string]int)
	var order []string
	for _, c := range b.net.made(business) {
		day := c.at.In(china).Format(time.DateOnly)
		if days[day] == 0 {
			order = append(order, day)
		}
		days[day]++
	}
	for i, day := range order {
		if n := days[day]; n > perDay || i < len(order)-1 && n < perDay*95/100 {
			t.Errorf("%d calls on %s, of %d that are permitted", n, day, perDay)
		}
	}
	if len(order) < 8 {
		t.Errorf("a tenth of the quota, and it took %d days: is calls_per_day the PerDay of httpclient's Limit, and every call made by that client?", len(order))
	}
}
