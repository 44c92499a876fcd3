// Package engine keeps the result of identity.Resolve up to date while
// evidence and decisions come in.
//
// Apply takes one batch of the journal at a time, in the journal's order. It
// resolves anew the components that the batch touched and says what changed.
// The customers are then those that Resolve would find from scratch, in
// whatever batches the evidence came. All of it lies in memory in compact
// tables; a Store behind it takes each batch as one atomic, durable write, and
// gives it back at the next start.
//
// What a batch changed is kept with the state until Delivered is told, so
// that a crash repeats the delivery and not the decision.
package engine

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"iter"
	"maps"
	"runtime"
	"slices"
	"sync"

	"oneid/identity"
)

// Update is what one event says of an account: that it is there, and its
// evidence (whose Account field is not read).
type Update struct {
	Account  identity.Account
	Evidence []identity.Evidence
	// Appearance are the fields behind its evidence of identity.AppearanceType,
	// nil if it has none.
	Appearance *identity.Appearance
	// Numbers are, of each of its evidence, what LookUp gave for the identifier, so that it is
	// not looked for again; nil if nobody asked. LookUp is given room for them here.
	Numbers []uint32
	found   found
}

// number is what LookUp gave for a piece of its evidence; 0 for nothing.
func (u *Update) number(evidence int) uint32 {
	if evidence < len(u.Numbers) {
		return u.Numbers[evidence]
	}
	return 0
}

// Changes are what one batch changed. They are a function of the state before
// it and of the batch.
type Changes struct {
	Sequence uint64
	// Born are the accounts that were seen for the first time, in order.
	Born []Birth
	// Moved are accounts of earlier batches whose customer is another now.
	Moved []Move
	// Evidence is what is new or has a wider time now, as it is now.
	Evidence []identity.Evidence
	// Redirects say, for the birth id of each moved account, which customer it
	// leads to from this sequence on; From equals To if the id lives again.
	Redirects []Redirect
	// Reviews are what joins nobody, and the pairs of the model that are not joined,
	// in what was resolved anew. One that was reported before may come again, and a
	// pair's last one counts: identity.ReviewWithdrawn if the two resemble no more. Joins
	// that a constraint refused are not among them: Component tells those of a
	// customer, and of an account with many there are many in each batch.
	Reviews []identity.Review
}

// Birth is an account's first appearance. Its own id is Account.BirthID();
// CustomerID is that of its customer after the batch.
type Birth struct {
	Account    identity.Account
	CustomerID identity.CustomerID
	Sequence   uint64
	Reason     string
}

// Move is an account's change of customer.
type Move struct {
	Account  identity.Account
	From, To identity.CustomerID
	// Reason is "merged: phone, unionid", by the kinds of what holds its customer together,
	// if somebody is with it now who was not before, whoever else it left; else "split".
	Reason string
}

// Redirect is where a customer_id leads to.
type Redirect struct {
	From, To identity.CustomerID
	Sequence uint64
}

// Customer is a living customer.
type Customer struct {
	ID       identity.CustomerID
	Accounts []identity.Account // earliest-born first
	// BornSequence is the sequence at which its earliest account was born.
	BornSequence uint64
}

// Engine keeps the customers. Apply and Delivered may be called by one
// goroutine at a time each; all that reads may run beside them, and always
// sees a partition: while a batch is applied, each customer is as before the
// batch or as after it.
type Engine struct {
	store Store
	// given are the rules that hold where no decision has adopted others.
	given       *identity.Rules
	givenStored bool // guarded by applying
	wayStored   bool // guarded by applying
	scorers     identity.Scorers

	applying sync.Mutex // one Apply at a time; guards the seven below
	unsaved  *batch     // applied in memory, refused by the store
	last     *batch     // whose memory the next one uses again
	walked   struct {   // what values used
		ids   []uint32
		times [][2]int64
	}
	updated   []uint32              // accounts of the updates that were applied last
	ownIDs    []identity.CustomerID // and their own ids
	updatedAt uint64                // the sequence of that
	unsettled []uint32              // accounts that a rebuild left to the next batch

	mu     sync.RWMutex // guards all below; held for writing in short turns
	tables tables
	rules  *identity.Rules // in force; written under applying and mu both
	model  *model          // theirs; nil if they have none
	// bridges are the accounts that bear more values of a type than they may by the
	// rules in force. Nothing is removed, so who is one stays one under them.
	bridges map[bearing]bool
	// few are accounts of many sightings that bear no more values of a type than they
	// may, whenever: until they bear one more nobody counts them again.
	few map[bearing]bool
	// decisions is written under applying and mu both.
	decisions identity.Decisions
	outbox    map[uint64][]byte // Changes not yet delivered, encoded
	delivered []uint64          // to be deleted with the next commit
	sequence  uint64
	applied   bool // whether there was any sequence
}

