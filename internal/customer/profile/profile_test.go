package profile

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"oneid/identity"
	"oneid/internal/clickhouse"
	"oneid/internal/embedded/chdb/chdbtest"
	"oneid/schemas/events"
	"oneid/schemas/tables"
)

func TestMain(m *testing.M) { chdbtest.Main(m) }

func open(t testing.TB) (*clickhouse.Conn, chdbtest.Database) {
	t.Helper()
	d := chdbtest.Start(t)
	c, err := clickhouse.Open(t.Context(), clickhouse.Config{URL: d.URL, Database: d.Name, User: d.User, Password: d.Password})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := c.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c, d
}

func insert(t testing.TB, c *clickhouse.Conn, blocks ...tables.Block) {
	t.Helper()
	for _, b := range blocks {
		if err := c.Insert(t.Context(), b, fmt.Sprintf("%s/%p/%d", b.Table(), b, b.Rows())); err != nil {
			t.Fatal(err)
		}
	}
}

func header(a identity.Account, id string, version int64) *events.Header {
	return &events.Header{Platform: a.Platform, Shop: a.Shop, EntityId: id, Account: a.ID, Version: &events.Version{ModifiedMs: version}}
}

// The history that look-ups read is the one that the public views show, for
// random versions in random order, accounts that stand in for buyers
// included.
func TestHistoryIsWhatTheViewsShow(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			c, d := open(t)
			r := rand.New(rand.NewPCG(seed, 1))
			accounts := []identity.Account{{Platform: "tmall", Shop: "s", ID: "a"}, {Platform: "douyin", Shop: "s", ID: "b"}, {Platform: "tmall", Shop: "s", ID: "c"}}
			owner := map[identity.Account]identity.CustomerID{accounts[0]: {1}, accounts[1]: {1}, accounts[2]: {2}, {Platform: "tmall", Shop: "s", ID: "b"}: {2}}
			orders, refunds, tickets, users := tables.NewOrders(), tables.NewRefunds(), tables.NewTickets(), tables.NewUsers()
			for n := range 30 {
				shop := accounts[r.IntN(2)]
				id := fmt.Sprint(shop.Platform, n%12)
				stands := identity.Account{Platform: shop.Platform, Shop: "s", ID: pseudo + id}
				owner[stands] = stands.BirthID()
				// An order that names its buyer keeps him; it may come without.
				named := accounts[n%12%3]
				named.Platform = shop.Platform
				if shop.Platform == "douyin" {
					named = accounts[1]
				}
				whose := []identity.Account{named, stands}
				a := whose[r.IntN(2)]
				minor := r.Int64N(5000)
				paid := int64(0)
				if r.IntN(4) > 0 {
					paid = 1_700_000_000_000 + int64(n)*1000
				} else {
					minor = 0
				}
				currency := []string{"CNY", "JPY"}[min(r.IntN(5), 1)^1]
				orders.Append(header(a, id, r.Int64N(1000)), &events.Order{
					Status: events.OrderStatus_ORDER_STATUS_PAID, CreatedMs: 1_700_000_000_000 + r.Int64N(1e6)*1000, PaidMs: paid, Currency: currency, PaidMinor: minor,
				}, tables.Stamp{CustomerID: owner[a]})
				a = whose[r.IntN(2)]
				refunds.Append(header(a, "r"+id, r.Int64N(1000)), &events.Refund{
					OrderId: id, Status: events.RefundStatus(1 + r.IntN(6)), Currency: currency, RefundMinor: r.Int64N(100),
				}, tables.Stamp{CustomerID: owner[a]})
				a = whose[r.IntN(2)]
				tickets.Append(header(a, "t"+id, r.Int64N(1000)), &events.Ticket{
					OrderId: id, Kind: "service", Status: events.TicketStatus(1 + r.IntN(4)), CreatedMs: 1_700_000_000_000 + r.Int64N(1e6)*1000,
				}, tables.Stamp{CustomerID: owner[a]})
				if r.IntN(3) == 0 {
					users.Append(header(named, named.ID, int64(n)), &events.User{Member: r.IntN(2) == 0}, tables.Stamp{CustomerID: owner[named]})
				}
			}
			members := tables.NewIdentityMap()
			of := map[identity.CustomerID][]identity.Account{}
			for a, id := range owner {
				members.Append(tables.Account(a), id, time.Unix(0, 0).UTC(), "born", 1, 1)
				of[id] = append(of[id], a)
			}
			insert(t, c, orders, refunds, tickets, users, members)
			if err := c.RefreshViews(t.Context()); err != nil {
				t.Fatal(err)
			}
			history := NewHistory(c, NewStored(c))
			query := func(text string) []string {
				got, err := d.Query(t.Context(), text)
				if err != nil {
					t.Fatal(err)
				}
				return strings.FieldsFunc(got, func(r rune) bool { return r == '\n' })
			}
			var want, got []string
			want = query("SELECT customer_id, orders, if(orders = 0, 0, paid_amount), if(orders = 0, 0, refunded_amount), currency, tickets, open_tickets, member_of FROM customer_360 ORDER BY customer_id::String")
			var lists []string
			for id, accounts := range of {
				past, err := history.Of(t.Context(), accounts)
				if err != nil {
					t.Fatal(err)
				}
				if len(past.Living) == 0 {
					continue
				}
				h := past.History()
				n, first := uint64(0), []string{"0", "0", ""}
				for _, total := range h.Totals {
					n += total.Orders
				}
				if n > 0 {
					first = []string{short(h.Totals[0].PaidAmount), short(h.Totals[0].RefundedAmount), h.Totals[0].Currency}
				}
				member := "[]"
				if len(past.Memberships) > 0 {
					member = "['" + strings.Join(past.Memberships, "','") + "']"
				}
				got = append(got, strings.Join([]string{id.String(), fmt.Sprint(n), first[0], first[1], first[2], fmt.Sprint(h.Tickets), fmt.Sprint(len(h.OpenTickets)), member}, "\t"))
				for _, o := range past.Orders {
					lists = append(lists, strings.Join([]string{id.String(), o.Account, o.OrderID, o.Status, short(o.PaidAmount), short(o.RefundedAmount), o.Currency, fmt.Sprint(o.PaidAt != nil)}, "\t"))
				}
			}
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("customer_360 (-) and the profiles (+):\n%s", diff)
			}
			slices.Sort(lists)
			orderRows := query("SELECT customer_id, account, order_id, status, paid_amount, refunded_amount, currency, paid_at IS NOT NULL ? 'true' : 'false' FROM customer_orders ORDER BY customer_id::String, account, order_id")
			slices.Sort(orderRows)
			if diff := cmp.Diff(orderRows, lists); diff != "" {
				t.Errorf("customer_orders (-) and the profiles (+):\n%s", diff)
			}
		})
	}
}

