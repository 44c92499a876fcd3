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
	"slices"
	"strings"
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
	// ChineseAddress is an address in China, in Chinese characters, masked or
	// not; see the parts that it is split into.
	ChineseAddress Kind = "chinese address"
	// Place is a point on earth: latitude and longitude in degrees.
	Place Kind = "place"
	// Category is one of a few words: equal or not.
	Category Kind = "category"
	// MaskedName, MaskedPhone and MaskedText are what a platform shows of a
	// receiver: of two that are masked in two ways what both show is counted.
	// See masked.go.
	MaskedName  Kind = "masked name"
	MaskedPhone Kind = "masked phone"
	MaskedText  Kind = "masked text"
)

// Level is how alike two values are: 1 is equal, more is less alike, the last
// of its kind is "else". 0 is nothing to compare: a value is missing, or masks
// show nothing of both in one place.
type Level uint8

// levels of each kind in their order, without 0.
var levels = map[Kind][]string{
	Name:        {"equal", "swapped", "one slip", "similar", "initial or beginning", "vaguely similar", "else", "masked, fits", "masked, else"},
	ChineseName: {"equal", "surname and given name swapped", "same pinyin", "one character differs or is missing", "same surname", "else", "masked, fits", "masked, else"},
	// An address is a house in a road or an estate; of two that say less than
	// the other the narrowest part that both say counts.
	ChineseAddress: {"equal", "same house", "same road or estate", "same road or estate, another number", "same town", "same district", "same city", "same province", "else", "masked, same road or estate", "masked, another road in the district", "masked, road shown, else", "masked, fits", "masked, same district", "masked, else"},
	Place:          {"equal", "within 100 metres", "within a kilometre", "within 10 kilometres", "within 100 kilometres", "else"},
	Text:           {"equal", "nearly equal", "most words", "one within the other", "half of the words", "some words", "else", "masked, fits", "masked, half of the words", "masked, else"},
	Address:        {"equal", "same number and street", "same number, similar street", "same street, a number is missing", "same street, a slip in the number", "same street, another number", "something in common", "else"},
	Date:           {"equal", "day and month swapped", "one digit", "two of day, month and year", "same year, or month and day alike", "else"},
	Number:         {"equal", "within 1 or one percent", "within ten percent", "else"},
	Code:           {"equal", "one slip", "two slips", "else"},
	Phone:          {"equal", "same last seven digits", "one slip", "two slips", "else", "masked, six digits or more fit", "masked, six shown, else", "masked, four or five digits fit", "masked, four or five shown, else", "masked, two or three digits fit", "masked, two or three shown, else"},
	Email:          {"equal", "same user", "one or two slips", "similar user", "same domain", "else"},
	Category:       {"equal", "else"},
	MaskedName:     {"equal", "fits", "else"},
	MaskedPhone:    {"equal", "fits in six digits", "fits in four or five digits", "fits in three digits", "fits in two digits", "shown in other places", "else"},
	MaskedText:     {"equal", "fits in eight characters", "fits in five to seven characters", "fits in three or four characters", "all but one fit", "fits in one or two characters", "shown in other places", "else"},
}

// Groups are the first levels of each group of levels that a kind has, from 1
// on. The first group is of pairs of which no value is masked, the others are by
// how much two masks show in the same place. Whether and how a platform masks
// says nothing about who is who, so the levels of a group are weighed among
// themselves: two phones that show four digits and agree in these are as alike
// as they can be.
func Groups(kind Kind) []Level {
	switch kind {
	case Name, Text:
		return []Level{1, 8}
	case ChineseName:
		return []Level{1, 7}
	case Phone:
		return []Level{1, 6, 8, 10}
	case ChineseAddress:
		return []Level{1, 10, 13}
	default:
		return []Level{1}
	}
}

