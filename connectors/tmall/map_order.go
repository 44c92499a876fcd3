package tmall

import (
	"encoding/json"
	"errors"
	"strings"

	"oneid/connectors"
	"oneid/schemas/events"
)

// A state is what a status of the platform says of an order or sub-order.
type state struct {
	status events.OrderStatus
	// paid: the buyer's money was taken. Of cash on delivery see paidMoment.
	paid bool
}

// orderStates are the platform's documented statuses; any other is unknown.
var orderStates = map[string]state{
	"TRADE_NO_CREATE_PAY":      {events.OrderStatus_ORDER_STATUS_CREATED, false},
	"WAIT_BUYER_PAY":           {events.OrderStatus_ORDER_STATUS_CREATED, false},
	"PAY_PENDING":              {events.OrderStatus_ORDER_STATUS_CREATED, false},
	"WAIT_PRE_AUTH_CONFIRM":    {events.OrderStatus_ORDER_STATUS_CREATED, false},
	"PAID_FORBID_CONSIGN":      {events.OrderStatus_ORDER_STATUS_PAID, true},
	"WAIT_SELLER_SEND_GOODS":   {events.OrderStatus_ORDER_STATUS_PAID, true},
	"SELLER_CONSIGNED_PART":    {events.OrderStatus_ORDER_STATUS_PART_SHIPPED, true},
	"WAIT_BUYER_CONFIRM_GOODS": {events.OrderStatus_ORDER_STATUS_SHIPPED, true},
	"TRADE_BUYER_SIGNED":       {events.OrderStatus_ORDER_STATUS_RECEIVED, true},
	"TRADE_FINISHED":           {events.OrderStatus_ORDER_STATUS_FINISHED, true},
	"TRADE_CLOSED":             {events.OrderStatus_ORDER_STATUS_CLOSED, true},
	"TRADE_CLOSED_BY_TAOBAO":   {events.OrderStatus_ORDER_STATUS_CLOSED, false},
}

func stateOf(status string) (s state, known bool) {
	s, known = orderStates[status]
	if !known {
		s.status = events.OrderStatus_ORDER_STATUS_UNKNOWN
	}
	return s, known
}

// trade is an order as the platform gives it.
type trade struct {
	TID          text            `json:"tid"`
	Status       text            `json:"status"`
	Type         text            `json:"type"`
	Created      text            `json:"created"`
	PayTime      text            `json:"pay_time"`
	Modified     text            `json:"modified"`
	ConsignTime  text            `json:"consign_time"`
	EndTime      text            `json:"end_time"`
	Payment      text            `json:"payment"`
	TotalFee     text            `json:"total_fee"`
	PostFee      text            `json:"post_fee"`
	SubsidyFee   text            `json:"platform_subsidy_fee"`
	CouponFee    text            `json:"coupon_fee"`
	RedPacket    text            `json:"tmall_coupon_fee"`
	Points       text            `json:"point_fee"`
	RealPoints   text            `json:"real_point_fee"`
	TradeFrom    text            `json:"trade_from"`
	BuyerOpenUID text            `json:"buyer_open_uid"`
	Name         text            `json:"receiver_name"`
	Mobile       text            `json:"receiver_mobile"`
	Phone        text            `json:"receiver_phone"`
	State        text            `json:"receiver_state"`
	City         text            `json:"receiver_city"`
	District     text            `json:"receiver_district"`
	Town         text            `json:"receiver_town"`
	Address      text            `json:"receiver_address"`
	Orders       json.RawMessage `json:"orders"`
}

// subOrder is one line of an order.
type subOrder struct {
	OID            text `json:"oid"`
	Status         text `json:"status"`
	RefundStatus   text `json:"refund_status"`
	NumIID         text `json:"num_iid"`
	SkuID          text `json:"sku_id"`
	OuterIID       text `json:"outer_iid"`
	OuterSkuID     text `json:"outer_sku_id"`
	Title          text `json:"title"`
	Num            text `json:"num"`
	Price          text `json:"price"`
	TotalFee       text `json:"total_fee"`
	DivideOrderFee text `json:"divide_order_fee"`
	Payment        text `json:"payment"`
}

