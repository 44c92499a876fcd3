package simulator

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// tmallAsker asks a face at a clock of its own.
type tmallAsker struct {
	t    *testing.T
	face *tmall
	w    *World
	now  time.Time
}

func newTmallAsker(t *testing.T, w *World, now time.Time) *tmallAsker {
	a := &tmallAsker{t: t, w: w, now: now}
	a.face = newTmall(w, TmallOptions{Now: func() time.Time { return a.now }}, TmallCredentialsOf(w))
	return a
}

// answer is the answer without its root, or the sub_code of a refusal.
func (a *tmallAsker) answer(method string, more map[string]string) (map[string]any, string) {
	a.t.Helper()
	p := map[string]string{"method": method, "timestamp": strconv.FormatInt(a.now.UnixMilli(), 10)}
	maps.Copy(p, more)
	decoder := json.NewDecoder(strings.NewReader(askTmall(a.t, a.face, a.w, p)))
	decoder.UseNumber()
	var body map[string]map[string]any
	if err := decoder.Decode(&body); err != nil {
		a.t.Fatal(err)
	}
	if refused := body["error_response"]; refused != nil {
		sub, _ := refused["sub_code"].(string)
		return nil, refused["code"].(json.Number).String() + " " + sub
	}
	root := strings.ReplaceAll(strings.TrimPrefix(method, "taobao."), ".", "_") + "_response"
	if body[root] == nil {
		a.t.Fatalf("%s answered %v", method, body)
	}
	return body[root], ""
}

// ok wants success.
func (a *tmallAsker) ok(method string, more map[string]string) map[string]any {
	a.t.Helper()
	answer, refused := a.answer(method, more)
	if refused != "" {
		a.t.Fatalf("%s(%v) = %s", method, more, refused)
	}
	return answer
}

// rows are the rows at a path like trades.trade, none when it is absent.
func tmallRows(answer map[string]any, path string) []map[string]any {
	var at any = answer
	for name := range strings.SplitSeq(path, ".") {
		tree, _ := at.(map[string]any)
		at = tree[name]
	}
	list, _ := at.([]any)
	var rows []map[string]any
	for _, one := range list {
		row, _ := one.(map[string]any)
		rows = append(rows, row)
	}
	return rows
}

// all reads every page of a list by has_next.
func (a *tmallAsker) all(method, path string, more map[string]string) (rows []map[string]any) {
	a.t.Helper()
	for page := 1; ; page++ {
		p := map[string]string{"page_no": strconv.Itoa(page), "page_size": "50", "use_has_next": "true"}
		maps.Copy(p, more)
		answer := a.ok(method, p)
		rows = append(rows, tmallRows(answer, path)...)
		if answer["has_next"] != true {
			return rows
		}
	}
}

const tmallTradeFields = "tid,tid_str,status,type,created,modified,buyer_open_uid,ouid,receiver_name,buyer_rate,seller_rate,orders,async_modified"

// Each filter of the list of trades keeps exactly the rows that fit.
func TestTmallTradeFilters(t *testing.T) {
	t.Parallel()
	w := testWorld(t, 400, 31)
	a := newTmallAsker(t, w, testUntil)
	list := func(more map[string]string) []map[string]any {
		p := map[string]string{"fields": tmallTradeFields}
		maps.Copy(p, more)
		return a.all("taobao.trades.sold.get", "trades.trade", p)
	}
	all := list(nil)
	if len(all) != w.Counts()[PlatformTmall].Orders {
		t.Fatalf("%d trades", len(all))
	}
	o, _ := w.OrderByNumber(PlatformTmall, all[7]["tid_str"].(string))
	own := func(r map[string]any) bool { return r["buyer_open_uid"] == o.Account.OpenUID }
	status := func(want ...any) func(map[string]any) bool {
		return func(r map[string]any) bool { return slices.Contains(want, r["status"]) }
	}
	every, none := func(map[string]any) bool { return true }, func(map[string]any) bool { return false }
	for name, tc := range map[string]struct {
		filter map[string]string
		fits   func(map[string]any) bool
		empty  bool
	}{
		"status":              {map[string]string{"status": "TRADE_FINISHED"}, status("TRADE_FINISHED"), false},
		"status of nothing":   {map[string]string{"status": "PAY_PENDING"}, none, true},
		"group of statuses":   {map[string]string{"status": "ALL_CLOSED"}, status("TRADE_CLOSED", "TRADE_CLOSED_BY_TAOBAO"), false},
		"plain nick":          {map[string]string{"buyer_nick": o.Account.Nick}, own, false},
		"masked nick":         {map[string]string{"buyer_nick": tmallMask(o.Account.Nick)}, none, true},
		"open id":             {map[string]string{"buyer_open_id": o.Account.OpenUID}, own, false},
		"open uid":            {map[string]string{"buyer_open_uid": o.Account.OpenUID}, own, false},
		"query group of type": {map[string]string{"type": "ec,guarantee_trade"}, every, false},
		"another type":        {map[string]string{"type": "eticket,tmall_i18n"}, none, true},
		"nobody rated":        {map[string]string{"rate_status": "RATE_UNBUYER"}, status("TRADE_FINISHED"), false},
		"rated":               {map[string]string{"rate_status": "RATE_BUYER_SELLER"}, none, true},
		"second hand":         {map[string]string{"ext_type": "ershou"}, none, true},
		"tag":                 {map[string]string{"tag": "time_card"}, none, true},
		"two filters":         {map[string]string{"buyer_nick": o.Account.Nick, "status": "PAY_PENDING"}, none, true},
	} {
		t.Run(name, func(t *testing.T) {
			var got, want []any
			for _, r := range list(tc.filter) {
				got = append(got, r["tid_str"])
			}
			for _, r := range all {
				if tc.fits(r) {
					want = append(want, r["tid_str"])
				}
			}
			if !slices.Equal(got, want) || (len(want) == 0) != tc.empty {
				t.Errorf("%d rows, want %d", len(got), len(want))
			}
		})
	}
	for name, refused := range map[string]string{"status": "SHIPPED", "rate_status": "RATED", "ext_type": "new"} {
		t.Run("refused: "+name, func(t *testing.T) {
			if _, got := a.answer("taobao.trades.sold.get", map[string]string{"fields": "tid", name: refused}); got != "15 isv.invalid-parameter:"+name {
				t.Error(got)
			}
		})
	}
}

