package profile

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"oneid/identity"
	"oneid/internal/clickhouse"
	"oneid/internal/customer"
	"oneid/schemas/events"
)

// lastOrders is how many orders a profile shows.
const lastOrders = 10

// pseudo begins the id of an account that stands for the buyer of one order.
const pseudo = "order:"

// History reads what happened to the accounts of a customer. It may be used
// concurrently: look-ups that come at the same time share their statements.
type History struct {
	db     *clickhouse.Conn
	source Source
	gather *gatherer[[]identity.Account, *Past]
	orders *gatherer[key, identity.Account]
}

// NewHistory makes a History over a migrated database; source says which
// accounts there are.
func NewHistory(db *clickhouse.Conn, source Source) *History {
	h := &History{db: db, source: source}
	h.gather = newGatherer(h.read)
	h.orders = newGatherer(h.accountsOfOrders)
	return h
}

// Past is all that happened to some accounts.
type Past struct {
	// Living are the accounts that count: an account order:NO does so only
	// while the newest version of its order belongs to it. In the order of
	// the question.
	Living []identity.Account
	// Memberships are the shops (platform/shop) whose member an account is,
	// sorted.
	Memberships []string
	// Orders and Tickets are all there are, newest first.
	Orders  []customer.Order
	Tickets []customer.Ticket

	totals []customer.Totals
	open   []customer.Ticket
}

// History is the part of the past that a profile shows.
func (p *Past) History() customer.History {
	return customer.History{
		Totals: p.totals, LastOrders: p.Orders[:min(len(p.Orders), lastOrders)], OpenTickets: p.open, Tickets: uint64(len(p.Tickets)),
	}
}

// Of reads the past of a customer's accounts. What it returns may be shared;
// do not change it.
func (h *History) Of(ctx context.Context, accounts []identity.Account) (*Past, error) {
	return h.gather.get(ctx, accounts)
}

// entity is a row of any kind.
type entity struct {
	Kind     string    `ch:"kind"`
	Platform string    `ch:"platform"`
	Shop     string    `ch:"shop"`
	ID       string    `ch:"id"`
	Account  string    `ch:"account"`
	OrderID  string    `ch:"order_id"`
	Status   string    `ch:"status"`
	Word     string    `ch:"word"` // platform's status of an order, kind of a ticket
	Subject  string    `ch:"subject"`
	Created  time.Time `ch:"created_at"`
	Paid     time.Time `ch:"paid_at"`
	Currency string    `ch:"currency"`
	Minor    int64     `ch:"minor"`
	Deleted  uint8     `ch:"is_deleted"`
	// Version in 32 hexadecimal digits.
	Version string `ch:"version"`
	// More is what else is known of a ticket, in the order of the places below;
	// empty of anything else, and of a row of before migration 010.
	More []string `ch:"more"`
}

// The places in entity.More, which stand behind aboutPlaces.
const (
	moreChannel = iota
	morePriority
	moreAnswered
	moreSolved
	moreAgent
	moreSatisfaction
	morePlaces
)

// The places in history_by_account.about.
const (
	aboutKind = iota
	aboutID
	aboutOrder
	aboutStatus
	aboutWord
	aboutSubject
	aboutCreated
	aboutPaid
	aboutCurrency
	aboutMinor
	aboutDeleted
	aboutVersion
	aboutPlaces
)

// entityOf reads a row of history_by_account.
func entityOf(account string, about []string) (entity, error) {
	a, err := identity.ParseAccount(account)
	if err != nil || len(about) < aboutPlaces {
		return entity{}, errRow
	}
	created, errCreated := strconv.ParseInt(about[aboutCreated], 10, 64)
	paid, errPaid := strconv.ParseInt(about[aboutPaid], 10, 64)
	minor, errMinor := strconv.ParseInt(about[aboutMinor], 10, 64)
	deleted, errDeleted := strconv.ParseUint(about[aboutDeleted], 10, 8)
	if errors.Join(errCreated, errPaid, errMinor, errDeleted) != nil {
		return entity{}, errRow
	}
	return entity{
		Kind: about[aboutKind], Platform: a.Platform, Shop: a.Shop, ID: about[aboutID], Account: a.ID, OrderID: about[aboutOrder], Status: about[aboutStatus],
		Word: about[aboutWord], Subject: about[aboutSubject], Created: time.Unix(created, 0).UTC(), Paid: time.Unix(paid, 0).UTC(),
		Currency: about[aboutCurrency], Minor: minor, Deleted: uint8(deleted), Version: about[aboutVersion], More: about[aboutPlaces:],
	}, nil
}

