package resolve

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"oneid/internal/kafka"
	"oneid/pipelines"
	"oneid/schemas/events"
)

// committedUsers is how far the group is in the topic of users.
func (f *flow) committedUsers(t *testing.T) []int64 {
	t.Helper()
	position, err := f.client.Committed(t.Context(), pipelines.ResolverGroup(f.brand), []string{f.topics.Users})
	if err != nil {
		t.Fatal(err)
	}
	return position[f.topics.Users]
}

// What one that was active delivered and could not commit any more is committed
// by the next, who has nothing to deliver: others wait for it.
func TestWhatTheLastOneCouldNotCommit(t *testing.T) {
	t.Parallel()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	f, work := newFlowOn(t, &flow{brokers: cluster.ListenAddrs()}, 1), newLedger()
	f.publish(t, f.message(t, user(0)), f.message(t, user(1)))
	refusal := f.refuseCommits(cluster)
	if err := run(t, f.resolver(work)); err != nil {
		t.Fatal(err)
	}
	if got := f.committedUsers(t); got[0] != 0 {
		t.Fatalf("the group stands at %d: nothing was refused", got[0])
	}
	refusal.Remove()
	if err := run(t, f.resolver(work)); err != nil {
		t.Fatal(err)
	}
	if got := f.committedUsers(t); got[0] != 2 {
		t.Errorf("the group stands at %d, want 2", got[0])
	}
	work.wantAllOnce(t, 2)
}

// What could not be committed while members came or went is committed when they
// have, by one that stays active and has nothing new to deliver.
func TestCommittedOnceTheMembersHaveJoined(t *testing.T) {
	t.Parallel()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	f, work := newFlowOn(t, &flow{brokers: cluster.ListenAddrs()}, 1), newLedger()
	f.publish(t, f.message(t, user(0)), f.message(t, user(1)))
	refusal := f.refuseCommits(cluster)
	ctx, cancel := context.WithCancel(t.Context())
	var members sync.WaitGroup
	defer members.Wait()
	defer cancel()
	start := func(r *Resolver) {
		members.Go(func() {
			if err := r.Run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	active := f.resolver(work)
	start(active)
	if err := active.CaughtUp(ctx); err != nil {
		t.Fatal(err)
	}
	refusal.Remove()
	other := f.resolver(newLedger())
	start(other)
	for deadline := time.Now().Add(5 * time.Minute); f.committedUsers(t)[0] != 2; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the group stands at %d, want 2", f.committedUsers(t)[0])
		}
	}
	if !active.Active() {
		t.Error("another is active")
	}
	late, stop := context.WithTimeout(ctx, 5*time.Minute)
	defer stop()
	if err := other.CaughtUp(late); err != nil { // it is told by the group's offsets
		t.Error(err)
	}
}

// refuseCommits has the group's commits refused, but for claims.
func (f *flow) refuseCommits(cluster *kfake.Cluster) *kfake.FaultHandle {
	return cluster.Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.OffsetCommit}, Count: -1, Err: kerr.RebalanceInProgress,
		When: func(r kmsg.Request) bool {
			return slices.ContainsFunc(r.(*kmsg.OffsetCommitRequest).Topics, func(t kmsg.OffsetCommitRequestTopic) bool { return t.Topic != f.topics.Journal })
		},
	})
}

// One that becomes active again does not commit what it could not commit before
// others went on.
func TestCommitsDoNotGoBack(t *testing.T) {
	t.Parallel()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	f, work := newFlowOn(t, &flow{brokers: cluster.ListenAddrs()}, 1), newLedger()
	f.publish(t, f.message(t, user(0)), f.message(t, user(1)))
	if err := run(t, f.resolver(work)); err != nil {
		t.Fatal(err)
	}
	back := cluster.Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.OffsetCommit}, Count: -1, Observe: true,
		When: func(r kmsg.Request) bool {
			for _, topic := range r.(*kmsg.OffsetCommitRequest).Topics {
				for _, p := range topic.Partitions {
					if topic.Topic == f.topics.Users && p.Offset < 2 {
						return true
					}
				}
			}
			return false
		},
	})
	r := f.resolver(work)
	r.uncommitted = map[partition]int64{{f.topics.Users, 0}: 1}
	if err := run(t, r); err != nil {
		t.Fatal(err)
	}
	if got := f.committedUsers(t); got[0] != 2 || back.Hits() > 0 {
		t.Errorf("the group went back %d times and stands at %d, want 2", back.Hits(), got[0])
	}
}

