// Package resolve moves events from Kafka through identity into ClickHouse.
//
// Any number of resolvers may run for a brand, each with a state of its own.
// They are members of one consumer group, which makes one of them active. It
// claims an epoch in the journal, cuts what lies in the topics into batches,
// decodes each while the one before is on its way, and of each it
//
//  1. writes the offset ranges into the journal, whose order is the only one
//     that the state knows,
//  2. applies the messages to the state, which keeps what changed,
//  3. inserts rows into ClickHouse, each block with a token made of the
//     journal's sequence, so that a repeated insert is dropped; one that is
//     repeated is compared with what is there, for a ClickHouse that was killed
//     may take for inserted what it has lost,
//  4. publishes what changed about accounts, and what could not be read,
//  5. marks the batch delivered in the state, and
//  6. commits the offsets, for others to see how far it is.
//
// Steps 1 and 2 of a full batch are done while the batch before it is at step 3,
// for the one waits for the engine and the disk and the other takes the processor, and
// its step 3 while that one is at steps 4 to 6: no two batches are at one step, and
// none passes another.
//
// Killed between any two of these, it takes the same ranges again from the
// journal and goes on: what the state has applied already is delivered and
// not applied again. The others stand by: they apply what the journal says to
// their own states, insert nothing, and keep what changed until the journal
// says that it was delivered. One that becomes active delivers what was not,
// under the same sequences and tokens.
//
// One that was declared dead, and wakes up, may finish the insert that it was
// in: the same rows under the same token, and the versions of an epoch that is
// over. It publishes nothing, for it looks into the journal before, and then
// stands by.
//
// A message that cannot be read goes to the dead letter. A store that is away
// makes the resolver wait; it holds three batches in work, the next one, and a
// bounded amount of messages ahead, so Kafka keeps the rest. Once a batch's rows are
// made, its messages and what was read of them are let go of, and their memory is used
// again.
package resolve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"oneid/internal/kafka"
	"oneid/pipelines"
	"oneid/schemas/events"
)

// Defaults of a Resolver's settings.
const (
	DefaultBatchEvents = 50000
	DefaultBatchWait   = 200 * time.Millisecond
	DefaultMemory      = 512 << 20
)

const (
	// pollEvery is how often a standby looks into the journal.
	pollEvery = 200 * time.Millisecond
	// slowAfter is how long a step may take before it counts as waiting.
	slowAfter = 5 * time.Second
	// askEvery is how often Kafka is asked for a sign of life.
	askEvery = 2 * time.Second
)

// mostWait is the longest wait between attempts at a store that is away. It
// is what a store that is back may be waited for in vain, out of the ten
// seconds in which rows flow again.
const mostWait = time.Second

