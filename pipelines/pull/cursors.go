package pull

import (
	"context"
	"fmt"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"oneid/connectors"
	"oneid/internal/kafka"
	"oneid/schemas/events"
)

// Cursors keeps how far each stream was read, in a compacted topic.
type Cursors struct {
	publisher *kafka.Publisher
	topic     string

	mu sync.Mutex
	at map[string]connectors.Cursor
}

// OpenCursors reads all cursors of the topic.
func OpenCursors(ctx context.Context, client *kafka.Client, publisher *kafka.Publisher, topic string) (*Cursors, error) {
	c := &Cursors{publisher: publisher, topic: topic, at: make(map[string]connectors.Cursor)}
	partitions, err := client.Partitions(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("pull: read the cursors: %w", err)
	}
	first, next, err := client.Ends(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("pull: read the cursors: %w", err)
	}
	for partition := range partitions {
		if err := c.load(ctx, client, partition, first[partition], next[partition]); err != nil {
			return nil, fmt.Errorf("pull: read the cursors: %w", err)
		}
	}
	return c, nil
}

func (c *Cursors) load(ctx context.Context, client *kafka.Client, partition int, from, to int64) error {
	fetcher := client.Fetcher(c.topic, partition, true)
	defer fetcher.Close()
	for from < to {
		messages, next, err := fetcher.Fetch(ctx, from, 10000, 100*time.Millisecond)
		if err != nil {
			return err
		}
		if len(messages) == 0 && from >= next-1 {
			return nil // the rest was compacted away
		}
		for _, m := range messages {
			var cursor events.Cursor
			if err := proto.Unmarshal(m.Value, &cursor); err != nil {
				return fmt.Errorf("the cursor at offset %d: %w", m.Offset, err)
			}
			c.at[string(m.Key)] = connectors.Cursor(cursor.GetPosition())
			from = m.Offset + 1
		}
	}
	return nil
}

// Get is the cursor of a stream, written platform/shop/stream.
func (c *Cursors) Get(key string) connectors.Cursor {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at[key]
}

// Put keeps a cursor; it returns once it is acknowledged.
func (c *Cursors) Put(ctx context.Context, key string, cursor connectors.Cursor) error {
	written := &events.Cursor{Position: string(cursor), WrittenMs: time.Now().UnixMilli()}
	value, err := proto.Marshal(written)
	if err != nil {
		return fmt.Errorf("write the cursor: %w", err)
	}
	if err := c.publisher.Publish(ctx, []kafka.Message{{Topic: c.topic, Key: []byte(key), Value: value, Headers: kafka.Headers(events.DescribeCursor(key, written).Headers())}}); err != nil {
		return fmt.Errorf("write the cursor: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at[key] = cursor
	return nil
}
