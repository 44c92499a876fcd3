package main

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"oneid/connectors/simulator"
)

// A day's quota that is used up is waited for and not an error: the log and
// /readyz say until when. A restart does not ask again before.
func TestSyncWaitsForAQuota(t *testing.T) {
	t.Parallel()
	dir := begunFolder(t)
	shops := start(t, "simulate", "--people", "200", "--json", "--fault-per-day", "30")
	eventually(t, time.Minute, "the simulators answer", func() (bool, string) {
		return strings.Contains(shops.stdout.String(), "\n"), shops.stderr.String()
	})
	at := decode[simulator.Endpoints](t, shops.stdout.String()).Tmall
	writeText(t, filepath.Join(dir, "secrets", "app"), at.AppSecret)
	writeText(t, filepath.Join(dir, "secrets", "session"), at.Session)
	writeText(t, filepath.Join(dir, settingsFile), fmt.Sprintf("metrics:\n  listen: 127.0.0.1:0\nshops:\n  - platform: tmall\n    shop: mine\n    settings:\n"+
		"      url: %s\n      app_key: %q\n      app_secret_file: secrets/app\n      session_file: secrets/session\n      requests_per_second: 1000\n      calls_per_day: 30\n", at.URL, at.AppKey))
	midnight := time.Now().In(time.FixedZone("GMT+8", 8*60*60)).AddDate(0, 0, 1).Format(time.DateOnly) + "T00:0"
	for _, round := range []string{"the first time", "after a restart"} {
		p := start(t, "sync", "--dir", dir)
		url := metricsURL(t, p)
		eventually(t, time.Minute, round+" /readyz says what it waits for", func() (bool, string) {
			response, err := http.Get(url + "/readyz")
			if err != nil {
				return false, err.Error()
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if err != nil {
				return false, err.Error()
			}
			text := string(body)
			return strings.HasPrefix(text, "ready\npulling waits for tmall app ") && strings.Contains(text, ", until "+midnight), text + p.stderr.String()
		})
		a := p.signal(t, syscall.SIGTERM)
		if !strings.Contains(a.stderr, "stream waits for a limit of the platform") || !strings.Contains(a.stderr, "until="+midnight) {
			t.Errorf("%s the log does not say until when:\n%s", round, a.stderr)
		}
		if strings.Contains(a.stderr, "stands still") || strings.Contains(a.stderr, "accesscontrol") {
			t.Errorf("%s a wait is an error, or the platform had to refuse:\n%s", round, a.stderr)
		}
	}
	// The end is the platform's midnight, said in UTC.
	day := strings.TrimSuffix(midnight, "T00:0")
	ends, err := time.ParseInLocation(time.DateOnly, day, time.FixedZone("GMT+8", 8*60*60))
	if err != nil {
		t.Fatal(err)
	}
	a := oneid(t, "status", "--dir", dir)
	want := regexp.MustCompile(`tmall app \S+ +30 of 30 +used up +` + ends.UTC().Format(time.RFC3339) + `\n`)
	if !want.MatchString(a.stdout) {
		t.Errorf("status does not say what is used of what, and until when that is waited for (%s):\n%s%s", want, a.stdout, a.stderr)
	}
}
