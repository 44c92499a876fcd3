package compare

import (
	"math/bits"
	"unicode/utf8"
)

// head is what can be told of two texts without looking at them: most pairs of
// strangers end here.
type head struct {
	// sig has the text's runes as a set in which some may be there several
	// times: the bits that two texts share are runes that they share. rest is
	// how many runes it has no bit for.
	sig   uint64
	begin uint32 // the first four bytes, the first one lowest; of Phone the last four
	size  uint8  // runes, at most 255
	rest  uint8
	flags uint8
	// domain is the number of what follows an e-mail's user, 0 for nothing and
	// rareDomain for all that have another one.
	domain uint8
}

// rareDomain stands for the domains behind the first ones of a column.
const rareDomain = 255

// The flags of a head.
const (
	// bytewise says that a text has a byte for each rune, and no more than
	// maxRunes of them.
	bytewise = 1 << iota
	// masked says that a star stands in the text. Two equal ones may hide
	// different values.
	masked
)

func headOf(kind Kind, text string) head {
	var h head
	if kind == Code || kind == Phone || kind == Date {
		h.sig = digitSet(text)
	} else {
		h.sig = letterSet(text)
	}
	runes := utf8.RuneCountInString(text)
	h.size, h.rest = uint8(min(255, runes)), uint8(min(255, runes-bits.OnesCount64(h.sig)))
	h.begin = uint32(packed(text[:min(4, len(text))]))
	if kind == Phone {
		h.begin = uint32(packed(text[max(0, len(text)-4):]))
	}
	if runes <= maxRunes && ascii(text) {
		h.flags |= bytewise
	}
	return h
}

// letterSet is a text's letters, up to two of each, and a bit for each twelfth
// of all other runes.
func letterSet(text string) uint64 {
	const once, others = 26, 52
	var s uint64
	for _, r := range text {
		switch {
		case r >= 'a' && r <= 'z':
			bit := uint64(1) << (r - 'a')
			s |= bit | (s&bit)<<once
		case r < utf8.RuneSelf:
			s |= 1 << (others + uint32(r)%12)
		default:
			s |= 1 << (others + (uint32(r)*2654435761>>20)%12)
		}
	}
	return s
}

// digitSet is a text's digits, up to four of each, and a bit for each 24th of
// all other runes.
func digitSet(text string) uint64 {
	const ten, others = 10, 40
	var s uint64
	for _, r := range text {
		if r < '0' || r > '9' {
			s |= 1 << (others + uint32(r)%24)
			continue
		}
		bit := uint64(1) << (r - '0')
		for k := 0; k < 3 && s&bit != 0; k++ {
			bit <<= ten
		}
		s |= bit
	}
	return s
}

// common bounds from above how many runes two texts can share, each counted as
// often as both have it.
func common(x, y *head) int {
	return min(bits.OnesCount64(x.sig&y.sig)+int(min(x.rest, y.rest)), int(min(x.size, y.size)))
}

// apart bounds the distance of two texts from below: what is not shared was
// replaced, put in or left out.
func apart(x, y *head) int { return int(max(x.size, y.size)) - common(x, y) }

// prefix bounds from above how many first runes two texts share, at most four.
func prefix(x, y *head) int {
	return min(bits.TrailingZeros32(x.begin^y.begin)/8, int(x.size), int(y.size))
}

// like bounds the Jaro–Winkler similarity of two texts from above.
func like(x, y *head) float64 {
	if x.size == 0 || y.size == 0 {
		return 0
	}
	return winkler(common(x, y), 0, int(x.size), int(y.size), prefix(x, y))
}

// winkler is the Jaro–Winkler similarity of two texts of sizes x and y with
// that many runes that match, of which some are moved, and with an equal
// prefix.
func winkler(matches, moved, x, y, prefix int) float64 {
	if matches == 0 {
		return 0
	}
	m := float64(matches)
	jaro := (m/float64(x) + m/float64(y) + (m-float64(moved)/2)/m) / 3
	return jaro + float64(prefix)*0.1*(1-jaro)
}

// mostShort bounds the texts that fewest is for.
const mostShort = 24

// fewest is how many runes must match so that two texts with an equal prefix
// can be vaguely similar.
var fewest = func() (list [5][mostShort + 1][mostShort + 1]uint8) {
	for p := range list {
		for x := range list[p] {
			for y := range list[p][x] {
				m := 0
				for m <= min(x, y) && winkler(m, 0, x, y, p) < vague {
					m++
				}
				list[p][x][y] = uint8(m)
			}
		}
	}
	return list
}()

// maybeVague says that two texts with so many common runes may be vaguely
// similar.
func maybeVague(x, y *head, common int) bool {
	if x.size > mostShort || y.size > mostShort {
		return like(x, y) >= vague-1e-9 // for another order of adding up
	}
	return common >= int(fewest[prefix(x, y)][x.size][y.size])
}
