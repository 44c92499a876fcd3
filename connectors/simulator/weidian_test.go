package simulator

import (
	"bytes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// weidianClient sends as a client of the platform.
type weidianClient struct {
	t     testing.TB
	face  http.Handler
	app   weidianApp
	clock *faceClock
	token string
	get   bool
}

func newWeidianClient(t testing.TB, w *World, opts WeidianOptions) *weidianClient {
	t.Helper()
	clock := &faceClock{now: faceUntil.Add(time.Minute)}
	opts.Now = clock.Now
	app := weidianCredentials(w)
	return &weidianClient{t: t, face: Weidian(w, opts), app: app, clock: clock, token: app.AccessToken}
}

type weidianEnvelope struct {
	Status struct {
		Code   int    `json:"status_code"`
		Reason string `json:"status_reason"`
	} `json:"status"`
	Result json.RawMessage `json:"result"`
}

// send sends two JSON texts to /api.
func (c *weidianClient) send(public, param string) *httptest.ResponseRecorder {
	c.t.Helper()
	values := url.Values{"public": {public}, "param": {param}}
	r := httptest.NewRequestWithContext(c.t.Context(), http.MethodPost, "/api", strings.NewReader(values.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if c.get {
		r = httptest.NewRequestWithContext(c.t.Context(), http.MethodGet, "/api?"+values.Encode(), nil)
	}
	w := httptest.NewRecorder()
	c.face.ServeHTTP(w, r)
	return w
}

func (c *weidianClient) envelope(w *httptest.ResponseRecorder) weidianEnvelope {
	c.t.Helper()
	var envelope weidianEnvelope
	if err := json.Unmarshal(w.Body.Bytes(), &envelope); err != nil || w.Code != http.StatusOK {
		c.t.Fatalf("HTTP %d, %s: %v", w.Code, w.Body, err)
	}
	if html := strings.HasPrefix(w.Header().Get("Content-Type"), "text/html"); html != (envelope.Status.Code != 0) {
		c.t.Errorf("code %d came as %s", envelope.Status.Code, w.Header().Get("Content-Type"))
	}
	return envelope
}

func (c *weidianClient) call(method, version string, param any) weidianEnvelope {
	c.t.Helper()
	public := weidianJSON(map[string]any{"method": method, "access_token": c.token, "version": version, "format": "json"})
	return c.envelope(c.send(public, weidianJSON(param)))
}

func (c *weidianClient) ok(method, version string, param, into any) {
	c.t.Helper()
	envelope := c.call(method, version, param)
	if envelope.Status.Code != 0 {
		c.t.Fatalf("%s %s (%v) = %d %s, want success", method, version, param, envelope.Status.Code, envelope.Status.Reason)
	}
	if err := json.Unmarshal(envelope.Result, into); err != nil {
		c.t.Fatalf("%s answered %s: %v", method, envelope.Result, err)
	}
}

// visit asks one of the token addresses.
func (c *weidianClient) visit(path string, values url.Values) (map[string]any, int) {
	c.t.Helper()
	w := httptest.NewRecorder()
	c.face.ServeHTTP(w, httptest.NewRequestWithContext(c.t.Context(), http.MethodGet, path+"?"+values.Encode(), nil))
	envelope := c.envelope(w)
	result := map[string]any{}
	if len(envelope.Result) > 0 {
		if err := json.Unmarshal(envelope.Result, &result); err != nil {
			c.t.Fatal(err)
		}
	}
	return result, envelope.Status.Code
}

// openWeidian decrypts by the platform's description.
func openWeidian(t testing.TB, aesKey, text string) string {
	t.Helper()
	block, iv, err := weidianBlock(aesKey)
	if err != nil {
		t.Fatal(err)
	}
	body, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(body) == 0 || len(body)%weidianPadding != 0 {
		t.Fatalf("%q is no ciphertext: %v", text, err)
	}
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(body, body)
	return string(body[:len(body)-int(body[len(body)-1])])
}

const (
	weidianListExample   = `{"total_num":1,"order_num":1,"orders":[{"order_id":"800000000000001","status":30,"refundStatus":0,"status2":"已发货","total":"105.00","time":"2026-01-05 10:00:00","update_time":"2026-01-06 09:00:00","img":"","buyer_note":"","seller_note":"","express_no":"SF0000000000001","express_type":"3","buyer_info":{"buyer_id":null,"name":"张三","phone":"13800138001","province":"浙江省","city":"杭州市","region":"西湖区","self_address":"测试路1号","address":"浙江省杭州市西湖区测试路1号","post":""}}]}`
	weidianDetailExample = `{"order_id":"800000000000001","status":"ship","status_desc":"已发货","status_ori":30,"refund_status_ori":0,"order_type":"3","order_type_des":"担保交易","add_time":"2026-01-05 10:00:00","pay_time":"2026-01-05 10:01:12","send_time":"2026-01-06 09:00:00","price":"99.00","total":"105.00","express_fee":"6.00","quantity":"1","note":"","express_note":"","express":"顺丰速运","express_type":"3","express_no":"SF0000000000001","user_phone":"13800138000","weixin":"","seller_id":"1800000001","buyer_info":{"buyer_id":"190000001","name":"张三","phone":"13800138001","province":"浙江省","city":"杭州市","region":"西湖区","self_address":"测试路1号","address":"浙江省杭州市西湖区测试路1号","post":"","idCardNo":""},"items":[{"item_id":"5000000001","item_name":"样品","sku_id":"0","sku_title":"","price":"99.00","quantity":"1","total_price":"99.00","img":"","url":"","merchant_code":"M-1","sku_merchant_code":"","sub_order_id":900000000000001,"refund_info":{"refund_no":"","refund_status":"","can_refund":"1"}}]}`
	weidianTokenExample  = `{"access_token":"tk1invented","expire_in":90000,"refresh_token":"rf1invented","openid":"1800000001","refreshExpireTime":1769904000000}`
)

// weidianWindow is the whole of the data as a client asks for it.
func weidianWindow(w *World, start, end string) map[string]any {
	return map[string]any{start: weidianTime(w.Config().From), end: weidianTime(w.Config().Until)}
}

func TestWeidianAnswersTheExamples(t *testing.T) {
	t.Parallel()
	world := faceWorld(t, 100, 5)
	for _, get := range []bool{false, true} {
		c := newWeidianClient(t, world, WeidianOptions{})
		c.get = get
		list := c.call("vdian.order.list.get", "1.5", weidianWindow(world, "update_start", "update_end"))
		for _, fault := range sameShape("result", decoded(t, weidianListExample), decoded(t, string(list.Result))) {
			t.Error("list 1.5:", fault)
		}
		var page weidianOrderPage
		if err := json.Unmarshal(list.Result, &page); err != nil {
			t.Fatal(err)
		}
		for _, version := range []string{"1.0", "2.0"} {
			detail := c.call("vdian.order.get", version, map[string]any{"order_id": page.Orders[0].OrderID})
			for _, fault := range sameShape("result", decoded(t, weidianDetailExample), decoded(t, string(detail.Result))) {
				t.Errorf("detail %s: %s", version, fault)
			}
			if strings.Contains(string(detail.Result), "update_time") {
				t.Errorf("detail %s has an update_time", version)
			}
		}
		old := c.call("vdian.order.list.get", "1.1", weidianWindow(world, "update_start", "update_end"))
		var rows struct {
			Orders []map[string]any
		}
		if err := json.Unmarshal(old.Result, &rows); err != nil {
			t.Fatal(err)
		}
		if _, ok := rows.Orders[0]["status"].(string); !ok || rows.Orders[0]["refundStatus"] != nil {
			t.Errorf("list 1.1 = %v, want a text as status and no refundStatus", rows.Orders[0])
		}
	}
}

func TestWeidianMultipartForm(t *testing.T) {
	t.Parallel()
	c := newWeidianClient(t, faceWorld(t, 20, 1), WeidianOptions{})
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for name, text := range map[string]string{"param": "{}",
		"public": weidianJSON(map[string]any{"method": "vdian.order.list.get", "version": "1.5", "access_token": c.token})} {
		if err := form.WriteField(name, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := form.Close(); err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api", &body)
	r.Header.Set("Content-Type", form.FormDataContentType())
	w := httptest.NewRecorder()
	c.face.ServeHTTP(w, r)
	if envelope := c.envelope(w); envelope.Status.Code != 0 {
		t.Errorf("a multipart form = %d %s", envelope.Status.Code, envelope.Status.Reason)
	}
}

func TestWeidianRefusals(t *testing.T) {
	t.Parallel()
	world := faceWorld(t, 100, 3)
	tomorrow := weidianTime(faceUntil.Add(24 * time.Hour))
	for name, c := range map[string]struct {
		opts            WeidianOptions
		method, version string
		token           string
		param           any
		want            int
	}{
		"escaped text":                   {param: `{"order_type":"\u0061ll"}`, want: 10018},
		"no JSON":                        {param: `{`, want: 10007},
		"unknown method":                 {method: "vdian.order.unheardOf", want: 10011},
		"unknown version":                {version: "1.4", want: 10011},
		"no token":                       {token: "-", want: 10016},
		"unknown token":                  {token: "tk0", want: 10013},
		"no permission":                  {opts: WeidianOptions{Denied: []string{"vdian.order.list.get"}}, want: 10009},
		"busy":                           {opts: WeidianOptions{BusyEvery: 1}, want: 10005},
		"1.5: 51 rows":                   {param: map[string]any{"page_size": 51}, want: 20502},
		"1.5: 50 rows":                   {param: map[string]any{"page_size": 50}, want: 0},
		"1.2: 51 rows":                   {version: "1.2", param: map[string]any{"page_size": 51}, want: 20502},
		"1.1: 200 rows":                  {version: "1.1", param: map[string]any{"page_size": 200}, want: 0},
		"1.1: 201 rows":                  {version: "1.1", param: map[string]any{"page_size": 201}, want: 20502},
		"page 0":                         {param: map[string]any{"page_num": 0}, want: 20501},
		"1.5: order_type of 1.1":         {param: map[string]any{"order_type": "pend"}, want: 20046},
		"1.1: order_type of 1.1":         {version: "1.1", param: map[string]any{"order_type": "pend"}, want: 0},
		"1.1: order_type of 1.5":         {version: "1.1", param: map[string]any{"order_type": "unship"}, want: 20046},
		"a date of words":                {param: map[string]any{"update_start": "today"}, want: 20032},
		"start after end":                {param: map[string]any{"update_start": "2025-12-31 00:00:01", "update_end": "2025-12-31 00:00:00"}, want: 20055},
		"start in the future":            {param: map[string]any{"update_start": tomorrow}, want: 20055},
		"end in the future":              {param: map[string]any{"update_end": tomorrow}, want: 0},
		"detail: no digits":              {method: "vdian.order.get", version: "1.0", param: map[string]any{"order_id": "x"}, want: 20015},
		"detail: unknown":                {method: "vdian.order.get", version: "2.0", param: map[string]any{"order_id": "1"}, want: 20018},
		"ids: no date":                   {method: "vdian.order.ids.get", version: "1.1", want: 20032},
		"ids: 51 rows":                   {method: "vdian.order.ids.get", version: "1.1", param: map[string]any{"order_date": "2025-12-31", "page_size": 51}, want: 20502},
		"refunds: 51 rows":               {method: "open.SellerQueryRefundList", version: "2.0", param: map[string]any{"pageSize": 51}, want: 20502},
		"refunds: no orders in the list": {method: "open.SellerQueryRefundList", version: "2.0", param: map[string]any{"orderIdList": []any{}}, want: 10019},
		"refunds: unknown status":        {method: "open.SellerQueryRefundList", version: "2.0", param: map[string]any{"statusList": []any{2}}, want: 10019},
		"refunds: small s":               {method: "open.sellerQueryRefundList", version: "2.0", want: 10011},
		"refund: unknown":                {method: "open.sellerQueryRefundDetail", version: "1.0", param: map[string]any{"refundNo": "1"}, want: 10100},
		"key: wrong secret":              {method: "open.secret.list", version: "1.0", param: map[string]any{"app_key": "x", "secret": "x"}, want: 10022},
		"buyer: nothing asked":           {method: "vdian.crm.queryBuyerInfo", version: "1.0", want: 10019},
		"buyer: CRM not granted":         {opts: WeidianOptions{Denied: []string{"vdian.crm.queryBuyerInfo"}}, method: "vdian.crm.queryBuyerInfo", version: "1.0", want: 10009},
		"buyer: nobody has the phone":    {method: "vdian.crm.queryBuyerInfo", version: "1.0", param: map[string]any{"telephone": "13800001111"}, want: 0},
		"of whom":                        {version: "1.2", param: map[string]any{"is_wei_order": 3}, want: 10019},
		"group-buys or what":             {param: map[string]any{"group_type": 2}, want: 10019},
		"kind in words":                  {param: map[string]any{"order_biz_type": "abroad"}, want: 10019},
		"ids: of whom":                   {method: "vdian.order.ids.get", version: "1.1", param: map[string]any{"order_date": "2025-12-31", "isweicenter": "x"}, want: 10019},
		"items: 51 rows":                 {method: "vdian.item.list.get", version: "1.1", param: map[string]any{"page_size": 51}, want: 20502},
		"items: page 401":                {method: "vdian.item.list.get", version: "1.1", param: map[string]any{"page_num": 401}, want: 20501},
		"items: unknown status":          {method: "vdian.item.list.get", version: "1.1", param: map[string]any{"status": 3}, want: 10019},
		"items: a date of words":         {method: "vdian.item.list.get", version: "1.1", param: map[string]any{"update_start": "today"}, want: 20032},
		"items: unknown version":         {method: "vdian.item.list.get", version: "1.0", want: 10011},
		"customer: no number":            {method: "vdian.crm.queryCustomerInfo", version: "2.0", param: map[string]any{"buyerId": "x"}, want: 10019},
	} {
		t.Run(name, func(t *testing.T) {
			client := newWeidianClient(t, world, c.opts)
			if c.method == "" {
				c.method = "vdian.order.list.get"
			}
			if c.version == "" {
				c.version = "1.5"
			}
			token := map[string]string{"": client.token, "-": ""}
			public := map[string]any{"method": c.method, "version": c.version, "access_token": c.token}
			if known, ok := token[c.token]; ok {
				public["access_token"] = known
			}
			text, ok := c.param.(string)
			if !ok {
				text = weidianJSON(map[string]any{})
				if c.param != nil {
					text = weidianJSON(c.param)
				}
			}
			if got := client.envelope(client.send(weidianJSON(public), text)).Status; got.Code != c.want {
				t.Errorf("%s %s (%s) = %d %s, want %d", c.method, c.version, text, got.Code, got.Reason, c.want)
			}
		})
	}
	c := newWeidianClient(t, world, WeidianOptions{})
	w := httptest.NewRecorder()
	c.face.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPut, "/api", nil))
	if got := c.envelope(w).Status.Code; got != 10012 {
		t.Errorf("PUT = %d, want 10012", got)
	}
	if _, got := c.visit("/elsewhere", nil); got != 10011 {
		t.Errorf("an unknown address = %d, want 10011", got)
	}
}

func TestWeidianSwitches(t *testing.T) {
	t.Parallel()
	world := faceWorld(t, 20, 1)
	public := func(c *weidianClient) string {
		return weidianJSON(map[string]any{"method": "vdian.order.list.get", "version": "1.5", "access_token": c.token})
	}
	c := newWeidianClient(t, world, WeidianOptions{DoubleEncoded: 2, OutageEvery: 3})
	c.ok("vdian.order.list.get", "1.5", map[string]any{}, &weidianOrderPage{})
	var inner string
	if err := json.Unmarshal(c.send(public(c), "{}").Body.Bytes(), &inner); err != nil || decoded(t, inner).(map[string]any)["status"] == nil {
		t.Errorf("the second answer is no JSON in a text: %v", err)
	}
	if w := c.send(public(c), "{}"); w.Code != http.StatusOK || !strings.HasPrefix(w.Body.String(), "<html>") {
		t.Errorf("the third answer is no page: %s", w.Body)
	}
}

func TestWeidianTokens(t *testing.T) {
	t.Parallel()
	world := faceWorld(t, 20, 1)
	use := func(c *weidianClient, token string) int {
		c.token = token
		return c.call("vdian.order.list.get", "1.5", map[string]any{}).Status.Code
	}
	app := func(c *weidianClient, more url.Values) url.Values {
		values := url.Values{"appkey": {c.app.AppKey}, "secret": {c.app.AppSecret}}
		maps.Copy(values, more)
		return values
	}
	t.Run("self-use", func(t *testing.T) {
		c := newWeidianClient(t, world, WeidianOptions{Expire: true})
		handed := c.token
		result, code := c.visit("/token", app(c, url.Values{"grant_type": {"client_credential"}}))
		token, _ := result["access_token"].(string)
		if code != 0 || result["expire_in"] != 90000.0 || use(c, token) != 0 || use(c, handed) != 0 {
			t.Fatalf("/token = %d %v", code, result)
		}
		c.clock.add(25 * time.Hour)
		if got := []int{use(c, token), use(c, handed)}; !slices.Equal(got, []int{10013, 10013}) {
			t.Errorf("after 25 hours = %v, want 10013 twice", got)
		}
		for name, ask := range map[string]struct {
			values url.Values
			want   int
		}{
			"a final s":    {app(c, url.Values{"grant_type": {"client_credentials"}}), 10014},
			"wrong secret": {url.Values{"appkey": {c.app.AppKey}, "secret": {"x"}, "grant_type": {"client_credential"}}, 10022},
			"no appkey":    {url.Values{"grant_type": {"client_credential"}}, 10015},
		} {
			if _, got := c.visit("/token", ask.values); got != ask.want {
				t.Errorf("%s = %d, want %d", name, got, ask.want)
			}
		}
	})
	t.Run("handed out, not expiring", func(t *testing.T) {
		c := newWeidianClient(t, world, WeidianOptions{})
		c.clock.add(1000 * time.Hour)
		if got := use(c, c.token); got != 0 {
			t.Errorf("after 1000 hours = %d, want success", got)
		}
	})
	t.Run("service app", func(t *testing.T) {
		c := newWeidianClient(t, world, WeidianOptions{})
		authorize := func() string {
			w := httptest.NewRecorder()
			c.face.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/oauth2/authorize?"+
				url.Values{"appkey": {c.app.AppKey}, "redirect_uri": {"https://brand.example/back?x=1"}, "response_type": {"code"}, "state": {"s1"}}.Encode(), nil))
			back, err := url.Parse(w.Header().Get("Location"))
			if err != nil || w.Code != http.StatusFound || back.Query().Get("state") != "s1" || back.Query().Get("x") != "1" {
				t.Fatalf("authorize = %d %s", w.Code, w.Header().Get("Location"))
			}
			return back.Query().Get("code")
		}
		trade := func(code string) (map[string]any, int) {
			return c.visit("/oauth2/access_token", app(c, url.Values{"code": {code}, "grant_type": {"authorization_code"}}))
		}
		code := authorize()
		first, status := trade(code)
		for _, fault := range sameShape("result", decoded(t, weidianTokenExample), first) {
			t.Error(fault)
		}
		token, _ := first["access_token"].(string)
		if status != 0 || use(c, token) != 0 {
			t.Errorf("the code's token was refused: %d", status)
		}
		if _, got := trade(code); got != 10017 {
			t.Errorf("the code's second use = %d, want 10017", got)
		}
		late := authorize()
		c.clock.add(5 * time.Minute)
		if _, got := trade(late); got != 10017 {
			t.Errorf("a code of five minutes = %d, want 10017", got)
		}
		refresh := url.Values{"appkey": {c.app.AppKey}, "grant_type": {"refresh_token"}, "refresh_token": {first["refresh_token"].(string)}}
		second, status := c.visit("/oauth2/refresh_token", refresh)
		if status != 0 || second["refreshExpireTime"] != nil || second["access_token"] == token {
			t.Errorf("refresh = %d %v", status, second)
		}
		c.clock.add(30 * 24 * time.Hour)
		if _, got := c.visit("/oauth2/refresh_token", refresh); got != 10023 {
			t.Errorf("refresh after 30 days = %d, want 10023", got)
		}
	})
}

// Whoever reads all pages has what the world counts.
func TestWeidianPagesHoldAll(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5) {
		world := faceWorld(t, 200, seed)
		counts := world.Counts()[PlatformWeidian]
		c := newWeidianClient(t, world, WeidianOptions{})
		for version, size := range map[string]int{"1.1": 200, "1.2": 50, "1.5": 7} {
			for _, window := range []map[string]any{weidianWindow(world, "update_start", "update_end"), weidianWindow(world, "add_start", "add_end")} {
				got, users := map[string]bool{}, map[string]bool{}
				for total, n := 1, 1; (n-1)*size < total; n++ {
					var page weidianOrderPage
					param := map[string]any{"page_num": n, "page_size": strconv.Itoa(size)}
					maps.Copy(param, window)
					c.ok("vdian.order.list.get", version, param, &page)
					for _, order := range page.Orders {
						got[order.OrderID] = true
						if order.BuyerInfo.BuyerID != nil {
							t.Fatal("the list names the buyer")
						}
					}
					if total = page.TotalNum; page.OrderNum != len(page.Orders) {
						t.Fatalf("order_num = %d of %d", page.OrderNum, len(page.Orders))
					}
				}
				if len(got) != counts.Orders {
					t.Errorf("seed %d, %s, %v: %d orders, want %d", seed, version, window, len(got), counts.Orders)
				}
				if version != "1.5" {
					continue
				}
				for number := range got {
					var detail weidianOrderDetail
					c.ok("vdian.order.get", "1.0", map[string]any{"order_id": number}, &detail)
					users[*detail.BuyerInfo.BuyerID] = true
				}
				if len(users) != counts.Users {
					t.Errorf("seed %d: %d buyers, want %d", seed, len(users), counts.Users)
				}
			}
		}
		refunds := map[string]bool{}
		for n := 0; n*4 < counts.Refunds; n++ {
			var page weidianRefundPage
			c.ok("open.SellerQueryRefundList", "2.0", map[string]any{"pageNum": n, "pageSize": 4}, &page)
			for _, refund := range page.List {
				refunds[refund.RefundNo] = true
			}
			if page.Total != counts.Refunds {
				t.Fatalf("seed %d: total = %d, want %d", seed, page.Total, counts.Refunds)
			}
		}
		if len(refunds) != counts.Refunds {
			t.Errorf("seed %d: %d refunds, want %d", seed, len(refunds), counts.Refunds)
		}
		ids := 0
		for day := world.Config().From.In(weidianZone); !day.After(world.Config().Until.Add(24 * time.Hour)); day = day.AddDate(0, 0, 1) {
			var page struct {
				Total int `json:"total_num"`
			}
			c.ok("vdian.order.ids.get", "1.1", map[string]any{"order_date": day.Format(time.DateOnly)}, &page)
			ids += page.Total
		}
		if ids != counts.Orders {
			t.Errorf("seed %d: the days have %d orders, want %d", seed, ids, counts.Orders)
		}
	}
}

