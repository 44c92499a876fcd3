// Package golden compares what a test made with files of the expected, and
// writes them anew when the test is run with -update: read the diff then.
package golden

import (
	"flag"
	"iter"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Inputs yields the files that match pattern, without their extension, and
// their content. No file at all fails the test.
func Inputs(t *testing.T, pattern string) iter.Seq2[string, []byte] {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("golden: no file matches %s (%v)", pattern, err)
	}
	return func(yield func(string, []byte) bool) {
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatalf("golden: %v", err)
			}
			if !yield(file[:len(file)-len(filepath.Ext(file))], content) {
				return
			}
		}
	}
}

// Equal fails the test when got is not what file holds; with -update it
// writes got there.
func Equal(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatalf("golden: %v", err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("golden: %v; run the test with -update to write it, then read it", err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s (-want +got):\n%s", file, d)
	}
}
