package identity

import (
	"cmp"
	"slices"
	"strings"
)

// DecisionKind says what a person decided about accounts.
type DecisionKind uint8

// The kinds of decisions that bear on who is who.
const (
	Same      DecisionKind = iota + 1 // both accounts are one person: stronger than any rule
	Different                         // they are two: never in one customer
	Undo                              // takes another decision back
	// Adopt takes rules into force, in place of those that were. Its number is
	// that of the message's; between lie kinds that do not bear on who is who.
	Adopt DecisionKind = 6
)

// String names the kind as tables do.
func (k DecisionKind) String() string {
	switch k {
	case Same:
		return "same"
	case Different:
		return "different"
	case Undo:
		return "undo"
	case Adopt:
		return "adopt"
	}
	return "unknown"
}

// Decision is a person's word. ID is unique: a second decision with the ID of
// an earlier one is the same decision. Of several about one pair that were
// not taken back a Different stands before a Same, and then the one decided last:
// the clocks of two people's machines say nothing of who is right.
type Decision struct {
	ID     string
	Kind   DecisionKind
	A, B   Account // of Same and Different
	Undoes string  // the ID that an Undo takes back; an Undo can be undone by a later one
	Rules  *Rules  `json:",omitempty"` // of Adopt
	At     int64   // when it was decided, Unix milliseconds
}

func (d *Decision) later(e *Decision) bool {
	return cmp.Or(cmp.Compare(d.At, e.At), strings.Compare(d.ID, e.ID)) > 0
}

// Pair is two accounts, the lower first.
type Pair struct{ A, B Account }

// PairOf orders two accounts.
func PairOf(a, b Account) Pair {
	if a.Compare(b) > 0 {
		a, b = b, a
	}
	return Pair{a, b}
}

// other is the account that a is paired with.
func (p Pair) other(a Account) Account {
	if p.A == a {
		return p.B
	}
	return p.A
}

// Verdict is what stands of all decisions about a pair.
type Verdict struct {
	Pair Pair
	Kind DecisionKind // Same or Different
	ID   string       // of the decision
}

// Decisions is a set of decisions, ready to be asked. The zero value is
// empty. Not safe for concurrent writing.
type Decisions struct {
	byID    map[string]*Decision
	undos   map[string][]*Decision // by what they undo
	pairs   map[Pair][]*Decision
	partner map[Account][]Account
	adopts  []*Decision
}

// Add puts d into the set and returns the accounts whose customers it may
// change; none if the set has its ID already. Whether other rules are in force
// after it, Adopted says.
func (s *Decisions) Add(d Decision) []Account {
	if s.byID == nil {
		s.byID, s.undos = map[string]*Decision{}, map[string][]*Decision{}
		s.pairs, s.partner = map[Pair][]*Decision{}, map[Account][]Account{}
	}
	if s.byID[d.ID] != nil {
		return nil
	}
	own := &d
	s.byID[d.ID] = own
	switch d.Kind {
	case Same, Different:
		pair := PairOf(d.A, d.B)
		if pair.A == pair.B {
			return nil
		}
		if s.pairs[pair] == nil {
			s.partner[pair.A] = append(s.partner[pair.A], pair.B)
			s.partner[pair.B] = append(s.partner[pair.B], pair.A)
		}
		s.pairs[pair] = append(s.pairs[pair], own)
		return []Account{pair.A, pair.B}
	case Adopt:
		s.adopts = append(s.adopts, own)
	case Undo:
		s.undos[d.Undoes] = append(s.undos[d.Undoes], own)
		// What it takes back may be an undo in its turn: follow to the end.
		target, seen := s.byID[d.Undoes], map[string]bool{d.ID: true}
		for target != nil && target.Kind == Undo && !seen[target.ID] {
			seen[target.ID] = true
			target = s.byID[target.Undoes]
		}
		if target != nil && (target.Kind == Same || target.Kind == Different) {
			return []Account{target.A, target.B}
		}
	}
	return nil
}

// Len counts the decisions.
func (s *Decisions) Len() int { return len(s.byID) }

// Pairs counts the pairs of accounts that anything was decided about.
func (s *Decisions) Pairs() int { return len(s.pairs) }

// Adopted is the decision whose rules are in force: of those that were not
// taken back the last. False if there is none.
func (s *Decisions) Adopted() (Decision, bool) {
	var last *Decision
	for _, d := range s.adopts {
		if (last == nil || d.later(last)) && s.stands(d) {
			last = d
		}
	}
	if last == nil {
		return Decision{}, false
	}
	return *last, true
}

// Rules are those in force: adopted ones, or else those given.
func (s *Decisions) Rules(given *Rules) *Rules {
	if d, ok := s.Adopted(); ok {
		return d.Rules
	}
	return given
}

// stands says whether d was not taken back. Of two undos only the later can
// take back the other, so that no circle has two answers.
func (s *Decisions) stands(d *Decision) bool {
	for _, u := range s.undos[d.ID] {
		if (d.Kind != Undo || u.later(d)) && s.stands(u) {
			return false
		}
	}
	return true
}

// Verdict says what stands about a pair; false if nothing does.
func (s *Decisions) Verdict(pair Pair) (Verdict, bool) {
	different, ok := s.last(pair, Different)
	if ok {
		return different, true
	}
	return s.last(pair, Same)
}

