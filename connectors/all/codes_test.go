package all

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"oneid/connectors"
	"oneid/connectors/douyin"
	"oneid/connectors/sobot"
	"oneid/connectors/tmall"
	"oneid/connectors/weidian"
)

// refuser is a platform that refuses its list of orders (the desk: of tickets) with one code, as
// often as it is told, and grants tokens.
type refuser struct {
	// answer is what a call is answered with; listed says that it is one for a
	// page of orders.
	answer func(form url.Values, refuse bool) (body string, listed bool)
	// times is how many calls for orders are refused; below 0 means all.
	times int

	calls, renewals int
	signs           map[string]bool
}

func (r *refuser) RoundTrip(req *http.Request) (*http.Response, error) {
	time.Sleep(1100 * time.Millisecond) // so that each attempt has another timestamp
	form := req.URL.Query()
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	if sent, err := url.ParseQuery(string(body)); err == nil && !strings.HasPrefix(string(body), "{") {
		for name, values := range sent {
			form[name] = values
		}
	} else {
		form.Set("param_json", string(body))
	}
	text, listed := r.answer(form, r.times < 0 || r.calls < r.times)
	if strings.Contains(text, "new-token") && r.calls > 0 {
		r.renewals++ // and not the first token
	}
	if listed {
		r.calls++
		r.signs[form.Get("sign")] = true
	}
	header := http.Header{"Date": {time.Now().UTC().Format(http.TimeFormat)}}
	return &http.Response{StatusCode: http.StatusOK, Header: header, Body: io.NopCloser(strings.NewReader(text)), Request: req}, nil
}

// The platforms and the help-desk, each with its way to refuse.
var refusing = map[string]struct {
	signed bool
	open   func(http.RoundTripper) (connectors.Connector, error)
	answer func(code connectors.Code) func(url.Values, bool) (string, bool)
}{
	"tmall": {
		true,
		func(network http.RoundTripper) (connectors.Connector, error) {
			return tmall.New("demo", tmall.Config{AppKey: "1", AppSecret: "s", Session: "old", RefreshToken: "r", BackfillDays: 1, Parallel: 1, Transport: network})
		},
		func(code connectors.Code) func(url.Values, bool) (string, bool) {
			return func(form url.Values, refuse bool) (string, bool) {
				switch method := form.Get("method"); {
				case method == "taobao.time.get":
					return `{"time_get_response":{"time":"` + time.Now().In(time.FixedZone("", 8*3600)).Format(time.DateTime) + `"}}`, false
				case method == "taobao.top.auth.token.refresh":
					return `{"top_auth_token_refresh_response":{"token_result":"{\"access_token\":\"new-token\"}"}}`, false
				case refuse:
					return fmt.Sprintf(`{"error_response":{"code":%s,"msg":"secret words","sub_code":%q,"sub_msg":"2 more seconds, secret words"}}`, orAny(code.System), code.Sub), true
				}
				return `{"trades_sold_increment_get_response":{"total_results":0}}`, true
			}
		},
	},
	"douyin": {
		true,
		func(network http.RoundTripper) (connectors.Connector, error) {
			return douyin.New("1", douyin.Config{AppKey: "1", AppSecret: "s", BackfillDays: 1, Transport: network})
		},
		func(code connectors.Code) func(url.Values, bool) (string, bool) {
			return func(form url.Values, refuse bool) (string, bool) {
				old, isOld := strings.CutPrefix(code.System, "err_no.")
				switch {
				case strings.HasPrefix(form.Get("method"), "token."):
					return `{"code":10000,"data":{"access_token":"new-token","refresh_token":"r","expires_in":604800}}`, false
				case strings.Contains(form.Get("param_json"), `"size":1,`):
					return `{"code":10000,"data":{"total":0}}`, false // the count before the pages
				case refuse && isOld:
					return `{"err_no":` + old + `,"message":"secret words"}`, true
				case refuse:
					return fmt.Sprintf(`{"code":%s,"msg":"secret words","sub_code":%q}`, orAny(code.System), code.Sub), true
				}
				return `{"code":10000,"data":{"total":0}}`, true
			}
		},
	},
	"weidian": {
		false,
		func(network http.RoundTripper) (connectors.Connector, error) {
			return weidian.New("1", weidian.Config{AppKey: "1", AppSecret: "s", AccessToken: "old", BackfillDays: 1, Transport: network})
		},
		func(code connectors.Code) func(url.Values, bool) (string, bool) {
			return func(form url.Values, refuse bool) (string, bool) {
				switch {
				case form.Get("grant_type") != "":
					return `{"status":{"status_code":0},"result":{"access_token":"new-token","expire_in":90000}}`, false
				case strings.Contains(form.Get("param"), `"page_size":1,`):
					return `{"status":{"status_code":0},"result":{"total_num":0,"orders":[]}}`, false
				case refuse:
					return `{"status":{"status_code":` + code.System + `,"status_reason":"secret words"}}`, true
				}
				return `{"status":{"status_code":0},"result":{"total_num":0,"orders":[]}}`, true
			}
		},
	},
	"sobot": {
		false,
		func(network http.RoundTripper) (connectors.Connector, error) {
			return sobot.New("1", sobot.Config{AppID: "1", AppKey: "s", BackfillDays: 1, Transport: network})
		},
		func(code connectors.Code) func(url.Values, bool) (string, bool) {
			return func(form url.Values, refuse bool) (string, bool) {
				switch {
				case form.Get("appid") != "":
					return `{"ret_code":"000000","item":{"token":"new-token","expires_in":"86400"}}`, false
				case form.Get("page_size") == "1":
					return `{"ret_code":"000000","items":[],"total_count":0}`, false // the count before the pages
				case refuse:
					return `{"ret_code":"` + code.System + `","ret_msg":"secret words"}`, true
				}
				return `{"ret_code":"000000","items":[],"total_count":0}`, true
			}
		},
	},
}

