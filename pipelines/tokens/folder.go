package tokens

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"oneid/connectors"
)

// Folder keeps tokens in a folder, a sealed file a shop, for the processes of
// one machine: a lock of the file system, which ends with its process, says who
// renews.
type Folder struct {
	// Dir is made when it is needed, with mode 0700.
	Dir string
	// Keys gives the brand's keys; it is asked when there is something to open
	// or to seal.
	Keys func() (Keys, error)
}

var _ Keeping = (*Folder)(nil)

// Of implements Keeping.
func (f *Folder) Of(platform, shop string) connectors.TokenStore {
	sum := sha256.Sum256([]byte(platform + "/" + shop)) // a shop's name may be anything
	return &shopFile{folder: f, platform: platform, shop: shop, path: filepath.Join(f.Dir, platform+"-"+hex.EncodeToString(sum[:8]))}
}

// shopFile is one shop's token.
type shopFile struct {
	folder         *Folder
	platform, shop string
	path           string
}

// Load implements connectors.TokenStore.
func (s *shopFile) Load(context.Context) (connectors.Token, error) {
	sealed, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return connectors.Token{}, nil
	}
	if err != nil {
		return connectors.Token{}, fmt.Errorf("tokens: read the token of %s/%s: %w", s.platform, s.shop, err)
	}
	keys, err := s.folder.Keys()
	if err != nil {
		return connectors.Token{}, err
	}
	return open(keys, s.platform, s.shop, sealed)
}

// lockPause is how often a lock that another process holds is asked for.
const lockPause = 10 * time.Millisecond

// Renew implements connectors.TokenStore.
func (s *shopFile) Renew(ctx context.Context, ask func(context.Context, connectors.Token) (connectors.Token, error)) (connectors.Token, error) {
	if err := os.MkdirAll(s.folder.Dir, 0o700); err != nil {
		return connectors.Token{}, fmt.Errorf("tokens: make their folder: %w", err)
	}
	lock, err := os.OpenFile(s.path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return connectors.Token{}, fmt.Errorf("tokens: open the lock of %s/%s: %w", s.platform, s.shop, err)
	}
	defer lock.Close() //nolint:errcheck // closing it lets the lock go
	for {
		err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return connectors.Token{}, fmt.Errorf("tokens: lock the token of %s/%s: %w", s.platform, s.shop, err)
		}
		select {
		case <-ctx.Done():
			return connectors.Token{}, context.Cause(ctx)
		case <-time.After(lockPause):
		}
	}
	newest, err := s.Load(ctx)
	// One that cannot be opened is none: a new consent mends it, and so does an app
	// that needs none.
	if err != nil && !errors.As(err, new(*DamagedError)) {
		return connectors.Token{}, err
	}
	return renew(ctx, newest, ask, s.write)
}

// write keeps a token; it returns when that is on the disk.
func (s *shopFile) write(_ context.Context, token connectors.Token) error {
	keys, err := s.folder.Keys()
	if err != nil {
		return err
	}
	sealed, err := seal(keys, s.platform, s.shop, token)
	if err != nil {
		return err
	}
	temporary := s.path + ".new" // nobody else writes: the lock is held
	file, err := os.OpenFile(temporary, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(sealed)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(temporary, s.path); err != nil {
		return err
	}
	dir, err := os.Open(s.folder.Dir)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
