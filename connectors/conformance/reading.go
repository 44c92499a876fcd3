package conformance

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"oneid/connectors"
	"oneid/schemas/events"
)

// reading is what came of a stream.
type reading struct {
	records []connectors.Record
	bad     int
	pages   int
	// next is the last cursor that a page gave.
	next connectors.Cursor
	// newest is the newest version of each entity, written "kind id"; ids are
	// the CloudEvents ids of all that came.
	newest map[string]int64
	ids    map[string]bool
}

// errEnough ends a reading from outside.
var errEnough = errors.New("enough pages")

// read reads a stream from a cursor, at most so many pages (below 0: all), and
// maps it. What cannot be mapped counts as bad.
func read(ctx context.Context, c connectors.Connector, stream string, from connectors.Cursor, most int) (*reading, error) {
	r := &reading{next: from, newest: make(map[string]int64), ids: make(map[string]bool)}
	for page, err := range c.Read(ctx, stream, from) {
		if err != nil {
			return r, err
		}
		r.pages++
		r.bad += len(page.Bad)
		for _, record := range page.Records {
			r.records = append(r.records, record)
			mapped, err := c.Map(record)
			if err != nil {
				r.bad++
				continue
			}
			for _, e := range mapped {
				h := e.GetHeader()
				key := string(events.KindOf(e)) + " " + h.GetEntityId()
				r.newest[key] = max(r.newest[key], h.GetVersion().GetModifiedMs())
				r.ids[events.Describe(e).ID] = true
			}
		}
		if page.Next != "" {
			r.next = page.Next
		}
		if r.pages == most {
			return r, errEnough
		}
	}
	return r, nil
}

// whole reads a stream to its end, which must come.
func whole(t *testing.T, c connectors.Connector, stream string, from connectors.Cursor) *reading {
	t.Helper()
	r, err := read(t.Context(), c, stream, from, -1)
	if err != nil {
		t.Fatalf("read %s: %v", stream, err)
	}
	return r
}

// missing compares what came with what there is: "kind id: has …, came …".
func missing(truth, came map[string]int64) []string {
	var out []string
	for key, version := range truth {
		have, ok := came[key]
		if !ok || version != 0 && have != version {
			out = append(out, fmt.Sprintf("%s: the shop has %d, there came %d", key, version, have))
		}
	}
	for key := range came {
		if _, ok := truth[key]; !ok {
			out = append(out, key+": the shop has no such thing")
		}
	}
	slices.Sort(out)
	return out
}

// complete fails the test where what came is not what there is.
func complete(t *testing.T, truth, came map[string]int64) {
	t.Helper()
	if wrong := missing(truth, came); len(wrong) > 0 {
		t.Errorf("%d of %d entities are not as the shop has them:\n%s", len(wrong), len(truth), strings.Join(wrong[:min(len(wrong), 10)], "\n"))
	}
}

// everything reads all streams to their ends.
func everything(t *testing.T, c connectors.Connector) map[string]int64 {
	t.Helper()
	all := make(map[string]int64)
	for _, stream := range c.Spec().Streams {
		for key, version := range whole(t, c, stream.Name, "").newest {
			all[key] = max(all[key], version)
		}
	}
	return all
}

func testEverything(t *testing.T, s Subject) {
	b := open(t, s, func(ask *Ask, _ *Options) { ask.Orders = 3 * smallShop })
	truth := b.Truth()
	if len(truth) < smallShop {
		t.Fatalf("the shop has %d entities: too few to tell anything", len(truth))
	}
	complete(t, truth, everything(t, b))
	for _, stream := range b.Spec().Streams {
		r := whole(t, b, stream.Name, "")
		if r.next == "" {
			t.Errorf("%s: no page moved the cursor", stream.Name)
		}
		if r.bad > 0 {
			t.Errorf("%s: %d records of a sound shop cannot be read", stream.Name, r.bad)
		}
		again := whole(t, b, stream.Name, r.next)
		if len(again.records) > len(r.records)/2 && len(again.records) > 4 {
			t.Errorf("%s: a second reading, with nothing new, gave %d records of %d", stream.Name, len(again.records), len(r.records))
		}
	}
}