// Unfinished group purchases are shown to who asks for them alone.
func TestWeidianGroupBuys(t *testing.T) {
	t.Parallel()
	world := faceWorld(t, 300, 9)
	c := newWeidianClient(t, world, WeidianOptions{GroupBuys: true})
	all := world.Counts()[PlatformWeidian].Orders
	for _, version := range []string{"1.2", "1.5"} {
		for group, whole := range map[any]bool{0: true, "0": true, 1: false, nil: false} {
			param := weidianWindow(world, "update_start", "update_end")
			if group != nil {
				param["group_type"] = group
			}
			var page weidianOrderPage
			c.ok("vdian.order.list.get", version, param, &page)
			if (page.TotalNum == all) != whole || page.TotalNum == 0 {
				t.Errorf("%s, group_type %v: %d orders of %d", version, group, page.TotalNum, all)
			}
		}
	}
}

func TestWeidianFilters(t *testing.T) {
	t.Parallel()
	world := faceWorld(t, 300, 9)
	c := newWeidianClient(t, world, WeidianOptions{})
	total := func(version string, more map[string]any) int {
		param := weidianWindow(world, "update_start", "update_end")
		maps.Copy(param, more)
		var page weidianOrderPage
		c.ok("vdian.order.list.get", version, param, &page)
		return page.TotalNum
	}
	all := 0
	for _, kind := range []string{"unpay", "unship", "shiped", "refunding", "finish", "close"} { //nolint:misspell // the platform's
		n := total("1.5", map[string]any{"order_type": kind})
		if n == 0 && kind != "unpay" { // few stay unpaid at any moment
			t.Errorf("no order of the type %s", kind)
		}
		all += n
	}
	if want := total("1.5", map[string]any{"order_type": "all"}); all != want || want != world.Counts()[PlatformWeidian].Orders {
		t.Errorf("the types together have %d orders, all has %d", all, want)
	}
	if got := total("1.5", map[string]any{"order_biz_type": 14}); got != 0 {
		t.Errorf("%d cross-border orders", got)
	}
	for name, tc := range map[string]struct {
		version string
		more    map[string]any
		want    int
	}{
		"ordinary kind":          {"1.5", map[string]any{"order_biz_type": 0}, all},
		"with group-buys":        {"1.5", map[string]any{"group_type": 0}, all},
		"without group-buys":     {"1.5", map[string]any{"group_type": "1"}, all},
		"of suppliers":           {"1.2", map[string]any{"is_wei_order": 1}, 0},
		"of no suppliers":        {"1.2", map[string]any{"is_wei_order": 2}, all},
		"of suppliers, finished": {"1.2", map[string]any{"is_wei_order": 1, "order_type": "finish"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if got := total(tc.version, tc.more); got != tc.want {
				t.Errorf("%d orders, want %d", got, tc.want)
			}
		})
	}
	var ids struct {
		Total int `json:"total_num"`
	}
	for of, some := range map[int]bool{0: true, 1: false, 2: true} {
		c.ok("vdian.order.ids.get", "1.1", map[string]any{"order_date": "2025-12-31", "isweicenter": of}, &ids)
		if ids.Total > 0 != some {
			t.Errorf("%d numbers with isweicenter %d", ids.Total, of)
		}
	}
	var page weidianOrderPage
	c.ok("vdian.order.list.get", "1.5", map[string]any{}, &page)
	want := len(world.OrderKeys(PlatformWeidian, ByCreated, c.clock.Now().Add(-31*24*time.Hour), faceUntil))
	if page.TotalNum != want || want == all {
		t.Errorf("without times %d orders, want the %d of 31 days", page.TotalNum, want)
	}
	var refunds weidianRefundPage
	c.ok("open.SellerQueryRefundList", "2.0", map[string]any{}, &refunds)
	known, some := refunds.Total, refunds.List[0]
	sum := 0
	for _, status := range []int{1, 3, 4, 5, 6, 9, 10} {
		c.ok("open.SellerQueryRefundList", "2.0", map[string]any{"statusList": []int{status}}, &refunds)
		sum += refunds.Total
	}
	if sum != known {
		t.Errorf("the statuses together have %d refunds, want %d", sum, known)
	}
	c.ok("open.SellerQueryRefundList", "2.0", map[string]any{"orderIdList": []string{some.OrderID}}, &refunds)
	if refunds.Total != 1 || refunds.List[0].RefundNo != some.RefundNo {
		t.Errorf("by order: %+v", refunds)
	}
	at := weidianTime(time.UnixMilli(some.UpdateTime))
	c.ok("open.SellerQueryRefundList", "2.0", map[string]any{"updateTimeStart": at, "updateTimeEnd": at}, &refunds)
	if refunds.Total < 1 || refunds.List[0].UpdateTime != some.UpdateTime {
		t.Errorf("by its second: %+v", refunds)
	}
}

