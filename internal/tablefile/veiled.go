package tablefile

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"io"
	"os"
)

// scratch is a file for what must lie on disk while something is read.
type scratch interface {
	io.Writer
	io.ReaderAt
	io.Closer
}

// scratch makes one that nobody can find; of what was sealed, one that nobody can
// read either.
func (f *Files) scratch(sealed bool) (scratch, error) {
	file, err := nameless(f.Temp)
	if err != nil || !sealed {
		return file, err
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key) // it never fails
	block, err := aes.NewCipher(key)
	if err != nil {
		file.Close()
		return nil, err
	}
	v := &veiled{file: file, block: block}
	v.out = v.stream(0)
	return v, nil
}

// veiled is a file that is encrypted with a key that only this process has (AES-256,
// CTR). It is written once, from its beginning on, and read at places.
type veiled struct {
	file  *os.File
	block cipher.Block
	out   cipher.Stream
	coded []byte
}

// stream is the key stream from a place on, a multiple of the block's size.
func (v *veiled) stream(at int64) cipher.Stream {
	counter := make([]byte, aes.BlockSize)
	binary.BigEndian.PutUint64(counter[8:], uint64(at/aes.BlockSize))
	return cipher.NewCTR(v.block, counter)
}

func (v *veiled) Write(p []byte) (int, error) {
	v.coded = append(v.coded[:0], p...)
	v.out.XORKeyStream(v.coded, v.coded)
	return v.file.Write(v.coded)
}

func (v *veiled) ReadAt(p []byte, at int64) (int, error) {
	n, err := v.file.ReadAt(p, at)
	skipped := make([]byte, at%aes.BlockSize)
	in := v.stream(at - at%aes.BlockSize)
	in.XORKeyStream(skipped, skipped)
	in.XORKeyStream(p[:n], p[:n])
	return n, err
}

func (v *veiled) Close() error { return v.file.Close() }
