package simulator

import (
	"bufio"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/encoding/simplifiedchinese"
)

// ExportNames are the files that each platform's back-office exports, named as
// the platform names them where that is known.
var ExportNames = map[string][]string{
	PlatformTmall:   {"ExportOrderList", "ExportItemlList", "退款"},
	PlatformDouyin:  {"订单", "售后单"},
	PlatformWeidian: {"订单"},
}

// WriteExport writes one of ExportNames as the back-office of a platform does:
// Tmall in GBK with ="…" around numbers, Douyin in UTF-8 with a byte-order mark
// and tabs before numbers, Weidian (of which nothing is published) in UTF-8.
func (w *World) WriteExport(to io.Writer, platform, name string) error {
	var rows iter.Seq[[]string]
	encode := func(text string) string { return text }
	switch platform + "/" + name {
	case "tmall/ExportOrderList":
		rows = w.tmallOrderList
	case "tmall/ExportItemlList":
		rows = w.tmallSalesDetail
	case "tmall/退款":
		rows = w.tmallRefundList
	case "douyin/订单":
		rows = w.douyinOrderList
	case "douyin/售后单":
		rows = w.douyinAftersaleList
	case "weidian/订单":
		rows = w.weidianOrderList
	default:
		return fmt.Errorf("simulator: %s exports no %s", platform, name)
	}
	out := bufio.NewWriter(to)
	switch platform {
	case PlatformTmall:
		encoder := simplifiedchinese.GBK.NewEncoder()
		encode = func(text string) string {
			gbk, err := encoder.String(text)
			if err != nil {
				return strings.Repeat("?", len(text)) // no invented text has such a letter
			}
			return gbk
		}
	case PlatformDouyin:
		_, _ = out.WriteString("\ufeff") // a bufio.Writer keeps its first error
	}
	for row := range rows {
		_, _ = out.WriteString(encode(strings.Join(row, ",")) + "\r\n")
	}
	return out.Flush()
}

// exportText is a cell in quotes, exportNumber one that a spreadsheet leaves
// alone as Tmall writes it, exportTabbed as Douyin does.
func exportText(text string) string   { return `"` + strings.ReplaceAll(text, `"`, `""`) + `"` }
func exportNumber(text string) string { return `="` + text + `"` }
func exportTabbed(text string) string { return "\"\t" + strings.ReplaceAll(text, `"`, `""`) + `"` }

func exportTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return tmallTime(t)
}

// ordersOf are all orders of a platform by index.
func (w *World) ordersOf(platform string) iter.Seq[Order] {
	return func(yield func(Order) bool) {
		for index := range w.OrderCount(platform) {
			if o, ok := w.OrderAt(platform, index); ok && !yield(o) {
				return
			}
		}
	}
}

var tmallExportStatus = map[string]string{
	OrderUnpaid: "等待买家付款", OrderPaid: "买家已付款，等待卖家发货", OrderShipped: "卖家已发货，等待买家确认",
	OrderFinished: "交易成功", OrderClosedUnpaid: "交易关闭", OrderClosedRefunded: "交易关闭",
}

func (w *World) tmallOrderList(yield func([]string) bool) {
	if !yield([]string{"订单编号", "买家会员名", "买家应付货款", "买家应付邮费", "总金额", "买家实际支付金额", "订单状态", "收货人姓名", `"收货地址 "`,
		"联系手机", "订单创建时间", `"订单付款时间 "`, `"宝贝标题 "`, "宝贝总数量", "打款商家金额", "退款金额", "确认收货时间"}) {
		return
	}
	for o := range w.ordersOf(PlatformTmall) {
		var total, pieces int64
		var titles []string
		for _, item := range o.Items {
			total += item.Total
			pieces += item.Quantity
			titles = append(titles, item.Title)
		}
		refund := "无退款申请"
		if o.Refund != nil {
			refund = tmallYuan(o.Refund.Amount)
		}
		a := o.Receiver.Address
		place := a.Province + " " + a.City + " " + a.District + " " + a.Town + tmallMaskAddress(a.Detail) + "(000000)"
		if !yield([]string{exportNumber(o.Number), exportText(tmallMask(o.Account.Nick)), exportText(tmallYuan(total)), exportText(tmallYuan(o.Freight)),
			exportText(tmallYuan(o.Amount)), exportText(tmallYuan(o.Paid)), exportText(tmallExportStatus[o.Status]), exportText(tmallMask(o.Receiver.Name)),
			exportText(place), exportText("'" + tmallMaskPhone(o.Receiver.Phone)), exportText(exportTime(o.Created)), exportText(exportTime(o.PaidAt)),
			exportText(strings.Join(titles, ",")), exportText(strconv.FormatInt(pieces, 10)), exportText(tmallYuan(o.Paid) + "元"), exportText(refund),
			exportText(exportTime(o.Finished))}) {
			return
		}
	}
}

