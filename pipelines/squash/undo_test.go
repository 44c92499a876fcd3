package squash

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"oneid/identity"
	"oneid/identity/engine"
	"oneid/internal/customer"
	"oneid/internal/customer/insight"
	"oneid/internal/customer/profile"
	"oneid/internal/kafka"
	"oneid/internal/state"
	"oneid/pipelines/flowtest"
	"oneid/schemas/events"
)

// views are the public views about customers, in an order; but for account_history,
// which tells of the past, that a merge was made and undone.
var views = []string{
	"SELECT * FROM customer_360 ORDER BY customer_id",
	"SELECT * FROM customer_orders ORDER BY platform, shop, order_id",
	"SELECT * FROM customer_order_items ORDER BY platform, shop, order_id, item_id",
	"SELECT * FROM customer_refunds ORDER BY platform, shop, refund_id",
	"SELECT * FROM customer_tickets ORDER BY platform, shop, ticket_id",
	"SELECT * FROM identity_map_current ORDER BY account",
	"SELECT * FROM customer_redirects WHERE customer_id IN known ORDER BY customer_id",
}

// questions are the statements of the analysts' guide, as they stand there.
func questions(t *testing.T) (all []string) {
	t.Helper()
	page, err := os.ReadFile("../../docs/analyse.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range strings.Split(string(page), "\n```sql\n")[1:] {
		query, _, _ := strings.Cut(block, "\n```")
		if !strings.Contains(query, "account_history") {
			all = append(all, query)
		}
	}
	if len(all) < 10 || !strings.Contains(strings.Join(all, ""), "holdout") {
		t.Fatal("docs/analyse.md has fewer questions than it had")
	}
	return all
}

// stored are the facts as they lie in their tables once all is folded in.
var stored = []string{
	"SELECT * FROM orders FINAL ORDER BY platform, shop, order_id",
	"SELECT * FROM refunds FINAL ORDER BY platform, shop, refund_id",
	"SELECT * FROM tickets FINAL ORDER BY platform, shop, ticket_id",
	"SELECT * FROM users FINAL ORDER BY platform, shop, user_id",
}

// undoing is a flow whose people change their minds.
type undoing struct {
	*testing.T
	*flowtest.Flow
	store  *state.Store
	engine *engine.Engine
	known  uint64   // the last move before anybody decided anything
	ids    []string // some that were handed out by then
	r      *rand.Rand
	name   string
	// alone takes each word in a batch of its own. Else those that come together
	// are one batch.
	alone bool
}

// resolve brings messages into the state and into ClickHouse, in batches that no
// clock cuts, and returns the last one's sequence.
func (u *undoing) resolve(messages ...kafka.Message) uint64 {
	u.Helper()
	r, e := u.Resolver(u, u.store, nil)
	u.engine, r.BatchEvents, r.BatchWait = e, len(messages), time.Minute
	parts := [][]kafka.Message{messages}
	if u.alone && messages[0].Topic == u.Topics.Decisions {
		r.BatchEvents, parts = 1, slices.Collect(slices.Chunk(messages, 1))
	}
	ctx, cancel := context.WithTimeout(u.Context(), 10*time.Minute)
	defer cancel()
	ended := make(chan error, 1)
	go func() { defer cancel(); ended <- r.Run(ctx) }()
	var err error
	for _, part := range parts {
		u.Publish(u, part...)
		if err = r.CaughtUp(ctx); err != nil {
			break
		}
	}
	cancel()
	if err := errors.Join(<-ended, err); err != nil {
		u.Fatal(err)
	}
	return r.Done()
}

// asks is the answer to one query.
func (u *undoing) asks(query string) string {
	u.Helper()
	query = strings.ReplaceAll(query, " IN known", fmt.Sprintf(" IN (SELECT customer_id FROM account_history WHERE move <= %d)", u.known))
	rows, err := u.Database.Query(u.Context(), query+" FORMAT TSV")
	if err != nil {
		u.Fatal(err)
	}
	return rows
}

