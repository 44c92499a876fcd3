package tables

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"oneid/schemas/events"
)

// fill appends n rows to every block.
func fill(n int, version *events.Version) []Block {
	h := &events.Header{Platform: "tmall", Shop: "s", EntityId: "1", Account: "a", Version: version, Raw: []byte("sealed")}
	blocks := All()
	for range n {
		for _, b := range blocks {
			switch b := b.(type) {
			case *Orders:
				b.Append(h, &events.Order{Currency: "JPY", Items: []*events.OrderItem{{ItemId: "1"}, {ItemId: "2"}}}, Stamp{})
			case *Refunds:
				b.Append(h, &events.Refund{Currency: "KWD"}, Stamp{})
			case *Users:
				b.Append(h, &events.User{}, Stamp{})
			case *Tickets:
				b.Append(h, &events.Ticket{}, Stamp{})
			case *Spend:
				b.Append(h, &events.Spend{Day: "2026-05-01"})
			case *RawEvents:
				b.Append(&events.Event{Header: h, Body: &events.Event_User{User: &events.User{}}})
			case *IdentityMap:
				b.Append(Account{}, [16]byte{}, time.Unix(0, 0), "", 1, 1)
			case *IdentityHistory:
				b.Append(Account{}, [16]byte{}, [16]byte{}, time.Unix(0, 0), "", 1)
			case *Overrides:
				b.Append(Account{}, [16]byte{}, 1)
			case *Redirects:
				b.Append([16]byte{}, [16]byte{}, time.Unix(0, 0), 1)
			case *Evidence:
				b.Append(Account{}, "phone", [16]byte{}, "member", "tmall", 1, 2)
			case *IdentifierValues:
				b.Append("phone", [16]byte{}, []byte("sealed"))
			case *Decisions:
				b.Append(&events.Decision{}, 1)
			case *DeadLetters:
				b.Append(&events.DeadLetter{}, 1)
			case *Reconciled:
				b.Append(1, "orders", &events.Event{Header: h, Body: &events.Event_User{User: &events.User{}}})
			case *Reconciliation:
				b.Append(time.Unix(0, 0), ReconciledDay{})
			case *Resemblances:
				b.Append(Account{}, Account{}, "model", 1, []string{"name equal +4.0"}, time.Unix(0, 0), 1)
			case *Audit:
				b.Append(time.Unix(0, 0), "", "", "", uuid.UUID{})
			}
		}
	}
	return blocks
}

// Whatever was appended, all columns are of the length that Rows says, also
// after a Reset.
func TestColumnsAreOfOneLength(t *testing.T) {
	for _, n := range []int{0, 1, 5} {
		for _, b := range fill(n, &events.Version{}) {
			want := n
			for range 2 {
				names, values := b.Columns()
				if b.Rows() != want || len(names) != len(values) {
					t.Errorf("%s: %d rows of %d, %d names, %d columns", b.Table(), b.Rows(), want, len(names), len(values))
				}
				for i, column := range values {
					if got := reflect.ValueOf(Plain(column)).Len(); got != want {
						t.Errorf("%s.%s has %d values, want %d", b.Table(), names[i], got, want)
					}
				}
				b.Reset()
				want = 0
			}
		}
	}
}

// A block keeps nothing of what its rows were made of, for that is read into again.
func TestRowsAreTheirOwn(t *testing.T) {
	t.Parallel()
	memory := []byte("tmall/official/1001/buyer/sealed/title")
	text := func(from, to int) string { return unsafe.String(&memory[from], to-from) }
	h := &events.Header{Platform: text(0, 5), Shop: text(6, 14), EntityId: text(15, 19), Account: text(20, 25), Raw: memory[26:32], Version: &events.Version{ModifiedMs: 1}}
	order := &events.Order{City: text(15, 19), Items: []*events.OrderItem{{Title: text(33, 38)}, {ItemId: text(15, 19)}}}
	orders, raw, values := NewOrders(), NewRawEvents(), NewIdentifierValues()
	orders.Append(h, order, Stamp{})
	raw.Append(&events.Event{Header: h, Body: &events.Event_Order{Order: order}})
	values.Append(text(20, 25), [16]byte{1}, memory[26:32])
	show := func() (all []string) {
		for _, b := range []Block{orders, raw, values} {
			_, columns := b.Columns()
			for _, column := range columns {
				all = append(all, fmt.Sprint(Plain(column)))
			}
		}
		return all
	}
	before := show()
	for i := range memory {
		memory[i] = 'x'
	}
	if d := cmp.Diff(before, show()); d != "" {
		t.Errorf("the rows changed with the memory that they were read from:\n%s", d)
	}
}

// The memory of a block serves the next one, but that of a large one not many small ones.
func TestMemoryOfTexts(t *testing.T) {
	t.Parallel()
	block := NewRawEvents()
	e := &events.Event{Header: &events.Header{Raw: make([]byte, 1000)}, Body: &events.Event_User{User: &events.User{}}}
	fill := func(n int) {
		for range n {
			block.Append(e)
		}
	}
	fill(1000)
	room := cap(block.raw.bytes)
	block.Reset()
	block.Reset()
	if got := cap(block.raw.bytes); got != room {
		t.Errorf("of %d bytes %d are kept", room, got)
	}
	fill(10)
	block.Reset()
	if got := cap(block.raw.bytes); got > keptBytes {
		t.Errorf("%d bytes are kept of a block that had %d", got, 10*1000)
	}
	fill(1000)
	for range keptIdle + 2 {
		block.Reset()
	}
	if got := cap(block.raw.bytes); got > keptBytes {
		t.Errorf("%d bytes are kept although nothing has come for long", got)
	}
}

// The order of version columns is the order of versions.
func TestVersionColumnKeepsTheOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	random := func() *events.Version {
		return &events.Version{ModifiedMs: r.Int64N(1 << 43), Source: events.Source(r.IntN(3)), ObservedMs: r.Int64N(1 << 43), Revision: r.Uint32N(3)}
	}
	orders := NewOrders()
	for range 3 { // reused numbers must not keep what they were
		orders.Reset()
		var versions []*events.Version
		for range 100 {
			v := random()
			versions = append(versions, v)
			orders.Append(&events.Header{Version: v}, &events.Order{}, Stamp{})
		}
		names, values := orders.Columns()
		for i, name := range names {
			if name != "version" {
				continue
			}
			for j, n := range values[i].([]UInt128) {
				high, low := events.PackVersion(versions[j])
				if want := (UInt128{high, low}); n != want {
					t.Fatalf("version %d of %v = %v, want %v", j, versions[j], n, want)
				}
			}
		}
	}
}

func TestUnitsOfCurrencies(t *testing.T) {
	for currency, want := range map[string]uint16{"CNY": 100, "USD": 100, "JPY": 1, "KRW": 1, "KWD": 1000, "": 100} {
		if got := unit(currency); got != want {
			t.Errorf("unit(%q) = %d, want %d", currency, got, want)
		}
	}
}

func TestStatusOfALaterVersionIsUnknown(t *testing.T) {
	if got := name(orderStatus[:], events.OrderStatus(99)); got != "unknown" {
		t.Errorf("name = %q", got)
	}
	if got := name(orderStatus[:], events.OrderStatus_ORDER_STATUS_CLOSED); got != "closed" {
		t.Errorf("name = %q", got)
	}
}
