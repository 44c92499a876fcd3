package flowcheck

import (
	"fmt"
	"math/rand/v2"
	"strconv"

	"google.golang.org/protobuf/proto"

	"oneid/schemas/events"
)

// Kind is what a fact is about.
type Kind string

// The kinds of facts.
const (
	Order    Kind = "order"
	Refund   Kind = "refund"
	User     Kind = "user"
	Ticket   Kind = "ticket"
	Decision Kind = "decision"
	Garbage  Kind = "garbage"
)

// Fact is one message, in words that say all that the oracle needs.
type Fact struct {
	// N counts the facts, from 1; Kind says which of the rest is filled.
	N    int64 `json:"n"`
	Kind Kind  `json:"kind"`

	// Of order, refund, user and ticket. A higher Version is newer. Account is
	// platform/shop/id.
	Account string `json:"account,omitempty"`
	Entity  string `json:"entity,omitempty"`
	Version int64  `json:"version,omitempty"`
	// Minor is the entity's amount (of a user: points) in this version.
	Minor int64 `json:"minor,omitempty"`
	// Phone and UnionID that the account's owner bound; Gift is a phone of the
	// receiver, who may be anybody.
	Phone   string `json:"phone,omitempty"`
	UnionID string `json:"unionid,omitempty"`
	Gift    string `json:"gift,omitempty"`

	// Of a decision: its number, what it says (same, different, undo), of whom,
	// and which one an undo takes back.
	ID     string `json:"id,omitempty"`
	Says   string `json:"says,omitempty"`
	A      string `json:"a,omitempty"`
	B      string `json:"b,omitempty"`
	Undoes string `json:"undoes,omitempty"`

	// Of garbage: a topic (orders, users, tickets or decisions) and bytes that
	// are no message of it.
	Topic string `json:"topic,omitempty"`
	Bytes []byte `json:"bytes,omitempty"`
}

// The accounts of person i.
func tmall(i int) string   { return "tmall/flagship/t" + strconv.Itoa(i) }
func second(i int) string  { return "tmall/flagship/s" + strconv.Itoa(i) }
func douyin(i int) string  { return "douyin/live/d" + strconv.Itoa(i) }
func weidian(i int) string { return "weidian/micro/w" + strconv.Itoa(i) }

// A Load invents facts; the same seed gives the same ones. It is for one
// goroutine.
type Load struct {
	rand *rand.Rand
	n    int64
	// people counts those that came; waiting are facts about who they are that
	// were not told yet, in any order.
	people   int
	waiting  []Fact
	accounts []string
	entities []Fact // newest version of each order, refund and ticket
	garbage  int
}

// NewLoad makes a load.
func NewLoad(seed uint64) *Load { return &Load{rand: rand.New(rand.NewPCG(seed, 0))} }

// untold is how many facts about who people are wait to be told: so that a
// story is told in any order, between those of others.
const untold = 60

// Next is the next fact.
func (l *Load) Next() Fact {
	f := l.invent()
	l.n++
	f.N = l.n
	switch {
	case f.Kind == Garbage || f.Kind == Decision:
		return f
	case f.Version == 0: // the newest of its entity
		f.Version = 2 * l.n
	}
	f.Minor = 100 + f.Version*7919%99900
	if f.Kind != User {
		l.remember(f)
	}
	return f
}

// remember keeps the newest version of an entity.
func (l *Load) remember(f Fact) {
	for i := len(l.entities) - 1; i >= 0; i-- {
		if e := &l.entities[i]; e.Kind == f.Kind && e.Entity == f.Entity {
			if f.Version > e.Version {
				*e = f
			}
			return
		}
	}
	l.entities = append(l.entities, f)
	if len(l.entities) > 500 { // what is older is at rest
		l.entities = l.entities[1:]
	}
}

func (l *Load) invent() Fact {
	switch dice := l.rand.IntN(100); {
	case dice == 0:
		return l.noise()
	case dice < 10 || l.people < 5:
		l.arrive()
		fallthrough
	case dice < 50 && len(l.waiting) > untold || len(l.accounts) == 0:
		i := l.rand.IntN(len(l.waiting))
		f := l.waiting[i]
		l.waiting[i] = l.waiting[len(l.waiting)-1]
		l.waiting = l.waiting[:len(l.waiting)-1]
		if f.Account != "" {
			l.accounts = append(l.accounts, f.Account)
		}
		return f
	case dice < 65 && len(l.entities) > 0: // another version: the newest, or any
		f := l.entities[l.rand.IntN(len(l.entities))]
		f.Version = 0
		if dice%4 == 0 { // odd, so that it is nobody's newest of some moment
			f.Version = l.entities[l.rand.IntN(len(l.entities))].Version | 1
		}
		return f
	default:
		account := l.accounts[l.rand.IntN(len(l.accounts))]
		kind := []Kind{Order, Order, Order, Refund, Ticket}[l.rand.IntN(5)]
		f := Fact{Kind: kind, Account: account, Entity: string(kind[0]) + strconv.FormatInt(l.n, 10)}
		if kind == Order && l.rand.IntN(3) == 0 {
			f.Gift = phone(l.rand.IntN(l.people))
		}
		return f
	}
}

