package tablefile

import (
	"archive/zip"
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/xuri/excelize/v2"
)

// Cells are what another reader of workbooks takes them for.
func TestCellsAreAsAnotherReaderHasThem(t *testing.T) {
	t.Parallel()
	const shared = `<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><si><t>编号</t></si>` +
		`<si><r><rPr><b/></rPr><t xml:space="preserve">rich </t></r><r><t>text</t></r><rPh sb="0" eb="1"><t>phonetic</t></rPh></si>` +
		`<si><t>_x0041_ &amp; _x005F_x0042_ _x12_</t></si><si/></sst>`
	const rows = `<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="str"><v>b</v></c><c r="C1"/><c r="D1" t="inlineStr"><is><t>d</t></is></c></row>` +
		`<row r="2"><c r="A2" t="s"><v> 1 </v></c><c r="B2" t="s"><v>2</v></c><c r="C2" t="s"><v>3</v></c><c r="D2" t="b"><v>1</v></c></row>` +
		`<row><c><v>1.5</v></c><c t="n"><v>45000.25</v></c><c t="b"><v>0</v></c><c t="e"><v>#N/A</v></c></row>` +
		`<row r="7"><c r="A7" t="str"><f>A1&amp;"x"</f><v>编号x</v></c><c r="D7" t="inlineStr"><is><r><t>two </t></r><r><t>runs</t></r></is></c></row>` +
		`<row r="8"><c r="D8"><v>-3.7E-2</v></c><c r="AA8"><f>1+1</f><v>2</v></c></row>`
	const begin, end = `<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">`, `</worksheet>`
	for name, sheet := range map[string]string{
		"rows":                 begin + `<sheetData>` + rows + `</sheetData>` + end,
		"with what stands by":  begin + `<cols><col min="1" max="2"/></cols><sheetData>` + rows + `</sheetData><mergeCells><mergeCell ref="A1:B1"/></mergeCells>` + end,
		"rows of other things": begin + `<sheetData>` + rows + `</sheetData><controls><anchor><row>9</row></anchor></controls>` + end,
		"a prefix":             strings.NewReplacer("<row", "<x:row", "</row", "</x:row", "<c ", "<x:c ", "<c>", "<x:c>", "</c>", "</x:c>").Replace(`<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:x="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>` + rows + `</sheetData>` + end),
	} {
		book := tampered(t, "xl/sharedStrings.xml", shared, "xl/worksheets/sheet1.xml", sheet)
		if want, got := theOthers(t, book), ours(t, book); !slices.EqualFunc(got, want, slices.Equal) {
			t.Errorf("%s:\n%q, the other reads\n%q", name, got, want)
		}
	}
}

// ours are the rows of the first sheet as they are read here, with empty ones
// between.
func ours(t testing.TB, book []byte) (rows [][]string) {
	t.Helper()
	f := &Files{Temp: t.TempDir()}
	z, err := zip.NewReader(bytes.NewReader(book), int64(len(book)))
	if err != nil {
		t.Fatal(err)
	}
	b, err := f.open(t.Context(), z, int64(len(book)), true)
	if err != nil {
		t.Fatal(err)
	}
	m, err := openMarkup(t.Context(), b.sheets[0].part)
	if err != nil {
		t.Fatal(err)
	}
	defer m.close()
	r := rowReader{m: m, texts: b.texts}
	for {
		cells, err := r.next()
		if err != nil {
			return rows
		}
		for len(rows) < r.number {
			rows = append(rows, nil)
		}
		for _, c := range cells {
			rows[r.number-1] = append(rows[r.number-1], c.text)
		}
	}
}

func theOthers(t testing.TB, book []byte) (rows [][]string) {
	t.Helper()
	f, err := excelize.OpenReader(bytes.NewReader(book), excelize.Options{RawCellValue: true})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	each, err := f.Rows(f.GetSheetList()[0])
	if err != nil {
		t.Fatal(err)
	}
	for each.Next() {
		cells, err := each.Columns()
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, cells)
	}
	for len(rows) > 0 && len(rows[len(rows)-1]) == 0 { // it takes each row of a part for one of the table
		rows = rows[:len(rows)-1]
	}
	return rows
}
