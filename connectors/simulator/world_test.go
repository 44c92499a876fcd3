package simulator

import (
	"errors"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var testUntil = time.Date(2026, 5, 20, 4, 0, 0, 0, time.UTC)

func testWorld(t testing.TB, people int, seed uint64) *World {
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

// A number or unionid that joins two accounts of a person is borne by no
// account of anybody else, on any platform; and each bridged person has all
// the pairs of their accounts.
func TestBridgesHaveOneBearer(t *testing.T) {
	for _, people := range []int{60, 1013, 4000} {
		w := testWorld(t, people, uint64(people))
		bearers := map[string]map[int]bool{}
		bear := func(value string, person int) {
			if value == "" {
				return
			}
			if bearers[value] == nil {
				bearers[value] = map[int]bool{}
			}
			bearers[value][person] = true
		}
		named := map[string]Account{}
		for _, platform := range Platforms {
			for a := range w.Accounts(platform) {
				named[a.Name()] = a
				bear("phone "+a.Phone, a.Person)
				bear("unionid "+a.UnionID, a.Person)
			}
		}
		pairs := map[int]int{}
		for b := range w.Bridges() {
			x, y := named[b.A], named[b.B]
			shared := "phone " + x.Phone
			same := x.Phone == y.Phone && x.Phone != ""
			if b.Type == "unionid" {
				shared, same = "unionid "+x.UnionID, x.UnionID == y.UnionID && x.UnionID != ""
			}
			if x.Person != y.Person || !same || len(bearers[shared]) != 1 {
				t.Fatalf("%d people: %s bridge of %d and %d, same %v, %d bearers", people, b.Type, x.Person, y.Person, same, len(bearers[shared]))
			}
			if b.Type == "phone" {
				pairs[x.Person]++
			}
		}
		for person := range people {
			n := len(w.AccountsOf(person))
			if want := n * (n - 1) / 2; w.Bridged(person) && pairs[person] != want || !w.Bridged(person) && pairs[person] != 0 {
				t.Errorf("person %d, bridged %v: %d pairs of %d accounts", person, w.Bridged(person), pairs[person], n)
			}
		}
	}
}

// One person in twenty has two Weidian accounts of one unionid with different
// numbers, and the brand's list names the unionid of both.
func TestTwoWeidianAccountsOfOneUnionID(t *testing.T) {
	w := testWorld(t, 1000, 3)
	var list strings.Builder
	if err := w.WriteMembers(&list, PlatformWeidian); err != nil {
		t.Fatal(err)
	}
	people := 0
	for person := range 1000 {
		accounts := w.AccountsOf(person)
		if len(accounts) != 2 || accounts[1].Platform != PlatformWeidian || accounts[0].Platform != PlatformWeidian {
			continue
		}
		people++
		a, b := accounts[0], accounts[1]
		if a.ID == b.ID || a.UnionID != b.UnionID || a.UnionID == "" || a.Phone == b.Phone || !a.Member || !b.Member {
			t.Errorf("person %d: accounts %d and %d", person, a.Index, b.Index)
		}
		for _, one := range accounts {
			if !strings.Contains(list.String(), "\n"+one.ID+","+one.Phone+","+one.UnionID+",") {
				t.Errorf("account %d is not in the list with its unionid", one.Index)
			}
		}
	}
	if people != 50 {
		t.Errorf("%d of 1000 people have two Weidian accounts, want 50", people)
	}
}

// Calls at once on one order share its steps out among them: none is taken
// twice, none is lost, and the times of the steps stay.
func TestChangesAtOnce(t *testing.T) {
	w := testWorld(t, 8000, 3)
	road := []string{OrderUnpaid, OrderPaid, OrderShipped, OrderFinished}
	tried := map[string]int{}
	for index := range w.OrderCount(PlatformTmall) {
		o, ok := w.OrderAt(PlatformTmall, index)
		at := slices.Index(road, o.Status)
		if !ok || o.Refund != nil || at < 0 || o.Status == OrderFinished {
			continue
		}
		tried[o.Status]++
		var group sync.WaitGroup
		var here atomic.Int32
		got := make(chan string, 4)
		for range cap(got) {
			group.Go(func() {
				for here.Add(1); here.Load() < int32(cap(got)); { // a lock would let them go one by one
					runtime.Gosched()
				}
				if o, err := w.Change(PlatformTmall, o.Number, testUntil.Add(time.Minute)); err == nil {
					got <- o.Status
				} else if !errors.Is(err, ErrNoOrder) {
					t.Error(err)
				}
			})
		}
		group.Wait()
		close(got)
		steps := map[string]int{}
		for status := range got {
			steps[status]++
		}
		want := map[string]int{}
		for _, status := range road[at+1:] {
			want[status] = 1
		}
		if !maps.Equal(steps, want) {
			t.Fatalf("four calls on an order that was %s took the steps %v, want %v", o.Status, steps, want)
		}
		o, _ = w.OrderAt(PlatformTmall, index)
		if !o.PaidAt.Before(o.Shipped) || !o.Shipped.Before(o.Finished) || !o.Finished.Equal(o.Modified) || o.Paid != o.Amount || o.Tracking == "" {
			t.Errorf("the order's steps: paid %s, shipped %s, finished %s, modified %s", o.PaidAt, o.Shipped, o.Finished, o.Modified)
		}
	}
	if tried[OrderUnpaid] == 0 || tried[OrderPaid] == 0 || tried[OrderShipped] < 20 {
		t.Errorf("tried %v", tried)
	}
	seen := make(chan string, 20)
	var group sync.WaitGroup
	for range cap(seen) {
		group.Go(func() {
			o, err := w.Change(PlatformDouyin, "", testUntil.Add(time.Minute))
			if err != nil {
				t.Error(err)
			}
			seen <- o.Number + " " + o.Status
		})
	}
	group.Wait()
	close(seen)
	taken := map[string]bool{}
	for step := range seen {
		if taken[step] {
			t.Errorf("step %s was taken twice", step)
		}
		taken[step] = true
	}
}

// A world ten times as large holds no more when all its windows were read:
// the heap after is what a few windows take, not the orders.
func TestHeapDoesNotGrowWithTheOrders(t *testing.T) {
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	held := func(people int) int64 {
		before := heap()
		w := testWorld(t, people, 11)
		w.Counts()
		for _, platform := range Platforms {
			for at := w.cfg.From; at.Before(testUntil); at = at.Add(24 * time.Hour) {
				w.OrderKeys(platform, ByModified, at, at.Add(10*24*time.Hour))
			}
		}
		after := heap()
		runtime.KeepAlive(w)
		return after - before
	}
	small, large := held(3000), held(30000)
	// Six windows of some 16 bytes a row are kept.
	if large > small+1<<20 {
		t.Errorf("3000 people hold %d bytes, 30000 hold %d", small, large)
	}
}
