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
