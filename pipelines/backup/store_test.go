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
