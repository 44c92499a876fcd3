package tmall

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"

	"oneid/connectors"
)

// A listing is a method of the platform that lists what was changed in a
// window of time, newest change first.
type listing struct {
	method string
	// params are those that every call has.
	params map[string]string
	// The names of the parameters and keys, which differ between methods.
	start, end, page  string
	list, item, total string
	// hasNext: the method knows use_has_next, and says then whether there is
	// another page in place of the total, which costs it much.
	hasNext bool
	// most is how many rows a page has at most; 0 leaves it to the settings.
	most int
	// whole: what the platform no longer shows of a window is errAged.
	whole bool
	// ageless: no age is documented that a window may not begin before. One that the
	// platform refuses for that is left out, and said to be; see isTooOld.
	ageless bool
	// records makes the records of a page's rows.
	records func(ctx context.Context, p connectors.Part, rows []json.RawMessage) ([]json.RawMessage, error)
}

// readWindows reads a listing from a cursor to the platform's present, window
// after window. Up to cfg.Parallel windows are read at the same time; their
// pages are given in the order of the windows, and the cursor moves at each
// window's end.
func (c *Connector) readWindows(ctx context.Context, l listing, from connectors.Cursor, give func(connectors.Page) error) error {
	var at position
	if from != "" { // a foreign one is refused before anything is asked
		var err error
		if at, err = parsePosition(from); err != nil {
			return err
		}
	}
	server, err := c.client.serverTime(ctx)
	if err != nil {
		return err
	}
	plan := c.plan(l)
	fresh, reached := plan.Fresh(server), server.Add(-plan.First)
	if from != "" {
		reached = at.Reached
		if l.whole && !plan.Missing(reached, server).Empty() {
			return errAged
		}
	}
	var running sync.WaitGroup
	defer running.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	// queue holds the windows being read, in order. Each has room for two
	// pages, so that memory is bounded by 2 × Parallel pages.
	var queue []chan result
	next, stop := iter.Pull(plan.Between(reached, server))
	defer stop()
	start := func() bool {
		w, ok := next()
		if !ok {
			return false
		}
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
			if err := c.readWindow(ctx, l, w, fresh, emit); err != nil {
				_ = emit(result{err: fmt.Errorf("window %s: %w", w, err)}) // fails only when nobody listens
			}
		})
		return true
	}
	for len(queue) < c.cfg.Parallel && start() {
	}
	var missing connectors.Gap // of this reading
	defer func() {
		if !missing.None() {
			c.log.WarnContext(ctx, "a part is not read: the platform no longer shows what changed in it", "method", l.method, "from", missing.From, "to", missing.To)
		}
	}()
	// ended is the cursor behind windows that held nothing, with how many rows they
	// lack: it is given only when nothing else moves the cursor further.
	var ended connectors.Page
	for len(queue) > 0 {
		for r := range queue[0] {
			if r.err != nil {
				return r.err
			}
			if r.of.Last {
				at.Reached, at.Short = r.of.Window.To, at.Short.After(r.of.Window, r.of.Short)
				missing, at.Gap = missing.With(r.missing, server), at.Gap.With(r.missing, server).After(at.Reached)
				r.page.Next = at.cursor()
			}
			r.page.Short += ended.Short
			if len(r.page.Records)+len(r.page.Bad) == 0 {
				ended = r.page
				continue
			}
			ended = connectors.Page{}
			if err := give(r.page); err != nil {
				return err
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		queue = queue[1:]
		start()
	}
	if ended.Next != "" {
		return give(ended)
	}
	return nil
}

type result struct {
	page connectors.Page
	of   connectors.Part // what the page was made of
	err  error
	// missing is what the platform no longer shows of the page's window: all of it, or
	// nothing.
	missing connectors.Window
}

// readWindow reads one window, in parts where it is too full, the platform asks
// for a shorter one or did so lately, or rows may still show in its end (fresh).
func (c *Connector) readWindow(ctx context.Context, l listing, w connectors.Window, fresh time.Time, emit func(result) error) error {
	pages := connectors.Listing{
		Fresh: fresh, Size: c.cfg.PageSize, MaxRows: c.cfg.WindowPages * c.cfg.PageSize, TooFull: errTooFull, Shorter: narrower,
		TooLong: func(w connectors.Window) bool { return c.spans.tooLong(l.list, w) },
		Page: func(ctx context.Context, w connectors.Window, number int, first bool) (connectors.Rows, error) {
			a, err := c.list(ctx, l, w, number, !first)
			if l.whole && (err == nil || refused(err)) && c.aged(w) {
				return a, errAged
			}
			return a, err
		},
	}
	take := connectors.Warning(ctx, c.log, streamOf[l.list], func(p connectors.Part) error {
		return c.emitPage(ctx, l, p, func(page connectors.Page) error { return emit(result{page: page, of: p}) })
	})
	if !l.ageless {
		return pages.Window(ctx, w, take)
	}
	return c.readShown(ctx, &pages, w, take, func(missing connectors.Window) error {
		return emit(result{page: connectors.Page{Server: c.client.now()}, of: connectors.Part{Window: missing, Number: 1, Last: true}, missing: missing})
	})
}

// borderStep is the shortest window of which a part is looked for that the platform
// still shows, where it refuses the window for its age.
const borderStep = time.Hour

// readShown reads what the platform shows of a window, and gives leave what it does not.
func (c *Connector) readShown(ctx context.Context, pages *connectors.Listing, w connectors.Window, take func(connectors.Part) error, leave func(connectors.Window) error) error {
	err := pages.Window(ctx, w, take)
	if !c.isTooOld(w, err) {
		return err
	}
	if w.Length() <= borderStep {
		return leave(w)
	}
	end := connectors.Window{From: w.To.Add(-borderStep), To: w.To}
	if _, err := pages.Page(ctx, end, 1, true); c.isTooOld(end, err) {
		return leave(w)
	} else if err != nil && !narrower(err) {
		return err
	}
	first, second, _ := w.Halves()
	if err := c.readShown(ctx, pages, first, take, leave); err != nil {
		return err
	}
	return c.readShown(ctx, pages, second, take, leave)
}

// isTooOld says of an error that the platform refuses a window since it begins too long
// ago. That it does at all is assumed, and so that it refuses its bounds then, as the
// lists of orders do with theirs, and no window that they would take.
func (c *Connector) isTooOld(w connectors.Window, err error) bool { return refused(err) && c.aged(w) }

// plan is how a listing is read on.
func (c *Connector) plan(l listing) connectors.Windows {
	plan := c.windows()
	if l.ageless {
		plan.Oldest = 0
	}
	return plan
}

// aged says that a window begins before what the platform lists by change.
func (c *Connector) aged(w connectors.Window) bool {
	return c.client.now().Sub(w.From) > maxBackfillDays*day
}

// errTooFull: the window has more pages than cfg.WindowPages.
var errTooFull = &connectors.Error{
	Platform: Platform, Class: connectors.StopStream, Message: "more records in one second than window_pages allows", Mend: "raise window_pages",
}

// emitPage makes records of a page's rows and hands them on, without a cursor.
func (c *Connector) emitPage(ctx context.Context, l listing, p connectors.Part, emit func(connectors.Page) error) error {
	origin := l.method + " " + p.Origin()
	rows, bad := connectors.Unbroken(p.Rows, origin)
	rows, err := l.records(ctx, p, rows)
	if err != nil {
		return err
	}
	page := connectors.PageOf(streamOf[l.list], c.shop, origin, c.client.now(), rows).Checked()
	page.Short = p.Short
	page.Bad = append(page.Bad, bad...)
	return emit(page)
}

// streamOf names the stream that a list of the platform belongs to.
var streamOf = map[string]string{"trades": Orders, "refunds": Tickets, "members": Users}

// list calls a listing's method for one page.
func (c *Connector) list(ctx context.Context, l listing, w connectors.Window, number int, useHasNext bool) (connectors.Rows, error) {
	params := make(map[string]string, len(l.params)+5)
	maps.Copy(params, l.params)
	params[l.start], params[l.end] = bound(w.From), bound(w.To)
	params[l.page] = strconv.Itoa(number)
	params["page_size"] = strconv.Itoa(c.pageSize(l))
	if l.hasNext {
		params["use_has_next"] = strconv.FormatBool(useHasNext)
	}
	a, err := c.rows(ctx, l.method, params, l.list, l.item, l.total)
	if narrower(err) {
		c.spans.refused(l.list, w)
	}
	return a, err
}

// bound is the end of a window as the platform is asked for it; empty where it is open.
func bound(moment time.Time) string {
	if moment.IsZero() {
		return ""
	}
	return moment.In(zone).Format(timeLayout)
}

// pageSize is how many rows of a listing are asked for at once.
func (c *Connector) pageSize(l listing) int {
	if l.most > 0 {
		return min(c.cfg.PageSize, l.most)
	}
	return c.cfg.PageSize
}

// rows calls a method that answers with a list. Taken for an empty one, an answer
// without a list would leave out what it lists: it has to say that there are no
// rows. Of the history alone it is not documented that it does.
func (c *Connector) rows(ctx context.Context, method string, params map[string]string, list, item, total string) (connectors.Rows, error) {
	// Nearly all that is read comes by here: it is cut and not decoded.
	var body json.RawMessage
	if err := c.client.call(ctx, method, params, &body); err != nil {
		return connectors.Rows{}, err
	}
	var a connectors.Rows
	told := method == historyList
	a.Silent = true
	connectors.Members(body, func(name string, value json.RawMessage) {
		switch name {
		case list:
			a.Rows = unwrap(value, item)
			told = told || a.Rows != nil
		case total:
			a.Total = number(value)
			told, a.Silent = true, false
		case "has_next":
			a.More = strings.Trim(string(value), `" `) == "true"
			told, a.Silent = true, false
		}
	})
	if !told {
		return a, fmt.Errorf("the answer to %s holds neither rows nor how many there are", method)
	}
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
	moment = c.windows().Since(moment, c.client.now())
	return cursorAt(moment), moment
}
