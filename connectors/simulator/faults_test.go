package simulator

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// story plays calls for order lists and orders of Weidian, each asked for
// twice, and gives what became of each.
func story(t *testing.T, f Faults, calls int) (kinds map[string]int, told []string) {
	t.Helper()
	w := faceWorld(t, 60, 3)
	server := httptest.NewServer(Weidian(w, WeidianOptions{Now: func() time.Time { return faceUntil.Add(time.Minute) }, Faults: f}))
	t.Cleanup(server.Close)
	server.Config.ErrorLog = nil
	token := weidianCredentials(w).AccessToken
	kinds = make(map[string]int)
	for n := range calls {
		window := fmt.Sprintf(`{"update_start":"2020-01-01 00:00:00","page_size":10,"page_num":%d}`, n/2+1)
		begin := time.Now()
		resp, err := http.PostForm(server.URL+"/api", url.Values{
			"public": {`{"method":"vdian.order.list.get","version":"1.5","access_token":"` + token + `"}`}, "param": {window},
		})
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		var answer struct {
			Status struct {
				Code int `json:"status_code"`
			} `json:"status"`
			Result struct {
				Total  int `json:"total_num"`
				Orders []struct {
					ID string `json:"order_id"`
				} `json:"orders"`
			} `json:"result"`
		}
		whole := json.Unmarshal(body, &answer) == nil
		kind := "other"
		rows := answer.Result.Orders
		switch {
		case resp.StatusCode == http.StatusBadGateway:
			kind = "bad_gateway"
		case err != nil:
			kind = "cut"
		case strings.HasPrefix(string(body), "<html>"):
			kind = "html"
		case !whole:
			kind = "truncated"
		case answer.Status.Code == 10005:
			kind = "throttled"
		case answer.Status.Code == 10001:
			kind = "busy"
		case answer.Status.Code == 10013:
			kind = "expired_token"
			token = weidianToken(t, w, server.URL)
		case len(rows) > 1 && rows[0] == rows[len(rows)-1]:
			kind = "duplicate"
		case len(rows) < min(10, answer.Result.Total-10*(n/2)):
			kind = "short"
		case answer.Status.Code == 0 && time.Since(begin) >= 30*time.Millisecond && f.SlowMS >= 30:
			kind = "slow"
		case answer.Status.Code == 0:
			kind = "good"
		}
		kinds[kind]++
		told = append(told, kind)
	}
	return kinds, told
}

