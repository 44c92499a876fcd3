package guess

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

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

// A column may be called as what is made of several is.
func TestNamesOfSeveralColumnsAreFree(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 97))
	table := match.NewTable([]string{"date", "year", "month", "day", "place", "lat", "lon"})
	for range 300 {
		table.Add(0, []string{
			fmt.Sprintf("%d-%02d-%02d", 1990+r.IntN(30), 1+r.IntN(12), 1+r.IntN(28)), fmt.Sprint(1940 + r.IntN(60)), fmt.Sprint(1 + r.IntN(12)), fmt.Sprint(1 + r.IntN(31)),
			fmt.Sprintf("ba%c%c", 'a'+r.IntN(9), 'a'+r.IntN(9)), fmt.Sprintf("%.5f", 20+20*r.Float64()), fmt.Sprintf("%.5f", 100+20*r.Float64()),
		})
	}
	m, err := Model(table)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := match.Run(t.Context(), table, m, match.Options{}); err != nil {
		t.Fatal(err)
	}
	names := map[string]string{}
	for _, c := range m.Comparisons {
		names[strings.Join(c.Columns, ",")] = c.Name
	}
	if d := cmp.Diff(map[string]string{"date": "date", "year,month,day": "year", "place": "place", "lat,lon": "lat"}, names); d != "" {
		t.Errorf("comparisons by their columns (-want +got):\n%s", d)
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

// TestAnAddressInColumnsIsOne has the same accounts once with their addresses
// in one column and once in four, as platforms give them: in parts, each part
// would count as if the others had said nothing.
func TestAnAddressInColumnsIsOne(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(4, 5))
	one := func(list ...string) string { return list[r.IntN(len(list))] }
	whole := match.NewTable([]string{"platform", "receiver", "mobile", "address"})
	split := match.NewTable([]string{"platform", "receiver", "mobile", "province", "city", "district", "detail"})
	again := match.NewTable([]string{"platform", "receiver", "mobile", "province", "city", "address"})
	places := [][3]string{{"广东省", "广州市", "天河区"}, {"广东省", "深圳市", "南山区"}, {"浙江省", "杭州市", "西湖区"}, {"江苏省", "苏州市", "吴中区"}, {"四川省", "成都市", "武侯区"}, {"湖北省", "武汉市", "洪山区"}, {"福建省", "厦门市", "思明区"}}
	for range 400 {
		name := one("张", "王", "李", "赵", "刘", "陈", "周", "吴") + one("伟", "芳", "娜", "敏", "静", "丽", "强", "磊") + one("", "华", "军", "洋", "红")
		mobile := fmt.Sprintf("138%08d", r.IntN(1e8))
		place := places[r.IntN(len(places))]
		detail := fmt.Sprintf("%s%d号%d栋", one("体育西路", "建国路", "文三路", "中山大道", "人民街", "学院路"), 1+r.IntN(200), 1+r.IntN(30))
		for k := range 1 + r.IntN(3) {
			receiver, phone := name, mobile
			if k%2 == 1 {
				receiver, phone = string([]rune(name)[:1])+"**", mobile[:3]+"****"+mobile[7:]
			}
			platform := one("天猫", "抖店", "微店", "京东")
			whole.Add(0, []string{platform, receiver, phone, place[0] + place[1] + place[2] + detail})
			split.Add(0, []string{platform, receiver, phone, place[0], place[1], place[2], detail})
			again.Add(0, []string{platform, receiver, phone, place[0], place[1], place[0] + place[1] + place[2] + detail})
		}
	}
	var want *match.Result
	for name, table := range map[string]*match.Table{"one": whole, "four": split, "town beside the whole": again} {
		m, err := Model(table)
		if err != nil {
			t.Fatal(err)
		}
		if len(m.Comparisons) != 4 || m.Comparisons[0].Kind != compare.ChineseAddress && m.Comparisons[3].Kind != compare.ChineseAddress {
			t.Fatalf("%s: compared is %+v, want the platform, the name, the phone and one address", name, m.Comparisons)
		}
		for _, c := range m.Comparisons {
			if c.Name == "platform" && c.Kind != compare.Category {
				t.Errorf("%s: the platform is taken for a %s", name, c.Kind)
			}
		}
		got, err := match.Run(t.Context(), table, m, match.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if want == nil {
			want = got
		}
		if d := cmp.Diff(sizes(want.Cluster), sizes(got.Cluster)); d != "" {
			t.Errorf("%s column: other clusters than the first:\n%s", name, d)
		}
	}
}

// sizes counts the clusters by how many records they have.
func sizes(clusters []uint32) map[int]int {
	records, out := map[uint32]int{}, map[int]int{}
	for _, c := range clusters {
		records[c]++
	}
	for _, n := range records {
		out[n]++
	}
	return out
}

func TestOfTooManyColumnsThoseThatTellMostAreKept(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(6, 5))
	var names []string
	for c := range 20 {
		names = append(names, fmt.Sprintf("c%d", c))
	}
	table := match.NewTable(names)
	for range 300 {
		row := make([]string, len(names))
		for c := range row {
			// The first six are nearly empty, as the notes of an old table are.
			if c >= 6 || r.IntN(20) == 0 {
				row[c] = fmt.Sprintf("ba%c%c %c", 'a'+r.IntN(20), 'a'+r.IntN(20), 'a'+r.IntN(20))
			}
		}
		table.Add(0, row)
	}
	m, err := Model(table)
	if err != nil {
		t.Fatal(err)
	}
	var kept []string
	for _, c := range m.Comparisons {
		kept = append(kept, c.Name)
	}
	if len(kept) != 16 || !slices.Contains(kept, "c6") || !slices.Contains(kept, "c19") {
		t.Errorf("compared are %v, want 16 with c6 to c19 among them", kept)
	}
}

func TestWhatIsSaidTwiceIsComparedOnce(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(7, 5))
	table := match.NewTable([]string{"full_name", "both", "first", "last", "sold_as", "title"})
	for range 400 {
		first, last := fmt.Sprintf("ba%c%c", 'a'+r.IntN(9), 'a'+r.IntN(9)), fmt.Sprintf("ko%c%c", 'a'+r.IntN(9), 'a'+r.IntN(9))
		title := fmt.Sprintf("the %c%ca of %c%co", 'a'+r.IntN(9), 'a'+r.IntN(9), 'a'+r.IntN(9), 'a'+r.IntN(9))
		whole := first + " " + last
		if r.IntN(3) == 0 {
			whole = "Dr " + whole + ", baron"
		}
		sold := strings.ToUpper(title)
		if r.IntN(50) == 0 {
			first = "" // not each part is there
		}
		table.Add(0, []string{whole, strings.TrimSpace(first + " " + last), first, last, sold, title})
	}
	m, err := Model(table)
	if err != nil {
		t.Fatal(err)
	}
	var compared []string
	for _, c := range m.Comparisons {
		compared = append(compared, c.Name)
	}
	if want := []string{"first", "last", "sold_as"}; !slices.Equal(compared, want) {
		t.Errorf("compared are %q, want %q", compared, want)
	}
}