func (w *World) tmallSalesDetail(yield func([]string) bool) {
	if !yield([]string{"子订单编号", "主订单编号", "商品标题", "商品价格", "购买数量", "商品属性", "订单状态", "商家编码", "买家应付货款", "买家实付金额",
		"退款状态", "退款金额", "订单创建时间", "订单付款时间", "商品ID", "skuId"}) {
		return
	}
	for o := range w.ordersOf(PlatformTmall) {
		for _, item := range o.Items {
			paid, refund := item.Paid, "没有申请退款"
			if o.PaidAt.IsZero() {
				paid = 0
			}
			if o.Refund != nil {
				refund = "退款处理中"
			}
			if !yield([]string{exportNumber(item.Number), exportNumber(o.Number), exportText(item.Title), exportText(tmallYuan(item.Price)),
				exportText(strconv.FormatInt(item.Quantity, 10)), exportText(item.Spec), exportText(tmallExportStatus[o.Status]),
				exportText("SKU-" + strconv.FormatInt(item.SKU%1000, 10)), exportText(tmallYuan(item.Total)), exportText(tmallYuan(paid)), exportText(refund),
				exportText("0.00"), exportText(exportTime(o.Created)), exportText(exportTime(o.PaidAt)),
				exportNumber(strconv.FormatInt(item.Product, 10)), exportNumber(strconv.FormatInt(item.SKU, 10))}) {
				return
			}
		}
	}
}

var tmallExportRefund = map[string]string{
	RefundAsked: "买家已经申请退款，等待卖家同意", RefundAgreed: "卖家已经同意退款，等待买家退货", RefundRefused: "卖家拒绝退款",
	RefundClosed: "退款关闭", RefundSuccess: "退款成功",
}

func (w *World) tmallRefundList(yield func([]string) bool) {
	if !yield([]string{"订单编号", "退款编号", "退款类型", "交易金额", "买家退款金额", "发货状态", "退款申请时间", "退款状态", "买家退款原因", "完结时间"}) {
		return
	}
	for o := range w.ordersOf(PlatformTmall) {
		r := o.Refund
		if r == nil {
			continue
		}
		kind, sent := "仅退款", "卖家已发货"
		if r.WithReturn {
			kind = "退货退款"
		}
		if r.BeforeShip {
			sent = "卖家未发货"
		}
		if !yield([]string{exportNumber(o.Number), exportNumber(r.Number), kind, tmallYuan(o.Amount), tmallYuan(r.Amount), sent,
			exportTime(r.Created), exportText(tmallExportRefund[r.Status]), exportText(r.Reason), exportTime(r.Ended)}) {
			return
		}
	}
}

var douyinExportStatus = map[string]string{
	OrderUnpaid: "待支付", OrderPaid: "待发货", OrderShipped: "已发货", OrderFinished: "已完成", OrderClosedUnpaid: "已关闭", OrderClosedRefunded: "已关闭",
}

