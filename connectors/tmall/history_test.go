package tmall_test

import (
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"oneid/connectors"
	"oneid/connectors/simulator"
	"oneid/connectors/tmall"
)

// A shop whose orders were made 60 to 140 days ago: a backfill reads all of them,
// whether the platform lists them by change, by creation or in its history, also
// one that is cut off anywhere; and so does a reading that was away for so long.
func TestOrdersOfLongAgo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		until := time.Now().Add(-time.Minute)
		world, err := simulator.New(simulator.Config{People: 150, Seed: 5, From: until.Add(-80 * 24 * time.Hour), Until: until})
		if err != nil {
			t.Fatal(err)
		}
		keys := simulator.TmallCredentialsOf(world)
		live, err := tmall.New(keys.Shop, tmall.Config{
			URL: "http://tmall.example/router/rest", AppKey: keys.AppKey, AppSecret: keys.AppSecret, Session: keys.Session, PageSize: 20,
			BackfillDays: 2, RequestsPerSecond: 1e6, Transport: inProcess{simulator.Tmall(world, simulator.TmallOptions{Kinds: true})},
		})
		if err != nil {
			t.Fatal(err)
		}
		// pages reads from a cursor, at most so many pages, and says where it was.
		pages := func(c connectors.Connector, from connectors.Cursor, most int, came map[string]bool) (connectors.Cursor, int) {
			n := 0
			for page, err := range c.Read(t.Context(), tmall.Orders, from) {
				if err != nil {
					t.Fatal(err)
				}
				for _, record := range page.Records {
					list, err := c.Map(record)
					if err != nil {
						t.Fatalf("%s: %v", record.Origin, err)
					}
					h := list[0].GetHeader()
					came[h.GetEntityId()] = true
					if strings.HasPrefix(h.GetAccount(), "order:") {
						t.Fatalf("%s: the order names no buyer", record.Origin)
					}
					if strings.Contains(record.Origin, "history") && record.Observed.After(time.UnixMilli(list[0].GetOrder().GetCreatedMs())) {
						t.Fatalf("%s: the history takes the place of what was read before it", record.Origin)
					}
				}
				if page.Next != "" {
					from = page.Next
				}
				if n++; n == most {
					break
				}
			}
			return from, n
		}
		all := world.Counts()["tmall"].Orders
		// As the days go on, each order is for a while in one list alone.
		for range 25 {
			time.Sleep(2 * 24 * time.Hour)
			past := live.Until(time.Now())
			from, _ := past.(connectors.StreamSeeker).SinceOf(tmall.Orders, time.Now().Add(-200*24*time.Hour))
			came := make(map[string]bool)
			if pages(past, from, -1, came); len(came) != all {
				t.Fatalf("%s after the last order, %d of %d came", time.Since(until), len(came), all)
			}
		}
		time.Sleep(10 * 24 * time.Hour)
		past := live.Until(time.Now())
		from, began := past.(connectors.StreamSeeker).SinceOf(tmall.Orders, time.Now().Add(-200*24*time.Hour))
		if time.Since(began) < 199*24*time.Hour {
			t.Errorf("the backfill begins at %s", began)
		}
		came := make(map[string]bool)
		_, n := pages(past, from, -1, came)
		if all < 50 || len(came) != all {
			t.Fatalf("%d of %d orders came", len(came), all)
		}
		for most := 1; most < n; most += 1 + n/12 {
			parts := make(map[string]bool)
			next, _ := pages(past, from, most, parts)
			pages(past, next, -1, parts)
			if !maps.Equal(parts, came) {
				t.Errorf("cut off after page %d, %d of %d orders came", most, len(parts), all)
			}
		}
		clear(came)
		pages(live, from, -1, came)
		if len(came) != all {
			t.Errorf("read on after a long time, %d of %d orders came", len(came), all)
		}
		if _, began := past.(connectors.StreamSeeker).SinceOf(tmall.Users, time.Now().Add(-200*24*time.Hour)); time.Since(began) > 90*24*time.Hour {
			t.Errorf("the backfill of members begins at %s, of which no list tells", began)
		}
		e, err := past.(connectors.Estimator).Estimate(t.Context(), tmall.Orders, from)
		if short, _ := past.(connectors.Estimator).Estimate(t.Context(), tmall.Orders, ""); err != nil || e.Calls < short.Calls+100 {
			t.Errorf("the estimate is %+v, %v; of the listed days alone %+v", e, err, short)
		}
	})
}
