package douyin

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"oneid/connectors"
	"oneid/schemas/events"
)

// exportRevision of the mapping below: raised with each change of what it
// gives.
const exportRevision = 4

// The tables of the shop's back-office; README.md says how sure each is.
const (
	sheetOrders     = "order list"
	sheetAftersales = "after-sales list"
)

// Exports are the files that the back-office (fxg) exports.
var Exports = connectors.Exports{
	Platform: Platform,
	Sheets: []connectors.Sheet{
		{Name: sheetAftersales, Stream: Aftersales, Key: []string{"售后单号"}, Line: []string{"售后单号"},
			Alike:  []string{"订单号", "售后申请时间"},
			Either: []string{"退商品金额（元）|退商品金额", "退运费金额（元）|退运费金额"},
			Needs:  []string{"售后单号", "订单号", "售后状态", "售后申请时间"}},
		{Name: sheetOrders, Stream: Orders, Key: []string{"主订单编号"}, Line: []string{"子订单编号"},
			Alike:  []string{"订单提交时间", "收件人"},
			Either: []string{"商家实际承担优惠金额|商家优惠", "平台实际承担优惠金额|平台优惠", "达人实际承担优惠金额|达人优惠", "选购商品|商品名称"},
			Needs:  []string{"主订单编号", "子订单编号", "订单状态", "订单提交时间|支付完成时间"}},
	},
	Named: exportNamed,
	Maps:  map[string]func(connectors.Record, *connectors.ExportPayload) ([]*events.Event, error){Orders: mapExportedOrder, Aftersales: mapExportedAftersale},
	Hint:  "export orders (with 主订单编号, 子订单编号, 订单状态, 订单应付金额, 订单提交时间, 支付完成时间) or after-sales from the shop's back-office, and import the files as they are; another table needs a mapping: oneid import --guess FILE writes a first one",
}

// exportNamed reads the Unix second that a file's name begins with.
func exportNamed(name string) time.Time {
	digits := name[:len(name)-len(strings.TrimLeft(name, "0123456789"))]
	second, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || len(digits) != 10 || second < 1_400_000_000 {
		return time.Time{}
	}
	return time.Unix(second, 0)
}

// exportStatuses are the words of the back-office (those besides 待发货 are
// assumed); any other is unknown.
var exportStatuses = map[string]events.OrderStatus{
	"待支付": events.OrderStatus_ORDER_STATUS_CREATED, "待付款": events.OrderStatus_ORDER_STATUS_CREATED,
	"已支付": events.OrderStatus_ORDER_STATUS_PAID, "备货中": events.OrderStatus_ORDER_STATUS_PAID, "待发货": events.OrderStatus_ORDER_STATUS_PAID,
	"部分发货": events.OrderStatus_ORDER_STATUS_PART_SHIPPED,
	"已发货":  events.OrderStatus_ORDER_STATUS_SHIPPED, "待收货": events.OrderStatus_ORDER_STATUS_SHIPPED,
	"已签收": events.OrderStatus_ORDER_STATUS_RECEIVED, "已收货": events.OrderStatus_ORDER_STATUS_RECEIVED,
	"已完成": events.OrderStatus_ORDER_STATUS_FINISHED, "交易完成": events.OrderStatus_ORDER_STATUS_FINISHED,
	"已关闭": events.OrderStatus_ORDER_STATUS_CLOSED, "已取消": events.OrderStatus_ORDER_STATUS_CLOSED,
}

func exportStatus(word string) events.OrderStatus {
	if status, ok := exportStatuses[connectors.Word(word)]; ok {
		return status
	}
	return events.OrderStatus_ORDER_STATUS_UNKNOWN
}