// A type that is not named is left out without a word, of trades and of refunds;
// named together they are all there.
func TestTmallTypesLeftOut(t *testing.T) {
	t.Parallel()
	w := testWorld(t, 400, 31)
	a := newTmallAsker(t, w, testUntil)
	a.face.opts.Kinds = true
	counts := w.Counts()[PlatformTmall]
	for method, tc := range map[string]struct {
		path string
		all  int
	}{"taobao.trades.sold.get": {"trades.trade", counts.Orders}, "taobao.refunds.receive.get": {"refunds.refund", counts.Refunds}} {
		count := func(types string) int {
			return len(a.all(method, tc.path, map[string]string{"fields": "tid,tid_str,refund_id,type", "type": types}))
		}
		plain, sum := count(""), 0
		for _, kind := range []string{"fixed", "eticket", "tmall_i18n", "o2o_offlinetrade"} {
			n := count(kind)
			if n == 0 && tc.all > 40 {
				t.Errorf("%s: none is of the type %s", method, kind)
			}
			sum += n
		}
		if plain >= tc.all || plain != count("guarantee_trade") || sum != tc.all || count("guarantee_trade, eticket,tmall_i18n,o2o_offlinetrade") != tc.all {
			t.Errorf("%s: %d of %d without a type, %d of the types together", method, plain, tc.all, sum)
		}
	}
}

