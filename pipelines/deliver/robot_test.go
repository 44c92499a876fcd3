package deliver

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"oneid/internal/httpclient"
	"oneid/internal/kafka"
	"oneid/schemas/events"
)

// Vectors that were computed by another program.
func TestRobotsSign(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ stamp, secret, want string }{
		{"1700000000000", "SECtest0123456789abcdef", "/lfnxUUu80FwVTsIlv2F1cMGBb+PxEKAwYh/bsRxXcc="},
		{"1735689600000", "SEC" + strings.Repeat("0", 60) + "demo", "tq7v9xhGY1mQiJbAKDAxGfqcMjZUPFNicedtmck4jQk="},
		{"1767225600123", "SEC-oneid-demo", "A4uPM+M3PROJKpBxRKoj5ZJmwG3BFWbELD3j32kvYhg="},
	} {
		if got := signDingTalk(c.stamp, c.secret); got != c.want {
			t.Errorf("DingTalk %s: %s, want %s", c.stamp, got, c.want)
		}
	}
	for _, c := range []struct{ stamp, secret, want string }{
		{"1700000000", "larkDemoSecret01", "R85R/RNxc8VDSusOrScscugs9yiA45Kk555O8guTs9o="},
		{"1735689600", "oneid-lark-secret", "2m3rjcEdoPegBSOcnvfdwRSFIFAlQ5Kyg9BX75Y5Gto="},
		{"1767225600", "abcDEF123", "11JL1PL0X83w54O4HcbMeH3HviMGjZQwfULzXv4T+TA="},
	} {
		if got := signFeishu(c.stamp, c.secret); got != c.want {
			t.Errorf("Feishu %s: %s, want %s", c.stamp, got, c.want)
		}
	}
	// In the query the signature is percent-encoded.
	r, base, err := newRobot(DingTalk, "https://oapi.example/robot/send?access_token=T", "SECtest0123456789abcdef")
	if err != nil || base != "https://oapi.example/robot/send" {
		t.Fatalf("%s, %v", base, err)
	}
	request, err := r.request("x", time.UnixMilli(1700000000000))
	if err != nil {
		t.Fatal(err)
	}
	if want := "access_token=T&sign=%2FlfnxUUu80FwVTsIlv2F1cMGBb%2BPxEKAwYh%2FbsRxXcc%3D&timestamp=1700000000000"; request.Query.Encode() != want {
		t.Errorf("the query is %s, want %s", request.Query.Encode(), want)
	}
}

