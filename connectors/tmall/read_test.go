package tmall

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"oneid/connectors"
)

// shopFace answers as the platform does, for orders alone.
type shopFace struct {
	t      *testing.T
	secret string

	mu sync.Mutex
	// modified is when each order was last changed; guarded by mu.
	modified map[int64]time.Time
	calls    map[string]int
	// before is called before each answer; it may change orders or give an
	// error_response instead.
	before func(method string, form map[string]string) string
}

func newFace(t *testing.T) (*shopFace, *Connector) {
	f := &shopFace{t: t, secret: "secret-demo-0001", modified: make(map[int64]time.Time), calls: make(map[string]int)}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	settle := 2
	c, err := New("demo", Config{URL: server.URL, AppKey: "23000001", AppSecret: f.secret, Session: "demo-session", PageSize: 7, RequestsPerSecond: 1e6,
		WindowPages: 5, BackfillDays: 10, SettleSeconds: &settle})
	if err != nil {
		t.Fatal(err)
	}
	return f, c
}

func (f *shopFace) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		f.t.Error(err)
	}
	form := make(map[string]string)
	for name := range r.Form {
		form[name] = r.Form.Get(name)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	method := form["method"]
	f.calls[method]++
	if sign(f.secret, form) != form["sign"] {
		fmt.Fprint(w, `{"error_response":{"code":25,"msg":"Invalid signature"}}`)
		return
	}
	if f.before != nil {
		if refusal := f.before(method, form); refusal != "" {
			fmt.Fprint(w, refusal)
			return
		}
	}
	switch method {
	case "taobao.time.get":
		fmt.Fprintf(w, `{"time_get_response":{"time":%q}}`, time.Now().In(zone).Format(timeLayout))
	case orderList, simpleOrderList:
		f.list(w, form)
	case simpleOrder:
		fmt.Fprintf(w, `{"trade_simple_get_response":{"trade":%s}}`, f.trade(form["tid"]))
	default:
		fmt.Fprintf(w, `{"error_response":{"code":22,"msg":"Invalid method"}}`)
	}
}

func (f *shopFace) trade(tid string) string {
	return fmt.Sprintf(`{"tid":%s,"buyer_open_uid":"open%s","ouid":"ouid%s"}`, tid, tid, tid)
}

func (f *shopFace) list(w http.ResponseWriter, form map[string]string) {
	from, err1 := time.ParseInLocation(timeLayout, form["start_modified"], zone)
	to, err2 := time.ParseInLocation(timeLayout, form["end_modified"], zone)
	page, err3 := strconv.Atoi(form["page_no"])
	size, err4 := strconv.Atoi(form["page_size"])
	if err := errors.Join(err1, err2, err3, err4); err != nil || to.Sub(from) > 24*time.Hour {
		f.t.Errorf("window %s to %s: %v", from, to, err)
	}
	var tids []int64
	for tid, m := range f.modified {
		if m = m.Truncate(time.Second); !m.Before(from) && !m.After(to) {
			tids = append(tids, tid)
		}
	}
	slices.SortFunc(tids, func(a, b int64) int {
		if c := f.modified[b].Compare(f.modified[a]); c != 0 {
			return c
		}
		return int(a - b)
	})
	start := min((page-1)*size, len(tids))
	end := min(start+size, len(tids))
	rows := make([]string, 0, size)
	for _, tid := range tids[start:end] {
		row := f.trade(strconv.FormatInt(tid, 10))
		if form["method"] == orderList {
			row = fmt.Sprintf(`{"tid":%d,"buyer_open_uid":"open%d"}`, tid, tid)
		}
		rows = append(rows, row)
	}
	count := fmt.Sprintf(`"total_results":%d`, len(tids))
	if form["use_has_next"] == "true" {
		count = fmt.Sprintf(`"has_next":%t`, end < len(tids))
	}
	fmt.Fprintf(w, `{%q:{%s,"trades":{"trade":[%s]}}}`, rootName(form["method"]), count, strings.Join(rows, ","))
}

// readAll reads from a cursor to the end: the orders' numbers and ouids, and
// the last cursor.
func readAll(t *testing.T, c *Connector, from connectors.Cursor) (map[string]string, connectors.Cursor, error) {
	t.Helper()
	got := make(map[string]string)
	for page, err := range c.Read(t.Context(), Orders, from) {
		if err != nil {
			return got, from, err
		}
		for _, r := range page.Records {
			var o orderRecord
			var b buyerOf
			if err := errors.Join(json.Unmarshal(r.Raw, &o), json.Unmarshal(o.Trade, &b)); err != nil {
				t.Fatal(err)
			}
			got[string(b.TID)] = o.OUID
		}
		if page.Next != "" {
			from = page.Next
		}
	}
	return got, from, nil
}

