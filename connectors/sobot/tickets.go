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

	"golang.org/x/sync/errgroup"

	"oneid/connectors"
)

// The desk's methods.
const (
	listMethod   = "query_tickets_by_update_time"
	detailMethod = "get_ticket_by_id"
)

// countSpan bounds a window that is only counted; the desk takes a month.
const countSpan = 28 * 24 * time.Hour

// page is one page of the list.
type page struct {
	rows  []json.RawMessage
	total int
}

// page asks for one page, counted from 1. The window's end is asked for as
// well, since whether the desk counts it in is not documented: at worst its
// rows come twice.
func (c *Connector) page(ctx context.Context, w connectors.Window, n, size int) (page, error) {
	var answer struct {
		Items list[json.RawMessage] `json:"items"`
		Total whole                 `json:"total_count"`
	}
	err := c.client.call(ctx, listMethod, url.Values{
		"update_start_datetime_ms": {strconv.FormatInt(w.From.UnixMilli(), 10)}, "update_end_datetime_ms": {strconv.FormatInt(w.To.UnixMilli(), 10)},
		"page_no": {strconv.Itoa(n)}, "page_size": {strconv.Itoa(size)},
	}, &answer)
	if err != nil {
		return page{}, fmt.Errorf("window %s, page %d: %w", w, n, err)
	}
	return page{answer.Items, max(int(answer.Total), len(answer.Items))}, nil
}

// readTickets reads the tickets that changed, window by window.
func (c *Connector) readTickets(ctx context.Context, from connectors.Cursor, yield func(connectors.Page, error) bool) error {
	plan := c.windows()
	reached, err := c.start(from)
	if err != nil {
		return err
	}
	// This first call also learns the desk's clock, by which the last window
	// ends.
	expected, err := c.count(ctx, reached)
	if err != nil {
		return err
	}
	now := c.client.now()
	if from == "" {
		reached = now.Add(-plan.Oldest)
	}
	for first := true; ; first = false {
		w, ok := plan.After(reached, now, first)
		if !ok {
			return nil
		}
		err := c.readWindow(ctx, w, func(p connectors.Page) error {
			p.Total = expected
			if !yield(p, nil) {
				return errStopped
			}
			return nil
		})
		if err != nil {
			return err
		}
		reached = w.To
	}
}

// count is how many tickets changed since. It makes one call at least, and
// the desk's clock is known after it: until then a cursor may seem to lie in
// the future.
func (c *Connector) count(ctx context.Context, since time.Time) (int, error) {
	total := 0
	if _, err := c.client.token(ctx); err != nil {
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
		total += p.total
	}
	return total, nil
}

// readWindow reads one window from its last page back to its first. A ticket
// that changes meanwhile leaves the window, and those behind it move up: read
// this way none is missed, at worst one is read twice. A window of very many
// pages is cut in two where it can be.
func (c *Connector) readWindow(ctx context.Context, w connectors.Window, take func(connectors.Page) error) error {
	size := c.cfg.PageSize
	p, err := c.page(ctx, w, 1, size)
	if err != nil {
		return err
	}
	top := last(p.total, size)
	if first, second, ok := w.Halves(); ok && top >= maxPages {
		if err := c.readWindow(ctx, first, take); err != nil {
			return err
		}
		return c.readWindow(ctx, second, take)
	}
	for n := top; n >= 1; n-- {
		if top > 1 {
			if p, err = c.page(ctx, w, n, size); err != nil {
				return err
			}
			// Tickets that became visible only now stand behind it.
			if now := last(p.total, size); n == top && now > top {
				top, n = now, now+1
				continue
			}
		}
		records, err := c.records(ctx, w, n, p.rows)
		if err != nil {
			return err
		}
		if n == 1 {
			records.Next = cursorAt(w.To)
		}
		if err := take(records); err != nil {
			return err
		}
	}
	return nil
}

// last is the number of the last page of so many rows.
func last(rows, size int) int { return max(1, (rows+size-1)/size) }

// errRow is what a row that is no ticket is.
var errRow = errors.New("the row is not a JSON object with a ticketid")

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

// records makes records of a page's rows: of each the ticket by itself, where
// that is asked for.
func (c *Connector) records(ctx context.Context, w connectors.Window, n int, rows []json.RawMessage) (connectors.Page, error) {
	now := c.client.now()
	origin := fmt.Sprintf("page %d of %s", n, w)
	out := connectors.Page{Server: now}
	raws, faults := make([]json.RawMessage, len(rows)), make([]error, len(rows))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(c.cfg.Parallel)
	for i, row := range rows {
		row = bytes.TrimSpace(row)
		id := ticketID(row)
		if id == "" {
			faults[i] = errRow
			continue
		}
		raws[i] = row
		if !*c.cfg.Details {
			continue
		}
		group.Go(func() error {
			raw, err := c.detail(groupCtx, id)
			if errors.Is(err, errNoItem) {
				faults[i] = err
				return nil
			}
			raws[i] = raw
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return connectors.Page{}, err
	}
	for i, row := range rows {
		if faults[i] != nil {
			out.Bad = append(out.Bad, connectors.BadRecord{Raw: row, Origin: origin, Err: faults[i]})
			continue
		}
		out.Records = append(out.Records, connectors.Record{
			Stream: Tickets, Shop: c.shop, Raw: raws[i], Observed: now.Truncate(time.Millisecond), Origin: origin,
		})
	}
	return out, nil
}

// errNoItem: the desk answered that all is well, with nothing.
var errNoItem = errors.New("the desk lists the ticket and gives nothing of it by itself")

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
	if item := bytes.TrimSpace(answer.Item); len(item) > 0 && item[0] == '{' {
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

// cursorPrefix names the form of a cursor, so that a later form is told apart.
const cursorPrefix = "1 "

// cursorAt is the cursor of a stream that was read up to t.
func cursorAt(t time.Time) connectors.Cursor {
	return connectors.Cursor(cursorPrefix + t.UTC().Format(time.RFC3339))
}

// start is the moment that a cursor says, or the beginning of the backfill.
func (c *Connector) start(from connectors.Cursor) (time.Time, error) {
	if from == "" {
		return c.client.now().Add(-c.windows().Oldest), nil
	}
	moment, ok := strings.CutPrefix(string(from), cursorPrefix)
	t, err := time.Parse(time.RFC3339, moment)
	if !ok || err != nil {
		return time.Time{}, connectors.ErrCursor
	}
	return t, nil
}

// Since implements connectors.Seeker.
func (c *Connector) Since(moment time.Time) (connectors.Cursor, time.Time) {
	// An hour inside the bound: reading takes a while.
	if oldest := c.client.now().Add(-c.windows().Oldest + time.Hour); moment.Before(oldest) {
		moment = oldest
	}
	return cursorAt(moment), moment
}

// Estimate implements connectors.Estimator.
func (c *Connector) Estimate(ctx context.Context, stream string, from connectors.Cursor) (connectors.Estimate, error) {
	if stream != Tickets {
		return connectors.Estimate{}, connectors.ErrNoStream
	}
	reached, err := c.start(from)
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
