package match

import (
	"cmp"
	"context"
	"math"
	"slices"
)

// scorer weighs pairs, in bits.
type scorer struct {
	r *records
	// levels are what a level of a field is worth for a class against
	// strangers, shares what the class is. Class 0 is one entity, the others
	// are neighbours.
	levels []counts
	shares []float64
	// equal by field and value: what equal values are worth beside levels,
	// where rarity counts; nil where it does not.
	equal [][]float32
	rare  bool // some field has it
	known worths
}

func newScorer(r *records, l *Learned) *scorer {
	s := &scorer{r: r, equal: make([][]float32, len(r.fields))}
	s.levels, s.shares = l.classes()
	for c := range s.levels {
		s.shares[c] /= math.Ln2
		for i := range s.levels[c] {
			for level := range s.levels[c][i] {
				s.levels[c][i][level] /= math.Ln2
			}
		}
	}
	return s
}

// weight of a pair in bits: the odds that it is one entity, and not
// neighbours or strangers.
func (s *scorer) weight(p pattern, x []uint32) float64 {
	known, ok := s.known.find(p)
	if !ok {
		known = s.sums(p)
	}
	if !s.rare {
		return known.weight
	}
	rare := 0.0
	for i, equal := range s.equal {
		if equal != nil && p.level(i) == 1 {
			rare += float64(equal[x[i]])
		}
	}
	w := known.one + rare
	if w < lowest {
		return w // whatever it is otherwise, it is not one entity
	}
	return w - math.Log2(1+known.near*math.Exp2(rare))
}

// sums is what a pattern is worth.
type sums struct {
	// one are the bits of one entity against strangers, near the odds of
	// neighbours against them, both without rarity; weight is the weight
	// without it.
	one, near, weight float64
}

func (s *scorer) sums(p pattern) sums {
	var out sums
	for c := range s.shares {
		w := s.shares[c]
		for i := range s.levels[c] {
			w += s.levels[c][i][p.level(i)]
		}
		if c == 0 {
			out.one = w
		} else {
			out.near += math.Exp2(w)
		}
	}
	out.weight = out.one
	if out.one >= lowest {
		out.weight -= math.Log2(1 + out.near)
	}
	return out
}

// know keeps what patterns are worth: far fewer are seen than pairs.
func (s *scorer) know(seen []counted) {
	size := 16
	for size < 2*len(seen) {
		size *= 2
	}
	s.known = make(worths, size)
	for _, c := range seen {
		at := s.known.at(c.pattern)
		s.known[at] = entry{^c.pattern, s.sums(c.pattern)}
	}
}

// worths has patterns by their hashes; its size is a power of two, or 0.
type worths []entry

// entry is 32 bytes, so that it lies in one line of memory.
type entry struct {
	not  pattern // the pattern's complement: 0 is no entry, for no kind has 15 levels
	sums sums
}

// at is the place of a pattern, or the one that it would have.
func (t worths) at(p pattern) uint64 {
	h := uint64(p) * 0x9e3779b97f4a7c15
	at := h ^ h>>32
	for {
		at &= uint64(len(t) - 1)
		if not := t[at].not; not == 0 || not == ^p {
			return at
		}
		at++
	}
}

func (t worths) find(p pattern) (sums, bool) {
	if len(t) == 0 {
		return sums{}, false
	}
	e := &t[t.at(p)]
	return e.sums, e.not != 0
}

