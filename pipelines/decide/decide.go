// Package decide is the way of a person's word into its topic: these two
// accounts are one person, or they are two, or an earlier word is taken back.
//
// A word is noted in the audit, then published; the resolver takes it in the
// journal's order, and it is in the table decisions once it was resolved. What
// contradicts words that stand is refused with their ids: a person takes one
// of them back first. Two processes may decide at the same moment and neither
// see the other's: then List names the contradiction, and the `different` wins
// until one is undone. Of rules that two adopt so the later hold, and List has both.
package decide

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"oneid/identity"
	"oneid/internal/clickhouse"
	"oneid/internal/kafka"
	"oneid/internal/pubsub"
	"oneid/pipelines"
	"oneid/schemas/events"
	"oneid/schemas/tables"
)

// MaxText bounds who decided and why, in characters.
const MaxText = 500

// MaxRules bounds the text of rules, in bytes.
const MaxRules = 256 << 10

// What a caller can do nothing about but ask differently.
var (
	// ErrWrong: what was asked makes no sense.
	ErrWrong = errors.New("decide: it cannot be decided")
	// ErrUnknown: an account that was never seen.
	ErrUnknown = errors.New("decide: no such account is known")
	// ErrNotFound: there is no decision of that id.
	ErrNotFound = errors.New("decide: there is no such decision")
	// ErrRules: the decision is about rules, and the caller takes back those
	// about accounts alone.
	ErrRules = errors.New("decide: that decision is about rules")
)

// ConflictError says which decisions that stand are in the way.
type ConflictError struct{ With []Decision }

func (c *ConflictError) Error() string {
	said := make([]string, len(c.With))
	for i, d := range c.With {
		said[i] = fmt.Sprintf("%s (%s, by %s)", d.ID, d.Kind, d.Who)
	}
	return "decide: it contradicts what stands: decision " + strings.Join(said, ", ")
}

// Hint says what to do.
func (*ConflictError) Hint() string {
	return "take one of them back first with `oneid decide undo ID`, or leave it as it is"
}

// OvertakenError says that other rules have come into force than those that somebody
// saw who would adopt his own in their place.
type OvertakenError struct {
	// By is the adoption that stands now; nil where the one that was seen was taken
	// back, and none stands.
	By *Decision
}

func (o *OvertakenError) Error() string {
	if o.By == nil {
		return "decide: nothing is adopted: the rules that were in force were taken back meanwhile"
	}
	return fmt.Sprintf("decide: nothing is adopted: other rules have come into force meanwhile, by decision %s (%s, by %s: %s)", o.By.ID, o.By.At.Format(time.RFC3339), o.By.Who, o.By.Why)
}

// Code names the kind of error.
func (*OvertakenError) Code() string { return "overtaken" }

// Hint says what to do.
func (o *OvertakenError) Hint() string {
	if o.By != nil && !o.By.Resolved {
		return "it is published and not resolved yet: once a resolver has taken it (`oneid decide list`), run `oneid identity apply` again"
	}
	return "ask whoever it was, then run `oneid identity apply` again: it plans by the rules that are in force now"
}

// Decision is a person's word as it is listed.
type Decision struct {
	ID string `json:"decision_id"`
	// Kind is same, different, adopt or undo.
	Kind     string   `json:"kind"`
	Accounts []string `json:"accounts,omitempty"`
	// Undoes is the decision that an undo takes back.
	Undoes string    `json:"undoes,omitempty"`
	Who    string    `json:"who"`
	Why    string    `json:"why"`
	At     time.Time `json:"decided_at"`
	// Standing is stands, undone, or overruled by another about the same
	// accounts, or of rules.
	Standing identity.Standing `json:"standing"`
	// Resolved is false while the resolver has not taken it.
	Resolved bool `json:"resolved"`
}

// List is all that was decided, the newest first.
type List struct {
	Decisions []Decision `json:"decisions"`
	// Conflicts are decisions that were not taken back and contradict each other, by
	// their ids: a different first, then the same about its own pair, or the path of
	// sames across it.
	Conflicts [][]string `json:"conflicts"`
}

