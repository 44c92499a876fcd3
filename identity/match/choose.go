package match

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"strings"

	"oneid/identity/match/compare"
)

const (
	// everything is the number of pairs up to which all are compared.
	everything = 6e6
	// perRecord is how many pairs the chosen rules may make for each record.
	perRecord = 8
	// fewestPairs is what they may make on small tables.
	fewestPairs = 2e6
	// mostAlike is how many records may agree on one key of a chosen rule.
	mostAlike = 1000
	// maxRules bounds how many rules are chosen.
	maxRules = 12
	// seldom is the share of values that a key must have beyond a better one of the
	// same comparison.
	seldom = 0.05
)

// holds says how often two records of one entity agree on a part of a value,
// before anything was learned: how much of it a slip of typing hits.
func holds(kind compare.Kind, part string) float64 {
	switch part {
	case "initial", "last2":
		return 0.92
	case "start", "end", "year", "words", "district", "last4":
		return 0.87
	case "sound", "number", "day", "user", "road", "area":
		return 0.83
	}
	switch kind {
	case compare.Category:
		return 0.95
	case compare.Text, compare.Address, compare.ChineseAddress, compare.Place:
		return 0.5
	default:
		return 0.75
	}
}

// key is one key that a rule can have.
type key struct {
	name  string
	field int
	holds float64
	// agree is the share of pairs of records that agree on it, after what too
	// many share is left out; kept the share of records that are not.
	agree, kept float64
	// has is the share of the records with a value that have the part: a mask
	// may hide it.
	has     float64
	several bool
}

// keysOf lists what rules can be made of.
func (r *records) keysOf(ctx context.Context) ([]key, error) {
	lists := make([][]key, len(r.fields))
	err := parallel(ctx, len(r.fields), nil, func(i int) {
		f := &r.fields[i]
		kind := f.column.Kind()
		end := 0.0 // of a phone's values, those that show four digits
		for _, what := range append([]string{""}, Parts(kind)...) {
			k := key{name: f.name, field: i, holds: holds(kind, what), several: what == "words"}
			if what != "" {
				k.name += "." + what
			}
			var sizes []uint32
			count := func(number, n uint32) {
				for int(number) >= len(sizes) {
					sizes = append(sizes, make([]uint32, len(sizes)+1024)...)
				}
				sizes[number] += n
			}
			if k.several {
				for id := 1; id < f.column.Len(); id++ {
					for _, w := range rarest(f.column, uint32(id)) {
						count(w, f.counts[id])
					}
				}
			} else {
				for id, number := range r.parts(i, what) {
					if number != 0 {
						count(number, f.counts[id])
					}
				}
			}
			k.has = 1
			if what == "" {
				k.has = r.maskedAlike(i)
			}
			different := 0
			with, kept, pairs := 0.0, 0.0, 0.0
			for _, n := range sizes {
				if n == 0 {
					continue
				}
				different++
				with += float64(n)
				pairs += float64(n) * float64(n-1)
				if n <= mostAlike {
					kept += float64(n)
				}
			}
			if different < 2 {
				continue
			}
			if what != "" && !k.several && f.filled > 0 {
				k.has = with / float64(f.filled)
			}
			switch {
			case what == "end":
				end = k.has
			case what == "last2" && kind == compare.Phone && k.has < end+seldom:
				continue // four digits are shown wherever two are
			}
			k.agree, k.kept = pairs/float64(r.n)/float64(r.n), kept/with
			lists[i] = append(lists[i], k)
		}
	})
	return slices.Concat(lists...), err
}

// maskedAlike is the share of the records with a value that would have the same
// mask, if those with another one had none: of two records whose masks are drawn
// as they are here, its square have one mask, or none. Only these can be equal as
// a whole.
func (r *records) maskedAlike(field int) float64 {
	f := &r.fields[field]
	masks := map[string]float64{}
	for id := 1; id < f.column.Len(); id++ {
		mask := ""
		if text := f.column.Text(uint32(id)); strings.IndexByte(text, '*') >= 0 {
			mask = starsOf(text)
		}
		masks[mask] += float64(f.counts[id])
	}
	if len(masks) < 2 {
		return 1
	}
	squares := 0.0
	for _, mask := range slices.Sorted(maps.Keys(masks)) {
		share := masks[mask] / float64(f.filled)
		squares += share * share
	}
	return math.Sqrt(squares)
}

// starsOf is a text with one dot in place of what stands between two stars.
func starsOf(text string) string {
	var b strings.Builder
	shown := false
	for i := range len(text) {
		star := text[i] == '*'
		switch {
		case star:
			b.WriteByte('*')
		case !shown:
			b.WriteByte('.')
		}
		shown = !star
	}
	return b.String()
}

// idle says of the comparisons that are in a rule whether their equal values
// speak for one entity: where they do not, pairs of one entity agree in them no
// more than others, as in the column that says which list a record is from. It is
// nil where all do.
func (l *Learned) idle(rules func(field int) bool) (idle []bool) {
	const little = 0.1 // bits
	for i := range l.Fields {
		if rules(i) && l.Fields[i].Weight(1) < little {
			if idle == nil {
				idle = make([]bool, len(l.Fields))
			}
			idle[i] = true
		}
	}
	return idle
}

// blocks says whether rules have a comparison.
func (m *Model) blocks(rules []Rule, field int) bool {
	return slices.ContainsFunc(rules, func(rule Rule) bool {
		return slices.ContainsFunc(rule.Keys, func(key string) bool {
			name, _ := m.key(key)
			return name == m.Comparisons[field].Name
		})
	})
}

