package kafka

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
)

// How a member reads and commits; how it keeps its place stands with Group.
const (
	partitionWatch = 2 * time.Second
	commitEvery    = 500 * time.Millisecond
	fetchWait      = time.Second
	fetchLimit     = 1000
	mostPause      = 5 * time.Second
)

// Subscription is what a member of a consumer group asks for.
type Subscription struct {
	Group, Topic string
	// InFlight is how many messages of one partition are held at most: being
	// handled, or handled before one that is not. Default 64.
	InFlight int
	// Grace is how long messages in flight may take to be finished when the
	// partition is to be let go; then their context ends. It must stay well
	// below the session of 6 s. Default 2 s.
	Grace time.Duration
	// Again is the pause before a message that failed comes again; a longer
	// one is the handler's to make. Default 100 ms.
	Again time.Duration
	// Log says when Kafka is away and when it is back, once each.
	Log *slog.Logger
}

// Received is a message on its way through a handler.
type Received struct {
	Topic     string
	Partition int
	Offset    int64
	// Begin is the offset from which on this member holds the partition:
	// what lies below was finished earlier, perhaps by another member.
	Begin      int64
	Key, Value []byte
	Headers    []Header
	// Stop is closed when the partition is to be let go: what has not begun
	// need not begin.
	Stop <-chan struct{}
}

// Handler handles a message. Nil means that it is done and will not come
// again; an error, that it comes again after a pause. ctx ends when the
// message must be let go, and the handler returns soon then; whatever it
// returns, the message may come again, here or elsewhere.
type Handler func(ctx context.Context, m Received) error

// Consume is a member of a consumer group on one topic until ctx ends; it
// returns nil then, after what was in flight is finished or let go and the
// member has left the group.
//
// The handler is called for many messages at once, but for those of one key
// one after the other, in their order. A partition's offset is committed up
// to the first message that is not done: after a crash or a rebalance the
// messages from there on come again, those among them that were done, too.
// When a partition is to be let go nothing new is begun, what is in flight
// has the grace to finish, and what is done then is committed before another
// member gets the partition. A member that was declared dead commits nothing.
//
// A partition without a committed offset, or with one that Kafka no longer
// keeps, is read from its first message. While Kafka is away Consume waits.
func (c *Client) Consume(ctx context.Context, s Subscription, handle Handler) error {
	if s.InFlight <= 0 {
		s.InFlight = 64
	}
	if s.Grace <= 0 {
		s.Grace = 2 * time.Second
	}
	if s.Again <= 0 {
		s.Again = 100 * time.Millisecond
	}
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	s.Log = s.Log.With("group", s.Group, "topic", s.Topic)
	group, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID: s.Group, Topics: []string{s.Topic}, Brokers: c.config.Brokers, Dialer: c.dialer,
		GroupBalancers:    []kafka.GroupBalancer{kafka.RangeGroupBalancer{}, kafka.RoundRobinGroupBalancer{}},
		HeartbeatInterval: heartbeatEvery, SessionTimeout: sessionTimeout, JoinGroupBackoff: joinBackoff, Timeout: coordinatorWait,
		// A member may take the grace before it joins again.
		RebalanceTimeout:      sessionTimeout,
		WatchPartitionChanges: true, PartitionWatchInterval: partitionWatch,
		StartOffset: kafka.FirstOffset,
	})
	if err != nil {
		return errors.Join(errors.New("kafka: join group "+s.Group), err)
	}
	away := false
	for {
		generation, err := group.Next(ctx)
		switch {
		case ctx.Err() != nil:
			return group.Close()
		case errors.Is(err, kafka.RebalanceInProgress): // it joins again
		case err != nil && !away:
			away = true
			s.Log.Warn("the consumer group cannot be joined; trying on", "error", err)
		case err == nil:
			if away {
				away = false
				s.Log.Info("the consumer group is joined again")
			}
			m := &membership{client: c, subscription: s, generation: generation, handle: handle, values: ctx}
			generation.Start(m.work)
		}
	}
}

// membership is one generation of a member: a set of partitions that are ours
// until the generation ends.
type membership struct {
	client       *Client
	subscription Subscription
	generation   *kafka.Generation
	handle       Handler
	// values is what contexts of messages take their values from.
	values context.Context
}

// work holds the partitions until the generation is over. The generation's
// connection stays open until it returns, and only then does the member join
// the next one: what is committed here comes before the partitions change
// hands.
func (m *membership) work(over context.Context) {
	running, stop := context.WithCancel(over)
	defer stop()
	holding, letGo := context.WithCancel(context.WithoutCancel(m.values))
	defer letGo()
	var partitions []*partition
	var readers sync.WaitGroup
	for _, assigned := range m.generation.Assignments[m.subscription.Topic] {
		p := &partition{
			membership: m, id: assigned.ID, begin: assigned.Offset, next: assigned.Offset, committed: assigned.Offset,
			holding: holding, stopping: running.Done(), room: make(chan struct{}, 1), keys: make(map[string][]*held),
		}
		partitions = append(partitions, p)
		readers.Go(func() { p.run(running) })
	}
	ticker := time.NewTicker(commitEvery)
	defer ticker.Stop()
	for running.Err() == nil {
		select {
		case <-running.Done():
		case <-ticker.C:
			if err := m.commit(partitions); err != nil {
				m.subscription.Log.Debug("offsets could not be committed; joining the group anew", "error", err)
				stop()
			}
		}
	}
	finished := make(chan struct{})
	go func() { readers.Wait(); close(finished) }()
	grace := time.NewTimer(m.subscription.Grace)
	defer grace.Stop()
	select {
	case <-finished:
	case <-grace.C:
		letGo()
		<-finished
	}
	if err := m.commit(partitions); err != nil {
		m.subscription.Log.Debug("the last offsets could not be committed; their messages come again", "error", err)
	}
}

