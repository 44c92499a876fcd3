package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// metricsURL waits until a process says where it answers.
func metricsURL(t *testing.T, p *process) string {
	t.Helper()
	said := regexp.MustCompile(`metrics are served.* url=(http://\S+)/metrics`)
	var url string
	eventually(t, time.Minute, "it says where its metrics are", func() (bool, string) {
		if m := said.FindStringSubmatch(p.stderr.String()); m != nil {
			url = m[1]
		}
		return url != "", p.stderr.String()
	})
	return url
}

func status(t *testing.T, url string) int {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// A resolver and a puller on machines of their own answer at metrics.listen,
// as `up` does at the API's address. What the resolver traces reaches a
// collector.
func TestMetricsOfRolesAlone(t *testing.T) {
	t.Parallel()
	s := newServers(t)
	s.settings += "metrics:\n  listen: 127.0.0.1:0\nshops:\n  - platform: weidian\n    shop: \"1\"\n    settings: {app_key: k, access_token_file: token, url: \"http://127.0.0.1:1/\"}\n"
	resolver, puller := s.machine(), s.machine()
	writeText(t, filepath.Join(puller, "token"), "t")
	key := func(dir string) string {
		return strings.TrimSpace(must(t, "apikey", "create", "prometheus", "--dir", dir, "--scope", "metrics:read").stdout)
	}
	resolverKey, pullerKey := key(resolver), key(puller)

	var traces buffer // what a collector was sent
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = traces.Write([]byte(r.URL.Path))
		_, _ = io.Copy(&traces, r.Body)
	}))
	defer collector.Close()

	p := startWith(t, "", []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + collector.URL}, "resolve", "--dir", resolver)
	url := metricsURL(t, p)
	eventually(t, time.Minute, "the resolver is ready", func() (bool, string) { return status(t, url+"/readyz") == 200, p.stderr.String() })
	for path, want := range map[string]int{"/healthz": 200, "/metrics": 401, "/v1/customers/x": 404} {
		if got := status(t, url+path); got != want {
			t.Errorf("resolve answers %s with %d, want %d", path, got, want)
		}
	}
	s.publish(10)
	s.shows()
	seen := scrape(t, url, resolverKey)
	if lag := seen["oneid_resolve_lag_messages"]; !lag["topic"]["oneid.orders"] || !lag["partition"]["0"] {
		t.Errorf("the lag of a resolver is of %v", lag)
	}
	wantWordTaken(t, s)
	if a := p.signal(t, syscall.SIGTERM); a.code != 130 {
		t.Errorf("resolve ends with %d:\n%s", a.code, a.stderr)
	}
	for _, want := range []string{"/v1/traces", "batch", "journal", "insert orders", "oneid.rows"} {
		if !strings.Contains(traces.String(), want) {
			t.Errorf("the collector was not sent %q", want)
		}
	}
	if strings.Contains(traces.String(), "1380001") { // as all phones of these orders
		t.Error("the collector was sent a phone")
	}

	p = start(t, "sync", "--dir", puller)
	url = metricsURL(t, p)
	eventually(t, time.Minute, "the stream is counted", func() (bool, string) {
		return scrape(t, url, pullerKey)["oneid_pull_errors_total"]["shop"]["1"], p.stderr.String()
	})
	if got := status(t, url+"/readyz"); got != 200 {
		t.Errorf("sync answers /readyz with %d:\n%s", got, p.stderr)
	}
	p.signal(t, syscall.SIGTERM)
}