// canMask says that a kind has levels of its own for masked values.
func canMask(kind Kind) bool { return len(Groups(kind)) > 1 }

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
	kind Kind
	last Level
	// heads of the values; nil for kinds that are not told by their letters.
	heads []head
	// all is the values behind each other, and spare bytes: value v is
	// all[start[v]:start[v+1]].
	all   string
	start []int
	// counts are the rows that have each value.
	counts []int

	// Of Text and Address: the words of value v are wordsOf[at[v]:at[v+1]],
	// sorted, each once; worth is of all words of a value together. The words'
	// texts are behind each other in letters.
	words   []word
	letters string
	wordsOf []uint32
	at      []uint32
	worth   []float32
	// Of Address: the house number, and its own number, equal ones alike, 0 for
	// none. Of Date: the eight digits of year, month and day. Of Number: the
	// quantity.
	numbers []string
	houses  []uint32
	dates   []uint64
	amounts []float64
	// Of Email: the length of the user's part, and above it the number of what
	// follows, equal ones alike, 0 for nothing.
	parts []uint64
	// Of ChineseName, with the syllables that their sounds are numbers of.
	names     []chineseName
	syllables []string
	// Of ChineseAddress: the numbers of its parts, equal ones alike, 0 for none,
	// and the parts' texts by their numbers.
	addresses [][addressParts]uint32
	partTexts []string
	// Of Place: where it is on the unit sphere.
	points [][3]float64
}

// word is one word of a text column.
type word struct {
	head   head
	at     uint32
	length uint32
	worth  float32 // the rarer, the more: ln(rows / rows with it)
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
	var texts Texts // most raw values are different in their comparable form, too
	texts.makeRoom(1 + len(raw))
	texts.list = make([]string, 0, 1+len(raw))
	texts.Add("")
	c.counts = append(make([]int, 0, 1+len(raw)), 0)
	have := numbered{parts: map[string]uint32{"": 0}, spelling: spelling{map[string]uint16{"": 0}, []string{""}}}
	c.add(value{}, &have)
	var few [some]value
	var fewTexts [some]string
	var numbers [some]uint32
	for from := 0; from < len(raw); from += some {
		n := min(some, len(raw)-from)
		for k := range n {
			few[k] = prepare(kind, raw[from+k])
			fewTexts[k] = few[k].text
		}
		texts.addSome(fewTexts[:n], &numbers)
		for k, id := range numbers[:n] {
			if int(id) == len(c.counts) { // it is new
				c.counts = append(c.counts, 0)
				c.add(few[k], &have)
			}
			if id != 0 {
				c.counts[id] += counts[from+k]
				ids[from+k] = id
			}
		}
	}
	c.all, c.start = together(texts.List())
	c.syllables = have.spelling.syllables
	if kind == ChineseAddress {
		c.partTexts = make([]string, len(have.parts))
		for text, number := range have.parts {
			c.partTexts[number] = text
		}
	}
	if kind == Text || kind == Address {
		c.cut()
	}
	return c, ids, nil
}

// together puts texts behind each other.
func together(texts []string) (all string, start []int) {
	start = make([]int, len(texts)+1)
	for i, text := range texts {
		start[i+1] = start[i] + len(text)
	}
	var b strings.Builder
	b.Grow(start[len(texts)] + spare)
	for _, text := range texts {
		b.WriteString(text)
	}
	for range spare {
		b.WriteByte(0)
	}
	return b.String(), start
}

// value is one value in its comparable form; what else depends on its kind.
type value struct {
	text   string
	number string
	amount float64
	user   int
	masked bool // though text has no star any more
	parts  [addressParts]string
	point  [3]float64
}

// numbered are the parts of a column's values that have numbers while it is
// made.
type numbered struct {
	parts    map[string]uint32
	spelling spelling
}

func (n *numbered) part(text string) uint32 {
	number, ok := n.parts[text]
	if !ok {
		number = uint32(len(n.parts))
		n.parts[text] = number
	}
	return number
}

