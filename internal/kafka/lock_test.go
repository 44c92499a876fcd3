package kafka_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"oneid/internal/crashtest"
	"oneid/internal/embedded/broker"
	"oneid/internal/embedded/broker/brokertest"
	"oneid/internal/kafka"
)

// lockRig is a topic, and clients of it.
func lockRig(t *testing.T) (topic string, client func() *kafka.Client) {
	t.Helper()
	topic = brokertest.Brand() + ".cursors"
	brokers := brokertest.Brokers(t)
	client = func() *kafka.Client {
		c, err := kafka.New(kafka.Config{Brokers: brokers})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
	if err := client().EnsureTopics(t.Context(), []kafka.Topic{{Name: topic, Partitions: 1, Replication: 1}}); err != nil {
		t.Fatal(err)
	}
	return topic, client
}

func newLock(t *testing.T, c *kafka.Client, topic string, ahead bool) *kafka.Lock {
	t.Helper()
	l, err := c.Lock(topic+".lock", topic, ahead)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// Three processes work again and again under one name while members come and
// go: never two at once, each gets it in the end, and none is cut short.
func TestLockIsOnes(t *testing.T) {
	t.Parallel()
	topic, client := lockRig(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var at atomic.Int32
	turn := func(l *kafka.Lock, d time.Duration) error {
		return l.Do(ctx, func(context.Context, bool) error {
			if n := at.Add(1); n != 1 {
				t.Errorf("%d work at once", n)
			}
			time.Sleep(d) // work takes time
			at.Add(-1)
			return nil
		})
	}
	first := newLock(t, client(), topic, false)
	if err := turn(first, 0); err != nil {
		t.Fatal(err)
	}
	second := newLock(t, client(), topic, false)
	ended := make(chan error)
	go func() {
		ended <- turn(second, 0)
	}()
	for range 20 {
		if err := turn(first, 100*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case err := <-ended:
		t.Fatalf("the second got the lock while the first has it (%v)", err)
	default:
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

// A person comes before a scheduler that rests, not before one that works; it
// gets the lock back after that, and knows that others worked.
func TestLockByHand(t *testing.T) {
	t.Parallel()
	topic, client := lockRig(t)
	wantMembers := func(want int) {
		t.Helper()
		if got, err := client().Members(t.Context(), topic+".lock"); err != nil || got != want {
			t.Errorf("the group has %d members (%v), want %d", got, err, want)
		}
	}
	wantMembers(0)
	resting := newLock(t, client(), topic, false) // which joins in the background
	gains := 0
	count := func(_ context.Context, gained bool) error {
		if gained {
			gains++
		}
		return nil
	}
	for range 2 {
		if err := resting.Do(t.Context(), count); err != nil || gains != 1 {
			t.Fatalf("gained %d times (%v), want once", gains, err)
		}
	}
	wantMembers(1)
	nothing := func(context.Context, bool) error { return nil }
	err := resting.Do(t.Context(), func(ctx context.Context, _ bool) error {
		hand := newLock(t, client(), topic, true)
		if err := hand.Try(ctx, nothing); !errors.Is(err, kafka.ErrHeld) {
			t.Errorf("by hand while it is worked: %v, want that it is held", err)
		}
		return hand.Close()
	})
	if err != nil {
		t.Fatal(err)
	}
	hand := newLock(t, client(), topic, true)
	if err := hand.Try(t.Context(), nothing); err != nil {
		t.Fatalf("by hand while it rests: %v", err)
	}
	if err := hand.Close(); err != nil {
		t.Fatal(err)
	}
	if err := resting.Do(t.Context(), count); err != nil || gains != 2 {
		t.Errorf("gained %d times (%v), want twice", gains, err)
	}
}

// Who hears nothing of the brokers any more stops by itself, sooner than
// another one could begin.
func TestLockIsLostWithTheBrokers(t *testing.T) {
	t.Parallel()
	b, err := broker.Start(t.TempDir(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c, err := kafka.New(kafka.Config{Brokers: b.Addresses()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.EnsureTopics(t.Context(), []kafka.Topic{{Name: "cursors", Partitions: 1, Replication: 1}}); err != nil {
		t.Fatal(err)
	}
	l := newLock(t, c, "cursors", false)
	var began time.Time
	err = l.Do(t.Context(), func(ctx context.Context, _ bool) error {
		b.Close()
		began = time.Now()
		<-ctx.Done()
		return nil
	})
	if !errors.Is(err, kafka.ErrFenced) {
		t.Errorf("the work ended with %v; want that the lock is lost", err)
	}
	crashtest.Within(t, "the end of the work, before a session of 10 s is over", time.Since(began), 9*time.Second)
}
