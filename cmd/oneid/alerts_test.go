package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"oneid/connectors"
	"oneid/connectors/simulator"
	"oneid/internal/clickhouse"
	"oneid/pipelines"
	"oneid/pipelines/alert"
	"oneid/pipelines/pull"
)

// A shop whose token is dead is one alert with the command to run, and goes on
// after it, without a restart; one that is refused for another cause is an alert
// a stream, cleared across a restart. What the webhook fails at for a while it
// is told in the end, and each thing once.
func TestUpTellsAlerts(t *testing.T) {
	t.Parallel()
	dir := begunFolder(t)
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
		if refuse && event.Subject == "connector/tmall/other/users" {
			w.WriteHeader(http.StatusGone)
			return
		}
		if slices.Contains(ids, event.ID) {
			return // at least once: it was told before the one that is refused was done
		}
		ids = append(ids, event.ID)
		told = append(told, event.Subject+" "+event.Data.State)
		if (event.Data.State == "raised") != strings.Contains(event.Data.Detail, "refused with code") ||
			event.Subject == "authorisation/tmall/mine" && event.Data.State == "raised" && !strings.Contains(event.Data.Detail, "oneid connect tmall --shop mine") {
			t.Errorf("%s is told with %q", told[len(told)-1], event.Data.Detail)
		}
	}))
	defer server.Close()
	writeText(t, filepath.Join(dir, "secrets", "duty"), "a secret of the test's")
	writeText(t, filepath.Join(dir, "secrets", "app"), at.AppSecret)
	writeText(t, filepath.Join(dir, "secrets", "wrong"), "no secret of the app")
	writeText(t, filepath.Join(dir, "secrets", "session"), at.Session)
	writeText(t, filepath.Join(dir, "secrets", "dead"), "one that has ended")
	configure := func(secret string) {
		text := fmt.Sprintf("deliver:\n  alerts:\n    - name: duty\n      url: %s\n      secret_file: secrets/duty\npull:\n  every: 200ms\nshops:\n", server.URL)
		for shop, files := range map[string][2]string{"mine": {"app", "dead"}, "other": {secret, "session"}} {
			text += fmt.Sprintf("  - platform: tmall\n    shop: %s\n    settings:\n      url: %s\n      app_key: %q\n      app_secret_file: secrets/%s\n      session_file: secrets/%s\n"+
				"      authorize_url: %s\n      redirect_uri: https://brand.example/back\n      settle_seconds: 1\n      requests_per_second: 1000\n",
				shop, at.URL, at.AppKey, files[0], files[1], strings.Replace(at.URL, "/router/rest", "/authorize", 1))
		}
		writeText(t, filepath.Join(dir, settingsFile), text)
	}
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
	configure("wrong")
	p, _ := up(t, dir)
	eventually(t, time.Minute, "the alerts are told", has("authorisation/tmall/mine raised", "connector/tmall/other/orders raised"))
	down(t, dir, p)

	configure("app")
	p, _ = up(t, dir)
	eventually(t, time.Minute, "the alert is cleared", has("connector/tmall/other/orders cleared"))
	connect(t, dir, "tmall", "mine")
	eventually(t, time.Minute, "the shop goes on", has("authorisation/tmall/mine cleared"))
	// What it refuses is tried ten times, which takes minutes: so ask first.
	mu.Lock()
	refuse = false
	mu.Unlock()
	eventually(t, 2*time.Minute, "the other stream is told too", has("connector/tmall/other/users raised", "connector/tmall/other/users cleared"))
	down(t, dir, p)
	mu.Lock()
	defer mu.Unlock()
	for _, one := range told {
		if n := len(slices.DeleteFunc(slices.Clone(told), func(other string) bool { return other != one })); n != 1 {
			t.Errorf("%s was told %d times of %q", one, n, told)
		}
		if strings.HasPrefix(one, "connector/tmall/mine/") {
			t.Errorf("%s beside the alert of the shop", one)
		}
	}
}

// alertLog are the alerts that a watch makes.
type alertLog []string

func (s *alertLog) Set(kind, name, detail string) {
	sign := "+"
	if detail == "" {
		sign = "-"
	}
	*s = append(*s, sign+kind+"/"+name)
}

func (s *alertLog) Clear(kind string) { *s = append(*s, "-"+kind) }

