package tablefile

import (
	"archive/zip"
	"bytes"
	"io"
	"os"
	"testing"
	"time"
)

// A file is as old as the clock on the wall said where its zip was made, unless the
// zip tells a moment; it is never newer than its zip.
func TestWhenAFileOfAZipWasWritten(t *testing.T) {
	t.Parallel()
	morning := time.Date(2026, 11, 11, 1, 30, 0, 0, time.UTC) // 09:30 in Shanghai
	const dosDate, dosTime = (2026-1980)<<9 | 11<<5 | 11, 9<<11 | 30<<5
	for name, c := range map[string]struct {
		header zip.FileHeader
		zipped time.Time
		want   time.Time
	}{
		"a wall clock":           {zip.FileHeader{ModifiedDate: dosDate, ModifiedTime: dosTime}, morning.Add(time.Hour), morning},
		"a moment":               {zip.FileHeader{Modified: morning}, morning.Add(time.Hour), morning},
		"a moment of a zone":     {zip.FileHeader{Modified: morning.In(time.FixedZone("", -5*60*60))}, morning.Add(time.Hour), morning},
		"a clock that is ahead":  {zip.FileHeader{ModifiedDate: dosDate, ModifiedTime: dosTime}, morning.Add(-time.Minute), morning.Add(-time.Minute)},
		"no time":                {zip.FileHeader{}, morning, morning},
		"other fields beside it": {zip.FileHeader{ModifiedDate: dosDate, ModifiedTime: dosTime, Extra: []byte{0x75, 0x70, 2, 0, 1, 1}}, morning.Add(time.Hour), morning},
	} {
		c.header.Name = "a.csv"
		var packed bytes.Buffer
		w := zip.NewWriter(&packed)
		entry, err := w.CreateHeader(&c.header)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(entry, "no\n1\n"); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		path := put(t, t.TempDir(), "a.zip", packed.Bytes())
		if err := os.Chtimes(path, c.zipped, c.zipped); err != nil {
			t.Fatal(err)
		}
		var got time.Time
		files := Files{Paths: []string{path}}
		if err := files.Each(t.Context(), Visitor{Table: func(table *Table) error { got = table.Modified; return nil }}); err != nil || !got.Equal(c.want) {
			t.Errorf("%s: %v, %v; want %v", name, got, err, c.want)
		}
	}
}
