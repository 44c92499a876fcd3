package simulator

import (
	"testing"
	"time"
)

var testUntil = time.Date(2026, 5, 20, 4, 0, 0, 0, time.UTC)

func testWorld(t *testing.T, people int, seed uint64) *World {
	t.Helper()
	w, err := New(Config{People: people, Seed: seed, Until: testUntil})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestPermutationInverts(t *testing.T) {
	w := testWorld(t, 1, 1)
	for _, n := range []int{1, 2, 3, 100, 1025} {
		p := w.permutation("test", n)
		seen := make([]bool, n)
		for x := range n {
			y := p.apply(x)
			if seen[y] || p.invert(y) != x {
				t.Fatalf("n %d: %d goes to %d, back to %d, seen %v", n, x, y, p.invert(y), seen[y])
			}
			seen[y] = true
		}
	}
}

// Whatever the cut, windows together hold each order once, and rows agree
// with their keys.
func TestWindowsHoldEveryOrder(t *testing.T) {
	for _, people := range []int{1, 7, 100, 1001} {
		for _, by := range []By{ByCreated, ByModified} {
			w := testWorld(t, people, uint64(people))
			for _, platform := range Platforms {
				seen := map[int]bool{}
				for at := w.cfg.From; !at.After(testUntil); at = at.Add(37 * time.Hour) {
					for _, key := range w.OrderKeys(platform, by, at, at.Add(37*time.Hour-time.Second)) {
						o, ok := w.OrderAt(platform, key.Index)
						when := o.Created
						if by == ByModified {
							when = o.Modified
						}
						if !ok || seen[key.Index] || when.Unix() != key.At || o.Modified.After(testUntil) {
							t.Fatalf("%s %d: seen %v, order %+v", platform, key.Index, seen[key.Index], o)
						}
						seen[key.Index] = true
						if back, ok := w.OrderByNumber(platform, o.Number); !ok || back.Index != o.Index {
							t.Fatalf("number %s leads to %d", o.Number, back.Index)
						}
					}
				}
				if want := w.Counts()[platform].Orders; len(seen) != want {
					t.Errorf("%d people, %s: windows hold %d orders, counted %d", people, platform, len(seen), want)
				}
			}
		}
	}
}

func TestAccounts(t *testing.T) {
	for _, people := range []int{100, 1013} {
		w := testWorld(t, people, 5)
		multi, bridged := 0, 0
		bearers := map[string]map[int]bool{}
		for person := range people {
			platforms := map[string]bool{}
			for _, a := range w.AccountsOf(person) {
				platforms[a.Platform] = true
				if back, ok := w.AccountByID(a.Platform, a.ID); !ok || back != a || a.Person != person {
					t.Fatalf("account %+v is read back as %+v", a, back)
				}
				if len(w.OrdersOf(a)) == 0 {
					t.Fatalf("%s has no order", a.Name())
				}
				if a.Phone != "" {
					if bearers[a.Phone] == nil {
						bearers[a.Phone] = map[int]bool{}
					}
					bearers[a.Phone][person] = true
				}
			}
			if len(platforms) == 0 {
				t.Fatalf("person %d has no account", person)
			}
			if len(platforms) > 1 {
				multi++
				if w.Bridged(person) {
					bridged++
				}
			}
		}
		if multi*4 < people {
			t.Errorf("%d of %d people have two platforms", multi, people)
		}
		if share := float64(bridged) / float64(multi); share < 0.25 || share > 0.35 {
			t.Errorf("%d of %d are bridged", bridged, multi)
		}
		bridges := 0
		for b := range w.Bridges() {
			bridges++
			if b.Type == "phone" {
				for a := range w.Accounts(PlatformDouyin) {
					if a.Name() == b.A && len(bearers[a.Phone]) != 1 {
						t.Errorf("bridge %+v: the phone has %d people", b, len(bearers[a.Phone]))
					}
				}
			}
		}
		shared := 0
		for _, people := range bearers {
			if len(people) > 1 {
				shared++
			}
		}
		if bridges == 0 || shared == 0 {
			t.Errorf("%d people: %d bridges, %d shared phones", people, bridges, shared)
		}
	}
}

func TestAmountsAddUp(t *testing.T) {
	w := testWorld(t, 500, 9)
	free := 0
	for index := range w.OrderCount(PlatformTmall) {
		o, ok := w.OrderAt(PlatformTmall, index)
		if !ok {
			continue
		}
		sum := o.Freight
		for _, item := range o.Items {
			sum += item.Paid
		}
		if sum != o.Amount || o.Amount < 0 || o.Paid != 0 && o.Paid != o.Amount || (o.Paid > 0 && o.PaidAt.IsZero()) {
			t.Fatalf("order %+v", o)
		}
		if o.Amount == 0 {
			free++
		}
	}
	if free == 0 {
		t.Error("no order of 0.00")
	}
}

func TestChangeIsSeenOnce(t *testing.T) {
	w := testWorld(t, 300, 3)
	before := w.OrderKeys(PlatformTmall, ByModified, w.cfg.From, testUntil)
	o, err := w.Change(PlatformTmall, "", testUntil.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	after := w.OrderKeys(PlatformTmall, ByModified, w.cfg.From, testUntil)
	live := w.OrderKeys(PlatformTmall, ByModified, testUntil.Add(time.Second), testUntil.Add(time.Hour))
	if len(after) != len(before)-1 || len(live) != 1 || live[0].Index != o.Index || live[0].At != o.Modified.Unix() {
		t.Errorf("before %d, after %d, live %v", len(before), len(after), live)
	}
}
