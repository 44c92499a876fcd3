package engine

import (
	"fmt"
	"maps"
	"slices"

	"oneid/identity"
)

// Placed is where an account stood at a sequence, as ClickHouse keeps it.
type Placed struct {
	Account identity.Account
	// Born is the sequence of its birth, Since that from which it is in its
	// customer, and Reason why.
	Born, Since uint64
	CustomerID  identity.CustomerID
	Reason      string
}

// Rebuilder makes a state anew from what ClickHouse keeps of it: give it every
// account by ascending Born, then the evidence, the appearances behind it and the
// decisions, then Finish.
// It is for one goroutine, and holds the state in memory as an Engine does.
type Rebuilder struct {
	engine *Engine
	// cohort are the accounts of the birth in hand, and customers of each
	// account the id that it was placed under, by number.
	cohort    []Placed
	customers []identity.CustomerID
	decisions []identity.Decision
	report    Rebuilt
}

// Rebuilt counts what a Rebuilder was given.
type Rebuilt struct {
	Accounts, Evidence, Decisions int
	// Strangers is evidence of accounts that are not there: of a batch that
	// the state does not contain yet.
	Strangers int
	// Unsettled are accounts whose customer is not what the evidence says; the
	// next batch resolves them anew. It is that of a batch that the state does
	// not contain yet, or of one that was cut off.
	Unsettled int
}

// NewRebuilder begins a state for an empty store.
func NewRebuilder(store Store, rules *identity.Rules, options ...Option) (*Rebuilder, error) {
	e, err := New(store, rules, options...)
	if err != nil {
		return nil, err
	}
	if _, applied := e.Sequence(); applied || e.tables.accounts.len() > 0 {
		return nil, fmt.Errorf("engine: rebuild: the store holds a state already")
	}
	return &Rebuilder{engine: e}, nil
}

// Account adds an account.
func (r *Rebuilder) Account(p Placed) error {
	if len(r.cohort) > 0 && r.cohort[0].Born != p.Born {
		if p.Born < r.cohort[0].Born {
			return fmt.Errorf("engine: rebuild: an account born at sequence %d comes after one born at %d", p.Born, r.cohort[0].Born)
		}
		r.bear()
	}
	r.cohort = append(r.cohort, p)
	return nil
}

// bear numbers the accounts of one birth as the batch did.
func (r *Rebuilder) bear() {
	if len(r.cohort) == 0 {
		return
	}
	t := &r.engine.tables
	ids := make(map[identity.Account]identity.CustomerID, len(r.cohort))
	for _, p := range r.cohort {
		ids[p.Account] = p.Account.BirthID()
	}
	slices.SortFunc(r.cohort, func(p, q Placed) int {
		return bornBefore(ids[p.Account], ids[q.Account])
	})
	for _, p := range r.cohort {
		t.addAccount(p.Account, ids[p.Account], p.Born, p.Since, t.name(p.Reason))
		r.customers = append(r.customers, p.CustomerID)
	}
	r.cohort = r.cohort[:0]
}

// Evidence adds a piece of evidence, each once; false if its account is not
// there.
func (r *Rebuilder) Evidence(ev identity.Evidence) bool {
	r.bear()
	t := &r.engine.tables
	account, ok := t.findAccount(ev.Account)
	if !ok {
		r.report.Strangers++
		return false
	}
	id, known := t.findIdentifier(ev.Identifier)
	if !known {
		id = t.addIdentifier(t.name(string(ev.Identifier.Type)), ev.Identifier.Hash)
	}
	t.addSighting(account, id, how(t.name(ev.Source), ev.Role), ev.First, ev.Last)
	return true
}

// Appearance adds the fields of an appearance, after the evidence; those of one
// that nobody was seen with are left out.
func (r *Rebuilder) Appearance(h identity.Hash, a identity.Appearance) {
	t := &r.engine.tables
	id, ok := t.findIdentifier(identity.Identifier{Type: identity.AppearanceType, Hash: h})
	if !ok {
		return
	}
	if _, known := t.findAppearance(id); !known {
		t.addAppearance(id, a)
	}
}

