package match

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"oneid/identity/match/compare"
)

const (
	// learnedFormat tells files of what was learned from other JSON.
	learnedFormat = "oneid learned"
	// learnedVersion is the newest version of them that is read.
	learnedVersion = 1
)

// describe begins what is learned with the records and the model.
func (r *records) describe() *Learned {
	out := &Learned{Format: learnedFormat, Version: learnedVersion, Seed: r.seed, Data: LearnedData{Records: r.n}}
	if r.sources != nil {
		sizes := make([]int, 1+int(slices.Max(r.sources)))
		for _, s := range r.sources {
			sizes[s]++
		}
		out.Data.Sources = sizes
	}
	for i := range r.fields {
		f, c := &r.fields[i], &r.model.Comparisons[i]
		field := LearnedField{
			Name: f.name, Columns: c.Columns, Kind: c.Kind, SwappedWith: c.SwappedWith, Rarity: c.Rarity,
			Levels: compare.Levels(c.Kind), Kept: c.Levels, Filled: f.filled, Equal: r.equalPairs(i),
		}
		for _, n := range f.counts[1:] {
			if n > 0 {
				field.Distinct++
			}
		}
		out.Fields = append(out.Fields, field)
	}
	out.Data.Fingerprint = out.fingerprint()
	return out
}

// fingerprint of the counts, the columns and their kinds.
func (l *Learned) fingerprint() string {
	var b strings.Builder
	fmt.Fprintln(&b, l.Data.Records, l.Data.Sources)
	for _, f := range l.Fields {
		fmt.Fprintf(&b, "%q %q %q %d %d %.0f\n", f.Name, f.Columns, f.Kind, f.Filled, f.Distinct, f.Equal)
	}
	sum := sha256.Sum256([]byte(b.String()))
	return hex.EncodeToString(sum[:16])
}

// OtherModelError refuses what was learned for another model.
type OtherModelError struct{ text string }

func (e *OtherModelError) Error() string { return "what was learned is of another model: " + e.text }

// Hint says what to do.
func (e *OtherModelError) Hint() string {
	return "give the model that it was trained with, or train anew: `oneid identity train`"
}

// fits says whether what was learned is about the comparisons of a model.
func (l *Learned) fits(m *Model) error {
	other := func(format string, args ...any) error { return &OtherModelError{fmt.Sprintf(format, args...)} }
	if len(l.Fields) != len(m.Comparisons) {
		return other("it is about %d comparisons, and the model has %d", len(l.Fields), len(m.Comparisons))
	}
	for i, c := range m.Comparisons {
		f := &l.Fields[i]
		if f.Name != c.Name {
			return other("it is about %q where the model compares %q", f.Name, c.Name)
		}
		for _, part := range []struct {
			name string
			a, b any
			same bool
		}{
			{"kind", f.Kind, c.Kind, f.Kind == c.Kind},
			{"columns", f.Columns, c.Columns, slices.Equal(f.Columns, c.Columns)},
			{"levels", f.Kept, c.Levels, slices.Equal(f.Kept, c.Levels)},
			{"swapped_with", f.SwappedWith, c.SwappedWith, f.SwappedWith == c.SwappedWith},
			{"rarity", f.Rarity, c.Rarity, f.Rarity == c.Rarity},
		} {
			if !part.same {
				return other("comparison %q was trained with %s %q, and has %q in the model", c.Name, part.name, fmt.Sprint(part.a), fmt.Sprint(part.b))
			}
		}
	}
	return nil
}

