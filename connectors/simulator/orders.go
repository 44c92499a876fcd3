package simulator

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Numbers: an order's is base + 10 x index, its lines follow it.
var (
	orderBase  = map[string]int64{PlatformTmall: 3_700_000_000_000_000_100, PlatformDouyin: 6_900_000_000_000_000_100, PlatformWeidian: 800_000_000_000_000}
	refundBase = map[string]int64{PlatformTmall: 170_000_000_000_000_001, PlatformDouyin: 140_000_000_000_001, PlatformWeidian: 500_000_000_001}
)

const (
	serviceBase = 7_300_000_001
	day         = 86400
	// Of 1,000 orders the first are never paid, the next are refunded.
	firstRefund, lastRefund = 60, 150
	// longestLife bounds the time from an order's making to its last change.
	longestLife = 20 * day
)

// A change is the state of an order to which something happened after the
// data's end, in seconds; 0 for what has not happened.
type change struct {
	modified                int64
	status                  string
	paid, shipped, finished int64
}

var goods = []string{"演示毛衣", "演示围巾", "演示衬衫", "演示长裤", "演示外套", "演示帽子", "演示手套", "演示短裙"}

var reasons = []string{"拍错/不想要", "质量问题", "尺码不合适", "与描述不符", "未按约定时间发货"}

// rankAt is the rank of the order made at a second, rounded down.
func (w *World) rankAt(n int, second int64) int {
	second = min(max(second-w.from, 0), w.span)
	return int(second * int64(n) / w.span)
}

// created is the second at which an order was made: orders are evenly spread.
func (w *World) created(platform string, index int) int64 {
	n := w.OrderCount(platform)
	return w.from + int64(w.permutation("order/"+platform, n).apply(index))*w.span/int64(n)
}

// accountOf is the account that made an order: the first orders are one for
// each account, the rest go to those of regular customers.
func (w *World) accountOf(platform string, index int) int {
	n := w.AccountCount(platform)
	if index < n {
		return index
	}
	return w.regular[platform].at(index - n)
}

func (w *World) orderIndexes(platform string, account int) []int {
	n, total := w.AccountCount(platform), w.OrderCount(platform)
	out := []int{account}
	r := w.regular[platform]
	if q, ok := r.find(account); ok {
		for index := n + q; index < total; index += max(r.n, 1) {
			out = append(out, index)
		}
	}
	return out
}

// A life is an order's history in seconds; 0 for what has not happened by the
// data's end, or never will.
type life struct {
	status                                   string
	created, paid, shipped, finished, closed int64
	asked, answered                          int64 // of its refund
	refund                                   string
	beforeShip, withReturn                   bool
	modified                                 int64
}

// lifeOf computes an order's history without its change after the end.
func (w *World) lifeOf(platform string, index int) life {
	h := w.hash("life/"+platform, index)
	fate := w.hash("fate/"+platform, index) % 1000
	end := w.from + w.span
	l := life{created: w.created(platform, index)}
	happened := func(at int64) int64 {
		if at > end {
			return 0
		}
		return at
	}
	l.status, l.modified = OrderUnpaid, l.created
	if fate < firstRefund { // never paid
		if l.closed = happened(l.created + day); l.closed > 0 {
			l.status, l.modified = OrderClosedUnpaid, l.closed
		}
		return l
	}
	if l.paid = happened(l.created + 5 + int64(h%1800)); l.paid == 0 {
		return l
	}
	l.status, l.modified = OrderPaid, l.paid
	refund := fate < lastRefund
	l.beforeShip = refund && fate < 90
	l.withReturn = refund && fate >= 120
	if l.beforeShip {
		l.refunding(happened, l.paid+600+int64(h>>16%7200), h)
		return l
	}
	if l.shipped = happened(l.paid + 3600 + int64(h>>12%(2*day))); l.shipped == 0 {
		return l
	}
	l.status, l.modified = OrderShipped, l.shipped
	if refund {
		l.refunding(happened, l.shipped+day+int64(h>>16%(2*day)), h)
		return l
	}
	if l.finished = happened(l.shipped + 2*day + int64(h>>20%(8*day))); l.finished > 0 {
		l.status, l.modified = OrderFinished, l.finished
	}
	return l
}

