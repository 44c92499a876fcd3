package compare

import (
	"math"
	"strconv"
	"strings"
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
		if err != nil || math.IsNaN(amount) || math.IsInf(amount, 0) {
			return value{}
		}
		return value{text: strconv.FormatFloat(amount, 'g', -1, 64), amount: amount}
	case Code:
		if address, ok := IP(raw); ok {
			return value{text: address} // its marks say which digits go together
		}
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
	case ChineseName:
		return value{text: withoutTitle(simplified(strings.ReplaceAll(Fold(raw), " ", "")))}
	case MaskedName:
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

// email leaves out the name that stands before an address in angle brackets.
func email(raw string) value {
	text := strings.ToLower(raw)
	if name := strings.LastIndexByte(text, '<'); name >= 0 && strings.HasSuffix(text, ">") {
		text = strings.TrimSpace(text[name+1 : len(text)-1])
	}
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
