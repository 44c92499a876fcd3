package toy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"oneid/connectors"
)

// listing is a method that lists what changed in a window, page by page.
type listing struct{ stream, method string }

var (
	orderListing  = listing{Orders, "orders.list"}
	returnListing = listing{Returns, "returns.list"}
)

// page is one page of a listing.
type page struct {
	Total int               `json:"total"`
	Rows  []json.RawMessage `json:"rows"`
}

// page asks for one page, counted from 1.
func (c *Connector) page(ctx context.Context, l listing, w connectors.Window, number int) (page, error) {
	params := map[string]int64{"from": w.From.Unix(), "to": w.To.Unix(), "page": int64(number), "size": int64(c.cfg.PageSize)}
	var p page
	if err := c.client.call(ctx, l.method, params, &p); err != nil {
		return page{}, fmt.Errorf("window %s, page %d: %w", w, number, err)
	}
	return p, nil
}

// part is one page of a window as a stream gets it; last says that the window
// is read when this page is.
type part struct {
	window connectors.Window
	number int
	rows   []json.RawMessage
	last   bool
}

// walk reads a listing from a cursor to the platform's present, window by
// window.
func (c *Connector) walk(ctx context.Context, l listing, from connectors.Cursor, take func(part) error) error {
	plan := connectors.Windows{Span: 24 * time.Hour, Settle: 5 * time.Second, Overlap: 10 * time.Second, Oldest: time.Duration(c.cfg.BackfillDays) * 24 * time.Hour}
	// Any call teaches the platform's clock, by which the last window ends.
	if err := c.client.call(ctx, "time.get", struct{}{}, new(struct{})); err != nil {
		return err
	}
	now := c.client.now()
	reached := now.Add(-plan.Oldest)
	if from != "" {
		var err error
		if reached, err = parseCursor(from); err != nil {
			return err
		}
	}
	for first := true; ; first = false {
		w, ok := plan.After(reached, now, first)
		if !ok {
			return nil
		}
		if err := c.walkWindow(ctx, l, w, take); err != nil {
			return err
		}
		reached = w.To
	}
}

// walkWindow reads a window from its last page back to its first. A row that
// changes meanwhile leaves the window, and those behind it move up: read this
// way none is missed, at worst one is read twice.
func (c *Connector) walkWindow(ctx context.Context, l listing, w connectors.Window, take func(part) error) error {
	p, err := c.page(ctx, l, w, 1)
	if err != nil {
		return err
	}
	for number := max(1, (p.Total+c.cfg.PageSize-1)/c.cfg.PageSize); number >= 1; number-- {
		if number > 1 || p.Total > c.cfg.PageSize { // the first page of one is read already
			if p, err = c.page(ctx, l, w, number); err != nil {
				return err
			}
		}
		if err := take(part{window: w, number: number, rows: p.Rows, last: number == 1}); err != nil {
			return err
		}
	}
	return nil
}

// errRow is what a row that is no object is.
var errRow = errors.New("the row is not a JSON object")

// records makes records of a part's rows.
func (c *Connector) records(l listing, p part) connectors.Page {
	now := c.client.now()
	out := connectors.Page{Server: now}
	if p.last {
		out.Next = cursorAt(p.window.To)
	}
	origin := fmt.Sprintf("page %d of %s", p.number, p.window)
	for _, row := range p.rows {
		if row = bytes.TrimSpace(row); len(row) == 0 || row[0] != '{' {
			out.Bad = append(out.Bad, connectors.BadRecord{Raw: row, Origin: origin, Err: errRow})
			continue
		}
		out.Records = append(out.Records, connectors.Record{Stream: l.stream, Shop: c.shop, Raw: row, Observed: now.Truncate(time.Millisecond), Origin: origin})
	}
	return out
}

// errNoOrder: a row of the list names no order, or one that cannot be had.
var errNoOrder = errors.New("the list names an order that the platform does not give")

// giveOrders asks for each order that a part lists. One that cannot be had
// goes to the dead letter, and the others go on.
func (c *Connector) giveOrders(ctx context.Context, p part, yield func(connectors.Page, error) bool) error {
	page := c.records(orderListing, p)
	kept := page.Records[:0]
	for _, record := range page.Records {
		var row struct {
			ID connectors.LenientText `json:"id"`
		}
		err := json.Unmarshal(record.Raw, &row)
		var detail json.RawMessage
		if err == nil && row.ID != "" {
			err = c.client.call(ctx, "order.get", map[string]string{"id": string(row.ID)}, &detail)
		} else {
			err = &connectors.Error{Class: connectors.SkipRecord}
		}
		switch {
		case err != nil && connectors.ClassOf(err) == connectors.SkipRecord:
			page.Bad = append(page.Bad, connectors.BadRecord{Raw: record.Raw, Origin: record.Origin, Err: errNoOrder})
			continue
		case err != nil:
			return err
		}
		record.Raw = detail
		kept = append(kept, record)
	}
	page.Records = kept
	return give(page, yield)
}

// cursorPrefix names the form of a cursor, so that a later form is told apart.
const cursorPrefix = "1 "

func cursorAt(t time.Time) connectors.Cursor {
	return connectors.Cursor(cursorPrefix + t.UTC().Format(time.RFC3339))
}

func parseCursor(from connectors.Cursor) (time.Time, error) {
	text, ok := strings.CutPrefix(string(from), cursorPrefix)
	t, err := time.Parse(time.RFC3339, text)
	if !ok || err != nil {
		return time.Time{}, connectors.ErrCursor
	}
	return t, nil
}