func testUnknownCursor(t *testing.T, s Subject) {
	b := open(t, s, nil)
	for _, stream := range b.Spec().Streams {
		if _, err := read(t.Context(), b, stream.Name, "a later version's cursor", -1); !errors.Is(err, connectors.ErrCursor) {
			t.Errorf("%s: a foreign cursor: %v, want connectors.ErrCursor, as Windows.Start gives it", stream.Name, err)
		}
		if n := len(b.net.made(func(Call) bool { return true })); n > 0 {
			t.Fatalf("%s: the platform was asked %d times before a foreign cursor was refused", stream.Name, n)
		}
	}
	if _, err := read(t.Context(), b, "no such stream", "", -1); !errors.Is(err, connectors.ErrNoStream) {
		t.Errorf("a foreign stream: %v, want connectors.ErrNoStream", err)
	}
}

// Broken off after any page, and gone on with by another process from the last
// cursor: nothing is missing.
func testResume(t *testing.T, s Subject) {
	b := open(t, s, nil)
	for _, stream := range b.Spec().Streams {
		all := whole(t, b, stream.Name, "")
		for most := 1; most < all.pages; most++ {
			first, err := read(t.Context(), b.again(), stream.Name, "", most)
			if !errors.Is(err, errEnough) {
				t.Fatalf("%s, page %d: %v", stream.Name, most, err)
			}
			rest := whole(t, b.again(), stream.Name, first.next)
			maps.Copy(rest.newest, first.newest)
			for key := range all.newest {
				if _, ok := rest.newest[key]; !ok {
					t.Errorf("%s: broken off after page %d, gone on with from %q: %s is missing. Is Page.Next set only where all before it has been given: on the last page of a window?", stream.Name, most, first.next, key)
				}
			}
			if t.Failed() {
				return
			}
		}
	}
}

// Entities change while they are paged. What a reading and the next one bring
// is the newest of each, and nothing that never was.
func testMoving(t *testing.T, s Subject) {
	for seed := range uint64(3) {
		b := open(t, s, func(ask *Ask, _ *Options) { ask.Seed, ask.Orders = seed+1, 4*smallShop })
		chance := rand.New(rand.NewPCG(seed, 0))
		had := make(map[string]bool)
		note := func() map[string]int64 {
			truth := b.Truth()
			for key, version := range truth {
				had[fmt.Sprint(key, " ", version)] = true
			}
			return truth
		}
		note()
		moving, changes := true, 0
		var mu sync.Mutex // calls may be made at the same time
		b.net.before = func(c Call) *answer {
			mu.Lock()
			defer mu.Unlock()
			if moving && c.Stream != "" {
				b.Change(chance.Uint64())
				changes++
				note()
			}
			return nil
		}
		b.net.late = time.Second
		came := make(map[string]int64)
		cursors := make(map[string]connectors.Cursor)
		round := func() {
			for _, stream := range b.Spec().Streams {
				r := whole(t, b, stream.Name, cursors[stream.Name])
				cursors[stream.Name] = r.next
				for key, version := range r.newest {
					came[key] = max(came[key], version)
				}
			}
		}
		round()
		time.Sleep(3 * time.Minute)
		round()
		mu.Lock()
		moving = false
		mu.Unlock()
		time.Sleep(3 * time.Minute)
		round()
		truth := note()
		if changes < 5 {
			t.Fatalf("seed %d: %d changes: the test tests nothing", seed, changes)
		}
		complete(t, truth, came)
		for key, version := range came {
			if truth[key] != 0 && !had[fmt.Sprint(key, " ", version)] {
				t.Errorf("seed %d: %s came with version %d, which it never had", seed, key, version)
			}
		}
		if t.Failed() {
			t.Fatalf("seed %d, %d changes while it was read. A row that changes leaves its place, and those behind it move up: read each window from its last page to its first (connectors.Listing), end it a little before the platform's present (Settle), and look back (Overlap)", seed, changes)
		}
	}
}

