package douyin

import (
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"oneid/connectors"
	"oneid/schemas/events"
)

// revision of the mapping below; raise it with every change of what comes out.
const revision = 3

// currency of the platform: all its amounts are 分.
const currency = "CNY"

// zone is the platform's: the times that are texts are in GMT+8.
var zone = time.FixedZone("GMT+8", 8*60*60)

// Map turns a record into events. It is pure: what it needs is in the record.
func (c *Connector) Map(r connectors.Record) ([]*events.Event, error) {
	mapped, err := mapRecord(r)
	if err != nil {
		return nil, fmt.Errorf("douyin: map %s of shop %s: %w", r.Stream, r.Shop, err)
	}
	return mapped, nil
}

func mapRecord(r connectors.Record) ([]*events.Event, error) {
	switch r.Stream {
	case Orders:
		return mapOrder(r)
	case Users:
		return mapUser(r)
	case Aftersales:
		return mapAftersale(r)
	case Services:
		return mapService(r)
	case connectors.MembershipStream:
		return mapMembership(r)
	}
	return nil, connectors.ErrNoStream
}

// header is what the events of a record have in common.
func header(r connectors.Record, entity, account string, modifiedMs int64) *events.Header {
	return &events.Header{
		Platform: Platform, Shop: r.Shop, EntityId: entity, Account: account, Raw: r.Raw, Stream: r.Stream,
		Version: &events.Version{
			ModifiedMs: modifiedMs, Source: events.Source_SOURCE_API, ObservedMs: max(r.Observed.UnixMilli(), 0), Revision: revision,
		},
	}
}

// accountOf is the account of a buyer, or of an order that names none.
func accountOf(buyer text, order string) string {
	if connectors.Names(string(buyer)) {
		return string(buyer)
	}
	return "order:" + order
}

// seconds is an instant of the platform's in milliseconds; 0 for none.
func seconds(s whole) int64 {
	const year9999 = 253_402_300_799
	if s <= 0 || s > year9999 {
		return 0
	}
	return int64(s) * 1000
}

// moment reads an instant that is a text such as "2026-01-02 10:00:00" in
// GMT+8, or a number of seconds; 0 for none. ok is false for what is neither.
func moment(t text) (ms int64, ok bool) {
	s := strings.TrimSpace(string(t))
	if at, err := time.ParseInLocation(time.DateTime, s, zone); err == nil {
		return max(at.UnixMilli(), 0), true
	}
	number, err := t.Whole()
	return seconds(number), err == nil || strings.Trim(s, "0-: ") == ""
}

// anyTime is a time in either form, in milliseconds.
type anyTime int64

var errMoment = errors.New("a time is not of the form 2026-01-02 10:00:00")

// UnmarshalJSON implements json.Unmarshaler.
func (a *anyTime) UnmarshalJSON(raw []byte) error {
	var t text
	if err := t.UnmarshalJSON(raw); err != nil {
		return err
	}
	ms, ok := moment(t)
	if !ok {
		return errMoment
	}
	*a = anyTime(ms)
	return nil
}

type named struct {
	Name text `json:"name"`
}

type address struct {
	Province object[named] `json:"province"`
	City     object[named] `json:"city"`
	Town     object[named] `json:"town"`
	Street   object[named] `json:"street"`
	Detail   text          `json:"detail"`
}

// order is what is read of an order; the rest stays in the raw payload.
type order struct {
	OrderID  text  `json:"order_id"`
	Buyer    text  `json:"doudian_open_id"`
	Status   text  `json:"order_status"`
	Type     text  `json:"order_type"`
	PayType  text  `json:"pay_type"`
	App      text  `json:"b_type"`
	AppName  text  `json:"b_type_desc"`
	Created  whole `json:"create_time"`
	Updated  whole `json:"update_time"`
	Paid     whole `json:"pay_time"`
	Shipped  whole `json:"ship_time"`
	Finished whole `json:"finish_time"`

	OrderAmount  whole `json:"order_amount"`
	PayAmount    whole `json:"pay_amount"`
	PostAmount   whole `json:"post_amount"`
	ShopDiscount whole `json:"promotion_shop_amount"`
	PlatDiscount whole `json:"promotion_platform_amount"`
	TalDiscount  whole `json:"promotion_talent_amount"`
	// Who bears the discounts in the end: a coupon of the platform's may be paid
	// by the shop in part.
	ShopCost whole `json:"shop_cost_amount"`
	PlatCost whole `json:"only_platform_cost_amount"`
	TalCost  whole `json:"author_cost_amount"`

	Receiver     text            `json:"post_receiver"`
	MaskReceiver text            `json:"mask_post_receiver"`
	Tel          text            `json:"post_tel"`
	MaskTel      text            `json:"mask_post_tel"`
	PayerTel     text            `json:"pay_tel"`
	SealedTel    text            `json:"encrypt_post_tel"`
	SealedPayer  text            `json:"encrypt_pay_tel"`
	Addr         object[address] `json:"post_addr"`
	MaskAddr     object[address] `json:"mask_post_addr"`

	Items list[item] `json:"sku_order_list"`
}

