package tables

import (
	"time"

	"github.com/google/uuid"

	"oneid/schemas/events"
)

// Orders fills the table orders, an order's items in arrays beside it: the
// items of a version come and go with it.
type Orders struct {
	fact
	status, platformStatus, orderType          *[]string
	created, paidAt, shipped, finished         *[]int64
	currency                                   *[]string
	unit                                       *[]uint16
	goods, freight, seller, platformDiscount   *[]int64
	talent, payable, paid                      *[]int64
	channel, liveRoom, referrer                *[]string
	province, city, district                   *[]string
	itemID, product, sku, merchantSKU, title   *lists[string]
	quantity, unitPrice, itemPaid              *lists[int64]
	itemStatus, itemPlatformStatus, itemRefund *lists[string]
}

// NewOrders makes an empty block.
func NewOrders() *Orders {
	o := new(Orders)
	o.init("order_id")
	c := &o.columns
	o.status, o.platformStatus, o.orderType = slice[string](c, "status"), slice[string](c, "platform_status"), slice[string](c, "order_type")
	o.created, o.paidAt, o.shipped, o.finished = slice[int64](c, "created_at"), slice[int64](c, "paid_at"), slice[int64](c, "shipped_at"), slice[int64](c, "finished_at")
	o.currency, o.unit = slice[string](c, "currency"), slice[uint16](c, "unit")
	o.goods, o.freight = slice[int64](c, "goods_minor"), slice[int64](c, "freight_minor")
	o.seller, o.platformDiscount, o.talent = slice[int64](c, "seller_discount_minor"), slice[int64](c, "platform_discount_minor"), slice[int64](c, "talent_discount_minor")
	o.payable, o.paid = slice[int64](c, "payable_minor"), slice[int64](c, "paid_minor")
	o.channel, o.liveRoom, o.referrer = slice[string](c, "channel"), slice[string](c, "live_room"), slice[string](c, "referrer")
	o.province, o.city, o.district = slice[string](c, "province"), slice[string](c, "city"), slice[string](c, "district")
	o.itemID, o.product, o.sku = newLists[string](c, "item_id"), newLists[string](c, "item_product_id"), newLists[string](c, "item_sku_id")
	o.merchantSKU, o.title = newLists[string](c, "item_merchant_sku"), newLists[string](c, "item_title")
	o.quantity, o.unitPrice, o.itemPaid = newLists[int64](c, "item_quantity"), newLists[int64](c, "item_unit_price_minor"), newLists[int64](c, "item_paid_minor")
	o.itemStatus, o.itemPlatformStatus, o.itemRefund = newLists[string](c, "item_status"), newLists[string](c, "item_platform_status"), newLists[string](c, "item_refund_status")
	return o
}

// Table implements Block.
func (*Orders) Table() string { return "orders" }

// Append adds an order.
func (o *Orders) Append(h *events.Header, e *events.Order, s Stamp) {
	o.add(h, s)
	add(o.status, name(orderStatus[:], e.GetStatus()))
	add(o.platformStatus, e.GetPlatformStatus())
	add(o.orderType, e.GetOrderType())
	add(o.created, seconds(e.GetCreatedMs()))
	add(o.paidAt, seconds(e.GetPaidMs()))
	add(o.shipped, seconds(e.GetShippedMs()))
	add(o.finished, seconds(e.GetFinishedMs()))
	add(o.currency, e.GetCurrency())
	add(o.unit, unit(e.GetCurrency()))
	add(o.goods, e.GetGoodsMinor())
	add(o.freight, e.GetFreightMinor())
	add(o.seller, e.GetSellerDiscountMinor())
	add(o.platformDiscount, e.GetPlatformDiscountMinor())
	add(o.talent, e.GetTalentDiscountMinor())
	add(o.payable, e.GetPayableMinor())
	add(o.paid, e.GetPaidMinor())
	add(o.channel, e.GetChannel())
	add(o.liveRoom, e.GetLiveRoom())
	add(o.referrer, e.GetReferrer())
	add(o.province, e.GetProvince())
	add(o.city, e.GetCity())
	add(o.district, e.GetDistrict())
	items := e.GetItems()
	n := len(items)
	id, product, sku, merchantSKU, title := o.itemID.add(n), o.product.add(n), o.sku.add(n), o.merchantSKU.add(n), o.title.add(n)
	quantity, unitPrice, paid := o.quantity.add(n), o.unitPrice.add(n), o.itemPaid.add(n)
	status, platformStatus, refund := o.itemStatus.add(n), o.itemPlatformStatus.add(n), o.itemRefund.add(n)
	for i, item := range items {
		id[i], product[i], sku[i] = item.GetItemId(), item.GetProductId(), item.GetSkuId()
		merchantSKU[i], title[i] = item.GetMerchantSku(), item.GetTitle()
		quantity[i], unitPrice[i], paid[i] = item.GetQuantity(), item.GetUnitPriceMinor(), item.GetPaidMinor()
		status[i], platformStatus[i], refund[i] = name(orderStatus[:], item.GetStatus()), item.GetPlatformStatus(), item.GetRefundStatus()
	}
}

