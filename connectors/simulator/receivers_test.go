package simulator

import (
	"testing"
)

// An account's orders are those that name it, and regular customers are so on
// all their platforms.
func TestOrdersOfAnAccountAreThoseThatNameIt(t *testing.T) {
	t.Parallel()
	for _, people := range []int{1, 7, 100, 2013} {
		w := testWorld(t, people, 5)
		orders, both, alone := map[int]int{}, 0, 0
		for _, platform := range Platforms {
			named := map[int][]int{}
			for index := range w.OrderCount(platform) {
				account := w.accountOf(platform, index)
				named[account] = append(named[account], index)
			}
			for account := range w.AccountCount(platform) {
				if got := w.orderIndexes(platform, account); len(got) != len(named[account]) || got[len(got)-1] != named[account][len(got)-1] {
					t.Fatalf("%d people, %s: account %d has the orders %v, and %v name it", people, platform, account, got, named[account])
				}
			}
			for a := range w.Accounts(platform) {
				if len(named[a.Index]) > 1 {
					orders[a.Person]++
				}
			}
		}
		for person, regular := range orders {
			if n := len(w.AccountsOf(person)); n > 1 && n == regular {
				both++
			} else if n > 1 {
				alone++
			}
		}
		if people > 1000 && both < 3*alone {
			t.Errorf("%d people: %d of several platforms are regular on all, %d on some", people, both, alone)
		}
	}
}

// Receivers are not written in one way only: each case that masked ones are
// hard for occurs, and none is the rule.
func TestReceiversVary(t *testing.T) {
	t.Parallel()
	w := testWorld(t, 2000, 3)
	names, phones, details, moved, points := 0, 0, 0, 0, map[Address]map[int]bool{}
	numbers := map[string]map[int]bool{}
	all := 0
	for person := range 2000 {
		p := w.Person(person)
		home := p.Address.Detail
		for _, platform := range Platforms {
			all++
			r := w.receiverOf(person, platform, w.cfg.Until)
			before := w.receiverOf(person, platform, w.cfg.From)
			if r.Name != p.Name {
				names++
			}
			if r.Phone != w.phone(person, 3) {
				phones++
			}
			if r.Address.Detail != home {
				details++
			}
			if r.Address != before.Address {
				moved++
			}
			if points[r.Address] == nil {
				points[r.Address] = map[int]bool{}
			}
			points[r.Address][w.home(person)] = true
			for _, one := range []Receiver{r, before} {
				if numbers[one.Phone] == nil {
					numbers[one.Phone] = map[int]bool{}
				}
				numbers[one.Phone][person] = true
			}
		}
	}
	shared, handed := 0, 0
	for _, homes := range points {
		if len(homes) > 3 {
			shared++
		}
	}
	for _, people := range numbers {
		if len(people) > 1 {
			handed++
		}
	}
	for what, n := range map[string]int{"called otherwise": names, "with another number": phones, "written otherwise": details, "moved": moved} {
		if n < all/40 || n > all/4 {
			t.Errorf("%d of %d receivers are %s", n, all, what)
		}
	}
	if shared < 10 || handed < 20 {
		t.Errorf("%d points where many receive, %d numbers that changed hands", shared, handed)
	}
}
