package match

import (
	"context"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// candidates are the pairs that at least one block holds.
type candidates struct {
	r      *records
	blocks []*block
	// single has the keys of the blocks with one key a record, record by
	// record.
	single []uint32
	width  int
}

func newCandidates(r *records, blocks []*block) *candidates {
	c := &candidates{r: r, blocks: blocks}
	for _, b := range blocks {
		if b.at == nil {
			c.width++
		}
	}
	c.single = make([]uint32, r.n*c.width)
	k := 0
	for _, b := range blocks {
		if b.at != nil {
			continue
		}
		for record, key := range b.keys {
			c.single[record*c.width+k] = key
		}
		k++
	}
	return c
}

// unit is a part of the work: the pairs of keys from to to of a block, or, of
// a single key, those whose first record is one of its members from to to.
type unit struct {
	block    int
	key      uint32 // 0: from and to are keys
	from, to uint32
}

// unitPairs is about how many pairs are one unit of work.
const unitPairs = 1 << 15

func (c *candidates) units() []unit {
	var list []unit
	for i, b := range c.blocks {
		var from uint32 = 1
		sum := 0.0
		keys := uint32(len(b.start) - 1)
		for k := uint32(1); k < keys; k++ {
			n := float64(b.start[k+1] - b.start[k])
			pairs := n * (n - 1) / 2
			if pairs > 2*unitPairs {
				if from < k {
					list = append(list, unit{block: i, from: from, to: k})
				}
				from, sum = k+1, 0
				step := uint32(max(1, unitPairs/n))
				for at := uint32(0); at < uint32(n); at += step {
					list = append(list, unit{block: i, key: k, from: at, to: min(at+step, uint32(n))})
				}
				continue
			}
			if sum += pairs; sum > unitPairs {
				list = append(list, unit{block: i, from: from, to: k + 1})
				from, sum = k+1, 0
			}
		}
		if from < keys {
			list = append(list, unit{block: i, from: from, to: keys})
		}
	}
	return list
}

// each visits each candidate pair once, in parallel: visit is given batches of
// pairs with the number of their unit of work, below the length of units.
// Units come in any order, the pairs of one in a fixed one. keep says which
// pairs are visited; nil is all.
func (c *candidates) each(ctx context.Context, units []unit, done func(units int), keep func(unit int, a, b uint32) bool, visit func(unit int, some *batch)) error {
	return parallel(ctx, len(units), done, func(i int) {
		var some batch
		c.pairs(units[i], func(a, b uint32) {
			if (keep == nil || keep(i, a, b)) && some.add(a, b) {
				visit(i, &some)
				some.n = 0
			}
		})
		if some.n > 0 {
			visit(i, &some)
		}
	})
}

// parallel does pieces of work 0 to n-1 on all processors.
func parallel(ctx context.Context, n int, done func(pieces int), work func(piece int)) error {
	var next, finished atomic.Int64
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), n) {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				work(i)
				if d := finished.Add(1); done != nil {
					done(int(d))
				}
			}
		})
	}
	wg.Wait()
	return ctx.Err()
}

func (c *candidates) pairs(u unit, visit func(a, b uint32)) {
	b := c.blocks[u.block]
	singles := 0 // of the blocks before this one
	for _, earlier := range c.blocks[:u.block] {
		if earlier.at == nil {
			singles++
		}
	}
	two := func(key, x, y uint32) {
		if c.r.sources != nil && c.r.sources[x] == c.r.sources[y] {
			return
		}
		if singles > 0 {
			kx, ky := c.single[int(x)*c.width:][:singles], c.single[int(y)*c.width:][:singles]
			for i, k := range kx {
				if k != 0 && k == ky[i] {
					return // an earlier rule has it
				}
			}
		}
		for _, earlier := range c.blocks[:u.block] {
			if earlier.at != nil {
				if _, ok := earlier.shares(x, y); ok {
					return
				}
			}
		}
		if b.at != nil {
			if first, _ := b.shares(x, y); first != key {
				return // by another key of this rule
			}
		}
		visit(x, y)
	}
	if u.key != 0 {
		members := b.members[b.start[u.key]:b.start[u.key+1]]
		for i := u.from; i < u.to; i++ {
			for _, y := range members[i+1:] {
				two(u.key, members[i], y)
			}
		}
		return
	}
	for k := u.from; k < u.to; k++ {
		members := b.members[b.start[k]:b.start[k+1]]
		for i, x := range members {
			for _, y := range members[i+1:] {
				two(k, x, y)
			}
		}
	}
}

// sample compares pairs drawn at random, or all where these are not more, and
// counts the levels of each field. drawn is the number of pairs.
func (r *records) sample(ctx context.Context, pairs int, seed uint64) (levels counts, drawn float64, err error) {
	const pieces = 64 // fixed, so that the draw does not depend on the machine
	byPiece := make([][][16]int64, pieces)
	drawnBy := make([]int64, pieces)
	all := r.all <= float64(pairs)
	err = parallel(ctx, pieces, nil, func(piece int) {
		mine := make([][16]int64, len(r.fields))
		n := int64(0)
		var some batch
		count := func() {
			r.compareAll(&some)
			for _, p := range some.levels[:some.n] {
				for i := range mine {
					mine[i][p.level(i)]++
				}
			}
			n += int64(some.n)
			some.n = 0
		}
		add := func(a, b uint32) {
			if a != b && (r.sources == nil || r.sources[a] != r.sources[b]) && some.add(a, b) {
				count()
			}
		}
		if all {
			for a := piece; a < r.n; a += pieces {
				for b := a + 1; b < r.n; b++ {
					add(uint32(a), uint32(b))
				}
			}
		} else {
			draw := rand.New(rand.NewPCG(seed, uint64(piece)))
			for range pairs / pieces {
				add(uint32(draw.IntN(r.n)), uint32(draw.IntN(r.n)))
			}
		}
		count()
		byPiece[piece], drawnBy[piece] = mine, n
	})
	levels = make(counts, len(r.fields))
	for piece, mine := range byPiece {
		for i := range mine {
			for l, n := range mine[i] {
				levels[i][l] += float64(n)
			}
		}
		drawn += float64(drawnBy[piece])
	}
	return levels, drawn, err
}

// equalPairs counts the pairs that are equal in a field.
func (r *records) equalPairs(field int) float64 {
	f := &r.fields[field]
	counts := slices.Clone(f.counts)
	for id := range counts {
		if f.column.Compare(uint32(id), uint32(id)) != 1 {
			counts[id] = 0 // missing, or masked
		}
	}
	if r.sources == nil {
		sum := 0.0
		for _, n := range counts {
			sum += float64(n) * (float64(n) - 1) / 2
		}
		return sum
	}
	type cell struct {
		id     uint32
		source uint8
	}
	bySource := map[cell]float64{}
	for record := range r.n {
		if id := r.row(uint32(record))[field]; counts[id] != 0 {
			bySource[cell{id, r.sources[record]}]++
		}
	}
	sum := 0.0
	for _, n := range counts {
		sum += float64(n) * (float64(n) - 1) / 2
	}
	for _, n := range bySource {
		sum -= n * (n - 1) / 2
	}
	return sum
}
