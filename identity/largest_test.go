package identity

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// accounts of as many shops, as member of which each was seen with an identifier.
func bearers(typ IdentifierType, value byte, names ...string) (evidence []Evidence) {
	for _, name := range names {
		evidence = append(evidence, member("file/"+name+"/1", typ, value, 0))
	}
	return evidence
}

func TestTheLargestCustomer(t *testing.T) {
	t.Parallel()
	rules, err := ParseRules([]byte("largest_customer: 3\ntypes:\n" +
		"  unionid: {priority: 1, join: {member: 96}}\n  phone: {priority: 2, join: {member: 90, buyer: 80}}\n  email: {priority: 3, join: {member: 90}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	same := func(a, b string) Decision {
		d := Decision{ID: a + b, Kind: Same}
		d.A, _ = ParseAccount("file/" + a + "/1")
		d.B, _ = ParseAccount("file/" + b + "/1")
		return d
	}
	for name, c := range map[string]struct {
		evidence  []Evidence
		decisions []Decision
		want      string
		inert     []Identifier
	}{
		"as large as may be": {bearers(Phone, 1, "a", "b", "c"), nil, "abc", nil},
		"one identifier alone is too much": {bearers(Phone, 1, "a", "b", "c", "d"), nil, "a b c d",
			[]Identifier{{Phone, Hash{1}}}},
		"the weaker type goes": {append(bearers(UnionID, 1, "a", "b", "c"), bearers(Phone, 2, "c", "d")...), nil, "abc d",
			[]Identifier{{Phone, Hash{2}}}},
		"of equal strength the later priority goes": {slices.Concat(bearers(Email, 1, "a", "b"), bearers(Phone, 2, "b", "c"), bearers(Phone, 3, "c", "d")), nil, "a bcd",
			[]Identifier{{Email, Hash{1}}}},
		"of equal priority the later key goes": {slices.Concat(bearers(Phone, 2, "a", "b", "c"), bearers(Phone, 1, "c", "d")), nil, "a b cd",
			[]Identifier{{Phone, Hash{2}}}},
		"an identifier is as strong as its weakest link": {slices.Concat([]Evidence{in(RoleBuyer, member("file/a/1", Phone, 1, 0))}, bearers(Phone, 1, "b", "c"), bearers(Phone, 2, "c", "d")), nil, "a b cd",
			[]Identifier{{Phone, Hash{1}}}},
		"all that is weaker goes first": {slices.Concat(bearers(UnionID, 1, "a", "b"), bearers(UnionID, 2, "b", "c", "d"), bearers(Phone, 3, "a", "b")), nil, "ab c d",
			[]Identifier{{Phone, Hash{3}}, {UnionID, Hash{2}}}},
		"another customer's goes on": {slices.Concat(bearers(Email, 1, "a", "b"), bearers(Phone, 2, "c", "d", "e", "f")), nil, "ab c d e f",
			[]Identifier{{Phone, Hash{2}}}},
		"a decision is not bound": {nil, []Decision{same("a", "b"), same("b", "c"), same("c", "d")}, "abcd", nil},
		"what a decision has joined grows no more": {bearers(Phone, 1, "a", "e"), []Decision{same("a", "b"), same("b", "c"), same("c", "d")}, "abcd e",
			[]Identifier{{Phone, Hash{1}}}},
		"what is within it stays": {bearers(Phone, 1, "a", "b"), []Decision{same("a", "b"), same("b", "c"), same("c", "d")}, "abcd", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			evidence := c.evidence
			for _, d := range c.decisions { // who is only in decisions is there
				for _, a := range []Account{d.A, d.B} {
					evidence = append(evidence, Evidence{Account: a, Identifier: Identifier{Type: "none"}, Role: RoleAgent})
				}
			}
			got := Resolve(evidence, c.decisions, rules)
			text := ""
			for i, customer := range got.Customers {
				if i > 0 {
					text += " "
				}
				for _, a := range customer {
					text += a.Shop
				}
			}
			if text != c.want {
				t.Errorf("customers %q, want %q", text, c.want)
			}
			var inert []Identifier
			for _, v := range got.Reviews {
				if v.Reason != ReviewLargest {
					t.Errorf("a review of %s", v.Reason)
				}
				inert = append(inert, v.Identifier)
			}
			if d := gocmp.Diff(c.inert, inert, cmpopts.EquateEmpty()); d != "" {
				t.Errorf("inert (-want +got):\n%s", d)
			}
		})
	}
}

