package connectors

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math/bits"
	"slices"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
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
	walk(object, space(object, 0), func(quoted []byte, i int) int {
		stop := end(object, i)
		if !f(quoted, object[i:stop:stop]) {
			return -1
		}
		return stop
	})
}

// walk calls f with the name of each member of the object that begins at i, in
// quotes, and where its value begins; f says where that ends, or -1 when it is
// enough. It gives where the object ends, or -1 if it was enough before or this is
// no object.
func walk(object []byte, i int, f func(quoted []byte, i int) int) int {
	if i >= len(object) || object[i] != '{' {
		return -1
	}
	for i = space(object, i+1); i < len(object) && object[i] == '"'; {
		stop := end(object, i)
		quoted := object[i:stop]
		if i = space(object, stop); i >= len(object) || object[i] != ':' {
			return -1
		}
		stop = f(quoted, space(object, i+1))
		if stop < 0 {
			return -1
		}
		if i = space(object, stop); i < len(object) && object[i] == ',' {
			i = space(object, i+1)
		}
	}
	return min(i+1, len(object))
}

// Elements are the elements of a JSON list; nil if it is none, and not nil if
// it is empty.
func Elements(list []byte) []json.RawMessage {
	out, _ := elements(list, space(list, 0))
	return out
}

// elements are the elements of the list that begins at i, and where it ends.
func elements(list []byte, i int) (out []json.RawMessage, stop int) {
	if i >= len(list) || list[i] != '[' {
		return nil, i
	}
	out = []json.RawMessage{}
	for i = space(list, i+1); i < len(list) && list[i] != ']'; {
		stop := end(list, i)
		if stop == i {
			return out, i
		}
		out = append(out, list[i:stop:stop])
		if i = space(list, stop); i < len(list) && list[i] == ',' {
			i = space(list, i+1)
		}
	}
	return out, min(i+1, len(list))
}

// Listed gives the elements of the first member of an object that has one of
// these names and is a list with some, and calls f with each other member; of
// empty lists alone it gives an empty one, of none nil. A page is mostly its list:
// to cut that out as a member and then into elements would go over it twice.
func Listed(object []byte, f func(name string, value json.RawMessage), names ...string) (rows []json.RawMessage) {
	walk(object, space(object, 0), func(quoted []byte, i int) int {
		name, ok := Text(quoted)
		if !ok {
			return -1
		}
		if slices.Contains(names, name) && len(rows) == 0 {
			if list, stop := elements(object, i); list != nil {
				rows = list
				return stop
			}
		}
		stop := end(object, i)
		f(name, object[i:stop:stop])
		return stop
	})
	return rows
}

// MendAfter is how often an answer that is no JSON is asked for before it is mended:
// what was broken on its way comes whole the next time.
const MendAfter = 3

// Broken counts the answers to one call that were no JSON. Throttles and failures
// are none of them: after these, too, what is broken is asked for once more.
type Broken int

// Enough counts one more, and says that it is to be mended.
func (b *Broken) Enough() bool {
	*b++
	return *b >= MendAfter
}

// maxMended is how many objects deep a list is mended.
const maxMended = 8

// Mend puts each element of a list that is no JSON in quotes, so that what holds
// it can be read: of an object, the lists among its members and those of objects
// in it. PageOf takes such an element out again. false where that does not make the
// whole Valid, as of a text that was cut off: what follows the fault cannot be told
// from it then.
func Mend(raw []byte) (mended json.RawMessage, ok bool) {
	copied, quotable := 0, true
	var value func(i, depth int) int
	list := func(i int) int {
		for i = space(raw, i+1); i < len(raw) && raw[i] != ']'; {
			stop := end(raw, i)
			if stop == i {
				return -1
			}
			if !Valid(raw[i:stop]) {
				if row := endRow(raw, i); row >= 0 && row < stop {
					stop = row
				}
				quoted, err := jsontext.AppendQuote(append(mended, raw[copied:i]...), raw[i:stop])
				quotable = quotable && err == nil
				mended, copied = quoted, stop
			}
			if i = space(raw, stop); i < len(raw) && raw[i] == ',' {
				i = space(raw, i+1)
			}
		}
		return min(i+1, len(raw))
	}
	value = func(i, depth int) int {
		switch {
		case i < len(raw) && raw[i] == '[':
			return list(i)
		case i < len(raw) && raw[i] == '{' && depth < maxMended:
			return walk(raw, i, func(_ []byte, i int) int { return value(i, depth+1) })
		}
		return end(raw, i)
	}
	value(space(raw, 0), 0)
	mended = append(mended, raw[copied:]...)
	return mended, quotable && Valid(mended)
}

