package clickhouse

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"oneid/internal/embedded/chdb/chdbtest"
	"oneid/schemas/events"
	"oneid/schemas/tables"
)

// day is a moment of the tests: noon in Shanghai on that day of May 2026.
func day(n int) int64 { return time.Date(2026, 5, n, 4, 0, 0, 0, time.UTC).UnixMilli() }

// person is an invented customer's id.
func person(n byte) [16]byte { return [16]byte{0: n, 6: 0x80, 8: 0x80} }

func personID(n byte) string { return fmt.Sprintf("%02x000000-0000-8000-8000-000000000000", n) }

// story writes a small history into a database, a block an event.
type story struct {
	t      testing.TB
	c      *Conn
	d      chdbtest.Database
	tokens int
	// Of an account "platform/shop/id": whose it is.
	customer map[string][16]byte
	version  uint64
}

func newStory(t testing.TB) *story {
	c, d := migrated(t)
	return &story{t: t, c: c, d: d, customer: map[string][16]byte{}}
}

func (s *story) insert(block tables.Block) {
	s.t.Helper()
	s.tokens++
	if err := s.c.Insert(s.t.Context(), block, fmt.Sprint("story/", s.tokens)); err != nil {
		s.t.Fatal(err)
	}
}

func split(account string) tables.Account {
	parts := strings.SplitN(account, "/", 3)
	return tables.Account{Platform: parts[0], Shop: parts[1], ID: parts[2]}
}

// is says whose an account is, from now on.
func (s *story) is(account string, who byte, reason string) {
	s.t.Helper()
	s.version++
	before, known := s.customer[account]
	s.customer[account] = person(who)
	at := time.UnixMilli(day(int(s.version))).UTC()
	members, history := tables.NewIdentityMap(), tables.NewIdentityHistory()
	members.Append(split(account), person(who), at, reason, s.version, s.version)
	history.Append(split(account), before, person(who), at, reason, s.version)
	s.insert(members)
	s.insert(history)
	if known {
		overrides := tables.NewOverrides()
		overrides.Append(split(account), person(who), s.version)
		s.insert(overrides)
	}
}

func (s *story) header(account, entity string, modified int) *events.Header {
	a := split(account)
	return &events.Header{Platform: a.Platform, Shop: a.Shop, EntityId: entity, Account: a.ID,
		Version: &events.Version{ModifiedMs: day(modified), Source: events.Source_SOURCE_API, ObservedMs: day(modified)}}
}

func (s *story) order(account, id string, modified int, o *events.Order) {
	s.t.Helper()
	block := tables.NewOrders()
	block.Append(s.header(account, id, modified), o, tables.Stamp{CustomerID: s.customer[account]})
	s.insert(block)
}

func (s *story) refund(account, id string, modified int, r *events.Refund) {
	s.t.Helper()
	block := tables.NewRefunds()
	block.Append(s.header(account, id, modified), r, tables.Stamp{CustomerID: s.customer[account]})
	s.insert(block)
}

func (s *story) ticket(account, id string, modified int, e *events.Ticket) {
	s.t.Helper()
	block := tables.NewTickets()
	block.Append(s.header(account, id, modified), e, tables.Stamp{CustomerID: s.customer[account]})
	s.insert(block)
}

func (s *story) user(account string, modified int, u *events.User) {
	s.t.Helper()
	block := tables.NewUsers()
	block.Append(s.header(account, split(account).ID, modified), u, tables.Stamp{CustomerID: s.customer[account]})
	s.insert(block)
}

