package httpclient

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// scoped is a throttle answer of a scope.
type scoped struct {
	refusal
	scope string
}

func (s scoped) Scope() string { return s.scope }

// ledger is a keeper in memory, as several processes would share it.
type ledger struct {
	mu     sync.Mutex
	used   map[string]int
	banned map[string]time.Time
	share  float64 // of each rate, 0 to 1
	demand Urgency // the last
}

func newLedger() *ledger {
	return &ledger{used: map[string]int{}, banned: map[string]time.Time{}, share: 1}
}

func (l *ledger) Take(_ context.Context, name string, ends time.Time, n, perDay, _ int) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	day := ends.String()
	n = min(n, perDay-l.used[name+day])
	l.used[name+day] += n
	return n, nil
}

func (l *ledger) Ban(_ context.Context, name string, until time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.banned[name] = until
	return nil
}

func (l *ledger) Banned(name string) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.banned[name]
}

func (l *ledger) Join(_ context.Context, _ string, demand Demand) error {
	l.demand = demand.Urgency
	return nil
}

func (l *ledger) Share(_ string, demand Demand) float64 {
	l.demand = demand.Urgency
	return l.share * demand.Rate
}

// clientOf is a client of a shop under shared limits.
func clientOf(t *testing.T, l *Limits, shop string, app Limit) *Client {
	t.Helper()
	app.Name = "app"
	c := timed(t, Config{App: app, Shop: Limit{Name: shop}})
	c.Share(l)
	return c
}

func good(Response) error { return nil }

// A throttle answer holds what it is of, and nothing else.
func TestAThrottleHoldsItsScope(t *testing.T) {
	for scope, holds := range map[string]string{ScopeApp: "same app, shop, method", ScopeMethod: "same method", "shop": "same shop", "": "same shop"} {
		synctest.Test(t, func(t *testing.T) {
			l := NewLimits(nil)
			first, second := clientOf(t, l, "one", Limit{}), clientOf(t, l, "two", Limit{})
			ending, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			// It ends at once, since its context ends before the ban does.
			start := time.Now()
			if _, err := first.Do(ending, "m", form, func(Response) error { return scoped{refusal{time.Minute, true}, scope} }); err == nil || time.Since(start) != 0 {
				t.Errorf("%s: %v", scope, err)
			}
			for what, c := range map[string]struct {
				client *Client
				method string
			}{"same app": {second, "other"}, "same method": {second, "m"}, "same shop": {first, "other"}} {
				start := time.Now()
				short, cancel := context.WithTimeout(t.Context(), time.Second)
				_, err := c.client.Do(short, c.method, form, good)
				cancel()
				held := err != nil
				want := scope == ScopeApp || what == holds
				var e *Error
				if held != want || time.Since(start) != 0 || held && (!errors.As(err, &e) || e.Wait < 50*time.Second) {
					t.Errorf("a throttle of %q, %s: %v after %s", scope, what, err, time.Since(start))
				}
			}
		})
	}
}

// pausing is an error whose call is not tried again, and after which nothing is to
// be called under its limit.
type pausing struct{ refusal }

func (pausing) Pause() time.Duration { return 3 * time.Minute }
func (pausing) Scope() string        { return ScopeShopMethod }

// A pause is no throttle: the call ends at once, and the next of the method for the
// shop waits, in all clients that share the limits.
func TestAPauseHoldsTheMethodOfTheShop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimits(nil)
		first, again, second := clientOf(t, l, "one", Limit{}), clientOf(t, l, "one", Limit{}), clientOf(t, l, "two", Limit{})
		start, calls := time.Now(), 0
		if _, err := first.Do(t.Context(), "m", form, func(Response) error { calls++; return pausing{} }); err == nil || calls != 1 || time.Since(start) != 0 {
			t.Errorf("%d calls, then %v after %s", calls, err, time.Since(start))
		}
		for _, free := range []struct {
			client *Client
			method string
		}{{second, "m"}, {first, "other"}} {
			if _, err := free.client.Do(t.Context(), free.method, form, good); err != nil || time.Since(start) != 0 {
				t.Errorf("%s waited %s: %v", free.method, time.Since(start), err)
			}
		}
		if _, err := again.Do(t.Context(), "m", form, good); err != nil || time.Since(start) < 3*time.Minute {
			t.Errorf("called again after %s: %v", time.Since(start), err)
		}
	})
}

