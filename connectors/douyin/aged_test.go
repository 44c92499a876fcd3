package douyin

import (
	"bytes"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"oneid/connectors"
)

const aDay = 24 * time.Hour

// A stream that stood still for longer than the platform lists orders reads all that is
// listed, after-sales and service tickets from where it stood, and says of the others
// what it lacks; so does a backfill of longer.
func TestAfterALongOutage(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		stream, method, start string
		whole                 bool
	}{
		"orders":      {Orders, "order.searchList", "update_time_start", false},
		"users":       {Users, "order.searchList", "update_time_start", false},
		"after-sales": {Aftersales, "afterSale.List", "update_start_time", true},
		"services":    {Services, "order.getServiceList", "start_time", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			f, conn := newFakeWith(t, Config{Log: slog.New(slog.NewTextHandler(&log, nil))})
			earliest := time.Now()
			f.answer[c.method] = func(_ int, param map[string]any, w http.ResponseWriter) {
				if from := time.Unix(int64(param[c.start].(float64)), 0); from.Before(earliest) {
					earliest = from
				}
				ok(w, map[string]any{"total": 0})
			}
			stood := time.Now().Add(-120 * aDay)
			asked := func() time.Duration { return time.Since(earliest).Round(time.Hour) }
			_, next, err := read(t, conn, c.stream, connectors.CursorAt(stood))
			if err != nil {
				t.Fatal(err)
			}
			says, _ := conn.Lacks(c.stream, next)
			if says != "" && !strings.Contains(says, "Later changes of orders that were made before") {
				t.Errorf("%s: what changes later of these orders is not told: %s", name, says)
			}
			if c.whole {
				if asked() != 120*aDay || says != "" || log.Len() > 0 {
					t.Errorf("%s back are read, %q, %s", asked(), says, &log)
				}
			} else if asked() != 90*aDay || !strings.Contains(says, connectors.Window{From: stood, To: earliest}.String()) ||
				!strings.Contains(says, "oneid import --shop douyin/4463798") || !strings.Contains(log.String(), "level=WARN") {
				t.Errorf("%s back are read, %q, %s", asked(), says, &log)
			}
			// The next reading says so still.
			if _, next, err = read(t, conn, c.stream, connectors.Cursor(strings.Replace(string(next), strings.Fields(string(next))[1], time.Now().Add(-time.Hour).UTC().Format(time.RFC3339), 1))); err != nil {
				t.Fatal(err)
			}
			if later, of := conn.Lacks(c.stream, next); later != says || of != (connectors.Window{}) {
				t.Errorf("an hour later: %q, by a backfill of %v", later, of)
			}

			earliest = time.Now()
			past := conn.Until(time.Now())
			from, begins := past.(connectors.StreamSeeker).SinceOf(c.stream, time.Now().Add(-400*aDay))
			if _, _, err := read(t, past.(*Connector), c.stream, from); err != nil {
				t.Fatal(err)
			}
			want := 90*aDay - time.Hour
			if c.whole {
				want = 400 * aDay
			}
			if got := time.Since(begins).Round(time.Hour); asked() != want || got != want {
				t.Errorf("a backfill begins %s ago and reads from %s ago on, want %s", got, asked(), want)
			}
		})
	}
}

// A first reading lacks nothing.
func TestAFirstReadingLacksNothing(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	_, conn := newFakeWith(t, Config{BackfillDays: 90, Log: slog.New(slog.NewTextHandler(&log, nil))})
	_, next, err := read(t, conn, Orders, "")
	if says, _ := conn.Lacks(Orders, next); err != nil || says != "" || log.Len() > 0 {
		t.Errorf("%v, %q, %s", err, says, &log)
	}
}
