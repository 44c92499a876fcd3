package match

import (
	"fmt"
	"strings"
	"testing"
)

// Values that stand for none are emptied, and told by a row and how often, without
// the value; what is common by itself stays.
func TestStandInsAreEmptied(t *testing.T) {
	t.Parallel()
	const rows = 400
	for name, c := range map[string]struct {
		value   func(row int) string
		emptied int
	}{
		"a default date":          {func(i int) string { return either(i%3 == 0, "1900-01-01", fmt.Sprintf("v%d", i/2)) }, 134},
		"two of them":             {func(i int) string { return either(i%5 == 0, "x", either(i%5 == 1, "y", fmt.Sprintf("v%d", i/2))) }, 160},
		"less than one in twenty": {func(i int) string { return either(i%25 == 0, "x", fmt.Sprintf("v%d", i/2)) }, 0},
		"too few to tell":         {func(i int) string { return either(i > 100, "", either(i%12 == 0, "x", fmt.Sprintf("v%d", i))) }, 0},
		"a column of cities":      {func(i int) string { return either(i%3 == 0, "x", fmt.Sprintf("v%d", i%40)) }, 0},
		"names in all frequencies": {func(i int) string {
			return either(i%10 == 0, "x", either(i%20 == 1, "y", either(i%40 == 2, "z", fmt.Sprintf("v%d", i))))
		}, 0},
		"no other value": {func(int) string { return "x" }, 0},
	} {
		table := NewTable([]string{"other", "column"})
		for i := range rows {
			table.Add(0, []string{"a", c.value(i)})
		}
		_, before := table.Values(1)
		none := before[0]
		notes := table.EmptyStandIns()
		values, counts := table.Values(1)
		if got := counts[0] - none; got != c.emptied {
			t.Errorf("%s: %d values are emptied, want %d", name, got, c.emptied)
		}
		empty := 0
		for row := range rows {
			if table.Value(row, 1) == "" {
				empty++
			}
		}
		if empty != counts[0] {
			t.Errorf("%s: %d rows are empty, and %d are counted", name, empty, counts[0])
		}
		told := strings.Join(notes, "\n")
		if (told != "") != (c.emptied > 0) || strings.Contains(told, "1900") {
			t.Errorf("%s: told %q of %q", name, told, values[:3])
		}
	}
}

func either(yes bool, a, b string) string {
	if yes {
		return a
	}
	return b
}

// Who stands in a table often is nobody's stand-in: his rows have the rest in common, too.
func TestWhoIsOftenThereIsNoStandIn(t *testing.T) {
	t.Parallel()
	table := NewTable([]string{"name", "phone", "born"})
	for i := range 200 {
		who := either(i < 12, "one", fmt.Sprintf("v%d", i/2))
		table.Add(0, []string{"n" + who, "p" + who, either(i >= 180, "1900-01-01", "d"+who)})
	}
	notes := table.EmptyStandIns()
	if table.Value(0, 0) != "none" || table.Value(0, 1) != "pone" || table.Value(0, 2) != "done" {
		t.Errorf("the rows of one person are %q %q %q; told %q", table.Value(0, 0), table.Value(0, 1), table.Value(0, 2), notes)
	}
	if table.Value(190, 2) != "" || len(notes) != 1 {
		t.Errorf("the default date is %q; told %q", table.Value(190, 2), notes)
	}
	one := NewTable([]string{"song"})
	for i := range 200 {
		one.Add(0, []string{either(i < 20, "one", fmt.Sprintf("v%d", i))})
	}
	if notes := one.EmptyStandIns(); len(notes) > 0 {
		t.Errorf("of one column is told %q", notes)
	}
}
