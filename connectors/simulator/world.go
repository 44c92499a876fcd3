package simulator

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Platforms, as they are written in account names.
const (
	PlatformTmall   = "tmall"
	PlatformDouyin  = "douyin"
	PlatformWeidian = "weidian"
)

// Platforms lists the platforms in their fixed order.
var Platforms = []string{PlatformTmall, PlatformDouyin, PlatformWeidian}

// History is how long the data reach back when Config.From is not given:
// inside every platform's window of 90 days.
const History = 80 * 24 * time.Hour

// Config says which world to invent. All but From and Until follows from Seed
// and People alone.
type Config struct {
	// People is how many people there are, 1 to 10,000,000.
	People int `json:"people"`
	// Seed chooses the world.
	Seed uint64 `json:"seed"`
	// From is the first moment of the data; zero means Until - History.
	From time.Time `json:"from"`
	// Until is the last moment of the data; required.
	Until time.Time `json:"until"`
	// Moneyless makes half of Douyin's after-sales of goods that were sent give no money
	// back, whatever becomes of them; see Refund.Without.
	Moneyless bool `json:"moneyless,omitzero"`
	// Faults says how the faces misbehave; zero: not at all.
	Faults Faults `json:"faults,omitzero"`
}

// A Shop is one shop of the brand.
type Shop struct {
	Platform string
	ID       string // the platform's number of the shop
	Name     string
}

// Address is a place; all its parts are invented or large and public.
type Address struct {
	Province, City, District, Town, Detail string
}

// A Person is one of the true people.
type Person struct {
	Index   int
	Name    string
	Address Address // a family has one
}

// An Account is a buyer as one shop knows them.
type Account struct {
	Platform string
	Shop     string
	Index    int    // from 0, dense but for a hole or two at the end
	ID       string // Tmall ouid, Douyin doudian_open_id, Weidian buyer_id
	OpenUID  string // Tmall buyer_open_uid; else empty
	OMID     string // Tmall omid; else empty
	UnionID  string // Weidian: WeChat unionid; Douyin: the member union id; else empty
	Person   int
	Nick     string // plain; faces mask it
	Member   bool   // has joined the brand's membership here
	// Phone is the number bound here: of members, and of every Weidian
	// account (user_phone). It may be shared or recycled.
	Phone      string
	MemberCard string    // of members
	Joined     time.Time // binding time, of members
}

// Name is the account written platform/shop/id.
func (a Account) Name() string { return a.Platform + "/" + a.Shop + "/" + a.ID }

// Order statuses, in no platform's words.
const (
	OrderUnpaid         = "unpaid"
	OrderPaid           = "paid"
	OrderShipped        = "shipped"
	OrderFinished       = "finished"
	OrderClosedUnpaid   = "closed_unpaid"
	OrderClosedRefunded = "closed_refunded" // paid, then refunded in full
)

// An Item is a line of an order. Amounts are fen.
type Item struct {
	Number   string // the line's own number; for Tmall of one line the order's
	Product  int64
	SKU      int64
	Title    string
	Spec     string
	Quantity int64
	Price    int64 // of one piece
	Total    int64 // Price x Quantity
	Discount int64 // the line's share of the order's discount
	Paid     int64 // the line's share of what is paid for goods: Total - Discount
}

// A Receiver is where an order goes, in clear: faces mask or encrypt it.
type Receiver struct {
	Name, Phone string
	Address     Address
}

// An Order is an order in its present state. Amounts are fen; a time of a step
// that has not happened is zero.
type Order struct {
	Platform string
	Shop     string
	Index    int // from 0, below OrderCount
	Number   string
	Status   string
	Account  Account
	Created  time.Time
	PaidAt   time.Time // zero for unpaid ones, also of 0.00
	Shipped  time.Time
	Finished time.Time
	Closed   time.Time
	Modified time.Time // of the last change, its refund's included
	Items    []Item
	Freight  int64
	Discount int64 // of the whole order, spread over Items
	// PlatformDiscount is what of Discount the platform pays, by a coupon and points.
	PlatformDiscount int64
	Amount           int64 // what is to be paid, freight included
	Paid             int64 // what was paid: Amount, or 0 until paid
	Receiver         Receiver
	Gift             bool // Receiver is another person
	Warehouse        bool // Receiver is a forwarding warehouse
	// Refund is the order's after-sale, nil if it has none (yet).
	Refund *Refund
	// Tracking is the waybill's number once shipped.
	Tracking string
}

// Refund statuses, in no platform's words.
const (
	RefundAsked   = "asked"
	RefundAgreed  = "agreed" // the buyer is to return the goods
	RefundRefused = "refused"
	RefundClosed  = "closed" // withdrawn
	RefundSuccess = "success"
)

// A Refund is an order's after-sale in its present state.
type Refund struct {
	Number     string
	Order      int // the order's Index
	Item       int // the position in Items
	Status     string
	WithReturn bool // goods come back
	BeforeShip bool
	// Without says why no money goes back; empty where it does.
	Without  Moneyless
	Reason   string
	Amount   int64 // fen: what is asked for, or what the goods are worth
	Created  time.Time
	Modified time.Time
	Ended    time.Time // of refused, closed and success
}

