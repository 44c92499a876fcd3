package compare

import (
	"iter"
	"math"
	"math/bits"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxWords bounds how many words of a text are looked at.
const maxWords = 32

// cut cuts the values of a column into words and weighs these.
func (c *Column) cut() {
	known := map[string]uint32{}
	var with []int // rows with each word
	rows := 0
	for i := range c.values {
		v := &c.values[i]
		rows += v.count
		for text := range wordsOf(v.text) {
			if c.kind == Address && text == v.number {
				continue
			}
			id, ok := known[text]
			if !ok {
				id = uint32(len(c.words))
				known[text] = id
				c.words = append(c.words, word{text: text, sig: signature(text)})
				with = append(with, 0)
			}
			if !slices.Contains(v.words, id) && len(v.words) < maxWords {
				v.words = append(v.words, id)
				with[id] += v.count
			}
		}
		slices.Sort(v.words)
	}
	for i := range c.words {
		c.words[i].worth = float32(max(0.2, math.Log(float64(rows)/float64(with[i]))))
	}
	for i := range c.values {
		for _, id := range c.values[i].words {
			c.values[i].worth += c.words[id].worth
		}
	}
}

// wordsOf cuts a text at its blanks, and Chinese, which has none, into each
// two characters that stand beside each other.
func wordsOf(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for part := range strings.FieldsSeq(text) {
			first, _ := utf8.DecodeRuneInString(part)
			if !unicode.Is(unicode.Han, first) {
				if !yield(part) {
					return
				}
				continue
			}
			last := -1
			for i, r := range part {
				if last >= 0 && !yield(part[last:i+utf8.RuneLen(r)]) {
					return
				}
				last = i
			}
			if last == 0 && !yield(part) {
				return
			}
		}
	}
}

// Words are the numbers of a value's words, sorted.
func (c *Column) Words(id uint32) []uint32 { return c.values[id].words }

// Word is a word by its number.
func (c *Column) Word(number uint32) string { return c.words[number].text }

// Worth is what a word is worth: ln(rows / rows with it), at least 0.2.
func (c *Column) Worth(number uint32) float64 { return float64(c.words[number].worth) }

// common is the worth of the words that two values share, a word with a slip
// counting four fifths.
func (c *Column) common(x, y *value) float32 {
	var restX, restY [maxWords]uint32
	nx, ny := 0, 0
	var sum float32
	i, j := 0, 0
	for i < len(x.words) && j < len(y.words) {
		switch a, b := x.words[i], y.words[j]; {
		case a == b:
			sum += c.words[a].worth
			i++
			j++
		case a < b:
			restX[nx] = a
			nx++
			i++
		default:
			restY[ny] = b
			ny++
			j++
		}
	}
	nx += copy(restX[nx:], x.words[i:])
	ny += copy(restY[ny:], y.words[j:])
	if nx > 8 && ny > 8 {
		return sum // two long texts: their slips decide nothing
	}
	for _, a := range restX[:nx] {
		best := -1
		for k, b := range restY[:ny] {
			if slip(&c.words[a], &c.words[b]) && (best < 0 || c.words[b].worth < c.words[restY[best]].worth) {
				best = k
			}
		}
		if best >= 0 {
			b := restY[best]
			sum += 0.8 * min(c.words[a].worth, c.words[b].worth)
			ny--
			restY[best] = restY[ny]
		}
	}
	return sum
}

// slip says that two words differ by a slip of typing, or that one is short
// for the other.
func slip(x, y *word) bool {
	short, long := x.text, y.text
	if len(short) > len(long) {
		short, long = long, short
	}
	if len(short) >= 3 && strings.HasPrefix(long, short) {
		return true
	}
	limit := 1
	switch {
	case len(short) < 4:
		return false
	case len(short) >= 8:
		limit = 2
	}
	if (bits.OnesCount32(x.sig^y.sig)+1)/2 > limit {
		return false
	}
	return Distance(x.text, y.text, limit) <= limit
}

// shares gives what two texts have in common, as parts of both together and of
// the smaller one.
func (c *Column) shares(x, y *value) (both, smaller float32) {
	s := c.common(x, y)
	if s == 0 {
		return 0, 0
	}
	return min(1, s/(x.worth+y.worth-s)), min(1, s/min(x.worth, y.worth))
}

func (c *Column) texts(x, y *value) Level {
	if n := min(len(x.text), len(y.text)); n >= 5 && n < maxRunes && apart(x, y) <= 2 {
		limit := 1
		if n >= 10 {
			limit = 2
		}
		if Distance(x.text, y.text, limit) <= limit {
			return 2
		}
	}
	both, smaller := c.shares(x, y)
	switch {
	case both >= 0.9:
		return 2
	case both >= 0.65:
		return 3
	case smaller >= 0.9:
		return 4
	case both >= 0.4:
		return 5
	case both >= 0.15:
		return 6
	}
	return 7
}

func (c *Column) addresses(x, y *value) Level {
	both, smaller := c.shares(x, y)
	same, similar := both >= 0.6 || smaller >= 0.9, both >= 0.25
	switch {
	case x.number == "" || y.number == "":
		switch {
		case both >= 0.9:
			return 2
		case same:
			return 4
		}
	case x.number == y.number:
		switch {
		case same:
			return 2
		case similar:
			return 3
		}
		return 7
	case same:
		if Distance(x.number, y.number, 1) == 1 {
			return 5
		}
		return 6
	}
	if both >= 0.15 {
		return 7
	}
	return 8
}

// HouseNumber is the number of the house in an address, "" without one.
func (c *Column) HouseNumber(id uint32) string { return c.values[id].number }
