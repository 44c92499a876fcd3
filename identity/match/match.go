// Package match finds which records of a table are one entity, without labels:
// comparisons with levels, weighed after Fellegi and Sunter, what they are
// worth learned by expectation and maximisation.
package match

import (
	"context"
	"math"
	"slices"
)

// Options of a run.
type Options struct {
	// MaxPairs bounds the candidate pairs of a run; 0 is 200 million.
	MaxPairs float64
	// RandomPairs are drawn to learn how often strangers agree; 0 is 2 million.
	RandomPairs int
	// Progress is told how far a step is; nil is nobody.
	Progress func(step string, done, total int64)
}

// Result of a run.
type Result struct {
	Learned    *Learned
	Candidates int64
	Rules      []RuleCount
	// Links are the pairs that could be one entity, best first, with those
	// below the threshold too.
	Links []Link
	// Threshold is the probability from which links count.
	Threshold float64
	// Refused are links from the threshold up that do not join their two
	// clusters, because next to nothing else speaks for it.
	Refused []Link
	// Cluster of each record: the number of its first record.
	Cluster []uint32
	// Warnings in plain words.
	Warnings []string
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
	if o.MaxPairs == 0 {
		o.MaxPairs = 200e6
	}
	if o.RandomPairs == 0 {
		o.RandomPairs = 2e6
	}
	r, err := newRecords(t, m)
	if err != nil {
		return nil, err
	}
	out := &Result{}
	if len(m.Blocking) == 0 {
		m.Blocking = r.chooseBlocking()
	}
	blocks := make([]*block, len(m.Blocking))
	err = parallel(ctx, len(blocks), nil, func(i int) { blocks[i] = r.newBlock(m.Blocking[i]) })
	if err != nil {
		return nil, err
	}
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
	step := func(name string, total int) func(int) {
		if o.Progress == nil {
			return nil
		}
		return func(done int) { o.Progress(name, int64(done), int64(total)) }
	}
	levels, drawn, err := r.sample(ctx, o.RandomPairs, m.Seed)
	if err != nil {
		return nil, err
	}
	scale := r.all / drawn
	for i := range levels {
		for l := range levels[i] {
			levels[i][l] *= scale
		}
		levels[i][1] = r.equalPairs(i)
	}
	c := newCandidates(r, blocks)
	units := c.units()

	// Learn from a sample of the candidates, then score all of them.
	const enoughPairs = 2e6
	keep := uint64(math.MaxUint64)
	if sum > enoughPairs {
		keep = uint64(enoughPairs / sum * math.MaxUint64)
	}
	patterns := make([]map[pattern]int64, len(units))
	totals := make([]int64, len(units))
	err = c.each(ctx, units, step("looking at candidate pairs", len(units)), func(unit int, a, b uint32) {
		totals[unit]++
		if h := mix(mix(m.Seed, uint64(a)), uint64(b)); h > keep {
			return
		}
		if patterns[unit] == nil {
			patterns[unit] = map[pattern]int64{}
		}
		patterns[unit][r.compare(a, b)]++
	})
	if err != nil {
		return nil, err
	}
	count := map[pattern]int64{}
	for i, some := range patterns {
		for p, n := range some {
			count[p] += n
		}
		out.Candidates += totals[i]
	}
	seen := make([]counted, 0, len(count))
	var compared int64
	for p, n := range count {
		seen = append(seen, counted{p, float64(n)})
		compared += n
	}
	for i := range seen {
		seen[i].n *= float64(out.Candidates) / float64(compared)
	}
	out.Learned, out.Warnings = r.learn(seen, levels, scale)

	links := make([][]Link, len(units))
	s := newScorer(r, out.Learned)
	err = c.each(ctx, units, step("comparing pairs", len(units)), func(unit int, a, b uint32) {
		p := r.compare(a, b)
		if w := s.weight(p, r.row(a)); w > lowest {
			links[unit] = append(links[unit], Link{a, b, float32(w), p})
		}
	})
	if err != nil {
		return nil, err
	}
	out.Links = slices.Concat(links...)
	return out, out.cluster(ctx, r, s, m.Accept)
}

// lowest weight that is kept: below it a pair is of no interest to anyone.
const lowest = -10