// shows are the answers to queries.
func (u *undoing) shows(queries []string) map[string]string {
	u.Helper()
	all := map[string]string{}
	for _, query := range queries {
		all[query] = u.asks(query)
	}
	return all
}

func ownID(t testing.TB, account string) string {
	t.Helper()
	a, err := identity.ParseAccount(account)
	if err != nil {
		t.Fatal(err)
	}
	return a.BirthID().String()
}

// bears is each account's customer of today.
func (u *undoing) bears() map[string]string {
	u.Helper()
	all := map[string]string{}
	for line := range strings.Lines(u.asks("SELECT account, customer_id FROM identity_map_current")) {
		account, customer, _ := strings.Cut(strings.TrimSpace(line), "\t")
		all[account] = customer
	}
	return all
}

// nameless are the first account of a customer, and one that was born into it:
// nobody was ever given its own id. Of customers of two accounts, if there are any.
func (u *undoing) nameless() []string {
	u.Helper()
	of := map[string][]string{}
	for account, customer := range u.bears() {
		of[customer] = append(of[customer], account)
	}
	handed := strings.Fields(u.asks("SELECT DISTINCT customer_id FROM account_history"))
	var found []string
	for _, customer := range slices.Sorted(maps.Keys(of)) {
		first := slices.IndexFunc(of[customer], func(account string) bool { return ownID(u, account) == customer })
		for _, account := range slices.Sorted(slices.Values(of[customer])) {
			if !slices.Contains(handed, ownID(u, account)) && (found == nil || len(of[customer]) == 2) {
				found = []string{of[customer][first], account}
			}
		}
	}
	if found == nil {
		u.Fatalf("%s: every id was handed out", u.name)
	}
	return found
}

// meanwhile looks at the ids that were handed out only between the decisions and
// their undoing, and counts them: whoever noted one finds its account's customer.
func (u *undoing) meanwhile(when string) (n int) {
	u.Helper()
	bears, owner := u.bears(), map[string]string{}
	for account := range bears {
		owner[ownID(u, account)] = account
	}
	handed := strings.Fields(u.asks("SELECT DISTINCT customer_id FROM account_history WHERE NOT customer_id IN known"))
	led := map[string]string{}
	for line := range strings.Lines(u.asks("SELECT customer_id, leads_to FROM customer_redirects WHERE NOT customer_id IN known")) {
		id, to, _ := strings.Cut(strings.TrimSpace(line), "\t")
		led[id] = to
		if !slices.Contains(handed, id) {
			u.Errorf("%s, %s: %s leads to %s, and was never handed out", u.name, when, id, to)
		}
	}
	for _, id := range handed {
		// Facts that came meanwhile may have parted its account for good: it bears the id.
		if want := bears[owner[id]]; want == "" || led[id] != want && (led[id] != "" || want != id) {
			u.Errorf("%s, %s: %s, handed out meanwhile, leads to %q; its account %s is of %q", u.name, when, id, led[id], owner[id], want)
		}
	}
	return len(handed)
}

// tells is what the service desk sees: every profile by account and by id, from
// the state and from ClickHouse, and the pairs that people are asked about.
func (u *undoing) tells() map[string]string {
	u.Helper()
	all := map[string]string{}
	kept := profile.NewStored(u.ClickHouse)
	for from, source := range map[string]profile.Source{"state": &profile.State{Engine: u.engine, Values: u.store}, "ClickHouse": kept} {
		p := &profile.Profiles{Source: source, History: profile.NewHistory(u.ClickHouse, source), Keys: u.Keys, Rules: u.Rules, Models: u.Models}
		var keys []customer.Key
		for no := range accounts {
			keys = append(keys, customer.Key{Account: accountOf(no)})
		}
		for _, id := range u.ids {
			keys = append(keys, customer.Key{Customer: id})
		}
		for _, key := range keys {
			found, err := p.Lookup(u.Context(), key, false)
			if err != nil {
				u.Fatal(err)
			}
			text, err := json.MarshalIndent(found, "", " ")
			if err != nil {
				u.Fatal(err)
			}
			all[fmt.Sprintf("the profile of %s%s from the %s", key.Account, key.Customer, from)] = string(text)
		}
	}
	all[toPeople] = u.queue()
	return all
}

