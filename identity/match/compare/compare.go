// Package compare says how alike two values of a column are, as one of a few
// levels: the strongest that holds. Each kind of column has its own levels;
// what a level is worth is learned from the data, elsewhere.
//
// A Column prepares each different value once. After that comparing two values
// allocates nothing, and is the same in both directions.
package compare

import (
	"fmt"
	"math"
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
	Name:        {"equal", "swapped", "one slip", "similar", "initial or beginning", "vaguely similar", "else", "masked, fits", "masked, else"},
	ChineseName: {"equal", "one character differs or is missing", "same surname", "else", "masked, fits", "masked, else"},
	Text:        {"equal", "nearly equal", "most words", "one within the other", "half of the words", "some words", "else", "masked, fits", "masked, half of the words", "masked, else"},
	Address:     {"equal", "same number and street", "same number, similar street", "same street, a number is missing", "same street, a slip in the number", "same street, another number", "something in common", "else"},
	Date:        {"equal", "day and month swapped", "one digit", "two of day, month and year", "same year, or month and day alike", "else"},
	Number:      {"equal", "within 1 or one percent", "within ten percent", "else"},
	Code:        {"equal", "one slip", "two slips", "else"},
	Phone:       {"equal", "same last seven digits", "one slip", "two slips", "else", "masked, fits", "masked, else"},
	Email:       {"equal", "same user", "one or two slips", "similar user", "same domain", "else"},
	Category:    {"equal", "else"},
}

// FirstMasked is the first level of pairs of which one value is masked at
// least, 0 where a kind has none. Whether a platform masks says nothing about
// who is who, so these levels are weighed among themselves.
func FirstMasked(kind Kind) Level {
	switch kind {
	case Name, Text:
		return 8
	case ChineseName:
		return 5
	case Phone:
		return 6
	default:
		return 0
	}
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
		return 3
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
	kind  Kind
	last  Level
	heads []head
	texts []string
	// counts are the rows that have each value.
	counts []int
	// Of Text and Address: the words of value v are wordsOf[at[v]:at[v+1]],
	// sorted, each once; worth is of all words of a value together.
	words   []word
	wordsOf []uint32
	at      []uint32
	worth   []float32
	// Of Address: the house number. Of Date: year, month and day. Of Number:
	// the quantity. Of Email: the length of the user's part.
	numbers []string
	dates   [][3]int16
	amounts []float64
	users   []int32
	// Of kinds that platforms mask: whether a star stands in the value. Two
	// equal ones may hide different values.
	masked []bool
}

// head is what can be told of two texts without looking at them: most pairs of
// strangers end here.
type head struct {
	sig   uint32 // letters as a set
	size  uint8  // runes, at most 255
	begin [3]byte
}

func headOf(kind Kind, text string) head {
	sig := signature
	if kind == Code || kind == Phone || kind == Date {
		sig = numerals
	}
	h := head{sig: sig(text), size: uint8(min(255, utf8.RuneCountInString(text)))}
	copy(h.begin[:], text)
	return h
}

// apart bounds the distance of two texts from below.
func apart(x, y head) int {
	return max((bits.OnesCount32(x.sig^y.sig)+1)/2, int(x.size)-int(y.size), int(y.size)-int(x.size))
}

// like bounds the Jaro–Winkler similarity of two texts from above.
func like(x, y head) float64 {
	if x.size == 0 || y.size == 0 {
		return 0
	}
	m := min(int(x.size)-bits.OnesCount32(x.sig&^y.sig), int(y.size)-bits.OnesCount32(y.sig&^x.sig))
	if m <= 0 {
		return 0
	}
	jaro := (float64(m)/float64(x.size) + float64(m)/float64(y.size) + 1) / 3
	prefix := 0.0
	if x.begin[0] == y.begin[0] {
		prefix = 0.1
		if x.begin[1] == y.begin[1] {
			prefix = 0.2
			if x.begin[2] == y.begin[2] {
				prefix = 0.4
			}
		}
	}
	return jaro + prefix*(1-jaro)
}

