package connectors

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

// answered is an answer that is none of a platform's own: a status, a page of a
// proxy, nothing at all.
type answered struct {
	wait  time.Duration
	again bool
}

func (answered) Error() string                  { return "answered" }
func (a answered) Retry() (time.Duration, bool) { return a.wait, a.again }

// few is one that is to be tried a few times and no more.
type few struct{ answered }

func (few) Attempts() int { return 3 }

// What an error is the reason for, whoever made it: a call that says itself that it
// is not to be tried again is not asked for every half minute.
func TestClassOf(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		want Class
	}{
		"a platform's refusal":            {fmt.Errorf("read: %w", &Error{Class: SkipRecord}), SkipRecord},
		"a platform's, with its tries":    {&Error{Class: StopShop, Tries: 3}, StopShop},
		"a throttle":                      {&Error{Class: Throttle, Wait: time.Hour}, Throttle},
		"the network, to be tried":        {fmt.Errorf("call: %w", answered{again: true}), Retry},
		"a limit of ours, to wait for":    {answered{wait: time.Minute}, Retry},
		"a status that is final":          {fmt.Errorf("call: %w", answered{}), StopStream},
		"a status that is tried a little": {fmt.Errorf("call: %w", few{answered{again: true}}), StopStream},
		"a stream that there is not":      {ErrNoStream, StopStream},
		"a row that there is not":         {ErrMissing, SkipRecord},
		"anything else":                   {errors.New("disk"), Retry},
		"a call that took far too long":   {context.DeadlineExceeded, Retry},
		"nothing":                         {nil, Retry},
	} {
		if got := ClassOf(c.err); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	if Stops(nil) || !Stops(answered{}) || Stops(answered{again: true}) {
		t.Error("what stops a reading is not what ClassOf says")
	}
}
