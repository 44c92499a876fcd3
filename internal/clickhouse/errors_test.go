package clickhouse

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	driver "github.com/ClickHouse/clickhouse-go/v2"

	"oneid/schemas/tables"
)

func TestIsUnavailable(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"nothing":           {nil, false},
		"the caller left":   {fmt.Errorf("x: %w", context.Canceled), false},
		"too slow":          {context.DeadlineExceeded, true},
		"refused":           {&net.OpError{Op: "dial", Err: errors.New("connection refused")}, true},
		"cut off":           {fmt.Errorf("x: %w", io.ErrUnexpectedEOF), true},
		"memory":            {&driver.Exception{Code: 241}, true},
		"a full disk":       {&driver.HTTPError{StatusCode: 500, Err: &driver.Exception{Code: 243}}, true},
		"full as it writes": {&driver.HTTPError{StatusCode: 500, Err: &driver.Exception{Code: 75}}, true},
		"no new folder":     {&driver.HTTPError{StatusCode: 500, Err: &driver.Exception{Code: 1001}}, true},
		"no more files":     {&driver.Exception{Code: 76}, true},
		"it was sent half":  {&driver.HTTPError{StatusCode: 400, Err: &driver.Exception{Code: 33}}, true},
		"a proxy's 408":     {&driver.HTTPError{StatusCode: http.StatusRequestTimeout, Err: errors.New("too slow")}, true},
		"a proxy's 429":     {&driver.HTTPError{StatusCode: http.StatusTooManyRequests, Err: errors.New("too often")}, true},
		"a proxy's 413":     {&driver.HTTPError{StatusCode: http.StatusRequestEntityTooLarge, Err: errors.New("too large")}, false},
		"too many parts":    {fmt.Errorf("x: %w", &driver.Exception{Code: 252}), true},
		"no such table":     {&driver.Exception{Code: 60}, false},
		"wrong password":    {&driver.Exception{Code: 516}, false},
		"a proxy's 502":     {&driver.HTTPError{StatusCode: http.StatusBadGateway, Err: errors.New("bad gateway")}, true},
		"a syntax error":    {&driver.HTTPError{StatusCode: 400, Err: &driver.Exception{Code: 62}}, false},
		"its answer to 500": {&driver.HTTPError{StatusCode: 500, Err: &driver.Exception{Code: 190}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := IsUnavailable(failed("try", c.err)); got != c.want {
				t.Errorf("IsUnavailable(%v) = %v, want %v", c.err, got, c.want)
			}
		})
	}
}

// An answer that is cut anywhere is none, for an insert and for a query: the
// server is away, and trying again is right.
func TestAnAnswerThatIsCut(t *testing.T) {
	const whole = "HTTP/1.1 200 OK\r\nDate: Fri, 27 Nov 2026 09:00:00 GMT\r\nX-ClickHouse-Summary: {\"read_rows\":\"0\"}\r\n" +
		"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
	var cut atomic.Int64
	server, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var answering sync.WaitGroup
	t.Cleanup(answering.Wait)
	t.Cleanup(func() { _ = server.Close() })
	answering.Go(func() {
		for {
			client, err := server.Accept()
			if err != nil {
				return // closed
			}
			request, err := http.ReadRequest(bufio.NewReader(client))
			if err == nil {
				_, _ = io.Copy(io.Discard, request.Body)
			}
			_, _ = io.WriteString(client, whole[:cut.Load()])
			_ = client.Close()
		}
	})
	at := &url.URL{Scheme: "http", Host: server.Addr().String()}
	options := &driver.Options{Protocol: driver.HTTP, Addr: []string{at.Host}, DialTimeout: time.Second, MaxIdleConns: 1}
	for cut.Store(0); cut.Load() < int64(len(whole)); cut.Add(1) {
		said := whole[:cut.Load()]
		if err := failed("try", newPoster(at, options).insert(t.Context(), "INSERT", driver.Settings{}, nil, 0)); !IsUnavailable(err) {
			t.Errorf("an insert's answer %q: %v (%T); want that it is away", said, err, err)
		}
		if _, err := Open(t.Context(), Config{URL: at.String()}); !IsUnavailable(err) {
			t.Errorf("a query's answer %q: %v; want that it is away", said, err)
		}
	}
	if err := newPoster(at, options).insert(t.Context(), "INSERT", driver.Settings{}, nil, 0); err != nil {
		t.Errorf("the whole answer: %v", err)
	}
}

