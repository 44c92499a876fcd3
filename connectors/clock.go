package connectors

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// A Clock is a platform's clock, as far as it is known. The zero value is ours;
// it may be used concurrently.
type Clock struct {
	mu sync.Mutex
	// offset is the platform's clock less ours; guarded by mu.
	offset time.Duration
}

// Now is the platform's present, in UTC.
func (c *Clock) Now() time.Time { return time.Now().Add(c.Skew()).UTC() }

// Skew is how far the platform's clock is ahead of ours.
func (c *Clock) Skew() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.offset
}

// Learn notes the platform's present from the Date of an answer, if it has one.
func (c *Clock) Learn(h http.Header) {
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		c.Set(date.Add(500 * time.Millisecond)) // it counts whole seconds
	}
}

// Set notes the platform's present. An answer was under way for a while: less
// than two seconds are no difference.
func (c *Clock) Set(present time.Time) {
	offset := time.Until(present)
	if offset.Abs() < 2*time.Second {
		offset = 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset = offset
}

// Check is the fault (ErrClock) of a machine whose clock is further than so much
// from the platform's; nil of one whose clock is right.
func (c *Clock) Check(most time.Duration) error {
	skew := c.Skew()
	if skew.Abs() <= most {
		return nil
	}
	return fmt.Errorf("this machine's clock is %s away from the platform's: %w; let it follow a time server (NTP): the connector reckons with the difference, but a growing one will stop it",
		skew.Abs().Round(time.Second), ErrClock)
}

// ByClock makes a call, and once more when it is refused for its timestamp: the
// refusal told the platform's clock.
func ByClock(call func() error) error {
	err := call()
	if errors.Is(err, ErrClock) {
		err = call()
	}
	return err
}
