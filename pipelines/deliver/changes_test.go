package deliver

import (
	"testing"

	"oneid/internal/pubsub"
	"oneid/schemas/events"
)

// Whether an alert is news goes by its place in the topic: asked again of the
// same one the answer is the same, and one before the last is none any more.
func TestNewsGoesByTheTopic(t *testing.T) {
	t.Parallel()
	c := newChanges(nil, "alerts") // all of the topic is this process's, so nothing is read
	const day = 24 * 3600 * 1000
	raised, cleared := events.AlertState_ALERT_STATE_RAISED, events.AlertState_ALERT_STATE_CLEARED
	for step, s := range []struct {
		offset int64
		state  events.AlertState
		atMs   int64
		want   bool
	}{
		{0, cleared, 1, false}, // nothing stood
		{1, raised, 2, true}, {1, raised, 2, true},
		{2, raised, 3, false}, // by another process, at the same moment
		{1, raised, 2, false},
		{3, cleared, 4, true}, {2, raised, 3, false}, {3, cleared, 4, true},
		{4, cleared, 5, false},
		{5, raised, 6, true}, {6, raised, 6 + day, false}, {7, raised, 8 + 2*day, true},
	} {
		a := &events.Alert{Kind: "connector", Subject: "tmall/s/orders", State: s.state, ChangedMs: s.atMs}
		if s.state == raised {
			a.Detail = "the platform refuses"
		}
		got, err := c.news(t.Context(), pubsub.Origin{Topic: "alerts", Offset: s.offset}, a)
		if err != nil || got != s.want {
			t.Errorf("step %d, offset %d: news is %v (%v), want %v", step, s.offset, got, err, s.want)
		}
	}
}

// Of what a stream lacks nobody is told again since the text is another, however long the
// alert stands.
func TestARenewedTextIsNoNews(t *testing.T) {
	t.Parallel()
	c := newChanges(nil, "alerts")
	const day = 24 * 3600 * 1000
	for offset, want := range []bool{true, false, false} {
		a := &events.Alert{Kind: events.AlertMissing, Subject: "tmall/s/orders", State: events.AlertState_ALERT_STATE_RAISED,
			Detail: []string{"3 rows", "4 rows", "5 rows"}[offset], ChangedMs: int64(1 + 2*day*offset)}
		if got, err := c.news(t.Context(), pubsub.Origin{Topic: "alerts", Offset: int64(offset)}, a); err != nil || got != want {
			t.Errorf("%s: news is %v (%v), want %v", a.Detail, got, err, want)
		}
	}
}