type item struct {
	OrderID      text  `json:"order_id"`
	ProductID    text  `json:"product_id"`
	ProductIDStr text  `json:"product_id_str"`
	ProductName  text  `json:"product_name"`
	SkuID        text  `json:"sku_id"`
	Code         text  `json:"code"`
	OriginAmount whole `json:"origin_amount"`
	ItemNum      whole `json:"item_num"`
	SumAmount    whole `json:"sum_amount"`
	PayAmount    whole `json:"pay_amount"`
	Status       text  `json:"order_status"`
	AuthorID     text  `json:"author_id"`
	RoomID       text  `json:"room_id"`
	RoomIDStr    text  `json:"room_id_str"`
	Aftersale    object[struct {
		Status text `json:"refund_status"`
	}] `json:"after_sale_info"`
}

// orderStatuses: 105 is paid while a risk check or a group purchase is still
// open; what is not here is kept as text beside "unknown".
var orderStatuses = map[text]events.OrderStatus{
	"1":   events.OrderStatus_ORDER_STATUS_CREATED,
	"105": events.OrderStatus_ORDER_STATUS_PAID,
	"2":   events.OrderStatus_ORDER_STATUS_PAID,
	"101": events.OrderStatus_ORDER_STATUS_PART_SHIPPED,
	"3":   events.OrderStatus_ORDER_STATUS_SHIPPED,
	"4":   events.OrderStatus_ORDER_STATUS_CLOSED,
	"5":   events.OrderStatus_ORDER_STATUS_FINISHED,
}

func orderStatus(code text) events.OrderStatus {
	if status, ok := orderStatuses[code]; ok {
		return status
	}
	return events.OrderStatus_ORDER_STATUS_UNKNOWN
}

// cashOnDelivery is the pay_type of orders that are paid when they are
// received.
const cashOnDelivery = "0"

// paidAt is when an order was paid, in milliseconds; 0 for one that was not.
// The platform may leave pay_time at 0 for an order that has come further than
// payment: cash on delivery is paid with its end, an order of nothing with its
// beginning (assumed).
func (o *order) paidAt() int64 {
	if paid := seconds(o.Paid); paid != 0 {
		return paid
	}
	switch orderStatus(o.Status) {
	case events.OrderStatus_ORDER_STATUS_FINISHED:
		if o.PayType == cashOnDelivery {
			return max(seconds(o.Finished), seconds(o.Created))
		}
	case events.OrderStatus_ORDER_STATUS_PAID, events.OrderStatus_ORDER_STATUS_PART_SHIPPED, events.OrderStatus_ORDER_STATUS_SHIPPED:
		if o.PayType == cashOnDelivery {
			return 0
		}
	default:
		return 0
	}
	return seconds(o.Created)
}

