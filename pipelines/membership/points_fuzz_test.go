package membership

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// saying is a source of points that says one thing.
type saying struct {
	status int
	body   []byte
	asked  func(r *http.Request)
}

// RoundTrip implements http.RoundTripper.
func (s saying) RoundTrip(r *http.Request) (*http.Response, error) {
	s.asked(r)
	return &http.Response{StatusCode: s.status, Status: http.StatusText(s.status), Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(s.body)), Request: r}, nil
}

// sourceError is what an error of the source says: nothing of the question, and of
// the answer its status.
var sourceError = regexp.MustCompile(`^membership: (the source of points answers [A-Za-z' -]*|the source of points answers with something else than \{"points":…,"level":…,"card_no":…\})$`)

// Whatever the source answers: points that it says, or an error, which repeats
// neither whom it was asked about nor what it said; and it was asked in the body
// alone, signed as a webhook.
func FuzzSource(f *testing.F) {
	for _, body := range []string{`{"points":120,"level":"2","card_no":"1"}`, `{"points":0}`, `{"points":-1}`, `{"POINTS":1}`, `{"points":1.0}`, `{"points":9223372036854775808}`, `{"points":null}`, `{"code":500}`, `null`, `<html>`, ``} {
		f.Add(uint16(0), []byte(body), "AAGdemo", phoneP)
	}
	f.Add(uint16(204), []byte(``), "测试\n", "\xff")
	f.Fuzz(func(t *testing.T, status uint16, body []byte, account, phone string) {
		about, code, questions := About{Platform: "tmall", Shop: "s", Account: account, Phone: phone}, 200+int(status%400), 0
		points, err := Source(SourceConfig{URL: "http://points.example/ask", Secret: sourceSecret, Transport: saying{code, body, func(r *http.Request) {
			questions++
			question, _ := io.ReadAll(r.Body) // a buffer's
			var got asked
			valid := strings.ToValidUTF8(account, "\uFFFD") == account && strings.ToValidUTF8(phone, "\uFFFD") == phone
			if json.Unmarshal(question, &got) != nil || valid && About(got) != about || r.URL.String() != "http://points.example/ask" {
				t.Errorf("asked %q at %s", question, r.URL)
			}
			mac := hmac.New(sha256.New, []byte(sourceSecret))
			mac.Write([]byte(r.Header.Get("Webhook-Id") + "." + r.Header.Get("Webhook-Timestamp") + "." + string(question)))
			if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); r.Header.Get("Webhook-Signature") != want {
				t.Errorf("signed %q, want %q", r.Header.Get("Webhook-Signature"), want)
			}
		}}})
		if err != nil {
			t.Fatal(err)
		}
		standing, err := points(context.Background(), about)
		switch {
		case questions != 1:
			t.Errorf("asked %d times", questions)
		case err != nil:
			if standing != (Standing{}) || !sourceError.MatchString(err.Error()) {
				t.Errorf("%+v beside %q", standing, err)
			}
		case code == http.StatusNotFound:
			if standing != (Standing{}) {
				t.Errorf("nobody has %+v", standing)
			}
		default:
			again, ok := standingOf(fmtStanding(standing))
			if code != http.StatusOK || standing.Points < 0 || !json.Valid(body) || !ok || again != standing {
				t.Errorf("%q of status %d became %+v", body, code, standing)
			}
		}
	})
}

// fmtStanding is an answer that says so.
func fmtStanding(s Standing) []byte {
	text, _ := json.Marshal(map[string]any{"points": s.Points, "level": s.Level, "card_no": s.Card}) // texts and numbers always have a JSON form
	return text
}