// short writes an amount as ClickHouse does: without zeroes at its end.
func short(amount string) string {
	if !strings.Contains(amount, ".") {
		return amount
	}
	return strings.TrimSuffix(strings.TrimRight(amount, "0"), ".")
}

func TestStoredIdentity(t *testing.T) {
	c, _ := open(t)
	a, b, z := identity.Account{Platform: "tmall", Shop: "s", ID: "it's/a\\b"}, identity.Account{Platform: "douyin", Shop: "s", ID: "b"}, identity.Account{Platform: "weidian", Shop: "s", ID: "z"}
	phone := identity.Identifier{Type: identity.Phone, Hash: identity.Hash{1, 0, 0xff}}
	members, redirects, evidence, values, decisions := tables.NewIdentityMap(), tables.NewRedirects(), tables.NewEvidence(), tables.NewIdentifierValues(), tables.NewDecisions()
	at := time.Unix(1_700_000_000, 0).UTC()
	members.Append(tables.Account(b), b.BirthID(), at, "born", 5, 5)
	members.Append(tables.Account(a), a.BirthID(), at, "born", 7, 7)
	members.Append(tables.Account(a), b.BirthID(), at, "merged: phone", 7, 9)
	members.Append(tables.Account(z), z.BirthID(), at, "born", 8, 8)
	redirects.Append(a.BirthID(), b.BirthID(), at, 9)
	evidence.Append(tables.Account(a), "phone", phone.Hash, "receiver", "tmall", 100, 200)
	evidence.Append(tables.Account(a), "phone", phone.Hash, "receiver", "tmall", 50, 60)
	evidence.Append(tables.Account(b), "phone", phone.Hash, "member", "douyin", 100, 200)
	evidence.Append(tables.Account(b), "email", phone.Hash, "member", "douyin", 100, 200)
	values.Append("phone", phone.Hash, []byte("sealed\x00"))
	decisions.Append(&events.Decision{DecisionId: "d1", Kind: events.DecisionKind_DECISION_KIND_SAME, Accounts: []string{a.String(), b.String()}, DecidedMs: 5}, 9)
	decisions.Append(&events.Decision{DecisionId: "d2", Kind: events.DecisionKind_DECISION_KIND_UNDO, Undoes: "d1", DecidedMs: 6}, 10)
	insert(t, c, members, redirects, evidence, values, decisions)

	s := NewStored(c)
	want := func(name string, got, want any, err error) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
	found, err := s.FindIdentifier(t.Context(), phone)
	want("FindIdentifier: the member before the receiver", found, []identity.Account{b, a}, err)
	found, err = s.FindIdentifier(t.Context(), identity.Identifier{Type: identity.UnionID, Hash: phone.Hash})
	want("FindIdentifier of another type", found, []identity.Account{}, err)
	id, ok, err := s.CustomerOf(t.Context(), a)
	want("CustomerOf", []any{id, ok}, []any{b.BirthID(), true}, err)
	_, ok, err = s.CustomerOf(t.Context(), identity.Account{Platform: "tmall", Shop: "s", ID: "nobody"})
	want("CustomerOf nobody", ok, false, err)
	customer, ok, err := s.Customer(t.Context(), b.BirthID())
	want("Customer", []any{customer, ok}, []any{Customer{ID: b.BirthID(), Accounts: []identity.Account{b, a}}, true}, err)
	customer, ok, err = s.Customer(t.Context(), a.BirthID())
	want("Customer, redirected", []any{customer, ok}, []any{Customer{ID: b.BirthID(), Accounts: []identity.Account{b, a}, RedirectedFrom: a.BirthID()}, true}, err)
	customer, ok, err = s.Customer(t.Context(), z.BirthID())
	want("Customer of one", []any{customer, ok}, []any{Customer{ID: z.BirthID(), Accounts: []identity.Account{z}}, true}, err)
	_, ok, err = s.Customer(t.Context(), identity.CustomerID{9})
	want("Customer that never was", ok, false, err)
	got, err := s.Evidence(t.Context(), []identity.Account{a})
	want("Evidence, widened", got, []identity.Evidence{{Account: a, Identifier: phone, Role: identity.RoleReceiver, Source: "tmall", First: 50, Last: 200}}, err)
	sealed, err := s.SealedValues(t.Context(), []identity.Identifier{phone})
	want("SealedValues", sealed, map[identity.Identifier][]byte{phone: []byte("sealed\x00")}, err)
	decided, _, err := s.Decisions(t.Context(), []identity.Account{a}, identity.DefaultRules())
	want("Decisions", decided, []identity.Decision{{ID: "d1", Kind: identity.Same, A: a, B: b, At: 5}, {ID: "d2", Kind: identity.Undo, Undoes: "d1", At: 6}}, err)
}

