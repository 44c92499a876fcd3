package resolve

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"google.golang.org/protobuf/proto"

	"oneid/internal/kafka"
	"oneid/pipelines"
	"oneid/schemas/events"
)

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

	// epoch of this process while it is active; 0 otherwise.
	epoch uint64
	// highest epoch that the journal holds.
	highest uint64
	// read is the offset up to which the journal was read, or written by us; last is
	// the record before it.
	read int64
	last []byte
	// positions are the next offsets behind all valid records; partial says that
	// those are not all that were written, for the journal has lost its beginning.
	positions map[partition]int64
	partial   bool
	// delivered is the sequence up to which all is delivered, as far as the
	// journal, or this process, knows.
	delivered uint64
	// believed bounds what the journal's records may say of it.
	believed uint64
}

func openJournal(client *kafka.Client, topic string) *journal {
	return &journal{client: client, topic: topic, log: client.Log(topic, 0), positions: make(map[partition]int64), believed: math.MaxUint64}
}

// sequenceOf is the sequence of the record at an offset. The journal's first
// record is the claim of an epoch, so no batch has the sequence 0.
func sequenceOf(offset int64) uint64 { return uint64(offset) } // offsets are not negative

// catchUp reads what was not read yet, to the journal's end, and returns the
// valid records in it whose sequence is above after. It ends our own epoch if
// another has claimed a higher one.
//
// Whether a record is valid follows from what lies before it, so all readers
// agree: one of a lower epoch than an earlier record's is void, its writer had
// been superseded; and so is one that takes messages which were taken, written
// twice by a retry.
func (j *journal) catchUp(ctx context.Context, after uint64) ([]record, error) {
	first, next, err := j.client.Ends(ctx, j.topic)
	if err != nil {
		return nil, err
	}
	// A broker that was frozen may tell an old end for a moment, as long as clients
	// believe that it leads.
	for waited := time.Duration(0); next[0] < j.read; waited += time.Second {
		if waited >= journalSettles {
			return nil, j.lost(next[0])
		}
		if err := pipelines.Sleep(ctx, time.Second); err != nil {
			return nil, err
		}
		if first, next, err = j.client.Ends(ctx, j.topic); err != nil {
			return nil, err
		}
	}
	if first[0] > j.read && sequenceOf(first[0]) > after+1 {
		return nil, fmt.Errorf("resolve: the journal begins at %d, the state ends at %d: %w", first[0], after, errTooOld)
	}
	j.partial = j.partial || j.read == 0 && first[0] > 0
	var records []record
	err = j.client.ReadRange(ctx, j.topic, 0, max(j.read, first[0]), next[0], false, func(m kafka.Fetched) error {
		var written events.JournalRecord
		if err := proto.Unmarshal(m.Value, &written); err != nil {
			return fmt.Errorf("resolve: %w", &pipelines.JournalError{Topic: j.topic, Offset: m.Offset, Err: err})
		}
		j.read, j.last = m.Offset+1, m.Value
		if written.GetEpoch() < j.highest || j.takesAgain(written.GetRanges()) {
			return nil
		}
		j.highest = written.GetEpoch()
		j.delivered = max(j.delivered, min(written.GetDelivered(), j.believed))
		j.take(written.GetRanges())
		if s := sequenceOf(m.Offset); s > after && len(written.GetRanges()) > 0 {
			records = append(records, record{s, written.GetEpoch(), time.UnixMilli(written.GetWrittenMs()).UTC(), written.GetRanges()})
		}
		return nil
	})
	if j.highest > j.epoch {
		j.epoch = 0
	}
	return records, err
}

// errTooOld is about a state that Kafka alone cannot bring up to date.
var errTooOld = errors.New("the state is older than what Kafka keeps: restore a newer one, or make it anew with `oneid rebuild`")

// journalSettles is longer than a client believes who leads a partition.
const journalSettles = 12 * time.Second

// lost is the end of a journal that goes on before what was read of it. Nothing
// more is to be written into it: a new batch would have the sequence of one that
// ClickHouse has, and be dropped there for it.
func (j *journal) lost(at int64) error {
	j.epoch = 0
	return fmt.Errorf("resolve: the journal goes on at offset %d, and was read up to %d: %w", at, j.read, errLost)
}

// errLost is about a journal that has lost its end.
var errLost = errors.New("the journal has lost records in Kafka that were taken: restore its topic from a copy, or all of the instance from a backup (`oneid restore`)")

// errAnother is about a state of another journal.
var errAnother = errors.New("the journal has lost records in Kafka that were taken, or is another one: restore its topic from a copy, or all of the instance from a backup (`oneid restore`); only where ClickHouse was put back to the same moment make the state anew with `oneid rebuild`")

// takesAgain says whether ranges were taken before.
func (j *journal) takesAgain(ranges []*events.Range) bool {
	for _, r := range ranges {
		if r.GetFirst() < j.positions[partition{r.GetTopic(), int(r.GetPartition())}] {
			return true
		}
	}
	return false
}

func (j *journal) take(ranges []*events.Range) {
	for _, r := range ranges {
		j.positions[partition{r.GetTopic(), int(r.GetPartition())}] = r.GetLast() + 1
	}
}

// claim makes this process the journal's writer, under an epoch that is higher
// than any before and not below least. Of two that claim the same epoch, the
// journal's order says whose it is; the other gets errJournalMoved, reads on
// and claims again.
func (j *journal) claim(ctx context.Context, least uint64) error {
	j.epoch = max(j.highest+1, least)
	if j.epoch > maxEpoch {
		return fmt.Errorf("resolve: epoch %d is too high: versions have room for %d", j.epoch, maxEpoch)
	}
	if _, err := j.append(ctx, nil); err != nil {
		j.epoch = 0
		return err
	}
	return nil
}

// append writes a batch down and makes it the next record. After an error it
// is unknown whether it was written: catchUp tells.
func (j *journal) append(ctx context.Context, ranges []*events.Range) (record, error) {
	if j.takesAgain(ranges) {
		// All readers would pass over it, and we alone would have taken it.
		return record{}, errJournalMoved
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	written := &events.JournalRecord{Epoch: j.epoch, Ranges: ranges, WrittenMs: now.UnixMilli(), Delivered: j.delivered}
	value, err := proto.Marshal(written)
	if err != nil {
		return record{}, fmt.Errorf("resolve: write the journal: %w", err)
	}
	offset, err := j.log.Append(ctx, value, kafka.Headers(events.DescribeRecord(written, sequenceOf(j.read)).Headers()))
	if err != nil {
		return record{}, fmt.Errorf("resolve: write the journal: %w", err)
	}
	if offset < j.read { // what lay there is gone
		return record{}, j.lost(offset)
	}
	if offset != j.read {
		// Somebody else wrote in between. What lies there decides.
		return record{}, errJournalMoved
	}
	j.read, j.last, j.highest = offset+1, value, j.epoch
	j.take(ranges)
	return record{sequenceOf(offset), j.epoch, now, ranges}, nil
}

// errJournalMoved says that the journal holds records that were not read yet.
var errJournalMoved = errors.New("resolve: the journal was written by another; reading it again")

// unmoved returns errJournalMoved if the journal holds what was not read yet.
func (j *journal) unmoved(ctx context.Context) error {
	_, next, err := j.client.Ends(ctx, j.topic)
	if err != nil {
		return err
	}
	if next[0] != j.read {
		return errJournalMoved
	}
	return nil
}

func (j *journal) close() error { return j.log.Close() }
