package douyin

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"oneid/connectors"
)

// ordersAnswer is a page of order.searchList with rows as they are.
func ordersAnswer(w http.ResponseWriter, total int, rows ...string) {
	_, _ = fmt.Fprintf(w, `{"code":10000,"msg":"success","data":{"page":0,"size":100,"total":%d,"shop_order_list":[%s]}}`, total, strings.Join(rows, ","))
}

// One row that is no JSON, each time that it is asked for, costs itself alone: it
// goes to the dead letter with its bytes. What is cut off is no row.
func TestARowThatIsBroken(t *testing.T) {
	t.Parallel()
	broken := "{\"order_id\":\"2\",\"buyer_words\":\"a\x08b\"}"
	f, c := newFake(t)
	cut, always, once := false, false, true
	f.answer["order.searchList"] = func(n int, _ map[string]any, w http.ResponseWriter) {
		switch {
		case cut:
			_, _ = io.WriteString(w, `{"code":10000,"data":{"total":2,"shop_order_list":[{"order_id":"1"},{"order`)
		case n > 1 && once: // broken on its way
			once = false
			ordersAnswer(w, 2, `{"order_id":"1`+"\x00"+`"}`, `{"order_id":"2"}`)
		case !always:
			ordersAnswer(w, 2, `{"order_id":"1"}`, `{"order_id":"2"}`)
		default:
			ordersAnswer(w, 2, `{"order_id":"1"}`, broken)
		}
	}
	all := func() (records int, bad []connectors.BadRecord, next connectors.Cursor, err error) {
		for page, e := range c.Read(t.Context(), Orders, "") {
			records, bad, next, err = records+len(page.Records), append(bad, page.Bad...), page.Next, e
		}
		return records, bad, next, err
	}
	if records, bad, next, err := all(); err != nil || records < 2 || len(bad) != 0 || next == "" {
		t.Fatalf("what was broken on its way once: %d records, %d bad, %v", records, len(bad), err)
	}
	always = true
	records, bad, next, err := all()
	if err != nil || records == 0 || len(bad) == 0 || string(bad[0].Raw) != broken || !errors.Is(bad[0].Err, connectors.ErrBroken) || next == "" {
		t.Errorf("%d records, bad %q, cursor %q, %v", records, bad, next, err)
	}
	cut = true
	if records, bad, next, err := all(); err == nil || connectors.ClassOf(err) != connectors.Retry || records+len(bad) != 0 || next != "" {
		t.Errorf("what is cut off: %d records, %d bad, cursor %q, %v", records, len(bad), next, err)
	}
}

// An after-sale of an order whose detail is no JSON still finds its buyer.
func TestADetailThatIsBroken(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"itself":    "{\"code\":10000,\"data\":{\"shop_order_detail\":{\"order_id\":\"1\",\"doudian_open_id\":\"1@#a\",\"words\":\"a\x01\"}}}",
		"in a text": `{"code":10000,"data":"{\"shop_order_detail\":{\"order_id\":\"1\",\"doudian_open_id\":\"1@#a\",\"words\":01}}"}`,
	} {
		f, c := newFake(t)
		f.answer["order.orderDetail"] = func(_ int, _ map[string]any, w http.ResponseWriter) { _, _ = io.WriteString(w, answer) }
		if buyer, err := c.buyerOf(t.Context(), "1"); buyer != "1@#a" || err != nil {
			t.Errorf("%s: buyer %q, %v", name, buyer, err)
		}
		page, err := c.Fetch(t.Context(), Orders, "1")
		if err != nil || len(page.Records) != 1 {
			t.Fatalf("%s: %d records, %v", name, len(page.Records), err)
		}
		if _, err := c.Map(page.Records[0]); err == nil || strings.Contains(err.Error(), "1@#a") {
			t.Errorf("%s: Map: %v", name, err)
		}
	}
}

// An answer that says nothing of rows is no empty list: the cursor stays.
func TestAnAnswerWithoutAList(t *testing.T) {
	t.Parallel()
	for data, empty := range map[string]bool{
		`null`: false, `""`: false, `{}`: false, `0`: false, `{"page":0,"size":100}`: false, `"{}"`: false, `{"total":7,"shop_order_list":[]}`: false,
		`[]`: true, `{"total":0}`: true, `{"shop_order_list":[]}`: true, `{"total":"0","shop_order_list":null}`: true, `"{\"total\":0}"`: true,
	} {
		f, c := newFake(t)
		f.answer["order.searchList"] = func(_ int, _ map[string]any, w http.ResponseWriter) {
			_, _ = io.WriteString(w, `{"code":10000,"msg":"success","data":`+data+`}`)
		}
		_, next, err := read(t, c, Orders, "")
		if (err == nil) != empty || (next != "") != empty || !empty && connectors.ClassOf(err) != connectors.Retry {
			t.Errorf("%s: cursor %q, %v", data, next, err)
		}
	}
}

