package file

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/xuri/excelize/v2"
)

// A spreadsheet that opened an export has rounded all of its long numbers: a table
// of which all end in zeros is refused, one with a single other is not.
func TestATableThatASpreadsheetRounded(t *testing.T) {
	t.Parallel()
	numbers := func(format string, n int) (text string) {
		for i := range n {
			text += fmt.Sprintf(format+",a,1,5\n", i)
		}
		return text
	}
	floats := func(format byte, precision, n int) (text string) {
		for i := range n {
			text += strconv.FormatFloat(float64(3701234567890123457+i*7919), format, precision, 64) + ",a,1,5\n"
		}
		return text
	}
	const header = "order,who,at,paid\n"
	for name, c := range map[string]struct {
		text             string
		refused, records int
	}{
		"60 of 18 digits":           {text: header + numbers("3701234567890%02d000", 60), refused: 60},
		"3 of 16 digits":            {text: header + numbers("37012345678901%d0", 3), refused: 3},
		"two tell nothing":          {text: header + numbers("3701234567890%02d000", 2), records: 2},
		"one of them twice":         {text: header + numbers("3701234567890%02d000", 2) + numbers("3701234567890%02d000", 1), records: 2},
		"one healthy":               {text: header + numbers("3701234567890%02d000", 60) + "370123456789012345,a,1,5\n", records: 61},
		"the healthy one before":    {text: header + "370123456789012345,a,1,5\n" + numbers("3701234567890%02d000", 60), records: 61},
		"short ones beside":         {text: header + numbers("%d", 5) + numbers("3701234567890%02d000", 3), refused: 3, records: 5},
		"marked ones":               {text: header + numbers(`="3701234567890%02d000"`, 60), records: 60},
		"a marked one beside":       {text: header + numbers("3701234567890%02d000", 60) + "=\"370123456789012000\",a,1,5\n", refused: 60, records: 1},
		"15 digits":                 {text: header + numbers("37012345678%d000", 9), records: 9},
		"10 as JavaScript has them": {text: header + floats('f', -1, 10), refused: 10},
		"10 as whole floats":        {text: header + floats('f', 0, 10), refused: 10},
		"3 of them tell nothing":    {text: header + floats('f', -1, 3), records: 3},
		"floats of 17 digits":       {text: header + numbers("1234567890123%02d46", 10), records: 10},
		"a healthy one beside":      {text: header + floats('f', -1, 10) + "3701234567890123457,a,1,5\n", records: 11},
		"marked floats":             {text: header + strings.ReplaceAll(floats('f', -1, 10), "37012", "\t37012"), records: 10},
		"lines":                     {text: "order,line,what\n=\"1\",370123456789010000,x\n=\"1\",370123456789020000,x\n=\"2\",370123456789030000,x\n", refused: 3},
	} {
		for _, pageRows := range []int{1, 100} {
			got, _ := records(t, export(t, pageRows, putFile(t, t.TempDir(), "100-a.csv", c.text)), "orders", "", 0)
			refused := 0
			for _, one := range got {
				if strings.HasPrefix(one, "refused") {
					refused++
					if !strings.Contains(one, "those of the whole table were rounded") {
						t.Errorf("%s: %s", name, one)
					}
				}
			}
			if refused != c.refused || len(got)-refused != c.records {
				t.Errorf("%s: %d refused and %d records, want %d and %d", name, refused, len(got)-refused, c.refused, c.records)
			}
		}
	}
	// One file that was rounded says nothing of another.
	dir := t.TempDir()
	rounded := putFile(t, dir, "100-a.csv", header+numbers("3701234567890%02d000", 3))
	sound := putFile(t, dir, "200-a.csv", header+"370123456789000000,a,1,5\n")
	got, _ := records(t, export(t, 10, rounded, sound), "orders", "", 0)
	if len(got) != 4 || strings.Contains(strings.Join(got, ""), "refused 200-a.csv") {
		t.Errorf("%q", got)
	}
}

// In a workbook numbers of 18 digits that are all floats are refused by their column,
// as in a table of text; one among them that no float is shows that all were kept.
func TestAWorkbookOfFloats(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		kept    bool
		refused int
	}{"rounded": {false, 6}, "kept": {true, 0}} {
		book := excelize.NewFile()
		rows := [][]any{{"order", "who", "at", "paid"}}
		for i := range 6 {
			number := int64(370123456789012345 + i*7919)
			if !c.kept {
				var err error
				if number, err = strconv.ParseInt(strconv.FormatFloat(float64(number), 'f', -1, 64), 10, 64); err != nil {
					t.Fatal(err)
				}
			}
			rows = append(rows, []any{number, "a", "1", "5"})
		}
		for i, row := range rows {
			if err := book.SetSheetRow("Sheet1", fmt.Sprint("A", i+1), &row); err != nil {
				t.Fatal(err)
			}
		}
		path := t.TempDir() + "/100-a.xlsx"
		if err := book.SaveAs(path); err != nil {
			t.Fatal(err)
		}
		got, _ := records(t, export(t, 100, path), "orders", "", 0)
		refused := 0
		for _, one := range got {
			if strings.HasPrefix(one, "refused") {
				refused++
			}
		}
		if refused != c.refused || len(got) != 6 {
			t.Errorf("%s: %d of %d refused, want %d: %q", name, refused, len(got), c.refused, got)
		}
	}
}
