package match

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"oneid/identity/match/compare"
)

// Learned is what a model's comparisons are worth on some data.
//
// Two records are of one entity, or strangers, or neighbours: records of two
// entities that agree more than by chance, because they share a household, a
// building, a name and what is made of it. There are as many kinds of
// neighbours as comparisons, and the data say what each has in common; behind
// them come households, see there. Without them each column of an address would
// count as if the others had said nothing, and what is learned as "one entity"
// would drift to whatever agrees often.
type Learned struct {
	// Format and Version say that a file is of this kind; see ParseLearned.
	Format  string `json:"format"`
	Version int    `json:"version"`
	// At is when, in RFC 3339; who runs the matcher sets it.
	At string `json:"at,omitempty"`
	// Seed of what was drawn at random.
	Seed uint64 `json:"seed"`
	// Data that it was learned on.
	Data LearnedData `json:"data"`
	// Blocking rules whose pairs it was learned from.
	Blocking []Rule `json:"blocking"`
	// Prior is the share of all pairs that are one entity, Near the shares of
	// those that are neighbours, by kind of neighbours.
	Prior float64   `json:"prior"`
	Near  []float64 `json:"near"`
	// Fields in the order of the model's comparisons.
	Fields []LearnedField `json:"fields"`
	// Rounds of learning, and whether the last one changed next to nothing.
	Rounds    int  `json:"rounds"`
	Converged bool `json:"converged"`
	// Warnings in plain words of what was not learned as it should be.
	Warnings []string `json:"warnings,omitempty"`
}

// LearnedData describes the records without telling any: counts alone.
type LearnedData struct {
	// Fingerprint is equal for the same records in any order, and made of the
	// counts here and in the fields alone: no guess at a value can be tried
	// on it.
	Fingerprint string `json:"fingerprint"`
	Records     int    `json:"records"`
	// Sources has the records of each source; empty without --link.
	Sources []int `json:"sources,omitempty"`
}

// LearnedField is what was learned about one comparison: the probabilities of
// its levels, of level l at [l-1], where neither value is missing.
type LearnedField struct {
	// Name to Rarity are the model's comparison, so that another model is
	// known, and how it differs can be said.
	Name        string       `json:"name"`
	Columns     []string     `json:"columns"`
	Kind        compare.Kind `json:"kind"`
	SwappedWith string       `json:"swapped_with,omitempty"`
	Rarity      bool         `json:"rarity,omitempty"`
	// Levels of the kind from equal to else. Kept are those that the model
	// chose; empty is all.
	Levels []string `json:"levels"`
	Kept   []string `json:"kept,omitempty"`
	// Filled are the records with a value, Distinct the different values,
	// Equal the pairs of records that are equal.
	Filled   int     `json:"filled"`
	Distinct int     `json:"distinct"`
	Equal    float64 `json:"equal_pairs"`
	// M among pairs of one entity, U among strangers, N[k] among neighbours of
	// kind k.
	M []float64   `json:"m"`
	U []float64   `json:"u"`
	N [][]float64 `json:"n"`
	// Unseen are the levels at which no pair was that was learned from: what they
	// are worth is what is assumed before learning.
	Unseen []string `json:"unseen,omitempty"`
	// Frequencies of values, where rarity counts.
	Frequencies *Frequencies `json:"frequencies,omitempty"`
}

// Weight is what a level is worth in bits, without regard to neighbours.
func (f *LearnedField) Weight(level int) float64 { return math.Log2(f.M[level-1] / f.U[level-1]) }

// Keeps says that a level is one that the model tells apart.
func (f *LearnedField) Keeps(level int) bool {
	folds := (&Comparison{Kind: f.Kind, Levels: f.Kept}).folds()
	return folds == nil || folds[level] == compare.Level(level)
}

// PriorBits is what the prior is worth against strangers.
func (out *Learned) PriorBits() float64 {
	_, shares := out.classes()
	return shares[0] / math.Ln2
}

