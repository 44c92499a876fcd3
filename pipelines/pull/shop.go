package pull

import (
	"context"
	"errors"
	"sync"
	"time"

	"oneid/connectors"
	"oneid/pipelines"
)

// A stopped stream or shop is tried again after stoppedMin, then after twice
// as long, up to stoppedMax: what a person mends at the platform goes on by
// itself, and asking does not burn the quota.
const (
	stoppedMin = time.Minute
	stoppedMax = time.Hour
	// consentPause is how often it is looked whether a shop whose token is dead
	// has another one.
	consentPause = time.Second
	// awayMax bounds the pause between two rounds while a platform is away.
	awayMax = 30 * time.Second
)

// Shop is what the pullers of one shop share: a refusal of the shop that one
// stream gets stops them all. The zero value is a shop that works.
type Shop struct {
	// Consented, if set, is when the shop's token was given: one whose token is
	// dead goes on as soon as that changes.
	Consented func(ctx context.Context) (time.Time, error)

	mu    sync.Mutex
	err   error
	by    string    // the stream that was refused
	until time.Time // when it is tried again
	pause time.Duration
}

// stop notes a refusal of the shop. Of several streams that get it at the same
// time the first decides when the shop is tried again.
func (s *Shop) stop(stream string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Now().Before(s.until) {
		return
	}
	s.err, s.by = err, stream
	s.pause = min(max(2*s.pause, stoppedMin), stoppedMax)
	s.until = time.Now().Add(s.pause)
}

// works notes that a stream was read; the one that stopped the shop lets it go.
func (s *Shop) works(stream string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.by == stream {
		s.err, s.by, s.until, s.pause = nil, "", time.Time{}, 0
	}
}

// stopped is why the shop may not be asked now, and for how long.
func (s *Shop) stopped() (error, time.Duration) { //nolint:staticcheck // ST1008: the error is a value here, not a failure
	s.mu.Lock()
	defer s.mu.Unlock()
	if left := time.Until(s.until); left > 0 {
		return s.err, left
	}
	return nil, 0
}

// sleep waits until a stopped shop is tried again, or until the shop's owner has
// consented anew.
func (s *Shop) sleep(ctx context.Context, left time.Duration) error {
	s.mu.Lock()
	err := s.err
	s.mu.Unlock()
	if s.Consented == nil || !errors.Is(err, connectors.ErrReauthorise) {
		return pipelines.Sleep(ctx, left)
	}
	until := time.Now().Add(left)
	before, _ := s.Consented(ctx) // a keeping that is away is asked again below
	for time.Now().Before(until) {
		if err := pipelines.Sleep(ctx, min(consentPause, time.Until(until))); err != nil {
			return err
		}
		if at, err := s.Consented(ctx); err == nil && at.After(before) {
			s.mu.Lock()
			s.until, s.pause = time.Time{}, 0
			s.mu.Unlock()
			return nil
		}
	}
	return nil
}
