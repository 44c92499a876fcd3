package simulator

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// tmallMonths is how far back the lists of trades reach: three months.
const tmallMonths = 92 * 24 * time.Hour

// tmallTrades serves a list of trades, newest first.
func tmallTrades(by By, simple bool) func(*tmall, tmallParams) (tmallTree, *tmallFault) {
	return func(t *tmall, p tmallParams) (tmallTree, *tmallFault) {
		now := t.opts.Now()
		reach := tmallMonths
		if by == ByCreated && slices.Contains(t.opts.ListsCut, p["method"]) {
			reach = 0
		}
		from, to, fault := t.window(p, "start_created", "end_created", now.Add(-tmallMonths+time.Minute), now, 0, reach)
		if border := now.Add(-tmallMonths); reach == 0 && from.Before(border) {
			from = border
		}
		if by == ByModified {
			from, to, fault = t.window(p, "start_modified", "end_modified", now, now, 24*time.Hour, tmallMonths)
			to = t.opts.Faults.shown(to, now)
		}
		if fault != nil {
			return nil, fault
		}
		return t.trades(p, by, from, to, 100, func(o Order) tmallTree { return t.trade(o, p, simple) })
	}
}

func (t *tmall) trades(p tmallParams, by By, from, to time.Time, most int, row func(Order) tmallTree) (tmallTree, *tmallFault) {
	keep, fault := p.tradeFilters(t.kind)
	if fault != nil {
		return nil, fault
	}
	return t.paged(p, 40, most, func() []Key {
		return keep.keys(t.world, t.world.OrderKeys(PlatformTmall, by, from, to))
	}, "trades", "trade", func(index int) (tmallTree, bool) {
		o, ok := t.world.OrderAt(PlatformTmall, index)
		return row(o), ok
	})
}

// arrivedTrades serves taobao.trades.sold.incrementv.get, by the time at which
// a change arrived in the seller's library: here at once.
func (t *tmall) arrivedTrades(p tmallParams) (tmallTree, *tmallFault) {
	now := t.opts.Now()
	from, to, fault := t.window(p, "start_create", "end_create", now, now, 24*time.Hour, tmallMonths)
	if fault != nil {
		return nil, fault
	}
	return t.trades(p, ByModified, from, to, 100, func(o Order) tmallTree {
		row := t.trade(o, p, false)
		row["async_modified"] = row["modified"]
		return row
	})
}

// oldTrades serves taobao.trades.sold.history.get: trades of the two years
// before the last three months. It never says how many there are.
func (t *tmall) oldTrades(p tmallParams) (tmallTree, *tmallFault) {
	now := t.opts.Now()
	oldest, newest := now.AddDate(-2, 0, 0), now.Add(-tmallMonths)
	from, to, fault := t.window(p, "start_created", "end_created", oldest.Add(time.Minute), newest, 0, now.Sub(oldest))
	if fault != nil {
		return nil, fault
	}
	if to.After(newest) {
		if !slices.Contains(t.opts.ListsCut, p["method"]) {
			return nil, tmallInvalid("end_created")
		}
		to = newest
	}
	p = maps.Clone(p)
	p["use_has_next"] = "true"
	if asked, fault := p.number("page_size", 40, 1, 50); fault == nil && t.opts.HistoryRows > 0 {
		p["page_size"] = strconv.Itoa(min(asked, t.opts.HistoryRows))
	}
	answer, fault := t.trades(p, ByCreated, from, to, 50, func(o Order) tmallTree {
		row := t.trade(o, p, true)
		delete(row, "buyer_open_uid")
		return row
	})
	if t.opts.HistorySilent {
		delete(answer, "has_next")
	}
	return answer, fault
}