// Where nothing else keeps accounts apart, what goes inert is what goes if the
// weakest identifier of each customer that is too large is taken away, and so on,
// one after the other.
func TestTheWeakestGoOneByOne(t *testing.T) {
	t.Parallel()
	gone := 0
	for seed := range uint64(500) {
		draw := rand.New(rand.NewPCG(seed, 12))
		types := map[IdentifierType]*TypeRule{UnionID: {Priority: 1}, Phone: {Priority: 2}, Email: {Priority: 2}}
		rules, free := &Rules{LargestCustomer: 2 + draw.IntN(6), Types: types}, &Rules{LargestCustomer: math.MaxInt, Types: types}
		c := Component{}
		n := 4 + draw.IntN(40)
		for i := range n {
			c.Accounts = append(c.Accounts, Account{"file", fmt.Sprintf("%02d", i), "1"})
		}
		for value := range byte(4 + draw.IntN(40)) {
			g := Group{Identifier: Identifier{[]IdentifierType{UnionID, Phone, Email}[draw.IntN(3)], Hash{value}}}
			for _, account := range draw.Perm(n)[:2+draw.IntN(3)] {
				g.Members = append(g.Members, Sighting{Account: account, Shop: account, Strength: 90 + draw.IntN(3)})
			}
			c.Groups = append(c.Groups, g)
		}
		if draw.IntN(2) == 0 {
			c.Verdicts = []Verdict{{Pair: Pair{c.Accounts[0], c.Accounts[1]}, Kind: Same, ID: "d"}}
		}
		// The slow way.
		slow := Component{Accounts: c.Accounts, Groups: slices.Clone(c.Groups), Verdicts: c.Verdicts}
		var want Partition
		for {
			want = free.Partition(slow)
			size := make([]int, n)
			for _, first := range want.Customer {
				size[first]++
			}
			weakest := map[int]int{} // group by customer
			strength := func(g int) int {
				return slices.MinFunc(slow.Groups[g].Members, func(a, b Sighting) int { return cmp.Compare(a.Strength, b.Strength) }).Strength
			}
			for g, group := range slow.Groups {
				customer := want.Customer[group.Members[0].Account]
				if group.Inert != "" || size[customer] <= rules.LargestCustomer {
					continue
				}
				w, ok := weakest[customer]
				if !ok || cmp.Or(cmp.Compare(strength(g), strength(w)), cmp.Compare(types[slow.Groups[w].Identifier.Type].Priority, types[group.Identifier.Type].Priority),
					slow.Groups[w].Identifier.Compare(group.Identifier)) < 0 {
					weakest[customer] = g
				}
			}
			if len(weakest) == 0 {
				break
			}
			gone += len(weakest)
			for _, g := range weakest {
				slow.Groups[g].Inert = ReviewLargest
			}
		}
		got := rules.Partition(c)
		if d := gocmp.Diff(want.Customer, got.Customer); d != "" {
			t.Fatalf("seed %d: not the customers that are left if the weakest go one by one (-want +got):\n%s", seed, d)
		}
		draw.Shuffle(len(c.Groups), func(i, j int) { c.Groups[i], c.Groups[j] = c.Groups[j], c.Groups[i] })
		for _, g := range c.Groups {
			draw.Shuffle(len(g.Members), func(i, j int) { g.Members[i], g.Members[j] = g.Members[j], g.Members[i] })
		}
		if d := gocmp.Diff(got.Customer, rules.Partition(c).Customer); d != "" {
			t.Fatalf("seed %d: the order of the groups changed the customers:\n%s", seed, d)
		}
	}
	if gone < 1000 {
		t.Errorf("%d identifiers went: it is not tried", gone)
	}
}

// By the rules that ship every type has a bound, and an identifier that passes it
// joins nobody: what it has joined comes apart.
func TestEveryTypeHasABound(t *testing.T) {
	t.Parallel()
	rules := DefaultRules()
	for typ, rule := range rules.Types {
		if rule.Accounts < 2 || rule.Accounts > rules.LargestCustomer {
			t.Errorf("%s may bear %d accounts", typ, rule.Accounts)
			continue
		}
		if rule.Values < 3 || rule.Values > 10 {
			t.Errorf("an account may bear %d of %s at a time", rule.Values, typ)
		}
		var evidence []Evidence
		for i := range rule.Accounts {
			evidence = append(evidence, member(fmt.Sprintf("file/%d/1", i), typ, 1, 0))
		}
		if got := Resolve(evidence, nil, rules).Customers; len(got) != 1 {
			t.Errorf("%d accounts with one %s are %d customers, want 1", len(evidence), typ, len(got))
		}
		evidence = append(evidence, member("file/more/1", typ, 1, 0))
		got := Resolve(evidence, nil, rules)
		if len(got.Customers) != len(evidence) || len(got.Reviews) != 1 || got.Reviews[0].Reason != ReviewAccounts {
			t.Errorf("%d accounts with one %s are %d customers, reviews %+v; want as many, and the identifier reviewed", len(evidence), typ, len(got.Customers), got.Reviews)
		}
	}
}