// The filters of refunds and members, against the rows without a filter.
func TestTmallRefundAndMemberFilters(t *testing.T) {
	t.Parallel()
	w := testWorld(t, 600, 32)
	a := newTmallAsker(t, w, testUntil)
	fields := map[string]string{"fields": "refund_id,status,buyer_open_uid,ouid"}
	refunds := a.all("taobao.refunds.receive.get", "refunds.refund", fields)
	o, _ := w.RefundByNumber(PlatformTmall, refunds[0]["refund_id"].(string))
	members := func(more map[string]string) (rows []map[string]any) {
		for page := 1; ; page++ {
			p := map[string]string{"current_page": strconv.Itoa(page), "page_size": "100"}
			maps.Copy(p, more)
			answer := a.ok("taobao.crm.members.search", p)
			rows = append(rows, tmallRows(answer, "members.crm_member")...)
			total, _ := answer["total_result"].(json.Number).Int64()
			if int64(page)*100 >= total {
				if int(total) != len(rows) {
					t.Fatalf("total %d of %d rows", total, len(rows))
				}
				return rows
			}
		}
	}
	everyone := members(nil)
	number := func(r map[string]any, name string) int64 {
		n, _ := strconv.ParseInt(strings.Replace(r[name].(interface{ String() string }).String(), ".", "", 1), 10, 64)
		return n
	}
	yuan := func(r map[string]any) int64 { fen, _ := readTmallYuan(r["trade_amount"].(string)); return fen }
	account, _ := w.AccountByID(PlatformTmall, everyone[3]["ouid"].(string))
	itself := func(r map[string]any) bool { return r["ouid"] == account.ID }
	for name, tc := range map[string]struct {
		list   func() []map[string]any
		from   []map[string]any
		fits   func(map[string]any) bool
		empty  bool
		number string
	}{
		"refund: status": {func() []map[string]any {
			return a.all("taobao.refunds.receive.get", "refunds.refund", map[string]string{"fields": "refund_id", "status": "SUCCESS"})
		}, refunds, func(r map[string]any) bool { return r["status"] == "SUCCESS" }, false, "refund_id"},
		"refund: nick": {func() []map[string]any {
			return a.all("taobao.refunds.receive.get", "refunds.refund", map[string]string{"fields": "refund_id", "buyer_nick": o.Account.Nick})
		}, refunds, func(r map[string]any) bool { return r["ouid"] == o.Account.ID }, false, "refund_id"},
		"refund: another type": {func() []map[string]any {
			return a.all("taobao.refunds.receive.get", "refunds.refund", map[string]string{"fields": "refund_id", "type": "fenxiao"})
		}, refunds, func(map[string]any) bool { return false }, true, "refund_id"},
		"member: grade": {func() []map[string]any { return members(map[string]string{"grade": "1"}) }, everyone,
			func(r map[string]any) bool { return number(r, "grade") == 1 }, false, "ouid"},
		"member: no grade": {func() []map[string]any { return members(map[string]string{"grade": "0"}) }, everyone,
			func(r map[string]any) bool { return number(r, "grade") == 0 }, false, "ouid"},
		"member: traded": {func() []map[string]any { return members(map[string]string{"relation_source": "1"}) }, everyone,
			func(map[string]any) bool { return true }, false, "ouid"},
		"member: never traded": {func() []map[string]any { return members(map[string]string{"relation_source": "2"}) }, everyone,
			func(map[string]any) bool { return false }, true, "ouid"},
		"member: group": {func() []map[string]any { return members(map[string]string{"group_id": "7"}) }, everyone,
			func(map[string]any) bool { return false }, true, "ouid"},
		"member: trades": {func() []map[string]any {
			return members(map[string]string{"min_trade_count": "2", "max_trade_count": "2"})
		}, everyone, func(r map[string]any) bool { return number(r, "trade_count") == 2 }, false, "ouid"},
		"member: amount": {func() []map[string]any {
			return members(map[string]string{"min_trade_amount": "100.5", "max_trade_amount": "200"})
		}, everyone, func(r map[string]any) bool { return yuan(r) >= 10050 && yuan(r) <= 20000 }, false, "ouid"},
		"member: nick":     {func() []map[string]any { return members(map[string]string{"buyer_nick": account.Nick}) }, everyone, itself, false, "ouid"},
		"member: open uid": {func() []map[string]any { return members(map[string]string{"open_uid": account.OpenUID}) }, everyone, itself, false, "ouid"},
	} {
		t.Run(name, func(t *testing.T) {
			var got, want []any
			for _, r := range tc.list() {
				got = append(got, r[tc.number])
			}
			for _, r := range tc.from {
				if tc.fits(r) {
					want = append(want, r[tc.number])
				}
			}
			if !slices.Equal(got, want) || (len(want) == 0) != tc.empty {
				t.Errorf("%d rows, want %d", len(got), len(want))
			}
		})
	}
	for name, tc := range map[string]struct{ method, name, value, want string }{
		"refund status":    {"taobao.refunds.receive.get", "status", "DONE", "15 isv.invalid-parameter:status"},
		"grade":            {"taobao.crm.members.search", "grade", "5", "15 isv.invalid-parameter:grade"},
		"grade in words":   {"taobao.crm.members.search", "grade", "high", "41 isv.invalid-parameter:grade"},
		"source":           {"taobao.crm.members.search", "relation_source", "4", "15 isv.invalid-parameter:relation_source"},
		"count in words":   {"taobao.crm.members.search", "min_trade_count", "two", "41 isv.invalid-parameter:min_trade_count"},
		"amount of a mill": {"taobao.crm.members.search", "max_trade_amount", "1.005", "41 isv.invalid-parameter:max_trade_amount"},
	} {
		t.Run("refused: "+name, func(t *testing.T) {
			if _, got := a.answer(tc.method, map[string]string{"fields": "refund_id", "current_page": "1", tc.name: tc.value}); got != tc.want {
				t.Errorf("%s, want %s", got, tc.want)
			}
		})
	}
}

