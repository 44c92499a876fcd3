package tablefile

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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

func TestRows(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		in   string
		o    Options
		want []string
	}{
		"plain":                   {"a,b\n1,2\r\n3,4", Options{}, []string{"a|b", "2: 1|2", "3: 3|4"}},
		"byte-order mark":         {"\xef\xbb\xbfa,b\n1,二\n", Options{}, []string{"a|b", "2: 1|二"}},
		"GBK":                     {gbk("编号,名称\n1,演示\n"), Options{}, []string{"编号|名称", "2: 1|演示"}},
		"GBK after an ASCII head": {gbk("a,b\n1,演示\n"), Options{}, []string{"a|b", "2: 1|演示"}},
		"GBK byte like a pipe":    {gbk("a|b\n1|") + "\x81\x7c" + "\n", Options{Delimiter: '|', Encoding: GB18030}, []string{"a|b", "2: 1|亅"}},
		"quotes":                  {"a,b\n\"x, \"\"y\"\"\",\"z\nz\"\n3,4\n", Options{}, []string{"a|b", "2: x, \"y\"|z\nz", "4: 3|4"}},
		"spreadsheet digits":      {"a,b\n=\"0012\",'34\n", Options{}, []string{"a|b", "2: =\"0012\"|'34"}},
		"blanks in the header":    {"a , b\n1,2\n", Options{}, []string{"a|b", "2: 1|2"}},
		"too few, too many":       {"a,b\n1\n1,2,3\n4,5\n", Options{}, []string{"a|b", "2!", "3!", "4: 4|5"}},
		"quote never closed":      {"a,b\n\"1,2\n3,4\n5,6\n", Options{}, []string{"a|b", "2!", "3: 3|4", "4: 5|6"}},
		"two stray quotes":        {"a,b\n\"1,2\n3,4\n5,\"6\n7,8\n", Options{}, []string{"a|b", "2!", "3: 3|4", "4!", "5: 7|8"}},
		"text behind a quote":     {"a,b\n\"1\"x,2\n3,4\n", Options{}, []string{"a|b", "2!", "3: 3|4"}},
		"blank lines":             {"a,b\n\n1,2\n  \n", Options{}, []string{"a|b", "3: 1|2"}},
		"zero byte":               {"a,b\n1,\x00\n3,4\n", Options{}, []string{"a|b", "2!", "3: 3|4"}},
		"broken UTF-8":            {"a,二\n1,\xff\n3,4\n", Options{}, []string{"a|二", "2!", "3: 3|4"}},
		"a huge line":             {"a,b\n" + strings.Repeat("x", 300_000) + "\n3,4\n", Options{MaxRow: 1000}, []string{"a|b", "2!", "3: 3|4"}},
		"tabs":                    {"a\tb\n1\t\n", Options{Delimiter: '\t'}, []string{"a|b", "2: 1|"}},
		"empty fields":            {"a,b,c\n,,\n\"\",1,\n", Options{}, []string{"a|b|c", "2: ||", "3: |1|"}},
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

func FuzzReader(f *testing.F) {
	f.Add([]byte("a,b\n1,2\n"))
	f.Add([]byte("a,b\n\"1,2\n3,4\n"))
	f.Add([]byte(gbk("编号,名称\n1,演示\n")))
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := NewReader(bytes.NewReader(in), Options{MaxRow: 64})
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
