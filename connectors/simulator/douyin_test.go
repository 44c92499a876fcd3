package simulator

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var faceUntil = time.Date(2026, 1, 1, 4, 0, 0, 0, time.UTC)

// A faceClock is a clock that a test moves.
type faceClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *faceClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *faceClock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func faceWorld(t testing.TB, people int, seed uint64) *World {
	t.Helper()
	w, err := New(Config{People: people, Seed: seed, Until: faceUntil})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// douyinClient signs and sends as a client of the platform.
type douyinClient struct {
	t       testing.TB
	face    http.Handler
	app     douyinApp
	clock   *faceClock
	access  string
	refresh string
	change  func(*http.Request, url.Values) // spoils a request before it is sent
	header  string                          // x-open-no-old-err-code
	hmac    bool
	inQuery bool
	asText  bool // timestamp
	asGet   bool
}

func newDouyinClient(t testing.TB, w *World, opts DouyinOptions) *douyinClient {
	t.Helper()
	clock := &faceClock{now: faceUntil.Add(time.Minute)}
	opts.Now = clock.Now
	return &douyinClient{t: t, face: Douyin(w, opts), app: douyinCredentials(w), clock: clock, header: "1"}
}

type douyinEnvelope struct {
	Code    int             `json:"code"`
	SubCode string          `json:"sub_code"`
	SubMsg  string          `json:"sub_msg"`
	ErrNo   *int            `json:"err_no"`
	Message *string         `json:"message"`
	LogID   string          `json:"log_id"`
	Data    json.RawMessage `json:"data"`
}

func (c *douyinClient) call(method string, params any) douyinEnvelope {
	c.t.Helper()
	text := douyinCanonical(params)
	if s, ok := params.(string); ok {
		text = s
	}
	timestamp := strconv.FormatInt(c.clock.Now().Unix(), 10)
	if c.asText {
		timestamp = c.clock.Now().In(douyinZone).Format(time.DateTime)
	}
	query := url.Values{"app_key": {c.app.AppKey}, "method": {method}, "timestamp": {timestamp}, "v": {"2"},
		"access_token": {c.access}, "unknown": {"ignored"}}
	signMethod := "md5"
	if c.hmac {
		signMethod = "hmac-sha256"
		query.Set("sign_method", signMethod)
	}
	sign, _ := douyinSign(signMethod, c.app.AppSecret, c.app.AppKey, method, text, timestamp, "2")
	query.Set("sign", sign)
	verb, body := http.MethodPost, text
	if c.asGet {
		verb = http.MethodGet
	}
	if c.inQuery || c.asGet {
		query.Set("param_json", text)
		body = ""
	}
	r := httptest.NewRequestWithContext(c.t.Context(), verb, "/"+strings.ReplaceAll(method, ".", "/"), strings.NewReader(body))
	r.Header.Set("Content-Type", "Content-Type: application/json")
	if c.header != "" {
		r.Header.Set("x-open-no-old-err-code", c.header)
	}
	if c.change != nil {
		c.change(r, query)
	}
	r.URL.RawQuery = query.Encode()
	w := httptest.NewRecorder()
	c.face.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		c.t.Fatalf("%s answered HTTP %d", method, w.Code)
	}
	var envelope douyinEnvelope
	if err := json.Unmarshal(w.Body.Bytes(), &envelope); err != nil {
		c.t.Fatalf("%s answered %s: %v", method, w.Body, err)
	}
	return envelope
}

// ok calls and wants success; into takes the data.
func (c *douyinClient) ok(method string, params, into any) {
	c.t.Helper()
	envelope := c.call(method, params)
	if envelope.Code != 10000 || envelope.SubCode != "" {
		c.t.Fatalf("%s(%v) = %d %s %s, want success", method, params, envelope.Code, envelope.SubCode, envelope.SubMsg)
	}
	if err := json.Unmarshal(envelope.Data, into); err != nil {
		c.t.Fatalf("%s answered data %s: %v", method, envelope.Data, err)
	}
}

