// Package httpclient calls a platform's HTTP interface: resty over
// go-retryablehttp, with building (and so signing) and rate limiting inside
// each attempt, so that a retry carries a fresh timestamp and signature and
// counts against the limit like any other call.
//
// What an answer means is the caller's to say: it gives a function that
// classifies the answer, and the error that this returns says whether the
// same call may be tried again. Nothing here writes a log, and no error names
// a path, a query, a form or a header: tokens travel in them.
package httpclient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-resty/resty/v2"
	"github.com/hashicorp/go-retryablehttp"
)

// Config of a Client. The zero value of each field is its default.
type Config struct {
	// BaseURL is what a Request's Path is appended to: scheme, host and
	// optionally a path. Required.
	BaseURL string
	// Timeout of one attempt, the reading of its answer included.
	// Default 30 s.
	Timeout time.Duration
	// Attempts bounds how often one call is tried while it fails. Waiting
	// for a throttle to end is not a failure. Default 5.
	Attempts int
	// Throttles bounds how many throttle answers one call waits for.
	// Default 60.
	Throttles int
	// MinWait and MaxWait bound the jittered, doubling pause between two
	// attempts. Default 200 ms and 10 s.
	MinWait, MaxWait time.Duration
	// MaxThrottle is the longest wait that a throttle answer may ask for; a
	// call that is told to wait longer ends at once with that answer. Default
	// 25 hours: a day's quota that is used up is waited for. A call whose
	// context ends before the wait does ends at once too.
	MaxThrottle time.Duration
	// App and Shop limit all attempts of this client: those of the app, and
	// those for the shop. Without a name they are this client's alone.
	App, Shop Limit
	// PerMethod limits the attempts a second of each method of the app; 0
	// means no limit.
	PerMethod float64
	// MaxBytes bounds an answer after decompression. Default 32 MiB.
	MaxBytes int64
	// UserAgent of each request. Default "oneid".
	UserAgent string
	// Transport carries the attempts. Default: a pooled transport of its own.
	Transport http.RoundTripper
}

// Request is one attempt's request, complete with its signature.
type Request struct {
	// Method is GET by default, POST when there is a Form or a Body.
	Method string
	// Path is appended to the client's base URL.
	Path  string
	Query url.Values
	// Form is sent as application/x-www-form-urlencoded; UTF-8. At most one
	// of Form and Body is set.
	Form url.Values
	// Body is sent as it is, as application/json unless Header says other.
	Body   []byte
	Header http.Header
}

// Response is an answer, its body read in full and decompressed.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// Retrier is an error of the caller's that says whether the same call may be
// tried again. A positive wait means that the platform asked for a pause: all
// calls under the same limit wait that long, and it does not count as a
// failure.
type Retrier interface {
	error
	Retry() (wait time.Duration, again bool)
}

// A Bounded error says how often its call is tried in all; 0 leaves it to the
// client.
type Bounded interface {
	Attempts() int
}

// A Scoped error says which limit its wait is of: one of the scopes below, or
// any other text for the shop's.
type Scoped interface {
	Scope() string
}

// A Pauser is an error that asks for a pause before any other call under its
// limit, though the same call is not to be tried again; 0 is none.
type Pauser interface {
	Pause() time.Duration
}

// The scopes of a platform's limits, besides that of the shop.
const (
	ScopeApp    = "app"
	ScopeMethod = "method"
	// ScopeShopMethod is the method's for the shop alone.
	ScopeShopMethod = "shop method"
)

// Build makes the request of an attempt, counted from 1. It is called anew
// for each attempt, after the rate limit, so it may use the present time.
type Build func(attempt int) (Request, error)

// Classify says what an answer means: nil when it is good. It may decode the
// answer into the caller's variables on the way. An error that is (or wraps)
// a Retrier says whether to try again; any other is final.
type Classify func(Response) error

