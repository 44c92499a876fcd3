package tmall

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"

	"oneid/connectors"
)

// position is what a cursor of this connector holds: all that was changed
// before Reached was read.
type position struct {
	V       int       `json:"v"`
	Reached time.Time `json:"reached"`
}

// cursorVersion is raised when an old cursor can no longer be read.
const cursorVersion = 1

func cursorAt(reached time.Time) connectors.Cursor {
	text, _ := json.Marshal(position{cursorVersion, reached.UTC()})
	return connectors.Cursor(text)
}

func parseCursor(cursor connectors.Cursor) (time.Time, error) {
	var p position
	if err := json.Unmarshal([]byte(cursor), &p); err != nil || p.V != cursorVersion || p.Reached.IsZero() {
		return time.Time{}, fmt.Errorf("%w: it was not written by this version of the connector; remove it to read anew", connectors.ErrCursor)
	}
	return p.Reached, nil
}

// A listing is a method of the platform that lists what was changed in a
// window of time, newest change first.
type listing struct {
	method string
	// params are those that every call has.
	params map[string]string
	// The names of the parameters and keys, which differ between methods.
	start, end, page  string
	list, item, total string
	// hasNext: the method knows use_has_next.
	hasNext bool
	// records makes the records of a page's rows.
	records func(ctx context.Context, p pageOf, rows []json.RawMessage) ([]json.RawMessage, error)
}

// pageOf names a page of a window.
type pageOf struct {
	window connectors.Window
	number int
}

// answer is one page as the platform gave it.
type answer struct {
	rows    []json.RawMessage
	total   int
	hasNext bool
}

