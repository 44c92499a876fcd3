package douyin

import "oneid/connectors"

// aftersaleListing lists after-sales by their update time. The platform takes
// both ends of the window in, and asks for this order, else polling would lose
// rows.
var aftersaleListing = listing{
	stream: Aftersales, method: "afterSale.List", row: "aftersale", detail: aftersaleDetail, noData: subNoData,
	params: func(w connectors.Window, page, size int) map[string]any {
		return map[string]any{
			"update_start_time": w.From.Unix(), "update_end_time": w.To.Unix(),
			"order_by": []string{"update_time asc"}, "page": page - 1, "size": size,
		}
	},
}
