package tmall_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"oneid/connectors"
	"oneid/connectors/simulator"
	"oneid/connectors/tmall"
)

// A gate stands before a shop: it counts calls by their method, and answers some
// itself.
type gate struct {
	face inProcess
	// answer is a whole answer to a call, or empty.
	answer func(method string, form func(string) string) string

	mu    sync.Mutex
	calls map[string]int
}

func (g *gate) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	asked := r.Clone(r.Context())
	asked.Body = io.NopCloser(bytes.NewReader(body))
	if err := asked.ParseForm(); err != nil {
		return nil, err
	}
	g.mu.Lock()
	if g.calls == nil {
		g.calls = make(map[string]int)
	}
	g.calls[asked.Form.Get("method")]++
	g.calls[""]++
	g.mu.Unlock()
	if g.answer != nil {
		if text := g.answer(asked.Form.Get("method"), asked.Form.Get); text != "" {
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(text)), Request: r}, nil
		}
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return g.face.RoundTrip(r)
}

const (
	history = "taobao.trades.sold.history.get"
	created = "taobao.trades.sold.get"
)

// oldShop is a shop whose orders were made in so many days before now; time goes on.
func oldShop(t *testing.T, people, days int) *simulator.World {
	t.Helper()
	until := time.Now().Add(-time.Minute)
	world, err := simulator.New(simulator.Config{People: people, Seed: 5, From: until.Add(-time.Duration(days) * 24 * time.Hour), Until: until})
	if err != nil {
		t.Fatal(err)
	}
	return world
}

func open(t *testing.T, world *simulator.World, opts simulator.TmallOptions, cfg tmall.Config) (*tmall.Connector, *gate) {
	t.Helper()
	keys := simulator.TmallCredentialsOf(world)
	g := &gate{face: inProcess{simulator.Tmall(world, opts)}}
	cfg.URL, cfg.AppKey, cfg.AppSecret, cfg.Session, cfg.RequestsPerSecond, cfg.Transport = "http://tmall.example/router/rest", keys.AppKey, keys.AppSecret, keys.Session, 1e6, g
	c, err := tmall.New(keys.Shop, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c, g
}

// backfill is a connector's reading of the last so many days, and where it begins; half
// a day more, so that the border of the lists lies within a day of its own.
func backfill(c *tmall.Connector, days int) (connectors.Connector, connectors.Cursor) {
	past := c.Until(time.Now().Add(time.Hour))
	from, _ := past.(connectors.StreamSeeker).SinceOf(tmall.Orders, time.Now().Add(-time.Duration(days)*24*time.Hour-11*time.Hour))
	return past, from
}

// versions are the orders that came, each with the newest change of it.
type versions map[string]int64

// read reads orders from a cursor, at most so many pages if that is not negative,
// and says where it stands then.
func (v versions) read(t *testing.T, c connectors.Connector, from connectors.Cursor, most int) (connectors.Cursor, error) {
	t.Helper()
	for page, err := range c.Read(t.Context(), tmall.Orders, from) {
		if err != nil {
			return from, err
		}
		for _, record := range page.Records {
			list, err := c.Map(record)
			if err != nil {
				t.Fatalf("%s: %v", record.Origin, err)
			}
			h := list[0].GetHeader()
			v[h.GetEntityId()] = max(v[h.GetEntityId()], h.GetVersion().GetModifiedMs())
		}
		if page.Next != "" {
			from = page.Next
		}
		if most--; most == 0 {
			break
		}
	}
	return from, nil
}

// lacks counts the orders of a world that did not come, and those whose last change
// did not.
func (v versions) lacks(world *simulator.World) (missing, stale int) {
	for i := range world.OrderCount(simulator.PlatformTmall) {
		o, ok := world.OrderAt(simulator.PlatformTmall, i)
		if !ok {
			continue
		}
		switch at, came := v[o.Number]; {
		case !came:
			missing++
		case at < o.Modified.UnixMilli()/1000*1000:
			stale++
		}
	}
	return missing, stale
}

// A history that never says whether there is another page, or gives fewer rows than
// were asked for, is read whole; so are lists that leave out what is not theirs.
func TestHistoryThatTellsNothing(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string]simulator.TmallOptions{
		"has_next":                         {},
		"nothing":                          {HistorySilent: true},
		"nothing, and fewer than asked":    {HistorySilent: true, HistoryRows: 1},
		"bounds that are cut":              {ListsCut: []string{history, created}},
		"bounds that are cut, no has_next": {ListsCut: []string{history, created}, HistorySilent: true},
		"bounds that the history cuts":     {ListsCut: []string{history}},
		"bounds that the other list cuts":  {ListsCut: []string{created}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				world := oldShop(t, 2500, 60)
				time.Sleep(70 * 24 * time.Hour)
				c, _ := open(t, world, opts, tmall.Config{PageSize: 3})
				came := make(versions)
				past, from := backfill(c, 140)
				if _, err := came.read(t, past, from, -1); err != nil {
					t.Fatal(err)
				}
				if missing, stale := came.lacks(world); missing+stale > 0 || len(came) < 200 {
					t.Errorf("%d orders are missing and %d stale of %d", missing, stale, len(came)+missing)
				}
			})
		})
	}
}

