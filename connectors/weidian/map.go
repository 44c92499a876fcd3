package weidian

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"oneid/connectors"
	"oneid/schemas/events"
)

// revision of the mapping below; raise it with every change of what comes out.
const revision = 3

// currency of the platform; its amounts are texts in 元.
const currency = "CNY"

// zone is the platform's: its times are texts in GMT+8.
var zone = time.FixedZone("GMT+8", 8*60*60)

// Map turns a record into events. It is pure: what it needs is in the record.
func (c *Connector) Map(r connectors.Record) ([]*events.Event, error) {
	mapped, err := mapRecord(r)
	if err != nil {
		return nil, fmt.Errorf("weidian: map %s of shop %s: %w", r.Stream, r.Shop, err)
	}
	return mapped, nil
}

func mapRecord(r connectors.Record) ([]*events.Event, error) {
	switch r.Stream {
	case Orders:
		return mapOrder(r)
	case Users:
		return mapUser(r)
	case Tickets:
		return mapRefund(r)
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
func accountOf(buyer text, order text) string {
	if connectors.Names(string(buyer)) {
		return string(buyer)
	}
	return "order:" + string(order)
}

// moment is an instant in milliseconds, read from a text such as
// "2026-01-05 10:00:00" in GMT+8 or from a number of milliseconds; 0 for none,
// which the platform writes as an empty text, null, 0 or zeros in place of the
// date. Any other text is an error: an order whose pay_time cannot be read is not
// an unpaid one.
type moment int64

var errMoment = errors.New("a time is not of the form 2026-01-05 10:00:00")

// UnmarshalJSON implements json.Unmarshaler.
func (m *moment) UnmarshalJSON(raw []byte) error {
	var t text
	if err := t.UnmarshalJSON(raw); err != nil {
		return err
	}
	*m = 0
	s := strings.TrimSpace(string(t))
	if len(s) > 4 && s[4] == '-' { // of what is no time, and often none, time makes a long error
		if at, err := time.ParseInLocation(time.DateTime, s, zone); err == nil {
			*m = moment(max(at.UnixMilli(), 0))
			return nil
		}
	}
	const year9999 = 253_402_300_799_999
	ms, err := t.Whole()
	if (err != nil || ms < 0 || ms > year9999) && strings.Trim(s, "0-: ") != "" {
		return errMoment
	}
	*m = moment(ms)
	return nil
}

// yuan is an amount in 分, read from a text (or number) in 元.
type yuan int64

var errAmount = errors.New("an amount is not of the form 12.30")

// UnmarshalJSON implements json.Unmarshaler.
func (y *yuan) UnmarshalJSON(raw []byte) error {
	var t text
	if err := t.UnmarshalJSON(raw); err != nil {
		return err
	}
	*y = 0
	s := strings.TrimSpace(string(t))
	if s == "" {
		return nil
	}
	minor, err := events.ParseMinor(s, "CNY")
	if err != nil {
		return errAmount
	}
	*y = yuan(minor)
	return nil
}

// order is what is read of an order's detail; the rest stays in the raw
// payload.
type order struct {
	OrderID   text   `json:"order_id"`
	Status    text   `json:"status"`
	StatusOri text   `json:"status_ori"`
	Type      text   `json:"order_type"`
	Added     moment `json:"add_time"`
	Paid      moment `json:"pay_time"`
	Sent      moment `json:"send_time"`
	Finished  moment `json:"finish_time"`
	Total     yuan   `json:"total"`
	Freight   yuan   `json:"express_fee"`
	Discount  yuan   `json:"discount_amount"`
	UserPhone text   `json:"user_phone"`
	Weixin    text   `json:"weixin"`
	Referrer  text   `json:"f_seller_id"`
	Buyer     object[struct {
		ID          text `json:"buyer_id"`
		Name        text `json:"name"`
		Phone       text `json:"phone"`
		Province    text `json:"province"`
		City        text `json:"city"`
		Region      text `json:"region"`
		Address     text `json:"address"`
		SelfAddress text `json:"self_address"`
		IDCard      text `json:"idCardNo"`
	}] `json:"buyer_info"`
	Items list[item] `json:"items"`
}

type item struct {
	ItemID       text  `json:"item_id"`
	Name         text  `json:"item_name"`
	SkuID        text  `json:"sku_id"`
	SubOrderID   text  `json:"sub_order_id"`
	MerchantCode text  `json:"merchant_code"`
	SkuCode      text  `json:"sku_merchant_code"`
	Price        yuan  `json:"price"`
	TotalPrice   yuan  `json:"total_price"`
	Quantity     whole `json:"quantity"`
	Refund       object[struct {
		No     text `json:"refund_no"`
		Fee    yuan `json:"refund_fee"`
		Status text `json:"refund_status"`
		Kind   text `json:"refund_kind"`
		Text   text `json:"refund_status_str"`
	}] `json:"refund_info"`
}

// sold is the raw payload of an order. The time of the last change and the
// states of the list stand in the list only.
type sold struct {
	List object[struct {
		OrderID text   `json:"order_id"`
		Status  text   `json:"status"`
		Added   moment `json:"time"`
		Updated moment `json:"update_time"`
	}] `json:"list"`
	Detail object[order] `json:"detail"`
	// RefundNo picks a refund of the order, in the stream of tickets.
	RefundNo text `json:"refund_no"`
}

// statusNumbers are the values of status_ori, and of the list's status.
var statusNumbers = map[text]events.OrderStatus{
	"10": events.OrderStatus_ORDER_STATUS_CREATED,
	"20": events.OrderStatus_ORDER_STATUS_PAID,
	"21": events.OrderStatus_ORDER_STATUS_CREATED, // partly paid
	"30": events.OrderStatus_ORDER_STATUS_SHIPPED,
	"31": events.OrderStatus_ORDER_STATUS_PART_SHIPPED,
	"40": events.OrderStatus_ORDER_STATUS_RECEIVED,
	"50": events.OrderStatus_ORDER_STATUS_FINISHED,
	"60": events.OrderStatus_ORDER_STATUS_CLOSED,
}

// statusWords are the values of the detail's status, spelt as the platform
// spells them.
var statusWords = map[text]events.OrderStatus{
	"unpay":                   events.OrderStatus_ORDER_STATUS_CREATED,
	"pay":                     events.OrderStatus_ORDER_STATUS_PAID,
	"unship_refunding":        events.OrderStatus_ORDER_STATUS_PAID,
	"unship_refuse_refunding": events.OrderStatus_ORDER_STATUS_PAID,
	"ship":                    events.OrderStatus_ORDER_STATUS_SHIPPED,
	"shiped_refunding":        events.OrderStatus_ORDER_STATUS_SHIPPED,
	"shiped_refuse_refunding": events.OrderStatus_ORDER_STATUS_SHIPPED,
	"accept":                  events.OrderStatus_ORDER_STATUS_RECEIVED,
	"accept_refunding":        events.OrderStatus_ORDER_STATUS_RECEIVED,
	"finish":                  events.OrderStatus_ORDER_STATUS_FINISHED,
	"close":                   events.OrderStatus_ORDER_STATUS_CLOSED,
}

// state is an order's status and the platform's own word for it: the number
// tells more than the word, and either more than the list.
func (s *sold) state() (events.OrderStatus, string) {
	d, listed := &s.Detail.V, s.List.V.Status
	own := d.Status
	if own == "" {
		own = d.StatusOri
	}
	if own == "" {
		own = listed
	}
	if status, ok := statusNumbers[d.StatusOri]; ok {
		return status, string(own)
	}
	if status, ok := statusWords[d.Status]; ok {
		return status, string(own)
	}
	if status, ok := statusNumbers[listed]; ok && d.Status == "" && d.StatusOri == "" {
		return status, string(own)
	}
	return events.OrderStatus_ORDER_STATUS_UNKNOWN, string(own)
}

const (
	// cashOnDelivery is the order_type of orders that are paid when they are
	// received.
	cashOnDelivery = "1"
	// partlyPaid is the status_ori of an order of which a part was paid: the
	// platform does not say how much.
	partlyPaid = "21"
)

// paidAt is when an order was paid; 0 for one that was not. An order that has
// come further than payment without a pay_time was paid at its end if cash on
// delivery, otherwise at its beginning (assumed).
func (o *order) paidAt(status events.OrderStatus) moment {
	if o.StatusOri == partlyPaid {
		return 0
	}
	if o.Paid != 0 {
		return o.Paid
	}
	switch status {
	case events.OrderStatus_ORDER_STATUS_RECEIVED, events.OrderStatus_ORDER_STATUS_FINISHED:
		if o.Type == cashOnDelivery {
			return max(o.Finished, o.Sent, o.Added)
		}
	case events.OrderStatus_ORDER_STATUS_PAID, events.OrderStatus_ORDER_STATUS_PART_SHIPPED, events.OrderStatus_ORDER_STATUS_SHIPPED:
		if o.Type == cashOnDelivery {
			return 0
		}
	default:
		return 0
	}
	return o.Added
}

// readSold reads the raw payload of an order, and checks what every event of
// it needs.
func readSold(r connectors.Record) (*sold, moment, error) {
	var s sold
	if err := r.Decode(&s); err != nil {
		return nil, 0, errors.New("the order is not of the form that the platform promises: " + connectors.Fault(err, errAmount, errMoment))
	}
	d := &s.Detail.V
	if d.OrderID == "" {
		d.OrderID = s.List.V.OrderID
	}
	if d.OrderID == "" {
		return nil, 0, errors.New("the order has no order_id")
	}
	if d.Added == 0 {
		d.Added = s.List.V.Added
	}
	modified := s.List.V.Updated
	if modified == 0 {
		modified = max(d.Finished, d.Sent, d.Paid, d.Added)
	}
	if modified == 0 {
		return nil, 0, errors.New("the order has no update_time")
	}
	return &s, modified, nil
}

// goods is what the goods of an order cost before its discount. Whether its price is net
// of discount_amount is documented nowhere, and so is that total is (assumed): the goods
// are what, less the discount and with the freight, makes the total. Of an order whose
// freight was cut they are none.
func (o *order) goods() int64 { return max(0, int64(o.Total-o.Freight+o.Discount)) }

func mapOrder(r connectors.Record) ([]*events.Event, error) {
	s, modified, err := readSold(r)
	if err != nil {
		return nil, err
	}
	d := &s.Detail.V
	if d.Total < 0 {
		return nil, errors.New("the order's total is negative")
	}
	status, own := s.state()
	out := &events.Order{
		Status: status, PlatformStatus: own, OrderType: string(d.Type),
		CreatedMs: int64(d.Added), PaidMs: int64(d.paidAt(status)), ShippedMs: int64(d.Sent), FinishedMs: int64(d.Finished),
		Currency: currency, GoodsMinor: d.goods(), FreightMinor: int64(d.Freight), SellerDiscountMinor: int64(d.Discount),
		PayableMinor: int64(d.Total), Channel: Platform,
		Province: inClear(d.Buyer.V.Province), City: inClear(d.Buyer.V.City), District: inClear(d.Buyer.V.Region),
	}
	if d.Referrer != "0" {
		out.Referrer = string(d.Referrer)
	}
	if out.PaidMs != 0 {
		out.PaidMinor = int64(d.Total)
	}
	d.mapItems(out)
	h := header(r, string(d.OrderID), accountOf(d.Buyer.V.ID, d.OrderID), int64(modified))
	h.Person = d.person()
	return []*events.Event{{Header: h, Body: &events.Event_Order{Order: out}}}, nil
}

// mapItems fills the items; what was paid, freight included, is shared among
// them by their prices.
func (o *order) mapItems(out *events.Order) {
	weights := make([]int64, len(o.Items))
	for i, it := range o.Items {
		weights[i] = int64(it.TotalPrice)
	}
	shares := events.Spread(out.PaidMinor, weights)
	for i, it := range o.Items {
		code := it.SkuCode
		if code == "" {
			code = it.MerchantCode
		}
		out.Items = append(out.Items, &events.OrderItem{
			ItemId: it.id(i), ProductId: string(it.ItemID), SkuId: string(it.SkuID), MerchantSku: string(code),
			Title: string(it.Name), Quantity: int64(it.Quantity), UnitPriceMinor: int64(it.Price),
			PaidMinor: shares[i], Status: out.Status, PlatformStatus: out.PlatformStatus,
			RefundStatus: string(it.Refund.V.Status),
		})
	}
}

// id of an item within its order: the platform's number of it, or its place.
func (it *item) id(place int) string {
	if it.SubOrderID != "" && it.SubOrderID != "0" {
		return string(it.SubOrderID)
	}
	return fmt.Sprintf("%s-%s-%d", it.ItemID, it.SkuID, place)
}

// isMobile says that a value is a mainland mobile number in clear, with or
// without the country's code: a masked number and a ciphertext are not.
func isMobile(value string) bool {
	if code, ok := strings.CutPrefix(strings.TrimPrefix(value, "+"), "86"); ok {
		value = code
	}
	if len(value) != 11 || value[0] != '1' || value[1] < '3' {
		return false
	}
	for _, c := range []byte(value) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// person is what the order says of persons.
func (o *order) person() *events.Person {
	p := &events.Person{}
	b := &o.Buyer.V
	see := func(phone text, role events.Role) {
		kind, value := "phone", string(phone)
		if !isMobile(value) {
			kind, value = "weidian_phone_cipher", o.phoneCipher(phone)
		}
		if value != "" {
			p.Sightings = append(p.Sightings, &events.Sighting{Type: kind, Value: value, Role: role})
		}
	}
	see(o.UserPhone, events.Role_ROLE_BUYER)
	see(b.Phone, events.Role_ROLE_RECEIVER)
	detail := inClear(b.SelfAddress)
	if detail == "" {
		detail = inClear(b.Address)
	}
	receiver := &events.Receiver{
		Name: inClear(b.Name), Phone: inClear(b.Phone),
		Province: inClear(b.Province), City: inClear(b.City), District: inClear(b.Region), Detail: detail,
	}
	if receiver.Name+receiver.Phone+receiver.Province+receiver.City+receiver.District+receiver.Detail != "" {
		p.Receiver = receiver
	}
	if p.Receiver == nil && len(p.Sightings) == 0 {
		return nil
	}
	return p
}

// phoneCipher is the ciphertext of a phone in its one form, base64; "" for what
// is none. A phone takes one block. The platform encrypts the empty text too, to
// one block that is everybody's: it is known by standing in a field of another
// kind as well, of which most are empty.
func (o *order) phoneCipher(phone text) string {
	raw, ok := ciphertext(string(phone))
	if !ok || len(raw) != block {
		return ""
	}
	b := &o.Buyer.V
	for _, other := range []text{o.Weixin, b.Name, b.Address, b.SelfAddress, b.IDCard} {
		if same, ok := ciphertext(string(other)); ok && bytes.Equal(same, raw) {
			return ""
		}
	}
	return base64.StdEncoding.EncodeToString(raw)
}

// inClear is a value that is no ciphertext; "" for one that is.
func inClear(value text) string {
	if isCiphertext(string(value)) {
		return ""
	}
	return string(value)
}

func mapUser(r connectors.Record) ([]*events.Event, error) {
	var u struct {
		BuyerID text   `json:"buyer_id"`
		Phone   text   `json:"user_phone"`
		Updated moment `json:"update_time"`
	}
	if err := r.Decode(&u); err != nil {
		return nil, errors.New("the user is not of the form that the connector writes: " + connectors.Fault(err, errAmount, errMoment))
	}
	if !connectors.Names(string(u.BuyerID)) {
		return nil, errors.New("the user has no buyer_id")
	}
	if u.Updated == 0 {
		return nil, errors.New("the user's order has no update_time")
	}
	h := header(r, string(u.BuyerID), string(u.BuyerID), int64(u.Updated))
	if phone := string(u.Phone); isMobile(phone) {
		h.Person = &events.Person{Sightings: []*events.Sighting{{Type: "phone", Value: phone, Role: events.Role_ROLE_BUYER}}}
	}
	return []*events.Event{{Header: h, Body: &events.Event_User{User: &events.User{}}}}, nil
}
