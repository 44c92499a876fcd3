package tablefile

import "unicode/utf8"

// encodingOf says what texts are that are not all UTF-8: GB18030, Windows-1252,
// or UTF-8 with some bytes broken.
//
// Nearly any text in a Western language can be read as GB18030: of "Muñoz" the
// third and fourth letters make one Chinese character, but none that people
// write. So a character counts as Western where a letter with an accent stands
// before one that goes on with the word, or before what is no second byte of
// GB18030's; and what there is more of decides.
func encodingOf(texts ...[]byte) Encoding {
	const most = 0.7
	all, valid, chinese, western := 0, 0, 0, 0
	for _, text := range texts {
		for rest := text; len(rest) > 0; {
			r, n := utf8.DecodeRune(rest)
			if r == utf8.RuneError {
				all++
			} else if n > 1 {
				all, valid = all+n, valid+n
			}
			rest = rest[n:]
		}
		for i := 0; i < len(text); i++ {
			if text[i] < utf8.RuneSelf {
				continue
			}
			switch n := chineseBytes(text[i:]); {
			case n == 0, n == 2 && wordGoesOn(text[i], text[i+1]):
				western++
			default:
				chinese++
				i += n - 1
			}
		}
	}
	switch {
	case float64(valid) >= most*float64(all):
		return UTF8
	case western > chinese:
		return Windows1252
	}
	return GB18030
}

// chineseBytes is how many bytes the character of GB18030 has that a text begins
// with: two or four, 0 if it is none.
func chineseBytes(text []byte) int {
	lead := func(i int) bool { return i < len(text) && text[i] >= 0x81 && text[i] < 0xff }
	digit := func(i int) bool { return i < len(text) && text[i] >= '0' && text[i] <= '9' }
	switch {
	case !lead(0) || len(text) < 2:
		return 0
	case digit(1) && lead(2) && digit(3):
		return 4
	case text[1] >= 0x40 && text[1] != 0x7f && text[1] < 0xff:
		return 2
	}
	return 0
}

// wordGoesOn says that two bytes are, in Windows-1252, a letter with an accent, or
// an apostrophe, and a letter of the same word: a small one, or a capital behind
// a capital or an apostrophe.
func wordGoesOn(first, next byte) bool {
	const apostrophe = 0x92
	small, capital := next >= 'a' && next <= 'z', next >= 'A' && next <= 'Z'
	switch first {
	case apostrophe, 0x8a, 0x8c, 0x8e, 0x9f: // ’ Š Œ Ž Ÿ
		return small || capital
	case 0x9a, 0x9c, 0x9e: // š œ ž
		return small
	case 0xd7, 0xf7: // × ÷
		return false
	}
	return small && first >= 0xc0 || capital && first >= 0xc0 && first <= 0xde
}
