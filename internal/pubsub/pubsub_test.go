package pubsub_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"oneid/internal/crashtest"
	"oneid/internal/embedded/broker"
	"oneid/internal/embedded/broker/brokertest"
	"oneid/internal/kafka"
	"oneid/internal/pubsub"
)

var discard = slog.New(slog.DiscardHandler)

func connect(t testing.TB, brokers []string) *kafka.Client {
	t.Helper()
	client, err := kafka.New(kafka.Config{Brokers: brokers})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// topicOf makes a topic that no other test has; it is the name of its group
// too.
func topicOf(t testing.TB, client *kafka.Client, name string, partitions int) string {
	t.Helper()
	topic := brokertest.Brand() + "." + name
	if err := client.EnsureTopics(t.Context(), []kafka.Topic{{Name: topic, Partitions: partitions, Replication: 1}}); err != nil {
		t.Fatal(err)
	}
	return topic
}

func publish(t testing.TB, client *kafka.Client, topic string, messages ...*message.Message) {
	t.Helper()
	p := pubsub.NewPublisher(client)
	defer p.Close()
	if err := p.Publish(topic, messages...); err != nil {
		t.Fatal(err)
	}
}

func subscribe(t testing.TB, client *kafka.Client, group, topic string) (<-chan *message.Message, *pubsub.Subscriber) {
	t.Helper()
	s := pubsub.NewSubscriber(client, group, 0, discard)
	t.Cleanup(func() { _ = s.Close() })
	messages, err := s.Subscribe(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	return messages, s
}

func next(t testing.TB, messages <-chan *message.Message) *message.Message {
	t.Helper()
	select {
	case m, open := <-messages:
		if !open {
			t.Fatal("the subscription ended")
		}
		return m
	case <-time.After(5 * time.Minute):
		t.Fatal("no message came within a minute")
	}
	return nil
}

func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Minute); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited a minute: %s", what)
		}
	}
}

func committed(t testing.TB, client *kafka.Client, topic string) int64 {
	t.Helper()
	position, err := client.Committed(t.Context(), topic, []string{topic})
	if err != nil {
		t.Fatal(err)
	}
	return position[topic][0]
}

