package connectors

import (
	"encoding/json"
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
	// ErrGone: the platform has taken the method out of service.
	ErrGone = errors.New("method gone")
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
	// Wait is how long a Throttle lasts, or any other error lets nothing be called
	// under Limit; 0 otherwise.
	Wait time.Duration
	// Limit is whose limit a Wait is of: "app", "method", "shop", "shop method" or "".
	Limit string
	// Tries is how often the call is tried in all before Class holds; 0
	// leaves it to the class.
	Tries int
	// Mend says what to do about it.
	Mend string
	// Kind is one of the sentinels of this package, or nil.
	Kind error
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Platform)
	switch {
	case e.Op == "" && e.SystemCode == "": // nothing was called
		if e.Shop != "" {
			b.WriteString(": shop " + e.Shop)
		}
	default:
		if e.Op != "" {
			b.WriteString(": call " + e.Op)
		}
		if e.Shop != "" {
			b.WriteString(" of shop " + e.Shop)
		}
		b.WriteString(": refused")
	}
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
	if e.Class == Throttle {
		return max(e.Wait, time.Second), true
	}
	return 0, e.Class == Retry || e.Tries > 1
}

// Pause is how long no call is to be made, though not the same one after it.
func (e *Error) Pause() time.Duration {
	if e.Class == Throttle || e.Limit == "" {
		return 0
	}
	return e.Wait
}

// Scope is whose limit a Throttle or a pause is of.
func (e *Error) Scope() string { return e.Limit }

// Attempts bounds how often the call is tried in all; 0 leaves it to the
// client.
func (e *Error) Attempts() int { return e.Tries }

// Code is the stable name of the fault for programs: "tmall.27"; that of a shop
// whose token is dead is "tmall.re-authorise", whatever the platform calls it.
func (e *Error) Code() string {
	if errors.Is(e.Kind, ErrReauthorise) {
		return e.Platform + ".re-authorise"
	}
	code := e.SystemCode
	if e.SubCode != "" {
		code += "." + e.SubCode
	}
	return e.Platform + "." + strings.TrimPrefix(code, ".")
}

// Hint says what a person can do about it.
func (e *Error) Hint() string { return e.Mend }

// ClassOf is the class of the platform's refusal that err wraps. What no
// repetition cures stops the stream, such as an answer (an HTTP status, a size)
// that says itself that the call is not to be tried again, or a few times and no
// more; any other error is the network's, so Retry.
func ClassOf(err error) Class {
	var e *Error
	var call interface {
		Retry() (wait time.Duration, again bool)
	}
	var few interface{ Attempts() int }
	switch {
	case errors.As(err, &e):
		return e.Class
	case errors.Is(err, ErrNoStream), errors.Is(err, ErrCursor):
		return StopStream
	case errors.Is(err, ErrMissing):
		return SkipRecord
	case errors.As(err, &call):
		if wait, again := call.Retry(); wait == 0 && !again {
			return StopStream
		}
		if errors.As(err, &few) && few.Attempts() > 0 {
			return StopStream // it was tried as often as it may be
		}
	}
	return Retry
}

// Stops says that a reading which ended with err does not go on by itself: a
// person has to act. Where one record is to be skipped and the reading ended
// all the same, it was no record's.
func Stops(err error) bool { return err != nil && ClassOf(err) >= SkipRecord }

// LesserError is what Check returns where all streams can be read, and something else
// cannot, such as a part of the past, or what only adds to a stream: a warning. It
// stands alone, never beside graver faults.
type LesserError struct{ Err error }

func (l *LesserError) Error() string { return l.Err.Error() }

// Unwrap gives the fault.
func (l *LesserError) Unwrap() error { return l.Err }

// JoinChecked is what Check says of its faults: a LesserError where each of them is or
// wraps one, and none where a graver one is among them; nil of no faults.
func JoinChecked(faults []error) error {
	bare, lesser := make([]error, len(faults)), len(faults) > 0
	for i, fault := range faults {
		var l *LesserError
		if !errors.As(fault, &l) {
			bare[i], lesser = fault, false
			continue
		}
		bare[i] = &bareError{fault.Error(), l.Err} // its rank is that of all
	}
	joined := errors.Join(bare...)
	if lesser {
		return &LesserError{joined}
	}
	return joined
}

// bareError is a LesserError, with what wrapped it, without its rank.
type bareError struct {
	text string
	err  error
}

func (b *bareError) Error() string { return b.text }

func (b *bareError) Unwrap() error { return b.err }

// Denies says of a refusal that the app may not call the method, or nobody any more:
// what the method only adds to stays whole without it.
func Denies(err error) bool {
	return ClassOf(err) == StopStream && (errors.Is(err, ErrForbidden) || errors.Is(err, ErrGone))
}

// CheckExtra is what Check says of a method that only adds to a stream, named with what
// it adds, by how one call of it ended: nil where it may be called, or not for this one
// record, and a LesserError where it may not.
func CheckExtra(method, adds string, err error) error {
	switch {
	case err == nil || ClassOf(err) == SkipRecord:
		return nil
	case Denies(err):
		return &LesserError{fmt.Errorf("%s are missing until the app has the right to %s: apply for it: %w", adds, method, err)}
	}
	return fmt.Errorf("%s: %w", adds, err)
}

// RowsToTry are rows by which Check may call what only adds to a stream: those that it
// has, or the first of a list by window, the latest half of one that the platform holds
// to be too long. none is the error of a list without any.
func RowsToTry(rows []json.RawMessage, of Window, none error, list func(Window) (Rows, error), tooLong func(error) bool) ([]json.RawMessage, error) {
	for len(rows) == 0 {
		a, err := list(of)
		if _, latest, ok := of.Halves(); ok && tooLong(err) {
			of = latest
			continue
		}
		if err == nil && len(a.Rows) == 0 {
			err = none
		}
		if err != nil {
			return nil, err
		}
		rows = a.Rows
	}
	return rows, nil
}

// Untried is what Check says of such a method where nothing was found to call it about.
func Untried(method, adds string, why error) error {
	return &LesserError{fmt.Errorf("whether the app may call %s, without which %s are missing, could not be tried: %w", method, adds, why)}
}