// Windows of the lists by creation are cut under load, whatever their age, and the
// cursor goes on day by day.
func TestOldOrdersUnderLoad(t *testing.T) {
	t.Parallel()
	const longest = 5 * time.Hour
	for _, method := range []string{created, history} {
		for _, code := range []string{"isp.runtime-max-limit", "isv.trade-service-rejection"} {
			t.Run(method+" "+code, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					world := oldShop(t, 150, 80)
					time.Sleep(60 * 24 * time.Hour)
					c, g := open(t, world, simulator.TmallOptions{}, tmall.Config{PageSize: 20})
					g.answer = func(asked string, form func(string) string) string {
						from, err1 := time.Parse(time.DateTime, form("start_created"))
						to, err2 := time.Parse(time.DateTime, form("end_created"))
						if asked != method || err1 == nil && err2 == nil && to.Sub(from) <= longest {
							return ""
						}
						return fmt.Sprintf(`{"error_response":{"code":15,"msg":"Remote service error","sub_code":%q}}`, code)
					}
					came := make(versions)
					past, from := backfill(c, 145)
					moves := 0 // of the cursor, among days that both lists are asked for
					for page, err := range past.Read(t.Context(), tmall.Orders, from) {
						if err != nil {
							t.Fatal(err)
						}
						if reached, ok := c.Reached(page.Next); ok && time.Since(reached) > 89*24*time.Hour && time.Since(reached) < 93*24*time.Hour {
							moves++
						}
					}
					if moves < 3 {
						t.Errorf("the cursor moves %d times between the lists", moves)
					}
					if _, err := came.read(t, past, from, -1); err != nil {
						t.Fatal(err)
					}
					if missing, stale := came.lacks(world); missing+stale > 0 || len(came) < 50 {
						t.Errorf("%d orders are missing and %d stale of %d", missing, stale, len(came)+missing)
					}
					if g.calls[""] > 3000 {
						t.Errorf("calls: %v", g.calls)
					}
				})
			})
		}
	}
}

// What the platform asked for is remembered: the windows that follow are short from the
// beginning, for an hour, and no order is lost.
func TestTheLengthThatWorkedIsRemembered(t *testing.T) {
	t.Parallel()
	const longest = 5 * time.Hour
	for method, days := range map[string]int{"taobao.trades.sold.increment.get": 80, created: 145, history: 145} {
		for _, code := range []string{"isp.runtime-max-limit", "isv.trade-service-rejection"} {
			t.Run(method+" "+code, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					world := oldShop(t, 150, days-65)
					time.Sleep(60 * 24 * time.Hour)
					c, g := open(t, world, simulator.TmallOptions{}, tmall.Config{PageSize: 20, Parallel: 1})
					refused, begun := 0, time.Now()
					g.answer = func(asked string, form func(string) string) string {
						from, err1 := time.Parse(time.DateTime, form("start_created")+form("start_modified"))
						to, err2 := time.Parse(time.DateTime, form("end_created")+form("end_modified"))
						if asked != method || err1 != nil || err2 != nil || to.Sub(from) <= longest {
							return ""
						}
						refused++
						return fmt.Sprintf(`{"error_response":{"code":15,"msg":"Remote service error","sub_code":%q}}`, code)
					}
					came := make(versions)
					past, from := backfill(c, days)
					if _, err := came.read(t, past, from, -1); err != nil {
						t.Fatal(err)
					}
					if missing, stale := came.lacks(world); missing+stale > 0 || len(came) < 50 {
						t.Errorf("%d orders are missing and %d stale of %d", missing, stale, len(came)+missing)
					}
					// Of a day the platform refuses 24, 12 and 6 hours.
					if most := 6 * (1 + int(time.Since(begun)/time.Hour)); refused < 3 || refused > most {
						t.Errorf("%d windows were too long in %s, want 3 to %d", refused, time.Since(begun), most)
					}
				})
			})
		}
	}
}

