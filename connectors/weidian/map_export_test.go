package weidian

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"oneid/connectors"
)

// An order of a status that is unknown is paid if a column says when; where that
// column was left out of the export the order is refused, and is no 0.00.
func TestExportedOfUnknownStatus(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cells map[string]string
		paid  int64 // -1 if it is refused
	}{
		"no column":              {map[string]string{"订单状态": "拼团中"}, -1},
		"a time":                 {map[string]string{"订单状态": "拼团中", "付款时间": "2026-01-01 00:01:00"}, 9999},
		"a time that is empty":   {map[string]string{"订单状态": "拼团中", "付款时间": ""}, 0},
		"a status that is known": {map[string]string{"订单状态": "已完成"}, 9999},
	} {
		c.cells["订单编号"], c.cells["下单时间"], c.cells["实付金额"] = "1", "2026-01-01 00:00:00", "99.99"
		raw, err := json.Marshal(connectors.ExportPayload{Entity: "1", Rows: []connectors.ExportRow{{Sheet: sheetOrders, Row: c.cells}}})
		if err != nil {
			t.Fatal(err)
		}
		list, err := Exports.Map(connectors.Record{Stream: Orders, Shop: "s", Raw: raw, Observed: time.Unix(1, 0)})
		switch {
		case c.paid < 0:
			if err == nil || !strings.Contains(err.Error(), "付款时间") {
				t.Errorf("%s: %v, %v; want a refusal that names 付款时间", name, list, err)
			}
		case err != nil:
			t.Errorf("%s: %v", name, err)
		default:
			if o := list[0].GetOrder(); o.GetPaidMinor() != c.paid {
				t.Errorf("%s: paid %d, want %d", name, o.GetPaidMinor(), c.paid)
			}
		}
	}
}