// Moneyless is why an after-sale gives no money back.
type Moneyless string

// The ways of an after-sale that gives no money back.
const (
	Exchanged Moneyless = "exchanged" // other goods for these
	SentAgain Moneyless = "sent_again"
	Unpaid    Moneyless = "unpaid" // agreed upon, and the payment failed
	NoRefund  Moneyless = "no_refund"
)

// A Service is a service ticket about an order (Douyin).
type Service struct {
	Number   string
	Order    int // the order's Index
	Open     bool
	Reason   string
	Created  time.Time
	Modified time.Time
}

// By names the time that a window is about.
type By int

// The times of a window.
const (
	ByCreated By = iota
	ByModified
)

// A Key stands for a row in a list: Index is the order's, which is also that
// of its refund and its service ticket.
type Key struct {
	Index int
	At    int64 // Unix seconds of the time asked for
}

// A World is one invented population. It may be used concurrently.
type World struct {
	cfg        Config
	from, span int64 // seconds
	regular    map[string]regulars

	changing sync.Mutex // held through a Change, from reading the order to writing it down; taken before mu

	mu      sync.Mutex
	changed map[string]map[int]change // by platform, order index
	log     map[string][]changedOrder // by platform, as they happened
	listed  []listing                 // the last windows, the one asked for last at the end
	last    map[string][]Key          // by platform, the list of orders that was asked for last
}

// New makes a world; it computes nothing of it yet but who its regular customers are.
func New(cfg Config) (*World, error) {
	if cfg.People < 1 || cfg.People > 10_000_000 {
		return nil, fmt.Errorf("simulator: people is %d: give 1 to 10000000", cfg.People)
	}
	if cfg.Until.IsZero() {
		return nil, errors.New("simulator: until is missing: give the moment at which the data end")
	}
	if err := cfg.Faults.Validate(); err != nil {
		return nil, err
	}
	cfg.Until = cfg.Until.UTC().Truncate(time.Second)
	if cfg.From.IsZero() {
		cfg.From = cfg.Until.Add(-History)
	}
	cfg.From = cfg.From.UTC().Truncate(time.Second)
	if !cfg.From.Before(cfg.Until) {
		return nil, errors.New("simulator: from is not before until")
	}
	w := &World{cfg: cfg, from: cfg.From.Unix(), span: cfg.Until.Unix() - cfg.From.Unix(), regular: map[string]regulars{},
		changed: map[string]map[int]change{}, last: map[string][]Key{}, log: map[string][]changedOrder{}}
	for _, platform := range Platforms {
		w.regular[platform] = w.regulars(platform)
	}
	return w, nil
}

// Config is what the world was made of, From and Until filled in.
func (w *World) Config() Config { return w.cfg }

// Shop is the brand's shop on a platform; zero for an unknown platform.
func (w *World) Shop(platform string) Shop {
	switch platform {
	case PlatformTmall:
		return Shop{platform, "2200000000001", "演示旗舰店"}
	case PlatformDouyin:
		return Shop{platform, "4463798", "演示官方店"}
	case PlatformWeidian:
		return Shop{platform, "1800000001", "演示微店"}
	}
	return Shop{}
}

// AccountCount is one more than the highest index of an account.
func (w *World) AccountCount(platform string) int {
	blocks := (w.cfg.People + blockPeople - 1) / blockPeople
	return blocks * len(seatsOf(platform))
}

// Accounts are all accounts of a platform's shop by index. Each has an order.
func (w *World) Accounts(platform string) iter.Seq[Account] {
	return func(yield func(Account) bool) {
		for i := range w.AccountCount(platform) {
			if a, ok := w.AccountAt(platform, i); ok && !yield(a) {
				return
			}
		}
	}
}

// AccountByID finds an account by its platform's id.
func (w *World) AccountByID(platform, id string) (Account, bool) {
	index, ok := w.accountIndex(platform, id)
	if !ok {
		return Account{}, false
	}
	a, ok := w.AccountAt(platform, index)
	return a, ok && a.ID == id
}

// AccountByOpenUID finds a Tmall account by buyer_open_uid.
func (w *World) AccountByOpenUID(openUID string) (Account, bool) {
	index, ok := w.unhide("open", strings.TrimPrefix(openUID, "AAH"))
	if !ok {
		return Account{}, false
	}
	a, ok := w.AccountAt(PlatformTmall, index)
	return a, ok && a.OpenUID == openUID
}

// AccountsOf are a person's accounts in the order of Platforms.
func (w *World) AccountsOf(person int) []Account {
	var out []Account
	for _, platform := range Platforms {
		for k, seat := range seatsOf(platform) {
			block := person / blockPeople
			if w.personAt(block, seat) == person {
				if a, ok := w.AccountAt(platform, block*len(seatsOf(platform))+k); ok {
					out = append(out, a)
				}
			}
		}
	}
	return out
}

// OrderCount is one more than the highest index of an order.
func (w *World) OrderCount(platform string) int {
	n := w.AccountCount(platform)
	return n + n/4
}

