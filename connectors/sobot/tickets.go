package sobot

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"oneid/connectors"
)

// The desk's methods.
const (
	listMethod   = "query_tickets_by_update_time"
	detailMethod = "get_ticket_by_id"
)

// countSpan bounds a window that is only counted; the desk takes a month.
const countSpan = 28 * 24 * time.Hour

// page asks for one page, counted from 1. The window's end is asked for as
// well, since whether the desk counts it in is not documented: at worst its
// rows come twice.
func (c *Connector) page(ctx context.Context, w connectors.Window, n, size int) (connectors.Rows, error) {
	var answer struct {
		Items list[json.RawMessage] `json:"items"`
		Total whole                 `json:"total_count"`
	}
	err := c.client.call(ctx, listMethod, url.Values{
		"update_start_datetime_ms": {strconv.FormatInt(w.From.UnixMilli(), 10)}, "update_end_datetime_ms": {strconv.FormatInt(w.To.UnixMilli(), 10)},
		"page_no": {strconv.Itoa(n)}, "page_size": {strconv.Itoa(size)},
	}, &answer)
	if err != nil {
		return connectors.Rows{}, fmt.Errorf("window %s, page %d: %w", w, n, err)
	}
	return connectors.Rows{Rows: answer.Items, Total: int(answer.Total)}, nil
}

// readTickets reads the tickets that changed, window by window: of each the
// ticket by itself, where that is asked for.
func (c *Connector) readTickets(ctx context.Context, from connectors.Cursor, give func(connectors.Page) error) error {
	tickets := connectors.Listing{
		Plan: c.windows(), Now: c.client.now, Begin: c.count, Size: c.cfg.PageSize, MaxRows: maxPages * c.cfg.PageSize,
		Page: func(ctx context.Context, w connectors.Window, n int, _ bool) (connectors.Rows, error) {
			return c.page(ctx, w, n, c.cfg.PageSize)
		},
	}
	return tickets.Read(ctx, from, func(p connectors.Part) error {
		page := connectors.PageOf(Tickets, c.shop, p.Origin(), c.client.now(), p.Rows)
		page.Short = p.Short
		page.Next, page.Total = p.Next(), p.Expected
		if err := page.Each(ctx, c.cfg.Parallel, c.complete); err != nil {
			return err
		}
		return give(page)
	})
}

// count is how many tickets changed since. It makes one call at least, and
// the desk's clock is known after it: until then a cursor may seem to lie in
// the future.
func (c *Connector) count(ctx context.Context, since time.Time) (int, error) {
	total := 0
	if _, err := c.client.tokens.Valid(ctx); err != nil {
		return 0, err
	}
	if now := c.client.now(); now.Before(since) {
		since = now.Add(-time.Second)
	}
	for now := c.end(); since.Before(now); since = since.Add(countSpan) {
		to := since.Add(countSpan)
		if to.After(now) {
			to = now
		}
		p, err := c.page(ctx, connectors.Window{From: since, To: to}, 1, 1)
		if err != nil {
			return 0, err
		}
		total += max(p.Total, len(p.Rows))
	}
	return total, nil
}

// What keeps a ticket of the list from being read.
var (
	errNoID   = fmt.Errorf("%w: the row has no ticketid", connectors.ErrMissing)
	errNoItem = fmt.Errorf("%w: the desk answers that all is well, with nothing of the ticket", connectors.ErrMissing)
)

// ticketID is the id of a ticket; "" of what is none.
func ticketID(raw []byte) string {
	var head struct {
		ID text `json:"ticketid"`
	}
	if len(raw) == 0 || raw[0] != '{' || json.Unmarshal(raw, &head) != nil {
		return ""
	}
	return string(head.ID)
}

// complete puts the ticket by itself in place of the list's row, where the
// settings ask for it.
func (c *Connector) complete(ctx context.Context, r *connectors.Record) error {
	id := ticketID(r.Raw)
	if id == "" {
		return errNoID
	}
	if !*c.cfg.Details {
		return nil
	}
	raw, err := c.detail(ctx, id)
	if err == nil {
		r.Raw = raw
	}
	return err
}

// detail is one ticket as the desk gives it by itself: the fields of the list
// and what was done about it.
func (c *Connector) detail(ctx context.Context, id string) (json.RawMessage, error) {
	var answer struct {
		Item json.RawMessage `json:"item"`
	}
	// The name of the parameter is assumed: that of the list's field.
	if err := c.client.call(ctx, detailMethod, url.Values{"ticketid": {id}}, &answer); err != nil {
		return nil, err
	}
	item := bytes.TrimSpace(answer.Item)
	broken, isText := connectors.Text(item)
	if len(item) > 0 && item[0] == '{' || isText && strings.HasPrefix(broken, "{") { // Map refuses one that is broken
		return item, nil
	}
	return nil, errNoItem
}

// Fetch reads one ticket by its id, as Read gives it: for whoever was told that
// it has changed. The page is empty when the desk gives nothing of it.
func (c *Connector) Fetch(ctx context.Context, stream, id string) (connectors.Page, error) {
	if stream != Tickets {
		return connectors.Page{}, fmt.Errorf("sobot: fetch from %s of shop %s: %w", stream, c.shop, connectors.ErrNoStream)
	}
	raw, err := c.detail(ctx, id)
	now := c.client.now()
	page := connectors.Page{Server: now}
	switch {
	case errors.Is(err, errNoItem):
		return page, nil
	case err != nil:
		return connectors.Page{}, fmt.Errorf("sobot: fetch a ticket of shop %s: %w", c.shop, err)
	}
	page.Records = []connectors.Record{{Stream: Tickets, Shop: c.shop, Raw: raw, Observed: now.Truncate(time.Millisecond), Origin: "fetched by itself"}}
	return page, nil
}

// Since implements connectors.Seeker.
func (c *Connector) Since(moment time.Time) (connectors.Cursor, time.Time) {
	moment = c.windows().Since(moment, c.client.now())
	return connectors.CursorAt(moment), moment
}

// Reached implements connectors.Dated.
func (*Connector) Reached(cursor connectors.Cursor) (time.Time, bool) { return cursor.Moment() }

// Lacks implements connectors.Lacking.
func (c *Connector) Lacks(stream string, cursor connectors.Cursor) (says string, of connectors.Window) {
	s := cursor.Shortfall()
	return s.Says(Platform, c.shop, stream), connectors.Window{From: s.From, To: s.To}
}

var _ connectors.Lacking = (*Connector)(nil)

// Estimate implements connectors.Estimator.
func (c *Connector) Estimate(ctx context.Context, stream string, from connectors.Cursor) (connectors.Estimate, error) {
	if stream != Tickets {
		return connectors.Estimate{}, connectors.ErrNoStream
	}
	reached, err := c.windows().Start(from, c.client.now())
	if err != nil {
		return connectors.Estimate{}, err
	}
	rows, err := c.count(ctx, reached)
	if err != nil {
		return connectors.Estimate{}, err
	}
	span := c.end().Sub(reached)
	e := connectors.Estimate{
		Records: rows, Calls: 1 + int(span/countSpan) + connectors.PagedCalls(int(span/(24*time.Hour))+1, rows, c.cfg.PageSize),
		PerSecond: c.cfg.RequestsPerSecond, PerDay: c.cfg.CallsPerDay,
	}
	if *c.cfg.Details {
		e.Calls += rows
	}
	return e, nil
}
