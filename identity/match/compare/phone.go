package compare

import (
	"regexp"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// oneDigit says that a number is one digit over and over, as forms that ask for a
// phone are answered by who has none.
func oneDigit(digits string) bool {
	return len(digits) >= 7 && digits[0] != '*' && strings.Count(digits, digits[:1]) == len(digits)
}

// hiding are the signs that mask a part of a number, two or more of them, beside
// stars.
const hiding = "xX×●•"

var hidden = regexp.MustCompile("[" + hiding + "]{2,}")

// phone keeps the digits and stars of a number in the way in which it is dialled
// at home: without +86, 0086 or a bare 86 before a whole one, or +1; without the 0
// that some put before a mobile number, and with that of a landline, which is left
// out behind a country's code; without an extension. A mobile number with one is a
// platform's virtual one, which passes from buyer to buyer, and is none.
func phone(raw string) string {
	if strings.ContainsAny(raw, hiding) {
		raw = hidden.ReplaceAllStringFunc(raw, func(signs string) string { return strings.Repeat("*", utf8.RuneCountInString(signs)) })
	}
	raw = strings.TrimSpace(raw)
	line, extended := WithoutExtension(raw)
	number := dialled(line)
	if extended && ofMobile(number) {
		if american.MatchString(strings.TrimSpace(line)) {
			return number[1:]
		}
		return ""
	}
	return number
}

// american is a number of North America with the 1 before its area, which has as many
// digits as a mobile one of China.
var american = regexp.MustCompile(`^1[-. (]+[0-9]{3}[-. )]+[0-9]{3}[-. ]+[0-9]{4}$`)

// dialled is phone of a number without an extension.
func dialled(raw string) string {
	digits := Digits(raw)
	abroad := strings.HasPrefix(raw, "+") || strings.HasPrefix(raw, "＋")
	if !abroad && strings.HasPrefix(digits, "0086") {
		digits, abroad = digits[2:], true
	}
	if mobile, zero := strings.CutPrefix(digits, "0"); zero && ofMobile(mobile) {
		return mobile
	}
	if number, chinese := strings.CutPrefix(digits, "86"); chinese && (abroad || len(number) == 11) {
		mobile := strings.TrimPrefix(number, "0")
		switch {
		case ofMobile(mobile):
			return mobile
		case abroad && number != mobile && len(mobile) >= 9 && len(mobile) <= 11: // with the 0 of a landline
			return number
		case abroad && (len(number) == 10 || len(number) == 11) && number[0] >= '1' && number[0] <= '9':
			return "0" + number
		case len(number) == 11:
			return number
		}
	}
	switch {
	case len(digits) < 5:
		return ""
	case len(digits) == 11 && digits[0] == '1' && abroad:
		return digits[1:]
	}
	return digits
}

// extension is the end of a number with one of up to six digits, behind a word or
// a sign that says so, or behind a mark alone, which may part the groups of a number, too.
var extension = regexp.MustCompile(`(?i)^(.*[0-9*])[\s(]*(?:(转|轉|分机|分機|extension|ext|x|#)|[-–—‐ /(,;])[-. :(]*(?:分机|分機)?[号號]?[-. :]*[0-9]{1,6}[)\s]*$`)

// WithoutExtension cuts an extension off. Behind a mark alone it is one only if a
// whole number stands before it: 312-555-0147 has none.
func WithoutExtension(raw string) (line string, cut bool) {
	if strings.Trim(raw, "0123456789*") == "" {
		return raw, false
	}
	text := norm.NFKC.String(strings.ToValidUTF8(raw, ""))
	found := extension.FindStringSubmatch(text)
	if found == nil {
		return raw, false
	}
	digits := Digits(found[1])
	if found[2] != "" && len(digits) >= 7 || found[2] == "" && whole(found[1], digits) {
		return found[1], true
	}
	return raw, false
}

// whole says that digits are all of a number of China: of a mobile one, of a
// landline with its area, of 7 or 8 digits in one group without, or of a company.
func whole(text, digits string) bool {
	number := dialled(text)
	foreign := (strings.HasPrefix(text, "+") || strings.HasPrefix(digits, "00")) && !strings.HasPrefix(strings.TrimPrefix(digits, "00"), "86")
	switch {
	case ofMobile(number):
		return true
	case foreign || number == "":
		return false
	case strings.HasPrefix(number, "01") || strings.HasPrefix(number, "02"):
		return len(number) == 11
	case number[0] == '0':
		return len(number) == 11 || len(number) == 12
	case len(number) == 10:
		return strings.HasPrefix(number, "400") || strings.HasPrefix(number, "800")
	}
	return text == number && number[0] != '1' && (len(number) == 7 || len(number) == 8)
}

// ofMobile says that digits and stars may be a mobile number of China.
func ofMobile(digits string) bool {
	return len(digits) == 11 && digits[0] == '1' && (digits[1] >= '3' && digits[1] <= '9' || digits[1] == '*')
}
