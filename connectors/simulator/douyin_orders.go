package simulator

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"hash/crc32"
	"slices"
	"strconv"
	"time"
)

// pageKeys cuts the page-th piece of size keys out of keys that are oldest first;
// descending turns them round first.
func pageKeys(keys []Key, page, size int, descending bool) []Key {
	if page > len(keys) {
		return nil
	}
	from := min(page*size, len(keys))
	to := min(from+size, len(keys))
	if !descending {
		return keys[from:to]
	}
	out := slices.Clone(keys[len(keys)-to : len(keys)-from])
	slices.Reverse(out)
	return out
}

// bothSpans lists the rows that were made in the one span and changed in the
// other, oldest first by the time asked for. Do not change the slice.
func (w *World) bothSpans(platform, kind string, made, changed span, by By) []Key {
	read, window, other := ByModified, changed, made
	if w.unbounded(changed) {
		read, window, other = ByCreated, made, changed
	}
	from, to := window.times()
	keys := w.keys(platform, kind, read, from, to)
	if read == by && w.unbounded(other) {
		return keys
	}
	var out []Key
	for _, key := range keys {
		created, modified := w.rowTimes(platform, kind, key.Index)
		if !made.holds(created) || !changed.holds(modified) {
			continue
		}
		at := created
		if by == ByModified {
			at = modified
		}
		out = append(out, Key{key.Index, at})
	}
	slices.SortFunc(out, func(a, b Key) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Index, b.Index))
	})
	return out
}

// unbounded says whether a span holds every row of the world.
func (w *World) unbounded(s span) bool { return s.from <= w.from && s.to == allTime.to }

// rowTimes are the two times of a row, in Unix seconds.
func (w *World) rowTimes(platform, kind string, index int) (created, modified int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	created, modified, _ = w.times(platform, kind, index)
	return created, modified
}

func by(modified bool) By {
	if modified {
		return ByModified
	}
	return ByCreated
}

func (d *douyin) beforePage(method string) {
	if d.opts.BeforePage != nil {
		d.opts.BeforePage(method)
	}
}

// searchList serves order.searchList.
func (d *douyin) searchList(params douyinParams) (any, *douyinFault) {
	d.mu.Lock()
	d.searches++
	n := d.searches
	d.mu.Unlock()
	if d.opts.BusyEvery > 0 && n%d.opts.BusyEvery == 0 {
		return nil, &douyinFault{20000, "服务异常", "isp.service-error:20004", "系统繁忙，请稍后重试"}
	}
	query, fault := searchQuery(params, d.opts.Now())
	if fault != nil {
		return nil, fault
	}
	if query.page >= douyinMaxRows || (query.page+1)*query.size > douyinMaxRows {
		return nil, douyinBadParameter(20013, "查询结果不能超过50000条，请缩小时间范围")
	}
	d.beforePage("order.searchList")
	keys := d.world.bothSpans(PlatformDouyin, "order", query.created, d.opts.Faults.late(query.updated, d.opts.Now()), by(query.byUpdate))
	if len(query.statuses) > 0 || len(query.keep) > 0 {
		kept := make([]Key, 0, len(keys))
		for _, key := range keys {
			if o, ok := d.world.OrderAt(PlatformDouyin, key.Index); ok && query.keep.wants(o) &&
				(len(query.statuses) == 0 || slices.Contains(query.statuses, douyinStateOf(o).OrderStatus)) {
				kept = append(kept, key)
			}
		}
		keys = kept
	}
	page := douyinOrderPage{Page: query.page, Size: query.size, Total: len(keys), Orders: []douyinOrder{}}
	for _, key := range pageKeys(keys, int(query.page), int(query.size), !query.ascending) {
		if o, ok := d.world.OrderAt(PlatformDouyin, key.Index); ok {
			page.Orders = append(page.Orders, d.order(o))
		}
	}
	return page, nil
}

