package resolve

import (
	"context"
	"fmt"
	"sync"

	"oneid/internal/kafka"
)

// progress is how far everything was delivered, for others to wait on.
type progress struct {
	mu sync.Mutex
	// next offsets behind what is in ClickHouse.
	next map[partition]int64
	// moved is closed, and made anew, whenever next changes.
	moved chan struct{}
}

// set notes how far delivery is.
func (p *progress) set(next map[partition]int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next == nil {
		p.next = make(map[partition]int64, len(next))
	}
	for k, offset := range next {
		p.next[k] = max(p.next[k], offset)
	}
	if p.moved != nil {
		close(p.moved)
	}
	p.moved = make(chan struct{})
}

// wait returns once everything below target is delivered.
func (p *progress) wait(ctx context.Context, target map[partition]int64) error {
	for {
		p.mu.Lock()
		if p.moved == nil {
			p.moved = make(chan struct{})
		}
		moved, left := p.moved, int64(0)
		for k, offset := range target {
			left += max(offset-p.next[k], 0)
		}
		p.mu.Unlock()
		if left == 0 {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return fmt.Errorf("resolve: wait for %d messages to reach ClickHouse: %w", left, ctx.Err())
		}
	}
}

// ends are the next offsets of all partitions of topics at this moment; a
// partition that holds nothing any more counts as read.
func ends(ctx context.Context, client *kafka.Client, topics []string) (first, next map[partition]int64, err error) {
	first, next = make(map[partition]int64), make(map[partition]int64)
	for _, topic := range topics {
		from, to, err := client.Ends(ctx, topic)
		if err != nil {
			return nil, nil, err
		}
		for number := range to {
			p := partition{topic, number}
			first[p], next[p] = from[number], to[number]
		}
	}
	return first, next, nil
}
