package identity

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAPhoneChangesHands(t *testing.T) {
	t.Parallel()
	a, b := member("tmall/s/a", Phone, 1, 0), member("tmall/t/b", Phone, 1, 120*day)
	c := member("weidian/s/c", Phone, 1, 130*day)
	first, second := member("tmall/s/a", UnionID, 2, 0), member("tmall/t/b", UnionID, 3, 0)
	again := member("tmall/u/a2", Phone, 1, 300*day)
	ofOneShop, another := member("tmall/s/b", Phone, 1, 120*day), member("tmall/s/b", UnionID, 3, 0)
	for name, c := range map[string]struct {
		evidence  []Evidence
		decisions []Decision
		want      string
	}{
		"to another person":                                 {[]Evidence{a, b, c, first, second}, nil, "tmall/s/a | tmall/t/b weidian/s/c"},
		"nobody contradicts":                                {[]Evidence{a, member("douyin/s/b", Phone, 1, 120*day), c}, nil, "douyin/s/b tmall/s/a weidian/s/c"},
		"one who tells nothing contradicts nobody":          {[]Evidence{a, member("douyin/s/b", Phone, 1, 120*day), c, first}, nil, "douyin/s/b tmall/s/a weidian/s/c"},
		"in a shop that knows two by it":                    {[]Evidence{a, ofOneShop, c}, nil, "tmall/s/a | tmall/s/b | weidian/s/c"},
		"a family of which each binds it once in a shop":    {[]Evidence{a, ofOneShop, c, first, another}, nil, "tmall/s/a | tmall/s/b | weidian/s/c"},
		"sooner than a number is given to another":          {[]Evidence{a, member("douyin/s/b", Phone, 1, 90*day), member("douyin/s/b", UnionID, 3, 0), first}, nil, "douyin/s/b | tmall/s/a"},
		"sooner, of who is seen with it then nothing tells": {[]Evidence{a, member("tmall/t/b", Phone, 1, 90*day), member("tmall/t/b", UnionID, 3, 0), first, c}, nil, "tmall/s/a | tmall/t/b | weidian/s/c"},
		"a second later": {[]Evidence{a, member("tmall/t/b", Phone, 1, 90*day+1), member("tmall/t/b", UnionID, 3, 0), first, c}, nil,
			"tmall/s/a | tmall/t/b weidian/s/c"},
		"who was seen with it after, too": {[]Evidence{a, member("tmall/s/a", Phone, 1, 140*day), b, c, first, second}, nil,
			"tmall/s/a | tmall/t/b | weidian/s/c"},
		"who has it again on another account never gave it up": {[]Evidence{a, b, again, member("tmall/u/a2", UnionID, 2, 0), first, second}, nil,
			"tmall/s/a tmall/u/a2 | tmall/t/b"},
		"of who is seen with it in between nothing tells": {[]Evidence{a, first, b, second, c, again, member("tmall/u/a2", UnionID, 2, 0)}, nil,
			"tmall/s/a tmall/u/a2 | tmall/t/b | weidian/s/c"},
		"between two who contradict each other nothing tells": {[]Evidence{a, member("weidian/s/e", Phone, 1, 150*day), again, member("tmall/u/a2", UnionID, 3, 0), first}, nil,
			"tmall/s/a | tmall/u/a2 | weidian/s/e"},
		"by a person's word": {[]Evidence{a, member("douyin/s/b", Phone, 1, 120*day), c}, []Decision{{ID: "1", Kind: Different, A: a.Account, B: Account{"douyin", "s", "b"}}},
			"douyin/s/b weidian/s/c | tmall/s/a"},
		"three times": {[]Evidence{a, first, b, second, member("douyin/s/d", Phone, 1, 240*day), member("douyin/s/d", UnionID, 4, 0), c, again}, nil,
			"douyin/s/d tmall/u/a2 | tmall/s/a | tmall/t/b weidian/s/c"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if d := cmp.Diff(c.want, customers(c.evidence, c.decisions...)); d != "" {
				t.Errorf("customers (-want +got):\n%s", d)
			}
		})
	}
}

// A value that more bear than a customer may have accounts is not looked at for a
// change of hands: each pair of them would be compared.
func TestManyAreNoChangeOfHands(t *testing.T) {
	t.Parallel()
	var evidence []Evidence
	for i, at := range []int64{0, 10, 130, 140, 150} {
		evidence = append(evidence, member(fmt.Sprintf("tmall/%d/a", i), Phone, 1, at*day))
	}
	evidence = append(evidence, member("tmall/0/a", UnionID, 2, 0), member("tmall/2/a", UnionID, 3, 0))
	for largest, want := range map[int]string{5: "[[tmall/0/a tmall/1/a] [tmall/2/a tmall/3/a tmall/4/a]]", 4: "[[tmall/0/a] [tmall/1/a] [tmall/2/a] [tmall/3/a] [tmall/4/a]]"} {
		rules := *DefaultRules()
		rules.LargestCustomer = largest
		if got := fmt.Sprint(Resolve(evidence, nil, &rules).Customers); got != want {
			t.Errorf("of at most %d accounts: %s, want %s", largest, got, want)
		}
	}
}

// A number that people have one after the other, each for a time and in shops of
// several platforms, is each one's in his time: nobody is joined with a stranger, everybody
// with himself, in whatever order it is told. And one person who is away for as
// long as that, and comes back elsewhere, is one customer.
func TestEachOwnerInHisTime(t *testing.T) {
	t.Parallel()
	owners := 0
	for seed := range uint64(300) {
		draw := rand.New(rand.NewPCG(seed, 21))
		rules := DefaultRules()
		var evidence []Evidence
		truth := map[Account]int{}
		changes := draw.IntN(2) == 0 // else it is one person's all the time
		now := int64(0)
		people := 2 + draw.IntN(4)
		for person := range people {
			for i := range 1 + draw.IntN(3) {
				a := Account{[]string{"tmall", "douyin", "weidian"}[i], fmt.Sprint(person), fmt.Sprint(person)}
				now += int64(draw.IntN(80)) * day
				seen := Evidence{Account: a, Identifier: Identifier{Phone, Hash{1}}, Role: Role(1 + draw.IntN(2)), Source: a.Platform, First: now, Last: now + int64(draw.IntN(30))*day}
				now = seen.Last
				evidence = append(evidence, seen)
				truth[a] = 0
				if changes {
					truth[a] = person
				}
				if i == 0 && changes {
					evidence = append(evidence, Evidence{Account: a, Identifier: Identifier{UnionID, Hash{byte(person)}}, Role: RoleMember, Source: a.Platform, First: now, Last: now})
				}
			}
			now += int64(91+draw.IntN(190)) * day
		}
		if len(truth) > rules.Types[Phone].Accounts {
			continue
		}
		owners += people
		want := map[int][]Account{}
		for a, person := range truth {
			want[person] = append(want[person], a)
		}
		for range 3 {
			draw.Shuffle(len(evidence), func(i, j int) { evidence[i], evidence[j] = evidence[j], evidence[i] })
			got := Resolve(evidence, nil, rules).Customers
			if len(got) != len(want) {
				t.Fatalf("seed %d: %d customers, want %d: %v of %v", seed, len(got), len(want), got, evidence)
			}
			for _, customer := range got {
				if slices.ContainsFunc(customer, func(a Account) bool { return truth[a] != truth[customer[0]] }) {
					t.Fatalf("seed %d: strangers are one customer: %v of %v", seed, customer, evidence)
				}
			}
		}
	}
	if owners < 300 {
		t.Errorf("%d owners: it is not tried", owners)
	}
}
