package main

import (
	"testing"

	"oneid/connectors/simulator"
)

// relations are what may mislead about two people of a demo's world.
type relations struct {
	world *simulator.World
	homes []simulator.Address
	// own are the phones at which each person receives, and those that are bound to
	// their accounts; given those at which they had something sent to somebody else.
	own, given []map[string]bool
}

func relationsOf(t *testing.T, dir string) *relations {
	t.Helper()
	config, err := simulator.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	world, err := simulator.New(config)
	if err != nil {
		t.Fatal(err)
	}
	r := &relations{world, make([]simulator.Address, config.People), make([]map[string]bool, config.People), make([]map[string]bool, config.People)}
	for i := range config.People {
		r.homes[i] = world.Person(i).Address
		r.own[i], r.given[i] = map[string]bool{}, map[string]bool{}
	}
	for _, platform := range simulator.Platforms {
		for a := range world.Accounts(platform) {
			if a.Phone != "" {
				r.own[a.Person][a.Phone] = true
			}
			for _, o := range world.OrdersOf(a) {
				switch {
				case o.Warehouse:
				case o.Gift:
					r.given[a.Person][o.Receiver.Phone] = true
				default:
					r.own[a.Person][o.Receiver.Phone] = true
				}
			}
		}
	}
	return r
}

func overlap(a, b map[string]bool) bool {
	for phone := range a {
		if b[phone] {
			return true
		}
	}
	return false
}

// between says what may mislead about two people; "" if they are strangers.
func (r *relations) between(a, b int) string {
	switch {
	case r.homes[a] == r.homes[b]:
		return "a family"
	case overlap(r.own[a], r.own[b]):
		return "a phone that changed hands"
	case overlap(r.given[a], r.own[b]) || overlap(r.own[a], r.given[b]):
		return "a gift"
	}
	return ""
}

// wantGuarded wants no two people merged who are a family, of whom one gave the
// other something, or who bore one phone after another; and that there are such.
func wantGuarded(t *testing.T, dir string) {
	t.Helper()
	r := relationsOf(t, dir)
	there := map[string]int{}
	for a := range r.own {
		for b := range a {
			there[r.between(a, b)]++
		}
	}
	for _, kind := range []string{"a family", "a phone that changed hands", "a gift"} {
		if there[kind] < 10 {
			t.Errorf("of %s there are %d pairs of people: the population proves nothing", kind, there[kind])
		}
	}
	person := map[string]int{}
	for account, who := range r.world.Truth() {
		person[account] = who
	}
	people := map[string][]int{} // of each customer
	for _, row := range rows(t, dir, "SELECT account, customer_id FROM identity_map_current") {
		if who, ok := person[row[0]]; ok {
			people[row[1]] = append(people[row[1]], who)
		}
	}
	for customer, list := range people {
		for i, a := range list {
			for _, b := range list[:i] {
				if why := r.between(a, b); a != b && why != "" {
					t.Errorf("customer %s is the people %d and %d: %s", customer, a, b, why)
				}
			}
		}
	}
}
