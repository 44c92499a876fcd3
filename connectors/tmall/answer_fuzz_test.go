package tmall

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"oneid/connectors"
	"oneid/connectors/conformance"
)

// fuzzSession has characters that no code has, as FuzzSecret.
const fuzzSession = "令牌/session"

// told is a connector to which the platform says one thing, whatever it is asked.
func told(t *testing.T, status int, header http.Header, body []byte) *Connector {
	t.Helper()
	c, err := New("demo", Config{
		URL: "http://tmall.example", AppKey: "1", AppSecret: conformance.FuzzSecret, Session: fuzzSession, RefreshToken: fuzzSession, RequestsPerSecond: 1e6,
		Transport: conformance.Said(func(*http.Request) (int, http.Header, []byte) { return status, header, body }),
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// brokenRow is what no repetition makes JSON.
var brokenRow = []byte("{\"tid\":2,\"title\":\"a\x08b\"}")

// asked asks for a list to which the platform says one thing.
func asked(t *testing.T, status int, header http.Header, body []byte) (connectors.Rows, error) {
	t.Helper()
	return told(t, status, header, body).rows(t.Context(), orderList, map[string]string{"fields": "tid"}, "trades", "trade", "total_results")
}

// Whatever the platform answers to a call for a list: rows are given, each as it
// stands in the answer, or an error that repeats nothing of it, and never both.
func FuzzAnswer(f *testing.F) {
	conformance.FuzzAnswer(f, codes, []string{
		`{"trades_sold_increment_get_response":{"total_results":2,"trades":{"trade":[{"tid":2300000000000000001,"buyer_nick":"测**"},{"tid":2}]},"request_id":"r1"}}`,
		`{"trades_sold_increment_get_response":{"has_next":"true","trades":[{"tid":"1"}]}}`,
		`{"trades_sold_increment_get_response":{"trades":{"trade":{"tid":1}}}}`,
		`{"trades_sold_increment_get_response":{"total_results":1,"trades":{"trade":[` + string(brokenRow) + `]}}}`,
		`{"trades_sold_increment_get_response":null}`, `{"trades_sold_increment_get_response":{"request_id":"r"}}`,
		`{"error_response":{"code":15,"msg":"Remote service error","sub_code":"isv.invalid-parameter:fields","sub_msg":"买家测试 13900001234","request_id":"abc126demo"}}`,
		`{"error_response":{"code":7,"sub_code":"accesscontrol.limited-by-api-access-count","sub_msg":"This ban will last for 1 more seconds"}}`,
		`{"error_response":{"code":27,"msg":"令牌/session"}}`, `{"error_response":{"code":31}}`, `{"error_response":[]}`, `<html>502</html>`, ``,
	}, asked, func(t *testing.T, body []byte, got connectors.Rows, err error) {
		if said := string(body); err == nil && got.Rows == nil && !strings.Contains(said, "total_results") && !strings.Contains(said, "has_next") && !strings.Contains(said, "trades\"") && !strings.Contains(said, `\u`) {
			t.Errorf("what says nothing of rows is taken for no rows: %q", said)
		}
	})
}

// Each row of a list comes as it is, one that is broken by itself: it costs none of
// the others.
func FuzzRows(f *testing.F) {
	f.Add(`{"tid":1,"orders":{"order":[{"oid":1}]}}`+"\n"+`{"tid":2,"title":"a]}"}`, uint8(1))
	f.Add("1\nnull\n\"text\"\n[]\n{}", uint8(9))
	f.Add("{\"has_next\":false}\n{\"title\":\"\\\\\"}", uint8(0))
	f.Fuzz(func(t *testing.T, text string, at uint8) {
		conformance.WantRows(t, text, at, brokenRow, func(rows []byte, total int) []byte {
			return fmt.Appendf(nil, `{"trades_sold_increment_get_response":{"total_results":%d,"trades":{"trade":[%s]},"request_id":"r"}}`, total, rows)
		}, asked)
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
			body = fmt.Appendf(nil, `{"top_auth_token_refresh_response":{"token_result":%s,"request_id":"r"}}`, conformance.Quoted(body))
		}
		conformance.WantGrant(t, codes, func(t *testing.T) (connectors.Token, error) {
			return told(t, 200, nil, body).client.renew(t.Context(), connectors.Token{Access: "old", Refresh: fuzzSession})
		}, nil)
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
