package pull

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"oneid/connectors"
	"oneid/internal/kafka"
	"oneid/schemas/events"
)

// Cursors keeps how far each stream was read, in a compacted topic.
type Cursors struct {
	client    *kafka.Client
	publisher *kafka.Publisher
	topic     string

	// reading is held by who refreshes, and shared by who writes: what a refresh
	// reads must not be older than what was written meanwhile.
	reading sync.RWMutex
	next    []int64 // by partition, the offset to read on from; guarded by reading
	// seen is what was read and is not in at yet: until all is read some of it may be
	// older than what this process wrote. Guarded by reading.
	seen map[string]connectors.Cursor

	mu sync.Mutex
	at map[string]connectors.Cursor
}

// OpenCursors reads all cursors of the topic.
func OpenCursors(ctx context.Context, client *kafka.Client, publisher *kafka.Publisher, topic string) (*Cursors, error) {
	c := &Cursors{client: client, publisher: publisher, topic: topic, at: make(map[string]connectors.Cursor), seen: make(map[string]connectors.Cursor)}
	if err := c.Refresh(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// Refresh reads what other processes have written since.
func (c *Cursors) Refresh(ctx context.Context) error {
	c.reading.Lock()
	defer c.reading.Unlock()
	first, next, err := c.client.Ends(ctx, c.topic)
	if err != nil {
		return fmt.Errorf("pull: read the cursors: %w", err)
	}
	if c.next == nil {
		c.next = first
	}
	for partition := range next {
		err := c.client.ReadRange(ctx, c.topic, partition, max(c.next[partition], first[partition]), next[partition], true, func(m kafka.Fetched) error {
			var cursor events.Cursor
			if err := proto.Unmarshal(m.Value, &cursor); err != nil {
				return fmt.Errorf("the cursor at offset %d: %w", m.Offset, err)
			}
			c.seen[string(m.Key)] = connectors.Cursor(cursor.GetPosition())
			c.next[partition] = m.Offset + 1 // where one that was cut off goes on
			return nil
		})
		if err != nil {
			return fmt.Errorf("pull: read the cursors: %w", err)
		}
		c.next[partition] = next[partition]
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.Copy(c.at, c.seen)
	clear(c.seen)
	return nil
}

// Get is the cursor of a stream, written platform/shop/stream.
func (c *Cursors) Get(key string) connectors.Cursor {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at[key]
}

// All are the cursors whose keys begin with prefix.
func (c *Cursors) All(prefix string) map[string]connectors.Cursor {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make(map[string]connectors.Cursor)
	for key, cursor := range c.at {
		if strings.HasPrefix(key, prefix) {
			all[key] = cursor
		}
	}
	return all
}

// Remove forgets a cursor; it returns once that is acknowledged.
func (c *Cursors) Remove(ctx context.Context, key string) error {
	c.reading.RLock()
	defer c.reading.RUnlock()
	if err := c.publisher.Publish(ctx, []kafka.Message{{Topic: c.topic, Key: []byte(key)}}); err != nil {
		return fmt.Errorf("remove the cursor: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.at, key)
	return nil
}

// Put keeps a cursor; it returns once it is acknowledged.
func (c *Cursors) Put(ctx context.Context, key string, cursor connectors.Cursor) error {
	c.reading.RLock()
	defer c.reading.RUnlock()
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
