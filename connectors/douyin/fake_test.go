package douyin

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"oneid/connectors"
)

// fake answers the platform's methods from functions; only what a test is
// about is in it.
type fake struct {
	t      *testing.T
	mu     sync.Mutex
	calls  map[string]int
	answer map[string]func(n int, param map[string]any, w http.ResponseWriter)
	token  int
}

func newFake(t *testing.T) (*fake, *Connector) {
	return newFakeWith(t, Config{})
}

func newFakeWith(t *testing.T, cfg Config) (*fake, *Connector) {
	t.Helper()
	f := &fake{t: t, calls: make(map[string]int), answer: make(map[string]func(int, map[string]any, http.ResponseWriter))}
	f.answer["token.create"] = func(_ int, _ map[string]any, w http.ResponseWriter) { f.grant(w, 604800) }
	f.answer["token.refresh"] = func(_ int, _ map[string]any, w http.ResponseWriter) { f.grant(w, 604800) }
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	cfg.URL, cfg.AppKey, cfg.AppSecret = server.URL, testKey, testSecret
	if cfg.BackfillDays == 0 {
		cfg.BackfillDays = 1
	}
	cfg.RequestsPerSecond = 10000
	c, err := New("4463798", cfg)
	if err != nil {
		t.Fatal(err)
	}
	return f, c
}

func (f *fake) grant(w http.ResponseWriter, seconds int) {
	f.token++
	ok(w, map[string]any{"access_token": fmt.Sprintf("token-%d", f.token), "refresh_token": "refresh", "expires_in": seconds})
}

func ok(w http.ResponseWriter, data any) {
	_ = json.NewEncoder(w).Encode(map[string]any{"code": 10000, "msg": "success", "data": data})
}

func refuse(w http.ResponseWriter, code int, sub string) {
	_ = json.NewEncoder(w).Encode(map[string]any{"code": code, "msg": "no", "sub_code": sub, "log_id": "L1"})
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	q := r.URL.Query()
	method := q.Get("method")
	if want := sign(q.Get("sign_method"), testKey, testSecret, method, string(body), q.Get("timestamp")); q.Get("sign") != want {
		f.t.Errorf("%s: signature of other bytes than were sent", method)
	}
	var param map[string]any
	if err := json.Unmarshal(body, &param); err != nil {
		f.t.Errorf("%s: body %q: %v", method, body, err)
	}
	param["access_token"] = q.Get("access_token")
	f.calls[method]++
	answer, found := f.answer[method]
	if !found {
		ok(w, map[string]any{"total": 0})
		return
	}
	answer(f.calls[method], param, w)
}

func (f *fake) count(method string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[method]
}

// read reads a stream to its end.
func read(t *testing.T, c *Connector, stream string, from connectors.Cursor) ([]connectors.Record, connectors.Cursor, error) {
	t.Helper()
	var records []connectors.Record
	next := from
	for page, err := range c.Read(t.Context(), stream, from) {
		if err != nil {
			return records, next, err
		}
		records = append(records, page.Records...)
		if page.Next != "" {
			next = page.Next
		}
	}
	return records, next, nil
}

// shop is a list of orders that answers order.searchList as the platform does.
type shop struct {
	orders []map[string]any // by update_time
	// most is the greatest number of rows of a query; a query with more is
	// refused, or told by its total.
	most int
	told bool
}

func newShop(n int, from time.Time, step time.Duration) *shop {
	s := &shop{most: maxRows}
	for i := range n {
		at := from.Add(time.Duration(i) * step).Unix()
		s.orders = append(s.orders, map[string]any{
			"order_id": fmt.Sprintf("69100000000000%05d", i), "doudian_open_id": fmt.Sprintf("1@#buyer%d", i%7),
			"order_status": 2, "create_time": at, "update_time": at, "pay_time": at, "pay_amount": 100,
		})
	}
	return s
}

// rows are the orders that a query asks for, over all its pages.
func (s *shop) rows(param map[string]any) []map[string]any {
	from, to := param["update_time_start"].(float64), param["update_time_end"].(float64)
	var in []map[string]any
	for _, o := range s.orders {
		if at := float64(o["update_time"].(int64)); at >= from && at <= to {
			in = append(in, o)
		}
	}
	slices.SortStableFunc(in, func(a, b map[string]any) int { return int(a["update_time"].(int64) - b["update_time"].(int64)) })
	return in
}

func (s *shop) search(_ int, param map[string]any, w http.ResponseWriter) {
	page, size := int(param["page"].(float64)), int(param["size"].(float64))
	in := s.rows(param)
	if len(in) > s.most && s.told {
		ok(w, map[string]any{"total": maxRows + 1})
		return
	}
	if len(in) > s.most && size > 1 {
		refuse(w, 40004, "isv.parameter-invalid:20013")
		return
	}
	rows := in[min(page*size, len(in)):min((page+1)*size, len(in))]
	ok(w, map[string]any{"total": len(in), "page": page, "size": size, "shop_order_list": rows})
}

func distinct(t *testing.T, records []connectors.Record) map[string]int {
	t.Helper()
	ids := make(map[string]int)
	for _, r := range records {
		id, _, err := orderKey(r.Raw)
		if err != nil {
			t.Fatal(err)
		}
		ids[id]++
	}
	return ids
}