func mapOrder(r connectors.Record) ([]*events.Event, error) {
	var o order
	if err := r.Decode(&o); err != nil {
		return nil, errors.New("the order is not of the form that the platform promises: " + connectors.Fault(err))
	}
	if o.OrderID == "" {
		return nil, errors.New("the order has no order_id")
	}
	modified := seconds(max(o.Updated, o.Created))
	if modified == 0 {
		return nil, errors.New("the order has no update_time")
	}
	if o.PayAmount < 0 {
		return nil, errors.New("the order's pay_amount is negative")
	}
	where := o.Addr.V
	if where.Province.V.Name == "" {
		where = o.MaskAddr.V
	}
	out := &events.Order{
		Status: orderStatus(o.Status), PlatformStatus: string(o.Status), OrderType: string(o.Type),
		CreatedMs: seconds(o.Created), PaidMs: o.paidAt(), ShippedMs: seconds(o.Shipped), FinishedMs: seconds(o.Finished),
		Currency: currency, FreightMinor: int64(o.PostAmount),
		PayableMinor: int64(o.PayAmount), Channel: string(o.AppName),
		Province: string(where.Province.V.Name), City: string(where.City.V.Name), District: string(where.Town.V.Name),
	}
	if out.Channel == "" {
		out.Channel = string(o.App)
	}
	o.mapDiscounts(out)
	if out.PaidMs != 0 {
		out.PaidMinor = int64(o.PayAmount)
	}
	o.mapItems(out)
	h := header(r, string(o.OrderID), accountOf(o.Buyer, string(o.OrderID)), modified)
	h.Person = o.person()
	return []*events.Event{{Header: h, Body: &events.Event_Order{Order: out}}}, nil
}

// mapDiscounts fills the discounts by who pays them: as the platform says who
// bears them, or, of an order of which it does not, by whose coupons they are.
func (o *order) mapDiscounts(out *events.Order) {
	shop, platform, talent := o.ShopDiscount, o.PlatDiscount, o.TalDiscount
	if o.ShopCost != 0 || o.PlatCost != 0 || o.TalCost != 0 {
		shop, platform, talent = o.ShopCost, o.PlatCost, o.TalCost
	}
	out.SellerDiscountMinor, out.PlatformDiscountMinor, out.TalentDiscountMinor = int64(shop), int64(platform), int64(talent)
}

// mapItems fills the items. What was paid for the order is shared among them
// by what the platform says each cost, so that they sum to it whatever part
// of freight and discounts the platform counts in.
func (o *order) mapItems(out *events.Order) {
	weights := make([]int64, len(o.Items))
	for i, it := range o.Items {
		weights[i] = int64(it.PayAmount)
		out.GoodsMinor += int64(it.SumAmount)
	}
	if out.GoodsMinor == 0 {
		out.GoodsMinor = int64(o.OrderAmount)
	}
	shares := events.Spread(out.PaidMinor, weights)
	for i, it := range o.Items {
		product, room := it.ProductIDStr, it.RoomIDStr
		if product == "" {
			product = it.ProductID
		}
		if room == "" {
			room = it.RoomID
		}
		if out.LiveRoom == "" && room != "0" {
			out.LiveRoom = string(room)
		}
		if out.Referrer == "" && it.AuthorID != "0" {
			out.Referrer = string(it.AuthorID)
		}
		out.Items = append(out.Items, &events.OrderItem{
			ItemId: string(it.OrderID), ProductId: string(product), SkuId: string(it.SkuID), MerchantSku: string(it.Code),
			Title: string(it.ProductName), Quantity: int64(it.ItemNum), UnitPriceMinor: int64(it.OriginAmount),
			PaidMinor: shares[i], Status: orderStatus(it.Status), PlatformStatus: string(it.Status),
			RefundStatus: string(it.Aftersale.V.Status),
		})
	}
}

// mobile is a mainland mobile number in clear. A masked number, a ciphertext
// and a virtual number (with its extension: it expires, and is nobody's) are
// not of this form.
var mobile = regexp.MustCompile(`^(?:\+?86)?1[3-9][0-9]{9}$`)

