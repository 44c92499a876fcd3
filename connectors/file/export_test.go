package file

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oneid/connectors"
	"oneid/internal/tablefile"
	"oneid/schemas/events"
)

// shopExports are those of an invented platform: lines of orders, notes to
// orders (of which a file is right as a whole), returns.
var shopExports = &connectors.Exports{
	Platform: "invented",
	Sheets: []connectors.Sheet{
		{Name: "returns", Stream: "tickets", Key: []string{"return"}, Needs: []string{"return", "order"}},
		{Name: "lines", Stream: "orders", Key: []string{"order"}, Line: []string{"line"}, Either: []string{"which|what"}, Needs: []string{"order", "line", "what|which"}},
		{Name: "lines", Stream: "orders", Key: []string{"order"}, Line: []string{"line"}, Either: []string{"which|what"}, Needs: []string{"order", "what", "sold"}},
		{Name: "bought", Stream: "orders", Key: []string{"order"}, Line: []string{"order"}, Alike: []string{"who|buyer", "at", "paid"}, Needs: []string{"order", "at", "paid"}},
		{Name: "notes", Stream: "orders", Key: []string{"order"}, Needs: []string{"order", "note"}},
	},
	Named: func(name string) time.Time {
		second, err := strconv.ParseInt(strings.SplitN(name, "-", 2)[0], 10, 64)
		if err != nil {
			return time.Time{}
		}
		return time.Unix(second, 0)
	},
	Maps: map[string]func(connectors.Record, *connectors.ExportPayload) ([]*events.Event, error){"orders": mapsToNothing, "tickets": mapsToNothing},
	Hint: "a hint",
}

func mapsToNothing(connectors.Record, *connectors.ExportPayload) ([]*events.Event, error) {
	return nil, nil
}

// records reads a stream from a cursor; each record as text, and each refusal.
func records(t testing.TB, x *Export, stream string, from connectors.Cursor, most int) (got []string, next connectors.Cursor) {
	t.Helper()
	next = from
	for page, err := range x.Read(t.Context(), stream, from) {
		if err != nil {
			t.Fatal(err)
		}
		for _, bad := range page.Bad {
			got = append(got, "refused "+bad.Origin+": "+bad.Err.Error())
		}
		for _, r := range page.Records {
			got = append(got, fmt.Sprint(string(r.Raw), r.Observed.Unix()))
		}
		if page.Next != "" {
			next = page.Next
		}
		if most--; most == 0 {
			break
		}
	}
	return got, next
}

