package douyin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"oneid/connectors"
)

func TestWindowWithTooManyRowsIsCut(t *testing.T) {
	t.Parallel()
	for name, told := range map[string]bool{"refused": false, "told by the total": true} {
		t.Run(name, func(t *testing.T) {
			f, c := newFakeWith(t, Config{})
			s := newShop(300, time.Now().Add(-20*time.Hour), time.Minute)
			s.most, s.told = 40, told
			f.answer["order.searchList"] = s.search
			records, _, err := read(t, c, Orders, "")
			if err != nil {
				t.Fatal(err)
			}
			if got := len(distinct(t, records)); got != 300 {
				t.Errorf("read %d orders, want 300", got)
			}
		})
	}
}

func TestExpiredTokenIsRenewedOnce(t *testing.T) {
	t.Parallel()
	for _, sub := range []string{"isv.access-token-expired", "isv.access-token-no-existed"} {
		f, c := newFake(t)
		f.answer["order.searchList"] = func(_ int, param map[string]any, w http.ResponseWriter) {
			if param["access_token"] == "token-1" {
				refuse(w, 40003, sub)
				return
			}
			ok(w, map[string]any{"total": 0})
		}
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if _, err := c.page(t.Context(), orderListing, connectors.Window{From: time.Now()}, 0, 1); err != nil {
					t.Errorf("%s: %v", sub, err)
				}
			})
		}
		all.Wait()
		if created, refreshed := f.count("token.create"), f.count("token.refresh"); created != 1 || refreshed != 1 {
			t.Errorf("%s: %d tokens created, %d refreshed; want 1 and 1", sub, created, refreshed)
		}
	}
}

// More than an hour before its end a refresh brings the same pair: one that the
// platform refuses is only replaced by creating it anew, which the brand's own app
// can, and an app of the service market cannot.
func TestARefusedTokenThatARefreshBringsBackIsCreatedAnew(t *testing.T) {
	t.Parallel()
	for _, sub := range []string{"isv.access-token-invalid", "isv.authorization-type-invalid"} {
		f, c := newFake(t)
		same := func(_ int, _ map[string]any, w http.ResponseWriter) {
			ok(w, map[string]any{"access_token": "token-1", "refresh_token": "refresh", "expires_in": 604800})
		}
		f.answer["token.refresh"] = same
		f.answer["order.searchList"] = func(_ int, param map[string]any, w http.ResponseWriter) {
			if param["access_token"] == "token-1" {
				refuse(w, 40003, sub)
				return
			}
			ok(w, map[string]any{"total": 0})
		}
		if _, _, err := read(t, c, Orders, ""); err != nil || f.count("token.create") != 2 || f.count("token.refresh") != 1 {
			t.Errorf("%s: %d created, %d refreshed, %v; want 2, 1 and a reading that goes on", sub, f.count("token.create"), f.count("token.refresh"), err)
		}
		f, c = newFakeWith(t, Config{ServiceID: "9"})
		f.answer["token.refresh"], f.answer["token.create"] = same, same
		f.answer["order.searchList"] = func(_ int, _ map[string]any, w http.ResponseWriter) { refuse(w, 40003, sub) }
		if _, err := c.Authorise(t.Context(), "code", func(_, _ connectors.Token) error { return nil }); err != nil {
			t.Fatal(err)
		}
		_, _, err := read(t, c, Orders, "")
		if !errors.Is(err, connectors.ErrReauthorise) || f.count("token.create") != 1 || f.count("token.refresh") != 1 {
			t.Errorf("%s, of the service market: %d created, %d refreshed, %v; want 1, 1 and a word that its owner is to consent", sub, f.count("token.create"), f.count("token.refresh"), err)
		}
	}
}

