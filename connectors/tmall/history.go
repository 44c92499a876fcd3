package tmall

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"oneid/connectors"
)

const (
	// historyList lists orders that were created more than three months and up to
	// two years ago, createdList those of the last three months, both by their
	// creation.
	historyList       = "taobao.trades.sold.history.get"
	createdList       = "taobao.trades.sold.get"
	simpleCreatedList = "taobao.trades.simple.sold.get"
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
	// platform shows, for it to be read in, and for its look back. What was created
	// before is read by its creation.
	listed = (maxBackfillDays - 1) * day
	// edge is what is left out of the oldest that the lists by change show: the first
	// window takes a while.
	edge = time.Hour
	// surelyHistory is from when on an order is older than three months, however the
	// platform counts them (assumed). Between it and listed both lists are asked.
	surelyHistory = 93 * day
	// changing is how long after its creation an order may still change (assumed; see
	// README.md). It is less than listed: what is read by its creation stays as it is.
	changing = 60 * day
)

// historyFields are what is asked for of an old order: the platform shows "only
// simple fields" of it, and the buyer's ouid. Which of these are among them is
// assumed.
const historyFields = "tid,status,type,title,created,pay_time,modified,consign_time,end_time,payment,total_fee,post_fee," +
	"discount_fee,adjust_fee,received_payment,coupon_fee,tmall_coupon_fee,point_fee,real_point_fee,step_trade_status,step_paid_fee,trade_from,shipping_type,ouid,orders"

// errAged: the platform no longer shows what changed at the beginning of a window.
var errAged = errors.New("the window begins before what the platform lists by change")

// readOrders reads the orders that changed since a cursor. Where it lies further
// back than the lists by change, first those that were created since, or so shortly
// before that they changed since; so too where it came to lie there while they were
// read. Last comes what the app was not allowed to list before.
func (c *Connector) readOrders(ctx context.Context, from connectors.Cursor, give func(connectors.Page) error) error {
	// A first reading takes what changed lately, and asks for no older order.
	p := position{Created: c.client.now().Add(-maxBackfillDays * day).Truncate(time.Second)}
	if from != "" {
		var err error
		if p, err = parsePosition(from); err != nil {
			return err
		}
	}
	past := c.past(give)
	for {
		if err := past.history(ctx, &p); err != nil {
			return err
		}
		l, from := c.orderListing(), connectors.Cursor("")
		if l.whole = !p.Reached.IsZero(); l.whole { // a first reading takes what is listed
			from = position{Reached: p.Reached, Short: p.Short}.cursor()
		}
		err := c.readWindows(ctx, l, from, func(page connectors.Page) error {
			if page.Next != "" {
				read, err := parsePosition(page.Next)
				if err != nil {
					return err
				}
				p.Reached, p.Short = read.Reached, read.Short
				page.Next = p.cursor()
			}
			return give(page)
		})
		if err == nil {
			return past.missing(ctx, &p)
		}
		if !errors.Is(err, errAged) {
			return err
		}
	}
}

// A past reads orders by their creation, and gives their pages.
type past struct {
	c           *Connector
	recent, old listing
	give        func(connectors.Page) error
}

func (c *Connector) past(give func(connectors.Page) error) *past {
	by := func(method, fields string) listing {
		l := changedOrders(c.cfg, method, fields)
		l.start, l.end = "start_created", "end_created"
		return l
	}
	old := by(historyList, historyFields)
	old.most, old.records = historyPage, c.named.records
	return &past{c, c.withBuyers(by(createdList, orderFields), by(simpleCreatedList, simpleFields)), old, give}
}

