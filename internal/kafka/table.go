package kafka

import (
	"context"
	"fmt"
	"time"
)

// readLimit is how many messages ReadAll takes from one answer.
const readLimit = 10000

// ReadAll calls f with every message that lay in a topic at the time of the
// call, keys too, each partition in its order: a compacted topic as a table,
// where the last message of a key is its row. It stops at f's first error.
func (c *Client) ReadAll(ctx context.Context, topic string, f func(partition int, m Fetched) error) error {
	first, next, err := c.Ends(ctx, topic)
	if err != nil {
		return err
	}
	for partition := range first {
		if err := c.ReadRange(ctx, topic, partition, first[partition], next[partition], true, func(m Fetched) error { return f(partition, m) }); err != nil {
			return err
		}
	}
	return nil
}

// ReadRange calls f with the messages of one partition from first up to but
// not including next, which must be there already. Offsets that compaction
// left empty are skipped. It stops at f's first error.
func (c *Client) ReadRange(ctx context.Context, topic string, partition int, first, next int64, keys bool, f func(Fetched) error) error {
	fetcher := c.Fetcher(topic, partition, keys)
	defer fetcher.Close()
	empty := 0
	for first < next {
		messages, end, err := fetcher.Fetch(ctx, first, readLimit, 100*time.Millisecond)
		if err != nil {
			return err
		}
		for _, m := range messages {
			if m.Offset >= next {
				return nil
			}
			if err := f(m); err != nil {
				return err
			}
			first = m.Offset + 1
		}
		if len(messages) > 0 {
			empty = 0
			continue
		}
		// Nothing came though the partition goes on: what is left was
		// compacted away. An answer may also be empty by chance.
		if empty++; empty > 3 {
			if end < next {
				return fmt.Errorf("kafka: read %s up to offset %d: it ends at %d; was the topic made anew?", partitionName(topic, partition), next, end)
			}
			return nil
		}
	}
	return nil
}