// differs says in plain words how records and rules differ from those that it
// was learned on, where that makes what was learned doubtful.
func (l *Learned) differs(r *records) (warnings []string) {
	const (
		grown  = 3.0 // times as many or as few records
		fill   = 0.2 // of the records more or fewer have a value
		common = 8.0 // times as many or as few pairs are equal
		few    = 50  // pairs say nothing
	)
	warn := func(format string, args ...any) { warnings = append(warnings, fmt.Sprintf(format, args...)) }
	if len(r.model.Blocking) > 0 && !slices.EqualFunc(r.model.Blocking, l.Blocking, func(a, b Rule) bool { return slices.Equal(a.Keys, b.Keys) && a.Most == b.Most }) {
		list := func(rules []Rule) string {
			var names []string
			for _, r := range rules {
				names = append(names, r.String())
			}
			return strings.Join(names, " · ")
		}
		warn("the blocking rules are not those of the training (%s, then %s): other pairs are compared than those that were learned from; train anew if the rules are to stay so", list(r.model.Blocking), list(l.Blocking))
	}
	if (r.sources != nil) != (len(l.Data.Sources) > 0) {
		warn("only one of training and linking compares records of different sources alone (--link): how many pairs are one entity is taken from the training, and will be off; train as you link")
	}
	if times := float64(r.n) / float64(max(1, l.Data.Records)); times > grown || times < 1/grown {
		warn("there are %d records, and there were %d in training: what share of all pairs is one entity is taken from there, and more records have a smaller one; train on a table of about this size", r.n, l.Data.Records)
	}
	for i := range r.fields {
		f, known := &r.fields[i], &l.Fields[i]
		here, there := float64(f.filled)/float64(max(1, r.n)), float64(known.Filled)/float64(max(1, l.Data.Records))
		if math.Abs(here-there) > fill {
			warn("%s has a value in %.0f %% of the records, in training in %.0f %%: is it the same column, written in the same way? If so, train anew", f.name, 100*here, 100*there)
		}
		filled := float64(f.filled) * float64(f.filled) / float64(r.n) / float64(r.n) * r.all // pairs where both have a value
		expected := (known.U[0]*(1-l.Prior) + known.M[0]*l.Prior) * filled
		if equal := r.equalPairs(i); equal > common*max(expected, few) || expected > common*max(equal, few) {
			warn("%s: %.0f pairs of records have equal values, and by the training it would be %.0f: it holds other values than there, or they are written in another way; train anew", f.name, equal, expected)
		}
	}
	return warnings
}

// unseen says which levels of candidates that were counted the training had no
// pair at.
func (l *Learned) unseen(candidates []counted) (warnings []string) {
	for i := range l.Fields {
		f := &l.Fields[i]
		for _, name := range f.Unseen {
			level, n := compare.Level(1+slices.Index(f.Levels, name)), 0.0
			for _, c := range candidates {
				if c.pattern.level(i) == level {
					n += c.n
				}
			}
			if n >= 1 {
				warnings = append(warnings, fmt.Sprintf("%s: %.0f pairs are at the level %q, at which no pair of the training was: what it is worth is assumed, not learned; train on a table that has such pairs", f.Name, n, name))
			}
		}
	}
	return warnings
}

// atLeast is how many entities must share a value for its frequency to be
// kept: one that fewer share would tell something of them.
const atLeast = 20

// Frequencies are of how many entities each value of a column is: of the
// common ones one by one, of all others together. No value can be read from
// them but by guessing it, and then it is one that many people share.
type Frequencies struct {
	// Entities that have a value; one with two different ones counts twice.
	Entities float64 `json:"entities"`
	// AtLeast so many entities share each value of Common.
	AtLeast int `json:"at_least"`
	// Rest is of the other values what Common says of one: the mean over
	// their entities.
	Rest float64 `json:"rest"`
	// Salt and a value make the name of it in Common.
	Salt   string         `json:"salt"`
	Common map[string]int `json:"common"`
}

// newFrequencies counts from how many clusters each value has, by its number.
func newFrequencies(l *Learned, f *field, clusters []float64, total float64) *Frequencies {
	out := &Frequencies{Entities: total, AtLeast: atLeast, Common: map[string]int{}}
	// Of each table and column another one, and of the same the same.
	sum := sha256.Sum256([]byte(l.Data.Fingerprint + " " + f.name + " " + strconv.FormatUint(l.Seed, 10)))
	out.Salt = hex.EncodeToString(sum[:8])
	squares, rest := 0.0, 0.0
	for id := 1; id < len(clusters); id++ {
		switch n := clusters[id]; {
		case n >= atLeast:
			out.Common[out.name(f.column.Text(uint32(id)))] = int(n)
		default:
			rest += n
			squares += n * n
		}
	}
	if rest > 0 {
		out.Rest = squares / rest
	}
	return out
}

