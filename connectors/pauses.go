package connectors

import (
	"errors"
	"sync"
	"time"
)

// maxPause is the longest pause after a refusal for rate of a platform that
// does not say how long it lasts.
const maxPause = time.Minute

// Pauses say how long a refusal for rate lasts where the platform does not: a
// second, doubled with each that follows after the pause, up to a minute.
// Calls that were under way together are refused together: that is one
// refusal. The zero value is ready; it may be used concurrently.
type Pauses struct {
	mu sync.Mutex
	// The fields below are guarded by mu.
	refused int       // since the last good answer
	until   time.Time // the end of the pause
}

// Note takes a call's error, nil for a good answer, and sets Wait in a Throttle
// that has none: what the platform says itself counts.
func (p *Pauses) Note(err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var refusal *Error
	switch {
	case err == nil:
		// One that was under way when others were refused says nothing.
		if time.Now().After(p.until) {
			p.refused = 0
		}
	case errors.As(err, &refusal) && refusal.Class == Throttle && refusal.Wait <= 0:
		if left := time.Until(p.until); left > 0 {
			refusal.Wait = left
			break
		}
		refusal.Wait = min(time.Second<<min(p.refused, 10), maxPause)
		p.refused++
		p.until = time.Now().Add(refusal.Wait)
	}
	return err
}
