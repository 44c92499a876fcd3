package identity

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// An account is a bridge if at some moment it bears more values than it may: those
// moments are counted one by one.
func TestTooManyCountsEachMoment(t *testing.T) {
	t.Parallel()
	bridges := 0
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 1))
		gap, bound := int64(r.IntN(4)), 1+r.IntN(4)
		rules, err := ParseRules(fmt.Appendf(nil, "largest_customer: 9\ntypes:\n  phone: {join: {member: 90}, values: %d, gap_days: %d}\n", bound, gap))
		if err != nil {
			t.Fatal(err)
		}
		var times [][2]int64
		for range r.IntN(9) {
			first := r.Int64N(20)
			times = append(times, [2]int64{first * day, (first + r.Int64N(5)) * day})
		}
		want := false
		for at := range int64(30) {
			borne := 0
			for _, of := range times {
				if gap == 0 || of[0] <= at*day && at*day <= of[1]+gap*day {
					borne++
				}
			}
			want = want || borne > bound
		}
		if got := rules.TooMany(Phone, times); got != want {
			t.Fatalf("seed %d: %v with %d days between, %d allowed: %t, want %t", seed, times, gap, bound, got, want)
		}
		if want {
			bridges++
			// More values, and wider times, change nothing about it.
			for i := range times {
				times[i][0] -= r.Int64N(3) * day
				times[i][1] += r.Int64N(3) * day
			}
			if !rules.TooMany(Phone, append(times, [2]int64{})) {
				t.Fatalf("seed %d: with more and wider %v it is no bridge any more", seed, times)
			}
		}
	}
	if bridges < 100 || bridges > 1900 {
		t.Errorf("%d of 2000 are bridges: the test shows less than it says", bridges)
	}
	if DefaultRules().TooMany("unruled", make([][2]int64, 99)) {
		t.Error("a type without a rule has a bound")
	}
}

// orders are those of an account with n phones, from the first on, one every so many
// days.
func orders(account string, from, n int, every int64) (evidence []Evidence) {
	for i := range n {
		evidence = append(evidence, in(RoleBuyer, member(account, Phone, byte(from+i), int64(i)*every*day)))
	}
	return evidence
}

// strangers each have one of n phones, from the first on, in a shop of its own, since
// the order of it.
func strangers(from, n int, every int64) (evidence []Evidence) {
	for i := range n {
		evidence = append(evidence, member(fmt.Sprintf("tmall/s%02d/%d", from+i, from+i), Phone, byte(from+i), int64(i)*every*day))
	}
	return evidence
}

// By the rules that ship.
func TestWhoOrdersForOthersIsNoneOfThem(t *testing.T) {
	t.Parallel()
	hub, err := ParseAccount("weidian/w/hub")
	if err != nil {
		t.Fatal(err)
	}
	fifth, err := ParseAccount("tmall/s05/5")
	if err != nil {
		t.Fatal(err)
	}
	same := Decision{ID: "1", Kind: Same, A: hub, B: fifth}
	apart := func(n int) string {
		list := make([]string, n)
		for i := range list {
			list[i] = fmt.Sprintf("tmall/s%02d/%d", i+1, i+1)
		}
		return strings.Join(list, " | ")
	}
	for name, c := range map[string]struct {
		evidence  []Evidence
		decisions []Decision
		want      string
	}{
		"a reseller of 20 shops": {append(orders("weidian/w/hub", 1, 20, 3), strangers(1, 20, 3)...), nil,
			apart(20) + " | weidian/w/hub"},
		"what else he bears joins him": {append(append(orders("weidian/w/hub", 1, 20, 3), strangers(1, 20, 3)...), member("weidian/w/hub", UnionID, 1, 0), member("weidian/x/hub", UnionID, 1, 0)), nil,
			apart(20) + " | weidian/w/hub weidian/x/hub"},
		"his customers are joined by their phones": {append(append(orders("weidian/w/hub", 1, 5, 3), strangers(1, 5, 3)...), member("douyin/d/1", Phone, 1, 0)), nil,
			"douyin/d/1 tmall/s01/1 | tmall/s02/2 | tmall/s03/3 | tmall/s04/4 | tmall/s05/5 | weidian/w/hub"},
		"in his own shop, too": {append(orders("tmall/s01/hub", 1, 5, 3), member("tmall/s01/1", Phone, 1, 0), member("douyin/d/1", Phone, 1, 0)), nil,
			"douyin/d/1 tmall/s01/1 | tmall/s01/hub"},
		"a person says that he is the fifth": {append(orders("weidian/w/hub", 1, 5, 3), strangers(1, 5, 3)...), []Decision{same},
			"tmall/s01/1 | tmall/s02/2 | tmall/s03/3 | tmall/s04/4 | tmall/s05/5 weidian/w/hub"},
		"a family's member with three phones": {append(orders("weidian/w/hub", 1, 3, 3), strangers(1, 3, 3)...), nil,
			"tmall/s01/1 tmall/s02/2 tmall/s03/3 weidian/w/hub"},
		"as many as may be": {append(orders("weidian/w/hub", 1, 4, 3), strangers(1, 4, 3)...), nil,
			"tmall/s01/1 tmall/s02/2 tmall/s03/3 tmall/s04/4 weidian/w/hub"},
		"one more": {append(orders("weidian/w/hub", 1, 5, 3), strangers(1, 5, 3)...), nil,
			apart(5) + " | weidian/w/hub"},
		"six phones in ten years": {append(orders("weidian/w/hub", 1, 6, 20*30), strangers(1, 6, 20*30)...), nil,
			"tmall/s01/1 tmall/s02/2 tmall/s03/3 tmall/s04/4 tmall/s05/5 tmall/s06/6 weidian/w/hub"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if d := cmp.Diff(c.want, customers(c.evidence, c.decisions...)); d != "" {
				t.Errorf("customers (-want +got):\n%s", d)
			}
		})
	}
}

// Without what made a bridge of it, an account is joined again: nothing remembers.
func TestWhoIsNoBridgeAnyMore(t *testing.T) {
	t.Parallel()
	evidence := append(orders("weidian/w/hub", 1, 5, 3), strangers(1, 5, 3)...)
	without := slices.DeleteFunc(slices.Clone(evidence), func(e Evidence) bool { return e.Identifier.Hash == Hash{3} && e.Account.ID == "hub" })
	if got, want := customers(without), "tmall/s01/1 tmall/s02/2 tmall/s04/4 tmall/s05/5 weidian/w/hub | tmall/s03/3"; got != want {
		t.Errorf("customers %s, want %s", got, want)
	}
}

// For each value that a bridge shares there is a review, which names the bridge.
func TestBridgesAreReviewed(t *testing.T) {
	t.Parallel()
	got := Resolve(append(orders("weidian/w/hub", 1, 9, 3), strangers(3, 2, 3)...), nil, DefaultRules()).Reviews
	if len(got) != 2 {
		t.Fatalf("%d reviews, want one for each phone that others bear", len(got))
	}
	for i, v := range got {
		if v.Reason != ReviewValues || v.Identifier != (Identifier{Phone, Hash{byte(3 + i)}}) || len(v.Accounts) != 1 || v.Accounts[0].ID != "hub" {
			t.Errorf("review %+v, want one of the bridge", v)
		}
	}
}
