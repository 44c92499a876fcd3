package connectors

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Shape is what is known of the form of a stream's payloads: which fields
// there are, of which kinds, and which of them are always there. It knows
// names, and no values.
type Shape struct{ root *shapeField }

// Shapes are the shapes of a platform's streams, by stream.
type Shapes map[string]*Shape

// A Shaped connector knows of what form its records are.
type Shaped interface {
	// Shape is that of a stream's payloads; nil where nothing is known.
	Shape(stream string) *Shape
}

// valueKinds are a set of what a JSON value can be. null is none: it stands for any.
type valueKinds uint8

const (
	kindText valueKinds = 1 << iota
	kindNumber
	kindTruth
	kindObject
	kindList
)

var kindNames = []struct {
	kind valueKinds
	name string
}{{kindText, "text"}, {kindNumber, "number"}, {kindTruth, "truth"}, {kindObject, "object"}, {kindList, "list"}}

// nothingKnown is how a field is written that was never seen but as null.
const nothingKnown = "null"

func (k valueKinds) String() string {
	var names []string
	for _, n := range kindNames {
		if k&n.kind != 0 {
			names = append(names, n.name)
		}
	}
	if names == nil {
		return nothingKnown
	}
	return strings.Join(names, "|")
}

func parseKinds(text string) (valueKinds, error) {
	if text == nothingKnown {
		return 0, nil
	}
	var all valueKinds
	for name := range strings.SplitSeq(text, "|") {
		i := slices.IndexFunc(kindNames, func(n struct {
			kind valueKinds
			name string
		}) bool {
			return n.name == name
		})
		if i < 0 {
			return 0, fmt.Errorf("%q is no kind of a field", name)
		}
		all |= kindNames[i].kind
	}
	return all, nil
}

// kindAt is the kind of the value that begins at i; 0 for null and what is no
// JSON.
func kindAt(raw []byte, i int) valueKinds {
	if i >= len(raw) {
		return 0
	}
	switch c := raw[i]; {
	case c == '"':
		return kindText
	case c == '{':
		return kindObject
	case c == '[':
		return kindList
	case c == 't', c == 'f':
		return kindTruth
	case c == '-', c >= '0' && c <= '9':
		return kindNumber
	}
	return 0
}

// maxAlways is how many fields of one object can be known to be always there.
const maxAlways = 256

// A set of an object's fields, by their numbers.
type fieldSet [maxAlways / 64]uint64

func (s *fieldSet) add(n int) { s[n>>6] |= 1 << (n & 63) }

// shapeField is what is known of one field.
type shapeField struct {
	path  string
	kinds valueKinds
	// optional: it may be missing though the object that it is of is there.
	optional bool
	// fields of an object; nil when nothing is known of what is in it.
	fields map[string]*shapeField
	always fieldSet // the fields that are not optional, by number
	listed []*shapeField
	number int // among its siblings in listed
	// elements of a list; nil when nothing is known of them.
	elements *shapeField
}

// anyName stands for the fields of an object whose names say who or when, and
// not what: ids, numbers, dates.
const anyName = "*"

// fieldName is a field's name as it may be told: one that may be a value (an
// id as the key of a map) is anyName.
func fieldName(name string) string {
	digits, upper, lower := 0, 0, 0
	for _, c := range []byte(name) {
		switch {
		case c >= '0' && c <= '9':
			digits++
		case c >= 'A' && c <= 'Z':
			upper++
		case c >= 'a' && c <= 'z':
			lower++
		case c != '_' && c != '-':
			return anyName
		}
	}
	if name == "" || len(name) > 48 || digits > 3 || digits == len(name) || len(name) > 20 && digits > 0 && upper > 0 && lower > 0 {
		return anyName
	}
	return name
}

// child is the field of an object under a name as fieldName gives it; it is
// made when it is not there.
func (f *shapeField) child(name string) *shapeField {
	if c := f.fields[name]; c != nil {
		return c
	}
	if f.fields == nil {
		f.fields = make(map[string]*shapeField)
	}
	c := &shapeField{path: strings.TrimPrefix(f.path+"."+name, "."), number: len(f.listed)}
	f.fields[name], f.listed = c, append(f.listed, c)
	return c
}

// element is what the elements of a list are.
func (f *shapeField) element() *shapeField {
	if f.elements == nil {
		f.elements = &shapeField{path: f.path + "[]"}
	}
	return f.elements
}

// at is the field of a path, made when it is not there.
func (s *Shape) at(path string) *shapeField {
	f := s.root
	for step := range strings.SplitSeq(path, ".") {
		name := strings.TrimRight(step, "[]")
		if name != "" {
			f = f.child(name)
		}
		for range strings.Count(step, "[]") {
			f = f.element()
		}
	}
	return f
}

