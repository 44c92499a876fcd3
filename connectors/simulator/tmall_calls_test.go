package simulator

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"maps"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// tmallToken is the token as both roads give it.
type tmallToken struct {
	Session   string `json:"access_token"`
	Refresh   string `json:"refresh_token"`
	ExpiresIn int    `json:"expires_in"`
	Expires   int64  `json:"expire_time"`
	Error     string `json:"error"`
}

// topToken asks a method of the gateway for a token.
func topToken(t *testing.T, face http.Handler, w *World, params map[string]string) (token tmallToken, refused string) {
	t.Helper()
	body := askTmall(t, face, w, params)
	var answer struct {
		Create, Refresh struct {
			Result string `json:"token_result"`
		}
	}
	named := strings.NewReplacer("top_auth_token_create_response", "Create", "top_auth_token_refresh_response", "Refresh").Replace(body)
	if err := json.Unmarshal([]byte(named), &answer); err != nil {
		t.Fatal(err, body)
	}
	result := answer.Create.Result + answer.Refresh.Result
	if result == "" {
		return token, body
	}
	if err := json.Unmarshal([]byte(result), &token); err != nil {
		t.Fatal(err, result)
	}
	return token, ""
}

// oauthToken asks /token, whose answer is bare JSON.
func oauthToken(t *testing.T, face http.Handler, form url.Values) tmallToken {
	t.Helper()
	rec := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, "/token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	face.ServeHTTP(rec, r)
	var token tmallToken
	if err := json.Unmarshal(rec.Body.Bytes(), &token); err != nil || rec.Code != http.StatusOK {
		t.Fatal(err, rec.Code, rec.Body)
	}
	return token
}

func TestTmallTokens(t *testing.T) {
	w := testWorld(t, 20, 4)
	c := TmallCredentialsOf(w)
	now := testUntil
	face := Tmall(w, TmallOptions{Now: func() time.Time { return now }, SessionExpires: testUntil.Add(time.Minute), AuthCode: "demo-code"})
	seller := func(session string) string {
		return askTmall(t, face, w, map[string]string{"method": "taobao.user.seller.get", "fields": "nick", "session": session,
			"timestamp": strconv.FormatInt(now.UnixMilli(), 10)})
	}
	if got := seller(c.Session); !strings.Contains(got, `"nick"`) {
		t.Fatalf("a session before its end: %s", got)
	}
	now = testUntil.Add(time.Minute)
	if got := seller(c.Session); !strings.Contains(got, `"sub_code":"session-expired"`) {
		t.Errorf("a session at its end: %s", got)
	}
	stamp := strconv.FormatInt(now.UnixMilli(), 10)
	method := func(name, key, value string) map[string]string {
		return map[string]string{"method": "taobao.top.auth.token." + name, key: value, "session": "", "timestamp": stamp}
	}
	created, refused := topToken(t, face, w, method("create", "code", "demo-code"))
	if refused != "" || created.Expires != now.Add(365*24*time.Hour).UnixMilli() || created.ExpiresIn != 365*86400 {
		t.Fatalf("create: %+v %s", created, refused)
	}
	if _, refused := topToken(t, face, w, method("create", "code", "demo-code")); !strings.Contains(refused, "isv.invalid-parameter:code") {
		t.Errorf("a code used twice: %s", refused)
	}
	if _, refused := topToken(t, face, w, method("refresh", "refresh_token", c.RefreshToken)); !strings.Contains(refused, "isv.invalid-parameter:refresh_token") {
		t.Errorf("a refresh token that was replaced: %s", refused)
	}
	refreshed, refused := topToken(t, face, w, method("refresh", "refresh_token", created.Refresh))
	if refused != "" || refreshed.Session == created.Session || refreshed.Session == "" {
		t.Fatalf("refresh: %+v %s", refreshed, refused)
	}
	if got := seller(created.Session); !strings.Contains(got, `"sub_code":"invalid-sessionkey"`) {
		t.Errorf("the session before the refresh: %s", got)
	}
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refreshed.Refresh}, "client_id": {c.AppKey}, "client_secret": {"wrong"}}
	if got := oauthToken(t, face, form); got.Error == "" || got.Session != "" {
		t.Errorf("/token with a wrong secret: %+v", got)
	}
	form.Set("client_secret", c.AppSecret)
	last := oauthToken(t, face, form)
	if got := seller(last.Session); !strings.Contains(got, `"nick"`) {
		t.Errorf("the session of /token: %s", got)
	}
	if got := oauthToken(t, face, form); got.Error == "" {
		t.Errorf("/token twice with one refresh token: %+v", got)
	}
	form = url.Values{"grant_type": {"authorization_code"}, "code": {""}, "client_id": {c.AppKey}, "client_secret": {c.AppSecret}}
	if got := oauthToken(t, face, form); got.Error == "" {
		t.Errorf("/token with an empty code: %+v", got)
	}
}