// A backfill whose app may not list the history reads all else, says what is missing,
// and brings that alone once the right is there, wherever it was cut off; a live shop
// goes on, warns, and reads it then by itself.
func TestHistoryWithoutTheRight(t *testing.T) {
	t.Parallel()
	denied := simulator.TmallOptions{Denied: []string{history}}
	for name, cut := range map[string]int{"whole": -1, "cut off": 4, "cut off late": 30} {
		t.Run("backfill, "+name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				world := oldShop(t, 150, 80)
				time.Sleep(60 * 24 * time.Hour)
				c, _ := open(t, world, denied, tmall.Config{PageSize: 20})
				came := make(versions)
				past, from := backfill(c, 145)
				cursor, err := came.read(t, past, from, cut)
				if cut > 0 {
					if err != nil {
						t.Fatal(err)
					}
					c, _ = open(t, world, denied, tmall.Config{PageSize: 20})
					cursor, err = came.read(t, c.Until(time.Now().Add(time.Hour)), cursor, -1)
				}
				if !errors.Is(err, connectors.ErrForbidden) || !connectors.Stops(err) || !strings.Contains(err.Error(), "not read") {
					t.Fatalf("the backfill ended with %v", err)
				}
				// What is younger than the history came.
				old := 0
				for i := range world.OrderCount(simulator.PlatformTmall) {
					o, _ := world.OrderAt(simulator.PlatformTmall, i)
					if _, ok := came[o.Number]; !ok {
						if old++; time.Since(o.Created) < 92*24*time.Hour {
							t.Errorf("an order of %s ago did not come", time.Since(o.Created))
						}
					}
				}
				if old < 20 {
					t.Fatalf("only %d orders are in the history", old)
				}
				c, g := open(t, world, simulator.TmallOptions{}, tmall.Config{PageSize: 20})
				later := make(versions)
				if _, err := later.read(t, c.Until(time.Now().Add(time.Hour)), cursor, -1); err != nil {
					t.Fatal(err)
				}
				if g.calls["taobao.trades.sold.increment.get"] > 5 {
					t.Errorf("the rest was read again: %v", g.calls)
				}
				maps.Copy(came, later)
				if missing, stale := came.lacks(world); missing+stale > 0 {
					t.Errorf("%d orders are missing and %d stale", missing, stale)
				}
			})
		})
	}
	t.Run("live", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			world := oldShop(t, 150, 80)
			time.Sleep(60 * 24 * time.Hour)
			var log bytes.Buffer
			c, g := open(t, world, denied, tmall.Config{PageSize: 20, Log: slog.New(slog.NewTextHandler(&log, nil))})
			came := make(versions)
			_, cursor := backfill(c, 145)
			for range 3 {
				var err error
				if cursor, err = came.read(t, c, cursor, -1); err != nil {
					t.Fatal(err)
				}
				time.Sleep(10 * time.Minute)
			}
			if reached, _ := c.Reached(cursor); time.Since(reached) > time.Hour {
				t.Errorf("the live reading stands at %s", reached)
			}
			if n := strings.Count(log.String(), "oneid backfill --stream orders --shop tmall/"); n != 1 || g.calls[history] != 1 {
				t.Errorf("%d warnings, calls %v:\n%s", n, g.calls, log.String())
			}
			if says, of := c.Lacks(tmall.Orders, cursor); !of.From.Before(of.To) || !strings.Contains(says, history) || !strings.Contains(says, "`oneid backfill --stream orders --shop tmall/") {
				t.Errorf("what is missing is told as %q", says)
			}
			for of, cursor := range map[string]connectors.Cursor{tmall.Tickets: cursor, tmall.Orders: "", tmall.Orders + " ": "of another"} {
				if says, of := c.Lacks(strings.TrimSpace(of), cursor); says != "" || of != (connectors.Window{}) {
					t.Errorf("of what lacks nothing it says %q, of %s", says, of)
				}
			}
			time.Sleep(time.Hour)
			if cursor, _ = came.read(t, c, cursor, -1); g.calls[history] != 2 || strings.Count(log.String(), "oneid backfill") != 2 {
				t.Errorf("an hour later: calls %v:\n%s", g.calls, log.String())
			}
			c, g = open(t, world, simulator.TmallOptions{}, tmall.Config{PageSize: 20})
			rounds := 0
			for rounds = range 200 {
				var err error
				if cursor, err = came.read(t, c, cursor, -1); err != nil {
					t.Fatal(err)
				}
				if g.calls[history] > 10*(rounds+1) {
					t.Fatalf("round %d: the history holds up what changed: %v", rounds, g.calls)
				}
				if missing, stale := came.lacks(world); missing+stale == 0 {
					break
				}
				time.Sleep(time.Minute)
			}
			if missing, stale := came.lacks(world); missing+stale > 0 {
				t.Errorf("%d orders are missing and %d stale after %d rounds; %s", missing, stale, rounds, cursor)
			}
			for range 200 { // days without orders are looked through, too
				if says, _ := c.Lacks(tmall.Orders, cursor); says == "" {
					break
				}
				var err error
				if cursor, err = came.read(t, c, cursor, -1); err != nil {
					t.Fatal(err)
				}
			}
			if says, _ := c.Lacks(tmall.Orders, cursor); says != "" {
				t.Errorf("after all of it came it says %q", says)
			}
		})
	})
}

