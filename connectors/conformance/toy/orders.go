package toy

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"oneid/connectors"
)

// listing is a list of what changed in a window, page by page.
type listing struct {
	stream string
	// page asks for a page, as connectors.Listing does.
	page func(ctx context.Context, w connectors.Window, number int, first bool) (connectors.Rows, error)
	// details: its rows name what is to be asked for one by one.
	details bool
}

// listings are what is read.
func (c *Connector) listings() []listing {
	return []listing{
		{stream: Orders, page: c.orders, details: true},
		{stream: Returns, page: connectors.ByToken(c.returns)},
	}
}

// orders asks for one page, counted from 1.
func (c *Connector) orders(ctx context.Context, w connectors.Window, number int, _ bool) (connectors.Rows, error) {
	params := map[string]int64{"from": w.From.Unix(), "to": w.To.Unix(), "page": int64(number), "size": int64(c.cfg.PageSize)}
	var answer struct {
		Total int               `json:"total"`
		Rows  []json.RawMessage `json:"rows"`
	}
	if err := c.client.call(ctx, "orders.list", params, &answer); err != nil {
		return connectors.Rows{}, fmt.Errorf("window %s, page %d: %w", w, number, err)
	}
	return connectors.Rows{Rows: answer.Rows, Total: answer.Total}, nil
}

// returns asks for the page of a token; "" is the first one. It gives the token
// of the next; "" behind the last.
func (c *Connector) returns(ctx context.Context, w connectors.Window, token string) (rows []json.RawMessage, next string, err error) {
	params := map[string]any{"from": w.From.Unix(), "to": w.To.Unix(), "token": token, "size": c.cfg.PageSize}
	var answer struct {
		Rows []json.RawMessage `json:"rows"`
		Next string            `json:"next"`
	}
	if err := c.client.call(ctx, "returns.list", params, &answer); err != nil {
		return nil, "", fmt.Errorf("window %s: %w", w, err)
	}
	return answer.Rows, answer.Next, nil
}

// windows are how a list is read from a moment on.
func (c *Connector) windows() connectors.Windows {
	return connectors.Windows{
		Span:    24 * time.Hour,
		Settle:  time.Duration(*c.cfg.SettleSeconds) * time.Second,
		Overlap: time.Duration(*c.cfg.OverlapSeconds) * time.Second,
		First:   time.Duration(c.cfg.BackfillDays) * 24 * time.Hour,
	}
}

// read reads a listing from a cursor to the platform's present.
func (c *Connector) read(ctx context.Context, l listing, from connectors.Cursor, give func(connectors.Page) error) error {
	list := connectors.Listing{
		Plan: c.windows(), Now: c.client.clock.Now, Size: c.cfg.PageSize, Page: l.page,
		// Any call tells the platform's clock.
		Begin: func(ctx context.Context, _ time.Time) (int, error) {
			return 0, c.client.call(ctx, "time.get", struct{}{}, new(struct{}))
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

// Since implements connectors.Seeker.
func (c *Connector) Since(moment time.Time) (connectors.Cursor, time.Time) {
	moment = c.windows().Since(moment, c.client.clock.Now())
	return connectors.CursorAt(moment), moment
}

// Reached implements connectors.Dated.
func (*Connector) Reached(cursor connectors.Cursor) (time.Time, bool) { return cursor.Moment() }
