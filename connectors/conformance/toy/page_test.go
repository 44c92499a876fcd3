package toy_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../../.."

// docs/new-connector.md is made of this folder: what it shows stands here, word
// for word, and what it links to is there.
func TestThePageIsTrue(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(root + "/docs/new-connector.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	pieces := regexp.MustCompile("(?s)<!-- (\\S+) -->\n```[a-z]+\n(.*?)\n```\n").FindAllStringSubmatch(page, -1)
	if blocks := strings.Count(page, "```go\n") + strings.Count(page, "```yaml\n"); len(pieces) != blocks || blocks < 10 {
		t.Errorf("%d pieces of code, %d of them from a file", blocks, len(pieces))
	}
	for _, piece := range pieces {
		source, err := os.ReadFile(filepath.Join(root, piece[1]))
		if err != nil {
			t.Error(err)
			continue
		}
		if !strings.Contains(string(source), piece[2]) {
			t.Errorf("%s has not what the page shows of it:\n%s", piece[1], piece[2])
		}
	}
	for _, link := range regexp.MustCompile(`\]\(([^)#]+)\)`).FindAllStringSubmatch(page, -1) {
		if _, err := os.Stat(filepath.Join(root, "docs", link[1])); err != nil {
			t.Errorf("a link leads nowhere: %v", err)
		}
	}
	for _, command := range regexp.MustCompile(`(?m)^go (?:test|vet) (.*)$`).FindAllStringSubmatch(page, -1) {
		for folder := range strings.FieldsSeq(command[1]) {
			if _, err := os.Stat(filepath.Join(root, strings.TrimSuffix(folder, "/..."))); err != nil {
				t.Errorf("a command names a folder that is not there: %v", err)
			}
		}
	}
}