// Decision adds a decision.
func (r *Rebuilder) Decision(d identity.Decision) {
	r.engine.decisions.Add(d)
	r.decisions = append(r.decisions, d)
}

// Finish writes the state that contains the batches up to a sequence. Its
// Engine goes on from there.
func (r *Rebuilder) Finish(sequence uint64) (Rebuilt, error) {
	r.bear()
	e, t := r.engine, &r.engine.tables
	for _, d := range r.decisions {
		if d.Kind != identity.Adopt {
			continue
		}
		if _, err := e.scorers.Of(d.Rules); err != nil {
			return r.report, err
		}
	}
	rules := e.decisions.Rules(e.given)
	joins, bridges := e.joins(rules)
	e.rule(rules, joins, bridges, e.modelOf(rules))
	unsettled := r.place()
	r.unsettle(unsettled)
	r.report.Accounts, r.report.Evidence, r.report.Decisions, r.report.Unsettled = t.accounts.len(), t.numbers.n, len(r.decisions), len(unsettled)
	// In pieces: the sequence, which makes a state of it, comes last.
	rows := make([]Row, 0, len(t.names)+len(t.shops)+len(r.decisions)+len(unsettled))
	for i := range t.names {
		rows = append(rows, nameRow(t, i))
	}
	for i := range t.shops {
		rows = append(rows, shopRow(t, i))
	}
	for _, d := range r.decisions {
		rows = append(rows, decisionRow(d))
	}
	moved := slices.Sorted(maps.Keys(unsettled))
	for _, n := range moved {
		rows = append(rows, Row{tableUnsettled, key32(n), []byte{}})
	}
	var p packs
	for _, of := range []struct {
		table Table
		n     int
		row   encode
	}{
		{tableAccounts, t.accounts.len(), encodeAccount},
		{tableIdentifiers, t.identifiers.len(), encodeIdentifier},
		{tableAppearances, t.appearances.len(), encodeAppearance},
		{tableSightings, t.numbers.n, encodeSighting},
	} {
		for from := 0; from < of.n; from += rebuildRows {
			p = packs{p.rows[:0], p.arena[:0]}
			p.pack(t, of.table, from, min(from+rebuildRows, of.n), of.row)
			if err := e.store.Commit(p.rows); err != nil {
				return r.report, fmt.Errorf("engine: rebuild: %w", err)
			}
		}
	}
	for some := range slices.Chunk(rows, rebuildRows) {
		if err := e.store.Commit(some); err != nil {
			return r.report, fmt.Errorf("engine: rebuild: %w", err)
		}
	}
	if err := e.store.Commit([]Row{givenRow(e.given), wayRow(), sequenceRow(sequence)}); err != nil {
		return r.report, fmt.Errorf("engine: rebuild: %w", err)
	}
	e.sequence, e.applied, e.unsettled, e.givenStored, e.wayStored = sequence, true, moved, true, true
	return r.report, nil
}

// Engine is the state that was made.
func (r *Rebuilder) Engine() *Engine { return r.engine }

// rebuildRows bounds one write of a rebuild: a few megabytes.
const rebuildRows = 50_000

// place puts each account under the leader of its customer. One whose customer
// is not there, or is not older, stands alone and is unsettled.
func (r *Rebuilder) place() map[uint32]bool {
	t := &r.engine.tables
	unsettled := map[uint32]bool{}
	for i, customer := range r.customers {
		n := uint32(i)
		leader, ok := t.findBirthID(customer)
		if !ok || leader > n || r.customers[leader] != customer {
			unsettled[n] = true
			continue
		}
		if a, l := t.accounts.at(n), t.accounts.at(leader); leader != n {
			a.leader, a.next, l.next = leader, l.next, n
		}
	}
	return unsettled
}

// unsettle adds the accounts that Resolve would put elsewhere, and all that
// share a customer with one that is unsettled: where one leaves, each of the
// others is placed anew.
func (r *Rebuilder) unsettle(unsettled map[uint32]bool) {
	e, t := r.engine, &r.engine.tables
	seen := make([]bool, t.accounts.len())
	for i := range t.accounts.len() {
		if seen[i] {
			continue
		}
		numbers, c := e.component(uint32(i), nil)
		for _, n := range numbers {
			seen[n] = true
		}
		eldest := numbers
		if len(numbers) > 1 {
			eldest = eldestOf(numbers, e.rules.Partition(c).Customer)
		}
		for k, n := range numbers {
			if t.accounts.at(n).leader != eldest[k] {
				unsettled[n] = true
			}
		}
	}
	for _, n := range slices.Collect(maps.Keys(unsettled)) {
		for _, member := range e.members(t.accounts.at(n).leader) {
			unsettled[member] = true
		}
	}
}

