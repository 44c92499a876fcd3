package kafka_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"oneid/internal/embedded/broker/brokertest"
	"oneid/internal/kafka"
)

// reached is a Kafka that other tests may share, with a topic of our own that
// holds n messages: message i has the value i and, if keys are wanted, the key
// i modulo keys.
func reached(t *testing.T, partitions, n, keys int) (client *kafka.Client, topic string) {
	t.Helper()
	return reachedOn(t, brokertest.Brokers(t), partitions, n, keys)
}

func reachedOn(t *testing.T, brokers []string, partitions, n, keys int) (client *kafka.Client, topic string) {
	t.Helper()
	client, err := kafka.New(kafka.Config{Brokers: brokers})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	topic = brokertest.Brand() + ".numbers"
	if err := client.EnsureTopics(t.Context(), []kafka.Topic{{Name: topic, Partitions: partitions, Replication: 1}}); err != nil {
		t.Fatal(err)
	}
	publish(t, client, topic, 0, n, keys)
	return client, topic
}

func publish(t *testing.T, client *kafka.Client, topic string, from, to, keys int) {
	t.Helper()
	p := client.Publisher()
	defer p.Close()
	var messages []kafka.Message
	for i := from; i < to; i++ {
		m := kafka.Message{Topic: topic, Value: fmt.Appendf(nil, "%d", i)}
		if keys > 0 {
			m.Key = fmt.Appendf(nil, "%d", i%keys)
		}
		messages = append(messages, m)
	}
	if err := p.Publish(t.Context(), messages); err != nil {
		t.Fatal(err)
	}
}

// consuming runs a member until stop is called, which waits for its end.
func consuming(t *testing.T, client *kafka.Client, s kafka.Subscription, handle kafka.Handler) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- client.Consume(ctx, s, handle) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("Consume: %v", err)
			}
		case <-time.After(5 * time.Minute):
			t.Error("Consume did not end with its context")
		}
	})
	t.Cleanup(stop)
	return stop
}

// eventually waits for a state.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Minute); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited a minute: %s", what)
		}
	}
}

// tally counts how often each value was handled.
type tally struct {
	mu   sync.Mutex
	done map[string]int
}

func (c *tally) add(m kafka.Received) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		c.done = make(map[string]int)
	}
	c.done[string(m.Value)]++
}

func (c *tally) distinct() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.done)
}

func (c *tally) of(value string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.done[value]
}

func committed(t *testing.T, client *kafka.Client, group, topic string) []int64 {
	t.Helper()
	position, err := client.Committed(t.Context(), group, []string{topic})
	if err != nil {
		t.Fatal(err)
	}
	return position[topic]
}

// Messages are done in any order; what is committed ends before the first that
// is not, and the next member gets everything from there on.
func TestCommittedUpToTheFirstThatIsNotDone(t *testing.T) {
	t.Parallel()
	client, topic := reached(t, 1, 20, 0)
	s := kafka.Subscription{Group: topic, Topic: topic, Grace: 100 * time.Millisecond}
	var first tally
	stop := consuming(t, client, s, func(ctx context.Context, m kafka.Received) error {
		if m.Offset == 7 { // is never done
			<-ctx.Done()
			return ctx.Err()
		}
		first.add(m)
		return nil
	})
	eventually(t, "19 messages are done", func() bool { return first.distinct() == 19 })
	eventually(t, "what is done is committed", func() bool { return committed(t, client, topic, topic)[0] == 7 })
	stop()
	if got := committed(t, client, topic, topic)[0]; got != 7 {
		t.Fatalf("after the end the group stands at %d, want 7", got)
	}
	var second tally
	stop = consuming(t, client, s, func(_ context.Context, m kafka.Received) error {
		if m.Begin != 7 {
			t.Errorf("message %d says that the member began at %d, want 7", m.Offset, m.Begin)
		}
		second.add(m)
		return nil
	})
	eventually(t, "the rest is done", func() bool { return second.distinct() == 13 })
	stop()
	if got := committed(t, client, topic, topic)[0]; got != 20 {
		t.Errorf("in the end the group stands at %d, want 20", got)
	}
	for i := range 20 {
		want := 1
		if i < 7 {
			want = 0
		}
		if got := second.of(fmt.Sprint(i)); got != want {
			t.Errorf("message %d came to the second member %d times, want %d", i, got, want)
		}
	}
}

