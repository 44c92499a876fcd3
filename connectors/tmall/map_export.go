package tmall

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"oneid/connectors"
	"oneid/schemas/events"
)

// exportRevision of the mapping below: raised with each change of what it
// gives.
const exportRevision = 2

// The tables of the seller's back-office; README.md says how sure each is.
const (
	sheetOrders  = "order list"
	sheetSales   = "sales detail"
	sheetLines   = "order lines"
	sheetParcels = "shipping list"
	sheetRefunds = "refund list"
)

// Exports are the files that Qianniu exports.
var Exports = connectors.Exports{
	Platform: Platform,
	Sheets: []connectors.Sheet{
		{Name: sheetRefunds, Stream: Tickets, Key: []string{"退款编号", "退款单编号"}, Line: []string{"退款编号", "退款单编号"},
			Alike:  []string{"订单编号", "退款申请时间|退款创建时间", "买家退款金额|退款金额"},
			Either: []string{"退款申请时间|退款创建时间", "买家退款金额|退款金额", "完结时间|退款完结时间"},
			Needs:  []string{"退款编号|退款单编号", "订单编号", "退款状态", "买家退款金额|退款金额"}},
		{Name: sheetSales, Stream: Orders, With: sheetOrders, Key: []string{"主订单编号"}, Line: []string{"子订单编号"},
			Alike:  []string{"订单创建时间"},
			Either: []string{"订单付款时间|付款时间", "商品价格|价格", "skuId|SKUID", "商家编码|外部系统编号", "商品标题|标题"},
			Needs:  []string{"主订单编号", "子订单编号", "购买数量", "商品标题|标题"}},
		{Name: sheetOrders, Stream: Orders, Key: []string{"订单编号"}, Line: []string{"订单编号"},
			Alike:  []string{"买家会员名|买家昵称", "订单创建时间", "买家实际支付金额", "总金额", "买家应付货款"},
			Either: []string{"买家实际支付金额|总金额", "订单付款时间|付款时间", "联系手机|收货人手机"},
			Needs:  []string{"订单编号", "订单状态", "订单创建时间", "买家实际支付金额|总金额|买家应付货款"}},
		{Name: sheetLines, Stream: Orders, With: sheetOrders, Key: []string{"订单编号"},
			Needs: []string{"订单编号", "标题", "价格", "购买数量"}},
		{Name: sheetParcels, Stream: Orders, With: sheetOrders, Key: []string{"订单编号"}, Line: []string{"订单编号"},
			Alike:  []string{"收货人姓名", "收货地址"},
			Either: []string{"联系手机|收货人手机"},
			Needs:  []string{"订单编号", "收货人姓名", "收货地址"}},
	},
	Named: exportNamed,
	Maps:  map[string]func(connectors.Record, *connectors.ExportPayload) ([]*events.Event, error){Orders: mapExportedOrder, Tickets: mapExportedRefund},
	Hint:  "export 订单报表 and 销售明细 (or the list of refunds) from Qianniu, and import the files as they are; another table needs a mapping: oneid import --guess FILE writes a first one",
}