// readWindows reads a listing from a cursor to the platform's present, window
// after window. Up to cfg.Parallel windows are read at the same time; their
// pages are yielded in the order of the windows, and the cursor moves at each
// window's end.
//
// The pages of one window are read one after the other, the last first. A row
// that is changed meanwhile leaves the window, and the rows behind it move
// towards the first page: into pages that are still to be read.
func (c *Connector) readWindows(ctx context.Context, l listing, from connectors.Cursor, yield func(connectors.Page, error) bool) error {
	server, err := c.client.serverTime(ctx)
	if err != nil {
		return err
	}
	plan := c.windows()
	reached := server.Add(-plan.Oldest)
	if from != "" {
		if reached, err = parseCursor(from); err != nil {
			return err
		}
	}
	var running sync.WaitGroup
	defer running.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	// queue holds the windows being read, in order. Each has room for two
	// pages, so that memory is bounded by 2 × Parallel pages.
	var queue []chan result
	first := true
	start := func() bool {
		w, ok := plan.After(reached, server, first)
		if !ok {
			return false
		}
		first, reached = false, w.To
		results := make(chan result, 2)
		queue = append(queue, results)
		running.Go(func() {
			defer close(results)
			emit := func(r result) error {
				select {
				case results <- r:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			if err := c.readWindow(ctx, l, w, func(p connectors.Page) error { return emit(result{page: p}) }); err != nil {
				_ = emit(result{err: fmt.Errorf("window %s: %w", w, err)}) // fails only when nobody listens
			}
		})
		return true
	}
	for len(queue) < c.cfg.Parallel && start() {
	}
	// ended is the cursor behind windows that held nothing: it is yielded
	// only when nothing else moves the cursor further.
	var ended connectors.Page
	for len(queue) > 0 {
		for r := range queue[0] {
			if r.err != nil {
				return r.err
			}
			if len(r.page.Records)+len(r.page.Bad) == 0 {
				ended = r.page
				continue
			}
			ended = connectors.Page{}
			if !yield(r.page, nil) {
				return errStopped
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		queue = queue[1:]
		start()
	}
	if ended.Next != "" && !yield(ended, nil) {
		return errStopped
	}
	return nil
}

type result struct {
	page connectors.Page
	err  error
}

// readWindow reads one window, in halves where it is too full or the platform
// asks for a shorter one.
func (c *Connector) readWindow(ctx context.Context, l listing, w connectors.Window, emit func(connectors.Page) error) error {
	err := c.readWhole(ctx, l, w, emit)
	wait, shorter := narrower(err)
	if !shorter && !errors.Is(err, errTooFull) {
		return err
	}
	first, second, ok := w.Halves()
	if !ok {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(wait):
	}
	if err := c.readWindow(ctx, l, first, emit); err != nil {
		return err
	}
	return c.readWindow(ctx, l, second, emit)
}

// errTooFull: the window has more pages than cfg.WindowPages.
var errTooFull = &connectors.Error{
	Platform: Platform, Class: connectors.StopStream, Message: "more records in one second than window_pages allows", Mend: "raise window_pages",
}

// readWhole reads a window's pages from the last to the first. The first call
// tells how many there are; a window of one page is complete with it.
func (c *Connector) readWhole(ctx context.Context, l listing, w connectors.Window, emit func(connectors.Page) error) error {
	one, err := c.list(ctx, l, w, 1, false)
	if err != nil {
		return err
	}
	pages := (one.total + c.cfg.PageSize - 1) / c.cfg.PageSize
	if pages > c.cfg.WindowPages {
		return errTooFull
	}
	if pages <= 1 && len(one.rows) <= c.cfg.PageSize {
		return c.emitPage(ctx, l, pageOf{w, 1}, one, true, emit)
	}
	last, err := c.list(ctx, l, w, pages, true)
	for err == nil && last.hasNext {
		// More became visible since they were counted.
		pages++
		last, err = c.list(ctx, l, w, pages, true)
	}
	if err != nil {
		return err
	}
	for number := pages; number >= 1; number-- {
		page := last
		if number < pages {
			if page, err = c.list(ctx, l, w, number, true); err != nil {
				return err
			}
		}
		if err := c.emitPage(ctx, l, pageOf{w, number}, page, number == 1, emit); err != nil {
			return err
		}
	}
	return nil
}

// emitPage makes records of a page's rows and hands them on; the window's end
// carries the cursor.
func (c *Connector) emitPage(ctx context.Context, l listing, at pageOf, a answer, end bool, emit func(connectors.Page) error) error {
	rows, err := l.records(ctx, at, a.rows)
	if err != nil {
		return err
	}
	page := connectors.Page{Server: c.client.now().UTC(), Records: make([]connectors.Record, 0, len(rows))}
	for _, raw := range rows {
		page.Records = append(page.Records, connectors.Record{
			Stream: streamOf[l.list], Shop: c.shop, Raw: raw, Observed: page.Server,
			Origin: fmt.Sprintf("%s page %d of %s", l.method, at.number, at.window),
		})
	}
	if end {
		page.Next = cursorAt(at.window.To)
	}
	return emit(page)
}

// streamOf names the stream that a list of the platform belongs to.
var streamOf = map[string]string{"trades": Orders, "refunds": Tickets, "members": Users}

// list calls a listing's method for one page.
func (c *Connector) list(ctx context.Context, l listing, w connectors.Window, number int, useHasNext bool) (answer, error) {
	params := make(map[string]string, len(l.params)+5)
	maps.Copy(params, l.params)
	params[l.start] = w.From.In(zone).Format(timeLayout)
	params[l.end] = w.To.In(zone).Format(timeLayout)
	params[l.page] = strconv.Itoa(number)
	params["page_size"] = strconv.Itoa(c.cfg.PageSize)
	if l.hasNext {
		params["use_has_next"] = strconv.FormatBool(useHasNext)
	}
	return c.rows(ctx, l.method, params, l.list, l.item, l.total)
}

// rows calls a method that answers with a list.
func (c *Connector) rows(ctx context.Context, method string, params map[string]string, list, item, total string) (answer, error) {
	var body map[string]json.RawMessage
	if err := c.client.call(ctx, method, params, &body); err != nil {
		return answer{}, err
	}
	a := answer{rows: unwrap(body[list], item)}
	a.total = number(body[total])
	a.hasNext = strings.Trim(string(body["has_next"]), `" `) == "true"
	return a, nil
}

// unwrap takes the elements out of a list as the platform wraps it:
// {"trade":[…]}; also the forms that proxies and simplify make of it: a lone
// object in place of a list, a list with no inner name, nothing at all.
func unwrap(raw json.RawMessage, item string) []json.RawMessage {
	if rows := connectors.Elements(raw); rows != nil {
		return rows
	}
	var inner json.RawMessage
	connectors.Members(raw, func(name string, value json.RawMessage) {
		if name == item {
			inner = value
		}
	})
	if rows := connectors.Elements(inner); rows != nil {
		return rows
	}
	if len(inner) > 0 && inner[0] == '{' {
		return []json.RawMessage{inner}
	}
	return nil
}

// number reads a count that may stand as a number or as text; 0 for any
// other form.
func number(raw json.RawMessage) int {
	n, err := strconv.Atoi(strings.Trim(string(raw), `" `))
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// Since implements connectors.Seeker.
func (c *Connector) Since(moment time.Time) (connectors.Cursor, time.Time) {
	// An hour inside the bound: reading takes a while.
	if oldest := c.client.now().Add(-c.windows().Oldest + time.Hour); moment.Before(oldest) {
		moment = oldest
	}
	return cursorAt(moment), moment
}
