// Package normalize turns a raw identifier into its comparable form: two
// values that mean the same become equal, and one that points at nobody
// becomes nothing, with the reason.
package normalize

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/nyaruka/phonenumbers"
	"golang.org/x/text/unicode/norm"

	"oneid/identity"
)

// Reason says why a value points at nobody; "" if it does point.
type Reason string

// The reasons.
const (
	Empty     Reason = "empty"
	Masked    Reason = "masked"    // 138****1111, or a platform's cipher text
	Virtual   Reason = "virtual"   // a privacy number with an extension or an expiry
	Malformed Reason = "malformed" // not of its type
)

// maxBytes bounds what is looked at: no identifier is longer.
const maxBytes = 512

// Normalize returns the comparable form of a raw value of a type. ok is false
// if the value points at nobody; Check says why.
func Normalize(typ identity.IdentifierType, raw string) (value string, ok bool) {
	value, reason := Check(typ, raw)
	return value, reason == ""
}

// Check is Normalize with the reason for which a value points at nobody.
func Check(typ identity.IdentifierType, raw string) (string, Reason) {
	switch typ {
	case identity.Phone:
		return Phone(raw)
	case identity.Email:
		return Email(raw)
	case identity.TmallMixMobile:
		return mixMobile(raw)
	case identity.MemberCard, identity.ExternalCustomer:
		return card(raw)
	default:
		return opaque(raw)
	}
}

// clean makes full-width forms plain and takes off what surrounds a value.
func clean(raw string) (string, Reason) {
	if len(raw) > maxBytes {
		return "", Malformed
	}
	if plain(raw) {
		return raw, ""
	}
	s := norm.NFKC.String(strings.ToValidUTF8(raw, ""))
	s = strings.TrimFunc(s, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) })
	if s == "" {
		return "", Empty
	}
	return s, ""
}

// plain says whether a text is printable ASCII without a space, as nearly all
// ids are: to clean it would change nothing.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return s != ""
}

// Phone returns a mainland mobile number as its 11 digits and any other
// number as +CC and digits. A number with an extension or an expiry is a
// platform's virtual one (虚拟号), which passes from buyer to buyer within
// days, and points at nobody; a landline with its exchange's extension does
// so too, for it is a company's.
func Phone(raw string) (string, Reason) {
	if mobile(raw) {
		return raw, "" // nearly always
	}
	s, reason := clean(raw)
	if reason != "" {
		return "", reason
	}
	if hidden(s) || strings.Contains(s, "--") {
		return "", Masked
	}
	digits := make([]byte, 0, len(s))
	plus, groups := false, 0
	last := rune(0)
	for i, r := range s {
		switch {
		case r >= '0' && r <= '9':
			if last != 0 && (last < '0' || last > '9') {
				groups++
			}
			digits = append(digits, byte(r))
		case r == '+' && len(digits) == 0:
			plus = true
		case r == 'x' && len(digits) > 0 && len(digits) < 7:
			return "", Masked
		case r == ' ' || r == '-' || r == '.' || r == '(' || r == ')' || r == '/' || r == '‐' || r == '–' || r == '—':
			// Eleven digits of a mobile number and more behind a separator.
			if last >= '0' && last <= '9' && endsMobile(digits) && strings.ContainsFunc(s[i:], isDigit) {
				return "", Virtual
			}
		case r == ',' || r == '#' || r == ';' || r == '转' || r == '轉' || r == '分' || r == 'e' || r == 'E' || r == 'x' || r == 'X' || r == '_':
			if len(digits) >= 7 {
				return "", Virtual
			}
			return "", Malformed
		case r == '~' || r == '$' || r == '=':
			return "", Masked // cipher text
		case unicode.IsSpace(r):
		default:
			if len(digits) >= 11 {
				return "", Virtual // 13800001111(有效期至…)
			}
			return "", Malformed
		}
		last = r
	}
	number := string(digits)
	switch {
	case number == "":
		return "", Malformed
	case !plus && strings.HasPrefix(number, "00"):
		number, plus = number[2:], true
	}
	if rest, ok := strings.CutPrefix(number, "86"); ok && mobile(strings.TrimPrefix(rest, "0")) {
		return strings.TrimPrefix(rest, "0"), ""
	}
	if !plus && mobile(strings.TrimPrefix(number, "0")) {
		return strings.TrimPrefix(number, "0"), ""
	}
	if plus {
		number = "+" + number
	}
	parsed, err := phonenumbers.Parse(number, "CN")
	if err != nil || !phonenumbers.IsValidNumber(parsed) {
		return "", Malformed
	}
	if parsed.GetExtension() != "" {
		return "", Virtual
	}
	e164 := phonenumbers.Format(parsed, phonenumbers.E164)
	if rest, ok := strings.CutPrefix(e164, "+86"); ok && mobile(rest) {
		return rest, ""
	}
	return e164, ""
}

func isDigit(r rune) bool { return r >= '0' && r <= '9' }

