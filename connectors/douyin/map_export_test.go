package douyin

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

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