// orAny is a code, or one that nobody knows where any will do.
func orAny(system string) string {
	if system == "" {
		return "15"
	}
	return system
}

// halving are the codes that a connector answers with shorter windows: how
// often it calls then is another test's.
var halving = map[string]bool{"* isp.runtime-max-limit": true, "* isv.trade-service-rejection": true, "40004 isv.parameter-invalid:20013": true}

// Each code of each platform's table: how often the call is made, each time
// signed anew, whether the token is renewed, and what the error says at last.
func TestEachCodeIsHandledAsItsTableSays(t *testing.T) {
	t.Parallel()
	for platform, p := range refusing {
		text, err := os.ReadFile("../" + platform + "/codes.yaml")
		if err != nil {
			t.Fatal(err)
		}
		codes, err := connectors.ParseCodes(text)
		if err != nil {
			t.Fatal(err)
		}
		cases := append(codes.All(), connectors.Code{System: "987654", Class: connectors.StopStream, Tries: 3, Text: "a code that OneID does not know", Mend: "x"})
		for _, code := range cases {
			code.Sub = strings.Replace(code.Sub, "*", "something", 1)
			if code.Class > connectors.SkipRecord && code.Mend == "" {
				t.Errorf("%s %s: says not what to do", platform, code.Name())
			}
			synctest.Test(t, func(t *testing.T) {
				network := &refuser{answer: p.answer(code), times: -1, signs: make(map[string]bool)}
				want := 1
				switch {
				case code.Class == connectors.Retry:
					want = 5
				case code.Class == connectors.Throttle:
					network.times, want = 2, 3
				case code.Class == connectors.Refresh, errors.Is(code.Kind, connectors.ErrClock) && platform != "weidian":
					want = 2
				case code.Tries > 0:
					want = code.Tries
				}
				c, err := p.open(network)
				if err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				err = read(t.Context(), c)
				if halving[code.Name()] {
					if network.calls < 10 || connectors.ClassOf(err) != code.Class {
						t.Errorf("%s %s: %d calls, then %v", platform, code.Name(), network.calls, err)
					}
					return
				}
				if network.calls != want || p.signed && len(network.signs) != want {
					t.Errorf("%s %s: called %d times with %d signatures, want %d", platform, code.Name(), network.calls, len(network.signs), want)
				}
				if code.Class == connectors.Throttle {
					if took := time.Since(start); err != nil || took < 3*time.Second {
						t.Errorf("%s %s: %v after %s: it was asked to wait", platform, code.Name(), err, took)
					}
					return
				}
				class := code.Class
				if class == connectors.Refresh {
					class = connectors.StopShop
					if network.renewals != 1 {
						t.Errorf("%s %s: a new token was asked for %d times, want once", platform, code.Name(), network.renewals)
					}
				}
				var refused *connectors.Error
				if !errors.As(err, &refused) || refused.Class != class || connectors.ClassOf(err) != class || !errors.Is(refused, code.Kind) && code.Kind != nil || (refused.Kind == nil) != (code.Kind == nil) {
					t.Errorf("%s %s: %v; want class %s, kind %v", platform, code.Name(), err, class, code.Kind)
					return
				}
				if strings.Contains(err.Error(), "secret words") || !strings.Contains(err.Error(), code.Text) {
					t.Errorf("%s %s: the error says %v", platform, code.Name(), err)
				}
			})
		}
	}
}

