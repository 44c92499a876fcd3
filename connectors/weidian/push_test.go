package weidian

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"oneid/connectors"
	"oneid/schemas/events"
)

const pushedRefund = `{"type":"weidian.order.buyers_apply_refund","shopId":1800000001,"aesKeyVersion":1,"message":{"order_id":"800000000000001","status":"shiped_refunding","refund_status_ori":1,"user_phone":"qm5GAS+soIIAf3pvSVvA7NKBZvocWHXWGOzjr9FzTN4=","weixin":"4S4DSdPxkgKNJUZQE1OZZtt9oAoOFYF03p+twaLkEZY=","buyer_info":{"buyer_id":"190000001","province":"浙江省"}}}` //nolint:misspell // the platform's

func form(content string) string { return url.Values{"content": {content}}.Encode() }

func TestPushedMessages(t *testing.T) {
	t.Parallel()
	type about struct{ Type, Shop, Stream, ID string }
	for name, c := range map[string]struct {
		body string
		want []about
		errs int
	}{
		"a refund and its order": {form(pushedRefund), []about{
			{"weidian.order.buyers_apply_refund", "1800000001", Orders, "800000000000001"},
			{"weidian.order.buyers_apply_refund", "1800000001", Tickets, "800000000000001"},
		}, 0},
		"as raw as some came":       {"content=" + pushedRefund, []about{{"weidian.order.buyers_apply_refund", "1800000001", Orders, "800000000000001"}, {"weidian.order.buyers_apply_refund", "1800000001", Tickets, "800000000000001"}}, 0},
		"an older one, of no shop":  {form(`{"type":"weidian.order.already_payment","message":{"order_id":800000000000001}}`), []about{{"weidian.order.already_payment", "", Orders, "800000000000001"}}, 0},
		"the order as text":         {form(`{"type":"weidian.order.finished","message":"{\"order_id\":\"800000000000001\"}"}`), []about{{"weidian.order.finished", "", Orders, "800000000000001"}}, 0},
		"the platform's spelling":   {form(`{"type":"weidian.order.confirm_eceipt","message":{"order_id":"1"}}`), []about{{"weidian.order.confirm_eceipt", "", Orders, "1"}}, 0},
		"a type of something else":  {form(`{"type":"weidian.item.changed","message":{"order_id":"1"}}`), []about{{Type: "weidian.item.changed"}}, 0},
		"no order":                  {form(`{"type":"weidian.order.close","message":{}}`), []about{{Type: "weidian.order.close"}}, 1},
		"no number":                 {form(`{"type":"weidian.order.close","message":{"order_id":"1/../2"}}`), []about{{Type: "weidian.order.close"}}, 1},
		"no content":                {"traceId=1", []about{{}}, 1},
		"content that is no object": {form(`[]`), []about{{}}, 1},
		"no form":                   {"%zz", []about{{}}, 1},
	} {
		var got []about
		errs := 0
		for _, m := range readPush([]byte(c.body)) {
			got = append(got, about{m.Type, m.Shop, m.Stream, m.ID})
			if m.Err != nil {
				errs++
			}
		}
		if d := cmp.Diff(c.want, got); d != "" || errs != c.errs {
			t.Errorf("%s: %d errors, want %d (-want +got):\n%s", name, errs, c.errs, d)
		}
	}
}

