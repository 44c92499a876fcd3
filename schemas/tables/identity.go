package tables

import (
	"time"

	"github.com/google/uuid"

	"oneid/schemas/events"
)

// Account is an account's three columns.
type Account struct{ Platform, Shop, ID string }

// accounts are the columns of an account.
type accounts struct{ platform, shop, account *Texts }

func (a *accounts) init(c *columns) {
	a.platform, a.shop, a.account = texts(c, "platform"), texts(c, "shop"), texts(c, "account")
}

func (a *accounts) add(account Account) {
	a.platform.add(account.Platform)
	a.shop.add(account.Shop)
	a.account.add(account.ID)
}

// IdentityMap fills the table identity_map.
type IdentityMap struct {
	columns
	account  accounts
	customer *[]uuid.UUID
	since    *[]time.Time
	reason   *Texts
	born     *[]uint64
	version  *[]uint64
}

// NewIdentityMap makes an empty block.
func NewIdentityMap() *IdentityMap {
	m := new(IdentityMap)
	c := &m.columns
	m.account.init(c)
	m.customer, m.since, m.reason = slice[uuid.UUID](c, "customer_id"), slice[time.Time](c, "since"), texts(c, "reason")
	m.born, m.version = slice[uint64](c, "born"), slice[uint64](c, "version")
	return m
}

// Table implements Block.
func (*IdentityMap) Table() string { return "identity_map" }

// Append says that an account, born at a sequence, belongs to a customer.
func (m *IdentityMap) Append(a Account, customer [16]byte, since time.Time, reason string, born, version uint64) {
	m.rows++
	m.account.add(a)
	add(m.customer, id(customer))
	add(m.since, since)
	m.reason.add(reason)
	add(m.born, born)
	add(m.version, version)
}

// IdentityHistory fills the table identity_history.
type IdentityHistory struct {
	columns
	account            accounts
	version            *[]uint64
	previous, customer *[]uuid.UUID
	at                 *[]time.Time
	reason             *Texts
}

// NewIdentityHistory makes an empty block.
func NewIdentityHistory() *IdentityHistory {
	h := new(IdentityHistory)
	c := &h.columns
	h.account.init(c)
	h.version, h.previous, h.customer = slice[uint64](c, "version"), slice[uuid.UUID](c, "previous_customer_id"), slice[uuid.UUID](c, "customer_id")
	h.at, h.reason = slice[time.Time](c, "at"), texts(c, "reason")
	return h
}

// Table implements Block.
func (*IdentityHistory) Table() string { return "identity_history" }

// Append says that an account changed its customer; previous is zero at its
// birth.
func (h *IdentityHistory) Append(a Account, previous, customer [16]byte, at time.Time, reason string, version uint64) {
	h.rows++
	h.account.add(a)
	add(h.version, version)
	add(h.previous, id(previous))
	add(h.customer, id(customer))
	add(h.at, at)
	h.reason.add(reason)
}

// Overrides fills the table identity_overrides.
type Overrides struct {
	columns
	account  accounts
	customer *[]uuid.UUID
	version  *[]uint64
}

// NewOverrides makes an empty block.
func NewOverrides() *Overrides {
	o := new(Overrides)
	c := &o.columns
	o.account.init(c)
	o.customer, o.version = slice[uuid.UUID](c, "customer_id"), slice[uint64](c, "version")
	return o
}

// WatchVersion is the version of an override that says of no move: from a time
// on, an account is watched for facts that come late, with an older customer.
// It is above that of every move.
func WatchVersion(from time.Time) uint64 { return 1<<63 | uint64(max(from.Unix(), 0)) }

// Table implements Block.
func (*Overrides) Table() string { return "identity_overrides" }

// Append says that the facts of an account belong to another customer than
// they are stamped with.
func (o *Overrides) Append(a Account, customer [16]byte, version uint64) {
	o.rows++
	o.account.add(a)
	add(o.customer, id(customer))
	add(o.version, version)
}

// Redirects fills the table redirects.
type Redirects struct {
	columns
	from, to *[]uuid.UUID
	since    *[]time.Time
	version  *[]uint64
}

// NewRedirects makes an empty block.
func NewRedirects() *Redirects {
	r := new(Redirects)
	c := &r.columns
	r.from, r.to = slice[uuid.UUID](c, "from_customer_id"), slice[uuid.UUID](c, "to_customer_id")
	r.since, r.version = slice[time.Time](c, "since"), slice[uint64](c, "version")
	return r
}

