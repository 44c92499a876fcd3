package alert

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// Whatever an error says, what an alert repeats of it is a text that a message can
// hold: its beginning, and no more than is told.
func FuzzPrintable(f *testing.F) {
	f.Add("tmall: call of shop demo: refused with code 27")
	f.Add("open \xb6\xa9\xb5\xa5.csv: cut off")
	f.Add(strings.Repeat("长", 400))
	f.Fuzz(func(t *testing.T, detail string) {
		said := printable(detail)
		whole := strings.ToValidUTF8(detail, "\uFFFD")
		if !utf8.ValidString(said) || len(said) > maxDetail || !strings.HasPrefix(whole, said) || len(whole) <= maxDetail && said != whole || len(whole)-len(said) > 0 && len(said) < maxDetail-utf8.UTFMax {
			t.Errorf("%q is told as %q", detail, said)
		}
		if printable(said) != said {
			t.Errorf("told again it is another text: %q", said)
		}
	})
}
