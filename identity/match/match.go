// Package match finds which records of a table are one entity, without labels:
// comparisons with levels, weighed after Fellegi and Sunter, what they are
// worth learned by expectation and maximisation.
package match

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
)

// Options of a run.
type Options struct {
	// MaxPairs bounds the candidate pairs of a run; 0 is 200 million.
	MaxPairs float64
	// RandomPairs are drawn to learn how often strangers agree; 0 is 1 million.
	RandomPairs int
	// Rounds bounds those of learning; 0 is 500.
	Rounds int
	// Learned is what to weigh with instead of learning it anew; nil learns.
	Learned *Learned
	// Explain names pairs of rows, each below Table.Len, that the result
	// explains.
	Explain [][2]uint32
	// Truth is the entity of each row of the table, to count how many of the
	// compared pairs are of one; nil counts none. Nothing else depends on it.
	Truth []uint32
	// Progress is told how far a step is, by one goroutine at a time; nil is nobody.
	Progress func(step string, done, total int64)
}

// Result of a run.
type Result struct {
	Learned    *Learned
	Candidates int64
	// TrueCandidates are the candidates of one entity by Options.Truth.
	TrueCandidates int64
	Rules          []RuleCount
	// Links are the pairs that could be one entity, best first, with those
	// below the threshold too.
	Links []Link
	// Threshold is the probability from which links count.
	Threshold float64
	// Refused are links from the threshold up that lead from one cluster to
	// another, best first, each with the reason for which it did not join the two.
	Refused []Refusal
	// Cluster of each record: the number of its first record.
	Cluster []uint32
	// Warnings in plain words.
	Warnings []string
	// Explained are the pairs that were asked for, in that order.
	Explained []Explanation
}

// RuleCount says what a blocking rule makes.
type RuleCount struct {
	Rule Rule
	// Predicted pairs: each that agrees on the rule, also when an earlier
	// rule has it.
	Predicted    float64
	Skipped      int
	SkippedPairs float64
}

// Link is a pair of records that could be one entity.
type Link struct {
	A, B uint32
	// Weight in bits, with the prior.
	Weight float32
	levels pattern
}

// Probability that the two are one entity.
func (l Link) Probability() float64 { return probability(float64(l.Weight)) }

func probability(weight float64) float64 { return 1 / (1 + math.Exp2(-weight)) }

