package profile

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"oneid/identity"
	"oneid/internal/clickhouse"
	"oneid/internal/customer/decided"
)

// Customer is a living customer.
type Customer struct {
	ID identity.CustomerID
	// Accounts of the customer, earliest-born first. An account order:NO is
	// among them also when its order has left it: see Past.Living.
	Accounts []identity.Account
	// RedirectedFrom is the id that was asked for, if it leads here; zero
	// otherwise.
	RedirectedFrom identity.CustomerID
}

// Identity says who is who. All methods may be called concurrently. What was
// never seen is no error: false, or nothing.
type Identity interface {
	// FindIdentifier returns the accounts that were seen with an identifier,
	// those of the strongest role first, then by key.
	FindIdentifier(ctx context.Context, id identity.Identifier) ([]identity.Account, error)
	// CustomerOf returns the customer of an account.
	CustomerOf(ctx context.Context, account identity.Account) (identity.CustomerID, bool, error)
	// Customer returns the living customer that an id stands for, through
	// any redirects.
	Customer(ctx context.Context, id identity.CustomerID) (Customer, bool, error)
	// Evidence returns what is known of accounts, sorted.
	Evidence(ctx context.Context, accounts []identity.Account) ([]identity.Evidence, error)
}

// Stored is the Identity that lies in ClickHouse, for where no resolver runs.
type Stored struct{ db *clickhouse.Conn }

// NewStored makes a Stored over a migrated database.
func NewStored(db *clickhouse.Conn) *Stored { return &Stored{db} }

var _ Identity = (*Stored)(nil)

type accountRow struct {
	Platform string `ch:"platform"`
	Shop     string `ch:"shop"`
	Account  string `ch:"account"`
}

func (r accountRow) account() identity.Account {
	return identity.Account{Platform: r.Platform, Shop: r.Shop, ID: r.Account}
}

// hexOf writes a hash as a literal.
func hexOf(h identity.Hash) string { return fmt.Sprintf("unhex('%x')", h[:]) }

// FindIdentifier implements Identity.
func (s *Stored) FindIdentifier(ctx context.Context, id identity.Identifier) ([]identity.Account, error) {
	var rows []struct {
		accountRow
		Role string `ch:"role"`
	}
	err := s.db.Select(ctx, "find an identifier", &rows, "SELECT DISTINCT CAST(platform AS String) AS platform, CAST(shop AS String) AS shop, account, CAST(role AS String) AS role FROM "+s.db.Database()+".evidence_by_identifier"+
		" WHERE hash = "+hexOf(id.Hash)+" AND type = "+clickhouse.Quote(string(id.Type)), lookup...)
	if err != nil {
		return nil, err
	}
	strongest := map[identity.Account]identity.Role{}
	for _, r := range rows {
		role, ok := identity.ParseRole(r.Role)
		if !ok {
			continue // of a later version
		}
		if before, ok := strongest[r.account()]; !ok || role < before {
			strongest[r.account()] = role
		}
	}
	accounts := make([]identity.Account, 0, len(strongest))
	for a := range strongest {
		accounts = append(accounts, a)
	}
	slices.SortFunc(accounts, func(a, b identity.Account) int {
		return cmp.Or(cmp.Compare(strongest[a], strongest[b]), a.Compare(b))
	})
	return accounts, nil
}

// CustomerOf implements Identity.
func (s *Stored) CustomerOf(ctx context.Context, a identity.Account) (identity.CustomerID, bool, error) {
	var rows []struct {
		Customer uuid.UUID `ch:"customer_id"`
	}
	var in set
	in.add(a.Platform, a.Shop, a.ID)
	err := s.db.Select(ctx, "find an account", &rows, "SELECT customer_id FROM "+s.db.Database()+".identity_map FINAL WHERE (platform, shop, account) IN "+in.String(), lookup...)
	if err != nil || len(rows) == 0 {
		return identity.CustomerID{}, false, err
	}
	return identity.CustomerID(rows[0].Customer), true, nil
}

