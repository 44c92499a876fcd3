package simulator

import (
	"cmp"
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
	row := tmallTree{"tid": tid, "tid_str": o.Number, "status": tmallStatus[o.Status], "type": t.kind(o), "title": shop.Name,
		"created": tmallTime(o.Created), "modified": tmallTime(o.Modified), "payment": tmallYuan(o.Amount), "total_fee": tmallYuan(total),
		"post_fee": tmallYuan(o.Freight), "discount_fee": "0.00", "adjust_fee": "0.00", "received_payment": "0.00",
		"seller_nick": shop.Name, "buyer_nick": tmallMask(o.Account.Nick), "buyer_open_uid": o.Account.OpenUID, "seller_flag": 0,
		"has_buyer_message": false, "shipping_type": "express", "trade_from": "WAP,TAOBAO", "num": len(lines),
		"orders": tmallTree{"order": lines}}
	if points := o.PlatformDiscount / 3; o.PlatformDiscount > 0 {
		row["tmall_coupon_fee"], row["point_fee"], row["real_point_fee"] = o.PlatformDiscount-points, points, 0
		if !tmallEnd(o).IsZero() {
			row["real_point_fee"] = points
		}
	}
	if o.Discount > 0 && p["method"] == "taobao.trade.fullinfo.get" {
		row["promotion_details"] = tmallTree{"promotion_detail": []any{tmallTree{"id": tid, "promotion_name": "满减",
			"discount_fee": tmallYuan(o.Discount - o.PlatformDiscount), "promotion_id": "mjs-1_2"}}}
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

// renew makes a new session; t.mu is held.
func (t *tmall) renew() tmallTree {
	t.renewals++
	t.session = "6200000" + t.world.hide("tmall session", 1+t.renewals)
	t.refresh = "6202000" + t.world.hide("tmall refresh", 1+t.renewals)
	life := cmp.Or(t.opts.SessionLife, 365*24*time.Hour)
	t.expires = t.opts.Now().Add(life)
	until := t.expires.UnixMilli()
	shop := t.world.Shop(PlatformTmall)
	return tmallTree{"access_token": t.session, "token_type": "Bearer", "expires_in": int64(life / time.Second), "expire_time": until,
		"refresh_token": t.refresh, "re_expires_in": 0, "refresh_token_valid_time": until,
		"r1_valid": until, "r2_valid": until, "w1_valid": until, "w2_valid": until,
		"taobao_user_id": shop.ID, "taobao_user_nick": url.QueryEscape(shop.Name)}
}

func (t *tmall) tokenCreate(p tmallParams) (tmallTree, *tmallFault) {
	return t.grant(p["code"], &t.code, "code")
}

func (t *tmall) tokenRefresh(p tmallParams) (tmallTree, *tmallFault) {
	if t.opts.RefreshStays && p["refresh_token"] == t.credentials.RefreshToken {
		t.mu.Lock()
		defer t.mu.Unlock()
		return tmallTree{"token_result": jsonText(t.renew())}, nil
	}
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

// authorize sends the seller's browser back at once with a code.
func (t *tmall) authorize(w http.ResponseWriter, r *http.Request, p tmallParams) {
	back, err := url.Parse(p["redirect_uri"])
	if err != nil || back.Host == "" || p["response_type"] != "code" || p["client_id"] != t.credentials.AppKey {
		http.Error(w, "redirect_uri is invalidate", http.StatusBadRequest)
		return
	}
	t.mu.Lock()
	t.renewals++
	t.code = t.world.hide("tmall code", 1+t.renewals)
	code := t.code
	t.mu.Unlock()
	back.RawQuery = url.Values{"code": {code}, "state": {p["state"]}}.Encode()
	http.Redirect(w, r, back.String(), http.StatusFound)
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