// Option is what an Engine may be given beside its rules.
type Option func(*Engine)

// Models gives the models that rules may use. Rules that use another are an
// error of New and of Apply, which changes nothing then.
func Models(scorers identity.Scorers) Option { return func(e *Engine) { e.scorers = scorers } }

// New loads the state that the store holds. The rules are those of a state that
// begins: one that has begun keeps its own, until a decision adopts others.
func New(store Store, rules *identity.Rules, options ...Option) (*Engine, error) {
	e := &Engine{store: store, given: rules, rules: rules, outbox: map[uint64][]byte{}, bridges: map[bearing]bool{}, few: map[bearing]bool{}}
	for _, option := range options {
		option(e)
	}
	e.tables.init()
	if err := e.load(); err != nil {
		return nil, fmt.Errorf("engine: load the state: %w", err)
	}
	return e, nil
}

// MaxSequence is the highest that a batch may have: the versions that a resolver
// writes have no room for more.
const MaxSequence = 1<<40 - 1

// turn is how many updates are taken under one lock: about a tenth of a
// millisecond, so that a look-up never waits for a whole batch.
const turn = 64

// lookUpdates is how many updates make a part worth a goroutine.
const lookUpdates = 1000

// Apply takes the batch with this sequence of the journal. A sequence at or
// below the last one changes nothing: the Changes of one not yet delivered
// come back as they were, of one delivered they are empty.
//
// After an error of the store the batch stands in memory and not behind it:
// call Apply again with the same sequence (its other arguments are not read
// then) until it is stored; another sequence is refused.
func (e *Engine) Apply(sequence uint64, updates []Update, decisions []identity.Decision) (Changes, error) {
	e.applying.Lock()
	defer e.applying.Unlock()
	if e.unsaved != nil {
		if e.unsaved.sequence != sequence {
			return Changes{}, fmt.Errorf("engine: apply sequence %d: %d is not stored yet; apply it again first", sequence, e.unsaved.sequence)
		}
		return e.commit(e.unsaved)
	}
	if sequence > MaxSequence {
		return Changes{}, fmt.Errorf("engine: apply sequence %d: the highest is %d", sequence, uint64(MaxSequence))
	}
	if last, ok := e.Sequence(); ok && sequence <= last {
		e.mu.RLock()
		defer e.mu.RUnlock()
		if encoded, ok := e.outbox[sequence]; ok {
			return e.decodeChanges(sequence, encoded)
		}
		return Changes{Sequence: sequence}, nil
	}
	for _, d := range decisions {
		if d.Kind == identity.Adopt {
			if _, err := e.scorers.Of(d.Rules); err != nil {
				return Changes{}, err
			}
		}
	}
	b := e.begin(sequence)
	numbers := e.bear(b, updates)
	e.updated, e.updatedAt = numbers, sequence
	for at := 0; at < len(updates); at += turn {
		e.tables.awaitNew(updates[at:min(at+turn, len(updates))])
		e.mu.Lock()
		for i := at; i < min(at+turn, len(updates)); i++ {
			if !updates[i].found.idle {
				e.take(b, &updates[i], numbers[i])
			}
		}
		e.mu.Unlock()
	}
	for _, account := range e.unsettled {
		b.soil(account)
	}
	e.mu.Lock()
	e.decide(b, decisions)
	e.mu.Unlock()
	if rules := e.decisions.Rules(e.given); !rules.Alike(e.rules) {
		e.adopt(b, rules)
	} else if rules != e.rules { // by another decision: nobody's customer differs
		e.mu.Lock()
		e.rules = rules
		e.mu.Unlock()
	}
	e.settle(b) // reads only, and nobody else writes
	for _, account := range b.dirty.list {
		if !b.resolved.has(account) {
			e.mu.Lock()
			// Whom it leaves behind is resolved in the same turn: nobody sees a customer
			// of whom some have left.
			for left := []uint32{account}; len(left) > 0; left = left[1:] {
				if !b.resolved.has(left[0]) {
					left = append(left, e.resolve(b, left[0])...)
				}
			}
			e.mu.Unlock()
		}
	}
	if len(b.near) > 0 {
		b.changes.Reviews = append(b.changes.Reviews, e.questions(b.near)...)
	}
	e.withdraw(b)
	e.finish(b, decisions)
	return e.commit(b)
}

