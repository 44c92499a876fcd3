package tablefile

import (
	"archive/zip"
	"bytes"
	"io"
	"os"
	"testing"
	"time"

	cryptzip "github.com/yeka/zip"
)

// A file is as old as the clock on the wall said where its zip was made, unless the
// zip tells a moment; it is never newer than its zip.
func TestWhenAFileOfAZipWasWritten(t *testing.T) {
	t.Parallel()
	morning := time.Date(2026, 11, 11, 1, 30, 0, 0, time.UTC) // 09:30 in Shanghai
	wall := time.Date(2026, 11, 11, 9, 30, 0, 0, time.UTC)    // of no zone, as a clock on a wall shows it
	for name, c := range map[string]struct {
		moment, wall time.Time
		extra        []byte
		zipped, want time.Time
	}{
		"a wall clock":           {wall: wall, zipped: morning.Add(time.Hour), want: morning},
		"a moment":               {moment: morning, zipped: morning.Add(time.Hour), want: morning},
		"a moment of a zone":     {moment: morning.In(time.FixedZone("", -5*60*60)), zipped: morning.Add(time.Hour), want: morning},
		"a clock that is ahead":  {wall: wall, zipped: morning.Add(-time.Minute), want: morning.Add(-time.Minute)},
		"no time":                {zipped: morning, want: morning},
		"other fields beside it": {wall: wall, extra: []byte{0x75, 0x70, 2, 0, 1, 1}, zipped: morning.Add(time.Hour), want: morning},
	} {
		var packed bytes.Buffer
		var entry io.Writer
		var err error
		var done io.Closer
		if c.wall.IsZero() {
			w := zip.NewWriter(&packed)
			entry, err = w.CreateHeader(&zip.FileHeader{Name: "a.csv", Modified: c.moment})
			done = w
		} else { // the standard library's writer tells no wall clock
			w := cryptzip.NewWriter(&packed)
			header := &cryptzip.FileHeader{Name: "a.csv", Extra: c.extra}
			header.SetModTime(c.wall)
			entry, err = w.CreateHeader(header)
			done = w
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(entry, "no\n1\n"); err != nil {
			t.Fatal(err)
		}
		if err := done.Close(); err != nil {
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