func TestPushSecret(t *testing.T) {
	t.Parallel()
	settings := Config{AccessToken: "t", PushSecret: strings.Repeat("a1_-", 5)}
	c, err := New("1800000001", settings)
	if err != nil {
		t.Fatal(err)
	}
	silent, err := New("1800000001", Config{AccessToken: "t"})
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range map[string]struct {
		to      *Connector
		key     string
		refused bool
	}{
		"its own":               {c, settings.PushSecret, false},
		"another":               {c, strings.Repeat("a1_.", 5), true},
		"its beginning":         {c, settings.PushSecret[:10], true},
		"none":                  {c, "", true},
		"none, where none is":   {silent, "", true},
		"some, where none is":   {silent, "a", true},
		"more than there is of": {c, settings.PushSecret + "a", true},
	} {
		if _, err := p.to.Open(connectors.Push{Key: p.key, Body: []byte(form(pushedRefund))}); (err != nil) != p.refused {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, bad := range []string{"short", strings.Repeat("a", 19), strings.Repeat("/", 20)} {
		if _, err := New("1", Config{AccessToken: "t", PushSecret: bad}); err == nil {
			t.Errorf("push_secret %q is taken", bad)
		}
	}
}

// What is read by its number is what a pull reads: also the time of change,
// which stands in the list only; also refunds where the app may not list them.
// An order that changed before the look back is left to the pull, at few calls.
func TestFetchReadsWhatAPullReads(t *testing.T) {
	t.Parallel()
	for name, denied := range map[string]bool{"with the list of refunds": false, "without it": true} {
		f, c := newFake(t, Config{}, 300)
		f.before = func(method string, _ int, _ string, w http.ResponseWriter) bool {
			if denied && method == refundListing.method {
				answer(w, 10009, nil)
				return true
			}
			return false
		}
		late := f.orders[len(f.orders)-2:]
		late[0]["update_time"], late[1]["update_time"] = wallClock(time.Now().Add(-30*time.Minute)), wallClock(time.Now().Add(-70*time.Second))
		pulled := make(map[string][]*events.Event)
		for _, stream := range []string{Orders, Tickets} {
			records, _, err := read(t, c, stream, "")
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range records {
				for _, e := range mapped(t, c, r) {
					id := events.Describe(e).ID
					pulled[id] = append(pulled[id], e)
				}
			}
		}
		fetched := 0
		for _, stream := range []string{Orders, Tickets} {
			for _, o := range late {
				page, err := c.Fetch(t.Context(), stream, o["order_id"].(string))
				if err != nil || len(page.Bad) > 0 || page.Next != "" {
					t.Fatalf("%s: %v, %d bad, cursor %q", name, err, len(page.Bad), page.Next)
				}
				for _, r := range page.Records {
					for _, e := range mapped(t, c, r) {
						fetched++
						same := pulled[events.Describe(e).ID]
						if len(same) == 0 {
							t.Errorf("%s: no pull has the id %s", name, events.Describe(e).ID)
							continue
						}
						e.Header.Version.ObservedMs = same[0].Header.Version.ObservedMs
						if !proto.Equal(e, same[0]) {
							t.Errorf("%s: %s is another event than the pull's", name, events.Describe(e).ID)
						}
					}
				}
			}
		}
		if want := map[bool]int{false: 2, true: 6}[denied]; fetched != want {
			t.Errorf("%s: %d events were fetched, want %d", name, fetched, want)
		}
		before := f.calls[orderListing.method]
		if page, err := c.Fetch(t.Context(), Orders, "800000000000000"); err != nil || len(page.Records)+len(page.Bad) != 0 {
			t.Errorf("%s: an order of yesterday: %v, %v", name, page, err)
		}
		if calls := f.calls[orderListing.method] - before; calls > 2*lookPages {
			t.Errorf("%s: looked at %d pages", name, calls)
		}
	}
}

// On a busy day an order is pages behind the first one of what changed lately, and is
// found there without the wider look.
func TestAPushedOrderIsFoundPagesBehind(t *testing.T) {
	t.Parallel()
	const size = 2
	f, c := newFake(t, Config{PageSize: size}, lookPagesWanted*size)
	for i, o := range f.orders {
		o["update_time"] = wallClock(time.Now().Add(-time.Minute).Add(time.Duration(i) * time.Second))
	}
	last := f.orders[len(f.orders)-1]["order_id"].(string)
	page, err := c.Fetch(t.Context(), Orders, last)
	if err != nil || len(page.Records) != 1 || f.calls[orderListing.method] != lookPagesWanted {
		t.Errorf("page %d of what changed: %d orders in %d calls, %v", lookPagesWanted, len(page.Records), f.calls[orderListing.method], err)
	}
}

// lookPagesWanted is how many pages of what changed lately are looked through at least.
const lookPagesWanted = 4

func mapped(t *testing.T, c *Connector, r connectors.Record) []*events.Event {
	t.Helper()
	list, err := c.Map(r)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func FuzzPush(f *testing.F) {
	for _, body := range []string{form(pushedRefund), "content=" + pushedRefund, form(`{"type":"weidian.order.close","message":"{}"}`), "content=%7B%22message%22%3A%22%5C%22%22%7D"} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, m := range readPush(body) {
			if (m.Stream == "") != (m.ID == "") || m.Err != nil && m.Stream != "" || strings.Trim(m.ID, "0123456789") != "" {
				t.Errorf("stream %q, number %q, %v", m.Stream, m.ID, m.Err)
			}
		}
	})
}