func (s *story) refresh() {
	s.t.Helper()
	if err := s.c.RefreshViews(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// want compares what a query answers, a row a line.
func (s *story) want(query string, rows ...string) {
	s.t.Helper()
	if got, want := answer(s.t, s.d, query), strings.Join(rows, "\n"); got != want {
		s.t.Errorf("%s\n got %q\nwant %q", query, got, want)
	}
}

// paid is an order that was paid on a day, with one item of all.
func paid(minor int64, currency string, on int) *events.Order {
	return &events.Order{
		Status: events.OrderStatus_ORDER_STATUS_PAID, PlatformStatus: "WAIT_SELLER_SEND_GOODS", CreatedMs: day(on), PaidMs: day(on), Currency: currency, PaidMinor: minor,
		Items: []*events.OrderItem{{ItemId: "1", Title: "tea", Quantity: 1, UnitPriceMinor: minor, PaidMinor: minor, Status: events.OrderStatus_ORDER_STATUS_PAID}},
	}
}

func unpaid(currency string, on int) *events.Order {
	return &events.Order{Status: events.OrderStatus_ORDER_STATUS_CREATED, CreatedMs: day(on), Currency: currency}
}

const of360 = "SELECT customer_id, identified, platforms, accounts, orders, paid_amount, refunded_amount, net_amount, average_order_value, currency, other_amounts, tickets, open_tickets, member_of FROM customer_360 ORDER BY customer_id"

func TestCustomer360(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	s.is("tmall/s1/a", 1, "born")
	s.is("douyin/s2/b", 1, "born")
	s.is("tmall/s1/c", 2, "born")         // no orders at all
	s.is("weidian/s3/order:9", 3, "born") // stands in for a buyer
	s.order("tmall/s1/a", "o1", 1, paid(10000, "CNY", 1))
	s.order("tmall/s1/a", "o2", 2, paid(0, "CNY", 2)) // paid, 0.00
	s.order("tmall/s1/a", "o3", 3, unpaid("CNY", 3))
	s.order("douyin/s2/b", "o4", 4, paid(5001, "CNY", 4))
	s.order("douyin/s2/b", "o5", 4, paid(999, "JPY", 5))
	s.order("weidian/s3/order:9", "9", 5, paid(100, "CNY", 6))
	s.refund("tmall/s1/a", "r1", 5, &events.Refund{OrderId: "o1", Status: events.RefundStatus_REFUND_STATUS_SUCCEEDED, Currency: "CNY", RefundMinor: 2500})
	s.refund("tmall/s1/a", "r2", 5, &events.Refund{OrderId: "o1", Status: events.RefundStatus_REFUND_STATUS_REQUESTED, Currency: "CNY", RefundMinor: 100})
	s.ticket("tmall/s1/a", "t1", 5, &events.Ticket{Kind: "refund", Status: events.TicketStatus_TICKET_STATUS_OPEN})
	s.ticket("tmall/s1/a", "t2", 5, &events.Ticket{Kind: "service", Status: events.TicketStatus_TICKET_STATUS_PENDING})
	s.ticket("douyin/s2/b", "t3", 5, &events.Ticket{
		Kind: "service", Status: events.TicketStatus_TICKET_STATUS_SOLVED, PlatformStatus: "3", Priority: "high", Channel: "wechat", Subject: "售后/退换货",
		CreatedMs: day(1), FirstAnswerMs: day(1) + 90_000, SolvedMs: day(2), Agent: "演示客服", Group: "售后组", Satisfaction: 4,
	})
	s.user("tmall/s1/a", 2, &events.User{Member: true})
	s.user("tmall/s1/a", 6, &events.User{}) // a source that does not know of members takes nothing back
	s.user("douyin/s2/b", 2, &events.User{})
	s.refresh()
	s.want(of360,
		personID(1)+"\t1\t['douyin','tmall']\t{'douyin':1,'tmall':1}\t4\t150.01\t25\t125.01\t50\tCNY\t{'JPY':999}\t3\t2\t['tmall/s1']",
		personID(2)+"\t1\t['tmall']\t{'tmall':1}\t0\t0\t0\t0\t0\t\t{}\t0\t0\t[]",
		personID(3)+"\t0\t['weidian']\t{'weidian':1}\t1\t1\t0\t1\t1\tCNY\t{}\t0\t0\t[]")
	s.want("SELECT status, platform_status, priority, channel, subject, created_at, first_answer_at, solved_at, agent, agent_group, satisfaction FROM customer_tickets WHERE ticket_id IN ('t2', 't3') ORDER BY ticket_id",
		"pending\t\t\t\t\t1970-01-01 08:00:00\t"+`\N`+"\t"+`\N`+"\t\t\t0",
		"solved\t3\thigh\twechat\t售后/退换货\t2026-05-01 12:00:00\t2026-05-01 12:01:30\t2026-05-02 12:00:00\t演示客服\t售后组\t4")
	s.want("SELECT first_order_at, last_order_at FROM customer_360 WHERE orders > 1", "2026-05-01 12:00:00\t2026-05-05 12:00:00")
	s.want("SELECT first_order_at, last_order_at FROM customer_360 WHERE orders = 0", `\N`+"\t"+`\N`)
	s.want("SELECT toTypeName(paid_amount), toTypeName(first_order_at), toTypeName(accounts), toTypeName(customer_id) FROM customer_360 LIMIT 1",
		`Decimal(18, 2)	Nullable(DateTime(\'Asia/Shanghai\'))	Map(String, UInt64)	UUID`)
}

// Whether a refund was asked for before the goods were sent says the platform, or else its
// order; where neither does it is not known, and not "after".
func TestRefundsBeforeShipping(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	s.is("tmall/s1/a", 1, "born")
	order := func(id string, status events.OrderStatus, shipped int64) {
		o := paid(100, "CNY", 1)
		o.Status, o.ShippedMs = status, shipped
		s.order("tmall/s1/a", id, 1, o)
	}
	order("closed", events.OrderStatus_ORDER_STATUS_CLOSED, 0)
	order("paid", events.OrderStatus_ORDER_STATUS_PAID, 0)
	order("sent-before", events.OrderStatus_ORDER_STATUS_CLOSED, day(2))
	order("sent-after", events.OrderStatus_ORDER_STATUS_FINISHED, day(5))
	order("sent-some-time", events.OrderStatus_ORDER_STATUS_FINISHED, 0)
	for _, of := range []string{"closed", "paid", "sent-before", "sent-after", "sent-some-time", "not-here"} {
		s.refund("tmall/s1/a", of, 3, &events.Refund{OrderId: of, Status: events.RefundStatus_REFUND_STATUS_SUCCEEDED, Currency: "CNY", RefundMinor: 100, CreatedMs: day(3)})
	}
	// Read from its order, without a time of its own.
	s.refund("tmall/s1/a", "no-time", 3, &events.Refund{OrderId: "sent-before", Status: events.RefundStatus_REFUND_STATUS_SUCCEEDED, Currency: "CNY", RefundMinor: 100})
	s.refund("tmall/s1/a", "the-platform-says", 3, &events.Refund{OrderId: "not-here", Currency: "CNY", BeforeShipping: true, CreatedMs: day(3)})
	s.want("SELECT refund_id, before_shipping FROM customer_refunds ORDER BY refund_id",
		"closed\t1", "no-time\t"+`\N`, "not-here\t"+`\N`, "paid\t1", "sent-after\t1", "sent-before\t0", "sent-some-time\t"+`\N`, "the-platform-says\t1")
}

// Accounts are counted by platform, memberships by shop, each once; who is only
// a buyer of a shop is no member of it, nor is somebody else's namesake.
func TestAccountsOfSeveralShops(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	for account, who := range map[string]byte{"tmall/s1/a": 1, "tmall/s1/b": 1, "tmall/s2/a": 1, "tmall/s3/a": 1, "douyin/s1/a": 1, "weidian/s1/a": 2, "tmall/s2/b": 2} {
		s.is(account, who, "born")
	}
	for _, account := range []string{"tmall/s1/a", "tmall/s1/b", "tmall/s2/a", "weidian/s1/a"} {
		s.user(account, 1, &events.User{Member: true})
	}
	s.refresh()
	s.want("SELECT customer_id, accounts, member_of FROM customer_360 ORDER BY customer_id",
		personID(1)+"\t{'douyin':1,'tmall':4}\t['tmall/s1','tmall/s2']",
		personID(2)+"\t{'tmall':1,'weidian':1}\t['weidian/s1']")
}

func TestMoneyOfEachCurrency(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	s.is("file/x/a", 1, "born")
	s.is("file/x/b", 2, "born")
	s.order("file/x/a", "1", 1, paid(1234, "JPY", 1))
	s.order("file/x/a", "2", 1, paid(1235, "KWD", 2)) // 1.235: three digits, rounded to 1.24
	s.order("file/x/a", "3", 1, paid(199, "USD", 3))
	s.order("file/x/b", "4", 1, paid(100, "USD", 3))
	s.order("file/x/b", "5", 1, paid(100, "USD", 3))
	s.order("file/x/b", "6", 1, paid(101, "USD", 3))
	s.order("file/x/b", "7", 1, paid(1, "AUD", 3))
	s.refresh()
	s.want("SELECT order_id, paid_amount, currency FROM customer_orders ORDER BY order_id LIMIT 3", "1\t1234\tJPY", "2\t1.24\tKWD", "3\t1.99\tUSD")
	// A tie goes to the first by alphabet; 3.01 / 3 = 1.0033.
	s.want("SELECT currency, paid_amount, average_order_value, other_amounts FROM customer_360 ORDER BY customer_id",
		"JPY\t1234\t1234\t{'KWD':1.24,'USD':1.99}", "USD\t3.01\t1\t{'AUD':0.01}")
}

func TestNewestVersionWinsInAnyOrder(t *testing.T) {
	t.Parallel()
	three := paid(300, "CNY", 1)
	three.Items = []*events.OrderItem{{ItemId: "1", PaidMinor: 100}, {ItemId: "2", PaidMinor: 100}, {ItemId: "3", PaidMinor: 100}}
	two := paid(200, "CNY", 1)
	two.Items = []*events.OrderItem{{ItemId: "1", PaidMinor: 100}, {ItemId: "3", PaidMinor: 100}}
	two.Status = events.OrderStatus_ORDER_STATUS_FINISHED
	gone := &events.Order{Currency: "CNY"}
	for _, seed := range []uint64{1, 2, 3, 4} {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			s := newStory(t)
			s.is("tmall/s/a", 1, "born")
			write := []func(){
				func() { s.order("tmall/s/a", "o", 1, unpaid("CNY", 1)) },
				func() { s.order("tmall/s/a", "o", 2, three) },
				func() { s.order("tmall/s/a", "o", 3, two) },
				func() { s.order("tmall/s/a", "o", 3, two) }, // the same event, loaded again
				func() { s.order("tmall/s/a", "p", 2, paid(7, "CNY", 1)) },
				func() {
					h := s.header("tmall/s/a", "p", 3)
					h.Deleted = true
					block := tables.NewOrders()
					block.Append(h, gone, tables.Stamp{CustomerID: person(1)})
					s.insert(block)
				},
			}
			rand.New(rand.NewPCG(seed, 0)).Shuffle(len(write), func(i, j int) { write[i], write[j] = write[j], write[i] })
			for _, f := range write {
				f()
			}
			s.refresh()
			s.want("SELECT order_id, status, paid_amount FROM customer_orders", "o\tfinished\t2")
			s.want("SELECT item_id, paid_amount FROM customer_order_items ORDER BY item_id", "1\t1", "3\t1")
			s.want("SELECT orders, paid_amount FROM customer_360", "1\t2")
		})
	}
}

