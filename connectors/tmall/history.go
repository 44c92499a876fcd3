package tmall

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"strconv"
	"strings"
	"time"

	"oneid/connectors"
)

const (
	// historyList lists orders that were created more than three months and up to
	// two years ago, createdList those of the last three months, both by their
	// creation.
	historyList = "taobao.trades.sold.history.get"
	createdList = "taobao.trades.sold.get"
	// historyPage is how many rows a page of the history has at most.
	historyPage = 50
	// historyYears is how far back the history reaches.
	historyYears = 2
)

// How old an order is says which list shows it, as the platform's clock goes on
// while it is read: a backfill may wait for its quota for days.
const (
	day = 24 * time.Hour
	// listed is how far back a reading by change may begin: a day less than the
	// platform shows, for it to be read in, and for its look back.
	listed = (maxBackfillDays - 1) * day
	// created is up to what age orders are read by their creation, where that is
	// begun: a day may pass until the lists by change go on from there, or else the
	// orders of that time are read so too.
	created = listed - day
	// surelyHistory is from when on an order is older than three months, however the
	// platform counts them (assumed). Between it and listed both lists are asked
	// without the border, which is then the platform's own.
	surelyHistory = 93 * day
)

// historyFields are what is asked for of an old order: the platform shows "only
// simple fields" of it, and the buyer's ouid. Which of these are among them is
// assumed.
const historyFields = "tid,status,type,title,created,pay_time,modified,consign_time,end_time,payment,total_fee,post_fee," +
	"discount_fee,adjust_fee,received_payment,step_trade_status,step_paid_fee,trade_from,shipping_type,ouid,orders"

// errAged: the platform no longer shows what changed at the beginning of a window.
var errAged = errors.New("the window begins before what the platform lists by change")

// readOrders reads the orders that changed since a cursor. Where it lies further
// back than the lists by change, first those that were created since; so too where
// it came to lie there while they were read.
func (c *Connector) readOrders(ctx context.Context, from connectors.Cursor, give func(connectors.Page) error) error {
	for {
		next, err := c.readHistory(ctx, from, give)
		if err != nil {
			return err
		}
		l := c.orderListing()
		l.whole = next != "" // a first reading takes what is listed
		from = next
		err = c.readWindows(ctx, l, next, func(p connectors.Page) error {
			if p.Next != "" {
				from = p.Next
			}
			return give(p)
		})
		if !errors.Is(err, errAged) {
			return err
		}
	}
}

// readHistory reads the orders that were created since a cursor and that no list
// by change shows, and gives the cursor with which those lists go on. They reach it
// at that moment: what aged while others were read is read by its creation too.
func (c *Connector) readHistory(ctx context.Context, from connectors.Cursor, give func(connectors.Page) error) (connectors.Cursor, error) {
	if from == "" {
		return from, nil // a first reading goes no further back
	}
	reached, err := parseCursor(from)
	if err != nil || c.client.now().Sub(reached) < listed-day {
		return from, err
	}
	for {
		server, err := c.client.serverTime(ctx)
		if err != nil || !reached.Before(server.Add(-listed)) || c.ends(reached) {
			return cursorAt(reached), err
		}
		to, err := c.readCreated(ctx, reached, server, give)
		if errors.Is(err, connectors.ErrForbidden) {
			c.log.WarnContext(ctx, "orders of more than three months ago are not read: the app may not list them", "error", err)
			return cursorAt(server.Add(-listed)), nil
		}
		if err != nil {
			return "", err
		}
		if err := give(connectors.Page{Next: cursorAt(to), Server: c.client.now()}); err != nil {
			return "", err
		}
		reached = to
	}
}

// ends says that the reading goes no further than the moment reached.
func (c *Connector) ends(reached time.Time) bool {
	return !c.until.IsZero() && !reached.Before(c.until)
}

// readCreated reads orders that were created from a moment on, at the platform's
// present, and says up to when: those of a day, or all of the last before the lists
// by change go on.
func (c *Connector) readCreated(ctx context.Context, from, server time.Time, give func(connectors.Page) error) (time.Time, error) {
	// SinceOf gives a moment that is a day inside, and the clock goes on.
	if oldest := server.AddDate(-historyYears, 0, 1); from.Before(oldest.Add(-time.Hour)) {
		c.log.WarnContext(ctx, "orders of more than two years ago are not read: the platform no longer shows them", "from", from, "to", oldest)
		from = oldest
	}
	w := connectors.Window{From: from, To: from.Add(day)}
	if w.To.Before(server.Add(-surelyHistory)) {
		if c.ends(w.To) {
			w.To = c.until
		}
		err := c.createdWithin(ctx, w, give)
		if refused(err) && c.client.now().AddDate(-historyYears, 0, 0).After(from) {
			return from, nil // it aged while the call waited
		}
		return w.To, err
	}
	// The list by creation comes first: what grows too old for it meanwhile is in
	// the history then.
	w.To = server.Add(-created)
	recent := map[string]string{"start_created": from.In(zone).Format(timeLayout), "end_created": w.To.In(zone).Format(timeLayout)}
	err := c.created(ctx, createdList, recent, from, give)
	if refused(err) { // it begins later than that, and says itself where
		delete(recent, "start_created")
		err = c.created(ctx, createdList, recent, from, give)
	}
	if err != nil && (!refused(err) || c.client.now().Sub(w.To) < listed) { // or else all of it has grown too old
		return from, err
	}
	if surely := server.Add(-surelyHistory); from.After(surely) {
		from = surely
	}
	return w.To, c.created(ctx, historyList, map[string]string{"start_created": from.In(zone).Format(timeLayout)}, from, give)
}