// fault calls and gives "code sub_code".
func (c *douyinClient) fault(method string, params any) string {
	c.t.Helper()
	envelope := c.call(method, params)
	return fmt.Sprintf("%d %s", envelope.Code, envelope.SubCode)
}

type douyinTokenAnswer struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	ExpiresIn    int64  `json:"expires_in"`
	ShopID       int64  `json:"shop_id"`
}

func (c *douyinClient) signIn() *douyinClient {
	c.t.Helper()
	c.keep(c.create())
	return c
}

func (c *douyinClient) create() douyinTokenAnswer {
	c.t.Helper()
	var answer douyinTokenAnswer
	c.ok("token.create", map[string]any{"code": "", "grant_type": "authorization_self",
		"shop_id": strconv.FormatInt(c.app.ShopID, 10)}, &answer)
	return answer
}

func (c *douyinClient) keep(answer douyinTokenAnswer) {
	c.access, c.refresh = answer.AccessToken, answer.RefreshToken
}

func TestDouyinEveryEncoding(t *testing.T) {
	t.Parallel()
	world := faceWorld(t, 100, 1)
	for _, hmac := range []bool{false, true} {
		for _, asText := range []bool{false, true} {
			for place, set := range map[string]func(*douyinClient){
				"body": func(*douyinClient) {}, "query of a POST": func(c *douyinClient) { c.inQuery = true },
				"GET": func(c *douyinClient) { c.asGet = true },
			} {
				t.Run(fmt.Sprintf("hmac %v, time as text %v, %s", hmac, asText, place), func(t *testing.T) {
					c := newDouyinClient(t, world, DouyinOptions{})
					c.hmac, c.asText = hmac, asText
					set(c)
					c.signIn()
					var page struct{ Total int }
					c.ok("order.searchList", map[string]any{"page": "0", "size": "10", "update_time_start": world.Config().From.Unix()}, &page)
					if want := world.Counts()[PlatformDouyin].Orders; page.Total != want {
						t.Errorf("total = %d, want %d", page.Total, want)
					}
				})
			}
		}
	}
}

// A text that the sender escaped is signed as it was sent; strict refuses it.
func TestDouyinSignsWhatItGets(t *testing.T) {
	t.Parallel()
	world := faceWorld(t, 20, 1)
	escaped := `{"grant_type":"authorization_self", "code":"\u6c49"}`
	if got := newDouyinClient(t, world, DouyinOptions{}).fault("token.create", escaped); got != "10000 " {
		t.Errorf("escaped text = %s, want success", got)
	}
	strict := newDouyinClient(t, world, DouyinOptions{Strict: true})
	if got, want := strict.fault("token.create", escaped), "40003 isv.parameter-format-invalid"; got != want {
		t.Errorf("escaped text, strict = %s, want %s", got, want)
	}
	if got := strict.fault("token.create", `{"code":"","grant_type":"authorization_self"}`); got != "10000 " {
		t.Errorf("canonical text, strict = %s, want success", got)
	}
}

func TestDouyinEnvelopes(t *testing.T) {
	t.Parallel()
	c := newDouyinClient(t, faceWorld(t, 20, 1), DouyinOptions{}).signIn()
	params := map[string]any{"auth_id": strconv.FormatInt(c.app.ShopID, 10)}
	if answer := c.call("open.getAuthInfo", params); answer.ErrNo != nil || answer.Message != nil || answer.LogID == "" {
		t.Errorf("with the header: %+v, want the new pair alone", answer)
	}
	c.header = ""
	if answer := c.call("open.getAuthInfo", params); answer.ErrNo == nil || *answer.ErrNo != 0 || *answer.Message != "success" || answer.Code != 10000 {
		t.Errorf("without the header: %+v, want both pairs", answer)
	}
	c.access = "nobody's"
	if answer := c.call("open.getAuthInfo", params); answer.ErrNo == nil || *answer.ErrNo != 40003 || string(answer.Data) != "null" {
		t.Errorf("a failure without the header: %+v, want both pairs", answer)
	}
}

