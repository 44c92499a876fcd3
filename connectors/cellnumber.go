package connectors

import (
	"errors"
	"regexp"
	"strings"
)

// What can be wrong with a cell that holds a number of something.
var (
	ErrNoNumber = errors.New("is empty")
	ErrRuined   = errors.New("is a number that a spreadsheet has rounded (as in 3.7E+18, 3,700,000,000,000,000,000 or 3700000000000000000.00): " +
		"export the file anew, and import it without opening it in between, or open it with this column as text")
	ErrRounded = errors.New("is one of long numbers that all end in zeros, or have the digits that a program keeps of floating points: those of the whole table were rounded: " +
		"export the file anew, and import it without opening it in between, or open it with this column as text")
	errNumber = errors.New("is no number of an order: it has no digit, blanks in it, or more than 64 characters")
)

// spreadDigits is how many digits of a number a spreadsheet keeps; the others it
// makes zeros.
const spreadDigits = 15

var (
	// exponent is a number of which a spreadsheet shows the first digits: 3.7E+18,
	// 3,7e18, 3.7×10^18, 370E+16.
	exponent = regexp.MustCompile(`^\+?(?:(?:[0-9]{1,3}[.,][0-9]*|[0-9])(?:[eE]\+?|[x×*]10\^?)|[0-9]{2,3}[eE]\+)[0-9]+$`)
	// dressed is a whole number in a form that spreadsheets give to amounts: with a
	// sign, with signs between thousands, with zeros behind the point.
	dressed = regexp.MustCompile(`^\+?([0-9]{1,3}(?:[,.'’ ][0-9]{3})+|[0-9]+)(?:[.,]0*)?$`)
	// undressed is that of which no digit is in doubt: 1,234.00.
	undressed  = regexp.MustCompile(`^([0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.0*)?$`)
	longNumber = regexp.MustCompile(`^[0-9]{19,}$`)

	superscript = strings.NewReplacer("⁰", "0", "¹", "1", "²", "2", "³", "3", "⁴", "4", "⁵", "5", "⁶", "6", "⁷", "7", "⁸", "8", "⁹", "9", "⁺", "+")
)

// narrow writes the full-width forms of digits, letters and signs as ASCII does.
func narrow(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= '！' && r <= '～' {
			return r - '！' + '!'
		}
		return r
	}, text)
}

// Ruined says that a text is what a spreadsheet makes of a long number that it
// takes for an amount: an exponent in any form, or so many digits as it cannot
// keep with what stands in amounts only.
func Ruined(text string) bool {
	text = narrow(text)
	if exponent.MatchString(superscript.Replace(strings.ReplaceAll(text, " ", ""))) {
		return true
	}
	found := dressed.FindStringSubmatch(text)
	return found != nil && !digitsOnly(text) && countDigits(found[1]) >= spreadDigits
}

func digitsOnly(text string) bool { return strings.Trim(text, "0123456789") == "" }

func countDigits(text string) (n int) {
	for _, r := range text {
		if r >= '0' && r <= '9' {
			n++
		}
	}
	return n
}

// CellNumber reads the number of an order or a refund. A spreadsheet that took
// it for an amount kept 15 digits of it and made the others 0: what looks so and
// was not marked as text is refused. Of a shorter one it lost nothing: 1,234.00 is
// the number 1234.
func CellNumber(cell string) (string, error) {
	number := CellText(cell)
	switch {
	case number == "" || number == "-":
		return "", ErrNoNumber
	case Ruined(number):
		return "", ErrRuined
	case !marked(cell) && longNumber.MatchString(number) && strings.Trim(number[spreadDigits:], "0") == "":
		return "", ErrRuined
	}
	if found := undressed.FindStringSubmatch(number); found != nil {
		number = strings.ReplaceAll(found[1], ",", "")
	}
	if len(number) > 64 || strings.ContainsAny(number, " \t\r\n\x00") || !strings.ContainsAny(number, "0123456789") {
		return "", errNumber
	}
	return number, nil
}

// marked says that a cell tells a spreadsheet that it is text.
func marked(cell string) bool {
	return strings.HasPrefix(cell, "\t") || strings.HasPrefix(cell, `="`) || strings.HasPrefix(cell, "'")
}

// CellNumbers reads the numbers of a cell that may hold several, with semicolons
// between; what marks the cell as text marks each.
func CellNumbers(cell string) (numbers []string, err error) {
	for part := range strings.FieldsFuncSeq(CellText(cell), func(r rune) bool { return r == ';' || r == '；' }) {
		part = CellText(part)
		if marked(cell) {
			part = "\t" + part
		}
		number, err := CellNumber(part)
		if errors.Is(err, ErrNoNumber) {
			continue
		}
		if err != nil {
			return nil, err
		}
		numbers = append(numbers, number)
	}
	if len(numbers) == 0 {
		return nil, ErrNoNumber
	}
	return numbers, nil
}