// The platform's clock is another than ours: a reading ends by the platform's.
func testClock(t *testing.T, s Subject) {
	for _, skew := range []time.Duration{-12 * time.Minute, 12 * time.Minute} {
		b := open(t, s, func(ask *Ask, _ *Options) {
			ask.Now = func() time.Time { return time.Now().Add(skew) }
		})
		before := b.Truth()
		complete(t, before, everything(t, b))
		// What changes now is in the past of a clock that is ahead, and must
		// not be waited for until ours has caught up.
		cursors := make(map[string]connectors.Cursor)
		for _, stream := range b.Spec().Streams {
			cursors[stream.Name] = whole(t, b, stream.Name, "").next
		}
		time.Sleep(time.Minute)
		for h := range uint64(3) {
			b.Change(h * 0x9e3779b97f4a7c15)
		}
		time.Sleep(5 * time.Minute)
		// Each stream by a process that has just begun, and knows no clock but ours.
		later := make(map[string]int64)
		for _, stream := range b.Spec().Streams {
			for key, version := range whole(t, b.again(), stream.Name, cursors[stream.Name]).newest {
				later[key] = max(later[key], version)
			}
		}
		changed := 0
		for key, version := range b.Truth() {
			if version != 0 && before[key] != version {
				changed++
				if later[key] != version {
					t.Errorf("the platform's clock is %s ahead: %s changed and did not come. Does an answer teach connectors.Clock before the first window is planned (Listing.Begin), and does all that asks for the present ask it?", skew, key)
				}
			}
		}
		if changed == 0 {
			t.Fatal("nothing changed: the test tests nothing")
		}
	}
}

// lateBy is how long after its change a row becomes visible: as long as a connector
// settles before the present and looks back, by what Options sets of both.
const lateBy = 11 * time.Second

// A row becomes visible after the moment that it changed at was read: it comes with
// the next reading.
func testLate(t *testing.T, s Subject) {
	var back time.Duration
	b := open(t, s, func(ask *Ask, _ *Options) {
		ask.Now = func() time.Time { return time.Now().Add(-back) }
	})
	time.Sleep(time.Second / 2) // cursors are whole seconds: between two, it is clear which one follows
	cursors := make(map[string]connectors.Cursor)
	for _, stream := range b.Spec().Streams {
		cursors[stream.Name] = whole(t, b, stream.Name, "").next
	}
	before := b.Truth()
	back = lateBy // what changes now says that it did so then
	for h := range uint64(8) {
		b.Change(h * 0x9e3779b97f4a7c15)
	}
	back = 0
	time.Sleep(time.Minute)
	came := make(map[string]int64)
	for _, stream := range b.Spec().Streams {
		for key, version := range whole(t, b.again(), stream.Name, cursors[stream.Name]).newest {
			came[key] = max(came[key], version)
		}
	}
	changed := 0
	for key, version := range b.Truth() {
		if before[key] == version {
			continue
		}
		if changed++; came[key] != version {
			t.Errorf("%s became visible %s after it had changed, and did not come: a reading is to end a little before the platform's present (Settle: at least a second here), and the next one to look back (Overlap: ten seconds)", key, lateBy)
		}
	}
	if changed == 0 {
		t.Fatal("nothing changed: the test tests nothing")
	}
}

// What reads was away for longer than its first reading goes back: it goes on
// where it was, and what changed in between comes.
func testOutage(t *testing.T, s Subject) {
	b := open(t, s, nil)
	cursors := make(map[string]connectors.Cursor)
	before := b.Truth()
	for _, stream := range b.Spec().Streams {
		cursors[stream.Name] = whole(t, b, stream.Name, "").next
	}
	time.Sleep(2 * time.Minute)
	for h := range uint64(5) {
		b.Change(h * 0x9e3779b97f4a7c15)
	}
	time.Sleep(6 * 24 * time.Hour)
	came := make(map[string]int64)
	for _, stream := range b.Spec().Streams {
		for key, version := range whole(t, b.again(), stream.Name, cursors[stream.Name]).newest {
			came[key] = max(came[key], version)
		}
	}
	changed := 0
	for key, version := range b.Truth() {
		if version != 0 && before[key] != version {
			changed++
			if came[key] != version {
				t.Errorf("%s changed at the beginning of an outage of six days and did not come", key)
			}
		}
	}
	if changed == 0 {
		t.Fatal("nothing changed: the test tests nothing")
	}
}

func testSameInEachRound(t *testing.T, s Subject) {
	b := open(t, s, nil)
	truth := b.Truth()
	for _, stream := range b.Spec().Streams {
		first, second := whole(t, b, stream.Name, ""), whole(t, b.again(), stream.Name, "")
		for id := range first.ids {
			parts := strings.Split(id, "|") // platform, shop, kind, entity, …
			if truth[parts[2]+" "+parts[3]] != 0 && !second.ids[id] {
				t.Errorf("%s: %s came in the first reading and not in the second, though nothing changed", stream.Name, id)
			}
		}
	}
}