// Client calls one host. It may be used concurrently.
type Client struct {
	cfg   Config
	base  *url.URL
	resty *resty.Client

	mu     sync.Mutex
	limits *Limits // guarded by mu
	// methods are the buckets of the methods that were called, under limits;
	// guarded by mu.
	methods map[string][]*bucket
}

// New makes a client; it connects to nothing yet.
func New(cfg Config) (*Client, error) {
	setDefault(&cfg.Timeout, 30*time.Second)
	setDefault(&cfg.Attempts, 5)
	setDefault(&cfg.Throttles, 60)
	setDefault(&cfg.MinWait, 200*time.Millisecond)
	setDefault(&cfg.MaxWait, 10*time.Second)
	setDefault(&cfg.MaxThrottle, 25*time.Hour)
	setDefault(&cfg.App.Name, "app")
	setDefault(&cfg.Shop.Name, "shop")
	setDefault(&cfg.MaxBytes, 32<<20)
	setDefault(&cfg.UserAgent, "oneid")
	base, err := url.Parse(cfg.BaseURL)
	if err != nil || base.Host == "" || (base.Scheme != "http" && base.Scheme != "https") {
		return nil, errors.New("httpclient: the base URL is not of the form https://host/path")
	}
	if base.User != nil || base.RawQuery != "" {
		return nil, errors.New("httpclient: the base URL must not hold a password or a query")
	}
	if cfg.Transport == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxIdleConnsPerHost = 16
		cfg.Transport = t
	}
	c := &Client{cfg: cfg, base: base, limits: NewLimits(nil), methods: make(map[string][]*bucket)}
	retry := &retryablehttp.Client{
		HTTPClient: &http.Client{
			Transport: attempts{c},
			// A signed call is for one address: a redirect is an answer
			// like any other, for Classify to refuse.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		RetryMax:     cfg.Attempts + cfg.Throttles,
		RetryWaitMin: cfg.MinWait,
		RetryWaitMax: cfg.MaxWait,
		CheckRetry: func(ctx context.Context, _ *http.Response, _ error) (bool, error) {
			return stateOf(ctx).again, nil
		},
		Backoff:      func(_, _ time.Duration, _ int, resp *http.Response) time.Duration { return backoff(resp) },
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}
	// CheckRetry sees a context, Backoff only a response: both find the
	// call's state there.
	c.resty = resty.NewWithClient(&http.Client{
		Transport:     &retryablehttp.RoundTripper{Client: retry},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}).SetLogger(silent{})
	return c, nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Host is the host (and port) that the client calls, for messages.
func (c *Client) Host() string { return c.base.Host }

// Share lets the client share limits with others; call it before the first
// call.
func (c *Client) Share(l *Limits) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.limits, c.methods = l, make(map[string][]*bucket)
}

// under are the limits and the buckets of a method's calls: the method's, the
// shop's, the app's, the method's for the shop.
func (c *Client) under(method string) (*Limits, []*bucket) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l, buckets := c.limits, c.methods[method]
	if buckets == nil { // a platform has a dozen of methods
		buckets = []*bucket{
			l.bucket(Limit{Name: c.cfg.App.Name + " " + method, PerSecond: c.cfg.PerMethod}),
			l.bucket(c.cfg.Shop), l.bucket(c.cfg.App), l.bucket(Limit{Name: c.cfg.Shop.Name + " " + method}),
		}
		c.methods[method] = buckets
	}
	return l, buckets
}

// Do makes one call of a platform's method: builds, limits, sends, reads and classifies, until an
// attempt is good, its error is final, the attempts are used up or ctx ends.
// The response of the last attempt is given beside its error where there was
// one. The error wraps what Classify returned, or an *Error of this package.
func (c *Client) Do(ctx context.Context, method string, build Build, classify Classify) (Response, error) {
	s := &state{build: build, classify: classify}
	s.limits, s.buckets = c.under(method)
	_, err := c.resty.R().SetContext(context.WithValue(ctx, stateKey{}, s)).Get(c.base.Scheme + "://" + c.base.Host)
	switch {
	case ctx.Err() != nil:
		return s.response, context.Cause(ctx)
	case s.err != nil && s.attempt > 1:
		return s.response, fmt.Errorf("%w (after %d attempts)", s.err, s.attempt)
	case s.err != nil:
		return s.response, s.err
	case err != nil:
		return s.response, c.networkError(err)
	}
	return s.response, nil
}

