package weidian

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"oneid/connectors"
)

// fake answers the platform's methods from an invented list of orders.
type fake struct {
	mu     sync.Mutex
	calls  map[string]int
	orders []map[string]any
	// before answers in place of the fake when it returns true.
	before func(method string, n int, token string, w http.ResponseWriter) bool
	after  func(f *fake, method string, n int)
	// order is before, and is told of which order the method is.
	order func(method, id string, w http.ResponseWriter) bool
}

const testSecret = "secret-invented"

func newFake(t *testing.T, cfg Config, n int) (*fake, *Connector) {
	t.Helper()
	f := &fake{calls: make(map[string]int)}
	for i := range n {
		at := time.Now().Add(-20 * time.Hour).Add(time.Duration(i) * time.Minute)
		f.orders = append(f.orders, map[string]any{"order_id": fmt.Sprint(800000000000000 + i), "update_time": wallClock(at), "status": 20})
	}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	cfg.URL, cfg.AppKey, cfg.AppSecret = server.URL, "600001", testSecret
	cfg.BackfillDays, cfg.RequestsPerSecond = 1, 10000
	c, err := New("1800000001", cfg)
	if err != nil {
		t.Fatal(err)
	}
	return f, c
}

func answer(w http.ResponseWriter, code int, result any) {
	w.Header().Set("Content-Type", "text/html")
	_ = json.NewEncoder(w).Encode(map[string]any{"status": map[string]any{"status_code": code}, "result": result})
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.URL.Path == "/token" {
		f.calls["token"]++
		answer(w, 0, map[string]any{"access_token": fmt.Sprintf("token-%d", f.calls["token"]), "expire_in": 90000})
		return
	}
	var public map[string]string
	var param map[string]any
	_ = json.Unmarshal([]byte(r.FormValue("public")), &public)
	_ = json.Unmarshal([]byte(r.FormValue("param")), &param)
	method := public["method"]
	f.calls[method]++
	n := f.calls[method]
	if id, _ := param["order_id"].(string); f.order != nil && f.order(method, id, w) {
		return
	}
	if f.before != nil && f.before(method, n, public["access_token"], w) {
		return
	}
	switch method {
	case orderListing.method:
		var in []map[string]any
		for _, o := range f.orders {
			if at := o["update_time"].(string); at >= param["update_start"].(string) && at <= param["update_end"].(string) {
				in = append(in, o)
			}
		}
		page, size := int(param["page_num"].(float64))-1, int(param["page_size"].(float64))
		answer(w, 0, map[string]any{"total_num": len(in), "orders": in[min(page*size, len(in)):min((page+1)*size, len(in))]})
	case "vdian.order.get":
		id := param["order_id"].(string)
		answer(w, 0, map[string]any{
			"order_id": id, "status_ori": 20, "total": "1.00", "pay_time": "2026-01-01 00:00:00", "user_phone": "1380000111" + id[len(id)-1:],
			"buyer_info": map[string]any{"buyer_id": "19" + id[len(id)-1:]},
			"items":      []any{map[string]any{"item_id": "5", "total_price": "1.00", "refund_info": map[string]any{"refund_no": "3" + id, "refund_status": "10"}}},
		})
	default:
		answer(w, 0, map[string]any{"total": 0, "list": []any{}})
	}
	if f.after != nil {
		f.after(f, method, n)
	}
}

func read(t *testing.T, c *Connector, stream string, from connectors.Cursor) ([]connectors.Record, connectors.Page, error) {
	t.Helper()
	var records []connectors.Record
	var last connectors.Page
	for page, err := range c.Read(t.Context(), stream, from) {
		if err != nil {
			return records, last, err
		}
		records = append(records, page.Records...)
		last = page
	}
	return records, last, nil
}

func entities(t *testing.T, c *Connector, records []connectors.Record) map[string]bool {
	t.Helper()
	ids := make(map[string]bool)
	for _, r := range records {
		mapped, err := c.Map(r)
		if err != nil {
			t.Fatal(err)
		}
		ids[mapped[0].GetHeader().GetEntityId()] = true
	}
	return ids
}

