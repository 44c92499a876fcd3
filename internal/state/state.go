// Package state keeps the resolver's state in Pebble: the engine's rows and
// the sealed values of identifiers. It is a local index, which a rebuild makes
// anew from ClickHouse.
package state

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"oneid/identity/engine"
)

// Error is a failure of the state's folder.
type Error struct {
	Doing, Folder string
	Err           error
	code, hint    string
}

func (e *Error) Error() string {
	return fmt.Sprintf("state: %s, in %s: %v; %s", e.Doing, e.Folder, e.Err, e.hint)
}

func (e *Error) Unwrap() error { return e.Err }

// Code is one of state_locked, state_full, state_damaged, state_failed.
func (e *Error) Code() string { return e.code }

// Hint says what to do.
func (e *Error) Hint() string { return e.hint }

// Store is an open state folder. It implements engine.Store and is safe for
// concurrent use.
type Store struct {
	db     *pebble.DB
	folder string
	full   atomic.Pointer[time.Time] // since when the disk is full

	putting    sync.Mutex // guards the two below
	generation uint64     // of the packs of values that were put last
	lastPut    uint64     // the sum of their identifiers
}

var _ engine.Store = (*Store)(nil)

// Open opens or creates the state in a folder, which one process at a time
// may have open.
func Open(folder string) (*Store, error) { return open(folder, vfs.Default) }

func open(folder string, fs vfs.FS) (*Store, error) {
	s := &Store{folder: folder}
	cache := pebble.NewCache(16 << 20) // read once at the start, written behind
	defer cache.Unref()
	options := &pebble.Options{
		FS:                 s.patient(fs),
		Cache:              cache,
		FormatMajorVersion: pebble.FormatNewest,
		// Rows go out of a memtable into the lowest level once, and are read at
		// the start alone; of values few are read. So few large memtables, of
		// which many lie beside each other, spare the merging of small ones.
		// 64 is in halves: a look-up may read 32 files.
		MemTableSize:                32 << 20,
		MemTableStopWritesThreshold: 2,
		L0CompactionThreshold:       64,
		L0CompactionFileThreshold:   2000,
		L0StopWritesThreshold:       96,
		LBaseMaxBytes:               256 << 20,
		Logger:                      silent{},
	}
	db, err := pebble.Open(folder, options)
	if err != nil {
		return nil, s.fail("open the state", err)
	}
	s.db = db
	if s.generation, err = s.lastGeneration(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Close ends all work on the folder.
func (s *Store) Close() error {
	if err := s.db.Close(); err != nil {
		return s.fail("close the state", err)
	}
	return nil
}

// DiskBytes is what the folder takes of the disk.
func (s *Store) DiskBytes() int64 { return int64(s.db.Metrics().DiskSpaceUsage()) }

// MemoryBytes is what Pebble keeps in memory: rows that are not in its files
// yet, and blocks of these. Both have a bound, whatever the state holds.
func (s *Store) MemoryBytes() int64 {
	m := s.db.Metrics()
	return int64(m.MemTable.Size+m.MemTable.ZombieSize) + m.BlockCache.Size
}

// Prefixes part the engine's tables from the values, and these from what is kept
// once.
const (
	rowPrefix   = 'r'
	valuePrefix = 'v' // a value each, of a state of an earlier version
	packPrefix  = 'w' // packs of values
)

func rowKey(table engine.Table, key []byte) []byte {
	return append([]byte{rowPrefix, byte(table)}, key...)
}

// entryRoom is what an entry of a batch takes at most beside its key and value: one
// that grows copies all that is in it.
const entryRoom = 16

// Commit implements engine.Store: one synced batch.
func (s *Store) Commit(rows []engine.Row) error {
	size := 0
	for _, r := range rows {
		size += entryRoom + len(r.Key) + len(r.Value)
	}
	batch := s.db.NewBatchWithSize(size)
	defer batch.Close()
	for _, r := range rows {
		if r.Value == nil {
			if err := batch.Delete(rowKey(r.Table, r.Key), nil); err != nil {
				return s.fail("gather a batch", err)
			}
			continue
		}
		// Straight into the batch: a key of its own for each row is garbage.
		op := batch.SetDeferred(2+len(r.Key), len(r.Value))
		op.Key[0], op.Key[1] = rowPrefix, byte(r.Table)
		copy(op.Key[2:], r.Key)
		copy(op.Value, r.Value)
		if err := op.Finish(); err != nil {
			return s.fail("gather a batch", err)
		}
	}
	if err := batch.Commit(pebble.Sync); err != nil {
		return s.fail("write a batch", err)
	}
	return nil
}

// Scan implements engine.Store.
func (s *Store) Scan(table engine.Table, row func(key, value []byte) error) error {
	return s.scan("read a table", rowKey(table, nil), rowKey(table+1, nil), func(key, value []byte) error { return row(key[2:], value) })
}

// scan calls row for each key from one on, up to another, in their order, until it
// returns an error, which is scan's then. The slices are valid during the call.
func (s *Store) scan(doing string, from, to []byte, row func(key, value []byte) error) (err error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: to})
	if err != nil {
		return s.fail(doing, err)
	}
	defer func() {
		if closed := it.Close(); err == nil && closed != nil {
			err = s.fail(doing, closed)
		}
	}()
	for ok := it.First(); ok; ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return s.fail(doing, err)
		}
		if err := row(it.Key(), value); err != nil {
			if errors.Is(err, errCorrupt) {
				err = s.fail(doing, err)
			}
			return err
		}
	}
	return nil
}

