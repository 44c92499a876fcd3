package weidian

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"oneid/connectors"
)

// One order that is no JSON, in the list or by itself, each time that it is asked
// for, costs itself alone: it goes to the dead letter with its bytes.
func TestAnOrderThatIsBroken(t *testing.T) {
	t.Parallel()
	at := wallClock(time.Now().Add(-time.Hour))
	row := func(id, note string) string {
		return fmt.Sprintf(`{"order_id":%q,"update_time":%q,"status":20,"note":"%s"}`, id, at, note)
	}
	write := func(w http.ResponseWriter, result string) {
		_, _ = io.WriteString(w, `{"status":{"status_code":0},"result":`+result+`}`)
	}
	for name, broken := range map[string]struct{ listed, detail string }{
		"in the list": {row("2", "a\x08b"), ""},
		"by itself":   {row("2", ""), "{\"order_id\":\"2\",\"note\":\"a\x08b\"}"},
		"in a text":   {row("2", ""), `"{\"order_id\":\"2\",\"total\":01}"`},
	} {
		f, c := newFake(t, Config{}, 0)
		f.order = func(method, id string, w http.ResponseWriter) bool {
			switch method {
			case orderListing.method:
				write(w, `{"total_num":3,"orders":[`+row("1", "")+`,`+broken.listed+`,`+row("3", "")+`]}`)
			case "vdian.order.get":
				detail := `{"status":"pay"}`
				if id == "2" && broken.detail != "" {
					detail = broken.detail
				}
				write(w, detail)
			}
			return true
		}
		mapped, refused, bad := make(map[string]bool), make(map[string]bool), 0
		var next connectors.Cursor
		for page, err := range c.Read(t.Context(), Orders, "") {
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for _, record := range page.Records {
				if list, err := c.Map(record); err != nil {
					refused[string(record.Raw)] = true
				} else {
					mapped[list[0].GetHeader().GetEntityId()] = true
				}
			}
			for _, b := range page.Bad {
				if bad++; string(b.Raw) != broken.listed || !errors.Is(b.Err, connectors.ErrBroken) {
					t.Errorf("%s: bad %q", name, b.Raw)
				}
			}
			if page.Next != "" {
				next = page.Next
			}
		}
		if len(mapped) != 2 || len(refused)+min(bad, 1) != 1 || next == "" {
			t.Errorf("%s: %d orders, %d refused, %d bad, cursor %q", name, len(mapped), len(refused), bad, next)
		}
	}
}

// An answer that says nothing of what was asked for is no empty list: the cursor
// stays, of orders and of refunds.
func TestAnAnswerWithoutAList(t *testing.T) {
	t.Parallel()
	for result, empty := range map[string]bool{
		`null`: false, `""`: false, `"busy"`: false, `[]`: false, `[{"order_id":"1"}]`: false, `{}`: false, `200`: false, `{"order_num":0}`: false,
		`{"data":[{"refundNo":"1"}]}`: false, `{"total_num":7,"orders":[]}`: false, `{"total":7,"refundList":[]}`: false,
		`{"total_num":0}`: true, `{"orders":[]}`: true, `{"total_num":"0","orders":null}`: true, `{"total":0}`: true, `{"refundList":[]}`: true,
	} {
		for _, stream := range []string{Orders, Tickets} {
			f, c := newFake(t, Config{}, 0)
			f.before = func(_ string, _ int, _ string, w http.ResponseWriter) bool {
				_, _ = io.WriteString(w, `{"status":{"status_code":0},"result":`+result+`}`)
				return true
			}
			var next connectors.Cursor
			var err error
			for page, e := range c.Read(t.Context(), stream, "") {
				next, err = page.Next, e
			}
			if (err == nil) != empty || (next != "") != empty || !empty && connectors.ClassOf(err) != connectors.Retry {
				t.Errorf("%s, %s: cursor %q, %v", stream, result, next, err)
			}
		}
	}
}

// What a proxy says in the platform's place has the proxy's time: by that a window
// would end in the platform's future, and what changes until then would be lost.
func TestTheClockIsThePlatformsOwn(t *testing.T) {
	t.Parallel()
	f, c := newFake(t, Config{}, 0)
	f.before = func(method string, n int, _ string, w http.ResponseWriter) bool {
		if method != "vdian.order.get" {
			return false
		}
		w.Header().Set("Date", time.Now().Add(3*time.Hour).UTC().Format(http.TimeFormat))
		if n == 1 {
			w.WriteHeader(http.StatusBadGateway)
		}
		_, _ = io.WriteString(w, "<html>busy</html>")
		return true
	}
	if _, err := c.detail(t.Context(), listed{OrderID: "1"}); err == nil {
		t.Fatal("nonsense is an answer")
	}
	if skew := c.client.clock.Skew(); skew.Abs() > time.Minute {
		t.Errorf("the platform's clock is taken to be %s away", skew)
	}
}

// An id that names nobody makes no account of all who have it.
func TestIDsThatNameNobody(t *testing.T) {
	t.Parallel()
	for _, id := range []string{`""`, `"0"`, `0`, `null`, `"null"`, `"19**1"`} {
		mapped, err := mapRecord(connectors.Record{Stream: Orders, Shop: "1", Raw: []byte(`{"list":{"update_time":"2026-01-05 10:00:00"},"detail":{"order_id":"7","status":"pay","buyer_info":{"buyer_id":` + id + `}}}`)})
		if err != nil || mapped[0].GetHeader().GetAccount() != "order:7" {
			t.Errorf("%s: account %q, %v", id, mapped[0].GetHeader().GetAccount(), err)
		}
	}
}

// A value is a ciphertext where its length is one of the platform's blocks, of 32
// bytes: other base64, such as somebody's name for a parcel locker, is shown.
func TestWhatIsNoCiphertext(t *testing.T) {
	t.Parallel()
	for size, want := range map[int]bool{16: false, 31: false, 32: true, 48: false, 64: true, 96: true} {
		value := base64.StdEncoding.EncodeToString(make([]byte, size))
		if isCiphertext(value) != want || (inClear(text(value)) == "") != want {
			t.Errorf("%d bytes: %t", size, !want)
		}
	}
}

// A buyer of two orders with different phones has the phone of the order that changed
// last, whichever comes first: pages are read from the last to the first.
func TestTheLastOrderNamesThePhone(t *testing.T) {
	t.Parallel()
	rows := []json.RawMessage{
		json.RawMessage(`{"order_id":"1","update_time":"2026-01-05 10:00:00"}`),
		json.RawMessage(`{"order_id":"2","update_time":"2026-01-06 10:00:00"}`),
	}
	for _, newestFirst := range []bool{false, true} {
		_, c := newFake(t, Config{}, 0)
		for i, row := range rows {
			of, err := readListed(row)
			if err != nil {
				t.Fatal(err)
			}
			c.buyers.Put(of, buyer{ID: "190000001", Phone: []string{"13800138000", "13900139000"}[i]})
		}
		shown := slices.Clone(rows)
		if newestFirst {
			slices.Reverse(shown)
		}
		window := make(map[string]user)
		err := c.collect(t.Context(), c.records(Users, connectors.Part{}, shown).Records, connectors.NewRecent[string, text](10), window)
		if got := window["190000001"]; err != nil || got.Phone != "13900139000" || got.OrderID != "2" {
			t.Errorf("newest first %v: order %s names the phone, %v", newestFirst, got.OrderID, err)
		}
	}
}
