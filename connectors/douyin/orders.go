package douyin

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"oneid/connectors"
)

// orderListing lists orders by their update time. create_time_start is left
// out: the platform then takes all that it lists, the last 90 days. The
// window's end is asked for as well, since whether the platform counts it in
// is not documented: at worst its rows come twice.
var orderListing = listing{
	stream: Orders, method: "order.searchList", oldest: maxBackfillDays * 24 * time.Hour,
	params: func(w connectors.Window, page, size int) map[string]any {
		return map[string]any{
			"update_time_start": w.From.Unix(), "update_time_end": w.To.Unix(),
			"order_by": "update_time", "order_asc": true, "page": page - 1, "size": size,
		}
	},
}

func (c *Connector) readOrders(ctx context.Context, from connectors.Cursor, give func(connectors.Page) error) error {
	return c.walk(ctx, Orders, from, func(p connectors.Part) error {
		for _, row := range p.Rows {
			if id, buyer, err := orderKey(row); err == nil {
				c.learn(id, buyer)
			}
		}
		page := c.records(Orders, p, p.Rows).Checked()
		page.Total = p.Expected
		return give(page)
	})
}

// orderKey reads an order's number and its buyer. Each row of a page comes by
// here: it is cut and not decoded.
func orderKey(raw json.RawMessage) (id, buyer string, err error) {
	if len(raw) == 0 || raw[0] != '{' {
		return "", "", connectors.ErrRow
	}
	var key [2]text
	for i, value := range connectors.Find(raw, "order_id", "doudian_open_id") {
		if value != nil {
			err = errors.Join(err, key[i].UnmarshalJSON(value))
		}
	}
	return string(key[0]), string(key[1]), err
}
