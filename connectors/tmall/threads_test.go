package tmall

import (
	"bytes"
	"fmt"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"oneid/connectors"
	"oneid/connectors/simulator"
	"oneid/schemas/events"
)

// readTickets are the tickets of the stream, by number; of each its record was
// seen by look.
func readTickets(t *testing.T, c *Connector, look func(connectors.Record)) (map[string]*events.Ticket, error) {
	t.Helper()
	found := make(map[string]*events.Ticket)
	for page, err := range c.Read(t.Context(), Tickets, "") {
		if err != nil {
			return found, err
		}
		for _, r := range page.Records {
			look(r)
			list, err := c.Map(r)
			if err != nil || len(list) != 2 {
				t.Fatalf("%s: %d events, %v", r.Origin, len(list), err)
			}
			found[list[1].GetHeader().GetEntityId()] = list[1].GetTicket()
		}
	}
	return found, nil
}

// Each refund says when the seller first answered, as the shop has it, pulled or
// told by message; nothing that people wrote or are called is taken of its thread.
func TestRefundsKnowTheirFirstAnswer(t *testing.T) {
	t.Parallel()
	for name, denied := range map[string][]string{"with the right": nil, "without": {refundThread}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			world, err := simulator.New(simulator.Config{People: 300, Seed: 7, Until: time.Now().Add(-5 * time.Minute), From: time.Now().Add(-20 * day)})
			if err != nil {
				t.Fatal(err)
			}
			server := httptest.NewServer(simulator.Tmall(world, simulator.TmallOptions{Denied: denied}))
			defer server.Close()
			keys := simulator.TmallCredentialsOf(world)
			c, err := New(keys.Shop, Config{URL: server.URL, AppKey: keys.AppKey, AppSecret: keys.AppSecret, Session: keys.Session, RequestsPerSecond: 1e6})
			if err != nil {
				t.Fatal(err)
			}
			var kept bytes.Buffer
			tickets, err := readTickets(t, c, func(r connectors.Record) { kept.Write(connectors.Find(r.Raw, "messages")[0]) })
			if err != nil {
				t.Fatal(err)
			}
			answered := 0
			for i := range world.OrderCount(Platform) {
				o, ok := world.OrderAt(Platform, i)
				if !ok || o.Refund == nil {
					continue
				}
				var want int64
				switch o.Refund.Status {
				case simulator.RefundAgreed, simulator.RefundRefused, simulator.RefundSuccess:
					if want = o.Refund.Modified.UnixMilli(); denied != nil {
						want = 0
					}
					answered++
				}
				if got := tickets[o.Refund.Number]; got == nil || got.GetFirstAnswerMs() != want {
					t.Errorf("refund %s (%s) was answered at %d, want %d", o.Refund.Number, o.Refund.Status, got.GetFirstAnswerMs(), want)
				}
				page, err := c.Fetch(t.Context(), Tickets, o.Refund.Number)
				if err != nil || len(page.Records) != 1 {
					t.Fatalf("fetch: %d records, %v", len(page.Records), err)
				}
				if list, err := c.Map(page.Records[0]); err != nil || list[1].GetTicket().GetFirstAnswerMs() != want {
					t.Errorf("refund %s by message: %v, want %d", o.Refund.Number, err, want)
				}
			}
			if answered == 0 || (kept.Len() == 0) != (denied != nil) {
				t.Fatalf("%d answered refunds, %d bytes of threads: the test tests nothing", answered, kept.Len())
			}
			for _, word := range []string{"content", "nick", "open_uid", "卖家", "买家"} {
				if strings.Contains(kept.String(), word) {
					t.Errorf("the records keep %q of the threads", word)
				}
			}
		})
	}
}

// refundsOf answers the list of refunds with these numbers, changed at a moment.
func refundsOf(modified string, ids ...string) func(int, map[string]string) string {
	var rows []string
	for _, id := range ids {
		rows = append(rows, fmt.Sprintf(`{"refund_id":%q,"tid":1,"status":"SUCCESS","created":%q,"modified":%q,"refund_phase":"aftersale"}`, id, modified, modified))
	}
	return func(int, map[string]string) string {
		return fmt.Sprintf(`{"total_results":%d,"has_next":false,"refunds":{"refund":[%s]}}`, len(ids), strings.Join(rows, ","))
	}
}