// add appends a value.
func (c *Column) add(v value, have *numbered) {
	switch c.kind {
	case Date:
		c.dates = append(c.dates, packed(v.text))
		return
	case Number:
		c.amounts = append(c.amounts, v.amount)
		return
	case Category, MaskedName, MaskedPhone, MaskedText:
		return
	case Place:
		c.points = append(c.points, v.point)
		return
	case Address:
		c.numbers, c.houses = append(c.numbers, v.number), append(c.houses, have.part(v.number))
	case ChineseName:
		c.names = append(c.names, have.spelling.name(v.text))
	case ChineseAddress:
		var numbers [addressParts]uint32
		for i, part := range v.parts {
			numbers[i] = have.part(part)
		}
		c.addresses = append(c.addresses, numbers)
	case Email:
		c.parts = append(c.parts, uint64(have.part(v.text[v.user:]))<<32|uint64(v.user))
	case Name, Text, Code, Phone:
	}
	h := headOf(c.kind, v.text)
	if c.kind == Email {
		h.domain = uint8(min(rareDomain, c.parts[len(c.parts)-1]>>32))
	}
	if canMask(c.kind) && (v.masked || strings.IndexByte(v.text, '*') >= 0) {
		h.flags |= masked
	}
	c.heads = append(c.heads, h)
}

// packed is a text of up to eight bytes as a number, the first one lowest.
func packed(text string) (n uint64) {
	for i := range min(8, len(text)) {
		n |= uint64(text[i]) << (8 * i)
	}
	return n
}

// Kind is what the column's values are.
func (c *Column) Kind() Kind { return c.kind }

// Len is the number of different values, with the missing one: ids are below.
func (c *Column) Len() int { return len(c.start) - 1 }

// Text is a value in its comparable form.
func (c *Column) Text(id uint32) string { return c.all[c.start[id]:c.start[id+1]] }

// length of a value in bytes.
func (c *Column) length(id uint32) int { return c.start[id+1] - c.start[id] }

// distance is Distance of two values up to a limit of 1 or 2.
func (c *Column) distance(a, b uint32, limit int) int {
	if c.heads[a].flags&c.heads[b].flags&bytewise == 0 {
		return Distance(c.Text(a), c.Text(b), limit)
	}
	return within(c.all, c.start[a], c.length(a), c.start[b], c.length(b), limit)
}

// jaroWinkler is JaroWinkler of the first la and lb bytes of two values, or
// anything below least if it is less than that.
func (c *Column) jaroWinkler(a uint32, la int, b uint32, lb int, least float64) float64 {
	i, j := c.start[a], c.start[b]
	if la > mostInWords || lb > mostInWords || c.heads[a].flags&c.heads[b].flags&bytewise == 0 {
		return JaroWinkler(c.all[i:i+la], c.all[j:j+lb])
	}
	return jaroWinklerInWords(c.all, i, la, j, lb, least)
}

// Count is the number of rows with a value.
func (c *Column) Count(id uint32) int { return c.counts[id] }

// Compare says how alike two values are.
func (c *Column) Compare(a, b uint32) Level {
	switch {
	case a == 0 || b == 0:
		return 0
	case c.heads == nil:
		return c.compareBare(a, b)
	}
	return c.compareHeaded(a, b, &c.heads[a], &c.heads[b])
}

// Batch is how many pairs CompareAll takes at most.
const Batch = 64

// CompareAll is Compare of the values a[i] and b[i] for each i. It is faster,
// for it waits for the memory of many values at once.
func (c *Column) CompareAll(a, b []uint32, levels *[Batch]Level) {
	if c.kind == Date {
		var x, y [Batch]uint64
		for i := range a {
			x[i], y[i] = c.dates[a[i]], c.dates[b[i]]
		}
		for i := range a {
			switch {
			case a[i] == 0 || b[i] == 0:
				levels[i] = 0
			case a[i] == b[i]:
				levels[i] = 1
			default:
				levels[i] = dates(x[i], y[i])
			}
		}
		return
	}
	if c.heads == nil {
		for i := range a {
			levels[i] = c.Compare(a[i], b[i])
		}
		return
	}
	var x, y [Batch]head
	for i := range a {
		x[i], y[i] = c.heads[a[i]], c.heads[b[i]]
	}
	for i := range a {
		levels[i] = 0
		if a[i] != 0 && b[i] != 0 {
			levels[i] = c.compareHeaded(a[i], b[i], &x[i], &y[i])
		}
	}
}

