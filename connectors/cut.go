package connectors

import (
	"bytes"
	"encoding/json"
	"slices"
	"unicode/utf8"
)

// The functions below cut JSON that was found Valid before without looking
// whether it is: a page that is opened envelope, list, row by row would
// otherwise be checked again at each step, which was a third of all that a pull
// cost. What they return shares the memory of what they were given. Of JSON
// that is not valid they give something, and never panic.

// Members calls f with each member of a JSON object, as far as it is one, in
// the order of the text.
func Members(object []byte, f func(name string, value json.RawMessage)) {
	members(object, func(quoted, value []byte) bool {
		name, ok := Text(quoted)
		if ok {
			f(name, value)
		}
		return ok
	})
}

// Find gives the values of the members of these names, nil for those that the
// object lacks. It goes no further than the last of them.
func Find(object []byte, names ...string) []json.RawMessage {
	found, left := make([]json.RawMessage, len(names)), len(names)
	members(object, func(quoted, value []byte) bool {
		name := quoted[1 : len(quoted)-1] // no text is made of the many that are not looked for
		if bytes.IndexByte(name, '\\') >= 0 {
			plain, _ := Text(quoted)
			name = []byte(plain)
		}
		if i := slices.IndexFunc(names, func(n string) bool { return n == string(name) }); i >= 0 && found[i] == nil {
			found[i] = value
			left--
		}
		return left > 0
	})
	return found
}

// members calls f with each member, its name in quotes, until it says that it is
// enough.
func members(object []byte, f func(quoted, value []byte) bool) {
	i := space(object, 0)
	if i >= len(object) || object[i] != '{' {
		return
	}
	for i = space(object, i+1); i < len(object) && object[i] == '"'; {
		stop := end(object, i)
		quoted := object[i:stop]
		if i = space(object, stop); i >= len(object) || object[i] != ':' {
			return
		}
		i = space(object, i+1)
		stop = end(object, i)
		if !f(quoted, object[i:stop:stop]) {
			return
		}
		if i = space(object, stop); i < len(object) && object[i] == ',' {
			i = space(object, i+1)
		}
	}
}

// Elements are the elements of a JSON list; nil if it is none, and not nil if
// it is empty.
func Elements(list []byte) []json.RawMessage {
	i := space(list, 0)
	if i >= len(list) || list[i] != '[' {
		return nil
	}
	out := []json.RawMessage{}
	for i = space(list, i+1); i < len(list) && list[i] != ']'; {
		stop := end(list, i)
		if stop == i {
			return out
		}
		out = append(out, list[i:stop:stop])
		if i = space(list, stop); i < len(list) && list[i] == ',' {
			i = space(list, i+1)
		}
	}
	return out
}

// A Member of a JSON object. Its name needs no escapes, its value is JSON.
type Member struct {
	Name  string
	Value json.RawMessage
}

// Object is a JSON object of its members. Their values are not looked at: what
// was valid stays so, byte for byte.
func Object(members ...Member) json.RawMessage {
	size := 1
	for _, m := range members {
		size += len(m.Name) + len(m.Value) + len(`"":,`)
	}
	out := append(make([]byte, 0, size+1), '{')
	for i, m := range members {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(append(append(out, '"'), m.Name...), `":`...)
		out = append(out, m.Value...)
	}
	return append(out, '}')
}

// Text reads a JSON text in its quotes; false if it is none.
func Text(raw []byte) (string, bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return "", false
	}
	if inner := raw[1 : len(raw)-1]; raw[len(raw)-1] == '"' && bytes.IndexByte(inner, '\\') < 0 && utf8.Valid(inner) {
		return string(inner), true
	}
	var s string
	err := json.Unmarshal(raw, &s)
	return s, err == nil
}

// space is the first position from i on that is not white space.
func space(raw []byte, i int) int {
	for i < len(raw) && (raw[i] == ' ' || raw[i] == '\t' || raw[i] == '\r' || raw[i] == '\n') {
		i++
	}
	return i
}

// end is where the value that begins at i ends.
func end(raw []byte, i int) int {
	for depth := 0; i < len(raw); {
		switch raw[i] {
		case '"':
			if i = endText(raw, i); depth == 0 {
				return i
			}
		case '{', '[':
			depth++
			i++
		case '}', ']':
			if depth <= 1 {
				return i + depth // the value's own end, or that of what it is in
			}
			depth--
			i++
		case ',', ':', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return i
			}
			i++
		default:
			i++
		}
	}
	return len(raw)
}

// endText is where the text whose first quote is at i ends.
func endText(raw []byte, i int) int {
	for i++; ; {
		n := bytes.IndexByte(raw[i:], '"')
		if n < 0 {
			return len(raw)
		}
		i += n + 1
		escapes := i - 2
		for raw[escapes] == '\\' { // stops at the first quote at the latest
			escapes--
		}
		if (i-escapes)%2 == 0 {
			return i
		}
	}
}
