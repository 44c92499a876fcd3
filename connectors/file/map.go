package file

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"oneid/connectors"
	"oneid/schemas/events"
)

// revision of the mapping below: raised with each change of what this program
// gives by an unchanged mapping file. A mapping file that changed is told by nothing
// in a row: oneid replay --mapping raises the revision of what it gave before.
const revision = 2

// mapper maps rows; it is pure, since all it knows is the mapping.
type mapper struct{ mapping *Mapping }

// Map turns a row into its event. Its error names every field that is wrong,
// without a value.
func (m mapper) Map(record connectors.Record) ([]*events.Event, error) {
	var p rowPayload
	if err := json.Unmarshal(record.Raw, &p); err != nil || p.Row == nil {
		return nil, errors.New("file: it is not a row")
	}
	v := &values{mapping: m.mapping, payload: p, observed: record.Observed}
	var e *events.Event
	switch m.mapping.Kind {
	case KindOrders:
		e = v.order()
	case KindUsers:
		e = v.user()
	case KindTickets:
		e = v.ticket()
	case KindSpend:
		e = v.spend()
	}
	if err := errors.Join(v.faults...); err != nil {
		return nil, fmt.Errorf("file: %w", joinLine(v.faults))
	}
	e.Header.Platform, e.Header.Shop = m.mapping.Platform, m.mapping.Shop
	e.Header.Stream, e.Header.Raw = record.Stream, record.Raw
	return []*events.Event{e}, nil
}

// joinLine joins faults on one line: they go into a dead letter's detail.
func joinLine(faults []error) error {
	texts := make([]string, len(faults))
	for i, fault := range faults {
		texts[i] = fault.Error()
	}
	return errors.New(strings.Join(texts, "; "))
}

// values reads the fields of one row and gathers what is wrong with them.
type values struct {
	mapping  *Mapping
	payload  rowPayload
	observed time.Time
	faults   []error
}

func (v *values) fault(field, why string) {
	v.faults = append(v.faults, fmt.Errorf("%s %s", field, why))
}

// raw is a field's text before and after its translation.
func (v *values) raw(field string) (original, text string) {
	f, ok := v.mapping.Columns[field]
	if !ok {
		return "", ""
	}
	if f.Const != "" {
		return f.Const, f.Const
	}
	original = connectors.CellText(v.payload.Row[f.Column])
	text = original
	if translated, ok := f.Values[original]; ok {
		text = translated
	}
	return original, text
}

func (v *values) text(field string) string {
	_, text := v.raw(field)
	return text
}

// id is a text that names something: it must be there, and whole.
func (v *values) id(field string) string {
	text := v.text(field)
	switch {
	case text == "":
		v.fault(field, "is empty")
	case connectors.Ruined(text):
		v.fault(field, connectors.ErrRuined.Error())
	case len(text) > 200:
		v.fault(field, "is longer than 200 bytes")
	}
	return text
}

// account is an id that names one person: under a masked one many would be one.
func (v *values) account() string {
	id := v.id("account")
	if id != "" && !connectors.Names(id) {
		v.fault("account", "names nobody: it is masked, zeros or null")
	}
	return id
}

// time is in Unix milliseconds, 0 for an empty field.
func (v *values) time(field string) int64 {
	text := v.text(field)
	if text == "" {
		return 0
	}
	t, err := parseTime(text, v.mapping.Columns[field].layout, v.mapping.zone)
	if err != nil {
		v.fault(field, "is not a time that its format allows")
		return 0
	}
	if year := t.UTC().Year(); year < 1970 || year > 2105 {
		v.fault(field, "is not a time from 1970 to 2105")
		return 0
	}
	return t.UnixMilli()
}

func (v *values) currency() string {
	if c := strings.ToUpper(v.text("currency")); c != "" {
		if len(c) != 3 {
			v.fault("currency", "is not a code such as CNY")
		}
		return c
	}
	return v.mapping.Currency
}

// mostMinor bounds an amount, so that no sum of them overflows: ten trillion
// of the major unit.
const mostMinor = 1e15

// money is in the currency's minor unit, 0 for an empty field.
func (v *values) money(field, currency string) int64 {
	text := amountText(v.text(field))
	if text == "" {
		return 0
	}
	minor, err := events.ParseMinor(text, currency)
	switch {
	case err != nil:
		v.fault(field, "is not an amount of "+currency)
	case minor < 0:
		v.fault(field, "is negative: money that went back belongs into tickets")
	case minor > mostMinor:
		v.fault(field, "is larger than any amount can be")
	}
	return minor
}

func (v *values) count(field string) int64 {
	text := v.text(field)
	if text == "" {
		return 0
	}
	n, err := events.ParseFixed(text, 0)
	if err != nil || n < 0 {
		v.fault(field, "is not a count")
	}
	return n
}