// newborn is an update whose account was not there before the batch, and the account's
// own id.
type newborn struct {
	id     identity.CustomerID
	update uint32
}

// bornBefore is the order of births within one batch: that of their own ids. So
// who is the elder follows from the sequences of the births and from nothing
// else, and ClickHouse, which keeps those, is enough to make the state anew.
func bornBefore(x, y identity.CustomerID) int {
	if c := cmp.Compare(binary.BigEndian.Uint64(x[:8]), binary.BigEndian.Uint64(y[:8])); c != 0 {
		return c // nearly always
	}
	return bytes.Compare(x[8:], y[8:])
}

// bear numbers the accounts that are new, and returns the number of each
// update's account.
func (e *Engine) bear(b *batch, updates []Update) []uint32 {
	t := &e.tables
	numbers := slices.Grow(e.updated[:0], len(updates))[:len(updates)]
	e.ownIDs = slices.Grow(e.ownIDs[:0], len(updates))[:len(updates)]
	// Nobody else writes: the known are looked for beside each other, for most of
	// that is waiting for memory that nothing has touched for long.
	var looking sync.WaitGroup
	parts := min(runtime.GOMAXPROCS(0), len(updates)/lookUpdates+1)
	for part := range parts {
		looking.Go(func() {
			for i := part * len(updates) / parts; i < (part+1)*len(updates)/parts; i++ {
				u := &updates[i]
				if !u.found.asked {
					id := u.Account.BirthID()
					n, ok := t.findAccountBy(u.Account, id)
					if !ok {
						n = none
					}
					numbers[i], e.ownIDs[i] = n, id
					continue
				}
				numbers[i], e.ownIDs[i] = u.found.account, u.found.ownID
			}
		})
	}
	looking.Wait()
	for i, n := range numbers {
		if n == none {
			b.fresh = append(b.fresh, newborn{e.ownIDs[i], uint32(i)})
		}
	}
	slices.SortFunc(b.fresh, func(x, y newborn) int { return bornBefore(x.id, y.id) })
	for part := range slices.Chunk(b.fresh, turn) {
		t.awaitBirths(part)
		e.mu.Lock()
		for _, child := range part {
			account := updates[child.update].Account
			// An update before it, or a batch since LookUp was asked, may have brought it.
			n, known := t.findAccountBy(account, child.id)
			if !known {
				n = t.addAccount(account, child.id, b.sequence, b.sequence, t.name("born"))
				if e.decisions.Pairs() > 0 && len(e.decisions.Of(account)) > 0 {
					b.soil(n)
				}
			}
			numbers[child.update] = n
		}
		e.mu.Unlock()
	}
	return numbers
}

// take adds one update to the tables.
func (e *Engine) take(b *batch, u *Update, account uint32) {
	m := e.model
	type own struct {
		receiver identity.Appearance
		has      bool
	}
	var before, after own
	var receivers identity.Receivers
	ownMayChange := m != nil && m.rule.ByFar > 0 && slices.ContainsFunc(u.Evidence, func(ev identity.Evidence) bool { return ev.Identifier.Type == identity.AppearanceType })
	if ownMayChange {
		receivers = m.receivers(account)
		before.receiver, before.has = m.rule.Own(receivers)
	}
	for i, ev := range u.Evidence {
		if m == nil || ev.Identifier.Type != identity.AppearanceType {
			e.see(b, ev, account, u.number(i))
			continue
		}
		var first, last int64
		id, seen := e.tables.findIdentifier(ev.Identifier)
		if seen {
			first, last, seen = m.times(account, id)
		}
		counted := seen && m.rule.Counts(first, last)
		id = e.see(b, ev, account, u.number(i))
		counts := m.counts(account, id)
		if !seen {
			e.meet(b, account, id, counts)
		} else if counts && !counted {
			b.soil(account)
		}
	}
	if u.Appearance != nil {
		e.appear(b, u)
	}
	if !ownMayChange {
		return
	}
	for _, ev := range u.Evidence { // the others are as they were: they are not gathered again
		if ev.Identifier.Type != identity.AppearanceType {
			continue
		}
		id, _ := e.tables.findIdentifier(ev.Identifier) // it was seen just now
		if shown, known := e.tables.findAppearance(id); known {
			first, last, _ := m.times(account, id)
			receivers.See(e.tables.appearance(shown), first, last)
		}
	}
	after.receiver, after.has = m.rule.Own(receivers)
	switch {
	case before == after:
	case before.has:
		e.letGo(b, account)
	default:
		b.soil(account)
	}
}