// orderDetail serves order.orderDetail; it knows old orders too.
func (d *douyin) orderDetail(params douyinParams) (any, *douyinFault) {
	number := params.text("shop_order_id")
	if number == "" {
		return nil, douyinMissingParameter(20000, "缺少shop_order_id")
	}
	if _, err := strconv.ParseUint(number, 10, 64); err != nil {
		return nil, douyinBadParameter(20001, "shop_order_id不合法")
	}
	o, ok := d.world.OrderByNumber(PlatformDouyin, number)
	if !ok {
		return nil, douyinBadParameter(20014, "订单不存在")
	}
	shown := d.order(o)
	shown.PromotionDetail = map[string]any{
		"shop_discount_detail":     map[string]any{"total_amount": o.Discount},
		"platform_discount_detail": map[string]any{"total_amount": 0},
		"kol_discount_detail":      map[string]any{"total_amount": 0},
	}
	return map[string]any{"shop_order_detail": shown}, nil
}

// douyinExpiry is the payment time that an order is given, in seconds.
const douyinExpiry = 24 * 60 * 60

// douyinStateOf says an order's state in the platform's numbers.
func douyinStateOf(o Order) douyinState {
	s := douyinState{CreateTime: seconds(o.Created), UpdateTime: seconds(o.Modified), PayTime: seconds(o.PaidAt),
		FinishTime: seconds(o.Finished), ShipTime: seconds(o.Shipped), OrderExpireTime: douyinExpiry}
	if !o.PaidAt.IsZero() {
		s.ExpShipTime = seconds(o.PaidAt.Add(48 * time.Hour))
	}
	switch o.Status {
	case OrderUnpaid:
		s.OrderStatus, s.OrderStatusDesc, s.MainStatus, s.MainStatusDesc = 1, "待支付", 1, "待支付"
	case OrderPaid:
		s.OrderStatus, s.OrderStatusDesc, s.MainStatus, s.MainStatusDesc = 2, "待发货", 2, "备货中"
	case OrderShipped:
		s.OrderStatus, s.OrderStatusDesc, s.MainStatus, s.MainStatusDesc = 3, "已发货", 3, "已发货"
	case OrderFinished:
		s.OrderStatus, s.OrderStatusDesc, s.MainStatus, s.MainStatusDesc = 5, "已完成", 5, "已完成"
	case OrderClosedUnpaid:
		s.OrderStatus, s.OrderStatusDesc, s.MainStatus, s.MainStatusDesc = 4, "已关闭", 4, "已取消"
		s.CancelReason = "超时未支付"
	default: // closed_refunded
		s.OrderStatus, s.OrderStatusDesc, s.MainStatus, s.MainStatusDesc = 4, "已关闭", 21, "发货前退款完结"
		if !o.Shipped.IsZero() {
			s.MainStatus, s.MainStatusDesc = 22, "发货后退款完结"
		}
	}
	return s
}

// seconds is a time in Unix seconds, 0 for none.
func seconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// douyinInApp is the b_type of orders that were made in the app itself.
const douyinInApp = 2

// douyinPayType is how an order was paid, 0 when it was not.
func douyinPayType(o Order) int {
	switch {
	case o.PaidAt.IsZero():
		return 0
	case o.Paid == 0:
		return 7
	}
	return 2
}

// order shows an order. Each call seals its personal fields anew, and so does
// each of its lines.
func (d *douyin) order(o Order) douyinOrder {
	var goodsAmount int64
	for _, item := range o.Items {
		goodsAmount += item.Total
	}
	shown := douyinOrder{OrderID: o.Number, OrderLevel: 2, ShopID: d.credentials.ShopID, ShopName: d.credentials.ShopName,
		DoudianOpenID: o.Account.ID, OpenAddressID: d.addressID(o.Receiver), Biz: 2, BizDesc: "小店",
		OrderTypeDesc: "普通订单", BType: douyinInApp, BTypeDesc: "抖音", SubBType: 3, SubBTypeDesc: "H5",
		douyinState: douyinStateOf(o), douyinMoney: douyinAmounts(goodsAmount+o.Freight, o.Amount, o.Freight, o.Discount),
		douyinReceiver: d.receiver(o.Receiver), LogisticsInfo: []douyinParcel{}, OrderPhaseList: []any{},
		SKUOrders: []douyinSKUOrder{}}
	if !o.PaidAt.IsZero() {
		shown.PayType, shown.ChannelPaymentNo = douyinPayType(o), "20"+o.Number
	}
	if o.Tracking != "" {
		shown.LogisticsInfo = append(shown.LogisticsInfo, douyinParcel{TrackingNo: o.Tracking, Company: "shunfeng",
			CompanyName: "顺丰速运", ShipTime: seconds(o.Shipped), DeliveryID: o.Number, ProductInfo: []any{}})
	}
	left, rest := o.Freight, goodsAmount
	for _, item := range o.Items {
		post := left
		if rest > 0 {
			post = left * item.Total / rest
		}
		left, rest = left-post, rest-item.Total
		shown.SKUOrders = append(shown.SKUOrders, d.skuOrder(o, item, post))
	}
	return shown
}