// Where each way to a token brings the one that is refused, a person is asked to act, and
// the platform is not asked for tokens with each reading; once it takes the token again,
// or another was brought, the shop goes on.
func TestARefusedTokenThatEachWayBringsBack(t *testing.T) {
	t.Parallel()
	for name, mended := range map[string]func(f *fake, c *Connector, taken *string){
		"it is taken again": func(_ *fake, _ *Connector, taken *string) { *taken = "token-1" },
		"it is connected anew": func(f *fake, c *Connector, taken *string) {
			f.answer["token.create"] = func(_ int, _ map[string]any, w http.ResponseWriter) {
				ok(w, map[string]any{"access_token": "token-2", "refresh_token": "refresh", "expires_in": 604800})
			}
			*taken = "token-2"
			if _, err := c.Authorise(t.Context(), "", func(_, _ connectors.Token) error { return nil }); err != nil {
				t.Error(err)
			}
		},
	} {
		f, c := newFake(t)
		taken := "none"
		same := func(_ int, _ map[string]any, w http.ResponseWriter) {
			ok(w, map[string]any{"access_token": "token-1", "refresh_token": "refresh", "expires_in": 604800})
		}
		f.answer["token.refresh"], f.answer["token.create"] = same, same
		f.answer["order.searchList"] = func(_ int, param map[string]any, w http.ResponseWriter) {
			if param["access_token"] != taken {
				refuse(w, 40003, "isv.access-token-invalid")
				return
			}
			ok(w, map[string]any{"total": 0})
		}
		for range 5 {
			_, _, err := read(t, c, Orders, "")
			var e *connectors.Error
			if !errors.Is(err, connectors.ErrReauthorise) || !connectors.Stops(err) || !errors.As(err, &e) || !strings.Contains(e.Mend, "authorises the app") || e.SubCode != "isv.access-token-invalid" {
				t.Errorf("%s: %v, mended by %q", name, err, e.Mend)
			}
		}
		if f.count("token.create") != 2 || f.count("token.refresh") != 1 || f.count("order.searchList") != 6 {
			t.Errorf("%s: five readings: %d created, %d refreshed, %d asked", name, f.count("token.create"), f.count("token.refresh"), f.count("order.searchList"))
		}
		mended(f, c, &taken)
		if _, _, err := read(t, c, Orders, ""); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTokenThatStaysRefusedEndsTheCall(t *testing.T) {
	t.Parallel()
	f, c := newFake(t)
	f.answer["order.searchList"] = func(_ int, _ map[string]any, w http.ResponseWriter) {
		refuse(w, 40003, "isv.access-token-expired")
	}
	_, _, err := read(t, c, Orders, "")
	if !errors.Is(err, connectors.ErrUnauthorized) || f.count("order.searchList") != 2 {
		t.Errorf("after %d calls: %v", f.count("order.searchList"), err)
	}
}

func TestTokenIsRefreshedInItsLastHour(t *testing.T) {
	t.Parallel()
	f, c := newFake(t)
	f.answer["token.create"] = func(_ int, _ map[string]any, w http.ResponseWriter) { f.grant(w, 1200) }
	f.answer["order.searchList"] = func(_ int, param map[string]any, w http.ResponseWriter) {
		if param["access_token"] == "token-1" {
			t.Error("called with the token that ends in 20 minutes although it could be refreshed")
		}
		ok(w, map[string]any{"total": 0})
	}
	if _, err := c.client.tokens.Valid(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := read(t, c, Orders, ""); err != nil {
		t.Fatal(err)
	}
	if f.count("token.create") != 1 || f.count("token.refresh") != 1 {
		t.Errorf("created %d, refreshed %d, want 1 and 1", f.count("token.create"), f.count("token.refresh"))
	}
}

func TestBadAnswersAreAskedForAgain(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"HTML for JSON": "<html>502 Bad Gateway</html>", "cut off": `{"code":10000,"data":{"total":1,"shop_o`, "nothing": "", "no envelope": "{}",
	} {
		t.Run(name, func(t *testing.T) {
			f, c := newFake(t)
			s := newShop(3, time.Now().Add(-time.Hour), time.Minute)
			f.answer["order.searchList"] = func(n int, param map[string]any, w http.ResponseWriter) {
				if n%2 == 1 {
					_, _ = w.Write([]byte(body))
					return
				}
				s.search(n, param, w)
			}
			records, _, err := read(t, c, Orders, "")
			if err != nil || len(distinct(t, records)) != 3 {
				t.Errorf("read %d orders, %v", len(records), err)
			}
		})
	}
}

// A list of which the platform says that a part failed is asked for again: what it
// lacks is not what the shop lacks.
func TestAListOfWhichAPartFailedIsNone(t *testing.T) {
	t.Parallel()
	f, c := newFake(t)
	s := newShop(3, time.Now().Add(-time.Hour), time.Minute)
	f.answer["order.searchList"] = func(n int, param map[string]any, w http.ResponseWriter) {
		if n == 2 { // the first counts
			_ = json.NewEncoder(w).Encode(map[string]any{"code": 10001, "data": map[string]any{"total": 1, "shop_order_list": s.orders[:1]}})
			return
		}
		s.search(n, param, w)
	}
	records, _, err := read(t, c, Orders, "")
	if err != nil || len(distinct(t, records)) != 3 {
		t.Errorf("read %d orders, %v", len(records), err)
	}
}

// While the platform gives but a part of a page, whatever it is asked, the reading ends
// with that: nothing of the page is taken for all of it, the cursor stays before its window,
// and the next reading goes on there. A person is told when it lasts.
func TestAPageOfWhichAPartFailsForLong(t *testing.T) {
	t.Parallel()
	f, c := newFake(t)
	s := newShop(450, time.Now().Add(-20*time.Hour), time.Minute)
	failing := true
	f.answer["order.searchList"] = func(n int, param map[string]any, w http.ResponseWriter) {
		if failing && param["page"].(float64) == 2 {
			_ = json.NewEncoder(w).Encode(map[string]any{"code": 10001, "data": map[string]any{"total": 450, "shop_order_list": s.orders[:1]}})
			return
		}
		s.search(n, param, w)
	}
	first, next, err := read(t, c, Orders, "")
	if connectors.ClassOf(err) != connectors.Retry || !errors.Is(err, errPartly) || !strings.Contains(err.Error(), "order.searchList") || !strings.Contains(err.Error(), "10001") || next != "" {
		t.Errorf("cursor %q, %v; want an error that names the call and the code, and is tried again", next, err)
	}
	failing = false
	rest, next, err := read(t, c, Orders, next)
	if err != nil || next == "" || len(distinct(t, append(first, rest...))) != 450 {
		t.Errorf("afterwards: %d orders, cursor %q, %v", len(distinct(t, append(first, rest...))), next, err)
	}
}

// An answer may be JSON in a text: where that is broken in one row, this row alone
// is, and where it is cut off it is asked for again.
func TestDataInATextThatIsBroken(t *testing.T) {
	t.Parallel()
	now := time.Now().Unix()
	row := func(id, more string) string {
		return fmt.Sprintf(`{"order_id":"%s","update_time":%d%s}`, id, now-3600, more)
	}
	f, c := newFake(t)
	f.answer["order.searchList"] = func(n int, _ map[string]any, w http.ResponseWriter) {
		data := `{"total":3,"page":0,"shop_order_list":[` + row("1", "") + "," + row("2", `,"pay_amount":01`) + "," + row("3", "") + `]}`
		if n%2 == 1 {
			data = data[:len(data)-40]
		}
		inner, _ := json.Marshal(data)
		_, _ = w.Write([]byte(`{"code":10000,"data":` + string(inner) + `}`))
	}
	ids, broken := map[string]bool{}, map[string]bool{}
	for page, err := range c.Read(t.Context(), Orders, "") {
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Records {
			id, _, _ := orderKey(r.Raw)
			ids[id] = true
		}
		for _, bad := range page.Bad {
			broken[string(bad.Raw)] = errors.Is(bad.Err, connectors.ErrBroken)
		}
	}
	if len(ids) != 2 || !ids["1"] || !ids["3"] || len(broken) != 1 || !broken[row("2", `,"pay_amount":01`)] {
		t.Errorf("read the orders %v and the broken %v", ids, broken)
	}
}

func TestWrongClockIsMended(t *testing.T) {
	t.Parallel()
	f, c := newFake(t)
	ahead := 3 * time.Hour
	f.answer["token.create"] = func(n int, _ map[string]any, w http.ResponseWriter) {
		w.Header().Set("Date", time.Now().Add(ahead).UTC().Format(http.TimeFormat))
		if n == 1 {
			refuse(w, 40003, "isv.timestamp-invalid")
			return
		}
		f.grant(w, 604800)
	}
	if _, err := c.client.tokens.Valid(t.Context()); err != nil {
		t.Fatal(err)
	}
	if off := c.client.clock.Skew() - ahead; off.Abs() > 5*time.Second {
		t.Errorf("learnt a clock that is %s wrong", off)
	}
}

func TestErrorsHoldNoSecret(t *testing.T) {
	t.Parallel()
	f, c := newFake(t)
	f.answer["order.searchList"] = func(_ int, _ map[string]any, w http.ResponseWriter) { refuse(w, 30001, "dop.no-permissions") }
	_, _, err := read(t, c, Orders, "")
	if !errors.Is(err, connectors.ErrForbidden) {
		t.Fatalf("error %v", err)
	}
	for _, secret := range []string{testSecret, "token-1", "access_token", "sign="} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("the error holds %q: %v", secret, err)
		}
	}
}

