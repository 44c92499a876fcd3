package resolve

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

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

// lead is the turn of the one that is active.
func (r *Resolver) lead(ctx context.Context, generation *kafka.Generation, wait *pipelines.Backoff) error {
	err := r.claim(ctx, generation)
	if errors.Is(err, kafka.ErrFenced) {
		return r.refused(ctx, err)
	}
	r.refusedSince = time.Time{}
	if err != nil {
		return err
	}
	r.epoch.Store(r.journal.epoch)
	if before, _, _ := r.health.Get(); before == pipelines.Standby {
		r.goes(pipelines.Working)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return r.member.lost(ctx, func(*kafka.Generation) error { return r.commit(ctx, nil) })
	})
	group.Go(func() error { return r.work(ctx, group, wait) })
	return group.Wait()
}

// refused waits after a claim that the group refused. Its members are joining
// anew, and what comes of it is known soon: if it is not, the resolver's state
// says so.
func (r *Resolver) refused(ctx context.Context, err error) error {
	count(r.Counters.Fenced, 1)
	if r.refusedSince.IsZero() {
		r.refusedSince = time.Now()
	}
	if time.Since(r.refusedSince) >= slowAfter && r.health.Set(pipelines.Waiting, err) {
		r.Log.Warn("resolver is chosen, and its group does not let it become active", "group", pipelines.ResolverGroup(r.Brand), "error", err)
		count(r.Counters.Waits, 1)
	}
	return pipelines.Sleep(ctx, pollEvery)
}

// claim makes this process the journal's writer, unless it is already. One
// that was declared dead, and does not know it yet, would take the journal from
// the one that is active now: so the group is asked first, by a commit, which
// the coordinator refuses from a generation that is over.
func (r *Resolver) claim(ctx context.Context, generation *kafka.Generation) error {
	for r.journal.epoch == 0 {
		if err := generation.Commit(ctx, kafka.Position{r.Topics.Journal: {r.journal.read}}); err != nil {
			return fmt.Errorf("resolve: become active: %w", err)
		}
		err := r.journal.claim(ctx, generation.Number)
		if err == nil {
			// What was left from an earlier time may be below what others have
			// committed since.
			r.committing.Lock()
			r.uncommitted = nil
			r.committing.Unlock()
		}
		if !errors.Is(err, errJournalMoved) {
			return err
		}
		if err := r.follow(ctx); err != nil {
			return err
		}
	}
	return nil
}