// word is one word of a text column.
type word struct {
	text  string
	head  head
	worth float32 // the rarer, the more: ln(rows / rows with it)
}

// NewColumn prepares a column from its different raw values and how many rows
// have each. ids says which value of the column each raw one is: equal ones,
// but for the writing, are one; 0 is none.
func NewColumn(kind Kind, raw []string, counts []int) (c *Column, ids []uint32, err error) {
	if levels[kind] == nil {
		return nil, nil, fmt.Errorf("compare: there is no kind %q; there are %q", kind, Kinds())
	}
	c = &Column{kind: kind, last: Level(len(levels[kind]))}
	ids = make([]uint32, len(raw))
	known := make(map[string]uint32, len(raw))
	c.add(value{})
	for i, text := range raw {
		v := prepare(kind, text)
		if v.text == "" {
			continue
		}
		id, ok := known[v.text]
		if !ok {
			id = uint32(len(c.texts))
			known[v.text] = id
			c.add(v)
		}
		c.counts[id] += counts[i]
		ids[i] = id
	}
	if kind == Text || kind == Address {
		c.cut()
	}
	return c, ids, nil
}

// value is one value in its comparable form; what else depends on its kind.
type value struct {
	text   string
	number string
	date   [3]int16
	amount float64
	user   int
	masked bool // though text has no star any more
}

func (c *Column) add(v value) {
	c.texts = append(c.texts, v.text)
	c.heads = append(c.heads, headOf(c.kind, v.text))
	c.counts = append(c.counts, 0)
	switch c.kind {
	case Address:
		c.numbers = append(c.numbers, v.number)
	case Date:
		c.dates = append(c.dates, v.date)
	case Number:
		c.amounts = append(c.amounts, v.amount)
	case Email:
		c.users = append(c.users, int32(v.user))
	case Name, ChineseName, Phone, Text:
		c.masked = append(c.masked, v.masked || strings.IndexByte(v.text, '*') >= 0)
	case Code, Category:
	}
}

// Kind is what the column's values are.
func (c *Column) Kind() Kind { return c.kind }

// Len is the number of different values, with the missing one: ids are below.
func (c *Column) Len() int { return len(c.texts) }

// Text is a value in its comparable form.
func (c *Column) Text(id uint32) string { return c.texts[id] }

// Count is the number of rows with a value.
func (c *Column) Count(id uint32) int { return c.counts[id] }

// Compare says how alike two values are.
func (c *Column) Compare(a, b uint32) Level {
	switch {
	case a == 0 || b == 0:
		return 0
	case c.masked != nil && (c.masked[a] || c.masked[b]):
		return c.compareMasked(a, b)
	case a == b:
		return 1
	}
	switch c.kind {
	case Name:
		return c.compareNames(a, b)
	case ChineseName:
		return chineseNames(c.texts[a], c.texts[b])
	case Text:
		return c.compareTexts(a, b)
	case Address:
		return c.compareAddresses(a, b)
	case Date:
		return c.compareDates(a, b)
	case Number:
		return numbers(c.amounts[a], c.amounts[b])
	case Code:
		return c.compareCodes(a, b)
	case Phone:
		return c.comparePhones(a, b)
	case Email:
		return c.compareEmails(a, b)
	case Category:
	}
	return c.last
}

// compareMasked compares two values of which one is masked at least.
func (c *Column) compareMasked(a, b uint32) Level {
	fits := FirstMasked(c.kind)
	s, t := c.texts[a], c.texts[b]
	switch {
	case a == b:
		return fits
	case c.kind == Text:
		both, smaller := c.shares(a, b)
		switch {
		case smaller >= 0.9:
			return fits
		case both >= 0.4 || smaller >= 0.6:
			return fits + 1
		}
	case c.kind == Phone && sameButMask(s, t), c.kind != Phone && fitMask(s, t):
		return fits
	}
	return c.last
}

