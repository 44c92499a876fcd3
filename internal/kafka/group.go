package kafka

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/segmentio/kafka-go"
)

// The times of a group keep one promise: 10 seconds after a member died, what
// it had is another's. A member is declared dead after sessionTimeout (the
// least that brokers allow by default); the others see it at their next
// heartbeat, and a rebalance waits rebalanceTimeout at most for one that is
// slow to join again.
const (
	sessionTimeout   = 6 * time.Second
	heartbeatEvery   = 500 * time.Millisecond
	rebalanceTimeout = 2 * time.Second
	coordinatorWait  = 3 * time.Second
	joinBackoff      = 250 * time.Millisecond
)

// ErrFenced says that a generation of the group is over: its member may not
// act for the group any more.
var ErrFenced = errors.New("this generation of the consumer group is over")

// ErrLeft says that the membership was closed.
var ErrLeft = errors.New("this member has left the consumer group")

// Standing is what a member says of itself when it joins a group.
type Standing struct {
	// Epoch under which it is active; 0 if it is not.
	Epoch uint64
	// Sequence up to which its state is.
	Sequence uint64
}

// Group is a membership in a consumer group in which all partitions of all
// topics belong to one member: the one that is active already, else the one
// whose state is newest. Its heartbeats do not wait for the member's work.
type Group struct {
	client *Client
	id     string
	group  *kafka.ConsumerGroup
}

// Join makes a membership, which joins in the background. standing is asked
// whenever the members join anew.
func (c *Client) Join(id string, topics []string, standing func() Standing) (*Group, error) {
	group, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID: id, Brokers: c.config.Brokers, Dialer: c.dialer, Topics: topics,
		GroupBalancers:    []kafka.GroupBalancer{oneMember{standing}},
		HeartbeatInterval: heartbeatEvery,
		SessionTimeout:    sessionTimeout,
		RebalanceTimeout:  rebalanceTimeout,
		JoinGroupBackoff:  joinBackoff,
		Timeout:           coordinatorWait,
		StartOffset:       kafka.FirstOffset,
	})
	if err != nil {
		return nil, fmt.Errorf("kafka: join group %s: %w", id, err)
	}
	return &Group{client: c, id: id, group: group}, nil
}

// Next waits for the next generation of the group. After an error, which says
// why the group could not be joined, it has to be called again: the membership
// goes on trying, until ErrLeft.
func (g *Group) Next(ctx context.Context) (*Generation, error) {
	generation, err := g.group.Next(ctx)
	if errors.Is(err, kafka.ErrGroupClosed) {
		err = ErrLeft
	}
	if err != nil {
		return nil, fmt.Errorf("kafka: join group %s: %w", g.id, err)
	}
	next := &Generation{client: g.client, group: g.id, generation: generation, done: make(chan struct{})}
	for _, partitions := range generation.Assignments {
		next.Active = next.Active || len(partitions) > 0
	}
	next.Number = uint64(max(generation.ID, 0))
	generation.Start(func(ctx context.Context) {
		<-ctx.Done()
		close(next.done)
	})
	return next, nil
}

// Close leaves the group, so that the others need not wait for a dead member.
func (g *Group) Close() error {
	if err := g.group.Close(); err != nil {
		return fmt.Errorf("kafka: leave group %s: %w", g.id, err)
	}
	return nil
}

// Generation is the group between two changes of its members. It may be used
// concurrently.
type Generation struct {
	// Number grows with each generation, as long as the brokers remember the
	// group: one that is made anew begins at 1 again.
	Number uint64
	// Active says whether the partitions are this member's.
	Active bool

	client     *Client
	group      string
	generation *kafka.Generation
	done       chan struct{}
}

// Done is closed when the generation is over, as far as this member has seen.
func (g *Generation) Done() <-chan struct{} { return g.done }

// Commit keeps the group's position, for others to see how far it is. A
// partition whose offset is negative stays where it is. ErrFenced says that
// the generation is over, or that the members are joining anew just now, and
// nothing was kept. (kafka-go's own heartbeat for clients reads the answer
// wrongly from version 1 on: to commit is the way to ask.)
func (g *Generation) Commit(ctx context.Context, position Position) error {
	return g.client.commit(ctx, &kafka.OffsetCommitRequest{GroupID: g.group, GenerationID: int(g.generation.ID), MemberID: g.generation.MemberID}, position)
}

// fenced adds ErrFenced to what the coordinator says of a generation that is
// over.
func fenced(err error) error {
	for _, code := range []kafka.Error{kafka.IllegalGeneration, kafka.UnknownMemberId, kafka.RebalanceInProgress, kafka.FencedInstanceID} {
		if errors.Is(err, code) {
			return fmt.Errorf("%w: %w", ErrFenced, err)
		}
	}
	return err
}

// oneMember gives everything to one member.
type oneMember struct{ standing func() Standing }

// ProtocolName implements kafka.GroupBalancer.
func (oneMember) ProtocolName() string { return "oneid-one-member" }

// UserData implements kafka.GroupBalancer.
func (b oneMember) UserData() ([]byte, error) {
	s := b.standing()
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, s.Epoch), s.Sequence), nil
}

// AssignGroups implements kafka.GroupBalancer. The standing of a member that
// says nothing intelligible is the lowest.
func (oneMember) AssignGroups(members []kafka.GroupMember, partitions []kafka.Partition) kafka.GroupMemberAssignments {
	assignments := make(kafka.GroupMemberAssignments, len(members))
	for _, m := range members {
		assignments[m.ID] = map[string][]int{} // with none, a member has to be told so
	}
	if len(members) == 0 {
		return assignments
	}
	chosen := slices.MaxFunc(members, func(a, b kafka.GroupMember) int {
		return cmp.Or(bytes.Compare(standingOf(a), standingOf(b)), cmp.Compare(b.ID, a.ID))
	})
	for _, p := range partitions {
		assignments[chosen.ID][p.Topic] = append(assignments[chosen.ID][p.Topic], p.ID)
	}
	return assignments
}

// standingOf is a member's epoch and sequence, big-endian: they compare as
// bytes do.
func standingOf(m kafka.GroupMember) []byte {
	if len(m.UserData) != 16 {
		return nil
	}
	return m.UserData
}
