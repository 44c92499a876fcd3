package deadletter

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"oneid/connectors"
	"oneid/internal/kafka"
	"oneid/pipelines/pull"
	"oneid/schemas/events"
)

// shelf is a connector that reads one user by its number, while it is open.
type shelf struct {
	table
	open bool
	// meanwhile, if set, is called while an entity is read.
	meanwhile func()
}

func (s *shelf) Fetch(_ context.Context, stream, id string) (connectors.Page, error) {
	switch {
	case !s.open:
		return connectors.Page{}, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("the platform is away")}
	case stream != "users" || id == "hidden":
		return connectors.Page{}, nil
	}
	if s.meanwhile != nil {
		s.meanwhile()
	}
	return connectors.Page{Records: []connectors.Record{{Stream: stream, Shop: "s", Raw: []byte(id), Observed: time.UnixMilli(1_700_000_000_123)}}}, nil
}

// All messages of an entity that could not be followed are one letter, however many
// there are, and none of them is lost: one that comes while the letter is replayed,
// or was closed, opens it again.
func TestMessagesOfOneEntityAreOneLetter(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c := &shelf{table: table{mended: true}, open: true}
	mapper := func(*events.DeadLetter, []byte) (connectors.Connector, error) { return c, nil }
	told := 0
	tell := func(ids ...string) {
		p := &pull.Puller{Connector: c, Platform: "tmall", Shop: "s", Stream: "users", Publisher: r.publisher, Topics: r.topics, Keys: r.keys, Log: r.log}
		for _, id := range ids {
			told++
			bad := connectors.BadRecord{Raw: fmt.Appendf(nil, "message %d", told), Origin: events.PushOrigin("users", id), Err: errors.New("the shop is stopped")}
			if _, err := p.Page(t.Context(), connectors.Page{Bad: []connectors.BadRecord{bad}, Server: time.Now()}); err != nil {
				t.Fatal(err)
			}
		}
	}
	open := func(what string, want int) {
		t.Helper()
		r.record()
		if got := r.number("SELECT count() FROM DB.dead_letters WHERE state = 'open'"); int(got) != want {
			t.Errorf("%s: %d letters are open, want %d", what, got, want)
		}
	}
	replay := func() {
		t.Helper()
		if report, err := r.desk(mapper).Replay(t.Context(), Filter{}); err != nil || report.Kept > 0 {
			t.Errorf("the replay says %+v, %v", report, err)
		}
	}
	for range 20 {
		tell("7", "8", "9")
	}
	open("twenty messages of each of three", 3)
	c.meanwhile = func() { // a change of 7, which the answer that is on its way does not hold
		c.meanwhile = nil
		tell("7")
	}
	replay()
	open("a message came while its entity was read", 1)
	replay()
	open("it was replayed again", 0)
	tell("8", "8")
	open("messages after the letter was closed", 1)
	if _, err := r.desk(mapper).Drop(t.Context(), Filter{}); err != nil {
		t.Fatal(err)
	}
	open("it was dropped", 0)
	c.open = false
	tell("9")
	if report, err := r.desk(mapper).Replay(t.Context(), Filter{}); err != nil || report.Kept != 0 {
		t.Errorf("nothing is recorded yet, and the replay says %+v, %v", report, err)
	}
	r.record()
	if report, err := r.desk(mapper).Replay(t.Context(), Filter{}); err != nil || report.Kept != 1 {
		t.Errorf("the shop is stopped, and the replay says %+v, %v", report, err)
	}
	r.record()
	if got := r.number("SELECT toUInt64(max(attempts)) FROM DB.dead_letters WHERE state = 'open'"); got != 2 {
		t.Errorf("%d attempts, want 2", got)
	}
	c.open = true
	replay()
	open("it works again", 0)
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
