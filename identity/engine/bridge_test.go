package engine_test

import (
	"testing"

	"oneid/identity"
	"oneid/identity/engine"
)

// Two customers of several accounts, whom a phone each holds together, and whose
// first accounts resemble each other: in the shops that both know, the guard of
// shops refuses the false link; where they know different ones, nothing tells it
// from a true one, and a person's word takes it back.
func TestOneLinkBetweenTwoCustomers(t *testing.T) {
	t.Parallel()
	bears := func(account string, a identity.Appearance, phone byte) engine.Update {
		u := received(account, a, 5)
		u.Evidence = append(u.Evidence, identity.Evidence{Identifier: identity.Identifier{Type: identity.Phone, Hash: identity.Hash{phone}}, Role: identity.RoleMember, Source: "tmall", First: 1, Last: 2})
		return u
	}
	li, zhao := identity.Appearance{Name: "l", Phone: "8", District: "m"}, identity.Appearance{Name: "z", Phone: "9", District: "n"}
	for name, c := range map[string]struct {
		second []engine.Update
		want   int
	}{
		"the same shops": {[]engine.Update{bears("douyin/1/c", wangAgain, 2), bears("tmall/1/d", zhao, 2)}, 2},
		"other shops":    {[]engine.Update{bears("douyin/1/c", wangAgain, 2), bears("douyin/2/d", zhao, 2)}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := open(t, engine.NewMemory(), parsed(t, modelRules))
			first := []engine.Update{bears("tmall/1/a", wang, 1), bears("tmall/2/b", li, 1)}
			if _, err := e.Apply(1, append(first, c.second...), nil); err != nil {
				t.Fatal(err)
			}
			if got := customersOf(e); len(got) != c.want {
				t.Errorf("customers %v, want %d", got, c.want)
			}
			if _, err := e.Apply(2, nil, []identity.Decision{{ID: "1", Kind: identity.Different, A: first[0].Account, B: c.second[0].Account}}); err != nil {
				t.Fatal(err)
			}
			if got := customersOf(e); len(got) != 2 {
				t.Errorf("after a decision that they are two: %v", got)
			}
		})
	}
}