// compareBare compares two values, neither missing, of a kind without heads.
func (c *Column) compareBare(a, b uint32) Level {
	if a == b && !CountsShown(c.kind) {
		return 1
	}
	switch c.kind {
	case Date:
		return dates(c.dates[a], c.dates[b])
	case Number:
		return numbers(c.amounts[a], c.amounts[b])
	case Place:
		return onEarth(&c.points[a], &c.points[b])
	case MaskedName, MaskedPhone, MaskedText:
		return masks(c.kind, c.Text(a), c.Text(b))
	default:
		return c.last
	}
}

// compareHeaded compares two values, neither missing, by their heads first.
func (c *Column) compareHeaded(a, b uint32, x, y *head) Level {
	switch {
	case (x.flags|y.flags)&masked != 0:
		return c.compareMasked(a, b)
	case a == b:
		return 1
	}
	switch c.kind {
	case Name:
		return c.compareNames(a, b, x, y)
	case ChineseName:
		return c.compareChineseNames(a, b)
	case ChineseAddress:
		return c.compareChineseAddresses(a, b)
	case Text:
		return c.compareTexts(a, b, x, y)
	case Address:
		return c.compareAddresses(a, b)
	case Code:
		return c.compareCodes(a, b, x, y)
	case Phone:
		return c.comparePhones(a, b, x, y)
	case Email:
		return c.compareEmails(a, b, x, y)
	default:
		return c.last
	}
}

// compareMasked compares two values of which one is masked at least. Where they
// show nothing in one place there is nothing to compare: that they contradict
// each other would be wrong to say.
func (c *Column) compareMasked(a, b uint32) Level {
	shown := contradict
	switch c.kind {
	case Phone:
		return maskedNumbers(c.Text(a), c.Text(b))
	case ChineseAddress:
		return c.maskedAddresses(a, b)
	default:
	}
	fits := Groups(c.kind)[1]
	if a == b {
		return fits
	}
	switch c.kind {
	case Text:
		both, smaller := c.shares(a, b)
		switch {
		case smaller >= 0.9:
			return fits
		case both >= 0.4 || smaller >= 0.6:
			return fits + 1
		}
	case ChineseName:
		x, y := &c.names[a], &c.names[b]
		if x.n == 0 || y.n == 0 {
			shown = fitMask(c.Text(a), c.Text(b))
		} else {
			shown = fitsMask(x.runes[:x.n], y.runes[:y.n], 1)
		}
	default:
		shown = fitMask(c.Text(a), c.Text(b))
	}
	switch shown {
	case fit:
		return fits
	case open:
		return 0
	default:
		return c.last
	}
}

// Alike says whether two names are equal or but for a slip.
func (c *Column) Alike(a, b uint32) bool {
	return a != 0 && b != 0 && (a == b || apart(&c.heads[a], &c.heads[b]) <= 1 && c.Compare(a, b) <= 3)
}

// vague is the Jaro–Winkler similarity from which two names are vaguely
// similar.
const vague = 0.8

func (c *Column) compareNames(a, b uint32, x, y *head) Level {
	const slip, similar, beginning, vaguely, other = 3, 4, 5, 6, 7
	const alike = 0.92
	if x.begin&0xff == y.begin&0xff && (x.sig&^y.sig == 0 || y.sig&^x.sig == 0) {
		// An initial, a pet name, the first of two words.
		la, lb := c.length(a), c.length(b)
		if short := min(la, lb); agree(c.all, c.start[a], c.start[b], short) == short {
			if max(la, lb)-short == 1 && short >= 3 {
				return slip
			}
			return beginning
		}
	}
	both := common(x, y)
	if short := min(x.size, y.size); short >= 3 && int(max(x.size, y.size))-both <= 2 {
		switch d := c.distance(a, b, 2); {
		case d == 1:
			return slip
		case d == 2 && short >= 5:
			return similar
		}
	}
	if !maybeVague(x, y, both) {
		return other
	}
	switch similarity := c.jaroWinkler(a, c.length(a), b, c.length(b), vague); {
	case similarity >= alike:
		return similar
	case similarity >= vague:
		return vaguely
	}
	return other
}