const (
	// enough is the change of a probability below which learning ends.
	enough = 1e-5
	// doubt is with how many pairs of one entity the start values weigh in: a
	// level that is hardly seen stays near them. doubtNear likewise, towards
	// strangers.
	doubt, doubtNear = 2.0, 5.0
	// nearest bounds what neighbours have in common, in bits against
	// strangers, as a share of the bits that the prior asks of one entity: who
	// has more in common is no neighbour but the same entity, badly written.
	nearest = 0.75
	// farthest bounds likewise with how much a single pair counts for neighbours, once
	// they have taken pairs of one entity: the bits that the prior asks for twice are
	// about those of all pairs of a table, so that not one is so alike by chance.
	farthest = 2.0
	// mostTaken is what neighbours may hold of pairs beyond that, for each pair of one
	// entity, before they are bounded: a few more or fewer change nothing.
	mostTaken = 0.02
)

// start gives the probabilities of the levels among pairs of one entity to
// begin with: most are equal, and each weaker level is half as likely.
func start(kind compare.Kind) []float64 {
	m := make([]float64, len(compare.Levels(kind)))
	for _, group := range groups(kind, m) {
		rest := 0.25
		group[0] = 0.75
		for l := 1; l < len(group); l++ {
			group[l] = rest / 2
			rest /= 2
		}
		group[len(group)-1] += rest
	}
	return m
}

// groups cuts the levels of a kind into those of compare.Groups. Each group's
// probabilities sum up to 1: what is masked is no evidence.
func groups(kind compare.Kind, p []float64) (list [][]float64) {
	firsts := compare.Groups(kind)
	for g, first := range firsts {
		end := len(p)
		if g+1 < len(firsts) {
			end = int(firsts[g+1]) - 1
		}
		list = append(list, p[first-1:end:end])
	}
	return list
}

// counted is a pattern and in how many candidate pairs it was seen.
type counted struct {
	pattern pattern
	n       float64
}

// counts of levels by field.
type counts [][16]float64

// learning is the state of expectation and maximisation.
type learning struct {
	r    *records
	seen []counted
	// levels of random pairs, scaled to all pairs; smallest is what one random
	// pair stands for.
	levels   counts
	smallest float64
	out      *Learned
	// expected among the candidates by class: 0 is one entity, k+1 neighbours
	// of kind k.
	expected []counts
	totals   []float64
	// beyond are those of neighbours that have more in common than farthest. bounded
	// says that they count for them no more than that.
	beyond  float64
	bounded bool
	// hardly has the fields, with their levels that hardly a pair of one entity is
	// at: one note for all.
	hardly []string
}

// learn finds prior, m, u and n by expectation and maximisation, and says in
// plain words what was not learned as it should be. seen is sorted in place.
func (r *records) learn(seen []counted, levels counts, smallest float64, rounds int) *Learned {
	slices.SortFunc(seen, func(a, b counted) int { return cmp.Compare(a.pattern, b.pattern) })
	n := len(r.fields)
	l := &learning{r: r, seen: seen, levels: levels, smallest: smallest, out: r.describe()}
	l.out.Prior = min(0.1, float64(r.n)/10/r.all)
	for i := range r.fields {
		l.out.Fields[i].M, l.out.Fields[i].U = start(l.kind(i)), make([]float64, r.fields[i].last)
	}
	l.expected = []counts{make(counts, n)}
	if n == 1 {
		l.out.Warnings = []string{l.alone()}
		return l.out
	}
	l.strangers()
	// Neighbours of kind k are those that have field k in common, to begin
	// with, and of the others whatever goes with it.
	for k := range n {
		l.out.Near = append(l.out.Near, min(0.5, 10*l.out.Prior)/float64(n))
		for i := range l.out.Fields {
			f := &l.out.Fields[i]
			near := make([]float64, len(f.M))
			pull := 0.25
			if i == k {
				pull = 0.9
			}
			for level := range near {
				near[level] = math.Pow(f.M[level], pull) * math.Pow(f.U[level], 1-pull)
			}
			normalise(l.kind(i), near)
			f.N = append(f.N, near)
		}
	}
	change := l.settle(rounds)
	if l.beyond > mostTaken*l.totals[0] {
		l.bounded = true
		change = l.settle(rounds)
	}
	if l.relatives() {
		change = l.settle(rounds)
	}
	if l.households() {
		change = l.settle(rounds)
	}
	warnings := l.contradicting()
	if !l.out.Converged {
		warnings = append(warnings, fmt.Sprintf("learning had not settled after %d rounds (a probability still moved by %.2g): the data do not say clearly which pairs are one entity; look at what was learned, leave comparisons that repeat each other out of the model, or add one that tells entities apart", l.out.Rounds, change))
	}
	for i := range r.fields {
		warnings = append(warnings, l.mend(i)...)
	}
	if len(l.hardly) > 0 {
		warnings = append(warnings, fmt.Sprintf("hardly a pair of one entity is at some levels: %s. These keep what is assumed before learning, but are worth no more than a stronger level and no less than a weaker one. If such pairs are rare there is nothing to do; if you know of many, learn on a table that has them, and give what was learned with --learned", strings.Join(l.hardly, "; ")))
	}
	l.out.Warnings = warnings
	return l.out
}

