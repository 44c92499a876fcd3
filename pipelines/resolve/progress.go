package resolve

import (
	"context"
	"fmt"
	"maps"
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

// now is how far delivery is; empty while that is not known.
func (p *progress) now() map[partition]int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.next)
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

// Lag is what of one partition is not in ClickHouse yet.
type Lag struct {
	Topic     string
	Partition int
	Messages  int64
}

// Lag asks Kafka where each partition ends, and says how many messages lie
// between that and what is in ClickHouse; none while it is not known how far
// the resolver is, as at its start. On a standby it is the lag of the one that
// is active.
func (r *Resolver) Lag(ctx context.Context) ([]Lag, error) {
	next := r.progress.now()
	if len(next) == 0 {
		return nil, nil
	}
	var lags []Lag
	for _, topic := range r.Topics.Resolved() {
		first, end, err := r.Kafka.Ends(ctx, topic)
		if err != nil {
			return nil, err
		}
		for number := range end {
			done := max(next[partition{topic, number}], first[number])
			lags = append(lags, Lag{topic, number, max(end[number]-done, 0)})
		}
	}
	return lags, nil
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
