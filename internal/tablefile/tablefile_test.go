package tablefile

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// read gives the rows as text: "line: a|b", or "line! reason".
func read(t testing.TB, in []byte, o Options) ([]string, error) {
	t.Helper()
	r, err := NewReader(bytes.NewReader(in), o)
	if err != nil {
		return nil, err
	}
	got := []string{strings.Join(r.Header(), "|")}
	for {
		row, err := r.Next()
		if errors.Is(err, io.EOF) {
			return got, nil
		}
		if err != nil {
			return got, err
		}
		if row.Err != nil {
			got = append(got, fmt.Sprintf("%d!", row.Line))
			continue
		}
		got = append(got, fmt.Sprintf("%d: %s", row.Line, strings.Join(row.Fields, "|")))
	}
}

func gbk(s string) string {
	text, err := simplifiedchinese.GBK.NewEncoder().String(s)
	if err != nil {
		panic(err)
	}
	return text
}

func western(s string) string {
	text, err := charmap.Windows1252.NewEncoder().String(s)
	if err != nil {
		panic(err)
	}
	return text
}

func TestRows(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		in   string
		o    Options
		want []string
	}{
		"plain":                         {"a,b\n1,2\r\n3,4", Options{}, []string{"a|b", "2: 1|2", "3: 3|4"}},
		"byte-order mark":               {"\xef\xbb\xbfa,b\n1,二\n", Options{}, []string{"a|b", "2: 1|二"}},
		"GBK":                           {gbk("编号,名称\n1,演示\n"), Options{}, []string{"编号|名称", "2: 1|演示"}},
		"GBK after an ASCII head":       {gbk("a,b\n1,演示\n"), Options{}, []string{"a|b", "2: 1|演示"}},
		"GBK byte like a pipe":          {gbk("a|b\n1|") + "\x81\x7c" + "\n", Options{Delimiter: '|', Encoding: GB18030}, []string{"a|b", "2: 1|亅"}},
		"GBK though it may be Western":  {gbk("a,b\n1,重慶\n2,朱镕基\n3,é\n"), Options{Western: true}, []string{"a|b", "2: 1|重慶", "3: 2|朱镕基", "4: 3|é"}},
		"GBK, one line of it broken":    {"a,b\n1,\xff\n" + gbk("2,演示\n3,演示\n"), Options{Western: true}, []string{"a|b", "2!", "3: 2|演示", "4: 3|演示"}},
		"Latin-1":                       {western("a,b\n1,Muñoz\n2,José\n3,MÜLLER; größer\n"), Options{Western: true}, []string{"a|b", "2: 1|Muñoz", "3: 2|José", "4: 3|MÜLLER; größer"}},
		"Latin-1 in the header":         {western("prénom,ville\nZoë,Nîmes\n"), Options{Western: true}, []string{"prénom|ville", "2: Zoë|Nîmes"}},
		"Windows-1252":                  {western("a,b\n1,O’Neil\n2,it’s\n"), Options{Western: true}, []string{"a|b", "2: 1|O’Neil", "3: 2|it’s"}},
		"what Windows-1252 has not":     {western("a,b\n1,Muñoz\n2,") + "\x81,\n3,x\n", Options{Western: true}, []string{"a|b", "2: 1|Muñoz", "3!", "4: 3|x"}},
		"UTF-8, its first line broken":  {"a,b\n1,\xe9\n2,José\n3,Zoë\n4,演示\n", Options{Western: true}, []string{"a|b", "2!", "3: 2|José", "4: 3|Zoë", "5: 4|演示"}},
		"Latin-1 where it is not asked": {western("a,b\n1,Muñoz\n2,x\n"), Options{}, []string{"a|b", "2: 1|Mu駉z", "3: 2|x"}},
		"quotes":                        {"a,b\n\"x, \"\"y\"\"\",\"z\nz\"\n3,4\n", Options{}, []string{"a|b", "2: x, \"y\"|z\nz", "4: 3|4"}},
		"spreadsheet digits":            {"a,b\n=\"0012\",'34\n", Options{}, []string{"a|b", "2: =\"0012\"|'34"}},
		"blanks in the header":          {"a , b\n1,2\n", Options{}, []string{"a|b", "2: 1|2"}},
		"too few, too many":             {"a,b\n1\n1,2,3\n4,5\n", Options{}, []string{"a|b", "2!", "3!", "4: 4|5"}},
		"quote never closed":            {"a,b\n\"1,2\n3,4\n5,6\n", Options{}, []string{"a|b", "2!", "3: 3|4", "4: 5|6"}},
		"two stray quotes":              {"a,b\n\"1,2\n3,4\n5,\"6\n7,8\n", Options{}, []string{"a|b", "2!", "3: 3|4", "4!", "5: 7|8"}},
		"text behind a quote":           {"a,b\n\"1\"x,2\n3,4\n", Options{}, []string{"a|b", "2!", "3: 3|4"}},
		"blank lines":                   {"a,b\n\n1,2\n  \n", Options{}, []string{"a|b", "3: 1|2"}},
		"zero byte":                     {"a,b\n1,\x00\n3,4\n", Options{}, []string{"a|b", "2!", "3: 3|4"}},
		"broken UTF-8":                  {"a,二\n1,\xff\n3,4\n", Options{}, []string{"a|二", "2!", "3: 3|4"}},
		"a huge line":                   {"a,b\n" + strings.Repeat("x", 300_000) + "\n3,4\n", Options{MaxRow: 1000}, []string{"a|b", "2!", "3: 3|4"}},
		"tabs":                          {"a\tb\n1\t\n", Options{Delimiter: '\t'}, []string{"a|b", "2: 1|"}},
		"empty fields":                  {"a,b,c\n,,\n\"\",1,\n", Options{}, []string{"a|b|c", "2: ||", "3: |1|"}},
		"quotes in a long field":        {"a,b\n\"1\n\"\"\n2 \"\"x\"\"\n\",\"y\nz\"\n3,4\n", Options{}, []string{"a|b", "2: 1\n\"\n2 \"x\"|y\nz", "7: 3|4"}},
		"three fields go on":            {"a,b,c\n\"1\n2\" , \"3\n4\",\"5\n6\"\n7,8,9\n", Options{}, []string{"a|b|c", "2: 1\n2|3\n4|5\n6", "6: 7|8|9"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := read(t, []byte(c.in), c.o)
			if d := cmp.Diff(c.want, got); d != "" || err != nil {
				t.Errorf("error %v, rows (-want +got):\n%s", err, d)
			}
		})
	}
}