func export(t testing.TB, pageRows int, paths ...string) *Export {
	t.Helper()
	x, err := NewExport(ExportConfig{Files: tablefile.Files{Paths: paths, Temp: t.TempDir()}, Exports: shopExports, Shop: "s", PageRows: pageRows})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func putFile(t testing.TB, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// However the rows lie in files, and in whatever order, the records are the
// same; and read page by page from each page's cursor, they are the same, too.
func TestExportRecordsDependOnRowsAlone(t *testing.T) {
	t.Parallel()
	for seed := range uint64(15) {
		r := rand.New(rand.NewPCG(seed, 1))
		var lines []string
		for order := range 1 + r.IntN(30) {
			for line := range 1 + r.IntN(4) {
				lines = append(lines, fmt.Sprintf("=\"N%03d\",%d-%d,thing %d\n", order, order, line, r.IntN(9)))
			}
		}
		cut := func(dir string, parts int) (paths []string) {
			r.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
			files := make([]string, parts)
			for i, line := range lines {
				files[i%parts] += line
			}
			for i, text := range files {
				paths = append(paths, putFile(t, dir, fmt.Sprintf("100-%d.csv", i), "a title\norder,line,what\n"+text))
			}
			return paths
		}
		want, _ := records(t, export(t, 5, cut(t.TempDir(), 1)...), "orders", "", 0)
		many := cut(t.TempDir(), 1+r.IntN(5))
		r.Shuffle(len(many), func(i, j int) { many[i], many[j] = many[j], many[i] })
		x := export(t, 1+r.IntN(7), many...)
		if got, _ := records(t, x, "orders", "", 0); cmp.Diff(want, got) != "" {
			t.Fatalf("seed %d: other files, other records (-want +got):\n%s", seed, cmp.Diff(want, got))
		}
		var all []string
		cursor := connectors.Cursor("")
		for range 100 {
			got, next := records(t, x, "orders", cursor, 1)
			all = append(all, got...)
			if len(got) == 0 {
				break
			}
			cursor = next
		}
		if d := cmp.Diff(want, all); d != "" {
			t.Fatalf("seed %d: resumed after each page (-want +got):\n%s", seed, d)
		}
	}
}

// Of what several files say the newest is right: of a line where lines have
// numbers, of all of an order's rows where they have none.
func TestExportNewestIsRight(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	older := putFile(t, dir, "100-a.csv", "order,line,what\n1,a,old\n1,b,old\n")
	newer := putFile(t, dir, "200-a.csv", "order,line,which\n1,b,new\n2,,x\n2,,y\n")
	notes := putFile(t, dir, "150-n.csv", "order,note\n1,old 1\n1,old 2\n")
	later := putFile(t, dir, "300-n.csv", "order,note\n1,new 1\n1,new 1\n")
	returns := putFile(t, dir, "100-r.csv", "return,order\n9,1\n")
	want := []string{
		`{"export":"1","rows":[{"sheet":"lines","row":{"line":"a","order":"1","what":"old"},"exported":100000},` +
			`{"sheet":"lines","row":{"line":"b","order":"1","which":"new"},"exported":200000},` +
			`{"sheet":"notes","row":{"note":"new 1","order":"1"}},{"sheet":"notes","row":{"note":"new 1","order":"1"}}]}300`,
		`{"export":"2","rows":[{"sheet":"lines","row":{"line":"","order":"2","which":"x"}},{"sheet":"lines","row":{"line":"","order":"2","which":"y"}}]}200`,
	}
	x := export(t, 10, later, newer, older, returns, notes)
	if got, _ := records(t, x, "orders", "", 0); cmp.Diff(want, got) != "" {
		t.Errorf("orders (-want +got):\n%s", cmp.Diff(want, got))
	}
	if got, _ := records(t, x, "tickets", "", 0); cmp.Diff([]string{`{"export":"9","rows":[{"sheet":"returns","row":{"order":"1","return":"9"}}]}100`}, got) != "" {
		t.Errorf("tickets: %v", got)
	}
	if got := x.Rows(); got != 10 {
		t.Errorf("Rows = %d, want 10", got)
	}
	// Newer is by the time of the export and not by the name.
	before := putFile(t, dir, "400-z.csv", "order,line,what\n3,a,old\n")
	after := putFile(t, dir, "1000-a.csv", "order,line,what\n3,a,new\n")
	for _, paths := range [][]string{{before, after}, {after, before}} {
		want := []string{`{"export":"3","rows":[{"sheet":"lines","row":{"line":"a","order":"3","what":"new"}}]}1000`}
		if got, _ := records(t, export(t, 10, paths...), "orders", "", 0); cmp.Diff(want, got) != "" {
			t.Errorf("orders (-want +got):\n%s", cmp.Diff(want, got))
		}
	}
	// A cursor of other files is none of these.
	if got, _ := records(t, x, "orders", connectors.Cursor(`{"v":1,"files":"other","key":"1"}`), 0); len(got) != 2 {
		t.Errorf("from a cursor of other files %d records, want both", len(got))
	}
}

// A child counts once, whether exports write it into a row of its own or with
// others into one: what newer files say of all of them takes the older row away.
func TestARowOfSeveralLines(t *testing.T) {
	t.Parallel()
	const header = "order,line,what\n"
	row := func(line, what string) string {
		exported := ""
		if what == "old" {
			exported = `,"exported":100000`
		}
		return fmt.Sprintf(`{"sheet":"lines","row":{"line":"%s","order":"1","what":"%s"}%s}`, line, what, exported)
	}
	for name, c := range map[string]struct {
		older, newer string
		want         []string
	}{
		"parted later":          {"1,a1;b1,old\n", "1,a1,new\n1,b1,new\n", []string{row("a1", "new"), row("b1", "new")}},
		"merged later":          {"1,a1,old\n1,b1,old\n", "1,a1；b1,new\n", []string{row("a1；b1", "new")}},
		"one of them later":     {"1,a1;b1,old\n1,c1,old\n", "1,b1,new\n", []string{row("a1;b1", "old"), row("b1", "new"), row("c1", "old")}},
		"each of them later":    {"1,a1;b1,old\n", "1,b1,new\n1,a1,new\n", []string{row("a1", "new"), row("b1", "new")}},
		"another order of them": {"1,a1;b1,old\n", "1,b1;a1,new\n", []string{row("b1;a1", "new")}},
		"the same row":          {"1,a1;b1,old\n", "1,a1;b1,new\n", []string{row("a1;b1", "new")}},
		"as an amount":          {"1,11.00,old\n", "1,11,new\n", []string{row("11", "new")}},
		"nothing in common":     {"1,a1;b1,old\n", "1,c1,new\n", []string{row("a1;b1", "old"), row("c1", "new")}},
	} {
		dir := t.TempDir()
		older, newer := putFile(t, dir, "100-a.csv", header+c.older), putFile(t, dir, "200-a.csv", header+c.newer)
		want := []string{`{"export":"1","rows":[` + strings.Join(c.want, ",") + `]}200`}
		for _, paths := range [][]string{{older, newer}, {newer, older}} {
			if got, _ := records(t, export(t, 10, paths...), "orders", "", 0); cmp.Diff(want, got) != "" {
				t.Errorf("%s (-want +got):\n%s", name, cmp.Diff(want, got))
			}
		}
	}
}

func TestExportRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := putFile(t, dir, "100-a.csv", "order,line,what\n3.7E+18,a,x\n3700000000000000000,a,x\n\"\t3700000000000000000\",a,x\n,a,x\ntotal,a,x\n1,a\n7,3.7E+18,x\n7,3.7E+18,y\n")
	got, _ := records(t, export(t, 10, path), "orders", "", 0)
	for i, want := range []string{"line 2: the column order is a number that a spreadsheet has rounded", "line 3: the column order is a number that a spreadsheet has rounded",
		"line 5: the column order is empty", "line 6: the column order is no number", "line 7: the line has 2 fields",
		`{"export":"3700000000000000000",`, `{"export":"7","rows":[{"sheet":"lines","row":{"line":"3.7E+18","order":"7","what":"x"}},{"sheet":"lines","row":{"line":"3.7E+18","order":"7","what":"y"}}]}`} {
		if i >= len(got) || !strings.Contains(got[i], want) {
			t.Fatalf("%q has not %q at %d", got, want, i)
		}
	}
	many := putFile(t, dir, "100-b.csv", "order,line,what\n"+strings.Repeat("1,a,x\n", mostRows+1))
	x := export(t, 10, many)
	for page, err := range x.Read(t.Context(), "orders", "") {
		if err != nil {
			t.Fatal(err)
		}
		for _, record := range page.Records {
			if _, err := x.Map(record); err == nil {
				t.Error("an order of more rows than any has is mapped")
			}
		}
	}
	unknown := putFile(t, dir, "x.csv", "甲,乙\n13800001111,2\n")
	err := export(t, 10, unknown).Check(t.Context())
	var hinted *UnknownError
	if !errors.As(err, &hinted) || hinted.Hint() != "a hint" || !strings.Contains(err.Error(), `x.csv: its columns are of no export of invented that is known; it has 2 columns by other names (is its first line the header?)`) {
		t.Errorf("Check = %v", err)
	}
	if err := export(t, 10, unknown, path).Check(t.Context()); err != nil {
		t.Errorf("Check = %v where one of two is known", err)
	}
}

// Numbers of 18 digits and fewer that a spreadsheet has made one are refused where
// their rows disagree; one that ends in zeros by itself is not, nor is one that is
// marked as text.
func TestNumbersThatASpreadsheetMadeOne(t *testing.T) {
	t.Parallel()
	const header, number = "order,who,at,paid,state\n", "180000123456789000"
	refused := func(lines ...int) (list []string) {
		for _, line := range lines {
			list = append(list, fmt.Sprintf("refused 100-a.csv line %d", line))
		}
		return list
	}
	record := `{"export":"` + number + `"`
	for name, tc := range map[string]struct {
		files []string
		want  []string
	}{
		"two buyers":          {[]string{header + number + ",a,1,5,x\n" + number + ",b,1,5,x\n"}, refused(2, 3)},
		"two moments":         {[]string{header + number + ",a,1,5,x\n" + number + ",a,2,5,x\n"}, refused(2, 3)},
		"two amounts":         {[]string{header + number + ",a,1,5,x\n" + number + ",a,1,6,x\n"}, refused(2, 3)},
		"16 digits":           {[]string{header + "1234567890123450,a,1,5,x\n1234567890123450,b,1,5,x\n"}, refused(2, 3)},
		"three, one between":  {[]string{header + number + ",a,1,5,x\n7,b,1,5,x\n" + number + ",,1,5,x\n" + number + ",c,1,5,x\n"}, append([]string{`{"export":"7"`}, refused(2, 4, 5)...)},
		"one":                 {[]string{header + number + ",a,1,5,x\n"}, []string{record}},
		"one twice":           {[]string{header + number + ",a,1,5,x\n" + number + ",,1,5,y\n"}, []string{record}},
		"marked":              {[]string{header + "=\"" + number + "\",a,1,5,x\n=\"" + number + "\",b,1,5,x\n"}, []string{record}},
		"no zeros":            {[]string{header + "180000123456789001,a,1,5,x\n180000123456789001,b,1,5,x\n"}, []string{`{"export":"180000123456789001"`}},
		"15 digits":           {[]string{header + "123456789012340,a,1,5,x\n123456789012340,b,1,5,x\n"}, []string{`{"export":"123456789012340"`}},
		"two files":           {[]string{header + number + ",a,1,5,x\n", header + number + ",a,1,7,x\n"}, []string{record}},
		"a marked one beside": {[]string{header + number + ",a,1,5,x\n" + number + ",b,1,5,x\n", header + "'" + number + ",c,1,5,x\n"}, append([]string{record}, refused(2, 3)...)},
		"lines of one number": {[]string{"order,line,what\n=\"9\"," + number + ",x\n=\"9\"," + number + ",y\n8," + number + ",x\n8," + number + ",x\n"}, append([]string{`{"export":"8"`}, refused(2, 3)...)},
	} {
		for _, pageRows := range []int{1, 10} {
			dir := t.TempDir()
			var paths []string
			for i, text := range tc.files {
				paths = append(paths, putFile(t, dir, fmt.Sprintf("100-%c.csv", 'a'+i), text))
			}
			x := export(t, pageRows, paths...)
			got, next := records(t, x, "orders", "", 0)
			slices.Sort(got)
			slices.SortFunc(tc.want, strings.Compare)
			ok := len(got) == len(tc.want)
			for i := range min(len(got), len(tc.want)) {
				ok = ok && strings.HasPrefix(got[i], tc.want[i]) && (!strings.HasPrefix(got[i], "refused") || strings.Contains(got[i], "a spreadsheet has rounded"))
			}
			if !ok {
				t.Errorf("%s: %q, want %q", name, got, tc.want)
			}
			if again, _ := records(t, x, "orders", next, 0); next != "" && slices.ContainsFunc(again, func(s string) bool { return !strings.HasPrefix(s, "refused") }) {
				t.Errorf("%s: read on, there came %q", name, again)
			}
		}
	}
}

// However many rows have one number, none is lost without a word.
func TestAFileOfOneRuinedNumber(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	text.WriteString("order,who,at,paid\n")
	for i := range mostRows {
		fmt.Fprintf(&text, "180000123456789000,a,%d,5\n", i)
	}
	path := putFile(t, t.TempDir(), "100-a.csv", text.String())
	if got, _ := records(t, export(t, 10, path), "orders", "", 0); len(got) != mostRows {
		t.Errorf("%d of %d rows came", len(got), mostRows)
	}
}

// Of an order of any number of rows no more are held than an order has.
func TestRowsOfOneNumberAreBounded(t *testing.T) {
	t.Parallel()
	g := &gathering{origins: []origin{{header: []string{"order"}}}}
	value := []byte{0, 2, 1, '7'} // of the first table, line 2: "7"
	var rows []gathered
	for range 5_100 {
		var err error
		if rows, err = g.hold(rows, value); err != nil {
			t.Fatal(err)
		}
	}
	if len(rows) != 5_000 || rows[0].fields[0] != "7" {
		t.Errorf("%d rows are held, want 5000", len(rows))
	}
}

func TestExportStops(t *testing.T) {
	t.Parallel()
	path := putFile(t, t.TempDir(), "100-a.csv", "order,line,what\n"+strings.Repeat("1,a,x\n2,b,y\n3,c,z\n", 100))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	pages := 0
	var last error
	for _, err := range export(t, 1, path).Read(ctx, "orders", "") {
		if last = err; err == nil {
			pages++
			cancel()
		}
	}
	if pages != 1 || !errors.Is(last, context.Canceled) {
		t.Errorf("%d pages after a cancel, then %v", pages, last)
	}
}

// memoryChild, if set, makes the test below read a file and say what it took.
const memoryChild = "ONEID_TEST_MEMORY_CHILD"

// A file of any size is read in 200 MB: 2 GB of it where ONEID_TEST_LARGE is
// set, 60 MB otherwise, each in a process of its own. The rows are not in the
// order of their orders.
func TestExportMemory(t *testing.T) {
	if path := os.Getenv(memoryChild); path != "" {
		readAll(t, path)
		return
	}
	if runtime.GOOS != "linux" {
		t.Log("the memory of a process is read from /proc: nothing to see here")
		return
	}
	t.Parallel()
	size := 60 << 20
	if os.Getenv("ONEID_TEST_LARGE") != "" {
		size = 2 << 30
	}
	path := filepath.Join(t.TempDir(), "100-large.csv")
	orders := writeLarge(t, path, size)
	began := time.Now()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), program, "-test.run=^TestExportMemory$", "-test.v", "-test.timeout=1h") // this very program
	child.Env = append(os.Environ(), memoryChild+"="+path)
	out, err := child.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var rows, records, peak int
	for line := range strings.Lines(string(out)) {
		if i := strings.Index(line, "read "); i >= 0 {
			_, _ = fmt.Sscanf(line[i:], "read %d rows, %d records, peak %d kB", &rows, &records, &peak)
		}
	}
	t.Logf("%d MB, %d rows, %d orders: %d MB at most, %.0f s", size>>20, rows, records, peak>>10, time.Since(began).Seconds())
	if records != orders || rows != 2*orders || peak == 0 || peak > 200<<10 {
		t.Errorf("%d rows and %d records of %d orders, in %d kB; want 2 rows an order, in at most 200 MB", rows, records, orders, peak)
	}
}