func TestGathererAnswersEach(t *testing.T) {
	var batches, most, under atomic.Int64
	g := newGatherer(func(_ context.Context, asked []int) ([]int, error) {
		most.Store(max(most.Load(), under.Add(1)))
		defer under.Add(-1)
		batches.Add(1)
		time.Sleep(2 * time.Millisecond)
		answers := make([]int, len(asked))
		for i, n := range asked {
			if n < 0 {
				return nil, errors.New("refused")
			}
			answers[i] = n * n
		}
		return answers, nil
	})
	var all sync.WaitGroup
	for n := range 300 {
		all.Go(func() {
			if got, err := g.get(t.Context(), n); err != nil || got != n*n {
				t.Errorf("get(%d) = %d, %v", n, got, err)
			}
		})
	}
	all.Wait()
	if batches.Load() > 150 || most.Load() > batchesAtOnce {
		t.Errorf("%d batches for 300 questions, %d at once; want far fewer, and %d", batches.Load(), most.Load(), batchesAtOnce)
	}
	// Those who refuse to wait and those whose question cannot be answered do
	// the others no harm.
	for n := range 300 {
		all.Go(func() {
			switch n % 3 {
			case 0:
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(n)*time.Microsecond)
				defer cancel()
				if got, err := g.get(ctx, n); got != n*n && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("get(%d) of one who goes = %d, %v", n, got, err)
				}
			case 1:
				if got, err := g.get(t.Context(), -n); err == nil {
					t.Errorf("get(%d) = %d; want an error", -n, got)
				}
			default:
				if got, err := g.get(t.Context(), n); err != nil || got != n*n {
					t.Errorf("get(%d) beside others = %d, %v", n, got, err)
				}
			}
		})
	}
	all.Wait()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := g.get(gone, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that has gone: %v", err)
	}
	if got, err := g.get(t.Context(), 3); got != 9 || err != nil {
		t.Errorf("after one has gone: %d, %v", got, err)
	}
}

