package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The files of a watched folder are one import, whichever of them is at fault; each
// goes to where what came of it says.
func TestInbox(t *testing.T) {
	t.Parallel()
	base := func(paths []string) string {
		names := make([]string, len(paths))
		for i, path := range paths {
			names[i] = filepath.Base(path)
		}
		return strings.Join(names, " ")
	}
	for name, c := range map[string]struct {
		files                  string
		apart, fresh, ahead    bool
		cut                    bool   // the file breaks off as a connection does
		fails                  string // whichever import fails, if not by a file
		loads                  []string
		done, failed, remained string
	}{
		"all at once":             {files: "details list", loads: []string{"details list"}, done: "details list"},
		"one that is not known":   {files: "details list unknown", loads: []string{"details list"}, done: "details list", failed: "unknown"},
		"one that breaks off":     {files: "broken details list", loads: []string{"broken details list", "details list"}, done: "details list", failed: "broken"},
		"one is cut off":          {files: "broken details list", cut: true, loads: []string{"broken details list", "details list"}, done: "details list", failed: "broken"},
		"two faults":              {files: "broken list unknown", loads: []string{"broken list", "list"}, done: "list", failed: "broken unknown"},
		"nothing but faults":      {files: "broken unknown", loads: []string{"broken"}, failed: "broken unknown"},
		"the import itself fails": {files: "details list", fails: "a fault", loads: []string{"details list"}, failed: "details list"},
		"stopped":                 {files: "details list", fails: "stopped", loads: []string{"details list"}, remained: "details list"},
		"clickhouse is away":      {files: "details list", fails: "away", loads: []string{"details list"}, remained: "details list"},
		"no resolver runs":        {files: "details list", fails: "unresolved", loads: []string{"details list"}, remained: "details list"},
		"one by one, it is away":  {files: "list till", apart: true, fails: "away", loads: []string{"list"}, remained: "list till"},
		"one is still written to": {files: "details list", fresh: true, remained: "details list"},
		"by a mapping":            {files: "broken list till", apart: true, loads: []string{"broken", "list", "till"}, done: "list till", failed: "broken"},
		"by one, one is cut off":  {files: "broken list till", apart: true, cut: true, loads: []string{"broken", "list", "till"}, done: "list till", failed: "broken"},
		"no place on disk":        {files: "details full list", fails: "before", remained: "details full list"},
		"by a mapping, one fresh": {files: "list till", apart: true, fresh: true, loads: []string{"list"}, done: "list", remained: "till"},
		"by another clock":        {files: "details list", ahead: true, loads: []string{"details list"}, done: "details list"},
		"left by programs":        {files: "list ~$list Thumbs.db", loads: []string{"list"}, done: "list", remained: "Thumbs.db ~$list"},
		"nothing":                 {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			files := strings.Fields(c.files)
			for i, file := range files {
				writeText(t, filepath.Join(dir, file), "x")
				old := time.Now().Add(-time.Hour)
				if c.ahead {
					old = time.Now().Add(8 * time.Hour)
				}
				if !c.fresh || i+1 < len(files) {
					if err := os.Chtimes(filepath.Join(dir, file), old, old); err != nil {
						t.Fatal(err)
					}
				}
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			is := func(word string) func(context.Context, string) error {
				return func(_ context.Context, path string) error {
					if filepath.Base(path) == word {
						return errors.New("it is " + word)
					}
					return nil
				}
			}
			var loads []string
			box := inbox{dir: dir, together: !c.apart, known: func(ctx context.Context, path string) error {
				if filepath.Base(path) == "full" {
					return fmt.Errorf("read full: %w", &fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC})
				}
				return is("unknown")(ctx, path)
			}, readable: is("broken"), load: func(_ context.Context, paths []string) error {
				loads = append(loads, base(paths))
				switch {
				case c.fails == "stopped":
					cancel()
					return context.Canceled
				case c.fails == "away":
					return fmt.Errorf("load: %w", clickhouseAway(t))
				case c.fails == "unresolved":
					return hinted{errNoResolver, "start one"}
				case c.fails != "":
					return errors.New(c.fails)
				case c.cut && slices.Contains(strings.Fields(base(paths)), "broken"):
					return fmt.Errorf("read broken: %w", io.ErrUnexpectedEOF)
				case slices.Contains(strings.Fields(base(paths)), "broken"):
					return errors.New("a file breaks off")
				}
				return nil
			}}
			err := box.empty(ctx)
			if (err != nil) != (c.failed != "" || c.fails != "") {
				t.Errorf("the import ended with %v", err)
			}
			for file := range strings.FieldsSeq(c.failed) {
				if err == nil || !strings.Contains(err.Error(), "import "+file+": ") {
					t.Errorf("%v does not name %s", err, file)
				}
			}
			got := map[string]string{"loads": strings.Join(loads, ", ")}
			for _, folder := range []string{".", "done", "failed"} {
				entries, _ := os.ReadDir(filepath.Join(dir, folder)) // there is none where nothing went
				var names []string
				for _, entry := range entries {
					if !entry.IsDir() {
						names = append(names, entry.Name())
					}
				}
				got[folder] = strings.Join(names, " ")
			}
			want := map[string]string{"loads": strings.Join(c.loads, ", "), ".": c.remained, "done": c.done, "failed": c.failed}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}