func (c *Column) compareCodes(a, b uint32, x, y *head) Level {
	if apart(x, y) > 2 {
		return 4
	}
	short := min(x.size, y.size)
	switch d := c.distance(a, b, 2); {
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

func (c *Column) comparePhones(a, b uint32, x, y *head) Level {
	const end = 7
	if x.begin == y.begin && min(x.size, y.size) >= end {
		if s, t := c.Text(a), c.Text(b); s[len(s)-end:] == t[len(t)-end:] {
			return 2
		}
	}
	if apart(x, y) > 2 {
		return 5
	}
	if d := c.distance(a, b, 2); d <= 2 {
		return Level(2 + d)
	}
	return 5
}

// maskedNumbers compares two numbers, in at least one of which stars hide
// digits, by how many digits both show and whether these agree. Of one length
// they are laid upon each other; else what stands before the first star and
// behind the last one is. A first 1, which all mobile numbers have, does not
// count.
func maskedNumbers(a, b string) Level {
	shown, agree := 0, true
	look := func(x, y byte) {
		shown++
		agree = agree && x == y
	}
	from := 0
	if a[0] == '1' && b[0] == '1' {
		from = 1
	}
	if len(a) == len(b) {
		for i := from; i < len(a); i++ {
			if a[i] != '*' && b[i] != '*' {
				look(a[i], b[i])
			}
		}
	} else {
		short, i := min(len(a), len(b)), from
		for ; i < short && a[i] != '*' && b[i] != '*'; i++ {
			look(a[i], b[i])
		}
		for k := 1; k <= short-i && a[len(a)-k] != '*' && b[len(b)-k] != '*'; k++ {
			look(a[len(a)-k], b[len(b)-k])
		}
	}
	var level Level
	switch {
	case shown >= 6:
		level = 6
	case shown >= 4:
		level = 8
	case shown >= 2:
		level = 10
	default:
		return 0
	}
	if !agree {
		level++
	}
	return level
}

// compareEmails compares two addresses. Most end by their heads, which have the
// first letters and the domain of nearly all.
func (c *Column) compareEmails(a, b uint32, x, y *head) Level {
	const begin, alike = 0xffffff, 0.88
	near := (x.begin^y.begin)&begin == 0
	var la, lb int // of the users
	if near {
		la, lb = int(uint32(c.parts[a])), int(uint32(c.parts[b]))
		if near = min(la, lb) >= 3; near && la == lb && agree(c.all, c.start[a], c.start[b], la) == la {
			return 2
		}
	}
	if apart(x, y) <= 2 && c.distance(a, b, 2) <= 2 {
		return 3
	}
	if near && c.jaroWinkler(a, la, b, lb, alike) >= alike {
		return 4
	}
	if x.domain == y.domain && x.domain != 0 && (x.domain < rareDomain || c.parts[a]>>32 == c.parts[b]>>32) {
		return 5
	}
	return 6
}

// dates compares two days of eight digits: four of the year, two of the month
// and two of the day.
func dates(x, y uint64) Level {
	const year, month, day = 0xffffffff, 0xffff << 32, 0xffff << 48
	d := x ^ y
	same := 0
	for _, part := range [...]uint64{year, month, day} {
		if d&part == 0 {
			same++
		}
	}
	if d&year == 0 && x>>48 == y>>32&0xffff && y>>48 == x>>32&0xffff {
		return 2
	}
	if same == 0 {
		return 6
	}
	edits := digitsApart(x, y)
	switch {
	case edits == 1:
		return 3
	case same == 2:
		return 4
	case d&year == 0, edits == 2:
		return 5
	}
	return 6
}
