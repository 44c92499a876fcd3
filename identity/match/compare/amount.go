package compare

import (
	"strings"
	"unicode"
)

// currencies are the codes that stand before or behind a price.
var currencies = [...]string{"USD", "EUR", "GBP", "CHF", "CNY", "RMB", "JPY", "HKD", "AUD", "CAD", "SEK", "NOK", "DKK", "PLN"}

// Amount gives a number or a price as it is written in programs: 1234.5 for
// $1,234.50, 1.234,50 € and USD 1 234.50; false for what is neither. A single comma
// or point before three digits parts thousands if it is a comma.
func Amount(raw string) (plain string, ok bool) {
	// Most texts of a table are told at a glance: digits alone are themselves, and
	// without a digit, or with a small letter, there is no amount.
	digits, small := 0, false
	for i := range len(raw) {
		if raw[i] >= '0' && raw[i] <= '9' {
			digits++
		}
		small = small || raw[i] >= 'a' && raw[i] <= 'z'
	}
	switch {
	case digits == 0 || small:
		return "", false
	case digits == len(raw):
		return raw, true
	}
	return amount(raw)
}

// amount is Amount of any text.
func amount(raw string) (plain string, ok bool) {
	text, minus := strings.TrimSpace(raw), false
	for range 2 { // before the currency or behind it
		if rest, found := strings.CutPrefix(text, "-"); found && !minus {
			text, minus = strings.TrimSpace(rest), true
		}
		text = withoutCurrency(text)
	}
	whole, behind := text, ""
	point, comma := strings.LastIndexByte(text, '.'), strings.LastIndexByte(text, ',')
	at := max(point, comma)
	switch {
	case at < 0:
	case point >= 0 && comma >= 0, strings.Count(text, ".") == 1 && comma < 0,
		strings.Count(text, ",") == 1 && (len(text)-at != 4 || at == 0 || at > 3 || text[0] == '0'):
		whole, behind = text[:at], text[at+1:]
	}
	whole, ok = wholeNumber(whole)
	if !ok || at >= 0 && behind != "" && strings.IndexByte(text[:at], text[at]) >= 0 || // two numbers, as of a place
		whole+behind == "" || strings.TrimLeft(behind, "0123456789") != "" {
		return "", false
	}
	if whole == "" {
		whole = "0"
	}
	if behind != "" {
		whole += "." + behind
	}
	if minus {
		whole = "-" + whole
	}
	return whole, true
}

// withoutCurrency takes a sign or a code of a currency off either end.
func withoutCurrency(text string) string {
	text = strings.TrimFunc(text, func(r rune) bool { return unicode.Is(unicode.Sc, r) || unicode.IsSpace(r) || r == '元' })
	for _, code := range currencies {
		if rest, found := strings.CutPrefix(text, code); found {
			return strings.TrimSpace(rest)
		}
		if rest, found := strings.CutSuffix(text, code); found {
			return strings.TrimSpace(rest)
		}
	}
	return text
}

// wholeNumber joins the digits of a whole number, whose thousands one sign may part, in
// India their hundreds too (12,34,567).
func wholeNumber(text string) (digits string, ok bool) {
	groups := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(",. '\u00a0\u202f", r) })
	for i, group := range groups {
		if strings.TrimLeft(group, "0123456789") != "" || i > 0 && len(group) != 3 && (len(group) != 2 || i == len(groups)-1) || i == 0 && len(groups) > 1 && len(group) > 3 {
			return "", false
		}
	}
	return strings.Join(groups, ""), true
}
