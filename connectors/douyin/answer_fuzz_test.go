package douyin

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"oneid/connectors"
	"oneid/connectors/conformance"
)

const fuzzToken = `{"code":10000,"data":{"access_token":"` + conformance.FuzzSecret + `","refresh_token":"` + conformance.FuzzSecret + `","expires_in":604800}}`

// told is a connector to which the platform says one thing, whatever it is asked but
// a token.
func told(t *testing.T, status int, header http.Header, body []byte) *Connector {
	t.Helper()
	c, err := New("4463798", Config{
		URL: "http://douyin.example", AppKey: testKey, AppSecret: conformance.FuzzSecret, RequestsPerSecond: 1e6,
		Transport: conformance.Said(func(r *http.Request) (int, http.Header, []byte) {
			if r.URL.Path == "/token/create" || r.URL.Path == "/token/refresh" {
				return 200, nil, []byte(fuzzToken)
			}
			return status, header, body
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// brokenRow is what no repetition makes JSON.
var brokenRow = []byte("{\"order_id\":2,\"note\":\"a\x08b\"}")

// A minute of the platform's.
var fuzzWindow = connectors.Window{From: time.Unix(1767229200, 0), To: time.Unix(1767229260, 0)}

// asked asks for a list to which the platform says one thing.
func asked(t *testing.T, status int, header http.Header, body []byte) (connectors.Rows, error) {
	t.Helper()
	return told(t, status, header, body).page(t.Context(), orderListing, fuzzWindow, 1, 50)
}

// Whatever the platform answers to a call for a list: rows are given, or an error
// that repeats nothing of the answer, and never both.
func FuzzAnswer(f *testing.F) {
	conformance.FuzzAnswer(f, codes, []string{
		`{"code":10000,"msg":"success","sub_code":"","log_id":"20260101","data":{"total":1,"shop_order_list":[{"order_id":"6910000000000000001","doudian_open_id":"o"}]}}`,
		`{"err_no":0,"message":"success","data":"{\"total\":\"0\",\"list\":[]}"}`, `{"code":10000,"data":[{"a":1}]}`, `{"code":10000,"data":[]}`, `{"code":10001,"data":{"total":0}}`,
		`{"code":40003,"msg":"非法的参数","sub_code":"isv.access-token-expired","sub_msg":"秘密/secret","log_id":"L 13900001234"}`,
		`{"code":40004,"sub_code":"isv.parameter-invalid:20013"}`, `{"code":30001,"sub_code":"isp.limited"}`, `{"err_no":30007,"message":"买家测试"}`,
		`{"code":10000,"data":{"total":1,"items":[` + string(brokenRow) + `]}}`, `{"code":[]}`, `<html>502</html>`, ``,
	}, asked, nil)
}

// Each row of a list comes as it is, in each of the forms in which an answer may
// stand, and one that is broken by itself: it costs none of the others.
func FuzzRows(f *testing.F) {
	f.Add(`{"order_id":"1","items":[{"item_id":1}]}`+"\n"+`{"order_id":2,"note":"a]}"}`, uint8(1), uint8(0))
	f.Add("1\nnull\n\"text\"\n[]\n{}", uint8(9), uint8(1))
	f.Add("{}\n{}", uint8(1), uint8(3))
	f.Add("{\"total\":9}\n{\"note\":\"\\\\\\\"\"}", uint8(0), uint8(2))
	f.Fuzz(func(t *testing.T, text string, at, form uint8) {
		conformance.WantRows(t, text, at, brokenRow, func(rows []byte, total int) []byte {
			data := fmt.Appendf(nil, `{"total":%d,"shop_order_list":[%s]}`, total, rows)
			if form&1 != 0 {
				data = conformance.Quoted(data)
			}
			said := []string{`"code":10000`, `"err_no":"0"`, `"code":"10000","err_no":7`}[form>>1%3]
			return fmt.Appendf(nil, `{%s,"data":%s}`, said, data)
		}, asked)
	})
}

// Whatever the platform answers to a refresh token: a token that can be kept as it
// is, or an error that says neither.
func FuzzGrant(f *testing.F) {
	for _, body := range []string{
		`{"code":10000,"msg":"success","data":{"access_token":"5a3b","expires_in":604800,"refresh_token":"50b6","scope":"SCOPE","shop_id":4463798,"shop_name":"示例旗舰店"}}`,
		`{"err_no":0,"data":{"access_token":1,"expires_in":"9223372036854775807"}}`, `{"code":10000,"data":"{\"access_token\":\"a\",\"expires_in\":-1}"}`, `{"code":10000,"data":{}}`,
		"{\"code\":10000,\"data\":{\"access_token\":\"a\",\"shop_name\":\"示\xe6\u001b[2J\"}}",
		`{"code":50001,"sub_code":"dop.token-generate-failed:token-invalid","sub_msg":"秘密/secret"}`, `{"code":40003,"sub_code":"isv.access-token-expired"}`, `{"err_no":30005}`, `<html>`,
	} {
		f.Add([]byte(body), uint8(len(body)))
	}
	f.Fuzz(func(t *testing.T, body []byte, form uint8) {
		conformance.WantGrant(t, codes, func(t *testing.T) (connectors.Token, error) {
			cfg := Config{
				URL: "http://douyin.example", AppKey: testKey, AppSecret: conformance.FuzzSecret, RequestsPerSecond: 1e6,
				Transport: conformance.Said(func(*http.Request) (int, http.Header, []byte) { return 200, nil, body }),
			}
			if form&1 != 0 {
				cfg.ServiceID = "7"
			}
			c, err := New("4463798", cfg)
			if err != nil {
				t.Fatal(err)
			}
			return c.client.renew(t.Context(), connectors.Token{Access: "old", Refresh: conformance.FuzzSecret})
		}, nil)
	})
}

// hexOf is a digest as the platform writes it.
func hexOf(h hash.Hash, text string) string {
	_, _ = io.WriteString(h, text) // a hash takes everything
	return hex.EncodeToString(h.Sum(nil))
}

// The signatures are those that the platform describes: of the five parameters in
// the order of their names, of a push, and of a call of the member centre; each of
// another text is another.
func FuzzSign(f *testing.F) {
	f.Add("order.searchList", `{"page":0,"size":100}`, "1767229260", "k")
	f.Add("afterSale.List", `{"plain":"&<>='/ô汉😀"}`, "2026-01-01 09:01:00", "")
	f.Fuzz(func(t *testing.T, method, param, timestamp, more string) {
		call := "app_key" + testKey + "method" + method + "param_json" + param + "timestamp" + timestamp + "v2"
		spi := "app_key" + testKey + "param_json" + param + "timestamp" + timestamp
		for name, c := range map[string]struct{ got, want, other string }{
			"a call, HMAC": {
				sign(signHMAC, testKey, testSecret, method, param, timestamp),
				hexOf(hmac.New(sha256.New, []byte(testSecret)), testSecret+call+testSecret),
				sign(signHMAC, testKey, testSecret, method, param+more, timestamp),
			},
			"a call, MD5": {
				sign(signMD5, testKey, testSecret, method, param, timestamp), hexOf(md5.New(), testSecret+call+testSecret),
				sign(signMD5, testKey, testSecret+more, method, param, timestamp),
			},
			"a push, HMAC": {
				pushSign(signHMAC, testKey, testSecret, []byte(param)), hexOf(hmac.New(sha256.New, []byte(testSecret)), testKey+param+testSecret),
				pushSign(signHMAC, testKey, testSecret, []byte(param+more)),
			},
			"a push, MD5": {
				pushSign(signMD5, testKey, testSecret, []byte(param)), hexOf(md5.New(), testKey+param+testSecret),
				pushSign(signMD5, testKey, testSecret, []byte(more+param)),
			},
			"a member's call, HMAC": {
				spiSign(signHMAC, testKey, testSecret, param, timestamp), hexOf(hmac.New(sha256.New, []byte(testSecret)), testSecret+spi+testSecret),
				spiSign(signHMAC, testKey, testSecret, param, timestamp+more),
			},
			"a member's call, MD5": {
				spiSign("", testKey, testSecret, param, timestamp), hexOf(md5.New(), testSecret+spi+testSecret),
				spiSign("", testKey, testSecret, param+more, timestamp),
			},
		} {
			changes := more != "" && (!strings.HasPrefix(name, "a push, MD5") || more+param != param)
			if c.got != c.want || changes && c.other == c.got {
				t.Errorf("%s: %s, and of another %s; want %s", name, c.got, c.other, c.want)
			}
		}
	})
}

// A push is read where its bytes are signed with the shop's secret, and refused
// where they, or the secret, are others.
func FuzzOpen(f *testing.F) {
	f.Add([]byte(pushPaid), signHMAC, uint16(3), "0")
	f.Add([]byte(pushTest), signMD5, uint16(0), "")
	f.Add([]byte(`[`), "", uint16(1), "sha1")
	c, err := New("4463798", Config{AppKey: testKey, AppSecret: testSecret})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte, method string, at uint16, forged string) {
		signed := hexOf(hmac.New(sha256.New, []byte(testSecret)), testKey+string(body)+testSecret)
		if strings.ToLower(method) == signMD5 {
			signed = hexOf(md5.New(), testKey+string(body)+testSecret)
		}
		header := http.Header{"App-Id": {testKey}, "Event-Sign": {signed}, "Sign-Method": {method}}
		known := method == "" || strings.ToLower(method) == signMD5 || strings.ToLower(method) == signHMAC
		messages, err := c.Open(connectors.Push{Header: header, Body: body})
		if (err == nil) != known || err != nil && (!errors.Is(err, connectors.ErrRefused) || messages != nil) {
			t.Fatalf("signed by %q: %d messages, %v", method, len(messages), err)
		}
		if len(body) > 0 {
			other := bytes.Clone(body)
			other[int(at)%len(body)] ^= 1
			if _, err := c.Open(connectors.Push{Header: header, Body: other}); !errors.Is(err, connectors.ErrRefused) {
				t.Errorf("other bytes: %v", err)
			}
		}
		for name, value := range map[string]string{"App-Id": testKey + "0", "Event-Sign": forged} {
			other := header.Clone()
			if other.Set(name, value); strings.EqualFold(value, signed) {
				continue
			}
			if _, err := c.Open(connectors.Push{Header: other, Body: body}); !errors.Is(err, connectors.ErrRefused) {
				t.Errorf("another %s: %v", name, err)
			}
		}
	})
}
