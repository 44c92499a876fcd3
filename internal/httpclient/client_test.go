package httpclient

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// refusal is a caller's error.
type refusal struct {
	wait  time.Duration
	again bool
}

func (r refusal) Error() string                { return "refused" }
func (r refusal) Retry() (time.Duration, bool) { return r.wait, r.again }

func serve(t *testing.T, cfg Config, h http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	cfg.BaseURL = server.URL
	if cfg.MinWait == 0 {
		cfg.MinWait, cfg.MaxWait = time.Millisecond, 5*time.Millisecond
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func form(attempt int) (Request, error) {
	return Request{Form: url.Values{"attempt": {fmt.Sprint(attempt)}}}, nil
}

func TestEachAttemptIsBuiltAnew(t *testing.T) {
	t.Parallel()
	var seen []string
	c := serve(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.FormValue("attempt"))
		if got := r.UserAgent(); got != "oneid" {
			t.Errorf("User-Agent %q", got)
		}
		if len(seen) < 3 {
			w.WriteHeader(http.StatusBadGateway)
		}
	})
	r, err := c.Do(t.Context(), "m", form, c.StatusError)
	if err != nil || r.Status != 200 || strings.Join(seen, "") != "123" {
		t.Fatalf("status %d, error %v, attempts %v", r.Status, err, seen)
	}
}

// bounded is a refusal that says how often its call is tried.
type bounded struct{ attempts int }

func (bounded) Error() string                { return "bounded" }
func (bounded) Retry() (time.Duration, bool) { return 0, true }
func (b bounded) Attempts() int              { return b.attempts }

// A call that costs for each time that it is done is sent once, whatever became of
// it, unless it was refused; and the token that it needs is renewed as ever.
func TestWhatCostsIsNotRepeated(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ctx    func(context.Context) context.Context
		answer error
		calls  int
	}{
		"lost":               {WithoutRepeats, &Error{Again: true}, 1},
		"refused":            {WithoutRepeats, refusal{again: true}, 3},
		"told to wait":       {WithoutRepeats, &Error{Again: true, Wait: time.Millisecond}, 3},
		"lost, costs nought": {func(ctx context.Context) context.Context { return ctx }, &Error{Again: true}, 3},
		"lost, a token's":    {func(ctx context.Context) context.Context { return WithoutPatience(WithoutRepeats(ctx)) }, &Error{Again: true}, 3},
	} {
		var calls atomic.Int32
		client := serve(t, Config{Attempts: 3, Throttles: 2}, func(http.ResponseWriter, *http.Request) { calls.Add(1) })
		if _, err := client.Do(c.ctx(t.Context()), "m", form, func(Response) error { return c.answer }); err == nil || int(calls.Load()) != c.calls {
			t.Errorf("%s: %d calls, %v; want %d", name, calls.Load(), err, c.calls)
		}
	}
}

func TestWhichAnswersAreTriedAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cfg      Config
		answer   error
		attempts int
	}{
		"final":                      {Config{}, errors.New("final"), 1},
		"a Retrier that says no":     {Config{}, refusal{}, 1},
		"again":                      {Config{Attempts: 4}, refusal{again: true}, 4},
		"throttled, does not count":  {Config{Attempts: 1, Throttles: 3}, refusal{time.Millisecond, true}, 4},
		"asks for fewer":             {Config{Attempts: 4}, bounded{2}, 2},
		"asks for more":              {Config{Attempts: 2}, bounded{9}, 2},
		"leaves it to the client":    {Config{Attempts: 3}, bounded{0}, 3},
		"throttled for far too long": {Config{MaxThrottle: time.Second}, refusal{time.Hour, true}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int32
			client := serve(t, c.cfg, func(http.ResponseWriter, *http.Request) { calls.Add(1) })
			_, err := client.Do(t.Context(), "m", form, func(Response) error { return c.answer })
			if !errors.Is(err, c.answer) || int(calls.Load()) != c.attempts {
				t.Errorf("error %v after %d attempts, want %v after %d", err, calls.Load(), c.answer, c.attempts)
			}
		})
	}
}

// What an answer with a status says of the next call, by seconds or by a moment of
// the platform's clock.
func TestStatusError(t *testing.T) {
	t.Parallel()
	client := serve(t, Config{}, func(http.ResponseWriter, *http.Request) {})
	for name, c := range map[string]struct {
		status            int
		retryAfter, clock string
		wait              time.Duration
		again             bool
	}{
		"busy":                      {503, "", "", 0, true},
		"in seconds":                {503, "7", "", 7 * time.Second, true},
		"at a moment":               {429, "Wed, 11 Nov 2026 00:02:00 GMT", "Wed, 11 Nov 2026 00:00:00 GMT", 2 * time.Minute, true},
		"at a moment that is over":  {429, "Wed, 11 Nov 2026 00:00:00 GMT", "Wed, 11 Nov 2026 00:02:00 GMT", time.Second, true},
		"at what is none":           {429, "soon", "", time.Second, true},
		"in far too many seconds":   {429, "99999999999", "", math.MaxInt32 * time.Second, true},
		"in seconds before":         {429, "-5", "", time.Second, true},
		"forbidden":                 {403, "7", "", 0, true},
		"not there":                 {404, "", "", 0, true},
		"elsewhere":                 {302, "", "", 0, true},
		"the gateway's other end":   {502, "7", "", 0, true},
		"too slow for the platform": {408, "", "", 0, true},
	} {
		h := http.Header{}
		h.Set("Retry-After", c.retryAfter)
		h.Set("Date", c.clock)
		var e *Error
		if err := client.StatusError(Response{Status: c.status, Header: h}); !errors.As(err, &e) {
			t.Fatalf("%s: %v", name, err)
		}
		if wait, again := e.Retry(); wait != c.wait || again != c.again {
			t.Errorf("%s: wait %s, again %v; want %s, %v", name, wait, again, c.wait, c.again)
		}
	}
}