// read reads the first stream of a connector to its end, or to an error.
func read(ctx context.Context, c connectors.Connector) error {
	for _, err := range c.Read(ctx, c.Spec().Streams[0].Name, "") {
		if err != nil {
			return err
		}
	}
	return nil
}

// documented are the codes that the platforms' facts name, with their classes:
// a second writing of the tables, by code. (Tmall's isv.trade-not-exist is an
// assumption, and said to be one in its README.)
var documented = map[string]string{
	"tmall": `throttle: 4 5 6 7 8 7/accesscontrol.limited-by-api-access-count 7/accesscontrol.limited-by-app-api-access-count
		7/accesscontrol.limited-by-app-access-count 7/accesscontrol.limited-by-dynamic-access-count 15/isp.system-busy 15/isp.call-limited
	retry: 10 15/isp.top-remote-connection-timeout 50/isp.remote-service-timeout 520/isp.top-remote-service-unavailable 15/isp.top-remote-unknown-error
		15/isp.remote-connection-error 15/isp.remote-service-error 15/isp.refund-service-unavailable 15/isp.remote-service-error-tmall
	skip-record: 15/isv.trade-not-exist
	refresh: 26 27 53 27/invalid-sessionkey 27/session-expired 27/session-not-exist
	stop-stream: 3 9 11 11/isv.permission-api-package-empty 11/isv.permission-api-package-not-allowed 11/isv.permission-api-package-limit
		21 22 23 32 33 34 40 41 42 43 22/isv.api-not-exist 40/isv.missing-parameter 15/isv.invalid-parameter 50/isv.invalid-parameter 15/isv.oaid-field-miss
		15/isp.runtime-max-limit 15/isv.trade-service-rejection 15/isv.whatever 15
	stop-shop: 11/isv.permission-ip-whitelist-limit 12 13 24 25 28 29 30 31`,
	"douyin": `retry: 20000 20000/isp.service-error 20000/isp.service-error:20004 20000/isp.service-error:20005 20000/dop.service-error 20001/isp.service-timeout-error:1
		50002/isv.business-failed:31012 50002/isv.business-failed:20004 50002/isv.business-failed:20045 50002/isv.business-failed:20055
		50002/isv.business-failed:628145015 50002/isv.business-failed:628004002 20000/isp.service-error:10000 20000/isp.service-error:10002 err_no.7 err_no.8
	throttle: 60000/isv.traffic-limited 60000/isp.traffic-limited:628002006 50002/isv.business-failed:628002006 50002/isv.business-failed:628145010 err_no.9
	refresh: 40003/isv.access-token-expired 40003/isv.access-token-no-existed 40003/isv.access-token-invalid err_no.1 err_no.30002 err_no.30005 err_no.30007
	skip-record: 40004/isv.parameter-invalid:20014 40004/isv.parameter-invalid:20001 40004/isv.parameter-invalid:11003 50002/isv.business-failed:20015
		50002/isv.business-failed:12000 50002/isv.business-failed:12001 50002/isv.business-failed:628145003 50002/isv.business-failed:628145004
		50002/isv.business-failed:628145012 50002/isv.business-failed:628145021 50002/isv.business-failed:628145022 50002/isv.business-failed:628145023
		50002/isv.business-failed:628145036 50002/isv.business-failed:300001 50002/isv.business-failed:300003 50002/isv.business-failed:300007
		50002/isv.business-failed:300008 50002/isv.business-failed:300010 50002/isv.business-failed:9
	stop-stream: 30001/isv.app-permissions-insufficient 30001/dop.no-permissions 40002/isv.missing-parameter:20000 40002/isv.missing-parameter:3
		40003/isv.parameter-format-invalid 40003/isv.parameter-invalid 40003/isv.idempotent-id-existed 40004/isv.parameter-invalid:20008
		40004/isv.parameter-invalid:20011 40004/isv.parameter-invalid:20012 40004/isv.parameter-invalid:10035 40004/isv.parameter-invalid:20013
		40004/isv.parameter-invalid:20022 40004/isv.parameter-invalid:11000 40004/isv.parameter-invalid:200011 50002/isv.business-failed:10002
		50002/isv.business-failed:628005200 50002/isv.business-failed:628145011 50002/isv.business-failed:628145008 50002/isv.business-failed:628145001
		50002/isv.business-failed:628145002 70000/isp.api-service-off err_no.2 err_no.3 err_no.4 err_no.5 err_no.6 err_no.10 err_no.12
	stop-shop: 30001/dop.app-forbidden 30001/dop.authorization-no-existed 30001/dop.authorization-closed 30002/isv.invalid_ip 40001/isv.parameter-missing
		40001/isv.signature-missing 40001/isv.app-id-missing 40001/isv.access-token-missing 40003/isv.authorization-type-invalid 40003/isv.signature-invalid
		40003/isv.app-id-invalid 40003/isv.app-id-expired 40003/isv.timestamp-invalid 40003/isv.timestamp-format-error 50000
		50001/dop.token-generate-failed:app-id-invalid 50001/dop.token-generate-failed:app-secret-invalid 50001/dop.token-generate-failed:grant-type-invalid
		50001/dop.token-generate-failed:app-forbidden 50001/dop.token-generate-failed:code-invalid 50001/dop.token-generate-failed:code-expired
		50001/dop.token-generate-failed:no-authorization 50001/dop.token-generate-failed:token-expired 50001/dop.token-generate-failed:token-invalid
		50002/isv.business-failed:31009 80000 90000/isv.env-suspected 90000/dop.unknown-error 90000/isp.unknown-error
		err_no.11 err_no.30001 err_no.30003 err_no.30004 err_no.30006`,
	"weidian": `retry: -1 10000 10001 10002
	throttle: 10004 10005
	refresh: 10013 10016 10026 10021
	skip-record: 20018 20025 20015
	stop-stream: 10006 10009 10007 10008 10010 10011 10012 10018 10019 10020 10100 10102 20032 20046 20055 20501 20502 20301
	stop-shop: 10023 10017 10003 10014 10015 10022 10024 10025 10027 10028 10029 10101`,
	"sobot": `refresh: 900001 900002
	stop-stream: 999999`,
}

