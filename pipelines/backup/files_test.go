package backup

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// What the settings name is copied with them, and what is not there is said: the
// restored settings could not be read.
func TestFilesThatSettingsName(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("oneid.yaml", "brand: b\n")
	write("models/own.json", "{}")
	write("keys/keyring.json", "{}")
	store, err := OpenStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r := &run{Backup: &Backup{Folder: dir, Also: []string{"models/own.json"}}, store: store}
	if err := r.files(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	restored := t.TempDir()
	if err := Extract(t.Context(), store, r.manifest, restored, nil); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(restored, "models", "own.json")); err != nil || string(got) != "{}" {
		t.Errorf("the model is %q, %v", got, err)
	}
	if _, err := os.Stat(filepath.Join(restored, "keys")); err == nil {
		t.Error("the keys are in it")
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if err := r.tree(stopped, "keys", "keys"); !errors.Is(err, context.Canceled) {
		t.Errorf("asked to stop it copies on: %v", err)
	}
	r.Also = []string{"rules.yaml"}
	if err := r.files(t.Context(), false); err == nil {
		t.Error("a backup lacks the rules, and does not say so")
	}
}