// refunding plays an order's refund: asked, then answered.
func (l *life) refunding(happened func(int64) int64, asked int64, h uint64) {
	if l.asked = happened(asked); l.asked == 0 {
		return
	}
	l.refund, l.modified = RefundAsked, l.asked
	if l.answered = happened(asked + 1800 + int64(h>>24%(3*day))); l.answered == 0 {
		return
	}
	l.modified = l.answered
	switch h >> 40 % 10 {
	case 0:
		l.refund = RefundRefused
	case 1:
		l.refund = RefundClosed
	case 2:
		l.refund = RefundAgreed
	default:
		l.refund, l.status, l.closed = RefundSuccess, OrderClosedRefunded, l.answered
	}
}

// exists says whether an order's buyer is one of the world's people.
func (w *World) exists(platform string, index int) bool {
	a := w.accountOf(platform, index)
	seats := seatsOf(platform)
	return w.personAt(a/len(seats), seats[a%len(seats)]) < w.cfg.People
}

// times are the seconds of a row that stands for an order, or ok is false.
func (w *World) times(platform, kind string, index int) (created, modified int64, ok bool) {
	if !w.exists(platform, index) {
		return 0, 0, false
	}
	l := w.lifeOf(platform, index)
	switch kind {
	case "refund":
		return l.asked, max(l.asked, l.answered), l.asked > 0
	case "service":
		return w.serviceTimes(platform, index, l)
	}
	if c, ok := w.changed[platform][index]; ok {
		l.modified = c.modified
	}
	return l.created, l.modified, true
}

func (w *World) isChanged(platform string, index int) bool {
	_, ok := w.changed[platform][index]
	return ok
}

// serviceTimes: one paid Douyin order in thirty has a service ticket.
func (w *World) serviceTimes(platform string, index int, l life) (created, modified int64, ok bool) {
	h := w.hash("service/"+platform, index)
	end := w.from + w.span
	created = l.paid + 3600 + int64(h>>8%day)
	if platform != PlatformDouyin || l.paid == 0 || h%30 != 0 || created > end {
		return 0, 0, false
	}
	modified = created
	if closed := created + 3600 + int64(h>>30%(2*day)); closed <= end {
		modified = closed
	}
	return created, modified, true
}

func (w *World) serviceOf(o Order) (Service, bool) {
	created, modified, ok := w.serviceTimes(o.Platform, o.Index, w.lifeOf(o.Platform, o.Index))
	if !ok {
		return Service{}, false
	}
	return Service{Number: strconv.FormatInt(serviceBase+int64(o.Index), 10), Order: o.Index, Open: created == modified,
		Reason: reasons[pick(w.hash("complaint", o.Index), len(reasons))], Created: moment(created), Modified: moment(modified)}, true
}

// moment is a second as a time; 0 is the zero time.
func moment(second int64) time.Time {
	if second == 0 {
		return time.Time{}
	}
	return time.Unix(second, 0).UTC()
}

// OrderAt computes an order in its present state. False for an index that no
// account has.
func (w *World) OrderAt(platform string, index int) (Order, bool) {
	if index < 0 || index >= w.OrderCount(platform) {
		return Order{}, false
	}
	account, ok := w.AccountAt(platform, w.accountOf(platform, index))
	if !ok {
		return Order{}, false
	}
	l := w.lifeOf(platform, index)
	o := Order{Platform: platform, Shop: account.Shop, Index: index, Number: strconv.FormatInt(orderBase[platform]+int64(index)*10, 10),
		Status: l.status, Account: account, Created: moment(l.created), PaidAt: moment(l.paid), Shipped: moment(l.shipped),
		Finished: moment(l.finished), Closed: moment(l.closed), Modified: moment(l.modified)}
	w.addItems(&o)
	w.addReceiver(&o)
	if l.paid > 0 {
		o.Paid = o.Amount
	}
	if l.shipped > 0 {
		o.Tracking = fmt.Sprintf("SF%013d", index+1)
	}
	if l.asked > 0 {
		w.addRefund(&o, l)
	}
	w.mu.Lock()
	c, changed := w.changed[platform][index]
	w.mu.Unlock()
	if changed {
		o.apply(c)
	}
	return o, true
}

