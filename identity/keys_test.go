package identity

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// drawn is a component whose accounts and identifiers have no keys yet.
type drawn struct {
	shops     []int // of each account
	groups    []Group
	exclusive [][]Identifier
	verdicts  []Verdict // of accounts by number: A and B are Account{ID: number}
	said      [][2]int
	pairs     []Resemblance
}

func draw(r *rand.Rand, pairsAlone bool) (d drawn) {
	n := 3 + r.IntN(8)
	for range n {
		d.shops = append(d.shops, r.IntN(6))
	}
	d.exclusive = make([][]Identifier, n)
	types := []IdentifierType{Phone, Phone, Phone, Email, UnionID, TmallOMID, MemberCard}
	for value := range byte(1 + r.IntN(8)) {
		g := Group{Identifier: Identifier{types[r.IntN(len(types))], Hash{value}}}
		for _, account := range r.Perm(n)[:2+r.IntN(min(3, n-2))] {
			g.Members = append(g.Members, Sighting{Account: account, Shop: d.shops[account], Strength: []int{80, 80, 90}[r.IntN(3)], Turn: r.IntN(3)})
			if g.Identifier.Type == UnionID || g.Identifier.Type == TmallOMID {
				d.exclusive[account] = append(d.exclusive[account], g.Identifier)
			}
		}
		if !pairsAlone {
			d.groups = append(d.groups, g)
		}
	}
	for a := range n {
		if r.IntN(3) == 0 {
			d.exclusive[a] = append(d.exclusive[a], Identifier{UnionID, Hash{100 + byte(r.IntN(3))}})
		}
		for b := a + 1; b < n; b++ {
			if r.IntN(4) == 0 {
				d.pairs = append(d.pairs, Resemblance{A: a, B: b, Weight: float32(5 + r.IntN(3))})
			}
			if r.IntN(6) == 0 {
				d.said = append(d.said, [2]int{a, b})
				d.verdicts = append(d.verdicts, Verdict{Kind: []DecisionKind{Same, Different}[r.IntN(2)], ID: fmt.Sprint(len(d.said))})
			}
		}
	}
	return d
}

// named is the component with keys: account i of it is the numbers[i]th there.
func (d *drawn) named(r *rand.Rand) (c Component, numbers []int) {
	n := len(d.shops)
	shops, ids, hashes := r.Perm(6), r.Perm(n), r.Perm(256)
	accounts := make([]Account, n)
	for i, shop := range d.shops {
		accounts[i] = Account{[]string{"douyin", "tmall", "weidian"}[shops[shop]/2], fmt.Sprint(shops[shop] % 2), fmt.Sprintf("%02d", ids[i])}
	}
	c.Accounts = slices.SortedFunc(slices.Values(accounts), Account.Compare)
	for _, a := range accounts {
		numbers = append(numbers, slices.Index(c.Accounts, a))
	}
	rename := func(id Identifier) Identifier { return Identifier{id.Type, Hash{byte(hashes[id.Hash[0]])}} }
	c.Exclusive = make([][]Identifier, n)
	for i, ids := range d.exclusive {
		for _, id := range ids {
			c.Exclusive[numbers[i]] = append(c.Exclusive[numbers[i]], rename(id))
		}
	}
	for _, g := range d.groups {
		g.Identifier, g.Members = rename(g.Identifier), slices.Clone(g.Members)
		for m := range g.Members {
			g.Members[m].Account = numbers[g.Members[m].Account]
		}
		c.Groups = append(c.Groups, g)
	}
	slices.SortFunc(c.Groups, func(a, b Group) int { return a.Identifier.Compare(b.Identifier) })
	for i, v := range d.verdicts {
		v.Pair = PairOf(accounts[d.said[i][0]], accounts[d.said[i][1]])
		c.Verdicts = append(c.Verdicts, v)
	}
	slices.SortFunc(c.Verdicts, compareVerdicts)
	for _, pair := range d.pairs {
		a, b := numbers[pair.A], numbers[pair.B]
		c.Pairs = append(c.Pairs, Resemblance{A: min(a, b), B: max(a, b), Weight: pair.Weight})
	}
	slices.SortFunc(c.Pairs, func(a, b Resemblance) int { return cmp.Or(cmp.Compare(a.A, b.A), cmp.Compare(a.B, b.B)) })
	return c, numbers
}

