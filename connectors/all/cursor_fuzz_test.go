package all

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"oneid/connectors"
	"oneid/connectors/douyin"
	"oneid/connectors/sobot"
	"oneid/connectors/tmall"
	"oneid/connectors/weidian"
)

// asking is a network on which the first call ends the reading.
type asking struct {
	calls atomic.Int32
	end   context.CancelFunc
}

func (a *asking) RoundTrip(*http.Request) (*http.Response, error) {
	a.calls.Add(1)
	a.end()
	return nil, context.Canceled
}

// Whatever stands for a cursor: a connector reads on from it, or gives nothing; where
// it says that it cannot be read it has asked the platform for nothing, and it says
// alike of how far it reached.
func FuzzCursors(f *testing.F) {
	for _, text := range []string{
		"", "2026-01-01T00:00:00Z", string(connectors.CursorAt(time.Unix(1767229260, 0))), `{"v":1,"reached":"2026-01-01T08:00:00+08:00"}`,
		`{"v":1,"reached":"2026-01-01T00:00:00Z","missing_from":"2027-01-01T00:00:00Z","missing_to":"0001-01-01T00:00:00Z"}`, `{"v":2}`, "1 2026-01-01T00:00:00Z", "1 9999-12-31T23:59:59Z", "1 0001-01-01T00:00:01Z",
		"2 2026-01-01T00:00:00Z", `{"v":1,"reached":"0001-01-01T00:00:01Z"}`, `{"v":1,"reached":"9999-12-31T23:59:59Z"}`, "\x00", "another version's",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		synctest.Test(t, func(t *testing.T) {
			for platform, open := range map[string]func(network http.RoundTripper) (connectors.Connector, error){
				"tmall": func(network http.RoundTripper) (connectors.Connector, error) {
					return tmall.New("1", tmall.Config{URL: "http://tmall.example", AppKey: "1", AppSecret: "an-invented-secret", Session: "s", Transport: network})
				},
				"douyin": func(network http.RoundTripper) (connectors.Connector, error) {
					return douyin.New("1", douyin.Config{URL: "http://douyin.example", AppKey: "1", AppSecret: "an-invented-secret", Transport: network})
				},
				"weidian": func(network http.RoundTripper) (connectors.Connector, error) {
					return weidian.New("1", weidian.Config{URL: "http://weidian.example", AppKey: "1", AppSecret: "an-invented-secret", AccessToken: "t", Transport: network})
				},
				"sobot": func(network http.RoundTripper) (connectors.Connector, error) {
					return sobot.New("1", sobot.Config{URL: "http://sobot.example", AppID: "1", AppKey: "an-invented-key", Transport: network})
				},
			} {
				network := new(asking)
				c, err := open(network)
				if err != nil {
					t.Fatal(err)
				}
				for _, stream := range c.Spec().Streams {
					ctx, end := context.WithCancel(t.Context())
					network.end = end
					before := network.calls.Load()
					var got error
					pages := 0
					for _, err := range c.Read(ctx, stream.Name, connectors.Cursor(text)) {
						if got = err; err != nil {
							break
						}
						if pages++; pages > 100 {
							t.Fatalf("%s/%s: pages without a call", platform, stream.Name)
						}
					}
					foreign := errors.Is(got, connectors.ErrCursor)
					if foreign && network.calls.Load() > before {
						t.Errorf("%s/%s: %q is no cursor, and the platform is asked", platform, stream.Name, text)
					}
					if foreign && len(text) > 8 && strings.Contains(got.Error(), text) {
						t.Errorf("%s/%s: the error repeats it: %v", platform, stream.Name, got)
					}
					if dated, ok := c.(connectors.Dated); ok && text != "" {
						if _, known := dated.Reached(connectors.Cursor(text)); known && (foreign || !strings.HasPrefix(text, "1 ") && !strings.HasPrefix(strings.TrimLeft(text, " \t\r\n"), "{")) || !known && pages > 0 {
							t.Errorf("%s/%s: %q reached a moment: %t; it can be read: %t (%v)", platform, stream.Name, text, known, !foreign, got)
						}
					}
					end()
				}
			}
		})
	})
}
