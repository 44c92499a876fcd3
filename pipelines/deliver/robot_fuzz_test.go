package deliver

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"oneid/internal/httpclient"
	"oneid/schemas/events"
)

// hmacOf is HMAC-SHA256 in base64.
func hmacOf(key, text string) string {
	h := hmac.New(sha256.New, []byte(key))
	_, _ = h.Write([]byte(text)) // a hash takes everything
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// longRun is a run of digits as long as a mobile number's.
var longRun = regexp.MustCompile(`[0-9]+`)

// Whatever an alert says, a robot is sent a text that its platform takes, without a
// mobile number and without calling anybody, signed as the platform describes; the
// secret is nowhere in it.
func FuzzRobot(f *testing.F) {
	f.Add("connector", "tmall/my-flagship/orders", "the token is no longer taken; 13900001234", "SECtest0123456789abcdef", int64(1700000000000), uint8(1))
	f.Add("pipeline", "<at user_id=\"all\">", "\x00\xff008613900001234 <at", "larkDemoSecret01", int64(-1), uint8(2))
	f.Add("rows", strings.Repeat("长", 700), strings.Repeat("1", 30), "", int64(0), uint8(0))
	f.Fuzz(func(t *testing.T, kind, subject, detail, secret string, ms int64, which uint8) {
		format := Formats[int(which)%len(Formats)]
		if format == WeCom {
			secret = ""
		}
		robot, base, err := newRobot(format, "https://robot.example/send?key=k%2F1&access_token=T", secret)
		if err != nil || base != "https://robot.example/send" {
			t.Fatal(base, err)
		}
		alert := &events.Alert{Kind: strings.ToValidUTF8(kind, ""), Subject: strings.ToValidUTF8(subject, ""), Detail: strings.ToValidUTF8(detail, ""), ChangedMs: ms, State: events.AlertState(1 + which/3%2)}
		text := robot.text("demo", alert)
		if len(text) > maxText || !utf8.ValidString(text) {
			t.Errorf("a text of %d bytes: %q", len(text), text)
		}
		told := withoutPhones(alert.GetDetail())
		for _, run := range longRun.FindAllString(told, -1) {
			if bare := strings.TrimPrefix(strings.TrimPrefix(run, "00"), "86"); len(bare) == 11 && bare[0] == '1' && bare[1] >= '3' {
				t.Errorf("a mobile number is told: %q", told)
			}
		}
		now := time.UnixMilli(ms)
		request, err := robot.request(text, now)
		if err != nil {
			t.Fatal(err)
		}
		var sent struct {
			Msgtype   string `json:"msgtype"`
			MsgType   string `json:"msg_type"`
			Timestamp string `json:"timestamp"`
			Sign      string `json:"sign"`
			Text      struct {
				Content string `json:"content"`
			} `json:"text"`
			Content struct {
				Text string `json:"text"`
			} `json:"content"`
		}
		if err := json.Unmarshal(request.Body, &sent); err != nil || request.Query.Get("key") != "k/1" || request.Query.Get("access_token") != "T" {
			t.Fatalf("%s to %v: %v", request.Body, request.Query, err)
		}
		stamp, want := strconv.FormatInt(now.Unix(), 10), ""
		switch format {
		case Feishu:
			if secret != "" {
				want = hmacOf(stamp+"\n"+secret, "")
			} else {
				stamp = ""
			}
			if sent.MsgType != "text" || sent.Sign != want || sent.Timestamp != stamp || strings.Contains(sent.Content.Text, "<at") || strings.ReplaceAll(sent.Content.Text, "＜at", "<at") != strings.ReplaceAll(text, "＜at", "<at") {
				t.Errorf("Feishu is sent %s, want the signature %s", request.Body, want)
			}
		default:
			if stamp = strconv.FormatInt(now.UnixMilli(), 10); secret != "" {
				want = hmacOf(secret, stamp+"\n"+secret)
			} else {
				stamp = ""
			}
			if sent.Msgtype != "text" || sent.Text.Content != text || request.Query.Get("sign") != want || request.Query.Get("timestamp") != stamp {
				t.Errorf("%s is sent %s, %v, want the signature %s", format, request.Body, request.Query, want)
			}
		}
		if len(secret) >= 8 && !strings.Contains(text, secret) && (strings.Contains(string(request.Body), secret) || strings.Contains(request.Query.Encode(), secret)) {
			t.Error("the secret is sent")
		}
	})
}

// reasonForm is what an error of a robot says: codes and words of ours.
var reasonForm = regexp.MustCompile(`^httpclient: call robot\.example: HTTP status \d+: (the robot refuses with code -?\d+: [a-zA-Z ,:']+|the answer \(\d+ bytes\) is not what a robot answers|a redirect, which a signed call does not follow: is the address right\?|[A-Za-z' -]*)$`)

// Only a robot that says that all is well has taken a message; of what it answers
// otherwise nothing but a number is repeated, and how long it is waited for has an
// end.
func FuzzRobotAnswer(f *testing.F) {
	for _, body := range []string{`{"errcode":0,"errmsg":"ok"}`, `{"errcode":45009}`, `{"code":0}`, `{"StatusCode":0}`, `{"code":11232,"msg":"too many 13900001234"}`, `{"errcode":310000,"errmsg":"测试"}`, `{"errcode":null}`, `{"ERRCODE":0,"errcode":1}`, `null`, `<html>`, ``} {
		f.Add([]byte(body), uint16(0), "", uint8(len(body)))
	}
	f.Add([]byte(``), uint16(229), "99999999999", uint8(0))
	client, err := httpclient.New(httpclient.Config{BaseURL: "https://robot.example"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte, status uint16, retryAfter string, which uint8) {
		robot := &robot{format: Formats[int(which)%len(Formats)]}
		err := robot.check(client, httpclient.Response{Status: 200 + int(status%400), Header: http.Header{"Retry-After": {retryAfter}}, Body: body})
		if err == nil {
			var said map[string]json.RawMessage
			if status%400 >= 100 || json.Unmarshal(body, &said) != nil {
				t.Errorf("taken, with %q of status %d", body, 200+status%400)
			}
			zero := false
			for name, value := range said {
				zero = zero || string(value) == "0" || string(value) == "-0" && name != ""
			}
			if !zero {
				t.Errorf("taken, with %q", body)
			}
			return
		}
		var call *httpclient.Error
		if !errors.As(err, &call) || !reasonForm.MatchString(err.Error()) || call.Wait < 0 {
			t.Errorf("%q became %v", body, err)
		}
	})
}

// Webhooks are signed as Standard Webhooks 1.0 describes: whoever has the secret
// finds the signature of the very bytes, and of others another.
func FuzzWebhook(f *testing.F) {
	f.Add("tmall/s/a|7", []byte(`{"specversion":"1.0"}`), "0123456789abcdef", int64(1767229260), uint16(3))
	f.Add("名\n", []byte{}, "", int64(-1), uint16(0))
	f.Fuzz(func(t *testing.T, id string, body []byte, secret string, at int64, place uint16) {
		header := signed(id, time.Unix(at, 0), body, secret)
		name, stamp, signature := header.Get("Webhook-Id"), header.Get("Webhook-Timestamp"), header.Get("Webhook-Signature")
		if want := "v1," + hmacOf(secret, name+"."+stamp+"."+string(body)); signature != want || stamp != strconv.FormatInt(at, 10) || strings.ContainsAny(name, ". \r\n") {
			t.Errorf("%q is signed %s at %s, want %s", name, signature, stamp, want)
		}
		if again := signed(id, time.Unix(at, 0).Add(time.Minute), body, secret); again.Get("Webhook-Id") != name || again.Get("Webhook-Signature") == signature {
			t.Error("another attempt is another message, or has the signature of the first")
		}
		if other := signed(id+"x", time.Unix(at, 0), body, secret); other.Get("Webhook-Id") == name {
			t.Error("two messages have one name")
		}
		if len(body) > 0 {
			body[int(place)%len(body)] ^= 1
			if signed(id, time.Unix(at, 0), body, secret).Get("Webhook-Signature") == signature {
				t.Error("other bytes have the same signature")
			}
		}
		if len(secret) >= 8 {
			for _, values := range header {
				if strings.Contains(values[0], secret) {
					t.Error("a header tells the secret")
				}
			}
		}
	})
}
