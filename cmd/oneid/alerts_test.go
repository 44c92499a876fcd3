package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"oneid/connectors/simulator"
	"oneid/pipelines"
)

// A shop that says re-authorise is an alert, once a stream, and cleared once
// the token is mended, also across a restart; what the webhook fails
// at for a while it is told in the end.
func TestUpTellsAlerts(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	must(t, "init", "--dir", dir)
	shops := start(t, "simulate", "--people", "20", "--json")
	eventually(t, time.Minute, "the simulators answer", func() (bool, string) {
		return strings.Contains(shops.stdout.String(), "\n"), shops.stderr.String()
	})
	at := decode[simulator.Endpoints](t, shops.stdout.String()).Tmall

	var mu sync.Mutex
	var ids, told []string
	refuse := true
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var event struct {
			ID, Subject string
			Data        struct{ State, Detail string }
		}
		if err := json.NewDecoder(r.Body).Decode(&event); err != nil || r.Header.Get("Webhook-Signature") == "" {
			t.Errorf("an alert came that is none: %v", err)
		}
		mu.Lock()
		defer mu.Unlock()
		if refuse && event.Subject == "connector/tmall/mine/users" {
			w.WriteHeader(http.StatusGone)
			return
		}
		if slices.Contains(ids, event.ID) {
			return // at least once: it was told before the one that is refused was done
		}
		ids = append(ids, event.ID)
		told = append(told, event.Subject+" "+event.Data.State)
		if (event.Data.State == "raised") != strings.Contains(event.Data.Detail, "refused with code") {
			t.Errorf("%s is told with %q", told[len(told)-1], event.Data.Detail)
		}
	}))
	defer server.Close()
	writeText(t, filepath.Join(dir, "secrets", "duty"), "a secret of the test's")
	writeText(t, filepath.Join(dir, "secrets", "app"), at.AppSecret)
	writeText(t, filepath.Join(dir, "secrets", "session"), "one that has ended")
	writeText(t, filepath.Join(dir, settingsFile), fmt.Sprintf("deliver:\n  alerts:\n    - name: duty\n      url: %s\n      secret_file: secrets/duty\npull:\n  every: 200ms\n"+
		"shops:\n  - platform: tmall\n    shop: mine\n    settings:\n      url: %s\n      app_key: %q\n      app_secret_file: secrets/app\n      session_file: secrets/session\n      settle_seconds: 1\n      requests_per_second: 1000\n",
		server.URL, at.URL, at.AppKey))
	has := func(wanted ...string) func() (bool, string) {
		return func() (bool, string) {
			mu.Lock()
			defer mu.Unlock()
			for _, w := range wanted {
				if !slices.Contains(told, w) {
					return false, fmt.Sprint(told)
				}
			}
			return true, ""
		}
	}
	p, _ := up(t, dir)
	eventually(t, time.Minute, "the alert is told", has("connector/tmall/mine/orders raised"))
	down(t, dir, p)

	writeText(t, filepath.Join(dir, "secrets", "session"), at.Session)
	p, _ = up(t, dir)
	eventually(t, time.Minute, "the alert is cleared", has("connector/tmall/mine/orders cleared"))
	// What it refuses is tried ten times, which takes minutes: so ask first.
	mu.Lock()
	refuse = false
	mu.Unlock()
	eventually(t, 2*time.Minute, "the other stream is told too", has("connector/tmall/mine/users raised", "connector/tmall/mine/users cleared"))
	down(t, dir, p)
	mu.Lock()
	defer mu.Unlock()
	for _, one := range told {
		if n := len(slices.DeleteFunc(slices.Clone(told), func(other string) bool { return other != one })); n != 1 {
			t.Errorf("%s was told %d times of %q", one, n, told)
		}
	}
}

// The resolver is an alert once it waits for long, and none while it starts.
func TestResolverAlert(t *testing.T) {
	t.Parallel()
	cause := errors.New("clickhouse is away")
	for name, c := range map[string]struct {
		state         pipelines.State
		since         time.Duration
		raised, known bool
	}{
		"works":           {pipelines.Working, 0, false, true},
		"stands by":       {pipelines.Standby, 0, false, true},
		"waits for a bit": {pipelines.Waiting, alertAfter - time.Second, false, false},
		"waits for long":  {pipelines.Waiting, alertAfter, true, true},
		"has stopped":     {pipelines.Stopped, 0, true, true},
		"starts":          {pipelines.Starting, time.Hour, false, false},
	} {
		detail, known := resolverAlert(c.state, cause, c.since)
		if known != c.known || (detail != "") != c.raised || c.raised && !strings.Contains(detail, cause.Error()) {
			t.Errorf("%s: %q, %v", name, detail, known)
		}
	}
}
