package douyin

import (
	"context"
	"encoding/json"

	"oneid/connectors"
)

// learn notes which buyer an order has (it never changes), so that an after-sale
// need not ask for an order that was just read.
func (c *Connector) learn(order, buyer string) {
	if order != "" && buyer != "" {
		c.buyers.Put(order, buyer)
	}
}

// buyerOf is an order's buyer, "" when the platform does not name one (or no
// longer knows the order).
func (c *Connector) buyerOf(ctx context.Context, order string) (string, error) {
	if order == "" || order == "0" {
		return "", nil
	}
	if buyer, ok := c.buyers.Get(order); ok {
		return buyer, nil
	}
	var answer entity
	err := c.client.call(ctx, "order.orderDetail", map[string]any{"shop_order_id": order}, &answer)
	if connectors.ClassOf(err) == connectors.SkipRecord {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	_, buyer, err := orderKey(detailOf(answer))
	if err != nil {
		return "", nil
	}
	c.learn(order, buyer)
	return buyer, nil
}

// detailOf is the order in an answer of order.orderDetail; nil if there is none. It
// may be no JSON.
func detailOf(answer entity) json.RawMessage {
	return connectors.Find(answer, "shop_order_detail")[0]
}

// readWithBuyers reads a listing whose rows name an order but no buyer, and
// wraps each row as {"<name>":row,"doudian_open_id":buyer}.
func (c *Connector) readWithBuyers(ctx context.Context, l listing, name string, from connectors.Cursor, give func(connectors.Page) error) error {
	return c.walk(ctx, l, from, func(p connectors.Part) error {
		page := c.records(l.stream, p, p.Rows)
		page.Total = p.Expected
		err := page.Each(ctx, c.cfg.Parallel, func(ctx context.Context, r *connectors.Record) (err error) {
			r.Raw, err = c.withBuyer(ctx, name, r.Raw)
			return err
		})
		if err != nil {
			return err
		}
		return give(page)
	})
}

// withBuyer is a row that names an order, as {"<name>":row,"doudian_open_id":buyer}.
func (c *Connector) withBuyer(ctx context.Context, name string, row json.RawMessage) (json.RawMessage, error) {
	buyer, err := c.buyerOf(ctx, orderOf(row))
	if err != nil {
		return nil, err
	}
	return plain(map[string]any{name: row, "doudian_open_id": buyer})
}

// orderOf is the order that a row of after-sales or service tickets names.
func orderOf(raw json.RawMessage) string {
	var row struct {
		OrderID text `json:"order_id"`
		Order   object[struct {
			ID text `json:"shop_order_id"`
		}] `json:"order_info"`
	}
	if json.Unmarshal(raw, &row) != nil {
		return ""
	}
	if row.Order.V.ID != "" {
		return string(row.Order.V.ID)
	}
	return string(row.OrderID)
}
