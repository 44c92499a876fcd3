package identity

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
)

// ModelRule is how appearances of receivers join accounts, and what keeps them
// from it. In the numbers 0 means no bound.
type ModelRule struct {
	// Use names one of the program's Scorers.
	Use string `yaml:"use"`
	// Accept and Review are weights in bits: from Accept on two accounts are
	// joined, from Review on a person is asked.
	Accept float32 `yaml:"accept"`
	Review float32 `yaml:"review"`
	// LeastDays lie between the first and the last time that an account was seen
	// with an appearance, for it to count: a gift is sent once.
	LeastDays int `yaml:"least_days"`
	// ByFar is how many times as long as to any other an account must have sent to a
	// receiver to be joined through him: who sends to several for long may be none of
	// them, and a person is asked.
	ByFar int `yaml:"by_far"`
	// Block is how many accounts may share a key under which appearances meet
	// before the key goes inert, those that do not count among them: most who send
	// something to a warehouse do so once.
	Block int `yaml:"block"`
	// Strength is that of its links, below that of every type's.
	Strength int `yaml:"strength"`
	// PerShop is how many persons of one shop an account may resemble before
	// nothing tells which of them it is, and how many accounts of one shop a
	// customer may get through the model.
	PerShop int `yaml:"per_shop"`
}

func (m *ModelRule) alike(other *ModelRule) bool {
	if m == nil || other == nil {
		return m == other
	}
	return *m == *other
}

// modelFaults tells what is wrong with the model's part of the rules.
func (r *Rules) modelFaults(fault func(path, format string, args ...any)) {
	if r.Types[AppearanceType] != nil {
		fault("$.types."+string(AppearanceType), "it joins nobody by itself: see model")
	}
	m := r.Model
	if m == nil {
		return
	}
	if m.Use == "" {
		fault("$.model.use", "want the name of a model")
	}
	if !(m.Review > 0 && m.Review <= m.Accept && m.Accept <= math.MaxFloat32) { // and no NaN
		fault("$.model.accept", "want bits above 0, and review no more than accept")
	}
	weakest := 101
	for _, rule := range r.Types {
		if rule == nil {
			continue
		}
		for _, strength := range rule.strength {
			if strength > 0 {
				weakest = min(weakest, strength)
			}
		}
	}
	if m.Strength < 1 || m.Strength >= weakest {
		fault("$.model.strength", "want 1 or more, and less than every type's, %d", weakest)
	}
	for key, n := range map[string]int{"least_days": m.LeastDays, "by_far": m.ByFar, "block": m.Block, "per_shop": m.PerShop} {
		if n < 0 {
			fault("$.model."+key, "want 0 (no bound) or more")
		}
	}
}

// Counts says whether an account that was seen with an appearance from first to
// last, in Unix seconds, is held to be the receiver himself.
func (m *ModelRule) Counts(first, last int64) bool { return last-first >= int64(m.LeastDays)*86400 }

// Own says which of an account's receivers is the account's own: the one whom it has
// sent to for ByFar times as long as to any other; false if nothing tells.
func (m *ModelRule) Own(receivers Receivers) (own Appearance, ok bool) {
	longest, next := int64(-1), int64(-1)
	for receiver, times := range receivers {
		switch length := times[1] - times[0]; {
		case length > longest:
			own, longest, next = receiver, length, longest
		case length > next:
			next = length
		}
	}
	if longest == next || next >= 0 && longest < int64(m.ByFar)*next {
		return Appearance{}, false
	}
	return own, longest >= 0
}

// Joins says whether two accounts are joined by how they resemble each other.
func (m *ModelRule) Joins(r Resemblance) bool { return r.Weight >= m.Accept && !r.Asks }

// Inert says whether a key that so many accounts share joins nobody.
func (m *ModelRule) Inert(accounts int) bool { return m.Block > 0 && accounts > m.Block }

