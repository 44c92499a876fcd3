package douyin

import "oneid/connectors"

// serviceListing lists service tickets. That the window means the time that the
// order is by is assumed.
var serviceListing = listing{
	stream: Services, method: "order.getServiceList", row: "service", detail: serviceDetail,
	params: func(w connectors.Window, page, size int) map[string]any {
		return map[string]any{
			"start_time": w.From.Unix(), "end_time": w.To.Unix(),
			"order_by": "update_time", "order": "ASC", "page": page, "size": size,
		}
	},
}