// What the standard library writes is read back as it was.
func TestReadsWhatIsWritten(t *testing.T) {
	t.Parallel()
	alphabet := []rune("ab,\"\n 演示0")
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 0))
		rows := [][]string{{"x", "y", "z"}}
		for range r.IntN(20) {
			row := make([]string, 3)
			for i := range row {
				text := make([]rune, r.IntN(6))
				for j := range text {
					text[j] = alphabet[r.IntN(len(alphabet))]
				}
				row[i] = strings.TrimSpace(string(text))
			}
			row[0] += "." // a row of blanks alone would be no row
			rows = append(rows, row)
		}
		var file bytes.Buffer
		w := csv.NewWriter(&file)
		if err := w.WriteAll(rows); err != nil {
			t.Fatal(err)
		}
		reader, err := NewReader(&file, Options{})
		if err != nil {
			t.Fatal(err)
		}
		got := [][]string{reader.Header()}
		for {
			row, err := reader.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil || row.Err != nil {
				t.Fatalf("seed %d: %v %v", seed, err, row.Err)
			}
			got = append(got, slices.Clone(row.Fields))
		}
		if d := cmp.Diff(rows, got); d != "" {
			t.Fatalf("seed %d (-want +got):\n%s", seed, d)
		}
	}
}

// A quote that is never closed, before very many short lines, costs what its
// lines do, and not their number times their length.
func TestAStrayQuoteCostsItsLines(t *testing.T) { // not parallel: it counts what the process allocates
	const lines = 40_000
	for name, line := range map[string]string{"plain": "x\n", "quotes in pairs": "\"\"x\n", "fields that open and close": "x\",\"x\n"} {
		in := "a,b\n\"1,2\n" + strings.Repeat(line, lines)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		r, err := NewReader(strings.NewReader(in), Options{MaxRow: len(in)})
		if err != nil {
			t.Fatal(err)
		}
		row, err := r.Next()
		if err != nil || row.Err == nil || row.Line != 2 {
			t.Fatalf("%s: row %d (%v, %v), want one that is refused", name, row.Line, row.Err, err)
		}
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > 100*lines*8 {
			t.Errorf("%s: %d MiB were allocated to look at %d lines", name, took>>20, lines)
		}
	}
}