func tmallTrade(simple bool) func(*tmall, tmallParams) (tmallTree, *tmallFault) {
	return func(t *tmall, p tmallParams) (tmallTree, *tmallFault) {
		o, ok := t.world.OrderByNumber(PlatformTmall, p["tid"])
		if !ok {
			return nil, &tmallFault{15, "Remote service error", "isv.trade-not-exist", "订单不存在"}
		}
		if !simple && p["include_oaid"] == "true" && !tmallOaidAsked(p["fields"]) {
			return nil, &tmallFault{15, "Remote service error", "isv.oaid-field-miss", "生成oaid的字段不全"}
		}
		return tmallTree{"trade": p.pick(t.trade(o, p, simple))}, nil
	}
}

// tmallQueries reads a parameter that is the text of a JSON list of objects.
func tmallQueries(p tmallParams, name string, most int) ([]tmallParams, *tmallFault) {
	decoder := json.NewDecoder(strings.NewReader(p[name]))
	decoder.UseNumber()
	var list []map[string]any
	if err := decoder.Decode(&list); err != nil || len(list) == 0 || len(list) > most {
		return nil, tmallInvalid(name)
	}
	var out []tmallParams
	for _, object := range list {
		query := tmallParams{}
		for key, value := range object {
			switch v := value.(type) {
			case string:
				query[key] = v
			case json.Number:
				query[key] = v.String()
			}
		}
		out = append(out, query)
	}
	return out, nil
}

// tmallScenes are how far back each scene of taobao.trades.sold.query sees.
var tmallScenes = map[string]time.Duration{"": tmallMonths, "1001": 7 * 24 * time.Hour, "1002": tmallMonths}

// tradesByReceiver serves taobao.trades.sold.query: the numbers of trades that
// go to one of up to 20 receivers, newest first, at most 100. The names of the
// times are taken to be those of the other lists.
func (t *tmall) tradesByReceiver(p tmallParams) (tmallTree, *tmallFault) {
	queries, fault := tmallQueries(p, "query_list", 20)
	if fault != nil {
		return nil, fault
	}
	now := t.opts.Now()
	var fits []func(Order) bool
	for _, query := range queries {
		for _, name := range []string{"scene", "order_type"} { // beside the list or in it
			if query[name] == "" {
				query[name] = p[name]
			}
		}
		reach, known := tmallScenes[query["scene"]]
		if !known {
			return nil, tmallInvalid("scene")
		}
		from, to, fault := t.window(query, "start_created", "end_created", now.Add(-reach), now, 0, reach)
		if fault != nil {
			return nil, fault
		}
		if query["receiver_name"]+query["receiver_mobile"]+query["receiver_phone"] == "" {
			return nil, tmallInvalid("query_list")
		}
		var keep tmallKeep
		keep.types(cmp.Or(query["order_type"], tmallTradeDefault), t.kind)
		fits = append(fits, func(o Order) bool {
			return !o.Created.Before(from) && !o.Created.After(to) && keep.wants(o) && query["receiver_phone"] == "" && // nobody gave a landline
				(query["receiver_name"] == "" || query["receiver_name"] == o.Receiver.Name) &&
				(query["receiver_mobile"] == "" || query["receiver_mobile"] == o.Receiver.Phone)
		})
	}
	tids := []any{}
	keys := t.world.OrderKeys(PlatformTmall, ByCreated, now.Add(-tmallMonths), now)
	for _, key := range slices.Backward(keys) {
		o, ok := t.world.OrderAt(PlatformTmall, key.Index)
		if ok && len(tids) < 100 && slices.ContainsFunc(fits, func(fits func(Order) bool) bool { return fits(o) }) {
			tids = append(tids, o.Number)
		}
	}
	if len(tids) == 0 {
		return tmallTree{}, nil
	}
	return tmallTree{"tid_list": tmallTree{"string": tids}}, nil
}