func readAll(t *testing.T, path string) {
	x := export(t, 0, path)
	records := 0
	for page, err := range x.Read(t.Context(), "orders", "") {
		if err != nil {
			t.Fatal(err)
		}
		for _, record := range page.Records {
			p, err := connectors.ReadExport(record)
			if err != nil || len(p.Rows) != 2 {
				t.Fatalf("a record of %d rows, %v", len(p.Rows), err)
			}
		}
		records += len(page.Records)
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	t.Logf("read %d rows, %d records, peak %s", x.Rows(), records, strings.Join(strings.Fields(rest)[:2], " "))
}

// writeLarge writes orders of two rows, the second half a file away.
func writeLarge(t *testing.T, path string, size int) (orders int) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	out := bufio.NewWriterSize(file, 1<<20)
	filler := strings.Repeat("演示商品 ", 12)
	row := func(order int, line string) int {
		n, _ := fmt.Fprintf(out, "=\"%019d\",%d-%s,%s%d\n", 3_700_000_000_000_000_000+order*7919%1_000_000_007, order, line, filler, order)
		return n
	}
	n, _ := out.WriteString("order,line,what\n")
	for ; n < size/2; orders++ {
		n += row(orders, "a")
	}
	for order := range orders {
		row(orders-1-order, "b")
	}
	if err := errors.Join(out.Flush(), file.Close()); err != nil {
		t.Fatal(err)
	}
	return orders
}

