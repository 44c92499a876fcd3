package tmall

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"oneid/connectors"
	"oneid/connectors/conformance"
)

// fuzzSecret and fuzzSession have characters that no code has: they are found
// wherever they are repeated.
const fuzzSecret, fuzzSession = "秘密/secret", "令牌/session"

// told is a connector to which the platform says one thing, whatever it is asked.
func told(t *testing.T, status int, header http.Header, body []byte) *Connector {
	t.Helper()
	c, err := New("demo", Config{
		URL: "http://tmall.example", AppKey: "1", AppSecret: fuzzSecret, Session: fuzzSession, RefreshToken: fuzzSession, RequestsPerSecond: 1e6,
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
		if line = bytes.Trim(line, " \t\r"); connectors.Valid(line) {
			rows = append(rows, line)
		}
	}
	return rows
}

// brokenRow is what no repetition makes JSON.
var brokenRow = []byte("{\"tid\":2,\"title\":\"a\x08b\"}")

// Whatever the platform answers to a call for a list: rows are given, each as it
// stands in the answer, or an error that repeats nothing of it, and never both.
func FuzzAnswer(f *testing.F) {
	for _, body := range []string{
		`{"trades_sold_increment_get_response":{"total_results":2,"trades":{"trade":[{"tid":2300000000000000001,"buyer_nick":"测**"},{"tid":2}]},"request_id":"r1"}}`,
		`{"trades_sold_increment_get_response":{"has_next":"true","trades":[{"tid":"1"}]}}`,
		`{"trades_sold_increment_get_response":{"trades":{"trade":{"tid":1}}}}`,
		`{"trades_sold_increment_get_response":{"total_results":1,"trades":{"trade":[` + string(brokenRow) + `]}}}`,
		`{"trades_sold_increment_get_response":null}`, `{"trades_sold_increment_get_response":{"request_id":"r"}}`,
		`{"error_response":{"code":15,"msg":"Remote service error","sub_code":"isv.invalid-parameter:fields","sub_msg":"买家测试 13900001234","request_id":"abc126demo"}}`,
		`{"error_response":{"code":7,"sub_code":"accesscontrol.limited-by-api-access-count","sub_msg":"This ban will last for 1 more seconds"}}`,
		`{"error_response":{"code":27,"msg":"令牌/session"}}`, `{"error_response":{"code":31}}`, `{"error_response":[]}`, `<html>502</html>`, ``,
	} {
		f.Add(uint16(0), "", []byte(body))
		f.Add(uint16(229), "3", []byte(body))
	}
	f.Add(uint16(303), "Wed, 21 Oct 2026 07:28:00 GMT", []byte("busy"))
	f.Fuzz(func(t *testing.T, status uint16, retryAfter string, body []byte) {
		synctest.Test(t, func(t *testing.T) {
			c := told(t, 200+int(status%400), http.Header{"Retry-After": {retryAfter}, "Date": {time.Now().UTC().Format(http.TimeFormat)}}, body)
			got, err := c.rows(t.Context(), orderList, map[string]string{"fields": "tid"}, "trades", "trade", "total_results")
			if err != nil {
				if got.Rows != nil {
					t.Errorf("%d rows beside an error", len(got.Rows))
				}
				conformance.WantQuiet(t, err, codes)
				return
			}
			if status%400 >= 100 || got.Total < 0 {
				t.Errorf("rows of status %d, %d in all", 200+status%400, got.Total)
			}
			if said := string(body); got.Rows == nil && !strings.Contains(said, "total_results") && !strings.Contains(said, "has_next") && !strings.Contains(said, "trades\"") && !strings.Contains(said, `\u`) {
				t.Errorf("what says nothing of rows is taken for no rows: %q", said)
			}
			for _, row := range got.Rows {
				if mended, ok := connectors.Text(row); !connectors.Valid(row) || !bytes.Contains(body, row) && (!ok || utf8.Valid(body) && !bytes.Contains(body, []byte(mended))) {
					t.Errorf("a row that the answer does not hold: %q", row)
				}
			}
		})
	})
}

// Each row of a list comes as it is, one that is broken by itself: it costs none of
// the others.
func FuzzRows(f *testing.F) {
	f.Add(`{"tid":1,"orders":{"order":[{"oid":1}]}}`+"\n"+`{"tid":2,"title":"a]}"}`, uint8(1))
	f.Add("1\nnull\n\"text\"\n[]\n{}", uint8(9))
	f.Add("{\"has_next\":false}\n{\"title\":\"\\\\\"}", uint8(0))
	f.Fuzz(func(t *testing.T, text string, at uint8) {
		rows := goodRows([]byte(text))
		want := len(rows)
		if int(at) < len(rows) {
			rows[at] = brokenRow
		}
		body := fmt.Appendf(nil, `{"trades_sold_increment_get_response":{"total_results":%d,"trades":{"trade":[%s]},"request_id":"r"}}`, want, bytes.Join(rows, []byte(", ")))
		synctest.Test(t, func(t *testing.T) {
			got, err := told(t, 200, nil, body).rows(t.Context(), orderList, nil, "trades", "trade", "total_results")
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

// Whatever the platform answers to a code or a refresh token: a token that can be
// kept as it is, or an error that says neither.
func FuzzGrant(f *testing.F) {
	for _, result := range []string{
		`{"access_token":"6200000demoZZ0001","token_type":"Bearer","expires_in":31525571,"expire_time":1799377170000,"refresh_token":"6202000demoZZ0002","re_expires_in":0,"refresh_token_valid_time":1767841169000,"r1_valid":1799377170468,"w2_valid":1799377170468,"taobao_user_id":"2200000000001","taobao_user_nick":"%E6%B5%8B%E8%AF%95"}`,
		`{"access_token":"a","expires_in":86400,"re_expires_in":1,"refresh_token_valid_time":1799377170000,"taobao_user_id":1}`,
		`{"access_token":"a","expire_time":999999999999999999,"r1_valid":999999999999999999}`, `{"access_token":"a","taobao_user_nick":"%E6@%E8%AF%95%1B[2J"}`, `{"access_token":""}`, `[]`, ``,
	} {
		f.Add(result, true)
	}
	f.Add(`{"error_response":{"code":15,"sub_code":"isv.invalid-parameter","sub_msg":"令牌/session"}}`, false)
	f.Add(`{"top_auth_token_refresh_response":{"token_result":"{}"}}`, false)
	f.Fuzz(func(t *testing.T, answer string, wrapped bool) {
		body := []byte(answer)
		if wrapped {
			inner, _ := json.Marshal(answer)
			body = fmt.Appendf(nil, `{"top_auth_token_refresh_response":{"token_result":%s,"request_id":"r"}}`, inner)
		}
		synctest.Test(t, func(t *testing.T) {
			c := told(t, 200, nil, body)
			now := time.Now()
			got, err := c.client.renew(t.Context(), connectors.Token{Access: "old", Refresh: fuzzSession})
			if err != nil {
				if got.Access != "" {
					t.Error("a token beside an error")
				}
				conformance.WantQuiet(t, err, codes)
				return
			}
			conformance.WantKept(t, got, now)
		})
	})
}

// A cursor is the moment that it was made of; of any other text no moment is made.
func FuzzCursor(f *testing.F) {
	for _, text := range []string{string(cursorAt(time.Unix(1767229260, 0))), `{"v":1,"reached":"2026-01-01T08:00:00+08:00"}`, `{"v":2,"reached":"2026-01-01T00:00:00Z"}`, `{"v":1}`, `1 2026-01-01T00:00:00Z`, ``} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		at, err := parseCursor(connectors.Cursor(text))
		if err != nil {
			if !at.IsZero() || connectors.ClassOf(err) != connectors.StopStream || strings.Contains(err.Error(), "reached\"") {
				t.Errorf("%s beside %v", at, err)
			}
			return
		}
		var written struct {
			V int `json:"v"`
		}
		if json.Unmarshal([]byte(text), &written) != nil || written.V != 1 {
			t.Errorf("a cursor of version %d is read", written.V)
		}
		if again, err := parseCursor(cursorAt(at)); err != nil || !again.Equal(at) {
			t.Errorf("%s became %s, %v", at, again, err)
		}
		if moment, ok := new(Connector).Reached(connectors.Cursor(text)); !ok || !moment.Equal(at) {
			t.Errorf("%s was reached, %t, and it is read from %s", moment, ok, at)
		}
	})
}