// BlockKey is what a Review of an inert key names.
func BlockKey(key uint64) Identifier {
	id := Identifier{Type: AppearanceType}
	for i := range 8 {
		id.Hash[i] = byte(key >> (56 - 8*i))
	}
	return id
}

// Resemblance is the best pair of appearances of two accounts. Its accounts are
// the caller's numbers; X is A's appearance and Y is B's.
type Resemblance struct {
	A, B   int
	X, Y   Hash
	Weight float32 // bits
	// Asks says that X or Y is not surely the account's own, so that a person is asked
	// whatever the weight: see ModelRule.Own.
	Asks bool
}

// Weigh is a scorer's weight of two appearances, whichever comes first, and a
// number in any case.
func Weigh(s Scorer, x, y Hash, a, b Appearance) float32 {
	if bytes.Compare(x[:], y[:]) > 0 {
		a, b = b, a
	}
	w := s.Weigh(a, b)
	if w != w {
		return -math.MaxFloat32
	}
	return min(max(w, -math.MaxFloat32), math.MaxFloat32)
}

// Compare is a scorer's comparison of two appearances, whichever comes first.
func Compare(s Scorer, x, y Hash, a, b Appearance) (levels Levels, rare float64) {
	if bytes.Compare(x[:], y[:]) > 0 {
		a, b = b, a
	}
	return s.Compare(a, b)
}

// Better says whether r speaks louder than s for the same two accounts: one that
// joins them first, then by its weight and by its keys. A and B must be in the order
// of their accounts.
func (m *ModelRule) Better(r, s Resemblance) bool {
	if m.Joins(r) != m.Joins(s) {
		return m.Joins(r)
	}
	if r.Weight == s.Weight && r.Asks != s.Asks {
		return s.Asks
	}
	return cmp.Or(cmp.Compare(s.Weight, r.Weight), bytes.Compare(r.X[:], s.X[:]), bytes.Compare(r.Y[:], s.Y[:])) < 0
}

// resemble joins those that resemble each other, once all that is stronger has
// joined: the heaviest first, each refused if it breaks a constraint.
func (p *partitioner) resemble() {
	pairs := p.component.Pairs
	order := heaviest(pairs)
	if judge := p.component.Judge; judge != nil {
		for _, i := range order {
			a, b := p.find(pairs[i].A), p.find(pairs[i].B)
			if a == b {
				continue
			}
			constraint := p.refuse(a, b, p.rules.Model.PerShop, p.rules.LargestCustomer)
			if cmp.Or(constraint, judge(i, constraint, Cluster{p, a}, Cluster{p, b})) == "" {
				p.join(a, b)
			}
		}
		return
	}
	rivals := p.rivals(pairs)
	for len(order) > 0 {
		n := 1
		for n < len(order) && pairs[order[n]].Weight == pairs[order[0]].Weight {
			n++
		}
		p.joinEquals(order[:n], rivals)
		order = order[n:]
	}
}

// joinEquals takes pairs of one weight. Which of them comes first only the keys of their
// accounts say: none is taken because it came before another, as of links.
func (p *partitioner) joinEquals(turn []int, rivals []bool) {
	pairs := p.component.Pairs
	ends := make([][2]int, len(turn))
	for k, i := range turn {
		if !rivals[i] { // whom it would join is no matter
			ends[k] = [2]int{p.find(pairs[i].A), p.find(pairs[i].B)}
		}
	}
	refused := p.refused(&TypeRule{PerShop: p.rules.Model.PerShop}, p.rules.LargestCustomer, ends)
	for k, i := range turn {
		if rivals[i] {
			refused[k] = ReviewPerShop
		} else if refused[k] == "" {
			p.join(p.find(pairs[i].A), p.find(pairs[i].B))
		}
	}
	for k, i := range turn {
		pair := &pairs[i]
		id, accounts := Identifier{AppearanceType, pair.X}, []Account{p.component.Accounts[pair.A], p.component.Accounts[pair.B]}
		if p.find(pair.A) != p.find(pair.B) {
			p.reviews = append(p.reviews, Review{Reason: refused[k], Identifier: id, Other: pair.Y, Weight: pair.Weight, Accounts: accounts})
			continue
		}
		p.links = append(p.links, Link{Account: accounts[0], Other: accounts[1], Identifier: id,
			OtherAppearance: pair.Y, Weight: pair.Weight, Strength: p.rules.Model.Strength})
	}
}