func FuzzExport(f *testing.F) {
	f.Add([]byte("a title\norder,line,what\n=\"1\",a,x\n1,b,\"y\n"))
	f.Add([]byte("return,order\n3.7E+18,1\n\t2,1\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		path := putFile(t, t.TempDir(), "100-a.csv", string(content))
		x := export(t, 2, path)
		if x.Check(t.Context()) != nil {
			return
		}
		for _, stream := range []string{"orders", "tickets"} {
			keys := []string{}
			for page, err := range x.Read(t.Context(), stream, "") {
				if err != nil {
					t.Fatal(err)
				}
				for _, record := range page.Records {
					p, err := connectors.ReadExport(record)
					if err != nil {
						t.Fatalf("a record that cannot be read: %v", err)
					}
					keys = append(keys, p.Entity)
				}
			}
			if !slices.IsSorted(keys) || len(slices.Compact(slices.Clone(keys))) != len(keys) {
				t.Fatalf("records of %q: not one a number, in order", keys)
			}
		}
	})
}

func TestExportPayloadIsJSON(t *testing.T) {
	t.Parallel()
	path := putFile(t, t.TempDir(), "100-a.csv", "order,line,what,\n1,a,\"x\ny\",z\n")
	for page, err := range export(t, 1, path).Read(t.Context(), "orders", "") {
		if err != nil || !json.Valid(page.Records[0].Raw) || bytes.Contains(page.Records[0].Raw, []byte(`"z"`)) || !connectors.IsExport(page.Records[0].Raw) {
			t.Errorf("payload %s, %v", page.Records[0].Raw, err)
		}
	}
}