func mapExportedOrder(r connectors.Record, p *connectors.ExportPayload) ([]*events.Event, error) {
	var err error
	rows := make([]connectors.Cells, len(p.Rows))
	for i, row := range p.Rows {
		rows[i] = connectors.CellsOf(row, &err)
	}
	first := rows[0]
	out := &events.Order{Currency: currency, PlatformStatus: first.Text("订单状态"), OrderType: first.Text("订单类型"),
		Channel: first.Text("APP渠道"), Province: first.Text("省"), City: first.Text("市"), District: first.Text("区")}
	var weights []int64
	statuses := make(map[events.OrderStatus]bool)
	alone := toldAlone(rows)
	for _, c := range rows {
		pay := c.Money("订单应付金额") - alone.of(c, "订单应付金额")
		out.CreatedMs = earlier(out.CreatedMs, c.Time(zone, "订单提交时间"))
		out.PaidMs = earlier(out.PaidMs, c.Time(zone, "支付完成时间"))
		out.ShippedMs = max(out.ShippedMs, c.Time(zone, "发货时间"))
		out.FinishedMs = max(out.FinishedMs, c.Time(zone, "订单完成时间"))
		out.PayableMinor += pay
		out.FreightMinor += c.Money("运费") - alone.of(c, "运费")
		out.SellerDiscountMinor += c.Money("商家实际承担优惠金额", "商家优惠") - alone.of(c, "商家实际承担优惠金额", "商家优惠")
		out.PlatformDiscountMinor += c.Money("平台实际承担优惠金额", "平台优惠") - alone.of(c, "平台实际承担优惠金额", "平台优惠")
		out.TalentDiscountMinor += c.Money("达人实际承担优惠金额", "达人优惠") - alone.of(c, "达人实际承担优惠金额", "达人优惠")
		if out.Referrer == "" {
			if talent := c.Number("达人ID"); talent != "0" {
				out.Referrer = talent
			}
		}
		word := c.Text("订单状态")
		if status := exportStatus(word); status != events.OrderStatus_ORDER_STATUS_CLOSED || len(rows) == 1 {
			statuses[status] = true
		}
		weights = alone.addExported(out, weights, c, pay, word)
	}
	out.Status = ofAll(statuses)
	if out.CreatedMs == 0 {
		out.CreatedMs = out.PaidMs
	}
	switch out.Status {
	case events.OrderStatus_ORDER_STATUS_CREATED:
		out.PaidMs = 0
	case events.OrderStatus_ORDER_STATUS_CLOSED, events.OrderStatus_ORDER_STATUS_UNKNOWN:
	default:
		if out.PaidMs == 0 && !strings.Contains(first.Text("支付方式"), "货到付款") {
			out.PaidMs = out.CreatedMs
		}
	}
	switch {
	case err != nil:
		return nil, err
	case out.CreatedMs == 0:
		return nil, errors.New("the columns 订单提交时间 and 支付完成时间 are empty: export them, too")
	case out.PayableMinor < 0:
		return nil, errors.New("the column 订单应付金额 is negative")
	case out.PaidMs != 0 && lack(rows, "订单应付金额"):
		return nil, errors.New("it is paid, and its rows have no column 订单应付金额: export them with this column")
	case out.PaidMs == 0 && out.Status == events.OrderStatus_ORDER_STATUS_UNKNOWN && lack(rows, "支付完成时间"):
		return nil, errors.New("its 订单状态 is not known, and no column 支付完成时间 says whether it is paid: export it with this column")
	}
	if out.PaidMs != 0 {
		out.PaidMinor = out.PayableMinor
	}
	for i, share := range events.Spread(out.PaidMinor, weights) {
		out.Items[i].PaidMinor = share
	}
	h := connectors.ExportHeader(Platform, r, p, "order:"+p.Entity, out.CreatedMs, exportRevision)
	h.Person = exportedPerson(first)
	return []*events.Event{{Header: h, Body: &events.Event_Order{Order: out}}}, nil
}

// lack says whether a row has not the column at all: who exports chooses the
// columns, and one that was left out is no 0.00.
func lack(rows []connectors.Cells, column string) bool {
	return slices.ContainsFunc(rows, func(c connectors.Cells) bool { return !c.Has(column) })
}