// A day's quota is used to its end, waited for until midnight of its zone, and
// told; after a restart the day has what is left of it.
func TestTheDaysQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		book := newLedger()
		zone := time.FixedZone("GMT+8", 8*60*60)
		quota := Limit{PerDay: 1000, Zone: zone}
		calls := make(map[string]int)
		var mu sync.Mutex
		var told []string
		ctx := WithWaits(t.Context(), func(w Wait, begins bool) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, fmt.Sprint(begins, " ", w))
		})
		l := NewLimits(book)
		c := clientOf(t, l, "one", quota)
		for n := range 2500 {
			if n == 700 { // restarted
				l = NewLimits(book)
				c = clientOf(t, l, "one", quota)
			}
			if _, err := c.Do(ctx, "m", form, good); err != nil {
				t.Fatal(err)
			}
			calls[time.Now().In(zone).Format(time.DateOnly)]++
		}
		// What a chunk had left when it was killed is lost, a five-hundredth.
		if calls["2000-01-01"] < 998 || calls["2000-01-01"] > 1000 || calls["2000-01-02"] != 1000 || calls["2000-01-03"] < 500 {
			t.Errorf("%v", calls)
		}
		want := "true app: the day's 1000 calls are used up, until 2000-01-02T00:00:00+08:00"
		if len(told) != 4 || told[0] != want || !strings.HasPrefix(told[1], "false app: ") {
			t.Errorf("told %q, want first %q", told, want)
		}
		if waits := l.Waits(); len(waits) != 0 {
			t.Errorf("nothing waits, and it says %v", waits)
		}
	})
}

// A ban of hours is waited for and shown; one that another process was told
// holds this one too.
func TestABanIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		book := newLedger()
		l := NewLimits(book)
		c := clientOf(t, l, "one", Limit{})
		ended := make(chan error)
		go func() {
			throttled := false
			_, err := c.Do(t.Context(), "m", form, func(Response) error {
				if throttled {
					return nil
				}
				throttled = true
				return scoped{refusal{8 * time.Hour, true}, ScopeApp}
			})
			ended <- err
		}()
		start := time.Now()
		time.Sleep(time.Minute)
		if waits := l.Waits(); len(waits) != 1 || waits[0].Name != "app" || waits[0].Until.Sub(start) < 8*time.Hour {
			t.Errorf("waits %v", waits)
		}
		other := clientOf(t, NewLimits(book), "two", Limit{})
		if _, err := other.Do(t.Context(), "other", form, good); err != nil || time.Since(start) < 8*time.Hour {
			t.Errorf("another process: %v after %s", err, time.Since(start))
		}
		if err := <-ended; err != nil || time.Since(start) > 9*time.Hour {
			t.Errorf("%v after %s", err, time.Since(start))
		}
	})
}

// A ban of two seconds or less is over before another process would have heard of
// it, and is told to none; docs/operate.md says so.
func TestAShortBanIsOfOneProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for lasts, shared := range map[time.Duration]bool{2 * time.Second: false, 3 * time.Second: true} {
			book := newLedger()
			l := NewLimits(book)
			until := time.Now().Add(lasts)
			l.ban(t.Context(), l.bucket(Limit{Name: "app"}), until, "called too often")
			if got := book.Banned("app"); got.Equal(until) != shared {
				t.Errorf("a ban of %s: others know of one until %s", lasts, got)
			}
		}
	})
}

// Processes that call under one name share its rate.
func TestProcessesShareARate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		book := newLedger()
		c := clientOf(t, NewLimits(book), "one", Limit{PerSecond: 100})
		took := func() time.Duration {
			start := time.Now()
			for range 100 {
				if _, err := c.Do(t.Context(), "m", form, good); err != nil {
					t.Fatal(err)
				}
			}
			return time.Since(start)
		}
		took()
		if got := took(); got < time.Second || got > 1010*time.Millisecond {
			t.Errorf("alone: 100 calls took %s", got)
		}
		book.share = 0.25
		took()
		if got := took(); got < 4*time.Second || got > 4040*time.Millisecond {
			t.Errorf("one of four: 100 calls took %s", got)
		}
	})
}

// A share that is lost for a moment, time after time, costs one wait for a call and no
// more: what was saved up meanwhile is not used, and debts do not add up.
func TestALostShareCostsOneWait(t *testing.T) {
	for name, perSecond := range map[string]float64{"slow": 0.33, "of one call at once": 50, "of several": 400} {
		synctest.Test(t, func(t *testing.T) {
			book := newLedger()
			l := NewLimits(book)
			b := l.bucket(Limit{Name: "app", PerSecond: perSecond})
			demand := Demand{Rate: perSecond, Need: perSecond}
			for range 20 {
				book.share = 0
				had := l.reshare(b, demand)
				book.share = 1
				if has := l.reshare(b, demand); had || !has {
					t.Fatalf("%s: with none of the rate %v, with all of it %v", name, had, has)
				}
			}
			if tokens := b.rate.Tokens(); tokens > 0 || tokens < -float64(burst(perSecond)) {
				t.Errorf("%s: %f calls are left", name, tokens)
			}
		})
	}
}