// errRow repeats nothing of the row, which is a person's.
var errRow = errors.New("profile: a row of history_by_account is not as its migration writes it; look at the materialized views *_to_history")

// key names an entity of one kind.
type key struct{ platform, shop, id string }

func (e *entity) key() key   { return key{e.Platform, e.Shop, e.ID} }
func (e *entity) order() key { return key{e.Platform, e.Shop, e.OrderID} }

// read answers several look-ups: with one statement, unless an account
// order:NO is among them, or stands in for one of them.
func (h *History) read(ctx context.Context, asked [][]identity.Account) ([]*Past, error) {
	all, pseudos := make(map[identity.Account]bool), make(map[identity.Account]bool)
	for _, accounts := range asked {
		for _, a := range accounts {
			all[a] = true
			if strings.HasPrefix(a.ID, pseudo) {
				pseudos[a] = true
			}
		}
	}
	rows, err := h.ofAccounts(ctx, slices.Collect(maps.Keys(all)))
	if err != nil {
		return nil, err
	}
	standing, err := h.standing(ctx, rows, all)
	if err != nil {
		return nil, err
	}
	if len(standing) > 0 {
		more, err := h.ofAccounts(ctx, standing)
		if err != nil {
			return nil, err
		}
		rows = append(rows, more...)
	}
	if len(pseudos) > 0 {
		keys, err := h.keys(ctx, pseudos)
		if err != nil {
			return nil, err
		}
		more, err := h.entities(ctx, keys)
		if err != nil {
			return nil, err
		}
		rows = append(rows, more...)
	}
	f := arrange(newest(rows))
	pasts := make([]*Past, len(asked))
	for i, accounts := range asked {
		pasts[i] = f.past(accounts)
	}
	return pasts, nil
}

// ofAccounts reads what lies with accounts. The newest version of an entity
// may come with older ones.
func (h *History) ofAccounts(ctx context.Context, accounts []identity.Account) ([]entity, error) {
	if len(accounts) == 0 {
		return nil, nil
	}
	list := make([]string, len(accounts))
	for i, a := range accounts {
		list[i] = clickhouse.Quote(a.String())
	}
	var rows []struct {
		Account string   `ch:"account"`
		About   []string `ch:"about"`
	}
	err := h.db.Select(ctx, "read a customer's history", &rows,
		"SELECT account, about FROM "+h.db.Database()+".history_by_account WHERE account IN ("+strings.Join(list, ",")+")", lookup...)
	if err != nil {
		return nil, err
	}
	entities := make([]entity, len(rows))
	for i, r := range rows {
		if entities[i], err = entityOf(r.Account, r.About); err != nil {
			return nil, err
		}
	}
	return entities, nil
}

// standing are the accounts order:NO of what the rows name as their order, as
// far as there are such and they were not read yet. With them lie the newest
// versions of refunds and tickets whose other versions lie with the buyer:
// those that came before the order named him, or that do not name him.
func (h *History) standing(ctx context.Context, rows []entity, read map[identity.Account]bool) ([]identity.Account, error) {
	may := make(map[identity.Account]bool)
	for i := range rows {
		a := identity.Account{Platform: rows[i].Platform, Shop: rows[i].Shop, ID: pseudo + rows[i].OrderID}
		if rows[i].OrderID != "" && !read[a] {
			may[a] = true
		}
	}
	if len(may) == 0 {
		return nil, nil
	}
	return h.source.Known(ctx, slices.Collect(maps.Keys(may)))
}