// The goods are those of the orders, and pages together hold each once.
func TestWeidianItems(t *testing.T) {
	t.Parallel()
	world := faceWorld(t, 100, 12)
	c := newWeidianClient(t, world, WeidianOptions{})
	type answer struct {
		Items []struct {
			ID    string `json:"itemid"`
			Name  string `json:"item_name"`
			Price string `json:"price"`
			Stock int    `json:"stock"`
			SKUs  []any  `json:"skus"`
		} `json:"items"`
		Shown int `json:"item_num"`
		Total int `json:"total_num"`
	}
	names := map[string]string{}
	for page := 1; page <= 3; page++ {
		var got answer
		c.ok("vdian.item.list.get", "1.1", map[string]any{"page_num": page, "page_size": 3}, &got)
		if got.Total != len(goods) || got.Shown != len(got.Items) || got.Shown != min(3, len(goods)-3*(page-1)) {
			t.Fatalf("page %d: %d of %d", page, got.Shown, got.Total)
		}
		for _, item := range got.Items {
			names[item.ID] = item.Name
			if item.Price == "" || item.Stock == 0 || len(item.SKUs) == 0 {
				t.Errorf("%+v", item)
			}
		}
	}
	if len(names) != len(goods) {
		t.Errorf("%d goods, want %d", len(names), len(goods))
	}
	for index := range 20 {
		if o, ok := world.OrderAt(PlatformWeidian, index); ok && names[strconv.FormatInt(o.Items[0].Product, 10)] != o.Items[0].Title {
			t.Errorf("order %d has %+v", index, o.Items[0])
		}
	}
	began := world.Config().From
	for name, tc := range map[string]struct {
		param map[string]any
		want  int
	}{
		"no filter":     {map[string]any{}, len(goods)},
		"on sale":       {map[string]any{"status": 1}, len(goods)},
		"off sale":      {map[string]any{"status": 2}, 0},
		"both":          {map[string]any{"status": "4"}, len(goods)},
		"a supplier's":  {map[string]any{"status": 10}, 0},
		"changed since": {map[string]any{"update_start": weidianTime(began.Add(time.Second))}, 0},
		"changed until": {map[string]any{"update_end": weidianTime(began)}, len(goods)},
		"past the last": {map[string]any{"page_num": 400}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var got answer
			if c.ok("vdian.item.list.get", "1.1", tc.param, &got); len(got.Items) != tc.want {
				t.Errorf("%d items, want %d", len(got.Items), tc.want)
			}
		})
	}
}

