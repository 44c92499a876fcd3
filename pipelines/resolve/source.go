package resolve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"oneid/internal/kafka"
	"oneid/schemas/events"
)

const (
	// fetchLimit is how many messages one fetch takes at most: more than an answer
	// of the broker holds but of very small ones, for what is left of an answer is
	// sent and unpacked again.
	fetchLimit = 8192
	// fetchWait is how long a fetch waits for the first new message; the
	// broker answers at once when there is one.
	fetchWait = 500 * time.Millisecond
	// partitionsEvery is how often it is looked whether a topic has more partitions.
	partitionsEvery = 2 * time.Second
	// chunksAhead bounds what is read ahead of the batch in work; the memory
	// bounds it too.
	chunksAhead = 8
)

// chunk is consecutive messages of one partition.
type chunk struct {
	partition
	messages []kafka.Fetched
	// kept is the memory of the messages, until its batch is let go of, and weight what
	// it stands for, a third of it until the rows are there.
	kept   kafka.Kept
	weight int64
	// headers says that the messages have theirs.
	headers bool
}

// A message in work is there as it came and decoded, and then as rows, which take a
// third of that.
const (
	weightOfByte    = 3
	weightOfMessage = 200
	weightOfHeader  = 80
)

// weigh estimates the memory that messages take from here to ClickHouse.
func weigh(messages []kafka.Fetched) int64 {
	weight := int64(len(messages)) * weightOfMessage
	for _, m := range messages {
		weight += int64(len(m.Value))*weightOfByte + int64(len(m.Headers))*weightOfHeader
	}
	return weight
}

// memory is a budget of bytes for chunks ahead, in the next batch, and in the
// ones in work, and the memory itself: of what is done with it is used again.
type memory struct {
	limit int64
	free  *semaphore.Weighted
	held  atomic.Int64

	messages kafka.Pool
	mu       sync.Mutex // guards slabs
	slabs    []*events.Slab
	// decoded are the batches that are, which take three times what they are read from,
	// until they are let go of.
	decoded *semaphore.Weighted
}

// decodedAtOnce is the next batch: of the one before there are rows alone.
const decodedAtOnce = 1

func newMemory(limit int64) *memory {
	return &memory{limit: limit, free: semaphore.NewWeighted(limit), decoded: semaphore.NewWeighted(decodedAtOnce)}
}

// take waits until there is room for a chunk, and notes its weight in it. One
// that is larger than the whole budget takes all of it.
func (m *memory) take(ctx context.Context, c *chunk) error {
	c.weight = min(weigh(c.messages), m.limit)
	if err := m.free.Acquire(ctx, c.weight); err != nil {
		return err
	}
	m.held.Add(c.weight)
	return nil
}

// slab gives an empty one.
func (m *memory) slab() *events.Slab {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := len(m.slabs)
	if n == 0 {
		return newSlab()
	}
	s := m.slabs[n-1]
	m.slabs = m.slabs[:n-1]
	return s
}

func newSlab() *events.Slab { return new(events.Slab) }

// give returns what a batch was read from and into. Nothing of it may be used from
// then on; what its rows take is returned by done, and what its letters take when it
// is delivered. While more waits the memory is kept for that.
func (m *memory) give(d decoded, more bool) {
	for _, s := range d.slabs {
		s.Reset()
	}
	m.mu.Lock()
	m.slabs = append(m.slabs, d.slabs...)
	m.mu.Unlock()
	m.decoded.Release(1)
	for i := range d.chunks {
		c := &d.chunks[i]
		c.kept.Free()
		c.messages, c.kept = nil, kafka.Kept{}
	}
	// Letters keep their bytes.
	d.read.lettersHeld = min(d.read.lettersBytes()*weightOfByte, d.weight-d.weight/3)
	m.release(d.weight - d.weight/3 - d.read.lettersHeld)
	if !more {
		m.trim()
	}
}

// done returns what a batch's rows took.
func (m *memory) done(d decoded) { m.release(d.weight / 3) }

func (m *memory) release(weight int64) {
	m.held.Add(-weight)
	m.free.Release(weight)
}

// trim leaves to the collector what is not in use.
func (m *memory) trim() {
	m.mu.Lock()
	m.slabs = nil
	m.mu.Unlock()
	m.messages.Trim()
}

// batch is what one record of the journal takes: chunks in the order of the
// topics (events.Topics.Resolved), then of partitions, then of offsets.
type batch struct {
	chunks []chunk
	size   int
	weight int64
}