// Without the right for the history, what is younger than its border comes also of the
// day in which that lies, whether or not the platform takes a window with one end.
func TestTheBordersDayWithoutTheRight(t *testing.T) {
	t.Parallel()
	const border = 91*24*time.Hour + 20*time.Hour
	for name, opened := range map[string]bool{"windows with one end": true, "none with one end": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				world := oldShop(t, 20000, 60)
				time.Sleep(70 * 24 * time.Hour)
				c, g := open(t, world, simulator.TmallOptions{Denied: []string{history}}, tmall.Config{PageSize: 100})
				g.answer = func(method string, form func(string) string) string {
					start := form("start_created")
					from, err := time.ParseInLocation(time.DateTime, start, time.FixedZone("", 8*60*60))
					switch {
					case method == created && err == nil && time.Since(from) > border:
						return `{"error_response":{"code":41,"msg":"Invalid arguments","sub_code":"isv.invalid-parameter:start_created"}}`
					case method == created && start == "" && !opened:
						return `{"error_response":{"code":40,"msg":"Missing required arguments","sub_code":"isv.missing-parameter:start_created"}}`
					}
					return ""
				}
				came, begun := make(versions), time.Now()
				past, from := backfill(c, 140)
				if _, err := came.read(t, past, from, -1); !errors.Is(err, connectors.ErrForbidden) {
					t.Fatalf("the backfill ended with %v", err)
				}
				near, old := 0, 0
				for i := range world.OrderCount(simulator.PlatformTmall) {
					o, _ := world.OrderAt(simulator.PlatformTmall, i)
					_, has := came[o.Number]
					switch age := begun.Sub(o.Created); {
					case !has && age < border-time.Minute:
						t.Errorf("an order of %s ago did not come", age)
					case age < border && age > border-20*time.Hour && begun.Sub(o.Modified) > 90*24*time.Hour: // no list by change shows it
						near++
					case !has:
						old++
					}
				}
				if near < 3 || old < 20 {
					t.Fatalf("%d orders are near the border and %d in the history: the test tests nothing", near, old)
				}
				if g.calls[created] > 400 {
					t.Errorf("calls: %v", g.calls)
				}
			})
		})
	}
}