// exportNamed reads the time in ExportOrderList202405200930.csv.
func exportNamed(name string) time.Time {
	name, found := strings.CutPrefix(name, "Export")
	digits := strings.TrimLeft(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
	if !found || len(digits) < 12 {
		return time.Time{}
	}
	at, err := time.ParseInLocation("200601021504", digits[:12], zone)
	if err != nil || at.Year() < 2003 || at.Year() > 2100 {
		return time.Time{}
	}
	return at
}

// exportStates are the words of the back-office, as connectors.Word gives them; any other is unknown. paid
// says whether it follows payment; of a closed order the time of payment does.
var exportStates = map[string]state{
	"等待买家付款":            {events.OrderStatus_ORDER_STATUS_CREATED, false},
	"买家已付款,等待卖家发货":      {events.OrderStatus_ORDER_STATUS_PAID, true},
	"等待卖家发货":            {events.OrderStatus_ORDER_STATUS_PAID, true},
	"卖家部分发货":            {events.OrderStatus_ORDER_STATUS_PART_SHIPPED, true}, // assumed
	"卖家已发货,等待买家确认":      {events.OrderStatus_ORDER_STATUS_SHIPPED, true},
	"等待买家确认收货":          {events.OrderStatus_ORDER_STATUS_SHIPPED, true}, // assumed
	"交易成功":              {events.OrderStatus_ORDER_STATUS_FINISHED, true},
	"交易关闭":              {events.OrderStatus_ORDER_STATUS_CLOSED, false},
	"付款以后用户退款成功,交易自动关闭": {events.OrderStatus_ORDER_STATUS_CLOSED, true}, // assumed
}

func exportState(word string) (state, bool) {
	s, known := exportStates[connectors.Word(word)]
	if !known {
		s.status = events.OrderStatus_ORDER_STATUS_UNKNOWN
	}
	return s, known
}

// exported are the rows of one order, by their tables; the last of the order
// list and of the parcels, all lines.
type exported struct {
	list, parcel *connectors.Cells
	lines        []connectors.Cells
	sales        bool // lines are of the sales detail
	err          error
}

func mapExportedOrder(r connectors.Record, p *connectors.ExportPayload) ([]*events.Event, error) {
	x := new(exported)
	var old []connectors.Cells
	for _, row := range p.Rows {
		c := connectors.CellsOf(row, &x.err)
		switch row.Sheet {
		case sheetOrders:
			x.list = &c
		case sheetParcels:
			x.parcel = &c
		case sheetSales:
			x.lines, x.sales = append(x.lines, c), true
		case sheetLines:
			old = append(old, c)
		}
	}
	if !x.sales {
		x.lines = old // the sales detail says all that the older lines say
	}
	order := x.order(p.Entity)
	switch {
	case x.err != nil:
		return nil, x.err
	case order.CreatedMs == 0:
		return nil, errors.New("its rows have no 订单创建时间: import the order list (订单报表) before or in the same command, or export the detail with that column")
	case order.PaidMinor < 0 || order.PayableMinor < 0:
		return nil, errors.New("its amount is negative")
	}
	h := connectors.ExportHeader(Platform, r, p, "order:"+p.Entity, order.CreatedMs, exportRevision)
	h.Person = x.person(order)
	return []*events.Event{{Header: h, Body: &events.Event_Order{Order: order}}}, nil
}

// first is a value of the order's own row, or of the first line that has it.
func (x *exported) first(value func(connectors.Cells) string) string {
	if x.list != nil {
		if v := value(*x.list); v != "" {
			return v
		}
	}
	for _, line := range x.lines {
		if v := value(line); v != "" {
			return v
		}
	}
	return ""
}

// earliest is a time of the order's own row, or the first of its lines.
func (x *exported) earliest(columns ...string) int64 {
	if x.list != nil {
		if at := x.list.Time(zone, columns...); at != 0 {
			return at
		}
	}
	var first int64
	for _, line := range x.lines {
		if at := line.Time(zone, columns...); at != 0 && (first == 0 || at < first) {
			first = at
		}
	}
	return first
}

func (x *exported) order(number string) *events.Order {
	created, paidAt := x.earliest("订单创建时间"), x.earliest("订单付款时间", "付款时间")
	if created == 0 {
		created = paidAt
	}
	word := x.first(func(c connectors.Cells) string { return c.Text("订单状态") })
	s, known := exportState(word)
	if x.list == nil {
		s.status = x.statusOfLines(s.status)
		s.paid = slices.ContainsFunc(x.lines, func(line connectors.Cells) bool {
			of, _ := exportState(line.Text("订单状态"))
			return of.paid
		})
	}
	o := &events.Order{
		Status: s.status, PlatformStatus: word, CreatedMs: created, Currency: "CNY",
		ShippedMs: x.earliest("发货时间"), FinishedMs: x.earliest("确认收货时间"),
	}
	switch {
	case known && s.status == events.OrderStatus_ORDER_STATUS_CREATED:
		paidAt = 0 // a presale bears the time of its deposit
	case paidAt == 0 && s.paid:
		paidAt = created
	}
	o.PaidMs = paidAt
	x.unsaid(o)
	x.amounts(o)
	x.addItems(o, number)
	if where := x.place(); where != nil {
		o.Province, o.City, o.District = where.Province, where.City, where.District
	}
	return o
}

// unsaid refuses an order of which no column says whether it is paid: columns may be
// left out of an export, and one that was left out is no 0.00.
func (x *exported) unsaid(o *events.Order) {
	rows := x.lines
	if x.list != nil {
		rows = []connectors.Cells{*x.list}
	}
	has := func(columns ...string) bool {
		return slices.ContainsFunc(rows, func(c connectors.Cells) bool { return c.Has(columns...) })
	}
	if o.PaidMs != 0 || o.Status != events.OrderStatus_ORDER_STATUS_UNKNOWN || has("订单付款时间", "付款时间") || x.err != nil {
		return
	}
	if !has("订单状态") {
		x.err = errors.New("its rows have neither 订单状态 nor 订单付款时间: import the order list (订单报表) before or in the same command, or export the detail with these columns")
		return
	}
	x.err = errors.New("its 订单状态 is not known, and no column 订单付款时间 says whether it is paid: export it with this column")
}

// statusOfLines is what the lines say of their order together, where the order
// list is not at hand.
func (x *exported) statusOfLines(first events.OrderStatus) events.OrderStatus {
	open := make(map[events.OrderStatus]bool)
	for _, line := range x.lines {
		if s, _ := exportState(line.Text("订单状态")); s.status != events.OrderStatus_ORDER_STATUS_CLOSED {
			open[s.status] = true
		}
	}
	switch {
	case len(open) == 0:
		return first
	case len(open) == 1:
		for status := range open {
			return status
		}
	case open[events.OrderStatus_ORDER_STATUS_PAID] && open[events.OrderStatus_ORDER_STATUS_SHIPPED]:
		return events.OrderStatus_ORDER_STATUS_PART_SHIPPED
	}
	for _, status := range []events.OrderStatus{events.OrderStatus_ORDER_STATUS_UNKNOWN, events.OrderStatus_ORDER_STATUS_CREATED, events.OrderStatus_ORDER_STATUS_PAID, events.OrderStatus_ORDER_STATUS_PART_SHIPPED, events.OrderStatus_ORDER_STATUS_SHIPPED} {
		if open[status] {
			return status
		}
	}
	return first
}

// amounts fills in what the order cost: by its own row, or as the sum of its
// lines (assumed: 买家实付金额 of the lines adds up to what was paid). A paid order of
// which no column says the amount is refused: columns may be left out of an export.
func (x *exported) amounts(o *events.Order) {
	const ofOrder, ofAll, ofLine = "买家实际支付金额", "总金额", "买家实付金额"
	var paid int64
	switch {
	case x.list != nil && x.list.Has(ofOrder):
		paid = x.list.Money(ofOrder)
	case x.list != nil && x.list.Has(ofAll):
		paid = x.list.Money(ofAll)
	case slices.ContainsFunc(x.lines, func(line connectors.Cells) bool { return !line.Has(ofLine) }) || len(x.lines) == 0:
		if o.PaidMs != 0 && x.err == nil {
			x.err = errors.New("its rows have neither 买家实际支付金额 nor 总金额 of the order nor 买家实付金额 of each line: export them with one of these columns")
		}
	default:
		for _, line := range x.lines {
			paid += line.Money(ofLine)
		}
	}
	o.PayableMinor = paid
	if x.list != nil {
		o.GoodsMinor, o.FreightMinor = x.list.Money("买家应付货款"), x.list.Money("买家应付邮费")
	} else {
		for _, line := range x.lines {
			o.GoodsMinor += line.Money("买家应付货款")
		}
	}
	if paid == 0 && o.PaidMs == 0 {
		o.PayableMinor = o.GoodsMinor
		if x.list != nil && x.list.Has(ofAll) {
			o.PayableMinor = x.list.Money(ofAll)
		}
	}
	if o.PaidMs != 0 {
		o.PaidMinor = paid
	}
	o.SellerDiscountMinor = max(0, o.GoodsMinor+o.FreightMinor-o.PayableMinor)
}

// addItems fills the lines; an order list alone tells one, of all pieces.
func (x *exported) addItems(o *events.Order, number string) {
	var weights []int64
	for i, line := range x.lines {
		word := line.Text("订单状态")
		s, known := exportState(word)
		if !known && word == "" {
			s.status, word = o.Status, o.PlatformStatus
		}
		id := line.Number("子订单编号")
		if id == "" {
			id = fmt.Sprintf("%s-%d", number, i+1)
		}
		quantity := max(1, line.Count("购买数量"))
		price := line.Money("商品价格", "价格")
		o.Items = append(o.Items, &events.OrderItem{
			ItemId: id, ProductId: line.Number("商品ID"), SkuId: line.Number("skuId", "SKUID"),
			MerchantSku: line.Text("商家编码", "外部系统编号"), Title: line.Text("商品标题", "标题"), Quantity: quantity,
			UnitPriceMinor: price, Status: s.status, PlatformStatus: word, RefundStatus: refundWord(line.Text("退款状态")),
		})
		weight := line.Money("买家实付金额")
		if !line.Has("买家实付金额") {
			weight = price * quantity
		}
		weights = append(weights, weight)
	}
	if len(o.Items) == 0 && x.list != nil {
		quantity := max(1, x.list.Count("宝贝总数量"))
		o.Items = []*events.OrderItem{{ItemId: number, Title: x.list.Text("宝贝标题"), Quantity: quantity, Status: o.Status, PlatformStatus: o.PlatformStatus}}
		if quantity == 1 {
			o.Items[0].UnitPriceMinor = o.GoodsMinor
		}
		weights = []int64{1}
	}
	for i, share := range events.Spread(o.PaidMinor, weights) {
		o.Items[i].PaidMinor = share
	}
}

// refundWord: 没有申请退款 is no status.
func refundWord(word string) string {
	if strings.HasPrefix(word, "没有申请") || strings.HasPrefix(word, "无退款") {
		return ""
	}
	return word
}

// person is what the rows say of the receiver. The buyer's nick and Alipay
// account are masked, or not to be used: no account is made of them.
func (x *exported) person(o *events.Order) *events.Person {
	value := func(columns ...string) string {
		v := x.first(func(c connectors.Cells) string { return c.Text(columns...) })
		if v == "" && x.parcel != nil {
			v = x.parcel.Text(columns...)
		}
		return v
	}
	mobile, phone := value("联系手机", "收货人手机"), value("联系电话")
	r := &events.Receiver{Name: value("收货人姓名"), Phone: mobile}
	if r.Phone == "" {
		r.Phone = phone
	}
	if where := x.place(); where != nil {
		r.Province, r.City, r.District, r.Detail = where.Province, where.City, where.District, where.Detail
	}
	if r.Name+r.Phone+r.Province+r.Detail == "" {
		return nil
	}
	return &events.Person{Sightings: connectors.ReceiverPhone(mobile, phone), Receiver: r}
}

// place cuts an address, "浙江省 杭州市 西湖区 三墩镇演*路**号(000000)", at its
// blanks (assumed for addresses without them: they are one detail).
func (x *exported) place() *events.Receiver {
	var text string
	for _, c := range []*connectors.Cells{x.list, x.parcel} {
		if c != nil && text == "" {
			// 修改后的收货地址 holds the address where the buyer changed it.
			text = c.Text("修改后的收货地址", "收货地址")
		}
	}
	if text == "" {
		return nil
	}
	if open := strings.LastIndexAny(text, "(（"); open > 0 && strings.Trim(text[open:], "()（）0123456789") == "" {
		text = text[:open] // the postcode
	}
	parts := strings.Fields(text)
	if len(parts) < 4 {
		return &events.Receiver{Detail: strings.TrimSpace(text)}
	}
	return &events.Receiver{Province: parts[0], City: parts[1], District: parts[2], Detail: strings.Join(parts[3:], " ")}
}

// exportPhases are the words of the list of refunds, as connectors.Word gives them (all assumed).
var exportPhases = map[string]phase{
	"买家已经申请退款,等待卖家同意": refundPhases["WAIT_SELLER_AGREE"],
	"卖家已经同意退款,等待买家退货": refundPhases["WAIT_BUYER_RETURN_GOODS"],
	"买家已经退货,等待卖家确认收货": refundPhases["WAIT_SELLER_CONFIRM_GOODS"],
	"卖家拒绝退款":          refundPhases["SELLER_REFUSE_BUYER"],
	"退款关闭":            refundPhases["CLOSED"],
	"退款成功":            refundPhases["SUCCESS"],
}

func exportPhase(word string) phase {
	if p, ok := exportPhases[connectors.Word(word)]; ok {
		return p
	}
	return phaseOf("")
}

// exportDispute is a kind of refund in OneID's words (assumed).
func exportDispute(word string) string {
	switch {
	case strings.Contains(word, "退货"):
		return "return"
	case strings.Contains(word, "换货"):
		return "exchange"
	case word == "", strings.Contains(word, "退款"):
		return "refund"
	}
	return "service"
}

func mapExportedRefund(r connectors.Record, p *connectors.ExportPayload) ([]*events.Event, error) {
	var err error
	c := connectors.CellsOf(p.Rows[len(p.Rows)-1], &err)
	order := c.Number("订单编号")
	created := c.Time(zone, "退款申请时间", "退款创建时间")
	status, amount, ended := c.Text("退款状态"), c.Money("买家退款金额", "退款金额"), c.Time(zone, "完结时间", "退款完结时间")
	switch {
	case err != nil:
		return nil, err
	case order == "":
		return nil, errors.New("the column 订单编号 is empty")
	case created == 0:
		return nil, errors.New("the column 退款申请时间 is empty")
	case amount < 0:
		return nil, errors.New("the column 买家退款金额 is negative")
	}
	ph, kind, reason := exportPhase(status), exportDispute(c.Text("退款类型")), connectors.Choice(c.Text("买家退款原因"))
	if ph.ticket != events.TicketStatus_TICKET_STATUS_SOLVED && ph.ticket != events.TicketStatus_TICKET_STATUS_CLOSED {
		ended = 0
	}
	header := func() *events.Header {
		return connectors.ExportHeader(Platform, r, p, "order:"+order, created, exportRevision)
	}
	return []*events.Event{
		{Header: header(), Body: &events.Event_Refund{Refund: &events.Refund{
			OrderId: order, Status: ph.refund, PlatformStatus: status, RefundType: kind, PlatformType: c.Text("退款类型"),
			Reason: reason, Currency: "CNY", RefundMinor: amount, BeforeShipping: strings.Contains(c.Text("发货状态"), "未发货"),
			CreatedMs: created, FinishedMs: ended,
		}}},
		{Header: header(), Body: &events.Event_Ticket{Ticket: &events.Ticket{
			Kind: kind, Status: ph.ticket, PlatformStatus: status, Channel: Platform, Subject: reason, OrderId: order,
			Currency: "CNY", AmountMinor: amount, CreatedMs: created, SolvedMs: ended,
		}}},
	}, nil
}
