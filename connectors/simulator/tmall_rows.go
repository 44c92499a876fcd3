package simulator

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

var tmallStatus = map[string]string{
	OrderUnpaid: "WAIT_BUYER_PAY", OrderPaid: "WAIT_SELLER_SEND_GOODS", OrderShipped: "WAIT_BUYER_CONFIRM_GOODS",
	OrderFinished: "TRADE_FINISHED", OrderClosedUnpaid: "TRADE_CLOSED_BY_TAOBAO", OrderClosedRefunded: "TRADE_CLOSED",
}

var tmallRefundStatus = map[string]string{
	RefundAsked: "WAIT_SELLER_AGREE", RefundAgreed: "WAIT_BUYER_RETURN_GOODS", RefundRefused: "SELLER_REFUSE_BUYER",
	RefundClosed: "CLOSED", RefundSuccess: "SUCCESS",
}

// tmallStatusFits knows the query-only groups too.
func tmallStatusFits(asked, status string) bool {
	switch asked {
	case "":
		return true
	case "ALL_WAIT_PAY":
		return status == "WAIT_BUYER_PAY" || status == "TRADE_NO_CREATE_PAY"
	case "ALL_CLOSED":
		return status == "TRADE_CLOSED" || status == "TRADE_CLOSED_BY_TAOBAO"
	}
	return asked == status
}

// tmallMask keeps the first character.
func tmallMask(s string) string {
	for _, r := range s {
		return string(r) + "**"
	}
	return ""
}

func tmallMaskPhone(s string) string { return "*******" + s[max(0, len(s)-4):] }

// tmallMaskAddress hides every second character.
func tmallMaskAddress(s string) string {
	runes := []rune(s)
	for i := 1; i < len(runes); i += 2 {
		runes[i] = '*'
	}
	return string(runes)
}

// trade is an order's row with all its fields. The simple kind has the ouid
// and no receiver.
func (t *tmall) trade(o Order, p tmallParams, simple bool) tmallTree {
	shop := t.world.Shop(PlatformTmall)
	tid, _ := strconv.ParseInt(o.Number, 10, 64)
	var total, goods int64
	lines := []any{}
	for _, item := range o.Items {
		total += item.Total
		goods += item.Paid
		lines = append(lines, t.line(o, item))
	}
	row := tmallTree{"tid": tid, "tid_str": o.Number, "status": tmallStatus[o.Status], "type": "fixed", "title": shop.Name,
		"created": tmallTime(o.Created), "modified": tmallTime(o.Modified), "payment": tmallYuan(o.Amount), "total_fee": tmallYuan(total),
		"post_fee": tmallYuan(o.Freight), "discount_fee": "0.00", "adjust_fee": "0.00", "received_payment": "0.00",
		"seller_nick": shop.Name, "buyer_nick": tmallMask(o.Account.Nick), "buyer_open_uid": o.Account.OpenUID, "seller_flag": 0,
		"has_buyer_message": false, "shipping_type": "express", "trade_from": "WAP,TAOBAO", "num": len(lines),
		"orders": tmallTree{"order": lines}}
	if o.Discount > 0 && p["method"] == "taobao.trade.fullinfo.get" {
		row["promotion_details"] = tmallTree{"promotion_detail": []any{tmallTree{"id": tid, "promotion_name": "满减",
			"discount_fee": tmallYuan(o.Discount), "promotion_id": "mjs-1_2"}}}
	}
	if len(lines) == 1 { // a single line's discount is the order's own
		row["discount_fee"] = tmallYuan(o.Discount)
	}
	for name, at := range map[string]time.Time{"pay_time": o.PaidAt, "consign_time": o.Shipped, "end_time": tmallEnd(o)} {
		if !at.IsZero() {
			row[name] = tmallTime(at)
		}
	}
	if o.Status == OrderFinished {
		row["received_payment"] = tmallYuan(goods + o.Freight)
	}
	if simple {
		row["ouid"] = o.Account.ID
		return row
	}
	r := o.Receiver
	row["receiver_name"], row["receiver_mobile"] = tmallMask(r.Name), tmallMaskPhone(r.Phone)
	row["receiver_address"], row["receiver_country"] = tmallMaskAddress(r.Address.Detail), "中国"
	row["receiver_state"], row["receiver_city"], row["receiver_district"] = r.Address.Province, r.Address.City, r.Address.District
	if r.Address.Town != "" {
		row["receiver_town"] = r.Address.Town
	}
	if tmallOaidAsked(p["fields"]) {
		row["oaid"] = t.oaid(o)
	}
	return row
}

