package deliver

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"oneid/schemas/events"
)

// face is a platform that has one robot, written from its documentation and from
// nothing of this package: it refuses as the platform does, with HTTP 200 and a
// code in the body, and holds a robot to its rate.
type face struct {
	format string
	secret string // of a robot that is signed for
	said   []string
	// refused counts the refusals by code.
	refused map[int]int
	at      []time.Time // when messages came
	blocked time.Time
}

// rates are how many messages a robot may get in which time.
var rates = map[string]map[time.Duration]int{
	WeCom:    {time.Minute: 20},
	DingTalk: {time.Minute: 20},
	Feishu:   {time.Minute: 100, time.Second: 5},
}

func (f *face) hmac(key, message string) string {
	h := hmac.New(sha256.New, []byte(key))
	_, _ = io.WriteString(h, message)
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// near says whether a timestamp in a unit is within an hour of now.
func near(stamp string, unit time.Duration) bool {
	n, err := strconv.ParseInt(stamp, 10, 64)
	return err == nil && math.Abs(float64(time.Now().UnixNano())-float64(n)*float64(unit)) <= float64(time.Hour)
}

// often says whether one more message now is too many.
func (f *face) often() bool {
	now := time.Now()
	if now.Before(f.blocked) {
		return true
	}
	f.at = append(f.at, now)
	for in, most := range rates[f.format] {
		n := 0
		for _, at := range f.at {
			if now.Sub(at) < in {
				n++
			}
		}
		if n > most {
			if f.format == DingTalk {
				f.blocked = now.Add(10 * time.Minute)
			}
			return true
		}
	}
	return false
}

// judge is the code that a message gets, and its text.
func (f *face) judge(r *http.Request, body []byte) (code int, text string) {
	var m struct {
		MsgType string `json:"msgtype"`
		Text    struct {
			Content string `json:"content"`
		} `json:"text"`
		Kind    string `json:"msg_type"`
		Content struct {
			Text string `json:"text"`
		} `json:"content"`
		Timestamp string `json:"timestamp"`
		Sign      string `json:"sign"`
	}
	form := r.Method == http.MethodPost && strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") && utf8.Valid(body) && json.Unmarshal(body, &m) == nil
	q := r.URL.Query()
	switch f.format {
	case WeCom:
		switch {
		case r.URL.Path != "/cgi-bin/webhook/send" || q.Get("key") != "K":
			return 93000, ""
		case !form || m.MsgType != "text" || m.Text.Content == "" || len(m.Text.Content) > 2048:
			return 40058, ""
		case f.often():
			return 45009, ""
		}
		return 0, m.Text.Content
	case DingTalk:
		stamp := q.Get("timestamp")
		switch {
		case r.URL.Path != "/robot/send" || q.Get("access_token") != "T":
			return 300001, ""
		case !form || m.MsgType != "text" || m.Text.Content == "":
			return 40035, ""
		case f.secret != "" && (!near(stamp, time.Millisecond) || q.Get("sign") != f.hmac(f.secret, stamp+"\n"+f.secret)):
			return 310000, ""
		case f.secret == "" && !strings.Contains(m.Text.Content, "OneID"): // the keyword of one that is not signed for
			return 310000, ""
		case f.often():
			return 90030, ""
		}
		return 0, m.Text.Content
	}
	switch {
	case r.URL.Path != "/open-apis/bot/v2/hook/H" || !form || m.Kind != "text" || m.Content.Text == "" || len(body) > 20<<10:
		return 9499, ""
	case f.secret != "" && (!near(m.Timestamp, time.Second) || m.Sign != f.hmac(m.Timestamp+"\n"+f.secret, "")):
		return 19021, ""
	case f.secret == "" && !strings.Contains(m.Content.Text, "OneID"):
		return 19024, ""
	case f.often():
		return 11232, ""
	}
	return 0, m.Content.Text
}

// RoundTrip implements http.RoundTripper.
func (f *face) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	code, text := f.judge(r, body)
	if code == 0 {
		f.said = append(f.said, text)
	} else {
		f.refused[code]++
	}
	answer := fmt.Sprintf(`{"errcode":%d,"errmsg":"SAID"}`, code)
	if f.format == Feishu {
		answer = fmt.Sprintf(`{"code":%d,"msg":"SAID","data":{}}`, code)
	}
	return &http.Response{
		StatusCode: http.StatusOK, Status: "200 OK", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader([]byte(answer))), ContentLength: int64(len(answer)),
	}, nil
}

var robotAddresses = map[string]string{
	WeCom:    "https://qyapi.example/cgi-bin/webhook/send?key=K",
	DingTalk: "https://oapi.example/robot/send?access_token=T",
	Feishu:   "https://open.example/open-apis/bot/v2/hook/H",
}