// hexVersion is a version as history_by_account has it.
const hexVersion = "leftPad(hex(version), 32, '0') AS version"

// newest leaves the newest version of each entity, as long as it lives.
func newest(rows []entity) []entity {
	type name struct {
		kind string
		of   key
	}
	at := make(map[name]int, len(rows))
	kept := rows[:0]
	for _, row := range rows {
		n := name{row.Kind, row.key()}
		if row.Kind == "member" {
			n.of.id = row.Account
		}
		i, seen := at[n]
		switch {
		case !seen:
			at[n] = len(kept)
			kept = append(kept, row)
		case kept[i].Version < row.Version, kept[i].Version == row.Version && len(kept[i].More) < len(row.More):
			kept[i] = row
		}
	}
	return slices.DeleteFunc(kept, func(e entity) bool { return e.Deleted == 1 })
}

// found are the keys of what some orders may have.
type found struct{ orders, refunds, tickets map[key]bool }

// keys reads which refunds and tickets the orders of accounts order:NO have
// had, under whatever account.
func (h *History) keys(ctx context.Context, accounts map[identity.Account]bool) (*found, error) {
	f := &found{orders: map[key]bool{}, refunds: map[key]bool{}, tickets: map[key]bool{}}
	var own set
	for a := range accounts {
		id := strings.TrimPrefix(a.ID, pseudo)
		own.add(a.Platform, a.Shop, id)
		f.orders[key{a.Platform, a.Shop, id}] = true
	}
	query := "SELECT DISTINCT CAST(platform AS String) AS platform, CAST(shop AS String) AS shop, CAST(kind AS String) AS kind, id FROM " +
		h.db.Database() + ".entities_by_order WHERE (platform, shop, order_id) IN " + own.String()
	var rows []struct {
		Platform string `ch:"platform"`
		Shop     string `ch:"shop"`
		Kind     string `ch:"kind"`
		ID       string `ch:"id"`
	}
	if err := h.db.Select(ctx, "read what an order has", &rows, query, lookup...); err != nil {
		return nil, err
	}
	for _, r := range rows {
		k := key{r.Platform, r.Shop, r.ID}
		switch r.Kind {
		case "refund":
			f.refunds[k] = true
		case "ticket":
			f.tickets[k] = true
		}
	}
	return f, nil
}

// lookup are the settings of look-ups: short statements beside others. A
// column that is shown under its own name as plain text is still the column
// in a condition, so that its index is used.
var lookup = []clickhouse.Setting{{Name: "max_threads", Value: 1}, {Name: "max_query_size", Value: 64 << 20}, {Name: "prefer_column_name_to_alias", Value: 1}}

// entities reads the newest version of what the keys name.
func (h *History) entities(ctx context.Context, f *found) ([]entity, error) {
	const (
		nothingMore = ", CAST([] AS Array(String)) AS more"

		orders = "SELECT 'order' AS kind, CAST(platform AS String) AS platform, CAST(shop AS String) AS shop, order_id AS id, account, order_id, CAST(status AS String) AS status," +
			" CAST(platform_status AS String) AS word, '' AS subject, created_at, paid_at, CAST(currency AS String) AS currency, paid_minor AS minor, is_deleted, " + hexVersion + nothingMore
		refunds = "SELECT 'refund' AS kind, CAST(platform AS String) AS platform, CAST(shop AS String) AS shop, refund_id AS id, account, order_id, CAST(status AS String) AS status," +
			" '' AS word, '' AS subject, created_at, toDateTime(0, 'UTC') AS paid_at, CAST(currency AS String) AS currency, refund_minor AS minor, is_deleted, " + hexVersion + nothingMore
		tickets = "SELECT 'ticket' AS kind, CAST(platform AS String) AS platform, CAST(shop AS String) AS shop, ticket_id AS id, account, order_id, CAST(status AS String) AS status," +
			" CAST(t.kind AS String) AS word, subject, created_at, toDateTime(0, 'UTC') AS paid_at, '' AS currency, toInt64(0) AS minor, is_deleted, " + hexVersion +
			", [toString(channel), toString(priority), toString(toUnixTimestamp(first_answer_at)), toString(toUnixTimestamp(solved_at)), agent, toString(satisfaction)] AS more"
	)
	var parts []string
	part := func(columns, table, id string, keys map[key]bool) {
		if len(keys) == 0 {
			return
		}
		var in set
		for k := range keys {
			in.add(k.platform, k.shop, k.id)
		}
		parts = append(parts, columns+" FROM "+h.db.Database()+"."+table+" FINAL WHERE (platform, shop, "+id+") IN "+in.String())
	}
	part(orders, "orders", "order_id", f.orders)
	part(refunds, "refunds", "refund_id", f.refunds)
	part(tickets, "tickets AS t", "ticket_id", f.tickets)
	if len(parts) == 0 {
		return nil, nil
	}
	var rows []entity
	err := h.db.Select(ctx, "read a customer's history", &rows, strings.Join(parts, " UNION ALL "), lookup...)
	return rows, err
}