func tmallEnd(o Order) time.Time {
	if o.Finished.IsZero() {
		return o.Closed
	}
	return o.Finished
}

// tmallOaidAsked: the oaid comes only beside the five fields that make it.
func tmallOaidAsked(fields string) bool {
	asked := strings.Split(strings.ReplaceAll(fields, " ", ""), ",")
	for _, name := range []string{"receiver_name", "receiver_address", "created", "receiver_mobile", "receiver_phone"} {
		if !slices.Contains(asked, name) {
			return false
		}
	}
	return true
}

// oaid differs by receiver, shop, app and the week of the order's making.
func (t *tmall) oaid(o Order) string {
	year, week := o.Created.In(tmallZone).ISOWeek()
	r := o.Receiver
	h := t.world.hash(strings.Join([]string{"oaid", t.credentials.AppKey, o.Shop, r.Name, r.Phone, r.Address.Detail}, "/"), year*100+week)
	return "1" + strconv.FormatUint(h, 36) + strconv.FormatUint(mix(h), 36)
}

func (t *tmall) line(o Order, item Item) tmallTree {
	oid, _ := strconv.ParseInt(item.Number, 10, 64)
	line := tmallTree{"oid": oid, "oid_str": item.Number, "status": tmallStatus[o.Status], "refund_status": "NO_REFUND",
		"num_iid": item.Product, "sku_id": strconv.FormatInt(item.SKU, 10), "outer_iid": "SPU-" + strconv.FormatInt(item.Product%100, 10),
		"outer_sku_id": "SKU-" + strconv.FormatInt(item.SKU%100, 10), "title": item.Title, "sku_properties_name": item.Spec, "num": item.Quantity,
		"price": tmallYuan(item.Price), "total_fee": tmallYuan(item.Total), "discount_fee": "0.00", "adjust_fee": "0.00",
		"part_mjz_discount": tmallYuan(item.Discount), "divide_order_fee": tmallYuan(item.Paid), "payment": tmallYuan(item.Total), "seller_type": "B"}
	if len(o.Items) == 1 {
		// The trade's payment, with postage; the discount is the line's own.
		line["total_fee"], line["discount_fee"], line["part_mjz_discount"] = tmallYuan(item.Paid), tmallYuan(item.Discount), "0.00"
		line["payment"] = tmallYuan(o.Amount)
	}
	if o.Refund != nil {
		line["refund_status"] = tmallRefundStatus[o.Refund.Status]
		line["refund_id"] = o.Refund.Number
	}
	return line
}

func (t *tmall) refund(o Order) tmallTree {
	r, item := o.Refund, o.Items[o.Refund.Item]
	tid, _ := strconv.ParseInt(o.Number, 10, 64)
	oid, _ := strconv.ParseInt(item.Number, 10, 64)
	row := tmallTree{"refund_id": r.Number, "tid": tid, "oid": oid, "status": tmallRefundStatus[r.Status], "order_status": tmallStatus[o.Status],
		"good_status": "BUYER_NOT_RECEIVED", "has_good_return": r.WithReturn, "dispute_type": "REFUND", "refund_phase": "onsale",
		"refund_version": r.Modified.UnixMilli(), "created": tmallTime(r.Created), "modified": tmallTime(r.Modified), "reason": r.Reason, "desc": "",
		"total_fee": tmallYuan(r.Amount), "refund_fee": tmallYuan(r.Amount), "payment": "0.00", "title": item.Title, "num": item.Quantity,
		"sku": strconv.FormatInt(item.SKU, 10) + "|" + item.Spec, "outer_id": "SPU-" + strconv.FormatInt(item.Product%100, 10),
		"seller_nick": t.world.Shop(PlatformTmall).Name, "buyer_nick": tmallMask(o.Account.Nick), "buyer_open_uid": o.Account.OpenUID, "ouid": o.Account.ID}
	if r.WithReturn {
		row["dispute_type"], row["good_status"] = "REFUND_AND_RETURN", "BUYER_RECEIVED"
	}
	if !r.Ended.IsZero() {
		row["end_time"] = tmallTime(r.Ended)
	}
	return row
}

