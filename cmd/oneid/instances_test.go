package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"oneid/connectors/simulator"
	"oneid/internal/crashtest"
	"oneid/schemas/events"
)

// doors are a platform's address for each of several instances, which note who
// reads what: a stream by the method that lists it.
type doors struct {
	t    *testing.T
	to   *url.URL
	mu   sync.Mutex
	of   map[string][]string // by method, who called it
	busy map[string]map[string]int
	both []string // calls of two instances at the same time
}

// streamMethods are the methods whose calls are counted, each of one stream.
var streamMethods = []string{"taobao.trades.sold.increment.get", "taobao.refunds.receive.get"}

func newDoors(t *testing.T, to string) *doors {
	t.Helper()
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	return &doors{t: t, to: u, of: make(map[string][]string), busy: make(map[string]map[string]int)}
}

// open is the address for an instance.
func (d *doors) open(who string) string {
	forward := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: d.to.Scheme, Host: d.to.Host})
	forward.ErrorHandler = func(http.ResponseWriter, *http.Request, error) {} // whoever asked is dead
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // as above
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		form, _ := url.ParseQuery(string(body)) // what is no form names no method
		if method := form.Get("method") + r.URL.Query().Get("method"); slices.Contains(streamMethods, method) {
			d.count(method, who, 1)
			defer d.count(method, who, -1)
		}
		forward.ServeHTTP(w, r)
	}))
	d.t.Cleanup(server.Close)
	return server.URL + d.to.Path
}

func (d *doors) count(method, who string, n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.busy[method] == nil {
		d.busy[method] = make(map[string]int)
	}
	d.busy[method][who] += n
	if n < 0 {
		return
	}
	d.of[method] = append(d.of[method], who)
	for other, calls := range d.busy[method] {
		if other != who && calls > 0 {
			d.both = append(d.both, method+" by "+who+" and "+other)
		}
	}
}

// callers are who called a method since a number of calls.
func (d *doors) callers(method string, since int) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.of[method][min(since, len(d.of[method])):])
}

// chat is a group chat with a robot of WeCom's.
type chat struct {
	mu   sync.Mutex
	said []string
}

func (c *chat) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.said = append(c.said, string(body))
	_, _ = io.WriteString(w, `{"errcode":0,"errmsg":"ok"}`)
}

// heard is how often both texts were said in one message.
func (c *chat) heard(sign, text string) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, said := range c.said {
		if strings.Contains(said, sign) && strings.Contains(said, text) {
			n++
		}
	}
	return n
}

