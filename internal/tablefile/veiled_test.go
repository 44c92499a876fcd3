package tablefile

import (
	"bytes"
	"math/rand/v2"
	"os"
	"testing"
)

// What was written in pieces is read at any place, and the file shows nothing of it.
func TestVeiled(t *testing.T) {
	t.Parallel()
	file, err := (&Files{Temp: t.TempDir()}).scratch(true)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r := rand.New(rand.NewPCG(1, 1))
	plain := bytes.Repeat([]byte("a name, a phone "), 5000)
	for rest := plain; len(rest) > 0; {
		n := min(len(rest), 1+r.IntN(9000))
		if wrote, err := file.Write(rest[:n]); err != nil || wrote != n {
			t.Fatal(wrote, err)
		}
		rest = rest[n:]
	}
	for range 500 {
		at := r.IntN(len(plain))
		got := make([]byte, r.IntN(len(plain)-at+1))
		if _, err := file.ReadAt(got, int64(at)); err != nil || !bytes.Equal(got, plain[at:at+len(got)]) {
			t.Fatalf("%d bytes at %d: %q, %v", len(got), at, got[:min(len(got), 30)], err)
		}
	}
	lies := make([]byte, len(plain))
	if _, err := file.(*veiled).file.ReadAt(lies, 0); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(lies, []byte("phone")) {
		t.Error("it lies there in plain")
	}
	seen := make(map[string]bool)
	for i := 0; i < len(lies); i += 16 { // equal blocks are not equal on disk
		seen[string(lies[i:i+16])] = true
	}
	if len(seen) != len(lies)/16 {
		t.Errorf("%d of %d blocks are different", len(seen), len(lies)/16)
	}
	plainFile, err := (&Files{Temp: t.TempDir()}).scratch(false)
	if err != nil {
		t.Fatal(err)
	}
	defer plainFile.Close()
	if _, is := plainFile.(*os.File); !is {
		t.Errorf("%T", plainFile)
	}
}
