package match

import (
	"math"
	"slices"

	"oneid/identity/match/compare"
)

// Explanation says what the weight of a pair is made of, and what became of
// it. It is made with the numbers that linked the table, so that it cannot
// say anything else than them.
type Explanation struct {
	// A and B are rows, as they were asked for.
	A, B   uint32
	Fields []FieldEvidence
	// Prior is what the share of pairs that are one entity is worth in bits,
	// against strangers.
	Prior float64
	// Neighbours is what is taken off in bits, because two records of two
	// entities in one household, building or name agree like that, too.
	Neighbours float64
	// Weight in bits: the prior, the fields with their rarity, and the
	// neighbours.
	Weight float32
	// Rules that have the pair as a candidate.
	Rules []RuleEvidence
	// Compared: the pair is a candidate, and of two sources where only those
	// count.
	Compared bool
	// Linked: it was compared, and its probability is the threshold or more.
	// Refused is why, if so it was and yet it leads from one cluster to another;
	// else "".
	Linked  bool
	Refused Reason
	// Same cluster, and then Chain: the links that lead from A to B, each from
	// its own A to its B, each of which joined two clusters.
	Same  bool
	Chain []Link
}

// Probability that the two are one entity.
func (e *Explanation) Probability() float64 { return Link{Weight: e.Weight}.Probability() }

// FieldEvidence is what one comparison says of a pair.
type FieldEvidence struct {
	Name string
	// Level, 0 where a value is missing; LevelName says it in words.
	Level     int
	LevelName string
	// M, U and Weight (log2 of M/U) of the level; 0 where a value is missing.
	M, U, Weight float64
	// Rarity is what is added in bits because the equal values are rare, or
	// taken off because they are common.
	Rarity float64
}

// RuleEvidence says how a pair stands to a blocking rule.
type RuleEvidence struct {
	Rule Rule
	// Holds: both agree on all keys. Skipped: so they do, but more records
	// than the rule allows agree on them, so that the rule leaves them out.
	Holds, Skipped bool
}

// explain explains pairs of rows, given the links that joined two clusters. It
// must come before the result is told in rows.
func (out *Result) explain(r *records, s *scorer, blocks []*block, joined []Link, pairs [][2]uint32) {
	record := make([]uint32, r.n) // by row
	for number, row := range r.rows {
		record[row] = uint32(number)
	}
	type pair struct{ a, b uint32 }
	refused := map[pair]Reason{}
	for _, l := range out.Refused {
		refused[pair{l.A, l.B}] = l.Reason
	}
	t := newTree(joined)
	for _, rows := range pairs {
		a, b := record[rows[0]], record[rows[1]]
		a, b = min(a, b), max(a, b)
		e := Explanation{A: rows[0], B: rows[1]}
		p := r.compare(a, b)
		s.take(&e, p, r.row(a), out.Learned)
		apart := r.sources == nil || r.sources[a] != r.sources[b]
		for _, block := range blocks {
			how := RuleEvidence{Rule: block.rule}
			_, shared := block.shares(a, b)
			how.Holds = shared || r.agree(block.rule, a, b)
			how.Skipped = how.Holds && !shared
			e.Compared = e.Compared || shared && apart && a != b
			e.Rules = append(e.Rules, how)
		}
		e.Linked = e.Compared && e.Probability() >= out.Threshold
		e.Refused = refused[pair{a, b}]
		if e.Same = out.Cluster[a] == out.Cluster[b]; e.Same {
			e.Chain = t.path(record[rows[0]], record[rows[1]])
			for i := range e.Chain {
				l := &e.Chain[i]
				l.A, l.B = r.rows[l.A], r.rows[l.B]
			}
		}
		out.Explained = append(out.Explained, e)
	}
}

// take takes a pair's weight apart; x are the values of its first record.
func (s *scorer) take(e *Explanation, p pattern, x []uint32, l *Learned) {
	e.Prior = s.shares[0]
	for i := range s.r.fields {
		f := &s.r.fields[i]
		level := p.level(i)
		field := FieldEvidence{Name: f.name, Level: int(level), LevelName: "a value is missing"}
		if level > 0 {
			field.LevelName = compare.Levels(f.column.Kind())[level-1]
			field.M, field.U, field.Weight = l.Fields[i].M[level-1], l.Fields[i].U[level-1], s.levels[0][i][level]
		}
		if s.equal[i] != nil && level == 1 {
			field.Rarity = float64(s.equal[i][x[i]])
		}
		e.Fields = append(e.Fields, field)
	}
	whole := s.weight(p, x)
	e.Weight = float32(whole)
	sum := e.Prior
	for _, f := range e.Fields {
		sum += f.Weight + f.Rarity
	}
	if e.Neighbours = whole - sum; math.Abs(e.Neighbours) < 1e-9 {
		e.Neighbours = 0 // what is left of another order of adding
	}
}

// agree says that two records agree on all keys of a rule, however many
// others do.
func (r *records) agree(rule Rule, a, b uint32) bool {
	for _, key := range rule.Keys {
		name, what := r.model.key(key)
		i := r.model.comparison(name)
		x, y := r.row(a)[i], r.row(b)[i]
		if what != "words" {
			parts := r.parts(i, what)
			if parts[x] == 0 || parts[x] != parts[y] {
				return false
			}
			continue
		}
		other := rarest(r.fields[i].column, y)
		if !slices.ContainsFunc(rarest(r.fields[i].column, x), func(w uint32) bool { return slices.Contains(other, w) }) {
			return false
		}
	}
	return true
}

// tree is the links that joined clusters, by their records.
type tree map[uint32][]Link

func newTree(joined []Link) tree {
	t := tree{}
	for _, l := range joined {
		t[l.A], t[l.B] = append(t[l.A], l), append(t[l.B], l)
	}
	return t
}

// path is the only way from one record to another of its cluster; each link
// goes on where the one before ended.
func (t tree) path(from, to uint32) []Link {
	came := map[uint32]Link{} // by which link each record was reached
	queue := []uint32{from}
	for len(queue) > 0 && queue[0] != to {
		at := queue[0]
		queue = queue[1:]
		for _, l := range t[at] {
			next := l.A + l.B - at
			if _, seen := came[next]; !seen && next != from {
				came[next] = l
				queue = append(queue, next)
			}
		}
	}
	var path []Link
	for at := to; at != from; {
		l, ok := came[at]
		if !ok {
			return nil
		}
		before := l.A + l.B - at
		l.A, l.B = before, at
		path = append(path, l)
		at = before
	}
	slices.Reverse(path)
	return path
}
