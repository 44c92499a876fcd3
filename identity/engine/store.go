package engine

import (
	"maps"
	"slices"
	"strings"
	"sync"
)

// Table names a kind of rows.
type Table byte

// Row is one row of a table. A nil Value deletes it.
type Row struct {
	Table Table
	Key   []byte
	Value []byte
}

// Store keeps rows. It is not asked while the engine works: rows are read at
// the start and written behind.
type Store interface {
	// Commit writes all rows or none, durably. The slices are valid during the call.
	Commit(rows []Row) error
	// Scan calls row for every row of a table by ascending key. The slices are
	// valid during the call.
	Scan(table Table, row func(key, value []byte) error) error
}

// Memory is a Store that forgets when the process ends. It is for tests and
// for a resolver that is rebuilt at each start.
type Memory struct {
	mu   sync.Mutex
	rows map[string][]byte
}

// NewMemory returns an empty Store.
func NewMemory() *Memory { return &Memory{rows: map[string][]byte{}} }

// Commit implements Store.
func (m *Memory) Commit(rows []Row) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range rows {
		key := string(rune(r.Table)) + string(r.Key)
		if r.Value == nil {
			delete(m.rows, key)
		} else {
			m.rows[key] = slices.Clone(r.Value)
		}
	}
	return nil
}

// Scan implements Store.
func (m *Memory) Scan(table Table, row func(key, value []byte) error) error {
	m.mu.Lock()
	rows := maps.Clone(m.rows)
	m.mu.Unlock()
	prefix := string(rune(table))
	for _, key := range slices.Sorted(maps.Keys(rows)) {
		if own, ok := strings.CutPrefix(key, prefix); ok {
			if err := row([]byte(own), rows[key]); err != nil {
				return err
			}
		}
	}
	return nil
}