// As the gateway's clock goes on, trades leave the list of the last three
// months and come into the history; none is in both or in neither.
func TestTmallHistory(t *testing.T) {
	t.Parallel()
	w := testWorld(t, 200, 33)
	a := newTmallAsker(t, w, testUntil.Add(50*24*time.Hour))
	border := a.now.Add(-tmallMonths)
	fields := map[string]string{"fields": tmallTradeFields}
	recent := a.all("taobao.trades.sold.get", "trades.trade", fields)
	old := a.all("taobao.trades.sold.history.get", "trades.trade", fields)
	if len(recent) == 0 || len(old) == 0 || len(recent)+len(old) != w.Counts()[PlatformTmall].Orders {
		t.Fatalf("%d recent and %d old of %d", len(recent), len(old), w.Counts()[PlatformTmall].Orders)
	}
	for _, r := range old {
		at, _ := time.ParseInLocation(time.DateTime, r["created"].(string), tmallZone)
		o, _ := w.OrderByNumber(PlatformTmall, r["tid_str"].(string))
		if at.After(border) || r["ouid"] != o.Account.ID || r["buyer_open_uid"] != nil || r["receiver_name"] != nil {
			t.Fatalf("an old trade: %v", r)
		}
	}
	if answer := a.ok("taobao.trades.sold.history.get", fields); answer["total_results"] != nil || len(tmallRows(answer, "trades.trade")) != 40 {
		t.Errorf("a page of the history: total %v, %d rows", answer["total_results"], len(tmallRows(answer, "trades.trade")))
	}
	at := func(d time.Duration) string { return tmallTime(a.now.Add(d)) }
	for name, tc := range map[string]struct {
		more map[string]string
		want string
	}{
		"before two years":       {map[string]string{"start_created": at(-732 * 24 * time.Hour)}, "15 isv.invalid-parameter:start_created"},
		"in the last months":     {map[string]string{"end_created": at(-91 * 24 * time.Hour)}, "15 isv.invalid-parameter:end_created"},
		"turned round":           {map[string]string{"start_created": at(-100 * 24 * time.Hour), "end_created": at(-101 * 24 * time.Hour)}, "15 isv.invalid-parameter:start_created,end_created"},
		"a page of 51":           {map[string]string{"page_size": "51"}, "15 isv.invalid-parameter:page_size"},
		"a status of none":       {map[string]string{"status": "OPEN"}, "15 isv.invalid-parameter:status"},
		"no fields":              {map[string]string{"fields": ""}, "40 isv.missing-parameter:fields"},
		"no time":                {map[string]string{"start_created": "yesterday"}, "41 isv.invalid-parameter:start_created"},
		"a filter that fits all": {map[string]string{"type": "fixed"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := maps.Clone(fields)
			maps.Copy(p, tc.more)
			if _, got := a.answer("taobao.trades.sold.history.get", p); got != tc.want {
				t.Errorf("%s, want %s", got, tc.want)
			}
		})
	}
}

// By arrival there come the trades that came by their change, with the time.
func TestTmallArrivals(t *testing.T) {
	t.Parallel()
	w := testWorld(t, 400, 34)
	a := newTmallAsker(t, w, testUntil)
	day := func(start, end string) map[string]string {
		return map[string]string{"fields": tmallTradeFields, start: tmallTime(testUntil.Add(-24 * time.Hour)), end: tmallTime(testUntil)}
	}
	changed := a.all("taobao.trades.sold.increment.get", "trades.trade", day("start_modified", "end_modified"))
	arrived := a.all("taobao.trades.sold.incrementv.get", "trades.trade", day("start_create", "end_create"))
	if len(changed) == 0 || len(changed) != len(arrived) {
		t.Fatalf("%d changed, %d arrived", len(changed), len(arrived))
	}
	for i, r := range arrived {
		if r["tid_str"] != changed[i]["tid_str"] || r["async_modified"] != r["modified"] || changed[i]["async_modified"] != nil {
			t.Fatalf("row %d: %v beside %v", i, r, changed[i])
		}
	}
	long := day("start_create", "end_create")
	long["start_create"] = tmallTime(testUntil.Add(-24*time.Hour - time.Second))
	if _, got := a.answer("taobao.trades.sold.incrementv.get", long); got != "15 isv.invalid-parameter:start_create,end_create" {
		t.Error(got)
	}
}