// see adds a piece of evidence, and returns its identifier, of which found is
// what LookUp gave; 0 if it is to be looked for.
func (e *Engine) see(b *batch, ev identity.Evidence, account, found uint32) uint32 {
	t := &e.tables
	joins := e.rules.Strength(ev.Identifier.Type, ev.Role) > 0
	how := how(t.name(ev.Source), ev.Role)
	id, known := found-1, found != 0
	if !known {
		id, known = t.findIdentifier(ev.Identifier)
	}
	if !known {
		id = t.addIdentifier(t.name(string(ev.Identifier.Type)), ev.Identifier.Hash)
	} else if sighting := t.findSighting(account, id, how); sighting != none {
		s := t.sighting(sighting)
		first, last := min(s.times[0], second(ev.First)), max(s.times[1], second(ev.Last))
		if first == s.times[0] && last == s.times[1] {
			return id
		}
		if joins {
			e.touch(b, id)
		}
		s.times = [2]uint32{first, last}
		if joins {
			e.span(b, account, id, false)
		}
		n := t.numbers.number(sighting)
		if int(n) < b.sightings && b.widened.add(n) {
			b.order = append(b.order, n)
		}
		return id
	}
	fresh := joins && !e.joined(account, id)
	if joins {
		e.touch(b, id)
		if fresh {
			t.setJoins(id, t.joins(id)+1)
		}
		// Its constraints may be others now, even if no group is.
		b.soil(account)
	}
	b.order = append(b.order, uint32(t.numbers.n))
	t.addSighting(account, id, how, ev.First, ev.Last)
	if joins {
		e.span(b, account, id, fresh)
	}
	return id
}

// soil marks an account to be resolved anew.
func (b *batch) soil(account uint32) { b.dirty.add(account) }

// touch keeps what an identifier joined before the batch.
func (e *Engine) touch(b *batch, id uint32) {
	if !b.touched.add(id) {
		return
	}
	if groups := e.groups(id); groups != nil {
		b.before = append(b.before, joined{id, groups})
	}
}

// decide adds the decisions and marks whom they bear upon.
func (e *Engine) decide(b *batch, decisions []identity.Decision) {
	for _, d := range decisions {
		for _, a := range e.decisions.Add(d) {
			if account, ok := e.tables.findAccount(a); ok {
				b.soil(account)
			}
		}
	}
}

// settle marks the accounts of every identifier that joins otherwise now.
// Where it joins as before, no customer can differ by it.
func (e *Engine) settle(b *batch) {
	left := b.before
	for _, id := range b.touched.list {
		var before []identity.Group
		if len(left) > 0 && left[0].identifier == id {
			before, left = left[0].groups, left[1:]
		}
		after := e.groups(id)
		if sameGroups(before, after) {
			continue
		}
		for _, group := range after {
			if group.Inert == "" {
				continue
			}
			b.changes.Reviews = append(b.changes.Reviews, e.inert(group))
		}
		for _, groups := range [][]identity.Group{before, after} {
			for _, group := range groups {
				for _, m := range group.Members {
					b.soil(uint32(m.Account))
				}
			}
		}
	}
}

// Kinds of what holds a customer together, beside the types of identifiers.
const byDecision, byModel = "decision", "model"

