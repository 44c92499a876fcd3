package compare

import (
	_ "embed" // the characters
	"strings"
	"sync"
	"unicode/utf8"
)

//go:embed traditional/characters.txt
var traditionalFile string

// simplifiedOf has the simplified forms of traditional characters. It is read
// when it is asked for first.
var simplifiedOf = sync.OnceValue(func() map[rune]rune {
	of := map[rune]rune{}
	for line := range strings.Lines(traditionalFile) {
		form, written, _ := strings.Cut(strings.TrimSpace(line), " ")
		simple, _ := utf8.DecodeRuneInString(form)
		for _, r := range written {
			of[r] = simple
		}
	}
	return of
})

// simplified writes a text in simplified characters.
func simplified(text string) string {
	if ascii(text) {
		return text
	}
	of := simplifiedOf()
	return strings.Map(func(r rune) rune {
		if simple, ok := of[r]; ok {
			return simple
		}
		return r
	}, text)
}
