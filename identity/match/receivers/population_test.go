package receivers_test

import (
	"strings"
	"testing"
	"time"

	"oneid/connectors/simulator"
	"oneid/identity"
	"oneid/identity/normalize"
)

// until is the end of the data of all worlds here.
var until = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// sighting is what an account's orders show of one receiver.
type sighting struct {
	account int
	shown   identity.Appearance
	// first and last order, Unix seconds.
	first, last int64
	gift        bool
	warehouse   bool
	to          simulator.Receiver // in clear
}

// population is what the orders of a world show, and who is who in truth.
type population struct {
	world     *simulator.World
	accounts  []simulator.Account
	number    map[string]int // of an account by its name
	sightings []sighting
	of        map[int][]*sighting // by account, once somebody asks
}

func newPopulation(t testing.TB, people int, seed uint64) *population {
	w, err := simulator.New(simulator.Config{People: people, Seed: seed, Until: until})
	if err != nil {
		t.Fatal(err)
	}
	p := &population{world: w, number: map[string]int{}}
	for _, platform := range simulator.Platforms {
		for a := range w.Accounts(platform) {
			n := len(p.accounts)
			p.accounts, p.number[a.Name()] = append(p.accounts, a), n
			from := len(p.sightings)
		orders:
			for _, o := range w.OrdersOf(a) {
				shown, at := seen(o.Shown()), o.Created.Unix()
				for i := from; i < len(p.sightings); i++ {
					if s := &p.sightings[i]; s.shown == shown {
						s.first, s.last = min(s.first, at), max(s.last, at)
						continue orders
					}
				}
				p.sightings = append(p.sightings, sighting{n, shown, at, at, o.Gift, o.Warehouse, o.Receiver})
			}
		}
	}
	return p
}

// seen masks what a platform shows in clear, as the flow does before it keeps
// anything: the surname, the last four digits, every second character behind the
// town.
func seen(r simulator.Receiver) identity.Appearance {
	a := identity.Appearance{Name: r.Name, Phone: r.Phone, Province: r.Address.Province, City: r.Address.City, District: r.Address.District, Town: r.Address.Town, Detail: r.Address.Detail}
	if !strings.Contains(a.Name, "*") && a.Name != "" {
		a.Name = string([]rune(a.Name)[:1]) + "**"
	}
	if !strings.Contains(a.Phone, "*") && len(a.Phone) == 11 {
		a.Phone = "*******" + a.Phone[7:]
	}
	if a.Town == "" {
		a.Town, a.Detail = normalize.Town(a.Detail)
	}
	if !strings.Contains(a.Detail, "*") {
		runes := []rune(a.Detail)
		for i := 1; i < len(runes); i += 2 {
			runes[i] = '*'
		}
		a.Detail = string(runes)
	}
	return a
}
