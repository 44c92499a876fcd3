package api

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Scope is what a key may do.
type Scope string

// The scopes.
const (
	// ScopeRead finds customers and reads profiles.
	ScopeRead Scope = "customers:read"
	// ScopeExplain reads why accounts are one customer.
	ScopeExplain Scope = "customers:explain"
	// ScopeMetrics reads /metrics.
	ScopeMetrics Scope = "metrics:read"
	// ScopeLetters opens the sealed bytes of dead letters, which may hold
	// anything of a person.
	ScopeLetters Scope = "deadletter:show"
	// ScopeDecide says that accounts are one person or two, takes that back,
	// and lists what was said.
	ScopeDecide Scope = "customers:decide"
	// ScopeRules takes the adoption of rules back, with ScopeDecide: it resolves
	// every customer anew.
	ScopeRules Scope = "rules:adopt"
)

// Scopes are all there are.
var Scopes = []Scope{ScopeRead, ScopeExplain, ScopeMetrics, ScopeLetters, ScopeDecide, ScopeRules}

// Key is what is kept of an API key: never the key itself.
type Key struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Scopes  []Scope   `json:"scopes"`
	Created time.Time `json:"created"`
	// SHA256 of the key, in hex. A key is 256 random bits, so that a plain
	// hash cannot be guessed back.
	SHA256 string `json:"sha256"`
}

// Keys is a file of API keys (mode 0600), read again when it changes.
type Keys struct {
	path string

	mu     sync.Mutex
	keys   []Key
	loaded time.Time
	size   int64
	looked time.Time
}

// lookEvery is how long a key that another process revoked may still be good:
// for a key that is known, find looks at the file no more often.
const lookEvery = time.Second

// NewKeys names the file; it need not exist.
func NewKeys(path string) *Keys { return &Keys{path: path} }

// Create makes a key, keeps its hash and returns it; it is never shown again.
func (k *Keys) Create(name string, scopes []Scope, now time.Time) (key string, made Key, err error) {
	for _, scope := range scopes {
		if !slices.Contains(Scopes, scope) {
			return "", Key{}, fmt.Errorf("api: make a key: there is no scope %q; there are %v", scope, Scopes)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	release, err := k.alone()
	if err != nil {
		return "", Key{}, err
	}
	defer release()
	secret, id := make([]byte, 32), make([]byte, 4)
	_, _ = rand.Read(secret)
	_, _ = rand.Read(id)
	made = Key{ID: hex.EncodeToString(id), Name: name, Scopes: scopes, Created: now.UTC().Truncate(time.Second)}
	key = "oneid_" + made.ID + "_" + base64.RawURLEncoding.EncodeToString(secret)
	made.SHA256 = hashKey(key)
	return key, made, k.save(append(slices.Clone(k.keys), made))
}

// Revoke removes the key of that id.
func (k *Keys) Revoke(id string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	release, err := k.alone()
	if err != nil {
		return err
	}
	defer release()
	left := slices.DeleteFunc(slices.Clone(k.keys), func(key Key) bool { return key.ID == id })
	if len(left) == len(k.keys) {
		return fmt.Errorf("api: revoke: there is no key %q", id)
	}
	return k.save(left)
}

// alone keeps other processes from changing the keys until release, and reads
// what they have made of them; mu is held.
func (k *Keys) alone() (release func(), err error) {
	lock, err := os.OpenFile(k.path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("api: change the keys: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("api: change the keys: %w", err), lock.Close())
	}
	k.loaded = time.Time{} // two changes may lie within one tick of the file's clock
	if err := k.load(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return func() { _ = lock.Close() }, nil
}

// List is what is kept of all keys.
func (k *Keys) List() ([]Key, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.load(); err != nil {
		return nil, err
	}
	return slices.Clone(k.keys), nil
}

// find is the key that was presented, if there is one.
func (k *Keys) find(presented string) (Key, bool, error) {
	hash := []byte(hashKey(presented))
	k.mu.Lock()
	defer k.mu.Unlock()
	if time.Since(k.looked) < lookEvery {
		if key, ok := k.known(hash); ok {
			return key, true, nil
		}
	}
	// The file is looked at anew, for a key that was just made too.
	if err := k.load(); err != nil {
		return Key{}, false, err
	}
	k.looked = time.Now()
	key, ok := k.known(hash)
	return key, ok, nil
}

// known is the key of that hash; mu is held.
func (k *Keys) known(hash []byte) (Key, bool) {
	for _, key := range k.keys {
		if subtle.ConstantTimeCompare(hash, []byte(key.SHA256)) == 1 {
			return key, true
		}
	}
	return Key{}, false
}

func hashKey(key string) string {
	sum := sha256.Sum256([]byte(strings.TrimSpace(key)))
	return hex.EncodeToString(sum[:])
}

// load reads the file if it changed since; mu is held.
func (k *Keys) load() error {
	stat, err := os.Stat(k.path)
	if errors.Is(err, fs.ErrNotExist) {
		k.keys = nil
		return nil
	}
	if err != nil {
		return fmt.Errorf("api: read the keys: %w", err)
	}
	if stat.ModTime().Equal(k.loaded) && stat.Size() == k.size {
		return nil
	}
	data, err := os.ReadFile(k.path)
	if err != nil {
		return fmt.Errorf("api: read the keys: %w", err)
	}
	var keys []Key
	if err := json.Unmarshal(data, &keys); err != nil {
		return fmt.Errorf("api: read the keys of %s: %w; restore the file, or remove it and make new keys", k.path, err)
	}
	k.keys, k.loaded, k.size = keys, stat.ModTime(), stat.Size()
	return nil
}

// save writes the file by rename; mu is held.
func (k *Keys) save(keys []Key) error {
	data, err := json.MarshalIndent(keys, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(k.path+".new", append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("api: keep the keys: %w", err)
	}
	if err := os.Rename(k.path+".new", k.path); err != nil {
		return fmt.Errorf("api: keep the keys: %w", err)
	}
	k.keys, k.loaded = keys, time.Time{}
	return nil
}