// state is one call on its way through its attempts. One goroutine at a time
// touches it: the attempts of a call follow one another.
type state struct {
	limits    *Limits
	buckets   []*bucket // of the method, the shop, the app, the method for the shop
	build     Build
	classify  Classify
	attempt   int
	failures  int
	throttles int
	response  Response
	// err, again and wait are the last attempt's outcome.
	err   error
	again bool
	wait  time.Duration
}

type stateKey struct{}

func stateOf(ctx context.Context) *state { return ctx.Value(stateKey{}).(*state) }

// attempts is the transport below the retry: each RoundTrip is one attempt.
// It never returns an error, so that what happened stands in one place, the
// call's state.
type attempts struct{ c *Client }

// RoundTrip replaces req, which only carries the call's context, by a request
// that is built now.
func (a attempts) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	s := stateOf(ctx)
	s.attempt++
	s.response, s.err, s.again, s.wait = Response{}, nil, false, 0
	if s.err = s.limits.await(ctx, a.c.base.Host, s.buckets); s.err == nil {
		s.err = a.try(ctx, s)
	}
	if s.err != nil && ctx.Err() == nil {
		a.decide(ctx, s)
	}
	return &http.Response{
		StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Body: http.NoBody, Request: req,
	}, nil
}

// try sends one attempt and classifies its answer.
func (a attempts) try(ctx context.Context, s *state) error {
	r, err := s.build(s.attempt)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, a.c.cfg.Timeout)
	defer cancel()
	req, err := a.c.request(ctx, r)
	if err != nil {
		return err
	}
	resp, err := a.c.cfg.Transport.RoundTrip(req)
	if err != nil {
		return a.c.networkError(err)
	}
	defer resp.Body.Close()
	body, err := read(resp, a.c.cfg.MaxBytes)
	if err != nil {
		return a.c.networkError(err)
	}
	if int64(len(body)) > a.c.cfg.MaxBytes {
		return &Error{Host: a.c.base.Host, Status: resp.StatusCode,
			Reason: fmt.Sprintf("the answer is larger than %d bytes: ask for smaller pages", a.c.cfg.MaxBytes)}
	}
	s.response = Response{Status: resp.StatusCode, Header: resp.Header, Body: body}
	return s.classify(s.response)
}

// maxPromised is how much memory is made ready for an answer on its word.
const maxPromised = 1 << 20

// read gives the body of an answer, of which it reads one byte more than most at
// the most. An answer that says its length is read into memory of that size: a
// page of some 100 kB would else be copied again and again while it grows.
func read(resp *http.Response, most int64) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(int(min(max(resp.ContentLength, 512), most, maxPromised)) + bytes.MinRead)
	_, err := b.ReadFrom(io.LimitReader(resp.Body, most+1))
	return b.Bytes(), err
}

// decide says whether the call is tried again, and after what pause.
func (a attempts) decide(ctx context.Context, s *state) {
	var r Retrier
	if !errors.As(s.err, &r) {
		return
	}
	wait, again := r.Retry()
	switch {
	case !again:
		var p Pauser
		if errors.As(s.err, &p) && p.Pause() > 0 {
			s.pause(ctx, p.Pause())
		}
	case wait > 0:
		var until time.Time
		wait, until = s.pause(ctx, wait)
		s.throttles++
		end, bounded := ctx.Deadline()
		// The next attempt waits for the end of the ban.
		s.again = wait <= a.c.cfg.MaxThrottle && s.throttles <= a.c.cfg.Throttles && (!bounded || until.Before(end))
	case unanswered(s.err) && ctx.Value(onceKey{}) == true:
		// Perhaps it was done, and its answer lost.
	default:
		s.failures++
		if s.failures >= a.c.attempts(s.err) {
			return
		}
		bound := min(a.c.cfg.MaxWait, a.c.cfg.MinWait<<min(s.failures-1, 20))
		s.wait = bound/2 + rand.N(bound/2+1)
		s.again = true
	}
}