// Two whole instances of one brand, on servers that neither owns: each stream is
// read by exactly one of them, and by the other within seconds after that one is
// killed. What both notice at the same moment is told once, also that it is well
// again. Of two backfills of a stream one goes on, and the other says so.
func TestTwoInstancesOfABrand(t *testing.T) {
	t.Parallel()
	s := newServers(t)
	shops := start(t, "simulate", "--people", "30", "--json")
	eventually(t, time.Minute, "the simulators answer", func() (bool, string) {
		return strings.Contains(shops.stdout.String(), "\n"), shops.stderr.String()
	})
	at := decode[simulator.Endpoints](t, shops.stdout.String()).Tmall
	duty, d := new(chat), newDoors(t, at.URL)
	robot := httptest.NewServer(duty)
	defer robot.Close()
	dirs := make(map[string]string)
	for _, who := range []string{"one", "two", "past", "later"} {
		dir := s.machine()
		dirs[who] = dir
		writeText(t, filepath.Join(dir, "secrets", "app"), at.AppSecret)
		writeText(t, filepath.Join(dir, "secrets", "session"), at.Session)
		writeText(t, filepath.Join(dir, "secrets", "robot"), robot.URL+"/cgi-bin/webhook/send?key=K")
		rate := 1000
		if who == "past" || who == "later" {
			rate = 2 // so that it goes on for a while
		}
		writeText(t, filepath.Join(dir, settingsFile), s.settings+fmt.Sprintf("deliver:\n  alerts_together: 1s\n  alerts:\n    - name: duty\n      format: wecom\n      url_file: secrets/robot\npull:\n  every: 200ms\n"+
			"shops:\n  - platform: tmall\n    shop: mine\n    settings:\n      url: %s\n      app_key: %q\n      app_secret_file: secrets/app\n      session_file: secrets/session\n"+
			"      settle_seconds: 1\n      requests_per_second: %d\n      backfill_days: 2\n", d.open(who), at.AppKey, rate))
	}
	must(t, "migrate", "--dir", dirs["one"])
	// A server finds itself by its name; this engine knows no names.
	ddl := s.ask("SELECT create_table_query FROM system.tables WHERE database = currentDatabase() AND name = 'identity_overrides_dict' FORMAT TSVRaw")
	ddl = regexp.MustCompile(`USER '[^']*' PASSWORD '[^']*'`).ReplaceAllString(strings.Replace(ddl, "CREATE ", "CREATE OR REPLACE ", 1), "HOST '127.0.0.1' PORT 9000")
	// Nor does it begin to make views anew by itself, as a server does.
	for _, statement := range []string{ddl, "SYSTEM START VIEW customer_360_refresh"} {
		if answer := s.ask(statement); answer != "" {
			t.Fatal(answer)
		}
	}
	letter := func(state string) {
		t.Helper()
		if answer := s.ask(fmt.Sprintf("INSERT INTO dead_letter_states (letter_id, stream, reason, state, changed_at, version) VALUES ('a row', '%s', 'store', '%s', now64(3), toUnixTimestamp64Milli(now64(3)))", events.StreamRows, state)); answer != "" {
			t.Fatal(answer)
		}
	}
	letter("open")
	instances := make(map[string]*process)
	for _, who := range []string{"one", "two"} {
		instances[who] = start(t, "up", "--dir", dirs[who])
	}
	defer func() {
		if t.Failed() {
			t.Logf("one:\n%s\ntwo:\n%s\nsaid: %q", instances["one"].stderr, instances["two"].stderr, duty.said)
		}
	}()
	for who, p := range instances {
		eventually(t, time.Minute, who+" is up", func() (bool, string) {
			select {
			case <-p.ended:
				t.Fatalf("%s ended at once", who)
			default:
			}
			return strings.Contains(p.stderr.String(), "up: see "), ""
		})
	}
	said := func(sign string) func() (bool, string) {
		return func() (bool, string) {
			return duty.heard(sign, "rows "+events.StreamRows) > 0, fmt.Sprint(duty.heard(sign, ""))
		}
	}
	eventually(t, time.Minute, "the chat is told", said("❗"))
	letter("replayed") // noticed within half a minute

	// Who asks what reading will cost asks beside the lock: count from here on.
	readers := make(map[string]string)
	for _, method := range streamMethods {
		since := len(d.callers(method, 0))
		eventually(t, time.Minute, "the stream is read", func() (bool, string) {
			callers := d.callers(method, since)
			return len(callers) >= 10, fmt.Sprint(callers)
		})
		callers := d.callers(method, since)
		readers[method] = callers[0]
		if other := slices.IndexFunc(callers, func(who string) bool { return who != callers[0] }); other >= 0 {
			t.Errorf("%s is called by %q", method, callers)
		}
	}

	// A backfill beside both, and one more.
	orders := streamMethods[0]
	days := []string{"backfill", "--from", time.Now().AddDate(0, 0, -60).Format(time.DateOnly), "--yes", "--stream", "orders", "--dir"}
	past := start(t, append(days, dirs["past"])...)
	says(t, past, "in all: about ")
	since := len(d.callers(orders, 0))
	eventually(t, time.Minute, "the backfill reads", func() (bool, string) {
		return slices.Contains(d.callers(orders, since), "past"), past.stderr.String()
	})
	if later := oneid(t, append(days, dirs["later"])...); later.code != 1 || !strings.Contains(later.stderr, "backfill/tmall/mine/orders runs in another process just now") {
		t.Errorf("a second backfill of the stream: %d\n%s", later.code, later.stderr)
	}
	if cut := past.signal(t, syscall.SIGINT); cut.code != 130 {
		t.Errorf("the backfill exits with %d at SIGINT:\n%s", cut.code, cut.stderr)
	}

	victim := readers[orders]
	other := map[string]string{"one": "two", "two": "one"}[victim]
	instances[victim].signal(t, syscall.SIGKILL)
	since = len(d.callers(orders, 0))
	took := eventually(t, time.Minute, "the other instance reads", func() (bool, string) {
		return slices.Contains(d.callers(orders, since), other), ""
	})
	crashtest.Within(t, "a call of the other instance", took, 20*time.Second)
	eventually(t, 2*time.Minute, "the chat is told that all is well", said("✅"))
	down(t, dirs[other], instances[other])
	for _, sign := range []string{"❗", "✅"} {
		if n := duty.heard(sign, "rows "+events.StreamRows); n != 1 {
			t.Errorf("the chat is told %s %d times", sign, n)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, both := range d.both {
		if !strings.Contains(both, "past") && !strings.Contains(both, "later") {
			t.Errorf("at the same time: %s", both)
		}
	}
}
