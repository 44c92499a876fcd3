package tmall

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"oneid/connectors"
)

// answers is a platform whose methods are answered as a test says: with what stands
// in the answer's root, or, when it begins with '<' or '!', with that itself.
type answers struct {
	mu    sync.Mutex
	calls map[string]int
	say   map[string]func(n int, form map[string]string) string
}

func newAnswers(t *testing.T, cfg Config) (*answers, *Connector) {
	t.Helper()
	a := &answers{calls: make(map[string]int), say: make(map[string]func(int, map[string]string) string)}
	a.say["taobao.time.get"] = func(int, map[string]string) string {
		return fmt.Sprintf(`{"time":%q}`, time.Now().In(zone).Format(timeLayout))
	}
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	cfg.URL, cfg.AppKey, cfg.AppSecret, cfg.Session, cfg.RequestsPerSecond, cfg.BackfillDays = server.URL, "1", "s", "session", 1e6, 1
	c, err := New("demo", cfg)
	if err != nil {
		t.Fatal(err)
	}
	return a, c
}

func (a *answers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	form := make(map[string]string)
	for name := range r.Form {
		form[name] = r.Form.Get(name)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	method := form["method"]
	a.calls[method]++
	say := a.say[method]
	if say == nil {
		_, _ = io.WriteString(w, `{"error_response":{"code":11,"sub_code":"isv.permission-api-package-empty"}}`)
		return
	}
	answer := say(a.calls[method], form)
	if whole, ok := strings.CutPrefix(answer, "!"); ok {
		_, _ = io.WriteString(w, whole)
		return
	}
	_, _ = fmt.Fprintf(w, `{%q:%s}`, rootName(method), answer)
}

// taken is what a reading gave.
type taken struct {
	rows int // distinct
	bad  []connectors.BadRecord
	next connectors.Cursor
	err  error
}

func take(t *testing.T, c *Connector, stream string, from connectors.Cursor) taken {
	t.Helper()
	var all taken
	seen := make(map[string]bool)
	for page, err := range c.Read(t.Context(), stream, from) {
		for _, record := range page.Records {
			seen[string(record.Raw)] = true
		}
		all.rows, all.bad, all.err = len(seen), append(all.bad, page.Bad...), err
		if page.Next != "" {
			all.next = page.Next
		}
	}
	return all
}

// One row that is no JSON, each time that it is asked for, costs itself alone: it
// goes to the dead letter with its bytes. What is cut off is no row.
func TestARowThatIsBroken(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ stream, method, list, item, total string }{
		{Orders, orderList, "trades", "trade", "total_results"},
		{Tickets, refundList, "refunds", "refund", "total_results"},
		{Users, memberSearch, "members", "crm_member", "total_result"},
	} {
		broken := "{\"ouid\":\"2\",\"tid\":2,\"title\":\"a\x08b\"}"
		rows := func(second string) string {
			return fmt.Sprintf(`{%q:3,%q:{%q:[{"tid":1,"ouid":"1"},%s,{"tid":3,"ouid":"3"}]}}`, c.total, c.list, c.item, second)
		}
		a, connector := newAnswers(t, Config{})
		a.say[c.method] = func(n int, _ map[string]string) string {
			if n == 1 {
				return rows("{\"tid\":2,\"ouid\":\"2\x00\"}") // broken on its way
			}
			return rows(`{"tid":2,"ouid":"2"}`)
		}
		if got := take(t, connector, c.stream, ""); got.err != nil || got.rows < 3 || len(got.bad) != 0 || got.next == "" {
			t.Errorf("%s, broken on its way: %+v", c.stream, got)
		}
		a.say[c.method] = func(int, map[string]string) string { return rows(broken) }
		got := take(t, connector, c.stream, "")
		if got.err != nil || got.rows < 2 || len(got.bad) == 0 || string(got.bad[0].Raw) != broken || !errors.Is(got.bad[0].Err, connectors.ErrBroken) || got.next == "" {
			t.Errorf("%s: %+v", c.stream, got)
		}
		a.say[c.method] = func(int, map[string]string) string { return "!" + `{"` + rootName(c.method) + `":` + rows(broken)[:60] }
		if got := take(t, connector, c.stream, ""); got.err == nil || connectors.ClassOf(got.err) != connectors.Retry || got.rows+len(got.bad) != 0 || got.next != "" {
			t.Errorf("%s, cut off: %+v", c.stream, got)
		}
	}
}

