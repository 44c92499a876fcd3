package broker

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// retryAfter is how long to wait before the sessions of a generation are begun
// once more.
const retryAfter = 100 * time.Millisecond

// sessions begins the session of each member of a group with each generation.
// kfake begins it only once the answer to the member's JoinGroup was handed to
// its connection: one that was killed while it waited, or gave up, would be a
// member for good, and might be given everything. Apache Kafka begins it before
// it answers, and so does a heartbeat in each member's name as its leader
// assigns the partitions. Who is alive has a session already; who is not is
// declared dead once this one ends.
type sessions struct {
	address string

	mu sync.Mutex
	// due is the newest assignment of each group whose sessions are to be begun;
	// mu guards it.
	due  map[string]*kmsg.SyncGroupRequest
	more chan struct{} // holds one thing while there may be something due
}

// beginSessions watches the groups of a cluster until ctx ends, and closes the
// channel that it returns then.
func beginSessions(ctx context.Context, cluster *kfake.Cluster) <-chan struct{} {
	s := &sessions{address: cluster.ListenAddrs()[0], due: make(map[string]*kmsg.SyncGroupRequest), more: make(chan struct{}, 1)}
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.SyncGroup}, Count: -1, When: s.see})
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.run(ctx)
	}()
	return done
}

// see is shown each SyncGroup before it is handled, on the cluster's own
// goroutine, and lets it pass.
func (s *sessions) see(request kmsg.Request) (refuse bool) {
	assigned, ok := request.(*kmsg.SyncGroupRequest)
	if !ok || len(assigned.GroupAssignment) == 0 { // the leader's alone names the members
		return false
	}
	s.mu.Lock()
	s.due[assigned.Group] = assigned
	s.mu.Unlock()
	select {
	case s.more <- struct{}{}:
	default:
	}
	return false
}

// run begins what is due. On loopback nothing but the cluster's end fails for
// long.
func (s *sessions) run(ctx context.Context) {
	for {
		select {
		case <-s.more:
		case <-ctx.Done():
			return
		}
		s.mu.Lock()
		due := s.due
		s.due = make(map[string]*kmsg.SyncGroupRequest)
		s.mu.Unlock()
		for _, assigned := range due {
			for s.begin(ctx, assigned) != nil {
				select {
				case <-time.After(retryAfter):
				case <-ctx.Done():
					return
				}
			}
		}
	}
}

// begin sends a heartbeat for each member of a generation.
func (s *sessions) begin(ctx context.Context, assigned *kmsg.SyncGroupRequest) error {
	var dialer net.Dialer
	connection, err := dialer.DialContext(ctx, "tcp", s.address)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = connection.Close() })
	defer func() {
		if stop() {
			_ = connection.Close() // all answers were read
		}
	}()
	for _, member := range assigned.GroupAssignment {
		if err := heartbeat(connection, assigned.Group, assigned.Generation, member.MemberID); err != nil {
			return err
		}
	}
	return nil
}

// heartbeat says that a member is alive. That its generation is over by now, or
// that it has left, is as good an answer as any.
func heartbeat(connection net.Conn, group string, generation int32, member string) error {
	request := kmsg.NewPtrHeartbeatRequest()
	request.Group, request.Generation, request.MemberID = group, generation, member
	if _, err := connection.Write(kmsg.NewRequestFormatter().AppendRequest(nil, request, 0)); err != nil {
		return err
	}
	var size [4]byte
	if _, err := io.ReadFull(connection, size[:]); err != nil {
		return err
	}
	_, err := io.CopyN(io.Discard, connection, int64(binary.BigEndian.Uint32(size[:])))
	return err
}