// An account order:NO lives while the newest version of its order belongs to
// it; its refunds and tickets follow the order to its buyer.
func TestOrderWhoseBuyerBecomesKnown(t *testing.T) {
	t.Parallel()
	for name, buyerFirst := range map[string]bool{"the buyer comes later": false, "the older version comes later": true} {
		t.Run(name, func(t *testing.T) {
			s := newStory(t)
			s.is("weidian/s/order:7", 1, "born")
			s.is("weidian/s/a", 2, "born")
			older := func() { s.order("weidian/s/order:7", "7", 1, paid(500, "CNY", 1)) }
			newer := func() { s.order("weidian/s/a", "7", 2, paid(500, "CNY", 1)) }
			if buyerFirst {
				newer()
				older()
			} else {
				older()
				s.refresh()
				s.want("SELECT customer_id, identified, orders FROM customer_360 ORDER BY customer_id", personID(1)+"\t0\t1", personID(2)+"\t1\t0")
				newer()
			}
			s.refund("weidian/s/order:7", "r", 1, &events.Refund{OrderId: "7", Status: events.RefundStatus_REFUND_STATUS_SUCCEEDED, Currency: "CNY", RefundMinor: 500})
			s.ticket("weidian/s/order:7", "r", 1, &events.Ticket{Kind: "refund", OrderId: "7", Status: events.TicketStatus_TICKET_STATUS_OPEN})
			s.refresh()
			s.want("SELECT customer_id, orders, refunded_amount, open_tickets FROM customer_360", personID(2)+"\t1\t5\t1")
			s.want("SELECT account, customer_id FROM customer_refunds", "weidian/s/a\t"+personID(2))
			s.want("SELECT account, customer_id FROM customer_tickets", "weidian/s/a\t"+personID(2))
			s.want("SELECT refunded_amount FROM customer_orders", "5")
			// Another refund of the same order that names its buyer, and a later refund of an order that nobody knows.
			s.is("weidian/s/order:8", 3, "born")
			s.refund("weidian/s/order:8", "q", 1, &events.Refund{OrderId: "8", Status: events.RefundStatus_REFUND_STATUS_SUCCEEDED, Currency: "CNY", RefundMinor: 1})
			s.refresh()
			s.want("SELECT count() FROM customer_360", "1")
		})
	}
}