// Table implements Block.
func (*Redirects) Table() string { return "redirects" }

// Append says where a customer_id leads to; to itself if it lives.
func (r *Redirects) Append(from, to [16]byte, since time.Time, version uint64) {
	r.rows++
	add(r.from, id(from))
	add(r.to, id(to))
	add(r.since, since)
	add(r.version, version)
}

// Evidence fills the table evidence.
type Evidence struct {
	columns
	account                  accounts
	kind, hash, role, source *Texts
	first, last              *[]int64
}

// NewEvidence makes an empty block.
func NewEvidence() *Evidence {
	e := new(Evidence)
	c := &e.columns
	e.account.init(c)
	e.kind, e.hash, e.role, e.source = texts(c, "type"), texts(c, "hash"), texts(c, "role"), texts(c, "source")
	e.first, e.last = slice[int64](c, "first_seen"), slice[int64](c, "last_seen")
	return e
}

// Table implements Block.
func (*Evidence) Table() string { return "evidence" }

// Append adds a piece of evidence; first and last are Unix seconds.
func (e *Evidence) Append(a Account, kind string, hash [16]byte, role, source string, first, last int64) {
	e.rows++
	e.account.add(a)
	e.kind.add(kind)
	e.hash.addBytes(hash[:])
	e.role.add(role)
	e.source.add(source)
	add(e.first, seconds(first*1000))
	add(e.last, seconds(last*1000))
}

// IdentifierValues fills the table identifier_values.
type IdentifierValues struct {
	columns
	hash, kind, sealed *Texts
}

// NewIdentifierValues makes an empty block.
func NewIdentifierValues() *IdentifierValues {
	v := new(IdentifierValues)
	c := &v.columns
	v.hash, v.kind, v.sealed = texts(c, "hash"), texts(c, "type"), texts(c, "sealed")
	return v
}

// Table implements Block.
func (*IdentifierValues) Table() string { return "identifier_values" }

// Append keeps an identifier's sealed value.
func (v *IdentifierValues) Append(kind string, hash [16]byte, sealed []byte) {
	v.rows++
	v.hash.addBytes(hash[:])
	v.kind.add(kind)
	v.sealed.addBytes(sealed)
}

// Decisions fills the table decisions.
type Decisions struct {
	columns
	decision, kind *Texts
	accounts       *[][]string
	undoes, rules  *Texts
	who, why       *Texts
	at             *[]time.Time
	version        *[]uint64
}

// NewDecisions makes an empty block.
func NewDecisions() *Decisions {
	d := new(Decisions)
	c := &d.columns
	d.decision, d.kind, d.accounts = texts(c, "decision_id"), texts(c, "kind"), slice[[]string](c, "accounts")
	d.undoes, d.rules = texts(c, "undoes"), texts(c, "rules")
	d.who, d.why = texts(c, "who"), texts(c, "why")
	d.at, d.version = slice[time.Time](c, "decided_at"), slice[uint64](c, "version")
	return d
}

// Table implements Block.
func (*Decisions) Table() string { return "decisions" }

// Append keeps a decision.
func (d *Decisions) Append(e *events.Decision, version uint64) {
	kinds := [...]string{"unknown", "same", "different", "undo", "erase", "consent", "adopt"}
	d.rows++
	d.decision.add(e.GetDecisionId())
	d.kind.add(name(kinds[:], e.GetKind()))
	add(d.accounts, e.GetAccounts())
	d.undoes.add(e.GetUndoes())
	d.rules.add(string(e.GetRules()))
	d.who.add(e.GetWho())
	d.why.add(e.GetWhy())
	add(d.at, time.UnixMilli(max(e.GetDecidedMs(), 0)).UTC())
	add(d.version, version)
}

// All makes an empty block of each table: for tests that compare the columns
// with the tables'.
func All() []Block {
	return []Block{
		NewOrders(), NewRefunds(), NewUsers(), NewTickets(), NewSpend(), NewRawEvents(),
		NewIdentityMap(), NewIdentityHistory(), NewOverrides(), NewRedirects(),
		NewEvidence(), NewIdentifierValues(), NewDecisions(), NewDeadLetters(), NewAudit(), NewReconciled(), NewReconciliation(), NewResemblances(),
	}
}