// Receivers: found by plain values, merged and opened by oaid.
func TestTmallReceivers(t *testing.T) {
	t.Parallel()
	w := testWorld(t, 300, 35)
	a := newTmallAsker(t, w, testUntil)
	numbers := map[Receiver][]string{}
	var some Order
	for _, key := range slices.Backward(w.OrderKeys(PlatformTmall, ByCreated, w.cfg.From, testUntil)) {
		o, _ := w.OrderAt(PlatformTmall, key.Index)
		if numbers[o.Receiver] = append(numbers[o.Receiver], o.Number); len(numbers[o.Receiver]) == 2 && !o.Warehouse {
			some = o
		}
	}
	if some.Number == "" {
		t.Fatal("no receiver twice")
	}
	both := numbers[some.Receiver]
	first, _ := w.OrderByNumber(PlatformTmall, both[0])
	text := func(rows ...map[string]any) string { return jsonText(rows) }
	pair := func(o Order, more map[string]any) map[string]any {
		row := map[string]any{"oaid": a.face.oaid(o), "tid": o.Number}
		maps.Copy(row, more)
		return row
	}
	other, _ := w.OrderAt(PlatformTmall, (some.Index+1)%100)
	mobile := map[string]any{"receiver_mobile": some.Receiver.Phone}
	for name, tc := range map[string]struct {
		method, name, list string
		want               any // the list of texts, the rows, or the refusal
	}{
		"by mobile":            {"taobao.trades.sold.query", "query_list", text(mobile), both},
		"by mobile and name":   {"taobao.trades.sold.query", "query_list", text(map[string]any{"receiver_mobile": some.Receiver.Phone, "receiver_name": "无此人"}), []string(nil)},
		"by either":            {"taobao.trades.sold.query", "query_list", text(mobile, map[string]any{"receiver_name": "无此人"}), both},
		"by a landline":        {"taobao.trades.sold.query", "query_list", text(map[string]any{"receiver_phone": "0571-0000000"}), []string(nil)},
		"of another type":      {"taobao.trades.sold.query", "query_list", text(map[string]any{"receiver_mobile": some.Receiver.Phone, "order_type": "fenxiao"}), []string(nil)},
		"before seven days":    {"taobao.trades.sold.query", "query_list", text(map[string]any{"receiver_mobile": some.Receiver.Phone, "scene": 1001, "start_created": tmallTime(testUntil.Add(-8 * 24 * time.Hour))}), "15 isv.invalid-parameter:start_created"},
		"of a second":          {"taobao.trades.sold.query", "query_list", text(map[string]any{"receiver_mobile": some.Receiver.Phone, "start_created": tmallTime(some.Created), "end_created": tmallTime(some.Created.Add(time.Second))}), both[1:2]},
		"scene":                {"taobao.trades.sold.query", "query_list", text(map[string]any{"receiver_mobile": "1", "scene": 1003}), "15 isv.invalid-parameter:scene"},
		"by nothing":           {"taobao.trades.sold.query", "query_list", text(map[string]any{}), "15 isv.invalid-parameter:query_list"},
		"21 receivers":         {"taobao.trades.sold.query", "query_list", text(slices.Repeat([]map[string]any{mobile}, 21)...), "15 isv.invalid-parameter:query_list"},
		"no list":              {"taobao.trades.sold.query", "query_list", "{", "15 isv.invalid-parameter:query_list"},
		"absent":               {"taobao.trades.sold.query", "query_list", "", "40 isv.missing-parameter:query_list"},
		"merged":               {"taobao.top.oaid.merge", "merge_list", text(pair(first, nil), pair(other, nil), pair(some, nil)), []string{first.Number + "," + some.Number, other.Number}},
		"merged by another's":  {"taobao.top.oaid.merge", "merge_list", text(pair(first, map[string]any{"tid": other.Number})), []string(nil)},
		"101 to merge":         {"taobao.top.oaid.merge", "merge_list", text(slices.Repeat([]map[string]any{pair(first, nil)}, 101)...), "15 isv.invalid-parameter:merge_list"},
		"21 to open":           {"taobao.top.oaid.decrypt", "query_list", text(slices.Repeat([]map[string]any{pair(first, map[string]any{"scene": "1001"})}, 21)...), "15 isv.invalid-parameter:query_list"},
		"opened in no scene":   {"taobao.top.oaid.decrypt", "query_list", text(pair(first, nil)), "15 isv.invalid-parameter:scene"},
		"opened for a courier": {"taobao.top.oaid.decrypt", "query_list", text(pair(first, map[string]any{"scene": "1001"})), "name,mobile,address_detail"},
		"opened for care":      {"taobao.top.oaid.decrypt", "query_list", text(pair(first, map[string]any{"scene": "2002"})), "mobile"},
		"opened for its name":  {"taobao.top.oaid.decrypt", "query_list", text(pair(first, map[string]any{"scene": "1009"})), "name"},
		"another's oaid":       {"taobao.top.oaid.decrypt", "query_list", text(pair(first, map[string]any{"scene": "1001", "tid": other.Number})), "unmatched"},
		"a virtual number":     {"taobao.top.oaid.decrypt", "query_list", text(pair(first, map[string]any{"scene": "2001", "secret_no_days": 7})), "virtual"},
	} {
		t.Run(name, func(t *testing.T) {
			answer, refused := a.answer(tc.method, map[string]string{tc.name: tc.list})
			if want, ok := tc.want.(string); ok && (refused != "" || strings.Contains(want, " ")) {
				if refused != want {
					t.Errorf("%s, want %s", refused, want)
				}
				return
			}
			if want, ok := tc.want.([]string); ok {
				var got []string
				tree, _ := answer["tid_list"].(map[string]any)
				list, _ := tree["string"].([]any)
				for _, one := range list {
					got = append(got, one.(string))
				}
				if !slices.Equal(got, want) {
					t.Errorf("%v, want %v", got, want)
				}
				return
			}
			row := tmallRows(answer, "receiver_list.receiver")[0]
			plain := map[string]any{"name": first.Receiver.Name, "mobile": first.Receiver.Phone, "address_detail": first.Receiver.Address.Detail}
			switch tc.want {
			case "unmatched":
				if row["matched"] != false || row["mobile"] != nil || row["name"] != nil {
					t.Error(row)
				}
			case "virtual":
				if phone, _ := row["mobile"].(string); !strings.HasPrefix(phone, "18877771111-") || row["privacy_protection"] != true || row["secret_no_expire_time"] == nil {
					t.Error(row)
				}
			default:
				seen := strings.Split(tc.want.(string), ",")
				for name, value := range plain {
					if slices.Contains(seen, name) != (row[name] == value) || row["matched"] != true {
						t.Errorf("%s is %v", name, row[name])
					}
				}
			}
		})
	}
	for fields, want := range map[string]string{"tid": "15 isv.oaid-field-miss", "oaid,receiver_name,receiver_address,created,receiver_mobile,receiver_phone": ""} {
		if _, got := a.answer("taobao.trade.fullinfo.get", map[string]string{"tid": first.Number, "fields": fields, "include_oaid": "true"}); got != want {
			t.Errorf("include_oaid with %s: %s, want %s", fields, got, want)
		}
	}
}

