package pipelines

import (
	"context"
	"sync"
	"time"
)

// Backoff is how long to wait between attempts at something that is away:
// from Min on, doubled each time, up to Max. The zero value waits from 100 ms
// to 5 s. It is for one goroutine.
type Backoff struct {
	Min, Max time.Duration
	next     time.Duration
}

// Wait waits once; it returns ctx's error if that ends first.
func (b *Backoff) Wait(ctx context.Context) error {
	least, most := b.Min, b.Max
	if least <= 0 {
		least = 100 * time.Millisecond
	}
	if most <= 0 {
		most = 5 * time.Second
	}
	b.next = min(max(b.next, least), most)
	err := Sleep(ctx, b.next)
	b.next *= 2
	return err
}

// Reset begins anew, after a success.
func (b *Backoff) Reset() { b.next = 0 }

// Sleep waits for d, or for ctx to end, whose error it returns then.
func Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// State is what a pipeline is in.
type State string

// The states.
const (
	// Starting: not yet working.
	Starting State = "starting"
	// Working: all is well.
	Working State = "working"
	// Waiting: something that it needs is away; it goes on by itself.
	Waiting State = "waiting"
	// Standby: another process works; this one is ready to take over.
	Standby State = "standby"
	// Stopped: a person has to act.
	Stopped State = "stopped"
)

// Health is a pipeline's state for others to ask. The zero value is
// Starting. It may be used concurrently.
type Health struct {
	mu    sync.Mutex
	state State
	err   error
	since time.Time
}

// Set notes a state and the reason for it (nil when Working), and reports
// whether the state is another than before: only then is it worth a line in
// the log.
func (h *Health) Set(state State, err error) (changed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	changed = h.state != state
	if changed {
		h.since = time.Now()
	}
	h.state, h.err = state, err
	return changed
}

// Get is the state, the reason and since when.
func (h *Health) Get() (State, error, time.Time) { //nolint:staticcheck // ST1008: the error is a value here, not a failure of Get
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.state == "" {
		return Starting, nil, h.since
	}
	return h.state, h.err, h.since
}