// Refunds fills the table refunds.
type Refunds struct {
	fact
	order, item, status, platformStatus, kind, platformKind, reason, currency *[]string
	unit                                                                      *[]uint16
	minor                                                                     *[]int64
	beforeShipping                                                            *[]uint8
	created, finished                                                         *[]int64
}

// NewRefunds makes an empty block.
func NewRefunds() *Refunds {
	r := new(Refunds)
	r.init("refund_id")
	c := &r.columns
	r.order, r.item = slice[string](c, "order_id"), slice[string](c, "item_id")
	r.status, r.platformStatus = slice[string](c, "status"), slice[string](c, "platform_status")
	r.kind, r.platformKind, r.reason = slice[string](c, "refund_type"), slice[string](c, "platform_type"), slice[string](c, "reason")
	r.currency, r.unit, r.minor = slice[string](c, "currency"), slice[uint16](c, "unit"), slice[int64](c, "refund_minor")
	r.beforeShipping = slice[uint8](c, "before_shipping")
	r.created, r.finished = slice[int64](c, "created_at"), slice[int64](c, "finished_at")
	return r
}

// Table implements Block.
func (*Refunds) Table() string { return "refunds" }

// Append adds a refund.
func (r *Refunds) Append(h *events.Header, e *events.Refund, s Stamp) {
	r.add(h, s)
	add(r.order, e.GetOrderId())
	add(r.item, e.GetItemId())
	add(r.status, name(refundStatus[:], e.GetStatus()))
	add(r.platformStatus, e.GetPlatformStatus())
	add(r.kind, e.GetRefundType())
	add(r.platformKind, e.GetPlatformType())
	add(r.reason, e.GetReason())
	add(r.currency, e.GetCurrency())
	add(r.unit, unit(e.GetCurrency()))
	add(r.minor, e.GetRefundMinor())
	add(r.beforeShipping, flag(e.GetBeforeShipping()))
	add(r.created, seconds(e.GetCreatedMs()))
	add(r.finished, seconds(e.GetFinishedMs()))
}

// Users fills the table users.
type Users struct {
	fact
	nick, level, province, city *[]string
	member                      *[]uint8
	since, points, created      *[]int64
}

// NewUsers makes an empty block.
func NewUsers() *Users {
	u := new(Users)
	u.init("user_id")
	c := &u.columns
	u.nick, u.member, u.level = slice[string](c, "nick"), slice[uint8](c, "member"), slice[string](c, "member_level")
	u.since, u.points = slice[int64](c, "member_since"), slice[int64](c, "points")
	u.province, u.city = slice[string](c, "province"), slice[string](c, "city")
	u.created = slice[int64](c, "created_at")
	return u
}

// Table implements Block.
func (*Users) Table() string { return "users" }

// Append adds a user.
func (u *Users) Append(h *events.Header, e *events.User, s Stamp) {
	u.add(h, s)
	add(u.nick, e.GetNick())
	add(u.member, flag(e.GetMember()))
	add(u.level, e.GetMemberLevel())
	add(u.since, seconds(e.GetMemberSinceMs()))
	add(u.points, e.GetPoints())
	add(u.province, e.GetProvince())
	add(u.city, e.GetCity())
	add(u.created, seconds(e.GetCreatedMs()))
}

// Tickets fills the table tickets.
type Tickets struct {
	fact
	kind, status, platformStatus, priority, channel, subject, order, item, currency *[]string
	unit                                                                            *[]uint16
	minor, created, answered, solved                                                *[]int64
	agent, group                                                                    *[]string
	satisfaction                                                                    *[]int32
}

// NewTickets makes an empty block.
func NewTickets() *Tickets {
	t := new(Tickets)
	t.init("ticket_id")
	c := &t.columns
	t.kind, t.status, t.platformStatus = slice[string](c, "kind"), slice[string](c, "status"), slice[string](c, "platform_status")
	t.priority, t.channel, t.subject = slice[string](c, "priority"), slice[string](c, "channel"), slice[string](c, "subject")
	t.order, t.item = slice[string](c, "order_id"), slice[string](c, "item_id")
	t.currency, t.unit, t.minor = slice[string](c, "currency"), slice[uint16](c, "unit"), slice[int64](c, "amount_minor")
	t.created, t.answered, t.solved = slice[int64](c, "created_at"), slice[int64](c, "first_answer_at"), slice[int64](c, "solved_at")
	t.agent, t.group = slice[string](c, "agent"), slice[string](c, "agent_group")
	t.satisfaction = slice[int32](c, "satisfaction")
	return t
}

// Table implements Block.
func (*Tickets) Table() string { return "tickets" }

