package tablefile

import "strconv"

// Harmless is a field for a CSV file that people may open in a spreadsheet: a
// text that the spreadsheet would run as a formula is told to be a text, by an
// apostrophe before it. A number stays one, also a negative.
func Harmless(field string) string {
	if field == "" || !Dangerous(field[0]) {
		return field
	}
	if _, err := strconv.ParseFloat(field, 64); err == nil && field[0] != '\t' {
		return field
	}
	return "'" + field
}

// Dangerous says whether a spreadsheet may take a text that begins so for a
// formula.
func Dangerous(first byte) bool {
	switch first {
	case '=', '+', '-', '@', '\t', '\r', '\n':
		return true
	}
	return false
}
