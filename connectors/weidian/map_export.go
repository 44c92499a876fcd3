package weidian

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"oneid/connectors"
	"oneid/schemas/events"
)

// exportRevision of the mapping below: raised with each change of what it
// gives.
const exportRevision = 2

// sheetOrders is the only table of which the columns were guessed at.
const sheetOrders = "order list"

// Exports are the files that the shop's console exports. No document and no
// client that is public shows their columns: all names below are assumed, from
// the words of the console's screens. A table with other names needs a
// mapping.
var Exports = connectors.Exports{
	Platform: Platform,
	Sheets: []connectors.Sheet{
		{Name: sheetOrders, Stream: Orders, Key: exportNumber, Line: []string{"子订单编号", "子订单号"},
			Alike: []string{either(exportCreated), either(exportName)},
			Either: []string{either(exportStatus), either(exportCreated), either(exportPaidAt), either(exportFinished), either(exportPaid),
				either(exportGoods), either(exportFreight), either(exportTitle), either(exportSKU), either(exportCode), either(exportQuantity),
				either(exportPrice), either(exportName), either(exportPhone), either(exportAddress), "省|省份", "市|城市", "区|区县"},
			Needs: []string{either(exportNumber), either(exportStatus), either(exportCreated), either(exportPaid)}},
	},
	Named: func(string) time.Time { return time.Time{} },
	Maps:  map[string]func(connectors.Record, *connectors.ExportPayload) ([]*events.Event, error){Orders: mapExportedOrder},
	Hint:  "the columns of Weidian's exports are published nowhere: write a mapping (oneid import --guess FILE makes a first one) and import with --mapping",
}

// The columns, each by the names that it may have (all assumed).
var (
	exportNumber   = []string{"订单编号", "订单号"}
	exportStatus   = []string{"订单状态", "状态"}
	exportCreated  = []string{"下单时间", "订单创建时间", "创建时间"}
	exportPaidAt   = []string{"付款时间", "支付时间"}
	exportSent     = []string{"发货时间"}
	exportFinished = []string{"完成时间", "交易完成时间", "确认收货时间"}
	exportPaid     = []string{"实付金额", "实收金额", "订单金额", "总金额", "订单总额"}
	exportGoods    = []string{"商品总价", "商品金额"}
	exportFreight  = []string{"运费", "邮费"}
	exportTitle    = []string{"商品名称", "商品名", "商品"}
	exportSKU      = []string{"商品型号", "颜色分类", "规格", "型号"}
	exportCode     = []string{"商品编码", "商家编码", "SKU编码"}
	exportQuantity = []string{"商品数量", "购买数量", "数量"}
	exportPrice    = []string{"商品单价", "单价", "价格"}
	exportName     = []string{"收货人", "收件人", "收货人姓名", "收件人姓名"}
	exportPhone    = []string{"收货人电话", "收件人电话", "联系电话", "手机号", "收货人手机", "收件人手机", "联系手机"}
	exportAddress  = []string{"收货地址", "详细地址", "收件地址"}
)

func either(names []string) string { return strings.Join(names, "|") }

// exportState says what a word of the console means (assumed: the words are
// those that the API gives as descriptions); any other is unknown.
func exportState(word string) events.OrderStatus {
	switch word = connectors.Word(word); {
	case strings.Contains(word, "部分发货"):
		return events.OrderStatus_ORDER_STATUS_PART_SHIPPED
	case strings.Contains(word, "待付款"), strings.Contains(word, "未付款"):
		return events.OrderStatus_ORDER_STATUS_CREATED
	case strings.Contains(word, "待发货"), strings.Contains(word, "已付款"):
		return events.OrderStatus_ORDER_STATUS_PAID
	case strings.Contains(word, "已发货"), strings.Contains(word, "待收货"):
		return events.OrderStatus_ORDER_STATUS_SHIPPED
	case strings.Contains(word, "已收货"):
		return events.OrderStatus_ORDER_STATUS_RECEIVED
	case strings.Contains(word, "已完成"), strings.Contains(word, "交易成功"):
		return events.OrderStatus_ORDER_STATUS_FINISHED
	case strings.Contains(word, "已关闭"), strings.Contains(word, "已取消"), strings.Contains(word, "交易关闭"):
		return events.OrderStatus_ORDER_STATUS_CLOSED
	}
	return events.OrderStatus_ORDER_STATUS_UNKNOWN
}