func TestDouyinRefusals(t *testing.T) {
	t.Parallel()
	world := faceWorld(t, 100, 3)
	from := world.Config().From.Unix()
	search := func(more map[string]any) map[string]any {
		params := map[string]any{"page": 0, "size": 10, "update_time_start": from}
		maps.Copy(params, more)
		return params
	}
	set := func(name, value string) func(*http.Request, url.Values) {
		return func(_ *http.Request, q url.Values) { q.Set(name, value) }
	}
	var order Order
	for index := range world.OrderCount(PlatformDouyin) {
		if o, ok := world.OrderAt(PlatformDouyin, index); ok {
			order = o
			break
		}
	}
	seconds := func(d time.Duration) string { return strconv.FormatInt(faceUntil.Add(time.Minute+d).Unix(), 10) }
	for name, c := range map[string]struct {
		opts   DouyinOptions
		change func(*http.Request, url.Values)
		method string
		params any
		want   string
	}{
		"no app_key":             {change: set("app_key", ""), want: "40001 isv.app-id-missing"},
		"no sign":                {change: set("sign", ""), want: "40001 isv.signature-missing"},
		"no timestamp":           {change: set("timestamp", ""), want: "40001 isv.parameter-missing"},
		"no method":              {change: set("method", ""), want: "40001 isv.parameter-missing"},
		"no token":               {change: set("access_token", ""), want: "40001 isv.access-token-missing"},
		"another app":            {change: set("app_key", vectorKey), want: "40003 isv.app-id-invalid"},
		"wrong sign":             {change: set("sign", strings.Repeat("0", 32)), want: "40003 isv.signature-invalid"},
		"upper-case sign":        {change: func(_ *http.Request, q url.Values) { q.Set("sign", strings.ToUpper(q.Get("sign"))) }, want: "40003 isv.signature-invalid"},
		"unknown sign method":    {change: set("sign_method", "sha1"), want: "40003 isv.parameter-invalid"},
		"sign of another method": {change: set("sign_method", "hmac-sha256"), want: "40003 isv.signature-invalid"},
		"changed parameters":     {change: func(r *http.Request, _ url.Values) { r.Body = io.NopCloser(strings.NewReader("{}")) }, want: "40003 isv.signature-invalid"},
		"version 1":              {change: set("v", "1"), want: "40003 isv.parameter-invalid"},
		"timestamp of words":     {change: set("timestamp", "today"), want: "40003 isv.timestamp-format-error"},
		"eleven minutes old":     {change: set("timestamp", seconds(-11*time.Minute)), want: "40003 isv.timestamp-invalid"},
		"eleven minutes ahead":   {change: set("timestamp", seconds(11*time.Minute)), want: "40003 isv.timestamp-invalid"},
		"another path":           {change: func(r *http.Request, _ url.Values) { r.URL.Path = "/order/orderDetail" }, want: "40003 isv.parameter-invalid"},
		"unknown token":          {change: set("access_token", "0"), want: "40003 isv.access-token-no-existed"},
		"unknown method":         {method: "order.unheardOf", want: "70000 isp.api-service-off"},
		"wrong case":             {method: "aftersale.list", want: "70000 isp.api-service-off"},
		"not JSON":               {params: "{", want: "40003 isv.parameter-format-invalid"},
		"no object":              {params: "[]", want: "40003 isv.parameter-format-invalid"},
		"two objects":            {params: "{}{}", want: "40003 isv.parameter-format-invalid"},
		"no permission":          {opts: DouyinOptions{Denied: []string{"order.searchList"}}, params: search(nil), want: "30001 isv.app-permissions-insufficient"},
		"busy":                   {opts: DouyinOptions{BusyEvery: 1}, params: search(nil), want: "20000 isp.service-error:20004"},

		"search: page missing":      {params: map[string]any{"size": 1, "update_time_start": from}, want: "40002 isv.missing-parameter:20001"},
		"search: size 101":          {params: search(map[string]any{"size": 101}), want: "40004 isv.parameter-invalid:20008"},
		"search: size 0":            {params: search(map[string]any{"size": 0}), want: "40004 isv.parameter-invalid:20008"},
		"search: page -1":           {params: search(map[string]any{"page": -1}), want: "40004 isv.parameter-invalid:10035"},
		"search: no start":          {params: search(map[string]any{"update_time_start": nil}), want: "40004 isv.parameter-invalid:20011"},
		"search: two groups":        {params: search(map[string]any{"combine_status": []any{map[string]any{"order_status": "2"}, map[string]any{"order_status": "3"}}}), want: "40004 isv.parameter-invalid:20012"},
		"search: row 50,001":        {params: search(map[string]any{"page": 500, "size": 100}), want: "40004 isv.parameter-invalid:20013"},
		"search: up to row 50,000":  {params: search(map[string]any{"page": 499, "size": 100}), want: "10000 "},
		"search: 90 days and more":  {params: search(map[string]any{"create_time_start": faceUntil.Add(time.Minute-douyinHistory).Unix() - 1}), want: "40004 isv.parameter-invalid:20022"},
		"search: 90 days":           {params: search(map[string]any{"create_time_start": faceUntil.Add(time.Minute - douyinHistory).Unix()}), want: "10000 "},
		"detail: no number":         {method: "order.orderDetail", params: map[string]any{}, want: "40002 isv.missing-parameter:20000"},
		"detail: no digits":         {method: "order.orderDetail", params: map[string]any{"shop_order_id": "x"}, want: "40004 isv.parameter-invalid:20001"},
		"detail: unknown":           {method: "order.orderDetail", params: map[string]any{"shop_order_id": "1"}, want: "40004 isv.parameter-invalid:20014"},
		"after-sales: size 101":     {method: "afterSale.List", params: map[string]any{"page": 0, "size": 101}, want: "40004 isv.parameter-invalid:11000"},
		"after-sales: no page":      {method: "afterSale.List", params: map[string]any{"size": 1}, want: "40004 isv.parameter-invalid:11000"},
		"after-sales: row 50,001":   {method: "afterSale.List", params: map[string]any{"page": 501, "size": 100}, want: "40004 isv.parameter-invalid:11000"},
		"after-sales: order_by":     {method: "afterSale.List", params: map[string]any{"page": 0, "size": 1, "order_by": []string{"update_time"}}, want: "40004 isv.parameter-invalid:11000"},
		"after-sale unknown":        {method: "afterSale.Detail", params: map[string]any{"after_sale_id": "1"}, want: "40004 isv.parameter-invalid:11003"},
		"services: no times":        {method: "order.getServiceList", params: map[string]any{"page": 1}, want: "50002 isv.business-failed:10002"},
		"services: empty window":    {method: "order.getServiceList", params: map[string]any{"start_time": from, "end_time": from}, want: "50002 isv.business-failed:10002"},
		"services: page 0":          {method: "order.getServiceList", params: map[string]any{"start_time": from, "end_time": from + 1, "page": 0}, want: "40004 isv.parameter-invalid:10001"},
		"members: closed":           {opts: DouyinOptions{NoMembership: true}, method: "member.mGetMemberInfoByOpenIdList", params: map[string]any{"app_id": 1, "open_id_list": []string{"a"}}, want: "50002 isv.business-failed:628145002"},
		"members: no app_id":        {method: "member.mGetMemberInfoByOpenIdList", params: map[string]any{"open_id_list": []string{"a"}}, want: "40002 isv.missing-parameter"},
		"members: eleven":           {method: "member.mGetMemberInfoByOpenIdList", params: map[string]any{"app_id": 1, "open_id_list": slices.Repeat([]string{"a"}, 11)}, want: "40004 isv.parameter-invalid"},
		"decrypt: fifty-one":        {method: "order.batchDecrypt", params: map[string]any{"cipher_infos": slices.Repeat([]any{map[string]any{"auth_id": order.Number, "cipher_text": "x"}}, 51)}, want: "40004 isv.parameter-invalid"},
		"decrypt: another's text":   {method: "order.batchDecrypt", params: map[string]any{"cipher_infos": []any{map[string]any{"auth_id": order.Number, "cipher_text": "$$x*y$1$$"}}}, want: "50002 isv.business-failed:300008"},
		"index: unknown kind":       {method: "order.BatchSearchIndex", params: map[string]any{"plain_text_list": []any{map[string]any{"plain_text": "x", "encrypt_type": 9}}}, want: "40004 isv.parameter-invalid"},
		"token: unknown grant":      {method: "token.create", params: map[string]any{"grant_type": "x"}, want: "50001 dop.token-generate-failed:grant-type-invalid"},
		"token: another shop":       {method: "token.create", params: map[string]any{"grant_type": "authorization_self", "shop_id": 1}, want: "50001 dop.token-generate-failed:no-authorization"},
		"token: unknown code":       {method: "token.create", params: map[string]any{"grant_type": "authorization_code", "code": "x"}, want: "50001 dop.token-generate-failed:code-invalid"},
		"token: unknown refresh":    {method: "token.refresh", params: map[string]any{"grant_type": "refresh_token", "refresh_token": "x"}, want: "50001 dop.token-generate-failed:token-invalid"},
		"token: refresh as another": {method: "token.refresh", params: map[string]any{"grant_type": "authorization_self"}, want: "50001 dop.token-generate-failed:grant-type-invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			client := newDouyinClient(t, world, c.opts).signIn()
			client.change = c.change
			if c.method == "" {
				c.method = "order.searchList"
			}
			if c.params == nil {
				c.params = search(nil)
			}
			if got := client.fault(c.method, c.params); got != c.want {
				t.Errorf("%s(%v) = %s, want %s", c.method, c.params, got, c.want)
			}
		})
	}
}

