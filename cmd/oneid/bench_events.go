package main

import (
	"fmt"
	"math/rand/v2"
	"time"

	"oneid/schemas/events"
)

// flowPhase is one part of what `bench flow` measures.
type flowPhase string

// The phases, in their order.
const (
	// flowPrime makes the accounts that are known before it counts.
	flowPrime flowPhase = "prime"
	// flowCold brings accounts that nobody has seen.
	flowCold flowPhase = "cold"
	// flowWarm brings later versions, of accounts that are all known.
	flowWarm flowPhase = "warm"
)

// flowPopulation invents the events of `bench flow`. It is a function of its
// fields and of a number, so that each process invents the same.
//
// Of three accounts one is on each platform. Of ten such triples four are one
// person, known by a phone everywhere; of three more, Tmall's and Weidian's
// are. Members alone have a phone at Tmall and Douyin: six of ten.
type flowPopulation struct {
	// Accounts in all. The last Fresh of them come in the cold phase, all
	// others in the prime phase.
	accounts, fresh int
	// events of the cold phase, and of the warm one.
	events int
}

func newFlowPopulation(events, accounts int) flowPopulation {
	return flowPopulation{accounts: accounts, fresh: min(accounts, max(events/5, 1)), events: events}
}

// size is how many events a phase has.
func (p flowPopulation) size(phase flowPhase) int {
	if phase == flowPrime {
		return 2 * (p.accounts - p.fresh)
	}
	return p.events
}

// flowPick says which event stands at a place: the account's user, its order
// number k or its ticket.
type flowPick struct {
	account  flowAccount
	kind     events.Kind
	k        int
	revision int
}

// pick is what number i of a phase is about: of ten events of the cold and the
// warm phase seven are orders, two users, and one is a ticket.
func (p flowPopulation) pick(phase flowPhase, i int) flowPick {
	slot := i % 10
	draw := rand.New(rand.NewPCG(uint64(i), uint64(phase[0]))) // an invented world is no secret
	one := flowPick{kind: events.KindTicket, revision: 1}
	if slot < 7 {
		one.kind, one.k = events.KindOrder, draw.IntN(flowOrders)
	} else if slot < 9 {
		one.kind = events.KindUser
	}
	switch phase {
	case flowPrime:
		one = flowPick{account: flowAccount(i / 2), kind: events.KindUser, revision: 1}
		if i%2 == 1 {
			one.kind, one.k = events.KindOrder, flowOrders
		}
	case flowWarm:
		one.account, one.revision = flowAccount(draw.IntN(p.accounts)), 2+draw.IntN(3)
	default:
		// Accounts are born evenly over the phase; the events between two
		// births are of those that are there.
		born := i * p.fresh / p.events
		if i > 0 && born == (i-1)*p.fresh/p.events && one.kind != events.KindUser {
			born = draw.IntN(born + 1)
		}
		one.account = flowAccount(p.accounts - p.fresh + born)
	}
	return one
}

// event makes the event.
func (p flowPick) event() *events.Event {
	switch p.kind {
	case events.KindOrder:
		return p.account.order(p.k, p.revision)
	case events.KindUser:
		return p.account.user(p.revision)
	default: // the load has no others
		return p.account.ticket(p.revision)
	}
}

// flowOrders is how many orders an account has. The order of this number
// spans all others: it was made at the account's first moment, and paid at its
// last. It is what makes an account known whole in the prime phase.
const flowOrders = 4

// flowAccount is the number of an invented account.
type flowAccount int

var flowPlatforms = [3]string{"tmall", "douyin", "weidian"}

func (a flowAccount) platform() string { return flowPlatforms[a%3] }

func (a flowAccount) mixed() uint64 {
	x := uint64(a) * 0x9e3779b97f4a7c15
	return x ^ x>>29
}

func (a flowAccount) id() string {
	switch a.platform() {
	case "tmall":
		return fmt.Sprintf("AAG%016xOuid%07d", a.mixed(), int(a))
	case "douyin":
		return fmt.Sprintf("1@#%016x%010d", a.mixed(), int(a))
	}
	return fmt.Sprintf("%d", 1_800_000_000+int(a))
}

// person is the number that the account's phone is made of.
func (a flowAccount) person() int {
	triple := int(a / 3)
	switch kind := flowAccount(triple).mixed() >> 40 % 10; {
	case kind < 4, kind < 7 && a.platform() != "douyin":
		return 3 * triple
	}
	return int(a)
}

