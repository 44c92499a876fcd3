package resolve

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"oneid/internal/kafka"
	"oneid/pipelines"
)

// One that has nothing to do says that it waits while its broker is frozen, before any
// fetch has ended, and goes on by itself.
func TestAFrozenBrokerIsNoticedAtRest(t *testing.T) {
	t.Parallel()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	f, work := newFlowOn(t, &flow{brokers: cluster.ListenAddrs()}, 1), newLedger()
	f.publish(t, f.message(t, user(0)))
	r := f.resolver(work)
	r.patience = 100 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	wait := func(what string, is func(pipelines.State, error) bool) {
		t.Helper()
		for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(time.Millisecond) {
			state, err, _ := r.Health()
			if is(state, err) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("not %s: %s, %v", what, state, err)
			}
		}
	}
	works := func(state pipelines.State, _ error) bool { return state == pipelines.Working }
	if err := r.CaughtUp(ctx); err != nil {
		t.Fatal(err)
	}
	wait("working", works)
	thaw := make(chan struct{})
	thawed := sync.OnceFunc(func() { close(thaw) })
	defer thawed()
	cluster.Control(func(kmsg.Request) (kmsg.Response, error, bool) { // in the one loop that answers
		<-thaw
		return nil, nil, false
	})
	wait("waiting", func(state pipelines.State, err error) bool {
		return state == pipelines.Waiting && errors.Is(err, errSilent)
	})
	thawed()
	wait("working again", works)
	f.publish(t, f.message(t, user(1)))
	if err := r.CaughtUp(ctx); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; err != nil && !kafka.IsAway(err) {
		t.Fatal(err)
	}
	work.wantAllOnce(t, 2)
}
