package compare

import (
	"iter"
	"math"
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
	c.at = make([]uint32, 1, len(c.texts)+1)
	for i, text := range c.texts {
		rows += c.counts[i]
		begin := len(c.wordsOf)
		for text := range cutWords(text) {
			if c.kind == Address && text == c.numbers[i] {
				continue
			}
			id, ok := known[text]
			if !ok {
				id = uint32(len(c.words))
				known[text] = id
				c.words = append(c.words, word{text: text, head: headOf(c.kind, text)})
				with = append(with, 0)
			}
			if mine := c.wordsOf[begin:]; !slices.Contains(mine, id) && len(mine) < maxWords {
				c.wordsOf = append(c.wordsOf, id)
				with[id] += c.counts[i]
			}
		}
		c.at = append(c.at, uint32(len(c.wordsOf)))
	}
	// Numbers in the order of the words, not in that of the values.
	order := make([]uint32, len(c.words))
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(a, b uint32) int { return strings.Compare(c.words[a].text, c.words[b].text) })
	words, number := make([]word, len(order)), make([]uint32, len(order))
	for i, old := range order {
		words[i], number[old] = c.words[old], uint32(i)
		words[i].worth = float32(max(0.2, math.Log(float64(rows)/float64(with[old]))))
	}
	c.words = words
	for i, old := range c.wordsOf {
		c.wordsOf[i] = number[old]
	}
	c.worth = make([]float32, len(c.texts))
	for i := range c.texts {
		slices.Sort(c.Words(uint32(i)))
		for _, id := range c.Words(uint32(i)) {
			c.worth[i] += c.words[id].worth
		}
	}
}

// cutWords cuts a text at its blanks, and Chinese, which has none, into each
// two characters that stand beside each other.
func cutWords(text string) iter.Seq[string] {
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
func (c *Column) Words(id uint32) []uint32 { return c.wordsOf[c.at[id]:c.at[id+1]] }

// Word is a word by its number.
func (c *Column) Word(number uint32) string { return c.words[number].text }

// Worth is what a word is worth: ln(rows / rows with it), at least 0.2.
func (c *Column) Worth(number uint32) float64 { return float64(c.words[number].worth) }

// common is the worth of the words that two values share, a word with a slip
// counting four fifths.
func (c *Column) common(wordsX, wordsY []uint32) float32 {
	var restX, restY [maxWords]uint32
	nx, ny := 0, 0
	var sum float32
	i, j := 0, 0
	for i < len(wordsX) && j < len(wordsY) {
		switch a, b := wordsX[i], wordsY[j]; {
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
	nx += copy(restX[nx:], wordsX[i:])
	ny += copy(restY[ny:], wordsY[j:])
	if nx > 8 && ny > 8 {
		return sum // two long texts: their slips decide nothing
	}
	if nx > ny || nx == ny && slices.Compare(restX[:nx], restY[:ny]) > 0 {
		restX, restY, nx, ny = restY, restX, ny, nx // the same either way
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
	if x.head.begin == y.head.begin && len(short) >= 3 && strings.HasPrefix(long, short) {
		return true
	}
	limit := 1
	switch {
	case len(short) < 4:
		return false
	case len(short) >= 8:
		limit = 2
	}
	return apart(x.head, y.head) <= limit && Distance(x.text, y.text, limit) <= limit
}

// shares gives what two texts have in common, as parts of both together and of
// the smaller one.
func (c *Column) shares(a, b uint32) (both, smaller float32) {
	s := c.common(c.Words(a), c.Words(b))
	if s == 0 {
		return 0, 0
	}
	x, y := c.worth[a], c.worth[b]
	return min(1, s/(x+y-s)), min(1, s/min(x, y))
}

func (c *Column) compareTexts(a, b uint32) Level {
	x, y := c.heads[a], c.heads[b]
	if n := min(x.size, y.size); n >= 5 && n < maxRunes && apart(x, y) <= 2 {
		limit := 1
		if n >= 10 {
			limit = 2
		}
		if Distance(c.texts[a], c.texts[b], limit) <= limit {
			return 2
		}
	}
	both, smaller := c.shares(a, b)
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

func (c *Column) compareAddresses(a, b uint32) Level {
	both, smaller := c.shares(a, b)
	same, similar := both >= 0.6 || smaller >= 0.9, both >= 0.25
	switch x, y := c.numbers[a], c.numbers[b]; {
	case x == "" || y == "":
		switch {
		case both >= 0.9:
			return 2
		case same:
			return 4
		}
	case x == y:
		switch {
		case same:
			return 2
		case similar:
			return 3
		}
		return 7
	case same:
		if Distance(x, y, 1) == 1 {
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
func (c *Column) HouseNumber(id uint32) string { return c.numbers[id] }