// An answer of somebody on the way is asked for again, a little: the platform's own
// comes then. What lasts is asked for no more.
func TestAStrayStatusIsTriedALittle(t *testing.T) {
	t.Parallel()
	for _, status := range []int{302, 401, 403, 404, 451} {
		for stray, want := range map[int]int{1: 2, 2: 3, 100: 3} {
			var calls atomic.Int32
			c := serve(t, Config{}, func(w http.ResponseWriter, _ *http.Request) {
				if int(calls.Add(1)) <= stray {
					w.WriteHeader(status)
				}
			})
			_, err := c.Do(t.Context(), "m", form, c.StatusError)
			if (err != nil) != (stray == 100) || int(calls.Load()) != want {
				t.Errorf("%d answers have status %d: %v after %d calls, want %d", stray, status, err, calls.Load(), want)
			}
		}
	}
}

func TestNoAddressInErrors(t *testing.T) {
	t.Parallel()
	const secret = "token-13800001111"
	build := func(int) (Request, error) {
		return Request{Path: "/" + secret, Query: url.Values{"access_token": {secret}}}, nil
	}
	for name, h := range map[string]http.HandlerFunc{
		"cut off": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, r.URL)
		},
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.String()+"x", http.StatusFound)
		},
		"too large":  func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, strings.Repeat(r.URL.String(), 100)) },
		"hang":       func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"no HTTP":    func(w http.ResponseWriter, r *http.Request) { hijack(w, r.URL.String()) },
		"bad status": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := serve(t, Config{MaxBytes: 1000, Timeout: 200 * time.Millisecond, Attempts: 2}, h)
			_, err := c.Do(t.Context(), "m", build, c.StatusError)
			if err == nil || strings.Contains(err.Error(), secret) {
				t.Errorf("error = %v", err)
			}
		})
	}
}

func hijack(w http.ResponseWriter, text string) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		fmt.Fprintf(conn, "%s\r\n\r\n", text)
		conn.Close()
	}
}

// answering is a transport that answers 200 at once, with no network: what is
// timed on it, in a synctest bubble, is the client's own waiting alone.
type answering struct{}

func (answering) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody}, nil
}

func timed(t *testing.T, cfg Config) *Client {
	t.Helper()
	cfg.BaseURL, cfg.Transport = "http://platform.example", answering{}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCancelEndsAWaitAtOnce(t *testing.T) {
	for name, answer := range map[string]error{"retry": refusal{0, true}, "throttle": refusal{time.Minute, true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := timed(t, Config{MinWait: time.Minute, MaxWait: time.Minute, MaxThrottle: time.Hour})
				ctx, cancel := context.WithCancel(t.Context())
				start := time.Now()
				_, err := c.Do(ctx, "m", form, func(Response) error { time.AfterFunc(20*time.Millisecond, cancel); return answer })
				if !errors.Is(err, context.Canceled) || time.Since(start) != 20*time.Millisecond {
					t.Errorf("%v after %s, want canceled after 20ms", err, time.Since(start))
				}
			})
		})
	}
}

func TestAThrottleHoldsAllCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := timed(t, Config{})
		told := make(chan struct{})
		go func() {
			throttled := false
			if _, err := c.Do(t.Context(), "m", form, func(Response) error {
				if throttled {
					return nil
				}
				throttled = true
				close(told)
				return refusal{300 * time.Millisecond, true}
			}); err != nil {
				t.Error(err)
			}
		}()
		<-told
		synctest.Wait() // the first caller waits now
		start := time.Now()
		if _, err := c.Do(t.Context(), "m", form, func(Response) error { return nil }); err != nil || time.Since(start) < 300*time.Millisecond {
			t.Errorf("%v after %s, want no sooner than 300ms", err, time.Since(start))
		}
		synctest.Wait()
	})
}

func TestRateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := timed(t, Config{Shop: Limit{PerSecond: 100}})
		start := time.Now()
		for range 11 {
			if _, err := c.Do(t.Context(), "m", form, c.StatusError); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took < 100*time.Millisecond || took > 101*time.Millisecond {
			t.Errorf("11 calls at 100 a second took %s, want 100ms", took)
		}
	})
}