func (t *tmall) refunds(p tmallParams) (tmallTree, *tmallFault) {
	from, to, fault := t.window(p, "start_modified", "end_modified", t.world.cfg.From, t.opts.Now(), 0, 0)
	if fault != nil {
		return nil, fault
	}
	return t.paged(p, func() []Key {
		keys := t.world.RefundKeys(PlatformTmall, ByModified, from, to)
		if p["status"] == "" && p["buyer_open_uid"] == "" && p["ouid"] == "" {
			return keys
		}
		return t.filtered(p, keys, func(o Order) bool { return p["status"] == "" || tmallRefundStatus[o.Refund.Status] == p["status"] })
	}, "refunds", "refund", func(index int) (tmallTree, bool) {
		o, ok := t.world.OrderAt(PlatformTmall, index)
		if !ok || o.Refund == nil {
			return nil, false
		}
		return t.refund(o), true
	})
}

func (t *tmall) refundGet(p tmallParams) (tmallTree, *tmallFault) {
	o, ok := t.world.RefundByNumber(PlatformTmall, p["refund_id"])
	if !ok {
		return nil, &tmallFault{15, "Remote service error", "isv.refund-not-exist", "退款单不存在"}
	}
	return tmallTree{"refund": p.pick(t.refund(o))}, nil
}

// tmallMembers lists every buyer of the shop; incremental ones by the last
// change of the buyer's orders.
func tmallMembers(inner string, increment, privy bool) func(*tmall, tmallParams) (tmallTree, *tmallFault) {
	return func(t *tmall, p tmallParams) (tmallTree, *tmallFault) {
		page, fault := p.number("current_page", 1, 1, 1000)
		if fault != nil {
			return nil, fault
		}
		size, fault := p.number("page_size", 40, 1, 100)
		if fault != nil {
			return nil, fault
		}
		from, to := time.Time{}, t.opts.Now()
		if increment {
			from, to, fault = t.window(p, "start_modify", "end_modify", t.world.cfg.From, to, 0, 0)
		} else if p["min_last_trade_time"] != "" || p["max_last_trade_time"] != "" {
			from, to, fault = t.window(p, "min_last_trade_time", "max_last_trade_time", t.world.cfg.From, to, 0, 0)
		}
		if fault != nil {
			return nil, fault
		}
		var members []any
		total := 0
		take := func(a Account) {
			if total >= (page-1)*size && total < page*size {
				members = append(members, t.member(a, privy))
			}
			total++
		}
		if from.IsZero() {
			// Only the last block has holes: before it, index is position.
			count := t.world.AccountCount(PlatformTmall)
			total = min((page-1)*size, count-len(tmallSeats))
			for index := total; index < count; index++ {
				if index == page*size && index < count-len(tmallSeats) {
					index = count - len(tmallSeats)
					total = index
				}
				if a, ok := t.world.AccountAt(PlatformTmall, index); ok {
					take(a)
				}
			}
		} else {
			for _, a := range t.changedAccounts(increment, from, to) {
				take(a)
			}
		}
		answer := tmallTree{"total_result": total}
		if len(members) > 0 {
			answer["members"] = tmallTree{inner: members}
		}
		return answer, nil
	}
}