// Counters are what a resolver tells the metrics; any of them may be nil.
type Counters struct {
	// Events, DeadLetters, Batches and Rows count what was delivered.
	Events, DeadLetters, Batches, Rows func(n int)
	// Headers counts the good messages whose headers were looked at,
	// WrongHeaders those of them whose do not say what they are.
	Headers, WrongHeaders func(n int)
	// Moves counts accounts whose customer is new or another; Merges and Splits
	// the customers that became part of another, or were parted from one.
	Moves, Merges, Splits func(n int)
	// Waits counts how often the resolver began to wait for a store, or for its
	// group, Retries the attempts at a store that failed.
	Waits, Retries func(n int)
	// Fenced counts how often Kafka did not let this process act for its group:
	// to become active, or to commit how far it is. Some come with each change
	// of the members.
	Fenced func(n int)
	// BatchEvents is told how many messages a delivered batch had.
	BatchEvents func(n int)
	// Stage is told how long each of Stages took, failed or not.
	Stage func(stage string, took time.Duration)
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
	// Memory bounds, in bytes, what lies between Kafka and ClickHouse: the
	// messages ahead, the next batch and those in work, as they came, decoded
	// and as rows; default DefaultMemory. A batch takes two fifths of it at most.
	Memory int64
	// RestoredTo, if set, is the sequence up to which a ClickHouse that was put
	// back from a copy is known to hold every batch. The journal was copied
	// after it, and calls more delivered: what comes after is delivered again.
	RestoredTo *uint64
	Counters   Counters
	// Tracer makes the spans of batches; nil makes none.
	Tracer trace.Tracer

	// order is held by who of the batches in work uses the journal, or what stands
	// below it up to bookmarkEvery: the later one until it is applied, the earlier one
	// from when its rows are there.
	order   sync.Mutex
	journal *journal
	// ahead are the journal's records that are not applied here, or not known
	// to be delivered, in their order.
	ahead    []record
	member   *membership
	health   pipelines.Health
	progress progress
	done     atomic.Uint64
	behind   atomic.Bool
	memory   atomic.Pointer[memory]

	// epoch under which this process is active, or 0, and applied, the
	// sequence that its state has: what it says of itself to the group.
	epoch, applied atomic.Uint64

	// telling is held by who says how the resolver is because of the steps under
	// way, of which so many have taken long, or of a silent Kafka.
	telling sync.Mutex
	late    int

	// refusedSince is when the group began to refuse this process's claims to be
	// active; zero while it does not.
	refusedSince time.Time

	// marking is the bookmark that the state is yet to keep, marked where the last
	// one is. released is the sequence up to which the state let go of batches, and
	// durable that up to which a power cut leaves it so: what was released before
	// the last batch was applied.
	marking       *bookmark
	marked        int64
	released      uint64
	durable       uint64
	bookmarkEvery int64 // default bookmarkEvery

	// patience is how long Kafka may take to answer; default slowAfter.
	patience time.Duration

	// uncommitted are positions that could not be committed while the group
	// was between two generations.
	committing  sync.Mutex
	uncommitted map[partition]int64
}

// Work is what is done with a batch: the state and ClickHouse. Each of its
// methods is called by one goroutine at a time, RefreshViews excepted; Insert beside
// Apply of the next batch, and Changes and Delivered beside both. Everything may be called again with the same record,
// read anew, after a restart too.
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
	// rows that are there already are not written twice. It calls the batch's Let
	// once the rows are made: the next one is not decoded before.
	Insert(ctx context.Context, b *Batch) (int, error)
	// Watch takes care of a batch that another process was delivering when it
	// was declared dead: should it wake up and finish that, what it inserts
	// then must change nothing that views show.
	Watch(ctx context.Context, b *Batch) error
	// Changes are the accounts whose customer the batch changed.
	Changes(ctx context.Context, b *Batch) ([]*events.IdentityChange, error)
	// Delivered marks a batch, and lets go of what was kept for it.
	Delivered(ctx context.Context, sequence uint64) error
	// Bookmark is what was last given to SetBookmark; nil for nothing. A state that
	// lost what it took after that may have lost the bookmark too, and never has one
	// of a later moment.
	Bookmark(ctx context.Context) ([]byte, error)
	SetBookmark(ctx context.Context, data []byte) error
	// RefreshViews brings the views up to what was inserted.
	RefreshViews(ctx context.Context) error
	// IsAway says whether an error means that a store cannot be reached for
	// now, so that waiting may cure it.
	IsAway(err error) bool
	// Hindrance says what makes a call wait that has not returned, if it is
	// known. It may be called at any time.
	Hindrance() error
}

// Health is the state of the resolver, why, and since when.
func (r *Resolver) Health() (pipelines.State, error, time.Time) { return r.health.Get() } //nolint:staticcheck // ST1008: the error is a value here

// Done is the version, as in identity_overrides, up to which every batch is
// done; 0 while no batch was in this process.
func (r *Resolver) Done() uint64 { return r.done.Load() }

// Active says whether this process is the one that is active.
func (r *Resolver) Active() bool { return r.epoch.Load() != 0 }