const toPeople = "the questions to people"

// queue is what people are asked.
func (u *undoing) queue() string {
	u.Helper()
	asked, err := (&insight.Reporter{ClickHouse: u.ClickHouse, Rules: u.Rules, Models: u.Models}).Queue(u.Context(), 1000)
	if err != nil {
		u.Fatal(err)
	}
	text, err := json.MarshalIndent(asked, "", " ")
	if err != nil {
		u.Fatal(err)
	}
	return string(text)
}

var undoneRuns = flag.Uint64("undone", 2, "random histories that are undone")

// undoingOf is the flow of one run. The first four have each of two rules, of which
// one asks by receivers, and take words together and alone.
func undoingOf(t *testing.T, run uint64) *undoing {
	t.Helper()
	f := flowtest.New(t)
	if run&1 == 1 {
		rules, err := identity.ParseRules([]byte(askingFew))
		if err != nil {
			t.Fatal(err)
		}
		f.Rules = rules
	}
	alone := (run^run>>1)&1 == 1
	return &undoing{T: t, Flow: f, store: f.State(t), r: rand.New(rand.NewPCG(run, 7)), alone: alone, name: fmt.Sprintf("run %d, each word alone: %v", run, alone)}
}

// same wants two sights of everything to be equal, field by field.
func (u *undoing) same(when string, before, after map[string]string) {
	u.Helper()
	for what := range before {
		if diff := cmp.Diff(strings.Split(before[what], "\n"), strings.Split(after[what], "\n")); diff != "" {
			u.Errorf("%s, %s: %s (-never made +undone)\n%s", u.name, when, what, diff)
		}
	}
}

// fold rewrites the facts of all that has moved.
func (u *undoing) fold(done uint64) {
	u.Helper()
	if _, err := (&Squash{ClickHouse: u.ClickHouse, Log: slog.New(slog.DiscardHandler)}).Run(u.Context(), done); err != nil {
		u.Fatal(err)
	}
	if err := u.ClickHouse.RefreshViews(u.Context()); err != nil {
		u.Fatal(err)
	}
}

// squash folds what has moved into the facts, one time in two.
func (u *undoing) squash(done uint64) {
	u.Helper()
	if u.r.IntN(2) == 0 {
		u.fold(done)
	}
}

const accounts = 24

var platforms = [2]string{"tmall", "douyin"}

func accountOf(no int) string { return fmt.Sprintf("%s/s%d/%d", platforms[no%2], no%2, no) }