// Partitions that a topic is given while the resolver runs are read.
func TestPartitionsAreAdded(t *testing.T) {
	t.Parallel()
	f, work := newFlow(t), newLedger()
	f.publish(t, f.message(t, user(0)))
	r := f.resolver(work)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	if err := r.CaughtUp(ctx); err != nil {
		t.Fatal(err)
	}
	topic := kmsg.NewCreatePartitionsRequestTopic()
	topic.Topic, topic.Count = f.topics.Users, 4
	request := kmsg.NewPtrCreatePartitionsRequest()
	request.Topics, request.TimeoutMillis = append(request.Topics, topic), 10_000
	ask(t, f.brokers[0], request)
	for number := 2; number < 4; number++ {
		log := f.client.Log(f.topics.Users, number)
		defer log.Close()
		for {
			_, err := log.Append(ctx, f.message(t, user(number-1)).Value, nil)
			if err == nil {
				break
			}
			if !kafka.IsAway(err) { // it has no leader yet
				t.Fatal(err)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	late, stop := context.WithTimeout(ctx, 5*time.Minute)
	defer stop()
	for { // what the client knows of the cluster is some seconds old
		n, err := f.client.Partitions(late, f.topics.Users)
		if err != nil {
			t.Fatal(err)
		}
		if n == 4 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if err := r.CaughtUp(late); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	work.wantAllOnce(t, 3)
	if got := f.committedUsers(t); len(got) != 4 || got[2] != 1 || got[3] != 1 {
		t.Errorf("the group stands at %v, want 1 in each of the new partitions", got)
	}
}

// A topic that somebody made for the journal may not keep all of it. What it has
// forgotten to have taken is not taken again.
func TestAJournalThatLostItsBeginning(t *testing.T) {
	t.Parallel()
	f, work := newFlow(t), newLedger()
	for no := range 8 { // they come into both partitions
		f.publish(t, f.message(t, user(no)))
	}
	if err := run(t, f.resolver(work)); err != nil {
		t.Fatal(err)
	}
	_, next, err := f.client.Ends(t.Context(), f.topics.Journal)
	if err != nil {
		t.Fatal(err)
	}
	part := kmsg.NewDeleteRecordsRequestTopicPartition()
	part.Offset = next[0] - 1 // all batches
	of := kmsg.NewDeleteRecordsRequestTopic()
	of.Topic, of.Partitions = f.topics.Journal, append(of.Partitions, part)
	request := kmsg.NewPtrDeleteRecordsRequest()
	request.Topics = append(request.Topics, of)
	ask(t, f.brokers[0], request)
	f.publish(t, f.message(t, user(8)))
	r := f.resolver(work)
	var log bytes.Buffer
	r.Log = slog.New(slog.NewTextHandler(&log, nil)) // it locks, and is read once Run has ended
	if err := run(t, r); err != nil {
		t.Fatal(err)
	}
	work.wantAllOnce(t, 9)
	if n := strings.Count(log.String(), "lost its beginning"); n != 1 {
		t.Errorf("the log says %d times that records are gone, want once:\n%s", n, log.String())
	}
}

// ask sends a request of version 0 to a broker and waits for its answer.
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

// Of a partition that the client comes to know of late, what the journal has taken
// is not taken again.
func TestAPartitionThatWasTakenBefore(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	log := f.client.Log(f.topics.Users, 1)
	defer log.Close()
	for no := range 3 {
		if _, err := log.Append(t.Context(), f.message(t, user(no)).Value, nil); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	chunks, ended := make(chan chunk), make(chan error, 1)
	late := partition{f.topics.Users, 1}
	go func() {
		ended <- readAhead(ctx, f.client, map[partition]int64{{f.topics.Users, 0}: 0}, map[partition]int64{late: 2}, newMemory(1<<20), chunks, make(chan struct{}))
	}()
	select {
	case c := <-chunks:
		if c.partition != late || c.messages[0].Offset != 2 {
			t.Errorf("%v is read from offset %d, want %v from 2", c.partition, c.messages[0].Offset, late)
		}
	case err := <-ended:
		t.Fatal(err)
	}
	j := journal{positions: map[partition]int64{late: 2}}
	if _, err := j.append(t.Context(), []*events.Range{{Topic: late.topic, Partition: 1, First: 1, Last: 3}}); !errors.Is(err, errJournalMoved) {
		t.Errorf("ranges that were taken are written down again: %v", err)
	}
}

// A journal that has lost its last records, as a broker that lost its power may
// make it, is no order any more: the resolver ends and says what to do, and
// writes no second order behind what it knows.
func TestAJournalThatLostRecords(t *testing.T) {
	t.Parallel()
	f, work := newFlow(t), newLedger()
	r := f.resolver(work)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	for no := range 4 {
		f.publish(t, f.message(t, user(no)))
		if err := r.CaughtUp(ctx); err != nil {
			t.Fatal(err)
		}
	}
	standby, alike := f.resolver(newLedger()), make(chan error, 1)
	go func() { alike <- standby.Run(ctx) }()
	wantState(t, standby, pipelines.Standby)
	if err := f.client.DeleteTopics(ctx, []string{f.topics.Journal}); err != nil {
		t.Fatal(err)
	}
	for {
		err := f.client.EnsureTopics(ctx, []kafka.Topic{{Name: f.topics.Journal, Partitions: 1, Replication: 1}})
		if err == nil {
			break
		}
		if ctx.Err() != nil { // it may still be on its way out
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	f.publish(t, f.message(t, user(4)))
	select {
	case err := <-ended:
		if !errors.Is(err, errLost) {
			t.Errorf("Run = %v, want errLost", err)
		}
	case <-ctx.Done():
		t.Fatal("the resolver goes on with another journal")
	}
	if err := <-alike; !errors.Is(err, errLost) {
		t.Errorf("Run of the one that stood by = %v, want errLost", err)
	}
	_, next, err := f.client.Ends(t.Context(), f.topics.Journal)
	if err != nil {
		t.Fatal(err)
	}
	if next[0] > 1 {
		t.Errorf("%d records were written into the other journal, want one at most", next[0])
	}
}
