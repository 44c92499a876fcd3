package match

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"oneid/identity/match/compare"
)

// Model is what a person writes, or package guess writes for them: what is
// compared, and which pairs. What the comparisons are worth is learned.
type Model struct {
	// Version of the format of the file; 0 is 1.
	Version int `yaml:"version,omitempty"`
	// Comparisons of two records, at most 16. What one says is taken as
	// independent of what the others say.
	Comparisons []Comparison `yaml:"comparisons"`
	// Blocking says which pairs are compared: those that agree on all keys of
	// at least one rule. Without rules they are chosen by what the data
	// holds.
	Blocking []Rule `yaml:"blocking,omitempty"`
	// Accept is the probability from which two records are linked; 0 finds
	// the one that promises the best clusters.
	Accept float64 `yaml:"accept,omitempty"`
	// Review is the probability from which pairs that are not linked are
	// worth a person's look; 0 is none.
	Review float64 `yaml:"review,omitempty"`
	// Clusters says how links become clusters; "" is Guarded.
	Clusters Method `yaml:"clusters,omitempty"`
	// Largest is the most records that a cluster may have; 0 is no bound.
	Largest int `yaml:"largest,omitempty"`
	// PerSource is the most records of one source that a cluster may have, where
	// records of several sources are linked; 0 is no bound.
	PerSource int `yaml:"per_source,omitempty"`
	// Seed of what is drawn at random. The same seed, records and model give
	// the same result.
	Seed uint64 `yaml:"seed,omitempty"`
}

// Method is how links become clusters.
type Method string

// The methods.
const (
	// Guarded follows a link only if the records of its two clusters are alike
	// on average: one false link joins no two dense groups.
	Guarded Method = "guarded"
	// Components follows each link that no constraint refuses.
	Components Method = "components"
)

// Comparison is one thing that is compared.
type Comparison struct {
	// Name of the comparison, and of its keys in blocking rules. Default: the
	// first column's.
	Name string `yaml:"name,omitempty"`
	// Columns that hold it: one, or the parts of a date (year, month, day), of
	// a place (latitude, longitude) or of a Chinese address, the widest first.
	Columns []string `yaml:"columns,flow"`
	// Kind says how values are compared; see compare.Kinds.
	Kind compare.Kind `yaml:"kind"`
	// Levels of the kind that are told apart; empty is all. One that is left
	// out counts as the next weaker one that is not. The first and the last,
	// and the last of each group of masked values, are always there.
	Levels []string `yaml:"levels,flow,omitempty"`
	// SwappedWith names the comparison of the column that is filled in place
	// of this one now and then, as a surname is in place of a first name.
	SwappedWith string `yaml:"swapped_with,omitempty"`
	// Rarity makes equal rare values worth more than equal common ones.
	Rarity bool `yaml:"rarity,omitempty"`
	// Exclusive says that an entity has one value of it: records with two values,
	// however alike, are never in one cluster. One that is missing is no value.
	Exclusive bool `yaml:"exclusive,omitempty"`
	// Why is a comment for who reads the file.
	Why string `yaml:"-"`
}

// exclusiveKinds have values that are equal or not: none is a part of another, as
// one that is masked, or written otherwise.
var exclusiveKinds = []compare.Kind{compare.Category, compare.Code, compare.Date, compare.Email, compare.Number}

// Rule is a blocking rule: two records that agree on all its keys are
// compared.
type Rule struct {
	// Keys are names of comparisons, or NAME.PART; see Parts. Without keys
	// the rule holds for all pairs.
	Keys []string `yaml:"on,flow" json:"on"`
	// Most leaves out what more records agree on, and says how many pairs that
	// were; 0 leaves nothing out.
	Most int `yaml:"most,omitempty" json:"most,omitempty"`
	// Why is a comment for who reads the file.
	Why string `yaml:"-" json:"-"`
}

// String names the rule by its keys.
func (r Rule) String() string {
	if len(r.Keys) == 0 {
		return "all pairs"
	}
	return strings.Join(r.Keys, " + ")
}

// maxComparisons is bounded by the pattern of levels of a pair, four bits a
// comparison.
const maxComparisons = 16

// fault is one thing that is wrong with a model, and where in the file.
type fault struct {
	path string // as $.comparisons[0].kind
	text string
}

// check finds what is wrong with a model by itself, all of it at once, and
// fills in the defaults.
func (m *Model) check() error {
	var list []error
	for _, f := range m.faults() {
		list = append(list, errors.New(f.text))
	}
	return errors.Join(list...)
}

