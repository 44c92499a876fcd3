package compare

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// numberedUnits are the words of an address before which a numeral counts, and does
// not name: 八十八号, but 中山五路 and 三里屯.
var numberedUnits = []string{"号", "单元", "栋", "幢", "座", "室", "层", "楼", "房", "弄"}

// named are the words behind these that make a name of all: 三号路, 八号桥.
var named = []string{"路", "街", "大道", "道", "巷", "弄", "胡同", "桥", "村", "镇", "乡", "屯", "沟", "渠", "井"}

const (
	numeralDigits = "零一二三四五六七八九"
	// mostNumerals bounds the characters of one number.
	mostNumerals = 8
)

// arabic writes the Chinese numerals that stand before a word like 号 in digits:
// 八十八号 becomes 88号, 五零一室 501室.
func arabic(text string) string {
	if ascii(text) {
		return text
	}
	var b strings.Builder
	for len(text) > 0 {
		size := numeralSize(text)
		if number, ok := numeral(text[:size]); ok && counts(text[size:]) {
			b.WriteString(strconv.Itoa(number))
		} else if size > 0 {
			b.WriteString(text[:size])
		} else {
			_, size = utf8.DecodeRuneInString(text)
			b.WriteString(text[:size])
		}
		text = text[size:]
	}
	return b.String()
}

// counts says that what a text begins with is counted by the numeral before it.
func counts(text string) bool {
	for _, unit := range numberedUnits {
		if after, ok := strings.CutPrefix(text, unit); ok {
			return !startsWith(after, named...)
		}
	}
	return false
}

// numeralSize is how many bytes of Chinese numerals a text begins with.
func numeralSize(text string) int {
	for i, r := range text {
		if !strings.ContainsRune(numeralDigits+"十百千两", r) {
			return i
		}
	}
	return len(text)
}

// numeral reads a Chinese number below 10,000, or one that is written digit by
// digit; false for what is none. A 0 in front would be lost, so it is none.
func numeral(text string) (number int, ok bool) {
	runes := []rune(text)
	if len(runes) == 0 || len(runes) > mostNumerals || runes[0] == '零' {
		return 0, false
	}
	if !strings.ContainsAny(text, "十百千") {
		for _, r := range runes {
			digit, ok := numeralDigit(r)
			if !ok || r == '两' && len(runes) > 1 {
				return 0, false
			}
			number = number*10 + digit
		}
		return number, true
	}
	digit, has, above := 0, false, 10_000
	for _, r := range runes {
		if unit := map[rune]int{'十': 10, '百': 100, '千': 1000}[r]; unit > 0 {
			if unit >= above || !has && unit != 10 {
				return 0, false
			}
			if !has {
				digit = 1 // 十二
			}
			number, digit, has, above = number+digit*unit, 0, false, unit
			continue
		}
		one, isDigit := numeralDigit(r)
		if !isDigit || has && digit != 0 {
			return 0, false
		}
		digit, has = one, one != 0
	}
	if has && above == 10 || has && runes[len(runes)-2] == '零' {
		return number + digit, true
	}
	return number, !has // 一百五 is 150 to some and nothing sure
}

func numeralDigit(r rune) (int, bool) {
	switch r {
	case '零':
		return 0, true
	case '两':
		return 2, true
	}
	at := strings.IndexRune("一二三四五六七八九", r)
	return at/len("一") + 1, at >= 0
}