// Standing are the decisions that stand, without the undos, and those in Conflicts. Rules
// that others have overruled are among them: of two people who adopt at once each sees
// what the other did.
func (l *List) Standing() []Decision {
	return l.those(func(_ int, d Decision) bool {
		return d.Undoes == "" && (d.Standing == identity.Stands || d.adopts() && d.Standing == identity.Overruled)
	})
}

// AdoptedSince are the adoptions that an earlier list did not have, one's own left out.
func (l *List) AdoptedSince(earlier List, own string) (others []Decision) {
	for _, d := range l.Decisions {
		if d.adopts() && d.ID != own && !slices.ContainsFunc(earlier.Decisions, func(e Decision) bool { return e.ID == d.ID }) {
			others = append(others, d)
		}
	}
	return others
}

func (d *Decision) adopts() bool { return d.Kind == identity.Adopt.String() }

// Newest are the newest n, and those in Conflicts.
func (l *List) Newest(n int) []Decision {
	return l.those(func(i int, _ Decision) bool { return i < n })
}

func (l *List) those(wanted func(int, Decision) bool) []Decision {
	out := []Decision{}
	for i, d := range l.Decisions {
		if wanted(i, d) || slices.ContainsFunc(l.Conflicts, func(ids []string) bool { return slices.Contains(ids, d.ID) }) {
			out = append(out, d)
		}
	}
	return out
}

// Desk is where people decide. It may be used concurrently.
type Desk struct {
	Brand      string
	Kafka      *kafka.Client
	Publisher  message.Publisher
	Topics     events.Topics
	ClickHouse *clickhouse.Conn

	// deciding is held from looking until the word is published, so that of
	// two at one desk the later sees the earlier.
	deciding sync.Mutex
}

// Same decides that two accounts are one person. It returns the decision that
// says so: an earlier one, if that stands already, and already is true then.
func (d *Desk) Same(ctx context.Context, a, b, who, why string) (made Decision, already bool, err error) {
	return d.decide(ctx, identity.Same, a, b, who, why)
}

// Different decides that two accounts are two persons, as Same does.
func (d *Desk) Different(ctx context.Context, a, b, who, why string) (made Decision, already bool, err error) {
	return d.decide(ctx, identity.Different, a, b, who, why)
}

// Adopt takes rules into force, in place of those that are: every account is
// resolved anew where the decision stands in the journal. It returns the
// decision that says so: an earlier one, if the same rules are in force by it
// already, and already is true then.
//
// Of two people who adopt at the same moment, neither of whom knows of the other, the
// rules hold that were decided last, by the clocks of their machines, or else by their
// ids; List has both.
func (d *Desk) Adopt(ctx context.Context, rules *identity.Rules, who, why string) (made Decision, already bool, err error) {
	return d.adopt(ctx, rules, who, why, func(*Decision) (bool, error) { return false, nil })
}

// AdoptOver is Adopt for who has seen what his rules would change, by those of an
// adoption, "" for those that the state began with. It is an OvertakenError if others are
// in force by now.
func (d *Desk) AdoptOver(ctx context.Context, over string, rules *identity.Rules, who, why string) (made Decision, already bool, err error) {
	return d.adopt(ctx, rules, who, why, func(last *Decision) (bool, error) {
		if last == nil && over == "" || last != nil && last.ID == over {
			return false, nil
		}
		return false, &OvertakenError{last}
	})
}

// Began is Adopt for the rules that a state began with: it gives way to any
// adoption that stands, whatever its rules and whether it is resolved already. A
// person's word is never overruled by what a process says of itself.
func (d *Desk) Began(ctx context.Context, rules *identity.Rules, who, why string) (made Decision, already bool, err error) {
	return d.adopt(ctx, rules, who, why, func(last *Decision) (bool, error) { return last != nil, nil })
}

