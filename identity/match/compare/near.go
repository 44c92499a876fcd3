package compare

import "math/bits"

// spare is how many bytes must stand behind a text that is read in words.
const spare = mostInWords

// word8 is eight bytes of a text, the first one lowest.
func word8(all string, at int) uint64 {
	s := all[at : at+8]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 | uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// agree is how many bytes from a and b on are equal, at most n. Behind them
// must be spare ones.
func agree(all string, a, b, n int) int {
	for i := 0; i < n; i += 8 {
		if d := word8(all, a+i) ^ word8(all, b+i); d != 0 {
			return min(n, i+bits.TrailingZeros64(d)/8)
		}
	}
	return n
}

// within1 is the Damerau–Levenshtein distance of two texts of bytes, from a on
// of length la and from b on of length lb, or 2 if it is more than 1.
func within1(all string, a, la, b, lb int) int {
	if la > lb {
		a, la, b, lb = b, lb, a, la
	}
	if lb-la > 1 {
		return 2
	}
	p := agree(all, a, b, la)
	if p == la {
		return lb - la
	}
	a, la, b, lb = a+p, la-p, b+p, lb-p
	switch {
	case la < lb:
		if agree(all, a, b+1, la) == la {
			return 1
		}
	case agree(all, a+1, b+1, la-1) == la-1:
		return 1
	case la >= 2 && all[a] == all[b+1] && all[a+1] == all[b] && agree(all, a+2, b+2, la-2) == la-2:
		return 1
	}
	return 2
}

// within2 is the same up to 2, or 3. At the first place where the texts differ
// one of them must be edited, and what follows is within 1.
func within2(all string, a, la, b, lb int) int {
	if la > lb {
		a, la, b, lb = b, lb, a, la
	}
	if lb-la > 2 {
		return 3
	}
	p := agree(all, a, b, la)
	if p == la {
		return lb - la
	}
	a, la, b, lb = a+p, la-p, b+p, lb-p
	best := 2
	if lb-la < 2 {
		best = within1(all, a+1, la-1, b+1, lb-1)
		if la >= 2 && best > 0 && all[a] == all[b+1] && all[a+1] == all[b] {
			best = min(best, within1(all, a+2, la-2, b+2, lb-2))
		}
	}
	if best > 0 {
		best = min(best, within1(all, a, la, b+1, lb-1))
	}
	if best > 1 && la == lb {
		best = min(best, within1(all, a+1, la-1, b, lb))
	}
	return 1 + best
}

// within is Distance up to a limit of 1 or 2 of two texts of bytes.
func within(all string, a, la, b, lb, limit int) int {
	if limit == 1 {
		return within1(all, a, la, b, lb)
	}
	return within2(all, a, la, b, lb)
}

// low has the lowest bit of each byte.
const low = 0x0101010101010101

// places are the bytes of a word that equal c, as eight bits.
func places(word uint64, c byte) uint64 {
	d := word ^ uint64(c)*low
	zero := ^((d&^(low<<7) + ^uint64(low<<7)) | d | ^uint64(low<<7)) // highest bit of each byte that is 0
	return zero >> 7 * 0x0102040810204080 >> 56
}

// mostInWords bounds the texts of bytes whose Jaro–Winkler similarity is found
// in words.
const mostInWords = 32

// jaroWinklerInWords is JaroWinkler of two texts of at most mostInWords bytes,
// or anything below least if it is less than that.
func jaroWinklerInWords(all string, a, la, b, lb int, least float64) float64 {
	if la > lb {
		a, la, b, lb = b, lb, a, la
	}
	prefix := agree(all, a, b, min(4, la))
	var text [mostInWords / 8]uint64
	words := (lb + 7) / 8
	for w := range words {
		text[w] = word8(all, b+8*w)
	}
	window := max(0, lb/2-1)
	near := uint64(1)<<(window+1) - 1
	free := uint64(1)<<lb - 1 // bytes of b without a match
	whole := free
	var matchedA uint64
	for i := range la {
		c := all[a+i]
		equal := places(text[0], c)
		for w := 1; w < words; w++ {
			equal |= places(text[w], c) << (8 * w)
		}
		if equal &= near & free; equal != 0 {
			free &^= equal & -equal
			matchedA |= 1 << i
		}
		near <<= 1
		if i < window {
			near |= 1
		}
	}
	matchedB := whole &^ free
	matches := bits.OnesCount64(matchedA)
	if matches == 0 || winkler(matches, 0, la, lb, prefix) < least-1e-9 {
		return 0
	}
	moved := 0
	for matchedA != 0 {
		if all[a+bits.TrailingZeros64(matchedA)] != all[b+bits.TrailingZeros64(matchedB)] {
			moved++
		}
		matchedA &= matchedA - 1
		matchedB &= matchedB - 1
	}
	return winkler(matches, moved, la, lb, prefix)
}

// digitsApart is the Damerau–Levenshtein distance of two texts of eight bytes,
// or 3 if it is more than 2.
func digitsApart(x, y uint64) int {
	d := x ^ y
	if d == 0 {
		return 0
	}
	first, last := bits.TrailingZeros64(d)&^7, (63-bits.LeadingZeros64(d))&^7
	edits := 0
	for at := first; at <= last && edits < 3; at += 8 {
		if d>>at&0xff == 0 {
			continue
		}
		edits++
		if at < last && x>>at&0xff == y>>(at+8)&0xff && x>>(at+8)&0xff == y>>at&0xff {
			at += 8 // two neighbours that are swapped
		}
	}
	if edits < 3 {
		return edits
	}
	// One left out at one end of what differs, and one put in at the other.
	between := uint64(1)<<last - uint64(1)<<first
	if (x>>8^y)&between == 0 || (y>>8^x)&between == 0 {
		return 2
	}
	return 3
}
