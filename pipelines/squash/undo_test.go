package squash

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"oneid/internal/kafka"
	"oneid/pipelines/flowtest"
	"oneid/schemas/events"
)

// shownToAll are the public views, in an order; since and why tell of the
// past, which is another after a merge that was undone.
var shownToAll = []string{
	"SELECT * FROM customer_360 ORDER BY customer_id",
	"SELECT * FROM customer_orders ORDER BY platform, shop, order_id",
	"SELECT * FROM customer_order_items ORDER BY platform, shop, order_id, item_id",
	"SELECT * FROM customer_refunds ORDER BY platform, shop, refund_id",
	"SELECT * FROM customer_tickets ORDER BY platform, shop, ticket_id",
	"SELECT account, customer_id FROM identity_map_current ORDER BY account",
}

// undoing is a flow whose people change their minds.
type undoing struct {
	*testing.T
	*flowtest.Flow
	r       *rand.Rand
	resolve func(...kafka.Message) uint64
}

func (u *undoing) shows() []string {
	u.Helper()
	all := make([]string, len(shownToAll))
	for i, query := range shownToAll {
		var err error
		if all[i], err = u.Database.Query(u.Context(), query+" FORMAT TSV"); err != nil {
			u.Fatal(err)
		}
	}
	return all
}

// squash folds what has moved into the facts, one time in two.
func (u *undoing) squash(done uint64) {
	u.Helper()
	if u.r.IntN(2) == 0 {
		return
	}
	if _, err := (&Squash{ClickHouse: u.ClickHouse, Limit: time.Minute, Log: slog.New(slog.DiscardHandler)}).Run(u.Context(), done); err != nil {
		u.Fatal(err)
	}
	if err := u.ClickHouse.RefreshViews(u.Context()); err != nil {
		u.Fatal(err)
	}
}

const accounts = 24

// facts are a random account's user, order, refund and ticket.
func (u *undoing) facts(n int) []kafka.Message {
	var all []kafka.Message
	for range n {
		no := u.r.IntN(accounts)
		at := int64(1_700_000_000_000 + u.r.IntN(1_000_000_000))
		e := flowtest.User(no, fmt.Sprintf("1380013%04d", no/2+u.r.IntN(2)), at)
		h := e.Header
		if kind := u.r.IntN(4); kind > 0 {
			h.EntityId, h.Person = fmt.Sprint(u.r.IntN(60)), nil
			h.Account = fmt.Sprint(u.r.IntN(accounts))
			h.Shop = fmt.Sprint("s", h.Account[len(h.Account)-1]%2)
			money := int64(u.r.IntN(10_000))
			switch kind {
			case 1:
				e.Body = &events.Event_Order{Order: &events.Order{
					PaidMs: at, CreatedMs: at, PaidMinor: money, Currency: "CNY",
					Items: []*events.OrderItem{{ItemId: "1", Title: "tea", Quantity: 1, PaidMinor: money}},
				}}
				h.Stream = "orders"
			case 2:
				e.Body = &events.Event_Refund{Refund: &events.Refund{OrderId: h.EntityId, RefundMinor: money, Currency: "CNY", Status: events.RefundStatus_REFUND_STATUS_SUCCEEDED, CreatedMs: at}}
				h.Stream = "refunds"
			case 3:
				e.Body = &events.Event_Ticket{Ticket: &events.Ticket{OrderId: h.EntityId, CreatedMs: at}}
				h.Stream = "tickets"
			}
		}
		all = append(all, u.Message(u, e))
	}
	return all
}

func (u *undoing) word(d *events.Decision) kafka.Message {
	u.Helper()
	d.DecidedMs = time.Now().UnixMilli()
	value, err := proto.Marshal(d)
	if err != nil {
		u.Fatal(err)
	}
	return kafka.Message{Topic: u.Topics.Decisions, Key: []byte(d.GetDecisionId()), Value: value}
}