// Alike says whether two names are equal or but for a slip.
func (c *Column) Alike(a, b uint32) bool {
	return a != 0 && b != 0 && (a == b || apart(c.heads[a], c.heads[b]) <= 1 && c.Compare(a, b) <= 3)
}

func (c *Column) compareNames(a, b uint32) Level {
	const slip, similar, beginning, vaguely, other = 3, 4, 5, 6, 7
	const vague, alike = 0.8, 0.92
	x, y := c.heads[a], c.heads[b]
	if x.begin[0] == y.begin[0] && (x.sig&^y.sig == 0 || y.sig&^x.sig == 0) {
		// An initial, a pet name, the first of two words.
		short, long := c.texts[a], c.texts[b]
		if len(short) > len(long) {
			short, long = long, short
		}
		if strings.HasPrefix(long, short) {
			if len(long)-len(short) == 1 && len(short) >= 3 {
				return slip
			}
			return beginning
		}
	}
	bound := like(x, y)
	if bound < vague {
		return other
	}
	s, t := c.texts[a], c.texts[b]
	d := 3
	if apart(x, y) <= 2 {
		d = Distance(s, t, 2)
	}
	short := min(x.size, y.size)
	if d == 1 && short >= 3 {
		return slip
	}
	if d == 2 && short >= 5 {
		return similar
	}
	switch similarity := JaroWinkler(s, t); {
	case similarity >= alike:
		return similar
	case similarity >= vague:
		return vaguely
	}
	return other
}

func (c *Column) compareCodes(a, b uint32) Level {
	x, y := c.heads[a], c.heads[b]
	if apart(x, y) > 2 {
		return 4
	}
	short := min(x.size, y.size)
	switch d := Distance(c.texts[a], c.texts[b], 2); {
	case d == 1 && short >= 2:
		return 2
	case d == 2 && short >= 5:
		return 3
	}
	return 4
}

func numbers(x, y float64) Level {
	diff, size := math.Abs(x-y), max(math.Abs(x), math.Abs(y))
	switch {
	case diff <= 1 && size >= 3 || diff <= size*0.01:
		return 2
	case diff <= size*0.1:
		return 3
	}
	return 4
}

func (c *Column) comparePhones(a, b uint32) Level {
	s, t := c.texts[a], c.texts[b]
	if len(s) >= 7 && len(t) >= 7 && s[len(s)-7:] == t[len(t)-7:] {
		return 2
	}
	if apart(c.heads[a], c.heads[b]) > 2 {
		return 5
	}
	if d := Distance(s, t, 2); d <= 2 {
		return Level(2 + d)
	}
	return 5
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

func (c *Column) compareEmails(a, b uint32) Level {
	s, t := c.texts[a], c.texts[b]
	userS, userT := s[:c.users[a]], t[:c.users[b]]
	if len(userS) >= 3 && userS == userT {
		return 2
	}
	x, y := c.heads[a], c.heads[b]
	if apart(x, y) <= 2 && Distance(s, t, 2) <= 2 {
		return 3
	}
	if len(userS) >= 3 && len(userT) >= 3 && x.begin == y.begin && JaroWinkler(userS, userT) >= 0.88 {
		return 4
	}
	if domain := s[len(userS):]; domain != "" && domain == t[len(userT):] {
		return 5
	}
	return 6
}

func (c *Column) compareDates(a, b uint32) Level {
	x, y := c.dates[a], c.dates[b]
	same := 0
	for i := range x {
		if x[i] == y[i] {
			same++
		}
	}
	if x[0] == y[0] && x[1] == y[2] && x[2] == y[1] {
		return 2
	}
	least := apart(c.heads[a], c.heads[b])
	if same >= 1 && least <= 1 && Distance(c.texts[a], c.texts[b], 1) == 1 {
		return 3
	}
	switch {
	case same == 2:
		return 4
	case x[0] == y[0], same == 1 && least <= 2 && Distance(c.texts[a], c.texts[b], 2) == 2:
		return 5
	}
	return 6
}
