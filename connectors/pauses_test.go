package connectors

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Pauses
		wait := func(after time.Duration) time.Duration {
			time.Sleep(after)
			e := &Error{Class: Throttle}
			if err := p.Note(e); !errors.Is(err, e) {
				t.Errorf("another error came back: %v", err)
			}
			return e.Wait
		}
		good := func() { _ = p.Note(nil) }
		for _, step := range []struct {
			what        string
			after, want time.Duration
		}{
			{"the first", 0, time.Second},
			{"one beside it", 300 * time.Millisecond, 700 * time.Millisecond},
			{"the next", time.Second, 2 * time.Second},
			{"one beside it", time.Second, time.Second},
			{"the next again", 2 * time.Second, 4 * time.Second},
		} {
			if got := wait(step.after); got != step.want {
				t.Errorf("%s waits %s, want %s", step.what, got, step.want)
			}
			good() // one that was under way
		}
		for range 10 {
			wait(time.Hour)
		}
		if got := wait(time.Hour); got != maxPause {
			t.Errorf("the longest pause is %s", got)
		}
		time.Sleep(time.Hour)
		good()
		if got := wait(0); got != time.Second {
			t.Errorf("after a good answer it waits %s", got)
		}
		busy := &Error{Class: Retry}
		if err := p.Note(busy); !errors.Is(err, busy) || busy.Wait != 0 {
			t.Error("an error that is no refusal for rate waits")
		}
		told := &Error{Class: Throttle, Wait: 7 * time.Second}
		if err := p.Note(told); !errors.Is(err, told) || told.Wait != 7*time.Second {
			t.Errorf("a platform that asks for seven seconds gets %s", told.Wait)
		}
	})
}
