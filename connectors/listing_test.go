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
	"strconv"
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
	silent  bool // no page tells the total
	moves   bool // an entity changes before each page
	now     int64
}

var errTooMany = errors.New("more rows than the platform gives")

// move changes an entity, where they change while they are read.
func (s *shelf) move() {
	if s.moves && len(s.updated) > 0 {
		s.now++
		s.updated[s.chance.IntN(len(s.updated))] = s.now
	}
}

// in are the entities that changed in a window, the oldest change first.
func (s *shelf) in(w Window) ([]int, error) {
	var in []int
	for id, at := range s.updated {
		if w.Contains(time.Unix(at, 0)) {
			in = append(in, id)
		}
	}
	if s.most > 0 && len(in) > s.most {
		return nil, errTooMany
	}
	slices.SortFunc(in, func(a, b int) int { return cmp.Or(cmp.Compare(s.updated[a], s.updated[b]), cmp.Compare(a, b)) })
	return in, nil
}

func rowsOf(ids []int) []json.RawMessage {
	var rows []json.RawMessage
	for _, id := range ids {
		rows = append(rows, json.RawMessage(fmt.Sprintf(`{"id":%d}`, id)))
	}
	return rows
}

// behind is the page of a token, the newest change first: a token is a place in
// the list, or the row that the page follows.
func (s *shelf) behind(w Window, token string, size int, places bool) ([]json.RawMessage, string, error) {
	s.move()
	in, err := s.in(w)
	if err != nil {
		return nil, "", err
	}
	slices.Reverse(in)
	at := 0
	switch {
	case token == "":
	case places:
		at, err = strconv.Atoi(token)
	default:
		var updated int64
		var id int
		if _, err = fmt.Sscan(token, &updated, &id); err == nil {
			for at < len(in) && (s.updated[in[at]] > updated || s.updated[in[at]] == updated && in[at] >= id) {
				at++
			}
		}
	}
	if err != nil {
		return nil, "", err
	}
	at = min(at, len(in))
	end := min(at+size, len(in))
	next := ""
	if end < len(in) {
		next = strconv.Itoa(end)
		if !places {
			next = fmt.Sprint(s.updated[in[end-1]], " ", in[end-1])
		}
	}
	return rowsOf(in[at:end]), next, nil
}

func (s *shelf) page(w Window, number, size int, first bool) (Rows, error) {
	s.move()
	in, err := s.in(w)
	if err != nil {
		return Rows{}, err
	}
	rows := Rows{More: !s.totals && number*size < len(in), Rows: rowsOf(in[min((number-1)*size, len(in)):min(number*size, len(in))])}
	if !s.silent && (first || s.totals) {
		rows.Total = len(in)
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
			Shorter: func(err error) bool { return errors.Is(err, errTooMany) },
		}
		pages := "by number"
		switch chance.IntN(4) {
		case 0:
			pages, s.silent, s.totals = "by number, with no total", true, false
		case 1:
			places := chance.IntN(2) == 0
			pages = fmt.Sprint("by token, of places: ", places)
			l.Page = ByToken(func(_ context.Context, w Window, token string) ([]json.RawMessage, string, error) {
				return s.behind(w, token, size, places)
			})
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
				t.Errorf("seed %d, pages %s: %d, of %d, did not come (size %d, %+v)", seed, pages, id, at, size, l.MaxRows)
			}
		}
		if t.Failed() {
			return
		}
	}
}