// Run finds the clusters.
func Run(ctx context.Context, t *Table, m *Model, o Options) (*Result, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	if !(o.MaxPairs >= 0) { // written so that what is no number is a fault, too
		return nil, fmt.Errorf("the limit of pairs is %v, and must be a number of pairs", o.MaxPairs)
	}
	if o.MaxPairs == 0 {
		o.MaxPairs = 200e6
	}
	if o.RandomPairs == 0 {
		o.RandomPairs = 1e6
	}
	if o.Rounds == 0 {
		o.Rounds = 500
	}
	r, err := newRecords(ctx, t, m)
	if err != nil {
		return nil, err
	}
	out := &Result{Learned: o.Learned}
	if o.Learned != nil {
		if err := o.Learned.fits(m); err != nil {
			return nil, err
		}
		r.seed = o.Learned.Seed // rules that are chosen are those of the training
		out.Warnings = o.Learned.differs(r)
	}
	var blocks []*block
	chosen := len(m.Blocking) == 0
	if chosen {
		var idle []bool
		if o.Learned != nil { // as the training chose in the end
			idle = o.Learned.idle(func(field int) bool { return !m.blocks(o.Learned.Blocking, field) })
		}
		if blocks, err = r.chooseBlocking(ctx, idle, o.MaxPairs); err != nil {
			return nil, err
		}
	} else {
		blocks = make([]*block, len(m.Blocking))
		if err := parallel(ctx, len(blocks), nil, func(i int) { blocks[i] = r.newBlock(m.Blocking[i]) }); err != nil {
			return nil, err
		}
	}
	var telling sync.Mutex
	step := func(name string, total int) func(int) {
		if o.Progress == nil {
			return nil
		}
		return func(done int) {
			telling.Lock()
			defer telling.Unlock()
			o.Progress(name, int64(done), int64(total))
		}
	}
	s, err := out.learn(ctx, r, blocks, o, step)
	if err != nil {
		return nil, err
	}
	if chosen && o.Learned == nil {
		// Some rules may have a key that says nothing, as is known only now.
		if idle := out.Learned.idle(func(field int) bool { return m.blocks(out.Learned.Blocking, field) }); idle != nil {
			others, err := r.chooseBlocking(ctx, idle, o.MaxPairs)
			switch {
			case err == nil:
				blocks, out = others, &Result{}
				if s, err = out.learn(ctx, r, blocks, o, step); err != nil {
					return nil, err
				}
			case !errors.Is(err, errNoRules) && !errors.As(err, new(*ExplodesError)):
				return nil, err
			}
		}
	}
	if chosen {
		for _, b := range blocks {
			m.Blocking = append(m.Blocking, b.rule)
		}
	}
	out.Warnings = append(out.Warnings, m.repeats()...)
	if out.Candidates == 0 {
		out.Warnings = append(out.Warnings, "no pair was compared, and nothing was learned: no two records agree on all keys of a blocking rule, or more than its most do; name fewer keys, or parts of them, in a rule")
	}
	if m.PerSource > 0 && r.sources == nil {
		out.Warnings = append(out.Warnings, "per_source bounds nothing: all records are of one source, or sources are not told apart")
	}
	clusters, err := out.cluster(ctx, r, s, o.Learned == nil)
	if err != nil {
		return nil, err
	}
	out.Warnings = append(out.Warnings, out.series(r)...)
	if out.Candidates > 0 && !slices.ContainsFunc(out.Links, func(l Link) bool { return l.Probability() >= out.Threshold }) {
		out.Warnings = append(out.Warnings, fmt.Sprintf("no two records are linked, though %d pairs were compared: if some are one entity, compare more columns; by one or two alone an entity that stands in the table twice is not told from others that are alike, be they equal", out.Candidates))
	}
	if len(o.Explain) > 0 {
		out.explain(r, s, blocks, clusters.joined(), o.Explain)
	}
	out.toRows(r.rows)
	return out, nil
}

// learn predicts how many pairs blocks make, compares them, and learns what they
// are worth, where that is not known yet.
func (out *Result) learn(ctx context.Context, r *records, blocks []*block, o Options, step func(string, int) func(int)) (s *scorer, err error) {
	sum := 0.0
	for _, b := range blocks {
		out.Rules = append(out.Rules, RuleCount{b.rule, b.pairs, b.skipped, b.skippedPairs})
		sum += b.pairs
		if b.pairs > o.MaxPairs {
			return nil, &ExplodesError{b.rule.String(), b.pairs, o.MaxPairs}
		}
	}
	if sum > o.MaxPairs {
		return nil, &ExplodesError{"all rules together", sum, o.MaxPairs}
	}
	var levels counts
	scale := 1.0
	if o.Learned == nil {
		var drawn float64
		if levels, drawn, err = r.sample(ctx, o.RandomPairs, r.seed); err != nil {
			return nil, err
		}
		scale = r.all / max(1, drawn)
		for i := range levels {
			for l := range levels[i] {
				levels[i][l] *= scale
			}
			levels[i][1] = r.equalPairs(i)
		}
	}
	if s, err = out.score(ctx, r, newCandidates(r, blocks), sum, levels, scale, o, step); err != nil {
		return nil, err
	}
	if o.Learned == nil {
		for _, b := range blocks {
			out.Learned.Blocking = append(out.Learned.Blocking, Rule{Keys: append([]string{}, b.rule.Keys...), Most: b.rule.Most})
		}
	}
	return s, nil
}

