package file

import (
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

// A file whose end is damaged is known by its beginning, and found out when it is
// read to its end.
func TestReadable(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.CreateHeader(&zip.FileHeader{Name: "100-a.csv", Method: zip.Store})
	if err == nil {
		_, err = io.WriteString(f, "order,line,what\n"+strings.Repeat("1,a,x\n", 50_000)+"1,a,last\n")
	}
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	whole := b.String()
	for name, c := range map[string]struct {
		text     string
		readable bool
	}{"whole": {whole, true}, "damaged": {strings.Replace(whole, "last", "lost", 1), false}} {
		x := export(t, 10, putFile(t, t.TempDir(), "a.zip", c.text))
		if err := x.Check(t.Context()); err != nil {
			t.Errorf("%s: Check = %v", name, err)
		}
		if err := x.Readable(t.Context()); (err == nil) != c.readable {
			t.Errorf("%s: Readable = %v", name, err)
		}
	}
}
