package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"oneid/connectors/simulator"
)

func TestBackfillDays(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	day := func(text string) string {
		if text == "" {
			return time.Time{}.String()
		}
		zone, err := time.LoadLocation("Asia/Shanghai")
		if err != nil {
			t.Fatal(err)
		}
		at, err := time.ParseInLocation(time.DateOnly, text, zone)
		if err != nil {
			t.Fatal(err)
		}
		return at.String()
	}
	for name, c := range map[string]struct{ from, to, wantFrom, wantTo, wantErr string }{
		"the last day is in it": {"2026-11-01", "2026-11-02", "2026-11-01", "2026-11-03", ""},
		"until now":             {"2026-11-01", "", "2026-11-01", "", ""},
		"today is until now":    {"2026-11-26", "2026-11-26", "2026-11-26", "", ""},
		"turned round":          {"2026-11-03", "2026-11-01", "", "", "later"},
		"no day":                {"yesterday", "", "", "", "YYYY-MM-DD"},
		"the future":            {"2026-11-28", "", "", "", "future"},
	} {
		from, to, err := (backfillCmd{From: c.from, To: c.to}).days("Asia/Shanghai", now)
		switch {
		case c.wantErr != "":
			if err == nil || !strings.Contains(err.Error(), c.wantErr) {
				t.Errorf("%s: %v", name, err)
			}
		case err != nil || from.String() != day(c.wantFrom) || to.String() != day(c.wantTo):
			t.Errorf("%s: [%s, %s), %v", name, from, to, err)
		}
	}
}

// A backfill says what it will cost, and reads nothing without a yes; it reads
// its days, and leaves the live reading where it was.
func TestBackfill(t *testing.T) {
	t.Parallel()
	dir := begunFolder(t)
	shops := start(t, "simulate", "--people", "50", "--json")
	eventually(t, time.Minute, "the simulators answer", func() (bool, string) {
		return strings.Contains(shops.stdout.String(), "\n"), shops.stderr.String()
	})
	at := decode[simulator.Endpoints](t, shops.stdout.String()).Tmall
	writeText(t, filepath.Join(dir, "secrets", "app"), at.AppSecret)
	writeText(t, filepath.Join(dir, "secrets", "session"), at.Session)
	writeText(t, filepath.Join(dir, settingsFile), fmt.Sprintf("shops:\n  - platform: tmall\n    shop: mine\n    settings:\n"+
		"      url: %s\n      app_key: %q\n      app_secret_file: secrets/app\n      session_file: secrets/session\n      requests_per_second: 1000\n      calls_per_day: 5000\n      backfill_days: 2\n", at.URL, at.AppKey))
	from := time.Now().AddDate(0, 0, -60).Format(time.DateOnly)
	refused := oneid(t, "backfill", "--from", from, "--stream", "orders", "--dir", dir)
	if refused.code != 1 || !strings.Contains(refused.stderr, "tmall/mine in all: about ") || !strings.Contains(refused.stderr, "--yes") {
		t.Errorf("without a yes: %d %s", refused.code, refused.stderr)
	}
	done := must(t, "backfill", "--from", from, "--yes", "--stream", "orders", "--dir", dir)
	if !strings.Contains(done.stderr, "tmall/mine orders: ") || strings.Contains(done.stderr, "orders: 0 records") || strings.Contains(done.stderr, "users: ") {
		t.Errorf("with a yes: %s", done.stderr)
	}
	runs := must(t, "query", "--dir", dir, "--format", "TabSeparated", "SELECT pipeline, job, task, platform, shop, stream, state, reason, records > 0 FROM pipeline_runs")
	if want := "backfill/tmall/mine/orders\tbackfill/tmall/mine/orders\tbackfill\ttmall\tmine\torders\tsucceeded\tmanual\t1\n"; runs.stdout != want {
		t.Errorf("the history has %q, want %q", runs.stdout, want)
	}
	if first := must(t, "sync", "--once", "--dir", dir); !strings.Contains(first.stderr, "in all: about") {
		t.Errorf("the live reading begins anew: %s", first.stderr)
	}
	if drift := must(t, "drift", "--dir", dir); !strings.Contains(drift.stdout, "as their connectors know them") {
		t.Errorf("drift: %s", drift.stdout)
	}
	if wrong := oneid(t, "backfill", "--from", from, "--stream", "letters", "--dir", dir); wrong.code != 1 || !strings.Contains(wrong.stderr, "orders, tickets, users") {
		t.Errorf("a stream that there is not: %s", wrong.stderr)
	}
}

// A backfill of a shop whose app may not list old orders ends with an error and an
// alert, and the same command goes on once it may; the doctor warns of it before.
func TestBackfillWithoutARight(t *testing.T) {
	t.Parallel()
	until := time.Now().Add(-time.Minute)
	world, err := simulator.New(simulator.Config{People: 40, Seed: 5, From: until.AddDate(0, 0, -150), Until: until})
	if err != nil {
		t.Fatal(err)
	}
	const history = "taobao.trades.sold.history.get"
	lacks := simulator.Tmall(world, simulator.TmallOptions{Denied: []string{history}})
	has := simulator.Tmall(world, simulator.TmallOptions{})
	var allowed atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if allowed.Load() {
			has.ServeHTTP(w, r)
			return
		}
		lacks.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	keys := simulator.TmallCredentialsOf(world)
	dir := begunFolder(t)
	writeText(t, filepath.Join(dir, "secrets", "app"), keys.AppSecret)
	writeText(t, filepath.Join(dir, "secrets", "session"), keys.Session)
	writeText(t, filepath.Join(dir, settingsFile), fmt.Sprintf("shops:\n  - platform: tmall\n    shop: %q\n    settings:\n"+
		"      url: %s\n      app_key: %q\n      app_secret_file: secrets/app\n      session_file: secrets/session\n      requests_per_second: 1000\n", keys.Shop, server.URL+"/router/rest", keys.AppKey))
	if examined := oneid(t, "doctor", "--dir", dir); !strings.Contains(examined.stdout, "warn  shop tmall/"+keys.Shop) || !strings.Contains(examined.stdout, history) {
		t.Errorf("doctor: %s%s", examined.stdout, examined.stderr)
	}
	args := []string{"backfill", "--from", time.Now().AddDate(0, 0, -140).Format(time.DateOnly), "--yes", "--stream", "orders", "--dir", dir}
	refused := oneid(t, args...)
	if refused.code != 1 || !strings.Contains(refused.stderr, "run the same backfill again") || strings.Contains(refused.stderr, "orders: 0 records") {
		t.Errorf("without the right: %d %s", refused.code, refused.stderr)
	}
	allowed.Store(true)
	again := must(t, args...)
	if !strings.Contains(again.stderr, "goes on where it was") || strings.Contains(again.stderr, "orders: 0 records") {
		t.Errorf("with the right: %s", again.stderr)
	}
	if third := must(t, args...); strings.Contains(third.stderr, "goes on where it was") {
		t.Errorf("the cursor stayed: %s", third.stderr)
	}
}