// Append adds a ticket.
func (t *Tickets) Append(h *events.Header, e *events.Ticket, s Stamp) {
	t.add(h, s)
	add(t.kind, e.GetKind())
	add(t.status, name(ticketStatus[:], e.GetStatus()))
	add(t.platformStatus, e.GetPlatformStatus())
	add(t.priority, e.GetPriority())
	add(t.channel, e.GetChannel())
	add(t.subject, e.GetSubject())
	add(t.order, e.GetOrderId())
	add(t.item, e.GetItemId())
	add(t.currency, e.GetCurrency())
	add(t.unit, unit(e.GetCurrency()))
	add(t.minor, e.GetAmountMinor())
	add(t.created, seconds(e.GetCreatedMs()))
	add(t.answered, seconds(e.GetFirstAnswerMs()))
	add(t.solved, seconds(e.GetSolvedMs()))
	add(t.agent, e.GetAgent())
	add(t.group, e.GetGroup())
	add(t.satisfaction, e.GetSatisfaction())
}

// Spend fills the table spend.
type Spend struct {
	columns
	platform, shop, id         *[]string
	version                    *versions
	deleted                    *[]uint8
	channel, campaign          *[]string
	day                        *[]time.Time
	currency                   *[]string
	unit                       *[]uint16
	minor, impressions, clicks *[]int64
}

// NewSpend makes an empty block.
func NewSpend() *Spend {
	s := new(Spend)
	c := &s.columns
	s.platform, s.shop, s.id = slice[string](c, "platform"), slice[string](c, "shop"), slice[string](c, "spend_id")
	s.version, s.deleted = newVersions(c, "version"), slice[uint8](c, "is_deleted")
	s.channel, s.campaign, s.day = slice[string](c, "channel"), slice[string](c, "campaign"), slice[time.Time](c, "day")
	s.currency, s.unit, s.minor = slice[string](c, "currency"), slice[uint16](c, "unit"), slice[int64](c, "spend_minor")
	s.impressions, s.clicks = slice[int64](c, "impressions"), slice[int64](c, "clicks")
	return s
}

// Table implements Block.
func (*Spend) Table() string { return "spend" }

// Append adds a day's spend. A day that is none becomes the zero day: what
// maps it has checked it.
func (s *Spend) Append(h *events.Header, e *events.Spend) {
	day, err := time.Parse(time.DateOnly, e.GetDay())
	if err != nil {
		day = time.Unix(0, 0).UTC()
	}
	s.rows++
	add(s.platform, h.GetPlatform())
	add(s.shop, h.GetShop())
	add(s.id, h.GetEntityId())
	s.version.add(h.GetVersion())
	add(s.deleted, flag(h.GetDeleted()))
	add(s.channel, e.GetChannel())
	add(s.campaign, e.GetCampaign())
	add(s.day, day)
	add(s.currency, e.GetCurrency())
	add(s.unit, unit(e.GetCurrency()))
	add(s.minor, e.GetSpendMinor())
	add(s.impressions, e.GetImpressions())
	add(s.clicks, e.GetClicks())
}

// RawEvents fills the table raw_events.
type RawEvents struct {
	columns
	platform, shop, kind, entity *[]string
	version                      *versions
	stream                       *[]string
	modified, observed           *[]time.Time
	raw                          *[][]byte
	// What reconciliation counts.
	created, minor *[]int64
	currency       *[]string
	deleted        *[]uint8
}

// NewRawEvents makes an empty block.
func NewRawEvents() *RawEvents {
	r := new(RawEvents)
	c := &r.columns
	r.platform, r.shop, r.kind, r.entity = slice[string](c, "platform"), slice[string](c, "shop"), slice[string](c, "kind"), slice[string](c, "entity_id")
	r.version, r.stream = newVersions(c, "version"), slice[string](c, "stream")
	r.modified, r.observed = slice[time.Time](c, "modified_at"), slice[time.Time](c, "observed_at")
	r.raw = slice[[]byte](c, "raw")
	r.created, r.currency, r.minor = slice[int64](c, "created_at"), slice[string](c, "currency"), slice[int64](c, "minor")
	r.deleted = slice[uint8](c, "is_deleted")
	return r
}

// Table implements Block.
func (*RawEvents) Table() string { return "raw_events" }

// Append adds an event's sealed payload, which must not change until Reset.
func (r *RawEvents) Append(e *events.Event) {
	h := e.GetHeader()
	r.rows++
	add(r.platform, h.GetPlatform())
	add(r.shop, h.GetShop())
	add(r.kind, string(events.KindOf(e)))
	add(r.entity, h.GetEntityId())
	r.version.add(h.GetVersion())
	add(r.stream, h.GetStream())
	add(r.modified, time.UnixMilli(max(h.GetVersion().GetModifiedMs(), 0)).UTC())
	add(r.observed, time.UnixMilli(max(h.GetVersion().GetObservedMs(), 0)).UTC())
	add(r.raw, h.GetRaw()) // the event's own: it outlives the insert
	minor, currency := events.Amount(e)
	add(r.created, seconds(events.Born(e)))
	add(r.currency, currency)
	add(r.minor, minor)
	add(r.deleted, flag(h.GetDeleted()))
}

func id(b [16]byte) uuid.UUID { return uuid.UUID(b) }