func (m mapper) order(record connectors.Record) ([]*events.Event, error) {
	var raw struct {
		Trade *trade `json:"trade"`
		OUID  string `json:"ouid"`
	}
	if record.Decode(&raw) != nil || raw.Trade == nil {
		return nil, errors.New("it is not an order")
	}
	t := raw.Trade
	var f fields
	id := f.must("tid", t.TID)
	created, modified := f.time("created", t.Created), f.time("modified", t.Modified)
	f.must("created", t.Created)
	if modified == 0 {
		modified = created
	}
	s, _ := stateOf(f.must("status", t.Status))
	account, sightings := m.buyer(raw.OUID, string(t.BuyerOpenUID), id)

	order := &events.Order{
		Status: s.status, PlatformStatus: string(t.Status), OrderType: string(t.Type), Channel: string(t.TradeFrom),
		CreatedMs: created, ShippedMs: f.time("consign_time", t.ConsignTime),
		Currency:     "CNY",
		GoodsMinor:   f.money("total_fee", t.TotalFee),
		FreightMinor: f.money("post_fee", t.PostFee),
		PayableMinor: f.money("payment", t.Payment),
		Province:     string(t.State), City: string(t.City), District: string(t.District),
	}
	if order.City == "" {
		// Of a county-level city the platform gives the name as district.
		order.City = order.District
	}
	if s.status == events.OrderStatus_ORDER_STATUS_FINISHED || s.status == events.OrderStatus_ORDER_STATUS_CLOSED {
		order.FinishedMs = f.time("end_time", t.EndTime)
	}
	if order.PaidMs = paidMoment(&f, t, order, modified); order.PaidMs != 0 {
		order.PaidMinor = order.PayableMinor
	}
	discount := max(0, order.GoodsMinor+order.FreightMinor-order.PayableMinor)
	order.PlatformDiscountMinor = min(platformDiscount(&f, t), discount)
	order.SellerDiscountMinor = discount - order.PlatformDiscountMinor
	order.Items = items(&f, t, order)
	if order.PaidMinor < 0 {
		f.fail("payment", "is negative")
	}
	if f.err != nil {
		return nil, f.err
	}
	header := m.header(record, id, account, modified)
	header.Person = &events.Person{
		Sightings: append(sightings, receiverPhone(t.Mobile, t.Phone)...),
		Receiver:  t.receiver(),
	}
	return []*events.Event{{Header: header, Body: &events.Event_Order{Order: order}}}, nil
}

// platformDiscount is what the platform pays of an order: what it subsidises, its coupons
// and red packets, and its points. That all of these are in what goods and freight cost
// more than payment, as far as there is room for them, is assumed.
func platformDiscount(f *fields, t *trade) int64 {
	return f.money("platform_subsidy_fee", t.SubsidyFee) + couponMinor(f, "coupon_fee", t.CouponFee) +
		couponMinor(f, "tmall_coupon_fee", t.RedPacket) + pointsMinor(f, t)
}

// couponMinor is a coupon's amount: whole numbers are fen, as public SDKs describe the
// field, and those with a point are yuan, as all other amounts (assumed).
func couponMinor(f *fields, name string, value text) int64 {
	if strings.Contains(string(value), ".") {
		return f.money(name, value)
	}
	return f.count(name, value)
}

// pointsMinor is what the buyer's points are worth: a hundred are a yuan (assumed). An
// ended order says how many were used in the end, any other how many were put in.
func pointsMinor(f *fields, t *trade) int64 {
	used, put := f.count("real_point_fee", t.RealPoints), f.count("point_fee", t.Points)
	if used > 0 {
		return used
	}
	return put
}

