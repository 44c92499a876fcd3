package schedule

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// shared is a Store and a Lock of several processes. One that is killed keeps
// the lock until it is let go, as by a session that ends.
type shared struct {
	lock chan struct{}
	mu   sync.Mutex
	done map[string]time.Time
	away bool
}

func newShared() *shared {
	return &shared{lock: make(chan struct{}, 1), done: make(map[string]time.Time)}
}

var errAway = errors.New("away")

func (s *shared) Done(_ context.Context, job string) (time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return time.Time{}, errAway
	}
	return s.done[job], nil
}

func (s *shared) SetDone(_ context.Context, job string, at time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done[job] = at
	return nil
}

func (s *shared) Do(ctx context.Context, work func(context.Context, bool) error) error {
	select {
	case s.lock <- struct{}{}:
		defer func() { <-s.lock }()
		return work(ctx, false)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ran are the runs of a job, and its processes.
type ran struct {
	mu      sync.Mutex
	firings []Firing
	working int
}

func (r *ran) job(t *testing.T, s *shared, schedule Schedule, takes time.Duration, outcome func(n int) error) Job {
	return Job{
		Key: "job", Schedule: schedule, CatchUp: true, Store: s, Lock: s, Log: slog.New(slog.DiscardHandler),
		Work: func(ctx context.Context, f Firing) error {
			r.mu.Lock()
			r.working++
			if r.working > 1 {
				t.Error("it runs beside itself")
			}
			r.mu.Unlock()
			defer func() {
				r.mu.Lock()
				defer r.mu.Unlock()
				r.working--
			}()
			select {
			case <-time.After(takes):
			case <-ctx.Done():
				return ctx.Err()
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			r.firings = append(r.firings, f)
			if outcome != nil {
				return outcome(len(r.firings))
			}
			return nil
		},
	}
}

// start runs a process until stop is called.
func start(t *testing.T, j Job) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := j.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}

func (r *ran) whys() string {
	text := ""
	for _, f := range r.firings {
		text += f.Why + " "
	}
	return text
}

// Two processes, runs that take longer than the pause between two times: each
// time is done at most once, never two at once; what was missed meanwhile is
// done once.
func TestJobOnceForEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := newShared(), new(ran)
		hourly := cronOf(t, "0 * * * *", "UTC") // synctest begins at 2000-01-01T00:00Z
		a := start(t, r.job(t, s, hourly, 90*time.Minute, nil))
		b := start(t, r.job(t, s, hourly, 90*time.Minute, nil))
		time.Sleep(10*time.Hour + time.Minute)
		a()
		b()
		// 1:00–2:30, then what was missed at 2:00 until 4:00, which is on time, …
		if got := r.whys(); got != "schedule catch_up schedule catch_up schedule catch_up " {
			t.Errorf("it ran as %s", got)
		}
		for i, f := range r.firings[1:] {
			if !f.For.After(r.firings[i].For) {
				t.Errorf("run %d is for %s, after one for %s", i+1, f.For, r.firings[i].For)
			}
		}
	})
}

// Three processes wake up at the same moments: each is done by one of them.
func TestJobOnceThoughAllWakeUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := newShared(), new(ran)
		var stops []func()
		for range 3 {
			stops = append(stops, start(t, r.job(t, s, cronOf(t, "0 * * * *", "UTC"), time.Second, nil)))
		}
		time.Sleep(10*time.Hour + time.Minute)
		for _, stop := range stops {
			stop()
		}
		if got := r.whys(); got != strings.Repeat("schedule ", 10) {
			t.Errorf("in ten hours it ran as %s", got)
		}
	})
}