// toFace is a deliverer with one robot, at a face.
func toFace(t *testing.T, f *face, address, secret string) (*Deliverer, *hook) {
	t.Helper()
	f.refused = make(map[int]int)
	d, err := New(Config{Brand: "b", Transport: f, Alerts: []Webhook{{Name: "chat", Format: f.format, URL: address, Secret: secret}}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return d, d.alerts[0]
}

func anAlert(no int) *events.Alert {
	return &events.Alert{Kind: "connector", Subject: fmt.Sprintf("tmall/s%d/orders", no), State: events.AlertState_ALERT_STATE_RAISED, Detail: strings.Repeat("订单停了 ", 400), ChangedMs: time.Now().UnixMilli()}
}

// A storm of alerts comes through each platform's door whole, in order, signed as
// it wants, and is never refused for its rate.
func TestRobotsKeepTheirRate(t *testing.T) {
	t.Parallel()
	const storm = 90
	for format, address := range robotAddresses {
		for _, secret := range []string{"", "SEC-of-a-robot"} {
			if format == WeCom && secret != "" {
				continue
			}
			synctest.Test(t, func(t *testing.T) {
				f := &face{format: format, secret: secret}
				d, h := toFace(t, f, address, secret)
				for no := range storm {
					if err := d.alert(t.Context(), h, anAlert(no)); err != nil {
						t.Fatalf("%s: %v", format, err)
					}
				}
				if len(f.said) != storm || len(f.refused) != 0 {
					t.Fatalf("%s, secret %q: %d of %d were said, refused were %v", format, secret, len(f.said), storm, f.refused)
				}
				for no, said := range f.said {
					if !strings.Contains(said, fmt.Sprintf("tmall/s%d/orders\n", no)) {
						t.Errorf("%s: message %d is %.60q", format, no, said)
					}
				}
			})
		}
	}
}

// One who shares the robot has used its rate up: the message waits for as long as
// the platform wants, and is said once.
func TestRobotsWaitForTheirTurn(t *testing.T) {
	t.Parallel()
	for format, c := range map[string]struct {
		code     int
		at, most time.Duration
	}{
		WeCom: {45009, time.Minute, 2 * time.Minute}, DingTalk: {90030, 10 * time.Minute, 11 * time.Minute}, Feishu: {11232, time.Minute, 2 * time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := &face{format: format}
			d, h := toFace(t, f, robotAddresses[format], "")
			for range 100 {
				f.at = append(f.at, time.Now())
			}
			began := time.Now()
			err := d.alert(t.Context(), h, anAlert(1))
			took := time.Since(began)
			if err != nil || len(f.said) != 1 || f.refused[c.code] != 1 || took < c.at || took > c.most {
				t.Errorf("%s: %v; said %d times after %s, refused %v", format, err, len(f.said), took, f.refused)
			}
		})
	}
}

// What no waiting cures is an error at once, and final: the wrong key, the wrong
// secret, no secret where one is asked for.
func TestRobotsThatAreSetUpWrongly(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		format, address, secret string
		code                    int
	}{
		"WeCom, another key":      {WeCom, "https://qyapi.example/cgi-bin/webhook/send?key=X", "", 93000},
		"DingTalk, another token": {DingTalk, "https://oapi.example/robot/send?access_token=X", "SEC-of-a-robot", 300001},
		"DingTalk, no secret":     {DingTalk, robotAddresses[DingTalk], "", 310000},
		"DingTalk, another":       {DingTalk, robotAddresses[DingTalk], "SEC-another", 310000},
		"Feishu, no secret":       {Feishu, robotAddresses[Feishu], "", 19021},
		"Feishu, another":         {Feishu, robotAddresses[Feishu], "another", 19021},
		"Feishu, another hook":    {Feishu, "https://open.example/open-apis/bot/v2/hook/X", "SEC-of-a-robot", 9499},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := &face{format: c.format, secret: "SEC-of-a-robot"}
			if c.format == WeCom {
				f.secret = ""
			}
			d, h := toFace(t, f, c.address, c.secret)
			began := time.Now()
			err := d.alert(t.Context(), h, anAlert(1))
			if err == nil || isAway(err) || !strings.Contains(err.Error(), strconv.Itoa(c.code)) || strings.Contains(err.Error(), "SAID") || time.Since(began) > time.Minute {
				t.Errorf("%s: %v after %s; want code %d, final", name, err, time.Since(began), c.code)
			}
			if strings.Contains(fmt.Sprint(err), "key=") || strings.Contains(fmt.Sprint(err), "hook/") {
				t.Errorf("%s: the error has the robot's address: %v", name, err)
			}
		})
	}
}
