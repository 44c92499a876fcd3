// Package resolve moves events from Kafka through identity into ClickHouse.
//
// One resolver is active on a brand. It cuts what lies in the topics into
// batches, and of each batch it
//
//  1. writes the offset ranges into the journal, whose order is the only one
//     that the state knows,
//  2. applies the messages to the state, which keeps what changed,
//  3. inserts rows into ClickHouse, each block with a token made of the
//     journal's sequence, so that a repeated insert is dropped,
//  4. publishes what changed about accounts, and what could not be read,
//  5. marks the batch delivered in the state, and
//  6. commits the offsets, for others to see how far it is.
//
// Killed between any two of these, it takes the same ranges again from the
// journal and goes on: what the state has applied already is delivered and
// not applied again. A message that cannot be read goes to the dead letter. A
// store that is away makes the resolver wait; it holds one batch in work and
// a bounded number of messages ahead, so Kafka keeps the rest.
package resolve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	"oneid/internal/fault"
	"oneid/internal/kafka"
	"oneid/pipelines"
	"oneid/schemas/events"
)

// The points between two steps.
var (
	afterJournal  = fault.New("resolve/journaled")
	afterApply    = fault.New("resolve/applied")
	afterInsert   = fault.New("resolve/inserted")
	afterPublish  = fault.New("resolve/published")
	afterDelivery = fault.New("resolve/delivered")
	afterCommit   = fault.New("resolve/committed")
)

// Defaults of a Resolver's settings.
const (
	DefaultBatchEvents = 20000
	DefaultBatchWait   = 200 * time.Millisecond
)

// Counters are what a resolver tells the metrics; any of them may be nil.
type Counters struct {
	// Events, DeadLetters, Batches and Rows count what was delivered.
	Events, DeadLetters, Batches, Rows func(n int)
	// Moves counts accounts whose customer is new or another.
	Moves func(n int)
}

// Resolver resolves one brand. Fill it before Run; one Run at a time.
type Resolver struct {
	Brand     string
	Kafka     *kafka.Client
	Publisher *kafka.Publisher
	Topics    events.Topics
	Keys      events.Sealer
	Work      Work
	Log       *slog.Logger

	// BatchEvents bounds a batch; default DefaultBatchEvents. A larger one
	// makes fewer, larger parts in ClickHouse and costs memory.
	BatchEvents int
	// BatchWait is how long a batch waits for more after its first message;
	// default DefaultBatchWait.
	BatchWait time.Duration
	Counters  Counters

	journal  *journal
	health   pipelines.Health
	progress progress
	done     atomic.Uint64
}

// Work is what is done with a batch: the state and ClickHouse. Each of its
// methods is called by one goroutine, RefreshViews excepted. Everything may
// be called again with the same batch, after a restart too.
type Work interface {
	// Sequence is the highest sequence that the state contains; 0 for none.
	Sequence(ctx context.Context) (uint64, error)
	// Undelivered are the sequences that the state contains and that were
	// not marked Delivered.
	Undelivered(ctx context.Context) ([]uint64, error)
	// Apply brings a batch into the state, which keeps what it changed until
	// Delivered; a batch that the state contains changes nothing.
	Apply(ctx context.Context, b *Batch) error
	// Insert writes the rows of a batch that was applied, and says how many;
	// rows that are there already are not written twice.
	Insert(ctx context.Context, b *Batch) (int, error)
	// Changes are the accounts whose customer the batch changed.
	Changes(ctx context.Context, b *Batch) ([]*events.IdentityChange, error)
	// Delivered marks a batch, and lets go of what was kept for it.
	Delivered(ctx context.Context, sequence uint64) error
	// RefreshViews brings the views up to what was inserted.
	RefreshViews(ctx context.Context) error
	// IsAway says whether an error means that a store cannot be reached for
	// now, so that waiting may cure it.
	IsAway(err error) bool
}

// Health is the state of the resolver, why, and since when.
func (r *Resolver) Health() (pipelines.State, error, time.Time) { return r.health.Get() } //nolint:staticcheck // ST1008: the error is a value here

