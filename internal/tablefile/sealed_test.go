package tablefile

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	cryptzip "github.com/yeka/zip"
)

// While a workbook is read that was sealed, by itself or in a zip, nothing of it
// lies on disk in plain, not even in a file without a name; of one in a plain zip no
// file is left by which it could be found after a kill.
func TestWhatASealedWorkbookLeavesOnDisk(t *testing.T) {
	t.Parallel()
	const rows = 60_000
	var sheet strings.Builder
	sheet.WriteString(`<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>no</t></is></c></row>`)
	for row := range rows {
		fmt.Fprintf(&sheet, `<row r="%d"><c r="A%d" t="inlineStr"><is><t>secret %d</t></is></c></row>`, row+2, row+2, row)
	}
	sheet.WriteString(`</sheetData></worksheet>`)
	large := tampered(t, "xl/worksheets/sheet1.xml", sheet.String())
	small := workbookOf(t, "", map[string][][]any{"s": {{"no"}, {"secret 0"}}})
	for name, c := range map[string]struct {
		content []byte
		rows    int
		disk    bool
	}{
		"sealed":                      {sealed(t, large, "s3cret"), rows, false},
		"in a sealed zip":             {sealedZip(t, cryptzip.AES256Encryption, "s3cret", "a.xlsx", string(large)), rows, false},
		"sealed in a zip":             {zipOf(t, "a.xlsx", string(sealed(t, large, "s3cret"))), rows, false},
		"sealed in a zip of its kind": {sealedZip(t, cryptzip.StandardEncryption, "s3cret", "a.xlsx", string(sealed(t, large, "s3cret"))), rows, false},
		"small, in a zip":             {zipOf(t, "a.xlsx", string(small)), 1, true},
	} {
		temp, read, onDisk := t.TempDir(), 0, 0
		f := &Files{Paths: []string{put(t, t.TempDir(), "a", c.content)}, Password: "s3cret", Temp: temp}
		err := f.Each(t.Context(), Visitor{Table: func(table *Table) error {
			for {
				row, err := table.Next()
				if errors.Is(err, io.EOF) {
					return nil
				}
				if err != nil {
					return err
				}
				if read == 0 || read == rows-1 {
					if found, err := os.ReadDir(temp); err != nil || len(found) > 0 {
						t.Errorf("%s: %v lies on disk, %v", name, found, err)
					}
					for _, open := range openIn(t, temp) {
						content, err := os.ReadFile(open)
						if err != nil {
							t.Fatal(err)
						}
						if !c.disk && (bytes.Contains(content, []byte("PK\x03\x04")) || bytes.Contains(content, []byte("secret"))) {
							t.Errorf("%s: %s is open, in plain", name, open)
						}
						onDisk += len(content)
					}
				}
				if want := fmt.Sprintf("secret %d", read); row.Fields[0] != want {
					t.Fatalf("%s: row %d is %q", name, read, row.Fields)
				}
				read++
			}
		}})
		if err != nil || read != c.rows {
			t.Errorf("%s: %d rows, %v", name, read, err)
		}
		if onDisk == 0 && strings.Contains(name, "in a") && !strings.HasPrefix(name, "sealed in") {
			t.Errorf("%s: nothing was looked at on disk", name)
		}
	}
}

// openIn are the files of a folder that this process has open, those without a
// name among them, where the system tells.
func openIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	const open = "/proc/self/fd"
	entries, err := os.ReadDir(open)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		// One that was closed meanwhile is none.
		if name, err := os.Readlink(filepath.Join(open, entry.Name())); err == nil && strings.HasPrefix(name, dir) {
			names = append(names, filepath.Join(open, entry.Name()))
		}
	}
	return names
}

