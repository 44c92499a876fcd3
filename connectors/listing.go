package connectors

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
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
	// window is for its first page and says so: it is to tell the total.
	Page func(ctx context.Context, w Window, number int, first bool) (Rows, error)
	Size int
	// MaxRows is how many rows a window may have before it is cut in two; 0 is
	// any number. TooFull is the error of a window that has more and is too
	// short to be cut; where it is nil, such a window is read as it is.
	MaxRows int
	TooFull error
	// Shorter says of an error that a shorter window, after a wait, may be
	// answered; may be nil.
	Shorter func(err error) (wait time.Duration, ok bool)
}

// Rows are one page of a list.
type Rows struct {
	Rows []json.RawMessage
	// Total is how many rows there are over all pages of the window. Of a page
	// that is not the first it may be missing.
	Total int
	// More: there is a page behind this one, where the platform says so.
	More bool
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
}

// Origin names the page for people.
func (p Part) Origin() string { return fmt.Sprintf("page %d of %s", p.Number, p.Window) }

// Next is the cursor behind the page; empty before the last one of a window.
func (p Part) Next() Cursor {
	if !p.Last {
		return ""
	}
	return CursorAt(p.Window.To)
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
		since = now.Add(-l.Plan.Oldest)
	}
	for w := range l.Plan.Between(since, now) {
		err := l.Window(ctx, w, func(p Part) error {
			p.Expected = expected
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

// Window gives take each page of one window, or of its halves.
func (l *Listing) Window(ctx context.Context, w Window, take func(Part) error) error {
	err := l.whole(ctx, w, take)
	wait, cut := time.Duration(0), errors.Is(err, errFull)
	if err != nil && !cut && l.Shorter != nil {
		wait, cut = l.Shorter(err)
	}
	first, second, ok := w.Halves()
	if !cut || !ok {
		return err
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(wait):
	}
	if err := l.Window(ctx, first, take); err != nil {
		return err
	}
	return l.Window(ctx, second, take)
}

// whole reads a window from its last page back to its first. A row that changes
// meanwhile leaves the window, and those behind it move up, into pages that are
// still to be read: this way none is missed, at worst one is read twice.
func (l *Listing) whole(ctx context.Context, w Window, take func(Part) error) error {
	p, err := l.Page(ctx, w, 1, true)
	if err != nil {
		return err
	}
	total := max(p.Total, len(p.Rows))
	if l.MaxRows > 0 && total > l.MaxRows {
		if _, _, ok := w.Halves(); ok {
			return errFull
		}
		if l.TooFull != nil {
			return l.TooFull
		}
	}
	top := l.pages(total)
	if top == 1 {
		return take(Part{Window: w, Number: 1, Rows: p.Rows, Last: true})
	}
	for number := top; number >= 1; number-- {
		if p, err = l.Page(ctx, w, number, false); err != nil {
			return err
		}
		// Rows that became visible only now stand behind the last page.
		if now := l.pages(p.Total); number == top && (p.More || now > top) {
			top = max(now, top+1)
			number = top + 1
			continue
		}
		if err := take(Part{Window: w, Number: number, Rows: p.Rows, Last: number == 1}); err != nil {
			return err
		}
	}
	return nil
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

// ErrMissing says that a list names something which the platform does not give.
// Its class is SkipRecord.
var ErrMissing = errors.New("the platform lists it and does not give it")

// PageOf makes records of a list's rows, read at the platform's present.
func PageOf(stream, shop, origin string, now time.Time, rows []json.RawMessage) Page {
	page := Page{Server: now}
	for _, row := range rows {
		if row = bytes.TrimSpace(row); len(row) == 0 || row[0] != '{' {
			page.Bad = append(page.Bad, BadRecord{Raw: row, Origin: origin, Err: ErrRow})
			continue
		}
		page.Records = append(page.Records, Record{Stream: stream, Shop: shop, Raw: row, Observed: now.Truncate(time.Millisecond), Origin: origin})
	}
	return page
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
