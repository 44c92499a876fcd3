package connectors

import (
	"errors"
	"slices"
	"testing"
)

func TestCellNumber(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cell, want string
		err        error
	}{
		"plain":                      {"3701234567890123456", "3701234567890123456", nil},
		"plain, zeros by chance":     {"370123456789012000", "370123456789012000", nil},
		"plain, 19 rounded":          {"3701234567890120000", "", ErrRuined},
		"marked, zeros":              {`="3701234567890120000"`, "3701234567890120000", nil},
		"a tab, zeros":               {"\t3701234567890120000", "3701234567890120000", nil},
		"an apostrophe, zeros":       {"'3701234567890120000", "3701234567890120000", nil},
		"as an amount":               {"3701234567890120000.00", "", ErrRuined},
		"as an amount, whole":        {"3700000000000000123.0", "", ErrRuined},
		"a point":                    {"3700000000000000123.", "", ErrRuined},
		"thousands":                  {"3,701,234,567,890,120,000", "", ErrRuined},
		"thousands, 18 digits":       {"370,123,456,789,012,000", "", ErrRuined},
		"thousands of a European":    {"370.123.456.789.012.000,00", "", ErrRuined},
		"thousands of a Swiss":       {"370’123’456’789’012’000", "", ErrRuined},
		"thousands with blanks":      {"370 123 456 789 012 000", "", ErrRuined},
		"thousands, full width":      {"３７０，１２３，４５６，７８９，０１２，０００", "", ErrRuined},
		"thousands, marked":          {"\t370,123,456,789,012,000", "", ErrRuined},
		"a sign":                     {"+3700000000000000123", "", ErrRuined},
		"15 digits as an amount":     {"370123456789012.00", "", ErrRuined},
		"14 digits as an amount":     {"37012345678901.00", "37012345678901", nil},
		"short, thousands":           {"1,234.00", "1234", nil},
		"exponent":                   {"3.7E+18", "", ErrRuined},
		"exponent, small":            {"3.7e18", "", ErrRuined},
		"exponent with a comma":      {"3,7E+18", "", ErrRuined},
		"exponent with a sign":       {"+3.7E+18", "", ErrRuined},
		"exponent, times":            {"3.7×10^18", "", ErrRuined},
		"exponent, times, raised":    {"3.7 × 10¹⁸", "", ErrRuined},
		"exponent, x":                {"3.7x10^18", "", ErrRuined},
		"exponent of an engineer":    {"370E+16", "", ErrRuined},
		"exponent, 370.12":           {"370.12E+16", "", ErrRuined},
		"exponent, full width":       {"３．７Ｅ＋１８", "", ErrRuined},
		"exponent without fraction":  {"4E+18", "", ErrRuined},
		"a number with an E":         {"T370E12", "T370E12", nil},
		"with a dash":                {"3700000000000000101-2", "3700000000000000101-2", nil},
		"empty":                      {" ", "", ErrNoNumber},
		"a dash":                     {"-", "", ErrNoNumber},
		"words":                      {"total", "", errNumber},
		"a blank inside":             {"370 12", "", errNumber},
		"short with the blanks of a": {"1 234", "", errNumber},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := CellNumber(c.cell); got != c.want || !errors.Is(err, c.err) {
				t.Errorf("CellNumber(%q) = %q, %v; want %q, %v", c.cell, got, err, c.want, c.err)
			}
		})
	}
}

func TestCellNumbers(t *testing.T) {
	t.Parallel()
	for cell, want := range map[string][]string{
		"6910000000000000011":                       {"6910000000000000011"},
		"\t6910000000000000000;6920000000000000000": {"6910000000000000000", "6920000000000000000"},
		"\t691；\t692; ":                             {"691", "692"},
		"6910000000000000000;6920000000000000001":   nil,
		"691;6.9E+18":                               nil,
		"\t691;6920000000000000001.00":              nil,
		";":                                         nil,
	} {
		if got, err := CellNumbers(cell); !slices.Equal(got, want) || (err == nil) != (want != nil) {
			t.Errorf("CellNumbers(%q) = %q, %v; want %q", cell, got, err, want)
		}
	}
}