func douyinAmounts(order, pay, post, discount int64) douyinMoney {
	return douyinMoney{OrderAmount: order, PayAmount: pay, PostAmount: post, PostOriginAmount: post,
		PromotionAmount: discount, PromotionShopAmount: discount, TotalPromotionAmount: discount}
}

// skuOrder shows a line; post is its share of the freight.
func (d *douyin) skuOrder(o Order, item Item, post int64) douyinSKUOrder {
	return douyinSKUOrder{OrderID: d.childNumber(o, item), ParentOrderID: o.Number, OrderLevel: 3,
		ProductID: item.Product, ProductIDStr: strconv.FormatInt(item.Product, 10), ProductName: item.Title,
		SKUID: item.SKU, Code: "SKU-" + strconv.FormatInt(item.SKU%1000, 10),
		Spec:         []douyinSpec{{"颜色分类", specValue(item.Spec)}},
		OriginAmount: item.Price, GoodsPrice: item.Price, ItemNum: item.Quantity, SumAmount: item.Total,
		CBiz: 8, CBizDesc: "小店自卖", AfterSaleInfo: douyinTag(o.Refund), douyinState: douyinStateOf(o),
		douyinMoney:    douyinAmounts(item.Total+post, item.Paid+post, post, item.Discount),
		douyinReceiver: d.receiver(o.Receiver)}
}

// childNumber is a line's number: the order's own when there is one line.
func (d *douyin) childNumber(o Order, item Item) string {
	if len(o.Items) == 1 {
		return o.Number
	}
	return item.Number
}

// specValue is the part of "name:value" after the colon.
func specValue(spec string) string {
	for i, r := range spec {
		if r == ':' {
			return spec[i+1:]
		}
	}
	return spec
}

// receiver seals and masks a receiver.
func (d *douyin) receiver(r Receiver) douyinReceiver {
	place := douyinPlace(r.Address)
	masked := place
	masked.Detail = maskDouyinAddress(r.Address.Detail)
	return douyinReceiver{
		EncryptPostTel:      d.cipher.seal(douyinPhone, r.Phone),
		EncryptPostReceiver: d.cipher.seal(douyinName, r.Name),
		MaskPostTel:         maskDouyinPhone(r.Phone),
		MaskPostReceiver:    maskDouyinName(r.Name),
		PostAddr:            douyinAddr{place, d.cipher.seal(douyinAddress, r.Address.Detail)},
		MaskPostAddr:        masked,
	}
}

// douyinProvinces are the first two digits of the regions' public codes.
var douyinProvinces = map[string]string{"北京市": "11", "上海市": "31", "江苏省": "32", "浙江省": "33", "山东省": "37",
	"湖北省": "42", "广东省": "44", "四川省": "51", "陕西省": "61"}

// douyinPlace gives an address its region ids: 2 digits for a province, 6 for
// a city and a town, 9 for a street; all but the province's are invented.
func douyinPlace(a Address) douyinMaskAddr {
	digits := func(name string, n uint32) uint32 { return 1 + crc32.ChecksumIEEE([]byte(name))%(n-1) }
	province := cmp.Or(douyinProvinces[a.Province], "99")
	city := fmt.Sprintf("%s%02d", province, digits(a.City, 100))
	town := fmt.Sprintf("%s%02d", city, digits(a.District, 100))
	place := douyinMaskAddr{Province: douyinRegion{a.Province, province}, City: douyinRegion{a.City, city + "00"},
		Town: douyinRegion{a.District, town}}
	if a.Town != "" {
		place.Street = douyinRegion{a.Town, fmt.Sprintf("%s%03d", town, digits(a.Town, 1000))}
	}
	return place
}

// addressID stands for a receiver at an address, the same on each order.
func (d *douyin) addressID(r Receiver) string {
	mac := hmac.New(sha512.New, []byte(d.credentials.AppSecret))
	fmt.Fprintf(mac, "address\x00%s\x00%s\x00%v", r.Name, r.Phone, r.Address)
	return "#" + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