// toRows says all about rows of the table instead of records.
func (out *Result) toRows(rows []uint32) {
	toRows := func(l *Link) {
		a, b := rows[l.A], rows[l.B]
		l.A, l.B = min(a, b), max(a, b)
	}
	for i := range out.Links {
		toRows(&out.Links[i])
	}
	for i := range out.Refused {
		toRows(&out.Refused[i].Link)
	}
	first := make([]uint32, len(rows)) // row of each cluster, plus 1
	for record, root := range out.Cluster {
		if row := rows[record] + 1; first[root] == 0 || row < first[root] {
			first[root] = row
		}
	}
	clusters := make([]uint32, len(rows))
	for record, root := range out.Cluster {
		clusters[rows[record]] = first[root] - 1
	}
	out.Cluster = clusters
}

// mostHeld is how many candidate pairs are kept in memory between learning and
// scoring, 16 bytes each. Of more, a sample is learned from, and they are
// compared a second time.
const mostHeld = 24e6

// held is a candidate pair and its levels.
type held struct {
	a, b   uint32
	levels pattern
}

// score compares the candidates, learns what their levels are worth, and keeps
// the links. predicted is at least the number of candidates.
func (out *Result) score(ctx context.Context, r *records, c *candidates, predicted float64, levels counts, scale float64, o Options, step func(string, int) func(int)) (*scorer, error) {
	units := c.units()
	pairs := make([][]held, len(units))
	totals, right := make([]int64, len(units)), make([]int64, len(units))
	all := predicted <= mostHeld
	var truth []uint32 // by record
	if o.Truth != nil {
		truth = make([]uint32, r.n)
		for record, row := range r.rows {
			truth[record] = o.Truth[row]
		}
	}
	keep := func(unit int, a, b uint32) bool {
		totals[unit]++
		if truth != nil && truth[a] == truth[b] {
			right[unit]++
		}
		return all || mix(mix(r.seed, uint64(a)), uint64(b)) <= uint64(mostHeld/4/predicted*math.MaxUint64)
	}
	err := c.each(ctx, units, step("comparing pairs", len(units)), keep, func(unit int, some *batch) {
		r.compareAll(some)
		for k, p := range some.levels[:some.n] {
			pairs[unit] = append(pairs[unit], held{some.a[k], some.b[k], p})
		}
	})
	if err != nil {
		return nil, err
	}
	count := map[pattern]int64{}
	var compared int64
	for i, some := range pairs {
		out.Candidates += totals[i]
		out.TrueCandidates += right[i]
		compared += int64(len(some))
		for _, h := range some {
			count[h.levels]++
		}
	}
	seen := make([]counted, 0, len(count))
	for p, n := range count {
		seen = append(seen, counted{p, float64(n) * float64(out.Candidates) / float64(compared)})
	}
	if out.Learned == nil {
		out.Learned = r.learn(seen, levels, scale, o.Rounds)
		out.Warnings = out.Learned.Warnings
	} else {
		out.Warnings = append(out.Warnings, out.Learned.unseen(seen)...)
	}

	s := newScorer(r, out.Learned)
	s.know(seen)
	links := make([][]Link, len(units))
	take := func(unit int, a, b uint32, p pattern) {
		if w := s.weight(p, r.row(a)); w > lowest {
			links[unit] = append(links[unit], Link{a, b, float32(w), p})
		}
	}
	if all {
		err = parallel(ctx, len(units), nil, func(unit int) {
			for _, h := range pairs[unit] {
				take(unit, h.a, h.b, h.levels)
			}
			pairs[unit] = nil
		})
	} else {
		clear(pairs)
		err = c.each(ctx, units, step("scoring pairs", len(units)), nil, func(unit int, some *batch) {
			r.compareAll(some)
			for k, p := range some.levels[:some.n] {
				take(unit, some.a[k], some.b[k], p)
			}
		})
	}
	out.Links = slices.Concat(links...)
	return s, err
}

// lowest weight that is kept: below it a pair is of no interest to anyone.
const lowest = -10