// A receiver of many trades is given the last hundred of them.
func TestTmallReceiverOfMany(t *testing.T) {
	t.Parallel()
	w := testWorld(t, 9000, 39)
	var want []any
	for _, key := range slices.Backward(w.OrderKeys(PlatformTmall, ByCreated, w.cfg.From, testUntil)) {
		if o, ok := w.OrderAt(PlatformTmall, key.Index); ok && o.Warehouse {
			want = append(want, o.Number)
		}
	}
	answer := newTmallAsker(t, w, testUntil).ok("taobao.trades.sold.query", map[string]string{"query_list": `[{"receiver_mobile":"13800001111"}]`})
	tree, _ := answer["tid_list"].(map[string]any)
	if got, _ := tree["string"].([]any); len(want) <= 100 || !slices.Equal(got, want[:100]) {
		t.Errorf("%d of %d trades", len(got), len(want))
	}
}

// Disputes are the refunds in another dress; each refund's thread begins with
// its asking and ends with what came of it.
func TestTmallDisputes(t *testing.T) {
	t.Parallel()
	w := testWorld(t, 400, 36)
	a := newTmallAsker(t, w, testUntil)
	var refunds, disputes []map[string]any
	refunds = a.all("taobao.refunds.receive.get", "refunds.refund", map[string]string{"fields": "refund_id,status,created,modified"})
	var total int
	for page := 1; ; page++ {
		answer := a.ok("tmall.dispute.receive.get", map[string]string{"fields": "refund_id,status", "page_no": strconv.Itoa(page)})
		result := answer["result"].(map[string]any)
		rows := tmallRows(result, "results.dispute")
		shown, _ := result["page_results"].(json.Number).Int64()
		all, _ := result["total_results"].(json.Number).Int64()
		if disputes, total = append(disputes, rows...), int(all); int(shown) != len(rows) || len(rows) > 20 {
			t.Fatalf("page_results %d of %d rows", shown, len(rows))
		}
		if result["has_next"] != true {
			break
		}
	}
	if len(disputes) != len(refunds) || total != len(refunds) || total != w.Counts()[PlatformTmall].Refunds {
		t.Fatalf("%d disputes, total %d, %d refunds", len(disputes), total, len(refunds))
	}
	numbers := map[any]any{"WAIT_SELLER_AGREE": "1", "WAIT_BUYER_RETURN_GOODS": "2", "CLOSED": "4", "SUCCESS": "5", "SELLER_REFUSE_BUYER": "6"}
	for i, r := range refunds {
		if disputes[i]["refund_id"] != r["refund_id"] || disputes[i]["status"] != numbers[r["status"]] {
			t.Fatalf("%v beside %v", disputes[i], r)
		}
		answer := a.ok("taobao.refund.messages.get", map[string]string{"refund_id": r["refund_id"].(string), "refund_phase": "onsale",
			"fields": "id,owner_role,owner_nick,owner_open_uid,content,created,message_type"})
		rows := tmallRows(answer, "refund_messages.refund_message")
		first, last := rows[len(rows)-1], rows[0]
		if first["created"] != r["created"] || first["owner_role"] != json.Number("1") || last["created"] != r["modified"] ||
			(last["message_type"] == "RETURN_GOODS_APPROVED") != (r["status"] == "WAIT_BUYER_RETURN_GOODS") || (len(rows) == 1) != (r["status"] == "WAIT_SELLER_AGREE") {
			t.Fatalf("%v: %v", r, rows)
		}
	}
	some := refunds[0]["refund_id"].(string)
	for name, tc := range map[string]struct {
		method string
		more   map[string]string
		want   string // the refusal, or what the answer's JSON holds
	}{
		"one dispute":             {"tmall.dispute.receive.get", map[string]string{"refund_id": some}, `"total_results":1`},
		"no dispute":              {"tmall.dispute.receive.get", map[string]string{"refund_id": "1"}, `"total_results":0`},
		"dispute status":          {"tmall.dispute.receive.get", map[string]string{"status": "5"}, "15 isv.invalid-parameter:status"},
		"thread without a phase":  {"taobao.refund.messages.get", map[string]string{"refund_id": some}, "40 isv.missing-parameter:refund_phase"},
		"thread of another phase": {"taobao.refund.messages.get", map[string]string{"refund_id": some, "refund_phase": "aftersale"}, "15 isv.refund-not-exist"},
		"thread of no phase":      {"taobao.refund.messages.get", map[string]string{"refund_id": some, "refund_phase": "x"}, "15 isv.invalid-parameter:refund_phase"},
		"thread of nothing":       {"taobao.refund.messages.get", map[string]string{"refund_id": "1", "refund_phase": "onsale"}, "15 isv.refund-not-exist"},
		"special refunds":         {"taobao.special.refunds.receive.get", nil, `"total_results":0`},
		"special refunds' status": {"taobao.special.refunds.receive.get", map[string]string{"status": "x"}, "15 isv.invalid-parameter:status"},
		"exchanges":               {"tmall.exchange.receive.get", nil, `"has_next":false`},
		"21 exchanges":            {"tmall.exchange.receive.get", map[string]string{"refund_id_array": strings.Repeat("1,", 21)}, "15 isv.invalid-parameter:refund_id_array"},
		"exchange status":         {"tmall.exchange.receive.get", map[string]string{"dispute_status_array": "1,7"}, "15 isv.invalid-parameter:dispute_status_array"},
		"exchange window": {"tmall.exchange.receive.get", map[string]string{"start_gmt_modified_time": "2026-05-02 00:00:00", "end_gmt_modifed_time": "2026-05-01 00:00:00"},
			"15 isv.invalid-parameter:start_gmt_modified_time,end_gmt_modifed_time"},
		"an exchange": {"tmall.exchange.get", map[string]string{"dispute_id": some}, "15 isv.invalid-parameter:dispute_id"},
	} {
		t.Run(name, func(t *testing.T) {
			p := map[string]string{"fields": "refund_id,status,content"}
			maps.Copy(p, tc.more)
			answer, got := a.answer(tc.method, p)
			if got == "" {
				got = jsonText(answer)
			}
			if got != tc.want && !strings.Contains(got, tc.want) {
				t.Errorf("%s, want %s", got, tc.want)
			}
		})
	}
}