// Who waits half a second for the rate with a call that cannot wait is pressed for
// half a minute; who waits less, or can wait, is not.
func TestWhoWaitsIsPressed(t *testing.T) {
	for name, c := range map[string]struct {
		perSecond float64
		patient   bool
		want      Urgency
	}{
		"waits for long":            {2, false, Pressed},
		"waits a little":            {2.5, false, Urgent},
		"waits for long, and can":   {2, true, Patient},
		"waits a little, and can":   {2.5, true, Patient},
		"waits for very long":       {0.1, false, Pressed},
		"waits for nothing for one": {100, false, Urgent},
	} {
		synctest.Test(t, func(t *testing.T) {
			book := newLedger()
			c0 := clientOf(t, NewLimits(book), "one", Limit{PerSecond: c.perSecond})
			ctx := t.Context()
			if c.patient {
				ctx = WithPatience(ctx)
			}
			call := func() Urgency {
				if _, err := c0.Do(ctx, "m", form, good); err != nil {
					t.Fatal(err)
				}
				return book.demand
			}
			call()
			call() // waits, and is told with the next
			if got := call(); got != c.want {
				t.Errorf("%s: its demand is %d, want %d", name, got, c.want)
			}
			time.Sleep(pressedLasts)
			if got := call(); got == Pressed {
				t.Errorf("%s: it is pressed for ever", name)
			}
		})
	}
}

// In no second are there more calls than the limit, the first one too, and
// nearly all that are permitted are made.
func TestNoSecondHasMore(t *testing.T) {
	for _, perSecond := range []int{1, 7, 100, 250, 1000} {
		synctest.Test(t, func(t *testing.T) {
			c := clientOf(t, NewLimits(nil), "one", Limit{PerSecond: float64(perSecond)})
			var mu sync.Mutex
			seconds := make(map[int64]int)
			var callers sync.WaitGroup
			for range 4 {
				callers.Go(func() {
					for range perSecond * 5 / 2 {
						if _, err := c.Do(t.Context(), "m", form, good); err != nil {
							t.Error(err)
						}
						mu.Lock()
						seconds[time.Now().Unix()]++
						mu.Unlock()
					}
				})
			}
			start := time.Now()
			callers.Wait()
			all := 0
			for second, n := range seconds {
				if n > perSecond {
					t.Errorf("%d calls in second %d, want at most %d", n, second-start.Unix(), perSecond)
				}
				all += n
			}
			if took := time.Since(start).Seconds(); float64(all) < 0.95*float64(perSecond)*took {
				t.Errorf("%d calls in %.1fs at %d a second", all, took, perSecond)
			}
		})
	}
}

// What can wait waits: beside calls that take all they can get now and then,
// the patient ones take what those leave, nearly all of it, and make none of
// them wait.
func TestPatientCallsTakeWhatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const perSecond, minutes = 10, 10
		c := clientOf(t, NewLimits(nil), "one", Limit{PerSecond: perSecond})
		ctx, cancel := context.WithTimeout(t.Context(), minutes*time.Minute)
		defer cancel()
		var mu sync.Mutex
		seconds, patient := make(map[int64]int), 0
		call := func(ctx context.Context) bool {
			_, err := c.Do(ctx, "m", form, good)
			if err != nil {
				return false
			}
			mu.Lock()
			defer mu.Unlock()
			seconds[time.Now().Unix()]++
			return true
		}
		var callers sync.WaitGroup
		for range 8 {
			callers.Go(func() {
				for call(WithPatience(ctx)) {
					mu.Lock()
					patient++
					mu.Unlock()
				}
			})
		}
		var slowest time.Duration
		for ctx.Err() == nil {
			begun := time.Now()
			for range 2 * perSecond {
				call(ctx)
			}
			if ctx.Err() == nil {
				slowest = max(slowest, time.Since(begun))
			}
			time.Sleep(10 * time.Second)
		}
		callers.Wait()
		all := 0
		for second, n := range seconds {
			all += n
			if n > perSecond {
				t.Errorf("%d calls in second %d", n, second)
			}
		}
		if permitted := perSecond * 60 * minutes; all < permitted*95/100 {
			t.Errorf("%d calls of %d that are permitted", all, permitted)
		}
		if slowest > 2200*time.Millisecond || patient < all/2 {
			t.Errorf("twenty calls took up to %s beside patient ones, want 2 s; %d of %d were patient", slowest, patient, all)
		}
	})
}

// slowToJoin is a keeper whose rates take three seconds to join, once each.
type slowToJoin struct {
	*ledger
	joined map[string]chan struct{}
}

func (s slowToJoin) Join(_ context.Context, name string, _ Demand) error {
	<-s.ready(name)
	return nil
}

func (s slowToJoin) Share(name string, demand Demand) float64 {
	select {
	case <-s.ready(name):
		return demand.Rate
	default:
		return 0
	}
}

