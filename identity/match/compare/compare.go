// Package compare says how alike two values of a column are, as one of a few
// levels: the strongest that holds. Each kind of column has its own levels;
// what a level is worth is learned from the data, elsewhere.
//
// A Column prepares each different value once. After that comparing two values
// allocates nothing, and is the same in both directions.
package compare

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"unicode/utf8"
)

// Kind says what the values of a column are.
type Kind string

// The kinds.
const (
	// Name is a name of a person or a place in Latin letters: few words.
	Name Kind = "name"
	// ChineseName is a person's name in Chinese characters, masked or not.
	ChineseName Kind = "chinese name"
	// Text is a name of a company, a title, a description: words whose worth
	// is how rare they are.
	Text Kind = "text"
	// Address is a street with its number, as words.
	Address Kind = "address"
	// Date is a day, in any of the usual ways of writing it.
	Date Kind = "date"
	// Number is a quantity: what is near is alike.
	Number Kind = "number"
	// Code is an id, a postcode, a house number: what differs by a slip of
	// typing is alike.
	Code Kind = "code"
	// Phone is a phone number, masked or not.
	Phone Kind = "phone"
	// Email is an e-mail address.
	Email Kind = "email"
	// Category is one of a few words: equal or not.
	Category Kind = "category"
)

// Level is how alike two values are: 1 is equal, more is less alike, the last
// of its kind is "else". 0 is nothing to compare: a value is missing.
type Level uint8

// levels of each kind in their order, without 0.
var levels = map[Kind][]string{
	Name:        {"equal", "swapped", "one slip", "similar", "initial or beginning", "vaguely similar", "else"},
	ChineseName: {"equal", "same but for the mask", "one character differs or is missing", "same surname", "else"},
	Text:        {"equal", "nearly equal", "most words", "one within the other", "half of the words", "some words", "else"},
	Address:     {"equal", "same number and street", "same number, similar street", "same street, a number is missing", "same street, a slip in the number", "same street, another number", "something in common", "else"},
	Date:        {"equal", "day and month swapped", "one digit", "two of day, month and year", "same year, or month and day alike", "else"},
	Number:      {"equal", "within 1 or one percent", "within ten percent", "else"},
	Code:        {"equal", "one slip", "two slips", "else"},
	Phone:       {"equal", "same last seven digits", "same but for the mask", "one slip", "two slips", "else"},
	Email:       {"equal", "same user", "one or two slips", "similar user", "same domain", "else"},
	Category:    {"equal", "else"},
}

// Kinds lists all kinds, sorted.
func Kinds() []Kind {
	list := make([]Kind, 0, len(levels))
	for kind := range levels {
		list = append(list, kind)
	}
	slices.Sort(list)
	return list
}

// Levels names the levels of a kind: Levels(k)[l-1] is level l. It is nil for
// a kind that does not exist.
func Levels(kind Kind) []string { return levels[kind] }

// OneSlip is the level of a kind that means one slip of typing where the next
// one means two, 0 where there is none.
func OneSlip(kind Kind) Level {
	switch kind {
	case Code:
		return 2
	case Phone:
		return 4
	default:
		return 0
	}
}

// Swapped is the level of two names whose columns were filled the wrong way
// round. Only who sees both columns can tell.
const Swapped Level = 2

// Column holds a column's different values, prepared. It does not change once
// it is made, and may be used concurrently.
type Column struct {
	kind   Kind
	last   Level
	values []value
	words  []word
}

// value is one value in its comparable form.
type value struct {
	text  string
	sig   uint32 // of text
	size  int    // of text in runes
	count int    // rows that have it
	// words by number, sorted, each once; Text and Address only.
	words []uint32
	worth float32 // of all words together
	// number is the house number of an address, the year, month and day of a
	// date, or the quantity.
	number string
	date   [3]int
	amount float64
	user   string // of an e-mail address
	domain string
}

// word is one word of a text column.
type word struct {
	text  string
	sig   uint32
	worth float32 // the rarer, the more: ln(rows / rows with it)
}

// NewColumn prepares a column of rows rows from its different raw values and
// how many rows have each. ids says which value of the column each raw one
// is: equal ones, but for the writing, are one; 0 is none.
func NewColumn(kind Kind, raw []string, counts []int) (c *Column, ids []uint32, err error) {
	if levels[kind] == nil {
		return nil, nil, fmt.Errorf("compare: there is no kind %q; there are %q", kind, Kinds())
	}
	c = &Column{kind: kind, last: Level(len(levels[kind])), values: make([]value, 1, len(raw)+1)}
	ids = make([]uint32, len(raw))
	known := make(map[string]uint32, len(raw))
	for i, text := range raw {
		v := prepare(kind, text)
		if v.text == "" {
			continue
		}
		id, ok := known[v.text]
		if !ok {
			id = uint32(len(c.values))
			known[v.text] = id
			v.sig, v.size = signature(v.text), utf8.RuneCountInString(v.text)
			c.values = append(c.values, v)
		}
		c.values[id].count += counts[i]
		ids[i] = id
	}
	if kind == Text || kind == Address {
		c.cut()
	}
	return c, ids, nil
}

// Kind is what the column's values are.
func (c *Column) Kind() Kind { return c.kind }

