package weidian

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"oneid/connectors"
)

// listing is a method that lists what changed in a window, page by page.
type listing struct {
	stream, method, version string
	// params of the page-th page, counted from 1, of so many rows.
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
			"page_num": page, "page_size": size,
		}
	},
}

// refundListing lists refunds by their update time; its pages are counted
// from 0. That its times have the form of the others is assumed.
var refundListing = listing{
	stream: Tickets, method: "open.SellerQueryRefundList", version: "2.0",
	params: func(w connectors.Window, page, size int) map[string]any {
		return map[string]any{
			"updateTimeStart": wallClock(w.From), "updateTimeEnd": wallClock(w.To), "pageNum": page - 1, "pageSize": size,
		}
	},
}

// page asks for one page. Its total is -1 when the platform does not say.
func (c *Connector) page(ctx context.Context, l listing, w connectors.Window, n, size int) (connectors.Rows, error) {
	// It is cut and not decoded.
	var answer json.RawMessage
	err := c.client.call(ctx, l.method, l.version, l.params(w, n, size), &answer)
	p := connectors.Rows{Total: -1}
	p.Rows = connectors.Listed(answer, func(name string, value json.RawMessage) {
		if (name == "total_num" || name == "total") && string(value) != "null" {
			var total whole
			err = errors.Join(err, total.UnmarshalJSON(value))
			p.Total = max(int(total), 0)
		}
	}, "orders", "list", "refundList", "refundInfoList") // the name differs with the method; that of refunds is not documented
	if err == nil && p.Rows == nil && p.Total < 0 {
		// Taken for an empty list it would leave out what the window has, for good.
		// How that of refunds is called is not documented: under another name it
		// stops the stream, which is seen.
		err = errNoList
	}
	if err != nil {
		return connectors.Rows{}, fmt.Errorf("window %s, page %d: %w", w, n, err)
	}
	return p, nil
}

var errNoList = errors.New("the answer holds neither rows under a name that is known nor how many there are")

// walk reads a listing from a cursor to the present, window by window, and
// gives take each page. A window of very many pages is cut in two where it can
// be.
func (c *Connector) walk(ctx context.Context, l listing, from connectors.Cursor, take func(connectors.Part) error) error {
	pages := connectors.Listing{
		Plan: c.windows(), Now: c.client.now, Size: c.cfg.PageSize, MaxRows: maxPages * c.cfg.PageSize,
		Begin: func(ctx context.Context, since time.Time) (int, error) { return c.count(ctx, l, since) },
		Page: func(ctx context.Context, w connectors.Window, n int, first bool) (connectors.Rows, error) {
			p, err := c.page(ctx, l, w, n, c.cfg.PageSize)
			if err == nil && first && p.Total < 0 && len(p.Rows) >= c.cfg.PageSize {
				p.Total, err = c.untold(ctx, l, w)
			}
			return p, err
		},
	}
	return pages.Read(ctx, from, connectors.Warning(ctx, c.log, l.stream, take))
}

// count is how many rows changed since, for the progress; 0 when the platform
// does not say.
func (c *Connector) count(ctx context.Context, l listing, since time.Time) (int, error) {
	w := connectors.Window{From: since, To: c.windows().End(c.client.now())}
	if w.Empty() {
		// The cursor lies ahead of our clock: only an answer tells the platform's.
		w.From = w.To.Add(-time.Second)
	}
	p, err := c.page(ctx, l, w, 1, 1)
	if class := connectors.ClassOf(err); class == connectors.StopStream && !errors.Is(err, connectors.ErrForbidden) {
		// If it is more than a count that cannot be had, the first window
		// will say so.
		return 0, nil
	}
	return max(p.Total, 0), err
}

// untold is about how many rows a window has whose first page is full and tells
// no total: its last page is looked for by doubling and halving.
func (c *Connector) untold(ctx context.Context, l listing, w connectors.Window) (int, error) {
	hasRows := func(number int) (bool, error) {
		p, err := c.page(ctx, l, w, number, c.cfg.PageSize)
		return len(p.Rows) > 0, err
	}
	// Page low has rows, page high has none.
	low, high := 1, 0
	for step := 1; high == 0; step *= 2 {
		some, err := hasRows(low + step)
		switch {
		case err != nil:
			return 0, err
		case !some || low+step > 2*maxPages:
			high = low + step
		default:
			low += step
		}
	}
	for low+1 < high {
		middle := (low + high) / 2
		some, err := hasRows(middle)
		switch {
		case err != nil:
			return 0, err
		case some:
			low = middle
		default:
			high = middle
		}
	}
	return low * c.cfg.PageSize, nil
}

// records makes records of a part's rows, or of what was made of them.
func (c *Connector) records(stream string, p connectors.Part, rows []json.RawMessage) connectors.Page {
	page := connectors.PageOf(stream, c.shop, p.Origin(), c.client.now(), rows)
	page.Short = p.Short
	page.Next = p.Next()
	return page
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

var (
	_ connectors.Dated   = (*Connector)(nil)
	_ connectors.Lacking = (*Connector)(nil)
)
