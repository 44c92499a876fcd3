package identity

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Who bears two phones, whose owners are two persons of one shop, is joined to neither
// of them, and a person is asked about both; which hash is the lower says nothing.
func TestTornBetweenTwoOfAShop(t *testing.T) {
	t.Parallel()
	buyer := func(account string, value byte) Evidence { return in(RoleBuyer, member(account, Phone, value, 0)) }
	for name, c := range map[string]struct {
		evidence []Evidence
		want     string
		reviews  int // for a shop's persons
	}{
		"a couple": {[]Evidence{buyer("weidian/1/w", 1), buyer("weidian/1/w", 2), member("tmall/f/w", Phone, 1, 0), member("tmall/f/h", Phone, 2, 0)},
			"tmall/f/h | tmall/f/w | weidian/1/w", 2},
		"a couple of two shops": {[]Evidence{buyer("weidian/1/w", 1), buyer("weidian/1/w", 2), member("tmall/f/w", Phone, 1, 0), member("tmall/g/h", Phone, 2, 0)},
			"tmall/f/w tmall/g/h weidian/1/w", 0},
		"her own is the stronger word": {[]Evidence{member("weidian/1/w", Phone, 1, 0), buyer("weidian/1/w", 2), member("tmall/f/w", Phone, 1, 0), member("tmall/f/h", Phone, 2, 0)},
			"tmall/f/h | tmall/f/w weidian/1/w", 1},
		"all have only bought": {[]Evidence{buyer("weidian/1/w", 1), buyer("weidian/1/w", 2), buyer("tmall/f/w", 1), buyer("tmall/f/h", 2)},
			"tmall/f/h | tmall/f/w | weidian/1/w", 4},
		"over one between": {[]Evidence{buyer("weidian/1/w", 1), buyer("weidian/1/w", 2), buyer("douyin/1/x", 2), buyer("douyin/1/x", 3), buyer("tmall/f/w", 1), buyer("tmall/f/h", 3)},
			"douyin/1/x | tmall/f/h | tmall/f/w | weidian/1/w", 6},
		"who hangs on stays": {[]Evidence{buyer("weidian/1/w", 1), buyer("weidian/1/w", 2), member("tmall/f/w", Phone, 1, 0), member("tmall/f/h", Phone, 2, 0), buyer("douyin/1/w", 1), buyer("weidian/1/w", 4), buyer("file/1/w", 4)},
			"douyin/1/w tmall/f/w | file/1/w weidian/1/w | tmall/f/h", 2},
		"two of a shop whom a unionid joins are one": {[]Evidence{buyer("weidian/1/w", 1), buyer("weidian/1/w", 2), member("tmall/f/w", Phone, 1, 0), member("tmall/f/h", Phone, 2, 0), member("tmall/f/w", UnionID, 9, 0), member("tmall/f/h", UnionID, 9, 0)},
			"tmall/f/h tmall/f/w weidian/1/w", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, change := range []byte{0, 0xff} { // the hashes the other way round
				evidence := slices.Clone(c.evidence)
				for i := range evidence {
					evidence[i].Identifier.Hash[0] ^= change
				}
				if d := cmp.Diff(c.want, customers(evidence)); d != "" {
					t.Errorf("hashes ^ %x: customers (-want +got):\n%s", change, d)
				}
				asked := 0
				for _, v := range Resolve(evidence, nil, DefaultRules()).Reviews {
					if v.Reason == ReviewPerShop && len(v.Accounts) == 2 && v.Accounts[0] != v.Accounts[1] {
						asked++
					}
				}
				if asked != c.reviews {
					t.Errorf("hashes ^ %x: %d questions, want %d", change, asked, c.reviews)
				}
			}
		})
	}
}

