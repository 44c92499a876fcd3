package resolve

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"oneid/internal/clickhouse"
	"oneid/internal/kafka"
	"oneid/schemas/events"
	"oneid/schemas/tables"
)

// mostRefused is how many rows of a block of that many ClickHouse may refuse.
// If it refuses more it is a fault of the table rather than theirs, and a
// person has to look at it.
func mostRefused(rows int) int { return max(100, rows/20) }

// errTableAtFault is a table that refuses more than that. It is waited for as a
// store that is away is: what comes is kept for when somebody has mended it.
var errTableAtFault error = tableAtFaultError{}

type tableAtFaultError struct{}

func (tableAtFaultError) Error() string {
	return "the table refuses more than single rows, until it is mended"
}

// Code tells it from other causes of waiting.
func (tableAtFaultError) Code() string { return "clickhouse_table" }

// cutEvery is how long a block of a table at fault is tried whole before it is
// cut into pieces again, to see whether what is left are single rows: cutting
// takes hundreds of inserts.
const cutEvery = time.Minute

// writeRows writes a block. Where ClickHouse refuses it for what a row holds,
// it is cut into halves until such a row is alone: all others are written, and
// refused are the numbers of those rows. The pieces have tokens of their own,
// the same at every repetition.
func (b *Blocks) writeRows(ctx context.Context, block tables.Block, token string, again bool) (refused map[int]error, err error) {
	if err = b.write(ctx, block, token, again); err == nil || !clickhouse.Refuses(err) {
		return nil, err
	}
	if cut, ok := b.cut.Load(block.Table()); ok && time.Since(cut.(time.Time)) < cutEvery {
		return nil, atFault(block, err)
	}
	refused = make(map[int]error)
	err = b.halves(ctx, block, 0, block.Rows(), token, again, refused, err)
	if errors.Is(err, errTableAtFault) {
		b.cut.Store(block.Table(), time.Now())
	} else {
		b.cut.Delete(block.Table())
	}
	return refused, err
}

func atFault(block tables.Block, cause error) error {
	return fmt.Errorf("%w: more than %d of %d rows: %w; see its log", errTableAtFault, mostRefused(block.Rows()), block.Rows(), clickhouse.RefusedBy(block.Table(), cause))
}

// halves writes the rows from … to of a block, which were refused with a cause.
func (b *Blocks) halves(ctx context.Context, block tables.Block, from, to int, token string, again bool, refused map[int]error, cause error) error {
	if to-from == 1 {
		if len(refused) == mostRefused(block.Rows()) {
			return atFault(block, cause)
		}
		refused[from] = cause
		return nil
	}
	middle := (from + to) / 2
	for _, half := range [2][2]int{{from, middle}, {middle, to}} {
		err := b.write(ctx, tables.Part(block, half[0], half[1]), fmt.Sprintf("%s/%d-%d", token, half[0], half[1]), again)
		if err != nil && clickhouse.Refuses(err) {
			err = b.halves(ctx, block, half[0], half[1], token, again, refused, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// refuse notes which events ClickHouse refuses for a table: those whose rows
// have these numbers in it. rowOf is each event's row in the table, in their order,
// and negative for one that has none.
func (b *Batch) refuse(table string, rows map[int]error, rowOf iter.Seq[int]) {
	if len(rows) == 0 {
		return
	}
	b.refusing.Lock()
	defer b.refusing.Unlock()
	if b.refused == nil {
		b.refused = make(map[int]error)
	}
	event := 0
	for row := range rowOf {
		if cause := rows[row]; cause != nil {
			b.refused[event] = clickhouse.RefusedBy(table, cause)
		}
		event++
	}
}

// refuseRows notes which rows of a table of who is who ClickHouse refuses. Such
// a row is no one message's: it says what became of the state, and the state
// has it. So the row itself is what a letter keeps.
func (b *Batch) refuseRows(block tables.Block, rows map[int]error) error {
	b.refusing.Lock()
	defer b.refusing.Unlock()
	for _, row := range slices.Sorted(maps.Keys(rows)) {
		value, err := tables.EncodeRow(block, row)
		if err != nil {
			return err
		}
		b.refusedRows = append(b.refusedRows, refusedRow{block.Table(), value, clickhouse.RefusedBy(block.Table(), rows[row])})
	}
	return nil
}

// refusedRow is a row of a table of who is who that ClickHouse refuses.
type refusedRow struct {
	table string
	value []byte
	cause error
}

// rowLetters makes the letters of refused rows. They are named by what the
// rows hold, so that a batch which is taken again writes no others.
func (r *Resolver) rowLetters(b *Batch) ([]kafka.Message, error) {
	var out []kafka.Message
	for _, row := range b.refusedRows {
		sum := sha256.Sum256(row.value)
		id := events.StreamRows + "/" + row.table + "/" + hex.EncodeToString(sum[:16])
		parts, err := events.Letters(&events.DeadLetter{
			LetterId: id, Stream: events.StreamRows, Reason: events.ReasonStore, Detail: row.cause.Error(),
			Origin: fmt.Sprintf("%s, sequence %d", r.Topics.Journal, b.Sequence), Attempts: 1, FirstSeenMs: b.Written.UnixMilli(),
		}, row.value, r.Keys)
		if err != nil {
			return nil, fmt.Errorf("resolve: make the dead letter of %s: %w", id, err)
		}
		for _, part := range parts {
			part.Topic, part.Key = r.Topics.DeadLetter, []byte(id)
			out = append(out, kafka.MessageOf(part))
		}
	}
	return out, nil
}

// forgive forgets what was refused at an earlier attempt.
func (b *Batch) forgive() {
	b.refusing.Lock()
	defer b.refusing.Unlock()
	clear(b.refused)
	b.refusedRows = nil
}

// putAway makes letters of the events that were refused.
func (b *Batch) putAway() {
	if len(b.refused) == 0 {
		return
	}
	event := 0
	for _, s := range b.spans {
		for range s.events {
			if cause := b.refused[event]; cause != nil {
				b.letters = append(b.letters, letter{partition: s.partition, offset: b.offsets[event], reason: events.ReasonStore, cause: cause, unread: true})
			}
			event++
		}
	}
	slices.SortStableFunc(b.letters, func(x, y letter) int { return cmp.Compare(x.offset, y.offset) })
}
