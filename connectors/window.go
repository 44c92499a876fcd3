package connectors

import (
	"fmt"
	"iter"
	"time"
)

// Window is the half-open span of time [From, To): what was changed at From
// is in it, what was changed at To is in the next one.
type Window struct {
	From, To time.Time
}

// String names the window for people, in UTC; an end that is zero is open.
func (w Window) String() string {
	end := func(moment time.Time) string {
		if moment.IsZero() {
			return "…"
		}
		return moment.UTC().Format("2006-01-02T15:04:05Z")
	}
	return fmt.Sprintf("[%s, %s)", end(w.From), end(w.To))
}

// Length is how long the window is.
func (w Window) Length() time.Duration { return w.To.Sub(w.From) }

// Empty reports whether no moment lies in the window.
func (w Window) Empty() bool { return !w.From.Before(w.To) }

// Contains reports whether t lies in the window.
func (w Window) Contains(t time.Time) bool { return !t.Before(w.From) && t.Before(w.To) }

// Halves cuts the window in two at a whole second; ok is false when it is
// too short to be cut (less than two seconds).
func (w Window) Halves() (first, second Window, ok bool) {
	mid := w.From.Add(w.Length() / 2).Truncate(time.Second)
	if !mid.After(w.From) || !mid.Before(w.To) {
		return Window{}, Window{}, false
	}
	return Window{w.From, mid}, Window{mid, w.To}, true
}

// MaxOverlapSeconds bounds how far a run may be told to look back. A look back as long as
// a window would never get beyond what was read; this leaves most of one to go on in.
const MaxOverlapSeconds = 6 * 60 * 60

// Windows plans how a stream that is read by modification time goes on from
// a moment.
type Windows struct {
	// Span is the longest window that one call takes.
	Span time.Duration
	// Settle is how far before the server's present the last window ends:
	// what changes now may become visible a little later.
	Settle time.Duration
	// Overlap is how far before the cursor the first window begins: what was
	// invisible when its window was read is found then.
	Overlap time.Duration
	// Late is how much later than it changed a row may become visible, where
	// that is longer than Overlap: so much passes before it is looked for again,
	// in a look back that each second multiple of Late begins. A row that becomes
	// visible within Late comes within three times as long. 0 never looks again.
	Late time.Duration
	// First is how far back a reading goes that has no cursor.
	First time.Duration
	// Oldest is how far back the platform lets one look; 0 means any time. A
	// cursor may lie further back than First: then all since it is read.
	Oldest time.Duration
	// Until is where the reading ends, if that is before the server's present;
	// zero means at the present.
	Until time.Time
}

// End is where a reading ends at the server's present, whatever may have become
// visible.
func (p Windows) End(now time.Time) time.Time {
	if !p.Until.IsZero() && p.Until.Before(now) {
		return p.Until.Truncate(time.Second)
	}
	return now
}

// After gives the next window of a stream that was read up to the moment
// reached, at the server's present now, and false when there is nothing to
// read yet. first says that it is the first window of a run: only that one
// looks back by Overlap, the following ones begin where it ended. All moments
// are whole seconds, since that is what platforms count in.
func (p Windows) After(reached, now time.Time, first bool) (Window, bool) {
	end := p.End(now.Add(-p.Settle).Truncate(time.Second))
	w := Window{From: reached.Truncate(time.Second)}
	if first {
		w.From = w.From.Add(-p.back(reached, end))
	}
	w.From = p.Shown(w.From, now)
	w.To = w.From.Add(p.Span)
	if w.To.After(end) {
		w.To = end
	}
	// A run that looks back only to find the present already read has
	// nothing to do.
	return w, w.To.After(reached) && !w.Empty()
}

// Shown is a moment, or the first one after it whose changes the platform shows.
func (p Windows) Shown(moment, now time.Time) time.Time {
	if p.Oldest == 0 {
		return moment
	}
	// A minute inside the bound: the call arrives a little later.
	return later(moment, now.Add(-p.Oldest+time.Minute).Truncate(time.Second))
}

// Missing is what a reading from a moment on leaves out at its beginning, since the
// platform no longer shows what changed in it; empty where it shows all.
func (p Windows) Missing(reached, now time.Time) Window {
	return Window{reached, earlier(p.Shown(reached, now), p.End(now))}
}

// back is how far a run looks back that reads on from reached to end. Every so
// often, at moments that all processes agree on, it is far enough to find what
// became visible late: the run that passes such a moment sees all that changed
// Late before it, and of the time since the last such moment.
func (p Windows) back(reached, end time.Time) time.Duration {
	every := 2 * p.Late
	if every == 0 || !reached.Truncate(every).Before(end.Truncate(every)) {
		return p.Overlap
	}
	return max(p.Overlap, p.Late+every)
}

// Fresh is the moment, at the server's present, from which on rows that changed
// may still become visible: later runs look for what changed since.
func (p Windows) Fresh(now time.Time) time.Time {
	return now.Add(-p.Settle - max(p.Overlap, p.Late)).Truncate(time.Second)
}

// Between are the windows of a run, from a stream that was read up to the moment
// reached to the server's present.
func (p Windows) Between(reached, now time.Time) iter.Seq[Window] {
	return func(yield func(Window) bool) {
		for first := true; ; first = false {
			w, ok := p.After(reached, now, first)
			if !ok || !yield(w) {
				return
			}
			reached = w.To
		}
	}
}

// Start is the moment that a cursor of CursorAt says, or that of a first reading.
func (p Windows) Start(from Cursor, now time.Time) (time.Time, error) {
	if from == "" {
		return now.Add(-p.First), nil
	}
	moment, ok := from.Moment()
	if !ok {
		return time.Time{}, fmt.Errorf("%w: it was not written by this version of the connector; remove it to read anew", ErrCursor)
	}
	return moment, nil
}

// Since is a moment, or the first one after it that a first reading would reach:
// what lies before it was perhaps never read.
func (p Windows) Since(moment, now time.Time) time.Time {
	// An hour inside the bound: reading takes a while.
	if oldest := now.Add(-p.First + time.Hour); moment.Before(oldest) {
		return oldest
	}
	return moment
}