// chooseBlocking picks rules that should find nearly all pairs of one entity
// and make few others: the next rule is the one that finds most new ones of a
// made-up sample for what it costs. None has a key of a comparison that is idle;
// nil is none. Together they make at most so many pairs.
func (r *records) chooseBlocking(ctx context.Context, idle []bool, most float64) ([]*block, error) {
	if r.all <= min(everything, most) {
		return []*block{r.newBlock(Rule{Why: fmt.Sprintf("%d records are few enough to compare all pairs", r.n)})}, nil
	}
	const made = 4096
	keys, err := r.keysOf(ctx)
	if err != nil {
		return nil, err
	}
	// Pairs of one entity, made up: which keys they agree on. Some entities
	// are written down with more care than others.
	draw, hidden := rand.New(rand.NewPCG(r.seed, 17)), rand.New(rand.NewPCG(r.seed, 18))
	agree := make([][made / 64]uint64, len(keys))
	for pair := range made {
		care := []float64{0.4, 1, 1, 2.5}[pair%4]
		filled := make([]bool, len(r.fields))
		luck := make([]float64, len(r.fields))
		for i := range r.fields {
			share := float64(r.fields[i].filled) / float64(r.n)
			filled[i], luck[i] = draw.Float64() < share*share, draw.Float64()
		}
		for k := range keys {
			has := keys[k].has
			if filled[keys[k].field] && luck[keys[k].field] >= care*(1-keys[k].holds) && (has == 1 || hidden.Float64() < has*has) {
				agree[k][pair/64] |= 1 << (pair % 64)
			}
		}
	}
	type option struct {
		keys  []int
		pairs float64
		kept  float64
		gain  float64
	}
	budget := min(most, max(fewestPairs, perRecord*float64(r.n)))
	var options []option
	add := func(ks ...int) {
		if idle != nil && slices.ContainsFunc(ks, func(k int) bool { return idle[keys[k].field] }) {
			return
		}
		o := option{keys: ks, pairs: r.all * 2, kept: 1}
		share := 1.0
		for _, k := range ks {
			share *= keys[k].agree
		}
		o.pairs = r.all * share
		if len(ks) == 1 {
			o.kept = keys[ks[0]].kept
		}
		if o.pairs <= budget/2 {
			options = append(options, o)
		}
	}
	for a := range keys {
		add(a)
		for b := range a {
			if keys[a].field == keys[b].field {
				continue
			}
			add(b, a)
			for c := range b {
				if keys[c].field != keys[a].field && keys[c].field != keys[b].field && !keys[a].several && !keys[b].several && !keys[c].several {
					add(c, b, a)
				}
			}
		}
	}
	// pick chooses rules by what they are thought to cost. What they really
	// cost is known when they are built; one that is too dear is then banned,
	// and the choice is made again.
	banned := make([]bool, len(options))
	built := make([]*block, len(options))
	pick := func() (chosen []int) {
		var found [made / 64]uint64
		spent := 0.0
		for len(chosen) < maxRules {
			best, bestWorth, bestGain := -1, 0.0, 0.0
			for i, o := range options {
				if banned[i] || spent+o.pairs > budget || slices.Contains(chosen, i) {
					continue
				}
				gain := 0.0
				for w := range found {
					mask := ^found[w]
					for _, k := range o.keys {
						mask &= agree[k][w]
					}
					gain += float64(bits.OnesCount64(mask))
				}
				gain *= o.kept / made
				if worth := gain / (o.pairs + budget/maxRules); gain > 0.001 && worth > bestWorth {
					best, bestWorth, bestGain = i, worth, gain
				}
			}
			if best < 0 {
				return chosen
			}
			o := &options[best]
			o.gain = bestGain
			chosen = append(chosen, best)
			spent += o.pairs
			for w := range found {
				mask := ^uint64(0)
				for _, k := range o.keys {
					mask &= agree[k][w]
				}
				found[w] |= mask
			}
		}
		return chosen
	}
	var chosen []int
	for range 4 {
		chosen = pick()
		err := parallel(ctx, len(chosen), nil, func(i int) {
			if o := chosen[i]; built[o] == nil {
				names := make([]string, len(options[o].keys))
				for n, k := range options[o].keys {
					names[n] = keys[k].name
				}
				built[o] = r.newBlock(Rule{Keys: names, Most: mostAlike})
			}
		})
		if err != nil {
			return nil, err
		}
		spent, dear := 0.0, false
		for _, o := range chosen {
			options[o].pairs = built[o].pairs
			if spent+built[o].pairs > budget {
				banned[o], dear = true, true // its keys go together more often than by chance
				continue
			}
			spent += built[o].pairs
		}
		if !dear {
			break
		}
	}
	var blocks []*block
	spent := 0.0
	for _, o := range chosen {
		if b := built[o]; spent+b.pairs <= budget {
			spent += b.pairs
			b.rule.Why = fmt.Sprintf("%.0f pairs; expected to find %.1f %% of those of one entity that the rules above do not", b.pairs, 100*options[o].gain)
			blocks = append(blocks, b)
		}
	}
	if len(blocks) == 0 {
		if r.all <= everything {
			return nil, &ExplodesError{Rule{}.String(), r.all, most} // they would be compared without the limit
		}
		return nil, errNoRules
	}
	return blocks, nil
}

var errNoRules = errors.New("no blocking rule was found that makes few pairs and finds many: no column tells records apart; write rules in a model, under blocking")
