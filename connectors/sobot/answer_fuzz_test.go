package sobot

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"oneid/connectors"
	"oneid/connectors/conformance"
)

// told is a connector to which the desk says one thing, whatever it is asked but a
// token.
func told(t *testing.T, status int, header http.Header, body []byte) *Connector {
	t.Helper()
	c, err := New("desk", Config{
		URL: "http://sobot.example", AppID: "1", AppKey: conformance.FuzzSecret, RequestsPerSecond: 1e6,
		Transport: conformance.Said(func(r *http.Request) (int, http.Header, []byte) {
			if r.URL.Path == "/api/get_token" {
				return 200, nil, []byte(`{"ret_code":"000000","item":{"token":"` + conformance.FuzzSecret + `","expires_in":86400}}`)
			}
			return status, header, body
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// An hour of the desk's.
var fuzzWindow = connectors.Window{From: time.Unix(1767229200, 0), To: time.Unix(1767232800, 0)}

// asked asks for a list to which the desk says one thing.
func asked(t *testing.T, status int, header http.Header, body []byte) (connectors.Rows, error) {
	t.Helper()
	return told(t, status, header, body).page(t.Context(), fuzzWindow, 1, 50)
}

// Whatever the desk answers to a call for a list, and for one ticket: rows are given,
// or an error that repeats nothing of the answer, and never both.
func FuzzAnswer(f *testing.F) {
	conformance.FuzzAnswer(f, codes, []string{
		`{"ret_code":"000000","ret_msg":"ok","total_count":1,"items":[{"ticketid":"a","user_tels":"13900001234"}]}`,
		`{"ret_code":0,"total_count":"0","items":null}`, `{"ret_code":"000000","item":{"ticketid":"a"}}`, `{"ret_code":"000000","items":[1]}`, "{\"ret_code\":\"000000\",\"item\":{\"ticketid\":\"a\x08\"}}", "{\"ret_code\":\"000000\",\"items\":[{\"ticketid\":\"a\x08\"}]}",
		`{"ret_code":"900002","ret_msg":"秘密/secret"}`, `{"ret_code":"买家测试 13900001234"}`, `{"ret_code":[]}`, `<html>502</html>`, ``,
	}, asked, func(t *testing.T, body []byte, _ connectors.Rows, err error) {
		if code := connectors.LenientText(""); err == nil && json.Valid(body) {
			connectors.Members(body, func(name string, value json.RawMessage) {
				if name == "ret_code" {
					_ = code.UnmarshalJSON(value) // a text that is cut off is none of valid JSON
				}
			})
			if code == "" || strings.Trim(string(code), "0") != "" {
				t.Errorf("an answer of code %q is taken for a good one", code)
			}
		}
		one, err := told(t, http.StatusOK, nil, body).detail(t.Context(), "a")
		if err != nil {
			conformance.WantQuiet(t, err, codes)
		}
		broken, isBroken := connectors.Text(one)
		if err != nil && one != nil || err == nil && (!connectors.Valid(one) || !isBroken && (one[0] != '{' || !bytes.Contains(body, one)) || isBroken && broken[0] != '{') {
			t.Errorf("the ticket %q, %v", one, err)
		}
	})
}

// Each row of a list comes as it is, and one that is broken by itself: it costs none
// of the others.
func FuzzRows(f *testing.F) {
	f.Add(`{"ticketid":"1","deals":[{"a":1}]}`+"\n"+`{"ticketid":2,"subject":"a]}"}`, uint8(1))
	f.Add("1\nnull\n\"text\"\n[]\n{}", uint8(9))
	broken := []byte("{\"ticketid\":2,\"subject\":\"a\x08b\"}") // what no repetition makes JSON
	f.Fuzz(func(t *testing.T, text string, at uint8) {
		conformance.WantRows(t, text, at, broken, func(rows []byte, total int) []byte {
			return fmt.Appendf(nil, `{"ret_code":"000000","total_count":%d,"items":[%s]}`, total, rows)
		}, asked)
	})
}

// Whatever the desk answers to a call for a token: one that can be kept as it is, or
// an error that says none of it.
func FuzzGrant(f *testing.F) {
	for _, body := range []string{
		`{"ret_code":"000000","ret_msg":"ok","item":{"token":"t","expires_in":86400}}`, `{"ret_code":"000000","item":{"token":1,"expires_in":"9223372036854775807"}}`,
		`{"ret_code":"000000","item":{"token":"t","expires_in":-1}}`, `{"ret_code":"000000","item":[]}`, `{"ret_code":"100001","ret_msg":"秘密/secret"}`, `{"ret_code":"000000"}`, `<html>`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		conformance.WantGrant(t, codes, func(t *testing.T) (connectors.Token, error) {
			c, err := New("desk", Config{
				URL: "http://sobot.example", AppID: "1", AppKey: conformance.FuzzSecret, RequestsPerSecond: 1e6,
				Transport: conformance.Said(func(*http.Request) (int, http.Header, []byte) { return 200, nil, body }),
			})
			if err != nil {
				t.Fatal(err)
			}
			return c.client.renew(t.Context(), connectors.Token{})
		}, func(t *testing.T, got connectors.Token, given time.Time) {
			if life := got.Expires.Sub(given); life <= 0 || life > tokenLives {
				t.Errorf("a token of %s", life)
			}
		})
	})
}

// The signatures are those that the desk describes; of other bytes they are others.
func FuzzSign(f *testing.F) {
	f.Add("appid01", "1700000000", "appkey01", []byte("PARAM"), uint16(3))
	f.Add("", "", "密", []byte{0xff}, uint16(0))
	f.Fuzz(func(t *testing.T, id, at, key string, body []byte, place uint16) {
		of := func(text string) string {
			sum := md5.Sum([]byte(text))
			return hex.EncodeToString(sum[:])
		}
		if got, want := tokenSign(id, at, key), of(id+at+key); got != want {
			t.Errorf("a token's call is signed %s, want %s", got, want)
		}
		signed := pushSign(id, at, key, body)
		if want := of(id + at + key + string(body)); signed != want || !same(signed, want) {
			t.Errorf("a push is signed %s, want %s", signed, want)
		}
		if len(body) > 0 {
			body[int(place)%len(body)] ^= 1
			if same(signed, pushSign(id, at, key, body)) || same(signed, signed[1:]) {
				t.Error("other bytes have the same signature")
			}
		}
	})
}
