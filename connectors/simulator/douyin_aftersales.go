package simulator

import (
	"cmp"
	"slices"
	"strconv"
	"time"
)

// douyinTag is what an order's line says of its after-sale.
func douyinTag(r *Refund) douyinAfterSaleTag {
	if r == nil {
		return douyinAfterSaleTag{}
	}
	return douyinAfterSaleTag{Status: douyinAfterSaleStatus(r), Type: douyinAfterSaleType(r), RefundStatus: douyinRefundStatus(r)}
}

func douyinAfterSaleStatus(r *Refund) int {
	switch r.Status {
	case RefundAgreed:
		if r.Without == SentAgain {
			return 8
		}
		if r.WithReturn || r.Without == Exchanged {
			return 7
		}
		return 6 // a refund without goods waits for the shop alone
	case RefundRefused:
		return 27
	case RefundClosed:
		return 28
	case RefundSuccess:
		if r.Without == Exchanged {
			return 14
		}
		return 12
	default:
		return 6
	}
}

func douyinAfterSaleType(r *Refund) int {
	switch {
	case r.Without == Exchanged:
		return 3
	case r.Without == SentAgain:
		return 7
	case r.BeforeShip:
		return 2
	case r.WithReturn:
		return 0
	default:
		return 1
	}
}

func douyinRefundStatus(r *Refund) int {
	switch {
	case douyinRefundType(r) == douyinNoRefund:
		return 0
	case r.Status != RefundSuccess:
		return 1 // a buyer who withdraws leaves it waiting
	case r.Without == Unpaid:
		return 4
	}
	return 3
}

// douyinNoRefund is the aftersale_refund_type of what gives no money back.
const douyinNoRefund = 4

func douyinRefundType(r *Refund) int {
	if r.Without == "" || r.Without == Unpaid {
		return 0 // the way it was paid
	}
	return douyinNoRefund
}

var (
	douyinStatusTexts = map[int]string{6: "待商家处理", 7: "待买家退货", 8: "待商家发货", 12: "售后成功", 14: "换货成功", 27: "商家一次拒绝", 28: "售后关闭"}
	douyinTypeTexts   = map[int]string{0: "退货退款", 1: "仅退款", 2: "未发货退款", 3: "换货", 7: "补寄"}
)

// afterSaleList serves afterSale.List.
func (d *douyin) afterSaleList(params douyinParams) (any, *douyinFault) {
	query, fault := afterSaleQuery(params, d.opts.Now())
	if fault != nil {
		return nil, fault
	}
	d.beforePage("afterSale.List")
	keys := d.world.bothSpans(PlatformDouyin, "refund", query.applied, d.opts.Faults.late(query.updated, d.opts.Now()), by(query.byUpdate))
	if len(query.keep) > 0 || query.byDeadline {
		kept := make([]Key, 0, len(keys))
		for _, key := range keys {
			if o, ok := d.world.OrderAt(PlatformDouyin, key.Index); ok && o.Refund != nil && query.keep.wants(o) {
				if query.byDeadline {
					key.At = douyinDeadline(o.Refund)
				}
				kept = append(kept, key)
			}
		}
		if query.byDeadline {
			slices.SortFunc(kept, func(a, b Key) int { return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Index, b.Index)) })
		}
		keys = kept
	}
	if query.unordered {
		// "Polling loses rows": how is not documented; here no page goes on where another ended.
		keys = slices.Clone(keys)
		slices.SortFunc(keys, func(a, b Key) int {
			at := func(k Key) uint64 { return mix(uint64(k.Index) ^ mix(uint64(query.page)+1)) }
			return cmp.Compare(at(a), at(b))
		})
	}
	page := douyinAfterSalePage{Total: len(keys), Page: query.page, Items: []douyinAfterSale{},
		HasMore: (query.page+1)*query.size < int64(len(keys))}
	for _, key := range pageKeys(keys, int(query.page), int(query.size), query.descending) {
		if o, ok := d.world.OrderAt(PlatformDouyin, key.Index); ok && o.Refund != nil {
			page.Items = append(page.Items, d.afterSale(o))
		}
	}
	if page.Size = len(page.Items); page.Size == 0 && d.opts.NoData {
		return nil, douyinBadParameter(11003, "没有数据")
	}
	return page, nil
}