// facts are a random account's user, order, refund and ticket.
func (u *undoing) facts(n int) []kafka.Message {
	var all []kafka.Message
	for range n {
		no := u.r.IntN(accounts)
		at := int64(1_700_000_000_000 + u.r.IntN(200)*86_400_000)
		e := flowtest.User(no, fmt.Sprintf("1380013%04d", no/2+u.r.IntN(2)), at)
		h := e.Header
		// Four accounts are sent parcels to one door, some under a neighbour's name.
		h.Person.Receiver = &events.Receiver{Name: string(rune('一' + no/4 + u.r.IntN(2))), Phone: fmt.Sprintf("139%08d", no/4), City: []string{"杭州市", "宁波市"}[u.r.IntN(2)]}
		if kind := u.r.IntN(4); kind > 0 {
			h.EntityId, h.Person = fmt.Sprint(u.r.IntN(60)), nil
			no = u.r.IntN(accounts)
			h.Account, h.Shop = fmt.Sprint(no), fmt.Sprint("s", no%2)
			money := int64(u.r.IntN(10_000))
			switch kind {
			case 1:
				e.Body = &events.Event_Order{Order: &events.Order{
					PaidMs: at, CreatedMs: at, PaidMinor: money, Currency: "CNY",
					Items: []*events.OrderItem{{ItemId: "1", Title: "tea", Quantity: 1, PaidMinor: money}},
				}}
				h.Stream = "orders"
			case 2:
				e.Body = &events.Event_Refund{Refund: &events.Refund{OrderId: h.EntityId, RefundMinor: money, Currency: "CNY", Status: events.RefundStatus(u.r.IntN(7)), CreatedMs: at}}
				h.Stream = "refunds"
			case 3:
				e.Body = &events.Event_Ticket{Ticket: &events.Ticket{OrderId: h.EntityId, CreatedMs: at, Status: events.TicketStatus(u.r.IntN(5))}}
				h.Stream = "tickets"
			}
		}
		h.Platform = platforms[no%2]
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

// pair are two accounts with one phone, born in one batch and never heard of again:
// the id of the one was handed out to nobody.
func (u *undoing) pair() (all []kafka.Message) {
	for no := accounts; no < accounts+2; no++ {
		e := flowtest.User(no, "13800139999", 1_700_000_000_000)
		e.Header.Platform = platforms[no%2]
		all = append(all, u.Message(u, e))
	}
	return all
}

// askingFew join nobody by receivers and ask of few, askingMore of everybody who has sent
// anything to one door.
var (
	askingFew  = strings.Replace(otherRules[1], "accept: 8, review: 4, least_days: 1", "accept: 13, review: 8, least_days: 60", 1)
	askingMore = strings.Replace(askingFew, "least_days: 60", "least_days: 0", 1)
)

// Rules that are adopted and taken back, which join by receivers or by less.
var otherRules = []string{
	"largest_customer: 50\ntypes:\n  phone: {priority: 1, join: {member: 90}}\n",
	"largest_customer: 9\ntypes:\n  phone: {priority: 1, join: {member: 90}, accounts: 3}\nmodel: {use: plain, accept: 8, review: 4, least_days: 1, block: 12, strength: 9, per_shop: 2}\n",
}

// What was merged and parted again is as if it had never been merged, field by
// field and id by id, in profiles, facts, views, audiences and in what people are
// asked, whether or not the facts were rewritten in between, by words about
// accounts as by rules, whether words are taken one by one or together; and what
// came meanwhile belongs to its account's customer.
//
// An id that was handed out only in between, as to an account that was parted from
// the customer into which it was born, is known since then and cannot be unsaid:
// it leads to the customer of its account. Each that was known before leads where
// it led.
func TestUndoneIsNeverMade(t *testing.T) {
	t.Parallel()
	shownToAll := append(slices.Clone(views), questions(t)...) // the guide's audiences among them
	differed := map[string]bool{}
	meanwhile, asked := false, 0
	for run := range *undoneRuns {
		u := undoingOf(t, run)
		u.resolve(append(u.pair(), u.facts(50)...)...)
		u.resolve(u.facts(50)...)
		u.fold(u.resolve(u.facts(50)...))
		if _, err := fmt.Sscan(u.asks("SELECT max(move) FROM account_history"), &u.known); err != nil {
			t.Fatal(err)
		}
		u.ids = strings.Fields(u.asks("SELECT DISTINCT customer_id FROM account_history ORDER BY customer_id LIMIT 8"))
		everything := append(slices.Clone(shownToAll), stored...)
		before, told := u.shows(everything), u.tells()

		var words, undos []kafka.Message
		for i := range 8 {
			a, b := u.r.IntN(accounts), u.r.IntN(accounts)
			id := fmt.Sprintf("%d-%d", run, i)
			kind := events.DecisionKind_DECISION_KIND_SAME
			if u.r.IntN(4) == 0 {
				kind = events.DecisionKind_DECISION_KIND_DIFFERENT
			}
			word := &events.Decision{DecisionId: id, Kind: kind, Accounts: []string{accountOf(a), accountOf(b)}}
			if i == 0 { // an id is handed out by it
				word.Kind, word.Accounts = events.DecisionKind_DECISION_KIND_DIFFERENT, u.nameless()
			}
			if i%4 == 3 {
				word = &events.Decision{DecisionId: id, Kind: events.DecisionKind_DECISION_KIND_ADOPT, Rules: []byte(otherRules[i/4])}
			}
			words = append(words, u.word(word))
			undos = append(undos, u.word(&events.Decision{DecisionId: "undo " + id, Kind: events.DecisionKind_DECISION_KIND_UNDO, Undoes: id}))
		}
		u.squash(u.resolve(words...))
		during := u.shows(shownToAll)
		for _, query := range shownToAll {
			if during[query] != before[query] {
				differed[query] = true
			}
		}
		asking := fmt.Sprintf("%d-asking", run)
		u.resolve(u.word(&events.Decision{DecisionId: asking, Kind: events.DecisionKind_DECISION_KIND_ADOPT, Rules: []byte(askingMore)}))
		undos = append(undos, u.word(&events.Decision{DecisionId: "undo " + asking, Kind: events.DecisionKind_DECISION_KIND_UNDO, Undoes: asking}))
		if strings.Contains(u.queue(), string(identity.ReviewModel)) && u.queue() != told[toPeople] {
			asked++
		}
		u.r.Shuffle(len(undos), func(i, j int) { undos[i], undos[j] = undos[j], undos[i] })
		done := u.resolve(undos...)
		u.squash(done)
		after := u.shows(shownToAll)
		for _, query := range stored {
			after[query] = before[query] // the facts' own columns may be stale until they are folded
		}
		u.same("undone", before, after)
		u.same("undone", told, u.tells())
		u.fold(done)
		u.same("undone and folded in", before, u.shows(everything))
		if u.meanwhile("undone") > 0 {
			meanwhile = true
		}

		// Made once more, with facts that come meanwhile.
		words = words[:0]
		for i := range 8 {
			a, b := u.r.IntN(accounts), u.r.IntN(accounts)
			words = append(words, u.word(&events.Decision{DecisionId: fmt.Sprintf("%d-more-%d", run, i), Kind: events.DecisionKind_DECISION_KIND_SAME, Accounts: []string{accountOf(a), accountOf(b)}}))
		}
		u.resolve(words...)
		u.squash(u.resolve(u.facts(60)...))
		undos = undos[:0]
		for i := range 8 {
			undos = append(undos, u.word(&events.Decision{DecisionId: fmt.Sprintf("%d-undo-%d", run, i), Kind: events.DecisionKind_DECISION_KIND_UNDO, Undoes: fmt.Sprintf("%d-more-%d", run, i)}))
		}
		u.squash(u.resolve(undos...))
		for _, view := range []string{"customer_orders", "customer_order_items", "customer_refunds", "customer_tickets"} {
			if strangers := u.asks("SELECT v.account, v.customer_id, m.customer_id FROM " + view + " AS v LEFT JOIN identity_map_current AS m USING (account) WHERE v.customer_id != m.customer_id"); strangers != "" {
				t.Errorf("%s: %s shows facts under strangers:\n%s", u.name, view, strangers)
			}
		}
		u.meanwhile("undone with facts that came meanwhile")
	}
	if asked == 0 {
		t.Error("no decision changed what people are asked: the test shows nothing of it")
	}
	if !meanwhile {
		t.Error("no id was handed out only meanwhile: the test shows nothing of such")
	}
	for _, query := range shownToAll {
		if !differed[query] && (strings.Contains(query, "customer_id") || strings.Contains(query, "customer_360")) {
			t.Errorf("no decision changed the answer to this: the test shows nothing of it\n%s", query)
		}
	}
}