// Done is the version, as in identity_overrides, up to which every batch is
// done; 0 while no batch was in this process.
func (r *Resolver) Done() uint64 { return r.done.Load() }

// Run resolves until ctx ends, and returns nil then. It returns an error only
// for what waiting does not cure.
func (r *Resolver) Run(ctx context.Context) error {
	if r.BatchEvents <= 0 {
		r.BatchEvents = DefaultBatchEvents
	}
	if r.BatchWait <= 0 {
		r.BatchWait = DefaultBatchWait
	}
	r.journal = openJournal(r.Kafka, r.Topics.Journal)
	defer func() { _ = r.journal.close() }() // nothing waits in it: each append is acknowledged
	var wait pipelines.Backoff
	for {
		err := r.session(ctx, &wait)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errJournalMoved):
			continue
		case !r.isAway(err):
			r.health.Set(pipelines.Stopped, err)
			return err
		}
		if r.health.Set(pipelines.Waiting, err) {
			r.Log.Warn("resolver waits for a store that is away", "error", err)
		}
		if wait.Wait(ctx) != nil {
			return nil
		}
	}
}

// isAway says whether an error may cure itself.
func (r *Resolver) isAway(err error) bool { return kafka.IsAway(err) || r.Work.IsAway(err) }

// session works from the journal's end on until something fails; what it held
// then is read again by the next session.
func (r *Resolver) session(ctx context.Context, wait *pipelines.Backoff) error {
	after, err := r.deliveredUpTo(ctx)
	if err != nil {
		return err
	}
	// The journal is read whole once a process, and then from where it was
	// read; batches that are not delivered are found by reading it anew.
	r.journal.read = 0
	records, err := r.journal.catchUp(ctx, after)
	if err != nil {
		return err
	}
	if records, err = r.journal.claim(ctx, records, after); err != nil {
		return err
	}
	for _, record := range records {
		again, err := readAgain(ctx, r.Kafka, record, r.Topics.Resolved())
		if err != nil {
			return err
		}
		if err := r.handle(ctx, record, again); err != nil {
			return err
		}
	}
	positions, err := r.positions(ctx)
	if err != nil {
		return err
	}
	r.progress.set(positions)
	r.working(wait)

	group, ctx := errgroup.WithContext(ctx)
	chunks := make(chan chunk, chunksAhead)
	group.Go(func() error { return readAhead(ctx, r.Kafka, positions, chunks) })
	group.Go(func() error {
		for {
			next, err := cut(ctx, chunks, r.BatchEvents, r.BatchWait)
			if err != nil {
				return err
			}
			next.sort(r.Topics.Resolved())
			record, err := r.journal.append(ctx, next.ranges())
			if err != nil {
				return err
			}
			if err := afterJournal.Hit(); err != nil {
				return err
			}
			if err := r.handle(ctx, record, next); err != nil {
				return err
			}
		}
	})
	return group.Wait()
}

func (r *Resolver) working(wait *pipelines.Backoff) {
	wait.Reset()
	if before, _, _ := r.health.Get(); r.health.Set(pipelines.Working, nil) && before == pipelines.Waiting {
		r.Log.Info("resolver goes on")
	}
}

// deliveredUpTo is the sequence up to which everything is delivered.
func (r *Resolver) deliveredUpTo(ctx context.Context) (uint64, error) {
	after, err := r.Work.Sequence(ctx)
	if err != nil {
		return 0, fmt.Errorf("resolve: ask the state how far it is: %w", err)
	}
	pending, err := r.Work.Undelivered(ctx)
	if err != nil {
		return 0, fmt.Errorf("resolve: ask the state what is not delivered: %w", err)
	}
	for _, sequence := range pending {
		after = min(after, sequence-1)
	}
	return after, nil
}

// positions are where each partition is read on: behind what the journal
// holds, or at the first message that Kafka still has.
func (r *Resolver) positions(ctx context.Context) (map[partition]int64, error) {
	first, _, err := ends(ctx, r.Kafka, r.Topics.Resolved())
	if err != nil {
		return nil, err
	}
	for p, offset := range first {
		taken, known := r.journal.positions[p]
		if known && taken < offset {
			r.Log.Error("messages left Kafka before they were resolved; replay them from their source",
				"topic", p.topic, "partition", p.number, "messages", offset-taken)
		}
		first[p] = max(offset, taken)
	}
	return first, nil
}

