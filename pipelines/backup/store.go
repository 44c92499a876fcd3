package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"oneid/internal/kafka"
)

// pieceBytes is how files are cut: what an append-only file had before is the
// same pieces again, so that a second backup adds its end alone.
const pieceBytes = 4 << 20

// Store is a folder of backups: the pieces of files, each under the SHA-256 of
// its bytes, and a manifest a backup. Pieces are shared, and never changed; a
// backup that was cut off has left pieces and no manifest.
//
//	pieces/ab/abcdef…    manifests/000001-0123456789abcdef.json
type Store struct {
	dir   string
	flock func(fd, how int) error
}

// OpenStore makes the folder if need be.
func OpenStore(dir string) (*Store, error) {
	for _, name := range []string{"pieces", "manifests"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			return nil, fmt.Errorf("backup: make the folder: %w", err)
		}
	}
	return &Store{dir, syscall.Flock}, nil
}

// File is one file of a backup.
type File struct {
	// Path in the data folder, with slashes.
	Path   string      `json:"path"`
	Mode   fs.FileMode `json:"mode"`
	Bytes  int64       `json:"bytes"`
	Pieces []string    `json:"pieces,omitempty"`
}

// Manifest says what a backup holds.
type Manifest struct {
	Number int       `json:"number"`
	Taken  time.Time `json:"taken"`
	Brand  string    `json:"brand"`
	// Database of ClickHouse, and the backups of it that make it, the full one
	// first: names of folders below clickhouse/backups.
	Database string   `json:"database"`
	Chain    []string `json:"chain"`
	// Position is how far the resolver had committed before ClickHouse was
	// copied: all below it lies in this backup's ClickHouse.
	Position kafka.Position `json:"position"`
	// Fingerprint of the brand's keys, and whether they are in here.
	Fingerprint string `json:"fingerprint"`
	WithKeys    bool   `json:"with_keys"`
	Files       []File `json:"files"`
}

// ErrDamaged says that a backup's bytes are not those that were written.
var ErrDamaged = errors.New("the backup is damaged")

// piece writes bytes once and returns their name, and how many were new.
func (s *Store) piece(data []byte) (name string, added int64, err error) {
	sum := sha256.Sum256(data)
	name = hex.EncodeToString(sum[:])
	path := s.path(name)
	if there, err := os.Stat(path); err == nil && there.Size() == int64(len(data)) {
		return name, 0, nil // one of another size was damaged, and is written again
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", 0, err
	}
	return name, int64(len(data)), writeWhole(path, data)
}

func (s *Store) path(piece string) string { return filepath.Join(s.dir, "pieces", piece[:2], piece) }

// writeWhole writes a file by rename, synced: it is there whole or not at all.
func writeWhole(path string, data []byte) error {
	file, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }() // after the rename there is none
	_, err = file.Write(data)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

// add keeps a file of the data folder, as far as it is at this moment.
func (s *Store) add(ctx context.Context, root, path string) (f File, added int64, err error) {
	file, err := os.Open(filepath.Join(root, filepath.FromSlash(path)))
	if err != nil {
		return f, 0, err
	}
	defer file.Close()
	stat, err := file.Stat()
	if err != nil {
		return f, 0, err
	}
	f = File{Path: path, Mode: stat.Mode().Perm()}
	in, buffer := io.LimitReader(file, stat.Size()), make([]byte, min(pieceBytes, max(stat.Size(), 1)))
	for {
		if err := ctx.Err(); err != nil { // one file may be most of an instance
			return f, added, err
		}
		n, err := io.ReadFull(in, buffer)
		if n > 0 {
			name, fresh, err := s.piece(buffer[:n])
			if err != nil {
				return f, added, err
			}
			f.Pieces, f.Bytes, added = append(f.Pieces, name), f.Bytes+int64(n), added+fresh
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return f, added, nil
		}
		if err != nil {
			return f, added, err
		}
	}
}

// extract writes a file of a backup below root.
func (s *Store) extract(root string, f File) error {
	if !filepath.IsLocal(filepath.FromSlash(f.Path)) {
		return fmt.Errorf("%w: the manifest names a path outside the folder", ErrDamaged)
	}
	path := filepath.Join(root, filepath.FromSlash(f.Path))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	out, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, f.Mode)
	if err != nil {
		return err
	}
	for _, name := range f.Pieces {
		var data []byte
		if data, err = s.read(name); err != nil {
			break
		}
		if _, err = out.Write(data); err != nil {
			break
		}
	}
	return errors.Join(err, out.Close())
}

func (s *Store) read(name string) ([]byte, error) {
	if len(name) != 2*sha256.Size {
		return nil, fmt.Errorf("%w: a piece has no name", ErrDamaged)
	}
	data, err := os.ReadFile(s.path(name))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != name {
		return nil, fmt.Errorf("%w: the piece %s has other bytes than it was written with", ErrDamaged, name)
	}
	return data, nil
}