// Callers that ask again as soon as they are answered are gathered in whole
// batches; one that asks alone waits for nobody.
func TestGathererWaitsForThoseWhoComeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const callers, rounds = 16, 50
		batches := 0
		g := newGatherer(func(_ context.Context, asked []int) ([]int, error) {
			batches++
			time.Sleep(10 * time.Millisecond)
			return asked, nil
		})
		var all sync.WaitGroup
		for n := range callers {
			all.Go(func() {
				for round := range rounds {
					time.Sleep(time.Duration((n*7+round)%9) * 100 * time.Microsecond) // what it does with the answer
					if got, err := g.get(t.Context(), n); err != nil || got != n {
						t.Errorf("get(%d) = %d, %v", n, got, err)
					}
				}
			})
		}
		all.Wait()
		if batches > rounds+rounds/5 {
			t.Errorf("%d batches for %d questions of %d callers; want little more than %d", batches, callers*rounds, callers, rounds)
		}
		// The first one alone may wait for the others, who are gone.
		_, _ = g.get(t.Context(), 1)
		began := time.Now()
		if _, err := g.get(t.Context(), 1); err != nil || time.Since(began) != 10*time.Millisecond {
			t.Errorf("alone it took %v, %v; want the statement's 10 ms", time.Since(began), err)
		}
	})
}

// Look-ups at the same time read what each alone reads.
func TestHistoriesAtOnceAreThoseOfEachAlone(t *testing.T) {
	c, _ := open(t)
	r := rand.New(rand.NewPCG(3, 3))
	orders, tickets, members := tables.NewOrders(), tables.NewTickets(), tables.NewIdentityMap()
	const accounts = 40
	account := func(n int) identity.Account {
		return identity.Account{Platform: []string{"tmall", "douyin"}[n%2], Shop: "s", ID: fmt.Sprint("a", n)}
	}
	for n := range 200 {
		a := account(r.IntN(accounts))
		id := fmt.Sprint("o", n)
		orders.Append(header(a, id, 1), &events.Order{Status: events.OrderStatus_ORDER_STATUS_PAID, CreatedMs: 1_700_000_000_000 + int64(n), PaidMs: 1_700_000_000_000, Currency: "CNY", PaidMinor: int64(n)}, tables.Stamp{})
		if n%3 == 0 { // some came before their order named its buyer
			stands := identity.Account{Platform: a.Platform, Shop: a.Shop, ID: pseudo + id}
			tickets.Append(header(stands, "t"+id, 1), &events.Ticket{OrderId: id, Kind: "service", Status: events.TicketStatus_TICKET_STATUS_OPEN, CreatedMs: 1_700_000_000_000}, tables.Stamp{})
			members.Append(tables.Account(stands), stands.BirthID(), time.Unix(0, 0).UTC(), "born", 1, 1)
		}
	}
	insert(t, c, orders, tickets, members)
	history := NewHistory(c, NewStored(c))
	asked, alone := make([][]identity.Account, 60), make([]*Past, 60)
	for i := range asked {
		for range r.IntN(4) {
			asked[i] = append(asked[i], account(r.IntN(accounts+3)))
		}
		asked[i] = slices.Compact(asked[i])
		var err error
		if alone[i], err = history.Of(t.Context(), asked[i]); err != nil {
			t.Fatal(err)
		}
	}
	var all sync.WaitGroup
	for i := range asked {
		all.Go(func() {
			got, err := history.Of(t.Context(), asked[i])
			if diff := cmp.Diff(alone[i], got, cmp.AllowUnexported(Past{})); diff != "" || err != nil {
				t.Errorf("of %v: %v, alone (-) and beside others (+):\n%s", asked[i], err, diff)
			}
		})
	}
	all.Wait()
}

