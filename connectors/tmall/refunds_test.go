package tmall_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"oneid/connectors"
	"oneid/connectors/simulator"
	"oneid/connectors/tmall"
)

// A stream of refunds that stood still for long, and a backfill of long ago, bring all
// refunds that the platform shows: of any age, or, where it refuses windows for theirs,
// all that are not older, and a word of what lacks.
func TestRefundsOfAnyAge(t *testing.T) {
	t.Parallel()
	const stood = 170 * 24 * time.Hour
	for name, oldest := range map[string]time.Duration{"of any age": 0, "of three months": 90 * 24 * time.Hour, "of a hundred days and a bit": 100*24*time.Hour + 5*time.Hour + 7*time.Minute} {
		for how, begin := range map[string]func(*tmall.Connector) (connectors.Connector, connectors.Cursor){
			"live": func(c *tmall.Connector) (connectors.Connector, connectors.Cursor) {
				return c, connectors.Cursor(`{"v":1,"reached":"` + time.Now().Add(-stood).UTC().Format(time.RFC3339) + `"}`)
			},
			"backfill": func(c *tmall.Connector) (connectors.Connector, connectors.Cursor) {
				past := c.Until(time.Now().Add(time.Hour))
				from, begins := past.(connectors.StreamSeeker).SinceOf(tmall.Tickets, time.Now().Add(-stood))
				if !begins.Equal(time.Now().Add(-stood)) {
					t.Errorf("it begins at %s", begins)
				}
				return past, from
			},
		} {
			t.Run(name+", "+how, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					world := oldShop(t, 800, 165)
					var log bytes.Buffer
					c, g := open(t, world, simulator.TmallOptions{RefundsOldest: oldest}, tmall.Config{PageSize: 4, Log: slog.New(slog.NewTextHandler(&log, nil))})
					reader, from := begin(c)
					if e, err := reader.(connectors.Estimator).Estimate(t.Context(), tmall.Tickets, from); err != nil || e.Records == 0 {
						t.Errorf("estimate: %+v, %v", e, err)
					}
					clear(g.calls)
					came, next, missed := make(map[string]bool), connectors.Cursor(""), 0
					for page, err := range reader.Read(t.Context(), tmall.Tickets, from) {
						if err != nil {
							t.Fatal(err)
						}
						for _, record := range page.Records {
							list, err := c.Map(record)
							if err != nil {
								t.Fatal(err)
							}
							came[list[0].GetHeader().GetEntityId()] = true
						}
						if page.Next != "" {
							next = page.Next
						}
					}
					// What lies less than an hour behind the border is not looked for.
					border := oldest - time.Hour
					for i := range world.OrderCount(simulator.PlatformTmall) {
						o, _ := world.OrderAt(simulator.PlatformTmall, i)
						if o.Refund == nil {
							continue
						}
						shown := oldest == 0 || time.Since(o.Refund.Modified) < border
						if shown && !came[o.Refund.Number] {
							t.Errorf("a refund of %s ago did not come", time.Since(o.Refund.Modified))
						}
						if !came[o.Refund.Number] {
							missed++
						}
					}
					says, _ := c.Lacks(tmall.Tickets, next)
					if missed > 0 != (oldest > 0) || (says == "") != (oldest == 0) || strings.Contains(log.String(), "a part is not read") != (oldest > 0) ||
						strings.Count(log.String(), "\n") > 1 || len(came) < 25 {
						t.Errorf("%d refunds came, %d did not; it lacks %q; the log: %s", len(came), missed, says, &log)
					}
					if calls := g.calls["taobao.refunds.receive.get"]; calls > 600 {
						t.Errorf("%d calls", calls)
					}
				})
			})
		}
	}
}