func (a flowAccount) phone() string {
	if a.platform() != "weidian" && a.mixed()>>50%10 >= 6 {
		return ""
	}
	return benchPhone(a.person())
}

// begun is when the account was made, and all else counts from.
func (a flowAccount) begun() time.Time {
	return benchDay.Add(-time.Duration(int(a)%(80*24*60)) * time.Minute)
}

func (a flowAccount) header(entity string, revision int, raw string) *events.Header {
	return &events.Header{
		Platform: a.platform(), Shop: benchShop, EntityId: entity, Account: a.id(), Stream: "flow", Raw: []byte(raw),
		Version: &events.Version{ModifiedMs: a.begun().Add(time.Duration(revision) * time.Hour).UnixMilli(), Source: events.Source_SOURCE_API, ObservedMs: benchDay.Add(time.Duration(revision) * time.Minute).UnixMilli(), Revision: 1},
	}
}

func sighted(kind, value, scope string, role events.Role) *events.Sighting {
	return &events.Sighting{Type: kind, Value: value, Scope: scope, Role: role}
}

// own are the platform's own ids of the buyer.
func (a flowAccount) own() []*events.Sighting {
	switch a.platform() {
	case "tmall":
		return []*events.Sighting{
			sighted("tmall_ouid", a.id(), benchShop, events.Role_ROLE_BUYER),
			sighted("tmall_open_uid", fmt.Sprintf("AAH%016x%07d", a.mixed()>>3, int(a)), "12345678", events.Role_ROLE_BUYER),
		}
	case "douyin":
		return []*events.Sighting{sighted("douyin_open_id", a.id(), benchShop, events.Role_ROLE_BUYER)}
	}
	return []*events.Sighting{sighted("weidian_buyer_id", a.id(), benchShop, events.Role_ROLE_BUYER)}
}

func (a flowAccount) user(revision int) *events.Event {
	seen := a.own()
	role := events.Role_ROLE_MEMBER
	switch a.platform() {
	case "tmall":
		seen = append(seen, sighted("tmall_omid", fmt.Sprintf("AAM%016x%07d", a.mixed()>>5, int(a)), "brand", role))
	case "douyin":
		seen = append(seen, sighted("douyin_union_id", fmt.Sprintf("un%016x%d", a.mixed()>>7, a.person()), "", role))
	default:
		role = events.Role_ROLE_BUYER
		seen = append(seen, sighted("unionid", fmt.Sprintf("oU%016x%d", a.mixed()>>7, a.person()), "", role))
	}
	if phone := a.phone(); phone != "" {
		seen = append(seen, sighted("phone", phone, "", role))
	}
	at := a.begun()
	raw := fmt.Sprintf(`{"open_id":%q,"union":"%016x","nick":"演**%02d","level":%d,"points":%d,"bind_time":%q,"status":"BIND","grade_name":"银卡会员","province":"浙江省","city":"杭州市","gender":0,"birthday":"","growth":%d,"extra":{"channel":"shop","trace":"%016x","tags":["老客","会员日"]}}`,
		a.id(), a.mixed(), a%100, a%5, a%5000, at.Format(time.DateTime), a%9973, a.mixed()*31)
	h := a.header(a.id(), revision, raw)
	h.Person = &events.Person{Sightings: seen}
	return &events.Event{Header: h, Body: &events.Event_User{User: &events.User{
		Nick: "演**", Member: true, MemberLevel: "银卡会员", MemberSinceMs: at.UnixMilli(), Points: int64(a % 5000), Province: "浙江省", City: "杭州市", CreatedMs: at.UnixMilli(),
	}}}
}

var flowGoods = [...]string{"演示羊毛毛衣 2026 春季新款", "演示真丝围巾 礼盒装", "演示纯棉衬衫 修身长袖", "演示直筒长裤 四季可穿", "演示轻羽绒外套 连帽"}

