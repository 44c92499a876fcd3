package clickhouse

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	driver "github.com/ClickHouse/clickhouse-go/v2"

	"oneid/schemas/events"
	"oneid/schemas/tables"
)

// filled are blocks of every table with n rows that differ in their keys.
func filled(n int, seed uint64) []tables.Block {
	r := rand.New(rand.NewPCG(seed, 1))
	blocks := tables.All()
	text := func() string { return strings.Repeat("字", r.IntN(90)) + strconv.Itoa(r.IntN(10)) } // past 128 bytes, too
	ms := func() int64 { return r.Int64N(4e12) - 1e10 }
	at := func() time.Time { return time.UnixMilli(r.Int64N(4e12)).UTC() }
	id := func() (b [16]byte) {
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	run := uint64(time.Now().UnixMilli()) // of one run, and not past its time in the table
	for i := range n {
		key := strconv.Itoa(i)
		h := &events.Header{Platform: "p" + strconv.Itoa(i%3), Shop: text(), EntityId: key, Account: key, Stream: text(), Raw: []byte(text() + "\x00\xff"), Deleted: i%7 == 0,
			Version: &events.Version{ModifiedMs: 17e11 + r.Int64N(4e9), Source: events.Source(r.IntN(3)), ObservedMs: ms(), Revision: r.Uint32N(3)}}
		var items []*events.OrderItem
		for range r.IntN(4) {
			items = append(items, &events.OrderItem{ItemId: text(), Title: text(), Quantity: ms(), PaidMinor: -ms(), Status: events.OrderStatus(r.IntN(9))})
		}
		account := tables.Account{Platform: "p", Shop: text(), ID: key}
		for _, b := range blocks {
			switch b := b.(type) {
			case *tables.Orders:
				b.Append(h, &events.Order{Currency: "JPY", CreatedMs: ms(), PaidMinor: ms(), Items: items, City: text()}, tables.Stamp{CustomerID: id()})
			case *tables.Refunds:
				b.Append(h, &events.Refund{Currency: "KWD", RefundMinor: ms(), BeforeShipping: true}, tables.Stamp{CustomerID: id()})
			case *tables.Users:
				b.Append(h, &events.User{Nick: text(), Points: ms(), MemberSinceMs: ms()}, tables.Stamp{CustomerID: id()})
			case *tables.Tickets:
				b.Append(h, &events.Ticket{Subject: text(), Satisfaction: int32(r.IntN(5)) - 2}, tables.Stamp{CustomerID: id()})
			case *tables.Spend:
				b.Append(h, &events.Spend{Day: at().Format(time.DateOnly), Clicks: ms()})
			case *tables.RawEvents:
				b.Append(&events.Event{Header: h, Body: &events.Event_User{User: &events.User{}}})
			case *tables.IdentityMap:
				b.Append(account, id(), at(), text(), r.Uint64(), r.Uint64())
			case *tables.IdentityHistory:
				b.Append(account, id(), id(), at(), text(), r.Uint64())
			case *tables.Overrides:
				b.Append(account, id(), r.Uint64())
			case *tables.Redirects:
				b.Append(id(), id(), at(), r.Uint64())
			case *tables.Evidence:
				b.Append(account, "phone", id(), "member", "tmall", r.Int64N(1<<32), r.Int64N(1<<32))
			case *tables.IdentifierValues:
				b.Append("phone", id(), []byte(text()))
			case *tables.Decisions:
				b.Append(&events.Decision{DecisionId: key, Kind: events.DecisionKind_DECISION_KIND_SAME, Accounts: []string{text(), text()}, DecidedMs: ms()}, r.Uint64())
			case *tables.DeadLetters:
				b.Append(&events.DeadLetter{LetterId: key, Detail: text(), Attempts: r.Uint32(), FirstSeenMs: ms()}, r.Int64N(1<<32))
			case *tables.Audit:
				b.Append(at(), text(), "show", key, id())
			case *tables.Reconciled:
				b.Append(run, text(), &events.Event{Header: h, Body: &events.Event_User{User: &events.User{}}})
			case *tables.Reconciliation:
				b.Append(at(), tables.ReconciledDay{Platform: "p", Shop: key, Stream: text(), Day: at().Format(time.DateOnly), Currency: "CNY", Kafka: tables.Count{Count: r.Uint64(), Minor: ms()}, MissingKafka: []string{text(), key}})
			case *tables.Resemblances:
				b.Append(account, tables.Account{Platform: "p", Shop: text(), ID: key}, "model", r.Float32()*20, []string{text(), key}, at(), r.Uint64())
			default:
				panic("no rows are invented for the table " + b.Table())
			}
		}
	}
	return blocks
}

// Every table's rows arrive alike whether the driver sends them or we do, with
// and without compression.
func TestOwnBlocksAreTheDrivers(t *testing.T) {
	t.Parallel()
	c, d := migrated(t)
	for _, block := range filled(700, 1) { // more than one part's turn
		table := d.Name + "." + block.Table()
		if err := d.Exec(t.Context(), "SYSTEM STOP MERGES "+table); err != nil {
			t.Fatal(err)
		}
		own := c.poster
		for token, poster := range map[string]*poster{"driver": nil, "plain": own, "packed": {http: own.http, hosts: own.hosts, scheme: own.scheme, path: own.path, user: own.user, password: own.password, compress: true}} {
			c.poster = poster
			if err := c.Insert(t.Context(), block, token); err != nil {
				t.Fatalf("%s, %s: %v", block.Table(), token, err)
			}
		}
		c.poster = own
		columns, _ := block.Columns()
		got := answer(t, d, "SELECT count(), min(n), max(n) FROM (SELECT count() AS n FROM "+table+" GROUP BY "+strings.Join(columns, ", ")+")")
		if want := "700\t3\t3"; got != want {
			t.Errorf("%s: distinct rows, and how often each is there (least, most): %q, want %q", block.Table(), got, want)
		}
	}
}

// A failure is what the driver would make of it.
func TestOwnInsertFails(t *testing.T) {
	t.Parallel()
	c, _ := migrated(t)
	column, err := columnOf("platform", "String", []string{"a"})
	if err != nil {
		t.Fatal(err)
	}
	err = failed("try", c.poster.insert(t.Context(), "INSERT INTO nowhere (platform) FORMAT Native", driver.Settings{}, []nativeColumn{column}, 1))
	var e *Error
	if !errors.As(err, &e) || e.Exception != 60 || IsUnavailable(err) {
		t.Errorf("a table that is not there: %v", err)
	}
	c.poster.hosts = []string{"127.0.0.1:1"}
	if err := failed("try", c.poster.insert(t.Context(), "INSERT", driver.Settings{}, nil, 0)); !IsUnavailable(err) {
		t.Errorf("a server that is not there: %v; want one that waiting may cure", err)
	}
	if _, err := columnOf("x", "Float64", []string{"a"}); err == nil {
		t.Error("a text went as a Float64")
	}
	if _, err := columnOf("hash", "FixedString(16)", []string{strings.Repeat("h", 16), strings.Repeat("h", 15)}); err == nil {
		t.Error("fifteen bytes went as sixteen")
	}
}

// BenchmarkNative makes the bodies of 20,000 orders.
func BenchmarkNative(b *testing.B) {
	for _, block := range filled(20_000, 1) {
		if block.Table() != "orders" {
			continue
		}
		names, values := block.Columns()
		columns := make([]nativeColumn, len(names))
		kinds := map[string]string{"customer_id": "UUID", "version": "UInt128", "is_deleted": "UInt8", "unit": "UInt16"}
		for i, name := range names {
			kind := kinds[name]
			for _, try := range []string{kind, "String", "Int64", "Array(String)", "Array(Int64)"} {
				if c, err := columnOf(name, try, values[i]); err == nil {
					columns[i] = c
					break
				}
			}
		}
		size := 0
		b.ReportAllocs()
		for b.Loop() {
			n, err := newNativeBody(columns, block.Rows(), false, func() {}).WriteTo(io.Discard)
			if err != nil {
				b.Fatal(err)
			}
			size = int(n)
		}
		b.SetBytes(int64(size))
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/20_000, "ns/row")
	}
}