// history reads the orders that no list by change shows: those that were created
// since the position, and so long before it as they may have changed since. It moves
// the position to where those lists go on. They reach it at that moment: what aged
// while others were read is read by its creation too.
//
// Where the app may not list the history, it leaves that out and notes it as missing.
func (r *past) history(ctx context.Context, p *position) error {
	c := r.c
	if p.Reached.IsZero() || c.client.now().Sub(p.Reached) < listed-day {
		return nil // the lists by change show all of it
	}
	// Once: the clock goes on by itself.
	if server, err := c.client.serverTime(ctx); err != nil || server.Sub(p.Reached) <= listed {
		return err
	}
	at, denied := later(p.Created, p.Reached.Add(-changing)), false
	for c.age(at) > listed && !c.ends(at) {
		from := c.oldest(ctx, at, p.Reached)
		to, err := r.day(ctx, from, c.until, !denied)
		switch {
		case isMissing(err) && !denied:
			// What the other list shows of it is read.
			c.denials.note(ctx, c, err, from)
			denied = true
			if p.MissingFrom.IsZero() || from.Before(p.MissingFrom) {
				p.MissingFrom = from
			}
			if to = later(from, c.client.now().Add(-surelyHistory)); c.ends(to) {
				to = c.until
			}
		case err != nil:
			return err
		}
		at = to
		p.Created, p.Reached = at, later(p.Reached, at)
		if denied {
			p.MissingTo = at
		}
		if err := r.give(connectors.Page{Next: p.cursor(), Server: c.client.now()}); err != nil {
			return err
		}
	}
	return nil
}

// missing reads what the app was not allowed to list before, as far as it may now.
// A live reading, whose changes come first, takes a day of it and goes on with the
// next round; a backfill has an error where something stays missing.
func (r *past) missing(ctx context.Context, p *position) error {
	c := r.c
	live := c.until.IsZero()
	for !p.MissingFrom.IsZero() {
		err := c.denials.recent()
		from := p.MissingFrom
		if err == nil {
			from = c.oldest(ctx, from, from)
			p.MissingFrom, err = r.day(ctx, from, p.MissingTo, true)
		}
		if isMissing(err) {
			p.MissingFrom = from
			c.denials.note(ctx, c, err, from)
			if live {
				return nil
			}
			return fmt.Errorf("the orders created from %s to %s were not read, all else was; run the same backfill again once the app may call %s: %w",
				from.UTC().Format(time.RFC3339), p.MissingTo.UTC().Format(time.RFC3339), historyList, err)
		}
		if err != nil {
			return err
		}
		if !p.MissingFrom.Before(p.MissingTo) {
			p.MissingFrom, p.MissingTo = time.Time{}, time.Time{}
		}
		if err := r.give(connectors.Page{Next: p.cursor(), Server: c.client.now()}); err != nil || live {
			return err
		}
	}
	return nil
}

// deniedHistory is how long a refusal of the history is taken for the answer to all
// readings.
const deniedHistory = time.Hour

// denials remembers that the app may not list the history.
type denials struct {
	mu    sync.Mutex
	err   error     // the last refusal; guarded by mu
	until time.Time // how long it holds; guarded by mu
}

// recent is the refusal that still holds, or nil.
func (d *denials) recent() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if time.Now().Before(d.until) {
		return d.err
	}
	return nil
}

// note notes a refusal, and warns of the first one and of each that comes after one
// that held: orders are missing as long as the app has no right.
func (d *denials) note(ctx context.Context, c *Connector, err error, from time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if time.Now().Before(d.until) {
		return
	}
	d.err, d.until = err, time.Now().Add(deniedHistory)
	c.log.WarnContext(ctx, "orders of more than three months ago are missing: the app may not list them; once it may, they are read, or at once by the command",
		"from", from, "command", c.backfillFrom(from), "error", err)
}

// isMissing says that the app may not list the history, or nobody any more, and all
// else may go on.
func isMissing(err error) bool {
	var e *connectors.Error
	return errors.As(err, &e) && e.Op == historyList && connectors.Denies(e)
}

// age is how long ago a moment was, by the platform's clock.
func (c *Connector) age(moment time.Time) time.Duration { return c.client.now().Sub(moment) }

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// ends says that the reading goes no further than the moment reached.
func (c *Connector) ends(reached time.Time) bool {
	return !c.until.IsZero() && !reached.Before(c.until)
}

// oldest is a moment, or the first one after it that the history shows; it warns
// where that is later than what is needed.
func (c *Connector) oldest(ctx context.Context, from, needed time.Time) time.Time {
	// SinceOf gives a moment that is a day inside, and the clock goes on.
	oldest := c.client.now().AddDate(-historyYears, 0, 1).Truncate(time.Second)
	bound := oldest.Add(-time.Hour)
	if needed.Before(bound) {
		c.log.WarnContext(ctx, "orders of more than two years ago are not read: the platform no longer shows them", "from", needed, "to", oldest)
	}
	if from.Before(bound) {
		return oldest
	}
	return from
}

