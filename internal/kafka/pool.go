package kafka

import (
	"sync"
	"sync/atomic"
)

// Pool is memory in which what was fetched lies, and which is used again once
// that is done with: a collector that has less to collect runs less often. The zero
// value is empty. It is for any number of goroutines.
type Pool struct {
	mu     sync.Mutex
	arenas []*arena
	lists  []*[]Fetched
}

// Trim leaves to the collector what nobody uses.
func (p *Pool) Trim() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.arenas, p.lists = nil, nil
}

// Kept is the memory of what one Fetch returned.
type Kept struct {
	pool  *Pool
	parts []part
	list  *[]Fetched
	loose bool // some values lie by themselves
}

// part is what one Fetch has of an arena.
type part struct {
	arena *arena
	bytes []byte
}

// Free gives the memory back. No message of that Fetch, and no part of one, may be
// read from then on: it is emptied at once, and holds other messages later.
func (k Kept) Free() {
	if k.pool == nil {
		return
	}
	if k.loose {
		for _, m := range *k.list { // before an arena with some of them is another's
			clear(m.Value)
		}
	}
	for _, p := range k.parts {
		if p.arena.holders.Load() > 1 { // else it is emptied as a whole
			clear(p.bytes)
		}
		k.pool.drop(p.arena)
	}
	clear(*k.list)
	*k.list = (*k.list)[:0]
	k.pool.mu.Lock()
	defer k.pool.mu.Unlock()
	k.pool.lists = append(k.pool.lists, k.list)
}

// arena is memory for many values, one after the other.
type arena struct {
	bytes []byte // as far as it is used
	// holders are the fetcher that fills it, and each Fetch that has a value in it.
	holders atomic.Int32
}

// take gives an empty arena to a fetcher; of no pool, a new one.
func (p *Pool) take() *arena {
	var a *arena
	if p != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		a, p.arenas = last(p.arenas)
	}
	if a == nil {
		a = &arena{bytes: make([]byte, 0, arenaBytes)}
	}
	a.holders.Store(1)
	return a
}

// drop is called by one holder of an arena.
func (p *Pool) drop(a *arena) {
	if p == nil || a.holders.Add(-1) > 0 {
		return
	}
	clear(a.bytes[:cap(a.bytes)]) // what nobody asked for, or was read in part, too
	a.bytes = a.bytes[:0]
	p.mu.Lock()
	defer p.mu.Unlock()
	p.arenas = append(p.arenas, a)
}

// smallList is how many messages any list may have room for.
const smallList = 512

// list gives an empty list with room for so many messages, and not for many more.
func (p *Pool) list(room int) *[]Fetched {
	var list *[]Fetched
	if p != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		if n := len(p.lists); n > 0 && cap(*p.lists[n-1]) <= max(4*room, smallList) { // a large one is not for few
			list, p.lists = last(p.lists)
		}
	}
	if list == nil {
		made := make([]Fetched, 0, room)
		list = &made
	}
	return list
}

// last takes the last out of a list; nil out of an empty one.
func last[T any](list []*T) (*T, []*T) {
	if len(list) == 0 {
		return nil, nil
	}
	return list[len(list)-1], list[:len(list)-1]
}
