package install

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/cpu"
)

// Options of Install; the zero value is right for a start of the engine.
type Options struct {
	// Cache folder; default: $ONEID_ENGINE_CACHE, or oneid/engine in the user's.
	Cache string
	// Verify reads the whole library that is there already (0.5 GB) and compares
	// its sum, rather than to trust its size and what was noted at its install.
	Verify bool
	// Progress is told how many bytes of how many have come, from one goroutine,
	// a few times a second, and once with done = total at the end.
	Progress func(done, total int64)
	// Log gets what is done; nothing is logged if the library is there.
	Log *slog.Logger
}

// Install returns the path of the engine's library, and fetches it first if it
// is not there. Two at once wait for each other. A cancelled ctx leaves nothing
// that disturbs the next call. Errors of its own are *Error.
func Install(ctx context.Context, options Options) (string, error) {
	platform := runtime.GOOS + "/" + runtime.GOARCH
	p, ok := packs[platform]
	if !ok {
		return "", unsupported(platform)
	}
	w := wheels[platform]
	return installer{Options: options, platform: platform, pack: p, wheel: w, hasAVX2: cpu.X86.HasAVX2}.install(ctx)
}

// Find says whether the library is there already, and if not, whether this
// machine could install it: the error is the one that Install would begin
// with. It changes nothing and asks no network.
func Find(ctx context.Context, options Options) (path string, there bool, err error) {
	platform := runtime.GOOS + "/" + runtime.GOARCH
	i := installer{Options: options, platform: platform, pack: packs[platform], hasAVX2: cpu.X86.HasAVX2}
	if i.pack.Version == "" {
		return "", false, unsupported(platform)
	}
	if i.pack.NeedsAVX2 && !i.hasAVX2 {
		return "", false, noAVX2()
	}
	cache, err := i.cache()
	if err != nil {
		return "", false, err
	}
	home := filepath.Join(cache, i.pack.Version+"-"+strings.ReplaceAll(platform, "/", "-"))
	path = filepath.Join(home, i.pack.Library)
	if i.there(home) {
		return path, true, nil
	}
	if _, err := exec.LookPath("npm"); err != nil && pipCommand(ctx) == nil {
		return path, false, noClient()
	}
	return path, false, nil
}

// installer is one call of Install.
type installer struct {
	Options
	platform string
	pack     pack
	wheel    wheel
	hasAVX2  bool
}

func (i installer) install(ctx context.Context) (string, error) {
	if i.pack.NeedsAVX2 && !i.hasAVX2 {
		return "", noAVX2()
	}
	if i.Log == nil {
		i.Log = slog.New(slog.DiscardHandler)
	}
	if i.Progress == nil {
		i.Progress = func(int64, int64) {}
	}
	cache, err := i.cache()
	if err != nil {
		return "", err
	}
	home := filepath.Join(cache, i.pack.Version+"-"+strings.ReplaceAll(i.platform, "/", "-"))
	library := filepath.Join(home, i.pack.Library)
	i.Verify = i.Verify || i.touched(home)
	if !i.Verify && i.there(home) {
		return library, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", fmt.Errorf("install engine: make the cache folder: %w (set ONEID_ENGINE_CACHE to a folder that you may write)", err)
	}
	unlock, err := lock(ctx, filepath.Join(cache, "lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if i.there(home) { // another has just installed it, or it is to be verified
		if !i.Verify {
			return library, nil
		}
		if err := i.verify(ctx, home); err != nil {
			return "", err
		}
		// So that it is not read again at each start; a cache that others
		// own stays as it is.
		now := time.Now()
		_ = os.Chtimes(filepath.Join(home, "sha512"), now, now)
		return library, nil
	}
	if err := sweep(cache); err != nil {
		return "", err
	}
	if err := i.fetch(ctx, cache, home); err != nil {
		return "", err
	}
	if err := sweep(cache); err != nil { // a client that outlived a killed install wrote on meanwhile
		i.Log.Warn("an old install left files behind", "error", err)
	}
	return library, nil
}

func (i installer) cache() (string, error) {
	cache := i.Cache
	if cache == "" {
		cache = os.Getenv("ONEID_ENGINE_CACHE")
	}
	if cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("install engine: find the cache folder: %w (set ONEID_ENGINE_CACHE)", err)
		}
		cache = filepath.Join(user, "oneid", "engine")
	}
	return filepath.Abs(cache)
}

