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
		s.known[at] = entry{c.pattern, true, s.sums(c.pattern)}
	}
}

// worths has patterns by their hashes; its size is a power of two, or 0.
type worths []entry

type entry struct {
	pattern pattern
	used    bool
	sums    sums
}

// at is the place of a pattern, or the one that it would have.
func (t worths) at(p pattern) uint64 {
	h := uint64(p) * 0x9e3779b97f4a7c15
	at := h ^ h>>32
	for {
		at &= uint64(len(t) - 1)
		if !t[at].used || t[at].pattern == p {
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
	return e.sums, e.used
}

// rarity sets what equal values are worth from how many clusters have them: an
// entity of many records does not make its own values common.
// It says whether there is a field where rarity counts.
//
// While it is learned, the frequencies are kept with what was learned. What
// was learned on more values than are here adds its own, so that few new
// records are weighed as if they had been among the many.
func (s *scorer) rarity(l *Learned, learning bool, cluster []uint32) (counts bool) {
	r := s.r
	// Records by cluster, those of one beside each other.
	order := make([]uint32, r.n)
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortStableFunc(order, func(a, b uint32) int { return cmp.Compare(cluster[a], cluster[b]) })
	for i := range r.fields {
		f := &r.fields[i]
		if !f.rarity {
			continue
		}
		counts = true
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
	}
	s.rare = counts
	return counts
}

// cluster finds the threshold and the clusters. What equal values are worth
// depends on the clusters, and so does how seldom a source has an entity twice;
// so it is done again with what the clusters say.
//
// keep has the joining remember by which links it joined.
func (out *Result) cluster(ctx context.Context, r *records, s *scorer, learning bool, accept float64, keep bool) (j *joining, err error) {
	var twice []float64
	for round := 0; ; round++ {
		sortLinks(out.Links)
		j = newJoining(r, s)
		j.keep, j.twice = keep, twice
		if err := j.run(ctx, out.Links, accept); err != nil {
			return nil, err
		}
		out.Cluster, out.Threshold, out.Refused = j.clusters(), j.threshold, j.refused
		again := false
		if round == 0 && s.rarity(out.Learned, learning, out.Cluster) {
			again = true
			for i := range out.Links {
				l := &out.Links[i]
				l.Weight = float32(s.weight(l.levels, r.row(l.A)))
			}
		}
		if round < 2 && r.sources != nil {
			again, twice = true, r.twice(out.Cluster)
		}
		if !again {
			return j, nil
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

const (
	// bridge is the mean probability of the pairs between two clusters below
	// which a link does not join them: one false link between two dense groups
	// is one pair of many.
	bridge = 0.3
	// maxBetween bounds how many of these pairs are looked at, evenly spread.
	maxBetween = 400
)

// joining is clusters as they are joined by links, best first.
type joining struct {
	r      *records
	s      *scorer
	parent []uint32
	// Members of a cluster are a chain: next of each, 0 for the last one less
	// one; last and size are those of a root.
	next, last, size []uint32
	threshold        float64
	refused          []Link
	// joined are the links that joined two clusters, if they are kept: a tree
	// over each cluster.
	keep   bool
	joined []Link
	// twice is what speaks against an entity that a source has twice, in bits
	// by source; nil is nothing.
	twice []float64
	// apart has two roots with their sizes that were not joined, so that their
	// other links need not look again.
	apart map[[4]uint32]bool
}

func newJoining(r *records, s *scorer) *joining {
	j := &joining{r: r, s: s, parent: make([]uint32, r.n), next: make([]uint32, r.n), last: make([]uint32, r.n), size: make([]uint32, r.n)}
	j.reset()
	return j
}

func (j *joining) reset() {
	for i := range j.parent {
		j.parent[i], j.next[i], j.last[i], j.size[i] = uint32(i), 0, uint32(i), 1
	}
	j.refused, j.joined, j.apart = nil, nil, map[[4]uint32]bool{}
}

func (j *joining) root(i uint32) uint32 {
	for j.parent[i] != i {
		j.parent[i] = j.parent[j.parent[i]]
		i = j.parent[i]
	}
	return i
}

// members of a cluster by its root.
func (j *joining) members(root uint32) []uint32 {
	list := make([]uint32, 0, j.size[root])
	for i := root; ; i = j.next[i] - 1 {
		list = append(list, i)
		if j.next[i] == 0 {
			return list
		}
	}
}

// run joins by links down to a probability, or, if it is 0, to the one that
// promises the best clusters: where pairs in one cluster that are expected to
// be right are most, against all pairs in one cluster and all expected right
// ones (the expected F1).
func (j *joining) run(ctx context.Context, links []Link, accept float64) error {
	if accept > 0 {
		end, _ := slices.BinarySearchFunc(links, accept, func(l Link, p float64) int { return cmp.Compare(p, l.Probability()) })
		j.threshold = accept
		_, err := j.join(ctx, links[:end])
		return err
	}
	best, err := j.join(ctx, links)
	if err != nil {
		return err
	}
	j.reset()
	j.threshold = 1
	if best > 0 {
		j.threshold = links[best-1].Probability()
	}
	_, err = j.join(ctx, links[:best])
	return err
}

// join joins by links, best first, and says after how many of them the
// expected F1 was best.
func (j *joining) join(ctx context.Context, links []Link) (best int, err error) {
	total := 0.0
	for _, l := range links {
		total += l.Probability()
	}
	right, pairs, bestF := 0.0, 0.0, 0.0
	for k, l := range links {
		if k%4096 == 0 && ctx.Err() != nil {
			return 0, ctx.Err()
		}
		a, b := j.root(l.A), j.root(l.B)
		if a != b {
			a, b = min(a, b), max(a, b)
			between := [4]uint32{a, b, j.size[a], j.size[b]}
			if j.apart[between] {
				continue
			}
			if mean := j.between(a, b, l); mean < bridge {
				j.apart[between] = true
				j.refused = append(j.refused, l)
			} else {
				n := float64(j.size[a]) * float64(j.size[b])
				right += mean * n
				pairs += n
				j.parent[b] = a
				j.next[j.last[a]], j.last[a] = b+1, j.last[b]
				j.size[a] += j.size[b]
				if j.keep {
					j.joined = append(j.joined, l)
				}
			}
		}
		if k+1 == len(links) || links[k+1].Weight < l.Weight {
			if f := 2 * right / (pairs + total); f > bestF {
				bestF, best = f, k+1
			}
		}
	}
	return best, nil
}

// clusters gives the root of each record.
func (j *joining) clusters() []uint32 {
	for i := range j.parent {
		j.parent[i] = j.root(uint32(i))
	}
	return j.parent
}

// between is the mean probability of the pairs between two clusters; link is
// one of them.
func (j *joining) between(a, b uint32, link Link) float64 {
	if j.size[a] == 1 && j.size[b] == 1 {
		return link.Probability()
	}
	left, right := j.members(a), j.members(b)
	against := j.against(left, right)
	stepA, stepB := 1, 1
	for (len(left)/stepA)*(len(right)/stepB) > maxBetween {
		if len(left)/stepA > len(right)/stepB {
			stepA++
		} else {
			stepB++
		}
	}
	sum, n := 0.0, 0.0
	for i := 0; i < len(left); i += stepA {
		for k := 0; k < len(right); k += stepB {
			x, y := left[i], right[k]
			if j.r.sources != nil && j.r.sources[x] == j.r.sources[y] {
				continue // two records of one source were not compared
			}
			sum += probability(j.s.weight(j.r.compare(x, y), j.r.row(x)) - against)
			n++
		}
	}
	if n == 0 {
		return probability(float64(link.Weight) - against)
	}
	return sum / n
}

// against is what speaks against two clusters being one because some sources
// would have it twice, in bits.
func (j *joining) against(left, right []uint32) (bits float64) {
	if j.twice == nil {
		return 0
	}
	var has [256]bool
	for _, x := range left {
		has[j.r.sources[x]] = true
	}
	for _, y := range right {
		if source := j.r.sources[y]; has[source] {
			bits += j.twice[source]
			has[source] = false
		}
	}
	return bits
}