func TestStreamsReadEverything(t *testing.T) {
	t.Parallel()
	_, c := newFake(t, Config{}, 130)
	for stream, want := range map[string]int{Orders: 130, Users: 10} {
		records, last, err := read(t, c, stream, "")
		if err != nil || len(entities(t, c, records)) != want || last.Next == "" {
			t.Errorf("%s: %d entities, next %q, %v; want %d", stream, len(records), last.Next, err, want)
		}
	}
}

func TestTokenIsRenewedOnce(t *testing.T) {
	t.Parallel()
	for _, code := range []int{10013, 10016, 10026, 10021} {
		f, c := newFake(t, Config{AccessToken: "old"}, 30)
		f.before = func(_ string, _ int, token string, w http.ResponseWriter) bool {
			if token == "old" {
				answer(w, code, nil)
			}
			return token == "old"
		}
		records, _, err := read(t, c, Orders, "")
		if err != nil || len(records) != 30 || f.calls["token"] != 1 {
			t.Errorf("%d: %d orders, %d tokens, %v", code, len(records), f.calls["token"], err)
		}
	}
}

func TestOddAnswers(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"HTML for JSON": "<html>", "cut off": `{"status":{"status_code":0},"result":{"total_n`, "throttled": `{"status":{"status_code":"10005"}}`,
		"JSON in a text": `"{\"status\":{\"status_code\":10002}}"`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, c := newFake(t, Config{}, 5)
			f.before = func(method string, n int, _ string, w http.ResponseWriter) bool {
				if method == orderListing.method && n == 2 {
					_, _ = w.Write([]byte(body))
					return true
				}
				return false
			}
			records, _, err := read(t, c, Orders, "")
			if err != nil || len(records) != 5 {
				t.Errorf("%d orders, %v", len(records), err)
			}
		})
	}
}

// A list whose result is a text of JSON is no empty list.
func TestResultInAText(t *testing.T) {
	t.Parallel()
	f, c := newFake(t, Config{}, 5)
	f.before = func(method string, _ int, _ string, w http.ResponseWriter) bool {
		if method != orderListing.method {
			return false
		}
		row := `{"order_id":"1","update_time":"` + wallClock(time.Now().Add(-time.Hour)) + `"}`
		inner, _ := json.Marshal(`{"total_num":1,"order_num":1,"orders":[` + row + `]}`)
		_, _ = w.Write([]byte(`{"status":{"status_code":0},"result":` + string(inner) + `}`))
		return true
	}
	records, _, err := read(t, c, Orders, "")
	if err != nil || len(records) == 0 {
		t.Errorf("%d orders, %v", len(records), err)
	}
}

// Where JSON in a text is broken in one row, this row alone is; where the answer
// about one order is, however much is missing of it, this order alone is.
func TestResultInATextThatIsBroken(t *testing.T) {
	t.Parallel()
	f, c := newFake(t, Config{}, 5)
	row := func(id, more string) string {
		return `{"order_id":"` + id + `","update_time":"` + wallClock(time.Now().Add(-time.Hour).Truncate(time.Hour)) + `"` + more + `}`
	}
	f.before = func(method string, _ int, _ string, w http.ResponseWriter) bool {
		inner := []byte(`"{\"order_id\":\"4\",\"items\":[{"`) // cut off
		if method == orderListing.method {
			inner, _ = json.Marshal(`{"total_num":3,"order_num":3,"orders":[` + row("1", "") + "," + row("2", `,"price":01`) + "," + row("4", "") + `]}`)
		} else if f.calls[method]%2 == 1 {
			return false
		}
		_, _ = w.Write([]byte(`{"status":{"status_code":0},"result":` + string(inner) + `}`))
		return true
	}
	good, refused, broken := 0, 0, 0
	for page, err := range c.Read(t.Context(), Orders, "") {
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Records {
			if _, err := c.Map(r); err == nil {
				good++
			} else if strings.Contains(string(r.Raw), `{\"order_id\":\"4\"`) {
				refused++
			}
		}
		for _, bad := range page.Bad {
			if errors.Is(bad.Err, connectors.ErrBroken) && string(bad.Raw) == row("2", `,"price":01`) {
				broken++
			}
		}
	}
	if good == 0 || refused != good || broken != good {
		t.Errorf("%d orders, %d broken ones and %d broken rows; want as many of each", good, refused, broken)
	}
}

