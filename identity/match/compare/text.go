package compare

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// maxRunes bounds what Distance and JaroWinkler look at: of a longer text they
// see its beginning. Names, numbers and words are shorter; longer texts are
// compared by their tokens.
const maxRunes = 64

// symbols is a text as runes on the stack.
type symbols [maxRunes]rune

func (s *symbols) set(text string) []rune {
	n := 0
	for _, r := range text {
		if n == maxRunes {
			break
		}
		s[n] = r
		n++
	}
	return s[:n]
}

// letters is a text in ASCII on the stack.
type letters [maxRunes]byte

func ascii(text string) bool {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// Distance is the Damerau–Levenshtein distance of two texts in runes: the
// fewest insertions, deletions, replacements and swaps of neighbours (no part
// edited twice) that make one of the other. It gives up beyond limit and then
// returns limit+1.
func Distance(a, b string, limit int) int {
	if ascii(a) && ascii(b) {
		var bufA, bufB letters
		return distance(bufA[:copy(bufA[:], a)], bufB[:copy(bufB[:], b)], limit)
	}
	var bufA, bufB symbols
	return distance(bufA.set(a), bufB.set(b), limit)
}

func distance[T byte | rune](a, b []T, limit int) int {
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(b)-len(a) > limit {
		return limit + 1
	}
	if len(a) == 0 {
		return len(b)
	}
	// Only a band around the diagonal can stay within the limit. What lies
	// beside it counts as far away.
	const far = 200
	limit = min(limit, maxRunes)
	var rows [3][maxRunes + 2]uint8
	before, last, row := &rows[0], &rows[1], &rows[2]
	for j := range min(len(b), limit) + 1 {
		last[j] = uint8(j)
	}
	if limit < len(b) {
		last[limit+1] = far
	}
	for i, x := range a {
		from, to := max(0, i-limit), min(len(b), i+limit+1)
		row[from] = far
		if from == 0 {
			row[0] = uint8(i + 1)
		}
		best := row[from]
		for j := from; j < to; j++ {
			y := b[j]
			d := last[j]
			if x != y {
				d = min(d, last[j+1], row[j]) + 1
				if i > 0 && j > 0 && x == b[j-1] && a[i-1] == y {
					d = min(d, before[j-1]+1)
				}
			}
			row[j+1] = d
			best = min(best, d)
		}
		row[to+1] = far
		if int(best) > limit {
			return limit + 1
		}
		before, last, row = last, row, before
	}
	return min(int(last[len(b)]), limit+1)
}

// JaroWinkler is the similarity of two texts in runes, 0 (nothing in common)
// to 1 (equal): Jaro's, raised for up to four equal first runes by a tenth of
// what is missing each.
func JaroWinkler(a, b string) float64 {
	if ascii(a) && ascii(b) {
		var bufA, bufB letters
		return jaroWinkler(bufA[:copy(bufA[:], a)], bufB[:copy(bufB[:], b)])
	}
	var bufA, bufB symbols
	return jaroWinkler(bufA.set(a), bufB.set(b))
}

func jaroWinkler[T byte | rune](a, b []T) float64 {
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(a) == 0 {
		if len(b) == 0 {
			return 1
		}
		return 0
	}
	window := max(0, len(b)/2-1)
	var matchedA, matchedB uint64 // maxRunes bits
	matches := 0
	for i, x := range a {
		for j := max(0, i-window); j < min(len(b), i+window+1); j++ {
			if b[j] == x && matchedB&(1<<j) == 0 {
				matchedA |= 1 << i
				matchedB |= 1 << j
				matches++
				break
			}
		}
	}
	if matches == 0 {
		return 0
	}
	moved, j := 0, 0
	for i, x := range a {
		if matchedA&(1<<i) == 0 {
			continue
		}
		for matchedB&(1<<j) == 0 {
			j++
		}
		if b[j] != x {
			moved++
		}
		j++
	}
	prefix := 0
	for prefix < min(4, len(a)) && a[prefix] == b[prefix] {
		prefix++
	}
	return winkler(matches, moved, len(a), len(b), prefix)
}

// Fold makes a text comparable: full-width forms plain, no accents, lower
// case, apostrophes left out, any other mark or run of blanks one blank. A
// star stays: it stands for what a platform masked.
func Fold(raw string) string {
	if plain(raw) {
		return raw
	}
	var b strings.Builder
	b.Grow(len(raw))
	blank := false
	for _, r := range norm.NFKD.String(strings.ToValidUTF8(raw, "")) {
		switch {
		case unicode.Is(unicode.Mn, r) || r == '\'' || r == '’' || r == '`':
			continue
		case unicode.IsLetter(r) || unicode.IsDigit(r) || r == '*':
			if blank && b.Len() > 0 {
				b.WriteByte(' ')
			}
			blank = false
			b.WriteRune(unicode.ToLower(r))
		case r == '&':
			if b.Len() > 0 {
				b.WriteByte(' ')
			}
			b.WriteString("and")
			blank = true
		default:
			blank = true
		}
	}
	return norm.NFC.String(b.String())
}

// plain says that Fold changes nothing: small letters and digits, with one
// blank between words.
func plain(s string) bool {
	blank := true
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '*':
			blank = false
		case c == ' ' && !blank:
			blank = true
		default:
			return false
		}
	}
	return !blank || s == ""
}

// Digits keeps the digits of a text, and stars that stand between or beside
// them.
func Digits(raw string) string {
	if strings.Trim(raw, "0123456789*") == "" {
		return raw
	}
	var b strings.Builder
	for _, r := range norm.NFKC.String(strings.ToValidUTF8(raw, "")) {
		if r >= '0' && r <= '9' || r == '*' {
			b.WriteRune(r)
		}
	}
	return b.String()
}