// Each method has its own limit, and the answer says how long the ban lasts.
func TestTmallRateLimit(t *testing.T) {
	w := testWorld(t, 20, 4)
	now := testUntil
	face := Tmall(w, TmallOptions{Now: func() time.Time { return now }, PerSecond: 2})
	ask := func(method string) string {
		return askTmall(t, face, w, map[string]string{"method": method, "fields": "nick"})
	}
	for range 2 {
		if got := ask("taobao.user.seller.get"); !strings.Contains(got, `"nick"`) {
			t.Fatalf("within the limit: %s", got)
		}
	}
	if got := ask("taobao.user.seller.get"); !strings.Contains(got, `"code":7,`) || !strings.Contains(got, "This ban will last for 1 more seconds") {
		t.Errorf("beyond the limit: %s", got)
	}
	if got := ask("taobao.time.get"); !strings.Contains(got, `"time"`) {
		t.Errorf("another method: %s", got)
	}
	now = now.Add(time.Second)
	if got := ask("taobao.user.seller.get"); !strings.Contains(got, `"nick"`) {
		t.Errorf("a second later: %s", got)
	}
}

// signedTmall are the parameters of a call, signed.
func signedTmall(w *World, params map[string]string) tmallParams {
	c := TmallCredentialsOf(w)
	p := tmallParams{"app_key": c.AppKey, "session": c.Session, "v": "2.0", "sign_method": "hmac-sha256", "format": "json",
		"timestamp": strconv.FormatInt(testUntil.UnixMilli(), 10)}
	maps.Copy(p, params)
	p["sign"] = tmallSign(c.AppSecret, p)
	return p
}

// The body of a form with files counts as well as any, and before the query.
func TestTmallMultipart(t *testing.T) {
	w := testWorld(t, 20, 4)
	face := Tmall(w, TmallOptions{Now: func() time.Time { return testUntil }})
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for name, value := range signedTmall(w, map[string]string{"method": "taobao.user.seller.get", "fields": "user_id,nick"}) {
		if err := form.WriteField(name, value); err != nil {
			t.Fatal(err)
		}
	}
	file, err := form.CreateFormFile("image", "demo.png") // bytes are not signed
	if err != nil {
		t.Fatal(err)
	}
	_, _ = file.Write([]byte{0, 1, 2})
	if err := form.Close(); err != nil {
		t.Fatal(err)
	}
	rec := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, "/router/rest?fields=another&method=taobao.time.get", &body)
	r.Header.Set("Content-Type", form.FormDataContentType())
	face.ServeHTTP(rec, r)
	if !strings.Contains(rec.Body.String(), w.Shop(PlatformTmall).Name) {
		t.Errorf("a form with a file: %s", rec.Body)
	}
	rec = httptest.NewRecorder()
	r = httptest.NewRequest(http.MethodPost, "/router/rest", strings.NewReader("--nowhere\r\n"))
	r.Header.Set("Content-Type", "multipart/form-data; boundary=another")
	face.ServeHTTP(rec, r)
	if rec.Code != http.StatusOK || !strings.Contains(rec.Body.String(), "<code>43</code>") {
		t.Errorf("a broken form: %d %s", rec.Code, rec.Body)
	}
}

type tmallRowXML struct {
	TID    string   `xml:"tid"`
	Status string   `xml:"status"`
	OIDs   []string `xml:"orders>order>oid"`
}

