package httpclient

import (
	"errors"
	"net/http"
	"strconv"
	"testing"
	"time"
)

// Whatever status and headers an answer has: only 2xx is one, no wait is without an
// end, and the error repeats nothing that was answered.
func FuzzStatusError(f *testing.F) {
	c, err := New(Config{BaseURL: "https://api.example/path"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(429, "3", "")
	f.Add(503, "Wed, 21 Oct 2026 07:28:00 GMT", "Wed, 21 Oct 2026 07:27:00 GMT")
	f.Add(503, "Mon, 01 Jan 0001 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT")
	f.Add(429, "-1", "x")
	f.Add(302, "99999999999999999999", "")
	f.Fuzz(func(t *testing.T, status int, retryAfter, date string) {
		got := c.StatusError(Response{Status: status, Header: http.Header{"Retry-After": {retryAfter}, "Date": {date}}, Body: []byte("13900001234")})
		if good := status >= 200 && status < 300; good != (got == nil) {
			t.Fatalf("status %d: %v", status, got)
		}
		if got == nil {
			return
		}
		var e *Error
		reason := http.StatusText(status)
		if status >= 300 && status < 400 {
			reason = "a redirect, which a signed call does not follow: is the address right?"
		}
		if want := "httpclient: call api.example: HTTP status " + strconv.Itoa(status) + ": " + reason; !errors.As(got, &e) || status != 0 && got.Error() != want {
			t.Errorf("%v, want %s", got, want)
		}
		wait, again := e.Retry()
		asks := status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable
		if wait < 0 || wait > 0 && (!asks || !again) || status == http.StatusTooManyRequests && wait < time.Second {
			t.Errorf("status %d, Retry-After %q: wait %s, again %t", status, retryAfter, wait, again)
		}
		if seconds, err := strconv.Atoi(retryAfter); err == nil && asks && seconds > 0 && seconds < 1<<31 && wait != time.Duration(seconds)*time.Second {
			t.Errorf("Retry-After %q: wait %s", retryAfter, wait)
		}
	})
}