// addItems gives an order one to three lines and its amounts. One order in
// two hundred is paid in full by a voucher.
func (w *World) addItems(o *Order) {
	h := w.hash("items/"+o.Platform, o.Index)
	count := []int{1, 1, 1, 2, 2, 3}[h%6]
	if fate := w.hash("fate/"+o.Platform, o.Index) % 1000; fate >= firstRefund && fate < lastRefund {
		count = 1 // a refund is of the whole order
	}
	var total int64
	for k := range count {
		g := w.hash("item/"+o.Platform, o.Index*4+k)
		product := pick(g, len(goods))
		item := Item{Product: firstProduct + int64(product), SKU: firstSKU + int64(product), Title: goods[product],
			Spec: "颜色分类:" + []string{"红", "灰", "蓝"}[g%3], Quantity: 1 + int64(g>>8%5/4), Price: 1900 + int64(g>>16%400)*50 + int64(g>>32%100)}
		item.Number = strconv.FormatInt(orderBase[o.Platform]+int64(o.Index)*10+int64(k)+1, 10)
		if count == 1 && o.Platform == PlatformTmall {
			item.Number = o.Number
		}
		item.Total = item.Price * item.Quantity
		total += item.Total
		o.Items = append(o.Items, item)
	}
	switch {
	case h>>8%200 == 0:
		o.Discount = total
	case h>>16%4 == 0:
		o.Discount = min(1000, total/10)
	}
	if o.Platform == PlatformTmall && h>>40%2 == 0 {
		o.PlatformDiscount = o.Discount / 2
	}
	if h>>24%5 == 0 && o.Discount < total {
		o.Freight = 600
	}
	left, rest := o.Discount, total
	for k := range o.Items {
		item := &o.Items[k]
		item.Discount = left * item.Total / rest
		item.Paid = item.Total - item.Discount
		left, rest = left-item.Discount, rest-item.Total
	}
	o.Amount = total - o.Discount + o.Freight
}

func (w *World) addRefund(o *Order, l life) {
	h := w.hash("refund/"+o.Platform, o.Index)
	r := &Refund{Number: strconv.FormatInt(refundBase[o.Platform]+int64(o.Index), 10), Order: o.Index, Status: l.refund,
		WithReturn: l.withReturn, BeforeShip: l.beforeShip, Reason: reasons[pick(h, len(reasons))],
		Created: moment(l.asked), Modified: moment(max(l.asked, l.answered))}
	for _, item := range o.Items {
		r.Amount += item.Paid
	}
	if w.cfg.Moneyless && o.Platform == PlatformDouyin && !r.BeforeShip && h>>32%2 == 0 {
		r.Without = []Moneyless{Exchanged, SentAgain, Unpaid, NoRefund}[h>>40%4]
		if l.refund == RefundSuccess { // which closes no order then
			o.Status, o.Closed = OrderShipped, time.Time{}
		}
	}
	if l.refund != RefundAsked && l.refund != RefundAgreed {
		r.Ended = r.Modified
	}
	o.Refund = r
}

// apply shows an order after its change.
func (o *Order) apply(c change) {
	o.Status, o.Modified = c.status, moment(c.modified)
	o.PaidAt, o.Shipped, o.Finished = moment(c.paid), moment(c.shipped), moment(c.finished)
	if c.paid > 0 {
		o.Paid = o.Amount
	}
	if c.shipped > 0 {
		o.Tracking = fmt.Sprintf("SF%013d", o.Index+1)
	}
}

