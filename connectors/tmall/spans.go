package tmall

import (
	"sync"
	"time"

	"oneid/connectors"
)

const (
	// spanKept is how long windows stay as short as the platform asked for: its load
	// lasts for hours, and each window that is too long costs a call, and the three
	// minutes' wait that comes with most refusals.
	spanKept = time.Hour
	// shortestSpan is the shortest that windows are made beforehand: of shorter ones a
	// day would take more calls than the refusals cost.
	shortestSpan = 10 * time.Minute
)

// spans remember how long the windows of a list may be. They may be used
// concurrently.
type spans struct {
	mu sync.Mutex
	of map[string]span // by the list's name: several methods give it; guarded by mu
}

type span struct {
	longest time.Duration
	until   time.Time
}

// refused notes that the platform asked for a shorter window than this one. Of one that
// was short already its length is not the reason.
func (s *spans) refused(list string, w connectors.Window) {
	if w.From.IsZero() || w.To.IsZero() || w.Length() <= shortestSpan {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	longest := max(w.Length()/2, shortestSpan)
	if before := s.of[list]; now.Before(before.until) {
		longest = min(longest, before.longest)
	}
	if s.of == nil {
		s.of = make(map[string]span)
	}
	s.of[list] = span{longest, now.Add(spanKept)}
}

// tooLong says that the platform would ask for a shorter window, as it did lately.
func (s *spans) tooLong(list string, w connectors.Window) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	lately := s.of[list]
	// Halves are of whole seconds.
	return time.Now().Before(lately.until) && w.Length() > lately.longest+time.Second
}
