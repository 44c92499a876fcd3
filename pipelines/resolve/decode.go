package resolve

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"google.golang.org/protobuf/proto"

	"oneid/internal/kafka"
	"oneid/schemas/events"
)

// Batch is what one record of the journal says, in the journal's order: the
// same at every reading.
type Batch struct {
	// Sequence of the record, from 1 on, and the epoch of who wrote it.
	Sequence, Epoch uint64
	// Written is when it was written down: the batch's only time.
	Written   time.Time
	Decisions []*events.Decision
	// Events have Person in clear and Raw sealed.
	Events []*events.Event

	letters []letter
}

// letter is a message that could not be read.
type letter struct {
	partition
	offset int64
	value  []byte
	reason string
	cause  error
}

// decode reads a batch's messages. It is pure: what can't be read becomes a
// letter, and the rest goes on.
func decode(r record, b batch, topics events.Topics, keys events.Sealer) *Batch {
	out := &Batch{Sequence: r.sequence, Epoch: r.epoch, Written: r.written, Events: make([]*events.Event, 0, b.size)}
	for _, c := range b.chunks {
		for _, m := range c.messages {
			refuse := func(reason string, cause error) {
				out.letters = append(out.letters, letter{c.partition, m.Offset, m.Value, reason, cause})
			}
			if c.topic == topics.Decisions {
				d := new(events.Decision)
				err := proto.Unmarshal(m.Value, d)
				if err == nil {
					err = checkDecision(d)
				}
				if err != nil {
					refuse(events.ReasonDecode, fmt.Errorf("resolve: decode a decision: %w", err))
					continue
				}
				out.Decisions = append(out.Decisions, d)
				continue
			}
			e := new(events.Event)
			if err := events.Decode(m.Value, e); err != nil {
				refuse(events.ReasonDecode, err)
				continue
			}
			person, err := events.OpenPerson(e, keys)
			if err != nil {
				refuse(events.ReasonOpen, err)
				continue
			}
			e.Header.Person, e.Header.SealedPerson = person, nil
			out.Events = append(out.Events, e)
		}
	}
	return out
}

// deadLetters makes the messages of what could not be read. A letter's id is
// its place in Kafka, so that a batch that is taken again repeats it and does
// not double it. Its key is fetched again: the bulk flow reads values alone.
func (r *Resolver) deadLetters(ctx context.Context, letters []letter) ([]kafka.Message, error) {
	out := make([]kafka.Message, 0, len(letters))
	for _, l := range letters {
		place := l.topic + "/" + strconv.Itoa(l.number) + "@" + strconv.FormatInt(l.offset, 10)
		var key []byte
		err := r.Kafka.ReadRange(ctx, l.topic, l.number, l.offset, l.offset+1, true, func(m kafka.Fetched) error {
			key = m.Key
			return nil
		})
		if err != nil {
			return nil, err
		}
		dead := &events.DeadLetter{
			LetterId: place, Reason: l.reason, Detail: l.cause.Error(), Origin: place,
			Attempts: 1, FirstSeenMs: time.Now().UnixMilli(),
		}
		events.SealLetter(dead, l.value, r.Keys)
		value, err := proto.Marshal(dead)
		if err != nil {
			return nil, fmt.Errorf("resolve: make the dead letter of %s: %w", place, err)
		}
		out = append(out, kafka.Message{Topic: r.Topics.DeadLetter, Key: key, Value: value, Headers: kafka.Headers(events.DescribeLetter(dead).Headers())})
	}
	return out, nil
}
