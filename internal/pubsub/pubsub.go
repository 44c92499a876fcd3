// Package pubsub is Watermill over OneID's way to Kafka: a Publisher and a
// Subscriber, and the Router that everything uses which handles one message
// at a time (identity changes to webhooks, dead-letter replay, alerts, what
// people decide on its way into its topic). The bulk flow does not come
// through here: a router costs as much as all of its work.
//
// A message's UUID is its header ce_id, its metadata are its other headers,
// and its key is the metadata KeyMetadata. Delivery is at least once. Many
// messages are in flight, those of one key one after the other in their
// order; there is no order between keys. How offsets are committed and what
// a rebalance does is told by kafka.Client.Consume.
package pubsub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"

	"oneid/internal/kafka"
)

const (
	// KeyMetadata is the metadata that is the message's key in Kafka: messages
	// of one key keep their order.
	KeyMetadata = "kafka_key"
	// IDHeader is the header in Kafka that is a message's UUID: CloudEvents' id.
	IDHeader = "ce_id"
)

// ErrClosed says that a Publisher or Subscriber was used after its Close.
var ErrClosed = errors.New("pubsub: it is closed")

// Publisher writes messages to Kafka; it returns once all replicas have them.
type Publisher struct {
	kafka *kafka.Publisher

	mu     sync.RWMutex
	closed bool
}

// NewPublisher makes a Publisher with a connection of its own.
func NewPublisher(client *kafka.Client) *Publisher {
	return &Publisher{kafka: client.Publisher()}
}

// Publish writes messages with all replicas' acknowledgement. After an error
// some may have been written. The first message's context bounds the writing.
func (p *Publisher) Publish(topic string, messages ...*message.Message) error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closed {
		return ErrClosed
	}
	if len(messages) == 0 {
		return nil
	}
	out := make([]kafka.Message, len(messages))
	for i, m := range messages {
		out[i] = toKafka(topic, m)
	}
	return p.kafka.Publish(messages[0].Context(), out)
}

// Close ends the Publisher, once what is being written is written.
func (p *Publisher) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	return p.kafka.Close()
}

// NewMessage is a message of a key and of headers, name and value, whose ce_id
// becomes its UUID.
func NewMessage(ctx context.Context, key string, value []byte, headers [][2]string) *message.Message {
	m := message.NewMessageWithContext(ctx, "", value)
	for _, header := range headers {
		if header[0] == IDHeader {
			m.UUID = header[1]
			continue
		}
		m.Metadata.Set(header[0], header[1])
	}
	m.Metadata.Set(KeyMetadata, key)
	return m
}

// toKafka is a message as Kafka holds it; headers stand in the order of their
// names.
func toKafka(topic string, m *message.Message) kafka.Message {
	out := kafka.Message{Topic: topic, Value: m.Payload}
	if m.UUID != "" {
		out.Headers = append(out.Headers, kafka.Header{Key: IDHeader, Value: []byte(m.UUID)})
	}
	names := make([]string, 0, len(m.Metadata))
	for name := range m.Metadata {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		switch name {
		case KeyMetadata:
			if key := m.Metadata[name]; key != "" {
				out.Key = []byte(key)
			}
		case IDHeader:
		default:
			out.Headers = append(out.Headers, kafka.Header{Key: name, Value: []byte(m.Metadata[name])})
		}
	}
	return out
}

// fromKafka is a message as handlers see it. One without ce_id is known by
// its place.
func fromKafka(r kafka.Received) *message.Message {
	m := message.NewMessage("", r.Value)
	for _, h := range r.Headers {
		if h.Key == IDHeader {
			m.UUID = string(h.Value)
			continue
		}
		m.Metadata.Set(h.Key, string(h.Value))
	}
	if m.UUID == "" {
		m.UUID = r.Topic + "/" + strconv.Itoa(r.Partition) + "/" + strconv.FormatInt(r.Offset, 10)
	}
	if len(r.Key) > 0 {
		m.Metadata.Set(KeyMetadata, string(r.Key))
	}
	return m
}

// Origin is where a message lay in Kafka.
type Origin struct {
	Topic     string
	Partition int
	Offset    int64
	// Begin is the offset from which on this process holds the partition:
	// what lies below was done earlier, perhaps by another process.
	Begin int64
}

// String is topic/partition/offset.
func (o Origin) String() string { return fmt.Sprintf("%s/%d/%d", o.Topic, o.Partition, o.Offset) }

type originKey struct{}

// OriginOf is where the message of a handler's context lay; false when ctx is
// of no message of a Subscriber.
func OriginOf(ctx context.Context) (Origin, bool) {
	o, ok := ctx.Value(originKey{}).(Origin)
	return o, ok
}

// Subscriber reads topics as a member of a consumer group; each call of
// Subscribe is a member of its own.
type Subscriber struct {
	client   *kafka.Client
	group    string
	inFlight int
	log      *slog.Logger

	mu     sync.Mutex
	closed bool
	stop   context.CancelFunc
	ended  context.Context
	wg     sync.WaitGroup
}

// NewSubscriber makes a Subscriber of a consumer group. inFlight is how many
// messages of one partition are held at most; 1 gives a partition's messages
// in their order, 0 is the default of 64.
func NewSubscriber(client *kafka.Client, group string, inFlight int, log *slog.Logger) *Subscriber {
	s := &Subscriber{client: client, group: group, inFlight: inFlight, log: log}
	s.ended, s.stop = context.WithCancel(context.Background())
	return s
}

// Subscribe joins the group and gives the messages of a topic until ctx ends
// or the Subscriber is closed; then it closes the channel. What is in flight
// then has two seconds to be acknowledged before its context ends. A message's
// context carries ctx's values, and its Origin.
func (s *Subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	out := make(chan *message.Message)
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.ended, cancel)
	s.wg.Go(func() {
		defer close(out)
		defer cancel()
		defer stop()
		subscription := kafka.Subscription{Group: s.group, Topic: topic, InFlight: s.inFlight, Log: s.log}
		if err := s.client.Consume(ctx, subscription, func(ctx context.Context, r kafka.Received) error { return deliver(ctx, r, out) }); err != nil {
			s.log.Error("a subscription ended", "group", s.group, "topic", topic, "error", err)
		}
	})
	return out, nil
}

var (
	errNacked  = errors.New("pubsub: the message was not acknowledged")
	errStopped = errors.New("pubsub: the message was not given to anyone")
)

// deliver gives a message to whoever reads out, and waits for the answer.
func deliver(ctx context.Context, r kafka.Received, out chan<- *message.Message) error {
	select { // when both are possible, stopping goes first
	case <-r.Stop:
		return errStopped
	default:
	}
	m := fromKafka(r)
	m.SetContext(context.WithValue(ctx, originKey{}, Origin{r.Topic, r.Partition, r.Offset, r.Begin}))
	select {
	case <-r.Stop:
		return errStopped
	case out <- m:
	}
	select {
	case <-m.Acked():
		return nil
	case <-m.Nacked():
		return errNacked
	case <-ctx.Done():
		select {
		case <-m.Acked():
			return nil
		default:
			return ctx.Err()
		}
	}
}

// Close ends all subscriptions and closes their channels; it returns once
// what was acknowledged is committed and the groups are left.
func (s *Subscriber) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.stop()
	s.wg.Wait()
	return nil
}