// ParseShapes reads shapes: a JSON object of streams, in each of which stands
// for each field, by its path (a.b[].c), of which kinds it is ("text|number"),
// with a ? behind if it may be missing.
func ParseShapes(text []byte) (Shapes, error) {
	var streams map[string]map[string]string
	if err := json.Unmarshal(text, &streams); err != nil {
		return nil, fmt.Errorf("read the shapes: %w", err)
	}
	shapes := make(Shapes)
	var faults []error
	for stream, fields := range streams {
		shape := &Shape{root: &shapeField{kinds: kindObject}}
		for _, path := range slices.Sorted(maps.Keys(fields)) {
			kinds, optional := strings.CutSuffix(fields[path], "?")
			f := shape.at(path)
			var err error
			if f.kinds, err = parseKinds(kinds); err != nil {
				faults = append(faults, fmt.Errorf("%s %s: %w", stream, path, err))
			}
			f.optional = optional
		}
		shape.root.settle()
		shapes[stream] = shape
	}
	return shapes, errors.Join(faults...)
}

// settle notes which fields are always there.
func (f *shapeField) settle() {
	for _, c := range f.listed {
		if !c.optional && c.number < maxAlways {
			f.always.add(c.number)
		}
		c.settle()
	}
	if f.elements != nil {
		f.elements.settle()
	}
}

// MustShapes reads shapes that are part of the program.
func MustShapes(text []byte) Shapes {
	s, err := ParseShapes(text)
	if err != nil {
		panic(err) // its test reads it too
	}
	return s
}

// What may have happened to a field.
const (
	// Gained: nobody knew that there is such a field.
	Gained = "gained"
	// Lost: it was always there, and now it is not.
	Lost = "lost"
	// Retyped: it is of another kind.
	Retyped = "retyped"
	// UnknownStatus: it is a status whose word the mapping does not know; the
	// event keeps the word. Now is the word.
	UnknownStatus = "unknown status"
)

// Change is how payloads differ from what is known of them: the name of a
// field and never a value, besides the word of a status.
type Change struct {
	What  string `json:"what"`
	Field string `json:"field"`
	// Now is the kind that the field has now, or a status; empty when it is lost. Known are
	// the kinds that it had; empty when it is gained.
	Now   string `json:"now,omitempty"`
	Known string `json:"known,omitempty"`
}

func (c Change) String() string {
	text := c.What + " " + c.Field
	switch c.What {
	case Gained, UnknownStatus:
		text += " (" + c.Now + ")"
	case Retyped:
		text += " (" + c.Known + ", now " + c.Now + ")"
	}
	return text
}

// lostAfter is how many payloads in a row must lack a field that was always
// there: a rule of the platform that changed changes all of them, and one
// payload that lacks it says little.
const lostAfter = 10

// maxDepth of a payload that is looked into.
const maxDepth = 64

// Watch compares the payloads of a stream with its shape, one after the other.
// It is of one goroutine at a time.
type Watch struct {
	shape  *Shape
	report func(Change)
	// missing is how many payloads in a row lack a field that is always there.
	missing map[*shapeField]int
}

// NewWatch calls report for each change of each payload that Look is given.
func NewWatch(shape *Shape, report func(Change)) *Watch {
	return &Watch{shape: shape, report: report, missing: make(map[*shapeField]int)}
}

// Look compares one payload. What is no JSON is compared as far as it is one.
func (w *Watch) Look(raw []byte) {
	w.value(raw, space(raw, 0), w.shape.root, 0)
}

// value compares the value that begins at i and gives where it ends.
func (w *Watch) value(raw []byte, i int, f *shapeField, depth int) int {
	kind := kindAt(raw, i)
	if kind == 0 || f.kinds == 0 {
		return end(raw, i)
	}
	if f.kinds&kind == 0 {
		w.report(Change{What: Retyped, Field: f.path, Now: kind.String(), Known: f.kinds.String()})
		return end(raw, i)
	}
	switch {
	case depth == maxDepth:
	case kind == kindObject && f.fields != nil:
		return w.object(raw, i, f, depth)
	case kind == kindList && f.elements != nil:
		return w.list(raw, i, f.elements, depth)
	case kind == kindText:
		return endText(raw, i)
	}
	return end(raw, i)
}

func (w *Watch) list(raw []byte, i int, element *shapeField, depth int) int {
	for i = space(raw, i+1); i < len(raw) && raw[i] != ']'; {
		stop := w.value(raw, i, element, depth+1)
		if stop == i {
			return len(raw) // no JSON
		}
		if i = space(raw, stop); i < len(raw) && raw[i] == ',' {
			i = space(raw, i+1)
		}
	}
	return min(i+1, len(raw))
}

