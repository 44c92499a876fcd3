package reconcile

import (
	"slices"
	"testing"
	"time"

	"oneid/internal/kafka"
	"oneid/schemas/events"
)

// A member whose last order is old, and whom a file says to have joined in the
// span, is not at the source in that span, for the platform lists buyers by
// their orders: that is no difference. One who is in ClickHouse alone still is.
func TestMembersOfFilesAreNotListedByTheirDay(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.pull(func(string, *events.Event) bool { return false })
	week, now := time.Now().AddDate(0, 0, -6), time.Now()
	joined := week.Add(36 * time.Hour)
	users := r.ids("SELECT DISTINCT user_id AS id FROM DB.users WHERE platform = 'weidian'")
	listed := r.ids("SELECT DISTINCT entity_id AS id FROM DB.raw_events WHERE platform = 'weidian' AND kind = 'user' AND modified_at >= '" + week.UTC().Format(time.DateTime) + "'")
	old := slices.DeleteFunc(users, func(id string) bool { return slices.Contains(listed, id) })
	if len(old) == 0 {
		t.Fatal("each buyer has bought in the span: it shows nothing")
	}
	shop := r.shops[slices.IndexFunc(r.shops, func(s Shop) bool { return s.Platform == "weidian" })].Name
	var messages []kafka.Message
	for _, id := range old {
		wire, err := r.topics.Encode(&events.Event{
			Header: &events.Header{
				Platform: "weidian", Shop: shop, EntityId: id, Account: id, Stream: "users",
				Version: &events.Version{ModifiedMs: joined.UnixMilli(), Source: events.Source_SOURCE_FILE},
			},
			Body: &events.Event_User{User: &events.User{Member: true, CreatedMs: joined.UnixMilli()}},
		}, r.keys)
		if err != nil {
			t.Fatal(err)
		}
		messages = append(messages, kafka.MessageOf(wire))
	}
	if err := r.publisher.Publish(t.Context(), messages); err != nil {
		t.Fatal(err)
	}
	for _, from := range []time.Time{week, r.world.Config().From} {
		report, err := r.reconciler.Run(t.Context(), r.shops, from, now)
		if err != nil || report.Different != 0 {
			t.Errorf("since %s %d entities differ (%v): %v", from.Format(time.DateOnly), report.Different, err, report.Days)
		}
	}
	r.exec("INSERT INTO DB.users (platform, shop, user_id, account, version, created_at) SELECT platform, shop, 'ghost', 'ghost', version, created_at FROM DB.users WHERE user_id = '" + old[0] + "' LIMIT 1")
	if report, err := r.reconciler.Run(t.Context(), r.shops, week, now); err != nil || report.Different != 1 {
		t.Errorf("%d entities differ (%v), want the one that is in ClickHouse alone", report.Different, err)
	}
}
