package simulator

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// The filters of order.searchList and afterSale.List. The world sells ordinary
// goods in the app itself: it has no presale, no abnormal order, no
// arbitration, no store. A filter for such a thing keeps everything at 0 and
// nothing at another value. A value that is none of a filter's documented ones
// is refused as a bad parameter; which number the platform gives it then is not
// known, so it is that of the method's other bad parameters.

// What a filter's value may be.
var (
	douyinOrderTypes = []int64{0, 2, 4, 5, 6}
	douyinTradeTypes = []int64{0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12, 13, 14, 16, 18, 102, 103}
	douyinBTypes     = []int64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 26, 27, 28, 29}
	douyinPayTypes   = []int64{0, 1, 2, 3, 4, 5, 7, 8, 9, 12, 16}

	douyinAfterSaleTypes    = []int64{0, 1, 2, 3, 6, 7, 8}
	douyinAfterSaleStatuses = []int64{0, 6, 7, 8, 11, 12, 13, 14, 27, 28, 29, 51, 53}
	douyinArbitrations      = []int64{0, 1, 2, 3, 4, 5, 6, 255}
)

// douyinAfterSaleDescs says which after-sale status each value of
// after_sale_status_desc stands for. An open refund is both in after-sale and
// being refunded: the shop has no exchange.
var douyinAfterSaleDescs = map[string][]int{
	"all":              nil,
	"in_aftersale":     {6, 7, 8, 11, 13},
	"refund":           {6, 7, 11},
	"refund_success":   {12},
	"refund_fail":      {27, 29},
	"exchange_success": {14},
	"aftersale_close":  {28, 51},
}

// douyinKeep says whether an order stays in an answer.
type douyinKeep []func(Order) bool

func (k douyinKeep) wants(o Order) bool {
	for _, keep := range k {
		if !keep(o) {
			return false
		}
	}
	return true
}

// among adds a filter by a number that must be one of known, or any when known
// is nil. False for another value.
func (k *douyinKeep) among(p douyinParams, name string, known []int64, own func(Order) int64) bool {
	if p[name] == nil || p[name] == "" {
		return true
	}
	asked, ok := p.int(name, 0)
	if !ok || known != nil && !slices.Contains(known, asked) {
		return false
	}
	*k = append(*k, func(o Order) bool { return own(o) == asked })
	return true
}

func douyinNone(Order) int64 { return 0 }

// orderFilters reads the filters of order.searchList.
func orderFilters(p douyinParams) (keep douyinKeep, fault *douyinFault) {
	for _, filter := range []struct {
		name  string
		known []int64
		own   func(Order) int64
	}{
		{"b_type", douyinBTypes, func(Order) int64 { return douyinInApp }},
		{"order_type", douyinOrderTypes, douyinNone},
		{"trade_type", douyinTradeTypes, douyinNone},
		{"presell_type", nil, douyinNone},
		{"abnormal_order", nil, douyinNone},
	} {
		if !keep.among(p, filter.name, filter.known, filter.own) {
			return nil, douyinBadParameter(20001, filter.name+"不合法")
		}
	}
	if product := p.text("product"); product != "" { // its number or a part of its name
		keep = append(keep, func(o Order) bool {
			return slices.ContainsFunc(o.Items, func(i Item) bool {
				return strconv.FormatInt(i.Product, 10) == product || strings.Contains(i.Title, product)
			})
		})
	}
	if tracking := p.text("tracking_no"); tracking != "" {
		keep = append(keep, func(o Order) bool { return o.Tracking == tracking })
	}
	if p.has("fulfil_status") { // its values are not known, and no order bears one
		keep = append(keep, func(Order) bool { return false })
	}
	if desc := p.text("after_sale_status_desc"); desc != "" {
		statuses, known := douyinAfterSaleDescs[desc]
		if !known {
			return nil, douyinBadParameter(20001, "after_sale_status_desc不合法")
		}
		if desc != "all" {
			keep = append(keep, func(o Order) bool {
				return o.Refund != nil && slices.Contains(statuses, douyinAfterSaleStatus(o.Refund))
			})
		}
	}
	return keep, nil
}