// A workbook with a password of its own that is too large to be decrypted is refused,
// with what to do; in a sealed zip it may have any size.
func TestASealedWorkbookIsHeld(t *testing.T) {
	t.Parallel()
	noise := make([]byte, mostSealed)
	for i, r := 0, rand.New(rand.NewPCG(1, 1)); i < len(noise); i++ {
		noise[i] = byte(r.Uint32())
	}
	book := tampered(t, "xl/theme/theme1.xml", "<theme>"+hex.EncodeToString(noise)+"</theme>", "xl/worksheets/sheet1.xml", strings.Replace(sheetXML, "&x;", "1", 1))
	for name, c := range map[string]struct {
		content []byte
		want    error
	}{
		"sealed":          {sealed(t, book, "s3cret"), errSealed},
		"in a sealed zip": {sealedZip(t, cryptzip.AES256Encryption, "s3cret", "a.xlsx", string(book)), nil},
	} {
		got, err := tables(t, &Files{Paths: []string{put(t, t.TempDir(), "a", c.content)}, Password: "s3cret", Temp: t.TempDir()})
		if !errors.Is(err, c.want) || c.want == nil && len(got) != 3 {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// bookOfTexts is a workbook of rows with texts of their own, which shrink as those
// of people do; the texts that its sheets share take a number of bytes in their part.
func bookOfTexts(t *testing.T, bytes int) (book []byte, rows int) {
	t.Helper()
	var texts, sheet strings.Builder
	texts.WriteString(`<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><si><t>no</t></si><si><t>of</t></si>`)
	sheet.WriteString(`<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData><row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>1</v></c></row>`)
	for ; texts.Len() < bytes-100; rows++ {
		fmt.Fprintf(&texts, "<si><t>%x</t></si><si><t>%x</t></si>", rows*7919, rows)
		fmt.Fprintf(&sheet, `<row r="%d"><c r="A%d" t="s"><v>%d</v></c><c r="B%d" t="s"><v>%d</v></c></row>`, rows+2, rows+2, 2*rows+2, rows+2, 2*rows+3)
	}
	return tampered(t, "xl/sharedStrings.xml", texts.String()+"</sst>", "xl/worksheets/sheet1.xml", sheet.String()+"</sheetData></worksheet>"), rows
}

// memoryChild, if set, makes the test below read a file and say what it took.
const memoryChild = "ONEID_TEST_TABLEFILE_CHILD"

// A sealed workbook nearly as large as one may be is read in 200 MB, by a process of its
// own; one in plain takes no more the more rows it has.
func TestMemoryOfWorkbooks(t *testing.T) {
	if path := os.Getenv(memoryChild); path != "" {
		readAlone(t, path)
		return
	}
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Log("the memory of a process is read from /proc: nothing to see here")
		return
	}
	t.Parallel()
	small, smallRows := bookOfTexts(t, 8<<20) // more than is held
	large, largeRows := bookOfTexts(t, 40<<20)
	closed, closedRows := bookOfTexts(t, 24<<20)
	peaks := make(map[string]int)
	for name, c := range map[string]struct {
		book []byte
		rows int
	}{
		"small": {small, smallRows}, "large": {large, largeRows}, "sealed": {sealed(t, closed, "s3cret"), closedRows}, "in a sealed zip": {sealedZip(t, cryptzip.AES256Encryption, "s3cret", "a.xlsx", string(large)), largeRows},
	} {
		program, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		child := exec.CommandContext(t.Context(), program, "-test.run=^TestMemoryOfWorkbooks$", "-test.v")
		child.Env = append(os.Environ(), memoryChild+"="+put(t, t.TempDir(), "a.xlsx", c.book))
		out, err := child.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		var rows, peak int
		for line := range strings.Lines(string(out)) {
			if i := strings.Index(line, "read "); i >= 0 {
				_, _ = fmt.Sscanf(line[i:], "read %d rows, peak %d kB", &rows, &peak)
			}
		}
		t.Logf("%s, %d rows: %d MB at most", name, rows, peak>>10)
		if rows != c.rows || peak == 0 || peak > 200<<10 {
			t.Errorf("%s: %d rows in %d kB, want %d in at most 200 MB", name, rows, peak, c.rows)
		}
		peaks[name] = peak
	}
	if peaks["large"] > peaks["small"]+40<<10 { // a busy machine collects late
		t.Errorf("five times the rows take %d kB, in place of %d", peaks["large"], peaks["small"])
	}
}

func readAlone(t *testing.T, path string) {
	t.Helper()
	rows := 0
	f := &Files{Paths: []string{path}, Password: "s3cret", Temp: t.TempDir()}
	err := f.Each(t.Context(), Visitor{Table: func(table *Table) error {
		for {
			row, err := table.Next()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			if want := fmt.Sprintf("%x %x", rows*7919, rows); strings.Join(row.Fields, " ") != want {
				t.Fatalf("row %d: %q, want %q", rows, row.Fields, want)
			}
			rows++
		}
	}})
	status, unknown := os.ReadFile("/proc/self/status")
	if err = errors.Join(err, unknown); err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	t.Logf("read %d rows, peak %s", rows, strings.Join(strings.Fields(rest)[:2], " "))
}
