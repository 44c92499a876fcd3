package backup

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"oneid/internal/clickhouse"
	"oneid/internal/embedded/chdb/chdbtest"
)

func TestMain(m *testing.M) { chdbtest.Main(m) }

// A piece that lost its end, as by a power cut of a disk that lies, is not
// taken for the piece: the next backup writes it anew, and can be restored.
func TestADamagedPieceIsWrittenAgain(t *testing.T) {
	t.Parallel()
	data := bytes.Repeat([]byte("0123456789abcdef"), pieceBytes/8) // two pieces, which are one
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "a"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := OpenStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	f, added, err := s.add(t.Context(), root, "a")
	if err != nil || len(f.Pieces) != 2 || added != pieceBytes {
		t.Fatalf("%d pieces, %d bytes added (%v), want 2 and those of one", len(f.Pieces), added, err)
	}
	if err := os.Truncate(s.path(f.Pieces[0]), 5); err != nil {
		t.Fatal(err)
	}
	if f, added, err = s.add(t.Context(), root, "a"); err != nil || added != pieceBytes {
		t.Fatalf("%d bytes added (%v), want the damaged piece's", added, err)
	}
	if err := s.finish(Manifest{Number: 1, Files: []File{f}}); err != nil {
		t.Fatal(err)
	}
	all, err := s.Manifests()
	if err != nil || len(all) != 1 {
		t.Fatalf("%d backups (%v)", len(all), err)
	}
	to := t.TempDir()
	if err := s.extract(to, all[0].Files[0]); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(to, "a")); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes restored (%v), want those of the file", len(got), err)
	}
}

// Old backups go with the pieces that no other needs, and with what cut-off ones left;
// those that are kept stay whole.
func TestPrune(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	s, err := OpenStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	shared := File{}
	var own []File
	for no := range 4 {
		var files []File
		for name, text := range map[string]string{"shared": "in all", "own": string(rune('a' + no))} {
			if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			f, _, err := s.add(t.Context(), root, name)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, f)
			if name == "own" {
				own = append(own, f)
			} else {
				shared = f
			}
		}
		if no == 3 {
			break // it is cut off
		}
		if err := s.finish(Manifest{Number: no + 1, Files: files}); err != nil {
			t.Fatal(err)
		}
	}
	half := filepath.Join(filepath.Dir(s.path(shared.Pieces[0])), ".new-1")
	if err := os.WriteFile(half, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	others := filepath.Join(s.dir, "pieces", "README")
	if err := os.WriteFile(others, []byte("somebody's"), 0o600); err != nil {
		t.Fatal(err)
	}
	if dropped, err := s.prune(9); err != nil || dropped != 0 {
		t.Errorf("kept 9 of 3: %d dropped (%v)", dropped, err)
	}
	if dropped, err := s.prune(1); err != nil || dropped != 2 {
		t.Errorf("kept 1 of 3: %d dropped (%v)", dropped, err)
	}
	all, err := s.Manifests()
	if err != nil || len(all) != 1 || all[0].Number != 3 {
		t.Fatalf("%v (%v) are left", all, err)
	}
	if err := Extract(t.Context(), s, all[0], t.TempDir(), nil); err != nil {
		t.Error(err)
	}
	for _, gone := range []string{s.path(own[0].Pieces[0]), s.path(own[1].Pieces[0]), s.path(own[3].Pieces[0]), half} {
		if _, err := os.Stat(gone); err == nil {
			t.Errorf("%s is still there", gone)
		}
	}
	if _, err := os.Stat(others); err != nil {
		t.Errorf("a file of somebody's is gone: %v", err)
	}
}

// Two backups do not write into one store at the same time.
func TestOneBackupAtATime(t *testing.T) {
	t.Parallel()
	s, err := OpenStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	release, err := s.lock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.lock(); err == nil {
		t.Error("a second one has the lock")
	}
	release()
	again, err := s.lock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Hold(); err == nil {
		t.Error("a restore reads what a backup may drop")
	}
	again()
	var restores []func()
	for range 2 {
		held, err := s.Hold()
		if err != nil {
			t.Fatal(err)
		}
		restores = append(restores, held)
	}
	for _, held := range restores {
		if _, err := s.lock(); err == nil || !strings.Contains(err.Error(), "restore") {
			t.Errorf("a backup goes on while a restore reads: %v", err)
		}
		held()
		held()
	}
	if again, err = s.lock(); err != nil {
		t.Fatal(err)
	}
	again()
}

// A file system without locks, as NFS may be, takes backups and restores; only to drop
// any is refused there.
func TestAStoreWithoutLocks(t *testing.T) {
	t.Parallel()
	s, err := OpenStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if release, err := s.Hold(); err != nil { // there is no file to lock yet
		t.Error(err)
	} else {
		release()
	}
	s.flock = func(int, int) error { return syscall.ENOLCK }
	if _, err := s.lock(); !errors.Is(err, errNoLock) {
		t.Errorf("a store without locks: %v", err)
	}
	if release, err := s.Hold(); err != nil {
		t.Error(err)
	} else {
		release()
	}
	// Both go on to look for earlier backups, or do not.
	if err := os.RemoveAll(filepath.Join(s.dir, "manifests")); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	b := &Backup{Log: slog.New(slog.NewTextHandler(&said, nil))}
	if _, err := b.Run(t.Context(), s, false); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(said.String(), "cannot be locked") {
		t.Errorf("a backup does not go on with a warning: %v %s", err, said.String())
	}
	b.Keep = 1
	if _, err := b.Run(t.Context(), s, false); !errors.Is(err, errNoLock) || !strings.Contains(err.Error(), "--keep") {
		t.Errorf("a backup that drops others, without a lock: %v", err)
	}
}

// A large file does not hold up the end.
func TestAFileIsNotReadToItsEnd(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "a"), []byte("a"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := OpenStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if _, _, err := s.add(stopped, root, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("asked to stop it reads on: %v", err)
	}
}

// What ClickHouse has written of a backup that it could not end is removed.
func TestABackupThatClickHouseFails(t *testing.T) {
	t.Parallel()
	d, dir := chdbtest.Start(t), t.TempDir()
	conn, err := clickhouse.Open(t.Context(), clickhouse.Config{URL: d.URL, Database: d.Name, User: d.User, Password: d.Password})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	stopped, stop := context.WithCancel(t.Context())
	stop()
	r := &run{Backup: &Backup{Folder: dir, ClickHouse: conn}}
	if err := r.clickhouse(stopped, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("asked to stop it says %v", err)
	}
	if left, err := os.ReadDir(filepath.Join(dir, filepath.FromSlash(engineFolder))); err == nil {
		t.Errorf("it leaves its folder, with %v", left)
	}
}