// of is of how many entities a value is.
func (f *Frequencies) of(text string) float64 {
	if n, ok := f.Common[f.name(text)]; ok {
		return float64(n)
	}
	return f.Rest
}

func (f *Frequencies) name(text string) string {
	sum := sha256.Sum256([]byte(f.Salt + "\x00" + text))
	return hex.EncodeToString(sum[:8])
}

// ParseLearned reads what Learned.Write wrote. name is how errors call the
// file; they are FileErrors.
func ParseLearned(name string, text []byte) (*Learned, error) {
	whole := func(text, hint string) error { return &FileError{File: name, Text: text, hint: hint} }
	// What it is, and of which version, first: a newer file has keys that this
	// oneid does not know.
	var sign struct {
		Format  string `json:"format"`
		Version any    `json:"version"`
	}
	if err := json.Unmarshal(text, &sign); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			e := &FileError{File: name, Text: "it is no JSON, or not complete: " + err.Error(), hint: learnedHint}
			e.Line, e.Column = place(text, syntax.Offset)
			return nil, e
		}
		sign.Format = ""
	}
	if sign.Format != learnedFormat {
		return nil, whole(fmt.Sprintf("it does not hold what was learned: its format is not %q", learnedFormat), learnedHint)
	}
	version, ok := sign.Version.(float64)
	switch {
	case ok && version > learnedVersion:
		return nil, whole(fmt.Sprintf("it is of version %v; this oneid reads up to version %d", version, learnedVersion), newerHint)
	case !ok || version != learnedVersion:
		return nil, whole(fmt.Sprintf("its version is not %d", learnedVersion), learnedHint)
	}
	l := &Learned{}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(l); err != nil {
		e := &FileError{File: name, Text: err.Error(), hint: learnedHint}
		var kind *json.UnmarshalTypeError
		if errors.As(err, &kind) {
			e.Text = fmt.Sprintf("%s holds a %s that does not belong there", kind.Field, kind.Value)
			e.Line, e.Column = place(text, kind.Offset)
		} else {
			e.Line, e.Column = place(text, decoder.InputOffset())
		}
		return nil, e
	}
	if path, fault := l.fault(); fault != "" {
		e := &FileError{File: name, Text: strings.Join(path, ".") + ": " + fault, hint: learnedHint}
		e.Line, e.Column = place(text, find(text, path))
		return nil, e
	}
	return l, nil
}