// kinds of neighbours that are learned: one for each comparison. Households come
// behind them.
func (l *learning) kinds() int { return len(l.out.Fields) }

// settle repeats expectation and maximisation until next to nothing changes, at
// most so many times, and says by how much the last one did.
func (l *learning) settle(rounds int) (change float64) {
	l.out.Converged = false
	for range rounds {
		l.out.Rounds++
		l.expect()
		change = l.maximise()
		if l.out.Converged = change < enough; l.out.Converged {
			break
		}
	}
	return change
}

func (l *learning) kind(field int) compare.Kind { return l.r.fields[field].column.Kind() }

func normalise(kind compare.Kind, p []float64) {
	for _, group := range groups(kind, p) {
		sum := 0.0
		for _, x := range group {
			sum += x
		}
		for i := range group {
			group[i] /= sum
		}
	}
}

// strangers sets u: the levels of all pairs, less those of one entity.
func (l *learning) strangers() {
	for i := range l.out.Fields {
		u := l.out.Fields[i].U
		for k := range u {
			least := l.smallest / 2
			if k == 0 {
				least = 0.5 // equal pairs were counted, not drawn
			}
			u[k] = max(l.levels[i][k+1]-l.expected[0][i][k+1], least)
		}
		normalise(l.kind(i), u)
	}
}

// classes gives the logarithms of each class's levels and of its share, against
// strangers.
func (out *Learned) classes() (levels []counts, shares []float64) {
	rest := 1 - out.Prior
	for _, near := range out.Near {
		rest -= near
	}
	shares = append(shares, math.Log(out.Prior/rest))
	for _, near := range out.Near {
		shares = append(shares, math.Log(near/rest))
	}
	for range shares {
		levels = append(levels, make(counts, len(out.Fields)))
	}
	for i, f := range out.Fields {
		for l, u := range f.U {
			levels[0][i][l+1] = math.Log(f.M[l] / u)
			for k := range f.N {
				levels[k+1][i][l+1] = math.Log(f.N[k][l] / u)
			}
		}
	}
	return levels, shares
}

// asked are the bits that the prior asks of a pair of one entity.
func (l *learning) asked() float64 {
	return -math.Log2(min(l.out.Prior, float64(l.r.n)/l.r.all))
}

