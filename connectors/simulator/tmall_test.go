package simulator

import (
	"cmp"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The documented example and two computed ones, in every sign method.
func TestTmallSignatureVectors(t *testing.T) {
	increment := tmallParams{"app_key": "23000001", "method": "taobao.trades.sold.increment.get", "session": "6200000testsession",
		"timestamp": "2024-05-20 00:35:00", "format": "json", "v": "2.0", "fields": "tid,status,payment,modified,buyer_open_uid,orders",
		"start_modified": "2024-05-20 00:00:00", "end_modified": "2024-05-20 00:30:00", "page_no": "1", "page_size": "50", "use_has_next": "true"}
	for name, tc := range map[string]struct {
		secret string
		params tmallParams
		want   map[string]string
	}{
		"documented": {"helloworld", tmallParams{"method": "taobao.item.seller.get", "app_key": "12345678", "session": "test",
			"timestamp": "2016-01-01 12:00:00", "format": "json", "v": "2.0", "fields": "num_iid,title,nick,price,num", "num_iid": "11223344"},
			map[string]string{"md5": "66987CB115214E59E6EC978214934FB8", "hmac": "D56D7858309C31B6251083A874D48273",
				"hmac-sha256": "04DB15AD0774D5CFCE2C837DE43E3FCEA9011ED74F3038FB6AB5F3C4CEA119E8"}},
		"increment": {"secret-demo-0001", increment,
			map[string]string{"md5": "E5DBC76684F254CBD8214588FAFA6B8C", "hmac": "0D645500E428B045D3DFE44A91793B11",
				"hmac-sha256": "41C5B095E5DAE7CD54B56068A8DDC164BB9238122460429AE4E8F5E19D282C98"}},
		"Chinese and empty": {"secret-demo-0001", tmallParams{"app_key": "23000001", "method": "taobao.crm.members.search",
			"session": "6200000testsession", "timestamp": "2024-05-20 00:35:00", "format": "json", "simplify": "true", "v": "2.0",
			"buyer_nick": "测试买家01", "current_page": "1", "page_size": ""},
			map[string]string{"md5": "5C3E6784EFD5582024D4E87747F70731", "hmac": "25755A870DCF5528474E350E6BB07515",
				"hmac-sha256": "E1C54129ED477B779A6DABBB7DF5E7F8941979627B975FE4F84EFE512D33BA1F"}},
	} {
		for method, want := range tc.want {
			tc.params["sign_method"] = method
			if got := tmallSign(tc.secret, tc.params); got != want {
				t.Errorf("%s, %s: %s, want %s", name, method, got, want)
			}
			// The gate's answer: the documented signature passes, a flipped one does not.
			at, _ := tmallTimestamp(tc.params["timestamp"])
			face := newTmall(testWorld(t, 20, 1), TmallOptions{Now: func() time.Time { return at }},
				TmallCredentials{AppKey: tc.params["app_key"], AppSecret: tc.secret, Session: tc.params["session"]})
			flipped := "0" + want[1:]
			if want[0] == '0' {
				flipped = "1" + want[1:]
			}
			for sign, refused := range map[string]bool{want: false, flipped: true} {
				form := url.Values{"sign": {sign}}
				for k, v := range tc.params {
					form.Set(k, v)
				}
				rec := httptest.NewRecorder()
				r := httptest.NewRequest(http.MethodPost, "/router/rest", strings.NewReader(form.Encode()))
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				face.ServeHTTP(rec, r)
				if got := strings.Contains(rec.Body.String(), `"code":25`); got != refused || rec.Code != http.StatusOK {
					t.Errorf("%s, %s: refused %v: %s", name, method, got, rec.Body)
				}
			}
		}
	}
}

func askTmall(t *testing.T, face http.Handler, w *World, params map[string]string) string {
	t.Helper()
	c := TmallCredentialsOf(w)
	p := tmallParams{"app_key": c.AppKey, "session": c.Session, "v": "2.0", "sign_method": "md5", "format": "json",
		"timestamp": strconv.FormatInt(testUntil.UnixMilli(), 10)}
	for k, v := range params {
		p[k] = v
	}
	form := url.Values{"sign": {cmp.Or(tmallSign(c.AppSecret, p), "0")}}
	for k, v := range p {
		form.Set(k, v)
	}
	rec := httptest.NewRecorder()
	face.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/router/rest?"+form.Encode(), nil))
	return rec.Body.String()
}

func TestTmallRefuses(t *testing.T) {
	w := testWorld(t, 40, 2)
	face := Tmall(w, TmallOptions{Now: func() time.Time { return testUntil }})
	list := func(change map[string]string) map[string]string {
		p := map[string]string{"method": "taobao.trades.sold.increment.get", "fields": "tid", "start_modified": "2026-05-19 12:00:00", "end_modified": "2026-05-20 12:00:00"}
		for k, v := range change {
			p[k] = v
		}
		return p
	}
	for name, tc := range map[string]struct {
		change map[string]string
		want   string
	}{
		"good":        {nil, `"total_results"`},
		"xml":         {map[string]string{"format": ""}, "<trades_sold_increment_get_response>"},
		"has next":    {map[string]string{"use_has_next": "true"}, `"has_next":`},
		"no method":   {map[string]string{"method": ""}, `"code":21`},
		"bad method":  {map[string]string{"method": "taobao.none"}, `"code":22`},
		"app key":     {map[string]string{"app_key": "1"}, `"code":29`},
		"version":     {map[string]string{"v": "1.0"}, `"code":33`},
		"old":         {map[string]string{"timestamp": "2026-05-20 11:49:59"}, `"code":31`},
		"sign method": {map[string]string{"sign_method": "sha1"}, `"code":25`},
		"session":     {map[string]string{"session": "x"}, `"code":27`},
		"no session":  {map[string]string{"session": ""}, `"code":26`},
		"no fields":   {map[string]string{"fields": ""}, `isv.missing-parameter:fields`},
		"long window": {map[string]string{"start_modified": "2026-05-19 11:59:59"}, `isv.invalid-parameter:start_modified,end_modified`},
		"old window":  {map[string]string{"start_modified": "2026-01-01 00:00:00", "end_modified": "2026-01-01 10:00:00"}, `"sub_code":"isv.invalid-parameter:start_modified"`},
		"page size":   {map[string]string{"page_size": "101"}, `isv.invalid-parameter:page_size`},
	} {
		if got := askTmall(t, face, w, list(tc.change)); !strings.Contains(got, tc.want) {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
}

// Paged back to front, a day at a time, the face gives every order, refund
// and member.
func TestTmallGivesAll(t *testing.T) {
	w := testWorld(t, 409, 8)
	face := Tmall(w, TmallOptions{Now: func() time.Time { return testUntil }})
	orders, refunds, members := 0, map[string]bool{}, 0
	for at := w.cfg.From; at.Before(testUntil); at = at.Add(24 * time.Hour) {
		for page := 1; ; page++ {
			var answer struct {
				Trades []struct {
					OUID string `json:"ouid"`
					Open string `json:"buyer_open_uid"`
				}
				More bool `json:"has_next"`
			}
			body := askTmall(t, face, w, map[string]string{"method": "taobao.trades.simple.sold.increment.get", "simplify": "true",
				"fields": "tid,ouid,buyer_open_uid", "start_modified": tmallTime(at), "end_modified": tmallTime(at.Add(24*time.Hour - time.Second)),
				"page_no": strconv.Itoa(page), "page_size": "7", "use_has_next": "true"})
			if err := json.Unmarshal([]byte(body), &answer); err != nil {
				t.Fatal(err, body)
			}
			for _, row := range answer.Trades {
				if a, ok := w.AccountByOpenUID(row.Open); !ok || a.ID != row.OUID {
					t.Fatalf("ids %+v are not of one buyer", row)
				}
				orders++
			}
			if !answer.More {
				break
			}
		}
	}
	for page := 1; page < 100; page++ {
		body := askTmall(t, face, w, map[string]string{"method": "taobao.refunds.receive.get", "fields": "refund_id", "page_no": strconv.Itoa(page), "page_size": "10", "simplify": "true"})
		var answer struct {
			Refunds []struct {
				ID string `json:"refund_id"`
			}
		}
		if err := json.Unmarshal([]byte(body), &answer); err != nil {
			t.Fatal(err)
		}
		for _, row := range answer.Refunds {
			refunds[row.ID] = true
		}
		body = askTmall(t, face, w, map[string]string{"method": "taobao.crm.members.search", "current_page": strconv.Itoa(page), "page_size": "50"})
		members += strings.Count(body, `"ouid"`)
	}
	want := w.Counts()[PlatformTmall]
	// A window that ends a second before the data's end misses at most it.
	if orders < want.Orders-1 || orders > want.Orders || len(refunds) != want.Refunds || members != want.Users {
		t.Errorf("orders %d, refunds %d, members %d, want %+v", orders, len(refunds), members, want)
	}
}