// eldestOf gives each account of a component the lowest number of its
// customer, whose first account customer says.
func eldestOf(numbers []uint32, customer []int) []uint32 {
	lowest := map[int]uint32{}
	for i, first := range customer {
		if n, ok := lowest[first]; !ok || numbers[i] < n {
			lowest[first] = numbers[i]
		}
	}
	out := make([]uint32, len(numbers))
	for i, first := range customer {
		out[i] = lowest[first]
	}
	return out
}

// Difference is what two states do not agree upon.
type Difference struct {
	// Account whose birth id this is; the zero id for what is of no account.
	ID   identity.CustomerID
	What string
}

// Compare yields what another state says otherwise than this one, in the order
// of this one's accounts. What is not delivered yet does not count, nor how
// rows are numbered beyond the order of births. Neither may be applied to.
func (e *Engine) Compare(other *Engine) func(yield func(Difference) bool) {
	return func(yield func(Difference) bool) {
		if a, b := e.sequence, other.sequence; a != b && !yield(Difference{What: fmt.Sprintf("the sequence is %d here and %d there", a, b)}) {
			return
		}
		if a, b := e.tables.appearances.len(), other.tables.appearances.len(); a != b && !yield(Difference{What: fmt.Sprintf("the fields of %d appearances are known here and of %d there", a, b)}) {
			return
		}
		if d := e.compareDecisions(other); d != "" && !yield(Difference{What: d}) {
			return
		}
		for n := range e.tables.accounts.len() {
			key := e.tables.accountKey(uint32(n))
			if d := e.compareAccount(other, uint32(n), key); d != "" && !yield(Difference{key.BirthID(), d}) {
				return
			}
		}
		for n := range other.tables.accounts.len() {
			key := other.tables.accountKey(uint32(n))
			if _, ok := e.tables.findAccount(key); !ok && !yield(Difference{key.BirthID(), "the account is only there"}) {
				return
			}
		}
	}
}

func (e *Engine) compareAccount(other *Engine, n uint32, key identity.Account) string {
	t, u := &e.tables, &other.tables
	m, ok := u.findAccount(key)
	if !ok {
		return "the account is only here"
	}
	a, b := t.accounts.at(n), u.accounts.at(m)
	switch here, there := t.accountKey(a.leader).BirthID(), u.accountKey(b.leader).BirthID(); {
	case here != there:
		return fmt.Sprintf("it belongs to customer %s here and %s there", here, there)
	case n != m:
		return fmt.Sprintf("it is the %dth account here and the %dth there", n+1, m+1)
	case t.born(n) != u.born(m):
		return fmt.Sprintf("it was born at %d here and at %d there", t.born(n), u.born(m))
	case t.since(n) != u.since(m) || t.names[t.why(n)] != u.names[u.why(m)]:
		return fmt.Sprintf("it is in its customer since %d (%s) here and since %d (%s) there", t.since(n), t.names[t.why(n)], u.since(m), u.names[u.why(m)])
	case !slices.Equal(e.EvidenceOf(key), other.EvidenceOf(key)):
		return fmt.Sprintf("its evidence differs: %d pieces here, %d there", len(e.EvidenceOf(key)), len(other.EvidenceOf(key)))
	}
	return ""
}

func (e *Engine) compareDecisions(other *Engine) string {
	if a, b := e.decisions.Len(), other.decisions.Len(); a != b {
		return fmt.Sprintf("there are %d decisions here and %d there", a, b)
	}
	if !slices.Equal(e.decisions.All(), other.decisions.All()) {
		return "the decisions about a pair of accounts differ"
	}
	if !e.rules.Alike(other.rules) {
		return "the rules in force differ"
	}
	return ""
}