func TestUsersWithAndWithoutMembers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cfg        Config
		sub        string
		wantPhones int
	}{
		"members":          {Config{AppID: 77}, "", 3},
		"no right":         {Config{AppID: 77}, "isv.business-failed:628005200", 0},
		"not asked for":    {Config{}, "", 0},
		"one refuses them": {Config{AppID: 77}, "isv.business-failed:628145003", 3},
	} {
		t.Run(name, func(t *testing.T) {
			f, conn := newFakeWith(t, c.cfg)
			s := newShop(30, time.Now().Add(-2*time.Hour), time.Minute)
			f.answer["order.searchList"] = s.search
			f.answer["member.mGetMemberInfoByOpenIdList"] = func(_ int, param map[string]any, w http.ResponseWriter) {
				ids := param["open_id_list"].([]any)
				if c.sub != "" && (len(ids) > 1 || c.wantPhones == 0) {
					refuse(w, 50002, c.sub)
					return
				}
				var members []map[string]any
				for _, id := range ids {
					var n int
					_, _ = fmt.Sscanf(id.(string), "1@#buyer%d", &n)
					members = append(members, map[string]any{"open_id": id, "success": n < 3, "mobile": fmt.Sprintf("1390000000%d", n), "union_id": "u"})
				}
				ok(w, map[string]any{"member_infos": members})
			}
			records, _, err := read(t, conn, Users, "")
			if err != nil {
				t.Fatal(err)
			}
			phones, users := 0, make(map[string]bool)
			for _, r := range records {
				mapped, err := conn.Map(r)
				if err != nil {
					t.Fatal(err)
				}
				users[mapped[0].GetHeader().GetAccount()] = true
				for _, sighting := range mapped[0].GetHeader().GetPerson().GetSightings() {
					if sighting.GetType() == "phone" {
						phones++
					}
				}
			}
			if len(users) != 7 || len(records) != 7 || phones != c.wantPhones {
				t.Errorf("%d users in %d records with %d phones, want 7, 7, %d", len(users), len(records), phones, c.wantPhones)
			}
		})
	}
}