// A process that dies in the middle of a run leaves it to the other one; a
// night without any process is made up for once.
func TestJobGoesOnElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := newShared(), new(ran)
		daily := cronOf(t, "0 3 * * *", "UTC")
		a := start(t, r.job(t, s, daily, time.Hour, nil))
		synctest.Wait()
		b := start(t, r.job(t, s, daily, time.Hour, nil))
		time.Sleep(3*time.Hour + 30*time.Minute)
		a() // one of them is in the middle of it; the other waits
		time.Sleep(2 * time.Hour)
		b()
		if len(r.firings) != 1 {
			t.Fatalf("it ran %d times (%s), want once", len(r.firings), r.whys())
		}
		time.Sleep(72 * time.Hour)
		c := start(t, r.job(t, s, daily, time.Hour, nil))
		time.Sleep(2 * time.Hour)
		c()
		if got := r.whys(); len(r.firings) != 2 || r.firings[1].Why != CatchUp {
			t.Errorf("after three days it ran as %s, want one more, to catch up", got)
		}
	})
}

// What fails is tried again a few times, and then at its next time; what no
// repetition cures, then only.
func TestJobTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := newShared(), new(ran)
		daily := cronOf(t, "0 3 * * *", "UTC")
		failing := r.job(t, s, daily, 0, func(int) error { return errAway })
		stop := start(t, failing)
		time.Sleep(26 * time.Hour)
		stop()
		if got := r.whys(); got != "schedule retry retry retry " {
			t.Errorf("it ran as %s", got)
		}
		r.firings = nil
		failing.Final = func(err error) bool { return errors.Is(err, errAway) }
		stop = start(t, failing)
		time.Sleep(24 * time.Hour)
		stop()
		if got := r.whys(); got != "schedule " {
			t.Errorf("what no repetition cures ran as %s", got)
		}
	})
}

// The pauses before the repetitions are 1, 4 and 16 minutes, as the documentation
// says.
func TestPausesBetweenTries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := newShared(), new(ran)
		var at []time.Time
		stop := start(t, r.job(t, s, cronOf(t, "0 3 * * *", "UTC"), 0, func(int) error {
			at = append(at, time.Now())
			return errAway
		}))
		time.Sleep(26 * time.Hour)
		stop()
		want := []time.Duration{time.Minute, 4 * time.Minute, 16 * time.Minute}
		if len(at) != len(want)+1 {
			t.Fatalf("it was tried %d times, want %d", len(at), len(want)+1)
		}
		for i, pause := range want {
			if got := at[i+1].Sub(at[i]).Round(time.Second); got != pause {
				t.Errorf("repetition %d comes after %s, want %s", i+1, got, pause)
			}
		}
	})
}

// No repetition comes after the next time: it is brought forward to that, which it
// does as well.
func TestNoRepetitionRunsIntoTheNextTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := newShared(), new(ran)
		var at []time.Time
		j := r.job(t, s, cronOf(t, "*/3 * * * *", "UTC"), 0, func(int) error {
			at = append(at, time.Now())
			return errAway
		})
		begun := time.Now()
		stop := start(t, j)
		time.Sleep(10 * time.Minute)
		stop()
		// 3:00; a minute later; not four minutes after that but at the next time, and the
		// last one at the next again.
		want := []time.Duration{3 * time.Minute, 4 * time.Minute, 6 * time.Minute, 9 * time.Minute}
		for i, when := range want {
			if i >= len(at) || at[i].Sub(begun).Round(time.Second) != when {
				t.Fatalf("it began at %v after %s, want %v", at, begun, want)
			}
		}
	})
}

// A new job waits for its first time, also one that is started often; a store
// that is away, and a process that may not work, are waited for.
func TestJobWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := newShared(), new(ran)
		ready := false
		every := r.job(t, s, Every(24*time.Hour), 0, nil)
		every.Ready = func() bool { return ready }
		for range 4 {
			stop := start(t, every)
			time.Sleep(7 * time.Hour)
			stop()
		}
		if len(r.firings) != 0 {
			t.Error("a process that may not work did")
		}
		ready = true
		s.away = true
		stop := start(t, every)
		time.Sleep(time.Hour)
		s.mu.Lock()
		s.away = false
		s.mu.Unlock()
		time.Sleep(time.Hour)
		stop()
		if len(r.firings) != 1 {
			t.Errorf("it ran %d times, want once, 24 hours after it was first seen", len(r.firings))
		}
	})
}