// Detail 1.0 is in clear, 2.0 encrypts the personal fields and nothing else,
// and open.secret.list has the key.
func TestWeidianSealedDetail(t *testing.T) {
	t.Parallel()
	world := faceWorld(t, 100, 12)
	c := newWeidianClient(t, world, WeidianOptions{})
	token := c.token
	var keys []struct {
		AESKey string `json:"aesKey"`
	}
	c.token = ""
	c.ok("open.secret.list", "1.0", map[string]any{"app_key": c.app.AppKey, "secret": c.app.AppSecret}, &keys)
	c.token = token
	aesKey := keys[0].AESKey
	for _, key := range world.OrderKeys(PlatformWeidian, ByCreated, world.Config().From, world.Config().Until) {
		order, _ := world.OrderAt(PlatformWeidian, key.Index)
		var plain, sealed weidianOrderDetail
		c.ok("vdian.order.get", "1.0", map[string]any{"order_id": order.Number}, &plain)
		c.ok("vdian.order.get", "2.0", map[string]any{"order_id": order.Number}, &sealed)
		if plain.UserPhone != order.Account.Phone || plain.BuyerInfo.Phone != order.Receiver.Phone ||
			*plain.BuyerInfo.BuyerID != order.Account.ID || plain.Total != yuan(order.Amount) {
			t.Fatalf("detail of %s does not show the world's order", order.Number)
		}
		b := &sealed.BuyerInfo
		for _, text := range []*string{&sealed.SellerName, &sealed.UserPhone, &sealed.Weixin, &b.Name, &b.Phone, &b.Address, &b.SelfAddress, b.IDCardNo} {
			*text = openWeidian(t, aesKey, *text)
		}
		if got, want := jsonText(sealed), jsonText(plain); got != want {
			t.Fatalf("opened 2.0 differs from 1.0:\n%s\n%s", got, want)
		}
		if order.Refund == nil {
			continue
		}
		var first, second struct {
			Info weidianRefund `json:"refundBasicInfo"`
		}
		c.ok("open.sellerQueryRefundDetail", "1.0", map[string]any{"refundNo": order.Refund.Number}, &first)
		c.ok("open.sellerQueryRefundDetail", "2.0", map[string]any{"refundNo": order.Refund.Number}, &second)
		if openWeidian(t, aesKey, second.Info.BuyerTelephone) != first.Info.BuyerTelephone || first.Info.OrderID != order.Number ||
			first.Info.RefundFee != yuan(order.Refund.Amount) || plain.Items[0].RefundInfo.RefundNo != order.Refund.Number {
			t.Fatalf("refund of %s does not show the world's refund", order.Number)
		}
	}
}