// fault finds the first number that cannot have been learned, and where.
func (l *Learned) fault() (path []string, text string) {
	at := func(i int) string { return strconv.Itoa(i) }
	if !(l.Prior > 0 && l.Prior < 1) {
		return []string{"prior"}, fmt.Sprintf("%v is no share between 0 and 1", l.Prior)
	}
	rest := 1 - l.Prior
	for k, near := range l.Near {
		if rest -= near; !(near > 0) || !(rest > 0) {
			return []string{"near", at(k)}, fmt.Sprintf("%v is no share that leaves some for strangers", near)
		}
	}
	if len(l.Fields) == 0 || len(l.Fields) > maxComparisons {
		return []string{"fields"}, fmt.Sprintf("there are %d; it must be 1 to %d", len(l.Fields), maxComparisons)
	}
	if l.Data.Records < 0 {
		return []string{"data", "records"}, "it is negative"
	}
	for i := range l.Fields {
		f := &l.Fields[i]
		here := []string{"fields", at(i)}
		if names := compare.Levels(f.Kind); names == nil {
			return append(here, "kind"), fmt.Sprintf("there is no kind %q", f.Kind)
		} else if !slices.Equal(names, f.Levels) {
			return append(here, "levels"), fmt.Sprintf("they are not those that this oneid has for the kind %s: %q", f.Kind, names)
		}
		for k, name := range f.Unseen {
			if !slices.Contains(f.Levels, name) {
				return append(here, "unseen", at(k)), "it is none of the levels"
			}
		}
		if len(f.N) != len(l.Near) {
			return append(here, "n"), fmt.Sprintf("there are %d kinds of neighbours, not %d", len(f.N), len(l.Near))
		}
		check := func(path []string, p []float64) ([]string, string) {
			if len(p) != len(f.Levels) {
				return path, fmt.Sprintf("there are %d levels, not %d", len(p), len(f.Levels))
			}
			for level, x := range p {
				if !(x > 0 && x <= 1) {
					return append(path, at(level)), fmt.Sprintf("%v is no probability above 0", x)
				}
			}
			return nil, ""
		}
		path, fault := check(append(slices.Clone(here), "m"), f.M)
		if fault == "" {
			path, fault = check(append(slices.Clone(here), "u"), f.U)
		}
		for k := 0; k < len(f.N) && fault == ""; k++ {
			path, fault = check(append(slices.Clone(here), "n", at(k)), f.N[k])
		}
		if fault != "" {
			return path, fault
		}
		if t := f.Frequencies; t != nil {
			here = append(here, "frequencies")
			if !(t.Entities >= 0) {
				return append(here, "entities"), "it is negative"
			}
			if !(t.Rest >= 0 && t.Rest < math.Inf(1)) {
				return append(here, "rest"), "it is negative"
			}
			for value, n := range t.Common {
				if n < 0 {
					return append(here, "common", value), "it is negative"
				}
			}
		}
	}
	return nil, ""
}

// Write writes what was learned as JSON.
func (l *Learned) Write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(l)
}

// place is the line and column of an offset, from 1; a column is a byte.
func place(text []byte, offset int64) (line, column int) {
	before := text[:min(max(0, offset), int64(len(text)))]
	return 1 + bytes.Count(before, []byte("\n")), len(before) - bytes.LastIndexByte(before, '\n')
}

// find is the offset of the value at a path of keys and numbers, or of the
// last part of the path that is there, in JSON that can be read.
func find(text []byte, path []string) (offset int64) {
	d := json.NewDecoder(bytes.NewReader(text))
	for _, step := range path {
		open, err := d.Token()
		if err != nil || open != json.Delim('{') && open != json.Delim('[') {
			return offset
		}
		found := false
		for i := 0; d.More() && !found; i++ {
			name := strconv.Itoa(i)
			if open == json.Delim('{') {
				key, err := d.Token()
				if err != nil {
					return offset
				}
				name, _ = key.(string)
			}
			if found = name == step; !found {
				var skipped json.RawMessage
				if err := d.Decode(&skipped); err != nil {
					return offset
				}
			}
		}
		if !found {
			return offset
		}
		offset = d.InputOffset()
	}
	// Behind a key stand a colon and blanks, before an element a comma.
	rest := text[min(offset, int64(len(text))):]
	return offset + int64(len(rest)-len(bytes.TrimLeft(rest, ":, \t\r\n")))
}

// Model is the model that it was learned with, as far as that bears on weights
// and keys: thresholds are none of it.
func (l *Learned) Model() *Model {
	m := &Model{Seed: l.Seed}
	for _, f := range l.Fields {
		m.Comparisons = append(m.Comparisons, Comparison{Name: f.Name, Columns: slices.Clone(f.Columns), Kind: f.Kind, Levels: slices.Clone(f.Kept), SwappedWith: f.SwappedWith, Rarity: f.Rarity})
	}
	for _, r := range l.Blocking {
		m.Blocking = append(m.Blocking, Rule{Keys: slices.Clone(r.Keys), Most: r.Most})
	}
	return m
}
