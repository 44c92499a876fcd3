package connectors

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestExtra(t *testing.T) {
	t.Parallel()
	away := errors.New("the network")
	for name, c := range map[string]struct {
		err      error
		answered bool
		want     error
		calls    int // of three
	}{
		"answered":           {nil, true, nil, 3},
		"not of this record": {&Error{Class: SkipRecord}, false, nil, 3},
		"no right":           {&Error{Class: StopStream, Kind: ErrForbidden}, false, nil, 1},
		"out of service":     {&Error{Class: StopStream, Kind: ErrGone}, false, nil, 1},
		"a wrong call":       {&Error{Class: StopStream}, false, &Error{}, 3},
		"a banned app":       {&Error{Class: StopShop, Kind: ErrForbidden}, false, ErrForbidden, 3},
		"the network":        {away, false, away, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var out bytes.Buffer
				e := Extra{Log: slog.New(slog.NewTextHandler(&out, nil)), Without: "rows come without it"}
				calls := 0
				try := func() {
					for range 3 {
						answered, err := e.Call(func() error { calls++; return c.err })
						typed := errors.As(c.want, new(*Error))
						if answered != c.answered || (err == nil) != (c.want == nil) || !typed && !errors.Is(err, c.want) {
							t.Errorf("answered %t, %v", answered, err)
						}
					}
				}
				try()
				if calls != c.calls {
					t.Errorf("called %d times, want %d", calls, c.calls)
				}
				time.Sleep(deniedFor)
				try()
				if calls != 2*c.calls {
					t.Errorf("called %d times after a while, want %d", calls, 2*c.calls)
				}
				if said := strings.Count(out.String(), "rows come without it"); (said == 1) != (c.calls == 1) || said > 1 {
					t.Errorf("logged %d times", said)
				}
			})
		})
	}
}
