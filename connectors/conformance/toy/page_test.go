package toy_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"oneid/connectors"
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
	// Each word that a table of codes takes stands there: the error of a wrong one lists them.
	_, err = connectors.ParseCodes([]byte(`[{class: x, kind: x, sure: x, limit: x, codes: {"1": a}}]`))
	words := regexp.MustCompile(`"([a-z -]{3,})"`).FindAllStringSubmatch(fmt.Sprint(err), -1)
	if len(words) < 15 {
		t.Errorf("%d words of a table of codes: %v", len(words), err)
	}
	for _, word := range words {
		if !strings.Contains(page, "`"+word[1]+"`") && !strings.Contains(page, "| "+word[1]+" |") {
			t.Errorf("the page does not name %q, a word of codes.yaml", word[1])
		}
	}
	// Each check of the suite, too.
	suite, err := os.ReadFile(root + "/connectors/conformance/conformance.go")
	if err != nil {
		t.Fatal(err)
	}
	checks := regexp.MustCompile(`(?m)^\t+(?:t\.Run\()?"(\w+)"(?::\s+test|, func)`).FindAllStringSubmatch(string(suite), -1)
	if len(checks) < 30 {
		t.Errorf("the suite has %d checks, as this test finds them", len(checks))
	}
	for _, check := range checks {
		if !regexp.MustCompile(`(?m)^\| (?:\w+, )?` + check[1] + `(?:, \w+)? \| `).MatchString(page) {
			t.Errorf("the page does not say what the check %s wants", check[1])
		}
	}
	for _, link := range regexp.MustCompile(`\]\(([^)#]+)\)`).FindAllStringSubmatch(page, -1) {
		if _, err := os.Stat(filepath.Join(root, "docs", link[1])); err != nil {
			t.Errorf("a link leads nowhere: %v", err)
		}
	}
	for _, command := range regexp.MustCompile(`(?m)^go (?:test|vet) (.*)$`).FindAllStringSubmatch(page, -1) {
		for folder := range strings.FieldsSeq(command[1]) {
			if !strings.HasPrefix(folder, "./") {
				continue // a flag
			}
			if _, err := os.Stat(filepath.Join(root, strings.TrimSuffix(folder, "/..."))); err != nil {
				t.Errorf("a command names a folder that is not there: %v", err)
			}
		}
	}
}
