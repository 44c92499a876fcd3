package resolve

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"oneid/pipelines"
)

// A part of Kafka is away, and the rest of it answers: the resolver waits, says so
// once and not once a retry, and goes on.
func TestAPartOfKafkaIsAway(t *testing.T) {
	for name, c := range map[string]struct {
		standby, users bool
		fault          kfake.Fault
	}{
		"the journal takes nothing": {fault: kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, When: func(r kmsg.Request) bool {
			produce, ok := r.(*kmsg.ProduceRequest)
			return ok && len(produce.Topics) > 0 && strings.HasSuffix(produce.Topics[0].Topic, ".journal")
		}}},
		"one partition has no leader":            {users: true, fault: kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.NotLeaderForPartition, Partitions: []int32{0}}},
		"the group's coordinator, of one active": {fault: kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.CoordinatorNotAvailable}},
		"the group's coordinator, of a standby":  {standby: true, fault: kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetFetch}, TopLevel: true, Err: kerr.CoordinatorNotAvailable}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(cluster.Close)
			f, work := newFlowOn(t, &flow{brokers: cluster.ListenAddrs()}, 1), newLedger()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			ended := make(chan error, 2)
			start := func(r *Resolver, then pipelines.State) *Resolver {
				t.Helper()
				go func() { ended <- r.Run(ctx) }()
				wantState(t, r, then)
				return r
			}
			var log bytes.Buffer // the logger locks it, and it is read once Run has ended
			var waits, retries atomic.Int64
			r, want := f.resolver(work), pipelines.Working
			r.Log = slog.New(slog.NewTextHandler(&log, nil))
			r.Counters.Waits = func(n int) { waits.Add(int64(n)) }
			r.Counters.Retries = func(n int) { retries.Add(int64(n)) }
			if c.standby {
				start(f.resolver(newLedger()), pipelines.Working)
				want = pipelines.Standby
			}
			start(r, want)
			f.publish(t, f.message(t, user(0)))
			if err := r.CaughtUp(ctx); err != nil {
				t.Fatal(err)
			}
			c.fault.Count = -1
			if c.users {
				c.fault.Topic = f.topics.Users
			}
			fault := cluster.Fault(c.fault)
			f.publish(t, f.message(t, user(1)))
			for before := retries.Load(); retries.Load() < before+10 && ctx.Err() == nil; {
				if state, why, _ := r.Health(); retries.Load() > before+1 && state != pipelines.Waiting {
					t.Fatalf("after %d attempts in vain the resolver is %s: %v", retries.Load()-before, state, why)
				}
				time.Sleep(time.Millisecond)
			}
			fault.Remove()
			wantState(t, r, want)
			if err := r.CaughtUp(ctx); err != nil {
				t.Fatal(err)
			}
			cancel()
			for range cap(ended) {
				if err := <-ended; err != nil {
					t.Error(err)
				}
				if !c.standby {
					break
				}
			}
			if !c.standby {
				work.wantAllOnce(t, 2)
			}
			if waits.Load() != 1 {
				t.Errorf("counted %d waits, want 1", waits.Load())
			}
			if n := strings.Count(log.String(), "resolver waits for a store that is away"); n != 1 {
				t.Errorf("the log says %d times that it waits, want once:\n%s", n, log.String())
			}
		})
	}
}
