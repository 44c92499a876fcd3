package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"
)

// parquetPerson is what inventedPeople writes.
type parquetPerson struct {
	ID        string  `parquet:"id"`
	Person    string  `parquet:"person,dict"`
	FirstName string  `parquet:"first_name,optional,snappy"`
	Surname   string  `parquet:"surname,optional,zstd"`
	Born      int32   `parquet:"born,date"`
	Phone     *string `parquet:"phone,optional"`
}

// toParquet writes rows of inventedPeople, some to a group.
func toParquet(t *testing.T, path string, rows [][]string, perGroup int) {
	t.Helper()
	var b bytes.Buffer
	w := parquet.NewGenericWriter[parquetPerson](&b)
	for i, row := range rows {
		born, err := time.Parse(time.DateOnly, row[4])
		if err != nil {
			t.Fatal(err)
		}
		p := parquetPerson{ID: row[0], Person: row[1], FirstName: row[2], Surname: row[3], Born: int32(born.Unix() / (24 * 60 * 60))}
		if born.Before(time.Unix(0, 0)) && born.Unix()%(24*60*60) != 0 {
			t.Fatal("not midnight")
		}
		if row[5] != "" {
			p.Phone = &row[5]
		}
		if _, err := w.Write([]parquetPerson{p}); err != nil {
			t.Fatal(err)
		}
		if i%perGroup == perGroup-1 {
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestMatchReadsParquetAsCSV(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	whole := filepath.Join(dir, "whole.csv")
	inventedPeople(t, whole, 3, 200)
	rows := readTable(t, whole)[1:]
	for name, c := range map[string][]string{
		"one file":       {"all.parquet"},
		"two files":      {"first.parquet", "second.parquet"},
		"mixed with CSV": {"first.csv", "second.parquet"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			toParquet(t, filepath.Join(dir, "all.parquet"), rows, 70)
			toParquet(t, filepath.Join(dir, "first.parquet"), rows[:100], 1000)
			toParquet(t, filepath.Join(dir, "second.parquet"), rows[100:], 33)
			text := "id,person,first_name,surname,born,phone\n"
			for _, row := range rows[:100] {
				text += strings.Join(row, ",") + "\n"
			}
			if err := os.WriteFile(filepath.Join(dir, "first.csv"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			args := []string{"match", "--truth", "person", "--json", "--out"}
			must(t, append(args, filepath.Join(dir, "want.csv"), whole)...)
			args = append(args, filepath.Join(dir, "got.csv"))
			for _, file := range c {
				args = append(args, filepath.Join(dir, file))
			}
			var report matchReport
			if err := json.Unmarshal([]byte(must(t, args...).stdout), &report); err != nil {
				t.Fatal(err)
			}
			if report.Records != len(rows) || report.Truth.Pairwise.F1 < 0.97 {
				t.Errorf("%d records of %d, truth %+v", report.Records, len(rows), report.Truth)
			}
			if d := cmp.Diff(readTable(t, filepath.Join(dir, "want.csv")), readTable(t, filepath.Join(dir, "got.csv"))); d != "" {
				t.Errorf("(-CSV +Parquet):\n%s", d)
			}
		})
	}
}

func TestParquetValuesAreWrittenAsText(t *testing.T) {
	t.Parallel()
	type row struct {
		Text     string    `parquet:"text"`
		Bytes    []byte    `parquet:"bytes"`
		Yes      bool      `parquet:"yes"`
		Small    int32     `parquet:"small"`
		Large    uint64    `parquet:"large"`
		Day      int32     `parquet:"day,date"`
		At       time.Time `parquet:"at,timestamp(microsecond)"`
		Midnight time.Time `parquet:"midnight,timestamp(millisecond)"`
		Price    int64     `parquet:"price,decimal(2:10)"`
		Phone    float64   `parquet:"phone"`
		None     float64   `parquet:"none"`
		Missing  *string   `parquet:"missing,optional"`
		UUID     [16]byte  `parquet:"uuid,uuid"`
	}
	at := time.Date(1969, 7, 20, 20, 17, 40, 0, time.UTC)
	var b bytes.Buffer
	if err := parquet.Write(&b, []row{{
		" héllo ", []byte("raw\xff"), true, -7, math.MaxUint64, -100, at, at.Truncate(24 * time.Hour), -5, 13800001111, math.NaN(), nil, [16]byte{1, 2, 15: 3},
	}}); err != nil {
		t.Fatal(err)
	}
	table, err := openMatchTable(written(t, b.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	got, err := table.Next()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"héllo", "raw", "true", "-7", "18446744073709551615", "1969-09-23", "1969-07-20 20:17:40", "1969-07-20", "-0.05", "13800001111", "", "", "01020000-0000-0000-0000-000000000003"}
	if d := cmp.Diff(want, got.Fields); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if _, err := table.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("behind the last row: %v", err)
	}
	for digits, want := range map[string]string{"5": "0.05", "-123": "-1.23", "0": "0.00"} {
		if got := shifted(digits, 2); got != want {
			t.Errorf("shifted(%s, 2) = %s, want %s", digits, got, want)
		}
	}
	if got := signed([]byte{0xff, 0x85}).String(); got != "-123" {
		t.Errorf("signed = %s", got)
	}
}

func written(t *testing.T, content []byte) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "some.parquet")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return file
}

// readAll reads a table to its end or its first error.
func readAll(file *os.File) error {
	table, err := openMatchTable(file)
	for err == nil {
		_, err = table.Next()
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// TestDamagedParquetIsAnError cuts a file off at each place and turns over
// bytes in it: what comes of it is an error with a hint, or values that
// are other ones, never a panic.
func TestDamagedParquetIsAnError(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	inventedPeople(t, filepath.Join(dir, "whole.csv"), 4, 40)
	toParquet(t, filepath.Join(dir, "whole.parquet"), readTable(t, filepath.Join(dir, "whole.csv"))[1:], 20)
	whole, err := os.ReadFile(filepath.Join(dir, "whole.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	if err := readAll(written(t, whole)); err != nil {
		t.Fatal(err)
	}
	for size := 4; size < len(whole); size += 1 + size/40 {
		err := readAll(written(t, whole[:size]))
		var hint interface{ Hint() string }
		if err == nil || !strings.Contains(err.Error(), "damaged or not complete") || !errors.As(err, &hint) {
			t.Fatalf("cut off at %d of %d bytes: %v, want an error with what to do", size, len(whole), err)
		}
	}
	draw := rand.New(rand.NewPCG(1, 1))
	refused := 0
	for range 300 {
		broken := bytes.Clone(whole)
		for range 1 + draw.IntN(4) {
			broken[4+draw.IntN(len(broken)-4)] ^= byte(1 + draw.IntN(255))
		}
		if readAll(written(t, broken)) != nil {
			refused++
		}
	}
	if refused < 100 {
		t.Errorf("%d of 300 broken files are refused", refused)
	}
}

func TestParquetWithListsIsRefused(t *testing.T) {
	t.Parallel()
	type row struct {
		ID   string   `parquet:"id"`
		Tags []string `parquet:"tags,list"`
	}
	var b bytes.Buffer
	if err := parquet.Write(&b, []row{{"1", []string{"a", "b"}}}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "lists.parquet")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, oneid(t, "match", path, "--out", filepath.Join(t.TempDir(), "out.csv")), 1, "lists.parquet", `"tags"`, "without them")
}