// refused says that the platform takes a window's bounds for wrong, as it does
// where they lie further back than a list reaches.
func refused(err error) bool {
	var e *connectors.Error
	return errors.As(err, &e) && strings.HasPrefix(e.SubCode, "isv.invalid-parameter")
}

// createdWithin reads the history of a window, in halves where the platform asks
// for shorter ones.
func (c *Connector) createdWithin(ctx context.Context, w connectors.Window, give func(connectors.Page) error) error {
	err := c.created(ctx, historyList, map[string]string{
		"start_created": w.From.In(zone).Format(timeLayout), "end_created": w.To.In(zone).Format(timeLayout),
	}, w.From, give)
	first, second, ok := w.Halves()
	if !narrower(err) || !ok {
		return err
	}
	if err := c.createdWithin(ctx, first, give); err != nil {
		return err
	}
	return c.createdWithin(ctx, second, give)
}

// created reads a list by creation from its first page to its last: no order is
// created in the past, so none moves. The history never says how many there are.
//
// What the history shows of an order is less than what the lists by change did
// while it was listed there: its records count as observed at its creation, so
// that they take the place of no other reading of the same change.
func (c *Connector) created(ctx context.Context, method string, window map[string]string, from time.Time, give func(connectors.Page) error) error {
	params := maps.Clone(window)
	params["type"], params["use_has_next"] = strings.Join(c.cfg.OrderTypes, ","), "true"
	params["fields"], params["page_size"] = orderFields, strconv.Itoa(c.cfg.PageSize)
	if method == historyList {
		params["fields"], params["page_size"] = historyFields, strconv.Itoa(min(c.cfg.PageSize, historyPage))
	}
	empty := 0 // pages without rows, one after the other
	for number := 1; ; number++ {
		params["page_no"] = strconv.Itoa(number)
		a, err := c.rows(ctx, method, params, "trades", "trade", "total_results")
		if err != nil {
			return err
		}
		if empty++; len(a.Rows) > 0 {
			empty = 0
		}
		if empty > connectors.EmptyPages && a.More {
			return connectors.ErrNoEnd
		}
		origin := method + " page " + strconv.Itoa(number) + " from " + from.UTC().Format(time.RFC3339)
		rows, bad := connectors.Unbroken(a.Rows, origin)
		var raws []json.RawMessage
		for _, row := range rows {
			raw, err := c.named.one(ctx, row)
			if err != nil {
				return err
			}
			raws = append(raws, raw...)
		}
		page := connectors.PageOf(Orders, c.shop, origin, c.client.now(), raws)
		page.Bad = append(page.Bad, bad...)
		if method == historyList {
			for i := range page.Records {
				page.Records[i].Observed = from
			}
		}
		if len(page.Records)+len(page.Bad) > 0 {
			if err := give(page); err != nil {
				return err
			}
		}
		if !a.More {
			return nil
		}
	}
}

// historyEstimate adds to an estimate what the history costs from a cursor on: it
// says of no window how many orders there are, so that a day is taken to have as
// many as one of those that are listed by change.
func (c *Connector) historyEstimate(ctx context.Context, e *connectors.Estimate, from connectors.Cursor) error {
	if from == "" {
		return nil
	}
	reached, err := parseCursor(from)
	if err != nil {
		return err
	}
	server, err := c.client.serverTime(ctx)
	if err != nil {
		return err
	}
	days := int(min(server.Sub(reached), historyYears*365*24*time.Hour)-listed) / int(24*time.Hour)
	if days < 1 {
		return nil
	}
	old := e.Records * days / maxBackfillDays
	e.Records += old
	e.Calls += connectors.PagedCalls(days, old, historyPage)
	return nil
}

// SinceOf implements connectors.StreamSeeker: of orders there is a history.
func (c *Connector) SinceOf(stream string, moment time.Time) (connectors.Cursor, time.Time) {
	if stream != Orders {
		return c.Since(moment)
	}
	if oldest := c.client.now().AddDate(-historyYears, 0, 1); moment.Before(oldest) {
		moment = oldest
	}
	return cursorAt(moment), moment
}

var _ connectors.StreamSeeker = (*Connector)(nil)