// heaviest numbers the pairs in the order of their turns: by weight, then by
// their accounts.
func heaviest(pairs []Resemblance) []int {
	order := make([]int, len(pairs))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		s, t := &pairs[i], &pairs[j]
		return cmp.Or(cmp.Compare(t.Weight, s.Weight), cmp.Compare(s.A, t.A), cmp.Compare(s.B, t.B))
	})
	return order
}

// rivals marks the pairs of a person who resembles more persons of one shop than
// he may: a family behind one door. Persons are what stronger links have joined.
func (p *partitioner) rivals(pairs []Resemblance) []bool {
	rivals := make([]bool, len(pairs))
	bound := p.rules.Model.PerShop
	if bound == 0 {
		return rivals
	}
	type side struct {
		root           int
		platform, shop string
	}
	others := map[side][]int{}
	sides := func(pair Resemblance, do func(side, int)) {
		a, b := p.find(pair.A), p.find(pair.B)
		if a == b {
			return
		}
		if of := p.component.Accounts[pair.B]; of.Identified() {
			do(side{a, of.Platform, of.Shop}, b)
		}
		if of := p.component.Accounts[pair.A]; of.Identified() {
			do(side{b, of.Platform, of.Shop}, a)
		}
	}
	for _, pair := range pairs {
		sides(pair, func(s side, root int) {
			if !slices.Contains(others[s], root) {
				others[s] = append(others[s], root)
			}
		})
	}
	for i, pair := range pairs {
		sides(pair, func(s side, _ int) { rivals[i] = rivals[i] || len(others[s]) > bound })
	}
	return rivals
}

// Model is what rules with a model ask beside the evidence.
type Model struct {
	Scorers Scorers
	// Appearances are the fields of the evidence's identifiers of AppearanceType;
	// one whose fields are not known joins nobody.
	Appearances map[Hash]Appearance
}

// resemblances finds the pairs of accounts that a model asks or joins, and the
// keys that went inert. Accounts are numbered as number says.
func (m Model) resemblances(evidence []Evidence, rules *Rules, number map[Account]int) (pairs []Resemblance, inert []Review) {
	scorer, err := m.Scorers.Of(rules)
	if err != nil || scorer == nil {
		return nil, nil
	}
	seen := map[Bearer][2]int64{}
	for _, e := range evidence {
		if e.Identifier.Type != AppearanceType {
			continue
		}
		key := Bearer{Account: number[e.Account], Hash: e.Identifier.Hash}
		times, ok := seen[key]
		if !ok {
			times = [2]int64{e.First, e.Last}
		}
		seen[key] = [2]int64{min(times[0], e.First), max(times[1], e.Last)}
	}
	bearers := make([]Bearer, 0, len(seen))
	for b, times := range seen {
		b.First, b.Last = times[0], times[1]
		bearers = append(bearers, b)
	}
	pairs, keys := rules.Model.Resemblances(scorer, bearers, m.Appearances)
	for _, key := range keys {
		inert = append(inert, Review{Reason: ReviewBlock, Identifier: BlockKey(key)})
	}
	return pairs, inert
}

// Bearer is an account, by the caller's number, that was seen with an appearance from
// First to Last, in Unix seconds. One that does not count (ModelRule.Counts) joins
// nobody, and is one more that shares its keys.
type Bearer struct {
	Account     int
	Hash        Hash
	First, Last int64
}