// An answer that says nothing of rows is no empty list: the cursor stays.
func TestAnAnswerWithoutAList(t *testing.T) {
	t.Parallel()
	for answer, empty := range map[string]bool{
		`{"request_id":"r"}`: false, `{}`: false, `null`: false, `{"trades":{}}`: false, `{"total_results":7}`: false,
		`{"total_results":0}`: true, `{"has_next":false}`: true, `{"trades":{"trade":[]}}`: true, `{"trades":[]}`: true,
	} {
		a, c := newAnswers(t, Config{})
		a.say[orderList] = func(int, map[string]string) string { return answer }
		got := take(t, c, Orders, "")
		if (got.err == nil) != empty || (got.next != "") != empty || !empty && connectors.ClassOf(got.err) != connectors.Retry {
			t.Errorf("%s: %+v", answer, got)
		}
	}
}

// Of old orders the pages may have none for the types that are asked for, before
// pages that have some; a platform that says for ever that more follow is an error.
func TestHistoryPagesWithoutRows(t *testing.T) {
	t.Parallel()
	for name, ever := range map[string]bool{"a page between": false, "more for ever": true} {
		a, c := newAnswers(t, Config{})
		a.say[historyList] = func(_ int, form map[string]string) string {
			if form["page_no"] == "3" && !ever {
				return `{"has_next":false,"trades":{"trade":[{"tid":9,"ouid":"o"}]}}`
			}
			return `{"has_next":true}`
		}
		rows := 0
		r := c.past(func(p connectors.Page) error {
			rows += len(p.Records)
			return nil
		})
		err := r.list(t.Context(), r.old, connectors.Window{From: time.Now().Add(-200 * day), To: time.Now().Add(-199 * day)})
		if ever && (!errors.Is(err, connectors.ErrNoEnd) || a.calls[historyList] > 20) || !ever && (err != nil || rows != 1) {
			t.Errorf("%s: %d rows in %d calls, %v", name, rows, a.calls[historyList], err)
		}
	}
}

// The members come, whatever the platform counts.
func TestMembersWhoAreNotCounted(t *testing.T) {
	t.Parallel()
	for name, total := range map[string]func(number, members int) int{
		"right":           func(_, members int) int { return members },
		"too few":         func(int, int) int { return 5 },
		"none":            func(int, int) int { return 0 },
		"on page 1 alone": func(number, members int) int { return map[bool]int{true: members}[number == 1] },
	} {
		for _, members := range []int{1, 9, 10, 35, 40} {
			a, c := newAnswers(t, Config{PageSize: 10})
			a.say[memberSearch] = func(_ int, form map[string]string) string {
				var number int
				_, _ = fmt.Sscan(form["current_page"], &number)
				var rows []string
				for id := (number - 1) * 10; id < min(number*10, members); id++ {
					rows = append(rows, fmt.Sprintf(`{"ouid":"m%d"}`, id))
				}
				return fmt.Sprintf(`{"total_result":%d,"members":{"crm_member":[%s]}}`, total(number, members), strings.Join(rows, ","))
			}
			if got := take(t, c, Users, ""); got.err != nil || got.rows != members || a.calls[memberSearch] > memberListings*(searchPasses*(members/10+1)+1) {
				t.Errorf("%s: %d of %d in %d calls, %v", name, got.rows, members, a.calls[memberSearch], got.err)
			}
		}
	}
}

// Decrypting costs for each time that the platform does it: what may have been done
// is not asked for again.
func TestADecryptionIsNotRepeated(t *testing.T) {
	t.Parallel()
	order := connectors.Record{Stream: Orders, Raw: []byte(`{"trade":{"tid":"1","oaid":"a"}}`)}
	for name, c := range map[string]struct {
		answer string
		calls  int
		want   string
	}{
		"cut off":        {`!{"top_oaid_decrypt_response":{"rec`, 1, ""},
		"a proxy's page": {"!<html></html>", 1, ""},
		"a refusal":      {`!{"error_response":{"code":15,"sub_code":"isp.top-remote-connection-timeout"}}`, 5, ""},
		"truth as text":  {`{"receiver_list":{"receiver":[{"tid":1,"matched":"true","privacy_protection":"false","mobile":"13900000001"}]}}`, 1, connectors.OpenedAll},
		"another's now":  {`{"receiver_list":{"receiver":[{"tid":"1","matched":false,"privacy_protection":false,"mobile":"13900000001"}]}}`, 1, connectors.OpenedFailed},
		"virtual":        {`{"receiver_list":{"receiver":[{"tid":"1","matched":1,"privacy_protection":1,"mobile":"18877771111-123"}]}}`, 1, connectors.OpenedVirtual},
	} {
		a, connector := newAnswers(t, Config{DecryptFields: []string{"phone"}, DecryptPerDay: 10, DecryptScene: "2002"})
		a.say[decryptMethod] = func(int, map[string]string) string { return c.answer }
		got, err := connector.Decrypt(t.Context(), []connectors.Record{order})
		if (err == nil) != (c.want != "") || err == nil && got[0].Outcome != c.want || a.calls[decryptMethod] != c.calls {
			t.Errorf("%s: %+v in %d calls, %v", name, got, a.calls[decryptMethod], err)
		}
	}
}

