package match

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"oneid/identity"
	"oneid/identity/match/compare"
)

// appearanceColumns are the columns of a model of appearances.
var appearanceColumns = []string{"name", "phone", "province", "city", "district", "town", "detail"}

// value is an appearance's value in one of appearanceColumns. It is no table of
// functions, through which each appearance would escape to the heap.
func value(a *identity.Appearance, column int) string {
	switch column {
	case 0:
		return a.Name
	case 1:
		return a.Phone
	case 2:
		return a.Province
	case 3:
		return a.City
	case 4:
		return a.District
	case 5:
		return a.Town
	}
	return a.Detail
}

// Scorer weighs one pair of appearances at a time, with the comparisons and
// what was learned of a model: what a run over a table that learned so says of
// the pair. How common a value is comes from what was learned alone.
//
// What it says does not change once it is made, and it may be used concurrently.
// Of values whose rarity counts it keeps some, as masked as they were shown.
type Scorer struct {
	fields []single
	rules  []singleRule
	worths identity.Worths
	// sums by the levels of a pair, the first field's fastest; nil if there are
	// too many combinations.
	sums []singleSums
}

type singleSums struct {
	identity.Sums
	weight float32 // where nothing equal is rare
}

var _ identity.Scorer = (*Scorer)(nil)

// single is one comparison of a Scorer.
type single struct {
	name   string
	kind   compare.Kind
	column int // in appearanceColumns
	folds  *[16]compare.Level
	levels []string
	stride int
	// Of rarity: what equal values are worth beside the level, in bits, by the
	// first eight bytes of their key, and of all that have none.
	rarity bool
	salt   string
	common map[uint64]float32
	rest   float32
	// recent are values and what they are worth, each where its hash says: few
	// are asked about again and again, and a key of each is a SHA-256.
	recent *[recentValues]atomic.Pointer[worthOf]
}

type worthOf struct {
	form string
	bits float32
}

// recentValues are those of one field: there are some 3,000 districts, and fewer
// surnames.
const recentValues = 1 << 13

var recentSeed = maphash.MakeSeed()

// singleRule is a blocking rule of a Scorer: the parts of fields that it takes.
type singleRule struct {
	seed  uint64
	parts []singlePart
}

type singlePart struct {
	field int
	what  string
}

// mostSums bounds the combinations of levels whose sums are made beforehand, 24
// bytes each.
const mostSums = 1 << 16

// NewScorer makes a Scorer of a model whose columns are those of an appearance
// (name, phone, province, city, district, town, detail), and of what was
// learned with it. Kinds whose levels depend on a whole table, text and address,
// are refused, and so is swapped_with.
func NewScorer(m *Model, l *Learned) (*Scorer, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	if err := l.fits(m); err != nil {
		return nil, err
	}
	if len(m.Blocking) == 0 {
		return nil, errors.New("the model has no blocking rules: without a table at hand they cannot be chosen; write them down")
	}
	s := &Scorer{}
	stride := 1
	for i := range m.Comparisons {
		c := &m.Comparisons[i]
		column := slices.Index(appearanceColumns, c.Columns[0])
		switch {
		case len(c.Columns) != 1 || column < 0:
			return nil, fmt.Errorf("comparison %q takes the columns %q; an appearance has %q, and a comparison takes one of them", c.Name, c.Columns, appearanceColumns)
		case c.Kind == compare.Text || c.Kind == compare.Address:
			return nil, fmt.Errorf("comparison %q: what words of the kind %s are worth is seen in a table only; take another kind", c.Name, c.Kind)
		case c.SwappedWith != "":
			return nil, fmt.Errorf("comparison %q: swapped_with is not for appearances", c.Name)
		}
		f := single{name: c.Name, kind: c.Kind, column: column, folds: c.folds(), levels: compare.Levels(c.Kind), stride: stride}
		stride *= len(f.levels) + 1
		if known := l.Fields[i].Frequencies; c.Rarity && known != nil {
			if err := f.rare(known, l.Fields[i].U[0]); err != nil {
				return nil, fmt.Errorf("comparison %q: %w", c.Name, err)
			}
		}
		s.fields = append(s.fields, f)
	}
	for i, r := range m.Blocking {
		rule := singleRule{seed: mix(0x9e3779b97f4a7c15, uint64(i))}
		for _, key := range r.Keys {
			name, what := m.key(key)
			rule.parts = append(rule.parts, singlePart{m.comparison(name), what})
		}
		if len(rule.parts) == 0 {
			return nil, errors.New("a blocking rule without keys holds for all pairs: name what they must agree on")
		}
		s.rules = append(s.rules, rule)
	}
	s.learn(l)
	if stride <= mostSums {
		s.sums = make([]singleSums, stride)
		for at := range s.sums {
			known := s.worths.Sums(s.levels(at))
			s.sums[at] = singleSums{known, known.Weight(0)}
		}
	}
	return s, nil
}