// phone is that of person i.
func phone(i int) string { return fmt.Sprintf("139%08d", 10000000+i) }

// arrive brings a person with a story of who they are. Told in any order, and
// half told, a story has one end.
func (l *Load) arrive() {
	i := l.people
	l.people++
	number, union := phone(i), "union-"+strconv.Itoa(i)
	user := func(account, phone, union string) {
		_, id, _ := cutAccount(account)
		l.waiting = append(l.waiting, Fact{Kind: User, Account: account, Entity: id, Phone: phone, UnionID: union})
	}
	id := "decision-" + strconv.Itoa(i)
	decide := func(says, a, b string) {
		l.waiting = append(l.waiting, Fact{Kind: Decision, ID: id, Says: says, A: a, B: b})
	}
	undo := func() {
		l.waiting = append(l.waiting, Fact{Kind: Decision, ID: id + "-undo", Says: "undo", Undoes: id})
	}
	user(tmall(i), "", "") // what is told of an account first may name nobody
	switch i % 9 {
	case 0: // one phone on three platforms
		user(tmall(i), number, "")
		user(douyin(i), number, "")
		user(weidian(i), number, "")
	case 1: // a chain: phone, then unionid
		user(tmall(i), number, "")
		user(douyin(i), number, union)
		user(weidian(i), "", union)
	case 2: // only a person's word joins them
		user(douyin(i), "", "")
		decide("same", tmall(i), douyin(i))
	case 3: // … and is taken back
		user(douyin(i), "", "")
		decide("same", tmall(i), douyin(i))
		undo()
	case 4: // a person's word parts them
		user(tmall(i), number, "")
		user(douyin(i), number, "")
		user(weidian(i), number, "")
		decide("different", tmall(i), douyin(i))
	case 5: // … and is taken back
		user(tmall(i), number, "")
		user(douyin(i), number, "")
		decide("different", tmall(i), douyin(i))
		undo()
	case 6: // a phone that two of one shop have joins nobody
		user(tmall(i), number, "")
		user(douyin(i), number, "")
		user(second(i), number, "")
	case 7: // … unless something stronger says that these are one
		user(tmall(i), number, union)
		user(douyin(i), number, "")
		user(second(i), number, union)
	case 8: // two unionids are two persons
		user(tmall(i), number, "")
		user(douyin(i), number, union+"a")
		user(weidian(i), number, union+"b")
	}
}

// noise is a message that nobody can read.
func (l *Load) noise() Fact {
	l.garbage++
	mark := "noise-" + strconv.Itoa(l.garbage) + "-" + strconv.FormatUint(l.rand.Uint64(), 16)
	f := Fact{Kind: Garbage, Topic: []string{"orders", "users", "tickets", "decisions"}[l.garbage%4]}
	whole, err := proto.Marshal(&events.Event{
		Header: &events.Header{Platform: "tmall", Shop: "flagship", EntityId: mark, Account: "a", Version: &events.Version{ModifiedMs: 1}},
		Body:   &events.Event_Order{Order: &events.Order{Status: events.OrderStatus_ORDER_STATUS_PAID, PlatformStatus: mark}},
	})
	if err != nil {
		panic(err) // it is made of constants
	}
	switch l.garbage / 4 % 4 {
	case 0: // random bytes; no Protobuf begins with 0xff
		f.Bytes = append([]byte{0xff}, mark...)
	case 1: // cut short
		f.Bytes = whole[:len(whole)-3]
	case 2: // text where a number belongs
		f.Bytes = append([]byte(mark), 0xff)
	case 3: // nothing but a header, or what a decision is not
		f.Bytes, err = proto.Marshal(&events.Event{Header: &events.Header{Platform: "tmall", Shop: "flagship", EntityId: mark, Account: "a"}})
		if err != nil {
			panic(err)
		}
	}
	return f
}