func (t *trade) receiver() *events.Receiver {
	r := &events.Receiver{
		Name: shown(t.Name), Phone: shown(t.Mobile), Province: string(t.State), City: string(t.City),
		District: string(t.District), Town: string(t.Town), Detail: shown(t.Address),
	}
	if r.Phone == "" {
		r.Phone = shown(t.Phone)
	}
	if r.City == "" {
		r.City = r.District
	}
	if r.Name+r.Phone+r.Province+r.City+r.Detail == "" {
		return nil
	}
	return r
}

// paidMoment is when an order was paid; 0 if it was not. A status that says
// "not paid" wins over pay_time, which a presale carries from its deposit on.
// Cash on delivery is paid when it is finished. Where a paid order has no
// pay_time, the moment nearest to it stands in.
func paidMoment(f *fields, t *trade, order *events.Order, modified int64) int64 {
	s, known := stateOf(string(t.Status))
	payTime := f.time("pay_time", t.PayTime)
	cashOnDelivery := t.Type == "cod" && payTime == 0
	switch {
	case !known:
		return payTime
	case !s.paid:
		return 0
	case payTime != 0:
		return payTime
	case cashOnDelivery && s.status == events.OrderStatus_ORDER_STATUS_FINISHED:
		if order.FinishedMs != 0 {
			return order.FinishedMs
		}
		return modified
	case cashOnDelivery:
		return 0
	}
	return order.CreatedMs
}

// items are the sub-orders, each with its share of what was paid: what the
// platform shared out itself (divide_order_fee, without freight), and the
// rest by largest remainder. A sub-order that was closed unpaid has none.
func items(f *fields, t *trade, order *events.Order) []*events.OrderItem {
	rows := unwrap(t.Orders, "order")
	list := make([]*events.OrderItem, 0, max(len(rows), 1))
	weights := make([]int64, 0, max(len(rows), 1))
	var shared int64
	for _, row := range rows {
		var o subOrder
		if connectors.DecodeValid(row, &o) != nil { // it was cut out of the trade
			f.fail("orders", "holds what is no sub-order")
			return nil
		}
		s, known := stateOf(string(o.Status))
		if o.Status == "" {
			s, known = state{status: order.Status, paid: order.PaidMs != 0}, true
		}
		item := &events.OrderItem{
			ItemId: f.must("orders.oid", o.OID), ProductId: string(o.NumIID), SkuId: string(o.SkuID),
			MerchantSku: firstOf(o.OuterSkuID, o.OuterIID), Title: string(o.Title),
			Quantity: f.count("orders.num", o.Num), UnitPriceMinor: f.money("orders.price", o.Price),
			Status: s.status, PlatformStatus: string(o.Status), RefundStatus: string(o.RefundStatus),
		}
		list = append(list, item)
		weight := max(0, f.money("orders.divide_order_fee", o.DivideOrderFee))
		if o.DivideOrderFee == "" {
			weight = max(0, f.money("orders.total_fee", o.TotalFee))
		}
		// Of a paid order only a line closed before payment took no part.
		if known && !s.paid && order.PaidMs != 0 && s.status == events.OrderStatus_ORDER_STATUS_CLOSED {
			weight = 0
		}
		weights = append(weights, weight)
		shared += weight
	}
	if len(list) == 0 {
		list = append(list, &events.OrderItem{ItemId: string(t.TID), Quantity: 1, Status: order.Status, PlatformStatus: order.PlatformStatus, UnitPriceMinor: order.GoodsMinor})
		weights = append(weights, 1)
		shared = 1
	}
	if order.PaidMs == 0 {
		return list
	}
	// What the platform shared out stays as it is while the whole covers it.
	rest := order.PaidMinor - shared
	if rest < 0 || len(rows) == 0 {
		for i, share := range events.Spread(order.PaidMinor, weights) {
			list[i].PaidMinor = share
		}
		return list
	}
	for i, extra := range events.Spread(rest, weights) {
		list[i].PaidMinor = weights[i] + extra
	}
	return list
}

func firstOf(values ...text) string {
	for _, v := range values {
		if v != "" {
			return string(v)
		}
	}
	return ""
}