// The small methods beside the lists.
func TestTmallSmallMethods(t *testing.T) {
	t.Parallel()
	w := testWorld(t, 200, 37)
	a := newTmallAsker(t, w, testUntil)
	day := func(d int) string {
		return testUntil.Add(time.Duration(d) * 24 * time.Hour).In(tmallZone).Format("20060102")
	}
	members := 0
	for account := range w.Accounts(PlatformTmall) {
		if account.Member && tmallTime(account.Joined)[:10] < tmallTime(testUntil)[:10] {
			members++
		}
	}
	eval := func(b, e int) map[string]string {
		return map[string]string{"query_ids": "cntaobao演示客服", "btime": day(b) + "000000", "etime": day(e) + "000000"}
	}
	for name, tc := range map[string]struct {
		method string
		more   map[string]string
		want   string // the refusal, or what the answer's JSON holds
	}{
		"the item of the signing vector": {"taobao.item.seller.get", map[string]string{"fields": "num_iid,title,nick,price,num", "num_iid": "700000000001"}, `"item":{"nick":"演示旗舰店","num":100,"num_iid":700000000001,"price":"99.00","title":"演示毛衣"}`},
		"an item of nobody":              {"taobao.item.seller.get", map[string]string{"fields": "num_iid", "num_iid": "11223344"}, "15 isv.invalid-parameter:num_iid"},
		"grades":                         {"taobao.crm.grade.get", nil, `"next_upgrade_amount":50000`},
		"yesterday's members":            {"taobao.member.hismemberdata.get.privy", map[string]string{"backup_ds": day(-1)}, `"total_result":` + strconv.Itoa(members)},
		"members of no day":              {"taobao.member.hismemberdata.get.privy", map[string]string{"backup_ds": "2026-05-01"}, "41 isv.invalid-parameter:backup_ds"},
		"today's members":                {"taobao.member.hismemberdata.get.privy", map[string]string{"backup_ds": day(0)}, "15 isv.invalid-parameter:backup_ds"},
		"evaluations":                    {"taobao.airisland.kefueval.get", eval(-8, -1), `"request_id"`},
		"evaluations of 8 days":          {"taobao.airisland.kefueval.get", eval(-9, -1), "15 isv.invalid-parameter:btime,etime"},
		"evaluations of today":           {"taobao.airisland.kefueval.get", eval(-3, 0), "15 isv.invalid-parameter:etime"},
		"evaluations of long ago":        {"taobao.airisland.kefueval.get", eval(-97, -91), "15 isv.invalid-parameter:btime"},
		"no session":                     {"taobao.crm.grade.get", map[string]string{"session": ""}, "26 "},
		"a method without a shape":       {"taobao.refund.status.get", nil, "22 isv.api-not-exist"},
	} {
		t.Run(name, func(t *testing.T) {
			p := map[string]string{"current_page": "1", "page_size": "10"}
			maps.Copy(p, tc.more)
			answer, got := a.answer(tc.method, p)
			if got == "" {
				got = jsonText(answer)
			}
			if got != tc.want && (tc.want == "" || !strings.Contains(got, tc.want)) {
				t.Errorf("%s, want %s", got, tc.want)
			}
		})
	}
	if rows := tmallRows(a.ok("taobao.member.hismemberdata.get.privy", map[string]string{"backup_ds": day(-1), "current_page": "1", "page_size": "100"}), "members.member"); len(rows) == 0 || rows[0]["ouid"] == nil || rows[0]["gmt_modified"] == nil {
		t.Errorf("members of yesterday: %v", rows)
	}
}