// Reading in small pieces gives what writing at once gives.
func TestBodyIsTheSameInPieces(t *testing.T) {
	t.Parallel()
	values := make([]string, 5000)
	for i := range values {
		values[i] = strings.Repeat("x", i%300)
	}
	texts, err := columnOf("texts", "String", values)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(texts.parts[0].bytes); n < pieceBytes {
		t.Fatalf("a column of %d bytes is not sent from where it lies", n)
	}
	few, err := columnOf("few", "String", values[:50])
	if err != nil {
		t.Fatal(err)
	}
	numbers, err := columnOf("numbers", "Int64", make([]int64, len(values)))
	if err != nil {
		t.Fatal(err)
	}
	body := func() *nativeBody {
		return newNativeBody([]nativeColumn{texts, texts, few, numbers, texts, numbers}, len(values), false, func() {})
	}
	var whole bytes.Buffer
	if _, err := body().WriteTo(&whole); err != nil {
		t.Fatal(err)
	}
	var pieces bytes.Buffer
	if _, err := io.CopyBuffer(struct{ io.Writer }{&pieces}, struct{ io.Reader }{body()}, make([]byte, 777)); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{"texts": 3, "few": 1, "numbers": 2} {
		if n := bytes.Count(whole.Bytes(), []byte(string(rune(len(name)))+name)); n != want {
			t.Errorf("the column %s is named %d times, want %d", name, n, want)
		}
	}
	if !bytes.Equal(whole.Bytes(), pieces.Bytes()) {
		t.Errorf("%d bytes at once, %d in pieces", whole.Len(), pieces.Len())
	}
}