// touched reports whether the library was written after its sum was noted.
func (i installer) touched(home string) bool {
	library, errLibrary := os.Stat(filepath.Join(home, i.pack.Library))
	note, errNote := os.Stat(filepath.Join(home, "sha512"))
	return errLibrary == nil && errNote == nil && library.ModTime().After(note.ModTime())
}

// there reports whether a verified library of the right size is in place.
func (i installer) there(home string) bool {
	noted, err := os.ReadFile(filepath.Join(home, "sha512"))
	if err != nil || strings.TrimSpace(string(noted)) != i.pack.LibrarySHA512 {
		return false
	}
	stat, err := os.Stat(filepath.Join(home, i.pack.Library))
	return err == nil && stat.Size() == i.pack.LibraryBytes
}

// verify compares the whole library, and deletes it if it is not what was published.
func (i installer) verify(ctx context.Context, home string) error {
	path := filepath.Join(home, i.pack.Library)
	got, err := sum(ctx, path)
	if err != nil {
		return fmt.Errorf("install engine: verify: %w", err)
	}
	if got != i.pack.LibrarySHA512 {
		if err := os.RemoveAll(home); err != nil {
			return fmt.Errorf("install engine: delete the damaged %s: %w", path, err)
		}
		return damaged(path, i.pack.LibrarySHA512, got)
	}
	return nil
}

// fetch brings the package into a temporary folder, verifies and unpacks it
// there, and puts the result in its place.
func (i installer) fetch(ctx context.Context, cache, home string) (err error) {
	work, err := os.MkdirTemp(cache, "fetch-")
	if err != nil {
		return fmt.Errorf("install engine: make a folder: %w", err)
	}
	defer func() { err = errors.Join(err, removeAll(work)) }()
	start := time.Now()
	i.Log.Info("fetching the engine", "package", i.pack.Name, "version", i.pack.Version, "megabytes", i.pack.Bytes/1e6)
	file, err := i.download(ctx, work)
	if err != nil {
		return err
	}
	got, err := sum(ctx, file)
	if err != nil {
		return fmt.Errorf("install engine: read the package: %w", err)
	}
	if got != i.pack.SHA512 {
		return damaged(i.pack.File, i.pack.SHA512, got) // deleted with the folder
	}
	ready := filepath.Join(work, "ready")
	if err := os.Mkdir(ready, 0o755); err != nil {
		return fmt.Errorf("install engine: make a folder: %w", err)
	}
	if err := i.unpack(ctx, file, ready); err != nil {
		return err
	}
	if err := os.RemoveAll(home); err != nil {
		return fmt.Errorf("install engine: remove what was in its place: %w", err)
	}
	if err := os.Rename(ready, home); err != nil {
		return fmt.Errorf("install engine: put it in its place: %w", err)
	}
	i.Progress(i.pack.Bytes, i.pack.Bytes)
	i.Log.Info("engine installed", "folder", home, "seconds", time.Since(start).Seconds())
	return nil
}

// removeAll also removes folders that a client made without the right to write.
func removeAll(folder string) error {
	if err := os.RemoveAll(folder); err == nil {
		return nil
	}
	_ = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			return os.Chmod(path, 0o700)
		}
		return nil
	})
	return os.RemoveAll(folder)
}

// sweep removes what installs that were killed left behind; the lock is held.
func sweep(cache string) error {
	stale, err := filepath.Glob(filepath.Join(cache, "fetch-*"))
	if err != nil {
		return fmt.Errorf("install engine: %w", err)
	}
	for _, folder := range stale {
		if err := removeAll(folder); err != nil {
			return fmt.Errorf("install engine: remove a stale folder: %w", err)
		}
	}
	return nil
}

// lock waits for the only place of an installer. The kernel frees it with the process.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("install engine: lock: %w", err)
	}
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = file.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			_ = file.Close()
			return nil, fmt.Errorf("install engine: lock %s: %w", path, err)
		}
		select {
		case <-ctx.Done():
			_ = file.Close()
			return nil, context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// cancelled makes a long copy end with the context.
type cancelled struct {
	ctx  context.Context
	from io.Reader
}

func (c cancelled) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.from.Read(p)
}