// last is the last word of a kind about a pair that was not taken back.
func (s *Decisions) last(pair Pair, kind DecisionKind) (Verdict, bool) {
	var last *Decision
	for _, d := range s.pairs[pair] {
		if d.Kind == kind && (last == nil || d.later(last)) && s.stands(d) {
			last = d
		}
	}
	if last == nil {
		return Verdict{}, false
	}
	return Verdict{Pair: pair, Kind: kind, ID: last.ID}, true
}

// Of returns what stands about an account, ordered by pair.
func (s *Decisions) Of(a Account) []Verdict {
	var verdicts []Verdict
	for _, b := range s.partner[a] {
		if v, ok := s.Verdict(PairOf(a, b)); ok {
			verdicts = append(verdicts, v)
		}
	}
	slices.SortFunc(verdicts, compareVerdicts)
	return verdicts
}

// Apart says whether a Different that stands is about an account of each side.
func (s *Decisions) Apart(as, bs []Account) bool {
	for _, a := range as {
		for _, v := range s.Of(a) {
			if v.Kind == Different && slices.Contains(bs, v.Pair.other(a)) {
				return true
			}
		}
	}
	return false
}

// All returns every verdict that stands, ordered by pair.
func (s *Decisions) All() []Verdict {
	var verdicts []Verdict
	for pair := range s.pairs {
		if v, ok := s.Verdict(pair); ok {
			verdicts = append(verdicts, v)
		}
	}
	slices.SortFunc(verdicts, compareVerdicts)
	return verdicts
}

func compareVerdicts(v, w Verdict) int {
	return cmp.Or(v.Pair.A.Compare(w.Pair.A), v.Pair.B.Compare(w.Pair.B))
}

// Standing says what has become of a decision.
type Standing string

// The standings.
const (
	Stands    Standing = "stands"
	Undone    Standing = "undone"
	Overruled Standing = "overruled" // another about the same pair, or a later one of rules, stands
)

// Get returns the decision of that ID, and what has become of it.
func (s *Decisions) Get(id string) (Decision, Standing, bool) {
	d := s.byID[id]
	if d == nil {
		return Decision{}, "", false
	}
	if !s.stands(d) {
		return *d, Undone, true
	}
	if last, _ := s.Adopted(); d.Kind == Adopt && last.ID != id {
		return *d, Overruled, true
	}
	if (d.Kind == Same || d.Kind == Different) && d.A != d.B {
		if v, _ := s.Verdict(PairOf(d.A, d.B)); v.ID != id {
			return *d, Overruled, true
		}
	}
	return *d, Stands, true
}

// Against are the verdicts that stand and that d, a Same or a Different, would
// contradict: another word about its pair; for a Different the Sames that join
// its accounts, in the order of their path; for a Same the Differents between
// those who are the same as A and those who are the same as B. Nothing of it
// is resolved silently: who decides takes one of them back first.
func (s *Decisions) Against(d Decision) []Verdict {
	if d.Kind != Same && d.Kind != Different {
		return nil
	}
	pair := PairOf(d.A, d.B)
	if v, ok := s.Verdict(pair); ok && v.Kind != d.Kind {
		return []Verdict{v}
	}
	if d.Kind == Different {
		return s.path(d.A, d.B)
	}
	var against []Verdict
	ofB := s.same(d.B)
	for a := range s.same(d.A) {
		for _, v := range s.Of(a) {
			if _, ok := ofB[v.Pair.other(a)]; ok && v.Kind == Different {
				against = append(against, v)
			}
		}
	}
	slices.SortFunc(against, compareVerdicts)
	return slices.Compact(against)
}

// Contradictions are the Differents that stand though Sames that were not taken
// back join their accounts, each followed by the path of those Sames: the one
// about its own pair, or the fewest that lead across. Two people who decide at
// once can bring them about; the Differents win until one is taken back.
func (s *Decisions) Contradictions() [][]Verdict {
	var out [][]Verdict
	for _, v := range s.All() {
		if v.Kind != Different {
			continue
		}
		if same, ok := s.last(v.Pair, Same); ok {
			out = append(out, []Verdict{v, same})
		} else if path := s.path(v.Pair.A, v.Pair.B); len(path) > 0 {
			out = append(out, append([]Verdict{v}, path...))
		}
	}
	return out
}

// same are the accounts that Sames join to a, itself among them, each with the
// verdict by which it was reached.
func (s *Decisions) same(a Account) map[Account]Verdict {
	reached := map[Account]Verdict{a: {}}
	for queue := []Account{a}; len(queue) > 0; queue = queue[1:] {
		for _, v := range s.Of(queue[0]) {
			next := v.Pair.other(queue[0])
			if _, known := reached[next]; !known && v.Kind == Same {
				reached[next] = v
				queue = append(queue, next)
			}
		}
	}
	return reached
}

// path are the fewest Sames that lead from a to b; none if nothing does.
func (s *Decisions) path(a, b Account) []Verdict {
	reached := s.same(a)
	var path []Verdict
	for at := b; at != a; {
		v, ok := reached[at]
		if !ok {
			return nil
		}
		path = append(path, v)
		at = v.Pair.other(at)
	}
	slices.Reverse(path)
	return path
}