// An id that names nobody makes no account of all who have it.
func TestIDsThatNameNobody(t *testing.T) {
	t.Parallel()
	m := mapper{shop: "s", appKey: "1"}
	for _, id := range []string{``, `0`, `null`, `AAG**`} {
		mapped, err := m.mapRecord(connectors.Record{Stream: Orders, Raw: []byte(`{"trade":{"tid":7,"status":"TRADE_FINISHED","created":"2024-05-20 00:01:02"},"ouid":"` + id + `"}`)})
		if err != nil || mapped[0].GetHeader().GetAccount() != "order:7" {
			t.Errorf("%q: account %q, %v", id, mapped[0].GetHeader().GetAccount(), err)
		}
		if _, err := m.mapRecord(connectors.Record{Stream: Users, Raw: []byte(`{"member":{"ouid":"` + id + `"},"as_of":"2024-05-20T00:00:00Z"}`)}); err == nil {
			t.Errorf("%q is a member", id)
		}
	}
}

// More members than a search shows are found out where it counts none, too: they are
// listed by where they come from then.
func TestMoreMembersThanASearchShows(t *testing.T) {
	t.Parallel()
	a, c := newAnswers(t, Config{PageSize: 1})
	a.say[memberSearch] = func(_ int, form map[string]string) string {
		var number int
		_, _ = fmt.Sscan(form["current_page"], &number)
		source := form["relation_source"]
		if in := map[string]int{"": 1500, "1": 3, "2": 2, "3": 1}[source]; number > in {
			return `{"total_result":0}`
		}
		return fmt.Sprintf(`{"total_result":0,"members":{"crm_member":[{"ouid":"m%s-%d"}]}}`, source, number)
	}
	if got := take(t, c, Users, ""); got.err != nil || got.rows != searchPages+6 {
		t.Errorf("%d rows, %v", got.rows, got.err)
	}
}

// Windows that are read ahead wait for the reader: memory does not grow with their
// number.
func TestWindowsAheadAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &answers{calls: make(map[string]int), say: map[string]func(int, map[string]string) string{
			"taobao.time.get": func(int, map[string]string) string {
				return fmt.Sprintf(`{"time":%q}`, time.Now().In(zone).Format(timeLayout))
			},
			orderList: func(n int, _ map[string]string) string {
				return fmt.Sprintf(`{"total_results":1,"trades":{"trade":[{"tid":%d}]}}`, n)
			},
		}}
		c, err := New("demo", Config{
			URL: "http://tmall.example", AppKey: "1", AppSecret: "s", Session: "session", RequestsPerSecond: 1e6, BackfillDays: 60, Parallel: 3,
			Transport: direct{a},
		})
		if err != nil {
			t.Fatal(err)
		}
		next, stop := iter.Pull2(c.Read(t.Context(), Orders, ""))
		defer stop()
		for pages := 1; pages <= 3; pages++ {
			if page, err, ok := next(); err != nil || !ok || len(page.Records) != 1 {
				t.Fatalf("page %d: %d records, %v", pages, len(page.Records), err)
			}
			synctest.Wait()
			a.mu.Lock()
			if asked := a.calls[orderList]; asked > pages+2 {
				t.Errorf("%d windows are read when %d were given", asked, pages)
			}
			a.mu.Unlock()
		}
	})
}

// direct is a transport without a network.
type direct struct{ http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w.Result(), nil
}

// A refusal of the methods that name buyers is not for ever: what is given, or given
// again, is found, and until then it is not asked for with each order.
func TestBuyersAreNamedOnceTheyMayBe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &answers{calls: make(map[string]int), say: map[string]func(int, map[string]string) string{
			orderDetail: func(_ int, form map[string]string) string {
				return `{"trade":{"tid":` + form["tid"] + `,"buyer_open_uid":"open` + form["tid"] + `"}}`
			},
		}}
		c, err := New("demo", Config{URL: "http://tmall.example", AppKey: "1", AppSecret: "s", Session: "session", RequestsPerSecond: 1e6, Transport: direct{a}})
		if err != nil {
			t.Fatal(err)
		}
		fetch := func(id string) string {
			page, err := c.Fetch(t.Context(), Orders, id)
			if err != nil || len(page.Records) != 1 {
				t.Fatalf("%d records, %v", len(page.Records), err)
			}
			return string(page.Records[0].Raw)
		}
		for id := range 5 {
			if raw := fetch(strconv.Itoa(id)); strings.Contains(raw, "ouid\":") {
				t.Errorf("refused, and named: %s", raw)
			}
		}
		if asked := a.calls[simpleOrder]; asked != 1 {
			t.Errorf("what is refused is asked for %d times", asked)
		}
		a.say[simpleOrder] = func(_ int, form map[string]string) string {
			return `{"trade":{"tid":` + form["tid"] + `,"buyer_open_uid":"open` + form["tid"] + `","ouid":"o` + form["tid"] + `"}}`
		}
		time.Sleep(10 * time.Minute)
		if raw := fetch("7"); !strings.Contains(raw, `"ouid":"o7"`) {
			t.Errorf("permitted, and not named: %s", raw)
		}
	})
}

