package resolve

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"oneid/internal/kafka"
	"oneid/schemas/events"
)

// ErrSuperseded says that another resolver has written to the journal under a
// higher epoch: this one must not go on.
var ErrSuperseded = errors.New("resolve: another resolver is active on this brand's journal; one of the two has to stop")

// partition names a partition of a topic.
type partition struct {
	topic  string
	number int
}

// record is a valid record of the journal: one batch.
type record struct {
	sequence uint64
	epoch    uint64
	written  time.Time
	ranges   []*events.Range
}

// journal is the one order that the state knows.
type journal struct {
	client *kafka.Client
	topic  string
	log    *kafka.Log

	// epoch of this process; 0 until it has one.
	epoch uint64
	// highest epoch that the journal holds.
	highest uint64
	// read is the offset up to which the journal was read, or written by us.
	read int64
	// positions are the next offsets behind all valid records.
	positions map[partition]int64
}

func openJournal(client *kafka.Client, topic string) *journal {
	return &journal{client: client, topic: topic, log: client.Log(topic, 0), positions: make(map[partition]int64)}
}

// sequenceOf is the sequence of the record at an offset. The journal's first
// record is the claim of an epoch, so no batch has the sequence 0.
func sequenceOf(offset int64) uint64 { return uint64(offset) } // offsets are not negative

// catchUp reads what was not read yet, to the journal's end, and returns the
// valid records in it whose sequence is above after.
func (j *journal) catchUp(ctx context.Context, after uint64) ([]record, error) {
	first, next, err := j.client.Ends(ctx, j.topic)
	if err != nil {
		return nil, err
	}
	var records []record
	err = j.client.ReadRange(ctx, j.topic, 0, max(j.read, first[0]), next[0], false, func(m kafka.Fetched) error {
		var written events.JournalRecord
		if err := proto.Unmarshal(m.Value, &written); err != nil {
			return fmt.Errorf("resolve: the journal's record at offset %d is damaged: %w", m.Offset, err)
		}
		j.read = m.Offset + 1
		if written.GetEpoch() < j.highest {
			return nil // void: its writer had been superseded
		}
		j.highest = written.GetEpoch()
		for _, r := range written.GetRanges() {
			p := partition{r.GetTopic(), int(r.GetPartition())}
			j.positions[p] = max(j.positions[p], r.GetLast()+1)
		}
		if s := sequenceOf(m.Offset); s > after && len(written.GetRanges()) > 0 {
			records = append(records, record{s, written.GetEpoch(), time.UnixMilli(written.GetWrittenMs()).UTC(), written.GetRanges()})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if j.epoch != 0 && j.highest > j.epoch {
		return nil, ErrSuperseded
	}
	return records, nil
}

// claim takes the next epoch by writing an empty record: of two that claim
// the same one, the journal's order says whose it is, and the other reads on
// and claims the next. What was written in between is added to records.
func (j *journal) claim(ctx context.Context, records []record, after uint64) ([]record, error) {
	for j.epoch == 0 {
		j.epoch = j.highest + 1
		_, err := j.append(ctx, nil)
		if err == nil {
			break
		}
		j.epoch = 0
		if !errors.Is(err, errJournalMoved) {
			return nil, err
		}
		more, err := j.catchUp(ctx, after)
		if err != nil {
			return nil, err
		}
		records = append(records, more...)
	}
	return records, nil
}

// append writes a batch down and makes it the next record. After an error it
// is unknown whether it was written: catchUp tells.
func (j *journal) append(ctx context.Context, ranges []*events.Range) (record, error) {
	now := time.Now().UTC().Truncate(time.Millisecond)
	value, err := proto.Marshal(&events.JournalRecord{Epoch: j.epoch, Ranges: ranges, WrittenMs: now.UnixMilli()})
	if err != nil {
		return record{}, fmt.Errorf("resolve: write the journal: %w", err)
	}
	offset, err := j.log.Append(ctx, value)
	if err != nil {
		return record{}, fmt.Errorf("resolve: write the journal: %w", err)
	}
	if offset != j.read {
		// Somebody else wrote in between. What lies there decides.
		return record{}, errJournalMoved
	}
	j.read, j.highest = offset+1, j.epoch
	for _, r := range ranges {
		j.positions[partition{r.GetTopic(), int(r.GetPartition())}] = r.GetLast() + 1
	}
	return record{sequenceOf(offset), j.epoch, now, ranges}, nil
}

// errJournalMoved says that the journal holds records that were not read yet.
var errJournalMoved = errors.New("resolve: the journal was written by another; reading it again")

func (j *journal) close() error { return j.log.Close() }
