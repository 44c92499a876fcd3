package simulator

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

func (s *weidian) beforePage(method string) {
	if s.opts.BeforePage != nil {
		s.opts.BeforePage(method)
	}
}

// orderList serves a version of vdian.order.list.get, newest first.
func (s *weidian) orderList(version string, size, maxSize int) func(weidianParams) (any, *weidianFault) {
	return func(param weidianParams) (any, *weidianFault) {
		query, fault := weidianQuery(param, version, size, maxSize, s.opts.Now())
		if fault != nil {
			return nil, fault
		}
		ordinary, fault := weidianOrdinary(param, "is_wei_order")
		if fault != nil {
			return nil, fault
		}
		s.beforePage("vdian.order.list.get")
		keys := s.world.bothSpans(PlatformWeidian, "order", query.added, s.opts.Faults.late(query.updated, s.opts.Now()), by(query.byUpdate))
		if !ordinary {
			keys = nil
		}
		hides := s.opts.GroupBuys && version != "1.1" && param.text("group_type") != "0"
		if query.keep != nil || hides {
			kept := make([]Key, 0, len(keys))
			for _, key := range keys {
				if o, ok := s.world.OrderAt(PlatformWeidian, key.Index); ok {
					if hides && s.gathering(o) {
						continue
					}
					if state := weidianStateOf(o); query.keep == nil || query.keep(state.ori, state.refund) {
						kept = append(kept, key)
					}
				}
			}
			keys = kept
		}
		page := weidianOrderPage{TotalNum: len(keys), Orders: []weidianOrderItem{}}
		for _, key := range pageKeys(keys, query.page-1, query.size, true) {
			if o, ok := s.world.OrderAt(PlatformWeidian, key.Index); ok {
				page.Orders = append(page.Orders, weidianListed(o, version))
			}
		}
		page.OrderNum = len(page.Orders)
		return page, nil
	}
}

// gathering says that an order is of a group purchase that is not finished.
func (s *weidian) gathering(o Order) bool {
	return o.Status == OrderPaid && pick(s.world.hash("group purchase", o.Index), 4) == 0
}

// A weidianState is an order's state in the platform's words.
type weidianState struct {
	status, desc string
	ori, refund  int    // status_ori, refund_status_ori
	old          string // the list's status in version 1.1
}

func weidianStateOf(o Order) weidianState {
	var state weidianState
	switch o.Status {
	case OrderUnpaid:
		state = weidianState{"unpay", "待付款", 10, 0, "1"}
	case OrderPaid:
		state = weidianState{"pay", "待发货", 20, 0, "2"}
	case OrderShipped:
		state = weidianState{"ship", "已发货", 30, 0, "3"}
	case OrderFinished:
		state = weidianState{"finish", "已完成", 50, 0, "3"}
	default:
		state = weidianState{"close", "已关闭", 60, 0, "8"}
	}
	if o.Refund == nil {
		return state
	}
	before := map[bool]string{true: "unship", false: "shiped"}[o.Shipped.IsZero()] //nolint:misspell // the platform's
	switch o.Refund.Status {
	case RefundAsked, RefundAgreed:
		state.status, state.desc, state.refund, state.old = before+"_refunding", "退款中", 1, "7"
	case RefundRefused:
		state.status, state.desc, state.refund = before+"_refuse_refunding", "拒绝退款", 3
	case RefundClosed:
		state.refund = 3
	default:
		state.refund = 2
	}
	return state
}

// weidianListed shows an order as a list does: no buyer, no user phone.
func weidianListed(o Order, version string) weidianOrderItem {
	state := weidianStateOf(o)
	item := weidianOrderItem{OrderID: o.Number, Status: state.old, Status2: state.desc, Total: yuan(o.Amount),
		Time: weidianTime(o.Created), UpdateTime: weidianTime(o.Modified), ExpressNo: o.Tracking,
		BuyerInfo: weidianReceiver(o.Receiver)}
	if o.Tracking != "" {
		item.ExpressType = "3"
	}
	if version == "1.5" {
		item.Status, item.RefundStatus = state.ori, &state.refund
	}
	return item
}

