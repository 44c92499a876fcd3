package toy

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"oneid/connectors"
)

// listing is a method that lists what changed in a window, page by page.
type listing struct {
	stream, method string
	// details: its rows name what is to be asked for one by one.
	details bool
}

var (
	orderListing  = listing{Orders, "orders.list", true}
	returnListing = listing{Returns, "returns.list", false}
)

// page asks for one page, counted from 1.
func (c *Connector) page(ctx context.Context, l listing, w connectors.Window, number int) (connectors.Rows, error) {
	params := map[string]int64{"from": w.From.Unix(), "to": w.To.Unix(), "page": int64(number), "size": int64(c.cfg.PageSize)}
	var answer struct {
		Total int               `json:"total"`
		Rows  []json.RawMessage `json:"rows"`
	}
	if err := c.client.call(ctx, l.method, params, &answer); err != nil {
		return connectors.Rows{}, fmt.Errorf("window %s, page %d: %w", w, number, err)
	}
	return connectors.Rows{Rows: answer.Rows, Total: answer.Total}, nil
}

// read reads a listing from a cursor to the platform's present.
func (c *Connector) read(ctx context.Context, l listing, from connectors.Cursor, give func(connectors.Page) error) error {
	list := connectors.Listing{
		Plan: connectors.Windows{
			Span: 24 * time.Hour, Settle: 5 * time.Second, Overlap: 10 * time.Second, Oldest: time.Duration(c.cfg.BackfillDays) * 24 * time.Hour,
		},
		Now: c.client.clock.Now, Size: c.cfg.PageSize,
		// Any call tells the platform's clock.
		Begin: func(ctx context.Context, _ time.Time) (int, error) {
			return 0, c.client.call(ctx, "time.get", struct{}{}, new(struct{}))
		},
		Page: func(ctx context.Context, w connectors.Window, number int, _ bool) (connectors.Rows, error) {
			return c.page(ctx, l, w, number)
		},
	}
	return list.Read(ctx, from, func(p connectors.Part) error {
		page := connectors.PageOf(l.stream, c.shop, p.Origin(), c.client.clock.Now(), p.Rows)
		page.Next = p.Next()
		if l.details {
			if err := page.Each(ctx, c.cfg.Parallel, c.detail); err != nil {
				return err
			}
		}
		return give(page)
	})
}

// detail asks for an order that the list names, and takes it in place of the
// list's row. One that cannot be had goes to the dead letter.
func (c *Connector) detail(ctx context.Context, r *connectors.Record) error {
	var row struct {
		ID connectors.LenientText `json:"id"`
	}
	if json.Unmarshal(r.Raw, &row) != nil || row.ID == "" {
		return connectors.ErrMissing
	}
	return c.client.call(ctx, "order.get", map[string]string{"id": string(row.ID)}, &r.Raw)
}
