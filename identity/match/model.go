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
	// Seed of what is drawn at random. The same seed, records and model give
	// the same result.
	Seed uint64 `yaml:"seed,omitempty"`
}

// Comparison is one thing that is compared.
type Comparison struct {
	// Name of the comparison, and of its keys in blocking rules. Default: the
	// first column's.
	Name string `yaml:"name,omitempty"`
	// Columns that hold it: one, or the parts of a date (year, month, day) or
	// of a place (latitude, longitude).
	Columns []string `yaml:"columns,flow"`
	// Kind says how values are compared; see compare.Kinds.
	Kind compare.Kind `yaml:"kind"`
	// SwappedWith names the comparison of the column that is filled in place
	// of this one now and then, as a surname is in place of a first name.
	SwappedWith string `yaml:"swapped_with,omitempty"`
	// Rarity makes equal rare values worth more than equal common ones.
	Rarity bool `yaml:"rarity,omitempty"`
	// Why is a comment for who reads the file.
	Why string `yaml:"-"`
}

// Rule is a blocking rule: two records that agree on all its keys are
// compared.
type Rule struct {
	// Keys are names of comparisons, or NAME.PART; see Parts. Without keys
	// the rule holds for all pairs.
	Keys []string `yaml:"on,flow"`
	// Most leaves out what more records agree on, and says how many pairs that
	// were; 0 leaves nothing out.
	Most int `yaml:"most,omitempty"`
	// Why is a comment for who reads the file.
	Why string `yaml:"-"`
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

// check finds what is wrong with a model by itself, all of it at once, and
// fills in the defaults.
func (m *Model) check() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if len(m.Comparisons) == 0 {
		fault("there are no comparisons")
	}
	if len(m.Comparisons) > maxComparisons {
		fault("there are %d comparisons; at most %d are possible", len(m.Comparisons), maxComparisons)
	}
	names := map[string]compare.Kind{}
	for i := range m.Comparisons {
		c := &m.Comparisons[i]
		if len(c.Columns) == 0 {
			fault("comparison %d names no column", i+1)
			continue
		}
		if c.Name == "" {
			c.Name = c.Columns[0]
		}
		if _, ok := names[c.Name]; ok {
			fault("two comparisons are called %q", c.Name)
		}
		names[c.Name] = c.Kind
		if compare.Levels(c.Kind) == nil {
			fault("comparison %q: there is no kind %q; there are %q", c.Name, c.Kind, compare.Kinds())
		}
		if len(c.Columns) > 1 && c.Kind != compare.Date && c.Kind != compare.Place {
			fault("comparison %q: only a date and a place may have several columns", c.Name)
		}
	}
	for _, c := range m.Comparisons {
		if c.SwappedWith != "" && (names[c.SwappedWith] != compare.Name || c.Kind != compare.Name || c.SwappedWith == c.Name) {
			fault("comparison %q: swapped_with must name another comparison, and both must be of kind name", c.Name)
		}
	}
	for _, r := range m.Blocking {
		for _, key := range r.Keys {
			name, part := m.key(key)
			kind, ok := names[name]
			if !ok {
				fault("blocking rule %q: there is no comparison %q", r, name)
			} else if parts := Parts(kind); part != "" && !slices.Contains(parts, part) {
				fault("blocking rule %q: a %s has no part %q; it has %q", r, kind, part, parts)
			}
		}
	}
	if m.Accept < 0 || m.Accept >= 1 {
		fault("accept must be a probability from 0 to below 1, not %v", m.Accept)
	}
	return errors.Join(faults...)
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