// Rows that become visible while a window is read push others, which did not
// change, to pages that were read. Whatever the list's order, and however long the
// window: those come in this run or in one that follows.
func TestRowsThatShowWhileOthersAreRead(t *testing.T) {
	t.Parallel()
	const day = 24 * 60 * 60
	for seed := range uint64(300) {
		chance := rand.New(rand.NewPCG(seed, 1))
		now := int64(2 * day)
		plan := Windows{Span: 24 * time.Hour, Settle: 60 * time.Second, Overlap: 300 * time.Second}
		lag := int64(300)
		if chance.IntN(2) == 0 {
			plan.Overlap, plan.Late, lag = 120*time.Second, 900*time.Second, 900
		}
		newest := chance.IntN(2) == 0
		type row struct{ at, shown int64 }
		rows := make([]row, 200)
		for i := range rows {
			rows[i].at = now - day/2 + chance.Int64N(day/2)
			if chance.IntN(2) == 0 {
				rows[i].at = now - chance.Int64N(lag)
			}
			rows[i].shown = rows[i].at + chance.Int64N(lag)
		}
		came := make(map[string]bool)
		cursor := CursorAt(time.Unix(now-day/2-1, 0))
		size := 5 + chance.IntN(15)
		l := Listing{
			Plan: plan, Now: func() time.Time { return time.Unix(now, 0) }, Size: size, MaxRows: 20 * size,
			Begin: func(context.Context, time.Time) (int, error) { return 0, nil },
			Page: func(_ context.Context, w Window, number int, first bool) (Rows, error) {
				now += chance.Int64N(20) // each page takes its time
				var in []int
				for id, r := range rows {
					if r.shown <= now && w.Contains(time.Unix(r.at, 0)) {
						in = append(in, id)
					}
				}
				slices.SortFunc(in, func(a, b int) int {
					order := cmp.Or(cmp.Compare(rows[a].at, rows[b].at), cmp.Compare(a, b))
					if newest {
						return -order
					}
					return order
				})
				page := Rows{More: number*size < len(in)}
				if first {
					page.Total = len(in)
				}
				for _, id := range in[min((number-1)*size, len(in)):min(number*size, len(in))] {
					page.Rows = append(page.Rows, json.RawMessage(fmt.Sprintf(`{"id":%d}`, id)))
				}
				return page, nil
			},
		}
		for range 60 { // an hour, minute by minute
			err := l.Read(t.Context(), cursor, func(p Part) error {
				for _, row := range p.Rows {
					came[string(row)] = true
				}
				if p.Last {
					cursor = p.Next()
				}
				return nil
			})
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			now += 60
		}
		for id, r := range rows {
			if !came[fmt.Sprintf(`{"id":%d}`, id)] {
				t.Fatalf("seed %d: a row did not come that changed %d s before the end of the list and showed %d s later (newest first: %v, late %s)",
					seed, 2*day-r.at, r.shown-r.at, newest, plan.Late)
			}
		}
	}
}

// A platform that gives more rows than were asked for, and names no page behind
// them, has given all.
func TestAPageByTokenThatIsTooLarge(t *testing.T) {
	t.Parallel()
	l := Listing{Size: 3, Page: ByToken(func(context.Context, Window, string) ([]json.RawMessage, string, error) {
		return rowsOf([]int{1, 2, 3, 4, 5, 6, 7}), "", nil
	})}
	var came []string
	err := l.Window(t.Context(), Window{time.Unix(100, 0), time.Unix(200, 0)}, func(p Part) error {
		for _, row := range p.Rows {
			came = append(came, string(row))
		}
		return nil
	})
	if err != nil || len(came) != 7 {
		t.Errorf("%d rows of 7, %v", len(came), err)
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
	if _, err := (Windows{}).Start("of another", time.Unix(0, 0)); !errors.Is(err, ErrCursor) || !strings.Contains(err.Error(), "remove it") {
		t.Errorf("a foreign cursor: %v", err)
	}
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

// A record of a checked page is not checked again, and what was put in its place
// is: nothing that is no JSON reaches a reader.
func TestCheckedRecords(t *testing.T) {
	t.Parallel()
	raw := json.RawMessage(`{"1":"a"}`)
	page := PageOf("orders", "s", "page 1", time.Now(), []json.RawMessage{raw, raw}).Checked()
	type one struct {
		Text LenientText `json:"1"`
	}
	var got one
	if err := page.Records[0].Decode(&got); err != nil || got.Text != "a" {
		t.Errorf("a checked record: %+v, %v", got, err)
	}
	for _, other := range []json.RawMessage{nil, {}, raw[:1], raw[:8], json.RawMessage(`{"1":"a"`), json.RawMessage(`{`), json.RawMessage(`{"1":"a"]`)} {
		record := page.Records[1]
		record.Raw = other
		if err := record.Decode(&got); err == nil {
			t.Errorf("%q in place of a checked payload is decoded", other)
		}
	}
}