// Len is the number of different values, with the missing one: ids are below.
func (c *Column) Len() int { return len(c.values) }

// Text is a value in its comparable form.
func (c *Column) Text(id uint32) string { return c.values[id].text }

// Count is the number of rows with a value.
func (c *Column) Count(id uint32) int { return c.values[id].count }

// Compare says how alike two values are.
func (c *Column) Compare(a, b uint32) Level {
	switch {
	case a == 0 || b == 0:
		return 0
	case a == b:
		return 1
	}
	x, y := &c.values[a], &c.values[b]
	switch c.kind {
	case Name:
		return names(x, y)
	case ChineseName:
		return chineseNames(x, y)
	case Text:
		return c.texts(x, y)
	case Address:
		return c.addresses(x, y)
	case Date:
		return dates(x, y)
	case Number:
		return numbers(x, y)
	case Code:
		return codes(x, y)
	case Phone:
		return phones(x, y)
	case Email:
		return emails(x, y)
	case Category:
	}
	return c.last
}

// Alike says whether two names are equal or but for a slip.
func (c *Column) Alike(a, b uint32) bool {
	return a != 0 && b != 0 && (a == b || c.Compare(a, b) <= 3)
}

// apart bounds the distance of two values from below, by their letters alone.
func apart(x, y *value) int {
	return max((bits.OnesCount32(x.sig^y.sig)+1)/2, x.size-y.size, y.size-x.size)
}

func names(x, y *value) Level {
	const slip, similar, beginning, vaguely, other = 3, 4, 5, 6, 7
	if beginsWith(x.text, y.text) || beginsWith(y.text, x.text) {
		short := min(len(x.text), len(y.text))
		if long := max(len(x.text), len(y.text)); long-short == 1 && short >= 3 {
			return slip
		}
		return beginning
	}
	if bits.OnesCount32(x.sig&y.sig)*4 < min(bits.OnesCount32(x.sig), bits.OnesCount32(y.sig))*2 {
		return other // they share less than half of their letters
	}
	var bufA, bufB symbols
	a, b := bufA.set(x.text), bufB.set(y.text)
	short := min(len(a), len(b))
	d := 3
	if apart(x, y) <= 2 {
		d = distance(a, b, 2)
	}
	if d == 1 && short >= 3 {
		return slip
	}
	s := jaroWinkler(a, b)
	switch {
	case d == 2 && short >= 5 || s >= 0.92:
		return similar
	case s >= 0.8:
		return vaguely
	}
	return other
}

// beginsWith says that a short name is the beginning of another: an initial,
// a pet name, the first of two words.
func beginsWith(long, short string) bool {
	return len(long) > len(short) && strings.HasPrefix(long, short)
}

func codes(x, y *value) Level {
	if apart(x, y) > 2 {
		return 4
	}
	d := Distance(x.text, y.text, 2)
	short := min(len(x.text), len(y.text))
	switch {
	case d == 1 && short >= 2:
		return 2
	case d == 2 && short >= 5:
		return 3
	}
	return 4
}

func numbers(x, y *value) Level {
	diff, size := abs(x.amount-y.amount), max(abs(x.amount), abs(y.amount))
	switch {
	case diff <= 1 && size >= 3 || diff <= size*0.01:
		return 2
	case diff <= size*0.1:
		return 3
	}
	return 4
}

func abs(x float64) float64 { return max(x, -x) }

func phones(x, y *value) Level {
	if strings.IndexByte(x.text, '*') >= 0 || strings.IndexByte(y.text, '*') >= 0 {
		if sameButMask(x.text, y.text) {
			return 3
		}
		return 6
	}
	a, b := x.text, y.text
	if len(a) >= 7 && len(b) >= 7 && a[len(a)-7:] == b[len(b)-7:] {
		return 2
	}
	if apart(x, y) > 2 {
		return 6
	}
	if d := Distance(a, b, 2); d <= 2 {
		return Level(3 + d)
	}
	return 6
}

// sameButMask says that two texts of one length agree wherever neither has a
// star.
func sameButMask(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	seen := 0
	for i := range len(a) {
		if a[i] == '*' || b[i] == '*' {
			continue
		}
		if a[i] != b[i] {
			return false
		}
		seen++
	}
	return seen >= 4
}

func emails(x, y *value) Level {
	if x.user == y.user && len(x.user) >= 3 {
		return 2
	}
	if apart(x, y) <= 2 && Distance(x.text, y.text, 2) <= 2 {
		return 3
	}
	if len(x.user) >= 3 && len(y.user) >= 3 && JaroWinkler(x.user, y.user) >= 0.88 {
		return 4
	}
	if x.domain == y.domain && x.domain != "" {
		return 5
	}
	return 6
}

func dates(x, y *value) Level {
	a, b := x.date, y.date
	same := 0
	for i := range a {
		if a[i] == b[i] {
			same++
		}
	}
	if a[0] == b[0] && a[1] == b[2] && a[2] == b[1] {
		return 2
	}
	if Distance(x.text, y.text, 1) == 1 {
		return 3
	}
	switch {
	case same == 2:
		return 4
	case a[0] == b[0], same == 1 && Distance(x.text, y.text, 2) == 2:
		return 5
	}
	return 6
}