func TestKeyHeadersAndPlaceAreCarried(t *testing.T) {
	t.Parallel()
	client := connect(t, brokertest.Brokers(t))
	topic := topicOf(t, client, "carried", 1)
	sent := message.NewMessage("id-1", []byte("value"))
	sent.Metadata = message.Metadata{pubsub.KeyMetadata: "tmall/flagship/1", "ce_type": "oneid.order.v1", "content-type": "application/protobuf"}
	publish(t, client, topic, sent)
	raw := client.Publisher()
	defer raw.Close()
	if err := raw.Publish(t.Context(), []kafka.Message{{Topic: topic, Value: []byte("bare")}}); err != nil {
		t.Fatal(err)
	}
	messages, _ := subscribe(t, client, topic, topic)
	got := map[string]*message.Message{}
	for range 2 {
		m := next(t, messages)
		got[m.UUID] = m
		if origin, ok := pubsub.OriginOf(m.Context()); !ok || origin.Topic != topic || origin.Begin != 0 {
			t.Errorf("the origin of %s is %v", m.UUID, origin)
		}
		m.Ack()
	}
	first, bare := got["id-1"], got[topic+"/0/1"]
	if first == nil || bare == nil {
		t.Fatalf("the messages came as %v", got)
	}
	if d := cmp.Diff(sent.Metadata, first.Metadata); d != "" || string(first.Payload) != "value" {
		t.Errorf("the message came with %q and other metadata:\n%s", first.Payload, d)
	}
	if len(bare.Metadata) != 0 || string(bare.Payload) != "bare" {
		t.Errorf("a bare message came as %v", bare)
	}
	// In Kafka the key is the key and the id a header: others read that.
	err := client.ReadRange(t.Context(), topic, 0, 0, 1, true, func(m kafka.Fetched) error {
		if string(m.Key) != "tmall/flagship/1" || len(m.Headers) != 3 || m.Headers[0].Key != "ce_id" || string(m.Headers[0].Value) != "id-1" {
			t.Errorf("in Kafka it has key %q and headers %v", m.Key, m.Headers)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestNackedMessageComesAgainAndHoldsTheOffset(t *testing.T) {
	t.Parallel()
	client := connect(t, brokertest.Brokers(t))
	topic := topicOf(t, client, "nacked", 1)
	for i := range 3 {
		publish(t, client, topic, message.NewMessage(fmt.Sprint(i), []byte("x")))
	}
	messages, s := subscribe(t, client, topic, topic)
	seen := map[string]int{}
	for seen["0"] < 4 {
		m := next(t, messages)
		seen[m.UUID]++
		if m.UUID == "0" {
			m.Nack()
			continue
		}
		m.Ack()
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if seen["1"] != 1 || seen["2"] != 1 {
		t.Errorf("acknowledged messages came %v times, want once", seen)
	}
	if got := committed(t, client, topic); got != 0 {
		t.Errorf("the group stands at %d though message 0 was never acknowledged", got)
	}
}

// What is acknowledged while the Subscriber closes is committed; what is not
// has its context ended, and comes again.
func TestCloseWithMessagesInFlight(t *testing.T) {
	t.Parallel()
	client := connect(t, brokertest.Brokers(t))
	topic := topicOf(t, client, "closing", 1)
	for i := range 3 {
		publish(t, client, topic, message.NewMessage(fmt.Sprint(i), []byte("x")))
	}
	messages, s := subscribe(t, client, topic, topic)
	held := map[string]*message.Message{}
	for range 3 {
		m := next(t, messages)
		held[m.UUID] = m
	}
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	// The channel is closed last, so this waits for the Close to have begun.
	eventually(t, "the subscriber is closed for new subscriptions", func() bool {
		_, err := s.Subscribe(t.Context(), topic)
		return errors.Is(err, pubsub.ErrClosed)
	})
	if err := held["1"].Context().Err(); err != nil {
		t.Errorf("the context of a message in flight ended at once: %v", err)
	}
	held["0"].Ack()
	held["2"].Ack()
	select {
	case <-held["1"].Context().Done():
	case <-time.After(5 * time.Minute):
		t.Fatal("the context of a message that nobody acknowledges did not end")
	}
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	if _, open := <-messages; open {
		t.Error("a message came after the Close")
	}
	if got := committed(t, client, topic); got != 1 {
		t.Errorf("the group stands at %d, want 1: before the message that was not acknowledged", got)
	}
	again, _ := subscribe(t, client, topic, topic)
	if m := next(t, again); m.UUID != "1" && m.UUID != "2" {
		t.Errorf("after the Close comes %s, want 1 or 2", m.UUID)
	}
}

// The broker goes away and comes back while messages are published and read:
// each that was acknowledged to its publisher comes.
func TestBrokerRestarts(t *testing.T) {
	t.Parallel()
	dir, address := t.TempDir(), crashtest.Address(t)
	b, err := broker.Start(dir, address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { b.Close() }()
	client := connect(t, b.Addresses())
	topic := topicOf(t, client, "restarts", 2)
	messages, _ := subscribe(t, client, topic, topic)
	var mu sync.Mutex
	got := map[string]bool{}
	count := func() int { mu.Lock(); defer mu.Unlock(); return len(got) }
	go func() {
		for m := range messages {
			mu.Lock()
			got[m.UUID] = true
			mu.Unlock()
			m.Ack()
		}
	}()
	const n = 300
	published := make(chan int, n)
	go func() {
		defer close(published)
		p := pubsub.NewPublisher(client)
		defer p.Close()
		for i := range n {
			for p.Publish(topic, message.NewMessage(fmt.Sprint(i), []byte("x"))) != nil {
				time.Sleep(10 * time.Millisecond)
			}
			published <- i
		}
	}()
	for i := range published {
		if i == n/3 || i == n/2 {
			b.Close()
			if b, err = broker.Start(dir, address); err != nil {
				t.Fatal(err)
			}
		}
	}
	eventually(t, "every message came", func() bool { return count() == n })
}

// running runs a Router until the test ends.
func running(t testing.TB, r *pubsub.Router) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func TestRouterRetriesThenPoisonsAndGoesOn(t *testing.T) {
	t.Parallel()
	client := connect(t, brokertest.Brokers(t))
	topic, poison := topicOf(t, client, "work", 1), topicOf(t, client, "poison", 1)
	for _, id := range []string{"fails", "panics", "works at last", "works"} {
		m := message.NewMessage(id, []byte("x"))
		m.Metadata.Set(pubsub.KeyMetadata, "one key, so that none overtakes")
		publish(t, client, topic, m)
	}
	publisher := pubsub.NewPublisher(client)
	defer publisher.Close()
	registry := prometheus.NewRegistry()
	r, err := pubsub.NewRouter(pubsub.RouterConfig{Attempts: 3, MinWait: time.Millisecond, MaxWait: time.Millisecond, Poison: publisher, PoisonTopic: poison, Metrics: registry})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	tried := map[string]int{}
	var order []string
	r.Handle("worker", topic, pubsub.NewSubscriber(client, topic, 0, discard), func(m *message.Message) error {
		mu.Lock()
		defer mu.Unlock()
		tried[m.UUID]++
		switch {
		case m.UUID == "fails", m.UUID == "works at last" && tried[m.UUID] < 3:
			return errors.New("it can't be done")
		case m.UUID == "panics":
			panic("a broken handler")
		}
		order = append(order, m.UUID)
		return nil
	})
	stop := running(t, r)
	eventually(t, "the last is done", func() bool { mu.Lock(); defer mu.Unlock(); return len(order) == 2 })
	stop()
	if d := cmp.Diff(map[string]int{"fails": 3, "panics": 3, "works at last": 3, "works": 1}, tried); d != "" {
		t.Errorf("attempts:\n%s", d)
	}
	if got := committed(t, client, topic); got != 4 {
		t.Errorf("the group stands at %d, want 4: poison does not hold it", got)
	}
	poisoned, _ := subscribe(t, client, poison, poison)
	for range 2 {
		m := next(t, poisoned)
		m.Ack()
		offset := map[string]string{"fails": "/0/0", "panics": "/0/1"}[m.UUID]
		if m.Metadata.Get(pubsub.OriginMetadata) != topic+offset || m.Metadata.Get("reason_poisoned") == "" || m.Metadata.Get("handler_poisoned") != "worker" || string(m.Payload) != "x" {
			t.Errorf("poison %s came with %v", m.UUID, m.Metadata)
		}
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range families {
		names = append(names, f.GetName())
	}
	for _, want := range []string{"oneid_pubsub_handler_execution_time_seconds", "oneid_pubsub_subscriber_messages_received_total"} {
		if !strings.Contains(strings.Join(names, " "), want) {
			t.Errorf("the metrics are %v, want %s too", names, want)
		}
	}
}

// What is away is waited for, however long, and is never poison.
func TestRouterWaitsForWhatIsAway(t *testing.T) {
	t.Parallel()
	client := connect(t, brokertest.Brokers(t))
	topic, poison := topicOf(t, client, "away", 1), topicOf(t, client, "poison", 1)
	publish(t, client, topic, message.NewMessage("1", []byte("x")))
	publisher := pubsub.NewPublisher(client)
	defer publisher.Close()
	errAway := errors.New("the store is away")
	r, err := pubsub.NewRouter(pubsub.RouterConfig{
		Attempts: 2, MinWait: time.Millisecond, MaxWait: time.Millisecond, Poison: publisher, PoisonTopic: poison,
		Away: func(err error) bool { return errors.Is(err, errAway) },
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan int, 1)
	tries := 0
	r.Handle("worker", topic, pubsub.NewSubscriber(client, topic, 0, discard), func(*message.Message) error {
		if tries++; tries == 30 {
			return errors.New("a failure of its own, the first of two that it may have")
		}
		if tries < 50 {
			return fmt.Errorf("store: %w", errAway)
		}
		done <- tries
		return nil
	})
	stop := running(t, r)
	if got := <-done; got != 50 {
		t.Errorf("it was tried %d times, want 50", got)
	}
	stop()
	if _, next, err := client.Ends(t.Context(), poison); err != nil || next[0] != 0 {
		t.Errorf("%v messages are poison (%v), want none", next, err)
	}
}

// One that comes again is handled once; one that failed is handled again.
func TestRouterRemembersWhatWasHandled(t *testing.T) {
	t.Parallel()
	client := connect(t, brokertest.Brokers(t))
	topic := topicOf(t, client, "twice", 1)
	for _, id := range []string{"a", "b", "a", "c", "a", "end"} {
		m := message.NewMessage(id, []byte("x"))
		m.Metadata.Set(pubsub.KeyMetadata, "k")
		publish(t, client, topic, m)
	}
	r, err := pubsub.NewRouter(pubsub.RouterConfig{Attempts: 1, Remember: time.Hour, RememberMost: 2})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var handled []string
	failed := false
	r.Handle("worker", topic, pubsub.NewSubscriber(client, topic, 0, discard), func(m *message.Message) error {
		mu.Lock()
		defer mu.Unlock()
		if m.UUID == "a" && !failed {
			failed = true
			return errors.New("not this time")
		}
		handled = append(handled, m.UUID)
		return nil
	})
	running(t, r)
	eventually(t, "the last came", func() bool { mu.Lock(); defer mu.Unlock(); return len(handled) > 0 && handled[len(handled)-1] == "end" })
	// There is room for two: when a comes again it is known, and after c no longer.
	if d := cmp.Diff([]string{"a", "b", "c", "a", "end"}, handled); d != "" {
		t.Errorf("handled:\n%s", d)
	}
}

// What one handler has handled, another one of the same topic has not.
func TestEachHandlerRemembersForItself(t *testing.T) {
	t.Parallel()
	client := connect(t, brokertest.Brokers(t))
	topic := topicOf(t, client, "two", 1)
	for _, id := range []string{"gate", "a"} { // one after the other, being of one key
		m := message.NewMessage(id, []byte("x"))
		m.Metadata.Set(pubsub.KeyMetadata, "k")
		publish(t, client, topic, m)
	}
	r, err := pubsub.NewRouter(pubsub.RouterConfig{Remember: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	quick, slow := make(chan struct{}), make(chan struct{})
	r.Handle("quick", topic, pubsub.NewSubscriber(client, topic+".quick", 0, discard), func(m *message.Message) error {
		if m.UUID == "a" {
			// It is remembered once this has returned.
			time.AfterFunc(100*time.Millisecond, func() { close(quick) })
		}
		return nil
	})
	r.Handle("slow", topic, pubsub.NewSubscriber(client, topic+".slow", 0, discard), func(m *message.Message) error {
		if m.UUID == "gate" {
			<-quick
		} else {
			close(slow)
		}
		return nil
	})
	running(t, r)
	select {
	case <-slow:
	case <-time.After(5 * time.Minute):
		t.Error("the slow handler never had what the quick one had handled")
	}
}

// The end of a Router lets what is in flight finish, and commits it.
func TestRouterEndsGracefully(t *testing.T) {
	t.Parallel()
	client := connect(t, brokertest.Brokers(t))
	topic := topicOf(t, client, "graceful", 1)
	publish(t, client, topic, message.NewMessage("1", []byte("x")))
	r, err := pubsub.NewRouter(pubsub.RouterConfig{})
	if err != nil {
		t.Fatal(err)
	}
	begun, finish := make(chan struct{}), make(chan struct{})
	r.Handle("worker", topic, pubsub.NewSubscriber(client, topic, 0, discard), func(m *message.Message) error {
		close(begun)
		<-finish
		return m.Context().Err()
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	<-begun
	cancel()
	close(finish)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if got := committed(t, client, topic); got != 1 {
		t.Errorf("the group stands at %d, want 1", got)
	}
}

func TestRouterThrottles(t *testing.T) {
	t.Parallel()
	client := connect(t, brokertest.Brokers(t))
	topic := topicOf(t, client, "throttled", 1)
	for i := range 3 {
		publish(t, client, topic, message.NewMessage(fmt.Sprint(i), []byte("x")))
	}
	r, err := pubsub.NewRouter(pubsub.RouterConfig{PerSecond: 2})
	if err != nil {
		t.Fatal(err)
	}
	times := make(chan time.Time, 3)
	r.Handle("worker", topic, pubsub.NewSubscriber(client, topic, 0, discard), func(*message.Message) error { times <- time.Now(); return nil })
	running(t, r)
	first := <-times
	var last time.Time
	for range 2 {
		last = <-times
	}
	// The first tick may lie anywhere in its interval of half a second, and on a busy
	// machine the first handler is told of it late.
	if took := last.Sub(first); took < 250*time.Millisecond {
		t.Errorf("three messages took %s, want some half a second at two a second", took)
	}
}

func Example() {
	dir, err := os.MkdirTemp("", "oneid")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	b, err := broker.Start(dir, "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer b.Close()
	client, err := kafka.New(kafka.Config{Brokers: b.Addresses()})
	if err != nil {
		panic(err)
	}
	defer client.Close()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	if err := client.EnsureTopics(ctx, []kafka.Topic{{Name: "brand.greetings", Partitions: 1, Replication: 1}}); err != nil {
		panic(err)
	}

	publisher := pubsub.NewPublisher(client)
	defer publisher.Close()
	hello := message.NewMessage("greeting-1", []byte("hello"))
	hello.Metadata.Set(pubsub.KeyMetadata, "tmall/flagship/1") // messages of one account keep their order
	if err := publisher.Publish("brand.greetings", hello); err != nil {
		panic(err)
	}

	router, err := pubsub.NewRouter(pubsub.RouterConfig{Remember: time.Minute, PerSecond: 100})
	if err != nil {
		panic(err)
	}
	subscriber := pubsub.NewSubscriber(client, "brand.greeter", 0, slog.Default())
	router.Handle("greeter", "brand.greetings", subscriber, func(m *message.Message) error {
		origin, _ := pubsub.OriginOf(m.Context())
		fmt.Println(m.UUID, string(m.Payload), m.Metadata.Get(pubsub.KeyMetadata), origin)
		stop() // this one is finished and committed before Run returns
		return nil
	})
	if err := router.Run(ctx); err != nil {
		panic(err)
	}
	// Output: greeting-1 hello tmall/flagship/1 brand.greetings/0/0
}