// learn takes up what levels are worth.
func (s *Scorer) learn(l *Learned) {
	levels, shares := l.classes()
	for _, share := range shares {
		s.worths.Shares = append(s.worths.Shares, share/math.Ln2)
	}
	for i := range s.fields {
		f := identity.FieldWorth{Name: s.fields[i].name, Levels: s.fields[i].levels}
		for c := range levels {
			bits := make([]float64, len(levels[c][i]))
			for level, worth := range levels[c][i] {
				bits[level] = worth / math.Ln2
			}
			f.Bits = append(f.Bits, bits)
		}
		s.worths.Fields = append(s.worths.Fields, f)
	}
}

// Worths implements identity.Scorer.
func (s *Scorer) Worths() *identity.Worths { return &s.worths }

// rare takes up the frequencies of values: what a run gives an equal value
// beside its level.
func (f *single) rare(known *Frequencies, equal float64) error {
	worth := func(n float64) float32 { return float32(math.Log2(equal / ((n + 1) / (known.Entities + 1)))) }
	f.rarity, f.salt, f.rest = true, known.Salt, worth(known.Rest)
	f.common = make(map[uint64]float32, len(known.Common))
	f.recent = &[recentValues]atomic.Pointer[worthOf]{}
	for name, n := range known.Common {
		key, err := hex.DecodeString(name)
		if err != nil || len(key) != 8 {
			return fmt.Errorf("%q is no name of a value", name)
		}
		f.common[bits64(key)] = worth(float64(n))
	}
	return nil
}

func bits64(b []byte) (n uint64) {
	for _, c := range b[:8] {
		n = n<<8 | uint64(c)
	}
	return n
}

// worth of an equal value beside its level.
func (f *single) worth(form string) float32 {
	recent := &f.recent[maphash.String(recentSeed, form)%recentValues]
	if known := recent.Load(); known != nil && known.form == form {
		return known.bits
	}
	var buffer [128]byte
	text := append(append(append(buffer[:0], f.salt...), 0), form...)
	sum := sha256.Sum256(text)
	bits, ok := f.common[bits64(sum[:])]
	if !ok {
		bits = f.rest
	}
	recent.Store(&worthOf{strings.Clone(form), bits}) // it may be a part of something larger
	return bits
}

// levels of a place in sums.
func (s *Scorer) levels(at int) (l identity.Levels) {
	for i := range s.fields {
		n := len(s.fields[i].levels) + 1
		l |= identity.Levels(at/s.fields[i].stride%n) << (4 * i)
	}
	return l
}

// compare gives the levels of a pair, their place in sums, and what is added
// because equal values are rare.
func (s *Scorer) compare(a, b *identity.Appearance) (l identity.Levels, at int, rare float64) {
	for i := range s.fields {
		f := &s.fields[i]
		level, form, _ := compare.Pair(f.kind, value(a, f.column), value(b, f.column))
		if f.folds != nil {
			level = f.folds[level]
		}
		l |= identity.Levels(level) << (4 * i)
		at += int(level) * f.stride
		if level == 1 && f.rarity {
			rare += float64(f.worth(form))
		}
	}
	return l, at, rare
}

// Compare implements identity.Scorer.
func (s *Scorer) Compare(a, b identity.Appearance) (identity.Levels, float64) {
	l, _, rare := s.compare(&a, &b)
	return l, rare
}