// A row's bytes are those of its lines, wherever these lie in what is read at a time,
// and though lines behind them were read to see that a quote has no end.
func TestRawIsTheLinesOfTheRow(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		draw := rand.New(rand.NewPCG(seed, 1))
		lines := []string{"a title", "", "id,name"}
		for range 5000 {
			line := []byte(fmt.Sprintf("%d,", len(lines)))
			if draw.IntN(40) == 0 {
				line = append(line, '"') // of a field that goes on, or never ends
			}
			for range draw.IntN(100) {
				line = append(line, "ab c"[draw.IntN(4)])
			}
			if draw.IntN(40) == 0 {
				line = append(line, '"')
			}
			lines = append(lines, string(line))
		}
		header := func(fields []string) bool { return len(fields) == 2 }
		r, err := NewReader(strings.NewReader(strings.Join(lines, "\n")), Options{MaxRow: 1000, IsHeader: header})
		if err != nil {
			t.Fatal(err)
		}
		for {
			row, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			want := strings.Join(lines[row.Line-1:row.Line+bytes.Count(row.Raw, []byte("\n"))], "\n")
			if got := string(row.Raw); got != want {
				t.Fatalf("seed %d: the row of line %d is %q, want %q", seed, row.Line, got, want)
			}
			if row.Err == nil && !strings.HasPrefix(want, row.Fields[0]+",") {
				t.Fatalf("seed %d: the row %q has the fields %q", seed, want, row.Fields)
			}
		}
	}
}

// Lines that a header was looked for in, and was not found, are rows, though they are
// more than is read at a time.
func TestLinesWithoutAHeaderAreRows(t *testing.T) {
	t.Parallel()
	var lines []string
	for i := range titleRows + 5 {
		lines = append(lines, fmt.Sprintf("%d,%s", i, strings.Repeat("x", 5000)))
	}
	r, err := NewReader(strings.NewReader(strings.Join(lines, "\n")), Options{IsHeader: func([]string) bool { return false }})
	if err != nil {
		t.Fatal(err)
	}
	got := []string{strings.Join(r.Header(), ",")}
	for {
		row, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || row.Err != nil {
			t.Fatal(err, row.Err)
		}
		got = append(got, string(row.Raw))
	}
	if d := cmp.Diff(lines, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte("a,b\n1,2\n"))
	f.Add([]byte("a,b\n\"1,2\n3,4\n"))
	f.Add([]byte(gbk("编号,名称\n1,演示\n")))
	f.Add([]byte(western("prénom,ville\nZoë,Nîmes\n")))
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := NewReader(bytes.NewReader(in), Options{MaxRow: 64, Western: true})
		if err != nil {
			return
		}
		lines, last := bytes.Count(in, []byte("\n"))+1, 1
		for {
			row, err := r.Next()
			if err != nil {
				return
			}
			if row.Line <= last || row.Line > lines || (row.Err == nil && len(row.Fields) != len(r.Header())) {
				t.Fatalf("row %+v after line %d of %d", row, last, lines)
			}
			last = row.Line
		}
	})
}

func TestOldMacLineEndsAreNamed(t *testing.T) {
	t.Parallel()
	if _, err := NewReader(strings.NewReader("a,b\r1,2\r3,4\r"), Options{}); !errors.Is(err, ErrHeader) || !strings.Contains(err.Error(), "CR alone") {
		t.Errorf("NewReader = %v, want an error about the line ends", err)
	}
}

// What is no text has a CR among its bytes, too.
func TestWhatIsNoTableIsNamed(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(7, 0))
	random := make([]byte, 4096)
	for i := range random {
		random[i] = byte(1 + r.IntN(255))
	}
	for name, in := range map[string][]byte{
		"a program":    []byte("\x7fELF\x02\x01\x01\x00\x00\r\x00\x03\x00>\x00\n\x01\x00"),
		"a picture":    []byte("\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\r\x00\n"),
		"random bytes": random,
	} {
		if _, err := NewReader(bytes.NewReader(in), Options{Western: true}); !errors.Is(err, ErrEncoding) || !strings.Contains(err.Error(), "no table") {
			t.Errorf("%s: NewReader = %v, want an error that says that it is no table", name, err)
		}
	}
}

func TestDelimiterOf(t *testing.T) {
	t.Parallel()
	for begin, want := range map[string]rune{
		"":                                  ',',
		"id":                                ',',
		"id,name":                           ',',
		"id;name\n1,2,3;x":                  ';',
		"id\tname\ttown\r\n":                '\t',
		"\xef\xbb\xbfid;name":               ';',
		"id,\"a;b;c\"\n":                    ',',
		"id,first;last":                     ',', // as many of both
		"\xb1\xe0\xba\xc5;\xd0\xd5\xc3\xfb": ';', // GBK
	} {
		if got := DelimiterOf([]byte(begin)); got != want {
			t.Errorf("DelimiterOf(%q) = %q, want %q", begin, got, want)
		}
	}
}