func weidianReceiver(r Receiver) weidianBuyerInfo {
	a := r.Address
	street := a.Town + a.Detail
	return weidianBuyerInfo{Name: r.Name, Phone: r.Phone, Province: a.Province, City: a.City, Region: a.District,
		SelfAddress: street, Address: a.Province + a.City + a.District + street}
}

// orderDetail serves vdian.order.get: in clear (1.0) or with the personal
// fields encrypted (2.0).
func (s *weidian) orderDetail(sealed bool) func(weidianParams) (any, *weidianFault) {
	return func(param weidianParams) (any, *weidianFault) {
		number := param.text("order_id")
		if _, err := strconv.ParseUint(number, 10, 64); err != nil {
			return nil, &weidianFault{20015, "order_id必须为数字"}
		}
		o, ok := s.world.OrderByNumber(PlatformWeidian, number)
		if !ok {
			return nil, &weidianFault{20018, "订单不存在"}
		}
		detail := s.detail(o)
		if sealed {
			b := &detail.BuyerInfo
			if err := s.seal(&detail.SellerName, &detail.UserPhone, &detail.Weixin, &b.Name, &b.Phone, &b.Address,
				&b.SelfAddress, b.IDCardNo); err != nil {
				return nil, &weidianFault{10001, "系统错误"}
			}
		}
		return detail, nil
	}
}

// seal encrypts texts in place.
func (s *weidian) seal(texts ...*string) error {
	for _, text := range texts {
		sealed, err := sealWeidian(s.aesKey, *text)
		if err != nil {
			return err
		}
		*text = sealed
	}
	return nil
}

// detail shows an order in clear. Its update time is in the list only.
func (s *weidian) detail(o Order) weidianOrderDetail {
	state := weidianStateOf(o)
	shop := s.world.Shop(PlatformWeidian)
	detail := weidianOrderDetail{OrderID: o.Number, Status: state.status, StatusDesc: state.desc, Status2: state.desc,
		StatusOri: state.ori, RefundStatusOri: state.refund, OrderType: "3", OrderTypeDes: "担保交易",
		AddTime: weidianTime(o.Created), PayTime: weidianTime(o.PaidAt), SendTime: weidianTime(o.Shipped),
		FinishTime: weidianTime(o.Finished), Price: yuan(o.Amount - o.Freight), Total: yuan(o.Amount),
		ExpressFee: yuan(o.Freight), ExpressFeeNum: yuan(o.Freight), OriginalTotalPrice: yuan(o.Amount + o.Discount),
		DiscountAmount: yuan(o.Discount), DiscountList: []any{}, UserPhone: o.Account.Phone,
		SellerID: shop.ID, SellerName: shop.Name, IsClose: "0", ArgueFlag: "0",
		BuyerInfo: weidianReceiver(o.Receiver), Items: []weidianItem{}}
	detail.BuyerInfo.BuyerID, detail.BuyerInfo.IDCardNo = &o.Account.ID, new(string)
	if o.Status == OrderClosedUnpaid || o.Status == OrderClosedRefunded {
		detail.IsClose = "1"
	}
	if o.Tracking != "" {
		detail.Express, detail.ExpressType, detail.ExpressNo = "顺丰速运", "3", o.Tracking
		detail.ConfirmExpire = weidianTime(o.Shipped.Add(10 * 24 * time.Hour))
	}
	if !o.PaidAt.IsZero() {
		detail.TradeNo = "70" + o.Number
	}
	if o.Discount > 0 {
		detail.Discount, detail.DiscountInfo = yuan(o.Discount), "满减优惠"
		detail.DiscountList = append(detail.DiscountList, map[string]any{"discount_type": "1", "discount_info": "满减优惠",
			"discount_price": yuan(o.Discount)})
	}
	var quantity int64
	for _, item := range o.Items {
		quantity += item.Quantity
		detail.Items = append(detail.Items, weidianLine(o, item))
	}
	detail.Quantity = strconv.FormatInt(quantity, 10)
	return detail
}