// Of several hosts the next one is asked after one that is not there, or that has
// no room.
func TestTheNextHost(t *testing.T) {
	full := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-ClickHouse-Exception-Code", "243")
		w.WriteHeader(http.StatusInternalServerError)
	}))
	defer full.Close()
	good := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer good.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	address := func(s *httptest.Server) string { return strings.TrimPrefix(s.URL, "http://") }
	at := &url.URL{Scheme: "http", Host: address(gone)}
	p := newPoster(at, &driver.Options{Protocol: driver.HTTP, Addr: []string{address(gone), address(full), address(good)}, DialTimeout: time.Second, MaxIdleConns: 1})
	for attempt, want := range []bool{true, true, false, false} { // unavailable
		if err := failed("try", p.insert(t.Context(), "INSERT", driver.Settings{}, nil, 0)); IsUnavailable(err) != want || (err == nil) == want {
			t.Errorf("attempt %d: %v", attempt, err)
		}
	}
}

// What a row is refused for is never what waiting cures, nor a table's fault.
func TestRefuses(t *testing.T) {
	for code := range refusing {
		if passing[code] != "" {
			t.Errorf("%d is a row's fault, and passes", code)
		}
		if err := failed("try", fmt.Errorf("x: %w", &driver.Exception{Code: code})); !Refuses(err) || IsUnavailable(err) {
			t.Errorf("%v does not refuse a row", err)
		}
	}
	for name, err := range map[string]error{
		"nothing": nil, "cut off": io.ErrUnexpectedEOF, "too slow": context.DeadlineExceeded, "a full disk": &driver.Exception{Code: 243},
		"no such table": &driver.Exception{Code: 60}, "no such column": &driver.Exception{Code: 16}, "no right": &driver.Exception{Code: 497},
	} {
		if Refuses(err) {
			t.Errorf("%s refuses a row", name)
		}
	}
}

func TestOpenRefusesWhatCannotWork(t *testing.T) {
	for name, config := range map[string]Config{
		"no address":         {URL: "here"},
		"credentials":        {URL: "http://user:secret@127.0.0.1:1"},
		"another scheme":     {URL: "ftp://127.0.0.1:1"},
		"a name with quotes": {URL: "http://127.0.0.1:1", Database: "a'b"},
		"default":            {URL: "http://127.0.0.1:1", Database: "default"},
		"no such zone":       {URL: "http://127.0.0.1:1", Timezone: "Asia/Nowhere"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Open(t.Context(), config)
			if err == nil || IsUnavailable(err) || strings.Contains(err.Error(), "secret") {
				t.Errorf("Open = %v", err)
			}
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err := Open(ctx, Config{URL: "http://127.0.0.1:1", Password: "secret"})
	if !IsUnavailable(err) || strings.Contains(err.Error(), "secret") {
		t.Errorf("Open of nothing = %v, want unavailable", err)
	}
	var hinted interface{ Hint() string }
	if !errors.As(err, &hinted) || hinted.Hint() == "" {
		t.Errorf("%v has no hint", err)
	}
}

// Identifiers and tokens of a person must never stand in a URL.
func TestValuesAreNotInTheURL(t *testing.T) {
	var urls []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		urls = append(urls, r.URL.String())
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer server.Close()
	_, err := Open(t.Context(), Config{URL: server.URL, User: "app", Password: "hidden-word"})
	if !IsUnavailable(err) {
		t.Errorf("Open = %v", err)
	}
	for _, url := range urls {
		if strings.Contains(url, "hidden-word") {
			t.Errorf("the password stands in %s", url)
		}
	}
}

func TestInsertOfNothingAndOfTooMuch(t *testing.T) {
	c, _ := migrated(t)
	if err := c.Insert(t.Context(), tables.NewOrders(), "none"); err != nil {
		t.Errorf("an empty block: %v", err)
	}
	if err := c.Insert(t.Context(), unknown{tables.NewOrders()}, "x"); err == nil || !strings.Contains(err.Error(), "oneid migrate") {
		t.Errorf("a table that is not there: %v", err)
	}
}

// unknown is a block for a table that no migration makes.
type unknown struct{ tables.Block }

func (unknown) Table() string { return "nowhere" }
func (unknown) Rows() int     { return 1 }
