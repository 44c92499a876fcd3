package resolve

import (
	"context"
	"testing"
	"time"

	"oneid/internal/embedded/broker/brokertest"
	"oneid/internal/kafka"
)

// onlooker notes at each insert whether the resolver says that it is behind.
type onlooker struct {
	*ledger
	of   *Resolver
	said []bool
}

func (o *onlooker) Insert(ctx context.Context, b *Batch) (int, error) {
	o.said = append(o.said, o.of.Behind())
	return o.ledger.Insert(ctx, b)
}

// After a full batch the resolver is behind, after one that is not full it has
// come to the end.
func TestBehindAfterAFullBatch(t *testing.T) {
	t.Parallel()
	f := newFlowOn(t, &flow{brokers: brokertest.Brokers(t)}, 1)
	work := &onlooker{ledger: newLedger()}
	r := f.resolver(work)
	work.of = r
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	ended := make(chan error, 1)
	go func() { defer cancel(); ended <- r.Run(ctx) }()
	no := 0
	for _, size := range []int{1, 3 * r.BatchEvents, 1} { // what is published at once comes in one piece
		var messages []kafka.Message
		for range size {
			messages = append(messages, f.message(t, user(no)))
			no++
		}
		f.publish(t, messages...)
		if err := r.CaughtUp(ctx); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(5 * time.Minute); r.Behind(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("behind, with nothing left")
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if said := work.said; said[0] || said[1] || !said[len(said)-1] {
		t.Errorf("behind at the inserts: %v, want only those after a full batch", said)
	}
}