// readAhead reads all partitions from their positions on, into out, until ctx
// ends or a read fails; those too that a topic is given meanwhile. What it has
// read and not yet handed on for want of memory is one answer of the broker a
// partition. taken are the next offsets behind all that was ever taken, also of
// partitions that this client does not know of yet. It closes nothing once each of
// the positions' partitions has answered that there is nothing to take.
func readAhead(ctx context.Context, client *kafka.Client, positions, taken map[partition]int64, room *memory, out chan<- chunk, nothing chan<- struct{}) error {
	group, ctx := errgroup.WithContext(ctx)
	read := func(p partition, offset int64, none func()) {
		group.Go(func() error { return readOne(ctx, client, p, offset, room, out, none) })
	}
	var unread atomic.Int64
	unread.Store(int64(len(positions)))
	for p, offset := range positions {
		read(p, offset, func() {
			if unread.Add(-1) == 0 {
				close(nothing)
			}
		})
	}
	known := make(map[string]int)
	for p := range positions {
		known[p.topic]++
	}
	group.Go(func() error {
		ticker := time.NewTicker(partitionsEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return ctx.Err()
			}
			for topic, n := range known {
				now, err := client.Partitions(ctx, topic)
				if err != nil || now <= n {
					continue // that Kafka is away is told by those that read
				}
				first, _, err := client.Ends(ctx, topic)
				if err != nil {
					continue
				}
				for ; n < len(first); n++ {
					p := partition{topic, n}
					read(p, max(first[n], taken[p]), func() {})
				}
				known[topic] = n
			}
		}
	})
	return group.Wait()
}

// readOne reads one partition, and calls none if the first answer is that there is
// nothing: what was read is proven by its batch.
func readOne(ctx context.Context, client *kafka.Client, p partition, offset int64, room *memory, out chan<- chunk, none func()) error {
	begin, none := offset, sync.OnceFunc(none)
	fetcher := client.Fetcher(p.topic, p.number, false)
	fetcher.Reuse(&room.messages)
	defer fetcher.Close()
	var turns headerTurns
	behind := false
	for {
		headers := turns.next(behind)
		fetcher.ReadKeys(headers)
		messages, next, err := fetcher.Fetch(ctx, offset, fetchLimit, fetchWait)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return err
		}
		if len(messages) == 0 {
			fetcher.Keep().Free()
			if offset == begin {
				none()
			}
			continue
		}
		offset = messages[len(messages)-1].Offset + 1
		behind = offset < next
		c := chunk{partition: p, messages: messages, kept: fetcher.Keep(), headers: headers}
		if err := room.take(ctx, &c); err != nil {
			return err
		}
		select {
		case out <- c:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// cut waits for a first chunk and takes what comes within wait after it, and
// until idle says that the batch can be used, up to limit messages or weight
// bytes (and the rest of the chunk that passes it).
func cut(ctx context.Context, in <-chan chunk, limit int, weight int64, wait time.Duration, idle <-chan struct{}) (batch, error) {
	var b batch
	select {
	case c := <-in:
		b.add(c)
	case <-ctx.Done():
		return batch{}, ctx.Err()
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	var asked <-chan struct{} // idle, once the time is over
	for b.size < limit && b.weight < weight {
		select {
		case c := <-in:
			b.add(c)
		case <-timer.C:
			asked = idle
		case <-asked:
			return b, nil
		case <-ctx.Done():
			return batch{}, ctx.Err()
		}
	}
	return b, nil
}

func (b *batch) add(c chunk) {
	b.chunks = append(b.chunks, c)
	b.size += len(c.messages)
	b.weight += c.weight
}

// sort brings the chunks into their order.
func (b *batch) sort(topics []string) {
	slices.SortStableFunc(b.chunks, func(x, y chunk) int {
		return cmp.Or(
			cmp.Compare(slices.Index(topics, x.topic), slices.Index(topics, y.topic)),
			cmp.Compare(x.number, y.number),
			cmp.Compare(x.messages[0].Offset, y.messages[0].Offset),
		)
	})
}

// ranges are what the batch takes of each partition; the chunks are sorted.
func (b *batch) ranges() []*events.Range {
	var ranges []*events.Range
	for _, c := range b.chunks {
		first, last := c.messages[0].Offset, c.messages[len(c.messages)-1].Offset
		if n := len(ranges); n > 0 && ranges[n-1].Topic == c.topic && ranges[n-1].Partition == int32(c.number) { // numbers of partitions are small
			ranges[n-1].Last = last
			continue
		}
		ranges = append(ranges, &events.Range{Topic: c.topic, Partition: int32(c.number), First: first, Last: last}) // as above
	}
	return ranges
}

// readAgain reads the batch of a record that the journal holds already.
func readAgain(ctx context.Context, client *kafka.Client, r record, topics []string) (batch, error) {
	var b batch
	for _, taken := range r.ranges {
		c := chunk{partition: partition{taken.GetTopic(), int(taken.GetPartition())}}
		err := client.ReadRange(ctx, c.topic, c.number, taken.GetFirst(), taken.GetLast()+1, false, func(m kafka.Fetched) error {
			c.messages = append(c.messages, m)
			return nil
		})
		if errors.Is(err, kafka.ErrTrimmed) {
			return batch{}, fmt.Errorf("resolve: read batch %d again: %w: %w", r.sequence, err, errTooOld)
		}
		if err != nil {
			return batch{}, fmt.Errorf("resolve: read batch %d again: %w", r.sequence, err)
		}
		if len(c.messages) > 0 {
			b.add(c)
		}
	}
	b.sort(topics)
	return b, nil
}