// commit commits how far each partition is without a gap.
func (m *membership) commit(partitions []*partition) error {
	offsets := make(map[int]int64)
	for _, p := range partitions {
		if next := p.done(); next >= 0 && next != p.committed {
			offsets[p.id] = next
		}
	}
	if len(offsets) == 0 {
		return nil
	}
	if err := m.generation.CommitOffsets(map[string]map[int]int64{m.subscription.Topic: offsets}); err != nil {
		return err
	}
	for _, p := range partitions {
		if next, ok := offsets[p.id]; ok {
			p.committed = next
		}
	}
	return nil
}

// partition is one partition while it is ours.
type partition struct {
	*membership
	id int
	// holding is what contexts of messages come from; stopping is closed when
	// nothing new shall begin.
	holding  context.Context
	stopping <-chan struct{}
	// begin belongs to run.
	begin int64
	// committed belongs to work, which alone commits.
	committed int64
	handlers  sync.WaitGroup
	// room is told when a message was done.
	room chan struct{}

	mu sync.Mutex
	// next is the offset below which all is done; flight begins there.
	next   int64
	flight []*held
	// keys holds, of each key that is being handled, the messages that wait
	// for their turn.
	keys map[string][]*held
}

// held is a message that is in flight.
type held struct {
	Received
	done bool
}

// run reads the partition and has its messages handled; it returns when none
// is in a handler any more.
func (p *partition) run(running context.Context) {
	defer p.handlers.Wait()
	fetcher := p.client.Fetcher(p.subscription.Topic, p.id, true)
	defer fetcher.Close()
	offset, away := p.next, false
	pause := p.subscription.Again
	for running.Err() == nil {
		messages, err := p.fetch(running, fetcher, &offset)
		if running.Err() != nil {
			return
		}
		if err != nil {
			if !away {
				away = true
				p.subscription.Log.Warn("a partition cannot be read; trying on", "partition", p.id, "error", err)
			}
			wait(p.stopping, pause)
			pause = min(2*pause, mostPause)
			continue
		}
		if away {
			away, pause = false, p.subscription.Again
			p.subscription.Log.Info("the partition can be read again", "partition", p.id)
		}
		for _, m := range messages {
			if !p.await() {
				return
			}
			p.take(m)
			offset = m.Offset + 1
		}
	}
}

// fetch reads from offset on; an offset that is not in Kafka becomes that of
// the first message.
func (p *partition) fetch(ctx context.Context, fetcher *Fetcher, offset *int64) ([]Fetched, error) {
	if *offset >= 0 {
		messages, _, err := fetcher.Fetch(ctx, *offset, fetchLimit, fetchWait)
		if !errors.Is(err, ErrTrimmed) {
			return messages, err
		}
		p.subscription.Log.Warn("the committed offset is no longer in Kafka; reading from the first message", "partition", p.id, "offset", *offset)
	}
	first, _, err := p.client.Ends(ctx, p.subscription.Topic)
	if err != nil {
		return nil, err
	}
	if p.id >= len(first) {
		return nil, kafka.UnknownTopicOrPartition
	}
	*offset, p.begin = first[p.id], first[p.id]
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.flight) == 0 {
		p.next = *offset
	}
	return nil, nil
}

// await waits until one more message may be held; false when the partition is
// to be let go.
func (p *partition) await() bool {
	for {
		p.mu.Lock()
		free := len(p.flight) < p.subscription.InFlight
		p.mu.Unlock()
		select {
		case <-p.stopping:
			return false
		default:
		}
		if free {
			return true
		}
		select {
		case <-p.stopping:
			return false
		case <-p.room:
		}
	}
}

// take has a message handled: now, or after those of its key.
func (p *partition) take(m Fetched) {
	h := &held{Received: Received{
		Topic: p.subscription.Topic, Partition: p.id, Offset: m.Offset, Begin: p.begin,
		Key: m.Key, Value: m.Value, Headers: m.Headers, Stop: p.stopping,
	}}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.flight = append(p.flight, h)
	if len(m.Key) > 0 {
		if waiting, busy := p.keys[string(m.Key)]; busy {
			p.keys[string(m.Key)] = append(waiting, h)
			return
		}
		p.keys[string(m.Key)] = nil
	}
	p.handlers.Go(func() { p.process(h) })
}

// process handles a message until it is done, and those of its key that wait for
// it; it gives up when the partition is to be let go.
func (p *partition) process(h *held) {
	for h != nil {
		for {
			ctx, cancel := context.WithCancel(p.holding)
			err := p.handle(ctx, h.Received)
			cancel()
			if err == nil {
				break
			}
			if !wait(p.stopping, p.subscription.Again) {
				return
			}
		}
		if h = p.finish(h); h != nil {
			select {
			case <-p.stopping:
				return
			default:
			}
		}
	}
}

// finish notes that a message is done, and gives the next of its key.
func (p *partition) finish(h *held) (next *held) {
	p.mu.Lock()
	defer p.mu.Unlock()
	h.done = true
	for len(p.flight) > 0 && p.flight[0].done {
		p.next = p.flight[0].Offset + 1
		p.flight = p.flight[1:]
	}
	select {
	case p.room <- struct{}{}:
	default:
	}
	if len(h.Key) == 0 {
		return nil
	}
	waiting := p.keys[string(h.Key)]
	if len(waiting) == 0 {
		delete(p.keys, string(h.Key))
		return nil
	}
	p.keys[string(h.Key)] = waiting[1:]
	return waiting[0]
}

// done is the offset below which every message is done.
func (p *partition) done() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.next
}

// wait waits for d; false when stop is closed first.
func wait(stop <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-stop:
		return false
	case <-timer.C:
		return true
	}
}
