package douyin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"oneid/connectors"
	"oneid/connectors/simulator"
	"oneid/schemas/events"
)

// simulated is a connector of an invented shop.
func simulated(t *testing.T, seed uint64, options simulator.DouyinOptions, log *slog.Logger) (*simulator.World, *Connector) {
	t.Helper()
	world, err := simulator.New(simulator.Config{People: 300, Seed: seed, Until: time.Now().Add(-5 * time.Minute), From: time.Now().Add(-20 * 24 * time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(simulator.Douyin(world, options))
	t.Cleanup(server.Close)
	e := simulator.EndpointsOf(world, "", server.URL, "").Douyin
	c, err := New(e.Shop, Config{URL: server.URL, AppKey: e.AppKey, AppSecret: e.AppSecret, RequestsPerSecond: 1e6, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	return world, c
}

// tickets are the tickets of a stream, by number; of each its record was seen by
// look.
func tickets(t *testing.T, c *Connector, stream string, look func(connectors.Record)) map[string]*events.Ticket {
	t.Helper()
	records, _, err := read(t, c, stream, "")
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]*events.Ticket)
	for _, r := range records {
		if look != nil {
			look(r)
		}
		list, err := c.Map(r)
		if err != nil {
			t.Fatalf("%s: %v", r.Origin, err)
		}
		for _, e := range list {
			if e.GetTicket() != nil {
				found[e.GetHeader().GetEntityId()] = e.GetTicket()
			}
		}
	}
	return found
}

// Each ticket says when the shop first answered, and when it was closed, as the
// shop has it; nothing that people wrote or are called is taken of a detail.
func TestTicketsKnowTheirFirstAnswer(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		world, c := simulated(t, seed, simulator.DouyinOptions{}, nil)
		var kept bytes.Buffer
		look := func(r connectors.Record) { kept.Write(connectors.Find(r.Raw, "detail")[0]) }
		sales, services := tickets(t, c, Aftersales, look), tickets(t, c, Services, look)
		answered, closed := 0, 0
		for i := range world.OrderCount(Platform) {
			o, ok := world.OrderAt(Platform, i)
			if !ok {
				continue
			}
			if r := o.Refund; r != nil {
				var want int64
				if r.Status == simulator.RefundAgreed || r.Status == simulator.RefundRefused || r.Status == simulator.RefundSuccess {
					want = r.Modified.UnixMilli()
					answered++
				}
				if got := sales[r.Number].GetFirstAnswerMs(); sales[r.Number] == nil || got != want {
					t.Errorf("seed %d: after-sale %s (%s) was answered at %d, want %d", seed, r.Number, r.Status, got, want)
				}
			}
			if s, ok := world.ServiceAt(Platform, i); ok {
				var first, solved int64
				if !s.Open {
					first, solved = s.Created.Add(s.Modified.Sub(s.Created)/2).Truncate(time.Second).UnixMilli(), s.Modified.UnixMilli()
					closed++
				}
				if got := services["service:"+s.Number]; got.GetFirstAnswerMs() != first || got.GetSolvedMs() != solved {
					t.Errorf("seed %d: service ticket %s was answered at %d, want %d, and closed at %d, want %d", seed, s.Number, got.GetFirstAnswerMs(), first, got.GetSolvedMs(), solved)
				}
			}
		}
		if answered == 0 || closed == 0 || kept.Len() == 0 {
			t.Fatalf("seed %d: %d answered after-sales, %d closed service tickets, %d bytes of details: the test tests nothing", seed, answered, closed, kept.Len())
		}
		for _, word := range []string{"text", "operator", "desc_kvs", "images", "商家同意", "原因", "content", "reply\":"} {
			if strings.Contains(kept.String(), word) {
				t.Errorf("seed %d: the records keep %q of the details", seed, word)
			}
		}
	}
}

// A push tells of an after-sale what the pull tells.
func TestAPushedAftersaleKnowsItsFirstAnswer(t *testing.T) {
	t.Parallel()
	_, c := simulated(t, 1, simulator.DouyinOptions{}, nil)
	pulled := tickets(t, c, Aftersales, nil)
	answered := 0
	for id, want := range pulled {
		page, err := c.Fetch(t.Context(), Aftersales, id)
		if err != nil || len(page.Records) != 1 {
			t.Fatalf("%s: %d records, %v", id, len(page.Records), err)
		}
		list, err := c.Map(page.Records[0])
		if err != nil || list[1].GetTicket().GetFirstAnswerMs() != want.GetFirstAnswerMs() {
			t.Errorf("%s: answered at %d, and by the pull at %d: %v", id, list[1].GetTicket().GetFirstAnswerMs(), want.GetFirstAnswerMs(), err)
		}
		if want.GetFirstAnswerMs() > 0 {
			answered++
		}
	}
	if answered == 0 {
		t.Error("none is answered: the test tests nothing")
	}
}

// An app without the right to a detail reads its stream as the list shows it, and
// Check says what is missing.
func TestTicketsWithoutTheRightToDetails(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	world, c := simulated(t, 1, simulator.DouyinOptions{Denied: []string{"afterSale.Detail", "order.serviceDetail"}}, slog.New(slog.NewTextHandler(&log, nil)))
	counts := world.Counts()[Platform]
	sales, services := tickets(t, c, Aftersales, nil), tickets(t, c, Services, nil)
	if len(sales) != counts.Refunds || len(services) != counts.Services {
		t.Errorf("read %d after-sales of %d and %d service tickets of %d", len(sales), counts.Refunds, len(services), counts.Services)
	}
	for id, ticket := range sales {
		if ticket.GetFirstAnswerMs() != 0 {
			t.Errorf("after-sale %s has a first answer", id)
		}
	}
	for _, word := range []string{aftersaleDetail.without, serviceDetail.without} {
		if n := strings.Count(log.String(), word); n != 1 {
			t.Errorf("logged %d times: %s", n, word)
		}
	}
}

// sale answers afterSale.List with after-sales of these numbers.
func sale(now int64, ids ...string) func(int, map[string]any, http.ResponseWriter) {
	return func(_ int, _ map[string]any, w http.ResponseWriter) {
		var items []map[string]any
		for _, id := range ids {
			items = append(items, map[string]any{
				"aftersale_info": map[string]any{"aftersale_id": id, "aftersale_status": 12, "update_time": now},
				"order_info":     map[string]any{"shop_order_id": "6910000000000000001"},
			})
		}
		ok(w, map[string]any{"total": len(ids), "items": items})
	}
}

// What a detail's failure costs: the first answer of that ticket where the table of
// codes says so, otherwise the reading, whose cursor stays where it was.
func TestADetailThatFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		code  int
		sub   string
		class connectors.Class // of the error that ends the reading; 0 where it goes on
		raw   string           // the answer in place of a refusal
	}{
		"no such after-sale":          {40004, "isv.parameter-invalid:11003", 0, ""},
		"of no shop":                  {50002, "isv.business-failed:12000", 0, ""},
		"a number that it takes not":  {40004, "isv.parameter-invalid:11000", 0, ""},
		"nothing to be given":         {50002, "isv.business-failed:10002", 0, ""},
		"no right":                    {30001, "isv.app-permissions-insufficient", 0, ""},
		"out of service":              {70000, "isp.api-service-off", 0, ""},
		"broken JSON":                 {0, "", 0, `{"code":10000,"data":"{\"process_info\":{\"record"}`},
		"a shop that has withdrawn":   {30001, "dop.authorization-closed", connectors.StopShop, ""},
		"a code that nobody knows":    {98765, "", connectors.StopStream, ""},
		"a parameter that is missing": {40002, "isv.missing-parameter:1", connectors.StopStream, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, conn := newFake(t)
			now := time.Now().Add(-time.Hour).Unix()
			f.answer["afterSale.List"] = sale(now, "7101", "7102")
			f.answer["afterSale.Detail"] = func(_ int, param map[string]any, w http.ResponseWriter) {
				switch {
				case param["need_operation_record"] != true:
					t.Error("asked for no history")
				case param["after_sale_id"] == "7101" && c.raw != "":
					_, _ = w.Write([]byte(c.raw))
				case param["after_sale_id"] == "7101":
					refuse(w, c.code, c.sub)
				default:
					ok(w, map[string]any{"process_info": map[string]any{"record_logs_list": []any{map[string]any{"role": 2, "time": "2026-01-02 10:00:00"}}}})
				}
			}
			conn.cfg.Parallel, conn.cfg.OverlapSeconds = 1, new(0)
			records, next, err := read(t, conn, Aftersales, "")
			if c.class != 0 {
				if connectors.ClassOf(err) != c.class || err == nil || next != "" || len(records) > 0 {
					t.Errorf("%d records, the cursor %q, %v; want none and class %s", len(records), next, err, c.class)
				}
				return
			}
			if err != nil || len(records) < 2 || next == "" {
				t.Fatalf("%d records, the cursor %q, %v", len(records), next, err)
			}
			// Without the method no other after-sale has its detail either.
			for i, want := range []bool{false, c.code != 30001 && c.code != 70000} {
				list, err := conn.Map(records[i])
				if err != nil || (list[1].GetTicket().GetFirstAnswerMs() > 0) != want {
					t.Errorf("record %d: %v, a first answer is wanted: %t", i, err, want)
				}
			}
		})
	}
}

