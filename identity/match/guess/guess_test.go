package guess

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"oneid/identity/match"
	"oneid/identity/match/compare"
	"oneid/internal/golden"
)

// invented is a table with a column of each sort.
func invented(n int) *match.Table {
	r := rand.New(rand.NewPCG(3, 3))
	word := func(syllables int) string {
		s := ""
		for range syllables {
			s += string("bdfgklmnprst"[r.IntN(12)]) + string("aeiou"[r.IntN(5)])
		}
		return s
	}
	chinese := func() string {
		s := string([]rune("张王李赵刘陈")[r.IntN(6)])
		for range 1 + r.IntN(2) {
			s += string([]rune("伟芳娜敏静丽强磊军洋")[r.IntN(10)])
		}
		if r.IntN(3) == 0 {
			return string([]rune(s)[:1]) + "*"
		}
		return s
	}
	t := match.NewTable([]string{"number", "given_name", "family_name", "dob", "year", "month", "day", "shop", "addr", "zip", "mobile", "mail", "price", "sex", "姓名", "手机", "same", "nothing", "notes"})
	for i := range n {
		phone := fmt.Sprintf("138%08d", r.IntN(1e8))
		if i%2 == 0 {
			phone = phone[:3] + "****" + phone[7:]
		}
		t.Add(0, []string{
			fmt.Sprint(1000 + i), word(2), word(3), fmt.Sprintf("%d-%02d-%02d", 1940+r.IntN(60), 1+r.IntN(12), 1+r.IntN(28)),
			fmt.Sprint(1940 + r.IntN(60)), fmt.Sprint(1 + r.IntN(12)), fmt.Sprint(1 + r.IntN(31)),
			"the " + word(2) + " " + word(3), fmt.Sprintf("%d %s street", 1+r.IntN(99), word(2)), fmt.Sprintf("%c%c%d %dAB", 'A'+r.IntN(20), 'A'+r.IntN(20), 1+r.IntN(9), 1+r.IntN(9)),
			fmt.Sprintf("0%d-%07d", 20+r.IntN(9), r.IntN(1e7)), word(3) + "@mail.example", fmt.Sprintf("%d.%02d", r.IntN(100), r.IntN(100)), string("FM"[r.IntN(2)]),
			chinese(), phone, "x", "", strings.Join([]string{word(2), word(3), word(2), word(1)}, " "),
		})
	}
	return t
}

func TestModelIsTheOneOfTheFile(t *testing.T) {
	t.Parallel()
	m, err := Model(invented(400))
	if err != nil {
		t.Fatal(err)
	}
	m.Blocking = []match.Rule{{Keys: []string{"mobile", "dob.year"}, Most: 100, Why: "an example"}, {Why: "all"}}
	var b bytes.Buffer
	if err := m.Write(&b); err != nil {
		t.Fatal(err)
	}
	golden.Equal(t, "testdata/invented.model.yaml", b.Bytes())
	if _, err := match.ParseModel("again", b.Bytes()); err != nil {
		t.Errorf("the model is not read again: %v", err)
	}
}

func TestKindsByContentNotByName(t *testing.T) {
	t.Parallel()
	table := invented(400)
	// The same columns without their names.
	var names []string
	for i := range table.Columns() {
		names = append(names, fmt.Sprintf("c%d", i))
	}
	bare := match.NewTable(names)
	row := make([]string, len(names))
	for i := range table.Len() {
		for c := range row {
			row[c] = table.Value(i, c)
		}
		bare.Add(0, row)
	}
	want := map[string]compare.Kind{
		"c1": compare.Name, "c2": compare.Name, "c3": compare.Date, "date": compare.Date, "c7": compare.Text, "c8": compare.Address, "c9": compare.Code,
		"c10": compare.Phone, "c11": compare.Email, "c12": compare.Number, "c13": compare.Category, "c14": compare.ChineseName, "c15": compare.Phone, "c18": compare.Text,
	}
	m, err := Model(bare)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range m.Comparisons {
		if want[c.Name] != c.Kind {
			t.Errorf("%s (%s) is taken for %q, want %q: %s", c.Name, c.Columns, c.Kind, want[c.Name], c.Why)
		}
		delete(want, c.Name)
	}
	if len(want) > 0 {
		t.Errorf("not compared: %v", want)
	}
}