// person is what the order says of persons: the receiver as the platform shows
// it, and a phone only where it is in clear.
func (o *order) person() *events.Person {
	p := &events.Person{}
	if mobile.MatchString(string(o.PayerTel)) {
		p.Sightings = append(p.Sightings, &events.Sighting{Type: "phone", Value: string(o.PayerTel), Role: events.Role_ROLE_BUYER})
	}
	if mobile.MatchString(string(o.Tel)) {
		p.Sightings = append(p.Sightings, &events.Sighting{Type: "phone", Value: string(o.Tel), Role: events.Role_ROLE_RECEIVER})
	}
	if index := phoneIndex(string(o.SealedPayer)); index != "" {
		p.Sightings = append(p.Sightings, &events.Sighting{Type: "douyin_phone_index", Value: index, Role: events.Role_ROLE_BUYER})
	}
	if index := phoneIndex(string(o.SealedTel)); index != "" {
		p.Sightings = append(p.Sightings, &events.Sighting{Type: "douyin_phone_index", Value: index, Role: events.Role_ROLE_RECEIVER})
	}
	where, mask := o.Addr.V, o.MaskAddr.V
	receiver := &events.Receiver{
		Name: shown(o.Receiver, o.MaskReceiver), Phone: shown(o.Tel, o.MaskTel),
		Province: shown(where.Province.V.Name, mask.Province.V.Name), City: shown(where.City.V.Name, mask.City.V.Name),
		District: shown(where.Town.V.Name, mask.Town.V.Name), Town: shown(where.Street.V.Name, mask.Street.V.Name),
		Detail: shown(where.Detail, mask.Detail),
	}
	if receiver.Name+receiver.Phone+receiver.Province+receiver.City+receiver.District+receiver.Town+receiver.Detail != "" {
		p.Receiver = receiver
	}
	if p.Receiver == nil && len(p.Sightings) == 0 {
		return nil
	}
	return p
}

// shown is the first of the values that is there and no ciphertext.
func shown(values ...text) string {
	for _, v := range values {
		if v != "" && !isCiphertext(string(v)) {
			return string(v)
		}
	}
	return ""
}

// isCiphertext recognises the platform's ciphertexts, of phones
// ($index$body$version$$, the index may be missing) and of names and addresses
// (# for $; an older form has no index segment at all).
func isCiphertext(s string) bool {
	if len(s) < 6 || (s[0] != '$' && s[0] != '#') {
		return false
	}
	d := s[:1]
	inner, ok := strings.CutSuffix(s, d+d)
	if !ok {
		return false
	}
	// What is left is delimiter, index, delimiter, body, delimiter, version.
	segments := strings.Split(inner[1:], d)
	version := segments[len(segments)-1]
	return len(segments) >= 2 && version != "" && strings.Trim(version, "0123456789") == ""
}

// phoneIndex is the search index in the ciphertext of a phone; "" where there is
// none, as in most answers today. It is 32 bytes: a name's or an address's is
// shorter and tells too many apart from too few. Everything behind it differs
// from call to call and says nothing.
func phoneIndex(s string) string {
	if !isCiphertext(s) || s[0] != '$' {
		return ""
	}
	segments := strings.Split(strings.TrimSuffix(s, "$$")[1:], "$")
	if len(segments) != 3 {
		return ""
	}
	index := segments[0]
	if raw, err := base64.StdEncoding.DecodeString(index); err != nil || len(raw) != 32 {
		return ""
	}
	return index
}

func mapUser(r connectors.Record) ([]*events.Event, error) {
	var u struct {
		OpenID text            `json:"open_id"`
		Order  object[mention] `json:"order"`
		Member object[struct {
			Success text  `json:"success"`
			Mobile  text  `json:"mobile"`
			UnionID text  `json:"union_id"`
			Level   text  `json:"level"`
			Points  whole `json:"point_cent"`
			ErrCode text  `json:"err_code"`
		}] `json:"member"`
	}
	if err := r.Decode(&u); err != nil {
		return nil, errors.New("the user is not of the form that the platform promises: " + connectors.Fault(err))
	}
	if !connectors.Names(string(u.OpenID)) {
		return nil, errors.New("the user has no open_id")
	}
	modified := seconds(u.Order.V.UpdatedAt)
	if modified == 0 {
		return nil, errors.New("the user's order has no update_time")
	}
	m := u.Member.V
	out := &events.User{Member: m.Success == "true" || m.Success == "1"}
	h := header(r, string(u.OpenID), string(u.OpenID), modified)
	if out.Member {
		out.MemberLevel, out.Points = string(m.Level), int64(m.Points)/100
		var sightings []*events.Sighting
		if mobile.MatchString(string(m.Mobile)) {
			sightings = append(sightings, &events.Sighting{Type: "phone", Value: string(m.Mobile), Role: events.Role_ROLE_MEMBER})
		}
		if m.UnionID != "" {
			sightings = append(sightings, &events.Sighting{Type: "douyin_union_id", Value: string(m.UnionID), Role: events.Role_ROLE_MEMBER})
		}
		if sightings != nil {
			h.Person = &events.Person{Sightings: sightings}
		}
	}
	return []*events.Event{{Header: h, Body: &events.Event_User{User: out}}}, nil
}