// Whatever people bear, say and resemble: how shops and accounts are called and what an
// identifier's hash is decides nothing of who is whose, nor how much a person is asked.
// With a bound of a customer's accounts that holds for pairs of the model alone: which of
// equally strong identifiers goes inert is a matter of their keys (see lighten).
func TestKeysDecideNothing(t *testing.T) {
	t.Parallel()
	refused := map[ReviewReason]int{}
	for seed := range uint64(4000) {
		r := rand.New(rand.NewPCG(seed, 104))
		rules, err := ParseRules([]byte(tiedRules))
		if err != nil {
			t.Fatal(err)
		}
		rules.Model = &ModelRule{PerShop: r.IntN(3)}
		pairsAlone := r.IntN(4) == 0
		if pairsAlone {
			rules.LargestCustomer = 2 + r.IntN(4)
		}
		d := draw(r, pairsAlone)
		var want [][]int
		var links, reviews int
		for again := range 4 {
			c, numbers := d.named(r)
			p := rules.Partition(c)
			together := map[int][]int{}
			for i, n := range numbers {
				together[p.Customer[n]] = append(together[p.Customer[n]], i)
			}
			var got [][]int
			for _, members := range together {
				got = append(got, members)
			}
			slices.SortFunc(got, slices.Compare)
			if again == 0 {
				want, links, reviews = got, len(p.Links), len(p.Reviews)
				for _, v := range p.Reviews {
					refused[v.Reason]++
				}
				continue
			}
			if diff := gocmp.Diff(want, got); diff != "" {
				t.Fatalf("seed %d: by other keys (-want +got):\n%s", seed, diff)
			}
			if len(p.Links) != links || len(p.Reviews) != reviews {
				t.Fatalf("seed %d: by other keys there are %d links and %d reviews, want %d and %d", seed, len(p.Links), len(p.Reviews), links, reviews)
			}
		}
	}
	for _, reason := range []ReviewReason{ReviewDifferent, ReviewExclusive, ReviewLargest, ReviewPerShop} {
		if refused[reason] < 300 {
			t.Errorf("%d were refused by %s: the property tests little of it", refused[reason], reason)
		}
	}
}