// afterSaleFilters reads the filters of afterSale.List. They are asked of
// orders with a refund only.
func afterSaleFilters(p douyinParams) (keep douyinKeep, fault *douyinFault) {
	invalid := func(name string) *douyinFault { return douyinBadParameter(11000, name+"不合法") }
	for _, filter := range []struct {
		name  string
		known []int64
		own   func(Order) int64
	}{
		{"aftersale_type", douyinAfterSaleTypes, func(o Order) int64 { return int64(douyinAfterSaleType(o.Refund)) }},
		{"pay_type", douyinPayTypes, func(o Order) int64 { return int64(douyinPayType(o)) }},
		{"refund_type", nil, douyinNone},
		{"order_flag", nil, douyinNone},
		{"risk_flag", nil, douyinNone},
		{"aftersale_sub_type", nil, douyinNone},
		{"agree_refuse_sign", nil, douyinNone},
		{"logistics_status", nil, douyinNone},
		{"order_logistics_state", nil, douyinNone},
		{"reason", nil, func(o Order) int64 { return int64(douyinReason(o.Refund)) }},
	} {
		if !keep.among(p, filter.name, filter.known, filter.own) {
			return nil, invalid(filter.name)
		}
	}
	for name, own := range map[string]func(Order) string{
		"order_id":                    func(o Order) string { return o.Number },
		"aftersale_id":                func(o Order) string { return o.Refund.Number },
		"order_logistics_tracking_no": func(o Order) string { return o.Tracking },
	} {
		if asked := p.list(name); len(asked) > 0 {
			keep = append(keep, func(o Order) bool { return slices.Contains(asked, own(o)) })
		}
	}
	// Wrong statuses are ignored; all wrong is no filter.
	if statuses := numbers(p.list("standard_aftersale_status"), douyinAfterSaleStatuses); len(statuses) > 0 {
		keep = append(keep, func(o Order) bool { return slices.Contains(statuses, int64(douyinAfterSaleStatus(o.Refund))) })
	}
	if asked := p.list("arbitrate_status"); len(asked) > 0 {
		statuses := numbers(asked, douyinArbitrations)
		if len(statuses) < len(asked) {
			return nil, invalid("arbitrate_status")
		}
		keep = append(keep, func(Order) bool { return slices.Contains(statuses, 0) })
	}
	if len(p.list("store_id_list")) > 0 {
		keep = append(keep, func(Order) bool { return false })
	}
	for _, window := range []struct {
		start, end string
		own        func(Refund) int64
	}{
		{"amount_start", "amount_end", func(r Refund) int64 { return r.Amount }},
		{"aftersale_status_to_final_start_time", "aftersale_status_to_final_end_time", func(r Refund) int64 { return seconds(r.Ended) }},
	} {
		from, fromOK := p.int(window.start, 0)
		to, toOK := p.int(window.end, allTime.to)
		if !fromOK || !toOK || from > to {
			return nil, invalid(window.start + "," + window.end)
		}
		if p.has(window.start) || p.has(window.end) {
			keep = append(keep, func(o Order) bool { return span{from, to}.holds(window.own(*o.Refund)) })
		}
	}
	return keep, nil
}

// numbers are those of the texts that are among known.
func numbers(texts []string, known []int64) []int64 {
	var out []int64
	for _, text := range texts {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil && slices.Contains(known, n) {
			out = append(out, n)
		}
	}
	return out
}

// list is a list of scalars as texts; one scalar is a list of one.
func (p douyinParams) list(name string) []string {
	if text := p.text(name); text != "" {
		return []string{text}
	}
	return p.texts(name)
}

// douyinReason is the number of an after-sale's reason.
func douyinReason(r *Refund) int { return 1 + slices.Index(reasons, r.Reason) }

// douyinDeadline is until when an open after-sale waits.
func douyinDeadline(r *Refund) int64 {
	if r.Ended.IsZero() {
		return seconds(r.Modified.Add(48 * time.Hour))
	}
	return 0
}
