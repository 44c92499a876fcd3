package douyin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"

	"oneid/connectors"
	"oneid/schemas/events"
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
	_, buyer, err := orderKey(orderIn(answer))
	if err != nil {
		return "", nil
	}
	c.learn(order, buyer)
	return buyer, nil
}

// orderIn is the order in an answer of order.orderDetail; nil if there is none. It
// may be no JSON.
func orderIn(answer entity) json.RawMessage {
	return connectors.Find(answer, "shop_order_detail")[0]
}

// readWhole reads a listing whose rows name an order but no buyer, and leave to
// a detail what else there is.
func (c *Connector) readWhole(ctx context.Context, stream string, from connectors.Cursor, give func(connectors.Page) error) error {
	l := listings[stream]
	return c.walk(ctx, stream, from, func(p connectors.Part) error {
		page := c.records(l.stream, p, p.Rows)
		page.Total = p.Expected
		var partly atomic.Int64
		err := page.Each(ctx, c.cfg.Parallel, func(ctx context.Context, r *connectors.Record) error {
			raw, err := c.whole(ctx, l, r.Raw, false)
			if errors.Is(err, errPartly) && ctx.Err() == nil {
				// The others of the page do not wait for it; a replay asks for it anew. Where
				// none of several is answered, it is the platform that fails.
				if partly.Add(1) == int64(len(p.Rows)) && len(p.Rows) > 1 {
					return err
				}
				r.Origin = events.PushOrigin(l.stream, number(readListed(r.Raw).id))
				return fmt.Errorf("%w: %w", &connectors.Error{Class: connectors.SkipRecord, Platform: Platform, Shop: c.shop, Op: l.method, SystemCode: codePartly}, err)
			}
			r.Raw = raw
			return err
		})
		if err != nil {
			return err
		}
		return give(page)
	})
}

// whole is the record of a row: {"<l.row>":row,"doudian_open_id":buyer}, with
// "detail" where the platform gives it. anew asks for the detail though the row is
// as it was.
func (c *Connector) whole(ctx context.Context, l listing, raw json.RawMessage, anew bool) (json.RawMessage, error) {
	row := readListed(raw)
	buyer, err := c.buyerOf(ctx, string(row.order))
	if err != nil {
		return nil, err
	}
	record := map[string]any{l.row: raw, "doudian_open_id": buyer}
	detail, err := c.detailOf(ctx, l, row, anew)
	if err != nil {
		return nil, err
	}
	if detail != nil {
		record["detail"] = detail
	}
	return plain(record)
}

// listed is what is read of a row of after-sales or of service tickets before it
// is mapped.
type listed struct{ id, updated, order text }

// readListed reads a row; what cannot be read of it is empty, and Map says so.
func readListed(raw json.RawMessage) listed {
	var row struct {
		ID      text `json:"id"`
		Updated text `json:"update_time"`
		OrderID text `json:"order_id"`
		Sale    object[struct {
			ID      text `json:"aftersale_id"`
			Updated text `json:"update_time"`
		}] `json:"aftersale_info"`
		Order object[struct {
			ID text `json:"shop_order_id"`
		}] `json:"order_info"`
	}
	if json.Unmarshal(raw, &row) != nil {
		return listed{}
	}
	sale := row.Sale.V
	return listed{cmp.Or(sale.ID, row.ID), cmp.Or(sale.Updated, row.Updated), cmp.Or(row.Order.V.ID, row.OrderID)}
}