func (w *World) douyinOrderList(yield func([]string) bool) {
	if !yield([]string{"主订单编号", "子订单编号", "选购商品", "商品规格", "商品数量", "商品ID", "商家编码", "商品单价", "订单应付金额", "运费", "优惠总金额",
		"平台优惠", "商家优惠", "达人优惠", "收件人", "收件人手机号", "省", "市", "区", "街道", "详细地址", "订单提交时间", "订单完成时间", "支付完成时间",
		"APP渠道", "订单状态", "订单类型", "达人ID", "售后状态", "发货时间"}) {
		return
	}
	orDash := func(text string) string {
		if text == "" {
			return "-"
		}
		return text
	}
	for o := range w.ordersOf(PlatformDouyin) {
		var total int64
		for _, item := range o.Items {
			total += item.Total
		}
		left, rest := o.Freight, total
		for _, item := range o.Items {
			post := left
			if rest > 0 {
				post = left * item.Total / rest
			}
			left, rest = left-post, rest-item.Total
			child := item.Number
			if len(o.Items) == 1 {
				child = o.Number
			}
			a := o.Receiver.Address
			if !yield([]string{exportTabbed(o.Number), exportTabbed(child), exportTabbed(item.Title), exportTabbed(specValue(item.Spec)),
				strconv.FormatInt(item.Quantity, 10), exportTabbed(strconv.FormatInt(item.Product, 10)), exportTabbed("SKU-" + strconv.FormatInt(item.SKU%1000, 10)),
				tmallYuan(item.Price), tmallYuan(item.Paid + post), tmallYuan(post), tmallYuan(item.Discount), "0.00", tmallYuan(item.Discount), "0.00",
				"##4H8DInvented#1##", "$$RJUTInvented$1$$", a.Province, a.City, a.District, orDash(a.Town), "##Invented#1##",
				exportTime(o.Created), orDash(exportTime(o.Finished)), orDash(exportTime(o.PaidAt)), "抖音", douyinExportStatus[o.Status], "普通订单", "0", "-",
				orDash(exportTime(o.Shipped))}) {
				return
			}
		}
	}
}

var douyinExportRefund = map[string]string{
	RefundAsked: "待商家处理", RefundAgreed: "待买家退货", RefundRefused: "商家拒绝售后", RefundClosed: "售后关闭", RefundSuccess: "退款成功",
}

func (w *World) douyinAftersaleList(yield func([]string) bool) {
	if !yield([]string{"售后单号", "订单号", "商品单号", "商品名称", "应付金额（元）", "商品发货状态", "售后类型", "退商品金额（元）", "退运费金额（元）", "售后状态",
		"售后申请时间", "售后原因", "售后完结时间"}) {
		return
	}
	for o := range w.ordersOf(PlatformDouyin) {
		r := o.Refund
		if r == nil {
			continue
		}
		kind, sent := "仅退款", "已发货"
		if r.WithReturn {
			kind = "退货退款"
		}
		if r.BeforeShip {
			sent = "未发货"
		}
		back, state := r.Amount, douyinExportRefund[r.Status]
		if r.Without != "" {
			back = 0
			if r.Status == RefundSuccess {
				state = "售后成功"
			}
		}
		switch r.Without {
		case Exchanged:
			kind = "换货"
		case SentAgain:
			kind = "补寄"
		case Unpaid, NoRefund, "":
		}
		if !yield([]string{exportTabbed(r.Number), exportTabbed(o.Number), exportTabbed(o.Number), exportTabbed(o.Items[0].Title), tmallYuan(o.Amount), sent, kind,
			tmallYuan(back), "0.00", state, exportTime(r.Created), r.Reason, exportTime(r.Ended)}) {
			return
		}
	}
}

var weidianExportStatus = map[string]string{
	OrderUnpaid: "待付款", OrderPaid: "待发货", OrderShipped: "已发货", OrderFinished: "已完成", OrderClosedUnpaid: "已关闭", OrderClosedRefunded: "已关闭",
}

func (w *World) weidianOrderList(yield func([]string) bool) {
	if !yield([]string{"订单编号", "订单状态", "下单时间", "付款时间", "商品名称", "商品型号", "商品数量", "商品单价", "运费", "实付金额", "收货人", "收货人电话"}) {
		return
	}
	for o := range w.ordersOf(PlatformWeidian) {
		for _, item := range o.Items {
			if !yield([]string{exportText(o.Number), weidianExportStatus[o.Status], exportTime(o.Created), exportTime(o.PaidAt), exportText(item.Title),
				exportText(specValue(item.Spec)), strconv.FormatInt(item.Quantity, 10), tmallYuan(item.Price), tmallYuan(o.Freight), tmallYuan(o.Amount),
				exportText(o.Receiver.Name), exportText(o.Receiver.Phone)}) {
				return
			}
		}
	}
}