// Orders that are changed while the list is read move between its pages; none
// may be missed once the next runs have read on.
func TestNoOrderMissedWhileRowsMove(t *testing.T) {
	t.Parallel()
	for seed := range uint64(25) {
		f, c := newFace(t)
		r := rand.New(rand.NewPCG(seed, 0))
		now := time.Now()
		for tid := range int64(150) {
			f.modified[tid+1] = now.Add(-time.Duration(r.IntN(9*24*3600)+60) * time.Second)
			if tid%3 == 0 { // a busy day, which must be cut
				f.modified[tid+1] = now.Add(-100*time.Hour - time.Duration(r.IntN(3600))*time.Second)
			}
		}
		f.before = func(method string, _ map[string]string) string {
			if method == orderList && r.IntN(2) == 0 {
				f.modified[1+r.Int64N(150)] = time.Now()
			}
			return ""
		}
		got, _, err := readAll(t, c, "")
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		// The next run comes a moment later; only what was changed during
		// the first may be left to it.
		cursor := cursorAt(now.Add(-10 * time.Second))
		f.mu.Lock()
		f.before = nil
		for tid, m := range f.modified { // let the present pass
			if m.After(now.Add(-time.Second)) {
				f.modified[tid] = now.Add(-time.Duration(10+tid/20) * time.Second)
			}
		}
		f.mu.Unlock()
		later, _, err := readAll(t, c, cursor)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for tid := range int64(150) {
			id := strconv.FormatInt(tid+1, 10)
			ouid, ok := got[id]
			if !ok {
				ouid, ok = later[id]
			}
			if !ok || ouid != "ouid"+id {
				t.Fatalf("seed %d: order %s, last changed %s ago: found %t, ouid %q", seed, id, time.Since(f.modified[tid+1]), ok, ouid)
			}
		}
	}
}

func TestEmptyWindowsAreCheap(t *testing.T) {
	t.Parallel()
	f, c := newFace(t)
	_, cursor, err := readAll(t, c, "")
	if err != nil || cursor == "" {
		t.Fatalf("cursor %q, error %v", cursor, err)
	}
	if got := f.calls[orderList]; got > 11 {
		t.Errorf("%d calls for 10 empty days, want one a day", got)
	}
	if f.calls[simpleOrderList] != 0 {
		t.Errorf("the simple list was asked for nothing")
	}
}

// Each type of orders is asked for by its name: of those behind step the platform says
// nothing where they are not named.
func TestEachTypeOfOrdersIsNamed(t *testing.T) {
	t.Parallel()
	want := []string{
		"guarantee_trade", "auto_delivery", "ec", "cod", "step", "tmall_i18n", "eticket", "nopaid", "o2o_offlinetrade", "pre_auth_type", "fenxiao",
	}
	a, c := newAnswers(t, Config{})
	var asked []string
	a.say[orderList] = func(_ int, form map[string]string) string {
		asked = strings.Split(form["type"], ",")
		return `{"total_results":0,"has_next":false}`
	}
	if got := take(t, c, Orders, ""); got.err != nil {
		t.Fatal(got.err)
	}
	for _, kind := range want {
		if !slices.Contains(asked, kind) {
			t.Errorf("%s is not asked for: the platform leaves such orders out without a word", kind)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		code, sub, subMsg string
		class             connectors.Class
		is                error
		wait              time.Duration
	}{
		"throttled":         {"7", "accesscontrol.limited-by-api-access-count", "This ban will last for 3 more seconds", connectors.Throttle, connectors.ErrThrottled, 3 * time.Second},
		"day's quota":       {"7", "accesscontrol.limited-by-app-access-count", "This ban will last for 31062 more seconds", connectors.Throttle, connectors.ErrThrottled, 31062 * time.Second},
		"throttle, no time": {"7", "", "", connectors.Throttle, connectors.ErrThrottled, 0},
		"busy":              {"15", "isp.system-busy", "", connectors.Throttle, connectors.ErrThrottled, 0},
		"server side":       {"15", "isp.remote-service-timeout", "", connectors.Retry, nil, 0},
		"server, tmall":     {"15", "isp.top-remote-service-unavailable-tmall", "", connectors.Retry, nil, 0},
		"our argument":      {"15", "isv.invalid-parameter:start_modified,end_modified", "", connectors.StopStream, nil, 0},
		"argument, code 50": {"50", "isv.invalid-parameter", "", connectors.StopStream, nil, 0},
		"session":           {"27", "invalid-sessionkey", "", connectors.Refresh, connectors.ErrUnauthorized, 0},
		"session, 53":       {"53", "", "", connectors.Refresh, connectors.ErrUnauthorized, 0},
		"signature":         {"25", "", "", connectors.StopShop, connectors.ErrUnauthorized, 0},
		"permission":        {"11", "isv.permission-api-package-empty", "", connectors.StopStream, connectors.ErrForbidden, 0},
		"address":           {"11", "isv.permission-ip-whitelist-limit", "", connectors.StopShop, connectors.ErrForbidden, 0},
		"clock":             {"31", "", "", connectors.StopShop, connectors.ErrClock, 0},
		"gone":              {"15", "isv.trade-not-exist", "", connectors.SkipRecord, nil, 0},
		"never heard of":    {"999", "", "", connectors.StopStream, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var e *connectors.Error
			if err := classify("demo", "m", c.code, c.sub, c.subMsg, "r"); !errors.As(err, &e) {
				t.Fatal("no typed error")
			}
			if e.Class != c.class || e.Wait != c.wait || (c.is != nil && !errors.Is(e, c.is)) {
				t.Errorf("class %v, wait %s, %v; want %v, %s, %v", e.Class, e.Wait, e.Kind, c.class, c.wait, c.is)
			}
		})
	}
}