func (v *values) header(entity, account string, modified int64, person *events.Person) *events.Header {
	return &events.Header{
		EntityId: entity, Account: account, Person: person,
		Version: &events.Version{
			ModifiedMs: modified, Source: events.Source_SOURCE_FILE,
			ObservedMs: v.observed.UnixMilli(), Revision: revision,
		},
	}
}

// firstTime is the first of the times that is there.
func firstTime(times ...int64) int64 {
	for _, t := range times {
		if t != 0 {
			return t
		}
	}
	return 0
}

// sighting adds what a field shows of a person, unless it is empty or masked.
func (v *values) sighting(p *events.Person, field, kind string, role events.Role, scope string) {
	value := v.text(field)
	if value == "" || strings.Contains(value, "*") {
		return
	}
	p.Sightings = append(p.Sightings, &events.Sighting{Type: kind, Value: value, Role: role, Scope: scope})
}

var orderStatuses = map[string]events.OrderStatus{
	"created": events.OrderStatus_ORDER_STATUS_CREATED, "paid": events.OrderStatus_ORDER_STATUS_PAID,
	"part_shipped": events.OrderStatus_ORDER_STATUS_PART_SHIPPED, "shipped": events.OrderStatus_ORDER_STATUS_SHIPPED,
	"received": events.OrderStatus_ORDER_STATUS_RECEIVED, "finished": events.OrderStatus_ORDER_STATUS_FINISHED,
	"closed": events.OrderStatus_ORDER_STATUS_CLOSED,
}

func (v *values) order() *events.Event {
	id := v.payload.ID
	if id == "" {
		id = v.id("order_id")
	}
	currency := v.currency()
	created, paidAt := v.time("created_at"), v.time("paid_at")
	if created == 0 && len(v.faults) == 0 {
		v.fault("created_at", "is empty")
	}
	original, word := v.raw("status")
	if original == "" {
		original, word = "paid", "paid"
	}
	status, known := orderStatuses[word]
	if !known {
		status = events.OrderStatus_ORDER_STATUS_UNKNOWN
	}
	// A file says of paid orders rarely when; then they were paid when made.
	switch status {
	case events.OrderStatus_ORDER_STATUS_CREATED:
		paidAt = 0
	case events.OrderStatus_ORDER_STATUS_CLOSED, events.OrderStatus_ORDER_STATUS_UNKNOWN:
	default:
		paidAt = firstTime(paidAt, created)
	}
	amount := v.money("paid", currency)
	if v.text("paid") == "" {
		v.fault("paid", "is empty")
	}
	quantity := int64(1)
	if v.text("quantity") != "" {
		quantity = v.count("quantity")
	}
	o := &events.Order{
		Status: status, PlatformStatus: original, OrderType: v.text("order_type"), Channel: v.text("channel"),
		CreatedMs: created, PaidMs: paidAt, ShippedMs: v.time("shipped_at"), FinishedMs: v.time("finished_at"),
		Currency: currency, GoodsMinor: v.money("goods", currency), FreightMinor: v.money("freight", currency),
		PayableMinor: v.money("payable", currency),
		Province:     v.text("province"), City: v.text("city"), District: v.text("district"),
	}
	if o.PayableMinor == 0 {
		o.PayableMinor = amount
	}
	if paidAt != 0 {
		o.PaidMinor = amount
	}
	o.Items = []*events.OrderItem{{
		ItemId: id, ProductId: v.text("product_id"), SkuId: v.text("sku_id"), MerchantSku: v.text("merchant_sku"),
		Title: v.text("title"), Quantity: quantity, UnitPriceMinor: v.money("unit_price", currency),
		PaidMinor: o.PaidMinor, Status: status, PlatformStatus: original,
	}}
	account := v.text("account")
	if connectors.Ruined(account) {
		v.fault("account", connectors.ErrRuined.Error())
	}
	if !connectors.Names(account) {
		account = "order:" + id
	}
	modified := firstTime(v.time("updated_at"), created)
	return &events.Event{Header: v.header(id, account, modified, v.buyer()), Body: &events.Event_Order{Order: o}}
}

// buyer is what an order's row says of persons.
func (v *values) buyer() *events.Person {
	p := new(events.Person)
	v.sighting(p, "member_phone", "phone", events.Role_ROLE_MEMBER, "")
	v.sighting(p, "buyer_phone", "phone", events.Role_ROLE_BUYER, "")
	v.sighting(p, "receiver_phone", "phone", events.Role_ROLE_RECEIVER, "")
	v.sighting(p, "email", "email", events.Role_ROLE_BUYER, "")
	v.sighting(p, "unionid", "unionid", events.Role_ROLE_BUYER, v.mapping.Brand)
	v.sighting(p, "member_card", "member_card", events.Role_ROLE_BUYER, "")
	v.sighting(p, "external_customer", "external_customer", events.Role_ROLE_BUYER, v.mapping.Shop)
	r := &events.Receiver{
		Name: v.text("receiver_name"), Phone: v.text("receiver_phone"), Province: v.text("province"), City: v.text("city"),
		District: v.text("district"), Town: v.text("town"), Detail: v.text("address"),
	}
	if r.Name+r.Phone+r.Detail != "" {
		p.Receiver = r
	}
	return p
}

