package guess

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"oneid/identity/match"
	"oneid/identity/match/compare"
)

// TestKindOfAColumn has columns of one sort each, as lists and registers have them,
// some of them near the share from which a column is of a kind.
func TestKindOfAColumn(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(8, 94))
	one := func(list string) string { words := strings.Split(list, ","); return words[r.IntN(len(words))] }
	word := func() string {
		return one("ka,mo,ti,lu,ra,se,no,vi") + one("ra,no,ti,mel,dor,sin") + one("ka,lo,ne,ri,sta")
	}
	day := func() string { return fmt.Sprintf("%d-%02d-%02d", 1940+r.IntN(60), 1+r.IntN(12), 1+r.IntN(28)) }
	month := func() string { return one("Jan,Feb,Mar,Apr,May,Jun,Jul,Aug,Sep,Oct,Nov,Dec") }
	share := func(of float64, a, b func() string) func() string {
		return func() string {
			if r.Float64() < of {
				return a()
			}
			return b()
		}
	}
	mail := func() string { return word() + "@mail.example" }
	company := func() string {
		return one("北京,上海,杭州,苏州,厦门") + one("华,东,瑞,恒,鑫,盛") + one("通,源,达,丰,茂") + one("科技,贸易,食品")
	}
	letters := "0123456789ABCDEFGH"
	code := func(n int) func() string {
		return func() (s string) {
			for range n {
				s += string(letters[r.IntN(len(letters))])
			}
			return s + "7A"
		}
	}
	for name, c := range map[string]struct {
		value func() string
		want  compare.Kind
	}{
		"days":                       {day, compare.Date},
		"months by name":             {func() string { return fmt.Sprintf("%d %s %d", 1+r.IntN(28), month(), 1940+r.IntN(60)) }, compare.Date},
		"American":                   {func() string { return fmt.Sprintf("%s %d, %d", month(), 1+r.IntN(28), 1940+r.IntN(60)) }, compare.Date},
		"a register, years only":     {share(0.6, func() string { return fmt.Sprintf("%d %s %d", 1+r.IntN(28), month(), 1680+r.IntN(90)) }, func() string { return fmt.Sprintf("ca. %d", 1680+r.IntN(90)) }), compare.Date},
		"postcodes are no years":     {func() string { return fmt.Sprint(1000 + r.IntN(1000)) }, compare.Code},
		"half are days":              {share(0.5, day, word), compare.Name},
		"days, and NULL":             {share(0.5, day, func() string { return "NULL" }), compare.Date},
		"seven in ten are e-mails":   {share(0.7, mail, word), compare.Email},
		"mails, and none":            {share(0.3, mail, func() string { return "none" }), compare.Email},
		"phones in groups of three":  {func() string { return fmt.Sprintf("6%02d %03d %03d", r.IntN(100), r.IntN(1000), r.IntN(1000)) }, compare.Phone},
		"phones, and N/A":            {share(0.4, func() string { return fmt.Sprintf("07%09d", r.IntN(1e9)) }, func() string { return "N/A" }), compare.Phone},
		"companies":                  {share(0.8, func() string { return company() + one("有限公司,股份有限公司,集团") }, company), compare.Text},
		"companies, the town behind": {func() string { return company() + "有限公司（杭州）" }, compare.Text},
		"branches":                   {func() string { return company() + "(" + one("文三,解放,中山") + "路店)" }, compare.Text},
		"addresses of China": {func() string {
			return one("北京市,上海市") + one("朝阳区,静安区") + one("建国,中山") + "路" + fmt.Sprint(1+r.IntN(300)) + "号"
		}, compare.ChineseAddress},
		"IP addresses":           {func() string { return fmt.Sprintf("%d.%d.%d.%d", r.IntN(256), r.IntN(256), r.IntN(256), r.IntN(256)) }, compare.Code},
		"a house's IP addresses": {func() string { return fmt.Sprintf("192.168.%d.%d", 100+r.IntN(100), 100+r.IntN(100)) }, compare.Code},
		"IPv6":                   {func() string { return fmt.Sprintf("2001:db8:%x::%x:%x", r.IntN(1<<16), r.IntN(1<<16), r.IntN(1<<16)) }, compare.Code},
		"phones in pairs, with dots": {func() string {
			return fmt.Sprintf("%d.%02d.%02d.%02d", 22+r.IntN(60), r.IntN(100), r.IntN(100), r.IntN(100))
		}, compare.Phone},
		"landlines, a third with 转": {share(0.33, func() string { return fmt.Sprintf("010-6%07d转%d", r.IntN(1e7), 10+r.IntN(90)) }, func() string { return fmt.Sprintf("010-6%07d", r.IntN(1e7)) }), compare.Phone},
		"American, half with x":     {share(0.5, func() string { return fmt.Sprintf("312-555-%04d x%d", r.IntN(1e4), r.IntN(999)) }, func() string { return fmt.Sprintf("312-555-%04d", r.IntN(1e4)) }), compare.Phone},
		"addresses with a port": {func() string {
			return fmt.Sprintf("10.%d.%d.%d:%d", r.IntN(256), r.IntN(256), r.IntN(256), 80+r.IntN(9))
		}, compare.Code},
		"codes of ten":       {code(8), compare.Code},
		"codes of companies": {code(16), compare.Code},
		"dollars":            {func() string { return fmt.Sprintf("$%d.%02d", r.IntN(999), r.IntN(100)) }, compare.Number},
		"euros":              {func() string { return fmt.Sprintf("%d,%02d €", r.IntN(999), r.IntN(100)) }, compare.Number},
		"mixed prices":       {func() string { return fmt.Sprintf(one("USD %d.%02d,$%d.%02d,%d.%02d EUR"), 1+r.IntN(999), r.IntN(100)) }, compare.Number},
	} {
		table := match.NewTable([]string{"c"})
		value := ""
		for i := range 600 {
			if i%3 > 0 || i == 0 { // a third is there twice, so that it does not name its record
				value = c.value()
			}
			table.Add(0, []string{value})
		}
		m, err := Model(table)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := m.Comparisons[0]; got.Kind != c.want {
			t.Errorf("%s: %q is taken for %q, want %q: %s", name, table.Value(0, 0), got.Kind, c.want, got.Why)
		}
	}
}