// fewCodes are the platforms that document no more codes than so many.
var fewCodes = map[string]int{"sobot": 2}

func TestEachDocumentedCodeHasItsClass(t *testing.T) {
	t.Parallel()
	for platform, list := range documented {
		text, err := os.ReadFile("../" + platform + "/codes.yaml")
		if err != nil {
			t.Fatal(err)
		}
		codes, err := connectors.ParseCodes(text)
		if err != nil {
			t.Fatal(err)
		}
		class, n := "", 0
		for _, word := range strings.Fields(list) {
			if name, ok := strings.CutSuffix(word, ":"); ok {
				class = strings.ReplaceAll(name, "-", " ")
				continue
			}
			system, sub, _ := strings.Cut(word, "/")
			n++
			if got := codes.Find(system, sub); got.Class.String() != class {
				t.Errorf("%s %s is %q (%s), want %s", platform, word, got.Class, got.Text, class)
			}
		}
		if least := cmp.Or(fewCodes[platform], 30); n < least {
			t.Errorf("%s: %d codes", platform, n)
		}
		// Nothing in the table that the list above does not know.
		for _, code := range codes.All() {
			if !strings.Contains(list, strings.TrimSuffix(code.Sub, "*")) || !strings.Contains(list, code.System) {
				t.Errorf("%s: the table's %s is not documented here", platform, code.Name())
			}
		}
	}
}

// slow is a network on which each call takes a while.
type slow struct{ http.RoundTripper }

func (s slow) RoundTrip(r *http.Request) (*http.Response, error) {
	time.Sleep(2 * connectors.FreshFor)
	return s.RoundTripper.RoundTrip(r)
}

// A token that ended while a slow call was repeated with it has ended in its
// turn: it is renewed once more, and not called dead.
func TestATokenThatEndsInItsTurnIsRenewedAgain(t *testing.T) {
	t.Parallel()
	for platform, p := range refusing {
		text, err := os.ReadFile("../" + platform + "/codes.yaml")
		if err != nil {
			t.Fatal(err)
		}
		codes, err := connectors.ParseCodes(text)
		if err != nil {
			t.Fatal(err)
		}
		all := codes.All()
		ended := all[slices.IndexFunc(all, func(c connectors.Code) bool { return c.Class == connectors.Refresh })]
		synctest.Test(t, func(t *testing.T) {
			network := &refuser{answer: p.answer(ended), times: 2, signs: make(map[string]bool)}
			c, err := p.open(slow{network})
			if err != nil {
				t.Fatal(err)
			}
			if err := read(t.Context(), c); err != nil || network.renewals != 2 {
				t.Errorf("%s: %d renewals, then %v", platform, network.renewals, err)
			}
		})
	}
}
