package schedule

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"oneid/pipelines"
)

// Store keeps up to which time of its schedule each job was done, for all
// processes.
type Store interface {
	// Done is that time; zero for a job that nobody knows yet.
	Done(ctx context.Context, job string) (time.Time, error)
	// SetDone returns once it is kept.
	SetDone(ctx context.Context, job string, at time.Time) error
}

// Lock lets one process at a time work at a job. It returns an error when it
// was lost, or what work returns.
type Lock interface {
	Do(ctx context.Context, work func(ctx context.Context, gained bool) error) error
}

// Why a job runs.
const (
	OnSchedule = "schedule"
	CatchUp    = "catch_up"
	Retry      = "retry"
	ByHand     = "manual"
)

// Firing is a run of a job: for which time, and why.
type Firing struct {
	For time.Time
	Why string
}

// Job is something that is done at times.
type Job struct {
	// Key names it for all processes of the brand.
	Key      string
	Schedule Schedule
	// CatchUp does once, as soon as it runs, what was missed while it did not.
	CatchUp bool
	Store   Store
	Lock    Lock
	// Ready, if set, says whether this process may do it at all now.
	Ready func() bool
	// Work does it. An error means that it is tried again a few times, and
	// then at the next time of the schedule.
	Work func(ctx context.Context, f Firing) error
	// Final, if set, says of an error that no repetition cures it.
	Final func(error) bool
	Log   *slog.Logger
}

const (
	// look is the longest that a job sleeps before it looks at the clock again:
	// one that was put, or a machine that slept, must not delay it.
	look = time.Minute
	// retries is how often a run that failed is repeated at once.
	retries = 3
	// retryMin is the pause before the first repetition, which is doubled and
	// more for the others.
	retryMin = time.Minute
	// ahead is how far in the future a job may seem to be done: the clocks of two
	// machines differ by that much, and by more only where one is wrong.
	ahead = 10 * time.Minute
)

// tries are the attempts at one time that failed here.
type tries struct {
	failed int
	// done is up to which time the job was done then: once that is another, some
	// process has done it since, and the attempts are of the past.
	done time.Time
	// notBefore is when it is tried again.
	notBefore time.Time
}

// of forgets them where they are of the past.
func (t *tries) of(done time.Time) {
	if !t.done.Equal(done) {
		*t = tries{done: done}
	}
}

// Run does the job at its times until ctx ends, and returns nil then. A Store
// that is away is waited for.
func (j Job) Run(ctx context.Context) error {
	var away pipelines.Backoff
	var tried tries
	for ctx.Err() == nil {
		err := j.wait(ctx, &tried)
		if err == nil {
			err = j.Lock.Do(ctx, func(ctx context.Context, _ bool) error { return j.once(ctx, &tried) })
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			j.Log.Warn("a job waits: it cannot be known whether it is due", "job", j.Key, "error", err)
			if away.Wait(ctx) != nil {
				return nil
			}
		default:
			away.Reset()
		}
	}
	return nil
}

// once does the job if it is due; the lock is held.
func (j Job) once(ctx context.Context, tried *tries) error {
	done, err := j.known(ctx)
	if err != nil {
		return err
	}
	tried.of(done)
	due := j.due(done, tried)
	if due.At.After(time.Now()) {
		return nil // another process has done it
	}
	f := Firing{For: due.For, Why: OnSchedule}
	switch {
	case tried.failed > 0:
		f.Why = Retry
	case due.Missed:
		f.Why = CatchUp
	}
	err = j.Work(ctx, f)
	if ctx.Err() != nil {
		return ctx.Err() // it broke off: it is due as before
	}
	if err != nil && tried.failed < retries && (j.Final == nil || !j.Final(err)) {
		tried.notBefore = time.Now().Add(min(retryMin<<(2*tried.failed), j.untilNext(due.For)))
		tried.failed++
		return nil
	}
	return j.Store.SetDone(ctx, j.Key, due.For)
}

// untilNext bounds a repetition: it must not run into the next time.
func (j Job) untilNext(this time.Time) time.Duration {
	return max(time.Until(j.Schedule.After(this)), time.Second)
}

// due says when the job is to be done. One that failed is to be tried again,
// however long ago its time was, also where what was missed is let go.
func (j Job) due(done time.Time, tried *tries) Due {
	return j.Schedule.Due(done, time.Now(), j.CatchUp || tried.failed > 0)
}

// known is up to which time the job was done; of a new one, now. So is that of
// one which a clock that was wrong says to be done in the future: there it would
// rest until then.
func (j Job) known(ctx context.Context) (time.Time, error) {
	done, err := j.Store.Done(ctx, j.Key)
	now := time.Now().Truncate(time.Millisecond)
	switch {
	case err != nil:
		return done, err
	case done.After(now.Add(ahead)):
		j.Log.Warn("a job was done at a time that is still to come: a clock was wrong; it goes on from now", "job", j.Key, "done", done)
	case !done.IsZero():
		return done, nil
	}
	// Without it a process that is started often would never see the time come.
	return now, j.Store.SetDone(ctx, j.Key, now)
}

var errNever = errors.New("the schedule never comes")

// wait waits until the job is due and may be done here.
func (j Job) wait(ctx context.Context, tried *tries) error {
	for {
		done, err := j.known(ctx)
		if err != nil {
			return err
		}
		tried.of(done)
		at := j.due(done, tried).At
		if at.IsZero() {
			return fmt.Errorf("job %s: %w", j.Key, errNever)
		}
		if tried.notBefore.After(at) {
			at = tried.notBefore
		}
		left := time.Until(at)
		if left <= 0 {
			if j.Ready == nil || j.Ready() {
				return nil
			}
			left = time.Second
		}
		if err := pipelines.Sleep(ctx, min(left, look)); err != nil {
			return err
		}
	}
}
