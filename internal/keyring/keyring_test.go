package keyring

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

func TestKeysAreMadeOnceAndKept(t *testing.T) {
	dir := t.TempDir()
	rings := make([]*Ring, 8)
	var all sync.WaitGroup
	for i := range rings {
		all.Go(func() {
			ring, err := Create(dir)
			if err != nil {
				t.Error(err)
			}
			rings[i] = ring
		})
	}
	all.Wait()
	want := rings[0].Hash("phone", "", "13800001111")
	for i, ring := range rings {
		if got := ring.Hash("phone", "", "13800001111"); got != want {
			t.Errorf("ring %d hashes otherwise than ring 0", i)
		}
	}
	stat, err := os.Stat(filepath.Join(dir, "keys", "keyring.json"))
	if err != nil || stat.Mode().Perm() != 0o600 {
		t.Errorf("key file: %v, %v; want mode 0600", stat.Mode(), err)
	}
	other, err := Create(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if other.Hash("phone", "", "13800001111") == want {
		t.Error("two brands hash alike")
	}
}

// A role that is started on another machine without the keys must not make
// its own: it would hash the same phone to another hash.
func TestOpenMakesNoKeys(t *testing.T) {
	var missing *MissingError
	if _, err := Open(t.TempDir()); !errors.As(err, &missing) || missing.Hint() == "" {
		t.Errorf("Open of a folder without keys = %v, want MissingError", err)
	}
}

func TestHashTellsItsPartsApart(t *testing.T) {
	ring, err := Create(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if ring.Hash("a", "bc", "d") == ring.Hash("ab", "c", "d") || ring.Hash("a", "", "bc") == ring.Hash("a", "b", "c") {
		t.Error("moving a letter between type, scope and value gives the same hash")
	}
}

func TestSealAndRotation(t *testing.T) {
	key := func(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }
	old, err := newRing(file{Hash: key(9), Seal: map[uint32][]byte{1: key(1)}})
	if err != nil {
		t.Fatal(err)
	}
	rotated, err := newRing(file{Hash: key(9), Seal: map[uint32][]byte{1: key(1), 2: key(2)}})
	if err != nil {
		t.Fatal(err)
	}
	before, after := old.Marks(), rotated.Marks()
	if len(before) != 2 || len(after) != 3 || before["hash"] != after["hash"] || before["seal-1"] != after["seal-1"] || after["seal-1"] == after["seal-2"] || after["seal-2"] == after["hash"] {
		t.Errorf("marks before and after a rotation: %v, %v", before, after)
	}
	context := []byte("tmall|flagship|1")
	sealed := old.Seal(nil, []byte("13800001111"), context)
	if bytes.Contains(sealed, []byte("13800001111")) || bytes.Equal(sealed, old.Seal(nil, []byte("13800001111"), context)) {
		t.Error("sealing shows the value, or repeats itself")
	}
	if got, err := rotated.Open(nil, sealed, context); err != nil || string(got) != "13800001111" {
		t.Errorf("after rotation: %q, %v", got, err)
	}
	if _, err := old.Open(nil, rotated.Seal(nil, []byte("x"), context), context); err == nil {
		t.Error("a ring opened what a key that it lacks has sealed")
	}
	for name, spoil := range map[string]func() ([]byte, []byte){
		"another place": func() ([]byte, []byte) { return sealed, []byte("tmall|flagship|2") },
		"a bit flipped": func() ([]byte, []byte) { b := bytes.Clone(sealed); b[len(b)-1] ^= 1; return b, context },
		"cut":           func() ([]byte, []byte) { return sealed[:3], context },
	} {
		spoilt, place := spoil()
		if _, err := rotated.Open(nil, spoilt, place); err == nil {
			t.Errorf("%s: opened all the same", name)
		}
	}
}

func TestDamagedKeyFile(t *testing.T) {
	for name, content := range map[string]any{"no keys": file{}, "short hash key": file{Hash: []byte("x"), Seal: map[uint32][]byte{1: bytes.Repeat([]byte{1}, 32)}}, "short sealing key": file{Hash: bytes.Repeat([]byte{1}, 32), Seal: map[uint32][]byte{1: {1}}}, "not ours": []int{1}} {
		dir := t.TempDir()
		data, err := json.Marshal(content)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(dir, "keys"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "keys", "keyring.json"), data, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir); err == nil {
			t.Errorf("%s: Open gave no error", name)
		}
	}
}

// Identifiers' hashes are HMAC-SHA-256, whatever is hashed: another would be a rebuild.
func TestHashIsHMAC(t *testing.T) {
	key := bytes.Repeat([]byte{7}, 32)
	ring, err := newRing(file{Hash: key, Seal: map[uint32][]byte{1: key}})
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	text := func(most int) string {
		b := make([]byte, r.IntN(most+1))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return string(b)
	}
	for range 3000 {
		kind, scope, value := text(20), text(40), text(300)
		h := hmac.New(sha256.New, key)
		for _, part := range []string{kind, scope, value} {
			_ = binary.Write(h, binary.BigEndian, uint32(len(part)))
			_, _ = io.WriteString(h, part)
		}
		if got, want := ring.Hash(kind, scope, value), [16]byte(h.Sum(nil)[:16]); got != want {
			t.Fatalf("the hash of %q, %q, %q is %x, want %x", kind, scope, value, got, want)
		}
	}
}

func BenchmarkHash(b *testing.B) {
	ring, err := Create(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		ring.Hash("phone", "", "13800001111")
	}
}
