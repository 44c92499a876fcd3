package tmall

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"oneid/connectors"
)

// The columns of an export may be any of those that there are: a paid order of which
// none says what was paid is refused by the names of those that do, never 0.00.
func TestExportedAmounts(t *testing.T) {
	t.Parallel()
	row := func(sheet string, cells ...string) connectors.ExportRow {
		one := map[string]string{"订单编号": "1", "主订单编号": "1", "子订单编号": cells[0], "订单状态": cells[1], "订单创建时间": "2026-01-01 00:00:00"}
		for i := 2; i < len(cells); i += 2 {
			one[cells[i]] = cells[i+1]
		}
		return connectors.ExportRow{Sheet: sheet, Row: one}
	}
	const paid, unpaid = "交易成功", "等待买家付款"
	for name, c := range map[string]struct {
		rows          []connectors.ExportRow
		paid, payable int64 // -1 if it is refused
	}{
		"lines with the column":      {[]connectors.ExportRow{row(sheetSales, "11", paid, "买家实付金额", "60.00"), row(sheetSales, "12", paid, "买家实付金额", "50.00")}, 11000, 11000},
		"lines, one of nothing":      {[]connectors.ExportRow{row(sheetSales, "11", paid, "买家实付金额", "60.00"), row(sheetSales, "12", paid, "买家实付金额", "")}, 6000, 6000},
		"lines without the column":   {[]connectors.ExportRow{row(sheetSales, "11", paid, "商品价格", "60.00", "购买数量", "1")}, -1, 0},
		"one line without it":        {[]connectors.ExportRow{row(sheetSales, "11", paid, "买家实付金额", "60.00"), row(sheetSales, "12", paid)}, -1, 0},
		"unpaid, without the column": {[]connectors.ExportRow{row(sheetSales, "11", unpaid, "买家应付货款", "60.00")}, 0, 6000},
		"the list says it":           {[]connectors.ExportRow{row(sheetOrders, "", paid, "买家实际支付金额", "110.00"), row(sheetSales, "11", paid)}, 11000, 11000},
		"the list says all":          {[]connectors.ExportRow{row(sheetOrders, "", paid, "总金额", "110.00")}, 11000, 11000},
		"the lines say it for it":    {[]connectors.ExportRow{row(sheetOrders, "", paid, "买家应付货款", "120.00"), row(sheetSales, "11", paid, "买家实付金额", "110.00")}, 11000, 11000},
		"nobody says it":             {[]connectors.ExportRow{row(sheetOrders, "", paid, "买家应付货款", "120.00"), row(sheetSales, "11", paid)}, -1, 0},
		"a list that does not":       {[]connectors.ExportRow{row(sheetOrders, "", paid, "买家应付货款", "120.00")}, -1, 0},
		"free":                       {[]connectors.ExportRow{row(sheetOrders, "", paid, "买家实际支付金额", "0.00")}, 0, 0},
	} {
		raw, err := json.Marshal(connectors.ExportPayload{Entity: "1", Rows: c.rows})
		if err != nil {
			t.Fatal(err)
		}
		list, err := Exports.Map(connectors.Record{Stream: Orders, Shop: "s", Raw: raw, Observed: time.Unix(1, 0)})
		switch {
		case c.paid < 0:
			if err == nil || !strings.Contains(err.Error(), "买家实付金额") {
				t.Errorf("%s: %v, %v; want a refusal that names the column", name, list, err)
			}
		case err != nil:
			t.Errorf("%s: %v", name, err)
		default:
			if o := list[0].GetOrder(); o.GetPaidMinor() != c.paid || o.GetPayableMinor() != c.payable {
				t.Errorf("%s: paid %d of %d, want %d of %d", name, o.GetPaidMinor(), o.GetPayableMinor(), c.paid, c.payable)
			}
		}
	}
}

// A sales detail that was exported without the columns that say whether its orders
// are paid is refused by their names: what was paid is never 0.00 because of it.
func TestExportedWithoutStatus(t *testing.T) {
	t.Parallel()
	line := func(cells ...string) connectors.ExportRow {
		row := map[string]string{"主订单编号": "1", "子订单编号": cells[0], "订单创建时间": "2026-01-01 00:00:00", "买家实付金额": "99.99"}
		for i := 1; i < len(cells); i += 2 {
			row[cells[i]] = cells[i+1]
		}
		return connectors.ExportRow{Sheet: sheetSales, Row: row}
	}
	list := connectors.ExportRow{Sheet: sheetOrders, Row: map[string]string{"订单编号": "1", "订单状态": "交易成功", "订单创建时间": "2026-01-01 00:00:00", "总金额": "99.99"}}
	for name, c := range map[string]struct {
		rows  []connectors.ExportRow
		paid  int64
		lacks string // the column that the refusal names
	}{
		"neither status nor time":  {[]connectors.ExportRow{line("11")}, 0, "订单状态"},
		"a time":                   {[]connectors.ExportRow{line("11", "订单付款时间", "2026-01-01 00:01:00")}, 9999, ""},
		"a time that is empty":     {[]connectors.ExportRow{line("11", "订单付款时间", "")}, 0, ""},
		"a status":                 {[]connectors.ExportRow{line("11", "订单状态", "交易成功")}, 9999, ""},
		"a status that is unknown": {[]connectors.ExportRow{line("11", "订单状态", "拼团中")}, 0, "订单付款时间"},
		"the list has it":          {[]connectors.ExportRow{list, line("11")}, 9999, ""},
		"one line closed":          {[]connectors.ExportRow{line("11", "订单状态", "交易关闭"), line("12", "订单状态", "交易成功")}, 19998, ""},
	} {
		raw, err := json.Marshal(connectors.ExportPayload{Entity: "1", Rows: c.rows})
		if err != nil {
			t.Fatal(err)
		}
		list, err := Exports.Map(connectors.Record{Stream: Orders, Shop: "s", Raw: raw, Observed: time.Unix(1, 0)})
		switch {
		case c.lacks != "":
			if err == nil || !strings.Contains(err.Error(), c.lacks) {
				t.Errorf("%s: %v, %v; want a refusal that names %s", name, list, err, c.lacks)
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

// The time in a file's name is that of the seller's clock, which decides which of two
// exports is newer.
func TestExportNamed(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"ExportOrderList202405200930.csv":          "2024-05-20T01:30:00Z",
		"ExportItemlList202405202359.csv":          "2024-05-20T15:59:00Z",
		"ExportOrderList202405200030(1).xlsx":      "2024-05-19T16:30:00Z",
		"ExportOrderDetailList20240520093015.xlsx": "2024-05-20T01:30:00Z",
		"ExportOrderList20240520.csv":              "",
		"ExportOrderList202413200930.csv":          "",
		"OrderList202405200930.csv":                "",
		"订单.csv":                                   "",
	} {
		got := ""
		if at := exportNamed(name); !at.IsZero() {
			got = at.UTC().Format(time.RFC3339)
		}
		if got != want {
			t.Errorf("%s is of %q, want %q", name, got, want)
		}
	}
}
