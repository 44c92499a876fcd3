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
	status, platformStatus, orderType          *Texts
	created, paidAt, shipped, finished         *[]int64
	currency                                   *Texts
	unit                                       *[]uint16
	goods, freight, seller, platformDiscount   *[]int64
	talent, payable, paid                      *[]int64
	channel, liveRoom, referrer                *Texts
	province, city, district                   *Texts
	items                                      arrays
	itemID, product, sku, merchantSKU, title   *Texts
	quantity, unitPrice, itemPaid              *[]int64
	itemStatus, itemPlatformStatus, itemRefund *Texts
}

// NewOrders makes an empty block.
func NewOrders() *Orders {
	o := new(Orders)
	o.init("order_id")
	c := &o.columns
	o.status, o.platformStatus, o.orderType = texts(c, "status"), texts(c, "platform_status"), texts(c, "order_type")
	o.created, o.paidAt, o.shipped, o.finished = slice[int64](c, "created_at"), slice[int64](c, "paid_at"), slice[int64](c, "shipped_at"), slice[int64](c, "finished_at")
	o.currency, o.unit = texts(c, "currency"), slice[uint16](c, "unit")
	o.goods, o.freight = slice[int64](c, "goods_minor"), slice[int64](c, "freight_minor")
	o.seller, o.platformDiscount, o.talent = slice[int64](c, "seller_discount_minor"), slice[int64](c, "platform_discount_minor"), slice[int64](c, "talent_discount_minor")
	o.payable, o.paid = slice[int64](c, "payable_minor"), slice[int64](c, "paid_minor")
	o.channel, o.liveRoom, o.referrer = texts(c, "channel"), texts(c, "live_room"), texts(c, "referrer")
	o.province, o.city, o.district = texts(c, "province"), texts(c, "city"), texts(c, "district")
	o.itemID, o.product, o.sku = o.items.texts(c, "item_id"), o.items.texts(c, "item_product_id"), o.items.texts(c, "item_sku_id")
	o.merchantSKU, o.title = o.items.texts(c, "item_merchant_sku"), o.items.texts(c, "item_title")
	o.quantity, o.unitPrice, o.itemPaid = o.items.ints(c, "item_quantity"), o.items.ints(c, "item_unit_price_minor"), o.items.ints(c, "item_paid_minor")
	o.itemStatus, o.itemPlatformStatus, o.itemRefund = o.items.texts(c, "item_status"), o.items.texts(c, "item_platform_status"), o.items.texts(c, "item_refund_status")
	return o
}

// Table implements Block.
func (*Orders) Table() string { return "orders" }

// Append adds an order.
func (o *Orders) Append(h *events.Header, e *events.Order, s Stamp) {
	o.add(h, s)
	o.status.add(name(orderStatus[:], e.GetStatus()))
	o.platformStatus.add(e.GetPlatformStatus())
	o.orderType.add(e.GetOrderType())
	add(o.created, seconds(e.GetCreatedMs()))
	add(o.paidAt, seconds(e.GetPaidMs()))
	add(o.shipped, seconds(e.GetShippedMs()))
	add(o.finished, seconds(e.GetFinishedMs()))
	o.currency.add(e.GetCurrency())
	add(o.unit, unit(e.GetCurrency()))
	add(o.goods, e.GetGoodsMinor())
	add(o.freight, e.GetFreightMinor())
	add(o.seller, e.GetSellerDiscountMinor())
	add(o.platformDiscount, e.GetPlatformDiscountMinor())
	add(o.talent, e.GetTalentDiscountMinor())
	add(o.payable, e.GetPayableMinor())
	add(o.paid, e.GetPaidMinor())
	o.channel.add(e.GetChannel())
	o.liveRoom.add(e.GetLiveRoom())
	o.referrer.add(e.GetReferrer())
	o.province.add(e.GetProvince())
	o.city.add(e.GetCity())
	o.district.add(e.GetDistrict())
	items := e.GetItems()
	o.items.add(len(items))
	for _, item := range items {
		o.itemID.add(item.GetItemId())
		o.product.add(item.GetProductId())
		o.sku.add(item.GetSkuId())
		o.merchantSKU.add(item.GetMerchantSku())
		o.title.add(item.GetTitle())
		add(o.quantity, item.GetQuantity())
		add(o.unitPrice, item.GetUnitPriceMinor())
		add(o.itemPaid, item.GetPaidMinor())
		o.itemStatus.add(name(orderStatus[:], item.GetStatus()))
		o.itemPlatformStatus.add(item.GetPlatformStatus())
		o.itemRefund.add(item.GetRefundStatus())
	}
}

