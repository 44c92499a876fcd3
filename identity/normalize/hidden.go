package normalize

import "strings"

// isMask says that a sign is one that platforms, desks and people write over what
// they hide: 138****1111, 138●●●●1111, 张某.
func isMask(r rune) bool {
	switch r {
	case '*', '∗', '✱', '﹡', '＊', '•', '●', '×', '✕', '■', '█', '某':
		return true
	}
	return false
}

// hidden says that of a value a part is hidden, or all of it: it is masked, or it
// is a platform's ciphertext (~…~, $…$, #…#). What many share in the part that is
// shown would otherwise join them. A dot in the middle is a mask here and none in a
// name or a street, where 阿·某 and 二○二 are as they should be.
func hidden(s string) bool {
	if strings.ContainsFunc(s, func(r rune) bool { return isMask(r) || r == '·' || r == '○' || r == '□' || r == '…' }) {
		return true
	}
	for _, run := range []string{"..", "##", "??"} {
		if strings.Contains(s, run) {
			return true
		}
	}
	if len(s) > 2 && s[0] == s[len(s)-1] && strings.IndexByte("~$#", s[0]) >= 0 {
		return true
	}
	return strings.Trim(s, "0123456789xX") == "" && hiddenByX(strings.ToLower(s), 2)
}

// hiddenByX says that a run of letters x, of which at least so many stand behind
// something else, hides it: 12xxxx89. At the beginning it takes four, for two
// may be the brand's prefix; what has letters of its own may have an x or two, too.
func hiddenByX(lower string, run int) bool {
	return strings.HasPrefix(lower, "xxxx") || strings.Contains(strings.TrimLeft(lower, "x"), strings.Repeat("x", run))
}

// hiddenBySeparators says that a card's number has a run of one separator, which
// stands for digits: 1234----5678.
func hiddenBySeparators(s string) bool {
	for _, run := range []string{"--", "__", "//", "~~"} {
		if strings.Contains(s, run) {
			return true
		}
	}
	return false
}
