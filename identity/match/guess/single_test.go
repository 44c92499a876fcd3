package guess

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"oneid/identity/match"
)

// By one column alone nothing is learned, be its values equal. That nothing was
// linked is said, with what to do.
func TestThatNothingIsLinkedIsSaid(t *testing.T) {
	t.Parallel()
	for _, columns := range []int{1, 3} {
		table := match.NewTable([]string{"phone", "email", "born"}[:columns])
		for i := range 1500 {
			who := i * 7919 % 1000
			table.Add(0, []string{fmt.Sprintf("13%09d", who*999983%1e9), fmt.Sprintf("%c%d@mail%d.cn", 'a'+rune(who%26), who*7, who%7), fmt.Sprintf("19%02d-%02d-%02d", who%90, who%12+1, who%28+1)}[:columns])
		}
		model, err := Model(table)
		if err != nil {
			t.Fatal(err)
		}
		result, err := match.Run(t.Context(), table, model, match.Options{})
		if err != nil {
			t.Fatal(err)
		}
		said := slices.ContainsFunc(result.Warnings, func(w string) bool {
			return strings.Contains(w, "no two records are linked") && strings.Contains(w, "compare more columns")
		})
		alone := true
		for row, cluster := range result.Cluster {
			alone = alone && cluster == uint32(row)
		}
		if said != (columns == 1) || alone != said {
			t.Errorf("%d columns: said %t, every row alone %t; warnings %q", columns, said, alone, result.Warnings)
		}
	}
}