// The rights for the history and for refunds' threads are looked for, also when the last
// refund was days ago, and a lack of them alone is a warning that names them.
func TestCheckTellsLesserFaults(t *testing.T) {
	t.Parallel()
	const refunds, threads = "taobao.refunds.receive.get", "taobao.refund.messages.get"
	for name, c := range map[string]struct {
		denied        []string
		nothing       bool // no refunds
		fault, lesser bool
		says          string
	}{
		"all rights":          {},
		"no history":          {denied: []string{history}, fault: true, lesser: true, says: history},
		"no refunds either":   {denied: []string{history, refunds}, fault: true, says: refunds},
		"history, no refunds": {denied: []string{refunds}, fault: true, says: refunds},
		"no threads":          {denied: []string{threads}, fault: true, lesser: true, says: "the right to " + threads + ": apply for it"},
		"neither of both":     {denied: []string{threads, history}, fault: true, lesser: true, says: "the right to " + threads + ": apply for it"},
		"threads and orders":  {denied: []string{threads, "taobao.trades.sold.increment.get"}, fault: true, says: threads},
		"no refund to ask of": {nothing: true, fault: true, lesser: true, says: "could not be tried: the shop lists no refund"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				world := oldShop(t, 20, 10)
				time.Sleep(24 * time.Hour)
				shop, g := open(t, world, simulator.TmallOptions{Denied: c.denied}, tmall.Config{})
				g.answer = func(method string, _ func(string) string) string {
					if c.nothing && method == refunds {
						return `{"refunds_receive_get_response":{"total_results":0,"has_next":false}}`
					}
					return ""
				}
				err := shop.Check(t.Context())
				if (err != nil) != c.fault || errors.As(err, new(*connectors.LesserError)) != c.lesser || err != nil && !strings.Contains(err.Error(), c.says) {
					t.Errorf("Check says %v", err)
				}
			})
		})
	}
}

// A shop that was away for longer than the lists by change reach misses nothing: no
// order that was made meanwhile, and no change of one that was made before; so too
// when the reading is cut off, and when it is away a second time in its middle. One
// that was away for less asks no history.
func TestAwayForLong(t *testing.T) {
	t.Parallel()
	for _, days := range []int{89, 90, 95, 200} {
		for name, cut := range map[string]int{"whole": -1, "cut off": 25} {
			t.Run(fmt.Sprintf("%d days, %s", days, name), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					begun := time.Now()
					world, err := simulator.New(simulator.Config{People: 300, Seed: 5, From: begun.Add(-40 * 24 * time.Hour), Until: begun.Add(20 * 24 * time.Hour)})
					if err != nil {
						t.Fatal(err)
					}
					c, g := open(t, world, simulator.TmallOptions{}, tmall.Config{BackfillDays: 60})
					came := make(versions)
					cursor, err := came.read(t, c, "", -1)
					if err != nil {
						t.Fatal(err)
					}
					before := len(came)
					time.Sleep(time.Duration(days)*24*time.Hour - 2*time.Hour)
					if cut > 0 {
						if cursor, err = came.read(t, c, cursor, cut); err != nil {
							t.Fatal(err)
						}
						if days == 200 {
							time.Sleep(100 * 24 * time.Hour)
						}
					}
					if _, err = came.read(t, c, cursor, -1); err != nil {
						t.Fatal(err)
					}
					if missing, stale := came.lacks(world); missing+stale > 0 || before < 50 || len(came) < before+20 {
						t.Errorf("%d orders are missing and %d stale of %d, of which %d came before", missing, stale, len(came), before)
					}
					if asked := g.calls[history] > 0; asked != (days > 89) {
						t.Errorf("calls: %v", g.calls)
					}
				})
			})
		}
	}
}

