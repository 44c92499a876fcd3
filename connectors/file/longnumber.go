package file

import (
	"strings"

	"oneid/internal/tablefile"
)

// spreadDigits is how many digits of a number a spreadsheet keeps; the others it
// makes zeros.
const spreadDigits = 15

// isLong says that a cell is a number that is not marked as text, of more digits
// than a spreadsheet keeps.
func isLong(cell string) bool {
	return len(cell) > spreadDigits && strings.Trim(cell, "0123456789") == ""
}

// hasZeros says that a cell is a long number that ends as one of which a spreadsheet
// kept 15 digits. One of 18 digits in 1,000 does so by itself.
func hasZeros(cell string) bool {
	return strings.HasSuffix(cell, "0") && isLong(cell) && strings.Trim(cell[spreadDigits:], "0") == ""
}

// maybeFloat says that a cell is a long number with the digits of a 64-bit float: see
// tablefile.IsFloat.
func maybeFloat(cell string) bool { return isLong(cell) && tablefile.IsFloat(cell) }

// maybeRuined says that a cell is a long number that may have been rounded. The number
// alone tells nothing.
func maybeRuined(cell string) bool { return hasZeros(cell) || maybeFloat(cell) }
