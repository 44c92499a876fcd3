package normalize

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"oneid/identity"
)

// mostRunes bounds a field of an appearance: no name or address needs more.
const mostRunes = 64

// AsSeen is a receiver as the state keeps him: each field in its comparable
// form and masked at least as platforms mask it, so that no whole name, number
// or address is left. What is masked already stays as its platform masked it.
// A virtual number, which is another at every order, is left out. A town that
// stands in the detail is cut off first, so that masks by place hide the same
// characters whether a platform has a field for it or not.
func AsSeen(name, phone, province, city, district, town, detail string) identity.Appearance {
	town, detail = field(town), field(detail)
	if town == "" {
		town, detail = Town(detail)
	}
	return identity.Appearance{
		Name: maskName(name), Phone: maskPhone(phone), Detail: maskDetail(detail),
		Province: field(province), City: field(city), District: field(district), Town: town,
	}
}

// Tells says whether an appearance tells more than a region: who could not be
// compared is no evidence.
func Tells(a identity.Appearance) bool { return a.Name != "" || a.Phone != "" || a.Detail != "" }

// field is a text without spaces, in plain forms, cut to what is compared.
func field(raw string) string {
	s, reason := clean(raw)
	if reason != "" {
		return ""
	}
	n := 0
	return norm.NFKC.String(strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r) || !unicode.IsPrint(r):
			return -1
		case isMask(r):
			r = '*'
		}
		if n++; n > mostRunes {
			return -1
		}
		return r
	}, s)) // again: what a space kept apart may be one character
}

// maskName leaves the first character: 王**. A name that a platform has masked
// keeps what that shows, the last character it may be, but no more than half of it.
func maskName(raw string) string {
	runes := []rune(field(raw))
	most, shown := 1, 0
	if slices.Contains(runes, '*') {
		most = (len(runes) + 1) / 2
	}
	for i, r := range runes {
		if r == '*' {
			continue
		}
		if shown++; shown > most {
			runes[i] = '*'
		}
	}
	if strings.Trim(string(runes), "*") == "" {
		return ""
	}
	return string(runes)
}

// shownDigits are the most that a platform shows of a phone: 138****1135.
const shownDigits = 7

// maskPhone leaves the last four digits: *******1135. A number that a platform
// has masked stays as it is.
func maskPhone(raw string) string {
	value, reason := Phone(raw)
	switch reason {
	case "":
		return strings.Repeat("*", max(0, len(value)-4)) + value[max(0, len(value)-4):]
	case Masked:
	default:
		return ""
	}
	digits := 0
	masked := strings.Map(func(r rune) rune {
		switch {
		case r == '*':
			return r
		case isDigit(r):
			if digits++; digits > shownDigits {
				return '*'
			}
			return r
		}
		return -1
	}, field(raw))
	if digits == 0 || !strings.Contains(masked, "*") {
		return "" // cipher text, whose digits say nothing
	}
	return masked
}

// maskDetail leaves every second character: 文*西*1*8*. One that a platform has
// masked stays as it is, if at least a third of it is hidden.
func maskDetail(raw string) string {
	runes := []rune(field(raw))
	if strings.Count(string(runes), "*")*3 < len(runes) {
		for i := 1; i < len(runes); i += 2 {
			runes[i] = '*'
		}
	}
	if strings.Trim(string(runes), "*") == "" {
		return ""
	}
	return string(runes)
}

// AppearanceValue is the value of an identifier of identity.AppearanceType, as it
// is hashed and sealed: a JSON array of the seven fields in their order.
func AppearanceValue(a identity.Appearance) string {
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode([7]string{a.Name, a.Phone, a.Province, a.City, a.District, a.Town, a.Detail}); err != nil {
		panic(err) // texts only
	}
	return strings.TrimSuffix(text.String(), "\n")
}

var errAppearance = errors.New("normalize: read an appearance: want a JSON array of seven texts")

// ParseAppearance reads what AppearanceValue writes. The error repeats nothing of
// the value.
func ParseAppearance(value string) (identity.Appearance, error) {
	var fields []string
	if err := json.Unmarshal([]byte(value), &fields); err != nil || len(fields) != 7 {
		return identity.Appearance{}, errAppearance
	}
	return identity.Appearance{Name: fields[0], Phone: fields[1], Province: fields[2], City: fields[3], District: fields[4], Town: fields[5], Detail: fields[6]}, nil
}