// An order that changes now is what the next window shows.
func TestWeidianShowsAChange(t *testing.T) {
	t.Parallel()
	world := faceWorld(t, 100, 2)
	c := newWeidianClient(t, world, WeidianOptions{})
	since := map[string]any{"update_start": weidianTime(faceUntil.Add(time.Second)), "group_type": 0}
	var page weidianOrderPage
	c.ok("vdian.order.list.get", "1.5", since, &page)
	if page.TotalNum != 0 {
		t.Fatalf("%d orders changed after the data's end", page.TotalNum)
	}
	order, err := world.Change(PlatformWeidian, "", c.clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	c.ok("vdian.order.list.get", "1.5", since, &page)
	if page.TotalNum != 1 || page.Orders[0].OrderID != order.Number || page.Orders[0].UpdateTime != weidianTime(c.clock.Now()) {
		t.Errorf("after the change: %+v, want %s", page, order.Number)
	}
	var detail weidianOrderDetail
	c.ok("vdian.order.get", "1.0", map[string]any{"order_id": order.Number}, &detail)
	if want := weidianStateOf(order); detail.StatusOri != want.ori || detail.Status != want.status {
		t.Errorf("its detail says %s, want %s", detail.Status, want.status)
	}
}

// A phone, a unionid and a card find a buyer who bears them.
func TestWeidianBuyers(t *testing.T) {
	t.Parallel()
	world := faceWorld(t, 400, 13)
	c := newWeidianClient(t, world, WeidianOptions{})
	find := func(param map[string]any) (Account, bool) {
		var answer struct {
			BuyerID int64 `json:"buyerId"`
		}
		c.ok("vdian.crm.queryBuyerInfo", "1.0", param, &answer)
		return world.AccountByID(PlatformWeidian, fmt.Sprint(answer.BuyerID))
	}
	for account := range world.Accounts(PlatformWeidian) {
		if got, ok := find(map[string]any{"telephone": account.Phone}); !ok || got.Phone != account.Phone {
			t.Errorf("by phone: %s for %s", got.ID, account.ID)
		}
		if got, ok := find(map[string]any{"unionId": account.UnionID}); !ok || got.UnionID != account.UnionID {
			t.Errorf("by unionid: %s for %s", got.ID, account.ID)
		}
		if account.MemberCard == "" {
			continue
		}
		if got, ok := find(map[string]any{"cardCode": account.MemberCard}); !ok || got.MemberCard != account.MemberCard {
			t.Errorf("by card: %s for %s", got.ID, account.ID)
		}
	}
	for _, nobody := range []map[string]any{{"telephone": "13800001111"}, {"telephone": "1"}, {"unionId": "oUzz"}, {"unionId": "oU0123456789ab"}, {"cardCode": "VIP0123456789ab"}} {
		if got, ok := find(nobody); ok {
			t.Errorf("%v found %s", nobody, got.ID)
		}
	}
	var info map[string]any
	c.ok("vdian.crm.queryCustomerInfo", "2.0", map[string]any{"buyerId": weidianBuyerBase}, &info)
	if account, ok := world.AccountByID(PlatformWeidian, strconv.Itoa(weidianBuyerBase)); ok {
		if got := openWeidian(t, c.face.(*weidian).aesKey, info["telephone"].(string)); got != account.Phone {
			t.Error("queryCustomerInfo gives another phone")
		}
	}
}

func FuzzWeidianParams(f *testing.F) {
	world := faceWorld(f, 20, 1)
	face := Weidian(world, WeidianOptions{Now: func() time.Time { return faceUntil }})
	token := weidianCredentials(world).AccessToken
	f.Add("vdian.order.list.get", "1.5", `{"page_num":1,"update_start":"2025-12-31 00:00:00"}`)
	f.Add("open.SellerQueryRefundList", "2.0", `{"pageNum":9223372036854775807,"pageSize":"50"}`)
	f.Add("vdian.order.ids.get", "1.1", `{"order_date":"0001-01-01"}`)
	f.Fuzz(func(t *testing.T, method, version, param string) {
		c := &weidianClient{t: t, face: face}
		w := c.send(weidianJSON(map[string]any{"method": method, "version": version, "access_token": token}), param)
		c.envelope(w)
	})
}

func FuzzDouyinParams(f *testing.F) {
	world := faceWorld(f, 20, 1)
	d, ok := Douyin(world, DouyinOptions{Now: func() time.Time { return faceUntil }}).(*douyin)
	if !ok {
		f.Fatal("Douyin is of another type")
	}
	f.Add("order.searchList", `{"page":9223372036854775807,"size":100,"update_time_start":1}`)
	f.Add("afterSale.List", `{"page":9223372036854775807,"size":100,"end_time":-9223372036854775808}`)
	f.Add("order.getServiceList", `{"page":9223372036854775807,"size":100,"start_time":1,"end_time":2}`)
	f.Add("order.batchDecrypt", `{"cipher_infos":[{"auth_id":null,"cipher_text":"$$*$1$$"}]}`)
	f.Add("member.mGetMemberInfoByOpenIdList", `{"app_id":1,"open_id_list":["1@#ffffffffffff",[]]}`)
	f.Fuzz(func(_ *testing.T, method, text string) {
		params, fault := d.params(text)
		serve := d.methods[method]
		if fault == nil && serve != nil {
			_, _ = serve(params)
		}
	})
}

// Both faces are asked at once while orders change; the race detector looks on.
func TestFacesAtOnce(t *testing.T) {
	t.Parallel()
	world := faceWorld(t, 100, 1)
	douyin := newDouyinClient(t, world, DouyinOptions{PerSecond: 1000}).signIn()
	weidian := newWeidianClient(t, world, WeidianOptions{})
	var all sync.WaitGroup
	for i := range 6 {
		all.Go(func() {
			for range 10 {
				switch i % 3 {
				case 0:
					var page douyinOrderPage
					if got := douyin.call("order.searchList", window(world, "create_time_start", "create_time_end")); json.Unmarshal(got.Data, &page) != nil || len(page.Orders) == 0 {
						t.Errorf("searchList = %d %s", got.Code, got.SubCode)
					}
				case 1:
					if got := weidian.call("vdian.order.list.get", "1.5", map[string]any{}).Status; got.Code != 0 {
						t.Errorf("list = %d %s", got.Code, got.Reason)
					}
				default:
					_, _ = world.Change(Platforms[1+i/3], "", faceUntil.Add(time.Minute)) // it may have none left
				}
			}
		})
	}
	all.Wait()
}
