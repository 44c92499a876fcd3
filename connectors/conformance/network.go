package conformance

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"oneid/connectors"
)

// answer of a platform.
type answer struct {
	status int
	header http.Header
	body   []byte
	// cut: the connection breaks at the body's end.
	cut bool
}

// seen is a call that was made.
type seen struct {
	Call
	at time.Time
}

// network carries calls to a shop's face, in the process, and can stand
// between them. Its functions may be set before the first call.
type network struct {
	face http.Handler
	call func(r *http.Request, body []byte) Call
	now  func() time.Time
	// late is how long each call is under way.
	late time.Duration
	// before is called before a call reaches the face; an answer that it gives
	// is sent instead.
	before func(c Call) *answer
	// after may change an answer of the face.
	after func(c Call, a *answer)

	mu    sync.Mutex
	calls []seen // guarded by mu
}

// RoundTrip implements http.RoundTripper.
func (n *network) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	again := func() io.ReadCloser { return io.NopCloser(bytes.NewReader(body)) }
	time.Sleep(n.late)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	asked := r.Clone(r.Context())
	asked.Body = again()
	call := n.call(asked, body)
	n.mu.Lock()
	n.calls = append(n.calls, seen{call, time.Now()})
	n.mu.Unlock()
	var a *answer
	if n.before != nil {
		a = n.before(call)
	}
	if a == nil {
		asked = r.Clone(r.Context())
		asked.Body, asked.RequestURI = again(), r.URL.RequestURI()
		rec := httptest.NewRecorder()
		n.face.ServeHTTP(rec, asked)
		a = &answer{status: rec.Code, header: rec.Result().Header, body: rec.Body.Bytes()}
		if n.after != nil {
			n.after(call, a)
		}
	}
	if a.header == nil {
		a.header = make(http.Header)
	}
	if a.header.Get("Date") == "" {
		a.header.Set("Date", n.now().UTC().Format(http.TimeFormat))
	}
	var out io.Reader = bytes.NewReader(a.body)
	if a.cut {
		out = io.MultiReader(out, broken{})
	}
	return &http.Response{
		Status: http.StatusText(a.status), StatusCode: a.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: a.header, Body: io.NopCloser(out), ContentLength: -1, Request: r,
	}, nil
}

// broken is the rest of a body whose connection is cut.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// made are the calls so far that fit.
func (n *network) made(fits func(Call) bool) []seen {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []seen
	for _, c := range n.calls {
		if fits(c.Call) {
			out = append(out, c)
		}
	}
	return out
}

// lists says that a call lists rows of a stream.
func lists(stream string) func(Call) bool { return func(c Call) bool { return c.Stream == stream } }

// bench is a shop, the network to it, and a connector on that.
type bench struct {
	Shop
	net *network
	connectors.Connector
	again func() connectors.Connector
}

// smallShop is about how many orders most tests read.
const smallShop = 40

// open sets up a shop and a connector; set, if not nil, may change what is
// asked for.
func open(t *testing.T, s Subject, set func(*Ask, *Options)) *bench {
	t.Helper()
	ask, o := Ask{Seed: 1, Orders: smallShop, Now: time.Now}, Options{}
	if set != nil {
		set(&ask, &o)
	}
	shop := s.Serve(t, ask)
	b := &bench{Shop: shop, net: &network{face: shop.Face, call: s.Call, now: ask.Now}}
	o.Transport = b.net
	b.again = func() connectors.Connector {
		c, err := shop.Open(o)
		if err != nil {
			t.Fatalf("make the connector: %v", err)
		}
		return c
	}
	b.Connector = b.again()
	return b
}

// quiet fails the test when an error says what it must not.
func (b *bench) quiet(t *testing.T, err error) {
	t.Helper()
	for _, secret := range append(b.Secrets, Words) {
		if err != nil && secret != "" && strings.Contains(err.Error(), secret) {
			t.Errorf("the error repeats a secret, or the platform's words: %v", err)
		}
	}
}
