package profile

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"oneid/identity"
	"oneid/identity/engine"
	"oneid/schemas/events"
	"oneid/schemas/tables"
)

// Whatever Buyers answer ClickHouse says too: for versions in any order, orders
// that lose and find their buyers, a start in the middle, and more orders than
// there is room for. And they do answer for an order with one buyer.
func TestBuyersAnswerAsClickHouse(t *testing.T) {
	rules, err := identity.ParseRules(identity.DefaultRulesYAML())
	if err != nil {
		t.Fatal(err)
	}
	answered, left := 0, 0
	for seed := range uint64(4) {
		c, _ := open(t)
		r := rand.New(rand.NewPCG(seed, 2))
		state, err := engine.New(engine.NewMemory(), rules)
		if err != nil {
			t.Fatal(err)
		}
		const orders, batches = 200, 5
		room := int64(orderBytes * orders * 10)
		if seed%2 == 1 {
			room = orderBytes * orders / 3
		}
		// A process that starts at batch born has not seen those before; the
		// state and ClickHouse have.
		born := r.IntN(3)
		load := born + r.IntN(batches-born)
		buyers := NewBuyers(state, room)
		whose := map[key]map[string]bool{}
		for batch := range batches {
			block := tables.NewOrders()
			var list []*events.Event
			var updates []engine.Update
			for range 100 {
				n := r.IntN(orders)
				k := key{[]string{"tmall", "douyin"}[n%2], "s", fmt.Sprint("o", n)}
				a := identity.Account{Platform: k.platform, Shop: k.shop, ID: fmt.Sprint("a", n/3)}
				switch odd := r.IntN(20); {
				case n%4 == 0 && odd < 12:
					a.ID = pseudo + k.id
				case n%4 == 1 && odd < 6: // a source that corrects itself
					a.ID = "another"
				}
				version := r.Int64N(1000)
				if a.ID == "another" && r.IntN(2) == 0 {
					version = -1 // older than all
				}
				h := header(a, k.id, version)
				h.Deleted = n%7 == 0 && r.IntN(3) == 0
				order := &events.Order{Status: events.OrderStatus_ORDER_STATUS_PAID, CreatedMs: int64(1_700_000_000+n*100) * 1000, Currency: "CNY"}
				block.Append(h, order, tables.Stamp{})
				list = append(list, &events.Event{Header: h, Body: &events.Event_Order{Order: order}})
				updates = append(updates, engine.Update{Account: a})
				if whose[k] == nil {
					whose[k] = map[string]bool{}
				}
				whose[k][a.ID] = true
				if h.Deleted {
					whose[k]["deleted"] = true
				}
			}
			if _, err := state.Apply(uint64(batch+1), updates, nil); err != nil {
				t.Fatal(err)
			}
			if batch >= born {
				buyers.See(list)
			}
			if batch == load { // its rows are not there yet
				if _, ok := buyers.Of("tmall", "s", "o2"); ok {
					t.Fatal("an answer before ClickHouse was read")
				}
				if err := buyers.Load(t.Context(), c); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.Insert(t.Context(), block, fmt.Sprint("batch ", batch)); err != nil {
				t.Fatal(err)
			}
		}
		history := NewHistory(c, NewStored(c))
		for n := range orders + 5 {
			k := key{[]string{"tmall", "douyin"}[n%2], "s", fmt.Sprint("o", n)}
			got, ok := buyers.Of(k.platform, k.shop, k.id)
			if !ok {
				left++
				if only := whose[k]; seed%2 == 0 && len(only) == 1 && !only[pseudo+k.id] {
					t.Errorf("seed %d: order %v has one buyer, %v, and no answer", seed, k, only)
				}
				continue
			}
			answered++
			want, known, err := history.AccountOfOrder(t.Context(), k.platform, k.shop, k.id)
			if err != nil {
				t.Fatal(err)
			}
			if !known || got != want {
				t.Errorf("seed %d: order %v is %v's, ClickHouse says %v, %v", seed, k, got, want, known)
			}
		}
		if buyers.n.Load() > room/orderBytes {
			t.Errorf("seed %d: %d orders where there is room for %d", seed, buyers.n.Load(), room/orderBytes)
		}
	}
	if answered < 100 || left < 100 {
		t.Errorf("%d answered, %d left: the test tests little", answered, left)
	}
}

// What they cannot know they leave to ClickHouse: an order that is deleted or
// names no buyer, and, where there was no room for all, a version of an old
// one.
func TestBuyersDoNotGuess(t *testing.T) {
	c, _ := open(t)
	rules, err := identity.ParseRules(identity.DefaultRulesYAML())
	if err != nil {
		t.Fatal(err)
	}
	state, err := engine.New(engine.NewMemory(), rules)
	if err != nil {
		t.Fatal(err)
	}
	buyer, other, stands := identity.Account{Platform: "tmall", Shop: "s", ID: "a"}, identity.Account{Platform: "tmall", Shop: "s", ID: "b"}, identity.Account{Platform: "tmall", Shop: "s", ID: pseudo + "38"}
	if _, err := state.Apply(1, []engine.Update{{Account: buyer}, {Account: other}, {Account: stands}}, nil); err != nil {
		t.Fatal(err)
	}
	order := func(n int) *events.Order {
		return &events.Order{Status: events.OrderStatus_ORDER_STATUS_PAID, CreatedMs: int64(1_700_000_000+n) * 1000, Currency: "CNY"}
	}
	block := tables.NewOrders()
	for n := range 40 {
		h := header(buyer, fmt.Sprint(n), 5)
		switch n {
		case 37:
			h.Deleted = true
		case 38:
			h.Account = stands.ID
		}
		block.Append(h, order(n), tables.Stamp{})
	}
	insert(t, c, block)
	all, few := NewBuyers(state, orderBytes*100), NewBuyers(state, orderBytes*20)
	for _, b := range []*Buyers{all, few} {
		if err := b.Load(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	see := func(a identity.Account, n int) {
		e := &events.Event{Header: header(a, fmt.Sprint(n), 1), Body: &events.Event_Order{Order: order(n)}}
		all.See([]*events.Event{e})
		few.See([]*events.Event{e})
	}
	see(other, 0)  // older than what ClickHouse has
	see(buyer, 50) // new
	for _, want := range []struct {
		order    string
		all, few bool
	}{{"0", false, false}, {"1", true, false}, {"37", false, false}, {"38", false, false}, {"39", true, true}, {"50", true, true}, {"51", false, false}} {
		for name, b := range map[string]*Buyers{"all": all, "few": few} {
			answers := map[string]bool{"all": want.all, "few": want.few}[name]
			if got, ok := b.Of("tmall", "s", want.order); ok != answers || ok && got != buyer {
				t.Errorf("room for %s: order %s is %v's, %v; want an answer: %v", name, want.order, got, ok, answers)
			}
		}
	}
}

// BenchmarkBuyersSee is what an order costs the resolver.
func BenchmarkBuyersSee(b *testing.B) {
	rules, err := identity.ParseRules(identity.DefaultRulesYAML())
	if err != nil {
		b.Fatal(err)
	}
	state, err := engine.New(engine.NewMemory(), rules)
	if err != nil {
		b.Fatal(err)
	}
	var updates []engine.Update
	for n := range 100_000 {
		updates = append(updates, engine.Update{Account: identity.Account{Platform: "tmall", Shop: "s", ID: fmt.Sprint("a", n)}})
	}
	if _, err := state.Apply(1, updates, nil); err != nil {
		b.Fatal(err)
	}
	const batch = 10_000
	list := make([]*events.Event, batch)
	for i := range list {
		list[i] = &events.Event{Header: header(updates[i*7%len(updates)].Account, fmt.Sprint("o", i), 1), Body: &events.Event_Order{Order: &events.Order{CreatedMs: 1}}}
	}
	buyers := NewBuyers(state, 128<<20)
	b.ResetTimer()
	for range b.N {
		buyers.See(list)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/batch, "ns/order")
}
