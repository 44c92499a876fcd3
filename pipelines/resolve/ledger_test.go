package resolve

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"

	"oneid/schemas/events"
)

var errAway = errors.New("the store is away")

// ledger is Work that keeps what it was given, with the promises of the real
// one: a batch is applied once, a token's rows are kept once.
type ledger struct {
	mu        sync.Mutex
	applied   []uint64
	pending   map[uint64]bool
	rows      map[uint64][][]byte // by sequence
	decisions int
	tried     map[uint64]bool // what was to be inserted, by sequence
	untold    int             // inserts that came again, and did not say so
	changed   int             // inserts whose rows differ from those of their token
	away      int             // how many inserts still fail
	stale     int             // how many refreshes still fail
	bookmark  []byte
	refreshed int
	// made are a batch's rows, and changes what it says of accounts, once it was let go of.
	made    map[*Batch][][]byte
	changes map[*Batch][]*events.IdentityChange
}

func newLedger() *ledger {
	return &ledger{
		pending: map[uint64]bool{}, rows: map[uint64][][]byte{}, tried: map[uint64]bool{},
		made: map[*Batch][][]byte{}, changes: map[*Batch][]*events.IdentityChange{},
	}
}

func (l *ledger) Sequence(context.Context) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.applied) == 0 {
		return 0, nil
	}
	return l.applied[len(l.applied)-1], nil
}

func (l *ledger) Undelivered(context.Context) ([]uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var pending []uint64
	for s := range l.pending {
		pending = append(pending, s)
	}
	return pending, nil
}

func (l *ledger) Bookmark(context.Context) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bookmark, nil
}

func (l *ledger) SetBookmark(_ context.Context, data []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bookmark = data
	return nil
}

func (l *ledger) Apply(_ context.Context, b *Batch) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.applied); n > 0 && b.Sequence <= l.applied[n-1] {
		return nil
	}
	l.applied = append(l.applied, b.Sequence)
	l.pending[b.Sequence] = true
	l.decisions += len(b.Decisions)
	return nil
}

func (l *ledger) Insert(_ context.Context, b *Batch) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tried[b.Sequence] && !b.Again {
		l.untold++
	}
	l.tried[b.Sequence] = true
	if l.away > 0 {
		l.away--
		return 0, errAway
	}
	rows, err := l.read(b)
	if err != nil {
		return 0, err
	}
	if before, ok := l.rows[b.Sequence]; ok {
		if !slices.EqualFunc(before, rows, bytes.Equal) {
			l.changed++
		}
		return 0, nil
	}
	l.rows[b.Sequence] = rows
	return len(rows), nil
}

// read is what the ledger writes of a batch, which it lets go of.
func (l *ledger) read(b *Batch) ([][]byte, error) {
	if rows, ok := l.made[b]; ok {
		return rows, nil
	}
	var rows [][]byte
	var changes []*events.IdentityChange
	for _, e := range b.Events {
		row, err := events.Marshal(nil, e)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
		changes = append(changes, &events.IdentityChange{Account: events.Key(e), Version: b.Epoch<<40 | b.Sequence})
	}
	l.made[b], l.changes[b] = rows, changes
	b.Let()
	return rows, nil
}

func (l *ledger) Watch(context.Context, *Batch) error { return nil }

func (l *ledger) Changes(_ context.Context, b *Batch) ([]*events.IdentityChange, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := l.read(b)
	return l.changes[b], err
}

func (l *ledger) Delivered(_ context.Context, sequence uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.pending, sequence)
	return nil
}

func (l *ledger) RefreshViews(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stale > 0 {
		l.stale--
		return errAway
	}
	l.refreshed++
	return nil
}

func (l *ledger) Hindrance() error { return nil }

func (l *ledger) IsAway(err error) bool { return errors.Is(err, errAway) }

// wantAllOnce checks that the ledger holds each of n users exactly once.
func (l *ledger) wantAllOnce(t *testing.T, n int) {
	t.Helper()
	seen := make(map[string]int)
	for _, rows := range l.rows {
		for _, row := range rows {
			var e events.Event
			if err := events.Decode(row, &e); err != nil {
				t.Fatal(err)
			}
			seen[e.GetHeader().GetEntityId()]++
		}
	}
	for no := range n {
		if got := seen[strconv.Itoa(no)]; got != 1 {
			t.Errorf("user %d was inserted %d times, want once", no, got)
		}
	}
	if len(seen) != n {
		t.Errorf("%d users were inserted, want %d", len(seen), n)
	}
	if l.changed != 0 {
		t.Errorf("%d repeated inserts had other rows than the first: their token would hide that", l.changed)
	}
	if l.untold != 0 {
		t.Errorf("%d repeated inserts did not say that they were: what ClickHouse took and lost would stay lost", l.untold)
	}
	if !slices.IsSorted(l.applied) || len(slices.Compact(slices.Clone(l.applied))) != len(l.applied) {
		t.Errorf("batches were applied as %v, want each once and ascending", l.applied)
	}
}