// An answer to a part of what was asked for (10001) is none about one entity: taken
// for a good one it would say that there is nothing.
func TestAPartOfOneEntity(t *testing.T) {
	t.Parallel()
	for stream, method := range map[string]string{Orders: "order.orderDetail", Aftersales: saleByNumber} {
		for _, data := range []string{`null`, `{}`, `{"items":[]}`, `{"shop_order_detail":null}`} {
			f, c := newFake(t)
			f.answer[method] = func(_ int, _ map[string]any, w http.ResponseWriter) {
				_, _ = io.WriteString(w, `{"code":10001,"msg":"success","data":`+data+`}`)
			}
			if page, err := c.Fetch(t.Context(), stream, "6910000000000000001"); err == nil || connectors.ClassOf(err) != connectors.Retry {
				t.Errorf("%s: %s is a page of %d records, %v", method, data, len(page.Records), err)
			}
		}
	}
}

// A total at the bound may be that of more rows: such a window is cut.
func TestATotalThatIsClipped(t *testing.T) {
	t.Parallel()
	f, c := newFake(t)
	s := newShop(5, time.Now().Add(-20*time.Hour).Truncate(time.Second), 3*time.Hour)
	f.answer["order.searchList"] = func(n int, param map[string]any, w http.ResponseWriter) {
		if span := param["update_time_end"].(float64) - param["update_time_start"].(float64); span <= 3600 {
			s.search(n, param, w)
			return
		}
		rows := s.orders[:1]
		if param["page"].(float64) > 0 {
			rows = nil
		}
		ok(w, map[string]any{"total": maxRows, "shop_order_list": rows})
	}
	records, next, err := read(t, c, Orders, "")
	if got := distinct(t, records); err != nil || len(got) != len(s.orders) || next == "" {
		t.Errorf("%d of %d orders, cursor %q, %v", len(got), len(s.orders), next, err)
	}
}

// What a proxy says in the platform's place has the proxy's time: by that a window
// would end in the platform's future, and what changes until then would be lost.
func TestTheClockIsThePlatformsOwn(t *testing.T) {
	t.Parallel()
	f, c := newFake(t)
	ahead := func(w http.ResponseWriter) {
		w.Header().Set("Date", time.Now().Add(3*time.Hour).UTC().Format(http.TimeFormat))
	}
	f.answer["order.searchList"] = func(_ int, _ map[string]any, w http.ResponseWriter) { ordersAnswer(w, 0) }
	f.answer["order.orderDetail"] = func(n int, _ map[string]any, w http.ResponseWriter) {
		ahead(w)
		switch n {
		case 1:
			w.WriteHeader(http.StatusBadGateway)
			_, _ = io.WriteString(w, "<html>502</html>")
		case 2:
			_, _ = io.WriteString(w, "<html>busy</html>")
		default:
			_, _ = io.WriteString(w, `{"code":1`)
		}
	}
	if _, err := c.buyerOf(t.Context(), "1"); err == nil {
		t.Fatal("nonsense is an answer")
	}
	if skew := c.client.clock.Skew(); skew.Abs() > time.Minute {
		t.Errorf("the platform's clock is taken to be %s away", skew)
	}
	_, next, err := read(t, c, Orders, "")
	if moment, ok := next.Moment(); err != nil || !ok || moment.After(time.Now()) {
		t.Errorf("read up to %s, %v", moment, err)
	}
}

// Decrypting costs for each time that the platform does it: what may have been done
// is not asked for again. A refusal is.
func TestADecryptionIsNotRepeated(t *testing.T) {
	t.Parallel()
	order := connectors.Record{Stream: Orders, Raw: []byte(`{"order_id":"1","encrypt_post_tel":"$$UA==$1$$"}`)}
	for name, c := range map[string]struct {
		answer func(n int, w http.ResponseWriter)
		calls  int
		opened bool
	}{
		"an answer that is cut off": {func(_ int, w http.ResponseWriter) { _, _ = io.WriteString(w, `{"code":10000,"data":{"decr`) }, 1, false},
		"a proxy's page":            {func(_ int, w http.ResponseWriter) { w.WriteHeader(http.StatusGatewayTimeout) }, 1, false},
		"a connection that ends":    {func(int, http.ResponseWriter) { panic(http.ErrAbortHandler) }, 1, false},
		"a refusal, then an answer": {func(n int, w http.ResponseWriter) {
			if n == 1 {
				refuse(w, 20000, "isp.service-error")
				return
			}
			_, _ = io.WriteString(w, `{"code":"10000","data":{"decrypt_infos":[{"auth_id":1,"cipher_text":"$$UA==$1$$","decrypt_text":"13900000001","is_virtual_tel":"false","err_no":"0"}]}}`)
		}, 2, true},
		"truth as a number": {func(_ int, w http.ResponseWriter) {
			_, _ = io.WriteString(w, `{"code":10000,"data":{"decrypt_infos":[{"auth_id":"1","cipher_text":"$$UA==$1$$","decrypt_text":"18400000000-1234","is_virtual_tel":1}]}}`)
		}, 1, false},
	} {
		f, connector := newFake(t)
		connector.cfg.DecryptFields = []string{fieldPhone}
		f.answer[decryptMethod] = func(n int, _ map[string]any, w http.ResponseWriter) { c.answer(n, w) }
		got, err := connector.Decrypt(t.Context(), []connectors.Record{order})
		if calls := f.count(decryptMethod); calls != c.calls {
			t.Errorf("%s: the platform is asked %d times, want %d", name, calls, c.calls)
		}
		if opened := err == nil && got[0].Outcome == connectors.OpenedAll; opened != c.opened {
			t.Errorf("%s: opened: %t, %v", name, opened, err)
		}
	}
}

