package membership

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const sourceSecret = "0123456789abcdef"

// The source is asked in the body alone, signed; what it answers is what counts,
// and whatever it cannot answer is an error.
func TestSource(t *testing.T) {
	t.Parallel()
	about := About{Platform: "tmall", Shop: "s", Account: "a", CustomerID: "c", Phone: phoneP}
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   Standing
		fails  bool
	}{
		"points": {func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			var got asked
			if err != nil || json.Unmarshal(body, &got) != nil || About(got) != about || strings.Contains(r.URL.String(), phoneP) {
				t.Errorf("asked %s at %s", body, r.URL)
			}
			mac := hmac.New(sha256.New, []byte(sourceSecret))
			mac.Write([]byte(r.Header.Get("Webhook-Id") + "." + r.Header.Get("Webhook-Timestamp") + "." + string(body)))
			if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); r.Header.Get("Webhook-Signature") != want {
				t.Errorf("signed %q, want %q", r.Header.Get("Webhook-Signature"), want)
			}
			_, _ = io.WriteString(w, `{"points":120,"level":"2","card_no":"1"}`)
		}, Standing{120, "2", "1"}, false},
		"no such member": {http.NotFound, Standing{}, false},
		"an error":       {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "x", http.StatusInternalServerError) }, Standing{}, true},
		"an error with points": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadGateway)
			_, _ = io.WriteString(w, `{"points":1}`)
		}, Standing{}, true},
		"a page": {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }, Standing{}, true},
		"an error with status 200": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"code":500,"message":"busy"}`)
		}, Standing{}, true},
		"nothing":        {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "null") }, Standing{}, true},
		"no points yet":  {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"points":0}`) }, Standing{}, false},
		"less than none": {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"points":-1}`) }, Standing{}, true},
		"a redirect":     {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/other", http.StatusFound) }, Standing{}, true},
		"too late": {func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // only then a client that goes away is noticed
			<-r.Context().Done()
		}, Standing{}, true},
	} {
		server := httptest.NewServer(c.answer)
		points, err := Source(SourceConfig{URL: server.URL, Secret: sourceSecret, Timeout: 100 * time.Millisecond})
		if name != "too late" && err == nil {
			points, err = Source(SourceConfig{URL: server.URL, Secret: sourceSecret, Timeout: time.Minute})
		}
		if err != nil {
			t.Fatal(err)
		}
		got, err := points(t.Context(), about)
		if got != c.want || (err != nil) != c.fails || err != nil && strings.Contains(err.Error(), phoneP) {
			t.Errorf("%s: %v (%v), want %v", name, got, err, c.want)
		}
		server.CloseClientConnections()
		server.Close()
	}
	for _, c := range []SourceConfig{
		{URL: "ftp://a", Secret: sourceSecret}, {URL: "https://u:p@a", Secret: sourceSecret}, {URL: "https://a?x=1", Secret: sourceSecret}, {URL: "https://a", Secret: "short"},
	} {
		if _, err := Source(c); err == nil {
			t.Errorf("a source at %s with a secret of %d bytes is taken", c.URL, len(c.Secret))
		}
	}
}

// However many are asked for at the same time, the connections are kept for
// those who come after them.
func TestSourceKeepsItsConnections(t *testing.T) {
	t.Parallel()
	const together = 40
	var arrived, opened atomic.Int64
	all := make(chan struct{}, together)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if arrived.Add(1)%together == 0 {
			for range together {
				all <- struct{}{}
			}
		}
		<-all
		_, _ = io.WriteString(w, `{"points":1}`)
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	points, err := Source(SourceConfig{URL: server.URL, Secret: sourceSecret, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	for range 4 {
		var asking sync.WaitGroup
		for range together {
			asking.Go(func() {
				if _, err := points(t.Context(), About{Account: "a"}); err != nil {
					t.Error(err)
				}
			})
		}
		asking.Wait()
	}
	if n := opened.Load(); n > 2*together {
		t.Errorf("%d connections for four times %d questions", n, together)
	}
}
