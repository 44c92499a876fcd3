package toy_test

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"oneid/connectors"
	"oneid/connectors/conformance"
)

// The app that the platform knows.
const (
	appKey, appSecret = "700001", "secret-of-the-toy"
	pushSecret        = "pushes-of-the-toy"
	shopID            = "42"
)

// row is an order or a return.
type row struct {
	ID      string `json:"id"`
	Updated int64  `json:"updated"`
	Order   string `json:"order,omitempty"`
	Buyer   string `json:"buyer"`

	created int64
	step    int
}

// platform is the toy's own, written from its README and not from the
// connector: it refuses what a platform refuses.
type platform struct {
	now       func() time.Time
	perSecond int

	mu sync.Mutex
	// The fields below are guarded by mu.
	orders, returns []*row
	token           int
	second          map[string]int // method and second → calls
}

func newPlatform(ask conformance.Ask) *platform {
	p := &platform{now: ask.Now, perSecond: ask.PerSecond, second: make(map[string]int)}
	chance := rand.New(rand.NewPCG(ask.Seed, 7))
	for i := range ask.Orders {
		at := ask.Now().Add(-time.Minute - time.Duration(chance.Int64N(int64(3*24*time.Hour)))).Unix()
		o := &row{ID: strconv.Itoa(8000000001 + i), Updated: at, created: at - 60, Buyer: fmt.Sprintf("buyer%05d", chance.IntN(ask.Orders))}
		p.orders = append(p.orders, o)
		if i%3 != 0 { // enough for pages of which each has something to lose
			p.returns = append(p.returns, &row{ID: strconv.Itoa(9000000001 + i), Updated: at, Order: o.ID, Buyer: o.Buyer})
		}
	}
	return p
}

func (p *platform) truth() map[string]int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make(map[string]int64)
	for _, o := range p.orders {
		all["order "+o.ID] = o.Updated * 1000
	}
	for _, f := range p.returns {
		all["refund "+f.ID] = f.Updated * 1000
	}
	return all
}

func (p *platform) change(h uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	rows := p.orders
	if h%2 == 0 {
		rows = p.returns
	}
	r := rows[h/2%uint64(len(rows))]
	r.Updated, r.step = p.now().Unix(), r.step+1
}

// push is what the platform posts when an order has changed; it tells of no
// returns.
func (p *platform) push(stream, id string) (connectors.Push, bool) {
	at := strconv.FormatInt(p.now().Unix(), 10)
	body := fmt.Appendf(nil, `{"event":"order.changed","id":%q}`, id)
	mac := hmac.New(sha256.New, []byte(pushSecret))
	mac.Write([]byte(at + string(body)))
	header := make(http.Header)
	header.Set("X-Toy-Time", at)
	header.Set("X-Toy-Sign", hex.EncodeToString(mac.Sum(nil)))
	return connectors.Push{Header: header, Body: body}, stream == "orders"
}

// ServeHTTP implements http.Handler.
func (p *platform) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w.Header().Set("Date", p.now().UTC().Format(http.TimeFormat))
	data, code := p.answer(r)
	_ = json.NewEncoder(w).Encode(map[string]any{"code": code, "data": data, "message": conformance.Words})
}

func (p *platform) answer(r *http.Request) (any, string) {
	method := r.FormValue("method")
	names := make([]string, 0, len(r.Form))
	for name := range r.Form {
		names = append(names, name)
	}
	slices.Sort(names)
	mac := hmac.New(sha256.New, []byte(appSecret))
	for _, name := range names {
		if name != "sign" {
			mac.Write([]byte(name + r.Form.Get(name)))
		}
	}
	stamp, err := strconv.ParseInt(r.FormValue("timestamp"), 10, 64)
	now := p.now().Unix()
	p.second[fmt.Sprint(method, now)]++
	switch {
	case r.FormValue("app_key") != appKey || r.FormValue("sign") != hex.EncodeToString(mac.Sum(nil)):
		return nil, "600"
	case err != nil || stamp < now-600 || stamp > now+600:
		return nil, "601"
	case p.perSecond > 0 && p.second[fmt.Sprint(method, now)] > p.perSecond+1: // its seconds are not the client's
		return nil, "200"
	case method == "token.get":
		p.token++
		return map[string]string{"token": p.held()}, "0"
	case r.FormValue("token") != p.held():
		return nil, "300"
	case method == "time.get":
		return map[string]int64{"now": now}, "0"
	}
	var param struct {
		From, To   int64
		Page, Size int
		Token, ID  string
	}
	if json.Unmarshal([]byte(r.FormValue("param")), &param) != nil {
		return nil, "501"
	}
	switch method {
	case "orders.list":
		rows, total, code := p.list(p.orders, param.From, param.To, (param.Page-1)*param.Size, param.Size)
		return map[string]any{"total": total, "rows": rows}, code
	case "returns.list":
		at, err := 0, error(nil)
		if param.Token != "" {
			at, err = strconv.Atoi(strings.TrimPrefix(param.Token, "at-"))
		}
		if err != nil {
			return nil, "501"
		}
		rows, total, code := p.list(p.returns, param.From, param.To, at, param.Size)
		answer := map[string]any{"rows": rows}
		if at += len(rows); at < total {
			answer["next"] = fmt.Sprint("at-", at)
		}
		return answer, code
	case "order.get":
		for _, o := range p.orders {
			if o.ID == param.ID {
				return map[string]any{
					"id": o.ID, "updated": o.Updated, "created": o.created, "paid": o.created + 30, "buyer": o.Buyer, "total": "12.30",
					"status": []string{"PAID", "SENT", "DONE", "ODD"}[min(o.step, 3)], "phone": "138****0001", "receiver": "张**", "city": "杭州市",
				}, "0"
			}
		}
		return nil, "400"
	}
	return nil, "500"
}

func (p *platform) held() string { return fmt.Sprint("token-of-the-toy-", p.token) }

// list gives so many rows of what was updated in [from, to): orders with the
// oldest first, returns with the newest; and how many there are in all.
func (p *platform) list(of []*row, from, to int64, at, size int) (rows []*row, total int, code string) {
	if at < 0 || size < 1 || size > 50 || to-from > 24*60*60 {
		return nil, 0, "501"
	}
	var in []*row
	for _, r := range of {
		if r.Updated >= from && r.Updated < to {
			in = append(in, r)
		}
	}
	slices.SortFunc(in, func(a, b *row) int {
		order := cmp.Or(cmp.Compare(a.Updated, b.Updated), cmp.Compare(a.ID, b.ID))
		if a.Order != "" {
			return -order
		}
		return order
	})
	return slices.Clone(in[min(at, len(in)):min(at+size, len(in))]), len(in), "0"
}
