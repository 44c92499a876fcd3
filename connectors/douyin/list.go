package douyin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"oneid/connectors"
)

// listing is a method that lists what changed in a window, page by page.
type listing struct {
	stream, method string
	// params of the page-th page, counted from 1, of so many rows.
	params func(w connectors.Window, page, size int) map[string]any
	// row is under which name a row stands in its record, and detail what says more
	// of it; empty of orders, whose rows say all.
	row    string
	detail detail
	// noData is the sub-code by which the method says that nothing is in the window,
	// where it is documented; empty of others.
	noData string
	// oldest is how far back the method lists; 0 is any time.
	oldest time.Duration
}

// listings are those of the streams; users are the buyers of orders.
var listings = map[string]listing{Orders: orderListing, Users: orderListing, Aftersales: aftersaleListing, Services: serviceListing}

// errNoList is the error of an answer that is none: taken for an empty list, it
// would leave out what the window has.
var errNoList = errors.New("the answer holds neither rows nor how many there are")

// page asks for one page.
func (c *Connector) page(ctx context.Context, l listing, w connectors.Window, n, size int) (connectors.Rows, error) {
	// Nearly all that is read comes by here: it is cut and not decoded.
	var answer json.RawMessage
	err := c.client.call(ctx, l.method, l.params(w, n, size), &answer)
	var total whole
	told := bytes.HasPrefix(answer, []byte("["))
	rows := connectors.Listed(answer, func(name string, value json.RawMessage) {
		if name == "total" {
			told = true
			err = errors.Join(err, total.UnmarshalJSON(value))
		}
	}, "shop_order_list", "items", "list") // the name differs with the method
	if l.noData != "" && isNoData(err, l.noData) {
		return connectors.Rows{}, nil
	}
	if err == nil && !told && rows == nil {
		err = errNoList
	}
	if err != nil {
		return connectors.Rows{}, fmt.Errorf("window %s, page %d: %w", w, n, err)
	}
	return connectors.Rows{Rows: rows, Total: int(total)}, nil
}

// walk reads a stream's listing from a cursor to the present, window by window, and
// gives take each page.
func (c *Connector) walk(ctx context.Context, stream string, from connectors.Cursor, take func(connectors.Part) error) error {
	l := listings[stream]
	pages := connectors.Listing{
		Plan: c.windows(l), Now: c.client.now, Size: c.cfg.PageSize,
		// That many rows may be those of more: the platform gives no others.
		MaxRows: maxRows - 1, TooFull: refusal("", c.shop, l.method, "40004", subTooMany, ""), Shorter: isTooMany,
		TooOld: func(missing connectors.Window) {
			c.log.WarnContext(ctx, "a part is not read: the platform no longer shows what changed in it", "stream", stream, "window", missing.String())
		},
		Begin: func(ctx context.Context, since time.Time) (int, error) { return c.count(ctx, l, since) },
		Page: func(ctx context.Context, w connectors.Window, n int, _ bool) (connectors.Rows, error) {
			return c.page(ctx, l, w, n, c.cfg.PageSize)
		},
	}
	return pages.Read(ctx, from, connectors.Warning(ctx, c.log, stream, take))
}

// count is how many rows changed since, for the progress; 0 when the platform
// does not say.
func (c *Connector) count(ctx context.Context, l listing, since time.Time) (int, error) {
	now, plan := c.client.now(), c.windows(l)
	w := connectors.Window{From: plan.Shown(since, now), To: plan.End(now)}
	if w.Empty() {
		// The cursor lies ahead of our clock: only an answer tells the platform's.
		w.From = w.To.Add(-time.Second)
	}
	rows, err := c.rowsIn(ctx, l, w)
	if refused := (*connectors.Error)(nil); errors.As(err, &refused) && (refused.Class == connectors.StopStream || refused.Class == connectors.SkipRecord) {
		// If it is more than a count that cannot be had, the first window
		// will say so.
		return 0, nil
	}
	return rows, err
}

// rowsIn is how many rows a window has. Of more than one query gives the platform
// may tell no number, or that of those alone: then each half is asked for.
func (c *Connector) rowsIn(ctx context.Context, l listing, w connectors.Window) (int, error) {
	p, err := c.page(ctx, l, w, 1, 1)
	first, second, ok := w.Halves()
	if !ok || !isTooMany(err) && p.Total != maxRows {
		return p.Total, err
	}
	earlier, err := c.rowsIn(ctx, l, first)
	if err != nil {
		return 0, err
	}
	later, err := c.rowsIn(ctx, l, second)
	return earlier + later, err
}

// isTooMany says that a query has more rows than the platform gives.
func isTooMany(err error) bool {
	var refused *connectors.Error
	return errors.As(err, &refused) && refused.SubCode == subTooMany
}

// isNoData says that a list refuses with the sub-code that means that it is empty.
func isNoData(err error, code string) bool {
	var refused *connectors.Error
	return errors.As(err, &refused) && refused.SubCode == code
}

// records makes records of a part's rows, or of what was made of them.
func (c *Connector) records(stream string, p connectors.Part, rows []json.RawMessage) connectors.Page {
	page := connectors.PageOf(stream, c.shop, p.Origin(), c.client.now(), rows)
	page.Short = p.Short
	page.Next = p.Next()
	return page
}

// Since implements connectors.Seeker, for all streams: it reaches no further back than
// orders are listed.
func (c *Connector) Since(moment time.Time) (connectors.Cursor, time.Time) {
	moment = c.windows(orderListing).Since(moment, c.client.now())
	return connectors.CursorAt(moment), moment
}

// SinceOf implements connectors.StreamSeeker: after-sales and service tickets of any age
// are listed.
func (c *Connector) SinceOf(stream string, moment time.Time) (connectors.Cursor, time.Time) {
	if l, ok := listings[stream]; ok && l.oldest == 0 {
		return connectors.CursorAt(moment), moment
	}
	return c.Since(moment)
}

// Reached implements connectors.Dated.
func (*Connector) Reached(cursor connectors.Cursor) (time.Time, bool) { return cursor.Moment() }

// Lacks implements connectors.Lacking.
func (c *Connector) Lacks(stream string, cursor connectors.Cursor) (says string, of connectors.Window) {
	short, gap := cursor.Shortfall(), cursor.Gap()
	if gap.None() { // else no backfill has all of it
		of = connectors.Window{From: short.From, To: short.To}
	}
	tooOld := gap.Says(Platform, c.shop, stream, "the orders")
	if tooOld != "" { // orders are listed for so long after they were made, whenever they change
		tooOld += ". Later changes of orders that were made before the end of that time are not listed either: an export brings them, too"
	}
	all := slices.DeleteFunc([]string{short.Says(Platform, c.shop, stream), tooOld}, func(s string) bool { return s == "" })
	return strings.Join(all, "; "), of
}

var (
	_ connectors.Dated        = (*Connector)(nil)
	_ connectors.Lacking      = (*Connector)(nil)
	_ connectors.StreamSeeker = (*Connector)(nil)
)
