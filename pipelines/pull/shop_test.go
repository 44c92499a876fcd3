package pull

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"oneid/connectors"
	"oneid/schemas/events"
)

// refusing is a connector whose streams fail as they are told.
type refusing struct {
	mu    sync.Mutex
	with  map[string]error
	reads map[string]int
}

func (r *refusing) Spec() connectors.Spec                          { return connectors.Spec{} }
func (r *refusing) Check(context.Context) error                    { return nil }
func (r *refusing) Map(connectors.Record) ([]*events.Event, error) { return nil, nil }

func (r *refusing) Read(_ context.Context, stream string, _ connectors.Cursor) iter.Seq2[connectors.Page, error] {
	return func(yield func(connectors.Page, error) bool) {
		r.mu.Lock()
		r.reads[stream]++
		err := r.with[stream]
		r.mu.Unlock()
		if err != nil {
			yield(connectors.Page{}, err)
		}
	}
}

func (r *refusing) set(stream string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.with[stream] = err
}

func (r *refusing) count(stream string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reads[stream]
}

// shopOf runs pullers of these streams of one shop, and gives how the last
// round of each ended.
func shopOf(t *testing.T, c connectors.Connector, streams ...string) func(stream string) error {
	t.Helper()
	var mu sync.Mutex
	ended := make(map[string]error)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	t.Cleanup(func() { cancel(); running.Wait() })
	shared := new(Shop)
	for _, stream := range streams {
		p := &Puller{Connector: c, Platform: "tmall", Shop: "s", Stream: stream, SharedShop: shared, Log: slog.New(slog.DiscardHandler)}
		p.Ended = func(err error) {
			mu.Lock()
			defer mu.Unlock()
			ended[stream] = err
		}
		running.Go(func() {
			if err := p.Run(ctx, time.Second); err != nil {
				t.Error(err)
			}
		})
	}
	return func(stream string) error {
		mu.Lock()
		defer mu.Unlock()
		return ended[stream]
	}
}

// What stops a stream stops it alone; what stops the shop stops its others and
// is told of each. Neither is asked for all the time, and both go on by
// themselves once they are mended.
func TestWhatStops(t *testing.T) {
	for name, c := range map[string]struct {
		err       error
		mostReads int // of the refused stream in a day
		othersToo bool
	}{
		"a stream":       {&connectors.Error{Class: connectors.StopStream}, 31, false},
		"an unknown one": {&connectors.Error{Class: connectors.StopStream, Tries: 3}, 31, false},
		"no record":      {&connectors.Error{Class: connectors.SkipRecord}, 31, false},
		"a bad cursor":   {connectors.ErrCursor, 31, false},
		"a shop":         {&connectors.Error{Class: connectors.StopShop}, 31, true},
		"away":           {errors.New("no route"), 2900, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &refusing{with: map[string]error{}, reads: map[string]int{}}
				ended := shopOf(t, r, "orders", "users")
				time.Sleep(time.Minute)
				r.set("orders", c.err)
				time.Sleep(time.Hour)
				before := r.count("users")
				time.Sleep(23 * time.Hour)
				orders, users := r.count("orders")-60, r.count("users")-before
				if orders > c.mostReads || orders < 2 {
					t.Errorf("asked for orders %d times in a day, want at most %d", orders, c.mostReads)
				}
				if c.othersToo != (users < 100) || c.othersToo && !errors.Is(ended("users"), c.err) || !c.othersToo && ended("users") != nil {
					t.Errorf("asked for users %d times, ended with %v", users, ended("users"))
				}
				r.set("orders", nil)
				time.Sleep(2 * time.Hour)
				if ended("orders") != nil || ended("users") != nil {
					t.Errorf("mended, and still: orders %v, users %v", ended("orders"), ended("users"))
				}
				before = r.count("users")
				time.Sleep(time.Minute)
				if got := r.count("users") - before; got < 55 {
					t.Errorf("%d reads in a minute after it was mended, want one a second", got)
				}
			})
		})
	}
}

// A shop whose token is dead goes on as soon as its owner has consented anew, and
// not when it would be tried again; one that stopped for another cause waits.
func TestAConsentEndsTheWait(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		want time.Duration
	}{
		"a dead token":  {connectors.Reauthorise("p", "s", "refresh", nil), 10 * time.Second},
		"another cause": {&connectors.Error{Class: connectors.StopShop, Kind: connectors.ErrForbidden}, stoppedMin},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				s := &Shop{Consented: func(context.Context) (time.Time, error) {
					if time.Since(start) < 10*time.Second {
						return start, nil
					}
					return start.Add(10 * time.Second), nil
				}}
				s.stop("orders", c.err)
				_, left := s.stopped()
				if err := s.sleep(t.Context(), left); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start); took != c.want {
					t.Errorf("it went on after %s, want %s", took, c.want)
				}
				if err, _ := s.stopped(); err != nil {
					t.Errorf("it is still stopped: %v", err)
				}
			})
		})
	}
}

// Streams that are refused at the same time are one refusal: the shop is tried again
// when the first said, by whichever comes first, and the one that was refused lets
// the others go.
func TestRefusalsOfAShopAtOnceAreOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, first, second := new(Shop), errors.New("first"), errors.New("second")
		s.stop("orders", first)
		time.Sleep(10 * time.Second)
		s.stop("tickets", second)
		if err, left := s.stopped(); !errors.Is(err, first) || left != stoppedMin-10*time.Second {
			t.Errorf("stopped by %v for %s", err, left)
		}
		s.works("tickets")
		if err, _ := s.stopped(); err == nil {
			t.Error("a stream that was not refused lets the shop go")
		}
		time.Sleep(stoppedMin)
		s.stop("tickets", second)
		if err, left := s.stopped(); !errors.Is(err, second) || left != 2*stoppedMin {
			t.Errorf("refused once more: stopped by %v for %s", err, left)
		}
		s.works("tickets")
		if err, _ := s.stopped(); err != nil {
			t.Errorf("a shop that works is stopped: %v", err)
		}
	})
}
