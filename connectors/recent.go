package connectors

import "sync"

// Recent remembers what was read a moment ago, so that a stream need not ask
// the platform for what another one has just had: a bounded number of values,
// whatever the length of a backfill. What is no longer known is asked for
// again. It may be used concurrently.
type Recent[K comparable, V any] struct {
	half int

	mu sync.Mutex
	// Two generations: when the young one is full the old one is forgotten, and
	// its room is that of the next young one. Guarded by mu.
	young, old map[K]V
}

// NewRecent remembers at least the last half of size values, and at most size.
func NewRecent[K comparable, V any](size int) *Recent[K, V] {
	return &Recent[K, V]{half: max(size/2, 1), young: make(map[K]V), old: make(map[K]V)}
}

// Get is the value that was put last under a key.
func (r *Recent[K, V]) Get(key K) (V, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if value, ok := r.young[key]; ok {
		return value, true
	}
	value, ok := r.old[key]
	return value, ok
}

// Put remembers a value under a key.
func (r *Recent[K, V]) Put(key K, value V) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.young[key]; !known && len(r.young) >= r.half {
		r.young, r.old = r.old, r.young
		clear(r.young)
	}
	r.young[key] = value
}

// BuyersKept is how many orders' buyers a shop's connector remembers: some 4 MB,
// and an hour of a very large shop's orders. An after-sale changes its order too,
// so that the two are read at about the same time.
const BuyersKept = 20_000
