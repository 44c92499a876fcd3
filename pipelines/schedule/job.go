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
)

// Run does the job at its times until ctx ends, and returns nil then. A Store
// that is away is waited for.
func (j Job) Run(ctx context.Context) error {
	var away pipelines.Backoff
	failed := 0
	var notBefore time.Time
	for ctx.Err() == nil {
		err := j.wait(ctx, notBefore)
		if err == nil {
			err = j.Lock.Do(ctx, func(ctx context.Context, _ bool) error {
				done, err := j.known(ctx)
				if err != nil {
					return err
				}
				due := j.Schedule.Due(done, time.Now(), j.CatchUp)
				if due.At.After(time.Now()) {
					return nil // another process has done it
				}
				f := Firing{For: due.For, Why: OnSchedule}
				switch {
				case failed > 0:
					f.Why = Retry
				case due.Missed:
					f.Why = CatchUp
				}
				err = j.Work(ctx, f)
				if ctx.Err() != nil {
					return ctx.Err() // it broke off: it is due as before
				}
				if err != nil && failed < retries && (j.Final == nil || !j.Final(err)) {
					notBefore = time.Now().Add(min(retryMin<<(2*failed), j.untilNext(due.For)))
					failed++
					return nil
				}
				failed = 0
				return j.Store.SetDone(ctx, j.Key, due.For)
			})
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

// untilNext bounds a repetition: it must not run into the next time.
func (j Job) untilNext(this time.Time) time.Duration {
	return max(time.Until(j.Schedule.After(this)), time.Second)
}

// known is up to which time the job was done; of a new one, now.
func (j Job) known(ctx context.Context) (time.Time, error) {
	done, err := j.Store.Done(ctx, j.Key)
	if err != nil || !done.IsZero() {
		return done, err
	}
	// Without it a process that is started often would never see the time come.
	now := time.Now().Truncate(time.Millisecond)
	return now, j.Store.SetDone(ctx, j.Key, now)
}

var errNever = errors.New("the schedule never comes")

// wait waits until the job is due and may be done here.
func (j Job) wait(ctx context.Context, notBefore time.Time) error {
	for {
		done, err := j.known(ctx)
		if err != nil {
			return err
		}
		at := j.Schedule.Due(done, time.Now(), j.CatchUp).At
		if at.IsZero() {
			return fmt.Errorf("job %s: %w", j.Key, errNever)
		}
		if notBefore.After(at) {
			at = notBefore
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
