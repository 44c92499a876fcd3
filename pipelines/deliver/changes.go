package deliver

import (
	"context"
	"sync"

	"google.golang.org/protobuf/proto"

	"oneid/internal/kafka"
	"oneid/internal/pubsub"
	"oneid/schemas/events"
)

// changes tells alerts that change something from those that do not: two
// processes that notice a thing at the same moment both say so, and neither saw
// the other's word. The order of the topic, which has one partition, is what
// counts. As of told, nothing is stored: what lies below the group's offset is
// read there when the topic comes to this process.
type changes struct {
	client *kafka.Client
	topic  string

	mu sync.Mutex
	// The fields below are guarded by mu.
	read int64 // up to which offset the topic was read
	last map[string]said
}

// said is the last alert of a subject, and what the one before it said and when.
type said struct {
	offset      int64
	was, is     string
	wasMs, atMs int64
}

func newChanges(client *kafka.Client, topic string) *changes {
	return &changes{client: client, topic: topic, last: make(map[string]said)}
}

// news says whether an alert changes what the one before it in the topic said
// of its subject. One that is raised again after staleAlert is news: the one
// before it may have been too old to be told. That whose text alone is renewed is
// not. Asked again of the same one, it answers the same.
func (c *changes) news(ctx context.Context, o pubsub.Origin, a *events.Alert) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.upTo(ctx, o); err != nil {
		return false, err
	}
	c.note(o.Offset, a)
	s := c.last[subjectOf(a)]
	// One before the last was done when that one came.
	if s.offset != o.Offset {
		return false, nil
	}
	renewed := s.was != s.is && events.AlertRenews(a.GetKind(), s.was, s.is)
	return events.AlertChanges(a.GetKind(), s.was, s.is) || s.is != "" && !renewed && s.atMs-s.wasMs > staleAlert.Milliseconds(), nil
}

// upTo reads what was told before this process began with the topic.
func (c *changes) upTo(ctx context.Context, o pubsub.Origin) error {
	if c.read >= o.Begin {
		return nil
	}
	first, _, err := c.client.Ends(ctx, c.topic)
	if err != nil {
		return err
	}
	err = c.client.ReadRange(ctx, c.topic, o.Partition, max(c.read, first[o.Partition]), o.Begin, false, func(m kafka.Fetched) error {
		alert := new(events.Alert)
		if proto.Unmarshal(m.Value, alert) == nil { // what is none went to the dead letters
			c.note(m.Offset, alert)
		}
		return nil
	})
	if err != nil {
		return err
	}
	c.read = o.Begin
	return nil
}

// note notes an alert, unless it, or a later one, is known.
func (c *changes) note(offset int64, a *events.Alert) {
	subject := subjectOf(a)
	if before, known := c.last[subject]; !known || before.offset < offset {
		c.last[subject] = said{offset: offset, was: before.is, is: events.AlertSays(a), wasMs: before.atMs, atMs: a.GetChangedMs()}
	}
}

func subjectOf(a *events.Alert) string { return a.GetKind() + "\x00" + a.GetSubject() }