// lock lets one backup at a time write into the store, whichever instance's it is:
// another could drop pieces that this one counts on.
func (s *Store) lock() (release func(), err error) {
	file, err := os.OpenFile(filepath.Join(s.dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("backup: open the lock of the backups' folder: %w", err)
	}
	switch err := s.flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return nil, errors.Join(fmt.Errorf("backup: another backup, or a restore, of %s is under way", s.dir), file.Close())
	case err != nil:
		return nil, errors.Join(fmt.Errorf("backup: %w in %s: %w", errNoLock, s.dir, err), file.Close())
	}
	return func() { _ = file.Close() }, nil
}

// errNoLock says that the store's file system has no locks, as NFS may.
var errNoLock = errors.New("files cannot be locked")

// Hold keeps backups from dropping what is read, until release is called, which may be
// called again. A store that cannot be locked, as one that may only be read, is read as
// it is.
func (s *Store) Hold() (release func(), err error) {
	release = func() {}
	if file, err := os.OpenFile(filepath.Join(s.dir, "lock"), os.O_RDONLY, 0); err == nil {
		if err := s.flock(int(file.Fd()), syscall.LOCK_SH|syscall.LOCK_NB); errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("a backup into %s is under way: wait until it has ended", s.dir), file.Close())
		}
		release = func() { _ = file.Close() }
	}
	return release, nil
}

// prune drops all backups but the newest so many, and then every piece that none of
// these needs, also what backups that were cut off have left. It says how many backups
// went. Cut off, it has left pieces that the next one drops. The store is locked.
func (s *Store) prune(keep int) (dropped int, err error) {
	all, err := s.Manifests()
	if err != nil || len(all) == 0 {
		return 0, err
	}
	keep = min(keep, len(all))
	old, kept := all[:len(all)-keep], all[len(all)-keep:]
	manifests := filepath.Join(s.dir, "manifests")
	entries, err := os.ReadDir(manifests)
	if err != nil {
		return 0, fmt.Errorf("backup: read the manifests: %w", err)
	}
	for _, entry := range entries {
		if !slices.ContainsFunc(old, func(m Manifest) bool { return strings.HasPrefix(entry.Name(), fmt.Sprintf("%06d-", m.Number)) }) {
			continue
		}
		if err := os.Remove(filepath.Join(manifests, entry.Name())); err != nil {
			return dropped, fmt.Errorf("backup: drop an old backup: %w", err)
		}
		dropped++
	}
	// No manifest may come back, after a power cut, whose pieces have gone.
	if err := syncFolder(manifests); err != nil {
		return dropped, err
	}
	needed := make(map[string]bool)
	for _, m := range kept {
		for _, f := range m.Files {
			for _, piece := range f.Pieces {
				needed[piece] = true
			}
		}
	}
	err = filepath.WalkDir(filepath.Join(s.dir, "pieces"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || needed[entry.Name()] || !isPiece(entry.Name()) {
			return err
		}
		return os.Remove(path)
	})
	if err != nil {
		return dropped, fmt.Errorf("backup: drop pieces that no backup needs: %w", err)
	}
	return dropped, nil
}

// isPiece says whether a file is called as pieces are, or as those that are being
// written; another is somebody else's.
func isPiece(name string) bool {
	sum, err := hex.DecodeString(name)
	return err == nil && len(sum) == sha256.Size || strings.HasPrefix(name, ".new-")
}

// finish writes the manifest: from now on the backup is there, and stays when
// the power goes: what it names is in its folders on the disk before.
func (s *Store) finish(m Manifest) error {
	folders := map[string]bool{filepath.Join(s.dir, "pieces"): true}
	for _, f := range m.Files {
		for _, name := range f.Pieces {
			folders[filepath.Dir(s.path(name))] = true
		}
	}
	for folder := range folders {
		if err := syncFolder(folder); err != nil {
			return err
		}
	}
	data, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return err
	}
	sum := sha256.Sum256(data)
	manifests := filepath.Join(s.dir, "manifests")
	if err := writeWhole(filepath.Join(manifests, fmt.Sprintf("%06d-%s.json", m.Number, hex.EncodeToString(sum[:8]))), data); err != nil {
		return err
	}
	return errors.Join(syncFolder(manifests), syncFolder(s.dir))
}

// syncFolder puts the names in a folder on the disk.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// Manifests are the backups that were finished, the oldest first. A damaged
// manifest is an error.
func (s *Store) Manifests() ([]Manifest, error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, "manifests"))
	if err != nil {
		return nil, fmt.Errorf("backup: read the manifests: %w", err)
	}
	var all []Manifest
	for _, entry := range entries {
		number, rest, _ := strings.Cut(entry.Name(), "-")
		if _, err := strconv.Atoi(number); err != nil {
			continue // what a cut-off write left
		}
		data, err := os.ReadFile(filepath.Join(s.dir, "manifests", entry.Name()))
		if err != nil {
			return nil, fmt.Errorf("backup: read a manifest: %w", err)
		}
		sum := sha256.Sum256(data)
		var m Manifest
		if rest != hex.EncodeToString(sum[:8])+".json" || json.NewDecoder(bytes.NewReader(data)).Decode(&m) != nil {
			return nil, fmt.Errorf("backup: manifest %s: %w", entry.Name(), ErrDamaged)
		}
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b Manifest) int { return a.Number - b.Number })
	return all, nil
}