// mobile says whether s is a mainland mobile number: 1, 3 to 9, nine digits.
// 17x and 16x numbers of virtual operators are people's own.
func mobile(s string) bool {
	if len(s) != 11 || s[0] != '1' || s[1] < '3' || s[1] > '9' {
		return false
	}
	for i := 2; i < 11; i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// endsMobile says whether the digits so far are a whole mobile number.
func endsMobile(digits []byte) bool {
	s := string(digits)
	return mobile(s) || len(s) >= 13 && strings.HasPrefix(strings.TrimPrefix(s, "00"), "86") && mobile(s[len(s)-11:])
}

// Email returns an address in lower case, without the name that may stand before
// it in angle brackets: Li Wei <liwei@qq.com>.
func Email(raw string) (string, Reason) {
	s, reason := clean(raw)
	if reason != "" {
		return "", reason
	}
	if name, address, found := strings.Cut(s, "<"); found && strings.HasSuffix(address, ">") && !strings.Contains(name, "@") {
		s = strings.TrimSpace(strings.TrimSuffix(address, ">"))
	}
	s = strings.ToLower(s)
	local, domain, ok := strings.Cut(s, "@")
	switch {
	case hidden(s) || strings.Contains(local, "xxxx"): // three may be initials
		return "", Masked
	case !ok || local == "" || !strings.Contains(domain, ".") || strings.HasPrefix(domain, ".") || strings.HasSuffix(domain, ".") ||
		strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }) || strings.Contains(domain, "@") || strings.ContainsAny(s, "<>"):
		return "", Malformed
	}
	return s, ""
}

// card returns a number of the brand's own: upper case, no separators.
func card(raw string) (string, Reason) {
	s, reason := clean(raw)
	if reason != "" {
		return "", reason
	}
	if nobody(s) {
		return "", Empty
	}
	if hidden(s) || hiddenBySeparators(s) {
		return "", Masked
	}
	s = strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToUpper(r)
		}
		return -1
	}, s)
	switch {
	case strings.Trim(s, "0") == "":
		return "", Malformed
	case nobody(s): // N.A. and N-A, too, once the separators are gone
		return "", Empty
	case hidden(s) || hiddenByX(strings.ToLower(s), 3):
		return "", Masked
	}
	return s, ""
}

// mixMobile returns Tmall's hash of a phone: 32 hexadecimal digits.
func mixMobile(raw string) (string, Reason) {
	s, reason := clean(raw)
	if reason != "" {
		return "", reason
	}
	s = strings.ToLower(s)
	if strings.Contains(s, "*") {
		return "", Masked
	}
	if len(s) != 32 || strings.Trim(s, "0123456789abcdef") != "" {
		return "", Malformed
	}
	return s, ""
}

// opaque returns a platform's id as it is, for its letters' case counts.
func opaque(raw string) (string, Reason) {
	if usual(raw) {
		return raw, ""
	}
	return anyOpaque(raw)
}

func anyOpaque(raw string) (string, Reason) {
	s, reason := clean(raw)
	switch {
	case reason != "":
		return "", reason
	case nobody(s) || strings.Trim(s, "0") == "":
		return "", Empty
	case hidden(s):
		return "", Masked
	case !plain(s) && strings.ContainsFunc(s, unicode.IsSpace):
		return "", Malformed
	}
	return s, ""
}

// nobody says of a clean text that it stands where somebody had no id: taken for
// one it would make one person of all who have none.
func nobody(s string) bool {
	if !strings.ContainsFunc(s, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }) {
		return true
	}
	if utf8.RuneCountInString(s) > len("undefined") { // the longest of them
		return false
	}
	switch strings.ToLower(s) {
	case "null", "undefined", "none", "nil", "nan", "n/a", "na", "#n/a", "\\n", "unknown", "false", "空", "无", "暂无", "没有", "未知", "未填写", "未绑定":
		return true
	}
	return false
}

// Name returns a name for comparison: no spaces, no title, lower case; ""
// for one that is masked through and through.
func Name(raw string) string {
	s, reason := clean(raw)
	if reason != "" {
		return ""
	}
	s = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || r == '·' || r == '.' {
			return -1
		}
		return unicode.ToLower(r)
	}, s)
	for _, title := range []string{"先生", "女士", "小姐"} {
		s = strings.TrimSuffix(s, title)
	}
	if strings.Trim(s, "*") == "" {
		return ""
	}
	return s
}

// Region returns a province, city or district without the word for its kind,
// as platforms write it with and without.
func Region(raw string) string {
	s, reason := clean(raw)
	if reason != "" {
		return ""
	}
	for _, kind := range []string{"维吾尔自治区", "壮族自治区", "回族自治区", "特别行政区", "自治区", "自治州", "省", "市", "区", "县"} {
		if rest, ok := strings.CutSuffix(s, kind); ok && len([]rune(rest)) >= 2 {
			return rest
		}
	}
	return s
}
