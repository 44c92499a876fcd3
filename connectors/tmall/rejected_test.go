package tmall_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"oneid/connectors/simulator"
	"oneid/connectors/tmall"
	"oneid/internal/httpclient"
)

// rejecting answers the tenth call of a method so, whose answer takes a while as all
// others do: shorten the window, and wait three minutes.
type rejecting struct {
	inProcess
	method string

	mu    sync.Mutex
	calls int
	at    time.Time
	// Of the windows that were asked for, that which was rejected, and all that
	// were asked for in the three minutes after it, or later.
	rejected string
	within   []string
	after    []string
}

func windowOf(r *http.Request) string {
	return r.Form.Get("start_modified") + r.Form.Get("start_created") + " to " + r.Form.Get("end_modified") + r.Form.Get("end_created")
}

func (c *rejecting) RoundTrip(r *http.Request) (*http.Response, error) {
	_ = r.ParseForm()
	c.mu.Lock()
	reject := false
	since := time.Since(c.at)
	if r.Form.Get("method") == c.method {
		c.calls++
		switch reject = c.calls == 10; {
		case reject:
			c.rejected = windowOf(r)
		case c.at.IsZero() || since == 0: // in the very moment of the answer nobody can know it
		case since < 3*time.Minute:
			c.within = append(c.within, windowOf(r))
		default:
			c.after = append(c.after, windowOf(r))
		}
	}
	c.mu.Unlock()
	time.Sleep(100 * time.Millisecond)
	if !reject {
		return c.inProcess.RoundTrip(r)
	}
	c.mu.Lock()
	c.at = time.Now()
	c.mu.Unlock()
	answer := httptest.NewRecorder()
	_, _ = answer.WriteString(`{"error_response":{"code":15,"msg":"Remote service error","sub_code":"isv.trade-service-rejection","sub_msg":"x","request_id":"1"}}`)
	return answer.Result(), nil
}

// Where the platform asks for three minutes and a shorter window, nobody who shares
// the limits calls the method for the shop before, the wait is told, and all orders
// come.
func TestThreeMinutesAreEverybodys(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"taobao.trades.sold.increment.get", "taobao.trades.sold.history.get"} {
		t.Run(method, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { threeMinutes(t, method) })
		})
	}
}

func threeMinutes(t *testing.T, method string) {
	t.Helper()
	world, err := oldWorld()
	if err != nil {
		t.Fatal(err)
	}
	keys := simulator.TmallCredentialsOf(world)
	c := &rejecting{inProcess: inProcess{simulator.Tmall(world, simulator.TmallOptions{})}, method: method}
	limits := httpclient.NewLimits(nil)
	open := func() *tmall.Connector {
		shop, err := tmall.New(keys.Shop, tmall.Config{
			URL: "http://tmall.example/router/rest", AppKey: keys.AppKey, AppSecret: keys.AppSecret, Session: keys.Session, PageSize: 20,
			RequestsPerSecond: 1e6, Transport: c,
		})
		if err != nil {
			t.Fatal(err)
		}
		shop.Share(limits)
		return shop
	}
	var mu sync.Mutex
	var told []httpclient.Wait
	ctx := httpclient.WithWaits(t.Context(), func(w httpclient.Wait, begins bool) {
		mu.Lock()
		defer mu.Unlock()
		if begins {
			told = append(told, w)
			if waits := limits.Waits(); len(waits) == 0 || waits[0].Name != w.Name {
				t.Errorf("the waits of now are %v", waits)
			}
		}
	})
	read := func(ctx context.Context) int {
		shop, came := open(), make(map[string]bool)
		from, _ := shop.SinceOf(tmall.Orders, time.Now().Add(-130*24*time.Hour))
		for page, err := range shop.Read(ctx, tmall.Orders, from) {
			if err != nil {
				t.Error(err)
				return 0
			}
			for _, record := range page.Records {
				list, err := shop.Map(record)
				if err != nil {
					t.Error(err)
					return 0
				}
				came[list[0].GetHeader().GetEntityId()] = true
			}
		}
		return len(came)
	}
	var other sync.WaitGroup
	all := world.Counts()["tmall"].Orders
	other.Go(func() {
		if n := read(t.Context()); n != all {
			t.Errorf("the other reading: %d of %d orders came", n, all)
		}
	})
	if n := read(ctx); n != all {
		t.Errorf("%d of %d orders came", n, all)
	}
	other.Wait()
	if c.rejected == "" || len(c.within) > 0 {
		t.Errorf("rejected: %q; asked for within three minutes: %q", c.rejected, c.within)
	}
	begin, end, _ := strings.Cut(c.rejected, " to ")
	if !slices.ContainsFunc(c.after, func(w string) bool { return strings.HasPrefix(w, begin) && !strings.HasSuffix(w, end) }) {
		t.Errorf("%q was cut into none of %q", c.rejected, c.after)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(told) == 0 || !strings.Contains(told[0].Name, method) || told[0].Until.Sub(c.at) < 3*time.Minute {
		t.Errorf("the waits that were told are %v, since %s", told, c.at)
	}
}
