package weidian

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"oneid/connectors"
	"oneid/connectors/conformance"
)

// told is a connector to which the platform says one thing, whatever it is asked.
func told(t *testing.T, status int, header http.Header, body []byte) *Connector {
	t.Helper()
	c, err := New("1800000001", Config{
		URL: "http://weidian.example", AppKey: "600001", AppSecret: conformance.FuzzSecret, AccessToken: conformance.FuzzSecret, RedirectURI: "https://brand.example/back", RequestsPerSecond: 1e6,
		Transport: conformance.Said(func(*http.Request) (int, http.Header, []byte) { return status, header, body }),
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
		`{"status":{"status_code":0,"status_reason":"success"},"result":{"total_num":1,"order_num":1,"orders":[{"order_id":"800000000000001","status":30,"update_time":"2026-01-06 09:00:00"}]}}`,
		`{"status":{"status_code":"0"},"result":"{\"total_num\":\"0\",\"orders\":null}"}`,
		`"{\"status\":{\"status_code\":0},\"result\":{\"orders\":[{}]}}"`,
		`{"status":"{\"status_code\":10013,\"status_reason\":\"秘密/secret\"}"}`, `{"status":{"status_code":10005}}`, `{"status":{"status_code":99999,"status_reason":"买家测试 13900001234"}}`,
		`{"status":{"status_code":0},"result":{"total_num":1,"orders":[` + string(brokenRow) + `]}}`, `{"status":[]}`, `<html>502</html>`, ``,
	}, asked, nil)
}

// Each row of a list comes as it is, in each of the forms in which an answer may
// stand, and one that is broken by itself: it costs none of the others.
func FuzzRows(f *testing.F) {
	f.Add(`{"order_id":"1","items":[{"item_id":1}]}`+"\n"+`{"order_id":2,"note":"a]}"}`, uint8(1), uint8(0))
	f.Add("1\nnull\n\"text\"\n[]\n{}", uint8(9), uint8(1))
	f.Add("{\"total\":9}\n{\"note\":\"\\\\\\\"\"}", uint8(0), uint8(2))
	f.Add("{}\n{}", uint8(1), uint8(1))
	f.Add("{}\n{}", uint8(1), uint8(3))
	f.Fuzz(func(t *testing.T, text string, at, form uint8) {
		conformance.WantRows(t, text, at, brokenRow, func(rows []byte, total int) []byte {
			result := fmt.Appendf(nil, `{"total_num":%d,"orders":[%s]}`, total, rows)
			if form&1 != 0 {
				result = conformance.Quoted(result)
			}
			body := fmt.Appendf(nil, `{"status":{"status_code":0},"result":%s}`, result)
			if form&2 != 0 {
				body = conformance.Quoted(body)
			}
			return body
		}, asked)
	})
}

// Whatever the platform answers to a refresh token: a token that can be kept as it
// is, or an error that says neither.
func FuzzGrant(f *testing.F) {
	for _, body := range []string{
		`{"status":{"status_code":0,"status_reason":""},"result":{"access_token":"tk1invented","expire_in":90000,"refresh_token":"rf1invented","openid":"1800000001","refreshExpireTime":1769904000000}}`,
		`{"status":{"status_code":0},"result":{"access_token":1,"expire_in":"9223372036854775807","refreshExpireTime":9223372036854775807}}`,
		`{"status":{"status_code":0},"result":"{\"access_token\":\"a\",\"expire_in\":-1}"}`, `{"status":{"status_code":0},"result":{}}`,
		`{"status":{"status_code":10021,"status_reason":"秘密/secret"}}`, `{"status":{"status_code":10013}}`, `<html>`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		conformance.WantGrant(t, codes, func(t *testing.T) (connectors.Token, error) {
			return told(t, 200, nil, body).client.renew(t.Context(), connectors.Token{Access: "old", Refresh: conformance.FuzzSecret})
		}, func(t *testing.T, got connectors.Token, _ time.Time) {
			if renewAt(got).Before(got.Obtained) {
				t.Error("a token is to be renewed before it was given")
			}
		})
	})
}

// What is sent says what was to be said, without any \u escape, which the gateway
// refuses; or it is not sent.
func FuzzPlain(f *testing.F) {
	for _, value := range []string{"测试买家", "<&>", "a\"b\\", "\x08", "\u2028", "\\u0041", "\xff", "😀"} {
		f.Add("buyer", value)
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		sent, err := plain(map[string]any{name: value, "page": 1})
		if err != nil {
			if ordinary(name) && ordinary(value) {
				t.Errorf("%q: %q is not sent", name, value)
			}
			return
		}
		var got map[string]any
		if strings.Contains(sent, `\u`) || json.Unmarshal([]byte(sent), &got) != nil || name != "page" && got[strings.ToValidUTF8(name, "\uFFFD")] != strings.ToValidUTF8(value, "\uFFFD") {
			if utf8.ValidString(name) && utf8.ValidString(value) {
				t.Errorf("%q: %q is sent as %s", name, value, sent)
			}
		}
		if form, err := url.ParseQuery(url.Values{"param": {sent}}.Encode()); err != nil || form.Get("param") != sent {
			t.Errorf("%s does not come as it was sent", sent)
		}
	})
}

// ordinary says that a text needs no escape of JSON.
func ordinary(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == '\\' || r == '"' || r == '\u2028' || r == '\u2029' })
}
