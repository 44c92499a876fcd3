package identity

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
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

// Of a number that changed hands what one owner held goes inert alone, where he would be
// too large a customer by it: who had it before and after him keeps what it joined, though
// none but he contradicts them.
func TestOfAnIdentifierThatChangedHandsOnePartGoes(t *testing.T) {
	t.Parallel()
	first := []Evidence{member("tmall/0/a", Phone, 1, 0), member("tmall/0/a", UnionID, 2, 0), member("file/9/a", Phone, 1, 10*day)}
	for i := range 5 { // as many as bear the phone: more than a customer may have are no change of hands
		first = append(first, member(fmt.Sprintf("weidian/%d/a", i+1), UnionID, 2, 0))
	}
	second := []Evidence{member("douyin/0/b", Phone, 1, 120*day), member("weidian/8/b", Phone, 1, 130*day)}
	third := []Evidence{member("douyin/1/c", Phone, 1, 240*day), member("douyin/1/c", UnionID, 3, 240*day), member("weidian/9/c", Phone, 1, 250*day)}
	const six = "tmall/0/a weidian/1/a weidian/2/a weidian/3/a weidian/4/a weidian/5/a"
	const seven = "file/9/a " + six
	last := []Evidence{member("tmall/0/a", Phone, 1, 0), member("tmall/0/a", UnionID, 2, 0), member("file/9/a", Phone, 1, 10*day), member("file/9/a", Email, 5, 0), member("file/8/a", Email, 5, 0)}
	for i := range 5 {
		last = append(last, member(fmt.Sprintf("weidian/%d/c", i+1), UnionID, 3, 0))
	}
	for name, c := range map[string]struct {
		evidence []Evidence
		largest  int
		want     []string
		span     int // of what is inert; -1 for nothing
	}{
		"as large as may be": {slices.Concat(first, second, third), 7, []string{"douyin/0/b weidian/8/b", "douyin/1/c weidian/9/c", seven}, -1},
		"the first owner's":  {slices.Concat(first, second, third), 6, []string{"douyin/0/b weidian/8/b", "douyin/1/c weidian/9/c", "file/9/a", six}, 0},
		"the last owner's":   {slices.Concat(last, third), 6, []string{"douyin/1/c weidian/1/c weidian/2/c weidian/3/c weidian/4/c weidian/5/c", "file/8/a file/9/a tmall/0/a", "weidian/9/c"}, 1 << 16},
		"of two owners":      {slices.Concat(first, third), 6, []string{"douyin/1/c weidian/9/c", "file/9/a", six}, 0},
		"beside who is a bridge": {slices.Concat(first, third, []Evidence{
			member("douyin/2/d", Phone, 1, 5*day), member("douyin/2/d", Phone, 11, 5*day), member("douyin/2/d", Phone, 12, 5*day), member("douyin/2/d", Phone, 13, 5*day), member("douyin/2/d", Phone, 14, 5*day),
			member("douyin/2/d", Phone, 15, 5*day), member("douyin/2/d", Phone, 16, 5*day), member("douyin/2/d", Phone, 17, 5*day), member("douyin/2/d", Phone, 18, 5*day), member("douyin/2/d", Phone, 19, 5*day),
			member("douyin/2/d", Phone, 20, 5*day)}), 6, []string{"douyin/1/c weidian/9/c", "douyin/2/d", "file/9/a", six}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rules := *DefaultRules()
			rules.LargestCustomer = c.largest
			got := Resolve(c.evidence, nil, &rules)
			var customers []string
			for _, customer := range got.Customers {
				var names []string
				for _, a := range customer {
					names = append(names, a.String())
				}
				customers = append(customers, strings.Join(names, " "))
			}
			if d := gocmp.Diff(c.want, customers); d != "" {
				t.Errorf("customers (-want +got):\n%s", d)
			}
			inert := slices.IndexFunc(got.Reviews, func(v Review) bool { return v.Reason == ReviewLargest && v.Identifier.Type == Phone })
			if inert < 0 != (c.span < 0) || inert >= 0 && got.Reviews[inert].Span != c.span {
				t.Errorf("reviews %+v, want the phone inert in span %d", got.Reviews, c.span)
			}
		})
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