// expect spreads each pattern over the classes. Who has moved agrees in all but the
// address: a kind of neighbours that has little in common on average may take the few
// of them, and where they are taken one entity seems never to move. So a single pair
// has a bound, too.
func (l *learning) expect() {
	levels, shares := l.out.classes()
	l.expected, l.totals, l.beyond = nil, make([]float64, len(shares)), 0
	for range shares {
		l.expected = append(l.expected, make(counts, len(l.out.Fields)))
	}
	likely, beyond := make([]float64, len(shares)), make([]bool, len(shares))
	most := farthest * l.asked() * math.Ln2
	for _, s := range l.seen {
		top := 0.0
		for c := range shares {
			w := 0.0
			for i := range levels[c] {
				w += levels[c][i][s.pattern.level(i)]
			}
			beyond[c] = c > 0 && c <= l.kinds() && w > most
			if beyond[c] && l.bounded {
				w = most
			}
			likely[c] = w + shares[c]
			top = max(top, likely[c])
		}
		sum := math.Exp(-top)
		for c, w := range likely {
			likely[c] = math.Exp(w - top)
			sum += likely[c]
		}
		for c, part := range likely {
			p := s.n * part / sum
			if p < 1e-9 {
				continue
			}
			l.totals[c] += p
			if beyond[c] {
				l.beyond += p
			}
			for i := range l.expected[c] {
				l.expected[c][i][s.pattern.level(i)] += p
			}
		}
	}
}

// maximise makes the probabilities fit what was expected, and says by how much
// the most changed one did.
func (l *learning) maximise() float64 {
	change := 0.0
	for i := range l.out.Fields {
		f := &l.out.Fields[i]
		begin, old := start(l.kind(i)), slices.Clone(f.M)
		for level := range f.M {
			f.M[level] = l.expected[0][i][level+1] + doubt*begin[level]
			for k := range l.kinds() {
				f.N[k][level] = l.expected[k+1][i][level+1] + doubtNear*f.U[level]
			}
		}
		normalise(l.kind(i), f.M)
		for k := range l.kinds() {
			normalise(l.kind(i), f.N[k])
		}
		if one := compare.OneSlip(l.kind(i)); one > 0 && l.r.fields[i].keeps(one) {
			oneSlip(l.kind(i), f.M)
		}
		for level := range f.M {
			change = max(change, math.Abs(f.M[level]-old[level]))
		}
	}
	for k := range l.kinds() {
		l.estrange(k)
		l.out.Near[k] = min(max(l.totals[k+1], 0.5)/l.r.all, l.room()/float64(l.kinds()))
	}
	prior := min(max(l.totals[0], 0.5)/l.r.all, 0.4)
	change = max(change, math.Abs(prior-l.out.Prior)/l.out.Prior)
	l.out.Prior = prior
	l.strangers()
	return change
}

// oneSlip keeps two slips of typing from being likelier than one: numbers that
// stand near each other were given out together, to two entities.
func oneSlip(kind compare.Kind, m []float64) {
	one := compare.OneSlip(kind)
	if m[one] <= m[one-1] {
		return
	}
	plain := groups(kind, m)[0]
	plain[len(plain)-1] += m[one] - m[one-1]
	m[one] = m[one-1]
}

// estrange draws neighbours of a kind towards strangers until they have no
// more in common than they may.
func (l *learning) estrange(k int) {
	limit, info := nearest*l.asked(), 0.0
	for i, f := range l.out.Fields {
		info += l.information(i, f.N[k])
	}
	if info <= limit {
		return
	}
	bent := make([][]float64, len(l.out.Fields))
	low, high := 0.0, 1.0
	for range 20 {
		t := (low + high) / 2
		info = 0
		for i, f := range l.out.Fields {
			bent[i] = make([]float64, len(f.U))
			for level, u := range f.U {
				bent[i][level] = math.Pow(f.N[k][level], t) * math.Pow(u, 1-t)
			}
			normalise(l.kind(i), bent[i])
			info += l.information(i, bent[i])
		}
		if info > limit {
			high = t
		} else {
			low = t
		}
	}
	for i := range bent {
		l.out.Fields[i].N[k] = bent[i]
	}
}

