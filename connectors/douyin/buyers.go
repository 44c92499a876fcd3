package douyin

import (
	"context"
	"encoding/json"
	"sync"

	"oneid/connectors"
)

// maxBuyers bounds what is remembered of orders' buyers: some 20 MB.
const maxBuyers = 100_000

// buyers remembers which buyer an order has (it never changes), so that an
// after-sale need not ask for an order that was just read.
type buyers struct {
	mu sync.Mutex
	// byOrder is guarded by mu.
	byOrder map[string]string
}

func newBuyers() *buyers { return &buyers{byOrder: make(map[string]string)} }

// learn notes an order's buyer. When there are too many, any other goes.
func (b *buyers) learn(order, buyer string) {
	if order == "" || buyer == "" {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.byOrder) >= maxBuyers {
		for other := range b.byOrder {
			delete(b.byOrder, other)
			break
		}
	}
	b.byOrder[order] = buyer
}

func (b *buyers) of(order string) (string, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	buyer, ok := b.byOrder[order]
	return buyer, ok
}

// buyerOf is an order's buyer, "" when the platform does not name one (or no
// longer knows the order).
func (c *Connector) buyerOf(ctx context.Context, order string) (string, error) {
	if order == "" || order == "0" {
		return "", nil
	}
	if buyer, ok := c.buyers.of(order); ok {
		return buyer, nil
	}
	var answer struct {
		Order json.RawMessage `json:"shop_order_detail"`
	}
	err := c.client.call(ctx, "order.orderDetail", map[string]any{"shop_order_id": order}, &answer)
	if connectors.ClassOf(err) == connectors.SkipRecord {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if len(answer.Order) == 0 {
		return "", nil
	}
	_, buyer, err := orderKey(answer.Order)
	if err != nil {
		return "", nil
	}
	c.buyers.learn(order, buyer)
	return buyer, nil
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