// set is the right side of an IN.
type set struct {
	text strings.Builder
	n    int
}

func (s *set) add(values ...string) {
	s.text.WriteString([2]string{"((", ",("}[min(s.n, 1)])
	for i, v := range values {
		if i > 0 {
			s.text.WriteByte(',')
		}
		s.text.WriteString(clickhouse.Quote(v))
	}
	s.text.WriteByte(')')
	s.n++
}

func (s *set) String() string { return s.text.String() + ")" }

// facts are the rows of a batch, by whom they belong to.
type facts struct {
	orders   map[key]*entity
	of       map[identity.Account][]*entity
	refunded map[refundKey]int64
	member   map[identity.Account]bool
}

type refundKey struct {
	order    key
	currency string
}

// arrange gives each row to its account: what an account order:NO has is the
// order's buyer's once the order names one.
func arrange(rows []entity) *facts {
	f := &facts{
		orders: map[key]*entity{}, of: map[identity.Account][]*entity{}, refunded: map[refundKey]int64{}, member: map[identity.Account]bool{},
	}
	for i := range rows {
		if rows[i].Kind == "order" {
			f.orders[rows[i].key()] = &rows[i]
		}
	}
	for i := range rows {
		e := &rows[i]
		if e.Kind == "member" {
			f.member[identity.Account{Platform: e.Platform, Shop: e.Shop, ID: e.Account}] = true
			continue
		}
		account := e.Account
		if order := f.orders[e.order()]; e.Kind != "order" && account == pseudo+e.OrderID && order != nil {
			account = order.Account
		}
		a := identity.Account{Platform: e.Platform, Shop: e.Shop, ID: account}
		f.of[a] = append(f.of[a], e)
		if e.Kind == "refund" && e.Status == "succeeded" {
			f.refunded[refundKey{e.order(), e.Currency}] += e.Minor
		}
	}
	return f
}

// lives says whether an account counts.
func (f *facts) lives(a identity.Account) bool {
	id, ok := strings.CutPrefix(a.ID, pseudo)
	if !ok {
		return true
	}
	order := f.orders[key{a.Platform, a.Shop, id}]
	return order != nil && order.Account == a.ID
}

// sum is what was paid in one currency.
type sum struct {
	orders         uint64
	paid, refunded int64
	first, last    time.Time
}