// mergeOaids serves taobao.top.oaid.merge: the trades of a receiver together.
// A pair whose oaid is not the trade's is left out.
func (t *tmall) mergeOaids(p tmallParams) (tmallTree, *tmallFault) {
	pairs, fault := tmallQueries(p, "merge_list", 100)
	if fault != nil {
		return nil, fault
	}
	var receivers []Receiver
	tids := map[Receiver][]string{}
	for _, pair := range pairs {
		o, ok := t.world.OrderByNumber(PlatformTmall, pair["tid"])
		if !ok || t.oaid(o) != pair["oaid"] {
			continue
		}
		if tids[o.Receiver] == nil {
			receivers = append(receivers, o.Receiver)
		}
		if !slices.Contains(tids[o.Receiver], o.Number) {
			tids[o.Receiver] = append(tids[o.Receiver], o.Number)
		}
	}
	lists := []any{}
	for _, r := range receivers {
		lists = append(lists, strings.Join(tids[r], ","))
	}
	if len(lists) == 0 {
		return tmallTree{}, nil
	}
	return tmallTree{"tid_list": tmallTree{"string": lists}}, nil
}

// What a scene of taobao.top.oaid.decrypt may see.
const (
	tmallSeesName = 1 << iota
	tmallSeesMobile
	tmallSeesAddress
	tmallSeesAll = tmallSeesName | tmallSeesMobile | tmallSeesAddress
)

var tmallOaidScenes = map[string]int{"1001": tmallSeesAll, "1002": tmallSeesAll, "1003": tmallSeesAll, "1004": tmallSeesAll, "1005": tmallSeesAll,
	"1006": tmallSeesAll, "1007": tmallSeesAll, "1008": tmallSeesAddress, "1009": tmallSeesName, "2001": tmallSeesMobile, "2002": tmallSeesMobile,
	"3001": tmallSeesAll}

// decryptOaids serves taobao.top.oaid.decrypt: of up to 20 receivers what the
// scene may see. Who asks for days of secrecy gets a virtual number.
func (t *tmall) decryptOaids(p tmallParams) (tmallTree, *tmallFault) {
	queries, fault := tmallQueries(p, "query_list", 20)
	if fault != nil {
		return nil, fault
	}
	rows := []any{}
	for _, query := range queries {
		sees, known := tmallOaidScenes[query["scene"]]
		if !known {
			return nil, tmallInvalid("scene")
		}
		days, fault := query.number("secret_no_days", 0, 0, 365)
		if fault != nil {
			return nil, fault
		}
		row := tmallTree{"oaid": query["oaid"], "tid": query["tid"], "matched": false, "privacy_protection": false}
		o, ok := t.world.OrderByNumber(PlatformTmall, query["tid"])
		if ok && t.oaid(o) == query["oaid"] {
			row["matched"] = true
			t.openReceiver(row, o, sees, days)
		}
		rows = append(rows, row)
	}
	return tmallTree{"receiver_list": tmallTree{"receiver": rows}}, nil
}

func (t *tmall) openReceiver(row tmallTree, o Order, sees, days int) {
	r := o.Receiver
	if sees&tmallSeesName != 0 {
		row["name"] = r.Name
	}
	if sees&tmallSeesMobile != 0 {
		row["mobile"] = r.Phone
		if days > 0 {
			row["mobile"] = "18877771111-" + strconv.Itoa(100+pick(t.world.hash("secret number", o.Index), 900))
			row["privacy_protection"] = true
			row["secret_no_expire_time"] = tmallTime(t.opts.Now().AddDate(0, 0, days))
		}
	}
	if sees&tmallSeesAddress != 0 {
		row["state"], row["city"], row["district"], row["country"] = r.Address.Province, r.Address.City, r.Address.District, "中国"
		row["address_detail"] = r.Address.Detail
		if r.Address.Town != "" {
			row["town"] = r.Address.Town
		}
	}
}

// itemGet serves taobao.item.seller.get, of whose item the fields of the
// documented signing example are known.
func (t *tmall) itemGet(p tmallParams) (tmallTree, *tmallFault) {
	for _, g := range shelf() {
		if strconv.FormatInt(g.Product, 10) == p["num_iid"] {
			return tmallTree{"item": p.pick(tmallTree{"num_iid": g.Product, "title": g.Title, "nick": t.world.Shop(PlatformTmall).Name,
				"price": tmallYuan(g.Price), "num": g.Stock})}, nil
		}
	}
	return nil, tmallInvalid("num_iid")
}

// tmallList splits a comma list.
func tmallList(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}
