package decide

import (
	"fmt"
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
		strings.Repeat("号", MaxText):   true, // as many as the API takes
		"":                             false,
		" \t":                          false,
		strings.Repeat("a", MaxText+1): false,
		strings.Repeat("号", MaxText+1): false,
		"\xc9\xcf\xba\xa3":             false, // GBK, as some terminals send it
		"right\x1b[2J":                 false, // clears the screen of who lists it
		"right\nDECISION  fake":        false,
		"right\u2028DECISION  fake":    false,
		"\u202eecnisaer":               false, // shows the rest of the line backwards
		"\u202aright":                  false,
		"right\u2066":                  false,
		"right\u2069":                  false,
	} {
		if got := texts("somebody", text); got != want {
			t.Errorf("texts(%q) = %t, want %t", text, got, want)
		}
	}
	if want := fmt.Sprintf("%d characters", MaxText); !strings.Contains(errTexts.Error(), want) {
		t.Errorf("the error is %q, want %q in it", errTexts, want)
	}
}
