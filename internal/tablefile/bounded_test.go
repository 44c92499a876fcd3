package tablefile

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	cryptzip "github.com/yeka/zip"
)

// Of an entry no more comes out than the zip's list says, however it is read: one
// that lies is told to be a bomb before the rest of it is unpacked.
func TestNoMoreComesOutThanIsSaid(t *testing.T) {
	t.Parallel()
	const said = 1 << 20
	lying := func(content []byte) []byte {
		at := bytes.LastIndex(content, []byte("PK\x01\x02")) // the list's only entry
		binary.LittleEndian.PutUint32(content[at+24:], said)
		return content
	}
	zeros := strings.Repeat("0", 8*said)
	for name, c := range map[string]struct {
		content []byte
		want    error // the library for plain zips counts for itself, and says what it likes
	}{
		"plain":         {bombOf(t, "a.csv", 80<<20, said), nil},
		"sealed by AES": {lying(sealedZip(t, cryptzip.AES256Encryption, "s3cret", "a.csv", zeros)), ErrBomb},
		"sealed as old": {lying(sealedZip(t, cryptzip.StandardEncryption, "s3cret", "a.csv", zeros)), ErrBomb},
	} {
		plain, err := zip.NewReader(bytes.NewReader(c.content), int64(len(c.content)))
		if err != nil {
			t.Fatal(err)
		}
		z := &zipped{files: &Files{Password: "s3cret"}, plain: plain, in: bytes.NewReader(c.content), size: int64(len(c.content))}
		in, err := z.open(0)
		if err != nil {
			t.Fatal(err)
		}
		out, err := io.Copy(io.Discard, struct{ io.Reader }{in})
		if err == nil || c.want != nil && !errors.Is(err, c.want) || out > said {
			t.Errorf("%s: %d bytes came out of one that says %d, then %v; want %v", name, out, said, err, c.want)
		}
		if err := in.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}

	exact := []byte("0123456789")
	for name, reader := range map[string]func(io.Reader) io.Reader{
		"at once": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader, "by halves": iotest.HalfReader, "with the end": iotest.DataErrReader,
	} {
		for left, want := range map[uint64]error{10: nil, 11: nil, 9: ErrBomb, 0: ErrBomb} {
			got, err := io.ReadAll(&bounded{ReadCloser: io.NopCloser(reader(bytes.NewReader(exact))), left: left})
			if !errors.Is(err, want) || uint64(len(got)) > left || want == nil && !bytes.Equal(got, exact) {
				t.Errorf("%s, of %d that are said: %q, %v", name, left, got, err)
			}
		}
	}
}