// A long thread is read whole, in whichever order it comes, once for each change of
// its refund, and without what was said.
func TestALongThread(t *testing.T) {
	t.Parallel()
	a, c := newAnswers(t, Config{Parallel: 1})
	at := func(minute int) string {
		return time.Now().Add(-2*time.Hour + time.Duration(minute)*time.Minute).In(zone).Format(timeLayout)
	}
	a.say[refundList] = refundsOf(at(100), "11", "12")
	a.say[refundThread] = func(_ int, form map[string]string) string {
		if form["fields"] != "id,owner_role,created,message_type" || form["refund_phase"] != "aftersale" {
			t.Errorf("asked for %q in the phase %q", form["fields"], form["refund_phase"])
		}
		page, _ := strconv.Atoi(form["page_no"])
		size, _ := strconv.Atoi(form["page_size"])
		var rows []string
		for i := (page - 1) * size; i < min(page*size, 90); i++ {
			role := 1
			if i == 60 || i == 85 { // the seller's, behind the first page
				role = 2
			}
			rows = append(rows, fmt.Sprintf(`{"owner_role":%d,"created":%q,"message_type":"NORMAL","content":"not asked for"}`, role, at(90-i)))
		}
		return `{"total_results":90,"refund_messages":{"refund_message":[` + strings.Join(rows, ",") + `]}}`
	}
	for range 2 {
		tickets, err := readTickets(t, c, func(r connectors.Record) {
			if strings.Contains(string(r.Raw), "content") {
				t.Errorf("what was said is kept: %s", r.Raw)
			}
		})
		if err != nil || len(tickets) != 2 {
			t.Fatalf("%d tickets, %v", len(tickets), err)
		}
		for id, ticket := range tickets {
			want, _ := time.ParseInLocation(timeLayout, at(5), zone)
			if off := ticket.GetFirstAnswerMs() - want.UnixMilli(); off < -60_000 || off > 60_000 {
				t.Errorf("refund %s was answered %d ms from when the seller first said something", id, off)
			}
		}
	}
	if n := a.calls[refundThread]; n != 2*3 {
		t.Errorf("%d calls for two threads of three pages, each read twice", n)
	}
	// A message may tell of one that left the refund as it was.
	a.say[refundDetail] = func(int, map[string]string) string {
		return fmt.Sprintf(`{"refund":{"refund_id":"11","modified":%q,"refund_phase":"aftersale"}}`, at(100))
	}
	if _, err := c.Fetch(t.Context(), Tickets, "11"); err != nil || a.calls[refundThread] != 3*3 {
		t.Errorf("%v, and %d calls after a message", err, a.calls[refundThread])
	}
	a.say[refundList] = refundsOf(at(101), "11", "12")
	if _, err := readTickets(t, c, func(connectors.Record) {}); err != nil {
		t.Fatal(err)
	}
	if n := a.calls[refundThread]; n != 5*3 {
		t.Errorf("%d calls after both refunds changed", n)
	}
}

// What a thread's failure costs: the first answer of that refund where the table of
// codes says so, otherwise the reading.
func TestAThreadThatFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer string
		class  connectors.Class // of the error that ends the reading; 0 where it goes on
	}{
		"no such refund":       {`{"error_response":{"code":15,"sub_code":"isv.refund-not-exist"}}`, 0},
		"no right":             {`{"error_response":{"code":11,"sub_code":"isv.permission-api-package-empty"}}`, 0},
		"out of service":       {`{"error_response":{"code":22,"sub_code":"isv.api-not-exist"}}`, 0},
		"a phase it takes not": {`{"error_response":{"code":41,"sub_code":"isv.invalid-parameter:refund_phase"}}`, 0},
		"without a phase":      {`{"error_response":{"code":40,"sub_code":"isv.missing-parameter:refund_phase"}}`, 0},
		"a page it takes not":  {`{"error_response":{"code":41,"sub_code":"isv.invalid-parameter:page_size"}}`, connectors.StopStream},
		"a time of tomorrow":   {`{"refund_messages_get_response":{"refund_messages":{"refund_message":[{"owner_role":1,"created":"tomorrow"},{"owner_role":2,"created":"1"}]}}}`, 0},
		"no messages":          {`{"refund_messages_get_response":{"request_id":"1"}}`, 0},
		"one message":          {`{"refund_messages_get_response":{"refund_messages":{"refund_message":{"owner_role":1}}}}`, 0},
		"a wrong session":      {`{"error_response":{"code":28,"sub_code":"x"}}`, connectors.StopShop},
		"an unknown refusal":   {`{"error_response":{"code":15,"sub_code":"isv.of-tomorrow"}}`, connectors.StopStream},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, conn := newAnswers(t, Config{})
			a.say[refundList] = refundsOf(time.Now().Add(-time.Hour).In(zone).Format(timeLayout), "11", "12")
			a.say[refundThread] = func(int, map[string]string) string { return "!" + c.answer }
			tickets, err := readTickets(t, conn, func(connectors.Record) {})
			if c.class == 0 && (err != nil || len(tickets) != 2) || c.class != 0 && (connectors.ClassOf(err) != c.class || len(tickets) > 0) {
				t.Errorf("%d tickets, %v, want class %s", len(tickets), err, c.class)
			}
		})
	}
}

// An estimate counts a call for each refund's thread.
func TestThreadsAreEstimated(t *testing.T) {
	t.Parallel()
	a, c := newAnswers(t, Config{})
	a.say[refundList] = func(int, map[string]string) string {
		return `{"total_results":40,"refunds":{"refund":[{"refund_id":"1"}]}}`
	}
	e, err := c.Estimate(t.Context(), Tickets, "")
	if err != nil || e.Records == 0 || e.Calls < e.Records {
		t.Errorf("%+v, %v; want a call for each refund", e, err)
	}
}
