package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"oneid/connectors/simulator"
	"oneid/pipelines/alert"
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
		"today":                 {"2026-11-26", "2026-11-26", "2026-11-26", "2026-11-27", ""}, // as tomorrow: it goes on where it was
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
	if want := "backfill/tmall/mine/orders/" + from + "..now\tbackfill/tmall/mine/orders\tbackfill\ttmall\tmine\torders\tsucceeded\tmanual\t1\n"; runs.stdout != want {
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

// What is named and is not there is told before anything is started.
func TestBackfillNamesWhatIsNotThere(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	must(t, "init", "--dir", dir)
	writeText(t, filepath.Join(dir, "secrets", "app"), "an invented secret")
	writeText(t, filepath.Join(dir, settingsFile), "shops:\n  - platform: tmall\n    shop: mine\n    settings: {app_key: \"1\", app_secret_file: secrets/app, session_file: secrets/app}\n")
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"a shop":             {[]string{"--shop", "tmall/other"}, "no shop tmall/other"},
		"a stream":           {[]string{"--stream", "letters"}, "there are orders, tickets, users"},
		"a shop's stream":    {[]string{"--shop", "tmall/mine", "--stream", "aftersales"}, "has a stream aftersales"},
		"one of two shops":   {[]string{"--shop", "tmall/mine", "--shop", "tmall/other"}, "no shop tmall/other"},
		"one of two streams": {[]string{"--stream", "orders", "--stream", "letters"}, "has a stream letters"},
	} {
		refused := oneid(t, append([]string{"backfill", "--from", "2026-01-02", "--yes", "--dir", dir}, c.args...)...)
		if refused.code != 1 || !strings.Contains(refused.stderr, c.want) {
			t.Errorf("%s: %d %s", name, refused.code, refused.stderr)
		}
	}
	for _, part := range []string{"clickhouse", "kafka", "state"} {
		if _, err := os.Stat(filepath.Join(dir, part)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s was started: %v", part, err)
		}
	}
}

// Days lie within others by what they were given as.
func TestBackfillCoversDays(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		these, other days
		want         bool
	}{
		{days{"2026-10-01", "2026-10-31"}, days{"2026-10-01", "2026-10-31"}, true},
		{days{"2026-10-01", "2026-10-31"}, days{"2026-10-02", "2026-10-30"}, true},
		{days{"2026-10-01", "2026-10-31"}, days{"2026-09-30", "2026-10-30"}, false},
		{days{"2026-10-01", "2026-10-31"}, days{"2026-10-02", "2026-11-01"}, false},
		{days{"2026-10-01", "2026-10-31"}, days{"2026-10-02", untilNow}, false},
		{days{"2026-10-01", untilNow}, days{"2026-10-02", untilNow}, true},
		{days{"2026-10-01", untilNow}, days{"2026-10-02", "2026-10-31"}, true},
		{days{"2026-10-02", untilNow}, days{"2026-10-01", untilNow}, false},
	} {
		if c.these.cover(c.other) != c.want {
			t.Errorf("%s covers %s: %t", c.these, c.other, !c.want)
		}
	}
}