// Resemblances finds the pairs of accounts from Review on, in the order of their
// numbers, which must be that of the accounts; and the keys that are inert.
// Bearers come in any order, each once; one whose appearance is not known meets
// nobody.
func (m *ModelRule) Resemblances(scorer Scorer, bearers []Bearer, appearances map[Hash]Appearance) (pairs []Resemblance, inert []uint64) {
	receivers := map[int]Receivers{} // by account
	for _, b := range bearers {
		if a, known := appearances[b.Hash]; known && m.ByFar > 0 {
			if receivers[b.Account] == nil {
				receivers[b.Account] = Receivers{}
			}
			receivers[b.Account].See(a, b.First, b.Last)
		}
	}
	own := make(map[int]Appearance, len(receivers))
	for account, of := range receivers {
		if receiver, ok := m.Own(of); ok {
			own[account] = receiver
		}
	}
	isOwn := func(b Bearer) bool {
		receiver, ok := own[b.Account]
		return m.ByFar == 0 || ok && receiver == appearances[b.Hash].Receiver()
	}
	blocks := map[uint64][]Bearer{}
	for _, b := range bearers {
		a, known := appearances[b.Hash]
		if !known {
			continue
		}
		keys := scorer.Blocks(nil, a)
		slices.Sort(keys)
		for _, key := range slices.Compact(keys) {
			blocks[key] = append(blocks[key], b)
		}
	}
	best := map[[2]int]Resemblance{}
	for key, members := range blocks {
		accounts := map[int]bool{}
		for _, b := range members {
			accounts[b.Account] = true
		}
		if m.Inert(len(accounts)) {
			inert = append(inert, key)
			continue
		}
		for _, a := range members {
			for _, b := range members {
				if a.Account >= b.Account || !m.Counts(a.First, a.Last) || !m.Counts(b.First, b.Last) {
					continue
				}
				r := Resemblance{A: a.Account, B: b.Account, X: a.Hash, Y: b.Hash, Asks: !isOwn(a) || !isOwn(b),
					Weight: Weigh(scorer, a.Hash, b.Hash, appearances[a.Hash], appearances[b.Hash])}
				pair := [2]int{r.A, r.B}
				if before, ok := best[pair]; r.Weight >= m.Review && (!ok || m.Better(r, before)) {
					best[pair] = r
				}
			}
		}
	}
	for _, r := range best {
		pairs = append(pairs, r)
	}
	slices.SortFunc(pairs, func(r, s Resemblance) int { return cmp.Or(cmp.Compare(r.A, s.A), cmp.Compare(r.B, s.B)) })
	return pairs, inert
}

// WithModel are the same rules with another model: its name in place of that
// under model.use. Rules without a model get the part that is given, in YAML.
func (r *Rules) WithModel(name string, part []byte) (*Rules, error) {
	source := bytes.Clone(r.source)
	if r.Model == nil {
		source = append(append(source, '\n'), part...)
	}
	if _, err := ParseRules(source); err != nil {
		return nil, fmt.Errorf("identity: add a model to the rules: %w", err)
	}
	line, column, text := scalar(source, "$.model.use")
	lines := bytes.SplitAfter(source, []byte("\n"))
	if line < 1 || line > len(lines) {
		return nil, errUse
	}
	// Columns count characters, and the part before a name may hold any.
	runes := []rune(string(lines[line-1]))
	from := column - 1
	old := []rune(text)
	if from < 0 || from+len(old) > len(runes) || string(runes[from:from+len(old)]) != text {
		return nil, errUse
	}
	lines[line-1] = []byte(string(runes[:from]) + name + string(runes[from+len(old):]))
	read, err := ParseRules(bytes.Join(lines, nil))
	if err != nil || read.Model == nil || read.Model.Use != name {
		return nil, errUse
	}
	return read, nil
}

var errUse = errors.New("identity: the name under model.use of the rules cannot be replaced: write the new one there yourself")