// handle takes a batch that the journal holds the whole way. It may be called
// again with the same batch at any time.
func (r *Resolver) handle(ctx context.Context, record record, b batch) error {
	read := decode(record, b, r.Topics, r.Keys)
	if err := r.Work.Apply(ctx, read); err != nil {
		return fmt.Errorf("resolve: apply batch %d: %w", record.sequence, err)
	}
	if err := afterApply.Hit(); err != nil {
		return err
	}
	rows, err := r.Work.Insert(ctx, read)
	if err != nil {
		return fmt.Errorf("resolve: insert batch %d: %w", record.sequence, err)
	}
	if err := afterInsert.Hit(); err != nil {
		return err
	}
	if err := r.publish(ctx, read); err != nil {
		return fmt.Errorf("resolve: publish the changes of batch %d: %w", record.sequence, err)
	}
	if err := afterPublish.Hit(); err != nil {
		return err
	}
	if err := r.Work.Delivered(ctx, record.sequence); err != nil {
		return fmt.Errorf("resolve: mark batch %d delivered: %w", record.sequence, err)
	}
	if err := afterDelivery.Hit(); err != nil {
		return err
	}
	next := make(map[partition]int64, len(record.ranges))
	for _, taken := range record.ranges {
		next[partition{taken.GetTopic(), int(taken.GetPartition())}] = taken.GetLast() + 1
	}
	if err := r.commit(ctx, next); err != nil {
		return err
	}
	if err := afterCommit.Hit(); err != nil {
		return err
	}
	r.progress.set(next)
	r.done.Store(Version(record.epoch, record.sequence))
	count(r.Counters.Batches, 1)
	count(r.Counters.Events, len(read.Events)+len(read.Decisions))
	count(r.Counters.DeadLetters, len(read.letters))
	count(r.Counters.Rows, rows)
	return nil
}

// publish tells the world what changed about accounts, and puts away what
// could not be read. It comes before the batch is marked delivered, so that
// nothing of it is ever left out; a repetition carries the same versions.
func (r *Resolver) publish(ctx context.Context, b *Batch) error {
	messages, err := r.deadLetters(ctx, b.letters)
	if err != nil {
		return err
	}
	changes, err := r.Work.Changes(ctx, b)
	if err != nil {
		return err
	}
	for _, change := range changes {
		value, err := proto.Marshal(change)
		if err != nil {
			return err
		}
		messages = append(messages, kafka.Message{Topic: r.Topics.Identity, Key: []byte(change.GetAccount()), Value: value})
	}
	if len(messages) == 0 {
		return nil
	}
	count(r.Counters.Moves, len(changes))
	return r.Publisher.Publish(ctx, messages)
}

// commit tells Kafka how far the resolver is. Nothing reads it but people and
// their tools: the journal is what counts.
func (r *Resolver) commit(ctx context.Context, next map[partition]int64) error {
	position := make(kafka.Position)
	for p, offset := range next {
		for len(position[p.topic]) <= p.number {
			position[p.topic] = append(position[p.topic], -1)
		}
		position[p.topic][p.number] = offset
	}
	return r.Kafka.Commit(ctx, pipelines.ResolverGroup(r.Brand), position)
}

func count(f func(int), n int) {
	if f != nil && n > 0 {
		f(n)
	}
}

// CaughtUp returns once everything that lay in the topics at the call is in
// ClickHouse and the views show it.
func (r *Resolver) CaughtUp(ctx context.Context) error {
	_, target, err := ends(ctx, r.Kafka, r.Topics.Resolved())
	if err != nil {
		return err
	}
	if err := r.progress.wait(ctx, target); err != nil {
		return err
	}
	if err := r.Work.RefreshViews(ctx); err != nil {
		return fmt.Errorf("resolve: refresh the views: %w", err)
	}
	return nil
}
