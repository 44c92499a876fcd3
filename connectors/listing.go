package connectors

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// A Listing is a platform's list of what changed in a window of time, page by
// page. Read reads it from a cursor to the platform's present.
type Listing struct {
	// Plan is the windows' plan, and Now the platform's clock.
	Plan Windows
	Now  func() time.Time
	// Begin is called once, with the moment that is read from, before the
	// present is asked for: its calls tell the platform's clock. What it returns
	// is how many rows there will be; 0 where nobody knows.
	Begin func(ctx context.Context, since time.Time) (expected int, err error)
	// Page asks for a page, counted from 1, of Size rows. The first call for a
	// window is for its first page and says so (count): it is to tell the total, or
	// that there are more pages. Where it told a total, a page that lacks rows is
	// asked for again, and is to tell it too.
	Page func(ctx context.Context, w Window, number int, count bool) (Rows, error)
	Size int
	// MaxRows is how many rows a window may have before it is cut in two; 0 is
	// any number. TooFull is the error of a window that has more and is too
	// short to be cut; where it is nil, such a window is read as it is.
	MaxRows int
	TooFull error
	// Fresh is from when on rows may still become visible while a window is read.
	// They push others to pages that were read: a window of several pages is cut
	// there, so that the others are as fresh and will be looked for again. Read
	// takes it from the plan; zero is never.
	Fresh time.Time
	// TooOld is told of what is not read, since the platform no longer shows it; may be
	// nil. It stands in the cursors from then on.
	TooOld func(missing Window)
	// Shorter says of an error that a shorter window may be answered; may be nil.
	// A wait before it is the matter of the client's limits.
	Shorter func(err error) bool
	// TooLong says that a window is as long as the platform lately wanted it shorter:
	// it is cut without a call; may be nil.
	TooLong func(w Window) bool
}

// Rows are one page of a list.
type Rows struct {
	Rows []json.RawMessage
	// Total is how many rows there are over all pages of the window. Of a page
	// that is not the first it may be missing, and of all where More says enough.
	Total int
	// More: there is a page behind this one, where the platform says so. Where
	// nothing else tells the last page, it is looked for from page to page.
	More bool
	// Silent: the answer says neither how many rows there are nor whether more follow.
	Silent bool
}

// A Part is one page of a window, as it is read.
type Part struct {
	Window Window
	// Number of the page, from 1.
	Number int
	Rows   []json.RawMessage
	// Last: with this page the window is read.
	Last bool
	// Expected is what Begin said.
	Expected int
	// Short, of the last page of a window, is how many rows the platform counted in the
	// window's pages and did not give, though it was asked again.
	Short int

	shortfall Shortfall // of the reading so far
	gap       Gap       // likewise
}

// Origin names the page for people.
func (p Part) Origin() string { return fmt.Sprintf("page %d of %s", p.Number, p.Window) }

// Next is the cursor behind the page; empty before the last one of a window.
func (p Part) Next() Cursor {
	if !p.Last {
		return ""
	}
	return cursorWith(p.Window.To, p.shortfall, p.gap)
}