// rarity sets what equal values are worth from how many clusters have them: an
// entity of many records does not make its own values common.
// It says whether there is a field where rarity counts.
//
// While it is learned, the frequencies are kept with what was learned. What
// was learned on more values than are here adds its own, so that few new
// records are weighed as if they had been among the many.
func (s *scorer) rarity(ctx context.Context, l *Learned, learning bool, cluster []uint32) (counts bool, err error) {
	r := s.r
	// Records by cluster, those of one beside each other. A cluster is called
	// by one of its records.
	at := make([]uint32, r.n+1)
	for _, c := range cluster {
		at[c+1]++
	}
	for c := range r.n {
		at[c+1] += at[c]
	}
	order := make([]uint32, r.n)
	for record, c := range cluster {
		order[at[c]] = uint32(record)
		at[c]++
	}
	err = parallel(ctx, len(r.fields), nil, func(i int) {
		f := &r.fields[i]
		if !f.rarity {
			return
		}
		last := make([]uint32, len(f.counts))      // cluster that had the value last, plus 1
		clusters := make([]float64, len(f.counts)) // that have each value
		total := 0.0
		for _, record := range order {
			id := r.row(record)[i]
			if id == 0 || last[id] == cluster[record]+1 {
				continue
			}
			last[id] = cluster[record] + 1
			clusters[id]++
			total++
		}
		s.equal[i] = make([]float32, len(f.counts))
		learned := &l.Fields[i]
		if learning {
			learned.Frequencies = newFrequencies(l, f, clusters, total)
		} else if known := learned.Frequencies; known != nil && known.Entities > total {
			for id := 1; id < len(clusters); id++ {
				clusters[id] += known.of(f.column.Text(uint32(id)))
			}
			total += known.Entities
		}
		for id, n := range clusters {
			s.equal[i][id] = float32(math.Log2(learned.U[0] / ((n + 1) / (total + 1))))
		}
	})
	for i := range r.fields {
		counts = counts || r.fields[i].rarity
	}
	s.rare = counts
	return counts, err
}

// cluster finds the threshold and the clusters. What equal values are worth
// depends on the clusters, and so does how seldom a source has an entity twice;
// so it is done again with what the clusters say.
func (out *Result) cluster(ctx context.Context, r *records, s *scorer, learning bool) (*resolution, error) {
	x := &resolution{r: r, s: s, rules: r.model.rules()}
	for round := 0; ; round++ {
		sortLinks(out.Links)
		if err := x.resolve(ctx, out.Links); err != nil {
			return nil, err
		}
		out.Cluster, out.Threshold, out.Refused = x.cluster, x.threshold, x.refused
		again := false
		if round == 0 {
			var err error
			if again, err = s.rarity(ctx, out.Learned, learning, out.Cluster); err != nil {
				return nil, err
			}
		}
		if round == 0 && again {
			for i := range out.Links {
				l := &out.Links[i]
				l.Weight = float32(s.weight(l.levels, r.row(l.A)))
			}
		}
		if round < 2 && r.sources != nil {
			again, x.twice = true, r.twice(out.Cluster)
		}
		if !again {
			return x, nil
		}
	}
}

// twice says of each source how many bits speak against its having an entity
// twice: 0 where that is common. Two lists of which each has an entity once are
// linked one to one by it, and one that repeats itself is not.
func (r *records) twice(cluster []uint32) []float64 {
	var linked, more [256]float64
	type cell struct {
		cluster uint32
		source  uint8
	}
	size, seen := map[uint32]int{}, map[cell]bool{}
	for _, c := range cluster {
		size[c]++
	}
	for record, c := range cluster {
		if size[c] == 1 {
			continue // of nobody else: it says nothing
		}
		at := cell{c, r.sources[record]}
		linked[at.source]++
		if seen[at] {
			more[at.source]++
		}
		seen[at] = true
	}
	bits := make([]float64, len(linked))
	for source := range bits {
		share := (more[source] + 1) / (linked[source] + 2)
		bits[source] = max(0, math.Log2((1-share)/share))
	}
	return bits
}

// sortLinks puts the best first. Equal ones are in the order of their records.
func sortLinks(links []Link) {
	slices.SortFunc(links, func(a, b Link) int {
		return cmp.Or(cmp.Compare(b.Weight, a.Weight), cmp.Compare(a.A, b.A), cmp.Compare(a.B, b.B))
	})
}
