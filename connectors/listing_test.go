package connectors

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// shelf is a platform's list: entities by the second of their last change.
type shelf struct {
	updated map[int]int64
	chance  *rand.Rand
	most    int  // rows that one query shows; 0: all
	totals  bool // each page tells the total, and not only the first
	moves   bool // an entity changes before each page
	now     int64
}

var errTooMany = errors.New("more rows than the platform gives")

func (s *shelf) page(w Window, number, size int, first bool) (Rows, error) {
	if s.moves && len(s.updated) > 0 {
		s.now++
		s.updated[s.chance.IntN(len(s.updated))] = s.now
	}
	var in []int
	for id, at := range s.updated {
		if w.Contains(time.Unix(at, 0)) {
			in = append(in, id)
		}
	}
	if s.most > 0 && len(in) > s.most {
		return Rows{}, errTooMany
	}
	slices.SortFunc(in, func(a, b int) int { return cmp.Or(cmp.Compare(s.updated[a], s.updated[b]), cmp.Compare(a, b)) })
	rows := Rows{More: !s.totals && number*size < len(in)}
	if first || s.totals {
		rows.Total = len(in)
	}
	for _, id := range in[min((number-1)*size, len(in)):min(number*size, len(in))] {
		rows.Rows = append(rows.Rows, json.RawMessage(fmt.Sprintf(`{"id":%d}`, id)))
	}
	return rows, nil
}

// Whatever moves while a list is read, of any sizes and bounds: what did not
// change comes, the cursor moves only behind what has come, and in order.
func TestAListingIsReadWhole(t *testing.T) {
	t.Parallel()
	for seed := range uint64(400) {
		chance := rand.New(rand.NewPCG(seed, 0))
		const day = 24 * 60 * 60
		s := &shelf{updated: make(map[int]int64), chance: chance, totals: chance.IntN(2) == 0, moves: chance.IntN(2) == 0, now: 3 * day}
		if chance.IntN(2) == 0 {
			s.most = 5 + chance.IntN(20)
		}
		for id := range chance.IntN(150) {
			s.updated[id] = 1 + chance.Int64N(3*day-100)
		}
		before := make(map[int]int64, len(s.updated))
		for id, at := range s.updated {
			before[id] = at
		}
		size := 1 + chance.IntN(20)
		l := Listing{
			Plan: Windows{Span: 24 * time.Hour}, Now: func() time.Time { return time.Unix(3*day, 0) }, Size: size, MaxRows: chance.IntN(40),
			Begin: func(context.Context, time.Time) (int, error) { return 7, nil },
			Page: func(_ context.Context, w Window, number int, first bool) (Rows, error) {
				return s.page(w, number, size, first)
			},
			Shorter: func(err error) (time.Duration, bool) { return 0, errors.Is(err, errTooMany) },
		}
		came := make(map[string]bool)
		reached := time.Unix(0, 0)
		err := l.Read(t.Context(), CursorAt(reached), func(p Part) error {
			for _, row := range p.Rows {
				came[string(row)] = true
			}
			if p.Expected != 7 || p.Last != (p.Next() != "") || p.Last && p.Number != 1 {
				t.Errorf("seed %d: %+v", seed, p)
			}
			if p.Last {
				if !p.Window.From.Equal(reached) {
					t.Errorf("seed %d: after %s comes %s", seed, reached, p.Window)
				}
				reached = p.Window.To
			}
			return nil
		})
		if err != nil || reached.Unix() != 3*day {
			t.Errorf("seed %d: read up to %s, %v", seed, reached, err)
		}
		for id, at := range before {
			if s.updated[id] == at && !came[fmt.Sprintf(`{"id":%d}`, id)] {
				t.Errorf("seed %d: %d, of %d, did not come (size %d, %+v)", seed, id, at, size, l.MaxRows)
			}
		}
		if t.Failed() {
			return
		}
	}
}

// A window that has too many rows and cannot be cut is the error that says so,
// or is read as it is.
func TestAWindowOfOneSecond(t *testing.T) {
	t.Parallel()
	s := &shelf{updated: map[int]int64{}, totals: true}
	for id := range 30 {
		s.updated[id] = 100
	}
	second := Window{time.Unix(100, 0), time.Unix(101, 0)}
	for _, full := range []error{nil, errTooMany} {
		l := Listing{Size: 4, MaxRows: 10, TooFull: full, Page: func(_ context.Context, w Window, number int, first bool) (Rows, error) {
			return s.page(w, number, 4, first)
		}}
		rows := 0
		err := l.Window(t.Context(), second, func(p Part) error { rows += len(p.Rows); return nil })
		if !errors.Is(err, full) || full == nil && (err != nil || rows != 30) {
			t.Errorf("%d rows, %v; want %v", rows, err, full)
		}
	}
}

