package resolve

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"oneid/internal/kafka"
	"oneid/pipelines"
)

// A process that the group has chosen and does not let become active waits and
// says so, once, by its state, the log and the counters; then it goes on.
func TestClaimIsRefused(t *testing.T) {
	t.Parallel()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	f, work := newFlowOn(t, &flow{brokers: cluster.ListenAddrs()}, 1), newLedger()
	f.publish(t, f.message(t, user(0)))
	refusal := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Count: -1, Err: kerr.IllegalGeneration})
	r := f.resolver(work)
	var log bytes.Buffer
	var fenced, waits atomic.Int64
	r.Log = slog.New(slog.NewTextHandler(&log, nil)) // it locks, and is read once Run has ended
	r.Counters.Fenced = func(n int) { fenced.Add(int64(n)) }
	r.Counters.Waits = func(n int) { waits.Add(int64(n)) }
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	wait := func(what string, is func() bool) {
		t.Helper()
		for deadline := time.Now().Add(5 * time.Minute); !is(); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				state, err, _ := r.Health()
				t.Fatalf("not %s: %s, %v", what, state, err)
			}
		}
	}
	wait("waiting", func() bool {
		state, err, _ := r.Health()
		return state == pipelines.Waiting && errors.Is(err, kafka.ErrFenced)
	})
	for told := fenced.Load(); fenced.Load() < told+5; { // it goes on being refused
		time.Sleep(time.Millisecond)
	}
	refusal.Remove()
	wait("working", func() bool {
		state, _, _ := r.Health()
		return state == pipelines.Working
	})
	if err := r.CaughtUp(ctx); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	work.wantAllOnce(t, 1)
	if waits.Load() != 1 {
		t.Errorf("counted %d waits, want 1", waits.Load())
	}
	for _, said := range []string{"resolver is chosen, and its group does not let it become active", "resolver goes on"} {
		if n := strings.Count(log.String(), said); n != 1 {
			t.Errorf("the log says %q %d times, want once:\n%s", said, n, log.String())
		}
	}
}