// An estimate of what lies in the history alone, or partly there, is about what
// reading it takes; the platform's clock is asked a few times, not once a day.
func TestEstimateOfTheHistory(t *testing.T) {
	t.Parallel()
	for name, stretch := range map[string]struct{ from, to, pageSize int }{
		"history alone": {300, 150, 100}, "history alone, small pages": {300, 150, 4}, "history and lists": {150, 0, 100},
		"both lists alone": {91, 90, 100}, "lists alone": {60, 0, 100},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				world := oldShop(t, 1500, 300)
				time.Sleep(time.Minute)
				c, g := open(t, world, simulator.TmallOptions{}, tmall.Config{PageSize: stretch.pageSize})
				past := c.Until(time.Now().Add(-time.Duration(stretch.to) * 24 * time.Hour))
				from, _ := past.(connectors.StreamSeeker).SinceOf(tmall.Orders, time.Now().Add(-time.Duration(stretch.from)*24*time.Hour))
				e, err := past.(connectors.Estimator).Estimate(t.Context(), tmall.Orders, from)
				if err != nil {
					t.Fatal(err)
				}
				g.calls = nil
				came := make(versions)
				if _, err := came.read(t, past, from, -1); err != nil {
					t.Fatal(err)
				}
				t.Logf("estimated %+v, came %d, calls %v", e, len(came), g.calls)
				if e.Records < len(came)/2 || e.Records > 2*len(came)+10 || e.Calls < g.calls[""]*9/10 || e.Calls > 3*g.calls[""]+100 {
					t.Errorf("estimated %d records in %d calls, came %d in %d", e.Records, e.Calls, len(came), g.calls[""])
				}
				if g.calls["taobao.time.get"] > 3 {
					t.Errorf("the clock was asked %d times", g.calls["taobao.time.get"])
				}
			})
		})
	}
}

// Where both lists call a window wrong for other reasons than their border, reading
// ends soon, and with an error.
func TestListsThatRefuseAll(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"isv.invalid-parameter", "isv.invalid-parameter:start_created", "isv.invalid-parameter:fields"} {
		synctest.Test(t, func(t *testing.T) {
			c, g := open(t, oldShop(t, 20, 10), simulator.TmallOptions{}, tmall.Config{})
			g.answer = func(method string, form func(string) string) string {
				if form("start_created") == "" {
					return ""
				}
				return fmt.Sprintf(`{"error_response":{"code":15,"msg":"Remote service error","sub_code":%q}}`, code)
			}
			past, from := backfill(c, 91)
			if _, err := make(versions).read(t, past, from, -1); err == nil || g.calls[""] > 100 {
				t.Errorf("%s: %v after %d calls", code, err, g.calls[""])
			}
		})
	}
}

// A first reading that is cut off in its first days, which the lists by change no
// longer show when it goes on, reads those days by creation, and no older ones.
func TestAFirstReadingThatIsCutOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		world := oldShop(t, 150, 120)
		c, g := open(t, world, simulator.TmallOptions{}, tmall.Config{Parallel: 1})
		came := make(versions)
		cursor, err := came.read(t, c, "", 1)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(6 * time.Hour)
		if _, err := came.read(t, c, cursor, -1); err != nil {
			t.Fatal(err)
		}
		if n := g.calls[history]; n > 6 {
			t.Errorf("the history was asked %d times", n)
		}
		// A backfill of these days, too, asks for none before them.
		past, from := backfill(c, 120)
		if _, err := came.read(t, past, from, -1); err != nil {
			t.Fatal(err)
		}
		if n := g.calls[history]; n > 45 {
			t.Errorf("the history was asked %d times for 31 days", n)
		}
	})
}

// A refusal of the shop is no missing right for the history: the cursor stays, and
// nothing is noted as missing.
func TestAStoppedShopKeepsItsHistory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, g := open(t, oldShop(t, 20, 10), simulator.TmallOptions{}, tmall.Config{})
		g.answer = func(method string, _ func(string) string) string {
			if method != history {
				return ""
			}
			return `{"error_response":{"code":11,"msg":"Insufficient ISV Permissions","sub_code":"isv.permission-ip-whitelist-limit"}}`
		}
		_, from := backfill(c, 145)
		if next, err := make(versions).read(t, c, from, -1); connectors.ClassOf(err) != connectors.StopShop || next != from {
			t.Errorf("%v; the cursor %s is %s", err, from, next)
		}
	})
}
