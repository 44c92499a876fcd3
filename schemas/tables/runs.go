package tables

import "time"

// Run is one run of a job of a pipeline.
type Run struct {
	// ID is a UUID.
	ID string
	// Pipeline is the name of its file; Job is what ran, Task its kind.
	Pipeline, Job, Task string
	// Platform, Shop and Stream are those of a stream; empty otherwise.
	Platform, Shop, Stream string
	// Reason is why it ran: schedule, catch_up, retry or manual.
	Reason string
	// State is how it ended: one of the Runs below.
	State string
	// Scheduled is the time of the schedule that it ran for; zero for one by
	// hand.
	Scheduled, Started, Ended time.Time
	// From and To are the days that a backfill reads, To zero until now; they have no
	// columns, since the pipeline's name says them.
	From, To                            time.Time
	Pages, Records, Events, DeadLetters int
	// Lag is how far behind the present the stream was at the end; negative if
	// that is not known.
	Lag time.Duration
	// Waited is how much of it was waiting for limits of the platform.
	Waited time.Duration
	// Quiet is how many runs before it found nothing and have no row.
	Quiet int
	// Error is what went wrong, without a personal value.
	Error   string
	Machine string
}

// How a run ends.
const (
	RunSucceeded = "succeeded"
	RunFailed    = "failed"
	RunStopped   = "stopped"
)

// Runs fills the table runs.
type Runs struct {
	columns
	id, pipeline, job, task, platform, shop, stream, reason, state, fault, machine *Texts
	scheduled, started, ended                                                      *[]time.Time
	pages, records, events, letters, quiet                                         *[]uint64
	lag, waited                                                                    *[]int64
}

// NewRuns makes an empty block.
func NewRuns() *Runs {
	r := new(Runs)
	c := &r.columns
	r.id, r.pipeline, r.job, r.task = texts(c, "run_id"), texts(c, "pipeline"), texts(c, "job"), texts(c, "task")
	r.platform, r.shop, r.stream = texts(c, "platform"), texts(c, "shop"), texts(c, "stream")
	r.reason, r.state = texts(c, "reason"), texts(c, "state")
	r.scheduled, r.started, r.ended = slice[time.Time](c, "scheduled_at"), slice[time.Time](c, "started_at"), slice[time.Time](c, "ended_at")
	r.pages, r.records, r.events, r.letters = slice[uint64](c, "pages"), slice[uint64](c, "records"), slice[uint64](c, "events"), slice[uint64](c, "dead_letters")
	r.lag, r.waited, r.quiet = slice[int64](c, "lag_ms"), slice[int64](c, "waited_ms"), slice[uint64](c, "quiet_runs")
	r.fault, r.machine = texts(c, "error"), texts(c, "machine")
	return r
}

// Table implements Block.
func (*Runs) Table() string { return "runs" }

// Append adds a run.
func (r *Runs) Append(run Run) {
	at := func(t time.Time) time.Time {
		if t.IsZero() {
			return time.Unix(0, 0).UTC()
		}
		return t.UTC()
	}
	lag := int64(-1)
	if run.Lag >= 0 {
		lag = run.Lag.Milliseconds()
	}
	r.rows++
	r.id.add(run.ID)
	r.pipeline.add(run.Pipeline)
	r.job.add(run.Job)
	r.task.add(run.Task)
	r.platform.add(run.Platform)
	r.shop.add(run.Shop)
	r.stream.add(run.Stream)
	r.reason.add(run.Reason)
	r.state.add(run.State)
	add(r.scheduled, at(run.Scheduled))
	add(r.started, at(run.Started))
	add(r.ended, at(run.Ended))
	add(r.pages, uint64(max(run.Pages, 0)))
	add(r.records, uint64(max(run.Records, 0)))
	add(r.events, uint64(max(run.Events, 0)))
	add(r.letters, uint64(max(run.DeadLetters, 0)))
	add(r.lag, lag)
	add(r.waited, run.Waited.Milliseconds())
	add(r.quiet, uint64(max(run.Quiet, 0)))
	r.fault.add(run.Error)
	r.machine.add(run.Machine)
}
