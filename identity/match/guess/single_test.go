package guess

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"oneid/identity/match"
)

// single invents a table of one column: what a value is, of 1,500 rows of 1,000.
func single(column string, value func(who int) string) (table *match.Table, truth []uint32) {
	table = match.NewTable([]string{column})
	for i := range 1500 {
		who := i * 7919 % 1000
		table.Add(0, []string{value(who)})
		truth = append(truth, uint32(who))
	}
	return table, truth
}

// By one column alone equal values are one cluster where they are nearly unique and
// strangers would hardly have them, and none are where chance makes them. Either is
// said, with the reason.
func TestASingleColumn(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 76))
	pick := func(of string) string { list := strings.Fields(of); return list[r.IntN(len(list))] }
	values := func(invent func() string) func(int) string {
		var list []string
		for range 1000 {
			list = append(list, invent())
		}
		return func(who int) string { return list[who] }
	}
	word := func() string {
		return pick("ka mo ti lu ra se no vi") + pick("ra no ti mel dor sin bek") + pick("ka lo ne ri sta") + pick("m n s t r l")
	}
	titles := values(func() string { return word() + " " + word() + " " + word() + " " + word() + " " + word() })
	for name, c := range map[string]struct {
		column string
		value  func(int) string
		linked bool
	}{
		"phones": {"phone", func(who int) string { return fmt.Sprintf("13%09d", who*999983%1e9) }, true},
		"titles": {"title", titles, true},
		// Four values for ten rows are no names of rows, though strangers would hardly have them.
		"titles, each often": {"title", func(who int) string { return titles(who * 6 / 10) }, false},
		"cities are chance": {"city", values(func() string {
			return pick("Lisbon Porto Braga Faro Evora Coimbra Aveiro Leiria Viseu Guarda Beja Tomar Sintra")
		}), false},
		"surnames are chance": {"surname", values(func() string { return word()[:5] }), false},
		"two names, often the same": {"name", values(func() string {
			return pick("Ana Rui Eva Gil Ines Joel") + " " + pick("Pires Lopes Costa Reis Dias Melo Pinto Faria")
		}), false},
		// Nearly unique, and still of ten equal pairs three are chance.
		"two names, now and then the same": {"name", values(func() string {
			return pick("ka mo ti lu ra se no vi") + pick("ran nod tik mel dor sin bek") + " " + pick("ka mo ti lu ra se no vi") + pick("lok nas rid sut tam rin les gor bal dim fen hup")
		}), false},
	} {
		table, truth := single(c.column, c.value)
		precision, recall, result := quality(t, table, truth)
		alone := true
		for row, cluster := range result.Cluster {
			alone = alone && cluster == uint32(row)
		}
		said := slices.ContainsFunc(result.Warnings, func(w string) bool {
			return strings.Contains(w, "is all that is compared") && strings.Contains(w, "equal values are one cluster") == c.linked
		})
		if !said || alone == c.linked {
			t.Errorf("%s: every row alone %t, want %t; warnings %q", name, alone, !c.linked, result.Warnings)
		}
		if c.linked && (precision < 0.99 || recall < 0.99) {
			t.Errorf("%s: precision %.3f, recall %.3f", name, precision, recall)
		}
	}
}

// Records that are equal in all columns are one cluster, which a note says; a column
// that only numbers them, beside one value, is still nothing to compare.
func TestEqualRecordsAreOneCluster(t *testing.T) {
	t.Parallel()
	table := match.NewTable([]string{"name", "phone", "empty"})
	for range 50 {
		table.Add(0, []string{"Ann Grey", "0700000001", ""})
	}
	_, _, result := quality(t, table, make([]uint32, 50))
	for row, cluster := range result.Cluster {
		if cluster != 0 {
			t.Errorf("row %d is in the cluster of %d, want 0", row, cluster)
		}
	}
	if !slices.ContainsFunc(result.Warnings, func(w string) bool { return strings.Contains(w, "all 50 records are equal") }) {
		t.Errorf("warnings %q", result.Warnings)
	}
}