func TestMergeAndSplitMoveFactsByOneRow(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	s.is("tmall/s/a", 1, "born")
	s.is("douyin/s/b", 2, "born")
	s.order("tmall/s/a", "1", 1, paid(100, "CNY", 1))
	s.order("douyin/s/b", "2", 1, paid(200, "CNY", 1))
	s.refresh()
	s.want("SELECT count() FROM customer_360", "2")
	s.is("douyin/s/b", 1, "merged: phone")
	s.refresh()
	s.want("SELECT customer_id, orders, paid_amount, accounts FROM customer_360", personID(1)+"\t2\t3\t{'douyin':1,'tmall':1}")
	s.want("SELECT DISTINCT customer_id FROM customer_orders", personID(1))
	s.want("SELECT account, customer_id, why, since FROM identity_map_current ORDER BY account",
		"douyin/s/b\t"+personID(1)+"\tmerged: phone\t2026-05-03 12:00:00", "tmall/s/a\t"+personID(1)+"\tborn\t2026-05-01 12:00:00")
	s.is("douyin/s/b", 2, "split")
	s.refresh()
	s.want("SELECT customer_id, paid_amount FROM customer_360 ORDER BY customer_id", personID(1)+"\t1", personID(2)+"\t2")
	// Who came back is there since the first time, as if nothing had been; the history knows better.
	s.want("SELECT account, customer_id, why, since FROM identity_map_current ORDER BY account",
		"douyin/s/b\t"+personID(2)+"\tborn\t2026-05-02 12:00:00", "tmall/s/a\t"+personID(1)+"\tborn\t2026-05-01 12:00:00")
	s.want("SELECT customer_id, why, moved_at FROM account_history WHERE account = 'douyin/s/b' ORDER BY move",
		personID(2)+"\tborn\t2026-05-02 12:00:00.000", personID(1)+"\tmerged: phone\t2026-05-03 12:00:00.000", personID(2)+"\tsplit\t2026-05-04 12:00:00.000")
	s.is("douyin/s/b", 1, "merged: email")
	s.want("SELECT why, since FROM identity_map_current WHERE account = 'douyin/s/b'", "merged: phone\t2026-05-03 12:00:00")
}

// A repeated insert is dropped by its token, with what hangs on the table.
func TestTokenDropsARepeatedInsert(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	s.is("tmall/s/a", 1, "born")
	block := tables.NewOrders()
	block.Append(s.header("tmall/s/a", "o", 1), paid(1, "CNY", 1), tables.Stamp{CustomerID: person(1)})
	for range 3 {
		if err := s.c.Insert(t.Context(), block, "same"); err != nil {
			t.Fatal(err)
		}
	}
	s.want("SELECT (SELECT count() FROM orders), (SELECT count() FROM history_by_account)", "1\t1")
}
