package compare

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestLevelsAreDocumented wants a section for each kind, with its levels in
// their order.
func TestLevelsAreDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../docs/match-levels.md")
	if err != nil {
		t.Fatal(err)
	}
	got, want := map[Kind][]string{}, map[Kind][]string{}
	var kind Kind
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "## "); ok {
			kind = Kind(name)
		}
		cells := strings.Split(line, "|")
		if len(cells) < 3 {
			continue
		}
		if level := strings.TrimSpace(cells[1]); level != "level" && level != "---" {
			got[kind] = append(got[kind], level)
		}
	}
	for _, kind := range Kinds() {
		want[kind] = Levels(kind)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("docs/match-levels.md (-levels +documented):\n%s", d)
	}
}