// What was merged and parted again is as if it had never been merged, field by
// field and id by id, whether or not the facts were rewritten in between; and
// what came meanwhile belongs to its account's customer.
func TestUndoneIsNeverMade(t *testing.T) {
	t.Parallel()
	moved := 0
	for seed := range uint64(2) {
		f := flowtest.New(t)
		store := f.State(t)
		u := &undoing{T: t, Flow: f, r: rand.New(rand.NewPCG(seed, 7))}
		u.resolve = func(messages ...kafka.Message) uint64 {
			t.Helper()
			f.Publish(t, messages...)
			r, _ := f.Resolver(t, store, nil)
			if err := flowtest.Run(t, r); err != nil {
				t.Fatal(err)
			}
			return r.Done()
		}
		u.resolve(u.facts(150)...)
		before := u.shows()

		var words, undos []kafka.Message
		for i := range 8 {
			a, b := u.r.IntN(accounts), u.r.IntN(accounts)
			id := fmt.Sprintf("%d-%d", seed, i)
			kind := events.DecisionKind_DECISION_KIND_SAME
			if u.r.IntN(4) == 0 {
				kind = events.DecisionKind_DECISION_KIND_DIFFERENT
			}
			words = append(words, u.word(&events.Decision{DecisionId: id, Kind: kind, Accounts: []string{
				fmt.Sprintf("tmall/s%d/%d", a%2, a), fmt.Sprintf("tmall/s%d/%d", b%2, b),
			}}))
			undos = append(undos, u.word(&events.Decision{DecisionId: "undo " + id, Kind: events.DecisionKind_DECISION_KIND_UNDO, Undoes: id}))
		}
		u.squash(u.resolve(words...))
		if during := u.shows(); cmp.Diff(before, during) != "" {
			moved++
		}
		u.r.Shuffle(len(undos), func(i, j int) { undos[i], undos[j] = undos[j], undos[i] })
		u.squash(u.resolve(undos...))
		after := u.shows()
		for i, query := range shownToAll {
			if diff := cmp.Diff(strings.Split(before[i], "\n"), strings.Split(after[i], "\n")); diff != "" {
				t.Errorf("seed %d: %s (-never made +undone)\n%s", seed, query, diff)
			}
		}

		// Made once more, with facts that come meanwhile.
		words = words[:0]
		for i := range 8 {
			a, b := u.r.IntN(accounts), u.r.IntN(accounts)
			words = append(words, u.word(&events.Decision{DecisionId: fmt.Sprintf("%d-more-%d", seed, i), Kind: events.DecisionKind_DECISION_KIND_SAME, Accounts: []string{
				fmt.Sprintf("tmall/s%d/%d", a%2, a), fmt.Sprintf("tmall/s%d/%d", b%2, b),
			}}))
		}
		u.resolve(words...)
		u.squash(u.resolve(u.facts(60)...))
		undos = undos[:0]
		for i := range 8 {
			undos = append(undos, u.word(&events.Decision{DecisionId: fmt.Sprintf("%d-undo-%d", seed, i), Kind: events.DecisionKind_DECISION_KIND_UNDO, Undoes: fmt.Sprintf("%d-more-%d", seed, i)}))
		}
		u.squash(u.resolve(undos...))
		for _, view := range []string{"customer_orders", "customer_order_items", "customer_refunds", "customer_tickets"} {
			strangers, err := f.Database.Query(t.Context(), "SELECT v.account, v.customer_id, m.customer_id FROM "+view+" AS v LEFT JOIN identity_map_current AS m USING (account) WHERE v.customer_id != m.customer_id FORMAT TSV")
			if err != nil || strangers != "" {
				t.Errorf("seed %d: %s shows facts under strangers (%v):\n%s", seed, view, err, strangers)
			}
		}
	}
	if moved == 0 {
		t.Error("no decision moved anything")
	}
}
