package tmall

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oneid/connectors"
	"oneid/connectors/simulator"
)

// listener is a connector that listens to a simulated shop.
func listener(t *testing.T, opts simulator.TmallOptions, change func(*Config)) (*Connector, *simulator.World, *httptest.Server) {
	t.Helper()
	world, err := simulator.New(simulator.Config{People: 400, Seed: 1, Until: time.Now().Add(-time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(simulator.Tmall(world, opts))
	t.Cleanup(server.Close)
	e := simulator.EndpointsOf(world, server.URL, server.URL, server.URL).Tmall
	cfg := Config{
		URL: e.URL, AppKey: e.AppKey, AppSecret: e.AppSecret, Session: e.Session, RequestsPerSecond: 100000,
		Messages: true, MessageURL: strings.Replace(server.URL, "http", "ws", 1),
	}
	if change != nil {
		change(&cfg)
	}
	c, err := New(e.Shop, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c, world, server
}

// A message that could not be kept comes again, also over another connection;
// one that was kept does not.
func TestMessagesComeUntilTheyAreKept(t *testing.T) {
	t.Parallel()
	c, world, server := listener(t, simulator.TmallOptions{MessagesAgain: 300 * time.Millisecond}, nil)
	orders := make(map[string]bool)
	for i := range uint64(20) {
		o, err := world.ChangeAny(simulator.PlatformTmall, i*0x9e3779b97f4a7c15, time.Now())
		if err != nil {
			break
		}
		orders[o.Number] = true
	}
	if len(orders) < 3 {
		t.Fatalf("%d orders changed: the test tests nothing", len(orders))
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var mu sync.Mutex
	tries, kept := make(map[string]int), make(map[string]bool)
	done := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- c.Listen(ctx, func(_ context.Context, messages []connectors.Message) error {
			mu.Lock()
			defer mu.Unlock()
			for _, m := range messages {
				if tries[m.ID]++; tries[m.ID] < 3 {
					if tries[m.ID] == 2 {
						server.CloseClientConnections()
					}
					return context.DeadlineExceeded
				}
				if kept[m.ID] = true; len(kept) == len(orders) && !kept["done"] {
					kept["done"] = true
					close(done)
				}
			}
			return nil
		})
	}()
	select {
	case <-done:
	case <-time.After(5 * time.Minute):
		t.Fatalf("kept %d of %d orders", len(kept), len(orders))
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// The vector is independent of this code: it comes with the facts on the
// platform.
func TestMessageSign(t *testing.T) {
	if got := messageSign("secret-demo-0001", "23000001", "default", "1716136500000"); got != "7A8E88A450CA12C3A2E122F5AA64A51B" {
		t.Errorf("sign is %s", got)
	}
}

// Who is not let in stops, and says what to look at.
func TestMessagesRefused(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Config){
		"another group": func(c *Config) { c.MessageGroup = "another" },
	} {
		c, _, _ := listener(t, simulator.TmallOptions{}, change)
		err := c.Listen(t.Context(), func(context.Context, []connectors.Message) error { return nil })
		if !errors.Is(err, connectors.ErrUnauthorized) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c, _, _ := listener(t, simulator.TmallOptions{}, nil)
	for name, change := range map[string]func(*Config){
		"another secret": func(cfg *Config) { cfg.AppSecret = "another" },
		"another app":    func(cfg *Config) { cfg.AppKey = "1" },
	} {
		other := *c // its calls are signed with the right keys
		change(&other.cfg)
		err := other.Listen(t.Context(), func(context.Context, []connectors.Message) error { return nil })
		if !errors.Is(err, connectors.ErrUnauthorized) || strings.Contains(err.Error(), "another") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReadMessage(t *testing.T) {
	t.Parallel()
	type about struct{ Shop, Stream, ID string }
	for name, c := range map[string]struct {
		topic   string
		content any
		user    any
		want    []about
		errs    int
	}{
		"paid":                          {"taobao_trade_TradeBuyerPay", `{"tid":3700000000000000101,"oid":1}`, int64(7), []about{{"", Orders, "3700000000000000101"}}, 0},
		"of another seller":             {"taobao_trade_TradeBuyerPay", `{"tid":1}`, int64(8), []about{{"user 8", Orders, "1"}}, 0},
		"a refund":                      {"taobao_refund_RefundSuccess", `{"refund_id":"17","tid":3}`, "7", []about{{"", Tickets, "17"}, {"", Orders, "3"}}, 0},
		"an exchange":                   {"taobao_dispute_ExchangeCreated", `{"refund_id":17,"tid":3,"biz_claim_type":4}`, nil, []about{{"", Orders, "3"}}, 0},
		"another exchange":              {"taobao_dispute_ExchangeCreated", `{"refund_id":17,"tid":3,"biz_claim_type":"6"}`, nil, []about{{"", Orders, "3"}}, 0},
		"a claim that is a refund":      {"taobao_refund_RefundCreated", `{"refund_id":17,"tid":3,"biz_claim_type":"1"}`, nil, []about{{"", Tickets, "17"}, {"", Orders, "3"}}, 0},
		"compressed":                    {"taobao_trade_TradeBuyerPay", gzipped(t, `{"tid":3}`), nil, []about{{"", Orders, "3"}}, 0},
		"bytes that are not compressed": {"taobao_trade_TradeBuyerPay", []byte(`{"tid":3}`), nil, []about{{"", Orders, "3"}}, 0},
		"compressed and cut off":        {"taobao_trade_TradeBuyerPay", gzipped(t, `{"tid":3}`)[:20], nil, []about{{}}, 1},
		"compressed, and too large":     {"taobao_trade_TradeBuyerPay", gzipped(t, `{"tid":3}`+strings.Repeat(" ", maxContent)), nil, []about{{}}, 1},
		"points":                        {"tmall_mei_PointChange", `{}`, nil, []about{{}}, 0},
		"no trade":                      {"taobao_trade_TradeClose", `{}`, nil, []about{{}}, 1},
		"no refund":                     {"taobao_refund_RefundClosed", `{"tid":3}`, nil, []about{{}}, 1},
		"not JSON":                      {"taobao_trade_TradeClose", `<xml/>`, nil, []about{{}}, 1},
		"nothing of a refund":           {"taobao_refund_RefundClosed", ``, nil, []about{{}}, 1},
	} {
		var got []about
		errs := 0
		for _, m := range readMessage(map[string]any{"topic": c.topic, "content": c.content, "userid": c.user}, "7") {
			got = append(got, about{m.Shop, m.Stream, m.ID})
			if m.Err != nil {
				errs++
			}
		}
		if d := cmp.Diff(c.want, got); d != "" || errs != c.errs {
			t.Errorf("%s: %d errors, want %d (-want +got):\n%s", name, errs, c.errs, d)
		}
	}
}

// gzipped is a content as the service gives a long one.
func gzipped(t *testing.T, content string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// A frame that was written is read as it was; whatever else comes is an error
// and no panic, and so is what stands in a message.
func FuzzFrame(f *testing.F) {
	f.Add(encodeFrame(frameSend, "token", field{kindField, byte(kindData)}, field{"id", int64(-1)}, field{"topic", "taobao_trade_TradeBuyerPay"}, field{"content", `{"tid":1}`}))
	f.Add(encodeFrame(frameConnectAck, "token"))
	f.Add([]byte{2, 1, 2, 0, 25, 0, 0, 0, 3, 0, 2, 0, 0, 0, 'n', 'o', 0, 0})
	f.Add([]byte{2, 2, 1, 0, 1, 0, 0, 0, 'a', 7, 255, 255, 255, 255, 0, 0})
	f.Add([]byte{2, 2, 1, 0, 7, 0, 0, 0, 'c', 'o', 'n', 't', 'e', 'n', 't', 7, 4, 0, 0, 0, 0x1f, 0x8b, 8, 0, 0, 0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		read, err := decodeFrame(raw)
		if err != nil {
			return
		}
		for _, m := range readMessage(read.fields, "1") {
			if (m.Stream == "") != (m.ID == "") || m.Err != nil && m.Stream != "" {
				t.Errorf("stream %q, number %q, %v", m.Stream, m.ID, m.Err)
			}
		}
		var fields []field
		for name, value := range read.fields {
			switch value.(type) {
			case string, int64:
				fields = append(fields, field{name, value})
			}
		}
		again, err := decodeFrame(encodeFrame(read.kind, read.token, fields...))
		if err != nil || again.token != read.token {
			t.Fatalf("what was written is not read: %v", err)
		}
		for _, f := range fields {
			if again.fields[f.name] != f.value {
				t.Errorf("a field came back as %v", again.fields[f.name])
			}
		}
	})
}