func weidianLine(o Order, item Item) weidianItem {
	code := "M-" + strconv.FormatInt(item.Product%1000, 10)
	line := weidianItem{ItemID: strconv.FormatInt(item.Product, 10), ItemName: item.Title,
		SKUID: strconv.FormatInt(item.SKU, 10), SKUTitle: specValue(item.Spec), Price: yuan(item.Price),
		Quantity: strconv.FormatInt(item.Quantity, 10), TotalPrice: yuan(item.Total), MerchantCode: code,
		SKUMerchantCode: code + "-" + strconv.FormatInt(item.SKU%1000, 10), SubOrderID: subOrder(item),
		RefundInfo: weidianItemRefund{CanRefund: "1"}}
	if o.Status == OrderUnpaid || o.Status == OrderClosedUnpaid {
		line.RefundInfo.CanRefund = "0"
	}
	if r := o.Refund; r != nil {
		line.RefundInfo = weidianItemRefund{RefundNo: r.Number, RefundFee: yuan(item.Paid), RefundItemFee: yuan(item.Paid),
			RefundExpressFee: yuan(0), RefundStatus: strconv.Itoa(weidianRefundStatus(r)),
			RefundStatusDesc: weidianRefundTexts[weidianRefundStatus(r)], RefundKind: strconv.Itoa(weidianRefundKind(r)),
			CanRefund: "0", ItemID: line.ItemID, ItemSKUID: line.SKUID}
	}
	return line
}

// subOrder is a line's own number.
func subOrder(item Item) int64 {
	n, _ := strconv.ParseInt(item.Number, 10, 64) // the world writes whole numbers
	return n
}

// orderIDs serves vdian.order.ids.get: the numbers of a day's orders. The
// names in its answer are invented: they are published nowhere.
func (s *weidian) orderIDs(param weidianParams) (any, *weidianFault) {
	day, err := time.ParseInLocation(time.DateOnly, param.text("order_date"), weidianZone)
	if err != nil {
		return nil, &weidianFault{20032, "order_date日期格式错误"}
	}
	page, ok := param.int("page_num", 1)
	if !ok || page < 1 {
		return nil, &weidianFault{20501, "page_num错误"}
	}
	size, ok := param.int("page_size", 20)
	if !ok || size < 1 || size > 50 {
		return nil, &weidianFault{20502, "page_size错误"}
	}
	ordinary, fault := weidianOrdinary(param, "isweicenter")
	if fault != nil {
		return nil, fault
	}
	s.beforePage("vdian.order.ids.get")
	keys := s.world.OrderKeys(PlatformWeidian, ByCreated, day, day.AddDate(0, 0, 1).Add(-time.Second))
	if !ordinary {
		keys = nil
	}
	if s.opts.GroupBuys && param.text("group_type") != "0" {
		keys = slices.DeleteFunc(slices.Clone(keys), func(key Key) bool {
			o, ok := s.world.OrderAt(PlatformWeidian, key.Index)
			return ok && s.gathering(o)
		})
	}
	ids := []string{}
	for _, key := range pageKeys(keys, page-1, size, true) {
		if o, ok := s.world.OrderAt(PlatformWeidian, key.Index); ok {
			ids = append(ids, o.Number)
		}
	}
	return map[string]any{"total_num": len(keys), "order_num": len(ids), "order_ids": ids}, nil
}

// yuan is an amount of fen as the platform writes it.
func yuan(fen int64) string {
	sign := ""
	if fen < 0 {
		sign, fen = "-", -fen
	}
	return fmt.Sprintf("%s%d.%02d", sign, fen/100, fen%100)
}

// weidianTime is a time as the platform writes it, "" for none.
func weidianTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(weidianZone).Format(time.DateTime)
}

var weidianRefundTexts = map[int]string{1: "买家申请退款", 3: "商家拒绝退款", 4: "商家同意退货", 9: "退款取消", 10: "退款完成"}

func weidianRefundStatus(r *Refund) int {
	switch r.Status {
	case RefundAgreed:
		if !r.WithReturn {
			return 1 // without goods there is nothing to agree to but the end
		}
		return 4
	case RefundRefused:
		return 3
	case RefundClosed:
		return 9
	case RefundSuccess:
		return 10
	default:
		return 1
	}
}

// weidianRefundKind is 1 for the money alone, 2 for goods and money.
func weidianRefundKind(r *Refund) int {
	if r.WithReturn {
		return 2
	}
	return 1
}