// order sorts the accounts: the one whose id the customer bears, then the
// earliest-born, those of one batch by key. All sources say it in this order.
func (c *Customer) order(born func(identity.Account) uint64) {
	later := func(a identity.Account) int {
		if a.BirthID() == c.ID {
			return 0
		}
		return 1
	}
	slices.SortFunc(c.Accounts, func(a, b identity.Account) int {
		return cmp.Or(cmp.Compare(later(a), later(b)), cmp.Compare(born(a), born(b)), a.Compare(b))
	})
}

// Customer implements Identity. An id that was handed out and leads elsewhere
// now has its redirect, which is written anew whenever its customer merges
// again, so one step is enough.
func (s *Stored) Customer(ctx context.Context, id identity.CustomerID) (Customer, bool, error) {
	db, asked := s.db.Database(), clickhouse.Quote(id.String())
	// An account that has moved on is still listed under its former customer:
	// only identity_map says where it is.
	var rows []struct {
		accountRow
		Customer uuid.UUID `ch:"customer_id"`
		Born     uint64    `ch:"born"`
	}
	err := s.db.Select(ctx, "find a customer", &rows, "WITH (SELECT if(count() = 0, toUUID("+asked+"), argMax(to_customer_id, version)) FROM "+db+".redirects WHERE from_customer_id = toUUID("+asked+")) AS living"+
		" SELECT CAST(platform AS String) AS platform, CAST(shop AS String) AS shop, account, customer_id, born FROM "+db+".identity_map FINAL"+
		" WHERE (platform, shop, account) IN (SELECT platform, shop, account FROM "+db+".identity_map_by_customer WHERE customer_id = living) AND customer_id = living", lookup...)
	if err != nil || len(rows) == 0 {
		return Customer{}, false, err
	}
	born := make(map[identity.Account]uint64, len(rows))
	c := Customer{ID: identity.CustomerID(rows[0].Customer), Accounts: make([]identity.Account, len(rows))}
	for i, r := range rows {
		c.Accounts[i] = r.account()
		born[r.account()] = r.Born
	}
	c.order(func(a identity.Account) uint64 { return born[a] })
	if c.ID != id {
		c.RedirectedFrom = id
	}
	return c, true, nil
}

// Evidence implements Identity.
func (s *Stored) Evidence(ctx context.Context, accounts []identity.Account) ([]identity.Evidence, error) {
	if len(accounts) == 0 {
		return nil, nil
	}
	var in set
	for _, a := range accounts {
		in.add(a.Platform, a.Shop, a.ID)
	}
	var rows []struct {
		accountRow
		Type   string    `ch:"type"`
		Hash   string    `ch:"hash"`
		Role   string    `ch:"role"`
		Source string    `ch:"source"`
		First  time.Time `ch:"first"`
		Last   time.Time `ch:"last"`
	}
	err := s.db.Select(ctx, "read the evidence of accounts", &rows, "SELECT CAST(platform AS String) AS platform, CAST(shop AS String) AS shop, account, CAST(type AS String) AS type, hash, CAST(role AS String) AS role, CAST(source AS String) AS source, min(first_seen) AS first, max(last_seen) AS last FROM "+s.db.Database()+".evidence"+
		" WHERE (platform, shop, account) IN "+in.String()+" GROUP BY platform, shop, account, type, hash, role, source", lookup...)
	if err != nil {
		return nil, err
	}
	evidence := make([]identity.Evidence, 0, len(rows))
	for _, r := range rows {
		role, ok := identity.ParseRole(r.Role)
		if !ok || len(r.Hash) != len(identity.Hash{}) {
			continue // of a later version
		}
		evidence = append(evidence, identity.Evidence{
			Account: r.account(), Identifier: identity.Identifier{Type: identity.IdentifierType(r.Type), Hash: identity.Hash([]byte(r.Hash))},
			Role: role, Source: r.Source, First: r.First.Unix(), Last: r.Last.Unix(),
		})
	}
	slices.SortFunc(evidence, identity.Evidence.Compare)
	return evidence, nil
}