// OrderByNumber finds an order by its platform's number.
func (w *World) OrderByNumber(platform, number string) (Order, bool) {
	n, err := strconv.ParseInt(number, 10, 64)
	base := orderBase[platform]
	if err != nil || base == 0 || n < base || (n-base)%10 != 0 || strconv.FormatInt(n, 10) != number {
		return Order{}, false
	}
	index := (n - base) / 10
	if index >= int64(w.OrderCount(platform)) {
		return Order{}, false
	}
	return w.OrderAt(platform, int(index))
}

// RefundByNumber finds a refund's order; its Refund is not nil.
func (w *World) RefundByNumber(platform, number string) (Order, bool) {
	n, err := strconv.ParseInt(number, 10, 64)
	base := refundBase[platform]
	if err != nil || base == 0 || n < base || n-base >= int64(w.OrderCount(platform)) {
		return Order{}, false
	}
	o, ok := w.OrderAt(platform, int(n-base))
	return o, ok && o.Refund != nil && o.Refund.Number == number
}

// ServiceAt is the service ticket about an order, if there is one.
func (w *World) ServiceAt(platform string, index int) (Service, bool) {
	o, ok := w.OrderAt(platform, index)
	if !ok {
		return Service{}, false
	}
	return w.serviceOf(o)
}

// ServiceByNumber finds a service ticket by its number.
func (w *World) ServiceByNumber(platform, number string) (Service, bool) {
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < serviceBase || n-serviceBase >= int64(w.OrderCount(platform)) {
		return Service{}, false
	}
	return w.ServiceAt(platform, int(n-serviceBase))
}

// OrderKeys lists the orders whose time lies in [from, to], both ends
// included, oldest first, equal seconds by index. Do not change the slice.
func (w *World) OrderKeys(platform string, by By, from, to time.Time) []Key {
	return w.keys(platform, "order", by, from, to)
}

// RefundKeys lists refunds as OrderKeys lists orders.
func (w *World) RefundKeys(platform string, by By, from, to time.Time) []Key {
	return w.keys(platform, "refund", by, from, to)
}

// ServiceKeys lists service tickets as OrderKeys lists orders.
func (w *World) ServiceKeys(platform string, by By, from, to time.Time) []Key {
	return w.keys(platform, "service", by, from, to)
}

// OrdersOf are an account's orders by index.
func (w *World) OrdersOf(a Account) []Order {
	var out []Order
	for _, index := range w.orderIndexes(a.Platform, a.Index) {
		if o, ok := w.OrderAt(a.Platform, index); ok {
			out = append(out, o)
		}
	}
	return out
}

// A listing is a window that was asked for lately: a client pages through it.
type listing struct {
	platform, kind string
	by             By
	from, to       int64
	keys           []Key
}

const (
	keptListings = 24      // two for each stream that the connectors may read at the same time
	keptKeys     = 200_000 // a longer listing is computed at each call
	allKeys      = 400_000 // of all that are kept together: 6 MB
)

func (w *World) keys(platform, kind string, by By, from, to time.Time) []Key {
	lo, hi := from.Unix(), to.Unix()
	if from.Nanosecond() > 0 {
		lo++
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	keys := w.keysLocked(platform, kind, by, lo, hi)
	if kind == "order" {
		w.last[platform] = keys
	}
	return keys
}

func (w *World) keysLocked(platform, kind string, by By, lo, hi int64) []Key {
	all := 0
	for i, l := range w.listed {
		if l.platform == platform && l.kind == kind && l.by == by && l.from == lo && l.to == hi {
			w.listed = append(slices.Delete(w.listed, i, i+1), l)
			return l.keys
		}
		all += len(l.keys)
	}
	keys := w.scan(platform, kind, by, lo, hi)
	if len(keys) <= keptKeys {
		w.listed = append(w.listed, listing{platform, kind, by, lo, hi, keys})
		all += len(keys)
		for len(w.listed) > keptListings || all > allKeys {
			all -= len(w.listed[0].keys)
			w.listed = slices.Delete(w.listed, 0, 1)
		}
	}
	return keys
}

// scan walks the orders created early enough to have changed in the window.
func (w *World) scan(platform, kind string, by By, lo, hi int64) []Key {
	var keys []Key
	take := func(index int) {
		created, modified, ok := w.times(platform, kind, index)
		if !ok {
			return
		}
		at := created
		if by == ByModified {
			at = modified
		}
		if at >= lo && at <= hi {
			keys = append(keys, Key{index, at})
		}
	}
	n := w.OrderCount(platform)
	first, last := w.rankAt(n, lo-longestLife)-1, w.rankAt(n, hi)+1
	order := w.permutation("order/"+platform, n)
	for rank := max(first, 0); rank <= min(last, n-1); rank++ {
		if index := order.invert(rank); !w.isChanged(platform, index) {
			take(index)
		}
	}
	for index := range w.changed[platform] {
		take(index)
	}
	slices.SortFunc(keys, func(a, b Key) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Index, b.Index))
	})
	return keys
}