// refundList serves open.SellerQueryRefundList, newest first. The platform's
// names in this answer are known from its detail and its console only.
func (s *weidian) refundList(param weidianParams) (any, *weidianFault) {
	query, fault := weidianRefunds(param, s.opts.Now())
	if fault != nil {
		return nil, fault
	}
	s.beforePage("open.SellerQueryRefundList")
	keys := s.world.bothSpans(PlatformWeidian, "refund", query.added, s.opts.Faults.late(query.updated, s.opts.Now()), by(query.byUpdate))
	if query.filters() {
		kept := make([]Key, 0, len(keys))
		for _, key := range keys {
			if o, ok := s.world.OrderAt(PlatformWeidian, key.Index); ok && o.Refund != nil && query.wants(o) {
				kept = append(kept, key)
			}
		}
		keys = kept
	}
	page := weidianRefundPage{Total: len(keys), List: []weidianRefund{}}
	for _, key := range pageKeys(keys, query.page, query.size, true) {
		o, ok := s.world.OrderAt(PlatformWeidian, key.Index)
		if !ok || o.Refund == nil {
			continue
		}
		refund := weidianRefundOf(o)
		if err := s.seal(&refund.BuyerName, &refund.BuyerTelephone, &refund.BuyerAddress); err != nil {
			return nil, &weidianFault{10001, "系统错误"}
		}
		page.List = append(page.List, refund)
	}
	return page, nil
}

// filters says whether the query asks for more than times.
func (q weidianRefundQuery) filters() bool {
	return len(q.orders) > 0 || len(q.statuses) > 0 || q.stage != 0 || q.from != ""
}

// wants says whether an order's refund is asked for. fromRefundNo asks for
// the refunds after that one in the list, that is of a lower number.
func (q weidianRefundQuery) wants(o Order) bool {
	return (len(q.orders) == 0 || slices.Contains(q.orders, o.Number)) &&
		(len(q.statuses) == 0 || slices.Contains(q.statuses, strconv.Itoa(weidianRefundStatus(o.Refund)))) &&
		(q.stage == 0 || q.stage == weidianStage(o)) &&
		(q.from == "" || len(o.Refund.Number) == len(q.from) && o.Refund.Number < q.from)
}

// weidianStage is 1 for a refund before the sale ended, 2 for one after.
func weidianStage(o Order) int {
	if !o.Finished.IsZero() && o.Refund.Created.After(o.Finished) {
		return 2
	}
	return 1
}

func weidianRefundOf(o Order) weidianRefund {
	r, item := o.Refund, o.Items[o.Refund.Item]
	receiver := weidianReceiver(o.Receiver)
	refund := weidianRefund{RefundNo: r.Number, OrderID: o.Number, SubOrderID: subOrder(item), BuyerID: o.Account.ID,
		RefundStage: weidianStage(o), RefundKind: weidianRefundKind(r), Status: weidianRefundStatus(r),
		StatusDesc: weidianRefundTexts[weidianRefundStatus(r)], RefundFee: yuan(r.Amount), RefundReason: r.Reason,
		AddTime: r.Created.UnixMilli(), UpdateTime: r.Modified.UnixMilli(), ItemID: strconv.FormatInt(item.Product, 10),
		ItemTitle: item.Title, ItemSKUID: strconv.FormatInt(item.SKU, 10), ItemSKUTitle: specValue(item.Spec),
		BuyerName: receiver.Name, BuyerTelephone: receiver.Phone, BuyerAddress: receiver.Address}
	if !r.Ended.IsZero() {
		refund.FinishTime = r.Ended.UnixMilli()
	}
	return refund
}

// refundDetail serves open.sellerQueryRefundDetail, encrypted in 2.0.
func (s *weidian) refundDetail(sealed bool) func(weidianParams) (any, *weidianFault) {
	return func(param weidianParams) (any, *weidianFault) {
		o, ok := s.world.RefundByNumber(PlatformWeidian, param.text("refundNo"))
		if !ok {
			return nil, &weidianFault{10100, "退款单不存在"}
		}
		refund := weidianRefundOf(o)
		if sealed {
			if err := s.seal(&refund.BuyerName, &refund.BuyerTelephone, &refund.BuyerAddress); err != nil {
				return nil, &weidianFault{10001, "系统错误"}
			}
		}
		return map[string]any{"refundBasicInfo": refund}, nil
	}
}