func TestAftersaleLearnsItsBuyerOnce(t *testing.T) {
	t.Parallel()
	f, c := newFake(t)
	now := time.Now().Add(-time.Hour).Unix()
	f.answer["afterSale.List"] = func(_ int, _ map[string]any, w http.ResponseWriter) {
		var items []map[string]any
		for i, order := range []string{"6910000000000000001", "6910000000000000001", "6910000000000000404"} {
			items = append(items, map[string]any{
				"aftersale_info": map[string]any{"aftersale_id": fmt.Sprint(7100 + i), "aftersale_status": 6, "update_time": now},
				"order_info":     map[string]any{"shop_order_id": order},
			})
		}
		ok(w, map[string]any{"total": 3, "items": items})
	}
	f.answer["order.orderDetail"] = func(_ int, param map[string]any, w http.ResponseWriter) {
		if param["shop_order_id"] == "6910000000000000404" {
			refuse(w, 50002, "isv.business-failed:20015")
			return
		}
		ok(w, map[string]any{"shop_order_detail": map[string]any{"order_id": param["shop_order_id"], "doudian_open_id": "1@#who"}})
	}
	c.cfg.Parallel, c.cfg.OverlapSeconds = 1, new(0) // one window
	records, _, err := read(t, c, Aftersales, "")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"1@#who", "1@#who", "order:6910000000000000404"}
	for i, r := range records[:3] {
		mapped, err := c.Map(r)
		if err != nil || len(mapped) != 2 || mapped[0].GetHeader().GetAccount() != want[i] {
			t.Errorf("record %d: %v, %v; want account %s", i, mapped, err, want[i])
		}
	}
	if n := f.count("order.orderDetail"); n > 2 {
		t.Errorf("asked for %d orders, want 2", n)
	}
}

