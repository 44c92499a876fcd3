package tablefile

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/encoding/unicode"
)

// Excel's "Unicode text" is UTF-16 with a byte-order mark, and tabs.
func TestUnicodeText(t *testing.T) {
	t.Parallel()
	text := "订单编号\t买家\r\n1\t\"张\t三\"\r\n" + strings.Repeat("2\t李四😀\r\n", 50_000)
	for name, c := range map[string]struct {
		order  unicode.Endianness
		mark   unicode.BOMPolicy
		refuse bool
	}{
		"as Excel writes it": {unicode.LittleEndian, unicode.UseBOM, false},
		"the other order":    {unicode.BigEndian, unicode.UseBOM, false},
		"without a mark":     {unicode.LittleEndian, unicode.IgnoreBOM, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			of := text
			if c.refuse {
				of = "id\tname\r\n1\t2\r\n" // Chinese letters have no zero bytes to tell it by
			}
			data, err := unicode.UTF16(c.order, c.mark).NewEncoder().Bytes([]byte(of))
			if err != nil {
				t.Fatal(err)
			}
			if c.refuse {
				if _, err := NewReader(bytes.NewReader(data), Options{}); !errors.Is(err, ErrEncoding) || !strings.Contains(err.Error(), "UTF-16") {
					t.Errorf("%v, want a word on UTF-16", err)
				}
				return
			}
			path := filepath.Join(t.TempDir(), "a.csv")
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			rows := 0
			files := Files{Paths: []string{path}, Options: Options{IsHeader: func(fields []string) bool { return slices.Equal(fields, []string{"订单编号", "买家"}) }}}
			err = files.Each(t.Context(), Visitor{Table: func(table *Table) error {
				for {
					row, err := table.Next()
					if err != nil {
						if errors.Is(err, io.EOF) {
							return nil
						}
						return err
					}
					want := []string{"2", "李四😀"}
					if rows == 0 {
						want = []string{"1", "张\t三"}
					}
					if rows++; row.Err != nil || !slices.Equal(row.Fields, want) {
						t.Fatalf("row %d: %q (%v), want %q", rows, row.Fields, row.Err, want)
					}
				}
			}})
			if err != nil || rows != 50_001 {
				t.Errorf("%d rows (%v), want 50001", rows, err)
			}
		})
	}
}