func (w *Watch) object(raw []byte, i int, f *shapeField, depth int) int {
	var seen fieldSet
	for i = space(raw, i+1); i < len(raw) && raw[i] == '"'; {
		stop := endText(raw, i)
		name := raw[i+1 : max(stop-1, i+1)]
		if i = space(raw, stop); i >= len(raw) || raw[i] != ':' {
			return len(raw)
		}
		i = space(raw, i+1)
		c := f.fields[string(name)]
		if c == nil {
			c = w.unknown(raw, i, f, string(name))
		}
		if c == nil {
			stop = end(raw, i)
		} else {
			if c.number < maxAlways {
				seen.add(c.number)
			}
			if len(w.missing) > 0 {
				delete(w.missing, c)
			}
			stop = w.value(raw, i, c, depth+1)
		}
		if stop == i {
			return len(raw)
		}
		if i = space(raw, stop); i < len(raw) && raw[i] == ',' {
			i = space(raw, i+1)
		}
	}
	for n, always := range f.always {
		if always&^seen[n] != 0 {
			w.lacks(f, seen)
			break
		}
	}
	return min(i+1, len(raw))
}

// unknown is the field under a name that an object's shape lacks; nil when it
// is gained.
func (w *Watch) unknown(raw []byte, i int, f *shapeField, name string) *shapeField {
	if strings.IndexByte(name, '\\') >= 0 {
		name, _ = Text([]byte(`"` + name + `"`))
	}
	if name = fieldName(name); f.fields[name] != nil {
		return f.fields[name]
	}
	w.report(Change{What: Gained, Field: strings.TrimPrefix(f.path+"."+name, "."), Now: kindAt(raw, i).String()})
	return nil
}

// lacks notes which fields an object lacks that are always there.
func (w *Watch) lacks(f *shapeField, seen fieldSet) {
	for _, c := range f.listed {
		if c.optional || c.number >= maxAlways || seen[c.number>>6]&(1<<(c.number&63)) != 0 {
			continue
		}
		if w.missing[c]++; w.missing[c] >= lostAfter {
			w.report(Change{What: Lost, Field: c.path, Known: c.kinds.String()})
		}
	}
}

// A Learner learns the shapes of a platform's streams from examples.
type Learner struct{ streams map[string]*learned }

// learned is what examples showed of a field.
type learned struct {
	kinds    valueKinds
	times    int // it was there
	objects  int // it was an object
	fields   map[string]*learned
	elements *learned
	// optional: so it was known before.
	optional bool
}

// NewLearner begins with the shapes that are known: what stands there stays,
// and what is optional there is so, whatever the examples show. A field that no
// example shows is optional.
func NewLearner(known Shapes) *Learner {
	l := &Learner{streams: make(map[string]*learned)}
	for stream, shape := range known {
		l.streams[stream] = tell(shape.root)
	}
	return l
}

func tell(f *shapeField) *learned {
	out := &learned{kinds: f.kinds, optional: f.optional}
	for name, c := range f.fields {
		out.child(name, tell(c))
	}
	if f.elements != nil {
		out.elements = tell(f.elements)
	}
	return out
}

func (f *learned) child(name string, c *learned) {
	if f.fields == nil {
		f.fields = make(map[string]*learned)
	}
	f.fields[name] = c
}

// Learn takes an example, which is valid JSON.
func (l *Learner) Learn(stream string, raw json.RawMessage) {
	if l.streams[stream] == nil {
		l.streams[stream] = new(learned)
	}
	l.streams[stream].learn(raw)
}

func (f *learned) learn(raw json.RawMessage) {
	f.times++
	kind := kindAt(raw, space(raw, 0))
	f.kinds |= kind
	switch kind {
	case kindObject:
		f.objects++
		Members(raw, func(name string, value json.RawMessage) {
			name = fieldName(name)
			if f.fields[name] == nil {
				f.child(name, new(learned))
			}
			f.fields[name].learn(value)
		})
	case kindList:
		for _, element := range Elements(raw) {
			if f.elements == nil {
				f.elements = new(learned)
			}
			f.elements.learn(element)
		}
	case kindText, kindNumber, kindTruth: // nothing is in them
	}
}

// write notes the field's and all that is in it under their paths.
func (f *learned) write(path string, into map[string]string) {
	for name, c := range f.fields {
		at := strings.TrimPrefix(path+"."+name, ".")
		into[at] = c.kinds.String()
		if name == anyName || c.optional || c.times < f.objects || c.times == 0 {
			into[at] += "?"
		}
		c.write(at, into)
	}
	if f.elements != nil {
		into[path+"[]"] = f.elements.kinds.String()
		f.elements.write(path+"[]", into)
	}
}

// JSON writes what was learned as ParseShapes reads it.
func (l *Learner) JSON() ([]byte, error) {
	streams := make(map[string]map[string]string)
	for stream, f := range l.streams {
		streams[stream] = make(map[string]string)
		f.write("", streams[stream])
	}
	text, err := json.MarshalIndent(streams, "", " ")
	return append(text, '\n'), err
}
