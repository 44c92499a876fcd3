package endpoint

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// A connection that is used again has the settings and the database of its
// request, and of no other.
func TestWarmConnectionsAreOfTheirRequest(t *testing.T) {
	s := newSite(t)
	const who = "SELECT getSetting('max_threads'), getSetting('log_comment'), currentDatabase()"
	ask := func(parameters url.Values) (threads, mark, database string) {
		t.Helper()
		status, body := s.ask(t, s.app, who, parameters)
		fields := strings.Split(strings.TrimSpace(body), "\t")
		if status != http.StatusOK || len(fields) != 3 {
			t.Fatalf("%d %s", status, body)
		}
		return fields[0], fields[1], fields[2]
	}
	_, plain, _ := ask(nil)
	threads, three, _ := ask(url.Values{"max_threads": {"3"}})
	if threads != "3" || three == plain {
		t.Errorf("max_threads = %s on connection %q after %q; want 3 on one of its own", threads, three, plain)
	}
	if _, mark, database := ask(url.Values{"database": {"system"}}); database != "system" || mark == plain || mark == three {
		t.Errorf("the database is %q on connection %q; want system, on one of its own", database, mark)
	}
	if threads, mark, database := ask(nil); threads == "3" || mark != plain || database != "oneid" {
		t.Errorf("threads %s, connection %q, database %q; want those of the first, %q", threads, mark, database, plain)
	}
	if threads, mark, _ := ask(url.Values{"max_threads": {"3"}}); threads != "3" || mark != three {
		t.Errorf("threads %s, connection %q; want 3 and %q again", threads, mark, three)
	}
	if status, _ := s.ask(t, s.app, "SELECT throwIf(1)", nil); status == http.StatusOK {
		t.Error("throwIf did not throw")
	}
	if _, mark, _ := ask(nil); mark == plain {
		t.Error("a connection whose statement failed was used again")
	}
	for n := range 3 * maxWarm {
		ask(url.Values{"max_block_size": {[]string{"1", "2", "3"}[n%3] + strings.Repeat("0", 3+n/3%6)}, "max_threads": {[]string{"1", "2"}[n%2]}})
	}
	s.warm.mu.Lock()
	defer s.warm.mu.Unlock()
	if n := len(s.warm.idle); n > maxWarm {
		t.Errorf("%d connections are kept, want %d at most", n, maxWarm)
	}
}

// One whose client goes away is killed, and no other with it.
func TestKilledConnectionsAreNotUsedAgain(t *testing.T) {
	s := newSite(t)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 5 {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
				request := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("SELECT sleepEachRow(0.1) FROM numbers(6000) SETTINGS max_block_size = 1")).WithContext(ctx)
				request.SetBasicAuth("oneid", "app-password")
				began := time.Now()
				s.Handler().ServeHTTP(httptest.NewRecorder(), request)
				cancel()
				if took := time.Since(began); took > 5*time.Minute { // of ten that it takes
					t.Errorf("went on for %v after its client had gone", took)
				}
				if status, body := s.ask(t, s.app, "SELECT count() FROM numbers(1000)", nil); status != http.StatusOK || body != "1000\n" {
					t.Errorf("one beside it: %d %s", status, body)
				}
			}
		})
	}
	all.Wait()
}