// work delivers what is not delivered, and then whatever comes.
func (r *Resolver) work(ctx context.Context, group *errgroup.Group, wait *pipelines.Backoff) error {
	well := func() {
		wait.Reset()
		r.telling.Lock()
		defer r.telling.Unlock()
		if r.late == 0 { // nor does another batch in work
			r.goes(pipelines.Working)
		}
	}
	// One that waits for a store is well again once a batch has gone all the way,
	// or there is none: that a part of the way works says nothing, and said at each
	// attempt it would fill the log.
	before, _, _ := r.health.Get()
	proven := before != pipelines.Waiting
	for len(r.ahead) > 0 {
		again, err := readAgain(ctx, r.Kafka, r.ahead[0], r.Topics.Resolved())
		if err != nil {
			return err
		}
		d := decode(again, r.Topics, r.Keys, newSlab)
		record := r.ahead[0]
		err = r.trace(ctx, "batch", d, func(ctx context.Context) error {
			read := d.of(record)
			read.Again = true
			if err := r.bring(ctx, record, read); err != nil {
				return err
			}
			rows, err := r.insert(ctx, record, read)
			if err != nil {
				return err
			}
			return r.deliver(ctx, record, read, rows)
		})
		if err != nil {
			return err
		}
		proven = true
	}
	positions, err := r.positions(ctx)
	if err != nil {
		return err
	}
	// All that the journal holds is delivered. One that was active before may have
	// ended between that and its commit.
	if err := r.commit(ctx, positions); err != nil {
		return err
	}
	r.progress.set(positions)
	if proven {
		well()
	}

	chunks, room, nothing := make(chan chunk, chunksAhead), newMemory(r.Memory), make(chan struct{})
	r.memory.Store(room)
	taken := maps.Clone(r.journal.positions) // which goes on
	group.Go(func() error { return readAhead(ctx, r.Kafka, positions, taken, room, chunks, nothing) })
	next, idle := make(chan decoded), make(chan struct{}, 1)
	group.Go(func() error { return r.prepare(ctx, chunks, room, idle, next) })
	// While the rows of a batch are on their way to ClickHouse the next one, if it is
	// a full one, is written down and applied: the one waits for what the other does
	// not need. Its rows follow when those are there, beside what is left to do of
	// the one before. Each step of a batch waits for that step of the one before.
	var last inWork // the one that was taken last; zero if none is in work
	for {
		if last.done == nil {
			select {
			case idle <- struct{}{}:
			default: // it was said already
			}
		}
		select {
		case d := <-next:
			select {
			case <-idle: // a full batch does not ask
			default:
			}
			before, this := last, inWork{make(chan struct{}), make(chan struct{}), make(chan struct{})}
			full := d.size >= r.BatchEvents || d.weight >= r.Memory*2/5
			d.read.let = func() { room.give(d, full) }
			group.Go(func() error {
				err := r.trace(ctx, "batch", d, func(ctx context.Context) error { return r.bringThrough(ctx, room, d, before, this) })
				if err != nil {
					return err
				}
				r.order.Lock()
				well()
				r.order.Unlock()
				r.behind.Store(full)
				close(this.done)
				return nil
			})
			if err := passed(ctx, this.inserts); err != nil {
				return err
			}
			last = this
		case <-last.done:
			last = inWork{}
		case <-nothing:
			nothing = nil
			if last.done == nil {
				r.order.Lock()
				well()
				r.order.Unlock()
			}
		case <-time.After(slowAfter):
			if last.done == nil { // nothing waits
				r.behind.Store(false)
				room.trim()
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// inWork says how far a batch in work is: each is closed when it is there. Of no
// batch they are nil, and passed.
type inWork struct {
	inserts  chan struct{} // its rows are on their way
	inserted chan struct{} // its rows are there, and the one before is done
	done     chan struct{}
}

// passed waits for a point of a batch.
func passed(ctx context.Context, point <-chan struct{}) error {
	if point == nil {
		return nil
	}
	select {
	case <-point:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// bringThrough takes a batch all the way, behind the one before.
func (r *Resolver) bringThrough(ctx context.Context, room *memory, d decoded, before, this inWork) error {
	record, err := r.take(ctx, d)
	if err != nil {
		return err
	}
	if before.inserted != nil {
		if err := passed(ctx, before.inserted); err != nil {
			return err
		}
		// Another may have become active while this one waited.
		r.order.Lock()
		err := r.journal.unmoved(ctx)
		r.order.Unlock()
		if err != nil {
			return err
		}
	}
	close(this.inserts)
	rows, err := r.insert(ctx, record, d.read)
	if err != nil {
		return err
	}
	d.read.Let() // if Insert has not
	room.done(d)
	if err := passed(ctx, before.done); err != nil {
		return err
	}
	close(this.inserted)
	if err := r.deliver(ctx, record, d.read, rows); err != nil {
		return err
	}
	room.release(d.read.lettersHeld)
	return nil
}

// prepare cuts batches and decodes them, one ahead of those that were let go of. A
// batch that is not full yet goes on growing until idle says that nothing is
// in work. What it has made and not handed on is dropped when it ends: the
// journal does not hold it, so it was never taken.
func (r *Resolver) prepare(ctx context.Context, chunks <-chan chunk, room *memory, idle <-chan struct{}, next chan<- decoded) error {
	for {
		b, err := cut(ctx, chunks, r.BatchEvents, r.Memory*2/5, r.BatchWait, idle)
		if err != nil {
			return err
		}
		b.sort(r.Topics.Resolved())
		if err := room.decoded.Acquire(ctx, 1); err != nil {
			return err
		}
		select {
		case next <- decode(b, r.Topics, r.Keys, room.slab):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// positions are where each partition is read on: behind what the journal
// holds, or at the first message that Kafka still has. Of a journal that has lost
// its beginning the group knows the rest.
func (r *Resolver) positions(ctx context.Context) (map[partition]int64, error) {
	first, _, err := ends(ctx, r.Kafka, r.Topics.Resolved())
	if err != nil {
		return nil, err
	}
	var committed kafka.Position
	if r.journal.partial {
		if committed, err = r.Kafka.Committed(ctx, pipelines.ResolverGroup(r.Brand), r.Topics.Resolved()); err != nil {
			return nil, err
		}
	}
	for p, offset := range first {
		taken, known := r.journal.positions[p]
		if offsets := committed[p.topic]; !known && p.number < len(offsets) {
			taken = offsets[p.number]
		}
		if known && taken < offset {
			r.Log.Error("messages left Kafka before they were resolved; replay them from their source",
				"topic", p.topic, "partition", p.number, "messages", offset-taken)
		}
		first[p] = max(offset, taken)
	}
	return first, nil
}

// take writes a batch into the journal, and brings it into the state.
func (r *Resolver) take(ctx context.Context, d decoded) (record, error) {
	r.order.Lock()
	defer r.order.Unlock()
	var taken record
	if err := r.stage(ctx, stageJournal, func(ctx context.Context) error {
		return r.step("write down batch", sequenceOf(r.journal.read), func() (err error) {
			taken, err = r.journal.append(ctx, d.ranges())
			return err
		})
	}); err != nil {
		return record{}, err
	}
	r.ahead = append(r.ahead, taken)
	if err := afterJournal.Hit(); err != nil {
		return record{}, err
	}
	return taken, r.bring(ctx, taken, d.of(taken))
}

// bring brings a batch that the journal holds into the state, which may have it.
func (r *Resolver) bring(ctx context.Context, record record, read *Batch) error {
	// What the state let go of before is durable with this batch, if it takes it now.
	durable, fresh := r.released, record.sequence > r.applied.Load()
	if err := r.apply(ctx, read); err != nil {
		return err
	}
	if fresh {
		r.durable = durable
	}
	r.applied.Store(max(r.applied.Load(), record.sequence))
	return afterApply.Hit()
}

// insert brings the rows of a batch that the state has into ClickHouse, and says how
// many they are. It may be called again with the same batch at any time, which must
// say so.
func (r *Resolver) insert(ctx context.Context, record record, read *Batch) (rows int, err error) {
	err = r.stage(ctx, stageInsert, func(ctx context.Context) error {
		return r.step("insert batch", record.sequence, func() (err error) {
			rows, err = r.Work.Insert(ctx, read)
			return err
		})
	})
	if err != nil {
		return 0, err
	}
	read.putAway()
	return rows, afterInsert.Hit()
}

// deliver takes a batch whose rows are in ClickHouse, the first of those ahead, the
// rest of the way. It may be called again as insert may.
func (r *Resolver) deliver(ctx context.Context, record record, read *Batch, rows int) error {
	r.order.Lock()
	foreign := read.Again && record.epoch != r.journal.epoch
	r.order.Unlock()
	if foreign {
		if err := r.step("watch the accounts of batch", record.sequence, func() error { return r.Work.Watch(ctx, read) }); err != nil {
			return err
		}
	}
	if err := r.stage(ctx, stagePublish, func(ctx context.Context) error {
		return r.step("publish the changes of batch", record.sequence, func() error { return r.publish(ctx, read) })
	}); err != nil {
		return err
	}
	if err := afterPublish.Hit(); err != nil {
		return err
	}
	r.order.Lock()
	defer r.order.Unlock()
	r.journal.delivered = record.sequence
	if err := r.stage(ctx, stageDeliver, r.letGo); err != nil {
		return err
	}
	if err := afterDelivery.Hit(); err != nil {
		return err
	}
	next := make(map[partition]int64, len(record.ranges))
	for _, taken := range record.ranges {
		next[partition{taken.GetTopic(), int(taken.GetPartition())}] = taken.GetLast() + 1
	}
	if err := r.stage(ctx, stageCommit, func(ctx context.Context) error { return r.commit(ctx, next) }); err != nil {
		return err
	}
	if err := afterCommit.Hit(); err != nil {
		return err
	}
	r.progress.set(next)
	r.done.Store(Version(record.epoch, record.sequence))
	count(r.Counters.Batches, 1)
	count(r.Counters.Events, read.eventCount()+len(read.Decisions)-len(read.refused))
	count(r.Counters.DeadLetters, len(read.letters)+len(read.refusedRows))
	count(r.Counters.Headers, read.headers)
	count(r.Counters.WrongHeaders, read.wrongHeaders)
	count(r.Counters.Rows, rows)
	count(r.Counters.BatchEvents, read.eventCount()+len(read.Decisions)-len(read.refused)+len(read.letters))
	return nil
}

// publish tells the world what changed about accounts, and puts away what
// could not be read. It comes before the batch is marked delivered, so that
// nothing of it is ever left out; a repetition carries the same versions.
func (r *Resolver) publish(ctx context.Context, b *Batch) error {
	messages, err := r.deadLetters(ctx, b)
	if err != nil {
		return err
	}
	rows, err := r.rowLetters(b)
	if err != nil {
		return err
	}
	messages = append(messages, rows...)
	changes, err := r.Work.Changes(ctx, b)
	if err != nil {
		return err
	}
	if len(messages)+len(changes) == 0 {
		return nil
	}
	// What is published cannot be taken back, and the newest message of a key
	// is the one that stays: so not by one that has slept through its own end.
	r.order.Lock()
	err = r.journal.unmoved(ctx)
	r.order.Unlock()
	if err != nil {
		return err
	}
	if err := r.Publisher.Publish(ctx, messages); err != nil {
		return err
	}
	var room events.Wires
	for some := range slices.Chunk(changes, changesAtOnce) {
		encoded, err := r.Topics.EncodeChanges(some, &room)
		if err != nil {
			return err
		}
		if err := r.Publisher.PublishWires(ctx, encoded); err != nil {
			return err
		}
	}
	r.countMoves(changes)
	return nil
}

// changesAtOnce is how many changes are encoded and published in the same memory. It
// is many, for each time the last few for a partition go by themselves.
const changesAtOnce = 10_000

// commit tells Kafka how far the resolver is. Nothing reads it but those who
// wait for it, and people's tools: the journal is what counts. What cannot be
// committed because the group is between two generations is committed with the
// next.
func (r *Resolver) commit(ctx context.Context, next map[partition]int64) error {
	r.committing.Lock()
	defer r.committing.Unlock()
	if r.uncommitted == nil {
		r.uncommitted = make(map[partition]int64)
	}
	maps.Copy(r.uncommitted, next)
	generation, _, _ := r.member.now()
	if len(r.uncommitted) == 0 || generation == nil {
		return nil
	}
	position := make(kafka.Position)
	for p, offset := range r.uncommitted {
		for len(position[p.topic]) <= p.number {
			position[p.topic] = append(position[p.topic], -1)
		}
		position[p.topic][p.number] = offset
	}
	err := generation.Commit(ctx, position)
	if errors.Is(err, kafka.ErrFenced) {
		count(r.Counters.Fenced, 1)
		return nil
	}
	if err == nil {
		clear(r.uncommitted)
	}
	return err
}