// An id that names nobody makes no account of all who have it.
func TestIDsThatNameNobody(t *testing.T) {
	t.Parallel()
	for _, id := range []string{`""`, `"0"`, `0`, `null`, `"null"`, `"1@#a**"`} {
		mapped, err := mapRecord(connectors.Record{Stream: Orders, Shop: "1", Raw: []byte(`{"order_id":"7","doudian_open_id":` + id + `,"update_time":1767225605,"create_time":1767225605,"order_status":2}`)})
		if err != nil || mapped[0].GetHeader().GetAccount() != "order:7" {
			t.Errorf("%s: account %q, %v", id, mapped[0].GetHeader().GetAccount(), err)
		}
		if _, err := mapRecord(connectors.Record{Stream: Users, Shop: "1", Raw: []byte(`{"open_id":` + id + `,"order":{"update_time":1767225605}}`)}); err == nil {
			t.Errorf("%s is a user", id)
		}
	}
}

// A shop whose past has more rows than one query gives is estimated as what it is,
// also where the platform counts no further than that, or refuses to count.
func TestAnEstimateOfMoreThanOneQueryGives(t *testing.T) {
	t.Parallel()
	for name, refuses := range map[string]bool{"counts to the bound": false, "refuses": true} {
		f, c := newFake(t)
		f.answer["order.searchList"] = func(_ int, param map[string]any, w http.ResponseWriter) {
			rows := int(param["update_time_end"].(float64) - param["update_time_start"].(float64)) // one a second
			if rows > maxRows && refuses {
				refuse(w, 40004, "isv.parameter-invalid:20013")
				return
			}
			ordersAnswer(w, min(rows, maxRows))
		}
		e, err := c.Estimate(t.Context(), Orders, "")
		if want := 24 * 60 * 60; err != nil || e.Records < want-120 || e.Records > want || f.count("order.searchList") > 4 {
			t.Errorf("%s: %+v in %d calls, want %d rows; %v", name, e, f.count("order.searchList"), want, err)
		}
	}
}

// A page that lacks rows which its own answer counts: once, and they come; for good, and
// the reading says how many; all of them, and it stops where it is.
func TestAPageThatLacksRows(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		keeps, times, came int
		lacks              string
	}{
		"none, once":     {0, 1, 450, ""},
		"half, once":     {50, 1, 450, ""},
		"none, for good": {0, 1000, 150, ""},
		"half, for good": {50, 1000, 400, "50 rows are missing"},
	} {
		f, c := newFake(t)
		s := newShop(450, time.Now().Add(-20*time.Hour), time.Minute)
		asked := 0
		f.answer["order.searchList"] = func(n int, param map[string]any, w http.ResponseWriter) {
			if page, size := param["page"].(float64), param["size"].(float64); page == 2 && size == 100 && asked < test.times {
				asked++
				all := s.rows(param)
				ok(w, map[string]any{"total": len(all), "shop_order_list": all[200 : 200+test.keeps]})
				return
			}
			s.search(n, param, w)
		}
		records, next, err := read(t, c, Orders, "")
		stops := test.keeps == 0 && test.times > 1
		if got := len(distinct(t, records)); got != test.came || (err != nil) != stops || stops != (next == "") {
			t.Errorf("%s: %d orders came, want %d; the cursor %q, %v", name, got, test.came, next, err)
		}
		if says, _ := c.Lacks(Orders, next); !strings.Contains(says, test.lacks) || test.lacks == "" && says != "" {
			t.Errorf("%s: it is said to lack %q", name, says)
		}
	}
}

// A list that refuses with "no data" is empty.
func TestNoDataIsAnEmptyList(t *testing.T) {
	t.Parallel()
	f, c := newFake(t)
	f.answer["afterSale.List"] = func(_ int, _ map[string]any, w http.ResponseWriter) { refuse(w, 40004, subNoData) }
	if records, next, err := read(t, c, Aftersales, ""); err != nil || len(records) != 0 || next == "" {
		t.Errorf("%d after-sales, cursor %q, %v", len(records), next, err)
	}
}
