package endpoint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A client that dies in the middle of an INSERT leaves no row.
func TestBrokenOffInsertLeavesNothing(t *testing.T) {
	s := newSite(t)
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.app.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	rows := strings.Repeat("7,7\n", 100_000)
	_, err = fmt.Fprintf(conn, "POST /?query=INSERT+INTO+orders+FORMAT+CSV&user=oneid&password=app-password HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", len(rows), rows)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	for limit := time.Now().Add(5 * time.Minute); ; time.Sleep(5 * time.Millisecond) {
		s.mu.Lock()
		n := len(s.running)
		s.mu.Unlock()
		if n == 0 && len(s.writes) == 0 {
			break
		}
		if time.Now().After(limit) {
			t.Fatal("the insert still runs after 10 s")
		}
	}
	if _, got := s.ask(t, s.app, "SELECT count() FROM orders", nil); got != "2\n" {
		t.Errorf("orders = %q, want the 2 that were there", got)
	}
}

// A full lane makes wait, then refuses; another lane does not notice.
func TestLanesAreApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full, free := make(lane, 1), make(lane, 1)
		if err := full.enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if err := full.enter(t.Context()); err == nil || asException(err).code != 202 || time.Since(begin) != laneWait {
			t.Errorf("a full lane: %v after %s, want code 202 after %s", err, time.Since(begin), laneWait)
		}
		if err := free.enter(t.Context()); err != nil {
			t.Error(err)
		}
		time.AfterFunc(time.Second, full.leave)
		if err := full.enter(t.Context()); err != nil {
			t.Errorf("a place that got free: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if err := full.enter(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("a client that left the queue: %v", err)
		}
	})
}

func TestKillByID(t *testing.T) {
	s := newSite(t)
	ended := make(chan string, 1)
	go func() {
		request, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, s.bi.URL+"/?query_id=mine", strings.NewReader("SELECT count() FROM numbers(100000000000) WHERE sipHash64(number) = 7"))
		request.SetBasicAuth("bi", "bi-password")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			ended <- err.Error()
			return
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		ended <- string(body)
	}()
	for limit := time.After(5 * time.Minute); ; {
		s.ask(t, s.app, "KILL QUERY WHERE query_id = 'mine'", nil) // another user's: not this one
		s.ask(t, s.bi, "KILL QUERY WHERE query_id = 'mine'", nil)
		select {
		case got := <-ended:
			if !strings.Contains(got, "Code: 394") {
				t.Errorf("the killed query answered %q, want code 394", got)
			}
			return
		case <-time.After(20 * time.Millisecond):
		case <-limit:
			t.Fatal("not killed within 20 s")
		}
	}
}