// Refunds fills the table refunds.
type Refunds struct {
	fact
	order, item, status, platformStatus, kind, platformKind, reason, currency *Texts
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
	r.order, r.item = texts(c, "order_id"), texts(c, "item_id")
	r.status, r.platformStatus = texts(c, "status"), texts(c, "platform_status")
	r.kind, r.platformKind, r.reason = texts(c, "refund_type"), texts(c, "platform_type"), texts(c, "reason")
	r.currency, r.unit, r.minor = texts(c, "currency"), slice[uint16](c, "unit"), slice[int64](c, "refund_minor")
	r.beforeShipping = slice[uint8](c, "before_shipping")
	r.created, r.finished = slice[int64](c, "created_at"), slice[int64](c, "finished_at")
	return r
}

// Table implements Block.
func (*Refunds) Table() string { return "refunds" }

// Append adds a refund.
func (r *Refunds) Append(h *events.Header, e *events.Refund, s Stamp) {
	r.add(h, s)
	r.order.add(e.GetOrderId())
	r.item.add(e.GetItemId())
	r.status.add(name(refundStatus[:], e.GetStatus()))
	r.platformStatus.add(e.GetPlatformStatus())
	r.kind.add(e.GetRefundType())
	r.platformKind.add(e.GetPlatformType())
	r.reason.add(e.GetReason())
	r.currency.add(e.GetCurrency())
	add(r.unit, unit(e.GetCurrency()))
	add(r.minor, e.GetRefundMinor())
	add(r.beforeShipping, flag(e.GetBeforeShipping()))
	add(r.created, seconds(e.GetCreatedMs()))
	add(r.finished, seconds(e.GetFinishedMs()))
}

// Users fills the table users.
type Users struct {
	fact
	nick, level, province, city *Texts
	member                      *[]uint8
	since, points, created      *[]int64
}

// NewUsers makes an empty block.
func NewUsers() *Users {
	u := new(Users)
	u.init("user_id")
	c := &u.columns
	u.nick, u.member, u.level = texts(c, "nick"), slice[uint8](c, "member"), texts(c, "member_level")
	u.since, u.points = slice[int64](c, "member_since"), slice[int64](c, "points")
	u.province, u.city = texts(c, "province"), texts(c, "city")
	u.created = slice[int64](c, "created_at")
	return u
}

// Table implements Block.
func (*Users) Table() string { return "users" }

// Append adds a user.
func (u *Users) Append(h *events.Header, e *events.User, s Stamp) {
	u.add(h, s)
	u.nick.add(e.GetNick())
	add(u.member, flag(e.GetMember()))
	u.level.add(e.GetMemberLevel())
	add(u.since, seconds(e.GetMemberSinceMs()))
	add(u.points, e.GetPoints())
	u.province.add(e.GetProvince())
	u.city.add(e.GetCity())
	add(u.created, seconds(e.GetCreatedMs()))
}

// Tickets fills the table tickets.
type Tickets struct {
	fact
	kind, status, platformStatus, priority, channel, subject, order, item, currency *Texts
	unit                                                                            *[]uint16
	minor, created, answered, solved                                                *[]int64
	agent, group                                                                    *Texts
	satisfaction                                                                    *[]int32
}

// NewTickets makes an empty block.
func NewTickets() *Tickets {
	t := new(Tickets)
	t.init("ticket_id")
	c := &t.columns
	t.kind, t.status, t.platformStatus = texts(c, "kind"), texts(c, "status"), texts(c, "platform_status")
	t.priority, t.channel, t.subject = texts(c, "priority"), texts(c, "channel"), texts(c, "subject")
	t.order, t.item = texts(c, "order_id"), texts(c, "item_id")
	t.currency, t.unit, t.minor = texts(c, "currency"), slice[uint16](c, "unit"), slice[int64](c, "amount_minor")
	t.created, t.answered, t.solved = slice[int64](c, "created_at"), slice[int64](c, "first_answer_at"), slice[int64](c, "solved_at")
	t.agent, t.group = texts(c, "agent"), texts(c, "agent_group")
	t.satisfaction = slice[int32](c, "satisfaction")
	return t
}

// Table implements Block.
func (*Tickets) Table() string { return "tickets" }