// A changed order is told of until that is confirmed.
func TestTmallMessages(t *testing.T) {
	t.Parallel()
	w := testWorld(t, 600, 38)
	a := newTmallAsker(t, w, testUntil)
	consume := func() []map[string]any {
		return tmallRows(a.ok("taobao.tmc.messages.consume", map[string]string{"session": "", "quantity": "10"}), "messages.tmc_message")
	}
	if rows := consume(); len(rows) != 0 {
		t.Fatalf("before a change: %v", rows)
	}
	var changed []Order
	for range 12 {
		o, err := w.Change(PlatformTmall, "", a.now)
		if err != nil {
			t.Fatal(err)
		}
		changed = append(changed, o)
	}
	rows := consume()
	if len(rows) != 10 || len(consume()) != 2 || len(consume()) != 0 {
		t.Fatalf("%d messages at first", len(rows))
	}
	for i, row := range rows {
		var content struct {
			TID                  json.Number
			Status               string
			BuyerOpenUID, Nick   string
			Type, Payment, Buyer string
		}
		if err := json.Unmarshal([]byte(row["content"].(string)), &content); err != nil {
			t.Fatal(err)
		}
		if content.TID.String() != changed[i].Number || content.Status != tmallStatus[changed[i].Status] || row["topic"] != tmallTopics[changed[i].Status] || row["topic"] == "" {
			t.Errorf("message %d: %v", i, row)
		}
	}
	var ids []string
	for _, row := range rows {
		ids = append(ids, row["id"].(json.Number).String())
	}
	if answer := a.ok("taobao.tmc.messages.confirm", map[string]string{"session": "", "s_message_ids": strings.Join(ids, ",")}); answer["is_success"] != true {
		t.Errorf("confirm: %v", answer)
	}
	a.now = a.now.Add(tmallRepeat)
	if again := consume(); len(again) != 2 || slices.Contains(ids, again[0]["id"].(json.Number).String()) {
		t.Errorf("five minutes later %d messages", len(again))
	}
	for name, tc := range map[string]struct{ method, name, value, want string }{
		"nine":          {"consume", "quantity", "9", "15 isv.invalid-parameter:quantity"},
		"another group": {"consume", "group_name", "second", "15 isv.invalid-parameter:group_name"},
		"nothing":       {"confirm", "s_message_ids", "", "40 isv.missing-parameter:s_message_ids"},
		"a word":        {"confirm", "s_message_ids", "one", "41 isv.invalid-parameter:s_message_ids"},
		"201":           {"confirm", "s_message_ids", strings.Repeat("1,", 201), "15 isv.invalid-parameter:s_message_ids"},
	} {
		t.Run("refused: "+name, func(t *testing.T) {
			if _, got := a.answer("taobao.tmc.messages."+tc.method, map[string]string{tc.name: tc.value}); got != tc.want {
				t.Errorf("%s, want %s", got, tc.want)
			}
		})
	}
}
