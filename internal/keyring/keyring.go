// Package keyring holds a brand's keys: the one under which identifiers are
// hashed, and those under which personal values and payloads are sealed.
//
// Hashes are HMAC-SHA-256, cut to 16 bytes; a new hash key is a rebuild of the
// whole state. Sealing is AES-256-GCM with a random nonce; a sealed value
// begins with the id of its key, so that keys can be rotated: the newest
// seals, all of them open. Whoever has the file can read the brand's personal
// data: it has mode 0600, and a backup of it belongs into a safe.
package keyring

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"sync"
)

// Ring is a brand's keys. It may be used concurrently.
type Ring struct {
	hashers sync.Pool // of hash.Hash under the hash key
	newest  uint32
	seals   map[uint32]cipher.AEAD
	marks   map[string]string
}

// file is the form of the key file.
type file struct {
	// Hash is the key of identifiers' hashes, 32 bytes.
	Hash []byte `json:"hash"`
	// Seal are the sealing keys, 32 bytes each, by id; the highest id seals.
	Seal map[uint32][]byte `json:"seal"`
}

// Create reads the key file of a data folder (keys/keyring.json), making one
// with fresh keys if there is none: for a new instance.
func Create(dir string) (*Ring, error) {
	path := filePath(dir)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := create(path); err != nil {
			return nil, fmt.Errorf("keyring: make the brand's keys: %w", err)
		}
	}
	return Open(dir)
}

func filePath(dir string) string { return filepath.Join(dir, "keys", "keyring.json") }

// MissingError says that a data folder has no key file.
type MissingError struct{ Path string }

func (e *MissingError) Error() string { return "keyring: there are no keys at " + e.Path }

// Code names the kind of error.
func (e *MissingError) Code() string { return "keys_missing" }

// Hint says what to do: fresh keys would hash the same identifiers to others.
func (e *MissingError) Hint() string {
	return "copy keys/ from the folder where the instance was made, or from its backup; only `oneid init` makes new ones"
}

// Open reads the key file of a data folder.
func Open(dir string) (*Ring, error) {
	path := filePath(dir)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &MissingError{path}
	}
	if err != nil {
		return nil, fmt.Errorf("keyring: read the brand's keys: %w", err)
	}
	var f file
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, fmt.Errorf("keyring: %s is damaged: %w; restore it from a backup: without these keys nothing can be opened", path, err)
	}
	return newRing(f)
}

// create writes fresh keys. Of two that do it at once, one wins and both
// read the same.
func create(path string) error {
	random := func() []byte {
		key := make([]byte, 32)
		_, _ = rand.Read(key)
		return key
	}
	data, err := json.Marshal(file{Hash: random(), Seal: map[uint32][]byte{1: random()}})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), "keyring-*.new")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temporary.Name()) }() // its link stays
	_, err = temporary.Write(data)
	if err = errors.Join(err, temporary.Sync(), temporary.Close()); err != nil {
		return err
	}
	if err := os.Link(temporary.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

func newRing(f file) (*Ring, error) {
	if len(f.Hash) != 32 || len(f.Seal) == 0 {
		return nil, errors.New("keyring: the key file lacks a key of 32 bytes; restore it from a backup")
	}
	key := f.Hash
	r := &Ring{seals: make(map[uint32]cipher.AEAD), marks: map[string]string{"hash": mark(key)}}
	r.hashers.New = func() any { return &hasher{Hash: hmac.New(sha256.New, key)} }
	for id, key := range f.Seal {
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, fmt.Errorf("keyring: sealing key %d: %w", id, err)
		}
		if r.seals[id], err = cipher.NewGCMWithRandomNonce(block); err != nil {
			return nil, fmt.Errorf("keyring: sealing key %d: %w", id, err)
		}
		r.newest = max(r.newest, id)
		r.marks["seal-"+strconv.FormatUint(uint64(id), 10)] = mark(key)
	}
	return r, nil
}

// mark is by what a key is known again: a keyed hash of a constant.
func mark(key []byte) string {
	h := hmac.New(sha256.New, key)
	_, _ = h.Write([]byte("oneid: the mark of a key"))
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Marks are by what each key of the ring is known again, by its name ("hash",
// "seal-1"); they give nothing of it away.
func (r *Ring) Marks() map[string]string { return maps.Clone(r.marks) }

// hasher makes keyed hashes, and keeps the memory that they are made in.
type hasher struct {
	hash.Hash
	room []byte
}

// Hash is the keyed hash of an identifier: its type, scope and normalised
// value, each told from the next by its length.
func (r *Ring) Hash(kind, scope, value string) [16]byte {
	h := r.hashers.Get().(*hasher)
	defer r.hashers.Put(h)
	h.Reset()
	h.room = h.room[:0]
	for _, part := range [3]string{kind, scope, value} {
		h.room = append(binary.BigEndian.AppendUint32(h.room, uint32(len(part))), part...)
	}
	_, _ = h.Write(h.room) // in one: it is asked for several times an event
	h.room = h.Sum(h.room[:0])
	return [16]byte(h.room[:16])
}

// SealedMore is how many bytes what is sealed has more than what it was.
const SealedMore = 4 + 12 + 16 // the key's id, the nonce, the tag

// Seal encrypts plain and binds it to context, which opening must repeat; what is sealed
// is appended to to.
func (r *Ring) Seal(to, plain, context []byte) []byte {
	if to == nil {
		to = make([]byte, 0, SealedMore+len(plain))
	}
	return r.seals[r.newest].Seal(binary.BigEndian.AppendUint32(to, r.newest), nil, plain, context)
}

// Open is the inverse of Seal; what was sealed is appended to to.
func (r *Ring) Open(to, sealed, context []byte) ([]byte, error) {
	if len(sealed) < 4 {
		return nil, errors.New("keyring: open: too short to be sealed")
	}
	id := binary.BigEndian.Uint32(sealed)
	aead, ok := r.seals[id]
	if !ok {
		return nil, fmt.Errorf("keyring: open: the key ring has no key %d; restore the key file that sealed it", id)
	}
	plain, err := aead.Open(to, nil, sealed[4:], context)
	if err != nil {
		return nil, errors.New("keyring: open: damaged, sealed for another place, or by another key ring; restore the key file that sealed it")
	}
	return plain, nil
}

// IdentifierContext binds the sealed value of an identifier to its type and
// hash: what the resolver seals with it, a profile opens with it.
func IdentifierContext(kind string, hash [16]byte) []byte {
	return append([]byte("identifier|"+kind+"|"), hash[:]...)
}
