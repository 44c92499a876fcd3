package connectors

import (
	"log/slog"
	"sync"
	"time"
)

// An Extra is a method that only adds to what a list says: what the list says is
// worth having without it. An app that may not call it, or a platform that has
// taken it out of service, stops nothing; it is logged once, and tried again
// after a while. It may be used concurrently.
type Extra struct {
	Log *slog.Logger
	// Without says what is missing then: a log message.
	Without string

	mu     sync.Mutex
	denied time.Time // until when it is not called; zero: it was never refused. Guarded by mu.
}

// deniedFor is how long a refusal is taken for the answer to all calls: a right
// that is given, or was away during a sale, is found then.
const deniedFor = 10 * time.Minute

// Denied says that the method is not called at present.
func (e *Extra) Denied() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return time.Now().Before(e.denied)
}

// Call makes a call of the method, and says whether it was made and answered. One
// that cannot be had for this record alone (class SkipRecord) is no error, nor is
// one that may not be made; any other error is the caller's.
func (e *Extra) Call(call func() error) (answered bool, err error) {
	if e.Denied() {
		return false, nil
	}
	err = call()
	switch {
	case err == nil:
		return true, nil
	case ClassOf(err) == SkipRecord:
		return false, nil
	case Denies(err):
		e.deny(err)
		return false, nil
	}
	return false, err
}

func (e *Extra) deny(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.denied.IsZero() {
		e.Log.Warn(e.Without, "error", err)
	}
	e.denied = time.Now().Add(deniedFor)
}
