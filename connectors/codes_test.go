package connectors

import (
	"strings"
	"testing"
)

const table = `
- {class: throttle, limit: app, kind: throttled, sure: documented, mend: slower, codes: {"7": limited}}
- {class: retry, sure: client, codes: {"* isp.*": theirs, "9": nine}}
- {class: stop stream, sure: client, codes: {"* isv.*": ours, "9 isv.*": nine of ours}}
- {class: skip record, sure: assumed, codes: {"* isv.gone": gone}}
- {class: stop shop, tries: 4, sure: post, codes: {"9 isv.gone": nine is gone}}
`

func TestTheCodeThatTellsMostWins(t *testing.T) {
	t.Parallel()
	codes, err := ParseCodes([]byte(table))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		system, sub string
		text        string
		class       Class
		tries       int
	}{
		"a code alone":                              {"7", "", "limited", Throttle, 0},
		"a code more than any beginning":            {"7", "isp.busy", "limited", Throttle, 0},
		"a beginning where the code says nothing":   {"15", "isp.busy", "theirs", Retry, 0},
		"a beginning of the code's more than it":    {"9", "isv.x", "nine of ours", StopStream, 0},
		"a whole sub-code more than the code alone": {"7", "isv.gone", "gone", SkipRecord, 0},
		"both most of all":                          {"9", "isv.gone", "nine is gone", StopShop, 4},
		"unknown":                                   {"15", "", "a code that OneID does not know", StopStream, 3},
		"unknown, with a sub-code":                  {"15", "what", "a code that OneID does not know", StopStream, 3},
	} {
		got := codes.Find(c.system, c.sub)
		if got.Text != c.text || got.Class != c.class || got.Tries != c.tries {
			t.Errorf("%s: %s %q is %q, %s, %d tries; want %q, %s, %d", name, c.system, c.sub, got.Text, got.Class, got.Tries, c.text, c.class, c.tries)
		}
	}
}

func TestATableNamesAllItsFaults(t *testing.T) {
	t.Parallel()
	_, err := ParseCodes([]byte(`
- {class: try harder, sure: client, codes: {"1": a}}
- {class: retry, sure: perhaps, codes: {"1": a, "": b}}
- {class: throttle, sure: post, kind: slow, codes: {1002: c}}
- {class: throttle, limit: app, pause: 9, sure: post, codes: {"2": d}}
- {class: stop stream, pause: 8, sure: post, codes: {"3": e}}
`))
	for _, want := range []string{`"try harder": it is one of ["retry" "throttle"`, `"perhaps": it is one of ["documented"`, `"slow"`, "whose limit it met", "pause 9", "pause 8", `"1" stands there twice`, `"" stands there twice`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not name %s: %v", want, err)
		}
	}
	if _, err := ParseCodes([]byte("- {mood: retry}")); err == nil {
		t.Error("an unknown key is no fault")
	}
}