// What was there before the migration that made history_by_account is in it
// as what comes afterwards, also when the migration was cut off and is run
// again.
func TestHistoryOfBeforeItsMigration(t *testing.T) {
	c, d := open(t)
	a := identity.Account{Platform: "tmall", Shop: "s", ID: "it's/a\\b"}
	orders, refunds, tickets, users := tables.NewOrders(), tables.NewRefunds(), tables.NewTickets(), tables.NewUsers()
	orders.Append(header(a, "o'1", 5), &events.Order{Status: events.OrderStatus_ORDER_STATUS_PAID, PlatformStatus: "已付", CreatedMs: 1_700_000_000_000, PaidMs: 1_700_000_060_000, Currency: "CNY", PaidMinor: -7}, tables.Stamp{})
	refunds.Append(header(a, "r", 5), &events.Refund{OrderId: "o'1", Status: events.RefundStatus_REFUND_STATUS_SUCCEEDED, Currency: "CNY", RefundMinor: 3}, tables.Stamp{})
	tickets.Append(header(a, "t", 5), &events.Ticket{OrderId: "o'1", Kind: "service", Subject: "a\tb\"c", Status: events.TicketStatus_TICKET_STATUS_OPEN, CreatedMs: 1_700_000_000_000,
		Channel: "call", Priority: "high", FirstAnswerMs: 1_700_000_300_000, SolvedMs: 1_700_000_600_000, Agent: "客服\"一", Satisfaction: 4}, tables.Stamp{})
	users.Append(header(a, a.ID, 5), &events.User{Member: true}, tables.Stamp{})
	insert(t, c, orders, refunds, tickets, users)
	const dump = "SELECT * FROM history_by_account FINAL ORDER BY ALL"
	want, err := d.Query(t.Context(), dump)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(want, "\n"); n != 4 {
		t.Fatalf("%d rows, want one each of order, refund, ticket and member:\n%s", n, want)
	}
	past, err := NewHistory(c, NewStored(c)).Of(t.Context(), []identity.Account{a})
	if err != nil || len(past.Orders) != 1 || past.Orders[0].PaidAmount != "-0.07" || past.Orders[0].PlatformStatus != "已付" || len(past.Tickets) != 1 || past.Tickets[0].Subject != "a\tb\"c" {
		t.Errorf("the past is %+v, %v", past, err)
	} else if got := past.Tickets[0]; got.Channel != "call" || got.Priority != "high" || got.FirstAnswerAt.Unix() != 1_700_000_300 || got.SolvedAt.Unix() != 1_700_000_600 || got.Agent != "客服\"一" || got.Satisfaction != 4 {
		t.Errorf("the ticket is %+v", got)
	}
	for _, statement := range []string{"TRUNCATE TABLE history_by_account", "DELETE FROM schema_migrations WHERE endsWith(name, 'history_by_account') OR endsWith(name, 'tickets_in_history')"} {
		if err := d.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := c.Migrate(t.Context()); n != 2 || err != nil {
		t.Fatalf("applied %d migrations, %v", n, err)
	}
	// Rows of before are there beside those of the newer migration.
	again, err := NewHistory(c, NewStored(c)).Of(t.Context(), []identity.Account{a})
	if err != nil || len(again.Tickets) != 1 || cmp.Diff(again.Tickets, past.Tickets) != "" {
		t.Errorf("after the migrations the past is %+v, %v", again, err)
	}
	got, err := d.Query(t.Context(), dump)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
}
