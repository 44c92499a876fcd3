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
// building, a town. Without the third class each column of an address would
// count as if the others had said nothing, and what is learned as "one entity"
// would drift to whatever agrees often.
type Learned struct {
	// Prior is the share of all pairs that are one entity, Near the share of
	// those that are neighbours.
	Prior float64 `json:"prior"`
	Near  float64 `json:"near"`
	// Fields in the order of the model's comparisons.
	Fields []LearnedField `json:"fields"`
	// Rounds of learning, and whether the last one changed next to nothing.
	Rounds    int  `json:"rounds"`
	Converged bool `json:"converged"`
}

// LearnedField is what was learned about one comparison: the probabilities of
// its levels, of level l at [l-1], where neither value is missing.
type LearnedField struct {
	Name string `json:"name"`
	// M among pairs of one entity, U among strangers, N among neighbours.
	M []float64 `json:"m"`
	U []float64 `json:"u"`
	N []float64 `json:"n"`
}

// Weight is what a level is worth in bits, without regard to neighbours.
func (f *LearnedField) Weight(level int) float64 { return math.Log2(f.M[level-1] / f.U[level-1]) }

const (
	maxRounds = 500
	// enough is the change of a probability below which learning ends.
	enough = 1e-5
	// doubt is with how many pairs of one entity the start values weigh in: a
	// level that is hardly seen stays near them. doubtNear likewise, towards
	// strangers.
	doubt, doubtNear = 2.0, 5.0
	// nearest bounds what neighbours have in common, as a share of the
	// information (bits, against strangers) that pairs of one entity have in
	// common: what agrees in nearly all it can agree in is no neighbour but
	// the same entity, badly written.
	nearest = 0.3
)

// start gives the probabilities of the levels among pairs of one entity to
// begin with: most are equal, and each weaker level is half as likely.
func start(last compare.Level) []float64 {
	m := make([]float64, last)
	m[0] = 0.75
	rest := 0.25
	for l := 1; l < int(last); l++ {
		m[l] = rest / 2
		rest /= 2
	}
	m[last-1] += rest
	return m
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
	// same and near are expected among the candidates.
	same, near           counts
	sameTotal, nearTotal float64
}

// learn finds prior, m, u and n by expectation and maximisation, and says in
// plain words what was not learned as it should be. seen is sorted in place.
func (r *records) learn(seen []counted, levels counts, smallest float64) (*Learned, []string) {
	slices.SortFunc(seen, func(a, b counted) int { return cmp.Compare(a.pattern, b.pattern) })
	prior := min(0.1, float64(r.n)/10/r.all)
	l := &learning{r: r, seen: seen, levels: levels, smallest: smallest, out: &Learned{Prior: prior, Near: min(0.5, 10*prior)}}
	for i := range r.fields {
		f := &r.fields[i]
		l.out.Fields = append(l.out.Fields, LearnedField{f.name, start(f.last), make([]float64, f.last), make([]float64, f.last)})
	}
	l.same = make(counts, len(r.fields))
	l.strangers()
	for i := range l.out.Fields {
		f := &l.out.Fields[i]
		for k := range f.N {
			f.N[k] = math.Sqrt(f.M[k] * f.U[k]) // half-way
		}
		normalise(f.N)
	}
	change := 0.0
	for !l.out.Converged && l.out.Rounds < maxRounds {
		l.out.Rounds++
		l.expect()
		change = l.maximise()
		l.out.Converged = change < enough
	}
	var warnings []string
	if !l.out.Converged {
		warnings = append(warnings, fmt.Sprintf("learning had not settled after %d rounds (a probability still moved by %.2g): the data do not say clearly which pairs are one entity; look at what was learned, and leave out comparisons that repeat each other", l.out.Rounds, change))
	}
	for i := range r.fields {
		warnings = append(warnings, l.mend(i)...)
	}
	return l.out, warnings
}

func normalise(p []float64) {
	sum := 0.0
	for _, x := range p {
		sum += x
	}
	for i := range p {
		p[i] /= sum
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
			u[k] = max(l.levels[i][k+1]-l.same[i][k+1], least)
		}
		normalise(u)
	}
}

