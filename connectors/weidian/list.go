package weidian

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
type listing struct {
	stream, method, version string
	// params of the page-th page, counted from 0, of so many rows.
	params func(w connectors.Window, page, size int) map[string]any
}

// wallClock is the form of the platform's times, in GMT+8.
func wallClock(t time.Time) string { return t.In(zone).Format(time.DateTime) }

// orderListing lists orders by their update time, those of unfinished group
// purchases too. The window's end is asked for as well, since whether the
// platform counts it in is not documented: at worst its rows come twice.
var orderListing = listing{
	stream: Orders, method: "vdian.order.list.get", version: "1.5",
	params: func(w connectors.Window, page, size int) map[string]any {
		return map[string]any{
			"update_start": wallClock(w.From), "update_end": wallClock(w.To), "order_type": "all", "group_type": 0,
			"page_num": page + 1, "page_size": size,
		}
	},
}

// refundListing lists refunds by their update time; its pages are counted
// from 0. That its times have the form of the others is assumed.
var refundListing = listing{
	stream: Tickets, method: "open.SellerQueryRefundList", version: "2.0",
	params: func(w connectors.Window, page, size int) map[string]any {
		return map[string]any{
			"updateTimeStart": wallClock(w.From), "updateTimeEnd": wallClock(w.To), "pageNum": page, "pageSize": size,
		}
	},
}

// page is one page of a listing.
type page struct {
	rows []json.RawMessage
	// total over all pages; -1 when the platform does not say.
	total int
}

// page asks for one page.
func (c *Connector) page(ctx context.Context, l listing, w connectors.Window, n, size int) (page, error) {
	// It is cut and not decoded.
	var answer json.RawMessage
	err := c.client.call(ctx, l.method, l.version, l.params(w, n, size), &answer)
	p := page{total: -1}
	connectors.Members(answer, func(name string, value json.RawMessage) {
		switch name {
		case "total_num", "total":
			var total whole
			if string(value) != "null" {
				err = errors.Join(err, total.UnmarshalJSON(value))
				p.total = max(int(total), 0)
			}
		case "orders", "list", "refundList", "refundInfoList": // the name differs with the method; that of refunds is not documented
			if rows := connectors.Elements(value); rows != nil && len(p.rows) == 0 {
				p.rows = rows
			}
		}
	})
	if err != nil {
		return page{}, fmt.Errorf("window %s, page %d: %w", w, n, err)
	}
	return p, nil
}

// part is one page of a window as a stream gets it.
type part struct {
	window connectors.Window
	// number of the page, from 0.
	number int
	rows   []json.RawMessage
	// last says that the window is read when this page is.
	last bool
}

// origin names the page for people.
func (p part) origin() string { return fmt.Sprintf("page %d of %s", p.number, p.window) }

// next is the cursor behind the part.
func (p part) next() connectors.Cursor {
	if !p.last {
		return ""
	}
	return cursorAt(p.window.To)
}

// walk reads a listing from a cursor to the present, window by window, and
// gives take each page. expected is how many rows that will be, as far as the
// platform says; 0 otherwise.
func (c *Connector) walk(ctx context.Context, l listing, from connectors.Cursor, take func(p part, expected int) error) error {
	plan := c.windows()
	reached, err := c.start(from)
	if err != nil {
		return err
	}
	// This first call also learns the platform's clock, by which the last
	// window ends.
	expected, err := c.count(ctx, l, reached)
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
		if err := c.walkWindow(ctx, l, w, func(p part) error { return take(p, expected) }); err != nil {
			return err
		}
		reached = w.To
	}
}

// count is how many rows changed since, for the progress; 0 when the platform
// does not say.
func (c *Connector) count(ctx context.Context, l listing, since time.Time) (int, error) {
	w := connectors.Window{From: since, To: c.windows().End(c.client.now())}
	if w.Empty() {
		return 0, nil
	}
	p, err := c.page(ctx, l, w, 0, 1)
	if class := connectors.ClassOf(err); class == connectors.StopStream && !errors.Is(err, connectors.ErrForbidden) {
		// If it is more than a count that cannot be had, the first window
		// will say so.
		return 0, nil
	}
	return max(p.total, 0), err
}

