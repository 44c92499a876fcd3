package connectors

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// Of pages that lack rows which their own answers count, once or for good: what is in
// the list has come, or the reading says how much has not, or it is an error. A total
// that shrinks since rows move away is none of it.
func TestPagesThatLackRows(t *testing.T) {
	t.Parallel()
	hole, shorts := 0, 0
	for seed := range uint64(600) {
		chance := rand.New(rand.NewPCG(seed, 3))
		in, size := 1+chance.IntN(200), 5+chance.IntN(20)
		pages := (in + size - 1) / size
		hasNext := chance.IntN(3) == 0
		broken, keeps, times := 1+chance.IntN(pages), chance.IntN(size), []int{1, 2, 1000}[chance.IntN(3)]
		asked := make(map[int]int)
		l := Listing{Size: size, Page: func(_ context.Context, _ Window, number int, count bool) (Rows, error) {
			p := Rows{Rows: rowsOf(numbers(min((number-1)*size, in), min(number*size, in))), Total: in}
			if hasNext && !count {
				p.Total, p.More = 0, number*size < in
			}
			if asked[number]++; number == broken && asked[number] <= times {
				p.Rows = p.Rows[:min(keeps, len(p.Rows))]
			}
			return p, nil
		}}
		came, calls := make(map[string]bool), 0
		short := -1
		err := l.Window(t.Context(), Window{time.Unix(100, 0), time.Unix(200, 0)}, func(p Part) error {
			for _, row := range p.Rows {
				came[string(row)] = true
			}
			if p.Last {
				short = p.Short
			}
			return nil
		})
		for _, n := range asked {
			calls += n
		}
		isHole := keeps == 0 && (broken == 1 || broken < pages && times > 1+asksForAShortPage)
		switch {
		case errors.Is(err, errNoRows) != isHole:
			t.Fatalf("seed %d: page %d of %d has %d rows, for %d calls: %v", seed, broken, pages, keeps, times, err)
		case isHole:
			hole++
		case err != nil:
			t.Fatalf("seed %d: %v", seed, err)
		case len(came)+short < in || times <= asksForAShortPage && (len(came) < in || short > 0):
			t.Fatalf("seed %d: %d of %d rows came, %d are said to be missing (pages of %d, page %d of %d had %d rows, %d times, has_next %v)",
				seed, len(came), in, short, size, broken, pages, keeps, times, hasNext)
		case short > 0:
			shorts++
		}
		if calls > 2*pages+6 {
			t.Fatalf("seed %d: %d calls for %d pages", seed, calls, pages)
		}
	}
	if hole == 0 || shorts == 0 {
		t.Errorf("%d holes, %d short readings: too few to tell anything", hole, shorts)
	}
}

func TestATotalThatCountsMoreThanIsShown(t *testing.T) {
	t.Parallel()
	for hidden := range 300 {
		const in, size = 450, 100
		l := Listing{Size: size, Page: func(_ context.Context, _ Window, number int, _ bool) (Rows, error) {
			shown := in - hidden
			return Rows{Rows: rowsOf(numbers(min((number-1)*size, shown), min(number*size, shown))), Total: in}, nil
		}}
		came, short := 0, 0
		err := l.Window(t.Context(), Window{time.Unix(100, 0), time.Unix(200, 0)}, func(p Part) error {
			came += len(p.Rows)
			short += p.Short
			return nil
		})
		if err != nil || came != in-hidden || short != hidden {
			t.Fatalf("%d rows of %d came, %d are said to be missing: %v", came, in-hidden, short, err)
		}
	}
}

// What a reading lacks stands in the cursor for a day of reading, and is told.
func TestAShortfallStandsInTheCursor(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	lacking := Window{at.Add(-time.Hour), at}
	short := 0
	l := Listing{
		Plan: Windows{Span: time.Hour}, Size: 10, Begin: func(context.Context, time.Time) (int, error) { return 0, nil },
		Page: func(_ context.Context, w Window, _ int, _ bool) (Rows, error) {
			if w == lacking {
				return Rows{Rows: rowsOf([]int{1, 2}), Total: 5}, nil
			}
			return Rows{Rows: []json.RawMessage{}}, nil
		},
	}
	cursor := CursorAt(lacking.From)
	for hour := range 30 {
		l.Now = func() time.Time { return at.Add(time.Duration(hour) * time.Hour) }
		if err := l.Read(t.Context(), cursor, func(p Part) error {
			short += p.Short
			cursor = p.Next()
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		moment, ok := cursor.Moment()
		if !ok || !moment.Equal(l.Now()) {
			t.Fatalf("the cursor %q is of %s, want %s", cursor, moment, l.Now())
		}
		says := cursor.Shortfall().Says("jd", "7", "orders")
		if stands := hour <= 24; stands != (says != "") || stands && (!strings.Contains(says, "3 rows") || !strings.Contains(says, "--shop jd/7 --from 2026-03-01")) {
			t.Errorf("after %d hours it says %q", hour, says)
		}
	}
	if short != 3 {
		t.Errorf("%d rows are short", short)
	}
	two := Shortfall{3, lacking.From, lacking.To}.After(Window{at, at.Add(time.Hour)}, 4)
	if want := (Shortfall{7, lacking.From, at.Add(time.Hour)}); two != want || cursorWith(at, two, Gap{}).Shortfall() != want {
		t.Errorf("two shortfalls are %+v, in a cursor %+v", two, cursorWith(at, two, Gap{}).Shortfall())
	}
	for _, other := range []Cursor{"", "1 2026-03-01T08:00:00Z", "1 2026-03-01T08:00:00Z short x", Cursor(fmt.Sprintf("1 2026-03-01T08:00:00Z short 3 %s now", at.Format(time.RFC3339)))} {
		if got := other.Shortfall(); got != (Shortfall{}) {
			t.Errorf("%q lacks %+v", other, got)
		}
	}
}
