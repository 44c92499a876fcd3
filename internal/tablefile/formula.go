package tablefile

import (
	"strconv"
	"unicode/utf8"
)

// Harmless is a field for a CSV file that people may open in a spreadsheet: a
// text that the spreadsheet would run as a formula is told to be a text, by an
// apostrophe before it. A number stays one, also a negative.
func Harmless(field string) string {
	if first, _ := utf8.DecodeRuneInString(field); !Dangerous(first) {
		return field
	}
	if _, err := strconv.ParseFloat(field, 64); err == nil && field[0] != '\t' {
		return field
	}
	return "'" + field
}

// Dangerous says whether a spreadsheet may take a text that begins so for a
// formula. Those of East Asia take the full-width forms, too. A byte-order mark
// that is the first thing of a file is taken off, and what follows it begins.
func Dangerous(first rune) bool {
	switch first {
	case '=', '+', '-', '@', '\t', '\r', '\n', '\ufeff', '＝', '＋', '－', '＠':
		return true
	}
	return false
}