// Weigh gives the weight of a pair in bits, with the prior.
func (s *Scorer) Weigh(a, b identity.Appearance) float32 {
	return s.weight(s.compare(&a, &b))
}

func (s *Scorer) weight(l identity.Levels, at int, rare float64) float32 {
	switch {
	case s.sums == nil:
		return s.worths.Weight(l, rare)
	case rare == 0:
		return s.sums[at].weight
	}
	return s.sums[at].Weight(rare)
}

// Explain gives the parts of a pair's weight in words, what speaks for it
// first: fields with their levels, the prior, and what is taken off because
// neighbours agree like that, too. No value stands in it.
func (s *Scorer) Explain(a, b identity.Appearance) []string {
	type part struct {
		text string
		bits float64
	}
	l, at, rare := s.compare(&a, &b)
	parts := []part{{"prior", s.worths.Shares[0]}}
	sum := s.worths.Shares[0]
	for i := range s.fields {
		f, level := &s.fields[i], l.Of(i)
		if level == 0 {
			continue // not shown
		}
		bits := s.worths.Fields[i].Bits[0][level]
		if level == 1 && f.rarity {
			_, form, _ := compare.Pair(f.kind, value(&a, f.column), value(&b, f.column))
			bits += float64(f.worth(form))
		}
		sum += bits
		parts = append(parts, part{f.name + " " + f.levels[level-1], bits})
	}
	if near := float64(s.weight(l, at, rare)) - sum; math.Abs(near) > 0.05 {
		parts = append(parts, part{"neighbours agree like that, too", near})
	}
	slices.SortStableFunc(parts, func(x, y part) int { return cmp.Compare(y.bits, x.bits) })
	out := make([]string, len(parts))
	for i, one := range parts {
		out[i] = fmt.Sprintf("%s %+.1f", one.text, one.bits)
	}
	return out
}

// Blocks appends a key for each blocking rule whose parts the appearance
// shows. A key is a hash of the rule's number and the parts: it is the same on
// every machine, and another one where the rules are others.
func (s *Scorer) Blocks(keys []uint64, a identity.Appearance) []uint64 {
	for i := range s.rules {
		r := &s.rules[i]
		key := r.seed
		for _, p := range r.parts {
			f := &s.fields[p.field]
			hash, ok := partHash(f.kind, value(&a, f.column), p.what)
			if !ok {
				key = 0
				break
			}
			key = mix(key, hash)
		}
		if key != 0 {
			keys = append(keys, key)
		}
	}
	return keys
}

// partHash hashes the part of a single value; false if it has none.
func partHash(kind compare.Kind, raw, what string) (uint64, bool) {
	var text string
	switch kind {
	case compare.MaskedName, compare.MaskedPhone, compare.MaskedText, compare.Category:
		text = maskedPart(compare.Form(kind, raw), what)
	default:
		c, ids, err := compare.NewColumn(kind, []string{raw}, []int{1})
		if err != nil || ids[0] == 0 {
			return 0, false
		}
		text = part(c, ids[0], what)
	}
	if text == "" {
		return 0, false
	}
	h := uint64(14695981039346656037)
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * 1099511628211
	}
	return h, true
}

// maskedPart is the part of a masked value in its comparable form that is
// shown, "" if some of it is not.
func maskedPart(form, what string) string {
	switch what {
	case "":
		return form
	case "initial":
		return shown(first(form, 1))
	case "last2":
		return shownEnd(form, 2)
	case "last4":
		return shownEnd(form, 4)
	case "sixth":
		return sixth(form)
	}
	return ""
}

// sixth is every sixth character of a text, from the first on: what a mask that
// shows one of two and a mask that shows one of three both show. A text that
// hides one of these has none.
func sixth(form string) string {
	var buffer [64]byte
	out, i := buffer[:0], 0
	for _, r := range form {
		if i%6 == 0 {
			if r == '*' {
				return ""
			}
			out = utf8.AppendRune(out, r)
		}
		i++
	}
	return string(out)
}

// shownEnd is the last bytes of a number if no star is among them.
func shownEnd(form string, n int) string {
	if len(form) < n {
		return ""
	}
	end := form[len(form)-n:]
	if shown(end) != end {
		return ""
	}
	return end
}
