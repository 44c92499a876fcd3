package douyin

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oneid/connectors"
)

// The numbers of child orders are an order's numbers: what a spreadsheet made of
// them is no other child.
func TestExportedChildNumbers(t *testing.T) {
	t.Parallel()
	for cell, want := range map[string]string{
		"\t6910000000000000011":                        "6910000000000000011",
		"\t6910000000000000011;\t6910000000000000012":  "6910000000000000011 6910000000000000012",
		"6910000000000000011.00":                       "the column 子订单编号 is a number that a spreadsheet has rounded",
		"\t6910000000000000011;6910000000000000012.00": "the column 子订单编号 is a number that a spreadsheet has rounded",
		"6.91E+18": "the column 子订单编号 is a number that a spreadsheet has rounded",
		"-":        "",
	} {
		raw, err := json.Marshal(connectors.ExportPayload{Entity: "6910000000000000010", Rows: []connectors.ExportRow{{Sheet: sheetOrders, Row: map[string]string{
			"主订单编号": "6910000000000000010", "子订单编号": cell, "订单状态": "待发货", "订单应付金额": "10.00", "订单提交时间": "2026-01-01 07:50:00"}}}})
		if err != nil {
			t.Fatal(err)
		}
		list, err := Exports.Map(connectors.Record{Stream: Orders, Shop: "s", Raw: raw, Observed: time.Unix(1, 0)})
		var got []string
		if err != nil {
			got = []string{err.Error()}
		} else {
			for _, item := range list[0].GetOrder().GetItems() {
				got = append(got, item.GetItemId())
			}
		}
		if text := strings.Join(got, " "); text != want && (err == nil || !strings.Contains(text, want)) {
			t.Errorf("%q: %s, want %q", cell, text, want)
		}
	}
}

