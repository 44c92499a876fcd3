package file

import (
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"oneid/internal/tablefile"
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
		path := putFile(t, t.TempDir(), "a.zip", c.text)
		x := export(t, 10, path)
		if err := x.Check(t.Context()); err != nil {
			t.Errorf("%s: Check = %v", name, err)
		}
		if err := Readable(t.Context(), tablefile.Files{Paths: []string{path}}); (err == nil) != c.readable {
			t.Errorf("%s: Readable = %v", name, err)
		}
	}
}