// earlier is the earlier of two times that are there.
func earlier(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// ofAll is the status of an order whose children have these.
func ofAll(open map[events.OrderStatus]bool) events.OrderStatus {
	if open[events.OrderStatus_ORDER_STATUS_PAID] && (open[events.OrderStatus_ORDER_STATUS_SHIPPED] || open[events.OrderStatus_ORDER_STATUS_FINISHED]) {
		return events.OrderStatus_ORDER_STATUS_PART_SHIPPED
	}
	for _, status := range []events.OrderStatus{
		events.OrderStatus_ORDER_STATUS_UNKNOWN, events.OrderStatus_ORDER_STATUS_CREATED, events.OrderStatus_ORDER_STATUS_PAID,
		events.OrderStatus_ORDER_STATUS_PART_SHIPPED, events.OrderStatus_ORDER_STATUS_SHIPPED, events.OrderStatus_ORDER_STATUS_RECEIVED,
		events.OrderStatus_ORDER_STATUS_FINISHED,
	} {
		if open[status] {
			return status
		}
	}
	return events.OrderStatus_ORDER_STATUS_CLOSED
}

// children are the rows of child orders that have one of their own, by their numbers.
type children map[string]connectors.Cells

func toldAlone(rows []connectors.Cells) children {
	alone := make(children)
	for _, c := range rows {
		if ids := c.Numbers("子订单编号"); len(ids) == 1 {
			alone[ids[0]] = c
		}
	}
	return alone
}

// of is what an amount of a row of several child orders has of those that a newer
// file tells alone: the row's amounts are the sums of all (assumed).
func (alone children) of(c connectors.Cells, columns ...string) (minor int64) {
	ids := c.Numbers("子订单编号")
	if len(ids) < 2 {
		return 0
	}
	for _, id := range ids {
		if one, is := alone[id]; is {
			minor += one.Money(columns...)
		}
	}
	return min(minor, max(0, c.Money(columns...)))
}

// addExported adds the child order of a row, or the several that some exports
// write into one row, with a semicolon between, but for those that are told alone:
// what was paid is then shared among them evenly (assumed).
func (alone children) addExported(out *events.Order, weights []int64, c connectors.Cells, pay int64, word string) []int64 {
	ids := c.Numbers("子订单编号")
	if len(ids) == 0 {
		ids = []string{""}
	}
	products, codes := split(c.Text("商品ID")), split(c.Text("商家编码"))
	title, spec := c.Text("选购商品", "商品名称"), c.Text("商品规格")
	if spec != "" {
		title += " " + spec
	}
	at := func(list []string, i int) string {
		switch {
		case len(list) == len(ids):
			return list[i]
		case len(ids) == 1:
			return strings.Join(list, ";")
		}
		return ""
	}
	quantity, price := max(1, c.Count("商品数量")), c.Money("商品单价")
	if price == 0 && len(ids) == 1 {
		price = c.Money("商品金额") / quantity
	}
	goods := price * quantity
	if len(ids) > 1 {
		for _, id := range ids {
			if one, is := alone[id]; is {
				goods -= one.Money("商品单价") * max(1, one.Count("商品数量"))
			}
		}
	}
	out.GoodsMinor += max(0, goods)
	refund := c.Text("售后状态")
	shares := make([]int64, len(ids))
	for i, id := range ids {
		if _, is := alone[id]; !is || len(ids) == 1 {
			shares[i] = 1
		}
	}
	for i, share := range events.Spread(pay, shares) {
		if shares[i] == 0 {
			continue
		}
		item := &events.OrderItem{ItemId: ids[i], ProductId: at(products, i), MerchantSku: at(codes, i), Title: title, Quantity: quantity,
			UnitPriceMinor: price, Status: exportStatus(word), PlatformStatus: word, RefundStatus: refund}
		if len(ids) > 1 {
			item.Quantity, item.UnitPriceMinor = 1, 0 // the row does not say
		}
		out.Items = append(out.Items, item)
		weights = append(weights, max(0, share))
	}
	return weights
}

// split cuts a cell at its semicolons.
func split(cell string) []string {
	parts := strings.FieldsFunc(cell, func(r rune) bool { return r == ';' || r == '；' })
	for i := range parts {
		parts[i] = connectors.CellText(parts[i])
	}
	if len(parts) == 0 {
		return []string{""}
	}
	return parts
}

// exportedPerson is what a row says of the receiver: without the right to
// decrypt, the cells hold ciphertexts.
func exportedPerson(c connectors.Cells) *events.Person {
	open := func(column string) string {
		if v := c.Text(column); !isCiphertext(v) && !strings.HasPrefix(v, "##") && !strings.HasPrefix(v, "$$") {
			return v
		}
		return ""
	}
	receiver := &events.Receiver{Name: open("收件人"), Phone: open("收件人手机号"), Province: c.Text("省"), City: c.Text("市"),
		District: c.Text("区"), Town: c.Text("街道"), Detail: open("详细地址")}
	if receiver.Name+receiver.Phone+receiver.Province+receiver.City+receiver.Detail == "" {
		return nil
	}
	return &events.Person{Sightings: connectors.ReceiverPhone(receiver.Phone), Receiver: receiver}
}

// exportedAftersaleStatus says what the words of the after-sales list mean
// (all assumed, so by what they contain); any other is unknown.
func exportedAftersaleStatus(word string) aftersaleStatus {
	word = connectors.Word(word)
	of := func(code text) aftersaleStatus { return aftersaleStatuses[code] }
	switch {
	case strings.Contains(word, "拒绝"):
		return of("27")
	case strings.Contains(word, "关闭"), strings.Contains(word, "取消"), strings.Contains(word, "失败"):
		return of("28")
	case strings.Contains(word, "成功"), strings.Contains(word, "完成"), strings.Contains(word, "完结"):
		return of("12")
	case strings.Contains(word, "待买家退货"), strings.Contains(word, "待退货"):
		return of("7")
	case strings.Contains(word, "待商家收货"), strings.Contains(word, "已退货"):
		return of("11")
	case strings.Contains(word, "待商家处理"), strings.Contains(word, "待处理"), strings.Contains(word, "申请"):
		return of("6")
	}
	return aftersaleStatus{events.RefundStatus_REFUND_STATUS_UNKNOWN, events.TicketStatus_TICKET_STATUS_UNKNOWN}
}

// exportedAftersaleType is a type of after-sales by its word (assumed).
func exportedAftersaleType(word string) aftersaleType {
	word = connectors.Word(word)
	switch {
	case strings.Contains(word, "换货"):
		return aftersaleTypes["3"]
	case strings.Contains(word, "退货"):
		return aftersaleTypes["0"]
	case strings.Contains(word, "退款"):
		return aftersaleTypes["1"]
	case strings.Contains(word, "补寄"):
		return aftersaleTypes["7"]
	case strings.Contains(word, "维修"):
		return aftersaleTypes["8"]
	}
	return aftersaleType{kind: "unknown"}
}

func mapExportedAftersale(r connectors.Record, p *connectors.ExportPayload) ([]*events.Event, error) {
	var err error
	c := connectors.CellsOf(p.Rows[len(p.Rows)-1], &err)
	order, item := c.Number("订单号"), c.Number("商品单号")
	created, status, word := c.Time(zone, "售后申请时间"), c.Text("售后状态"), c.Text("售后类型")
	amount := c.Money("退商品金额（元）", "退商品金额") + c.Money("退运费金额（元）", "退运费金额")
	ended := c.Time(zone, "售后完结时间", "售后关闭时间")
	reason := connectors.Choice(c.Text("售后原因"))
	switch {
	case err != nil:
		return nil, err
	case order == "":
		return nil, errors.New("the column 订单号 is empty")
	case created == 0:
		return nil, errors.New("the column 售后申请时间 is empty")
	case amount < 0:
		return nil, errors.New("the column 退商品金额 is negative")
	}
	s, kind := exportedAftersaleStatus(status), exportedAftersaleType(word)
	refund, back := moneyBack(s.refund, kind, "", "", amount)
	if refund == events.RefundStatus_REFUND_STATUS_SUCCEEDED && !c.Has("退商品金额（元）", "退商品金额") {
		return nil, errors.New("it is refunded, and its row has no column 退商品金额（元）: export it with this column")
	}
	header := func() *events.Header {
		return connectors.ExportHeader(Platform, r, p, "order:"+order, created, exportRevision)
	}
	return []*events.Event{
		{Header: header(), Body: &events.Event_Refund{Refund: &events.Refund{
			OrderId: order, ItemId: item, Status: refund, PlatformStatus: status, RefundType: kind.kind, PlatformType: word, Reason: reason,
			Currency: currency, RefundMinor: back, BeforeShipping: strings.Contains(c.Text("商品发货状态"), "未发货"),
			CreatedMs: created, FinishedMs: ended,
		}}},
		{Header: header(), Body: &events.Event_Ticket{Ticket: &events.Ticket{
			Kind: kind.kind, Status: s.ticket, PlatformStatus: status, Channel: "aftersale", Subject: reason, OrderId: order, ItemId: item,
			Currency: currency, AmountMinor: amount, CreatedMs: created, SolvedMs: ended,
		}}},
	}, nil
}