// day reads orders that were created from a moment on, of a day at most and not
// beyond end, if that is not zero, and says up to when; withHistory says whether the
// history is asked.
func (r *past) day(ctx context.Context, from, end time.Time, withHistory bool) (time.Time, error) {
	w := connectors.Window{From: from, To: from.Add(day)}
	if !end.IsZero() && end.Before(w.To) {
		w.To = end
	}
	if w.Empty() {
		return from, nil
	}
	read := r.both
	switch {
	case !withHistory:
		read = r.onlyRecent
	case r.c.age(w.To) > surelyHistory:
		read = r.onlyOld
	}
	err := r.cutting(ctx, w, read)
	if refused(err) && r.c.client.now().AddDate(-historyYears, 0, 0).After(from) {
		return from, nil // it aged while the call waited
	}
	return w.To, err
}

// cutting reads a window, in halves where read says so or the platform asks for
// shorter ones, or did so lately. The later one comes first: the border of the lists moves on meanwhile,
// into what was read, and never ahead of what is still to be read.
func (r *past) cutting(ctx context.Context, w connectors.Window, read func(context.Context, connectors.Window) (cut bool, err error)) error {
	cut, err := r.c.spans.tooLong(r.old.list, w), error(nil)
	if !cut {
		cut, err = read(ctx, w)
	}
	first, second, ok := w.Halves()
	if !ok || !cut && !narrower(err) {
		return err
	}
	if err := r.cutting(ctx, second, read); err != nil {
		return err
	}
	return r.cutting(ctx, first, read)
}

func (r *past) onlyOld(ctx context.Context, w connectors.Window) (bool, error) {
	return false, r.list(ctx, r.old, w)
}

// onlyRecent reads of a window what is no history: where their border lies in it, what
// is younger.
func (r *past) onlyRecent(ctx context.Context, w connectors.Window) (bool, error) {
	if err := r.list(ctx, r.recent, w); !refused(err) {
		return false, err
	}
	if err := r.list(ctx, r.recent, connectors.Window{From: w.To.Add(-time.Second), To: w.To}); refused(err) {
		return false, nil // all of it is history
	} else if err != nil {
		return false, err
	}
	// With one end it ends at the border (assumed; see open).
	if err := r.list(ctx, r.recent, connectors.Window{To: w.To}); !refused(err) {
		return false, err
	}
	for {
		first, second, ok := w.Halves()
		if !ok {
			return false, nil
		}
		switch err := r.list(ctx, r.recent, second); {
		case refused(err):
			w = second
		case err != nil:
			return false, err
		default:
			w = first
		}
	}
}

// borderMoves is how long a window of a second waits that is no longer in the one
// list, and not yet in the other.
const borderMoves = 2 * time.Second

// both reads a window from the two lists, and says to cut it where it lies across
// their border, which nobody knows (each list refuses bounds that are not its own),
// and cannot be read with an open end. The recent one comes first, since what grows
// too old for it is history then.
func (r *past) both(ctx context.Context, w connectors.Window) (cut bool, err error) {
	recent := r.list(ctx, r.recent, w)
	if recent != nil && !refused(recent) {
		return false, recent
	}
	old := r.list(ctx, r.old, w)
	if old != nil && !refused(old) {
		return false, old
	}
	_, _, cuttable := w.Halves()
	var edge connectors.Window
	list := r.old
	switch {
	case recent == nil && old == nil:
		return false, nil
	case recent != nil && old != nil && cuttable:
		err := r.open(ctx, w)
		if refused(err) || narrower(err) {
			return true, nil
		}
		return false, err
	case recent != nil && old != nil:
		select {
		case <-time.After(borderMoves):
			return false, r.list(ctx, r.old, w)
		case <-ctx.Done():
			return false, ctx.Err()
		}
	// A list may also leave out without a word what is not its own: then the window's
	// other end tells whether the border is in it.
	case recent == nil:
		edge = connectors.Window{From: w.From, To: w.From.Add(time.Second)}
	default:
		edge, list = connectors.Window{From: w.To.Add(-time.Second), To: w.To}, r.recent
	}
	if err := r.list(ctx, list, edge); refused(err) {
		if recent == nil {
			return false, nil
		}
		// All of it is history by now, and was perhaps not when that was read: the
		// call for the edge may have waited.
		return false, r.list(ctx, r.old, w)
	} else if err != nil {
		return false, err
	}
	return true, nil
}

