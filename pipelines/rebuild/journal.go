package rebuild

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"

	"oneid/internal/kafka"
	"oneid/pipelines"
	"oneid/schemas/events"
)

// sequenceBits are those of a version that are the journal's sequence; above
// them lies the epoch.
const sequenceBits = 40

// journal is what the journal says of the batches.
type journal struct {
	// next is the sequence that the next record will get.
	next uint64
	// batches are the valid records that hold ranges, in their order.
	batches []batch
	// delivered is the last batch of which the journal says that it, and all
	// before it, lie in ClickHouse.
	delivered uint64
	// void are the versions of records whose writer had been superseded: what
	// was written under them counts for nothing.
	void []uint64
}

type batch struct {
	sequence uint64
	ranges   []*events.Range
}

// readJournal reads the journal whole.
func readJournal(ctx context.Context, client *kafka.Client, topic string) (journal, error) {
	var j journal
	var highest uint64
	first, next, err := client.Ends(ctx, topic)
	if err != nil {
		return j, err
	}
	j.next = uint64(next[0]) // offsets are not negative
	return j, client.ReadRange(ctx, topic, 0, first[0], next[0], false, func(m kafka.Fetched) error {
		var record events.JournalRecord
		if err := proto.Unmarshal(m.Value, &record); err != nil {
			return fmt.Errorf("rebuild: %w", &pipelines.JournalError{Topic: topic, Offset: m.Offset, Err: err})
		}
		sequence := uint64(m.Offset)
		if record.GetEpoch() < highest {
			j.void = append(j.void, record.GetEpoch()<<sequenceBits|sequence)
			return nil
		}
		highest = record.GetEpoch()
		j.delivered = max(j.delivered, record.GetDelivered())
		if len(record.GetRanges()) > 0 {
			j.batches = append(j.batches, batch{sequence, record.GetRanges()})
		}
		return nil
	})
}

// committed is the last batch whose offsets, and those of all before it, were
// committed; 0 for none. Offsets are committed after the inserts.
func (j *journal) committed(position kafka.Position) uint64 {
	var last uint64
	for _, b := range j.batches {
		for _, r := range b.ranges {
			offsets := position[r.GetTopic()]
			if int(r.GetPartition()) >= len(offsets) || offsets[r.GetPartition()] <= r.GetLast() {
				return last
			}
		}
		last = b.sequence
	}
	return last
}

// before is the last batch before a sequence; 0 for none.
func (j *journal) before(sequence uint64) uint64 {
	var last uint64
	for _, b := range j.batches {
		if b.sequence >= sequence {
			break
		}
		last = b.sequence
	}
	return last
}

// position is how far the brand's resolver has committed.
func (r *Rebuild) position(ctx context.Context) (kafka.Position, error) {
	return r.Kafka.Committed(ctx, pipelines.ResolverGroup(r.Brand), r.Topics.Resolved())
}