// mapExportedOrder makes an order of its rows: the amounts of the order stand in each
// of them (assumed), the goods one in a row.
func mapExportedOrder(r connectors.Record, p *connectors.ExportPayload) ([]*events.Event, error) {
	var err error
	rows := make([]connectors.Cells, len(p.Rows))
	for i, row := range p.Rows {
		rows[i] = connectors.CellsOf(row, &err)
	}
	first := rows[0]
	word := first.Text(exportStatus...)
	out := &events.Order{
		Status: exportState(word), PlatformStatus: word, Currency: currency, Channel: Platform,
		CreatedMs: first.Time(zone, exportCreated...), PaidMs: first.Time(zone, exportPaidAt...),
		ShippedMs: first.Time(zone, exportSent...), FinishedMs: first.Time(zone, exportFinished...),
		GoodsMinor: first.Money(exportGoods...), FreightMinor: first.Money(exportFreight...), PayableMinor: first.Money(exportPaid...),
		Province: first.Text("省", "省份"), City: first.Text("市", "城市"), District: first.Text("区", "区县"),
	}
	if out.CreatedMs == 0 {
		out.CreatedMs = out.PaidMs
	}
	switch out.Status {
	case events.OrderStatus_ORDER_STATUS_CREATED:
		out.PaidMs = 0
	case events.OrderStatus_ORDER_STATUS_CLOSED, events.OrderStatus_ORDER_STATUS_UNKNOWN:
	default:
		if out.PaidMs == 0 {
			out.PaidMs = out.CreatedMs
		}
	}
	if out.PaidMs != 0 {
		out.PaidMinor = out.PayableMinor
	}
	var weights []int64
	for i, c := range rows {
		id := c.Number("子订单编号", "子订单号")
		if id == "" {
			id = fmt.Sprintf("%s-%d", p.Entity, i+1)
		}
		title := strings.TrimSpace(c.Text(exportTitle...) + " " + c.Text(exportSKU...))
		item := &events.OrderItem{ItemId: id, ProductId: c.Number("商品ID"), MerchantSku: c.Text(exportCode...), Title: title,
			Quantity: max(1, c.Count(exportQuantity...)), UnitPriceMinor: c.Money(exportPrice...), Status: out.Status, PlatformStatus: word}
		out.Items = append(out.Items, item)
		weights = append(weights, item.Quantity*max(0, item.UnitPriceMinor))
	}
	switch {
	case err != nil:
		return nil, err
	case out.CreatedMs == 0:
		return nil, errors.New("its rows have neither a time of the order nor of its payment")
	case out.PayableMinor < 0:
		return nil, errors.New("its amount is negative")
	case out.PaidMs == 0 && out.Status == events.OrderStatus_ORDER_STATUS_UNKNOWN && !first.Has(exportPaidAt...):
		return nil, errors.New("its status is not known, and no column 付款时间 says whether it is paid: export it with this column, or write a mapping")
	}
	for i, share := range events.Spread(out.PaidMinor, weights) {
		out.Items[i].PaidMinor = share
	}
	h := connectors.ExportHeader(Platform, r, p, "order:"+p.Entity, out.CreatedMs, exportRevision)
	receiver := &events.Receiver{Name: inClear(text(first.Text(exportName...))), Phone: inClear(text(first.Text(exportPhone...))),
		Province: out.Province, City: out.City, District: out.District, Detail: inClear(text(first.Text(exportAddress...)))}
	if receiver.Name+receiver.Phone+receiver.Province+receiver.City+receiver.Detail != "" {
		h.Person = &events.Person{Sightings: connectors.ReceiverPhone(receiver.Phone), Receiver: receiver}
	}
	return []*events.Event{{Header: h, Body: &events.Event_Order{Order: out}}}, nil
}