// What was committed lies below what Kafka still keeps, after a member was away for
// long: it goes on with the first message that is there, and says so.
func TestCommittedIsNoLongerThere(t *testing.T) {
	t.Parallel()
	brokers := brokertest.Brokers(t)
	client, topic := reachedOn(t, brokers, 1, 10, 0)
	var log bytes.Buffer
	s := kafka.Subscription{Group: topic, Topic: topic, Log: slog.New(slog.NewTextHandler(&log, nil))} // it locks, and is read once Consume has ended
	if err := client.Commit(t.Context(), topic, kafka.Position{topic: {3}}); err != nil {
		t.Fatal(err)
	}
	partition := kmsg.NewDeleteRecordsRequestTopicPartition()
	partition.Offset = 6
	of := kmsg.NewDeleteRecordsRequestTopic()
	of.Topic, of.Partitions = topic, append(of.Partitions, partition)
	request := kmsg.NewPtrDeleteRecordsRequest()
	request.Topics = append(request.Topics, of)
	ask(t, brokers[0], request)
	var got tally
	stop := consuming(t, client, s, func(_ context.Context, m kafka.Received) error {
		if m.Begin != 6 {
			t.Errorf("message %d says that the member began at %d, want 6", m.Offset, m.Begin)
		}
		got.add(m)
		return nil
	})
	eventually(t, "the rest is done", func() bool { return got.distinct() == 4 })
	stop()
	if at := committed(t, client, topic, topic)[0]; at != 10 {
		t.Errorf("in the end the group stands at %d, want 10", at)
	}
	if n := strings.Count(log.String(), "no longer in Kafka"); n != 1 {
		t.Errorf("the log says %d times that messages are gone, want once:\n%s", n, log.String())
	}
}

func TestMessagesOfAKeyComeInTheirOrderAndOneAtATime(t *testing.T) {
	t.Parallel()
	const n, keys = 600, 7
	client, topic := reached(t, 3, n, keys)
	var mu sync.Mutex
	got := make(map[string][]string)
	busy := make(map[string]bool)
	failed := make(map[string]bool)
	together, most := 0, 0
	consuming(t, client, kafka.Subscription{Group: topic, Topic: topic, Again: time.Millisecond}, func(_ context.Context, m kafka.Received) error {
		mu.Lock()
		if busy[string(m.Key)] {
			t.Errorf("two messages of key %s at once", m.Key)
		}
		busy[string(m.Key)] = true
		together++
		most = max(most, together)
		fail := !failed[string(m.Value)] && m.Offset%5 == 0
		failed[string(m.Value)] = true
		mu.Unlock()
		time.Sleep(100 * time.Microsecond) // so that handlers meet
		mu.Lock()
		defer mu.Unlock()
		busy[string(m.Key)] = false
		together--
		if fail {
			return errors.New("not this time")
		}
		got[string(m.Key)] = append(got[string(m.Key)], string(m.Value))
		return nil
	})
	eventually(t, "all are done", func() bool {
		mu.Lock()
		defer mu.Unlock()
		count := 0
		for _, values := range got {
			count += len(values)
		}
		return count == n
	})
	mu.Lock()
	defer mu.Unlock()
	for k := range keys {
		var want []string
		for i := k; i < n; i += keys {
			want = append(want, fmt.Sprint(i))
		}
		if !slices.Equal(got[fmt.Sprint(k)], want) {
			t.Errorf("key %d came as %v", k, got[fmt.Sprint(k)])
		}
	}
	if most < 2 {
		t.Errorf("at most %d messages were in flight at once, want many", most)
	}
}