// adopt adopts rules unless they are in force, or gives way to the adoption that stands,
// nil for none.
func (d *Desk) adopt(ctx context.Context, rules *identity.Rules, who, why string, givesWay func(*Decision) (bool, error)) (made Decision, already bool, err error) {
	if !texts(who, why) {
		return made, false, errTexts
	}
	text, err := rules.MarshalText()
	switch {
	case err != nil:
		return made, false, err
	case len(text) == 0 || len(text) > MaxRules:
		return made, false, fmt.Errorf("%w: the rules have %d bytes; between 1 and %d are taken", ErrWrong, len(text), MaxRules)
	}
	d.deciding.Lock()
	defer d.deciding.Unlock()
	known, err := d.load(ctx)
	if err != nil {
		return made, false, err
	}
	at := time.Now().UnixMilli()
	var stands *Decision
	if last, ok := known.set.Adopted(); ok {
		listed := known.get(last.ID)
		if stands = &listed; last.Rules.Alike(rules) {
			return listed, true, nil
		}
		at = max(at, last.At+1) // whatever the clocks of two machines say
	}
	if way, err := givesWay(stands); err != nil {
		return made, false, err
	} else if way {
		return *stands, true, nil
	}
	made, err = d.publish(ctx, &events.Decision{Kind: events.DecisionKind_DECISION_KIND_ADOPT, Rules: text, Who: who, Why: why, DecidedMs: at})
	return made, false, err
}

func (d *Desk) decide(ctx context.Context, kind identity.DecisionKind, a, b, who, why string) (made Decision, already bool, err error) {
	word := identity.Decision{Kind: kind}
	for text, account := range map[string]*identity.Account{a: &word.A, b: &word.B} {
		if *account, err = identity.ParseAccount(text); err != nil {
			return made, false, fmt.Errorf("%w: write an account as platform/shop/id", ErrWrong)
		}
	}
	switch {
	case a == b:
		return made, false, fmt.Errorf("%w: it takes two accounts", ErrWrong)
	case !texts(who, why):
		return made, false, errTexts
	}
	d.deciding.Lock()
	defer d.deciding.Unlock()
	known, err := d.load(ctx)
	if err != nil {
		return made, false, err
	}
	if v, ok := known.set.Verdict(identity.PairOf(word.A, word.B)); ok && v.Kind == kind {
		return known.get(v.ID), true, nil
	}
	if err := known.free(word); err != nil {
		return made, false, err
	}
	if err := d.known(ctx, word.A, word.B); err != nil {
		return made, false, err
	}
	made, err = d.publish(ctx, &events.Decision{
		Kind: events.DecisionKind(kind), Accounts: []string{a, b}, Who: who, Why: why, DecidedMs: time.Now().UnixMilli(),
	})
	return made, false, err
}

// Undo takes a decision back; an undo too, and then what that took back stands
// again. It returns the undo: an earlier one, if the decision does not stand
// already.
func (d *Desk) Undo(ctx context.Context, id, who, why string) (made Decision, already bool, err error) {
	return d.undo(ctx, id, who, why, true)
}

// UndoOfAccounts is Undo for who may speak of accounts alone: of a decision
// about rules, and of an undo of one, it is an ErrRules.
func (d *Desk) UndoOfAccounts(ctx context.Context, id, who, why string) (made Decision, already bool, err error) {
	return d.undo(ctx, id, who, why, false)
}

