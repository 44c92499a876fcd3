// Package runs keeps the history of what the pipelines did: a row a run in
// ClickHouse and, where an address is given, OpenLineage events. Neither holds
// a run up: rows wait in memory while ClickHouse is away, up to a bound, and an
// event that nobody takes is let go.
package runs

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"oneid/pipelines"
	"oneid/schemas/events"
	"oneid/schemas/tables"
)

// Inserter keeps rows; a *clickhouse.Conn.
type Inserter interface {
	Insert(ctx context.Context, block tables.Block, token string) error
}

const (
	// flushEvery is how long a row waits for others.
	flushEvery = time.Second
	// quietFor is how long runs that find nothing stay without a row.
	quietFor = time.Minute
	// mostWaiting bounds the rows that wait for ClickHouse; the oldest go first.
	mostWaiting = 10000
	// maxError bounds what is kept of an error, in bytes.
	maxError = 1000
)

// Recorder records runs. Fill it before its first use; it may be used
// concurrently.
type Recorder struct {
	ClickHouse Inserter
	Log        *slog.Logger
	// Machine is where the runs are.
	Machine string
	// Lineage, if set, is told of each run.
	Lineage *Lineage

	mu sync.Mutex
	// The fields below are guarded by mu.
	waiting []tables.Run
	lost    int
	jobs    map[string]*job
	moved   chan struct{} // holds one thing while rows wait
}

// job is what is remembered of one job.
type job struct {
	quiet int
	rowAt time.Time
	state string
}

// start makes what is not there yet; mu is held.
func (r *Recorder) start() {
	if r.jobs == nil {
		r.jobs, r.moved = make(map[string]*job), make(chan struct{}, 1)
	}
}

// Begin notes that a run begins now, and gives it an ID. One that often is is
// a run which comes every few seconds: it is told of when it has done
// something.
func (r *Recorder) Begin(run *tables.Run, often bool) {
	run.ID, run.Started, run.Machine, run.Lag = uuid.NewString(), time.Now(), r.Machine, -1
	if !often {
		r.Lineage.begin(*run)
	}
}

// End notes how a run ended, now: err is nil if it succeeded; cut says that it
// was asked to end or had to.
func (r *Recorder) End(run *tables.Run, often, cut bool, err error) {
	run.Ended = time.Now()
	switch {
	case cut:
		run.State = tables.RunStopped
	case err != nil:
		run.State = tables.RunFailed
	default:
		run.State = tables.RunSucceeded
	}
	if err != nil && !cut {
		// It may repeat the bytes of a file's name, in any encoding.
		run.Error = events.Cut(strings.ToValidUTF8(err.Error(), "\uFFFD"), maxError)
	}
	if often && !r.worth(run) {
		return
	}
	if often {
		r.Lineage.begin(*run)
	}
	r.Lineage.end(*run)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.start()
	r.waiting = append(r.waiting, *run)
	if over := len(r.waiting) - mostWaiting; over > 0 {
		r.waiting = r.waiting[over:]
		r.lost += over
	}
	select {
	case r.moved <- struct{}{}:
	default:
	}
}

// worth says whether a run that comes often has a row of its own: it did
// something, or its outcome is another than before, or there was none for a
// while.
func (r *Recorder) worth(run *tables.Run) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.start()
	j := r.jobs[run.Job]
	if j == nil {
		j = new(job)
		r.jobs[run.Job] = j
	}
	nothing := run.Events == 0 && run.DeadLetters == 0
	if nothing && j.state == run.State && run.Ended.Sub(j.rowAt) < quietFor {
		j.quiet++
		return false
	}
	run.Quiet, j.quiet, j.rowAt, j.state = j.quiet, 0, run.Ended, run.State
	return true
}

// Run keeps what was recorded until ctx ends, and then what is left, and
// returns nil.
func (r *Recorder) Run(ctx context.Context) error {
	r.mu.Lock()
	r.start()
	r.mu.Unlock()
	var away pipelines.Backoff
	failing := false
	for ctx.Err() == nil {
		select {
		case <-r.moved:
		case <-ctx.Done():
		}
		_ = pipelines.Sleep(ctx, flushEvery) // cut short by the end alone
		for ctx.Err() == nil {
			err := r.Flush(ctx)
			if err == nil {
				if failing {
					failing = false
					r.Log.Info("the history of runs is kept again")
				}
				away.Reset()
				break
			}
			if !failing && ctx.Err() == nil {
				failing = true
				r.Log.Warn("the history of runs cannot be kept for now; it waits in memory", "error", err)
			}
			if away.Wait(ctx) != nil {
				break
			}
		}
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := errors.Join(r.Flush(ending), r.Lineage.Flush(ending)); err != nil {
		r.Log.Warn("the last runs are not in the history", "error", err)
	}
	return nil
}

// Flush keeps the rows that wait now. The same rows have the same token: a
// repetition after an error adds none.
func (r *Recorder) Flush(ctx context.Context) error {
	r.mu.Lock()
	rows, lost := r.waiting, r.lost
	r.mu.Unlock()
	if len(rows) == 0 {
		return nil
	}
	block := tables.NewRuns()
	for _, run := range rows {
		block.Append(run)
	}
	if err := r.ClickHouse.Insert(ctx, block, "runs/"+rows[0].ID+"/"+rows[len(rows)-1].ID); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	// Of those that were kept some may have gone meanwhile, to make room.
	gone := r.lost - lost
	r.waiting = r.waiting[max(len(rows)-gone, 0):]
	if r.lost > 0 {
		r.Log.Warn("some runs are not in the history: ClickHouse was away for too long", "runs", r.lost)
		r.lost = 0
	}
	return nil
}