// A backfill of a shop whose app may not list old orders, or nothing at all, is a run
// that failed and an alert of its days, which no success of other days ends; the same
// command goes on once it may. The doctor warns of it before.
func TestBackfillWithoutARight(t *testing.T) {
	t.Parallel()
	until := time.Now().Add(-time.Minute)
	world, err := simulator.New(simulator.Config{People: 150, Seed: 5, From: until.AddDate(0, 0, -150), Until: until})
	if err != nil {
		t.Fatal(err)
	}
	const history, increment = "taobao.trades.sold.history.get", "taobao.trades.sold.increment.get"
	faces := []http.Handler{
		simulator.Tmall(world, simulator.TmallOptions{Denied: []string{history, increment}}),
		simulator.Tmall(world, simulator.TmallOptions{Denied: []string{history}}),
		simulator.Tmall(world, simulator.TmallOptions{}),
	}
	var rights atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { faces[rights.Load()].ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	keys := simulator.TmallCredentialsOf(world)
	dir := begunFolder(t)
	writeText(t, filepath.Join(dir, "secrets", "app"), keys.AppSecret)
	writeText(t, filepath.Join(dir, "secrets", "session"), keys.Session)
	writeText(t, filepath.Join(dir, settingsFile), fmt.Sprintf("shops:\n  - platform: tmall\n    shop: %q\n    settings:\n"+
		"      url: %s\n      app_key: %q\n      app_secret_file: secrets/app\n      session_file: secrets/session\n      requests_per_second: 1000\n", keys.Shop, server.URL+"/router/rest", keys.AppKey))
	key := "backfill/tmall/" + keys.Shop + "/"
	ago := func(days int) string { return time.Now().AddDate(0, 0, -days).Format(time.DateOnly) }
	from, wider, recent := ago(140), ago(145), ago(20)
	args := []string{"backfill", "--from", from, "--yes", "--stream", "orders", "--dir", dir}
	alerts := func() string {
		var of []string
		for _, a := range decode[statusReport](t, oneid(t, "status", "--json", "--dir", dir).stdout).Alerts {
			if a.Kind == alert.Pipeline {
				of = append(of, strings.TrimPrefix(a.Subject, key))
			}
		}
		return strings.Join(of, " ")
	}

	// What cannot be estimated keeps nothing else from being read.
	dark := oneid(t, append(args, "--stream", "tickets")...)
	if dark.code != 1 || !strings.Contains(dark.stderr, "estimate tmall/"+keys.Shop+"/orders") || !strings.Contains(dark.stderr, " tickets: ") {
		t.Errorf("without any right to orders: %d %s", dark.code, dark.stderr)
	}
	if got, want := alerts(), "orders/"+from+"..now"; got != want {
		t.Errorf("alerts of %q, want %q", got, want)
	}

	rights.Store(1)
	if examined := oneid(t, "doctor", "--dir", dir); !strings.Contains(examined.stdout, "warn  shop tmall/"+keys.Shop) || !strings.Contains(examined.stdout, history) {
		t.Errorf("doctor: %s%s", examined.stdout, examined.stderr)
	}
	refused := oneid(t, args...)
	if refused.code != 1 || !strings.Contains(refused.stderr, "run the same backfill again") || strings.Contains(refused.stderr, "orders: 0 records") {
		t.Errorf("without the right: %d %s", refused.code, refused.stderr)
	}
	must(t, "backfill", "--from", recent, "--yes", "--stream", "orders", "--dir", dir)
	if got, want := alerts(), "orders/"+from+"..now"; got != want {
		t.Errorf("after a success of other days: alerts of %q, want %q", got, want)
	}

	rights.Store(2)
	must(t, "backfill", "--from", wider, "--yes", "--stream", "orders", "--dir", dir)
	if got := alerts(); got != "" {
		t.Errorf("after a success of more days: alerts of %q stand", got)
	}
	again := must(t, args...)
	if !strings.Contains(again.stderr, "goes on where it was") || strings.Contains(again.stderr, "orders: 0 records") {
		t.Errorf("with the right: %s", again.stderr)
	}
	if third := must(t, args...); strings.Contains(third.stderr, "goes on where it was") {
		t.Errorf("the cursor stayed: %s", third.stderr)
	}
	runs := must(t, "query", "--dir", dir, "--format", "TabSeparated", "SELECT pipeline, state, position(error, 'estimate') > 0, position(error, '"+history+"') > 0, records > 0 FROM pipeline_runs ORDER BY started_at, pipeline")
	orders, tickets := key+"orders/"+from+"..now\t", key+"tickets/"+from+"..now\t"
	want := orders + "failed\t1\t0\t0\n" + tickets + "succeeded\t0\t0\t1\n" + orders + "failed\t0\t1\t1\n" +
		key + "orders/" + recent + "..now\tsucceeded\t0\t0\t1\n" + key + "orders/" + wider + "..now\tsucceeded\t0\t0\t1\n" + orders + "succeeded\t0\t0\t1\n" + orders + "succeeded\t0\t0\t1\n"
	if runs.stdout != want {
		t.Errorf("the history has\n%swant\n%s", runs.stdout, want)
	}
}
