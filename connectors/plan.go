package connectors

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"sync"
	"unicode/utf8"

	v2 "github.com/go-json-experiment/json"
)

// A reader reads the value that begins at i of a JSON text that was found Valid,
// and says where it ends. It gives up (false) on all that is not as the type
// would have it: Decode then asks the decoder that can say what is wrong.
//
// Orders of platforms are wide and nested, and nearly each value has a method
// of its own: to find one's way from field to method is half of what decoding
// them costs, and is the same for each order. A reader finds it once a type.
type reader func(raw []byte, i int, at reflect.Value) (end int, ok bool)

// readers are those of types, by reflect.Type; nil where there is none.
var readers sync.Map

// readerOf is the reader of a type; nil of one that holds what readers do not
// know, such as a map or a float.
func readerOf(t reflect.Type) reader {
	if r, ok := readers.Load(t); ok {
		return r.(reader)
	}
	p := planner{made: make(map[reflect.Type]*reader)}
	r := *p.plan(t)
	if p.unknown {
		r = nil
	}
	readers.Store(t, r)
	return r
}

// planner makes the readers of a type and of those in it.
type planner struct {
	made    map[reflect.Type]*reader // a type may hold itself
	unknown bool
}

var (
	unmarshaler     = reflect.TypeFor[json.Unmarshaler]()
	unmarshalerFrom = reflect.TypeFor[v2.UnmarshalerFrom]()
)

func (p *planner) plan(t reflect.Type) *reader {
	if r, ok := p.made[t]; ok {
		return r
	}
	r := new(reader)
	p.made[t] = r
	_, loose := reflect.Zero(reflect.PointerTo(t)).Interface().(interface{ lenient() })
	switch kind := t.Kind(); {
	case loose && kind == reflect.Struct:
		*r = lenientObject(p.plan(t.Field(0).Type))
	case loose && kind == reflect.Slice:
		*r = lenientList(p.elements(t))
	case reflect.PointerTo(t).Implements(unmarshalerFrom):
		p.unknown = true
	case reflect.PointerTo(t).Implements(unmarshaler):
		*r = byMethod
	case kind == reflect.Struct:
		*r = p.fields(t)
	case kind == reflect.Slice:
		*r = orNull('[', p.elements(t))
	case kind == reflect.Pointer:
		inner := p.plan(t.Elem())
		*r = orNull(0, func(raw []byte, i int, at reflect.Value) (int, bool) {
			if at.IsNil() {
				at.Set(reflect.New(t.Elem()))
			}
			return (*inner)(raw, i, at.Elem())
		})
	case kind == reflect.String:
		*r = orNull('"', plainText)
	default:
		p.unknown = true
	}
	return r
}

// byMethod reads with the type's own method.
func byMethod(raw []byte, i int, at reflect.Value) (int, bool) {
	stop := end(raw, i)
	u, ok := at.Addr().Interface().(json.Unmarshaler)
	return stop, ok && u.UnmarshalJSON(raw[i:stop:stop]) == nil
}

// orNull reads null as the zero value, and the rest with inner if it begins with
// first; 0 is any.
func orNull(first byte, inner reader) reader {
	return func(raw []byte, i int, at reflect.Value) (int, bool) {
		switch {
		case raw[i] == 'n':
			at.SetZero()
			return end(raw, i), true
		case first != 0 && raw[i] != first:
			return i, false
		}
		return inner(raw, i, at)
	}
}

// plainText reads a text without escapes.
func plainText(raw []byte, i int, at reflect.Value) (int, bool) {
	stop := end(raw, i)
	text := raw[i+1 : stop-1]
	if bytes.IndexByte(text, '\\') >= 0 || !utf8.Valid(text) {
		return stop, false
	}
	at.SetString(string(text))
	return stop, true
}

// fields reads an object into a struct.
func (p *planner) fields(t reflect.Type) reader {
	type field struct {
		index int
		read  *reader
	}
	named := make(map[string]field)
	for i := range t.NumField() {
		f := t.Field(i)
		name, tagged := f.Tag.Lookup("json")
		name, options, _ := strings.Cut(name, ",")
		if !tagged || name == "" || name == "-" || f.Anonymous || !f.IsExported() || (options != "" && options != "omitempty") {
			p.unknown = true
			continue
		}
		named[name] = field{i, p.plan(f.Type)}
	}
	return orNull('{', func(raw []byte, i int, at reflect.Value) (int, bool) {
		for i = space(raw, i+1); raw[i] == '"'; {
			stop := endText(raw, i)
			name := raw[i+1 : stop-1]
			if bytes.IndexByte(name, '\\') >= 0 {
				return i, false
			}
			i = space(raw, space(raw, stop)+1)
			if f, ok := named[string(name)]; !ok {
				i = end(raw, i)
			} else if i, ok = (*f.read)(raw, i, at.Field(f.index)); !ok {
				return i, false
			}
			if i = space(raw, i); raw[i] == ',' {
				i = space(raw, i+1)
			}
		}
		return i + 1, true
	})
}

// elements reads a list into a slice.
func (p *planner) elements(t reflect.Type) reader {
	element := p.plan(t.Elem())
	return func(raw []byte, i int, at reflect.Value) (int, bool) {
		if at.IsNil() {
			at.Set(reflect.MakeSlice(t, 0, 0))
		}
		at.SetLen(0)
		for i = space(raw, i+1); raw[i] != ']'; {
			n := at.Len()
			at.Grow(1)
			at.SetLen(n + 1)
			at.Index(n).SetZero()
			var ok bool
			if i, ok = (*element)(raw, i, at.Index(n)); !ok {
				return i, false
			}
			if i = space(raw, i); raw[i] == ',' {
				i = space(raw, i+1)
			}
		}
		return i + 1, true
	}
}

// lenientObject reads what LenientObject takes.
func lenientObject(inner *reader) reader {
	return func(raw []byte, i int, at reflect.Value) (int, bool) {
		if raw[i] == '{' {
			return (*inner)(raw, i, at.Field(0))
		}
		stop := end(raw, i)
		if raw[i] != '"' {
			return stop, true
		}
		text, ok := Text(raw[i:stop])
		if text = strings.TrimSpace(text); ok && strings.HasPrefix(text, "{") {
			ok = Decode([]byte(text), at.Field(0).Addr().Interface()) == nil
		}
		return stop, ok
	}
}

// lenientList reads what LenientList takes.
func lenientList(elements reader) reader {
	return func(raw []byte, i int, at reflect.Value) (int, bool) {
		at.SetZero()
		if raw[i] != '[' {
			return end(raw, i), true
		}
		return elements(raw, i, at)
	}
}