// A page of orders that lacks rows, whether its answer counts them or says that more
// follow: what came once is read, what stays away is told, and stands in the cursor while
// what follows is read.
func TestAPageOfOrdersThatLacksRows(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		page, times, came int
		lacks             string
	}{
		"in the middle, once":     {2, 1, 250, ""},
		"the last, once":          {3, 1, 250, ""},
		"in the middle, for good": {2, 1000, 210, "40 rows are missing"},
		"the last, for good":      {3, 1000, 210, "40 rows are missing"},
	} {
		a, c := newAnswers(t, Config{})
		changed := time.Now().Add(-5 * time.Hour).Truncate(time.Second)
		asked := 0
		a.say[orderList] = func(_ int, form map[string]string) string {
			from, _ := time.ParseInLocation(timeLayout, form["start_modified"], zone)
			to, _ := time.ParseInLocation(timeLayout, form["end_modified"], zone)
			page, _ := strconv.Atoi(form["page_no"])
			in := 250
			if changed.Before(from) || !changed.Before(to) {
				in = 0
			}
			var rows []string
			for i := min((page-1)*100, in); i < min(page*100, in); i++ {
				rows = append(rows, fmt.Sprintf(`{"tid":%d}`, 3700000000000000000+i))
			}
			if page == test.page && in > 0 && asked < test.times {
				asked++
				rows = rows[:len(rows)-40]
			}
			list := `"trades":{"trade":[` + strings.Join(rows, ",") + `]}`
			if form["use_has_next"] == "true" {
				return fmt.Sprintf(`{"has_next":%t,%s}`, page*100 < in, list)
			}
			return fmt.Sprintf(`{"total_results":%d,%s}`, in, list)
		}
		all := take(t, c, Orders, "")
		if all.err != nil || all.rows != test.came || all.next == "" {
			t.Fatalf("%s: %d orders came, want %d; %v", name, all.rows, test.came, all.err)
		}
		later := take(t, c, Orders, all.next)
		for _, next := range []connectors.Cursor{all.next, later.next} {
			if next == "" {
				continue // nothing is to be read yet
			}
			if says, _ := c.Lacks(Orders, next); !strings.Contains(says, test.lacks) || test.lacks == "" && says != "" {
				t.Errorf("%s: it is said to lack %q", name, says)
			}
		}
	}
}

// A window of whose rows no records are made may lack some all the same: they are
// counted, whatever the windows after it hold.
func TestAWindowWithoutRecordsThatLacksRows(t *testing.T) {
	t.Parallel()
	const method = "taobao.crm.things.get"
	for name, later := range map[string]int{"others have some": 1, "no other has any": 0} {
		a, c := newAnswers(t, Config{})
		half := time.Now().Add(-36 * time.Hour)
		a.say[method] = func(_ int, form map[string]string) string {
			from, err := time.ParseInLocation(timeLayout, form["from"], zone)
			if err != nil {
				t.Error(err)
			}
			if from.Before(half) {
				return `{"total_results":5,"things":{"thing":[{"n":1},{"n":2}]}}`
			}
			return `{"total_results":1,"things":{"thing":[{"n":3}]}}`
		}
		l := listing{method: method, start: "from", end: "to", page: "page_no", list: "things", item: "thing", total: "total_results",
			records: func(_ context.Context, p connectors.Part, rows []json.RawMessage) ([]json.RawMessage, error) {
				if p.Window.From.Before(half) {
					return nil, nil
				}
				return rows[:later], nil
			}}
		records, short := 0, 0
		err := c.readWindows(t.Context(), l, cursorAt(time.Now().Add(-48*time.Hour)), func(page connectors.Page) error {
			records, short = records+len(page.Records), short+page.Short
			return nil
		})
		if err != nil || (records > 0) != (later > 0) || short != 3 {
			t.Errorf("%s: %d records, %d rows are short, %v", name, records, short, err)
		}
	}
}
