package connectors

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// Of a platform that shows what changed in the last so many days, a stream that is read
// now and then has read each moment since it began, or said that it lacks it.
func TestWhatIsTooOldIsSaid(t *testing.T) {
	t.Parallel()
	const oldest = 10 * 24 * time.Hour
	gaps := 0
	for seed := range uint64(300) {
		chance := rand.New(rand.NewPCG(seed, 7))
		now := time.Unix(1_760_000_000, 0)
		began, read := now, now
		cursor := CursorAt(now)
		for range 6 {
			now = now.Add(time.Duration(chance.IntN(int(20 * 24 * time.Hour))))
			var told Window
			from, first := time.Time{}, true
			l := Listing{
				Plan: Windows{Span: 24 * time.Hour, Overlap: time.Hour, First: oldest, Oldest: oldest}, Size: 10,
				Now: func() time.Time { return now }, Begin: func(context.Context, time.Time) (int, error) { return 0, nil },
				TooOld: func(missing Window) { told = missing },
				Page: func(_ context.Context, w Window, _ int, _ bool) (Rows, error) {
					if now.Sub(w.From) > oldest {
						t.Fatalf("seed %d: %s is asked for at %s", seed, w, now)
					}
					if first {
						from, first = w.From, false
					}
					return Rows{Rows: []json.RawMessage{[]byte(`{}`)}, Total: 1}, nil
				},
			}
			before := cursor.Gap()
			if err := l.Read(t.Context(), cursor, func(p Part) error { cursor = p.Next(); return nil }); err != nil {
				t.Fatal(err)
			}
			if first { // nothing was to be read
				continue
			}
			want := Window{read, from}
			if !told.Empty() != (from.After(read)) || !told.Empty() && told.String() != want.String() {
				t.Fatalf("seed %d: read up to %s, then from %s on; %s is said to be missing", seed, read, from, told)
			}
			gap := cursor.Gap()
			if !told.Empty() && (gap.From.After(told.From) || gap.To.Before(told.To)) || told.Empty() && !gap.None() && gap != before {
				t.Fatalf("seed %d: %s is missing, the cursor %q says otherwise", seed, told, cursor)
			}
			if !told.Empty() {
				gaps++
			}
			reached, ok := cursor.Moment()
			if !ok || reached.Before(began) {
				t.Fatalf("seed %d: cursor %q", seed, cursor)
			}
			read = reached
		}
	}
	if gaps < 100 {
		t.Errorf("%d gaps: too few to tell anything", gaps)
	}
}

// A first reading lacks nothing, and a gap stands in the cursor as long as it is news,
// beside a shortfall.
func TestGapInTheCursor(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 7, 1, 8, 0, 0, 0, time.UTC)
	gap := Gap{}.With(Window{at, at.Add(time.Hour)}, at.Add(90*24*time.Hour)).With(Window{at.Add(5 * time.Hour), at.Add(6 * time.Hour)}, at.Add(91*24*time.Hour))
	short := Shortfall{Rows: 3, From: at, To: at.Add(time.Minute)}
	for name, c := range map[string]struct {
		cursor Cursor
		gap    Gap
		short  Shortfall
	}{
		"neither":                     {CursorAt(at), Gap{}, Shortfall{}},
		"a gap":                       {cursorWith(at, Shortfall{}, gap), gap, Shortfall{}},
		"a gap of before":             {CursorAt(at) + gap.text(), gap, Shortfall{}},
		"a shortfall":                 {cursorWith(at, short, Gap{}), Gap{}, short},
		"both":                        {cursorWith(at, short, gap), gap, short},
		"a gap of which a part lacks": {CursorAt(at) + gap.text()[:30], Gap{}, Shortfall{}},
		"a gap of no times":           {CursorAt(at) + " gap a b c", Gap{}, Shortfall{}},
	} {
		moment, ok := c.cursor.Moment()
		if !ok || !moment.Equal(at) || c.cursor.Gap() != c.gap || c.cursor.Shortfall() != c.short {
			t.Errorf("%s: %q: %s, %t; %+v; %+v", name, c.cursor, moment, ok, c.cursor.Gap(), c.cursor.Shortfall())
		}
	}
	if gap.From != at || gap.To != at.Add(6*time.Hour) {
		t.Errorf("two gaps are %+v", gap)
	}
	if got := gap.After(gap.Found.Add(gapStands)); got != gap {
		t.Errorf("a gap that is news: %+v", got)
	}
	if got := gap.After(gap.Found.Add(gapStands + time.Second)); !got.None() {
		t.Errorf("a gap that is no news: %+v", got)
	}
	if says := (Gap{}).Says("p", "s", "orders", ""); says != "" {
		t.Errorf("of no gap: %s", says)
	}
	if says := gap.Says("p", "s", "users", "the orders"); !strings.Contains(says, "of users in [2026-07-01T08:00:00Z, 2026-07-01T14:00:00Z)") || !strings.Contains(says, "oneid import --shop p/s") {
		t.Error(says)
	}
}

// The version that knew of shortfalls and of no gap goes on from each cursor of this one,
// and this one from each of its.
func TestACursorOfTheVersionBeforeGaps(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 7, 1, 8, 0, 0, 0, time.UTC)
	before := func(c Cursor) (time.Time, bool) { // its Moment
		text, ok := strings.CutPrefix(string(c), "1 ")
		text, _, _ = strings.Cut(text, " short ")
		moment, err := time.Parse(time.RFC3339, text)
		return moment, ok && err == nil
	}
	gap, short := Gap{at.Add(-time.Hour), at, at}, Shortfall{Rows: 3, From: at, To: at.Add(time.Minute)}
	for name, cursor := range map[string]Cursor{
		"neither": cursorWith(at, Shortfall{}, Gap{}), "a gap": cursorWith(at, Shortfall{}, gap),
		"a shortfall": cursorWith(at, short, Gap{}), "both": cursorWith(at, short, gap),
	} {
		if moment, ok := before(cursor); !ok || !moment.Equal(at) {
			t.Errorf("%s: %q is foreign to it: %s", name, cursor, moment)
		}
	}
	for cursor, want := range map[Cursor]Shortfall{
		"1 2026-07-01T08:00:00Z": {}, "1 2026-07-01T08:00:00Z short 3 2026-07-01T08:00:00Z 2026-07-01T08:01:00Z": short,
	} {
		if moment, ok := cursor.Moment(); !ok || !moment.Equal(at) || cursor.Shortfall() != want || !cursor.Gap().None() {
			t.Errorf("of it: %q: %s, %t; %+v; %+v", cursor, moment, ok, cursor.Shortfall(), cursor.Gap())
		}
	}
}