func weidianToken(t *testing.T, w *World, address string) string {
	t.Helper()
	app := weidianCredentials(w)
	resp, err := http.Get(address + "/token?grant_type=client_credential&appkey=" + app.AppKey + "&secret=" + app.AppSecret)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		Result struct {
			Token string `json:"access_token"`
		} `json:"result"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Result.Token == "" {
		t.Fatalf("no token: %v", err)
	}
	return answer.Result.Token
}

// Each fault is what it is called, and nothing is one unless it was asked for.
func TestEachFault(t *testing.T) {
	t.Parallel()
	for _, fault := range AllFaults {
		// No list of the world has more pages; an empty one has no row twice.
		kinds, _ := story(t, Faults{Seed: 1, Rate: 1, Kinds: []Fault{fault}, SlowMS: 50}, 8)
		want := 8
		if fault == FaultExpired {
			want = 1 // a token that was just made does not end at once
		}
		if kinds[string(fault)] != want || kinds["other"] != 0 {
			t.Errorf("%s: %v, want %d of 8", fault, kinds, want)
		}
	}
	if kinds, _ := story(t, Faults{}, 8); kinds["good"] != 8 {
		t.Errorf("without faults: %v", kinds)
	}
}

// Faults come as often as they were asked for, and the same again from the
// same seed, whatever else is asked between.
func TestFaultsAreReplayed(t *testing.T) {
	t.Parallel()
	f := Faults{Seed: 5, Rate: 0.2, SlowMS: 1, Kinds: []Fault{FaultBadGateway, FaultHTML, FaultTruncated, FaultCut, FaultThrottled, FaultBusy}}
	kinds, told := story(t, f, 600)
	if kinds["other"] > 0 || kinds["good"] < 420 || kinds["good"] > 540 {
		t.Errorf("%v of 600 at 0.2", kinds)
	}
	for _, kind := range f.Kinds {
		if kinds[string(kind)] < 8 {
			t.Errorf("%s: %d of about 20", kind, kinds[string(kind)])
		}
	}
	if _, again := story(t, f, 600); strings.Join(again, " ") != strings.Join(told, " ") {
		t.Error("the same seed plays another story")
	}
	f.Seed++
	if _, other := story(t, f, 600); strings.Join(other, " ") == strings.Join(told, " ") {
		t.Error("another seed plays the same story")
	}
}

// The signed faces refuse in the platform's own words, and an ended token is
// renewed as the platform does it.
func TestFaultsOfTheSignedFaces(t *testing.T) {
	t.Parallel()
	for fault, want := range map[Fault][2]string{
		FaultThrottled: {"7 accesscontrol.limited-by-api-access-count", "60000 isv.traffic-limited"},
		FaultBusy:      {"15 isp.remote-service-timeout", "20000 isp.service-error:20004"},
		FaultExpired:   {"27 session-expired", "40003 isv.access-token-expired"},
	} {
		w := faceWorld(t, 60, 3)
		faults := Faults{Rate: 1, Kinds: []Fault{fault}}
		tmall := Tmall(w, TmallOptions{Now: func() time.Time { return faceUntil }, Faults: faults})
		text := askTmall(t, tmall, w, map[string]string{"method": "taobao.user.seller.get", "fields": "nick", "timestamp": faceUntil.In(tmallZone).Format(time.DateTime)})
		var refused struct {
			Response struct {
				Code    int    `json:"code"`
				SubCode string `json:"sub_code"`
			} `json:"error_response"`
		}
		if err := json.Unmarshal([]byte(text), &refused); err != nil || fmt.Sprint(refused.Response.Code, " ", refused.Response.SubCode) != want[0] {
			t.Errorf("tmall, %s: %s", fault, text)
		}
		douyin := newDouyinClient(t, w, DouyinOptions{Faults: faults})
		douyin.signIn()
		answer := douyin.call("shop.brandList", map[string]any{})
		if got := fmt.Sprint(answer.Code, " ", answer.SubCode); got != want[1] {
			t.Errorf("douyin, %s: %s", fault, got)
		}
		if fault == FaultExpired {
			douyin.signIn()
			if answer := douyin.call("shop.brandList", map[string]any{}); answer.Code != 10000 {
				t.Errorf("a new token is refused too: %d %s", answer.Code, answer.SubCode)
			}
		}
	}
}

// The clock of a skewed face is seen in its answers and judges timestamps; an
// order changes before a page of a list; the day's quota ends at midnight.
func TestSkewChangesAndQuota(t *testing.T) {
	t.Parallel()
	w := faceWorld(t, 60, 3)
	now := faceUntil.Add(time.Minute)
	face := Tmall(w, TmallOptions{Now: func() time.Time { return now }, Faults: Faults{SkewSeconds: 900, Changes: 1, PerDay: 3}})
	ask := func(method string, at time.Time, more map[string]string) string {
		p := map[string]string{"method": method, "timestamp": at.In(tmallZone).Format(time.DateTime)}
		for name, value := range more {
			p[name] = value
		}
		return askTmall(t, face, w, p)
	}
	if text := ask("taobao.time.get", now, nil); !strings.Contains(text, `"code":31`) {
		t.Errorf("a clock that is 15 minutes behind: %s", text)
	}
	ahead := now.Add(15 * time.Minute)
	if text := ask("taobao.time.get", ahead, nil); !strings.Contains(text, ahead.In(tmallZone).Format(time.DateTime)) {
		t.Errorf("the clock: %s", text)
	}
	list := map[string]string{"fields": "tid", "start_modified": tmallTime(ahead.Add(-time.Hour)), "end_modified": tmallTime(ahead)}
	before := len(w.changes(PlatformTmall))
	ask("taobao.trades.sold.increment.get", ahead, list)
	ask("taobao.trades.sold.increment.get", ahead, list)
	if got := len(w.changes(PlatformTmall)) - before; got != 2 {
		t.Errorf("%d orders changed in two lists, want 2", got)
	}
	midnight := time.Date(ahead.In(tmallZone).Year(), ahead.In(tmallZone).Month(), ahead.In(tmallZone).Day()+1, 0, 0, 0, 0, tmallZone)
	want := fmt.Sprintf("This ban will last for %d more seconds", int(midnight.Sub(ahead).Seconds()))
	if text := ask("taobao.time.get", ahead, nil); !strings.Contains(text, "limited-by-app-access-count") || !strings.Contains(text, want) {
		t.Errorf("the fourth call of the day: %s; want %s", text, want)
	}
	now = midnight.Add(-15 * time.Minute)
	if text := ask("taobao.time.get", midnight, nil); strings.Contains(text, "error_response") {
		t.Errorf("the next day: %s", text)
	}
}

func TestFaultsThatCannotBe(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]Faults{"kind": {Kinds: []Fault{"mood"}}, "rate": {Rate: 1.5}, "changes": {Changes: -1}, "quota": {PerDay: -1}} {
		if _, err := New(Config{People: 1, Until: faceUntil, Faults: f}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// Each face refuses more calls a second than it is told to allow.
func TestCallsTooMany(t *testing.T) {
	t.Parallel()
	w := faceWorld(t, 60, 3)
	faults := Faults{PerSecond: 3}
	tmall := Tmall(w, TmallOptions{Now: func() time.Time { return faceUntil }, Faults: faults})
	douyin := newDouyinClient(t, w, DouyinOptions{Faults: faults})
	douyin.signIn()
	weidian := newWeidianClient(t, w, WeidianOptions{Faults: faults})
	for n := range 5 {
		refused := n >= 3
		text := askTmall(t, tmall, w, map[string]string{"method": "taobao.user.seller.get", "fields": "nick", "timestamp": faceUntil.In(tmallZone).Format(time.DateTime)})
		if strings.Contains(text, "limited-by-api-access-count") != refused {
			t.Errorf("tmall, call %d: %s", n+1, text)
		}
		if answer := douyin.call("shop.brandList", map[string]any{}); (answer.Code == 60000) != refused {
			t.Errorf("douyin, call %d: %d", n+1, answer.Code)
		}
		answer := weidian.call("vdian.order.list.get", "1.5", map[string]any{"update_start": "2020-01-01 00:00:00"})
		if (answer.Status.Code == 10005) != refused {
			t.Errorf("weidian, call %d: %d", n+1, answer.Status.Code)
		}
	}
}
