package tmall_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"oneid/connectors"
	"oneid/connectors/simulator"
	"oneid/connectors/tmall"
)

// delayed counts calls, and lets the first of a method take so long: it waits for a
// quota, or the machine sleeps.
type delayed struct {
	inProcess
	method string
	pause  time.Duration
	calls  int
}

func (d *delayed) RoundTrip(r *http.Request) (*http.Response, error) {
	_ = r.ParseForm()
	d.calls++
	if r.Form.Get("method") == d.method && d.pause > 0 {
		pause := d.pause
		d.pause = 0
		time.Sleep(pause)
	}
	return d.inProcess.RoundTrip(r)
}

// oldWorld is one for all tests: their time begins at the same moment.
var oldWorld = sync.OnceValues(func() (*simulator.World, error) {
	until := time.Now().Add(-time.Minute)
	return simulator.New(simulator.Config{People: 3000, Seed: 5, From: until.Add(-120 * 24 * time.Hour), Until: until})
})

// longAgo reads all orders of the last 170 days of a shop whose orders were made 40
// to 160 days ago, by a backfill or by a live shop that was away, and says how many
// calls that took.
func longAgo(t *testing.T, live bool, perDay int, method string, pause time.Duration) (calls int) {
	t.Helper()
	world, err := oldWorld()
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(40 * 24 * time.Hour)
	keys := simulator.TmallCredentialsOf(world)
	transport := &delayed{inProcess: inProcess{simulator.Tmall(world, simulator.TmallOptions{})}, method: method, pause: pause}
	shop, err := tmall.New(keys.Shop, tmall.Config{
		URL: "http://tmall.example/router/rest", AppKey: keys.AppKey, AppSecret: keys.AppSecret, Session: keys.Session, PageSize: 20,
		RequestsPerSecond: 1e6, CallsPerDay: perDay, Parallel: 1, Transport: transport,
	})
	if err != nil {
		t.Fatal(err)
	}
	reader := shop.Until(time.Now().Add(24 * time.Hour))
	from, _ := reader.(connectors.StreamSeeker).SinceOf(tmall.Orders, time.Now().Add(-170*24*time.Hour))
	if live {
		reader = shop
	}
	begun, came := time.Now(), make(map[string]bool)
	for page, err := range reader.Read(t.Context(), tmall.Orders, from) {
		if err != nil {
			t.Errorf("after %s: %v", time.Since(begun), err)
			return transport.calls
		}
		for _, record := range page.Records {
			list, err := reader.Map(record)
			if err != nil {
				t.Fatal(err)
			}
			came[list[0].GetHeader().GetEntityId()] = true
		}
	}
	if all := world.Counts()["tmall"].Orders; len(came) != all || all < 1000 {
		t.Errorf("%d of %d orders came, after %s", len(came), all, time.Since(begun))
	}
	for i := range world.OrderCount("tmall") {
		if o, ok := world.OrderAt("tmall", i); ok && !came[o.Number] {
			t.Errorf("lost: an order created %s before the reading began, and changed %s", begun.Sub(o.Created), begun.Sub(o.Modified))
		}
	}
	return transport.calls
}

// However long a call of a reading waits, no order is lost that grows too old
// meanwhile for the list which was to show it.
func TestOrdersThatAgeWhileTheyAreRead(t *testing.T) {
	t.Parallel()
	for method, pauses := range map[string][]int{
		"taobao.trades.sold.history.get": {0, 1, 9, 47, 100}, "taobao.trades.sold.get": {47, 100}, "taobao.trades.sold.increment.get": {47, 100},
	} {
		for _, hours := range pauses {
			t.Run(fmt.Sprintf("%s %d h", method, hours), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { longAgo(t, hours > 9, 0, method, time.Duration(hours)*time.Hour) })
			})
		}
	}
}

// A reading for which the day's quota is a tenth or less of what it calls takes
// days, and loses nothing.
func TestOrdersOfLongAgoUnderAQuota(t *testing.T) {
	t.Parallel()
	var calls int
	synctest.Test(t, func(t *testing.T) { calls = longAgo(t, false, 0, "", 0) })
	for _, days := range []int{10, 20, 40} {
		t.Run(fmt.Sprintf("%d days", days), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				again := longAgo(t, days == 20, calls/days+1, "", 0)
				t.Logf("%d calls a day: %d calls, without a quota %d", calls/days+1, again, calls)
			})
		})
	}
}

// A first reading, or a backfill, of all that the lists by change show does not meet
// their border, however long its first window waits for a ban or a day's quota; nor does
// a stream that was away for longer, within an hour.
func TestTheFirstWindowTakesItsTime(t *testing.T) {
	t.Parallel()
	old := func(text string) bool {
		from, err := time.ParseInLocation(time.DateTime, text, time.FixedZone("", 8*60*60))
		return err == nil && time.Since(from) > 90*24*time.Hour
	}
	first := func(c *tmall.Connector) (connectors.Connector, connectors.Cursor) { return c, "" }
	for name, c := range map[string]struct {
		stream, method string
		pause          time.Duration
		begin          func(*tmall.Connector) (connectors.Connector, connectors.Cursor)
	}{
		"orders":  {tmall.Orders, "taobao.trades.sold.increment.get", 23 * time.Hour, first},
		"refunds": {tmall.Tickets, "taobao.refunds.receive.get", 23 * time.Hour, first},
		"refunds of a backfill": {tmall.Tickets, "taobao.refunds.receive.get", 23 * time.Hour, func(c *tmall.Connector) (connectors.Connector, connectors.Cursor) {
			past := c.Until(time.Now().Add(48 * time.Hour))
			from, _ := past.(connectors.StreamSeeker).SinceOf(tmall.Tickets, time.Now().Add(-90*24*time.Hour))
			return past, from
		}},
		"refunds after a year": {tmall.Tickets, "taobao.refunds.receive.get", 50 * time.Minute, func(c *tmall.Connector) (connectors.Connector, connectors.Cursor) {
			return c, `{"v":1,"reached":"1999-01-01T00:00:00Z"}` // the time of a synctest bubble begins with 2000
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				world := oldShop(t, 20, 30)
				time.Sleep(70 * 24 * time.Hour)
				shop, g := open(t, world, simulator.TmallOptions{}, tmall.Config{Parallel: 1})
				pause := c.pause
				g.answer = func(method string, form func(string) string) string {
					if method == c.method && pause > 0 {
						wait := pause
						pause = 0
						time.Sleep(wait)
					}
					if method == c.method && old(form("start_modified")) {
						return `{"error_response":{"code":41,"msg":"Invalid arguments","sub_code":"isv.invalid-parameter:start_modified"}}`
					}
					return ""
				}
				reader, from := c.begin(shop)
				for _, err := range reader.Read(t.Context(), c.stream, from) {
					if err != nil {
						t.Fatal(err)
					}
				}
			})
		})
	}
}
