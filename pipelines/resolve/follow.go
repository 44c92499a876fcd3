package resolve

import (
	"context"
	"fmt"
	"time"

	"oneid/internal/kafka"
	"oneid/pipelines"
)

// turn does what this process's place in the group asks for, from the
// journal's end on. It ends with a change of place, as errStoodDown or nil, or
// when something fails; the next turn begins with what the journal holds.
func (r *Resolver) turn(ctx context.Context, wait *pipelines.Backoff) error {
	if err := r.follow(ctx); err != nil {
		return err
	}
	var seen time.Time
	for {
		generation, fault, changed := r.member.now()
		switch {
		case generation != nil && generation.Active:
			return r.lead(ctx, generation, wait)
		case generation != nil:
			r.refusedSince = time.Time{}
			if time.Since(seen) >= time.Second {
				if err := r.seeDelivered(ctx); err != nil {
					return err
				}
				seen = time.Now()
			}
			// Not before all of a turn has worked: what fails again is no change.
			r.goes(pipelines.Standby)
			wait.Reset()
		case fault != nil:
			return fault
		}
		select {
		case <-changed:
		case <-time.After(pollEvery):
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := r.follow(ctx); err != nil {
			return err
		}
	}
}

// follow reads what the journal holds and applies it to the state. It lets go
// of what is delivered.
func (r *Resolver) follow(ctx context.Context) error {
	epoch, partial := r.journal.epoch, r.journal.partial
	applied, err := r.Work.Sequence(ctx)
	if err != nil {
		return fmt.Errorf("resolve: ask the state how far it is: %w", err)
	}
	r.applied.Store(applied)
	after := applied
	if n := len(r.ahead); n > 0 {
		after = r.ahead[n-1].sequence
	} else if r.journal.read == 0 {
		// What this state has not delivered itself may have been delivered by
		// another since: then it is below the journal's mark.
		pending, err := r.Work.Undelivered(ctx)
		if err != nil {
			return fmt.Errorf("resolve: ask the state what is not delivered: %w", err)
		}
		for _, sequence := range pending {
			after = min(after, sequence-1)
		}
		r.journal.delivered = after
		data, err := r.Work.Bookmark(ctx)
		if err != nil {
			return fmt.Errorf("resolve: ask the state for its bookmark of the journal: %w", err)
		}
		if data != nil {
			if err := r.journal.resume(ctx, data, after); err != nil {
				if kafka.IsAway(err) || ctx.Err() != nil {
					return err
				}
				r.Log.Warn("the journal is read from its beginning: the state's bookmark of it is of no use", "error", err)
			}
			r.marked = r.journal.read
		}
	} else {
		// A first reading that was cut off may not have come to what is applied and
		// not delivered.
		after = min(after, r.journal.delivered)
	}
	records, err := r.journal.catchUp(ctx, after)
	if r.journal.partial && !partial {
		r.Log.Error("the journal has lost its beginning: have its topic keep all records (retention.ms=-1)", "topic", r.Topics.Journal)
	}
	r.ahead = append(r.ahead, records...)
	if err != nil {
		return err
	}
	if r.journal.read <= int64(applied) && applied > 0 { // the state's last record is not there
		return fmt.Errorf("resolve: the state has sequence %d and the journal ends at %d: %w", applied, r.journal.read, errAnother)
	}
	if epoch != 0 && r.journal.epoch == 0 {
		r.Log.Warn("another resolver has taken over", "epoch", epoch, "higher_epoch", r.journal.highest)
	}
	for _, record := range r.ahead {
		if record.sequence <= applied {
			continue
		}
		b, err := readAgain(ctx, r.Kafka, record, r.Topics.Resolved())
		if err != nil {
			return err
		}
		d := decode(b, r.Topics, r.Keys, newSlab)
		if err := r.trace(ctx, "follow", d, func(ctx context.Context) error { return r.bring(ctx, record, d.of(record)) }); err != nil {
			return err
		}
	}
	return r.letGo(ctx)
}

// letGo forgets the records that the journal knows to be delivered; the state
// has applied all of them.
func (r *Resolver) letGo(ctx context.Context) error {
	done := 0
	for done < len(r.ahead) && r.ahead[done].sequence <= r.journal.delivered {
		done++
	}
	if done == 0 {
		return nil
	}
	last := r.ahead[done-1].sequence
	if err := r.Work.Delivered(ctx, last); err != nil {
		return fmt.Errorf("resolve: mark batch %d delivered: %w", last, err)
	}
	r.ahead = r.ahead[done:]
	r.released = last
	return r.mark(ctx, r.durable)
}

// seeDelivered notes how far the active resolver is by the group's offsets,
// for those who wait here.
func (r *Resolver) seeDelivered(ctx context.Context) error {
	committed, err := r.Kafka.Committed(ctx, pipelines.ResolverGroup(r.Brand), r.Topics.Resolved())
	if err != nil {
		return err
	}
	next := make(map[partition]int64)
	for topic, offsets := range committed {
		for number, offset := range offsets {
			next[partition{topic, number}] = offset
		}
	}
	r.progress.set(next)
	return nil
}