func (d *Desk) undo(ctx context.Context, id, who, why string, rules bool) (made Decision, already bool, err error) {
	if !texts(who, why) {
		return made, false, errTexts
	}
	d.deciding.Lock()
	defer d.deciding.Unlock()
	known, err := d.load(ctx)
	if err != nil {
		return made, false, err
	}
	word, standing, ok := known.set.Get(id)
	if !ok {
		return made, false, fmt.Errorf("%w: %s", ErrNotFound, id)
	}
	if !rules && !known.ofAccounts(word) {
		return made, false, fmt.Errorf("%w: %s", ErrRules, id)
	}
	if standing == identity.Undone {
		for _, undo := range known.list {
			if undo.Undoes == id && undo.Standing == identity.Stands {
				return undo, true, nil
			}
		}
	}
	// Two people may have taken one word back at once: it comes back with neither of
	// their undos alone.
	undone := []identity.Decision{word}
	if word.Kind == identity.Undo {
		for _, other := range known.words {
			if other.Kind == identity.Undo && other.Undoes == word.Undoes && other.ID != id && known.stands(other.ID) {
				undone = append(undone, other)
			}
		}
	}
	at := time.Now().UnixMilli()
	for _, other := range undone {
		// Of two undos only the later takes back the other, whatever the clocks of
		// two machines say.
		at = max(at, other.At+1)
	}
	if err := known.freeWithout(undone, at); err != nil {
		return made, false, err
	}
	for _, other := range slices.Backward(undone) { // the one that was asked for last
		if made, err = d.publish(ctx, &events.Decision{Kind: events.DecisionKind_DECISION_KIND_UNDO, Undoes: other.ID, Who: who, Why: why, DecidedMs: at}); err != nil {
			return made, false, err
		}
	}
	return made, false, nil
}

// List is all that was decided, what the resolver has not taken yet included.
func (d *Desk) List(ctx context.Context) (List, error) {
	known, err := d.load(ctx)
	if err != nil {
		return List{}, err
	}
	out := List{Decisions: known.list, Conflicts: [][]string{}}
	for _, contradiction := range known.set.Contradictions() {
		ids := make([]string, len(contradiction))
		for i, v := range contradiction {
			ids[i] = v.ID
		}
		out.Conflicts = append(out.Conflicts, ids)
	}
	return out, nil
}

var errTexts = fmt.Errorf("%w: it takes who decides and why, each one line of UTF-8 of at most %d characters, none of which steers a terminal or turns text around", ErrWrong, MaxText)

func texts(all ...string) bool {
	for _, text := range all {
		// A list of decisions is read on terminals: no text may write over it.
		if strings.TrimSpace(text) == "" || utf8.RuneCountInString(text) > MaxText || !utf8.ValidString(text) || strings.ContainsFunc(text, steers) {
			return false
		}
	}
	return true
}

// steers says whether a character is none to read: it steers a terminal, begins a line or
// turns around the text beside it.
func steers(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control)
}

// register is all that was decided.
type register struct {
	set   identity.Decisions
	words []identity.Decision // of set
	list  []Decision          // the newest first
}

func (r *register) stands(id string) bool {
	_, standing, ok := r.set.Get(id)
	return ok && standing != identity.Undone
}

func (r *register) get(id string) Decision {
	i := slices.IndexFunc(r.list, func(d Decision) bool { return d.ID == id })
	return r.list[i]
}

// free returns a ConflictError if something that stands is against a word.
func (r *register) free(word identity.Decision) error {
	return r.conflict(r.set.Against(word))
}

func (r *register) conflict(against []identity.Verdict) error {
	if len(against) == 0 {
		return nil
	}
	conflict := new(ConflictError)
	for _, v := range against {
		conflict.With = append(conflict.With, r.get(v.ID))
	}
	return conflict
}

// freeWithout returns a ConflictError if, once words about one thing are taken back at a
// time, what then comes to stand about their pair is against something that stands: the
// word that an undo had taken back, or one that another about the pair had hidden.
func (r *register) freeWithout(words []identity.Decision, at int64) error {
	about := words[0]
	for steps := 0; about.Kind == identity.Undo && steps < len(r.list); steps++ {
		var ok bool
		if about, _, ok = r.set.Get(about.Undoes); !ok {
			return nil
		}
	}
	if about.Kind != identity.Same && about.Kind != identity.Different {
		return nil
	}
	var after identity.Decisions
	for _, w := range r.words {
		after.Add(w)
	}
	for _, w := range words {
		after.Add(identity.Decision{ID: "undo of " + w.ID, Kind: identity.Undo, Undoes: w.ID, At: at})
	}
	pair := identity.PairOf(about.A, about.B)
	// A word that comes back is against the opposite about its own pair, too: after has
	// it already.
	_, was, _ := r.set.Get(about.ID)
	_, is, _ := after.Get(about.ID)
	before, known := r.set.Verdict(pair)
	if was == identity.Undone && is != identity.Undone && known && before.Kind != about.Kind {
		return r.free(about)
	}
	now, ok := after.Verdict(pair)
	if !ok || known && now.Kind == before.Kind {
		return nil
	}
	return r.conflict(after.Against(identity.Decision{Kind: now.Kind, A: pair.A, B: pair.B}))
}