// Of child orders in one row, one that a newer row tells alone counts once: the
// others have what is left of the amounts.
func TestExportedChildThatIsToldAlone(t *testing.T) {
	t.Parallel()
	row := func(cells ...string) connectors.ExportRow {
		r := connectors.ExportRow{Sheet: sheetOrders, Row: map[string]string{"主订单编号": "6910", "订单提交时间": "2026-01-01 07:50:00", "支付完成时间": "2026-01-01 07:51:00"}}
		for i := 0; i < len(cells); i += 2 {
			r.Row[cells[i]] = cells[i+1]
		}
		return r
	}
	raw, err := json.Marshal(connectors.ExportPayload{Entity: "6910", Rows: []connectors.ExportRow{
		row("子订单编号", "11;12;13", "订单状态", "待发货", "订单应付金额", "10.00", "运费", "3.00", "商家优惠", "2.00", "商品单价", "4.00", "商品数量", "3"),
		row("子订单编号", "12", "订单状态", "已发货", "订单应付金额", "4.00", "运费", "1.00", "商家优惠", "0.50", "商品单价", "4.00", "商品数量", "1"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	list, err := Exports.Map(connectors.Record{Stream: Orders, Shop: "s", Raw: raw, Observed: time.Unix(1, 0)})
	if err != nil {
		t.Fatal(err)
	}
	o := list[0].GetOrder()
	if o.GetPaidMinor() != 1000 || o.GetFreightMinor() != 300 || o.GetSellerDiscountMinor() != 200 || o.GetGoodsMinor() != 1200 {
		t.Errorf("the order has %d paid, freight %d, discount %d, goods %d; want what the row of all says", o.GetPaidMinor(), o.GetFreightMinor(), o.GetSellerDiscountMinor(), o.GetGoodsMinor())
	}
	var got []string
	for _, item := range o.GetItems() {
		got = append(got, fmt.Sprint(item.GetItemId(), " ", item.GetPaidMinor(), " ", item.GetPlatformStatus()))
	}
	if d := cmp.Diff([]string{"11 300 待发货", "13 300 待发货", "12 400 已发货"}, got); d != "" {
		t.Errorf("items (-want +got):\n%s", d)
	}
}

// Who exports chooses the columns. An amount of which the column was left out is
// refused by the column's name, never 0.00; a column that is there may say 0.00.
func TestColumnsLeftOut(t *testing.T) {
	t.Parallel()
	order := func(cells ...string) []connectors.ExportRow {
		row := map[string]string{"主订单编号": "6910000000000000010", "子订单编号": "6910000000000000011", "商品单价": "10.00", "商品数量": "1",
			"订单提交时间": "2026-01-01 07:50:00"}
		for i := 0; i < len(cells); i += 2 {
			row[cells[i]] = cells[i+1]
		}
		return []connectors.ExportRow{{Sheet: sheetOrders, Row: row}}
	}
	aftersale := func(cells ...string) []connectors.ExportRow {
		row := map[string]string{"售后单号": "7", "订单号": "6910000000000000010", "售后申请时间": "2026-01-02 07:50:00"}
		for i := 0; i < len(cells); i += 2 {
			row[cells[i]] = cells[i+1]
		}
		return []connectors.ExportRow{{Sheet: sheetAftersales, Row: row}}
	}
	two := func(a, b []connectors.ExportRow) []connectors.ExportRow {
		b[0].Row["子订单编号"] = "6910000000000000012"
		return append(a, b...)
	}
	for name, c := range map[string]struct {
		stream string
		rows   []connectors.ExportRow
		minor  int64
		lacks  string // the column that the refusal names
	}{
		"finished and paid":          {Orders, order("订单状态", "已完成", "支付完成时间", "2026-01-01 07:51:00"), 0, "订单应付金额"},
		"finished, no time either":   {Orders, order("订单状态", "已完成"), 0, "订单应付金额"},
		"with the column":            {Orders, order("订单状态", "已完成", "订单应付金额", "10.00"), 1000, ""},
		"free":                       {Orders, order("订单状态", "已完成", "订单应付金额", "0.00"), 0, ""},
		"unpaid":                     {Orders, order("订单状态", "待支付"), 0, ""},
		"one of two rows":            {Orders, two(order("订单状态", "已完成", "订单应付金额", "10.00"), order("订单状态", "已完成")), 0, "订单应付金额"},
		"unknown word, no time":      {Orders, order("订单状态", "拼团中", "订单应付金额", "10.00"), 0, "支付完成时间"},
		"unknown word, paid":         {Orders, order("订单状态", "拼团中", "订单应付金额", "10.00", "支付完成时间", "2026-01-01 07:51:00"), 1000, ""},
		"unknown word, not paid":     {Orders, order("订单状态", "拼团中", "订单应付金额", "10.00", "支付完成时间", "-"), 0, ""},
		"refunded":                   {Aftersales, aftersale("售后状态", "退款成功", "售后类型", "仅退款"), 0, "退商品金额（元）"},
		"refunded, with the column":  {Aftersales, aftersale("售后状态", "退款成功", "售后类型", "仅退款", "退商品金额(元)", "10.00"), 1000, ""},
		"exchanged":                  {Aftersales, aftersale("售后状态", "换货成功", "售后类型", "换货"), 0, ""},
		"a refund that is asked for": {Aftersales, aftersale("售后状态", "待商家处理", "售后类型", "仅退款"), 0, ""},
	} {
		raw, err := json.Marshal(connectors.ExportPayload{Entity: "6910000000000000010", Rows: c.rows})
		if err != nil {
			t.Fatal(err)
		}
		list, err := Exports.Map(connectors.Record{Stream: c.stream, Shop: "s", Raw: raw, Observed: time.Unix(1, 0)})
		switch {
		case c.lacks != "":
			if err == nil || !strings.Contains(err.Error(), c.lacks) || !strings.Contains(err.Error(), "export it with") && !strings.Contains(err.Error(), "export them with") {
				t.Errorf("%s: %v, %v; want a refusal that asks for %s", name, list, err, c.lacks)
			}
		case err != nil:
			t.Errorf("%s: %v", name, err)
		default:
			if got := list[0].GetOrder().GetPaidMinor() + list[0].GetRefund().GetRefundMinor(); got != c.minor {
				t.Errorf("%s: %d 分, want %d", name, got, c.minor)
			}
		}
	}
}
