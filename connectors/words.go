package connectors

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// Word is a word of an export in the form in which it is compared with others: with
// ASCII's signs in place of the full-width ones, and without blanks.
func Word(word string) string {
	return strings.Join(strings.Fields(narrow(word)), "")
}

// mostChoice is how many characters a choice of a list has at most: the longest that is
// known, 商品描述的尺寸/颜色/型号与实物不符, has eighteen.
const mostChoice = 30

// personal is what no choice of a list has: five digits, also with blanks, dots or
// dashes between them; an e-mail address; a place with a number behind it, in digits or
// in words.
var personal = regexp.MustCompile(`[0-9](?:[ .·_—–-]{0,3}[0-9]){4}|@|[\n\r]|[省市区县镇乡村路街巷弄][^0-9]*[0-9]|[路街巷弄村区][^一二三四五六七八九十百零]*[一二三四五六七八九十百零]+(?:号|栋|幢|单元|室|楼)`)

// Choice is the reason or subject that somebody chose of a list; empty where the text is
// long, or holds what a list's choice does not: a phone, an address. That was written by
// hand, and stays in the raw payload, which is sealed. A name alone cannot be told from
// a choice.
func Choice(text string) string {
	if utf8.RuneCountInString(text) > mostChoice || personal.MatchString(narrow(text)) {
		return ""
	}
	return text
}