// information is how much p differs from strangers in a field, in bits. Groups
// of levels count by how many pairs have them.
func (l *learning) information(field int, p []float64) float64 {
	kind := l.kind(field)
	sum, all := 0.0, 0.0
	us := groups(kind, l.out.Fields[field].U)
	pairs := groups(kind, l.levels[field][1:len(p)+1])
	for g, group := range groups(kind, p) {
		bits, here := 0.0, 0.0
		for k := range group {
			bits += group[k] * math.Log2(group[k]/us[g][k])
			here += pairs[g][k]
		}
		sum += here * bits
		all += here
	}
	return sum / all
}

// mend makes a weaker level of a field worth no more than a stronger one:
// levels that break this are weighed together. It says what was not seen, and
// what says nothing.
func (l *learning) mend(field int) (warnings []string) {
	f := &l.out.Fields[field]
	names := compare.Levels(l.r.fields[field].column.Kind())
	type pool struct {
		from, to int
		m, u     float64
	}
	nothing := true
	mend := func(from, to int) {
		var pools []pool
		for k := from; k < to; k++ {
			pools = append(pools, pool{k, k + 1, f.M[k], f.U[k]})
			for len(pools) > 1 {
				a, b := pools[len(pools)-2], pools[len(pools)-1]
				if a.m*b.u >= b.m*a.u {
					break
				}
				pools = append(pools[:len(pools)-2], pool{a.from, b.to, a.m + b.m, a.u + b.u})
			}
		}
		for _, p := range pools {
			for k := p.from; k < p.to && p.to-p.from > 1; k++ {
				f.M[k] = p.m * f.U[k] / p.u
			}
		}
		seen := 0.0
		for k := from; k < to; k++ {
			seen += l.levels[field][k+1]
		}
		nothing = nothing && (len(pools) == 1 || seen < 1) // a group that no pair is in stays as it was assumed
	}
	lists := ""
	if f.Kind == compare.Category && l.r.sources == nil {
		lists = fmt.Sprintf("; if it says which list or platform a record is from, and none has an entity twice, compare records of two only: --link --source %q", f.Columns[0])
	}
	from := 0
	last := make([]bool, len(f.M)) // of its group
	for g, group := range groups(l.kind(field), f.M) {
		what := "equal values"
		if g > 0 {
			what = fmt.Sprintf("masked values at the level %q", names[from])
		}
		if group[0] < f.U[from] && (g == 0 || l.levels[field][from+1] >= 1) {
			warnings = append(warnings, fmt.Sprintf("%s: %s are rarer among pairs of one entity than among others; it is weighed with the levels below, and you should say what the column holds, or leave it out%s", f.Name, what, lists))
		}
		mend(from, from+len(group))
		from += len(group)
		last[from-1] = true
	}
	if nothing { // whatever else was to be said of how it is weighed
		note := fmt.Sprintf("%s says nothing: pairs of one entity agree in it no more than others; it is worth 0, and you may leave it out", f.Name)
		if len(warnings) > 0 {
			note += lists
		}
		return []string{note}
	}
	const little = 0.01
	if bits := l.information(field, f.M); bits < little {
		warnings = append(warnings, fmt.Sprintf("%s says next to nothing, %.3f bits of a pair of one entity on average: such pairs agree in it hardly more than others, and you may leave it out", f.Name, bits))
	}
	var unseen []string // by pairs of one entity, though not by others
	for k := range f.M[:len(f.M)-1] {
		if l.expected[0][field][k+1] >= 0.5 || last[k] || !l.r.fields[field].keeps(compare.Level(k+1)) {
			continue
		}
		if l.levels[field][k+1] >= 1 || l.candidates(field, compare.Level(k+1)) >= 1 {
			unseen = append(unseen, names[k])
		} else {
			f.Unseen = append(f.Unseen, names[k])
		}
	}
	if len(unseen) > 0 {
		l.hardly = append(l.hardly, fmt.Sprintf("%s at %q", f.Name, strings.Join(unseen, ", ")))
	}
	return warnings
}

// candidates are how many pairs of those that the rules bring together are at a
// level.
func (l *learning) candidates(field int, level compare.Level) (n float64) {
	for _, c := range l.seen {
		if c.pattern.level(field) == level {
			n += c.n
		}
	}
	return n
}