// bookmarkKey is the key of the bookmark.
var bookmarkKey = []byte{'b'}

// Bookmark returns what SetBookmark was last given; nil for nothing.
func (s *Store) Bookmark() ([]byte, error) {
	return s.get("read the bookmark", bookmarkKey)
}

// get is a copy of a key's value; nil if there is none.
func (s *Store) get(doing string, key []byte) ([]byte, error) {
	value, closer, err := s.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, s.fail(doing, err)
	}
	data := append([]byte{}, value...)
	if err := closer.Close(); err != nil {
		return nil, s.fail(doing, err)
	}
	return data, nil
}

// SetBookmark keeps what says how far the journal need not be read again. It is
// durable with the next Commit, and never without those before.
func (s *Store) SetBookmark(data []byte) error {
	if err := s.db.Set(bookmarkKey, data, pebble.NoSync); err != nil {
		return s.fail("write the bookmark", err)
	}
	return nil
}

// fail names the folder and what to do.
func (s *Store) fail(doing string, err error) error {
	e := &Error{Doing: doing, Folder: s.folder, Err: err, code: "state_failed", hint: "see that the folder is there and can be written, then start again"}
	text := err.Error()
	switch {
	case errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT):
		e.code, e.hint = "state_full", "the disk is full: make room, then start again; nothing that was stored is lost"
	case errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES) && strings.Contains(text, "LOCK") || strings.Contains(text, "lock held") || strings.Contains(text, "resource temporarily unavailable"):
		e.code, e.hint = "state_locked", "another process has it open: stop that one first"
	case pebble.IsCorruptionError(err) || errors.Is(err, io.ErrUnexpectedEOF) || strings.Contains(text, "corrupt") || strings.Contains(text, "checksum"):
		e.code, e.hint = "state_damaged", "move the folder away and start again: it is rebuilt from ClickHouse and Kafka"
	}
	return e
}

// silent keeps Pebble's own notes out of the log: what fails comes back as an
// error, and what it cannot go on from ends the process as Pebble demands.
type silent struct{}

func (silent) Infof(string, ...any)  {}
func (silent) Errorf(string, ...any) {}
func (silent) Fatalf(format string, args ...any) {
	panic(fmt.Sprintf("state: pebble cannot go on: "+format, args...))
}
