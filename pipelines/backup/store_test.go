package backup

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

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
	f, added, err := s.add(root, "a")
	if err != nil || len(f.Pieces) != 2 || added != pieceBytes {
		t.Fatalf("%d pieces, %d bytes added (%v), want 2 and those of one", len(f.Pieces), added, err)
	}
	if err := os.Truncate(s.path(f.Pieces[0]), 5); err != nil {
		t.Fatal(err)
	}
	if f, added, err = s.add(root, "a"); err != nil || added != pieceBytes {
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
			f, _, err := s.add(root, name)
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
	again()
}