// pause lets nothing be called under the limit that the error is of for so long,
// and a little more, so that callers do not come back all at once.
func (s *state) pause(ctx context.Context, wait time.Duration) (longer time.Duration, until time.Time) {
	wait += rand.N(min(wait/10, maxJitter) + 50*time.Millisecond)
	until = time.Now().Add(wait)
	s.limits.ban(ctx, s.scope(), until, "the platform allows no calls")
	return wait, until
}

type onceKey struct{}

// WithoutRepeats is a context whose calls cost for each time that the platform does
// them: one of which nobody knows whether it was done, since no answer came or none
// that can be read, is not repeated. One that the platform refused is.
func WithoutRepeats(ctx context.Context) context.Context {
	return context.WithValue(ctx, onceKey{}, true)
}

// unanswered says that a call may have been done for all one knows.
func unanswered(err error) bool {
	var e *Error
	return errors.As(err, &e)
}

// attempts is how often a call that fails with err is tried in all.
func (c *Client) attempts(err error) int {
	var b Bounded
	if errors.As(err, &b) && b.Attempts() > 0 {
		return min(b.Attempts(), c.cfg.Attempts)
	}
	return c.cfg.Attempts
}

// backoff is the pause that decide chose.
func backoff(resp *http.Response) time.Duration {
	if resp == nil || resp.Request == nil {
		return 0
	}
	return stateOf(resp.Request.Context()).wait
}

// scope is the bucket that a wait is of.
func (s *state) scope() *bucket {
	var scoped Scoped
	if !errors.As(s.err, &scoped) {
		return s.buckets[1]
	}
	switch scoped.Scope() {
	case ScopeMethod:
		return s.buckets[0]
	case ScopeApp:
		return s.buckets[2]
	case ScopeShopMethod:
		return s.buckets[3]
	}
	return s.buckets[1]
}

// maxJitter bounds what is added to a wait that the platform asked for.
const maxJitter = time.Minute

// request makes the HTTP request of r.
func (c *Client) request(ctx context.Context, r Request) (*http.Request, error) {
	target := *c.base
	if r.Path != "" {
		target.Path = strings.TrimSuffix(target.Path, "/") + "/" + strings.TrimPrefix(r.Path, "/")
	}
	target.RawQuery = r.Query.Encode()
	method, body, contentType := r.Method, r.Body, "application/json"
	if r.Form != nil {
		body, contentType = []byte(r.Form.Encode()), "application/x-www-form-urlencoded; charset=utf-8"
	}
	if method == "" {
		method = http.MethodGet
		if body != nil {
			method = http.MethodPost
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, target.String(), bytes.NewReader(body))
	if err != nil {
		return nil, &Error{Host: c.base.Host, Reason: "the request is not a valid one"}
	}
	if body == nil {
		req.Body, req.GetBody, req.ContentLength = http.NoBody, nil, 0
	} else {
		req.Header.Set("Content-Type", contentType)
	}
	req.Header.Set("User-Agent", c.cfg.UserAgent)
	for name, values := range r.Header {
		req.Header[http.CanonicalHeaderKey(name)] = values
	}
	return req, nil
}

// silent keeps resty from writing what it sent anywhere.
type silent struct{}

func (silent) Errorf(string, ...any) {}
func (silent) Warnf(string, ...any)  {}
func (silent) Debugf(string, ...any) {}
