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
	c.at = make([]uint32, 1, c.Len()+1)
	var texts []string
	for i := range c.Len() {
		rows += c.counts[i]
		begin := len(c.wordsOf)
		for text := range cutWords(c.Text(uint32(i))) {
			if c.kind == Address && text == c.numbers[i] {
				continue
			}
			id, ok := known[text]
			if !ok {
				id = uint32(len(texts))
				known[text] = id
				texts = append(texts, text)
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
	order := make([]uint32, len(texts))
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(a, b uint32) int { return strings.Compare(texts[a], texts[b]) })
	sorted, number := make([]string, len(order)), make([]uint32, len(order))
	c.words = make([]word, len(order))
	at := 0
	for i, old := range order {
		text := texts[old]
		sorted[i], number[old] = text, uint32(i)
		c.words[i] = word{headOf(c.kind, text), uint32(at), uint32(len(text)), float32(max(0.2, math.Log(float64(rows)/float64(with[old]))))}
		at += len(text)
	}
	c.letters, _ = together(sorted)
	for i, old := range c.wordsOf {
		c.wordsOf[i] = number[old]
	}
	c.worth = make([]float32, c.Len())
	for i := range c.Len() {
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
func (c *Column) Word(number uint32) string {
	w := &c.words[number]
	return c.letters[w.at : w.at+w.length]
}

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
	few, more := restX[:nx], restY[:ny]
	if nx > ny || nx == ny && slices.Compare(few, more) > 0 {
		few, more = more, few // the same either way
	}
	for _, a := range few {
		best := -1
		for k, b := range more {
			if c.slip(a, b) && (best < 0 || c.words[b].worth < c.words[more[best]].worth) {
				best = k
			}
		}
		if best >= 0 {
			sum += 0.8 * min(c.words[a].worth, c.words[more[best]].worth)
			more[best] = more[len(more)-1]
			more = more[:len(more)-1]
		}
	}
	return sum
}

// slip says that two words differ by a slip of typing, or that one is short
// for the other.
func (c *Column) slip(a, b uint32) bool {
	x, y := &c.words[a], &c.words[b]
	la, lb := int(x.length), int(y.length)
	short := min(la, lb)
	if short < 3 {
		return false
	}
	if begin := x.head.begin ^ y.head.begin; begin&0xffffff == 0 && agree(c.letters, int(x.at), int(y.at), short) == short {
		return true
	}
	limit := 1
	switch {
	case short < 4:
		return false
	case short >= 8:
		limit = 2
	}
	switch {
	case apart(&x.head, &y.head) > limit:
		return false
	case x.head.flags&y.head.flags&bytewise == 0:
		return Distance(c.Word(a), c.Word(b), limit) <= limit
	}
	return within(c.letters, int(x.at), la, int(y.at), lb, limit) <= limit
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

func (c *Column) compareTexts(a, b uint32, x, y *head) Level {
	if n := min(x.size, y.size); n >= 5 && n < maxRunes && apart(x, y) <= 2 {
		limit := 1
		if n >= 10 {
			limit = 2
		}
		if c.distance(a, b, limit) <= limit {
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
	switch x, y := c.houses[a], c.houses[b]; {
	case x == 0 || y == 0:
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
		if Distance(c.numbers[a], c.numbers[b], 1) == 1 {
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