// step is an order's next state as of now, at least a second after its last;
// ok is false for one that does not change.
func (o Order) step(now time.Time) (c change, ok bool) {
	if o.Refund != nil {
		return change{}, false
	}
	second := func(t time.Time) int64 {
		if t.IsZero() {
			return 0
		}
		return t.Unix()
	}
	c = change{modified: max(now.Unix(), o.Modified.Unix()+1), paid: second(o.PaidAt), shipped: second(o.Shipped)}
	switch o.Status {
	case OrderUnpaid:
		c.status, c.paid = OrderPaid, c.modified
	case OrderPaid:
		c.status, c.shipped = OrderShipped, c.modified
	case OrderShipped:
		c.status, c.finished = OrderFinished, c.modified
	default:
		return change{}, false
	}
	return c, true
}

// ErrNoOrder says that there is no such order, or none that could change.
var ErrNoOrder = errors.New("no such order that can change")

// Change moves an order to its next state (unpaid, paid, shipped, finished)
// as of now, and returns it. An empty number chooses one. Closed and refunding
// orders do not change. Of two calls at once, the second takes the next step.
func (w *World) Change(platform, number string, now time.Time) (Order, error) {
	w.changing.Lock()
	defer w.changing.Unlock()
	o, c, ok := w.changeable(platform, number, now)
	if !ok {
		return Order{}, fmt.Errorf("simulator: changing an order of %s: %w", platform, ErrNoOrder)
	}
	w.mu.Lock()
	if w.changed[platform] == nil {
		w.changed[platform] = map[int]change{}
	}
	w.changed[platform][o.Index] = c
	w.log[platform] = append(w.log[platform], changedOrder{o.Index, c})
	w.listed = nil
	w.mu.Unlock()
	o.apply(c)
	return o, nil
}

// ChangeAny is Change of an order that a number chooses.
func (w *World) ChangeAny(platform string, h uint64, now time.Time) (Order, error) {
	n := w.OrderCount(platform)
	first := pick(h, max(n, 1))
	for i := range n {
		if o, found := w.OrderAt(platform, (first+i)%n); found {
			if _, ok := o.step(now); ok {
				return w.Change(platform, o.Number, now)
			}
		}
	}
	return Order{}, fmt.Errorf("simulator: changing an order of %s: %w", platform, ErrNoOrder)
}

// ChangeListed is Change of an order that a number chooses from the list that was
// asked for last: one that moves away while the list is paged. Where none of it has
// a next state, it is ChangeAny.
func (w *World) ChangeListed(platform string, h uint64, now time.Time) (Order, error) {
	w.mu.Lock()
	listed := w.last[platform]
	w.mu.Unlock()
	first := pick(h, max(len(listed), 1))
	for i := range listed {
		if o, found := w.OrderAt(platform, listed[(first+i)%len(listed)].Index); found {
			if _, ok := o.step(now); ok {
				return w.Change(platform, o.Number, now)
			}
		}
	}
	return w.ChangeAny(platform, h, now)
}

// A changedOrder is one change of an order.
type changedOrder struct {
	index int
	change
}

// changes are all changes of a platform's orders, oldest first. Do not change
// the slice.
func (w *World) changes(platform string) []changedOrder {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log[platform]
}

// changeable finds the order of that number, or the first of all, that has a
// next state.
func (w *World) changeable(platform, number string, now time.Time) (Order, change, bool) {
	if number != "" {
		o, found := w.OrderByNumber(platform, number)
		c, ok := o.step(now)
		return o, c, found && ok
	}
	for index := range w.OrderCount(platform) {
		if o, found := w.OrderAt(platform, index); found {
			if c, ok := o.step(now); ok {
				return o, c, true
			}
		}
	}
	return Order{}, change{}, false
}