func TestRefundsComeFromOrdersWithoutTheRight(t *testing.T) {
	t.Parallel()
	for _, code := range []int{10006, 10009, 10011} {
		f, c := newFake(t, Config{}, 12)
		f.before = func(method string, _ int, _ string, w http.ResponseWriter) bool {
			if method == refundListing.method {
				answer(w, code, nil)
			}
			return method == refundListing.method
		}
		records, _, err := read(t, c, Tickets, "")
		if err != nil || len(entities(t, c, records)) != 12 {
			t.Errorf("%d: %d refunds, %v", code, len(records), err)
		}
	}
}

// Without the right to the list of refunds all streams are read: a warning, and a fault
// beside another one.
func TestCheckWithoutTheRefundList(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		code   int
		of     string
		lesser bool
	}{
		"no right to refunds":         {10009, refundListing.method, true},
		"no such method":              {10011, refundListing.method, true},
		"no right to anything":        {10009, "", false},
		"no right to orders":          {10009, orderListing.method, false},
		"a list of refunds that ails": {20046, refundListing.method, false},
	} {
		f, c := newFake(t, Config{}, 1)
		f.before = func(method string, _ int, _ string, w http.ResponseWriter) bool {
			if tc.of != "" && method != tc.of {
				return false
			}
			answer(w, tc.code, nil)
			return true
		}
		var lesser *connectors.LesserError
		if err := c.Check(t.Context()); err == nil || errors.As(err, &lesser) != tc.lesser || tc.lesser && !strings.Contains(err.Error(), "until the app has the right to "+refundListing.method) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestErrorsHoldNoSecret(t *testing.T) {
	t.Parallel()
	f, c := newFake(t, Config{AccessToken: "token-secret"}, 1)
	f.before = func(_ string, _ int, _ string, w http.ResponseWriter) bool { answer(w, 10009, nil); return true }
	_, _, err := read(t, c, Orders, "")
	if !errors.Is(err, connectors.ErrForbidden) || strings.Contains(err.Error(), "secret") {
		t.Errorf("error %v", err)
	}
	if err := c.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "stream orders") || !strings.Contains(err.Error(), "stream tickets") {
		t.Errorf("Check names not every fault: %v", err)
	}
}

func TestEachCode(t *testing.T) {
	for class, codes := range map[connectors.Class]string{
		connectors.Retry:      "-1 10000 10001 10002",
		connectors.Throttle:   "10004 10005",
		connectors.Refresh:    "10013 10016 10026 10021",
		connectors.StopShop:   "10023 10017 10003 10014 10015 10022 10024 10025 10027 10028 10029 10101",
		connectors.StopStream: "10006 10009 10007 10008 10010 10011 10012 10018 10019 10020 10100 10102 20032 20046 20055 20501 20502 99999",
		connectors.SkipRecord: "20018 20025 20015",
	} {
		for code := range strings.FieldsSeq(codes) {
			if got := refusal("1", "m", code).Class; got != class {
				t.Errorf("%s: class %v, want %v", code, got, class)
			}
		}
	}
}

func TestParametersNeverHoldEscapes(t *testing.T) {
	for text, sendable := range map[string]bool{"<&>张三": true, "\u2028": false, "\x01": false} {
		got, err := plain(map[string]string{"a": text})
		if (err == nil) != sendable || strings.Contains(got, `\u`) {
			t.Errorf("plain(%q) = %q, %v", text, got, err)
		}
	}
}
