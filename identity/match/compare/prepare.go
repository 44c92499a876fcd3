package compare

import (
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// prepare makes a raw value comparable; without text it is none.
func prepare(kind Kind, raw string) value {
	raw = strings.TrimSpace(raw)
	if Missing(raw) {
		return value{}
	}
	switch kind {
	case Date:
		return date(raw)
	case Number:
		amount, err := strconv.ParseFloat(raw, 64) // 1e3, too
		if plain, ok := Amount(raw); ok {
			amount, err = strconv.ParseFloat(plain, 64)
		}
		if err != nil || amount != amount {
			return value{}
		}
		return value{text: strconv.FormatFloat(amount, 'g', -1, 64), amount: amount}
	case Code:
		return value{text: strings.ReplaceAll(Fold(raw), " ", "")}
	case Phone:
		if digits := phone(raw); !oneDigit(digits) {
			return value{text: digits}
		}
		return value{}
	case Email:
		return email(raw)
	case Address:
		return address(raw)
	case ChineseAddress:
		return chineseAddress(raw)
	case Place:
		return coordinates(raw)
	case MaskedPhone:
		return value{text: phone(raw)}
	case MaskedText:
		return value{text: shownText(raw)}
	case ChineseName, MaskedName:
		return value{text: oneStar(strings.ReplaceAll(Fold(raw), " ", ""))}
	case Name:
		return value{text: oneStar(Fold(raw))}
	case Text:
		text := Fold(raw)
		return value{text: place(text), masked: strings.IndexByte(text, '*') >= 0}
	case Category:
	}
	return value{text: Fold(raw)}
}

// oneStar makes one star of several: how many a platform writes says nothing
// of what they hide. Stars alone are no value.
func oneStar(text string) string {
	if strings.IndexByte(text, '*') < 0 {
		return text
	}
	for strings.Contains(text, "**") {
		text = strings.ReplaceAll(text, "**", "*")
	}
	if text == "*" {
		return ""
	}
	return text
}

// abroad are the signs of provinces and cities, which are written or left out,
// and what stands for a masked part.
var abroad = strings.NewReplacer("中国", "", "省", "", "市", "", "壮族自治区", "", "回族自治区", "", "维吾尔自治区", "", "自治区", "", "特别行政区", "", "*", "")

// place leaves out of a text in Chinese what addresses are written with or
// without.
func place(text string) string {
	if ascii(text) && strings.IndexByte(text, '*') < 0 {
		return text
	}
	return strings.TrimSpace(abroad.Replace(text))
}

// Missing says that a text stands for no value: it is empty, or what a program or
// a person writes for nothing.
func Missing(raw string) bool {
	const longest = 9
	if len(raw) > longest {
		return false
	}
	switch strings.ToLower(strings.TrimSpace(raw)) {
	case "", "-", "--", "---", "?", ".", "n/a", "#n/a", "n.a.", "na", "nan", "null", "(null)", "<null>", "none", "nil", "\\n", "unknown", "无", "未知":
		return true
	}
	return false
}

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
// out behind a country's code.
func phone(raw string) string {
	if strings.ContainsAny(raw, hiding) {
		raw = hidden.ReplaceAllStringFunc(raw, func(signs string) string { return strings.Repeat("*", utf8.RuneCountInString(signs)) })
	}
	digits := Digits(raw)
	raw = strings.TrimSpace(raw)
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

// ofMobile says that digits and stars may be a mobile number of China.
func ofMobile(digits string) bool {
	return len(digits) == 11 && digits[0] == '1' && (digits[1] >= '3' && digits[1] <= '9' || digits[1] == '*')
}

func email(raw string) value {
	text := strings.ToLower(raw)
	at := strings.IndexByte(text, '@')
	if at < 0 {
		// A slip in the sign itself: what is before the first dot behind the
		// last digit is anybody's guess, so the whole is compared.
		return value{text: text, user: len(text)}
	}
	return value{text: text, user: at}
}

// streets maps the ways to write a kind of road to one: none. The kind says
// little, and is left out as often as it is written.
var streets = map[string]bool{
	"st": true, "street": true, "ave": true, "av": true, "avenue": true, "rd": true, "road": true,
	"blv": true, "blvd": true, "boulevard": true, "dr": true, "drive": true, "ln": true, "lane": true, "pl": true, "place": true,
	"ct": true, "court": true, "hwy": true, "highway": true, "pkwy": true, "parkway": true, "sq": true, "square": true,
}

var directions = map[string]string{"north": "n", "south": "s", "east": "e", "west": "w"}

// address folds an address, shortens directions, drops the kind of road and
// takes the first number for the house's.
func address(raw string) value {
	var v value
	var b strings.Builder
	words := 0
	folded := Fold(raw)
	for text := range strings.FieldsSeq(folded) {
		if short, ok := directions[text]; ok {
			text = short
		}
		if words > 0 && streets[text] {
			continue
		}
		if v.number == "" && text[0] >= '0' && text[0] <= '9' && !ordinal(text) {
			v.number = text
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(text)
		words++
	}
	v.text = b.String()
	return v
}

// ordinal says that a word counts streets, not houses: 52nd.
func ordinal(text string) bool {
	return strings.HasSuffix(text, "st") || strings.HasSuffix(text, "nd") || strings.HasSuffix(text, "rd") || strings.HasSuffix(text, "th")
}

// verdict is what two values say of each other of which a star hides a part.
type verdict int

const (
	contradict verdict = iota // in what both show
	open                      // both show too little in the same place
	fit
)

// fitMask is fitsMask for texts.
func fitMask(x, y string) verdict {
	var bufA, bufB symbols
	return fitsMask(bufA.set(x), bufB.set(y), 1)
}

// fitsMask says whether two texts, in at least one of which a star hides
// something, can be the same: what is shown before the first star and behind
// the last one agrees as far as both show it, and so much of it does. 张* and *伟
// show nothing in one place, and leave it open.
func fitsMask[T byte | rune](a, b []T, least int) verdict {
	shown := 0
	enough := func() verdict {
		if shown < least {
			return open
		}
		return fit
	}
	i := 0
	for i < len(a) && i < len(b) && a[i] != '*' && b[i] != '*' {
		if a[i] != b[i] {
			return contradict
		}
		i++
		shown++
	}
	if i == len(a) || i == len(b) {
		// One ends before any star: the other must hide the rest, if any.
		rest := a[i:]
		if i == len(a) {
			rest = b[i:]
		}
		if len(rest) > 0 && rest[0] != '*' {
			return contradict
		}
		return enough()
	}
	for k := 1; k <= min(len(a), len(b))-i && a[len(a)-k] != '*' && b[len(b)-k] != '*'; k++ {
		if a[len(a)-k] != b[len(b)-k] {
			return contradict
		}
		shown++
	}
	return enough()
}
