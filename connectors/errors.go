package connectors

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Class says what to do about a platform's refusal.
type Class int

// The classes of errors, from the mildest to the gravest.
const (
	// Retry: the platform's own fault, or the network's; the same call again.
	Retry Class = iota
	// Throttle: called too often; wait Error.Wait, then the same call again.
	Throttle
	// Refresh: the token has expired; renew it once, then the same call again.
	Refresh
	// SkipRecord: this one record cannot be had; go on without it.
	SkipRecord
	// StopStream: the call is wrong or not permitted; this stream cannot go on.
	StopStream
	// StopShop: nothing of this shop can be read until a person acts.
	StopShop
)

var classNames = [...]string{"retry", "throttle", "refresh", "skip record", "stop stream", "stop shop"}

func (c Class) String() string {
	if c < 0 || int(c) >= len(classNames) {
		return fmt.Sprintf("Class(%d)", int(c))
	}
	return classNames[c]
}

// What callers ask of an error, with errors.Is.
var (
	// ErrUnauthorized: the keys or the token are not (or no longer) accepted.
	ErrUnauthorized = errors.New("not authorised")
	// ErrForbidden: the keys are good, but a permission is missing.
	ErrForbidden = errors.New("permission missing")
	// ErrThrottled: called too often.
	ErrThrottled = errors.New("called too often")
	// ErrClock: this machine's clock is too far from the platform's.
	ErrClock = errors.New("the clocks disagree")
	// ErrNoStream: the connector has no stream of that name.
	ErrNoStream = errors.New("no such stream")
	// ErrCursor: the cursor was not written by this connector, or by a newer
	// version of it.
	ErrCursor = errors.New("cursor cannot be read")
)

// Error is a platform's refusal of a call.
type Error struct {
	Class    Class
	Platform string
	// Shop is the shop that was read; may be empty.
	Shop string
	// Op is the platform's name of the method that was called.
	Op string
	// SystemCode and SubCode are the platform's own, as text.
	SystemCode, SubCode string
	// Message is the platform's own text where it is known to hold no value
	// of a call or a person; may be empty.
	Message string
	// RequestID is the platform's, for its support; may be empty.
	RequestID string
	// Wait is how long a Throttle lasts; 0 otherwise.
	Wait time.Duration
	// Mend says what to do about it.
	Mend string
	// Kind is one of the sentinels of this package, or nil.
	Kind error
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Platform)
	if e.Op != "" {
		b.WriteString(": call " + e.Op)
	}
	if e.Shop != "" {
		b.WriteString(" of shop " + e.Shop)
	}
	b.WriteString(": refused")
	for _, code := range []struct{ name, value string }{
		{" with code ", e.SystemCode}, {" ", e.SubCode}, {": ", e.Message}, {", request ", e.RequestID},
	} {
		if code.value != "" {
			b.WriteString(code.name + code.value)
		}
	}
	if e.Wait > 0 {
		fmt.Fprintf(&b, "; it asks to wait %s", e.Wait)
	}
	if e.Mend != "" {
		b.WriteString("; " + e.Mend)
	}
	return b.String()
}

// Unwrap gives Kind, for errors.Is.
func (e *Error) Unwrap() error { return e.Kind }

// Retry says whether the same call may be tried again at once (0, true),
// after a wait, or not. A Throttle without a Wait waits a second.
func (e *Error) Retry() (wait time.Duration, again bool) {
	switch e.Class {
	case Retry:
		return 0, true
	case Throttle:
		return max(e.Wait, time.Second), true
	default:
		return 0, false
	}
}

// Code is the stable name of the fault for programs: "tmall.27".
func (e *Error) Code() string {
	code := e.SystemCode
	if e.SubCode != "" {
		code += "." + e.SubCode
	}
	return e.Platform + "." + strings.TrimPrefix(code, ".")
}

// Hint says what a person can do about it.
func (e *Error) Hint() string { return e.Mend }

// ClassOf is the class of the platform's refusal that err wraps; Retry for
// any other error, since those are the network's.
func ClassOf(err error) Class {
	var e *Error
	if errors.As(err, &e) {
		return e.Class
	}
	return Retry
}