// afterSale shows an order's after-sale. The buyer is not in it.
func (d *douyin) afterSale(o Order) douyinAfterSale {
	r := o.Refund
	kind, status := douyinAfterSaleType(r), douyinAfterSaleStatus(r)
	info := douyinAfterSaleInfo{AfterSaleID: r.Number, AfterSaleOrderType: 1, RelatedID: o.Number, AfterSaleType: kind,
		AfterSaleStatus: status, RefundStatus: douyinRefundStatus(r), ApplyTime: seconds(r.Created),
		CreateTime: seconds(r.Created), UpdateTime: seconds(r.Modified), FinalTime: seconds(r.Ended),
		RefundAmount: r.Amount, AfterSaleRefundType: douyinRefundType(r), StatusDeadline: douyinDeadline(r), ReasonSecondLabels: []douyinLabel{}}
	if len(o.Items) > 1 {
		info.AfterSaleOrderType = 2
	}
	if r.WithReturn {
		info.GotPkg = 1
	}
	shown := douyinAfterSale{SellerLogs: []any{}, OrderInfo: douyinAfterSaleOrder{ShopOrderID: o.Number},
		TextPart: douyinAfterSaleText{Status: douyinStatusTexts[status], Type: douyinTypeTexts[kind], Reason: r.Reason}}
	for _, item := range o.Items {
		info.AfterSaleNum += item.Quantity
		shown.OrderInfo.Related = append(shown.OrderInfo.Related, douyinRelatedOrder{
			SKUOrderID: d.childNumber(o, item), OrderStatus: douyinStateOf(o).OrderStatus, PayAmount: item.Paid,
			ItemNum: item.Quantity, CreateTime: seconds(o.Created), ProductName: item.Title, ProductID: item.Product,
			AfterSalePayAmount: item.Paid, AfterSaleItemNum: item.Quantity})
	}
	shown.Info = info
	return shown
}

// afterSaleDetail serves afterSale.Detail, which spells its names otherwise
// than the list.
func (d *douyin) afterSaleDetail(params douyinParams) (any, *douyinFault) {
	number := params.text("after_sale_id")
	if number == "" {
		return nil, douyinBadParameter(11000, "缺少after_sale_id")
	}
	o, ok := d.world.RefundByNumber(PlatformDouyin, number)
	if !ok {
		return nil, douyinBadParameter(11003, "售后单不存在")
	}
	list := d.afterSale(o)
	id, _ := strconv.ParseInt(number, 10, 64) // RefundByNumber read it
	records := []any{}
	if params.bool("need_operation_record") {
		records = douyinNegotiation(o)
	}
	return map[string]any{
		"process_info": map[string]any{
			"after_sale_info": map[string]any{"after_sale_id": id, "after_sale_order_type": list.Info.AfterSaleOrderType,
				"after_sale_status": list.Info.AfterSaleStatus, "after_sale_type": list.Info.AfterSaleType,
				"refund_status": list.Info.RefundStatus, "apply_time": list.Info.ApplyTime,
				"create_time": list.Info.CreateTime, "update_time": list.Info.UpdateTime,
				"refund_amount": list.Info.RefundAmount, "refund_post_amount": 0, "reason": o.Refund.Reason,
				"reason_code": douyinReason(o.Refund), "reason_remark": "", "evidence": []any{},
				"after_sale_status_desc": list.TextPart.Status, "after_sale_type_text": list.TextPart.Type},
			"arbitrate_info":          map[string]any{"arbitrate_status": 0},
			"after_sale_service_tag":  map[string]any{},
			"logistics_info":          map[string]any{"order": []any{}},
			"after_sale_shop_remarks": []any{},
			"record_logs_list":        records,
		},
		"order_info": map[string]any{"shop_order_id": o.Number, "sku_order_infos": list.OrderInfo.Related},
	}, nil
}

// The roles in an after-sale's history.
const (
	douyinBuyer = 1 + iota
	douyinShop
	_ // the platform's service
	douyinSystem
)

// douyinNegotiation is an after-sale's history, newest first: who did what, in
// words that tell of people.
func douyinNegotiation(o Order) []any {
	r, steps := o.Refund, []any{}
	step := func(role int, operator string, at time.Time, action, text string) {
		steps = append(steps, map[string]any{"operator": operator, "time": douyinText(at), "text": text, "images": []any{},
			"desc_kvs": []any{map[string]any{"key": "联系人", "value": o.Receiver.Name}}, "action": action, "role": role, "all_evidence": []any{}})
	}
	buyer := func(at time.Time, action, text string) { step(douyinBuyer, o.Account.Nick, at, action, text) }
	shop := func(action, text string) { step(douyinShop, "商家", r.Modified, action, text) }
	switch r.Status {
	case RefundAgreed:
		shop("同意申请", "商家同意售后申请")
	case RefundRefused:
		shop("拒绝申请", "商家拒绝售后申请，请联系"+o.Receiver.Phone)
	case RefundClosed:
		buyer(r.Modified, "取消申请", "买家撤销售后申请")
	case RefundSuccess:
		step(douyinSystem, "系统", r.Modified, "退款成功", "退款已原路退回")
		shop("同意退款", "商家同意退款")
	}
	buyer(r.Created, "发起申请", "买家发起售后申请，原因："+r.Reason)
	return steps
}