// endRow is where the object that begins at i ends, if quotes tell nothing, as where
// one that is missing makes texts of all that follows up to the next such row: where
// its brackets are closed, and another row of the same first name or the list's end
// follows. -1 where it is not seen.
func endRow(raw []byte, i int) int {
	first := firstName(raw, i)
	if first == nil {
		return -1
	}
	for depth := 0; i < len(raw); i++ {
		switch raw[i] {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		if depth > 0 {
			continue
		}
		next := space(raw, i+1)
		if next < len(raw) && (raw[next] == ']' || raw[next] == ',' && bytes.Equal(firstName(raw, space(raw, next+1)), first)) {
			return i + 1
		}
		return -1
	}
	return -1
}

// firstName is the name of the first member of the object that begins at i, in
// quotes; nil if none begins there.
func firstName(raw []byte, i int) []byte {
	if i >= len(raw) || raw[i] != '{' {
		return nil
	}
	if i = space(raw, i+1); i >= len(raw) || raw[i] != '"' {
		return nil
	}
	return raw[i:endText(raw, i)]
}

// MendMember puts the value of one member of an object in quotes: of an answer
// about one entity what is broken is that. false where that does not make the whole
// Valid.
func MendMember(object []byte, name string) (mended json.RawMessage, ok bool) {
	walk(object, space(object, 0), func(quoted []byte, i int) int {
		stop := end(object, i)
		if is, _ := Text(quoted); is != name || ok {
			return stop
		}
		var err error
		mended, err = jsontext.AppendQuote(slices.Clone(object[:i]), object[i:stop])
		mended, ok = append(mended, object[stop:]...), err == nil
		return stop
	})
	return mended, ok && Valid(mended)
}

// Unbroken parts a list's rows that are JSON objects from what is none, among it
// what Mend put in quotes.
func Unbroken(rows []json.RawMessage, origin string) (whole []json.RawMessage, bad []BadRecord) {
	for _, row := range rows {
		if row = bytes.TrimSpace(row); len(row) > 0 && row[0] == '{' {
			whole = append(whole, row)
			continue
		}
		one := BadRecord{Raw: row, Origin: origin, Err: ErrRow}
		if broken, ok := Text(row); ok {
			one.Raw, one.Err = []byte(broken), ErrBroken
		}
		bad = append(bad, one)
	}
	return whole, bad
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

// Pick is an object of those members of another that it has, by these names and in
// their order.
func Pick(object []byte, names ...string) json.RawMessage {
	var picked []Member
	for i, value := range Find(object, names...) {
		if value != nil {
			picked = append(picked, Member{names[i], value})
		}
	}
	return Object(picked...)
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
	if i >= len(raw) {
		return len(raw)
	}
	switch raw[i] {
	case '"':
		return endText(raw, i)
	case '{', '[':
		return endNested(raw, i)
	}
	for ; i < len(raw); i++ {
		switch raw[i] {
		case ',', ':', '}', ']', ' ', '\t', '\r', '\n':
			return i
		}
	}
	return i
}

// endNested is where the object or list that begins at i ends.
func endNested(raw []byte, i int) int {
	for depth := 0; i < len(raw); i++ {
		switch raw[i] {
		case '"':
			i = endText(raw, i) - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(raw)
}

// In each byte of a word: 1, the highest bit, a quote, a backslash.
const (
	ones    = 0x0101010101010101
	highest = ones << 7
	quotes  = ones * '"'
	escapes = ones * '\\'
)

// endText is where the text whose first quote is at i ends. Half of a payload is
// texts, most of them short: eight bytes are looked at together, and none before
// the lowest byte that is a quote or a backslash is told for one.
func endText(raw []byte, i int) int {
	for i++; ; {
		for i+8 <= len(raw) {
			word := binary.LittleEndian.Uint64(raw[i:])
			quote, escape := word^quotes, word^escapes
			found := ((quote-ones)&^quote | (escape-ones)&^escape) & highest
			if found != 0 {
				i += bits.TrailingZeros64(found) / 8
				break
			}
			i += 8
		}
		for i < len(raw) && raw[i] != '"' && raw[i] != '\\' {
			i++
		}
		switch {
		case i >= len(raw):
			return len(raw)
		case raw[i] == '"':
			return i + 1
		}
		i += 2
	}
}
