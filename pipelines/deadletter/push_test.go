package deadletter

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"oneid/connectors"
	"oneid/internal/kafka"
	"oneid/schemas/events"
)

// shelf is a connector that reads one user by its number, while it is open.
type shelf struct {
	table
	open bool
}

func (s *shelf) Fetch(_ context.Context, stream, id string) (connectors.Page, error) {
	switch {
	case !s.open:
		return connectors.Page{}, errors.New("the platform is away")
	case stream != "users" || id == "hidden":
		return connectors.Page{}, nil
	}
	return connectors.Page{Records: []connectors.Record{{Stream: stream, Shop: "s", Raw: []byte(id), Observed: time.UnixMilli(1_700_000_000_123)}}}, nil
}

// What a push named and could not be had is read from its platform again, as
// it is now; what the platform does not show, and a push that named nothing,
// is kept, and says what to do.
func TestPushesAreReadAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c := &shelf{table: table{mended: true}}
	mapper := func(*events.DeadLetter, []byte) (connectors.Connector, error) { return c, nil }
	for id, origin := range map[string]string{"named": events.PushOrigin("users", "7"), "hidden": events.PushOrigin("users", "hidden"), "not understood": events.PushOrigin("", "")} {
		parts, err := events.Letters(&events.DeadLetter{
			LetterId: id, Platform: "tmall", Shop: "s", Stream: "users", Source: events.Source_SOURCE_API, Reason: events.ReasonRead, Detail: "x", Origin: origin, Attempts: 1, FirstSeenMs: time.Now().UnixMilli(),
		}, []byte("what the platform sent"), r.keys)
		if err != nil {
			t.Fatal(err)
		}
		parts[0].Topic, parts[0].Key = r.topics.DeadLetter, []byte(id)
		r.publish(kafka.MessageOf(parts[0]))
	}
	r.record()
	replay := func(replayed, kept int) Report {
		t.Helper()
		report, err := r.desk(mapper).Replay(t.Context(), Filter{Reason: events.ReasonRead})
		if err != nil || report.Replayed != replayed || report.Kept != kept {
			t.Errorf("the replay says %+v, %v; want %d replayed and %d kept", report, err, replayed, kept)
		}
		r.record()
		return report
	}
	replay(0, 3)
	c.open = true
	for _, failure := range replay(1, 2).Failures {
		if !strings.Contains(failure.Detail, "the pull brings") {
			t.Errorf("%s is kept, for %s: that does not say what to do", failure.ID, failure.Detail)
		}
	}
	r.flow()
	if got := r.number("SELECT count() FROM DB.users FINAL WHERE user_id = '7'"); got != 1 {
		t.Errorf("what the push named is loaded %d times", got)
	}
}