// douyinText is a time as the service methods write it, "" for none.
func douyinText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(douyinZone).Format(time.DateTime)
}

// serviceList serves order.getServiceList.
func (d *douyin) serviceList(params douyinParams) (any, *douyinFault) {
	query, fault := serviceQuery(params)
	if fault != nil {
		return nil, fault
	}
	d.beforePage("order.getServiceList")
	made, changed := query.between, allTime
	if query.byUpdate {
		made, changed = changed, made
	}
	keys := d.world.bothSpans(PlatformDouyin, "service", made, d.opts.Faults.late(changed, d.opts.Now()), by(query.byUpdate))
	if query.status >= 0 || query.orderID != "" || query.serviceID != "" {
		kept := make([]Key, 0, len(keys))
		for _, key := range keys {
			if service, ok := d.service(key.Index); ok && query.wants(service) {
				kept = append(kept, key)
			}
		}
		keys = kept
	}
	list := []douyinService{}
	for _, key := range pageKeys(keys, int(query.page-1), int(query.size), !query.ascending) {
		if service, ok := d.service(key.Index); ok {
			list = append(list, service)
		}
	}
	return map[string]any{"total": len(keys), "list": list}, nil
}

func (q douyinServiceQuery) wants(s douyinService) bool {
	return (q.status < 0 || q.status == int64(s.OperateStatus)) &&
		(q.orderID == "" || q.orderID == strconv.FormatInt(s.OrderID, 10)) &&
		(q.serviceID == "" || q.serviceID == strconv.FormatInt(s.ID, 10))
}

// service shows the service ticket about an order.
func (d *douyin) service(index int) (douyinService, bool) {
	service, ok := d.world.ServiceAt(PlatformDouyin, index)
	if !ok {
		return douyinService{}, false
	}
	o, ok := d.world.OrderAt(PlatformDouyin, index)
	if !ok {
		return douyinService{}, false
	}
	id, _ := strconv.ParseInt(service.Number, 10, 64) // the world writes whole numbers
	order, _ := strconv.ParseInt(o.Number, 10, 64)
	shown := douyinService{ID: id, OrderID: order, ShopID: d.credentials.ShopID, ServiceType: 1, OperateStatusDesc: "待处理",
		Detail: "用户反馈：" + service.Reason, CreateTime: douyinText(service.Created), UpdateTime: douyinText(service.Modified)}
	if !service.Open {
		shown.OperateStatus, shown.OperateStatusDesc = 100, "已完成"
		shown.Reply, shown.ReplyTime = "已与用户协商处理", shown.UpdateTime
	}
	return shown, true
}

// serviceDetail serves order.serviceDetail.
func (d *douyin) serviceDetail(params douyinParams) (any, *douyinFault) {
	service, ok := d.world.ServiceByNumber(PlatformDouyin, params.text("service_id"))
	if !ok {
		return nil, douyinBusiness(10001, "服务单不存在")
	}
	shown, _ := d.service(service.Order)
	logs := []any{map[string]any{"content": shown.Detail, "img_list": []any{}, "service_log_type": 1, "operate_name": "平台客服",
		"service_detail": shown.Detail, "reply_detail": "", "close_detail": "", "reject_detail": "", "deal_time": shown.CreateTime}}
	first, closed := "", ""
	if !service.Open {
		// The list tells of the last reply, and the shop's first was earlier.
		first, closed = douyinText(service.Created.Add(service.Modified.Sub(service.Created)/2)), shown.UpdateTime
		logs = append(logs, map[string]any{"content": shown.Reply, "img_list": []any{}, "service_log_type": 2, "operate_name": "商家",
			"service_detail": "", "reply_detail": shown.Reply, "close_detail": "", "reject_detail": "", "deal_time": first})
	}
	return map[string]any{"logs": logs, "detail": map[string]any{
		"id": shown.ID, "order_id": shown.OrderID, "shop_id": shown.ShopID, "service_type": shown.ServiceType,
		"operate_status": shown.OperateStatus, "operate_status_desc": shown.OperateStatusDesc, "detail": shown.Detail,
		"reply": shown.Reply, "create_time": shown.CreateTime, "update_time": shown.UpdateTime, "reply_time": shown.ReplyTime,
		"first_reply_time": first, "close_time": closed, "close_detail": "", "is_reject": false, "reject_detail": "",
		"reject_time": "", "evidence_required": false, "img_list": []any{}, "expiration_time": ""}}, nil
}