// Append adds a ticket.
func (t *Tickets) Append(h *events.Header, e *events.Ticket, s Stamp) {
	t.add(h, s)
	t.kind.add(e.GetKind())
	t.status.add(name(ticketStatus[:], e.GetStatus()))
	t.platformStatus.add(e.GetPlatformStatus())
	t.priority.add(e.GetPriority())
	t.channel.add(e.GetChannel())
	t.subject.add(e.GetSubject())
	t.order.add(e.GetOrderId())
	t.item.add(e.GetItemId())
	t.currency.add(e.GetCurrency())
	add(t.unit, unit(e.GetCurrency()))
	add(t.minor, e.GetAmountMinor())
	add(t.created, seconds(e.GetCreatedMs()))
	add(t.answered, seconds(e.GetFirstAnswerMs()))
	add(t.solved, seconds(e.GetSolvedMs()))
	t.agent.add(e.GetAgent())
	t.group.add(e.GetGroup())
	add(t.satisfaction, e.GetSatisfaction())
}

// Spend fills the table spend.
type Spend struct {
	columns
	platform, shop, id         *Texts
	version                    *versions
	deleted                    *[]uint8
	channel, campaign          *Texts
	day                        *[]time.Time
	currency                   *Texts
	unit                       *[]uint16
	minor, impressions, clicks *[]int64
}

// NewSpend makes an empty block.
func NewSpend() *Spend {
	s := new(Spend)
	c := &s.columns
	s.platform, s.shop, s.id = texts(c, "platform"), texts(c, "shop"), texts(c, "spend_id")
	s.version, s.deleted = newVersions(c, "version"), slice[uint8](c, "is_deleted")
	s.channel, s.campaign, s.day = texts(c, "channel"), texts(c, "campaign"), slice[time.Time](c, "day")
	s.currency, s.unit, s.minor = texts(c, "currency"), slice[uint16](c, "unit"), slice[int64](c, "spend_minor")
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
	s.platform.add(h.GetPlatform())
	s.shop.add(h.GetShop())
	s.id.add(h.GetEntityId())
	s.version.add(h.GetVersion())
	add(s.deleted, flag(h.GetDeleted()))
	s.channel.add(e.GetChannel())
	s.campaign.add(e.GetCampaign())
	add(s.day, day)
	s.currency.add(e.GetCurrency())
	add(s.unit, unit(e.GetCurrency()))
	add(s.minor, e.GetSpendMinor())
	add(s.impressions, e.GetImpressions())
	add(s.clicks, e.GetClicks())
}

// RawEvents fills the table raw_events.
type RawEvents struct {
	columns
	platform, shop, kind, entity *Texts
	version                      *versions
	stream                       *Texts
	modified, observed           *[]time.Time
	raw                          *Texts
	// What reconciliation counts.
	created, minor *[]int64
	currency       *Texts
	deleted        *[]uint8
}

// NewRawEvents makes an empty block.
func NewRawEvents() *RawEvents {
	r := new(RawEvents)
	c := &r.columns
	r.platform, r.shop, r.kind, r.entity = texts(c, "platform"), texts(c, "shop"), texts(c, "kind"), texts(c, "entity_id")
	r.version, r.stream = newVersions(c, "version"), texts(c, "stream")
	r.modified, r.observed = slice[time.Time](c, "modified_at"), slice[time.Time](c, "observed_at")
	r.raw = texts(c, "raw")
	r.created, r.currency, r.minor = slice[int64](c, "created_at"), texts(c, "currency"), slice[int64](c, "minor")
	r.deleted = slice[uint8](c, "is_deleted")
	return r
}

// Table implements Block.
func (*RawEvents) Table() string { return "raw_events" }

// Append adds an event's sealed payload.
func (r *RawEvents) Append(e *events.Event) {
	h := e.GetHeader()
	r.rows++
	r.platform.add(h.GetPlatform())
	r.shop.add(h.GetShop())
	r.kind.add(string(events.KindOf(e)))
	r.entity.add(h.GetEntityId())
	r.version.add(h.GetVersion())
	r.stream.add(h.GetStream())
	add(r.modified, time.UnixMilli(max(h.GetVersion().GetModifiedMs(), 0)).UTC())
	add(r.observed, time.UnixMilli(max(h.GetVersion().GetObservedMs(), 0)).UTC())
	r.raw.addBytes(h.GetRaw())
	minor, currency := events.Amount(e)
	add(r.created, seconds(events.Born(e)))
	r.currency.add(currency)
	add(r.minor, minor)
	add(r.deleted, flag(h.GetDeleted()))
}

func id(b [16]byte) uuid.UUID { return uuid.UUID(b) }