// What each code means: what is to be waited for, and for how long; what is
// final; and what is no answer of a robot. No word of the answer is repeated.
func TestRobotsRefuse(t *testing.T) {
	t.Parallel()
	client, err := httpclient.New(httpclient.Config{BaseURL: "https://robot.example"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		format, body string
		status       int
		good, again  bool
		wait         time.Duration
	}{
		{WeCom, `{"errcode":0,"errmsg":"ok"}`, 200, true, false, 0},
		{WeCom, `{"errcode":93000,"errmsg":"SAID"}`, 200, false, false, 0},
		{WeCom, `{"errcode":45009,"errmsg":"SAID"}`, 200, false, true, time.Minute},
		{WeCom, `{"errcode":99999,"errmsg":"SAID"}`, 200, false, false, 0},
		{DingTalk, `{"errcode":0}`, 200, true, false, 0},
		{DingTalk, `{"errcode":310000,"errmsg":"SAID"}`, 200, false, false, 0},
		{DingTalk, `{"errcode":90030,"errmsg":"SAID"}`, 200, false, true, 10 * time.Minute},
		{Feishu, `{"code":0}`, 200, true, false, 0},
		{Feishu, `{"StatusCode":0,"StatusMessage":"success"}`, 200, true, false, 0},
		{Feishu, `{"code":19021,"msg":"SAID"}`, 200, false, false, 0},
		{Feishu, `{"code":11232,"msg":"SAID"}`, 200, false, true, time.Minute},
		{Feishu, `{}`, 200, false, true, 0},
		{WeCom, `<html>SAID</html>`, 200, false, true, 0},
		{WeCom, `{"errcode":0}`, 502, false, true, 0},
	} {
		r := &robot{format: c.format}
		err := r.check(client, httpclient.Response{Status: c.status, Body: []byte(c.body)})
		var call *httpclient.Error
		if c.good {
			if err != nil {
				t.Errorf("%s %s: %v", c.format, c.body, err)
			}
			continue
		}
		if !errors.As(err, &call) || call.Again != c.again || call.Wait != c.wait || strings.Contains(err.Error(), "SAID") {
			t.Errorf("%s %s: %v (again %v after %v); want again %v after %v", c.format, c.body, err, call != nil && call.Again, call, c.again, c.wait)
		}
		if c.wait > 0 && !isAway(err) {
			t.Errorf("%s %s: it is not waited for", c.format, c.body)
		}
	}
}

func TestRobotsText(t *testing.T) {
	t.Parallel()
	r := &robot{format: WeCom}
	long := r.text("brand", &events.Alert{Kind: "connector", Subject: "tmall/2200000000001/orders", Detail: strings.Repeat("错误", 2000)})
	if len(long) > maxText || !utf8.ValidString(long) || !strings.HasSuffix(long, "…") {
		t.Errorf("a long text has %d bytes, valid %v", len(long), utf8.ValidString(long))
	}
	// An alert should hold no buyer's number; if it does, the chat does not see it.
	text := r.text("brand", &events.Alert{Kind: "connector", Subject: "tmall/2200000000001/orders", Detail: "buyer 13800001111 at shop 2200000000001, 13900002222"})
	if strings.Contains(text, "1380000") || strings.Contains(text, "1390000") || !strings.Contains(text, "shop 2200000000001") || !strings.Contains(text, "OneID") {
		t.Errorf("the text is %s", text)
	}
	for name, c := range map[string][3]string{
		"unknown format":           {"slack", "https://h.example/x", ""},
		"no address":               {WeCom, "here", ""},
		"a secret where none is":   {WeCom, "https://h.example/x?key=K", "S"},
		"an address that is broke": {Feishu, "https://h.example/%zz", ""},
	} {
		if _, _, err := newRobot(c[0], c[1], c[2]); err == nil || strings.Contains(err.Error(), "h.example") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// group is a group chat with a robot, which checks what it is told.
type group struct {
	t    *testing.T
	mu   sync.Mutex
	said []string
	// throttled is how many messages are refused as too many, with HTTP 200.
	throttled int
}

func (g *group) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var m struct {
		MsgType string `json:"msgtype"`
		Text    struct{ Content string }
		Kind    string `json:"msg_type"`
		Content struct{ Text string }
		Sign    string
		Stamp   string `json:"timestamp"`
	}
	if err := json.Unmarshal(body, &m); err != nil {
		g.t.Errorf("the body is no JSON: %v", err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	answer := `{"errcode":0}`
	switch q := r.URL.Query(); {
	case g.throttled > 0:
		g.throttled--
		w.WriteHeader(http.StatusTooManyRequests) // as a proxy would; the codes are tested alone, since they wait for minutes
		return
	case r.URL.Path == "/wecom" && q.Get("key") == "K" && m.MsgType == "text":
		g.said = append(g.said, "wecom "+m.Text.Content)
	case r.URL.Path == "/ding" && q.Get("access_token") == "T" && m.MsgType == "text" && q.Get("sign") == signDingTalk(q.Get("timestamp"), "SECx"):
		g.said = append(g.said, "ding "+m.Text.Content)
	case r.URL.Path == "/feishu/hook" && m.Kind == "text" && m.Sign == signFeishu(m.Stamp, "larkx") && closeTo(m.Stamp):
		g.said = append(g.said, "feishu "+m.Content.Text)
		answer = `{"code":0}`
	default:
		g.t.Errorf("a robot was told %s %s", r.URL.Path, body)
	}
	_, _ = io.WriteString(w, answer)
}

func closeTo(stamp string) bool {
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	return err == nil && time.Since(time.Unix(seconds, 0)).Abs() < time.Minute
}

// Red and green again reach each robot, once each, though one refuses at first,
// two instances notice both at the same moment, both deliver, and they are
// started anew.
func TestRobotsAreToldOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	g := &group{t: t, throttled: 1}
	server := httptest.NewServer(g)
	defer server.Close()
	robots := []Webhook{
		{Name: "wecom", URL: server.URL + "/wecom?" + url.Values{"key": {"K"}}.Encode(), Format: WeCom},
		{Name: "ding", URL: server.URL + "/ding?access_token=T", Format: DingTalk, Secret: "SECx"},
		{Name: "feishu", URL: server.URL + "/feishu/hook", Format: Feishu, Secret: "larkx"},
	}
	start := func() (stop func()) {
		d, err := New(Config{Brand: r.brand, Kafka: r.client, Keys: r.keys, Alerts: robots, Log: slog.New(slog.DiscardHandler), RobotsPerSecond: 1000, Together: 10 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- d.Run(ctx) }()
		return func() {
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("Run: %v", err)
			}
		}
	}
	publish := func(state events.AlertState, at int64) {
		value, err := proto.Marshal(&events.Alert{AlertId: "connector|tmall/s/orders|" + strconv.FormatInt(at, 10), Kind: "connector", Subject: "tmall/s/orders", State: state, Detail: "re-authorise", ChangedMs: at})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.publisher.Publish(t.Context(), []kafka.Message{{Topic: r.topics.Alerts, Key: []byte("connector/tmall/s/orders"), Value: value}}); err != nil {
			t.Fatal(err)
		}
	}
	heard := func(want int) []string {
		t.Helper()
		for end := time.Now().Add(5 * time.Minute); ; time.Sleep(10 * time.Millisecond) {
			g.mu.Lock()
			said := slices.Clone(g.said)
			g.mu.Unlock()
			if len(said) >= want || time.Now().After(end) {
				return said
			}
		}
	}
	now := time.Now().UnixMilli()
	stop, stopOther := start(), start()
	publish(events.AlertState_ALERT_STATE_RAISED, now)
	publish(events.AlertState_ALERT_STATE_RAISED, now+1)
	heard(3)
	stop()
	stopOther()
	stop = start()
	publish(events.AlertState_ALERT_STATE_RAISED, now+2) // it looks anew
	publish(events.AlertState_ALERT_STATE_CLEARED, now+3)
	publish(events.AlertState_ALERT_STATE_CLEARED, now+4)
	publish(events.AlertState_ALERT_STATE_RAISED, now+5)
	said := heard(9)
	stop()
	if len(said) != 9 {
		t.Fatalf("the robots said %d things, want 9:\n%s", len(said), strings.Join(said, "\n"))
	}
	for _, name := range []string{"wecom", "ding", "feishu"} {
		var of []string
		for _, text := range said {
			if rest, ok := strings.CutPrefix(text, name+" "); ok {
				of = append(of, rest)
			}
		}
		if len(of) != 3 || !strings.HasPrefix(of[0], "❗ OneID "+r.brand+": connector tmall/s/orders\nre-authorise") || !strings.HasPrefix(of[1], "✅ ") || !strings.HasPrefix(of[2], "❗ ") {
			t.Errorf("%s said %q", name, of)
		}
	}
}
