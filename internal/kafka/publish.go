package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/compress"

	"oneid/schemas/events"
)

// Header is a header of a message: its Key, which is a name, and its Value.
type Header = kafka.Header

// Headers makes a message's headers of names and values.
func Headers(of [][2]string) []Header {
	size := 0
	for _, h := range of {
		size += len(h[1])
	}
	headers, _ := appendHeaders(make([]Header, 0, len(of)), make([]byte, 0, size), of) // one piece for all: each message has six
	return headers
}

// appendHeaders appends the headers of names and values to a list, and the values to the
// piece of memory in which they lie.
func appendHeaders(list []Header, values []byte, of [][2]string) ([]Header, []byte) {
	for _, h := range of {
		from := len(values)
		values = append(values, h[1]...)
		list = append(list, Header{Key: h[0], Value: values[from:len(values):len(values)]})
	}
	return list, values
}

// Message is a message to publish. Messages of one key stay in their order.
type Message struct {
	Topic      string
	Key, Value []byte
	Headers    []Header
}

// MessageOf is an event's message.
func MessageOf(w events.Wire) Message {
	return Message{Topic: w.Topic, Key: w.Key, Value: w.Value, Headers: Headers(w.Headers)}
}

// Publisher writes messages; it returns once all replicas have them.
type Publisher struct {
	writer *kafka.Writer
	rooms  sync.Pool // of *room
}

// room is memory for messages on their way, which is used again.
type room struct {
	messages []kafka.Message
	headers  []Header
	values   []byte // of headers
}

// A topic made a moment ago is not in what a publisher knows of the cluster: it
// asks every second, and a message to an unknown topic waits for some of these.
const (
	publisherTTL = time.Second
	topicWait    = 5 * time.Second
)

// Publisher makes one. A retried write can write twice: what reads must count
// by entity and version.
func (c *Client) Publisher() *Publisher {
	transport := c.transport()
	transport.MetadataTTL = publisherTTL
	return &Publisher{writer: &kafka.Writer{
		Addr:         kafka.TCP(c.config.Brokers...),
		Transport:    transport,
		Balancer:     kafka.Murmur2Balancer{Consistent: true},
		RequiredAcks: kafka.RequireAll,
		// The writer makes room for as many messages as this with each batch,
		// however few they are: 10,000 would cost 2 MB a page and partition.
		BatchSize:    500,
		BatchBytes:   900 << 10, // below the broker's usual limit of 1 MB
		BatchTimeout: 2 * time.Millisecond,
		MaxAttempts:  5,
		Compression:  kafka.Lz4,
	}}
}

// Publish writes messages and returns when all are acknowledged. After an
// error some may have been written: publish all of them again.
func (p *Publisher) Publish(ctx context.Context, messages []Message) error {
	return p.within(func(r *room) error {
		for _, m := range messages {
			r.messages = append(r.messages, kafka.Message{Topic: m.Topic, Key: m.Key, Value: m.Value, Headers: m.Headers})
		}
		return p.write(ctx, r.messages)
	})
}

// PublishWires is Publish of events as they were encoded. Once it has returned no error
// their memory is the caller's again; after an error some may be on their way still.
func (p *Publisher) PublishWires(ctx context.Context, wires []events.Wire) error {
	return p.within(func(r *room) error {
		for _, w := range wires {
			from := len(r.headers)
			r.headers, r.values = appendHeaders(r.headers, r.values, w.Headers)
			r.messages = append(r.messages, kafka.Message{Topic: w.Topic, Key: w.Key, Value: w.Value, Headers: r.headers[from:len(r.headers):len(r.headers)]})
		}
		return p.write(ctx, r.messages)
	})
}

// within gives f empty room, which is used again if it was no error.
func (p *Publisher) within(f func(*room) error) error {
	r, _ := p.rooms.Get().(*room)
	if r == nil {
		r = new(room)
	}
	if err := f(r); err != nil {
		return err
	}
	clear(r.messages)
	clear(r.headers)
	r.messages, r.headers, r.values = r.messages[:0], r.headers[:0], r.values[:0]
	p.rooms.Put(r)
	return nil
}

func (p *Publisher) write(ctx context.Context, messages []kafka.Message) error {
	err := p.writer.WriteMessages(ctx, messages...)
	// As a single error it comes before anything is written.
	for began := time.Now(); err == kafka.UnknownTopicOrPartition && time.Since(began) < topicWait; { //nolint:errorlint // wrapped, it is not that error
		if !wait(ctx.Done(), publisherTTL/10) {
			return fmt.Errorf("kafka: publish %d messages: %w", len(messages), ctx.Err())
		}
		err = p.writer.WriteMessages(ctx, messages...)
	}
	var each kafka.WriteErrors
	if errors.As(err, &each) {
		for _, one := range each {
			if one != nil {
				return fmt.Errorf("kafka: publish %d messages, %d of which failed: %w", len(messages), each.Count(), one)
			}
		}
	}
	if err != nil {
		return fmt.Errorf("kafka: publish %d messages: %w", len(messages), err)
	}
	return nil
}

// Close ends the publisher.
func (p *Publisher) Close() error {
	err := p.writer.Close()
	if t, ok := p.writer.Transport.(*kafka.Transport); ok {
		t.CloseIdleConnections()
	}
	return err
}

// Log is one partition to which records are appended one at a time, each
// answered with its offset: the journal.
type Log struct {
	client    *Client
	topic     string
	partition int

	mu   sync.Mutex
	conn *kafka.Conn
}

// Log names a partition; it connects when first used.
func (c *Client) Log(topic string, partition int) *Log {
	return &Log{client: c, topic: topic, partition: partition}
}

// Append writes a record with all replicas' acknowledgement and returns its
// offset. After an error it is unknown whether the record was written.
func (l *Log) Append(ctx context.Context, value []byte, headers []Header) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == nil {
		conn, err := l.client.leader(ctx, l.topic, l.partition)
		if err != nil {
			return 0, err
		}
		if err := conn.SetRequiredAcks(int(kafka.RequireAll)); err != nil {
			return 0, errors.Join(fmt.Errorf("kafka: append to %s: %w", partitionName(l.topic, l.partition), err), conn.Close())
		}
		l.conn = conn
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(30 * time.Second)
	}
	_ = l.conn.SetWriteDeadline(deadline)
	_ = l.conn.SetReadDeadline(deadline)
	conn := l.conn
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	_, _, offset, _, err := l.conn.WriteCompressedMessagesAt(compress.None.Codec(), kafka.Message{Value: value, Headers: headers})
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		err = errors.Join(fmt.Errorf("kafka: append to %s: %w", partitionName(l.topic, l.partition), err), l.conn.Close())
		l.conn = nil
		return 0, err
	}
	return offset, nil
}

// Close ends the connection.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == nil {
		return nil
	}
	err := l.conn.Close()
	l.conn = nil
	return err
}

func isClosed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe)
}
