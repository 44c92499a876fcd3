package simulator

import (
	"slices"
	"strconv"
	"time"
)

func (t *tmall) refund(o Order) tmallTree {
	r, item := o.Refund, o.Items[o.Refund.Item]
	tid, _ := strconv.ParseInt(o.Number, 10, 64)
	oid, _ := strconv.ParseInt(item.Number, 10, 64)
	row := tmallTree{"refund_id": r.Number, "tid": tid, "oid": oid, "status": tmallRefundStatus[r.Status], "order_status": tmallStatus[o.Status],
		"good_status": "BUYER_NOT_RECEIVED", "has_good_return": r.WithReturn, "dispute_type": "REFUND", "refund_phase": tmallPhase,
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

// tmallPhase is the phase of every refund: all are asked for before the buyer
// confirms the receipt.
const tmallPhase = "onsale"

// refundsWithin is a question to a list of refunds, which is by their change.
func (t *tmall) refundsWithin(p tmallParams, more ...func(Order) bool) (keys func() []Key, fault *tmallFault) {
	from, to, fault := t.window(p, "start_modified", "end_modified", t.world.cfg.From, t.opts.Now(), 0, t.opts.RefundsOldest)
	if fault != nil {
		return nil, fault
	}
	keep, fault := p.refundFilters(t.kind)
	if fault != nil {
		return nil, fault
	}
	keep = append(keep, more...)
	to = t.opts.Faults.shown(to, t.opts.Now())
	return func() []Key { return keep.keys(t.world, t.world.RefundKeys(PlatformTmall, ByModified, from, to)) }, nil
}

func (t *tmall) refunds(p tmallParams) (tmallTree, *tmallFault) {
	keys, fault := t.refundsWithin(p)
	if fault != nil {
		return nil, fault
	}
	return t.paged(p, 40, 100, keys, "refunds", "refund", func(index int) (tmallTree, bool) {
		o, ok := t.world.OrderAt(PlatformTmall, index)
		if !ok || o.Refund == nil {
			return nil, false
		}
		return t.refund(o), true
	})
}

// specialRefunds serves taobao.special.refunds.receive.get: the shop protects
// no price and gives no rebate.
func (t *tmall) specialRefunds(p tmallParams) (tmallTree, *tmallFault) {
	if _, fault := t.refundsWithin(p); fault != nil {
		return nil, fault
	}
	return t.paged(p, 40, 100, func() []Key { return nil }, "refunds", "refund", nil)
}

// tmallDisputeStatus is a refund's status as the list of disputes writes it.
var tmallDisputeStatus = map[string]string{RefundAsked: "1", RefundAgreed: "2", RefundClosed: "4", RefundSuccess: "5", RefundRefused: "6"}

// disputes serves tmall.dispute.receive.get, which says all inside result.
func (t *tmall) disputes(p tmallParams) (tmallTree, *tmallFault) {
	keys, fault := t.refundsWithin(p, func(o Order) bool { return p["refund_id"] == "" || o.Refund.Number == p["refund_id"] })
	if fault != nil {
		return nil, fault
	}
	shown := 0
	answer, fault := t.paged(p, 20, 100, keys, "results", "dispute", func(index int) (tmallTree, bool) {
		o, ok := t.world.OrderAt(PlatformTmall, index)
		if !ok || o.Refund == nil {
			return nil, false
		}
		shown++
		row := t.refund(o)
		row["status"] = tmallDisputeStatus[o.Refund.Status]
		return row, true
	})
	if fault != nil {
		return nil, fault
	}
	if total, counted := answer["total_results"].(int); counted { // here beside the total too
		page, _ := p.number("page_no", 1, 1, 1_000_000) // paged has checked both
		size, _ := p.number("page_size", 20, 1, 100)
		answer["has_next"] = page*size < total
	}
	answer["page_results"] = shown
	return tmallTree{"result": answer}, nil
}

func (t *tmall) refundGet(p tmallParams) (tmallTree, *tmallFault) {
	o, ok := t.world.RefundByNumber(PlatformTmall, p["refund_id"])
	if !ok {
		return nil, tmallNoRefund()
	}
	return tmallTree{"refund": p.pick(t.refund(o))}, nil
}

func tmallNoRefund() *tmallFault {
	return &tmallFault{15, "Remote service error", "isv.refund-not-exist", "退款单不存在"}
}

// refundMessages serves taobao.refund.messages.get: what the buyer asked and
// what came of it, newest first.
func (t *tmall) refundMessages(p tmallParams) (tmallTree, *tmallFault) {
	if !slices.Contains([]string{"onsale", "aftersale"}, p["refund_phase"]) {
		return nil, tmallInvalid("refund_phase")
	}
	o, ok := t.world.RefundByNumber(PlatformTmall, p["refund_id"])
	if !ok || p["refund_phase"] != tmallPhase {
		return nil, tmallNoRefund()
	}
	r, shop := o.Refund, t.world.Shop(PlatformTmall)
	id, _ := strconv.ParseInt(r.Number, 10, 64)
	var rows []tmallTree
	say := func(role int, at time.Time, kind, content string) {
		row := tmallTree{"id": id*10 + int64(len(rows)), "owner_role": role, "owner_nick": shop.Name, "content": content, "created": tmallTime(at),
			"message_type": kind}
		if role == 1 {
			row["owner_nick"], row["owner_open_uid"] = tmallMask(o.Account.Nick), o.Account.OpenUID
		}
		rows = append(rows, row)
	}
	say(1, r.Created, "NORMAL", "买家申请退款，原因："+r.Reason)
	switch r.Status {
	case RefundAgreed:
		say(2, r.Modified, "RETURN_GOODS_APPROVED", "卖家同意退货")
	case RefundRefused:
		say(2, r.Modified, "NORMAL", "卖家拒绝退款")
	case RefundClosed:
		say(1, r.Modified, "NORMAL", "买家撤销退款申请")
	case RefundSuccess:
		say(2, r.Modified, "NORMAL", "卖家同意退款，退款成功")
	}
	keys := make([]Key, len(rows))
	for i := range rows {
		keys[i].Index = i
	}
	return t.paged(p, 40, 100, func() []Key { return keys }, "refund_messages", "refund_message",
		func(i int) (tmallTree, bool) { return rows[i], true })
}

// exchanges serves tmall.exchange.receive.get: the shop exchanges nothing. The
// names of the created times are published nowhere.
func (t *tmall) exchanges(p tmallParams) (tmallTree, *tmallFault) {
	for _, window := range [][2]string{{"start_gmt_modified_time", "end_gmt_modifed_time"}, {"start_created_time", "end_created_time"}} {
		if _, _, fault := t.window(p, window[0], window[1], time.Time{}, t.opts.Now(), 0, 0); fault != nil {
			return nil, fault
		}
	}
	if len(tmallList(p["refund_id_array"])) > 20 {
		return nil, tmallInvalid("refund_id_array")
	}
	for _, status := range tmallList(p["dispute_status_array"]) {
		if !slices.Contains([]string{"1", "2", "3", "4", "5", "6", "12", "13", "14"}, status) {
			return nil, tmallInvalid("dispute_status_array")
		}
	}
	answer, fault := t.paged(p, 20, 100, func() []Key { return nil }, "results", "exchange", nil)
	if fault != nil {
		return nil, fault
	}
	answer["total_results"], answer["has_next"] = 0, false
	return answer, nil
}

// exchangeGet serves tmall.exchange.get.
func (t *tmall) exchangeGet(tmallParams) (tmallTree, *tmallFault) {
	return nil, tmallInvalid("dispute_id")
}