// The resolver is an alert once it waits for long, and none while it starts. The
// alert is about what a person can act on and not about a machine, which may be
// gone: whichever process works again clears it.
func TestResolverAlert(t *testing.T) {
	t.Parallel()
	unreachable := &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	away := fmt.Errorf("resolve: insert: %w", clickhouseError(t))
	type at struct {
		state pipelines.State
		cause error
		since time.Duration
		pause time.Duration // before it is looked at
	}
	for name, c := range map[string]struct {
		at   []at
		want alertLog
	}{
		"works":           {[]at{{state: pipelines.Working}, {state: pipelines.Working}}, alertLog{"-resolver"}},
		"stands by":       {[]at{{state: pipelines.Standby}, {state: pipelines.Standby}}, alertLog{"-resolver"}},
		"starts":          {[]at{{state: pipelines.Starting, since: time.Hour}}, nil},
		"waits for a bit": {[]at{{state: pipelines.Waiting, cause: away, since: alertAfter - time.Second}}, nil},
		"waits for long, and works again": {[]at{
			{state: pipelines.Working}, {state: pipelines.Waiting, cause: away, since: alertAfter}, {state: pipelines.Waiting, cause: away, since: alertAfter + 1}, {state: pipelines.Working},
		}, alertLog{"-resolver", "+resolver/clickhouse", "-resolver"}},
		"waits on": {[]at{
			{state: pipelines.Waiting, cause: away, since: alertAfter}, {state: pipelines.Waiting, cause: away, since: time.Hour, pause: sayAgain},
		}, alertLog{"+resolver/clickhouse", "+resolver/clickhouse"}},
		"waits for something else": {[]at{
			{state: pipelines.Waiting, cause: away, since: alertAfter}, {state: pipelines.Waiting, cause: fmt.Errorf("kafka: read: %w", unreachable), since: time.Hour},
		}, alertLog{"+resolver/clickhouse", "-resolver/clickhouse", "+resolver/kafka"}},
		"another takes over": {[]at{{state: pipelines.Waiting, cause: away, since: alertAfter}, {state: pipelines.Standby}}, alertLog{"+resolver/clickhouse", "-resolver/clickhouse"}},
		"the disk is full":   {[]at{{state: pipelines.Waiting, cause: fmt.Errorf("resolve: apply: %w", fullDiskError{}), since: alertAfter}}, alertLog{"+resolver/disk"}},
		"takes long":         {[]at{{state: pipelines.Waiting, cause: errors.New("to apply batch 7 takes longer than 30s"), since: alertAfter}}, alertLog{"+resolver/resolver"}},
		"has stopped":        {[]at{{state: pipelines.Stopped, cause: errors.New("the journal was rewritten")}}, alertLog{"+resolver/resolver"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			var got alertLog
			w := resolverWatch{alerts: &got, machine: "m"}
			for _, at := range c.at {
				time.Sleep(at.pause)
				w.look(at.state, at.cause, time.Now().Add(-at.since))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%s: %q, want %q", name, got, c.want)
			}
		})
	}
}

type fullDiskError struct{}

func (fullDiskError) Error() string { return "the state's disk is full" }
func (fullDiskError) Code() string  { return "state_full" }

// clickhouseError is what asking a ClickHouse gives that is not there.
func clickhouseError(t *testing.T) error {
	conn, err := clickhouse.Open(t.Context(), clickhouse.Config{URL: "http://127.0.0.1:1"})
	if err == nil {
		t.Fatal(conn.Close(), "a ClickHouse answers that is not there")
	}
	return err
}