// What is refused because of one row's number costs that row its detail alone; the
// same code of a list is the list's.
func TestRefusalsOfOneRow(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  *connectors.Error
		want bool
	}{
		"an after-sale's number":      {&connectors.Error{Op: "afterSale.Detail", SystemCode: "40004", SubCode: "isv.parameter-invalid:11000"}, true},
		"an after-sale's parameter":   {&connectors.Error{Op: "afterSale.Detail", SystemCode: "40004", SubCode: "isv.parameter-invalid:20008"}, false},
		"a service ticket's number":   {&connectors.Error{Op: "order.serviceDetail", SystemCode: "40004", SubCode: "isv.parameter-invalid:1"}, true},
		"a service ticket's form":     {&connectors.Error{Op: "order.serviceDetail", SystemCode: "40003"}, false},
		"the list of service tickets": {&connectors.Error{Op: "order.getServiceList", SystemCode: "40004"}, false},
	} {
		if got := ofThisRow(fmt.Errorf("page 1: %w", c.err)); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// A detail is asked for once for each change, however often the list shows it.
func TestADetailIsAskedForOnce(t *testing.T) {
	t.Parallel()
	f, c := newFake(t)
	now := time.Now().Add(-time.Hour).Unix()
	f.answer["afterSale.List"] = sale(now, "7101", "7102")
	f.answer["afterSale.Detail"] = func(_ int, _ map[string]any, w http.ResponseWriter) {
		ok(w, map[string]any{"process_info": map[string]any{"record_logs_list": []any{}}})
	}
	for range 3 {
		if _, _, err := read(t, c, Aftersales, ""); err != nil {
			t.Fatal(err)
		}
	}
	if n := f.count("afterSale.Detail"); n != 2 {
		t.Errorf("%d calls for two after-sales", n)
	}
	// A message may tell of a step that left the after-sale as it was.
	if _, err := c.Fetch(t.Context(), Aftersales, "7101"); err != nil || f.count("afterSale.Detail") != 3 {
		t.Errorf("%v, and %d calls after a message", err, f.count("afterSale.Detail"))
	}
	f.answer["afterSale.List"] = sale(now+1, "7101", "7102")
	if _, _, err := read(t, c, Aftersales, ""); err != nil {
		t.Fatal(err)
	}
	if n := f.count("afterSale.Detail"); n != 5 {
		t.Errorf("%d calls for two after-sales that changed once", n)
	}
}

// An estimate counts the calls for buyers and details.
func TestDetailsAreEstimated(t *testing.T) {
	t.Parallel()
	for stream, method := range map[string]string{Aftersales: "afterSale.List", Services: "order.getServiceList"} {
		f, conn := newFake(t)
		f.answer[method] = func(_ int, _ map[string]any, w http.ResponseWriter) {
			ok(w, map[string]any{"total": 50, "list": []json.RawMessage{json.RawMessage(`{}`)}})
		}
		e, err := conn.Estimate(t.Context(), stream, "")
		if err != nil || e.Records != 50 || e.Calls < 100 || e.Calls > 106 {
			t.Errorf("%s: %+v, %v; want 50 records and two calls each", stream, e, err)
		}
	}
}