// Behind says that the last batch was as large as one may be: more lies in Kafka
// than this process, the active one, has come to yet.
func (r *Resolver) Behind() bool { return r.behind.Load() && r.Active() }

// Held is how much of Memory is in use, in bytes.
func (r *Resolver) Held() int64 {
	if m := r.memory.Load(); m != nil {
		return m.held.Load()
	}
	return 0
}

// Run resolves, or stands by, until ctx ends, and returns nil then. It returns
// an error only for what waiting does not cure.
func (r *Resolver) Run(ctx context.Context) error {
	if r.BatchEvents <= 0 {
		r.BatchEvents = DefaultBatchEvents
	}
	if r.BatchWait <= 0 {
		r.BatchWait = DefaultBatchWait
	}
	if r.Memory <= 0 {
		r.Memory = DefaultMemory
	}
	if r.bookmarkEvery <= 0 {
		r.bookmarkEvery = bookmarkEvery
	}
	if r.patience <= 0 {
		r.patience = slowAfter
	}
	r.journal, r.ahead = openJournal(r.Kafka, r.Topics.Journal), nil
	if r.RestoredTo != nil {
		r.journal.believed = *r.RestoredTo
	}
	defer func() { _ = r.journal.close() }() // nothing waits in it: each append is acknowledged
	group, err := r.Kafka.Join(pipelines.ResolverGroup(r.Brand), r.Topics.Resolved(), func() kafka.Standing {
		return kafka.Standing{Epoch: r.epoch.Load(), Sequence: r.applied.Load()}
	})
	if err != nil {
		return err
	}
	r.member = newMembership(group)
	var members sync.WaitGroup
	members.Go(r.member.run)
	listening, stopListening := context.WithCancel(ctx)
	members.Go(func() { r.listen(listening) })
	defer func() {
		stopListening()
		r.leave(ctx)
		if err := group.Close(); err != nil {
			r.Log.Warn("resolver could not leave its group; another takes over once its session ends", "error", err)
		}
		members.Wait()
	}()
	wait := pipelines.Backoff{Max: mostWait}
	for {
		err := r.turn(ctx, &wait)
		if errors.Is(err, errStoodDown) {
			r.journal.epoch = 0
		}
		r.epoch.Store(r.journal.epoch)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil || errors.Is(err, errJournalMoved) || errors.Is(err, errStoodDown):
			continue
		case !r.isAway(err):
			r.health.Set(pipelines.Stopped, err)
			return err
		}
		r.waits(err)
		count(r.Counters.Retries, 1)
		if wait.Wait(ctx) != nil {
			return nil
		}
	}
}

// leave writes down that all is delivered, if it is, so that whoever comes next
// need not deliver the last batch again. Nothing is lost without it.
func (r *Resolver) leave(ctx context.Context) {
	if r.journal.epoch == 0 || len(r.ahead) > 0 || r.done.Load() == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if _, err := r.journal.append(ctx, nil); err != nil {
		r.Log.Debug("the last batch will be delivered again, which changes nothing", "error", err)
	}
}

// isAway says whether an error may cure itself.
func (r *Resolver) isAway(err error) bool {
	var group *groupError
	return errors.As(err, &group) || kafka.IsAway(err) || r.Work.IsAway(err)
}

// waits notes that a store is away.
func (r *Resolver) waits(err error) {
	if r.health.Set(pipelines.Waiting, err) {
		r.Log.Warn("resolver waits for a store that is away", "error", err)
		count(r.Counters.Waits, 1)
	}
}

// errSilent is about a Kafka that takes connections and says nothing.
var errSilent = errors.New("resolve: Kafka does not answer")

