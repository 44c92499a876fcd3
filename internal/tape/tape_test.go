package tape

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// call makes one call and tells all of its answer.
func call(transport http.RoundTripper, method, address, contentType, body string) (string, error) {
	req, err := http.NewRequest(method, address, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", contentType)
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if int64(len(text)) != resp.ContentLength {
		err = errors.Join(err, fmt.Errorf("the length is %d, the body has %d bytes", resp.ContentLength, len(text)))
	}
	return fmt.Sprint(resp.StatusCode, " ", resp.Header["Answer"], " ", string(text)), err
}

// What calls were answered they are answered again when nobody is there any more:
// whatever they are made of, at any time, several at once.
func TestTheSameAnswersAgain(t *testing.T) {
	t.Parallel()
	const form, data = "application/x-www-form-urlencoded; charset=utf-8", "application/json"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if _, parameters, ok := strings.Cut(r.URL.String(), "?"); ok {
			body = append(body, parameters...)
		}
		said := strings.Split(string(body), "sign=")[0]
		w.Header()["Answer"] = []string{"one: " + said, "two"}
		if strings.Contains(said, "wrong") {
			w.WriteHeader(http.StatusTeapot)
		}
		_, _ = fmt.Fprint(w, r.Method, r.URL.Path, said)
	}))
	path := filepath.Join(t.TempDir(), "tape")
	recorder, err := Record(path, Ignore{"sign"}, http.DefaultTransport)
	if err != nil {
		t.Fatal(err)
	}
	type made struct{ method, path, contentType, body string }
	calls := []made{
		{"GET", "/", data, ""}, {"GET", "/a", data, ""}, {"GET", "/a?b=1&sign=%s", data, ""}, {"GET", "/a?b=2&sign=%s", data, ""},
		{"POST", "/a", form, "b=1&sign=%s"}, {"POST", "/a", form, "b=wrong&sign=%s"}, {"POST", "/a", data, `{"b":1}`}, {"POST", "/a", data, `b=1&sign=1`},
	}
	at := func(c made, n int) (address, body string) {
		sign := fmt.Sprint("a", n)
		return server.URL + strings.ReplaceAll(c.path, "%s", sign), strings.ReplaceAll(c.body, "%s", sign)
	}
	want := make([]string, len(calls))
	var callers sync.WaitGroup
	for i, c := range calls {
		callers.Go(func() {
			address, body := at(c, 1)
			var err error
			if want[i], err = call(recorder, c.method, address, c.contentType, body); err != nil {
				t.Error(c, err)
			}
		})
	}
	callers.Wait()
	server.Close()
	if err := recorder.Close(); err != nil {
		t.Fatal(err)
	}
	player, err := Play(path, Ignore{"sign"})
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range calls {
		callers.Go(func() {
			address, body := at(c, 2)
			got, err := call(player, c.method, address, c.contentType, body)
			if err != nil || got != want[i] {
				t.Errorf("%s %s: answered %q, %v; want %q", c.method, c.path, got, err, want[i])
			}
		})
	}
	callers.Wait()
	_, err = call(player, "GET", server.URL+"/a?token=secret", data, "")
	if err == nil || !strings.Contains(err.Error(), "/a") || strings.Contains(err.Error(), "secret") {
		t.Errorf("a call that was never made: %v", err)
	}
	if err := player.Close(); err != nil {
		t.Error(err)
	}
	if err := player.Close(); err != nil {
		t.Error("a second time:", err)
	}
}

// A tape without an end is no tape; an empty one answers nothing.
func TestACutTape(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "answer") }))
	defer server.Close()
	path := filepath.Join(t.TempDir(), "tape")
	recorder, err := Record(path, nil, http.DefaultTransport)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := call(recorder, "GET", server.URL, "", ""); err != nil {
		t.Fatal(err)
	}
	if err := recorder.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(whole) + 1 {
		if err := os.WriteFile(path, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		player, err := Play(path, nil)
		if want := n == 0 || n == len(whole); (err == nil) != want {
			t.Errorf("%d of %d bytes: %v", n, len(whole), err)
		}
		if err == nil {
			if err := player.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}
