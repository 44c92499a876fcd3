package main

import (
	"bytes"
	"encoding/csv"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	diff "github.com/google/go-cmp/cmp"

	"oneid/connectors"
	"oneid/internal/tablefile"
)

// However the answer is cut, no text of it is run by a spreadsheet, and
// nothing else is changed.
func TestHarmlessCSV(t *testing.T) {
	t.Parallel()
	in := "\"=1+1\",-5,\"-5\",\"a=b\",\"\"\n\"\"\"=x\",1.5,\"@x\n=y\",\"+8\"\"6\",\"\tz\"\n\"＝1\",\"（新）\",\"\xef\",\"\xefa\"\n"
	want := "\"'=1+1\",-5,\"'-5\",\"a=b\",\"\"\n\"\"\"=x\",1.5,\"'@x\n=y\",\"'+8\"\"6\",\"'\tz\"\n\"'＝1\",\"（新）\",\"\xef\",\"\xefa\"\n"
	for size := 1; size < len(in); size++ {
		var out bytes.Buffer
		w := &harmlessCSV{to: &out}
		for rest := in; rest != ""; {
			part := rest[:min(size, len(rest))]
			rest = rest[len(part):]
			if n, err := w.Write([]byte(part)); n != len(part) || err != nil {
				t.Fatalf("Write = %d, %v", n, err)
			}
		}
		if out.String() != want {
			t.Fatalf("in pieces of %d: %q, want %q", size, out.String(), want)
		}
	}
}

// However the answer is cut, no cell between tabs or at a line's beginning is run
// by a spreadsheet, and numbers stay numbers.
func TestHarmlessTabs(t *testing.T) {
	t.Parallel()
	long := "-" + strings.Repeat("9", 76) + ".5"
	in := "=1+1\t-5\t" + long + "\ta=b\t\t@x\n=y\t\\N\t-5+1\t+8613800001111\r=z\t＝1\t（新）\t\xef\t\xefa\n\t-" + strings.Repeat("9", longestNumber) + "=1\n@end"
	want := "'=1+1\t-5\t" + long + "\ta=b\t\t'@x\n'=y\t\\N\t'-5+1\t+8613800001111\r'=z\t'＝1\t（新）\t\xef\t\xefa\n\t'-" + strings.Repeat("9", longestNumber) + "=1\n'@end"
	for size := 1; size < len(in); size++ {
		var out bytes.Buffer
		w := &harmlessTabs{to: &out}
		for rest := in; rest != ""; {
			part := rest[:min(size, len(rest))]
			rest = rest[len(part):]
			if n, err := w.Write([]byte(part)); n != len(part) || err != nil {
				t.Fatalf("Write = %d, %v", n, err)
			}
		}
		if err := w.end(); err != nil || out.String() != want {
			t.Fatalf("in pieces of %d: %q, want %q (%v)", size, out.String(), want, err)
		}
	}
}

// What leaves with an apostrophe comes back without it.
func TestHarmlessCellsComeBack(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"=1+1", "@SUM(A1)", "-5", "+8613800001111", "-a", "＝1", `="0012"`, "plain", "1.5"} {
		if got := connectors.CellText(tablefile.Harmless(text)); got != text && connectors.CellText(text) != got {
			t.Errorf("%q comes back as %q", text, got)
		}
	}
}

// Whichever format ClickHouse has for answers: what a spreadsheet may take for
// cells holds no formula, or there is no answer.
func TestNoFormatLetsAFormulaOut(t *testing.T) {
	t.Parallel()
	bi, release, err := folder(begunFolder(t)).biEndpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	const list = "SELECT name FROM system.formats WHERE is_output ORDER BY name"
	var names bytes.Buffer
	if err := ask(t.Context(), bi, list, "TabSeparated", &names); err != nil {
		t.Fatal(err)
	}
	formula := func(cell string) bool {
		cell = strings.TrimPrefix(strings.TrimPrefix(cell, "\ufeff"), `"`)
		first, _ := utf8.DecodeRuneInString(cell)
		_, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(cell), `"`), 64)
		return cell != "" && tablefile.Dangerous(first) && err != nil
	}
	become := make(map[string][]string)
	for _, format := range strings.Fields(names.String()) {
		outcome := "no answer"
		for _, sql := range []string{
			`SELECT '=cmd|'' /C calc''!A0' AS title`, `SELECT 'a\n=cmd' AS title`, `SELECT 'a\t@cmd' AS title`, `SELECT '@SUM(A1)' AS a, '-cmd' AS b, -5 AS c`,
			`SELECT '=cmd' AS name, 1.5 AS value`, `SELECT 'a' AS "=cmd"`,
		} {
			var out bytes.Buffer
			if err := ask(t.Context(), bi, sql, format, &out); err != nil {
				if out.Len() > 0 {
					t.Errorf("%s: %q is refused with an answer of %q: %v", format, sql, out.String(), err)
				}
				continue
			}
			if slices.ContainsFunc(forPrograms, func(name string) bool { return strings.HasPrefix(strings.ToUpper(format), name) }) {
				outcome = "for programs"
				continue
			}
			outcome = "escaped"
			split := "\t\r\n"
			if strings.HasPrefix(format, "CSV") {
				split = ","
			}
			for cell := range strings.FieldsFuncSeq(out.String(), func(r rune) bool { return strings.ContainsRune(split, r) }) {
				if formula(cell) {
					t.Errorf("%s: %q is answered with the cell %q", format, sql, cell)
				}
			}
		}
		become[outcome] = append(become[outcome], format)
	}
	for outcome, want := range map[string][]string{
		"escaped":      {"CSV", "CSVWithNames", "TSVRaw", "TabSeparatedWithNamesAndTypes", "Raw", "RawWithNames", "LineAsString", "LineAsStringWithNames", "Vertical", "PrettyCompact", "MD"},
		"no answer":    {"RawBLOB", "XML", "CustomSeparated"},
		"for programs": {"JSONEachRow", "Parquet", "Values", "Native"},
	} {
		for _, format := range want {
			if !slices.Contains(become[outcome], format) {
				t.Errorf("%s is not among those that are %s: %v", format, outcome, become)
			}
		}
	}
}

