package compare

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Platforms hide different parts of one value: the phone 13866661135 is shown
// as *******1135, as 1********35 and as 138****1135. What two of them say of
// each other is in how many places both show something, and whether it is the
// same there. The kinds of this file have their levels by that number: the more
// is shown, the rarer strangers agree on it, and how much rarer is learned.
//
// A place is counted from the front; a mask keeps the length. Of texts of two
// lengths, one may have more in front or behind, so the better of both ways to
// lay them upon each other counts.

// CountsShown says that the levels of a kind count what both values show: two
// equal values that show little are at a weaker level than the first.
func CountsShown(kind Kind) bool {
	return kind == MaskedPhone || kind == MaskedText
}

// masks compares two values in their comparable form, neither missing, of the
// kinds of this file.
func masks(kind Kind, a, b string) Level {
	switch kind {
	case MaskedPhone:
		return maskedPhones(a, b)
	case MaskedText:
		return maskedTexts(a, b)
	default:
		return maskedNames(a, b)
	}
}

// maskedNames are equal if they show the same: 王* and 王*.
func maskedNames(a, b string) Level {
	switch {
	case a == b:
		return 1
	case fitMask(a, b) == fit:
		return 2
	}
	return 3
}

// maskedPhones counts the digits that both show, but for a first 1, which all
// mobile numbers have.
func maskedPhones(a, b string) Level {
	const six, four, three, two, apart, other = 2, 3, 4, 5, 6, 7
	if len(a) > len(b) {
		a, b = b, a
	}
	shown := 0
	for i := 1; i <= len(a); i++ { // from the end: a landline is written with its area or without
		x, y := a[len(a)-i], b[len(b)-i]
		switch {
		case x == '*' || y == '*':
		case x != y:
			return other
		case i == len(b) && x == '1':
		default:
			shown++
		}
	}
	switch {
	case shown >= 6 && a == b:
		return 1
	case shown >= 6:
		return six
	case shown >= 4:
		return four
	case shown == 3:
		return three
	case shown == 2:
		return two
	}
	return apart
}

// maskedTexts counts the characters that both show.
func maskedTexts(a, b string) Level {
	var bufA, bufB symbols
	x, y := bufA.set(a), bufB.set(b)
	if len(x) > len(y) {
		x, y = y, x
	}
	level := laid(x, y)
	if len(x) < len(y) {
		level = min(level, laid(x, y[len(y)-len(x):]))
	}
	if level == 2 && a == b {
		return 1
	}
	return level
}

// laid compares a text with the beginning of one that is at least as long.
func laid(x, y []rune) Level {
	const eight, five, three, slip, one, apart, other = 2, 3, 4, 5, 6, 7, 8
	fit, differ := 0, 0
	for i, r := range x {
		switch {
		case r == '*' || y[i] == '*':
		case r == y[i]:
			fit++
		default:
			differ++
		}
	}
	switch {
	case differ == 1 && fit >= 4:
		return slip
	case differ > 0:
		return other
	case fit >= 8:
		return eight
	case fit >= 5:
		return five
	case fit >= 3:
		return three
	case fit >= 1:
		return one
	}
	return apart
}

// shownText makes masked texts comparable place by place: full-width forms
// plain, small letters, no blanks; all other marks stay, for a star may stand
// for one of them elsewhere.
func shownText(raw string) string {
	if strings.Trim(raw, "*") == "" {
		return "" // shows nothing
	}
	if settled(raw) {
		return raw
	}
	var b strings.Builder
	b.Grow(len(raw))
	shown := false
	for _, r := range strings.ToValidUTF8(raw, "") {
		if r >= '！' && r <= '～' {
			r -= '！' - '!'
		}
		if unicode.IsSpace(r) || !unicode.IsPrint(r) {
			continue
		}
		shown = shown || r != '*'
		b.WriteRune(unicode.ToLower(r))
	}
	if !shown {
		return ""
	}
	return b.String()
}

// settled says that a text is only of what no preparing changes: Han
// characters, digits, small letters and stars.
func settled(text string) bool {
	for _, r := range text {
		if r < utf8.RuneSelf {
			if r != '*' && (r < '0' || r > '9') && (r < 'a' || r > 'z') {
				return false
			}
		} else if r < 0x4e00 || r > 0x9fff {
			return false
		}
	}
	return true
}

// Form is a single raw value as a column would hold it, "" if it is missing.
func Form(kind Kind, raw string) string {
	if raw == "" {
		return ""
	}
	if Missing(raw) || !settled(raw) {
		return prepare(kind, raw).text
	}
	// What platforms show is mostly written so already: nothing is made anew.
	switch kind {
	case MaskedText:
		return shownText(raw)
	case MaskedPhone:
		if len(raw) == 11 && strings.Trim(raw, "0123456789*") == "" {
			return raw
		}
	case MaskedName:
		star := strings.IndexByte(raw, '*')
		if star < 0 {
			return raw
		}
		if star > 0 && strings.Trim(raw[star:], "*") == "" {
			return raw[:star+1]
		}
	case Category:
		return raw
	default:
	}
	return prepare(kind, raw).text
}

// Pair says how alike two single raw values are: what Compare says of them in
// a column. Not for kinds whose levels depend on the other values of a column,
// Text and Address: false for these.
//
// form is a's comparable form where the level is 1. It allocates nothing for
// masked kinds and categories of values that are written as platforms do.
func Pair(kind Kind, a, b string) (level Level, form string, ok bool) {
	switch kind {
	case Text, Address:
		return 0, "", false
	case MaskedName, MaskedPhone, MaskedText, Category:
		x, y := Form(kind, a), Form(kind, b)
		switch {
		case x == "" || y == "":
			return 0, "", true
		case kind != Category:
			level = masks(kind, x, y)
		case x == y:
			level = 1
		default:
			level = 2
		}
		return level, x, true
	default:
		c, ids, err := NewColumn(kind, []string{a, b}, []int{1, 1})
		if err != nil {
			return 0, "", false
		}
		return c.Compare(ids[0], ids[1]), c.Text(ids[0]), true
	}
}