// expect spreads each pattern over the three classes.
func (l *learning) expect() {
	n := len(l.out.Fields)
	same, near := make(counts, n), make(counts, n)
	for i, f := range l.out.Fields {
		for k := range f.M {
			same[i][k+1] = math.Log(f.M[k] / f.U[k])
			near[i][k+1] = math.Log(f.N[k] / f.U[k])
		}
	}
	rest := 1 - l.out.Prior - l.out.Near
	l.same, l.near = make(counts, n), make(counts, n)
	l.sameTotal, l.nearTotal = 0, 0
	for _, s := range l.seen {
		w, v := math.Log(l.out.Prior/rest), math.Log(l.out.Near/rest)
		for i := range n {
			level := s.pattern.level(i)
			w += same[i][level]
			v += near[i][level]
		}
		top := max(w, v, 0)
		a, b := math.Exp(w-top), math.Exp(v-top)
		sum := a + b + math.Exp(-top)
		p, q := s.n*a/sum, s.n*b/sum
		l.sameTotal += p
		l.nearTotal += q
		for i := range n {
			level := s.pattern.level(i)
			l.same[i][level] += p
			l.near[i][level] += q
		}
	}
}

// maximise makes the probabilities fit what was expected, and says by how much
// the most changed one did.
func (l *learning) maximise() float64 {
	change := 0.0
	for i := range l.out.Fields {
		f := &l.out.Fields[i]
		begin, old := start(l.r.fields[i].last), slices.Clone(f.M)
		for k := range f.M {
			f.M[k] = l.same[i][k+1] + doubt*begin[k]
			f.N[k] = l.near[i][k+1] + doubtNear*f.U[k]
		}
		normalise(f.M)
		normalise(f.N)
		oneSlip(l.r.fields[i].column.Kind(), f.M)
		for k := range f.M {
			change = max(change, math.Abs(f.M[k]-old[k]))
		}
	}
	l.estrange()
	prior := max(l.sameTotal, 0.5) / l.r.all
	change = max(change, math.Abs(prior-l.out.Prior)/l.out.Prior)
	l.out.Prior = min(prior, 0.9)
	l.out.Near = min(max(l.nearTotal, 0.5)/l.r.all, 0.99-l.out.Prior)
	l.strangers()
	return change
}

// oneSlip keeps two slips of typing from being likelier than one: numbers that
// stand near each other were given out together, to two entities.
func oneSlip(kind compare.Kind, m []float64) {
	one := compare.OneSlip(kind)
	if one == 0 || m[one] <= m[one-1] {
		return
	}
	m[len(m)-1] += m[one] - m[one-1]
	m[one] = m[one-1]
}

// estrange draws neighbours towards strangers until they have no more in
// common than they may.
func (l *learning) estrange() {
	limit, info := 0.0, 0.0
	for _, f := range l.out.Fields {
		limit += nearest * information(f.M, f.U)
		info += information(f.N, f.U)
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
			bent[i] = make([]float64, len(f.N))
			for k := range f.N {
				bent[i][k] = math.Pow(f.N[k], t) * math.Pow(f.U[k], 1-t)
			}
			normalise(bent[i])
			info += information(bent[i], f.U)
		}
		if info > limit {
			high = t
		} else {
			low = t
		}
	}
	for i := range bent {
		l.out.Fields[i].N = bent[i]
	}
}

// information is how much p differs from u, in bits.
func information(p, u []float64) float64 {
	sum := 0.0
	for k := range p {
		sum += p[k] * math.Log2(p[k]/u[k])
	}
	return sum
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
	var pools []pool
	for k := range f.M {
		pools = append(pools, pool{k, k + 1, f.M[k], f.U[k]})
		for len(pools) > 1 {
			a, b := pools[len(pools)-2], pools[len(pools)-1]
			if a.m*b.u >= b.m*a.u {
				break
			}
			pools = append(pools[:len(pools)-2], pool{a.from, b.to, a.m + b.m, a.u + b.u})
		}
	}
	if f.M[0] < f.U[0] {
		warnings = append(warnings, fmt.Sprintf("%s: equal values are rarer among pairs of one entity than among others; it is weighed with the levels below, and you should say what the column holds, or leave it out", f.Name))
	}
	for _, p := range pools {
		for k := p.from; k < p.to && p.to-p.from > 1; k++ {
			f.M[k] = p.m * f.U[k] / p.u
		}
	}
	if len(pools) == 1 {
		return append(warnings, fmt.Sprintf("%s says nothing: pairs of one entity agree in it no more than others; it is worth 0, and you may leave it out", f.Name))
	}
	var unseen []string
	for k := range f.M[:len(f.M)-1] {
		if l.same[field][k+1] < 0.5 {
			unseen = append(unseen, names[k])
		}
	}
	if len(unseen) > 0 {
		warnings = append(warnings, fmt.Sprintf("%s: hardly a pair of one entity is at the levels %q; they keep what is assumed before learning, but are worth no more than a stronger level and no less than a weaker one", f.Name, strings.Join(unseen, ", ")))
	}
	return warnings
}
