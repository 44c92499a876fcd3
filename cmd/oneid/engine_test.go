package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A fetch that failed is not said to be done.
func TestFailedInstallIsNotDone(t *testing.T) {
	bin := t.TempDir()
	script := "#!/bin/sh\n/bin/sleep 1\necho 'npm error code ECONNREFUSED' >&2\nexit 1\n"
	if err := os.WriteFile(filepath.Join(bin, "npm"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin)
	t.Setenv("ONEID_ENGINE_CACHE", t.TempDir())
	var out bytes.Buffer
	_, err := installEngine(t.Context(), &progress{out: &out})
	if err == nil || !strings.Contains(err.Error(), "ECONNREFUSED") {
		t.Errorf("the error is %v, want the cause in it", err)
	}
	if text := out.String(); !strings.HasSuffix(text, ", not done\n") {
		t.Errorf("shown was %q, want that it is not done", text)
	}
}
