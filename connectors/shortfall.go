package connectors

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// A Shortfall is what a platform counted in its lists and did not give, also when it was
// asked again, and a reading went on without: so many rows, in windows from From to To.
// It stands in the stream's cursor, so that neither a restart nor another process loses
// it. Zero is none.
type Shortfall struct {
	Rows int       `json:"rows"`
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// shortfallStands is how much further a stream is read until a shortfall is no news: so
// long its alert stands.
const shortfallStands = 24 * time.Hour

// After is the shortfall behind a window that lacks so many rows more.
func (s Shortfall) After(w Window, rows int) Shortfall {
	switch {
	case rows > 0 && s.Rows > 0:
		if s.From.Before(w.From) {
			w.From = s.From
		}
		return Shortfall{s.Rows + rows, w.From, w.To}
	case rows > 0:
		return Shortfall{rows, w.From, w.To}
	case s.Rows > 0 && !w.From.After(s.From) && !w.To.Before(s.To):
		return Shortfall{} // all of it was read again, and nothing lacked
	case w.To.Sub(s.To) > shortfallStands:
		return Shortfall{}
	}
	return s
}

// Says tells people what is missing of a stream, why, and what to do; "" of none.
func (s Shortfall) Says(platform, shop, stream string) string {
	if s.Rows == 0 {
		return ""
	}
	return fmt.Sprintf("up to %d rows are missing that changed in %s: the platform counts them, and does not list them when asked %d times. "+
		"Read them again by `oneid backfill --stream %s --shop %s/%s --from %s`; if they stay away, it counts what it does not show",
		s.Rows, Window{s.From, s.To}, 1+asksForAShortPage, stream, platform, shop, s.From.UTC().Format(time.DateOnly))
}

// shortForm begins what a cursor of CursorAt says of a shortfall.
const shortForm = " short "

// noShort stands for no shortfall before a gap: the versions that know of no gap read a
// cursor's moment up to its shortfall, and go on from one that has both.
const noShort = shortForm + "0 - -"

// cursorWith is CursorAt of a reading that lacks something.
func cursorWith(moment time.Time, s Shortfall, g Gap) Cursor {
	at := CursorAt(moment)
	switch {
	case s.Rows > 0:
		at += Cursor(fmt.Sprintf("%s%d %s %s", shortForm, s.Rows, s.From.UTC().Format(time.RFC3339), s.To.UTC().Format(time.RFC3339)))
	case !g.None():
		at += noShort
	}
	return at + g.text()
}

// Shortfall is what the reading up to a cursor of CursorAt lacks.
func (c Cursor) Shortfall() Shortfall {
	var s Shortfall
	var from, to string
	_, text, _ := strings.Cut(string(c), shortForm)
	if _, err := fmt.Sscan(text, &s.Rows, &from, &to); err != nil {
		return Shortfall{}
	}
	var err, other error
	s.From, err = time.Parse(time.RFC3339, from)
	if s.To, other = time.Parse(time.RFC3339, to); err != nil || other != nil {
		return Shortfall{}
	}
	return s
}

// Warning gives take each part, and warns of a window that lacks rows: a reading of the
// past has no alert.
func Warning(ctx context.Context, log *slog.Logger, stream string, take func(Part) error) func(Part) error {
	return func(p Part) error {
		if p.Short > 0 {
			log.WarnContext(ctx, "the platform counts rows that it does not give", "stream", stream, "window", p.Window.String(), "rows", p.Short)
		}
		return take(p)
	}
}