// past gathers what belongs to some accounts.
func (f *facts) past(accounts []identity.Account) *Past {
	p := &Past{Memberships: []string{}, Orders: []customer.Order{}, Tickets: []customer.Ticket{}, totals: []customer.Totals{}, open: []customer.Ticket{}}
	sums := map[string]*sum{}
	of := func(currency string) *sum {
		if sums[currency] == nil {
			sums[currency] = new(sum)
		}
		return sums[currency]
	}
	for _, a := range accounts {
		if f.member[a] {
			p.Memberships = append(p.Memberships, a.Platform+"/"+a.Shop)
		}
		if !f.lives(a) {
			continue
		}
		p.Living = append(p.Living, a)
		for _, e := range f.of[a] {
			switch e.Kind {
			case "order":
				p.Orders = append(p.Orders, f.order(e, a))
				if e.Paid.Unix() > 0 {
					s := of(e.Currency)
					if s.orders == 0 || e.Created.Before(s.first) {
						s.first = e.Created
					}
					if s.orders == 0 || e.Created.After(s.last) {
						s.last = e.Created
					}
					s.orders++
					s.paid += e.Minor
				}
			case "refund":
				if e.Status == "succeeded" {
					of(e.Currency).refunded += e.Minor
				}
			case "ticket":
				p.Tickets = append(p.Tickets, e.ticket(a))
			}
		}
	}
	slices.Sort(p.Memberships)
	p.Memberships = slices.Compact(p.Memberships)
	slices.SortFunc(p.Orders, func(a, b customer.Order) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), strings.Compare(a.Account, b.Account), strings.Compare(a.OrderID, b.OrderID))
	})
	slices.SortFunc(p.Tickets, func(a, b customer.Ticket) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), strings.Compare(a.Account, b.Account), strings.Compare(a.TicketID, b.TicketID))
	})
	for _, t := range p.Tickets {
		if t.Status == "open" || t.Status == "pending" {
			p.open = append(p.open, t)
		}
	}
	for currency, s := range sums {
		p.totals = append(p.totals, s.totals(currency))
	}
	// The currency of most orders first, as in customer_360.
	slices.SortFunc(p.totals, func(a, b customer.Totals) int {
		return cmp.Or(cmp.Compare(b.Orders, a.Orders), strings.Compare(a.Currency, b.Currency))
	})
	return p
}

// ticket is a ticket as the service desk sees it.
func (e *entity) ticket(a identity.Account) customer.Ticket {
	t := customer.Ticket{
		Account: a.String(), TicketID: e.ID, Kind: e.Word, Status: e.Status, Subject: e.Subject, OrderID: e.OrderID, CreatedAt: e.Created.UTC(),
	}
	if len(e.More) < morePlaces {
		return t
	}
	t.Channel, t.Priority, t.Agent = e.More[moreChannel], e.More[morePriority], e.More[moreAgent]
	t.FirstAnswerAt, t.SolvedAt = momentOf(e.More[moreAnswered]), momentOf(e.More[moreSolved])
	t.Satisfaction, _ = strconv.Atoi(e.More[moreSatisfaction]) // ClickHouse wrote it
	return t
}

// momentOf is a time in seconds as a text; nil for 0.
func momentOf(seconds string) *time.Time {
	n, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil || n <= 0 {
		return nil
	}
	t := time.Unix(n, 0).UTC()
	return &t
}

func (s *sum) totals(currency string) customer.Totals {
	t := customer.Totals{
		Currency: currency, Orders: s.orders, PaidAmount: amount(s.paid, currency), RefundedAmount: amount(s.refunded, currency), NetAmount: amount(s.paid-s.refunded, currency),
	}
	if s.orders > 0 {
		first, last := s.first.UTC(), s.last.UTC()
		t.FirstOrderAt, t.LastOrderAt = &first, &last
	}
	return t
}

func (f *facts) order(e *entity, a identity.Account) customer.Order {
	o := customer.Order{
		Account: a.String(), OrderID: e.ID, Status: e.Status, PlatformStatus: e.Word, CreatedAt: e.Created.UTC(),
		PaidAmount: amount(e.Minor, e.Currency), RefundedAmount: amount(f.refunded[refundKey{e.key(), e.Currency}], e.Currency), Currency: e.Currency,
	}
	if e.Paid.Unix() > 0 {
		at := e.Paid.UTC()
		o.PaidAt = &at
	}
	return o
}

// amount writes an amount with the digits that its currency has.
func amount(minor int64, currency string) string { return events.FormatMinor(minor, currency) }