// A reseller who types the phone of another customer with each order is joined to none
// of them as soon as they are two of a shop, and never from one to another.
func TestResellerIsNobodys(t *testing.T) {
	t.Parallel()
	var evidence []Evidence
	for i := range 60 {
		evidence = append(evidence, in(RoleBuyer, member("weidian/1/reseller", Phone, byte(i*37), int64(i)*day)), member(fmt.Sprintf("tmall/f/c%02d", i), Phone, byte(i*37), int64(i)*day))
		if i == 0 {
			continue
		}
		if got := Resolve(evidence, nil, DefaultRules()).Customers; len(got) != len(evidence)/2+1 {
			t.Fatalf("after %d orders there are %d customers, want everybody alone", i+1, len(got))
		}
	}
}

// Whatever phones people type, which of two hashes is the lower decides nothing.
func TestHashesDecideNothing(t *testing.T) {
	t.Parallel()
	torn := 0
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 92))
		var evidence []Evidence
		for range 4 + r.IntN(14) {
			account := fmt.Sprintf("%s/%d/%d", []string{"tmall", "douyin", "weidian"}[r.IntN(3)], r.IntN(2), r.IntN(3))
			evidence = append(evidence, in([]Role{RoleMember, RoleBuyer}[r.IntN(2)], member(account, Phone, byte(r.IntN(6)), 0)))
		}
		want := customers(evidence)
		for range 4 {
			other := r.Perm(256)
			renamed := slices.Clone(evidence)
			for i := range renamed {
				renamed[i].Identifier.Hash[0] = byte(other[renamed[i].Identifier.Hash[0]])
			}
			if got := customers(renamed); got != want {
				t.Fatalf("seed %d: by other hashes the customers are\n%s\nand were\n%s", seed, got, want)
			}
		}
		for _, v := range Resolve(evidence, nil, DefaultRules()).Reviews {
			if v.Reason == ReviewPerShop && len(v.Accounts) == 2 && strings.HasPrefix(v.Accounts[0].Platform, "w") {
				torn++
			}
		}
	}
	if torn == 0 {
		t.Error("nobody was torn: the test shows nothing")
	}
}

// It is the accounts of a shop that are bound, not the persons: between two persons of
// three accounts she is torn where two are allowed, and not where three are.
func TestTornBetweenAccounts(t *testing.T) {
	t.Parallel()
	evidence := []Evidence{
		member("tmall/s/a", UnionID, 1, 0), member("tmall/s/b", UnionID, 1, 0), member("tmall/s/a", Phone, 2, 0), member("tmall/s/c", Phone, 3, 0),
		member("weidian/1/she", Phone, 2, 0), member("weidian/1/she", Phone, 3, 0),
	}
	for bound, want := range map[int]int{1: 3, 2: 3, 3: 1} {
		rules, err := ParseRules(fmt.Appendf(nil, "largest_customer: 9\ntypes:\n  unionid: {priority: 1, join: {member: 96}}\n  phone: {priority: 2, join: {member: 90}, per_shop: %d}\n", bound))
		if err != nil {
			t.Fatal(err)
		}
		for _, evidence := range [][]Evidence{evidence, flipped(evidence)} {
			if got := Resolve(evidence, nil, rules).Customers; len(got) != want {
				t.Errorf("of %d accounts of a shop: customers %v, want %d", bound, got, want)
			}
		}
	}
}

// Accounts of a shop that something stronger has joined all count against its bound.
func TestPerShopCountsAllAccounts(t *testing.T) {
	t.Parallel()
	rules, err := ParseRules([]byte("largest_customer: 9\ntypes:\n  unionid: {priority: 1, join: {member: 96}}\n  phone: {priority: 2, join: {member: 90}, per_shop: 2}\n"))
	if err != nil {
		t.Fatal(err)
	}
	a, b := member("tmall/s/a", UnionID, 1, 0), member("tmall/s/b", UnionID, 1, 0)
	phone := func(names ...string) (all []Evidence) {
		for _, name := range names {
			all = append(all, member("tmall/s/"+name, Phone, 2, 0))
		}
		return all
	}
	if got := Resolve(append(phone("a", "c"), a, b), nil, rules).Customers; len(got) != 2 {
		t.Errorf("customers %v, want the third apart: two are one already", got)
	}
	if got := Resolve(phone("a", "c"), nil, rules).Customers; len(got) != 1 {
		t.Errorf("customers %v, want one of two accounts", got)
	}
}
