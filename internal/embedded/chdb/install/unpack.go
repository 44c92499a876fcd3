package install

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// sum returns the SHA-512 of a file.
func sum(ctx context.Context, path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	hash := sha512.New()
	if _, err := io.Copy(hash, cancelled{ctx, file}); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// unpack takes the library out of the package into folder, synced to the disk,
// and notes its sum beside it.
func (i installer) unpack(ctx context.Context, file, folder string) error {
	archive, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("install engine: open the package: %w", err)
	}
	defer archive.Close()
	unzipped, err := gzip.NewReader(cancelled{ctx, archive})
	if err != nil {
		return fmt.Errorf("install engine: unpack: %w", err)
	}
	for members := tar.NewReader(unzipped); ; {
		member, err := members.Next()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("install engine: unpack: %s is not in %s", i.pack.Member, i.pack.File)
		}
		if err != nil {
			return fmt.Errorf("install engine: unpack: %w", err)
		}
		if member.Name == i.pack.Member {
			return i.write(members, folder)
		}
	}
}

func (i installer) write(library io.Reader, folder string) error {
	file, err := os.OpenFile(filepath.Join(folder, i.pack.Library), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return fmt.Errorf("install engine: unpack: %w", err)
	}
	hash := sha512.New()
	_, err = io.Copy(io.MultiWriter(file, hash), library)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("install engine: unpack (%d MB are needed): %w", i.pack.LibraryBytes/1e6, err)
	}
	got := hex.EncodeToString(hash.Sum(nil))
	if got != i.pack.LibrarySHA512 {
		return damaged(i.pack.Library, i.pack.LibrarySHA512, got)
	}
	if err := os.WriteFile(filepath.Join(folder, "sha512"), []byte(got+"\n"), 0o644); err != nil {
		return fmt.Errorf("install engine: note the sum: %w", err)
	}
	return nil
}