func TestWindowIsCutWhenThePlatformAsks(t *testing.T) {
	t.Parallel()
	f, c := newFace(t)
	f.modified[1] = time.Now().Add(-50 * time.Hour)
	f.before = func(method string, form map[string]string) string {
		from, _ := time.ParseInLocation(timeLayout, form["start_modified"], zone)
		to, _ := time.ParseInLocation(timeLayout, form["end_modified"], zone)
		if method == orderList && to.Sub(from) > 7*time.Hour {
			return `{"error_response":{"code":15,"msg":"Remote service error","sub_code":"isp.runtime-max-limit"}}`
		}
		return ""
	}
	got, _, err := readAll(t, c, "")
	if err != nil || len(got) != 1 {
		t.Fatalf("%d orders, %v", len(got), err)
	}
}

func TestWithoutThePermissionForOUID(t *testing.T) {
	t.Parallel()
	f, c := newFace(t)
	f.modified[1] = time.Now().Add(-time.Hour)
	f.before = func(method string, _ map[string]string) string {
		if strings.Contains(method, "simple") {
			return `{"error_response":{"code":11,"msg":"Insufficient isv permissions","sub_code":"isv.permission-api-package-empty"}}`
		}
		return ""
	}
	got, _, err := readAll(t, c, "")
	if err != nil || len(got) != 1 || got["1"] != "" {
		t.Fatalf("got %v, %v; want one order with no ouid", got, err)
	}
}

func TestExpiredSession(t *testing.T) {
	t.Parallel()
	f, c := newFace(t)
	expired := func(method string, form map[string]string) string {
		if method == orderList && form["session"] == "demo-session" {
			return `{"error_response":{"code":27,"msg":"Invalid session","sub_code":"invalid-sessionkey"}}`
		}
		if method == "taobao.top.auth.token.refresh" && form["refresh_token"] == "refresh-1" {
			return `{"top_auth_token_refresh_response":{"token_result":"{\"access_token\":\"new-session\",\"refresh_token\":\"refresh-2\"}"}}`
		}
		return ""
	}
	f.before = expired
	_, _, err := readAll(t, c, "")
	if !errors.Is(err, connectors.ErrUnauthorized) || connectors.ClassOf(err) != connectors.StopShop || !errors.Is(err, connectors.ErrReauthorise) || !strings.Contains(err.Error(), "oneid connect tmall --shop demo") {
		t.Fatalf("error = %v", err)
	}
	if strings.Contains(err.Error(), "demo-session") {
		t.Fatalf("the error holds the session")
	}
	if err := c.client.tokens.Put(t.Context(), connectors.Token{Access: "demo-session", Refresh: "refresh-1"}, func(_, _ connectors.Token) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if _, _, err := readAll(t, c, ""); err != nil {
		t.Fatal(err)
	}
	if got := c.client.tokens.Access(); got != "new-session" || f.calls["taobao.top.auth.token.refresh"] != 1 {
		t.Errorf("the session is %q after %d refreshes", got, f.calls["taobao.top.auth.token.refresh"])
	}
}
