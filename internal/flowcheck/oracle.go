package flowcheck

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// entity names an order, refund, user or ticket.
type entity struct {
	kind      Kind
	place, id string // platform/shop, and its id there
}

// version is one version of an entity.
type version struct {
	entity
	version int64
}

// Oracle is what must come of the facts that were acknowledged.
type Oracle struct {
	// newest is each entity as it is in the end.
	newest   map[entity]Fact
	versions map[version]bool
	// garbage by its bytes.
	garbage   map[string]bool
	decisions map[string]bool
	// customers are sorted accounts, sorted.
	customers [][]string
}

// ReadOracle reads a producer's log.
func ReadOracle(path string) (*Oracle, error) {
	facts, _, err := readLog(path)
	if err != nil {
		return nil, err
	}
	return NewOracle(facts), nil
}

// NewOracle says what must come of facts, in whatever order they came.
func NewOracle(facts []Fact) *Oracle {
	o := &Oracle{newest: map[entity]Fact{}, versions: map[version]bool{}, garbage: map[string]bool{}, decisions: map[string]bool{}}
	w := who{phones: sets{}, unions: sets{}, unionsOf: sets{}, apart: map[string][]string{}, of: map[string]*[]string{}}
	undone := map[string]bool{}
	said := map[string]Fact{}
	for _, f := range facts {
		switch f.Kind {
		case Garbage:
			o.garbage[string(f.Bytes)] = true
		case Decision:
			o.decisions[f.ID] = true
			if f.Says == "undo" {
				undone[f.Undoes] = true
			} else {
				said[f.ID] = f
			}
		default:
			place, _, _ := cutAccount(f.Account)
			e := entity{f.Kind, place, f.Entity}
			o.versions[version{e, f.Version}] = true
			if was, ok := o.newest[e]; !ok || f.Version > was.Version {
				o.newest[e] = f
			}
			if w.of[f.Account] == nil {
				w.of[f.Account] = &[]string{f.Account}
			}
			w.phones.add(f.Phone, f.Account)
			w.unions.add(f.UnionID, f.Account)
			w.unionsOf.add(f.Account, f.UnionID)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(said)) {
		d := said[id]
		switch {
		case undone[id] || w.of[d.A] == nil || w.of[d.B] == nil:
		case d.Says == "same":
			w.same = append(w.same, [2]string{d.A, d.B})
		default:
			w.apart[d.A], w.apart[d.B] = append(w.apart[d.A], d.B), append(w.apart[d.B], d.A)
		}
	}
	o.customers = w.customers()
	return o
}

// Facts counts entities, versions, garbage and customers, for a test to see
// that its load had some of each.
func (o *Oracle) Facts() (entities, versions, garbage, customers int) {
	return len(o.newest), len(o.versions), len(o.garbage), len(o.customers)
}

type sets map[string]set

type set map[string]bool

func (s sets) add(key, member string) {
	if key == "" || member == "" {
		return
	}
	if s[key] == nil {
		s[key] = set{}
	}
	s[key][member] = true
}

// who finds out who is one customer, from what the rules say in words.
// People's word first; then unionids, of which a person has one; then phones,
// unless two persons of one shop have it, or two of whom it is known that they are
// two: by a person's word, or by their unionids.
type who struct {
	phones, unions sets // accounts by value
	unionsOf       sets // values by account
	same           [][2]string
	apart          map[string][]string // both ways
	// of is the customer of each account: the list of its accounts.
	of map[string]*[]string
}

func (w *who) join(a, b string) {
	x, y := w.of[a], w.of[b]
	if x == y {
		return
	}
	for _, moved := range *y {
		w.of[moved] = x
	}
	*x = append(*x, *y...)
}

func (w *who) keptApart(a, b string) bool {
	for _, one := range *w.of[a] {
		for _, other := range w.apart[one] {
			if w.of[other] == w.of[b] {
				return true
			}
		}
	}
	return false
}

func (w *who) customers() [][]string {
	for _, pair := range w.same {
		if !w.keptApart(pair[0], pair[1]) {
			w.join(pair[0], pair[1])
		}
	}
	for _, value := range slices.Sorted(maps.Keys(w.unions)) {
		w.link(slices.Sorted(maps.Keys(w.unions[value])), false)
	}
	for _, value := range slices.Sorted(maps.Keys(w.phones)) {
		accounts := slices.Sorted(maps.Keys(w.phones[value]))
		if !w.shared(accounts) && !w.contradicted(accounts) {
			w.link(accounts, true)
		}
	}
	var out [][]string
	for account, all := range w.of {
		if account == (*all)[0] { // each once
			out = append(out, slices.Sorted(slices.Values(*all)))
		}
	}
	slices.SortFunc(out, slices.Compare)
	return out
}

// shared says whether two persons of one shop are among accounts.
func (w *who) shared(accounts []string) bool {
	person := map[string]*[]string{}
	for _, a := range accounts {
		place, _, _ := cutAccount(a)
		if other, ok := person[place]; ok && other != w.of[a] {
			return true
		}
		person[place] = w.of[a]
	}
	return false
}

// contradicted says whether two of accounts are known to be two persons.
func (w *who) contradicted(accounts []string) bool {
	for i, a := range accounts {
		for _, b := range accounts[i+1:] {
			if w.keptApart(a, b) || w.twoUnions(a, b) {
				return true
			}
		}
	}
	return false
}

// link joins accounts that bear one value, one after the other, to the first
// of them, except where that is forbidden.
func (w *who) link(accounts []string, byPhone bool) {
	for _, a := range accounts[min(1, len(accounts)):] {
		first := accounts[0]
		if w.keptApart(a, first) || w.twoUnions(a, first) || byPhone && w.of[a] != w.of[first] && w.shared(slices.Concat(*w.of[a], *w.of[first])) {
			continue
		}
		w.join(first, a)
	}
}

// twoUnions says whether two customers bear different unionids.
func (w *who) twoUnions(a, b string) bool {
	values := func(of string) set {
		all := set{}
		for _, m := range *w.of[of] {
			maps.Copy(all, w.unionsOf[m])
		}
		return all
	}
	x, y := values(a), values(b)
	both := maps.Clone(x)
	maps.Copy(both, y)
	return len(both) > 1 && len(both) > max(len(x), len(y))
}

// birthID is the id that an account is given at birth, as the documents say:
// a UUID (version 8) from the SHA-256 of its key.
func birthID(account string) string {
	sum := sha256.Sum256([]byte(account))
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

func compareEntities(a, b entity) int {
	return cmp.Or(cmp.Compare(a.kind, b.kind), strings.Compare(a.place, b.place), strings.Compare(a.id, b.id))
}