// A live shop that goes on without its old orders, since its app may not list them, is
// a standing alert, and none any more once they are read.
func TestALiveShopThatLacksItsPast(t *testing.T) {
	t.Parallel()
	until := time.Now().Add(-time.Minute)
	world, err := simulator.New(simulator.Config{People: 20, Seed: 5, From: until.AddDate(0, 0, -120), Until: until})
	if err != nil {
		t.Fatal(err)
	}
	const history = "taobao.trades.sold.history.get"
	lacks, has := simulator.Tmall(world, simulator.TmallOptions{Denied: []string{history}}), simulator.Tmall(world, simulator.TmallOptions{})
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
	stream := "tmall/" + keys.Shop + "/orders"

	// reached says that a stream, or a backfill, was read until so many days ago.
	reached := func(key string, days int) {
		t.Helper()
		i, err := open(t.Context(), folder(dir), need{kafka: true, quiet: true}, newProgress(true))
		if err != nil {
			t.Fatal(err)
		}
		publisher := i.kafka.Publisher()
		i.closers = append(i.closers, publisher.Close)
		cursors, err := pull.OpenCursors(t.Context(), i.kafka, publisher, i.topics.Cursors)
		if err != nil {
			t.Fatal(err)
		}
		at := until.AddDate(0, 0, -days).UTC().Format(time.RFC3339)
		err = cursors.Put(t.Context(), key, connectors.Cursor(fmt.Sprintf(`{"v":1,"reached":%q,"created":%q}`, at, at)))
		if err := errors.Join(err, i.close()); err != nil {
			t.Fatal(err)
		}
	}
	away := func(days int) {
		t.Helper()
		reached(stream, days)
	}
	away(95)

	missing := func() (detail string) {
		for _, a := range decode[statusReport](t, oneid(t, "status", "--json", "--dir", dir).stdout).Alerts {
			if a.Kind == alert.Missing && a.Subject == stream {
				detail = a.Detail
			}
		}
		return detail
	}
	must(t, "sync", "--once", "--dir", dir)
	if detail := missing(); !strings.Contains(detail, history) || !strings.Contains(detail, "oneid backfill --stream orders --shop tmall/"+keys.Shop) {
		t.Errorf("the alert says %q", detail)
	}
	// What never comes can be accepted, and that taken back.
	wantState := func(step, state string, code int, args ...string) {
		t.Helper()
		got := oneid(t, append([]string{"missing", "--json", "--dir", dir}, args...)...)
		list := decode[[]lack](t, got.stdout)
		if got.code != code || len(list) != 1 || list[0].Stream != stream || list[0].State != state || !strings.Contains(list[0].Lacks, history) {
			t.Errorf("%s: exit code %d: %s%s", step, got.code, got.stdout, got.stderr)
		}
	}
	wantState("before", lackOpen, 3)
	wantState("accepted", lackAccepted, 0, "--accept", stream)
	must(t, "sync", "--once", "--dir", dir)
	wantState("afterwards", lackAccepted, 0)
	if detail := missing(); detail != "" {
		t.Errorf("what was accepted is an alert: %s", detail)
	}
	// It is forgotten once nothing is missing: what is missing later is an alert.
	away(1)
	must(t, "sync", "--once", "--dir", dir)
	away(95)
	must(t, "sync", "--once", "--dir", dir)
	wantState("missing again", lackOpen, 3)
	if missing() == "" {
		t.Error("what was accepted long ago is accepted for ever")
	}
	wantState("accepted again", lackAccepted, 0, "--accept", stream)
	wantRefused(t, oneid(t, "missing", "--take-back", "--dir", dir), 1, "no stream is named")
	wantRefused(t, oneid(t, "missing", "--take-back", stream, "tmall/none/orders", "--dir", dir), 1, "there is no stream tmall/none/orders")
	wantState("nothing was taken back", lackAccepted, 0)
	wantState("taken back", lackOpen, 3, "--take-back", stream)
	must(t, "sync", "--once", "--dir", dir)
	if missing() == "" {
		t.Error("what was accepted no more is no alert")
	}

	// A backfill that has all of it ends the alert, and it stays ended while the live
	// reading goes through the same days. One that goes on where an earlier one was cut
	// off ends nothing: what that one lacked nobody knows any more.
	allowed.Store(true)
	zone, err := time.LoadLocation(defaultSettings().Timezone)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		days          int
		resumed, ends bool
	}{{20, false, false}, {120, true, false}, {120, false, true}} {
		day := until.In(zone).AddDate(0, 0, -step.days)
		if step.resumed {
			begin := time.Date(day.Year(), day.Month(), day.Day(), 0, 0, 0, 0, zone)
			reached("backfill/"+stream+"/"+begin.UTC().Format(time.RFC3339)+"/now", 100)
		}
		a := must(t, "backfill", "--yes", "--stream", "orders", "--shop", "tmall/"+keys.Shop, "--from", day.Format(time.DateOnly), "--dir", dir)
		if resumed := strings.Contains(a.stderr, "goes on where it was"); resumed != step.resumed {
			t.Errorf("a backfill of %d days goes on where one was: %v\n%s", step.days, resumed, a.stderr)
		}
		if detail := missing(); step.ends != (detail == "") {
			t.Errorf("after a backfill of %d days (resumed: %v) the alert says %q", step.days, step.resumed, detail)
		}
	}
	wantState("read by a backfill", lackRead, 0)
	must(t, "sync", "--once", "--dir", dir)
	if detail := missing(); detail != "" {
		t.Errorf("what was read is an alert: %s", detail)
	}
}

// consenting is a connector whose shop's owner consents, at an address or without one.
type consenting struct {
	connectors.Authoriser
	address string
}

func (c consenting) Consent(string) connectors.Consent {
	return connectors.Consent{Address: c.address}
}

// A consent that ends within a week is told, and what is renewed by itself never.
func TestConsentThatEnds(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC)
	soon, later := now.Add(6*24*time.Hour), now.Add(8*24*time.Hour)
	const page = "https://platform.example/authorize"
	for name, c := range map[string]struct {
		address string
		token   connectors.Token
		told    bool
	}{
		"the refresh token ends soon":         {page, connectors.Token{Access: "a", Refresh: "r", Expires: now.Add(time.Hour), RefreshExpires: soon}, true},
		"the refresh token ends later":        {page, connectors.Token{Access: "a", Refresh: "r", Expires: now.Add(time.Hour), RefreshExpires: later}, false},
		"a token without another ends soon":   {page, connectors.Token{Access: "a", Expires: soon}, true},
		"nobody knows when the refresh ends":  {page, connectors.Token{Access: "a", Refresh: "r", Expires: soon}, false},
		"the app gets its token by itself":    {"", connectors.Token{Access: "a", Expires: soon}, false},
		"it was never connected":              {page, connectors.Token{}, false},
		"it has ended, and streams still run": {page, connectors.Token{Access: "a", Expires: now.Add(-time.Hour)}, true},
	} {
		says := consentSaid(consenting{address: c.address}, c.token, "tmall", "flagship", now)
		if (says != "") != c.told || c.told && !strings.Contains(says, "`oneid connect tmall --shop flagship`") {
			t.Errorf("%s: it says %q", name, says)
		}
	}
}