// Equal resemblances join nobody to the one of two who cannot be one person, whoever has
// the lower key; nor do equal words.
func TestEqualsJoinNobodyByTheirKeys(t *testing.T) {
	t.Parallel()
	rules := &Rules{LargestCustomer: 9, Types: map[IdentifierType]*TypeRule{UnionID: {Exclusive: 1}}, Model: &ModelRule{PerShop: 1}}
	account := func(text string) Account {
		a, err := ParseAccount(text)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	const third = "tmall/f/third"
	type pair struct {
		a, b   string
		weight float32
	}
	for name, c := range map[string]struct {
		others    []string // m and d among them, who cannot be one
		unionids  bool     // by which these contradict each other; else a word says so
		sames     [][2]string
		pairs     []pair
		largest   int
		want      string
		different []ReviewReason
	}{
		"alike by a word":           {others: []string{"m", "d"}, pairs: []pair{{"m", third, 5}, {"d", third, 5}}, want: "d | m | " + third, different: []ReviewReason{ReviewDifferent, ReviewDifferent}},
		"alike by two unionids":     {others: []string{"m", "d"}, unionids: true, pairs: []pair{{"m", third, 5}, {"d", third, 5}}, want: "d | m | " + third, different: []ReviewReason{ReviewExclusive, ReviewExclusive}},
		"more alike to one":         {others: []string{"m", "d"}, unionids: true, pairs: []pair{{"m", third, 5}, {"d", third, 6}}, want: "d " + third + " | m", different: []ReviewReason{ReviewExclusive}},
		"alike over another":        {others: []string{"m", "d", "x"}, pairs: []pair{{"m", third, 5}, {"x", third, 5}, {"d", "x", 5}}, want: "d | m | " + third + " | x", different: []ReviewReason{ReviewDifferent, ReviewDifferent, ReviewDifferent}},
		"who hangs on stays":        {others: []string{"m", "d", "x"}, pairs: []pair{{"m", third, 5}, {"d", third, 5}, {"x", third, 5}}, want: "d | m | " + third + " x", different: []ReviewReason{ReviewDifferent, ReviewDifferent}},
		"more than a customer":      {others: []string{"m", "d"}, pairs: []pair{{"m", third, 5}, {"d", third, 5}}, largest: 2, want: "d | m | " + third, different: []ReviewReason{ReviewDifferent, ReviewDifferent}},
		"two sames":                 {others: []string{"m", "d"}, sames: [][2]string{{"m", third}, {"d", third}}, want: "d | m | " + third, different: []ReviewReason{ReviewDifferent, ReviewDifferent}},
		"three sames":               {others: []string{"m", "d", "x"}, sames: [][2]string{{"m", third}, {"x", third}, {"d", "x"}}, want: "d | m | " + third + " | x", different: []ReviewReason{ReviewDifferent, ReviewDifferent, ReviewDifferent}},
		"sames beside":              {others: []string{"m", "d", "x"}, sames: [][2]string{{"m", third}, {"d", "x"}}, want: "d x | m " + third},
		"a same that comes to pass": {others: []string{"m", "d"}, sames: [][2]string{{"m", third}, {"d", third}}, pairs: []pair{{"m", third, 5}}, want: "d | m " + third, different: []ReviewReason{ReviewDifferent}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, shops := range [][]string{{"weidian/1", "weidian/2", "weidian/3"}, {"weidian/2", "weidian/1", "douyin/1"}} {
				rules := *rules
				rules.LargestCustomer = cmp.Or(c.largest, rules.LargestCustomer)
				keys, names := map[string]Account{third: account(third)}, map[Account]string{account(third): third}
				for i, other := range c.others {
					keys[other] = account(shops[i] + "/x")
					names[keys[other]] = other
				}
				var in Component
				for _, a := range keys {
					in.Accounts = append(in.Accounts, a)
				}
				slices.SortFunc(in.Accounts, Account.Compare)
				number := func(name string) int { return slices.Index(in.Accounts, keys[name]) }
				in.Exclusive = make([][]Identifier, len(in.Accounts))
				if c.unionids {
					in.Exclusive[number("m")], in.Exclusive[number("d")] = []Identifier{{UnionID, Hash{1}}}, []Identifier{{UnionID, Hash{2}}}
				} else {
					in.Verdicts = append(in.Verdicts, Verdict{Pair: PairOf(keys["m"], keys["d"]), Kind: Different, ID: "different"})
				}
				for i, same := range c.sames {
					in.Verdicts = append(in.Verdicts, Verdict{Pair: PairOf(keys[same[0]], keys[same[1]]), Kind: Same, ID: fmt.Sprint("same", i)})
				}
				slices.SortFunc(in.Verdicts, compareVerdicts)
				for _, pair := range c.pairs {
					a, b := number(pair.a), number(pair.b)
					in.Pairs = append(in.Pairs, Resemblance{A: min(a, b), B: max(a, b), Weight: pair.weight})
				}
				p := rules.Partition(in)
				together := map[int][]string{}
				for i, first := range p.Customer {
					together[first] = append(together[first], names[in.Accounts[i]])
				}
				var customers []string
				for _, members := range together {
					slices.Sort(members)
					text := members[0]
					for _, m := range members[1:] {
						text += " " + m
					}
					customers = append(customers, text)
				}
				slices.Sort(customers)
				got := customers[0]
				for _, text := range customers[1:] {
					got += " | " + text
				}
				if got != c.want {
					t.Errorf("customers %s, want %s", got, c.want)
				}
				var reasons []ReviewReason
				for _, v := range p.Reviews {
					reasons = append(reasons, v.Reason)
				}
				if diff := gocmp.Diff(c.different, reasons); diff != "" {
					t.Errorf("reviews (-want +got):\n%s", diff)
				}
			}
		})
	}
}
