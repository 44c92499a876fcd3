package resolve

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"oneid/internal/kafka"
)

// bookmarkEvery is how many records of the journal lie between two bookmarks, at
// least: reading as many takes some milliseconds.
const bookmarkEvery = 256

// bookmark is all that is to be known of the journal's records before an offset,
// so that a start need not read them: they become millions in a year.
type bookmark struct {
	// Read is the offset, and Last the record before it, by which it is seen that
	// it is still the same journal.
	Read int64  `json:"read"`
	Last []byte `json:"last"`
	// Highest, Positions and Partial are what the journal has after those records;
	// positions by topic and partition.
	Highest   uint64                   `json:"highest"`
	Positions map[string]map[int]int64 `json:"positions"`
	Partial   bool                     `json:"partial"`
}

// bookmark is where the journal stands.
func (j *journal) bookmark() *bookmark {
	b := &bookmark{Read: j.read, Last: j.last, Highest: j.highest, Positions: map[string]map[int]int64{}, Partial: j.partial}
	for p, offset := range j.positions {
		if b.Positions[p.topic] == nil {
			b.Positions[p.topic] = map[int]int64{}
		}
		b.Positions[p.topic][p.number] = offset
	}
	return b
}

// resume goes on from a bookmark of a state that has taken all up to the sequence
// after. Of another journal, or of a later moment than the state's, it takes
// nothing: the journal is read from its beginning then. That another record lies
// there is an error.
func (j *journal) resume(ctx context.Context, data []byte, after uint64) error {
	var b bookmark
	if err := json.Unmarshal(data, &b); err != nil {
		return fmt.Errorf("resolve: read the state's bookmark of the journal: %w", err)
	}
	first, next, err := j.client.Ends(ctx, j.topic)
	if err != nil {
		return err
	}
	if b.Read < 1 || sequenceOf(b.Read) > after+1 || first[0] > b.Read-1 || next[0] < b.Read {
		return nil
	}
	same := false
	err = j.client.ReadRange(ctx, j.topic, 0, b.Read-1, b.Read, false, func(m kafka.Fetched) error {
		same = m.Offset == b.Read-1 && bytes.Equal(m.Value, b.Last)
		return nil
	})
	if err != nil {
		return err
	}
	if !same {
		return fmt.Errorf("resolve: the journal's record at offset %d is another than the state knows", b.Read-1)
	}
	j.read, j.last, j.highest, j.partial = b.Read, b.Last, b.Highest, b.Partial
	for topic, offsets := range b.Positions {
		for number, offset := range offsets {
			j.positions[partition{topic, number}] = offset
		}
	}
	return nil
}

// mark takes a bookmark now and then, and has the state keep it once all before it
// is delivered, and that is durable: up to the sequence delivered.
func (r *Resolver) mark(ctx context.Context, delivered uint64) error {
	if m := r.marking; m != nil && delivered+1 >= sequenceOf(m.Read) {
		data, err := json.Marshal(m)
		if err != nil {
			return fmt.Errorf("resolve: write the state's bookmark of the journal: %w", err)
		}
		if err := r.Work.SetBookmark(ctx, data); err != nil {
			return fmt.Errorf("resolve: write the state's bookmark of the journal: %w", err)
		}
		r.marking = nil
	}
	if r.marking == nil && r.journal.read >= r.marked+r.bookmarkEvery {
		r.marking, r.marked = r.journal.bookmark(), r.journal.read
	}
	return nil
}