// A clock that was a year ahead, and was put right, does not stop a job until
// that year is over; one that is a little ahead of another's makes it run
// neither twice nor never.
func TestJobAfterAWrongClock(t *testing.T) {
	for name, schedule := range map[string]Schedule{"every": Every(time.Hour), "cron": cronOf(t, "0 * * * *", "UTC")} {
		for ahead, want := range map[time.Duration]int{365 * 24 * time.Hour: 10, 2 * time.Second: 10} {
			synctest.Test(t, func(t *testing.T) {
				s, r := newShared(), new(ran)
				s.done["job"] = time.Now().Add(ahead)
				stop := start(t, r.job(t, s, schedule, 0, nil))
				time.Sleep(10*time.Hour + 10*time.Minute)
				stop()
				if len(r.firings) != want {
					t.Errorf("%s, done %s in the future: it ran %d times in ten hours, want %d", name, ahead, len(r.firings), want)
				}
			})
		}
	}
}

// What failed is tried again also where missed times are let go, however long
// it took to fail; the time after it is on schedule again.
func TestJobTriesAgainWithoutCatchingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := newShared(), new(ran)
		j := r.job(t, s, cronOf(t, "0 3 * * *", "UTC"), 5*time.Minute, func(n int) error {
			if n < 3 {
				return errAway
			}
			return nil
		})
		j.CatchUp = false
		stop := start(t, j)
		time.Sleep(28 * time.Hour)
		stop()
		if got := r.whys(); got != "schedule retry retry schedule " {
			t.Errorf("it ran as %s", got)
		}
	})
}

// Where another process did what failed here, the next time is no repetition.
func TestJobThatAnotherMended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := newShared(), new(ran)
		daily := cronOf(t, "0 3 * * *", "UTC")
		stop := start(t, r.job(t, s, daily, 0, func(n int) error {
			if n == 1 {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.done["job"] = time.Now() // by another process, meanwhile
				return errAway
			}
			return nil
		}))
		time.Sleep(28 * time.Hour)
		stop()
		if got := r.whys(); got != "schedule schedule " {
			t.Errorf("it ran as %s", got)
		}
	})
}

// losing is a lock that is lost in the middle of the first runs.
type losing struct {
	*shared
	times int
}

func (l *losing) Do(ctx context.Context, work func(context.Context, bool) error) error {
	return l.shared.Do(ctx, func(ctx context.Context, gained bool) error {
		if l.times == 0 {
			return work(ctx, gained)
		}
		l.times--
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		return work(ctx, gained)
	})
}

// A run that is broken off, however often, is no failure: it is due as before.
func TestJobThatIsBrokenOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := newShared(), new(ran)
		j := r.job(t, s, cronOf(t, "0 3 * * *", "UTC"), time.Hour, nil)
		j.Lock = &losing{s, retries + 2}
		stop := start(t, j)
		time.Sleep(6 * time.Hour)
		stop()
		if len(r.firings) != 1 || r.firings[0].Why == Retry {
			t.Errorf("it ran as %s", r.whys())
		}
	})
}

// A job looks every minute whether its time has come: the clock may be put, or
// what was kept of it may change.
func TestJobLooksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := newShared(), new(ran)
		s.done["job"] = time.Now()
		stop := start(t, r.job(t, s, Every(24*time.Hour), 0, nil))
		time.Sleep(time.Hour)
		s.mu.Lock()
		s.done["job"] = time.Now().Add(-25 * time.Hour)
		s.mu.Unlock()
		time.Sleep(2 * time.Minute)
		stop()
		if len(r.firings) != 1 {
			t.Errorf("it ran %d times, want once", len(r.firings))
		}
	})
}