// ofAccounts says whether a decision, or what a chain of undos leads to, is
// about accounts. What leads to nothing that is known is not.
func (r *register) ofAccounts(word identity.Decision) bool {
	for steps := 0; word.Kind == identity.Undo && steps < len(r.list); steps++ {
		var ok bool
		if word, _, ok = r.set.Get(word.Undoes); !ok {
			return false
		}
	}
	return word.Kind == identity.Same || word.Kind == identity.Different
}

// load reads all that was decided: what was resolved lies in ClickHouse, the
// rest at the end of the topic.
func (d *Desk) load(ctx context.Context) (*register, error) {
	// How far the resolver is comes first: what lies below is in ClickHouse.
	committed, err := d.Kafka.Committed(ctx, pipelines.ResolverGroup(d.Brand), []string{d.Topics.Decisions})
	if err != nil {
		return nil, err
	}
	first, next, err := d.Kafka.Ends(ctx, d.Topics.Decisions)
	if err != nil {
		return nil, err
	}
	var rows []struct {
		ID       string    `ch:"decision_id"`
		Kind     string    `ch:"kind"`
		Accounts []string  `ch:"accounts"`
		Undoes   string    `ch:"undoes"`
		Rules    string    `ch:"rules"`
		Who      string    `ch:"who"`
		Why      string    `ch:"why"`
		At       time.Time `ch:"decided_at"`
	}
	err = d.ClickHouse.Select(ctx, "list decisions", &rows,
		"SELECT decision_id, toString(kind) AS kind, accounts, undoes, rules, who, why, decided_at FROM "+d.ClickHouse.Database()+".decisions FINAL"+
			" WHERE kind IN ('same', 'different', 'undo', 'adopt')")
	if err != nil {
		return nil, err
	}
	r := new(register)
	for _, row := range rows {
		r.add(Decision{ID: row.ID, Kind: row.Kind, Accounts: row.Accounts, Undoes: row.Undoes, Who: row.Who, Why: row.Why, At: row.At.UTC(), Resolved: true}, []byte(row.Rules))
	}
	// A topic that was made anew begins at 0 again.
	from := min(max(committed[d.Topics.Decisions][0], first[0]), next[0])
	err = d.Kafka.ReadRange(ctx, d.Topics.Decisions, 0, from, next[0], false, func(m kafka.Fetched) error {
		e := new(events.Decision)
		if pipelines.DecodeDecision(m.Value, e) == nil { // what is none is on its way to the dead letters
			r.add(listed(e), e.GetRules())
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("decide: read what is not resolved yet: %w", err)
	}
	for i := range r.list {
		_, r.list[i].Standing, _ = r.set.Get(r.list[i].ID)
	}
	slices.SortFunc(r.list, func(a, b Decision) int {
		if c := b.At.Compare(a.At); c != 0 {
			return c
		}
		return strings.Compare(b.ID, a.ID)
	})
	return r, nil
}

// kinds are those that bear on who is who, as the table writes them.
var kinds = map[string]identity.DecisionKind{"same": identity.Same, "different": identity.Different, "undo": identity.Undo, "adopt": identity.Adopt}

func (r *register) add(d Decision, rules []byte) {
	word := identity.Decision{ID: d.ID, Kind: kinds[d.Kind], Undoes: d.Undoes, At: d.At.UnixMilli()}
	if _, _, twice := r.set.Get(d.ID); twice || word.Kind == 0 {
		return
	}
	switch word.Kind {
	case identity.Undo:
	case identity.Adopt:
		var err error
		if word.Rules, err = identity.ParseRules(rules); err != nil {
			return // of a later version
		}
	default:
		if len(d.Accounts) < 2 {
			return
		}
		var errA, errB error
		word.A, errA = identity.ParseAccount(d.Accounts[0])
		word.B, errB = identity.ParseAccount(d.Accounts[1])
		if errors.Join(errA, errB) != nil {
			return
		}
	}
	r.set.Add(word)
	r.words = append(r.words, word)
	r.list = append(r.list, d)
}

func listed(e *events.Decision) Decision {
	return Decision{
		ID: e.GetDecisionId(), Kind: identity.DecisionKind(e.GetKind()).String(), Accounts: e.GetAccounts(), Undoes: e.GetUndoes(),
		Who: e.GetWho(), Why: e.GetWhy(), At: time.UnixMilli(e.GetDecidedMs()).UTC(),
	}
}

// known refuses accounts that nothing was ever seen of: a slip of the pen
// would lie in wait for them.
func (d *Desk) known(ctx context.Context, accounts ...identity.Account) error {
	customers, err := d.CustomersOf(ctx, accounts...)
	if err != nil {
		return err
	}
	for i, customer := range customers {
		if customer == uuid.Nil {
			return fmt.Errorf("%w: number %d of the two, of %s/%s", ErrUnknown, i+1, accounts[i].Platform, accounts[i].Shop)
		}
	}
	return nil
}

// CustomersOf are the customers of accounts, as far as all is resolved;
// uuid.Nil for one that was never seen.
func (d *Desk) CustomersOf(ctx context.Context, accounts ...identity.Account) ([]uuid.UUID, error) {
	out := make([]uuid.UUID, len(accounts))
	for i, a := range accounts {
		var rows []struct {
			Customer uuid.UUID `ch:"customer_id"`
		}
		err := d.ClickHouse.Select(ctx, "find the customer of an account", &rows, fmt.Sprintf(
			"SELECT customer_id FROM %s.identity_map FINAL WHERE platform = %s AND shop = %s AND account = %s",
			d.ClickHouse.Database(), clickhouse.Quote(a.Platform), clickhouse.Quote(a.Shop), clickhouse.Quote(a.ID)))
		if err != nil {
			return nil, err
		}
		if len(rows) > 0 {
			out[i] = rows[0].Customer
		}
	}
	return out, nil
}

// publish notes a word in the audit and puts it into its topic.
func (d *Desk) publish(ctx context.Context, e *events.Decision) (Decision, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Decision{}, fmt.Errorf("decide: make an id: %w", err)
	}
	e.DecisionId = id.String()
	made := listed(e)
	made.Standing = identity.Stands
	value, err := proto.Marshal(e)
	if err != nil {
		return Decision{}, fmt.Errorf("decide: make the message: %w", err)
	}
	note := tables.NewAudit()
	note.Append(time.Now().Truncate(time.Millisecond), e.GetWho(), "decision."+made.Kind, e.GetDecisionId(), id)
	if err := d.ClickHouse.Insert(ctx, note, "audit/"+id.String()); err != nil {
		return Decision{}, fmt.Errorf("decide: the audit cannot be written, so nothing is decided: %w", err)
	}
	key := cmp.Or(e.GetUndoes(), made.Kind)
	if len(e.GetAccounts()) > 0 {
		key = e.GetAccounts()[0]
	}
	m := pubsub.NewMessage(ctx, key, value, events.DescribeDecision(e).Headers())
	if err := d.Publisher.Publish(d.Topics.Decisions, m); err != nil {
		return Decision{}, fmt.Errorf("decide: publish the decision: %w", err)
	}
	return made, nil
}