// walkWindow reads one window from its last page back to its first. A row
// that changes meanwhile leaves the window, and those behind it move up: read
// this way none is missed, at worst one is read twice. A window of very many
// pages is cut in two where it can be.
func (c *Connector) walkWindow(ctx context.Context, l listing, w connectors.Window, take func(part) error) error {
	size := c.cfg.PageSize
	p, err := c.page(ctx, l, w, 0, size)
	if err != nil {
		return err
	}
	top, err := c.lastPage(ctx, l, w, p)
	if err != nil {
		return err
	}
	if top == 0 {
		return take(part{window: w, rows: p.rows, last: true})
	}
	if first, second, ok := w.Halves(); ok && top >= maxPages {
		if err := c.walkWindow(ctx, l, first, take); err != nil {
			return err
		}
		return c.walkWindow(ctx, l, second, take)
	}
	for n := top; n >= 0; {
		p, err := c.page(ctx, l, w, n, size)
		if err != nil {
			return err
		}
		// Rows that became visible only now stand behind it.
		if last := (p.total - 1) / size; n == top && last > top {
			top, n = last, last
			continue
		}
		if err := take(part{window: w, number: n, rows: p.rows, last: n == 0}); err != nil {
			return err
		}
		n--
	}
	return nil
}

// lastPage is the number of a window's last page, from its first page. Where
// the platform gives no total, it is looked for by doubling and halving.
func (c *Connector) lastPage(ctx context.Context, l listing, w connectors.Window, first page) (int, error) {
	size := c.cfg.PageSize
	if first.total >= 0 {
		return max(first.total-1, 0) / size, nil
	}
	if len(first.rows) < size {
		return 0, nil
	}
	// Page low has rows, page high has none.
	low, high := 0, 0
	for step := 1; high == 0; step *= 2 {
		p, err := c.page(ctx, l, w, low+step, size)
		switch {
		case err != nil:
			return 0, err
		case len(p.rows) == 0 || low+step >= 2*maxPages:
			high = low + step
		default:
			low += step
		}
	}
	for low+1 < high {
		middle := (low + high) / 2
		p, err := c.page(ctx, l, w, middle, size)
		if err != nil {
			return 0, err
		}
		if len(p.rows) == 0 {
			high = middle
		} else {
			low = middle
		}
	}
	return low, nil
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
	text, ok := strings.CutPrefix(string(from), cursorPrefix)
	t, err := time.Parse(time.RFC3339, text)
	if !ok || err != nil {
		return time.Time{}, connectors.ErrCursor
	}
	return t, nil
}

// errRow is what a row that is no object is.
var errRow = errors.New("the row is not a JSON object")

// records makes records of a part's rows; shape gives a row's raw payload.
func (c *Connector) records(stream string, p part, rows []json.RawMessage) connectors.Page {
	now := c.client.now()
	out := connectors.Page{Next: p.next(), Server: now}
	for _, row := range rows {
		if row = bytes.TrimSpace(row); len(row) == 0 || row[0] != '{' {
			out.Bad = append(out.Bad, connectors.BadRecord{Raw: row, Origin: p.origin(), Err: errRow})
			continue
		}
		out.Records = append(out.Records, connectors.Record{
			Stream: stream, Shop: c.shop, Raw: row, Observed: now.Truncate(time.Millisecond), Origin: p.origin(),
		})
	}
	return out
}

// Since implements connectors.Seeker.
func (c *Connector) Since(moment time.Time) (connectors.Cursor, time.Time) {
	// An hour inside the bound: reading takes a while.
	if oldest := c.client.now().Add(-c.windows().Oldest + time.Hour); moment.Before(oldest) {
		moment = oldest
	}
	return cursorAt(moment), moment
}