// order is order k of the account.
func (a flowAccount) order(k, revision int) *events.Event {
	created := a.begun().Add(time.Duration(k%flowOrders) * 20 * time.Hour)
	paid := created.Add(90 * time.Second)
	if k == flowOrders {
		paid = created.Add(flowOrders * 24 * time.Hour)
	}
	number := fmt.Sprintf("%d", 3_700_000_000_000_000_000+int64(a)*100+int64(k))
	states := [...]struct {
		status events.OrderStatus
		name   string
	}{{events.OrderStatus_ORDER_STATUS_CREATED, "WAIT_BUYER_PAY"}, {events.OrderStatus_ORDER_STATUS_PAID, "WAIT_SELLER_SEND_GOODS"}, {events.OrderStatus_ORDER_STATUS_SHIPPED, "WAIT_BUYER_CONFIRM_GOODS"}, {events.OrderStatus_ORDER_STATUS_RECEIVED, "TRADE_BUYER_SIGNED"}, {events.OrderStatus_ORDER_STATUS_FINISHED, "TRADE_FINISHED"}}
	state := states[min(revision, len(states)-1)]
	one := int64(1000 + int(a)*7%90_000)
	body := &events.Order{
		Status: state.status, PlatformStatus: state.name, OrderType: "fixed", CreatedMs: created.UnixMilli(), PaidMs: paid.UnixMilli(),
		Currency: "CNY", Channel: "WAP", Province: "浙江省", City: "杭州市", District: "西湖区",
	}
	lines := ""
	for line := range 1 + (int(a)+k)%4/3 { // one order in four has two lines
		title := flowGoods[(int(a)+line)%len(flowGoods)]
		item := &events.OrderItem{
			ItemId: fmt.Sprintf("%s%d", number[:18], line), ProductId: fmt.Sprint(700_000_000_000 + int(a)%900), SkuId: fmt.Sprint(5_000_000_000_000 + int(a)%3000), MerchantSku: fmt.Sprintf("SKU-%d-RED", int(a)%900),
			Title: title, Quantity: 1, UnitPriceMinor: one, PaidMinor: one, Status: state.status, PlatformStatus: state.name, RefundStatus: "NO_REFUND",
		}
		body.Items = append(body.Items, item)
		body.GoodsMinor += one
		lines += fmt.Sprintf(`{"oid":%q,"num_iid":%q,"sku_id":%q,"title":%q,"num":1,"price":"%d.%02d","status":%q},`, item.ItemId, item.ProductId, item.SkuId, title, one/100, one%100, state.name)
	}
	body.PayableMinor, body.PaidMinor = body.GoodsMinor, body.GoodsMinor
	raw := fmt.Sprintf(`{"tid":%q,"status":%q,"type":"fixed","created":%q,"pay_time":%q,"payment":"%d.%02d","buyer_open_uid":%q,"receiver_name":"演**","receiver_mobile":"*******%04d","receiver_state":"浙江省","receiver_city":"杭州市","receiver_district":"西湖区","receiver_address":"演*路**号*幢","oaid":"1%016x","orders":[%s]}`,
		number, state.name, created.Format(time.DateTime), paid.Format(time.DateTime), body.PaidMinor/100, body.PaidMinor%100, a.id(), a%10_000, a.mixed()*13, lines)
	h := a.header(number, revision, raw)
	seen := a.own()
	if phone := a.phone(); phone != "" && a.platform() == "weidian" {
		seen = append(seen, sighted("phone", phone, "", events.Role_ROLE_BUYER))
	}
	h.Person = &events.Person{Sightings: seen, Receiver: &events.Receiver{Name: "演**", Phone: "*******0001", Province: "浙江省", City: "杭州市", District: "西湖区"}}
	return &events.Event{Header: h, Body: &events.Event_Order{Order: body}}
}

func (a flowAccount) ticket(revision int) *events.Event {
	at := a.begun().Add(time.Hour)
	number := fmt.Sprintf("%d", 170_000_000_000_000+int64(a))
	raw := fmt.Sprintf(`{"refund_id":%q,"status":"WAIT_SELLER_AGREE","reason":"尺码不合适","refund_fee":"59.00","created":%q,"buyer_open_uid":%q,"good_status":"BUYER_RECEIVED","title":%q,"operation_contraint":"null","trace":"%016x"}`,
		number, at.Format(time.DateTime), a.id(), flowGoods[int(a)%len(flowGoods)], a.mixed()*3)
	return &events.Event{Header: a.header(number, revision, raw), Body: &events.Event_Ticket{Ticket: &events.Ticket{
		Kind: "refund", Status: events.TicketStatus_TICKET_STATUS_OPEN, PlatformStatus: "WAIT_SELLER_AGREE", Channel: "shop", Subject: "尺码不合适",
		OrderId: fmt.Sprintf("%d", 3_700_000_000_000_000_000+int64(a)*100), Currency: "CNY", AmountMinor: 5900, CreatedMs: at.UnixMilli(), Agent: "agent-07", Group: "after-sales",
	}}}
}