func TestDouyinRate(t *testing.T) {
	t.Parallel()
	world := faceWorld(t, 20, 1)
	c := newDouyinClient(t, world, DouyinOptions{PerSecond: 2}).signIn()
	params := map[string]any{"page": 0, "size": 1, "update_time_start": world.Config().From.Unix()}
	var got []string
	for range 3 {
		got = append(got, c.fault("order.searchList", params))
	}
	c.clock.add(time.Second)
	got = append(got, c.fault("order.searchList", params))
	if d := cmp.Diff([]string{"10000 ", "10000 ", "60000 isv.traffic-limited", "10000 "}, got); d != "" {
		t.Error(d)
	}
}

func TestDouyinTokenLife(t *testing.T) {
	t.Parallel()
	refresh := func(c *douyinClient, token string) (douyinTokenAnswer, string) {
		envelope := c.call("token.refresh", map[string]any{"grant_type": "refresh_token", "refresh_token": token})
		var answer douyinTokenAnswer
		if err := json.Unmarshal(envelope.Data, &answer); err != nil {
			t.Fatal(err)
		}
		return answer, fmt.Sprintf("%d %s", envelope.Code, envelope.SubCode)
	}
	use := func(c *douyinClient, token string) string {
		c.access = token
		return c.fault("open.getAuthInfo", map[string]any{"auth_id": c.app.ShopID})
	}
	const ok, expired = "10000 ", "40003 isv.access-token-expired"
	want := func(t *testing.T, what, got, wanted string) {
		t.Helper()
		if got != wanted {
			t.Errorf("%s = %s, want %s", what, got, wanted)
		}
	}
	t.Run("created again: the same", func(t *testing.T) {
		c := newDouyinClient(t, faceWorld(t, 20, 1), DouyinOptions{})
		first := c.create()
		c.clock.add(time.Hour)
		second := c.create()
		if first.AccessToken != second.AccessToken || first.ExpiresIn != 604800 || second.ExpiresIn != 604800-3600 {
			t.Errorf("created %+v, then %+v", first, second)
		}
	})
	t.Run("refreshed early: the same, life unchanged", func(t *testing.T) {
		c := newDouyinClient(t, faceWorld(t, 20, 1), DouyinOptions{})
		first := c.create()
		c.clock.add(7*24*time.Hour - 2*time.Hour)
		second, _ := refresh(c, first.RefreshToken)
		if first.AccessToken != second.AccessToken || first.RefreshToken != second.RefreshToken || second.ExpiresIn != 7200 {
			t.Errorf("created %+v, then %+v", first, second)
		}
	})
	t.Run("refreshed in the last hour: a new pair, the old one for an hour", func(t *testing.T) {
		c := newDouyinClient(t, faceWorld(t, 20, 1), DouyinOptions{})
		first := c.create()
		c.clock.add(7*24*time.Hour - 30*time.Minute)
		second, _ := refresh(c, first.RefreshToken)
		if first.AccessToken == second.AccessToken || first.RefreshToken == second.RefreshToken || second.ExpiresIn != 604800 {
			t.Errorf("created %+v, then %+v", first, second)
		}
		c.clock.add(59 * time.Minute)
		want(t, "the old token within the hour", use(c, first.AccessToken), ok)
		repeated, code := refresh(c, first.RefreshToken)
		want(t, "a repeated refresh within the hour", code, ok)
		want(t, "its pair", repeated.AccessToken, second.AccessToken)
		c.clock.add(time.Minute)
		want(t, "the old token after the hour", use(c, first.AccessToken), expired)
		want(t, "the new token", use(c, second.AccessToken), ok)
		_, code = refresh(c, first.RefreshToken)
		want(t, "the old refresh token after the hour", code, "50002 isv.business-failed:31009")
	})
	t.Run("refreshed after the end: a new pair, the old one dead", func(t *testing.T) {
		c := newDouyinClient(t, faceWorld(t, 20, 1), DouyinOptions{})
		first := c.create()
		c.clock.add(7 * 24 * time.Hour)
		want(t, "the token at its end", use(c, first.AccessToken), expired)
		second, _ := refresh(c, first.RefreshToken)
		want(t, "the old token", use(c, first.AccessToken), expired)
		want(t, "the new token", use(c, second.AccessToken), ok)
	})
	t.Run("refresh token of two weeks", func(t *testing.T) {
		c := newDouyinClient(t, faceWorld(t, 20, 1), DouyinOptions{})
		first := c.create()
		c.clock.add(14 * 24 * time.Hour)
		_, code := refresh(c, first.RefreshToken)
		want(t, "refresh", code, "50001 dop.token-generate-failed:token-expired")
		if again := c.create(); again.AccessToken == first.AccessToken {
			t.Error("create gave the dead token")
		}
	})
	t.Run("two refreshes at once", func(t *testing.T) {
		tokens := newDouyinTokens("secret", DouyinOptions{Now: time.Now, RefreshTakes: time.Hour})
		pair := tokens.create()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); _, _ = tokens.refresh(ctx, pair.refresh) }()
		for tokens.refreshing.TryLock() { // until the other one holds it
			tokens.refreshing.Unlock()
			time.Sleep(time.Millisecond)
		}
		if _, fault := tokens.refresh(t.Context(), pair.refresh); fault == nil || fault.subCode != "isv.business-failed:31012" {
			t.Errorf("the second refresh = %v, want 31012", fault)
		}
		cancel()
		<-ended
	})
	t.Run("a code works once", func(t *testing.T) {
		c := newDouyinClient(t, faceWorld(t, 20, 1), DouyinOptions{AuthCode: "code-1"})
		params := map[string]any{"grant_type": "authorization_code", "code": "code-1"}
		want(t, "the first use", c.fault("token.create", params), ok)
		want(t, "the second use", c.fault("token.create", params), "50001 dop.token-generate-failed:code-invalid")
	})
	t.Run("the old address", func(t *testing.T) {
		c := newDouyinClient(t, faceWorld(t, 20, 1), DouyinOptions{})
		w := httptest.NewRecorder()
		c.face.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/oauth2/access_token?"+url.Values{
			"app_id": {c.app.AppKey}, "app_secret": {c.app.AppSecret}, "grant_type": {"authorization_self"}}.Encode(), nil))
		var answer struct {
			ErrNo *int `json:"err_no"`
			Data  douyinTokenAnswer
		}
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.ErrNo == nil || *answer.ErrNo != 0 {
			t.Fatalf("the old address answered %s", w.Body)
		}
		want(t, "its token", use(c, answer.Data.AccessToken), ok)
	})
}
