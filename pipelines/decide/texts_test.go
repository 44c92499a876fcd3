package decide

import (
	"strings"
	"testing"
)

// Who and why are printed in lists and kept in topics that hold UTF-8 alone.
func TestTexts(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"母女共用一个号码":                     true,
		"mother's phone":               true,
		strings.Repeat("a", MaxText):   true,
		"":                             false,
		" \t":                          false,
		strings.Repeat("a", MaxText+1): false,
		"\xc9\xcf\xba\xa3":             false, // GBK, as some terminals send it
		"right\x1b[2J":                 false, // clears the screen of who lists it
		"right\nDECISION  fake":        false,
	} {
		if got := texts("somebody", text); got != want {
			t.Errorf("texts(%q) = %t, want %t", text, got, want)
		}
	}
}