// The three ways to write an answer hold the same rows: wrapped, simplified
// and XML, each with the lists in its rows.
func TestTmallWritesOneAnswerThreeWays(t *testing.T) {
	w := testWorld(t, 200, 4)
	face := Tmall(w, TmallOptions{Now: func() time.Time { return testUntil }})
	ask := func(more map[string]string) []byte {
		p := map[string]string{"method": "taobao.trades.sold.get", "fields": "tid,status,orders.oid", "page_size": "20"}
		maps.Copy(p, more)
		return []byte(askTmall(t, face, w, p))
	}
	type row struct {
		TID    json.Number
		Status string
		Orders json.RawMessage
	}
	var wrapped struct {
		Root struct {
			Total  int `json:"total_results"`
			Trades struct{ Trade []row }
		} `json:"trades_sold_get_response"`
	}
	var simple struct {
		Total  int `json:"total_results"`
		Trades []row
	}
	var asXML struct {
		XMLName xml.Name      `xml:"trades_sold_get_response"`
		Total   int           `xml:"total_results"`
		Trades  []tmallRowXML `xml:"trades>trade"`
	}
	for _, err := range []error{json.Unmarshal(ask(nil), &wrapped), json.Unmarshal(ask(map[string]string{"simplify": "true"}), &simple),
		xml.Unmarshal(ask(map[string]string{"format": "xml"}), &asXML)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	type line struct{ OID json.Number }
	several := 0
	if n := wrapped.Root.Total; n != w.Counts()[PlatformTmall].Orders || n != simple.Total || n != asXML.Total || len(asXML.Trades) != 20 {
		t.Fatalf("totals %d, %d, %d; %d rows", n, simple.Total, asXML.Total, len(asXML.Trades))
	}
	for i, want := range asXML.Trades {
		var inner struct{ Order []line }
		var bare []line
		if err := json.Unmarshal(wrapped.Root.Trades.Trade[i].Orders, &inner); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(simple.Trades[i].Orders, &bare); err != nil {
			t.Fatal(err)
		}
		for _, got := range []struct {
			row   row
			lines []line
		}{{wrapped.Root.Trades.Trade[i], inner.Order}, {simple.Trades[i], bare}} {
			if got.row.TID.String() != want.TID || got.row.Status != want.Status || len(got.lines) != len(want.OIDs) || got.lines[0].OID.String() != want.OIDs[0] {
				t.Errorf("row %d: %+v, want %+v", i, got, want)
			}
		}
		if len(bare) > 1 {
			several++
		}
	}
	if several == 0 {
		t.Error("no order of several lines among them")
	}
	// Simplified or not, a refusal keeps its envelope.
	if got := ask(map[string]string{"simplify": "true", "page_size": "0"}); !bytes.Contains(got, []byte(`{"error_response":{`)) {
		t.Errorf("a simplified refusal: %s", got)
	}
	var refusal struct {
		XMLName xml.Name `xml:"error_response"`
		Code    int      `xml:"code"`
	}
	if err := xml.Unmarshal(ask(map[string]string{"format": "xml", "session": "<&>"}), &refusal); err != nil || refusal.Code != 27 {
		t.Errorf("a refusal in XML: %+v, %v", refusal, err)
	}
}

// What a buyer typed never breaks an answer.
func TestTmallEscapes(t *testing.T) {
	const typed = `<b>&"演示"]]>`
	for _, format := range []string{"json", "xml"} {
		rec := httptest.NewRecorder()
		writeTmall(rec, "demo_response", tmallTree{"memo": typed, "rows": tmallTree{"row": []any{tmallTree{"memo": typed}, tmallTree{"memo": typed}}}}, format, false)
		type row struct {
			Memo string `xml:"memo"`
		}
		type answer struct {
			Memo string `xml:"memo"`
			Rows struct {
				Row []row `xml:"row"`
			} `xml:"rows"`
		}
		var got answer
		var err error
		if format == "xml" {
			err = xml.Unmarshal(rec.Body.Bytes(), &got)
		} else {
			wrapped := map[string]answer{}
			err = json.Unmarshal(rec.Body.Bytes(), &wrapped)
			got = wrapped["demo_response"]
		}
		if err != nil || got.Memo != typed || len(got.Rows.Row) != 2 || got.Rows.Row[1].Memo != typed {
			t.Errorf("%s: %+v, %v", format, got, err)
		}
	}
}

// One receiver has one oaid in a week and another in the next, and two
// receivers never share one.
func TestTmallOaidLastsAWeek(t *testing.T) {
	w := testWorld(t, 400, 6)
	face := newTmall(w, TmallOptions{Now: func() time.Time { return testUntil }}, TmallCredentialsOf(w))
	o, ok := w.OrderAt(PlatformTmall, 3)
	if !ok {
		t.Fatal("no order")
	}
	monday := time.Date(2026, 5, 11, 0, 0, 0, 0, tmallZone)
	o.Created = monday
	first := face.oaid(o)
	for _, c := range []struct {
		name string
		at   time.Time
		same bool
	}{{"Sunday's last second", monday.Add(7*24*time.Hour - time.Second), true}, {"the next Monday", monday.Add(7 * 24 * time.Hour), false},
		{"the second before", monday.Add(-time.Second), false}, {"a year later", monday.AddDate(1, 0, 0), false}} {
		o.Created = c.at
		if got := face.oaid(o); (got == first) != c.same {
			t.Errorf("%s: %s beside %s", c.name, got, first)
		}
	}
	bearers := map[string]Receiver{}
	again := 0
	for index := range w.OrderCount(PlatformTmall) {
		o, ok := w.OrderAt(PlatformTmall, index)
		if !ok {
			continue
		}
		oaid := face.oaid(o)
		if r, ok := bearers[oaid]; ok {
			again++
			if r != o.Receiver {
				t.Fatalf("one oaid of two receivers, order %d", index)
			}
		}
		bearers[oaid] = o.Receiver
	}
	if again == 0 {
		t.Error("no receiver came twice in a week")
	}
	all := "tid,receiver_name,receiver_address,created,receiver_mobile,receiver_phone,oaid"
	for fields, want := range map[string]bool{all: true, strings.Replace(all, "receiver_phone,", "", 1): false, "oaid": false} {
		body := askTmall(t, face, w, map[string]string{"method": "taobao.trade.fullinfo.get", "tid": o.Number, "fields": fields})
		if strings.Contains(body, `"oaid"`) != want {
			t.Errorf("fields %s: %s", fields, body)
		}
	}
}

// Whatever the query, the body and its kind are, the gateway answers 200 with
// one JSON or XML document, and refuses what is not signed.
func FuzzTmallParams(f *testing.F) {
	w := testWorld(f, 20, 1)
	face := Tmall(w, TmallOptions{Now: func() time.Time { return testUntil }})
	const urlencoded = "application/x-www-form-urlencoded"
	f.Add("method=taobao.time.get&v=2.0", "", urlencoded)
	f.Add("", "method=taobao.trades.sold.get&format=json&page_no=-1", urlencoded)
	f.Add("%zz;&=&a=%00", "a=1&a=2", urlencoded)
	f.Add("method=x&format=json", "--b\r\nContent-Disposition: form-data; name=\"v\"\r\n\r\n2.0\r\n--b--\r\n", "multipart/form-data; boundary=b")
	f.Add("method=%3C/a%3E", "--b", "multipart/form-data")
	f.Fuzz(func(t *testing.T, query, body, kind string) {
		r := httptest.NewRequest(http.MethodPost, "/router/rest", strings.NewReader(body))
		r.URL.RawQuery = query
		r.Header.Set("Content-Type", kind)
		rec := httptest.NewRecorder()
		face.ServeHTTP(rec, r)
		answer := rec.Body.Bytes()
		var document struct{}
		if rec.Code != http.StatusOK || !json.Valid(answer) && xml.Unmarshal(answer, &document) != nil {
			t.Fatalf("%d %s", rec.Code, answer)
		}
		if !bytes.Contains(answer, []byte("error_response")) {
			t.Fatalf("an unsigned call got %s", answer)
		}
	})
}

// Signed parameters that make no sense are refused, never a broken answer.
func FuzzTmallValues(f *testing.F) {
	w := testWorld(f, 40, 1)
	face := Tmall(w, TmallOptions{Now: func() time.Time { return testUntil }})
	methods := slices.Sorted(maps.Keys(tmallMethods))
	f.Add(0, "tid", "1", "2", "2026-05-19 00:00:00", "2026-05-20 00:00:00")
	f.Add(4, "tid,orders", "1000000", "100", "2026-05-20 00:00:00", "0001-01-01 00:00:00")
	f.Add(26, `[{"tid":3700000000000000100,"oaid":null,"scene":"1001","receiver_name":[]},{}]`, "1", "2", "20260519000000", "20260520000000")
	f.Add(9, ",,.", "-1", "9999999999999999999", "x", "\x00")
	f.Fuzz(func(t *testing.T, method int, fields, page, size, from, to string) {
		p := map[string]string{"method": methods[uint(method)%uint(len(methods))], "fields": fields, "page_no": page, "current_page": page,
			"page_size": size, "start_modified": from, "end_modified": to, "start_created": from, "end_created": to, "start_modify": from,
			"end_modify": to, "tid": page, "refund_id": size, "code": fields, "refresh_token": fields,
			"query_list": fields, "merge_list": fields, "num_iid": page, "refund_phase": "onsale", "dispute_id": page, "backup_ds": size,
			"query_ids": fields, "btime": from, "etime": to, "quantity": size, "s_message_ids": fields, "start_create": from, "end_create": to,
			"min_trade_amount": size, "grade": page}
		if body := askTmall(t, face, w, p); !json.Valid([]byte(body)) {
			t.Fatal(body)
		}
	})
}