// Members come and go while messages are handled: none is lost, and one that
// was committed never comes again.
func TestRebalanceWithMessagesInFlight(t *testing.T) {
	t.Parallel()
	const n = 3000
	client, topic := reached(t, 4, n, 0)
	s := kafka.Subscription{Group: topic, Topic: topic, InFlight: 20}
	var all tally
	var mu sync.Mutex
	done := make([]map[int64]bool, 4) // offsets by partition
	for i := range done {
		done[i] = make(map[int64]bool)
	}
	handle := func(ctx context.Context, m kafka.Received) error {
		select {
		case <-time.After(time.Duration(1+m.Offset%5) * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
		mu.Lock()
		defer mu.Unlock()
		// What lies below the beginning was committed: it was done by someone.
		for offset := range m.Begin {
			if !done[m.Partition][offset] {
				t.Errorf("%d/%d was committed and not done", m.Partition, offset)
			}
		}
		if m.Offset < m.Begin {
			t.Errorf("%d/%d came, though the member began at %d", m.Partition, m.Offset, m.Begin)
		}
		done[m.Partition][m.Offset] = true
		all.add(m)
		return nil
	}
	consuming(t, client, s, handle)
	for round := range 3 {
		eventually(t, "some more are done", func() bool { return all.distinct() > round*n/4 })
		stop := consuming(t, client, s, handle)
		eventually(t, "some more are done", func() bool { return all.distinct() > round*n/4+n/8 })
		stop()
	}
	eventually(t, "all are done", func() bool { return all.distinct() == n })
	eventually(t, "all is committed", func() bool {
		var sum int64
		for _, next := range committed(t, client, topic, topic) {
			sum += next
		}
		return sum == n
	})
	twice := 0
	for i := range n {
		if all.of(fmt.Sprint(i)) > 1 {
			twice++
		}
	}
	// Handlers end well within the grace, so that what was begun is committed
	// before it changes hands.
	if twice > 0 {
		t.Errorf("%d of %d messages were handled twice", twice, n)
	}
}

func TestPublishedAfterTheGroupWasJoined(t *testing.T) {
	t.Parallel()
	client, topic := reached(t, 2, 0, 0)
	var got tally
	consuming(t, client, kafka.Subscription{Group: topic, Topic: topic}, func(_ context.Context, m kafka.Received) error { got.add(m); return nil })
	for i := range 5 {
		publish(t, client, topic, 100*i, 100*(i+1), 10)
		eventually(t, "what was published came", func() bool { return got.distinct() == 100*(i+1) })
	}
}

// A Publisher that is in use writes to a topic that was made a moment ago.
func TestPublishToATopicMadeAMomentAgo(t *testing.T) {
	t.Parallel()
	client, topic := reached(t, 1, 0, 0)
	p := client.Publisher()
	defer p.Close()
	for i := range 5 {
		if err := p.Publish(t.Context(), []kafka.Message{{Topic: topic, Value: []byte("x")}}); err != nil {
			t.Fatalf("topic %d: %v", i, err)
		}
		topic += "x"
		if err := client.EnsureTopics(t.Context(), []kafka.Topic{{Name: topic, Partitions: 1, Replication: 1}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Publish(t.Context(), []kafka.Message{{Topic: topic + ".absent", Value: []byte("x")}}); err == nil {
		t.Error("publishing to no topic gave no error")
	}
}

// Who we are and the certificates come by configuration, for all that talks to
// Kafka: publishing, asking, and being a member of a group.
func TestSecuredBrokers(t *testing.T) {
	t.Parallel()
	secured := brokertest.Secure(t)
	for name, c := range map[string]kafka.Config{
		"plain":                 {Brokers: secured.SASL, Mechanism: "plain"},
		"scram-sha-256":         {Brokers: secured.SASL, Mechanism: "scram-sha-256"},
		"scram-sha-512":         {Brokers: secured.SASL, Mechanism: "scram-sha-512"},
		"plain over TLS":        {Brokers: secured.TLS, TLS: true, CA: secured.CA, Mechanism: "plain"},
		"scram-sha-512 and TLS": {Brokers: secured.TLS, TLS: true, CA: secured.CA, Mechanism: "scram-sha-512"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.User, c.Password = secured.User, secured.Password
			client, err := kafka.New(c)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			topic := brokertest.Brand() + ".secret"
			if err := client.EnsureTopics(t.Context(), []kafka.Topic{{Name: topic, Partitions: 1, Replication: 1}}); err != nil {
				t.Fatal(err)
			}
			publish(t, client, topic, 0, 10, 0)
			var got tally
			stop := consuming(t, client, kafka.Subscription{Group: topic, Topic: topic}, func(_ context.Context, m kafka.Received) error { got.add(m); return nil })
			eventually(t, "all came", func() bool { return got.distinct() == 10 })
			stop()

			c.Password = "another"
			stranger, err := kafka.New(c)
			if err != nil {
				t.Fatal(err)
			}
			defer stranger.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			if err := stranger.Ping(ctx); err == nil {
				t.Error("a wrong password was let in")
			}
		})
	}
	unknown, err := kafka.New(kafka.Config{Brokers: secured.TLS, TLS: true, Mechanism: "plain", User: secured.User, Password: secured.Password})
	if err != nil {
		t.Fatal(err)
	}
	if err := unknown.Ping(t.Context()); err == nil {
		t.Error("a certificate that nobody vouches for was taken")
	}
	if _, err := kafka.New(kafka.Config{Brokers: secured.TLS, TLS: true, CA: []byte("not PEM")}); err == nil {
		t.Error("a CA file without a certificate gave no error")
	}
}