// Read gives take each page of what was changed since a cursor, window by
// window.
func (l *Listing) Read(ctx context.Context, from Cursor, take func(Part) error) error {
	since, err := l.Plan.Start(from, l.Now())
	if err != nil {
		return err
	}
	expected, err := l.Begin(ctx, since)
	if err != nil {
		return err
	}
	now := l.Now()
	if from == "" {
		since = now.Add(-l.Plan.First)
	}
	reading := *l
	reading.Fresh = l.Plan.Fresh(now)
	shortfall, gap := from.Shortfall(), from.Gap()
	if missing := l.Plan.Missing(since, now); from != "" && !missing.Empty() {
		gap = gap.With(missing, now)
		if l.TooOld != nil {
			l.TooOld(missing)
		}
	}
	for w := range l.Plan.Between(since, now) {
		err := reading.Window(ctx, w, func(p Part) error {
			if p.Last {
				shortfall, gap = shortfall.After(p.Window, p.Short), gap.After(p.Window.To)
			}
			p.Expected, p.shortfall, p.gap = expected, shortfall, gap
			return take(p)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// errFull: the window is to be cut.
var errFull = errors.New("the window has too many rows")

// cut gives the two parts of a window that is not read whole; ok is false when it
// is too short to be cut.
func (l *Listing) cut(w Window) (first, second Window, ok bool) {
	if l.mixed(w) {
		return Window{w.From, l.Fresh}, Window{l.Fresh, w.To}, true
	}
	return w.Halves()
}

// mixed says that rows may still become visible in a part of the window alone.
func (l *Listing) mixed(w Window) bool { return w.From.Before(l.Fresh) && l.Fresh.Before(w.To) }

// Window gives take each page of one window, or of its parts.
func (l *Listing) Window(ctx context.Context, w Window, take func(Part) error) error {
	err := errFull
	if l.TooLong == nil || !l.TooLong(w) {
		err = l.whole(ctx, w, take)
	}
	cut := errors.Is(err, errFull) || l.shorter(err)
	first, second, ok := l.cut(w)
	if !cut || !ok {
		return err
	}
	if err := l.Window(ctx, first, take); err != nil {
		return err
	}
	return l.Window(ctx, second, take)
}

// shorter says of an error that a shorter window may be answered.
func (l *Listing) shorter(err error) bool { return err != nil && l.Shorter != nil && l.Shorter(err) }

// whole reads a window from its last page back to its first. A row that changes
// meanwhile leaves the window, and those behind it move up, into pages that are
// still to be read: this way none is missed, at worst one is read twice.
func (l *Listing) whole(ctx context.Context, w Window, take func(Part) error) error {
	p, err := l.Page(ctx, w, 1, true)
	if err != nil {
		return err
	}
	if err := l.fits(w, max(p.Total, len(p.Rows))); err != nil {
		return err
	}
	if p.Total > 0 && len(p.Rows) == 0 {
		return errNoRows
	}
	e := &ending{l: l, full: l.Size, total: p.Total}
	if p.Total > len(p.Rows) {
		// What the first page has of more rows is how many the platform gives, though
		// it was asked for others.
		e.full = min(len(p.Rows), l.Size)
	}
	top := l.pages(max(p.Total, len(p.Rows)))
	if top == 1 {
		if top, err = e.behind(ctx, w, 1, p); err != nil {
			return err
		}
	}
	if top == 1 {
		if p, err = e.counted(ctx, w, 1, top, p); err != nil {
			return err
		}
		return take(Part{Window: w, Number: 1, Rows: p.Rows, Last: true, Short: e.short})
	}
	if l.mixed(w) {
		return errFull
	}
	for number := top; number >= 1; number-- {
		if p, err = l.Page(ctx, w, number, false); err != nil {
			return err
		}
		if number == top {
			if top, err = e.behind(ctx, w, number, p); err != nil {
				return err
			}
			if top > number {
				number = top + 1
				continue
			}
		}
		if p, err = e.counted(ctx, w, number, top, p); err != nil {
			return err
		}
		part := Part{Window: w, Number: number, Rows: p.Rows, Last: number == 1}
		if part.Last {
			part.Short = e.short
		}
		if err := take(part); err != nil {
			return err
		}
	}
	return nil
}

var (
	// errNoRows and ErrNoEnd are answers that contradict themselves: what would
	// be taken for the end of a list would leave out what is in it.
	errNoRows = errors.New("the platform counts rows and gives none")
	// ErrNoEnd is the error of more than EmptyPages.
	ErrNoEnd = errors.New("the platform gives one page without rows after the other, and says of each that more pages follow")
)

// EmptyPages is how many pages without rows may follow one another, of which each
// says that there are more: a platform may take rows out of a page that it counted.
const EmptyPages = 10

// ending finds the last page of a window, and holds its pages against their count.
type ending struct {
	l *Listing
	// total is how many rows the window had when it was first asked for; 0: nobody says.
	total int
	// full is how many rows a page has behind which there may be another.
	full int
	// empty counts the last pages that had no rows, and last are those of the last
	// page that had some.
	empty int
	last  []json.RawMessage
	// taken is how many rows the pages had so far, and short how many they lacked.
	taken, short int
}

// behind is the number of a page of the window that is further behind than this
// one, or this one's, if it is the last. A total is not taken at its word: where
// the page that it makes the last is full, the one behind it is asked for.
func (e *ending) behind(ctx context.Context, w Window, number int, p Rows) (int, error) {
	if len(p.Rows) > 0 && sameRows(p.Rows, e.last) {
		return number, nil // of numbers behind the last page the platform gives that again
	}
	e.empty++
	if len(p.Rows) > 0 {
		e.empty, e.last = 0, p.Rows
	}
	if told := e.l.pages(p.Total); p.More || told > number {
		if e.empty > EmptyPages {
			return 0, ErrNoEnd
		}
		return max(told, number+1), e.l.fits(w, number*e.l.Size+1)
	}
	if len(p.Rows) < e.full {
		return number, nil
	}
	_, isLast, err := e.l.following(ctx, w, number, p)
	if err != nil || isLast {
		return number, err
	}
	return number + 1, e.l.fits(w, number*e.l.Size+1)
}

// asksForAShortPage is how often a page is asked for again that has fewer rows than its
// answer counts.
const asksForAShortPage = 2

// counted is a page with what it lacks of the rows that its own answer counts, after it
// was asked for again. What is still not there is counted as short, and the reading
// goes on: a total may count what the platform does not show. But a page without any
// row before others that have some is a hole that no such total explains.
func (e *ending) counted(ctx context.Context, w Window, number, top int, p Rows) (Rows, error) {
	e.full = max(e.full, min(len(p.Rows), e.l.Size))
	if cmp.Or(p.Total, e.total) > top*e.full {
		e.full = e.l.Size // so few a page are not what the platform gives, but what is left of more
	}
	lacks := e.lacks(number, top, p)
	for ask := 0; lacks > 0 && ask < asksForAShortPage; ask++ {
		again, err := e.l.Page(ctx, w, number, true)
		if err != nil {
			return p, err
		}
		if again.Total == 0 && len(again.Rows) == 0 && !again.More {
			lacks = 0 // it was to count, and counts none: they have left
			break
		}
		lacks = min(lacks, e.lacks(number, top, again))
		p.Rows = together(p.Rows, again.Rows)
	}
	if lacks > 0 && len(p.Rows) == 0 && (e.taken > 0 || number == 1) {
		return p, fmt.Errorf("page %d of %s: %w", number, w, errNoRows)
	}
	e.taken, e.short = e.taken+len(p.Rows), e.short+lacks
	return p, nil
}

// lacks is how many rows fewer a page has than its answer says.
func (e *ending) lacks(number, top int, p Rows) int {
	total := cmp.Or(p.Total, e.total) // rows may have left since: when asked again, it is to count
	want := min(e.full, total-(number-1)*e.full)
	if number == top { // whether the platform gives fewer rows a page than asked for is not yet sure
		want = min(want, total-(number-1)*e.l.Size)
	}
	if number == 1 { // whatever is in the list now was in one of the pages
		want = max(want, min(e.l.Size, total-e.taken-e.short))
	}
	return max(0, want-len(p.Rows))
}

// together are the rows of two answers for one page, each once.
func together(a, b []json.RawMessage) []json.RawMessage {
	all := slices.Clip(a)
	for _, row := range b {
		if !slices.ContainsFunc(a, func(had json.RawMessage) bool { return bytes.Equal(had, row) }) {
			all = append(all, row)
		}
	}
	return all
}

// following asks for the page behind one of which nothing says that it is not the
// last. It is, where there are no rows behind it, or the platform takes no number
// behind the last or gives the last again. A refusal of the shop, a right that was
// taken away and a method that is gone say nothing of the list: they are errors.
func (l *Listing) following(ctx context.Context, w Window, number int, p Rows) (next Rows, isLast bool, err error) {
	next, err = l.Page(ctx, w, number+1, false)
	var refused *Error
	if errors.As(err, &refused) && !l.shorter(err) &&
		(refused.Class == SkipRecord || refused.Class == StopStream && refused.Kind == nil) {
		return next, true, nil
	}
	return next, len(next.Rows) == 0 && !next.More || sameRows(next.Rows, p.Rows), err
}

// Forwards gives take each page of one window from the first to the last, as a list
// is read whose rows never move. No more than in Window is an answer taken at its
// word that there is nothing behind it.
func (l *Listing) Forwards(ctx context.Context, w Window, take func(Part) error) error {
	p, err := l.Page(ctx, w, 1, true)
	if err != nil {
		return err
	}
	full := l.Size
	if p.Silent || p.Total > len(p.Rows) {
		full = max(1, min(len(p.Rows), l.Size)) // so many the platform gives, though it was asked for others
	}
	for number, empty := 1, 0; ; number++ {
		if empty++; len(p.Rows) > 0 {
			empty = 0
		}
		var next Rows
		var isLast bool
		switch more := p.More || l.pages(p.Total) > number; {
		case more && empty > EmptyPages:
			return ErrNoEnd
		case more:
			next, err = l.Page(ctx, w, number+1, false)
			isLast = len(p.Rows) > 0 && sameRows(next.Rows, p.Rows)
		case len(p.Rows) < full:
			isLast = true
		default:
			next, isLast, err = l.following(ctx, w, number, p)
		}
		if err != nil {
			return err
		}
		if err := take(Part{Window: w, Number: number, Rows: p.Rows, Last: isLast}); err != nil || isLast {
			return err
		}
		p = next
	}
}

// sameRows says that two pages have the same rows.
func sameRows(a, b []json.RawMessage) bool {
	return slices.EqualFunc(a, b, func(a, b json.RawMessage) bool { return bytes.Equal(a, b) })
}

// fits is the error of a window that has so many rows that it is to be cut.
func (l *Listing) fits(w Window, rows int) error {
	if l.MaxRows <= 0 || rows <= l.MaxRows {
		return nil
	}
	if _, _, ok := w.Halves(); ok {
		return errFull
	}
	return l.TooFull
}

// pages is how many pages so many rows take, at least one.
func (l *Listing) pages(rows int) int { return max(1, (rows+l.Size-1)/l.Size) }

// cursorForm names the form of a cursor, so that a later form is told apart.
const cursorForm = "1 "

// CursorAt is the cursor of a stream that was read up to a moment, in seconds.
func CursorAt(moment time.Time) Cursor {
	return Cursor(cursorForm + moment.UTC().Format(time.RFC3339))
}

// Moment is up to when a cursor of CursorAt has read; false for any other.
func (c Cursor) Moment() (time.Time, bool) {
	text, ok := strings.CutPrefix(string(c), cursorForm)
	text, _, _ = strings.Cut(text, " ") // of a shortfall and a gap
	moment, err := time.Parse(time.RFC3339, text)
	return moment, ok && err == nil
}

// Pages makes what Connector.Read returns of a function that gives page after
// page. Its error is wrapped with what was read; give's own says that the
// reader wants no more, and is to be returned.
func Pages(platform, stream, shop string, read func(give func(Page) error) error) iter.Seq2[Page, error] {
	return func(yield func(Page, error) bool) {
		err := read(func(p Page) error {
			if !yield(p, nil) {
				return errStopped
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStopped) {
			yield(Page{}, fmt.Errorf("%s: read %s of shop %s: %w", platform, stream, shop, err))
		}
	}
}

// errStopped: the reader of the pages wants no more.
var errStopped = errors.New("stopped")

// ErrRow is what a row is that is no JSON object.
var ErrRow = errors.New("the row is not a JSON object")

// ErrBroken is what a row is that Mend put in quotes.
var ErrBroken = errors.New("the row is not JSON")

// ErrMissing says that a list names something which the platform does not give.
// Its class is SkipRecord.
var ErrMissing = errors.New("the platform lists it and does not give it")

// PageOf makes records of a list's rows, read at the platform's present.
func PageOf(stream, shop, origin string, now time.Time, rows []json.RawMessage) Page {
	page := Page{Server: now}
	rows, page.Bad = Unbroken(rows, origin)
	for _, row := range rows {
		page.Records = append(page.Records, Record{Stream: stream, Shop: shop, Raw: row, Observed: now.Truncate(time.Millisecond), Origin: origin})
	}
	return page
}

// Checked is the page, of whose records each was cut out of an answer that was
// found Valid, or made of such cuts: Map need not go over them to check them once
// more, which took a tenth of all that a pull takes.
func (p Page) Checked() Page {
	for i := range p.Records {
		p.Records[i].checked = p.Records[i].Raw
	}
	return p
}

// Each calls complete with each record, with so many at the same time. One of
// which it says that it cannot be had (an error of class SkipRecord) becomes a
// bad record; any other error ends it all.
func (p *Page) Each(ctx context.Context, parallel int, complete func(context.Context, *Record) error) error {
	lost := make([]error, len(p.Records))
	rows := make([]json.RawMessage, len(p.Records))
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i := range p.Records {
		rows[i] = p.Records[i].Raw
		group.Go(func() error {
			err := complete(inner, &p.Records[i])
			if err != nil && ClassOf(err) == SkipRecord {
				lost[i], err = err, nil
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	kept := p.Records[:0]
	for i, record := range p.Records {
		if lost[i] != nil {
			p.Bad = append(p.Bad, BadRecord{Raw: rows[i], Origin: record.Origin, Err: lost[i]})
			continue
		}
		kept = append(kept, record)
	}
	p.Records = kept
	return nil
}