func TestCursorsKeepTheirMoment(t *testing.T) {
	t.Parallel()
	moment := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	if got, ok := CursorAt(moment).Moment(); !ok || !got.Equal(moment) {
		t.Errorf("%s came back as %s, %v", moment, got, ok)
	}
	for _, other := range []Cursor{"", "2 2026-03-01T08:00:00Z", "2026-03-01T08:00:00Z", "1 yesterday"} {
		if got, ok := other.Moment(); ok {
			t.Errorf("the cursor %q is said to be of %s", other, got)
		}
	}
}

// What cannot be had goes to the dead letter as the list showed it, and the
// rest goes on in its order; any other error ends the page.
func TestEachRecordIsCompletedOrBad(t *testing.T) {
	t.Parallel()
	rows := []json.RawMessage{json.RawMessage(`{"id":0}`), json.RawMessage(`null`), json.RawMessage(`{"id":1}`), json.RawMessage(` {"id":2}`)}
	now := time.Unix(1000, 0)
	page := PageOf("orders", "1", "page 1", now, rows)
	err := page.Each(t.Context(), 2, func(_ context.Context, r *Record) error {
		if strings.Contains(string(r.Raw), "1") {
			r.Raw = nil
			return fmt.Errorf("the order: %w", ErrMissing)
		}
		r.Raw = append(json.RawMessage("of "), r.Raw...)
		return nil
	})
	if err != nil || len(page.Records) != 2 || string(page.Records[0].Raw) != `of {"id":0}` || string(page.Records[1].Raw) != `of {"id":2}` {
		t.Errorf("%+v, %v", page.Records, err)
	}
	if len(page.Bad) != 2 || !errors.Is(page.Bad[0].Err, ErrRow) || !errors.Is(page.Bad[1].Err, ErrMissing) || string(page.Bad[1].Raw) != `{"id":1}` {
		t.Errorf("%+v", page.Bad)
	}
	if err := page.Each(t.Context(), 2, func(context.Context, *Record) error { return ErrForbidden }); !errors.Is(err, ErrForbidden) {
		t.Errorf("a page that cannot be completed: %v", err)
	}
}

// Whoever wants no more pages is given none, and hears of no error.
func TestPagesEndWhenNobodyWantsThem(t *testing.T) {
	t.Parallel()
	given := 0
	for range Pages("toy", "orders", "1", func(give func(Page) error) error {
		for {
			given++
			if err := give(Page{}); err != nil {
				return fmt.Errorf("wrapped: %w", err)
			}
		}
	}) {
		if given == 3 {
			break
		}
	}
	if given != 3 {
		t.Errorf("%d pages were given, and three wanted", given)
	}
	for _, err := range Pages("toy", "orders", "1", func(func(Page) error) error { return ErrForbidden }) {
		if !errors.Is(err, ErrForbidden) || err.Error() != "toy: read orders of shop 1: permission missing" {
			t.Errorf("the error is %v", err)
		}
	}
}

func TestAClockLearns(t *testing.T) {
	t.Parallel()
	var c Clock
	if c.Skew() != 0 || c.Check(0) != nil {
		t.Error("a clock that has learnt nothing is not ours")
	}
	date := func(ahead time.Duration) http.Header {
		return http.Header{"Date": {time.Now().Add(ahead).UTC().Format(http.TimeFormat)}}
	}
	c.Learn(date(time.Second))
	if c.Skew() != 0 {
		t.Errorf("a second is a difference of %s", c.Skew())
	}
	c.Learn(date(12 * time.Minute))
	if off := c.Skew() - 12*time.Minute; off.Abs() > 5*time.Second || c.Now().Before(time.Now().Add(11*time.Minute)) {
		t.Errorf("twelve minutes are %s", c.Skew())
	}
	if err := c.Check(5 * time.Minute); !errors.Is(err, ErrClock) || !strings.Contains(err.Error(), "NTP") {
		t.Errorf("Check: %v", err)
	}
	c.Learn(http.Header{})
	c.Learn(http.Header{"Date": {"today"}})
	if c.Skew() < 11*time.Minute {
		t.Error("an answer without a Date was learnt from")
	}
}
