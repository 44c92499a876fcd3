package all

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"oneid/connectors"
	"oneid/connectors/douyin"
	"oneid/connectors/simulator"
	"oneid/connectors/sobot"
	"oneid/connectors/tmall"
	"oneid/connectors/weidian"
	"oneid/internal/httpclient"
)

var china = time.FixedZone("GMT+8", 8*60*60)

// meter is a network of one simulated platform, in the process, that counts.
type meter struct {
	face http.Handler
	// late is how long each answer takes.
	late time.Duration

	mu      sync.Mutex
	days    map[string]int // calls a day of GMT+8
	refused []string       // what was refused for rate
}

func (m *meter) RoundTrip(r *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	m.face.ServeHTTP(rec, r)
	time.Sleep(m.late)
	body := rec.Body.String()
	method := r.URL.Query().Get("method")
	if r.Form != nil {
		method += r.Form.Get("method")
		if public := r.Form.Get("public"); public != "" {
			var p struct{ Method string }
			if err := json.Unmarshal([]byte(public), &p); err != nil {
				return nil, err
			}
			method = p.Method
		}
	}
	if strings.HasPrefix(r.URL.Path, "/api/ws/") { // the desk's methods are paths
		method = r.URL.Path
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.days[time.Now().In(china).Format(time.DateOnly)]++
	if rec.Code == http.StatusTooManyRequests {
		m.refused = append(m.refused, fmt.Sprint(method, " at ", time.Now()))
	}
	for _, code := range []string{`"code":7,`, `"code":60000,`, `"status_code":10005,`, `"status_code":10004,`} {
		if strings.Contains(body, code) {
			m.refused = append(m.refused, fmt.Sprint(method, " ", code, " at ", time.Now()))
		}
	}
	return rec.Result(), nil
}

// limited is a connector of a simulated shop with a quota a day (0: none), on a
// network that counts; both sides know it.
func limited(t *testing.T, platform string, perDay int) (connectors.Connector, *meter, int) {
	t.Helper()
	return limitedBy(t, platform, perDay, 0, 400)
}

// limitedBy is limited of so many people, with a rate that the platform alone
// knows.
func limitedBy(t *testing.T, platform string, perDay, perSecond, people int) (connectors.Connector, *meter, int) {
	t.Helper()
	world, err := simulator.New(simulator.Config{People: people, Seed: 3, From: time.Now().Add(-10 * 24 * time.Hour), Until: time.Now().Add(-time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	faults := simulator.Faults{PerSecond: perSecond}
	if platform == "tmall" { // the one that documents a quota
		faults.PerDay = perDay
	}
	m := &meter{days: make(map[string]int)}
	e := simulator.EndpointsOf(world, "http://tmall.example", "http://douyin.example", "http://weidian.example")
	var c connectors.Connector
	switch platform {
	case "tmall":
		m.face = simulator.Tmall(world, simulator.TmallOptions{Faults: faults})
		c, err = tmall.New("1", tmall.Config{
			URL: e.Tmall.URL, AppKey: e.Tmall.AppKey, AppSecret: e.Tmall.AppSecret, Session: e.Tmall.Session, BackfillDays: 11, PageSize: 10,
			RequestsPerSecond: 1e6, CallsPerDay: perDay, Transport: m,
		})
	case "douyin":
		m.face = simulator.Douyin(world, simulator.DouyinOptions{PerSecond: perSecond})
		c, err = douyin.New(e.Douyin.Shop, douyin.Config{
			URL: e.Douyin.URL, AppKey: e.Douyin.AppKey, AppSecret: e.Douyin.AppSecret, BackfillDays: 11, PageSize: 2,
			RequestsPerSecond: 1e6, CallsPerDay: perDay, Transport: m,
		})
	case "weidian":
		m.face = simulator.Weidian(world, simulator.WeidianOptions{Faults: faults})
		c, err = weidian.New(e.Weidian.Shop, weidian.Config{
			URL: e.Weidian.URL, AppKey: e.Weidian.AppKey, AppSecret: e.Weidian.AppSecret, AccessToken: e.Weidian.AccessToken, BackfillDays: 11,
			RequestsPerSecond: 1e6, CallsPerDay: perDay, Transport: m,
		})
	case "sobot":
		desk := simulator.Sobot(world, simulator.SobotOptions{Faults: faults})
		m.face = desk
		keys := simulator.SobotCredentialsOf(world)
		c, err = sobot.New("1", sobot.Config{
			URL: "http://sobot.example", AppID: keys.AppID, AppKey: keys.AppKey, BackfillDays: 11, PageSize: 5,
			RequestsPerSecond: 1e6, CallsPerDay: perDay, Transport: m,
		})
		if err != nil {
			t.Fatal(err)
		}
		return c, m, len(desk.Tickets())
	}
	if err != nil {
		t.Fatal(err)
	}
	return c, m, world.Counts()[platform].Orders
}

// orders are the orders (of the desk: the tickets) that a connector reads from
// the beginning.
func orders(t *testing.T, c connectors.Connector) int {
	t.Helper()
	found := make(map[string]bool)
	for page, err := range c.Read(t.Context(), c.Spec().Streams[0].Name, "") {
		if err != nil {
			t.Fatal(err)
		}
		for _, record := range page.Records {
			list, err := c.Map(record)
			if err != nil {
				t.Fatal(err)
			}
			found[list[0].GetHeader().GetEntityId()] = true
		}
	}
	return len(found)
}

func (m *meter) calls() int {
	n := 0
	for _, calls := range m.days {
		n += calls
	}
	return n
}

// A quota that the platform alone knows is learnt from its refusal, which says
// until when: the reading waits, and asks no more before.
func TestAQuotaThatThePlatformTells(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		free, m, want := limited(t, "tmall", 0)
		orders(t, free)
		perDay := m.calls()/4 + 1
		world, err := simulator.New(simulator.Config{People: 400, Seed: 3, From: time.Now().Add(-10 * 24 * time.Hour), Until: time.Now().Add(-time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		m = &meter{days: make(map[string]int)}
		m.face = simulator.Tmall(world, simulator.TmallOptions{Faults: simulator.Faults{PerDay: perDay}})
		e := simulator.EndpointsOf(world, "http://tmall.example", "", "").Tmall
		c, err := tmall.New("1", tmall.Config{
			URL: e.URL, AppKey: e.AppKey, AppSecret: e.AppSecret, Session: e.Session, BackfillDays: 11, PageSize: 10, RequestsPerSecond: 1e6, Parallel: 4, Transport: m,
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := orders(t, c); got != want {
			t.Errorf("%d orders, want %d", got, want)
		}
		// Each of the windows that are read at the same time is refused once.
		if days := len(m.days); days < 4 || len(m.refused) > 4*days {
			t.Errorf("%d refusals in %d days", len(m.refused), days)
		}
	})
}

// What a reading is said to cost beforehand is about what it costs.
func TestEstimate(t *testing.T) {
	t.Parallel()
	for _, platform := range platforms {
		synctest.Test(t, func(t *testing.T) {
			c, m, want := limited(t, platform, 5000)
			e, err := c.(connectors.Estimator).Estimate(t.Context(), c.Spec().Streams[0].Name, "")
			if err != nil {
				t.Fatal(err)
			}
			asked := m.calls()
			orders(t, c)
			calls := m.calls() - asked
			if e.Records < want*8/10 || e.Records > want*12/10 || e.PerDay != 5000 {
				t.Errorf("%s: %+v for %d orders", platform, e, want)
			}
			if asked > 15 || e.Calls < calls*8/10 || e.Calls > calls*13/10 {
				t.Errorf("%s: %d calls are estimated with %d calls; it took %d", platform, e.Calls, asked, calls)
			}
		})
	}
}

// Calls that are refused at the same time are one refusal: a platform that
// allows less than is configured is not waited for ever longer.
func TestRefusalsAtTheSameTimeAreOne(t *testing.T) {
	t.Parallel()
	const perSecond = 5
	for _, platform := range platforms {
		synctest.Test(t, func(t *testing.T) {
			free, m, _ := limited(t, platform, 0)
			orders(t, free)
			least := time.Duration(m.calls()/perSecond) * time.Second
			c, m, want := limitedBy(t, platform, 0, perSecond, 400)
			m.late = 100 * time.Millisecond
			start := time.Now()
			if got := orders(t, c); got != want {
				t.Errorf("%s: %d orders, want %d", platform, got, want)
			}
			took := time.Since(start)
			t.Logf("%s: %s, at least %s, %d refusals of %d calls", platform, took, least, len(m.refused), m.calls())
			if took > 5*least {
				t.Errorf("%s: took %s with %d refusals, and might have taken %s", platform, took, len(m.refused), least)
			}
		})
	}
}

// A backfill with a tenth of the quota that it needs, beside live reading:
// each live round goes on as if there were no backfill, the backfill ends days
// later and complete, nearly all of the quota is used, and nothing is refused.
func TestABackfillBesideLiveReading(t *testing.T) {
	t.Parallel()
	for platform, people := range map[string]int{"tmall": 4000, "douyin": 2000, "weidian": 1000} {
		synctest.Test(t, func(t *testing.T) {
			free, m, _ := limitedBy(t, platform, 0, 0, people)
			orders(t, free)
			perDay := m.calls()/10 + 1
			c, m, want := limitedBy(t, platform, perDay, 0, people)
			begun := time.Now()
			past := c.(connectors.Backfiller).Until(begun)
			from, _ := past.(connectors.Backfiller).Since(begun.Add(-11 * 24 * time.Hour))
			live, _ := c.(connectors.Backfiller).Since(begun)
			found := make(map[string]bool)
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				for page, err := range past.Read(httpclient.WithPatience(t.Context()), "orders", from) {
					if err != nil {
						t.Error(err)
						return
					}
					for _, record := range page.Records {
						list, err := c.Map(record)
						if err != nil {
							t.Error(err)
							continue
						}
						found[list[0].GetHeader().GetEntityId()] = true
					}
				}
			}()
			var slowest time.Duration
			rounds := 0
			for done := false; !done; rounds++ {
				round := time.Now()
				for page, err := range c.Read(t.Context(), "orders", live) {
					if err != nil {
						t.Fatal(err)
					}
					if page.Next != "" {
						live = page.Next
					}
				}
				slowest = max(slowest, time.Since(round))
				select {
				case <-ended:
					done = true
				case <-time.After(3*time.Hour - time.Minute):
				}
			}
			took := time.Since(begun)
			t.Logf("%s: %d calls a day, %s, %d live rounds, the slowest took %s", platform, perDay, took, rounds, slowest)
			if len(found) != want || took < 7*24*time.Hour || took > 40*24*time.Hour {
				t.Errorf("%s: %d orders of %d after %s", platform, len(found), want, took)
			}
			if slowest > time.Minute {
				t.Errorf("%s: a live round took %s", platform, slowest)
			}
			days := slices.Sorted(maps.Keys(m.days))
			for i, day := range days {
				if n := m.days[day]; n > perDay || i < len(days)-1 && n < perDay*95/100 {
					t.Errorf("%s: %d calls on %s of %d that are permitted", platform, n, day, perDay)
				}
			}
			if len(m.refused) > 0 {
				t.Errorf("%s: refused %q", platform, m.refused)
			}
		})
	}
}