func (s slowToJoin) ready(name string) chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	ready, ok := s.joined[name]
	if !ok {
		ready = make(chan struct{})
		s.joined[name] = ready
		time.AfterFunc(3*time.Second, func() { close(ready) })
	}
	return ready
}

// While a process joins one of a call's rates, no tokens of another are saved up:
// they would be used all at once.
func TestNoCallsAreSavedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := timed(t, Config{App: Limit{Name: "app", PerSecond: 20}, Shop: Limit{Name: "shop", PerSecond: 2}})
		c.Share(NewLimits(slowToJoin{newLedger(), make(map[string]chan struct{})}))
		var mu sync.Mutex
		var at []time.Time
		var callers sync.WaitGroup
		for range 20 {
			callers.Go(func() {
				if _, err := c.Do(t.Context(), "m", form, func(Response) error {
					mu.Lock()
					defer mu.Unlock()
					at = append(at, time.Now())
					return nil
				}); err != nil {
					t.Error(err)
				}
			})
		}
		callers.Wait()
		slices.SortFunc(at, time.Time.Compare)
		for i := 3; i < len(at); i++ {
			if within := at[i].Sub(at[i-3]); within < time.Second {
				t.Errorf("calls %d to %d of a shop's two a second came within %s", i-3, i, within)
			}
		}
	})
}

// Of a day's quota the patient calls leave enough to the others until the end
// of the day, and use the rest, alone and beside other processes.
func TestPatientCallsLeaveQuota(t *testing.T) {
	for name, keeper := range map[string]Keeper{"alone": nil, "shared": newLedger()} {
		synctest.Test(t, func(t *testing.T) {
			const perDay = 1000
			quota := Limit{PerDay: perDay}
			live := clientOf(t, NewLimits(keeper), "one", quota)
			past := live
			if keeper != nil {
				past = clientOf(t, NewLimits(keeper), "one", quota) // another process
			}
			ctx, cancel := context.WithTimeout(t.Context(), 3*24*time.Hour-time.Second)
			defer cancel()
			var mu sync.Mutex
			days, patient := make(map[int]int), 0
			var callers sync.WaitGroup
			for range 4 {
				callers.Go(func() {
					for {
						if _, err := past.Do(WithPatience(ctx), "m", form, good); err != nil {
							return
						}
						mu.Lock()
						days[time.Now().YearDay()]++
						patient++
						mu.Unlock()
						select { // a platform takes its time
						case <-time.After(time.Second):
						case <-ctx.Done():
							return
						}
					}
				})
			}
			// Two fifths of the quota, all day long.
			for n := 0; ctx.Err() == nil; n++ {
				begun := time.Now()
				if _, err := live.Do(ctx, "m", form, good); err == nil {
					mu.Lock()
					days[begun.YearDay()]++
					mu.Unlock()
					if waited := time.Since(begun); waited > 0 {
						t.Errorf("%s: call %d waited %s", name, n, waited)
					}
				}
				time.Sleep(220 * time.Second)
			}
			callers.Wait()
			for day, n := range days {
				if n > perDay || n < perDay*95/100 {
					t.Errorf("%s: %d calls on day %d, of %d", name, n, day, perDay)
				}
			}
			if len(days) != 3 || patient < perDay*3/2 {
				t.Errorf("%s: %v, %d patient", name, days, patient)
			}
		})
	}
}

// Who calls needs some of a rate, also where none of its calls came through since its
// need was counted: others that need all of it would leave it nothing, for good.
func TestWhoCallsNeedsSome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, rate := range []float64{0.1, 1, 40} {
			b := &bucket{limit: Limit{Name: "n", PerSecond: rate}, share: rate, need: rate}
			for range 4 {
				if need := b.demand(true).Need; need <= 0 || need > rate {
					t.Errorf("of %g a second are needed %g", rate, need)
				}
				time.Sleep(needEvery)
			}
		}
	})
}

// What was refused at the same time does not come back at the same time: to the wait
// that the platform asks for a tenth at most is added, another each time.
func TestAThrottleIsJittered(t *testing.T) {
	const asked = 100 * time.Second
	waits := make(map[time.Duration]bool)
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			c, refused, start := timed(t, Config{}), false, time.Now()
			if _, err := c.Do(t.Context(), "m", form, func(Response) error {
				if refused {
					return nil
				}
				refused = true
				return refusal{asked, true}
			}); err != nil {
				t.Fatal(err)
			}
			wait := time.Since(start)
			if wait < asked || wait > asked+asked/10+50*time.Millisecond {
				t.Errorf("refused for %s and called again after %s", asked, wait)
			}
			waits[wait.Truncate(time.Second)] = true
		})
	}
	if len(waits) < 4 {
		t.Errorf("20 calls came back within the same %d seconds of the ten that they are spread over", len(waits))
	}
}