func TestNothingToCompareIsSaid(t *testing.T) {
	t.Parallel()
	table := match.NewTable([]string{"a", "b", "id", "key"})
	for i := range 10 {
		table.Add(0, []string{"", "x", fmt.Sprint(100 + i), fmt.Sprintf("rec-%d-org", i)})
	}
	if _, err := Model(table); err == nil || !strings.Contains(err.Error(), "no column can be compared") {
		t.Errorf("Model = %v, want a refusal", err)
	}
}

func TestSwappedNamesAreFoundByContent(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 5))
	table := match.NewTable([]string{"c1", "c2", "c3"})
	for range 400 {
		one, two := fmt.Sprintf("ba%c%c", 'a'+r.IntN(8), 'a'+r.IntN(8)), fmt.Sprintf("ko%c%c", 'a'+r.IntN(8), 'a'+r.IntN(8))
		if r.IntN(20) == 0 {
			one, two = two, one
		}
		table.Add(0, []string{fmt.Sprintf("tu%c%c", 'a'+r.IntN(8), 'a'+r.IntN(8)), one, two})
	}
	m, err := Model(table)
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Comparisons[1].SwappedWith; got != "c3" || m.Comparisons[0].SwappedWith != "" {
		t.Errorf("c2 is swapped with %q, c1 with %q; want c3 and nothing", got, m.Comparisons[0].SwappedWith)
	}
}

func TestChinesePlacesAndNamesByContent(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(2, 5))
	one := func(list ...string) string { return list[r.IntN(len(list))] }
	table := match.NewTable([]string{"c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9"})
	for range 300 {
		lat, lon := 20+20*r.Float64(), 100+20*r.Float64()
		table.Add(0, []string{
			one("广东省广州市", "上海", "北京市") + one("", "天河区", "浦东新区", "朝阳区") + one("***", "体育西路12号", "建国路8号3栋"),
			one("广州市", "上海市", "北京", "深圳市", "杭州"), // towns, not people
			one("张*", "*伟", "李**", "王芳", "欧阳修", "单雄"),
			fmt.Sprintf("%.5f,%.5f", lat, lon),
			fmt.Sprintf("%.6f", lat), fmt.Sprintf("%.6f", lon),
			fmt.Sprintf("%.4f", r.Float64()), fmt.Sprintf("%.4f", r.Float64()), // scores, not degrees
			one("138", "139") + one("****", "xxxx") + fmt.Sprintf("%04d", r.IntN(1e4)),
			one("红富士苹果五斤装", "精选龙井茶叶礼盒", "儿童纯棉短袖上衣") + fmt.Sprint(r.IntN(99)),
		})
	}
	want := map[string]compare.Kind{
		"c0": compare.ChineseAddress, "c1": compare.ChineseAddress, "c2": compare.ChineseName, "c3": compare.Place, "place": compare.Place,
		"c6": compare.Number, "c7": compare.Number, "c8": compare.Phone, "c9": compare.Text,
	}
	m, err := Model(table)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range m.Comparisons {
		if want[c.Name] != c.Kind {
			t.Errorf("%s (%s) is taken for %q, want %q: %s", c.Name, c.Columns, c.Kind, want[c.Name], c.Why)
		}
		delete(want, c.Name)
	}
	if len(want) > 0 {
		t.Errorf("not compared: %v", want)
	}
	if _, err := match.Run(t.Context(), table, m, match.Options{}); err != nil {
		t.Error(err)
	}
}