func (v *values) user() *events.Event {
	account := v.account()
	joined, created, updated := v.time("joined_at"), v.time("created_at"), v.time("updated_at")
	p := new(events.Person)
	v.sighting(p, "phone", "phone", events.Role_ROLE_MEMBER, "")
	v.sighting(p, "email", "email", events.Role_ROLE_MEMBER, "")
	v.sighting(p, "unionid", "unionid", events.Role_ROLE_MEMBER, v.mapping.Brand)
	v.sighting(p, "openid", "openid", events.Role_ROLE_MEMBER, v.mapping.Shop)
	v.sighting(p, "omid", "tmall_omid", events.Role_ROLE_MEMBER, v.mapping.Brand)
	v.sighting(p, "member_card", "member_card", events.Role_ROLE_MEMBER, "")
	v.sighting(p, "external_customer", "external_customer", events.Role_ROLE_MEMBER, v.mapping.Shop)
	u := &events.User{
		Nick: maskedNick(v.text("nick")), Member: true, MemberLevel: v.text("level"), MemberSinceMs: joined,
		Points: v.count("points"), Province: v.text("province"), City: v.text("city"),
		CreatedMs: firstTime(created, joined),
	}
	return &events.Event{Header: v.header(account, account, firstTime(updated, joined, created), p), Body: &events.Event_User{User: u}}
}

// maskedNick keeps a nick's first character: outside the sealed part of an
// event nothing personal may stand.
func maskedNick(nick string) string {
	if nick == "" || strings.Contains(nick, "*") {
		return nick
	}
	return string([]rune(nick)[:1]) + "**"
}

var ticketStatuses = map[string]events.TicketStatus{
	"open": events.TicketStatus_TICKET_STATUS_OPEN, "pending": events.TicketStatus_TICKET_STATUS_PENDING,
	"solved": events.TicketStatus_TICKET_STATUS_SOLVED, "closed": events.TicketStatus_TICKET_STATUS_CLOSED,
	"deleted": events.TicketStatus_TICKET_STATUS_DELETED,
}

func (v *values) ticket() *events.Event {
	id, account := v.id("ticket_id"), v.account()
	currency := v.currency()
	created, solved := v.time("created_at"), v.time("solved_at")
	if created == 0 && len(v.faults) == 0 {
		v.fault("created_at", "is empty")
	}
	original, word := v.raw("status")
	status, known := ticketStatuses[word]
	switch {
	case known:
	case word == "" && solved != 0:
		status = events.TicketStatus_TICKET_STATUS_SOLVED
	case word == "":
		status = events.TicketStatus_TICKET_STATUS_OPEN
	default:
		status = events.TicketStatus_TICKET_STATUS_UNKNOWN
	}
	rating := v.count("satisfaction")
	if rating > 5 {
		v.fault("satisfaction", "is not 1 to 5")
	}
	kind := v.text("kind")
	if kind == "" {
		kind = "service"
	}
	t := &events.Ticket{
		Kind: kind, Status: status, PlatformStatus: original, Priority: v.text("priority"), Channel: v.text("channel"),
		Subject: connectors.Choice(v.text("subject")), OrderId: v.text("order_id"), Currency: currency, AmountMinor: v.money("amount", currency),
		CreatedMs: created, FirstAnswerMs: v.time("first_answer_at"), SolvedMs: solved,
		Agent: v.text("agent"), Group: v.text("group"), Satisfaction: int32(rating),
	}
	modified := firstTime(v.time("updated_at"), solved, created)
	return &events.Event{Header: v.header(id, account, modified, nil), Body: &events.Event_Ticket{Ticket: t}}
}

func (v *values) spend() *events.Event {
	channel, currency := v.id("channel"), v.currency()
	day := v.time("day")
	if day == 0 && len(v.faults) == 0 {
		v.fault("day", "is empty")
	}
	s := &events.Spend{
		Channel: channel, Campaign: v.text("campaign"),
		Day:      time.UnixMilli(day).In(v.mapping.zone).Format(time.DateOnly),
		Currency: currency, SpendMinor: v.money("spend", currency),
		Impressions: v.count("impressions"), Clicks: v.count("clicks"),
	}
	id := strings.Join([]string{s.Channel, s.Campaign, s.Day}, "|")
	return &events.Event{Header: v.header(id, "", firstTime(v.time("updated_at"), day), nil), Body: &events.Event_Spend{Spend: s}}
}
