package httpclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"time"
)

// Error is a call that got no usable answer. It names the host and nothing
// else of the address.
type Error struct {
	Host string
	// Status of the answer, 0 when there was none.
	Status int
	Reason string
	// Wait is how long the answer asked to wait; 0 if it did not.
	Wait time.Duration
	// Again says that the same call may be tried again.
	Again bool
	// Tries is how often the call is tried in all before the answer is final; 0
	// leaves it to the client.
	Tries int
	cause error
}

func (e *Error) Error() string {
	if e.Status != 0 {
		return fmt.Sprintf("httpclient: call %s: HTTP status %d: %s", e.Host, e.Status, e.Reason)
	}
	return fmt.Sprintf("httpclient: call %s: %s", e.Host, e.Reason)
}

// Unwrap gives the error below, for errors.Is on the like of
// context.DeadlineExceeded. Its text may hold an address: do not print it.
func (e *Error) Unwrap() error { return e.cause }

// Retry implements Retrier.
func (e *Error) Retry() (time.Duration, bool) { return e.Wait, e.Again }

// Attempts implements Bounded.
func (e *Error) Attempts() int { return e.Tries }

// strayTries is how often a call is tried whose answer is a status that says no
// platform's word: a proxy on the way, or a platform that is being renewed, gives
// one such among good answers.
const strayTries = 3

// StatusError is the usual meaning of a status that is not 200: an *Error to
// be tried again for 408, 425, 429 (after Retry-After, or a second) and 5xx;
// any other is tried a little and is final then. It is nil for 2xx.
func (c *Client) StatusError(r Response) error {
	if r.Status >= 200 && r.Status < 300 {
		return nil
	}
	e := &Error{Host: c.base.Host, Status: r.Status, Reason: http.StatusText(r.Status)}
	switch {
	case r.Status == http.StatusTooManyRequests:
		e.Again, e.Wait = true, max(retryAfter(r.Header), time.Second)
	case r.Status == http.StatusServiceUnavailable:
		e.Again, e.Wait = true, retryAfter(r.Header)
	case r.Status >= 500, r.Status == http.StatusRequestTimeout, r.Status == http.StatusTooEarly:
		e.Again = true
	default:
		e.Again, e.Tries = true, strayTries
	}
	if r.Status >= 300 && r.Status < 400 {
		e.Reason = "a redirect, which a signed call does not follow: is the address right?"
	}
	return e
}

// Undecodable is the error of an answer that is not what the platform
// promises (cut off, an HTML page of a proxy): it is tried again. The answer's
// text is not repeated in it.
func (c *Client) Undecodable(r Response, what string) error {
	return &Error{Host: c.base.Host, Status: r.Status, Again: true,
		Reason: fmt.Sprintf("the answer (%d bytes) is not %s", len(r.Body), what)}
}

// retryAfter is how long an answer asks to wait: in seconds, or until a moment of
// its own clock; 0 if it does not.
func retryAfter(h http.Header) time.Duration {
	asked := h.Get("Retry-After")
	if seconds, err := strconv.Atoi(asked); err == nil {
		return time.Duration(min(max(seconds, 0), math.MaxInt32)) * time.Second
	}
	until, err := http.ParseTime(asked)
	if err != nil {
		return 0
	}
	now, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		now = time.Now()
	}
	return max(until.Sub(now), 0)
}

// networkError is a failure to send or to read, worth another attempt, with
// the address taken out of its text.
func (c *Client) networkError(err error) error {
	return &Error{Host: c.base.Host, Reason: reason(err), Again: true, cause: err}
}

// quoted is what net/http repeats of an address or an answer in its errors.
var quoted = regexp.MustCompile(`"[^"]*"`)

// reason says what went wrong without repeating an address or an answer.
func reason(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	var dns *net.DNSError
	var op *net.OpError
	var timeout net.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "no complete answer within the time limit"
	case errors.As(err, &dns):
		return "the host name cannot be resolved: " + dns.Err
	case errors.As(err, &op) && op.Err != nil:
		return op.Op + ": " + op.Err.Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection ended before the answer did"
	}
	return quoted.ReplaceAllString(err.Error(), `"…"`)
}
