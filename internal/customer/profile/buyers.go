package profile

import (
	"context"
	"fmt"
	"hash/maphash"
	"math/bits"
	"strings"
	"sync"
	"sync/atomic"

	"oneid/identity"
	"oneid/identity/engine"
	"oneid/internal/clickhouse"
	"oneid/schemas/events"
)

// Buyers know in memory whose an order is, for where a resolver runs beside
// the reader: a look-up by order then asks ClickHouse for nothing. It answers
// what the newest version of the order in ClickHouse says, or that it does not
// know, and never guesses: it knows no versions, so an order that was seen
// with two accounts, with none that names a buyer, or as deleted is left to
// ClickHouse for ever.
//
// It is made of what the resolver sees from the start on (See) and of what
// lies in ClickHouse (Load), and answers from the end of Load on. Buyers may
// be used concurrently; a nil one knows nothing.
type Buyers struct {
	engine *engine.Engine
	limit  int64 // orders
	seed   maphash.Seed

	n      atomic.Int64
	loaded atomic.Bool
	// since, seconds, is when orders begin of which each version is known:
	// those of ClickHouse before the limit, or all (below any time).
	since atomic.Int64

	shards [256]orderShard
}

// orderShard is a part of the orders, so that growing one is short: open
// addressing, twelve bytes a slot.
type orderShard struct {
	mu       sync.RWMutex
	hashes   []uint64 // of orders; 0 for a free slot
	accounts []uint32 // their accounts, as the engine numbers them, or unsure
	n        int
}

// unsure stands for the account of an order that ClickHouse is asked for.
const unsure = ^uint32(0)

// orderBytes is what an order takes, with slots that are free.
const orderBytes = 24

// NewBuyers makes Buyers over the engine that numbers their accounts, which
// take as many bytes at most. Beyond that, older ones are left to ClickHouse.
func NewBuyers(e *engine.Engine, bytes int64) *Buyers {
	b := &Buyers{engine: e, limit: bytes / orderBytes, seed: maphash.MakeSeed()}
	b.since.Store(-1)
	return b
}

// See takes the orders among events that the engine has applied. It must see
// each batch before that is in ClickHouse.
func (b *Buyers) See(list []*events.Event) {
	for _, e := range list {
		order, ok := e.GetBody().(*events.Event_Order)
		if !ok {
			continue
		}
		h := e.GetHeader()
		number := unsure
		if !h.GetDeleted() {
			number = b.number(identity.Account{Platform: h.GetPlatform(), Shop: h.GetShop(), ID: h.GetAccount()})
		}
		b.put(key{h.GetPlatform(), h.GetShop(), h.GetEntityId()}, number, order.Order.GetCreatedMs()/1000 > b.since.Load())
	}
}

// number is the engine's of an account, unsure for one that stands in for a
// buyer: a version that names him may come before or after.
func (b *Buyers) number(a identity.Account) uint32 {
	if strings.HasPrefix(a.ID, pseudo) {
		return unsure
	}
	if n, ok := b.engine.NumberOf(a); ok {
		return n
	}
	return unsure
}

// Of returns whose an order is; false if ClickHouse must be asked.
func (b *Buyers) Of(platform, shop, order string) (identity.Account, bool) {
	if b == nil || !b.loaded.Load() {
		return identity.Account{}, false
	}
	hash := b.hash(key{platform, shop, order})
	s := &b.shards[hash>>56]
	s.mu.RLock()
	number := unsure
	if at, ok := s.find(hash); ok {
		number = s.accounts[at]
	}
	s.mu.RUnlock()
	if number == unsure {
		return identity.Account{}, false
	}
	return b.engine.AccountOf(number), true
}

// hash tells orders apart: that two of some million have the same of 64 random
// bits does not happen, and if they did, different buyers would make them
// unsure.
func (b *Buyers) hash(k key) uint64 {
	const odd = 0x9e3779b97f4a7c15
	shop := maphash.String(b.seed, k.platform)*odd + maphash.String(b.seed, k.shop)
	return max(maphash.String(b.seed, k.id)^bits.RotateLeft64(shop*odd, 32), 1)
}

// put notes an order's account. One that is not there is taken only if fresh,
// and if there is room.
func (b *Buyers) put(k key, number uint32, fresh bool) {
	hash := b.hash(k)
	s := &b.shards[hash>>56]
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.find(hash)
	switch {
	case ok && s.accounts[at] != number:
		s.accounts[at] = unsure
	case !ok && fresh && b.n.Load() < b.limit:
		s.add(hash, number)
		b.n.Add(1)
	}
}

// find is the slot of a hash, or, with false, the one where it would be.
func (s *orderShard) find(hash uint64) (int, bool) {
	if len(s.hashes) == 0 {
		return 0, false
	}
	mask := len(s.hashes) - 1
	at := int(hash) & mask
	for s.hashes[at] != 0 && s.hashes[at] != hash {
		at = (at + 1) & mask
	}
	return at, s.hashes[at] == hash
}

func (s *orderShard) add(hash uint64, number uint32) {
	if (s.n+1)*5 > len(s.hashes)*4 {
		hashes, accounts := s.hashes, s.accounts
		slots := max(16, 2*len(hashes))
		s.hashes, s.accounts = make([]uint64, slots), make([]uint32, slots)
		for i, hash := range hashes {
			if hash != 0 {
				at, _ := s.find(hash)
				s.hashes[at], s.accounts[at] = hash, accounts[i]
			}
		}
	}
	at, _ := s.find(hash)
	s.hashes[at], s.accounts[at] = hash, number
	s.n++
}

// doubt makes all orders unsure that are here.
func (b *Buyers) doubt() {
	for i := range b.shards {
		s := &b.shards[i]
		s.mu.Lock()
		for at := range s.accounts {
			s.accounts[at] = unsure
		}
		s.mu.Unlock()
	}
}

// Load reads the orders that lie in ClickHouse, the newest if they are too
// many. It may run beside See, and is called once, or again after an error.
func (b *Buyers) Load(ctx context.Context, db *clickhouse.Conn) error {
	table := db.Database() + ".orders"
	rows, err := db.Number(ctx, "count the orders", "SELECT count() FROM "+table)
	if err != nil {
		return err
	}
	since := int64(-1)
	// Some room is left for the orders to come.
	if most := b.limit * 3 / 4; int64(rows) > most {
		at, err := db.Number(ctx, "look how old orders are", fmt.Sprintf("SELECT toUInt64(ceil(quantile(%f)(toUnixTimestamp(created_at)))) FROM %s", 1-float64(most)/float64(rows), table), lookup...)
		if err != nil {
			return err
		}
		since = int64(at)
	}
	b.since.Store(since)
	if since >= 0 {
		b.doubt() // of what was seen before, older versions may not be read
	}
	var platform, shop, order, account string
	var deleted uint8
	err = db.Rows(ctx, "read whose the orders are", "SELECT CAST(platform AS String), CAST(shop AS String), order_id, account, is_deleted FROM "+table+
		fmt.Sprintf(" WHERE toInt64(toUnixTimestamp(created_at)) > %d", since), func(scan func(...any) error) error {
		if err := scan(&platform, &shop, &order, &account, &deleted); err != nil {
			return err
		}
		number := unsure
		if deleted == 0 {
			number = b.number(identity.Account{Platform: platform, Shop: shop, ID: account})
		}
		b.put(key{platform, shop, order}, number, true)
		return nil
	}, lookup...)
	b.loaded.Store(err == nil)
	return err
}