func TestCheckNamesEveryFault(t *testing.T) {
	t.Parallel()
	f, c := newFake(t)
	for _, method := range []string{"order.searchList", "afterSale.List", "order.getServiceList"} {
		f.answer[method] = func(_ int, _ map[string]any, w http.ResponseWriter) { refuse(w, 30001, "dop.no-permissions") }
	}
	err := c.Check(t.Context())
	for _, stream := range []string{Orders, Aftersales, Services} {
		if err == nil || !strings.Contains(err.Error(), "stream "+stream) {
			t.Errorf("Check does not name %s: %v", stream, err)
		}
	}
	if _, err := New("", Config{BackfillDays: 91, PageSize: 101, URL: "x"}); err == nil || strings.Count(err.Error(), "\n") != 5 {
		t.Errorf("New names not every fault: %v", err)
	}
}

// What a window's list counts and does not give is counted once, however many pages of
// users its buyers make.
func TestUsersCountWhatLacksOnce(t *testing.T) {
	t.Parallel()
	f, c := newFakeWith(t, Config{})
	s := newShop(2*userPage+1, time.Now().Add(-20*time.Hour), time.Millisecond)
	for i, order := range s.orders {
		order["doudian_open_id"] = fmt.Sprintf("1@#buyer%d", i)
	}
	f.answer["order.searchList"] = func(_ int, param map[string]any, w http.ResponseWriter) {
		page, size := int(param["page"].(float64)), int(param["size"].(float64))
		in := s.rows(param)
		total := len(in)
		if total > 0 {
			total += 3
		}
		ok(w, map[string]any{"total": total, "page": page, "size": size, "shop_order_list": in[min(page*size, len(in)):min((page+1)*size, len(in))]})
	}
	buyers, short, cursor := 0, 0, connectors.Cursor("")
	for page, err := range c.Read(t.Context(), Users, "") {
		if err != nil {
			t.Fatal(err)
		}
		buyers, short, cursor = buyers+len(page.Records), short+page.Short, max(cursor, page.Next)
	}
	if want := cursor.Shortfall().Rows; buyers != 2*userPage+1 || short != want || want == 0 {
		t.Errorf("%d buyers; %d rows are short, %d in the cursor", buyers, short, want)
	}
}
