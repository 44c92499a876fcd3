package tablefile

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/xuri/excelize/v2"
	cryptzip "github.com/yeka/zip"
	"golang.org/x/text/encoding/simplifiedchinese"
)

func hasNumber(fields []string) bool {
	return slices.Contains(fields, "编号") || slices.Contains(fields, "no")
}

// tables gives all tables as text: "name", "header", "line: a|b" …
func tables(t testing.TB, f *Files) ([]string, error) {
	t.Helper()
	var got []string
	err := f.Each(t.Context(), Visitor{
		Left: func(name string, why error) { got = append(got, name+" left") },
		Table: func(table *Table) error {
			got = append(got, table.Name, strings.Join(table.Header(), "|"))
			for {
				row, err := table.Next()
				if errors.Is(err, io.EOF) {
					return nil
				}
				if err != nil {
					return err
				}
				if row.Err != nil {
					got = append(got, fmt.Sprintf("%d!", row.Line))
					continue
				}
				got = append(got, fmt.Sprintf("%d: %s", row.Line, strings.Join(row.Fields, "|")))
			}
		},
	})
	return got, err
}

func put(t testing.TB, dir, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// zipOf packs name, content, name, content …
func zipOf(t testing.TB, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		// CreateRaw takes any name; programs in China write GBK.
		f, err := w.CreateHeader(&zip.FileHeader{Name: files[i], Method: zip.Deflate, NonUTF8: true})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(f, files[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func sealedZip(t testing.TB, method cryptzip.EncryptionMethod, password, name, content string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := cryptzip.NewWriter(&b)
	f, err := w.Encrypt(name, password, method)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(f, content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// workbookOf makes a workbook of sheets: name, rows.
func workbookOf(t testing.TB, password string, sheets map[string][][]any) []byte {
	t.Helper()
	book := excelize.NewFile()
	first := true
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for name := range sheets {
			if !yield(name) {
				return
			}
		}
	}) {
		var err error
		if first {
			err = book.SetSheetName("Sheet1", name)
		} else {
			_, err = book.NewSheet(name)
		}
		first = false
		for i, row := range sheets[name] {
			err = errors.Join(err, book.SetSheetRow(name, fmt.Sprintf("A%d", i+1), &row))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	if err := book.Write(&b, excelize.Options{Password: password}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestFiles(t *testing.T) {
	t.Parallel()
	csv := "编号,名称\n=\"0012\",演示\n"
	want := []string{"编号|名称", `2: ="0012"|演示`}
	book := workbookOf(t, "", map[string][][]any{
		"订单": {{"演示店铺 的订单"}, {"编号", "名称 ", "数量"}, {"3700000000000000101", "演示", 2}, nil, {"3700000000000000102", nil, 1.5}},
		"空":  {},
	})
	wantBook := []string{"订单", "编号|名称|数量", "3: \t3700000000000000101|演示|2", "5: \t3700000000000000102||1.5"}
	sheets := func(prefix string) []string {
		return append([]string{prefix + "/空 left", prefix + "/" + wantBook[0]}, wantBook[1:]...)
	}
	for name, c := range map[string]struct {
		file     string
		content  []byte
		password string
		want     []string
	}{
		"UTF-8":                      {"a.csv", []byte(csv), "", append([]string{"a.csv"}, want...)},
		"UTF-8 with a mark":          {"a.csv", []byte("\xef\xbb\xbf" + csv), "", append([]string{"a.csv"}, want...)},
		"GBK":                        {"a.csv", []byte(gbk(csv)), "", append([]string{"a.csv"}, want...)},
		"titles":                     {"a.csv", []byte(gbk("演示店铺订单\n导出时间：2026-01-02,\n\n" + csv)), "", []string{"a.csv", "编号|名称", `5: ="0012"|演示`}},
		"a tab keeps digits":         {"a.csv", []byte("编号,名称\n\"\t12\",\"\t\"\n"), "", []string{"a.csv", "编号|名称", "2: \t12|"}},
		"padded by a spreadsheet":    {"a.csv", []byte("编号,名称\n1,2,,\n3,4,,x\n"), "", []string{"a.csv", "编号|名称", "2: 1|2", "3!"}},
		"no header is known":         {"a.csv", []byte("x,y\n1,2\n"), "", []string{"a.csv", "x|y", "2: 1|2"}},
		"a stray quote in a title":   {"a.csv", []byte("\"演示\n编号,名称\n1,2\n"), "", []string{"a.csv", "编号|名称", "3: 1|2"}},
		"a stray quote, no header":   {"a.csv", []byte("\"演示\nx,y\n1,2\n"), "", []string{"a.csv left"}},
		"zip of many":                {"a.zip", zipOf(t, "x/", "", "x/a.csv", csv, gbk("订单.csv"), gbk(csv), "__MACOSX/._a.csv", "x", "read.me", "x"), "", slices.Concat([]string{"a.zip/x/a.csv"}, want, []string{"a.zip/订单.csv"}, want, []string{"a.zip/read.me left"})},
		"zip, AES-256":               {"a.zip", sealedZip(t, cryptzip.AES256Encryption, "s3cret", "a.csv", csv), "s3cret", append([]string{"a.zip/a.csv"}, want...)},
		"zip, AES-128":               {"a.zip", sealedZip(t, cryptzip.AES128Encryption, "s3cret", "a.csv", csv), "s3cret", append([]string{"a.zip/a.csv"}, want...)},
		"zip, the old cipher":        {"a.zip", sealedZip(t, cryptzip.StandardEncryption, "s3cret", "a.csv", csv), "s3cret", append([]string{"a.zip/a.csv"}, want...)},
		"workbook":                   {"a.xlsx", book, "", sheets("a.xlsx")},
		"workbook in a zip":          {"a.zip", zipOf(t, "b/a.xlsx", string(book)), "", sheets("a.zip/b/a.xlsx")},
		"workbook in a sealed zip":   {"a.zip", sealedZip(t, cryptzip.AES256Encryption, "s3cret", "a.xlsx", string(book)), "s3cret", sheets("a.zip/a.xlsx")},
		"workbook with a password":   {"a.xlsx", workbookOf(t, "s3cret", map[string][][]any{"订单": {{"编号"}, {"1"}}}), "s3cret", []string{"a.xlsx/订单", "编号", "2: 1"}},
		"a workbook by a wrong name": {"a.csv", book, "", sheets("a.csv")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, temp := t.TempDir(), t.TempDir()
			f := &Files{Paths: []string{put(t, dir, c.file, c.content)}, Password: c.password, Temp: temp, Options: Options{IsHeader: hasNumber, KeepTabs: true}}
			got, err := tables(t, f)
			if d := cmp.Diff(c.want, got); d != "" || err != nil {
				t.Errorf("error %v, tables (-want +got):\n%s", err, d)
			}
			if left, _ := os.ReadDir(temp); len(left) > 0 {
				t.Errorf("%v is left on disk", left)
			}
		})
	}
}

// A folder is read in the order of its names; what is no table is named.
func TestFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, "b.csv", []byte("no\n2\n"))
	put(t, dir, "a/c.csv", []byte("no\n1\n"))
	put(t, dir, "a/notes.docx", []byte("x"))
	put(t, dir, ".hidden/d.csv", []byte("no\n3\n"))
	put(t, dir, "~$b.xlsx", []byte("x"))
	f := &Files{Paths: []string{dir}, Options: Options{IsHeader: hasNumber}}
	got, err := tables(t, f)
	if d := cmp.Diff([]string{"notes.docx left", "c.csv", "no", "2: 1", "b.csv", "no", "2: 2"}, got); d != "" || err != nil {
		t.Errorf("error %v, tables (-want +got):\n%s", err, d)
	}
	if size, err := f.Size(); size != 10 || err != nil {
		t.Errorf("Size = %d, %v; want 10", size, err)
	}
	before, _ := f.Fingerprint()
	put(t, dir, "b.csv", []byte("no\n33\n"))
	if after, _ := f.Fingerprint(); bytes.Equal(before, after) {
		t.Error("the fingerprint of other files is the same")
	}
}

// bombOf is a zip whose file unpacks to n zeros; its list says said.
func bombOf(t testing.TB, name string, n, said uint64) []byte {
	t.Helper()
	var packed bytes.Buffer
	w := zip.NewWriter(&packed)
	f, err := w.Create("x")
	if err != nil {
		t.Fatal(err)
	}
	zeros := bytes.Repeat([]byte("0"), 1<<20)
	sum := crc32.NewIEEE()
	for range n >> 20 {
		_, _ = f.Write(zeros)
		_, _ = sum.Write(zeros)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	in, err := zip.NewReader(bytes.NewReader(packed.Bytes()), int64(packed.Len()))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := in.File[0].OpenRaw()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	out := zip.NewWriter(&b)
	f, err = out.CreateRaw(&zip.FileHeader{Name: name, Method: zip.Deflate, CRC32: sum.Sum32(), CompressedSize64: in.File[0].CompressedSize64, UncompressedSize64: said})
	if err == nil {
		_, err = io.Copy(f, raw)
	}
	if err = errors.Join(err, out.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// tampered is a workbook with one part replaced.
func tampered(t testing.TB, parts ...string) []byte {
	t.Helper()
	book := workbookOf(t, "", map[string][][]any{"s": {{"no"}, {"1"}}})
	in, err := zip.NewReader(bytes.NewReader(book), int64(len(book)))
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, f := range in.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if at := slices.Index(parts, f.Name); at >= 0 {
			text = []byte(parts[at+1])
		}
		files = append(files, f.Name, string(text))
	}
	return zipOf(t, files...)
}

// bookBomb is a workbook of which one sheet unpacks to so many blanks.
func bookBomb(t testing.TB, blanks int) []byte {
	t.Helper()
	return tampered(t, "xl/worksheets/sheet1.xml", strings.ReplaceAll(sheetXML, "&x;", "1")+strings.Repeat(" ", blanks))
}

// sealed is a workbook under a password.
func sealed(t testing.TB, book []byte, password string) []byte {
	t.Helper()
	out, err := excelize.Encrypt(book, &excelize.Options{Password: password})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// left is a zip of a file that is left as it is.
func left(t testing.TB, name string, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
	if err == nil {
		_, err = f.Write(content)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

const sheetXML = `<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>no</t></is></c></row><row r="2"><c r="A2" t="inlineStr"><is><t>&x;</t></is></c></row></sheetData></worksheet>`

// farRight is a sheet of so many rows with a cell in the last column there is.
func farRight(rows int) string {
	var b strings.Builder
	b.WriteString(`<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>no</t></is></c></row>`)
	for row := 2; row < rows; row++ {
		fmt.Fprintf(&b, `<row r="%d"><c r="XFD%d"><v>1</v></c></row>`, row, row)
	}
	return b.String() + `</sheetData></worksheet>`
}

// rowOf is a sheet with a row of cells.
func rowOf(cells string) string {
	return `<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData><row>` + cells + `</row></sheetData></worksheet>`
}

// bookXML is the list of n sheets of a workbook, each with the relation that of
// says.
func bookXML(properties string, n int, of func(int) int) string {
	var b strings.Builder
	b.WriteString(`<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships">` + properties + `<sheets>`)
	for i := range n {
		fmt.Fprintf(&b, `<sheet name="s%d" sheetId="%d" r:id="rId%d"/>`, i, i+1, of(i+1))
	}
	return b.String() + `</sheets></workbook>`
}

func manySheets(t testing.TB, n int, of func(int) int) []byte {
	t.Helper()
	return tampered(t, "xl/workbook.xml", bookXML("", n, of))
}

// twoNames are two relations to one sheet.
const twoNames = `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">` +
	`<Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/>` +
	`<Relationship Id="rId2" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="/xl/x/../worksheets/Sheet1.xml"/></Relationships>`

// A row without cells counts, too: reading it takes time.
func TestRowsWithoutCellsCount(t *testing.T) {
	t.Parallel()
	b := &book{size: 1}
	for range freeBytes {
		if err := b.take(nil); err != nil {
			t.Fatalf("refused after %d bytes: %v", b.cells, err)
		}
	}
	if err := b.take(nil); !errors.Is(err, ErrBomb) {
		t.Errorf("after %d rows out of a byte: %v, want %v", b.cells, err, ErrBomb)
	}
}

// padded is a zip with a file beside its own that does not shrink.
func padded(t testing.TB, content []byte, size int) []byte {
	t.Helper()
	in, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	out := zip.NewWriter(&b)
	for _, f := range in.File {
		if err := out.Copy(f); err != nil {
			t.Fatal(err)
		}
	}
	f, err := out.CreateHeader(&zip.FileHeader{Name: "padding.txt", Method: zip.Store})
	if err == nil {
		_, err = f.Write(bytes.Repeat([]byte("x"), size))
	}
	if err = errors.Join(err, out.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Names that a zip may have: of programs in China, of which a character's second
// byte is a backslash, and with a colon that is no drive's.
func TestNamesInAZip(t *testing.T) {
	t.Parallel()
	gbk, err := simplifiedchinese.GBK.NewEncoder().String("誠品.csv")
	if err != nil || !strings.Contains(gbk, "\\") {
		t.Fatalf("%q, %v: a name that has a backslash in GBK is wanted", gbk, err)
	}
	for name, want := range map[string]string{gbk: "誠品.csv", "12:30.csv": "12:30.csv", "月报:一.csv": "月报:一.csv"} {
		f := &Files{Paths: []string{put(t, t.TempDir(), "a.zip", zipOf(t, name, "no\n1\n"))}, Options: Options{IsHeader: hasNumber}}
		got, err := tables(t, f)
		if err != nil || len(got) == 0 || got[0] != "a.zip/"+want {
			t.Errorf("%s: %q, %v", want, got, err)
		}
	}
}

// manyFiles is a zip of so many empty ones, which no table is made of.
func manyFiles(t *testing.T, n int) []byte {
	t.Helper()
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for i := range n {
		if _, err := z.Create(fmt.Sprintf("%d.txt", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// What was made to harm is refused, each with an error that says so.
func TestFilesMadeToHarm(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	secret := put(t, dir, "secret.csv", []byte("no\n1\n"))
	for name, c := range map[string]struct {
		content  []byte
		password string
		want     error
		text     string
	}{
		"a bomb":                 {bombOf(t, "a.csv", 80<<20, 80<<20), "", ErrBomb, "bomb"},
		"a bomb that lies":       {bombOf(t, "a.csv", 80<<20, 1<<20), "", nil, ""},
		"a bomb as workbook":     {bombOf(t, "xl/workbook.xml", 80<<20, 80<<20), "", ErrBomb, "bomb"},
		"a zip in a zip":         {zipOf(t, "b.zip", string(zipOf(t, "a.csv", "no\n1\n"))), "", nil, "zip within a zip"},
		"up":                     {zipOf(t, "../a.csv", "no\n1\n"), "", ErrPath, "leads out"},
		"up inside":              {zipOf(t, "x/../../a.csv", "no\n1\n"), "", ErrPath, "leads out"},
		"from the root":          {zipOf(t, "/etc/a.csv", "no\n1\n"), "", ErrPath, "leads out"},
		"a drive":                {zipOf(t, `C:\a.csv`, "no\n1\n"), "", ErrPath, "leads out"},
		"a drive with a slash":   {zipOf(t, "c:/a.csv", "no\n1\n"), "", ErrPath, "leads out"},
		"a drive's own folder":   {zipOf(t, "C:a.csv", "no\n1\n"), "", ErrPath, "leads out"},
		"a bomb beside padding":  {padded(t, bombOf(t, "a.csv", 80<<20, 80<<20), 1<<20), "", ErrBomb, "bomb"},
		"251 sheets":             {manySheets(t, 251, func(i int) int { return i }), "", ErrBomb, "251 sheets"},
		"two sheets of one part": {manySheets(t, 2, func(int) int { return 1 }), "", errSheets, "one part"},
		"one part by two names":  {tampered(t, "xl/_rels/workbook.xml.rels", twoNames, "xl/workbook.xml", bookXML("", 2, func(i int) int { return i })), "", errSheets, "one part"},
		"days from 1904":         {tampered(t, "xl/workbook.xml", bookXML(`<workbookPr date1904="1"/>`, 1, func(int) int { return 1 })), "", errDays, "1904"},
		"up with backslashes":    {zipOf(t, `..\a.csv`, "no\n1\n"), "", ErrPath, "leads out"},
		"up beside a workbook":   {zipOf(t, "xl/workbook.xml", "<x/>", "../../a", "x"), "", ErrPath, "leads out"},
		"an entity of a file":    {tampered(t, "xl/worksheets/sheet1.xml", `<?xml version="1.0"?><!DOCTYPE x [<!ENTITY x SYSTEM "file://`+secret+`">]>`+sheetXML), "", ErrEntities, "entities"},
		"entities of entities":   {tampered(t, "xl/sharedStrings.xml", `<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY x "&a;&a;&a;&a;&a;">]><sst>&x;</sst>`), "", ErrEntities, "entities"},
		"entities in a relation": {tampered(t, "xl/_rels/workbook.xml.rels", ` <!-- x --> <!DOCTYPE x SYSTEM "http://127.0.0.1/x"><Relationships/>`), "", ErrEntities, "entities"},
		"and that far down":      {tampered(t, "xl/_rels/workbook.xml.rels", strings.Repeat(" ", 1000)+`<!DOCTYPE x SYSTEM "http://127.0.0.1/x"><Relationships/>`), "", ErrEntities, "entities"},
		"10,001 files":           {manyFiles(t, 10_001), "", ErrBomb, "10001 files"},
		"a workbook's bomb":      {bookBomb(t, 80<<20), "", ErrBomb, "bomb"},
		"cells far to the right": {tampered(t, "xl/worksheets/sheet1.xml", farRight(20_000)), "", ErrBomb, "bomb"},
		"empty cells far off":    {tampered(t, "xl/worksheets/sheet1.xml", strings.ReplaceAll(farRight(20_000), "<v>1</v>", "")), "", ErrBomb, "bomb"},
		"one text in many cells": {tampered(t, "xl/sharedStrings.xml", "<sst><si><t>"+strings.Repeat("a", 1<<20)+"</t></si></sst>", "xl/worksheets/sheet1.xml", rowOf(strings.Repeat(`<c t="s"><v>0</v></c>`, 16_000))), "", nil, "texts of a row of it are larger"},
		"a text of many pieces":  {tampered(t, "xl/worksheets/sheet1.xml", rowOf(`<c><v>`+strings.Repeat(strings.Repeat("1", 1<<20)+"<!-- -->", 20)+`</v></c>`)), "", nil, "texts of a row of it are larger"},
		"a shared one of them":   {tampered(t, "xl/sharedStrings.xml", "<sst><si>"+strings.Repeat("<r><t>"+strings.Repeat("a", 1<<20)+"</t></r>", 20)+"</si></sst>"), "", nil, "texts of a row of it are larger"},
		"in a zip that says 1:1": {left(t, "a.xlsx", bookBomb(t, 80<<20)), "", ErrBomb, "bomb"},
		"under a password":       {sealed(t, bookBomb(t, 80<<20), "s3cret"), "s3cret", ErrBomb, "bomb"},
		"sealed entities":        {sealed(t, tampered(t, "xl/worksheets/sheet1.xml", `<!DOCTYPE x [<!ENTITY x "y">]>`+sheetXML), "s3cret"), "s3cret", ErrEntities, "entities"},
		"cut off":                {zipOf(t, "a.csv", "no\n1\n")[:60], "", nil, "cut off or damaged"},
		"a sealed zip":           {sealedZip(t, cryptzip.AES256Encryption, "s3cret", "a.csv", "no\n1\n"), "", ErrPassword, "password is needed"},
		"a wrong password":       {sealedZip(t, cryptzip.AES256Encryption, "s3cret", "a.csv", "no\n1\n"), "other", ErrPassword, "password is wrong"},
		"a wrong one, old":       {sealedZip(t, cryptzip.StandardEncryption, "s3cret", "a.csv", "no\n1\n"), "other", ErrPassword, "password is wrong"},
		"a sealed workbook":      {workbookOf(t, "s3cret", map[string][][]any{"s": {{"no"}, {"1"}}}), "", ErrPassword, "password"},
		"its wrong password":     {workbookOf(t, "s3cret", map[string][][]any{"s": {{"no"}, {"1"}}}), "other", ErrPassword, "password is wrong"},
		"an old workbook":        {append([]byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), make([]byte, 600)...), "x", ErrPassword, ".xls"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			temp := t.TempDir()
			f := &Files{Paths: []string{put(t, t.TempDir(), "a.zip", c.content)}, Password: c.password, Temp: temp, Options: Options{IsHeader: hasNumber}}
			got, err := tables(t, f)
			if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("Each = %v after %q; want %v, %q", err, got, c.want, c.text)
			}
			if err != nil && (strings.Contains(err.Error(), temp) || strings.Contains(err.Error(), "s3cret")) {
				t.Errorf("the error tells too much: %v", err)
			}
			if left, _ := os.ReadDir(temp); len(left) > 0 {
				t.Errorf("%v is left on disk", left)
			}
		})
	}
}

// A workbook is read to its end or refused: wherever a sheet is cut off or has a
// fault, no row is left out without a word, and none of its values is told.
func TestAWorkbookIsReadWhole(t *testing.T) {
	t.Parallel()
	sheet := `<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>` +
		`<row r="1"><c r="A1" t="inlineStr"><is><t>no</t></is></c></row><row r="2"><c r="A2" t="inlineStr"><is><t>12</t></is></c></row>` +
		`<row r="3"><c r="A3" t="inlineStr"><is><t>34</t></is></c></row></sheetData></worksheet>`
	read := func(book []byte) ([]string, error) {
		return tables(t, &Files{Paths: []string{put(t, t.TempDir(), "a.xlsx", book)}, Temp: t.TempDir(), Options: Options{IsHeader: hasNumber}})
	}
	if got, err := read(tampered(t, "xl/worksheets/sheet1.xml", sheet)); err != nil || len(got) != 4 {
		t.Fatalf("a whole one: %q, %v", got, err)
	}
	refused := func(what, text string) {
		t.Helper()
		got, err := read(tampered(t, "xl/worksheets/sheet1.xml", text))
		if err == nil || strings.Contains(err.Error(), "12") && !strings.Contains(err.Error(), "byte") {
			t.Errorf("%s: %q, %v", what, got, err)
		}
	}
	for at := 1; at < len(sheet); at += 3 {
		refused(fmt.Sprintf("cut off at %d", at), sheet[:at])
		for _, fault := range []string{"<", "&"} {
			if sheet[at:at+1] != fault {
				refused(fmt.Sprintf("%s at %d", fault, at), sheet[:at]+fault+sheet[at+1:])
			}
		}
	}
	refused("elements that close others", strings.Replace(sheet, "</row><row", "</c><row", 1))
	refused("too deep", strings.Replace(sheet, "<sheetData>", strings.Repeat("<a>", 100)+strings.Repeat("</a>", 100)+"<sheetData>", 1))
	shared := tampered(t, "xl/sharedStrings.xml", `<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><si><t>no</t></si><si><t>&b;</t></si></sst>`)
	if got, err := read(shared); err == nil {
		t.Errorf("texts that are cut off: %q", got)
	}
}

// What parts the fields of a table with a known header is seen by that, behind
// titles and in either encoding; a comma in a field and a tab before one part
// nothing.
func TestFieldsArePartedAsTheHeaderIs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ in, want string }{
		"commas":           {"a title; of two\tparts\nno,名称\n\t1,a;b\n", "no|名称 3: \t1|a;b"},
		"tabs":             {"a, title\nno\t名称\n1\ta,b\n\"2\"\t\"c\td\"\n", "no|名称 3: 1|a,b 4: 2|c\td"},
		"tabs, empty ones": {"no\t名称\tx\n1\t\tx\n", "no|名称|x 2: 1||x"},
		"semicolons":       {"no;名称\n1;a,b\n", "no|名称 2: 1|a,b"},
		"of no known form": {"x;y\n1,2;3\n", "x;y 2!"},
	} {
		for _, content := range []string{c.in, gbk(c.in)} {
			f := &Files{Paths: []string{put(t, t.TempDir(), "a.txt", []byte(content))}, Options: Options{IsHeader: hasNumber, KeepTabs: true}}
			got, err := tables(t, f)
			if err != nil || len(got) == 0 || strings.Join(got[1:], " ") != c.want {
				t.Errorf("%s: %q (%v), want %q", name, got, err, c.want)
			}
		}
	}
}

// A long number that a workbook holds as one was rounded, however it is written,
// and is given so that this can be seen; a text, and a number with all its digits,
// are what they are.
func TestLongNumbersOfAWorkbook(t *testing.T) {
	t.Parallel()
	cell := func(at, kind, value string) string { return `<c r="` + at + `"` + kind + `><v>` + value + `</v></c>` }
	const number, text, formula = "", ` t="str"`, ` t="n" s="0"`
	for name, c := range map[string]struct {
		cells [2]string
		want  []string
	}{
		"a text with zeros":      {[2]string{cell("A2", text, "6912345678901230000"), cell("A3", text, "6912345678901234567")}, []string{"\t6912345678901230000", "\t6912345678901234567"}},
		"written with zeros":     {[2]string{cell("A2", number, "6912345678901230000"), cell("A3", text, "6912345678901234567")}, []string{"6.91234567890123E+18", "\t6912345678901234567"}},
		"18 digits":              {[2]string{cell("A2", formula, "691234567890123000"), cell("A3", text, "700000000000000000")}, []string{"6.91234567890123E+17", "\t700000000000000000"}},
		"written with exponents": {[2]string{cell("A2", number, "6.91234567890123E+18"), cell("A3", number, "6.91234567890123E+018")}, []string{"6.91234567890123E+18", "6.91234567890123E+018"}},
		"15 digits":              {[2]string{cell("A2", number, "691234567890123"), cell("A3", number, "700000000000000")}, []string{"691234567890123", "700000000000000"}},
		"as JavaScript has it":   {[2]string{cell("A2", number, "6912345678901234000"), cell("A3", text, "6912345678901234567")}, []string{"6.912345678901234E+18", "\t6912345678901234567"}},
		"as a whole float":       {[2]string{cell("A2", number, "6912345678901234688"), cell("A3", text, "6912345678901234567")}, []string{"6.912345678901235E+18", "\t6912345678901234567"}},
		"a moment as a number":   {[2]string{cell("A2", number, "20260105100000124"), cell("A3", text, "1")}, []string{"\t20260105100000124", "1"}},
		"with all digits":        {[2]string{cell("A2", number, "6912345678901230000"), cell("A3", number, "6912345678901234567")}, []string{"\t6912345678901230000", "\t6912345678901234567"}},
	} {
		for _, keep := range []bool{true, false} {
			sheet := `<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>` +
				`<row r="1"><c r="A1" t="str"><v>no</v></c></row><row r="2">` + c.cells[0] + `</row><row r="3">` + c.cells[1] + `</row></sheetData></worksheet>`
			got, err := tables(t, &Files{
				Paths: []string{put(t, t.TempDir(), "a.xlsx", tampered(t, "xl/worksheets/sheet1.xml", sheet))}, Temp: t.TempDir(),
				Options: Options{IsHeader: hasNumber, KeepTabs: keep},
			})
			if err != nil || len(got) != 4 {
				t.Fatalf("%s: %q, %v", name, got, err)
			}
			for i, want := range c.want {
				if !keep {
					want = strings.TrimPrefix(want, "\t")
				}
				if _, cell, _ := strings.Cut(got[i+2], ": "); cell != want {
					t.Errorf("%s, row %d: %q, want %q", name, i+2, cell, want)
				}
			}
		}
	}
}

// A document type is refused in whatever part it stands, however that is called.
func TestEntitiesUnderAnyName(t *testing.T) {
	t.Parallel()
	const declared = `<!DOCTYPE x [<!ENTITY x "y">]>`
	for name, content := range map[string]string{
		"xl/worksheets/sheet1.dat": declared + sheetXML,
		"xl/worksheets/sheet1":     "\xef\xbb\xbf \n<?xml version=\"1.0\"?>" + declared + sheetXML,
		"xl/media/image1.png":      strings.Repeat(" ", 400) + declared,
	} {
		book := zipOf(t, "xl/workbook.xml", "<workbook/>", name, content)
		_, err := tables(t, &Files{Paths: []string{put(t, t.TempDir(), "a.xlsx", book)}, Temp: t.TempDir()})
		if !errors.Is(err, ErrEntities) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A sealed file that was changed on its way is refused at its end.
func TestSealedZipIsChecked(t *testing.T) {
	t.Parallel()
	text := "no\n" + strings.Repeat("1234567890\n", 2000)
	for name, method := range map[string]cryptzip.EncryptionMethod{"AES": cryptzip.AES256Encryption, "old": cryptzip.StandardEncryption} {
		sealed := sealedZip(t, method, "s3cret", "a.csv", text)
		at := bytes.Index(sealed, []byte("a.csv")) + 60
		sealed[at] ^= 1
		f := &Files{Paths: []string{put(t, t.TempDir(), "a.zip", sealed)}, Password: "s3cret"}
		if _, err := tables(t, f); err == nil {
			t.Errorf("%s: a changed file is read to its end", name)
		}
	}
}

func TestEachStops(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	f := &Files{Paths: []string{put(t, t.TempDir(), "a.csv", []byte("no\n"+strings.Repeat("1\n", 1<<20)))}}
	err := f.Each(ctx, Visitor{Table: func(table *Table) error {
		cancel()
		for {
			if _, err := table.Next(); err != nil {
				return err
			}
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Each = %v after a cancel", err)
	}
}

func TestHarmless(t *testing.T) {
	t.Parallel()
	for field, want := range map[string]string{
		"": "", "a": "a", "-5": "-5", "+8.5": "+8.5", "-1e3": "-1e3", "a=b": "a=b",
		"=cmd|' /C calc'!A0": "'=cmd|' /C calc'!A0", "+cmd": "'+cmd", "-2+3": "'-2+3", "@SUM(A1)": "'@SUM(A1)", "\t=1": "'\t=1", "\r=1": "'\r=1", "\t1": "'\t1",
		"＝1+1": "'＝1+1", "\ufeff=1": "'\ufeff=1", "＠SUM(A1)": "'＠SUM(A1)", "（新品）": "（新品）",
	} {
		if got := Harmless(field); got != want {
			t.Errorf("Harmless(%q) = %q, want %q", field, got, want)
		}
	}
}

// A sealed file whose list says less than it holds is no way around the bound.
func TestSealedZipThatLies(t *testing.T) {
	t.Parallel()
	text := "no\n" + strings.Repeat("1234567890\n", 5000)
	for name, method := range map[string]cryptzip.EncryptionMethod{"AES": cryptzip.AES256Encryption, "old": cryptzip.StandardEncryption} {
		sealed := sealedZip(t, method, "s3cret", "a.csv", text)
		size := func(n int) []byte { return binary.LittleEndian.AppendUint32(nil, uint32(n)) }
		if !bytes.Contains(sealed, size(len(text))) {
			t.Fatalf("%s: the size is not where it was looked for", name)
		}
		sealed = bytes.ReplaceAll(sealed, size(len(text)), size(100))
		f := &Files{Paths: []string{put(t, t.TempDir(), "a.zip", sealed)}, Password: "s3cret"}
		if _, err := tables(t, f); !errors.Is(err, ErrBomb) {
			t.Errorf("%s: Each = %v, want a bomb", name, err)
		}
	}
}

func FuzzFiles(f *testing.F) {
	f.Add(zipOf(f, "a.csv", "no\n1\n", "b/c.csv", gbk("编号\n1\n")), "")
	f.Add(sealedZip(f, cryptzip.AES256Encryption, "s", "a.csv", "no\n1\n"), "s")
	f.Add(sealedZip(f, cryptzip.StandardEncryption, "s", "a.csv", "no\n1\n"), "s")
	f.Add(append([]byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), make([]byte, 600)...), "s")
	f.Add([]byte("\xef\xbb\xbf题\nno,b\n=\"1\",2\n"), "")
	fuzzFiles(f)
}

func FuzzWorkbook(f *testing.F) {
	f.Add(workbookOf(f, "", map[string][][]any{"s": {{"no"}, {"1"}}}), "")
	f.Add(tampered(f, "xl/worksheets/sheet1.xml", strings.ReplaceAll(sheetXML, "&x;", "1")), "")
	fuzzFiles(f)
}

// fuzzFiles reads any content: a row has as many fields as the header, any
// error is right, and a panic is not.
func fuzzFiles(f *testing.F) {
	temp := f.TempDir()
	path := filepath.Join(temp, "file")
	f.Fuzz(func(t *testing.T, content []byte, password string) {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		files := &Files{Paths: []string{path}, Password: password, Temp: temp, Options: Options{IsHeader: hasNumber, KeepTabs: true, MaxRow: 1 << 16}}
		rows := 0
		_ = files.Each(t.Context(), Visitor{Left: func(string, error) {}, Table: func(table *Table) error {
			for rows < 10_000 {
				row, err := table.Next()
				if errors.Is(err, io.EOF) {
					return nil
				}
				if err != nil {
					return err
				}
				if rows++; row.Err == nil && len(row.Fields) != len(table.Header()) {
					t.Fatalf("line %d has %d fields, the header %d", row.Line, len(row.Fields), len(table.Header()))
				}
			}
			return errors.New("enough")
		}})
	})
}

// Whatever name an entry of a zip has: what is read of it is named by a name that
// lies within the zip, in UTF-8, or the zip is refused.
func FuzzNames(f *testing.F) {
	for _, name := range []string{
		"a.csv", "b/c.csv", "订单.csv", gbk("订单/一.csv"), "../a.csv", "/etc/a.csv", `..\a.csv`, `C:\a.csv`, "a/../../b.csv", "a\x00.csv", "", "./a.csv", "a//b.csv", "\xff\xfe.csv",
		"__MACOSX/a.csv", ".a.csv", "a.csv/", "xl/workbook.xml", "a.zip", "NUL.csv", gbk("诚") + "|.csv", "a\x1b[2J.csv", "a\u202egnp.csv",
	} {
		f.Add(name, "b.csv")
	}
	temp := f.TempDir()
	path := filepath.Join(temp, "a.zip")
	f.Fuzz(func(t *testing.T, name, other string) {
		if len(name) > 1<<16-1 || len(other) > 1<<16-1 || strings.HasSuffix(name, "/") || strings.HasSuffix(other, "/") {
			return // a zip has no room for it, or it is a folder
		}
		if err := os.WriteFile(path, zipOf(t, name, "no\n1\n", other, "no\n2\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		look := func(inside string) {
			rest, ok := strings.CutPrefix(inside, filepath.Base(path)+"/")
			if !ok || !utf8.ValidString(rest) || !filepath.IsLocal(filepath.FromSlash(rest)) || strings.ContainsAny(rest, "\\\x00") || strings.ContainsFunc(rest, func(r rune) bool { return !unicode.IsGraphic(r) }) {
				t.Errorf("of %q and %q something is read by the name %q", name, other, inside)
			}
		}
		files := &Files{Paths: []string{path}, Temp: temp, Options: Options{IsHeader: hasNumber}}
		err := files.Each(t.Context(), Visitor{Left: func(inside string, _ error) { look(inside) }, Table: func(table *Table) error {
			look(table.Name)
			_, err := table.Next()
			return err
		}})
		if escapes := func(name string) bool { return strings.HasPrefix(name, "/") || strings.HasPrefix(name, "../") }; (escapes(name) || escapes(other)) && !errors.Is(err, ErrPath) {
			t.Errorf("a zip with %q and %q: %v, want %v", name, other, err, ErrPath)
		}
	})
}