// changedAccounts are the accounts whose last order, or last change of one,
// lies in the window, by index.
func (t *tmall) changedAccounts(modified bool, from, to time.Time) []Account {
	by := ByCreated
	if modified {
		by = ByModified
	}
	var indexes []int
	for _, key := range t.world.OrderKeys(PlatformTmall, by, from, to) {
		indexes = append(indexes, t.world.accountOf(PlatformTmall, key.Index))
	}
	slices.Sort(indexes)
	var out []Account
	for _, index := range slices.Compact(indexes) {
		if a, ok := t.world.AccountAt(PlatformTmall, index); ok && t.changedWithin(a, modified, from, to) {
			out = append(out, a)
		}
	}
	return out
}

func (t *tmall) changedWithin(a Account, modified bool, from, to time.Time) bool {
	var last time.Time
	for _, o := range t.world.OrdersOf(a) {
		at := o.Created
		if modified {
			at = o.Modified
		}
		if at.After(last) {
			last = at
		}
	}
	return !last.Before(from) && !last.After(to)
}

func (t *tmall) member(a Account, privy bool) tmallTree {
	var count, closed, items int
	var amount, closedAmount int64
	var last time.Time
	for _, o := range t.world.OrdersOf(a) {
		if o.Created.After(last) {
			last = o.Created
		}
		if o.Status == OrderClosedUnpaid || o.Status == OrderClosedRefunded {
			closed++
			closedAmount += o.Amount
			continue
		}
		count++
		amount += o.Paid
		items += len(o.Items)
	}
	row := tmallTree{"ouid": a.ID, "status": "normal", "grade": 0, "relation_source": 1, "trade_count": count, "trade_amount": tmallYuan(amount),
		"close_trade_count": closed, "close_trade_amount": tmallYuan(closedAmount), "item_num": items, "group_ids": "",
		"avg_price": tmallYuan(amount / int64(max(count, 1))), "last_trade_time": tmallTime(last)}
	if a.Member {
		row["grade"], row["grade_name"] = 1, "普通会员"
	}
	if !privy {
		row["buyer_nick"] = tmallMask(a.Nick)
	}
	return row
}

// renew makes a new session; t.mu is held.
func (t *tmall) renew() tmallTree {
	t.renewals++
	t.session = "6200000" + t.world.hide("tmall session", 1+t.renewals)
	t.refresh = "6202000" + t.world.hide("tmall refresh", 1+t.renewals)
	t.expires = t.opts.Now().Add(365 * 24 * time.Hour)
	shop := t.world.Shop(PlatformTmall)
	return tmallTree{"access_token": t.session, "token_type": "Bearer", "expires_in": 31536000, "expire_time": t.expires.UnixMilli(),
		"refresh_token": t.refresh, "re_expires_in": 0, "refresh_token_valid_time": t.expires.UnixMilli(),
		"taobao_user_id": shop.ID, "taobao_user_nick": url.QueryEscape(shop.Name)}
}

func (t *tmall) tokenCreate(p tmallParams) (tmallTree, *tmallFault) {
	return t.grant(p["code"], &t.code, "code")
}

func (t *tmall) tokenRefresh(p tmallParams) (tmallTree, *tmallFault) {
	return t.grant(p["refresh_token"], &t.refresh, "refresh_token")
}

func (t *tmall) grant(given string, want *string, name string) (tmallTree, *tmallFault) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if *want == "" || given != *want {
		return nil, tmallInvalid(name)
	}
	*want = ""
	return tmallTree{"token_result": jsonText(t.renew())}, nil
}

// oauth is POST /token: bare JSON, no TOP envelope.
func (t *tmall) oauth(w http.ResponseWriter, p tmallParams) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	refuse := func(what string) {
		_, _ = w.Write([]byte(jsonText(tmallTree{"error": "invalid_request", "error_description": what})))
	}
	given, want := p["code"], &t.code
	if p["grant_type"] == "refresh_token" {
		given, want = p["refresh_token"], &t.refresh
	}
	switch {
	case p["client_id"] != t.credentials.AppKey || p["client_secret"] != t.credentials.AppSecret:
		refuse("client_secret is invalidate")
	case *want == "" || given != *want:
		refuse("authorize code expire")
	default:
		*want = ""
		_, _ = w.Write([]byte(jsonText(t.renew())))
	}
}
