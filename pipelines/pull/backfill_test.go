package pull

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"oneid/connectors/simulator"
	"oneid/internal/crashtest"
	"oneid/internal/kafka"
)

// cursors are the messages of the topic of cursors, the last of each key with
// its offset: what stands there has not been written again.
func cursorsIn(t *testing.T, a *arrivals) map[string]string {
	t.Helper()
	first, next, err := a.client.Ends(t.Context(), a.topics.Cursors)
	if err != nil {
		t.Fatal(err)
	}
	last := make(map[string]string)
	if err := a.client.ReadRange(t.Context(), a.topics.Cursors, 0, first[0], next[0], true, func(m kafka.Fetched) error {
		last[string(m.Key)] = fmt.Sprintf("%d %q", m.Offset, m.Value)
		if len(m.Value) == 0 {
			delete(last, string(m.Key))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return last
}

// A backfill that is killed ten times, of a platform that fails and whose
// orders change, brings each entity that was changed in its stretch and last
// there, and never writes a cursor but its own, of which nothing stays.
func TestBackfillMovesNoLiveCursor(t *testing.T) {
	t.Parallel()
	for _, name := range simulator.Platforms {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const days, kills = 30, 10
			p := serve(t, name, peopleFor(t, name, 300), days, 7)
			told, live := setUp(t, p)
			child := crashtest.Start(t, crashtest.Child{Role: "puller", Args: []string{told.String()}})
			p.changing.Store(false)
			for live.read(t, p); len(differ(p.truth(), live.newest)) > 0; live.read(t, p) {
				select {
				case <-child.Ended():
					t.Fatalf("the puller ended by itself:\n%s", child.Output())
				case <-time.After(50 * time.Millisecond):
				}
			}
			// By itself: of one that is killed a cursor may still be on its way to the broker.
			child.Signal(syscall.SIGTERM)
			child.Wait(t, time.Minute)
			before := cursorsIn(t, live)

			_, now, err := live.client.Ends(t.Context(), live.topics.Orders)
			if err != nil || now[0] == 0 {
				t.Fatal(now, err)
			}
			got := &arrivals{client: live.client, topics: live.topics, next: maps.Clone(live.next), newest: make(map[string]int64)}
			end := time.Now()
			told.From, told.To = end.Add(-(days-2)*24*time.Hour), end.Add(-48*time.Hour)
			p.changing.Store(true)
			chance := rand.New(rand.NewPCG(7, 7))
			for range kills {
				child := crashtest.Start(t, crashtest.Child{Role: "backfiller", Args: []string{told.String()},
					Fault: crashtest.Fault{Point: "pull/published", Hit: 1 + chance.IntN(3)}})
				child.WaitKilled(t, time.Minute)
			}
			child = crashtest.Start(t, crashtest.Child{Role: "backfiller", Args: []string{told.String()}})
			select {
			case <-child.Ended():
			case <-time.After(2 * time.Minute):
				t.Fatalf("the backfill does not end:\n%s", child.Output())
			}
			got.read(t, p)
			missing, found := 0, 0
			for key, version := range p.truth() {
				at := time.UnixMilli(version)
				if strings.HasPrefix(key, "user ") || at.Before(told.From) || !at.Before(told.To.Add(-time.Second)) {
					continue
				}
				found++
				if got.newest[key] != version {
					missing++
					t.Errorf("%s of %s: arrived %d", key, at, got.newest[key])
				}
			}
			if missing > 0 || found < 100 {
				t.Errorf("%d of %d are missing:\n%s", missing, found, child.Output())
			}
			if len(got.never) > 0 {
				t.Errorf("versions that never were: %s", got.never)
			}
			after := cursorsIn(t, live)
			for key, value := range before {
				if after[key] != value {
					t.Errorf("the cursor %s was %s and is %s", key, value, after[key])
				}
			}
			for key := range after {
				if before[key] == "" {
					t.Errorf("there is a cursor %s now", key)
				}
			}
		})
	}
}

// A connector that reads no stretch of the past says so.
func TestNoBackfill(t *testing.T) {
	t.Parallel()
	if _, err := NewBackfill(&Puller{Connector: &script{}}, time.Now(), time.Time{}); !errors.Is(err, ErrNoBackfill) {
		t.Error(err)
	}
}
