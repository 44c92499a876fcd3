package kafka_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"oneid/internal/crashtest"
	"oneid/internal/embedded/broker"
	"oneid/internal/kafka"
)

// member keeps the latest generation of a membership.
type member struct {
	t     *testing.T
	group *kafka.Group
	got   chan *kafka.Generation
}

func join(t *testing.T, client *kafka.Client, standing kafka.Standing) *member {
	t.Helper()
	group, err := client.Join("b.resolver", []string{"b.orders", "b.users"}, func() kafka.Standing { return standing })
	if err != nil {
		t.Fatal(err)
	}
	m := &member{t, group, make(chan *kafka.Generation, 100)}
	go func() {
		for {
			generation, err := group.Next(context.Background()) // ends with the membership
			if errors.Is(err, kafka.ErrLeft) {
				close(m.got)
				return
			}
			if err == nil { // else it goes on trying
				m.got <- generation
			}
		}
	}()
	t.Cleanup(m.leave)
	return m
}

func (m *member) leave() {
	if err := m.group.Close(); err != nil {
		m.t.Error(err)
	}
}

// next waits for the next generation.
func (m *member) next() *kafka.Generation {
	m.t.Helper()
	select {
	case g, ok := <-m.got:
		if !ok {
			m.t.Fatal("the membership ended")
		}
		return g
	case <-time.After(5 * time.Minute):
		m.t.Fatal("no generation within five minutes")
		return nil
	}
}

// latest waits until all members are in one generation and returns it.
func latest(members ...*member) []*kafka.Generation {
	current := make([]*kafka.Generation, len(members))
	for i, m := range members {
		current[i] = m.next()
	}
	for {
		newest := slices.MaxFunc(current, func(a, b *kafka.Generation) int { return int(a.Number) - int(b.Number) })
		behind := slices.IndexFunc(current, func(g *kafka.Generation) bool { return g.Number < newest.Number })
		if behind < 0 {
			return current
		}
		current[behind] = members[behind].next()
	}
}

func topics(t *testing.T, client *kafka.Client) {
	t.Helper()
	if err := client.EnsureTopics(t.Context(), []kafka.Topic{{Name: "b.orders", Partitions: 3, Replication: 1}, {Name: "b.users", Partitions: 2, Replication: 1}}); err != nil {
		t.Fatal(err)
	}
}

// Everything belongs to one member: to the one that is active already, however
// many come, and to the newest state once that one has left. What it does
// under its generation then is refused.
func TestOneMemberHasAll(t *testing.T) {
	_, client := start(t, t.TempDir())
	topics(t, client)
	old := join(t, client, kafka.Standing{Epoch: 7, Sequence: 3})
	if g := old.next(); !g.Active {
		t.Fatal("the only member has nothing")
	}
	behind := join(t, client, kafka.Standing{Sequence: 1})
	latest(old, behind)
	ahead := join(t, client, kafka.Standing{Sequence: 2})
	all := latest(old, behind, ahead)
	if !all[0].Active || all[1].Active || all[2].Active {
		t.Fatalf("active = %v %v %v, want the one that was", all[0].Active, all[1].Active, all[2].Active)
	}
	if err := all[0].Commit(t.Context(), kafka.Position{"b.orders": {5, -1, 6}}); err != nil {
		t.Fatal(err)
	}
	old.leave()
	<-all[1].Done()
	rest := latest(behind, ahead)
	if rest[0].Active || !rest[1].Active {
		t.Errorf("active = %v %v, want the one with the newer state", rest[0].Active, rest[1].Active)
	}
	if err := all[0].Commit(t.Context(), kafka.Position{"b.orders": {9, 9, 9}}); !errors.Is(err, kafka.ErrFenced) {
		t.Errorf("a commit of one that left = %v, want ErrFenced", err)
	}
	if got, err := client.Committed(t.Context(), "b.resolver", []string{"b.orders"}); err != nil || !slices.Equal(got["b.orders"], []int64{5, 0, 6}) {
		t.Errorf("committed = %v, %v; want 5, 0, 6", got, err)
	}
}

// A process that is killed while it waits for the answer to its JoinGroup is a
// member of the next generation, and gets everything if its state is the newest.
// It is taken out once its session ends.
func TestAMemberThatDiesWhileItJoins(t *testing.T) {
	t.Parallel()
	b, client := start(t, t.TempDir())
	topics(t, client)
	alive := join(t, client, kafka.Standing{Sequence: 1})
	if !alive.next().Active {
		t.Fatal("the only member has nothing")
	}
	dead := time.Now()
	dieJoining(t, b.Addresses()[0], kafka.Standing{Epoch: 9, Sequence: 9})
	if alive.next().Active {
		t.Fatal("the one that died was not the newest member: nothing was tried")
	}
	if !alive.next().Active {
		t.Error("the one that is alive has nothing")
	}
	crashtest.Within(t, "what the dead one had was another's", time.Since(dead), 10*time.Second)
}

// dieJoining asks to join the group of the tests, as kafka-go does, and is gone
// before it is answered: the others, who would have to join anew first, do not
// know of it yet.
func dieJoining(t *testing.T, broker string, standing kafka.Standing) {
	t.Helper()
	metadata := kmsg.NewConsumerMemberMetadata()
	metadata.Topics = []string{"b.orders", "b.users"}
	metadata.UserData = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, standing.Epoch), standing.Sequence)
	protocol := kmsg.NewJoinGroupRequestProtocol()
	protocol.Name, protocol.Metadata = "oneid-one-member", metadata.AppendTo(nil)
	request := kmsg.NewPtrJoinGroupRequest()
	request.Version, request.Group, request.ProtocolType = 1, "b.resolver", "consumer"
	request.SessionTimeoutMillis, request.RebalanceTimeoutMillis = 6000, 2000
	request.Protocols = append(request.Protocols, protocol)
	connection, err := net.Dial("tcp", broker)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := connection.Write(kmsg.NewRequestFormatter().AppendRequest(nil, request, 1)); err != nil {
		t.Fatal(err)
	}
	if err := connection.Close(); err != nil {
		t.Fatal(err)
	}
}

// ask sends a request of version 0 and waits for its answer.
func ask(t *testing.T, broker string, request kmsg.Request) {
	t.Helper()
	connection, err := net.Dial("tcp", broker)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if _, err := connection.Write(kmsg.NewRequestFormatter().AppendRequest(nil, request, 1)); err != nil {
		t.Fatal(err)
	}
	var size [4]byte
	if _, err := io.ReadFull(connection, size[:]); err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, connection, int64(binary.BigEndian.Uint32(size[:]))); err != nil {
		t.Fatal(err)
	}
}

// A membership outlives its broker: it joins again where the next one is.
func TestGroupAfterTheBrokerWasAway(t *testing.T) {
	dir := t.TempDir()
	b, client := start(t, dir)
	topics(t, client)
	m := join(t, client, kafka.Standing{})
	first := m.next()
	address := b.Addresses()[0]
	b.Close()
	<-first.Done()
	if err := first.Commit(t.Context(), kafka.Position{"b.orders": {1}}); !kafka.IsAway(err) || errors.Is(err, kafka.ErrFenced) {
		t.Errorf("a commit without a broker = %v, want that Kafka is away", err)
	}
	restarted, err := broker.Start(dir, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(restarted.Close)
	if again := m.next(); !again.Active {
		t.Error("the only member has nothing after the broker came back")
	}
}
