package connectors

import (
	"fmt"
	"strings"
	"time"
)

// A Gap is a stretch of time of which a stream lacks what changed in it: when it was to
// be read, the platform showed nothing as old any more. It stands in the stream's cursor,
// so that neither a restart nor another process loses it. Zero is none.
type Gap struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// Found is when that was, by the platform's clock.
	Found time.Time `json:"found"`
}

// gapStands is how much further a stream is read until a gap is no news: so long its
// alert stands, and a person may bring what is in it.
const gapStands = 30 * 24 * time.Hour

// With is the gap and another stretch that was found missing.
func (g Gap) With(missing Window, found time.Time) Gap {
	if missing.Empty() {
		return g
	}
	if !g.None() {
		missing.From = earlier(g.From, missing.From)
		missing.To = later(g.To, missing.To)
	}
	return Gap{missing.From, missing.To, found}
}

// None says that nothing lacks.
func (g Gap) None() bool { return g.From.IsZero() }

// After is the gap when the stream is read up to a moment.
func (g Gap) After(reached time.Time) Gap {
	if g.None() || reached.Sub(g.Found) > gapStands {
		return Gap{}
	}
	return g
}

// Says tells people what is missing of a stream, why, and how to bring it; "" of none.
// Where an export of the platform's has it, export is what that lists.
func (g Gap) Says(platform, shop, stream, export string) string {
	if g.None() {
		return ""
	}
	text := fmt.Sprintf("what changed of %s in %s is missing: when it was to be read, the platform no longer showed it", stream, Window{g.From, g.To})
	if export == "" {
		return text
	}
	return fmt.Sprintf("%s. Export %s of that time in the platform's back-office, and read the files by `oneid import --shop %s/%s FILE…`", text, export, platform, shop)
}

// gapForm begins what a cursor of CursorAt says of a gap.
const gapForm = " gap "

// text is what a cursor of CursorAt says of the gap.
func (g Gap) text() Cursor {
	if g.None() {
		return ""
	}
	return Cursor(gapForm + strings.Join([]string{
		g.From.UTC().Format(time.RFC3339), g.To.UTC().Format(time.RFC3339), g.Found.UTC().Format(time.RFC3339),
	}, " "))
}

// Gap is what the reading up to a cursor of CursorAt lacks since it was too old.
func (c Cursor) Gap() Gap {
	var g Gap
	_, text, _ := strings.Cut(string(c), gapForm)
	moments := strings.Fields(text)
	if len(moments) != 3 {
		return g
	}
	for i, at := range []*time.Time{&g.From, &g.To, &g.Found} {
		var err error
		if *at, err = time.Parse(time.RFC3339, moments[i]); err != nil {
			return Gap{}
		}
	}
	return g
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
