package engine_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"oneid/identity"
	"oneid/identity/engine"
)

// Accounts become bridges by a value more, or as the times of two come near each other,
// in whatever order and batches that is told, with restarts between: the customers are
// those of Resolve, and what is told on the way adds up to them. Without what made them
// bridges the customers are what they were.
func TestBridgesInAnyOrder(t *testing.T) {
	t.Parallel()
	rules := parsed(t, `
largest_customer: 50
types:
  member_card: {priority: 1, join: {member: 92}, values: 2}
  phone:       {priority: 2, join: {member: 90, buyer: 80}, accounts: 9, values: 2, per_shop: 1, gap_days: 3}
`)
	bridges, near := 0, 0
	for seed := range *seedCount {
		r := rand.New(rand.NewPCG(uint64(seed), 97))
		accounts := make([]identity.Account, 2+r.IntN(8))
		for i := range accounts {
			accounts[i] = identity.Account{Platform: []string{"tmall", "douyin"}[i%2], Shop: fmt.Sprint(r.IntN(3)), ID: fmt.Sprint(i)}
		}
		var base history
		for range 4 + r.IntN(30) {
			u := engine.Update{Account: accounts[min(r.IntN(len(accounts)), r.IntN(len(accounts)))]}
			id := identity.Identifier{Type: identity.Phone, Hash: identity.Hash{byte(r.IntN(6))}}
			if r.IntN(4) == 0 {
				id = identity.Identifier{Type: identity.MemberCard, Hash: identity.Hash{byte(r.IntN(9))}}
			}
			at := r.Int64N(20) * 86400
			u.Evidence = []identity.Evidence{{Account: u.Account, Identifier: id, Role: identity.RoleMember, Source: "tmall", First: at, Last: at + r.Int64N(3)*86400}}
			base.updates = append(base.updates, u)
		}
		if seed%2 == 0 { // one with so many sightings that the engine remembers who bears few values
			u := engine.Update{Account: accounts[0]}
			for i := range 70 {
				u.Evidence = append(u.Evidence, identity.Evidence{Account: u.Account, Identifier: identity.Identifier{Type: identity.Phone, Hash: identity.Hash{9, byte(i)}}, Role: identity.RoleReceiver, Source: "tmall", First: 1, Last: 1})
			}
			base.updates = append(base.updates, u)
		}
		for range 3 {
			h := base.shuffled(r)
			store := engine.NewMemory()
			reopen := func(*engine.Engine) *engine.Engine { return open(t, store, rules) }
			e, told, born := h.cut(t, r, reopen(nil), reopen)
			want := h.oracle(rules, born)
			if d := cmp.Diff(want, held(e)); d != "" {
				t.Fatalf("seed %d: not the customers of Resolve (-want +got):\n%s", seed, d)
			}
			if d := cmp.Diff(want, told); d != "" {
				t.Fatalf("seed %d: the changes do not add up to the customers (-want +got):\n%s", seed, d)
			}
		}
		values := map[identity.Account]map[identity.Identifier]bool{}
		for _, ev := range base.evidence() {
			if ev.Identifier.Type == identity.Phone {
				if values[ev.Account] == nil {
					values[ev.Account] = map[identity.Identifier]bool{}
				}
				values[ev.Account][ev.Identifier] = true
			}
		}
		many := map[identity.Account]bool{}
		for _, v := range identity.Resolve(base.evidence(), nil, rules).Reviews {
			if v.Reason == identity.ReviewValues && v.Identifier.Type == identity.Phone {
				for _, a := range v.Accounts {
					many[a] = true
				}
			}
		}
		bridges += len(many)
		for a, borne := range values {
			if len(borne) > 2 && !many[a] {
				near++
			}
		}
	}
	if bridges == 0 || near == 0 {
		t.Errorf("%d bridges, and %d accounts whose values lie apart: the property tests nothing of it", bridges, near)
	}
}

// Whom the engine remembers as one who bears few values is counted anew by other rules,
// by which he may bear fewer.
func TestFewByOtherRules(t *testing.T) {
	t.Parallel()
	const text = "largest_customer: 50\ntypes:\n  phone: {priority: 1, join: {member: 90}, values: %d, gap_days: 3}\n"
	e := open(t, engine.NewMemory(), parsed(t, fmt.Sprintf(text, 2)))
	at := func(account string, phone byte, day int64) engine.Update {
		u := shared(account, phone)
		u.Evidence[0].First, u.Evidence[0].Last = day*86400, day*86400
		return u
	}
	const hub = "tmall/1/hub"
	many := at(hub, 1, 0)
	for i := range 70 {
		many.Evidence = append(many.Evidence, identity.Evidence{Identifier: identity.Identifier{Type: identity.Email, Hash: identity.Hash{byte(i)}}, Role: identity.RoleMember, Source: "tmall"})
	}
	for i, step := range []struct {
		updates  []engine.Update
		values   int // of rules that are adopted
		customer int
	}{
		{[]engine.Update{many, at(hub, 2, 50), at("douyin/1/a", 1, 0), at("weidian/1/b", 2, 50)}, 0, 1},
		{nil, 1, 1},
		{[]engine.Update{at(hub, 1, 50)}, 0, 3},
	} {
		var words []identity.Decision
		if step.values > 0 {
			words = []identity.Decision{{ID: "fewer", Kind: identity.Adopt, Rules: parsed(t, fmt.Sprintf(text, step.values))}}
		}
		if _, err := e.Apply(uint64(i), step.updates, words); err != nil {
			t.Fatal(err)
		}
		if got := customersOf(e); len(got) != step.customer {
			t.Errorf("step %d: customers %v, want %d", i, got, step.customer)
		}
	}
}