func (m *Model) faults() (list []fault) {
	fault := func(path, format string, args ...any) {
		list = append(list, fault{"$." + path, fmt.Sprintf(format, args...)})
	}
	if len(m.Comparisons) == 0 {
		fault("comparisons", "there are no comparisons")
	}
	if len(m.Comparisons) > maxComparisons {
		fault("comparisons", "there are %d comparisons; at most %d are possible", len(m.Comparisons), maxComparisons)
	}
	names := map[string]compare.Kind{}
	for i := range m.Comparisons {
		c := &m.Comparisons[i]
		at := fmt.Sprintf("comparisons[%d]", i)
		if len(c.Columns) == 0 {
			fault(at, "comparison %d names no column", i+1)
			continue
		}
		if c.Name == "" {
			c.Name = c.Columns[0]
		}
		if _, ok := names[c.Name]; ok {
			fault(at, "two comparisons are called %q", c.Name)
		}
		names[c.Name] = c.Kind
		if compare.Levels(c.Kind) == nil {
			fault(at+".kind", "comparison %q: there is no kind %q; there are %q", c.Name, c.Kind, compare.Kinds())
			continue
		}
		if len(c.Columns) > 1 && c.Kind != compare.Date && c.Kind != compare.Place && c.Kind != compare.ChineseAddress {
			fault(at+".columns", "comparison %q: only a date, a place and a Chinese address may have several columns", c.Name)
		}
		if c.Exclusive && !slices.Contains(exclusiveKinds, c.Kind) {
			fault(at+".exclusive", "comparison %q: two values of a %s may be one, masked or written otherwise; exclusive may be %q", c.Name, c.Kind, exclusiveKinds)
		}
		for k, column := range c.Columns {
			if slices.Contains(c.Columns[:k], column) {
				fault(fmt.Sprintf("%s.columns[%d]", at, k), "comparison %q names the column %q twice", c.Name, column)
			}
		}
		for _, level := range c.Levels {
			if !slices.Contains(compare.Levels(c.Kind), level) {
				fault(at+".levels", "comparison %q: a %s has no level %q; it has %q", c.Name, c.Kind, level, compare.Levels(c.Kind))
			}
		}
	}
	for i, c := range m.Comparisons {
		if c.SwappedWith == "" {
			continue
		}
		at := fmt.Sprintf("comparisons[%d].swapped_with", i)
		if names[c.SwappedWith] != compare.Name || c.Kind != compare.Name || c.SwappedWith == c.Name {
			fault(at, "comparison %q: swapped_with must name another comparison, and both must be of kind name", c.Name)
			continue
		}
		for _, one := range []*Comparison{&m.Comparisons[i], &m.Comparisons[m.comparison(c.SwappedWith)]} {
			if swapped, slip := compare.Swapped, compare.Swapped+1; one.folds() != nil && (one.folds()[swapped] != swapped || one.folds()[slip] != slip) {
				fault(at, "comparison %q: swapped_with needs the levels %q in %q", c.Name, compare.Levels(c.Kind)[swapped-1:slip], one.Name)
			}
		}
	}
	for i, r := range m.Blocking {
		at := fmt.Sprintf("blocking[%d]", i)
		for k, key := range r.Keys {
			if slices.Contains(r.Keys[:k], key) {
				fault(at, "blocking rule %q names %q twice", r, key)
			}
			name, part := m.key(key)
			kind, ok := names[name]
			if !ok {
				fault(at, "blocking rule %q: there is no comparison %q", r, name)
			} else if parts := Parts(kind); part != "" && !slices.Contains(parts, part) {
				fault(at, "blocking rule %q: a %s has no part %q; it has %q", r, kind, part, parts)
			}
		}
		if r.Most < 0 {
			fault(at+".most", "blocking rule %q: most must not be negative", r)
		}
	}
	// Written so that what is no number is a fault, too.
	if !(m.Accept >= 0 && m.Accept < 1) {
		fault("accept", "accept must be a probability from 0 to below 1, not %v", m.Accept)
	}
	if !(m.Review >= 0 && m.Review < 1) {
		fault("review", "review must be a probability from 0 to below 1, not %v", m.Review)
	}
	if m.Clusters != "" && m.Clusters != Guarded && m.Clusters != Components {
		fault("clusters", "clusters must be %s or %s, not %q", Guarded, Components, string(m.Clusters))
	}
	if m.Largest < 0 {
		fault("largest", "largest must not be negative")
	}
	if m.PerSource < 0 {
		fault("per_source", "per_source must not be negative")
	}
	if m.Accept > 0 && m.Review > m.Accept {
		fault("review", "review is %v, above accept, %v: what is linked needs no look", m.Review, m.Accept)
	}
	return list
}

// repeats names the columns that two comparisons have. What they hold counts
// twice, since what one comparison says is taken as independent of the others.
func (m *Model) repeats() (warnings []string) {
	of := map[string]string{}
	for _, c := range m.Comparisons {
		for _, column := range c.Columns {
			if other, ok := of[column]; ok {
				warnings = append(warnings, fmt.Sprintf("the comparisons %q and %q have the column %s in common: what it says counts twice; leave one of them out", other, c.Name, column))
				continue
			}
			of[column] = c.Name
		}
	}
	return warnings
}

// folds says what each level counts as where some were chosen, nil where none
// were.
func (c *Comparison) folds() *[16]compare.Level {
	if len(c.Levels) == 0 {
		return nil
	}
	names, groups := compare.Levels(c.Kind), compare.Groups(c.Kind)
	var folds [16]compare.Level
	for l := len(names); l > 0; l-- {
		last := l == len(names) || slices.Contains(groups, compare.Level(l+1))
		if last || l == 1 || slices.Contains(c.Levels, names[l-1]) {
			folds[l] = compare.Level(l)
		} else {
			folds[l] = folds[l+1]
		}
	}
	return &folds
}

// key cuts a key of a blocking rule into a comparison's name and the part of
// its values, "" for the whole.
func (m *Model) key(key string) (name, part string) {
	if m.comparison(key) >= 0 {
		return key, ""
	}
	if i := strings.LastIndexByte(key, '.'); i >= 0 {
		return key[:i], key[i+1:]
	}
	return key, ""
}

// comparison finds a comparison by its name, or says -1.
func (m *Model) comparison(name string) int {
	return slices.IndexFunc(m.Comparisons, func(c Comparison) bool { return c.Name == name })
}