// A formula in a cell of an export is stored as it stood, and leaves in no CSV
// as a formula: not by query, whichever way it is asked, and not by match.
func TestFormulasLeaveAsTexts(t *testing.T) {
	t.Parallel()
	dir, in := begunFolder(t), t.TempDir()
	const formula = "=cmd|' /C calc'!A0"
	file := filepath.Join(in, "ExportOrderList202601031200.csv")
	writeText(t, file, "订单编号,买家实际支付金额,订单状态,宝贝标题,订单创建时间,订单付款时间\n=\"3700000000000000101\",8.00,=HYPERLINK(1),\""+formula+"\",2026-01-02 03:04:05,2026-01-02 03:05:05\n")
	must(t, "import", "--dir", dir, "--shop", "tmall/s", file)
	if got := one(t, dir, "SELECT title = '"+strings.ReplaceAll(formula, "'", "''")+"' FROM customer_order_items"); got != "1" {
		t.Errorf("the title was changed on its way in")
	}
	const sql = "SELECT title, platform_status, -toInt32(quantity) AS n FROM customer_order_items"
	tabs := "'" + strings.ReplaceAll(formula, "'", `\'`) + "\t'=HYPERLINK(1)\t-1\n"
	for name, args := range map[string][]string{
		"without a format":            {"query", "--dir", dir, sql},
		"by --format":                 {"query", "--dir", dir, sql, "--format", "TSV"},
		"by the query, against names": {"query", "--dir", dir, sql + " FORMAT TabSeparated", "--format", "JSON"},
	} {
		if got := must(t, args...).stdout; got != tabs {
			t.Errorf("between tabs, %s: %q, want %q", name, got, tabs)
		}
	}
	if r := oneid(t, "query", "--dir", dir, sql, "--format", "CustomSeparated"); r.code != 1 || r.stdout != "" || !strings.Contains(r.stderr, "CSVWithNames") {
		t.Errorf("with separators of one's own: exit code %d, %q, %q", r.code, r.stdout, r.stderr)
	}
	want := [][]string{{"'" + formula, "'=HYPERLINK(1)", "-1"}}
	for name, args := range map[string][]string{
		"by --format":   {"query", "--dir", dir, sql, "--format", "CSV"},
		"by the query":  {"query", "--dir", dir, sql + " FORMAT CSV"},
		"with names":    {"query", "--dir", dir, sql, "--format", "CSVWithNames"},
		"in both forms": {"query", "--dir", dir, sql + " FORMAT CSV", "--format", "JSON"},
	} {
		got, err := csv.NewReader(strings.NewReader(must(t, args...).stdout)).ReadAll()
		if len(got) == 2 {
			got = got[1:]
		}
		if d := diff.Diff(want, got); d != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, d)
		}
	}
	people := filepath.Join(in, "people.csv")
	writeText(t, people, "id,name,city\n=1+1,甲乙丙,杭州\n@SUM(A1),甲乙丙,杭州\n-7,丁戊己,宁波\n4,庚辛壬,绍兴\n")
	out := filepath.Join(in, "clusters.csv")
	must(t, "match", "--id", "id", "--out", out, people)
	for _, row := range readCSV(t, out)[1:] {
		for _, cell := range row {
			if strings.HasPrefix(cell, "=") || strings.HasPrefix(cell, "@") {
				t.Errorf("match writes the cell %q", cell)
			}
		}
	}
}