// finish makes the changes and the rows of a batch.
func (e *Engine) finish(b *batch, decisions []identity.Decision) {
	slices.SortFunc(b.changes.Reviews, identity.Review.Compare)
	b.changes.Reviews = slices.CompactFunc(b.changes.Reviews, func(v, w identity.Review) bool { return v.Compare(w) == 0 })
	b.changes.Reviews = e.explained(b.changes.Reviews)
	t := &e.tables
	encoded := e.encodeChanges(b)
	// Decoded from what is kept, so that both are the same by construction.
	changes, err := e.decodeChanges(b.sequence, encoded)
	if err != nil {
		panic(err) // of our own making just now
	}
	b.changes = changes
	for i := b.names; i < len(t.names); i++ {
		b.rows = append(b.rows, nameRow(t, i))
	}
	for i := b.shops; i < len(t.shops); i++ {
		b.rows = append(b.rows, shopRow(t, i))
	}
	n := t.accounts.len() - b.accounts + len(b.moved.list) + t.identifiers.len() - b.identifiers +
		t.appearances.len() - b.appearances + t.numbers.n - b.sightings + len(b.widened.list)
	p := packs{b.rows, slices.Grow(b.arena, n*usualRow)}
	p.pack(t, tableAccounts, b.accounts, t.accounts.len(), encodeAccount)
	p.pack(t, tableIdentifiers, b.identifiers, t.identifiers.len(), encodeIdentifier)
	p.pack(t, tableAppearances, b.appearances, t.appearances.len(), encodeAppearance)
	p.pack(t, tableSightings, b.sightings, t.numbers.n, encodeSighting)
	slices.Sort(b.moved.list)
	for _, n := range b.moved.list {
		p.one(t, tableMoves, n, encodeMove)
	}
	slices.Sort(b.widened.list)
	for _, n := range b.widened.list {
		p.one(t, tableTimes, n, encodeTimes)
	}
	b.rows, b.arena = p.rows, p.arena
	for _, d := range decisions {
		b.rows = append(b.rows, decisionRow(d))
	}
	if !e.givenStored {
		b.rows = append(b.rows, givenRow(e.given))
		e.givenStored = true
	}
	if !e.wayStored {
		b.rows = append(b.rows, wayRow())
		e.wayStored = true
	}
	for _, n := range e.unsettled {
		b.rows = append(b.rows, Row{Table: tableUnsettled, Key: key32(n)})
	}
	e.unsettled = nil
	e.mu.Lock()
	for _, done := range e.delivered {
		b.rows = append(b.rows, Row{Table: tableOutbox, Key: key64(done)})
	}
	e.delivered = nil
	e.mu.Unlock()
	b.rows = append(b.rows, Row{tableOutbox, key64(b.sequence), encoded}, sequenceRow(b.sequence))
}

func (e *Engine) commit(b *batch) (Changes, error) {
	if err := e.store.Commit(b.rows); err != nil {
		e.unsaved = b
		return Changes{}, fmt.Errorf("engine: store sequence %d: %w", b.sequence, err)
	}
	changes := b.changes
	b.changes = Changes{} // who asked for them lets go of them
	e.unsaved, e.last = nil, b
	e.mu.Lock()
	e.sequence, e.applied = b.sequence, true
	e.outbox[b.sequence] = b.rows[len(b.rows)-2].Value
	e.mu.Unlock()
	return changes, nil
}

// Sequence is the last that was applied and stored; false if none was.
func (e *Engine) Sequence() (uint64, bool) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.sequence, e.applied
}

// Pending yields the Changes not yet delivered, in the order of their
// sequences, as of the call.
func (e *Engine) Pending() iter.Seq2[uint64, Changes] {
	e.mu.RLock()
	waiting := maps.Clone(e.outbox)
	e.mu.RUnlock()
	return func(yield func(uint64, Changes) bool) {
		for _, sequence := range slices.Sorted(maps.Keys(waiting)) {
			e.mu.RLock()
			changes, err := e.decodeChanges(sequence, waiting[sequence])
			e.mu.RUnlock()
			if err != nil { // load has decoded them all once
				panic(err)
			}
			if !yield(sequence, changes) {
				return
			}
		}
	}
}

// Delivered says that the Changes of a sequence, and of all before it, have
// reached where they belong. It is durable with the next Apply: after a crash
// before that, they are pending again.
func (e *Engine) Delivered(sequence uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for s := range e.outbox {
		if s <= sequence {
			delete(e.outbox, s)
			e.delivered = append(e.delivered, s)
		}
	}
	slices.Sort(e.delivered)
}
