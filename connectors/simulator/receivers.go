package simulator

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Where an order goes is seldom said twice in one way. Of the people one in
// twelve fetches parcels at a point where many do, one home in fourteen moves
// while the data last, one person in forty is given a number that another one
// here gave up. On one platform or the other one in sixteen gives another
// number, one in sixteen is called otherwise than by name, and one in eight
// writes the address in another way.
const (
	pickUpShare  = 12
	movedShare   = 14
	givenUpShare = 40
	secondShare  = 16
	calledShare  = 16
	writtenShare = 8
)

// addReceiver: mostly the buyer, sometimes another person (a gift) or a
// warehouse that forwards.
func (w *World) addReceiver(o *Order) {
	h := w.hash("receiver/"+o.Platform, o.Index)
	to := o.Account.Person
	switch {
	case h%100 < 2:
		o.Warehouse = true
		o.Receiver = Receiver{"演示集运仓", "13800001111", Address{"广东省", "东莞市", "虎门镇", "", "演示物流园8号库"}}
		return
	case h%100 < 10:
		o.Gift = true
		if to = pick(w.hash("gift/"+o.Platform, o.Index), w.cfg.People); to == o.Account.Person {
			to = (to + 1) % w.cfg.People
		}
	}
	o.Receiver = w.receiverOf(to, o.Platform, o.Created)
}

// receiverOf is a person as a receiver on a platform at a time.
func (w *World) receiverOf(person int, platform string, at time.Time) Receiver {
	p := w.Person(person)
	r := Receiver{p.Name, w.numberAt(person, at), p.Address}
	home := w.home(person)
	if w.hash("moved", home)%movedShare == 0 && at.Before(w.middle("moved at", home)) {
		r.Address = w.address("before", home)
	}
	if w.hash("pick-up", person)%pickUpShare == 0 {
		r.Address.Detail = fmt.Sprintf("演示驿站%d号柜", 1+pick(w.hash("point", person), 3))
	}
	if w.hash("second/"+platform, person)%secondShare == 0 {
		r.Phone = w.phone(person, slices.Index(Platforms, platform))
	}
	switch w.hash("called/"+platform, person) % (2 * calledShare) {
	case 0:
		r.Name = firstRune(p.Name) + "女士"
	case 1:
		r.Name = "小" + p.Name[len(p.Name)-len("王"):]
	}
	if h := w.hash("written/"+platform, person); h%writtenShare == 0 {
		r.Address.Detail = []func(string) string{
			strings.NewReplacer("幢", "栋", "室", "").Replace,
			strings.NewReplacer("幢", "-", "室", "").Replace,
			func(detail string) string { return "演示花园" + detail },
		}[h>>8%3](r.Address.Detail)
	}
	return r
}

// numberAt is a person's number for parcels: one of their own, or, from a
// time on, one that another person gave up at that time.
func (w *World) numberAt(person int, at time.Time) string {
	n := w.cfg.People
	givesUp := func(taker int) bool { return n > 1 && w.hash("given up", taker)%givenUpShare == 0 }
	switch taker := (person + n - 1) % n; {
	case givesUp(person) && !at.Before(w.middle("given up at", person)):
		return w.phone((person+1)%n, 3)
	case givesUp(taker) && !at.Before(w.middle("given up at", taker)):
		return w.phone(person, 1)
	}
	return w.phone(person, 3)
}

// middle is a moment in the middle half of the data.
func (w *World) middle(topic string, index int) time.Time {
	return time.Unix(w.from+w.span/4+int64(pick(w.hash(topic, index), 1<<20))*(w.span/2)>>20, 0)
}

func firstRune(text string) string {
	for i := range text {
		if i > 0 {
			return text[:i]
		}
	}
	return text
}

// Shown is an order's receiver as its platform shows it: masked on Tmall and
// Douyin, in clear on Weidian, which has no field for the town.
func (o *Order) Shown() Receiver {
	r := o.Receiver
	switch o.Platform {
	case PlatformTmall:
		r.Name, r.Phone, r.Address.Detail = tmallMask(r.Name), tmallMaskPhone(r.Phone), tmallMaskAddress(r.Address.Detail)
	case PlatformDouyin:
		r.Name, r.Phone, r.Address.Detail = maskDouyinName(r.Name), maskDouyinPhone(r.Phone), maskDouyinAddress(r.Address.Detail)
	case PlatformWeidian:
		r.Address.Town, r.Address.Detail = "", r.Address.Town+r.Address.Detail
	}
	return r
}

// regularBlocks is after how many blocks of people the pattern of regular
// customers repeats itself.
const regularBlocks = 16

// isRegular says whether a person orders again and again, wherever they have an
// account: 3 of 16 who buy on several platforms, 1 of 16 of the others.
func (w *World) isRegular(block, seat int) bool {
	shift := pick(w.hash("regular", 0), 16)
	block %= regularBlocks
	if seat >= firstMulti {
		return ((block*(blockPeople-firstMulti)+seat-firstMulti)*3+shift)%16 < 3
	}
	return ((block*firstMulti+seat)*5+shift)%16 == 0
}

// regulars are a platform's accounts of regular customers, in the order of
// their indexes: the pattern of the first blocks, repeated.
type regulars struct {
	pattern []int // indexes within the period
	period  int   // accounts
	n       int   // of all that there are
}

func (w *World) regulars(platform string) regulars {
	seats := seatsOf(platform)
	r := regulars{period: regularBlocks * len(seats)}
	for i := range r.period {
		if w.isRegular(i/len(seats), seats[i%len(seats)]) {
			r.pattern = append(r.pattern, i)
		}
	}
	accounts := w.AccountCount(platform)
	last, _ := slices.BinarySearch(r.pattern, accounts%r.period)
	r.n = accounts/r.period*len(r.pattern) + last
	return r
}

// at is the index of the q-th regular account; of a world too small to have
// one, the first account is.
func (r regulars) at(q int) int {
	if r.n == 0 {
		return 0
	}
	q %= r.n
	return q/len(r.pattern)*r.period + r.pattern[q%len(r.pattern)]
}

// find says which regular account an account is.
func (r regulars) find(account int) (q int, ok bool) {
	if r.n == 0 {
		return 0, account == 0
	}
	at, ok := slices.BinarySearch(r.pattern, account%r.period)
	return account/r.period*len(r.pattern) + at, ok
}