// listen says so soon when Kafka falls silent, as one that is frozen does: one that
// has nothing to do learns of it by the end of a fetch alone, after a quarter of a
// minute and more.
func (r *Resolver) listen(ctx context.Context) {
	for pipelines.Sleep(ctx, min(askEvery, r.patience)) == nil {
		asking, cancel := context.WithTimeout(ctx, r.patience)
		_, _, err := r.Kafka.Ends(asking, r.Topics.Journal)
		late := err != nil && errors.Is(asking.Err(), context.DeadlineExceeded)
		cancel()
		if ctx.Err() != nil {
			return
		}
		r.telling.Lock()
		switch state, why, _ := r.health.Get(); {
		case late && (state == pipelines.Working || state == pipelines.Standby):
			r.waits(fmt.Errorf("%w for %s: %w", errSilent, r.patience, err))
		case err == nil && errors.Is(why, errSilent): // nothing else was said since
			r.goes(r.place())
		}
		r.telling.Unlock()
	}
}

// goes notes that nothing is away.
func (r *Resolver) goes(state pipelines.State) {
	before, _, _ := r.health.Get()
	switch {
	case !r.health.Set(state, nil):
	case state == pipelines.Standby:
		r.Log.Info("resolver stands by: another is active")
	case before == pipelines.Waiting:
		r.Log.Info("resolver goes on")
	default:
		r.Log.Info("resolver is active", "epoch", r.epoch.Load())
	}
}

// apply brings a batch into the state.
func (r *Resolver) apply(ctx context.Context, b *Batch) error {
	describe(ctx, b)
	return r.stage(ctx, stageApply, func(ctx context.Context) error {
		return r.step("apply batch", b.Sequence, func() error { return r.Work.Apply(ctx, b) })
	})
}

// step does one step of a batch's way. While it takes long, the resolver's state
// says so, until none of those that do is under way.
func (r *Resolver) step(doing string, sequence uint64, do func() error) error {
	var mu sync.Mutex // guards both below
	var ended, late bool
	slow := time.AfterFunc(slowAfter, func() {
		mu.Lock()
		defer mu.Unlock()
		if late = !ended; late {
			r.telling.Lock()
			defer r.telling.Unlock()
			r.late++
			err := fmt.Errorf("resolve: to %s %d takes longer than %s", doing, sequence, slowAfter)
			if cause := r.Work.Hindrance(); cause != nil {
				err = fmt.Errorf("%w: %w", err, cause)
			}
			r.waits(err)
		}
	})
	defer slow.Stop()
	err := do()
	mu.Lock()
	ended = true
	wasLate := late
	mu.Unlock()
	r.telling.Lock()
	defer r.telling.Unlock()
	if wasLate {
		r.late--
	}
	if err != nil {
		return fmt.Errorf("resolve: %s %d: %w", doing, sequence, err)
	}
	if wasLate && r.late == 0 {
		r.goes(r.place())
	}
	return nil
}

// place is the state of one that nothing holds up.
func (r *Resolver) place() pipelines.State {
	if r.Active() {
		return pipelines.Working
	}
	return pipelines.Standby
}

func count(f func(int), n int) {
	if f != nil && n > 0 {
		f(n)
	}
}

// CaughtUp returns once everything that lay in the topics at the call is in
// ClickHouse and the views show it. While a store is away it waits, as Run
// does.
func (r *Resolver) CaughtUp(ctx context.Context) error {
	var target map[partition]int64
	err := r.whileAway(ctx, func() (err error) {
		_, target, err = ends(ctx, r.Kafka, r.Topics.Resolved())
		return err
	})
	if err != nil {
		return err
	}
	if err := r.progress.wait(ctx, target); err != nil {
		return err
	}
	err = r.whileAway(ctx, func() error { return r.Work.RefreshViews(ctx) })
	if err != nil {
		return fmt.Errorf("resolve: refresh the views: %w", err)
	}
	return nil
}

// whileAway calls f again for as long as a store is away.
func (r *Resolver) whileAway(ctx context.Context, f func() error) error {
	wait := pipelines.Backoff{Max: mostWait}
	for {
		err := f()
		if err == nil || ctx.Err() != nil || !r.isAway(err) {
			return err
		}
		if wait.Wait(ctx) != nil {
			return err
		}
	}
}