// open reads a window that lies across the border: asked with one end of it, each
// list ends at the border (assumed). It takes two calls; to look for the border takes
// a hundred, which with a small quota last longer than the border stays.
func (r *past) open(ctx context.Context, w connectors.Window) error {
	if err := r.list(ctx, r.recent, connectors.Window{To: w.To}); err != nil {
		return err
	}
	return r.list(ctx, r.old, connectors.Window{From: w.From})
}

// refused says that the platform takes a window's bounds for wrong, as it does
// where they lie further back than a list reaches, or one of them is missing.
func refused(err error) bool {
	var e *connectors.Error
	if !errors.As(err, &e) {
		return false
	}
	code, names, named := strings.Cut(e.SubCode, ":")
	bound := strings.Contains(names, "start_") || strings.Contains(names, "end_")
	return code == "isv.invalid-parameter" && (!named || bound) || code == "isv.missing-parameter" && bound
}

// list reads a list by creation from its first page to its last: no order is created
// in the past, so none moves.
//
// What the history shows of an order is less than what the lists by change did
// while it was listed there: its records count as observed at its creation, so
// that they take the place of no other reading of the same change.
func (r *past) list(ctx context.Context, l listing, w connectors.Window) error {
	pages := connectors.Listing{
		Size: r.c.pageSize(l), Shorter: narrower,
		Page: func(ctx context.Context, w connectors.Window, number int, _ bool) (connectors.Rows, error) {
			return r.c.list(ctx, l, w, number, true)
		},
	}
	return pages.Forwards(ctx, w, func(part connectors.Part) error {
		return r.c.emitPage(ctx, l, part, func(page connectors.Page) error {
			if len(page.Records)+len(page.Bad) == 0 {
				return nil
			}
			if l.method == historyList {
				for i := range page.Records {
					page.Records[i].Observed = w.From
				}
			}
			return r.give(page)
		})
	})
}

// historyEstimate adds to an estimate what is read by its creation from a cursor on,
// of so many orders a day: of the history nothing says how many there are.
func (c *Connector) historyEstimate(e *connectors.Estimate, from connectors.Cursor, perDay float64) error {
	p, err := parsePosition(from)
	if err != nil {
		return err
	}
	now := c.client.now()
	days := func(from, end time.Time) {
		oldest := now.AddDate(-historyYears, 0, 1)
		if !c.until.IsZero() && c.until.Before(end) {
			end = c.until
		}
		span := end.Sub(later(from, oldest))
		n := int((span + day - 1) / day)
		if n < 1 {
			return
		}
		e.Records += int(perDay * span.Hours() / day.Hours())
		e.Calls += n + int(float64(n)*perDay)/c.pageSize(c.past(nil).old)
		// Between the borders both lists are asked, each page with its buyers, and the
		// border is looked for.
		if both := int(min(span, surelyHistory-listed) / day); end.After(now.Add(-surelyHistory)) {
			e.Calls += both*(2+2*int(perDay)/c.cfg.PageSize) + borderCalls
		}
	}
	if now.Sub(p.Reached) > listed {
		days(later(p.Created, p.Reached.Add(-changing)), now.Add(-listed))
	}
	if !p.MissingFrom.IsZero() {
		days(p.MissingFrom, p.MissingTo)
	}
	return nil
}

// borderCalls is about how many calls more the days near the border of the two lists
// take.
const borderCalls = 10

// SinceOf implements connectors.StreamSeeker: of orders there is a history, and refunds
// are listed whatever their age.
func (c *Connector) SinceOf(stream string, moment time.Time) (connectors.Cursor, time.Time) {
	switch stream {
	case Orders:
	case Tickets:
		return cursorAt(moment), moment
	default:
		return c.Since(moment)
	}
	if oldest := c.client.now().AddDate(-historyYears, 0, 1); moment.Before(oldest) {
		moment = oldest
	}
	// What was created before it is not asked for, however it changed since.
	return position{Reached: moment, Created: moment}.cursor(), moment
}

var _ connectors.StreamSeeker = (*Connector)(nil)