// Known implements Source.
func (s *Stored) Known(ctx context.Context, accounts []identity.Account) ([]identity.Account, error) {
	if len(accounts) == 0 {
		return nil, nil
	}
	var in set
	for _, a := range accounts {
		in.add(a.Platform, a.Shop, a.ID)
	}
	var rows []accountRow
	err := s.db.Select(ctx, "find accounts", &rows, "SELECT DISTINCT CAST(platform AS String) AS platform, CAST(shop AS String) AS shop, account FROM "+s.db.Database()+".identity_map WHERE (platform, shop, account) IN "+in.String(), lookup...)
	if err != nil {
		return nil, err
	}
	known := make([]identity.Account, len(rows))
	for i, r := range rows {
		known[i] = r.account()
	}
	return known, nil
}

// SealedValues returns the sealed values of identifiers, as far as they are
// kept: an erased one is not.
func (s *Stored) SealedValues(ctx context.Context, ids []identity.Identifier) (map[identity.Identifier][]byte, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	list := make([]string, len(ids))
	for i, id := range ids {
		list[i] = "(" + hexOf(id.Hash) + "," + clickhouse.Quote(string(id.Type)) + ")"
	}
	var rows []struct {
		Type   string `ch:"type"`
		Hash   string `ch:"hash"`
		Sealed string `ch:"sealed"`
	}
	err := s.db.Select(ctx, "read sealed values", &rows, "SELECT CAST(type AS String) AS type, hash, sealed FROM "+s.db.Database()+".identifier_values WHERE (hash, type) IN ("+strings.Join(list, ",")+")", lookup...)
	if err != nil {
		return nil, err
	}
	values := make(map[identity.Identifier][]byte, len(rows))
	for _, r := range rows {
		if len(r.Hash) != len(identity.Hash{}) {
			continue
		}
		id := identity.Identifier{Type: identity.IdentifierType(r.Type), Hash: identity.Hash([]byte(r.Hash))}
		// Two of one value may not be merged yet; which of them does not matter, but let it be one.
		if before, ok := values[id]; !ok || bytes.Compare([]byte(r.Sealed), before) < 0 {
			values[id] = []byte(r.Sealed)
		}
	}
	return values, nil
}

// Decisions returns what people decided about accounts, with the undos of
// those decisions, in the order of their ids: what identity.Explain needs.
func (s *Stored) Decisions(ctx context.Context, accounts []identity.Account, given *identity.Rules) ([]identity.Decision, *identity.Rules, error) {
	if len(accounts) == 0 {
		return nil, given, nil
	}
	decisions, err := decided.Read(ctx, s.db, accounts, lookup...)
	var set identity.Decisions
	for _, d := range decisions {
		set.Add(d)
	}
	return decisions, set.Rules(given), err
}

// AccountOfOrder returns the account to which the newest version of an order
// belongs; false for an order that is not there.
func (h *History) AccountOfOrder(ctx context.Context, platform, shop, order string) (identity.Account, bool, error) {
	account, err := h.orders.get(ctx, key{platform, shop, order})
	return account, account != identity.Account{}, err
}

// accountsOfOrders answers several questions of AccountOfOrder with one
// statement; the zero Account stands for no such order.
func (h *History) accountsOfOrders(ctx context.Context, orders []key) ([]identity.Account, error) {
	var in set
	for _, k := range orders {
		in.add(k.platform, k.shop, k.id)
	}
	var rows []struct {
		accountRow
		Order string `ch:"order_id"`
	}
	err := h.db.Select(ctx, "find orders", &rows, "SELECT CAST(platform AS String) AS platform, CAST(shop AS String) AS shop, account, order_id FROM "+h.db.Database()+".orders FINAL WHERE (platform, shop, order_id) IN "+in.String(), lookup...)
	if err != nil {
		return nil, err
	}
	of := make(map[key]identity.Account, len(rows))
	for _, r := range rows {
		of[key{r.Platform, r.Shop, r.Order}] = r.account()
	}
	accounts := make([]identity.Account, len(orders))
	for i, k := range orders {
		accounts[i] = of[k]
	}
	return accounts, nil
}

// Living leaves out the accounts order:NO whose order has left them. It asks
// only if there are such.
func (h *History) Living(ctx context.Context, accounts []identity.Account) ([]identity.Account, error) {
	if !slices.ContainsFunc(accounts, func(a identity.Account) bool { return !a.Identified() }) {
		return accounts, nil
	}
	past, err := h.Of(ctx, accounts)
	if err != nil {
		return nil, err
	}
	return past.Living, nil
}
