package weidian

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"oneid/connectors"
	"oneid/connectors/conformance"
)

// fuzzSecret has characters that no code has: it is found wherever it is repeated.
const fuzzSecret = "秘密/secret"

// told is a connector to which the platform says one thing, whatever it is asked.
func told(t *testing.T, status int, header http.Header, body []byte) *Connector {
	t.Helper()
	c, err := New("1800000001", Config{
		URL: "http://weidian.example", AppKey: "600001", AppSecret: fuzzSecret, AccessToken: fuzzSecret, RedirectURI: "https://brand.example/back", RequestsPerSecond: 1e6,
		Transport: conformance.Said(func(*http.Request) (int, http.Header, []byte) { return status, header, body }),
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// goodRows are the lines of a text that are JSON by themselves, as rows.
func goodRows(text []byte) [][]byte {
	var rows [][]byte
	for _, line := range bytes.Split(text, []byte("\n")) {
		if line = bytes.Trim(line, " \t\r"); utf8.Valid(line) && connectors.Valid(line) {
			rows = append(rows, line)
		}
	}
	return rows
}

// quoted is a JSON text that holds another.
func quoted(raw []byte) []byte {
	text, _ := json.Marshal(string(raw)) // texts always have a JSON form
	return text
}

// brokenRow is what no repetition makes JSON.
var brokenRow = []byte("{\"order_id\":2,\"note\":\"a\x08b\"}")

// A minute of the platform's.
var fuzzWindow = connectors.Window{From: time.Unix(1767229200, 0), To: time.Unix(1767229260, 0)}

// Whatever the platform answers to a call for a list: rows are given, or an error
// that repeats nothing of the answer, and never both.
func FuzzAnswer(f *testing.F) {
	for _, body := range []string{
		`{"status":{"status_code":0,"status_reason":"success"},"result":{"total_num":1,"order_num":1,"orders":[{"order_id":"800000000000001","status":30,"update_time":"2026-01-06 09:00:00"}]}}`,
		`{"status":{"status_code":"0"},"result":"{\"total_num\":\"0\",\"orders\":null}"}`,
		`"{\"status\":{\"status_code\":0},\"result\":{\"orders\":[{}]}}"`,
		`{"status":"{\"status_code\":10013,\"status_reason\":\"秘密/secret\"}"}`, `{"status":{"status_code":10005}}`, `{"status":{"status_code":99999,"status_reason":"买家测试 13900001234"}}`,
		`{"status":{"status_code":0},"result":{"total_num":1,"orders":[` + string(brokenRow) + `]}}`, `{"status":[]}`, `<html>502</html>`, ``,
	} {
		f.Add(uint16(0), "", []byte(body))
		f.Add(uint16(229), "3", []byte(body))
	}
	f.Fuzz(func(t *testing.T, status uint16, retryAfter string, body []byte) {
		synctest.Test(t, func(t *testing.T) {
			c := told(t, 200+int(status%400), http.Header{"Retry-After": {retryAfter}, "Date": {time.Now().UTC().Format(http.TimeFormat)}}, body)
			got, err := c.page(t.Context(), orderListing, fuzzWindow, 1, 50)
			if err != nil {
				if got.Rows != nil || got.Total != 0 {
					t.Errorf("%d rows beside an error", len(got.Rows))
				}
				conformance.WantQuiet(t, err, codes)
				return
			}
			if status%400 >= 100 || got.Rows == nil && got.Total < 0 {
				t.Errorf("%d rows of %d, of status %d", len(got.Rows), got.Total, 200+status%400)
			}
			for _, row := range got.Rows {
				mended, isMended := connectors.Text(row)
				if !connectors.Valid(row) || !bytes.ContainsRune(body, '\\') && !bytes.Contains(body, row) && (!isMended || utf8.Valid(body) && !bytes.Contains(body, []byte(mended))) {
					t.Errorf("a row that the answer does not hold: %q", row)
				}
			}
		})
	})
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
		rows := goodRows([]byte(text))
		want := len(rows)
		if int(at) < len(rows) {
			rows[at] = brokenRow
		}
		result := fmt.Appendf(nil, `{"total_num":%d,"orders":[%s]}`, want, bytes.Join(rows, []byte(", ")))
		if form&1 != 0 {
			result = quoted(result)
		}
		body := fmt.Appendf(nil, `{"status":{"status_code":0},"result":%s}`, result)
		if form&2 != 0 {
			body = quoted(body)
		}
		synctest.Test(t, func(t *testing.T) {
			got, err := told(t, 200, nil, body).page(t.Context(), orderListing, fuzzWindow, 1, 50)
			if err != nil || len(got.Rows) != want || got.Total != want {
				t.Fatalf("%d rows of %d, %d in all, %v", len(got.Rows), want, got.Total, err)
			}
			for i, row := range got.Rows {
				if mended, ok := connectors.Text(row); !bytes.Equal(row, rows[i]) && (!ok || mended != string(rows[i])) {
					t.Errorf("row %d is %q, and was %q", i, row, rows[i])
				}
			}
		})
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
		synctest.Test(t, func(t *testing.T) {
			c := told(t, 200, nil, body)
			now := time.Now()
			got, err := c.client.renew(t.Context(), connectors.Token{Access: "old", Refresh: fuzzSecret})
			if err != nil {
				if got.Access != "" {
					t.Error("a token beside an error")
				}
				conformance.WantQuiet(t, err, codes)
				return
			}
			conformance.WantKept(t, got, now)
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
