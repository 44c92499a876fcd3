package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// importPeople loads invented users, two shops' accounts of each person.
func importPeople(t *testing.T, dir string, from, to int) {
	t.Helper()
	for _, shop := range []string{"tmall/a", "douyin/b"} {
		file := filepath.Join(t.TempDir(), "users.csv")
		var text strings.Builder
		text.WriteString("account,phone,joined_at,updated_at\n")
		for no := from; no < to; no++ {
			text.WriteString(shop[:2] + strconv.Itoa(no) + ",1380013" + strconv.Itoa(1000+no) + ",2026-01-02 03:04:05,2026-02-02 03:04:05\n")
		}
		writeText(t, file, text.String())
		must(t, "import", "--dir", dir, "--shop", shop, "--kind", "users", file)
	}
}

// The state is equal to what ClickHouse says; damaged or gone, it is made
// anew, and what comes later is resolved on it.
func TestRebuild(t *testing.T) {
	t.Parallel()
	dir := begunFolder(t)
	importPeople(t, dir, 0, 30)
	customers := "SELECT count(DISTINCT customer_id), count() FROM identity_map_current"
	if got := one(t, dir, customers); got != "30 60" {
		t.Fatalf("%s customers and accounts, want 30 60", got)
	}
	check := must(t, "rebuild", "--check", "--dir", dir).stdout
	if !strings.Contains(check, "60 accounts") || !strings.Contains(check, "equal") || strings.Contains(check, "in its place") {
		t.Errorf("rebuild --check says\n%s", check)
	}
	if out := must(t, "rebuild", "--dir", dir).stdout; !strings.Contains(out, "equal") || !strings.Contains(out, "in its place") {
		t.Errorf("rebuild says\n%s", out)
	}
	// Damaged: a file of the state is cut short.
	manifests, err := filepath.Glob(filepath.Join(dir, "state", "MANIFEST-*"))
	if err != nil || len(manifests) == 0 {
		t.Fatalf("no manifest in the state: %v", err)
	}
	if err := os.WriteFile(manifests[0], []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, oneid(t, "rebuild", "--check", "--dir", dir), 1, "state")
	if out := must(t, "rebuild", "--dir", dir).stdout; !strings.Contains(out, "no state to compare") {
		t.Errorf("rebuild of a damaged state says\n%s", out)
	}
	must(t, "rebuild", "--check", "--dir", dir)
	// Gone, and cut off before the new one was in its place.
	if err := os.Rename(filepath.Join(dir, "state"), filepath.Join(dir, "state.new")); err != nil {
		t.Fatal(err)
	}
	must(t, "rebuild", "--check", "--dir", dir)
	if err := os.RemoveAll(filepath.Join(dir, "state")); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, oneid(t, "rebuild", "--check", "--dir", dir), 1, "no state", "oneid rebuild")
	must(t, "rebuild", "--dir", dir)
	importPeople(t, dir, 20, 40)
	if got := one(t, dir, customers); got != "40 80" {
		t.Errorf("%s customers and accounts, want 40 80", got)
	}
	must(t, "rebuild", "--check", "--dir", dir)
}
