package compare

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// distanceByTable is Distance the long way: the whole table, without a limit.
func distanceByTable(a, b string) int {
	x, y := []rune(a), []rune(b)
	d := make([][]int, len(x)+1)
	for i := range d {
		d[i] = make([]int, len(y)+1)
		d[i][0] = i
	}
	for j := range d[0] {
		d[0][j] = j
	}
	for i := 1; i <= len(x); i++ {
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, d[i-1][j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(x)][len(y)]
}

func text(r *rand.Rand, alphabet []rune, most int) string {
	var s []rune
	for range r.IntN(most + 1) {
		s = append(s, alphabet[r.IntN(len(alphabet))])
	}
	return string(s)
}

func TestDistanceIsTheTables(t *testing.T) {
	t.Parallel()
	for _, alphabet := range []string{"ab", "abcdefg", "张王李赵a", "0123x", "0123456789ab"} {
		for seed := range uint64(4000) {
			r := rand.New(rand.NewPCG(seed, 1))
			a, b := text(r, []rune(alphabet), 9), text(r, []rune(alphabet), 9)
			want := distanceByTable(a, b)
			for limit := range 10 {
				if got := Distance(a, b, limit); got != min(want, limit+1) {
					t.Fatalf("Distance(%q, %q, %d) = %d, want %d", a, b, limit, got, min(want, limit+1))
				}
			}
		}
	}
}

func TestJaroWinkler(t *testing.T) {
	t.Parallel()
	// The values of Winkler's own examples.
	for pair, want := range map[[2]string]float64{
		{"martha", "marhta"}:           0.9611,
		{"dwayne", "duane"}:            0.84,
		{"dixon", "dicksonx"}:          0.8133,
		{"jones", "johnson"}:           0.8323,
		{"abc", "xyz"}:                 0,
		{"", ""}:                       1,
		{"a", ""}:                      0,
		{"same", "same"}:               1,
		{"shackleford", "shackelford"}: 0.9818,
	} {
		if got := JaroWinkler(pair[0], pair[1]); got < want-0.0001 || got > want+0.0001 {
			t.Errorf("JaroWinkler(%q, %q) = %.4f, want %.4f", pair[0], pair[1], got, want)
		}
	}
}

func TestLevels(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind Kind
		a, b string
		want string
	}{
		{Name, "Müller", "MULLER", "equal"},
		{Name, "O'Neil", "oneil", "equal"},
		{Name, "marta", "martha", "one slip"},
		{Name, "catherine", "cathrien", "similar"},
		{Name, "j", "john", "initial or beginning"},
		{Name, "dixon", "dicksonx", "vaguely similar"},
		{Name, "anna", "peter", "else"},
		{ChineseName, "张三", "张三", "equal"},
		{ChineseName, "张*", "张三", "masked, fits"},
		{ChineseName, "张**", "张三丰", "masked, fits"},
		{ChineseName, "*三", "张三", "masked, fits"},
		{ChineseName, "张*", "张**", "masked, fits"},
		{ChineseName, "*三", "李四三", "masked, fits"},
		{ChineseName, "*三", "张四", "masked, else"},
		{ChineseName, "张*三", "张伟", "masked, else"},
		{ChineseName, "张三", "三张", "surname and given name swapped"},
		{ChineseName, "欧阳修文", "修文欧阳", "surname and given name swapped"},
		{ChineseName, "zhangsan", "san zhang", "surname and given name swapped"},
		{ChineseName, "张伟", "章玮", "same pinyin"},
		{ChineseName, "单雄", "善熊", "same pinyin"},                         // Shàn, not Dān
		{ChineseName, "单雄", "丹熊", "else"},                                // 丹 is Dān
		{ChineseName, "曾敏", "层敏", "one character differs or is missing"}, // Zēng, not Céng
		{ChineseName, "解重", "谢虫", "same pinyin"},                         // Xiè; 重 is also chóng
		{ChineseName, "仇洋", "Qiu Yang", "same pinyin"},                   // Qiú, not Chóu
		{ChineseName, "尉迟恭", "Gong Yuchi", "same pinyin"},
		{ChineseName, "吕布", "Lü Bu", "same pinyin"},
		{ChineseName, "吕布", "LYU BU", "same pinyin"},
		{ChineseName, "张三丰", "Zhang San", "else"},
		{ChineseName, "欧阳修", "欧阳文忠", "same surname"},
		{ChineseName, "欧阳修", "欧文忠", "else"},
		{ChineseName, "張偉", "张伟", "equal"},
		{ChineseName, "張偉", "章玮", "same pinyin"},
		{ChineseName, "張*", "张丽", "masked, fits"},
		{ChineseName, "张女士", "张丽", "masked, fits"},
		{ChineseName, "張小姐", "张*", "masked, fits"},
		{ChineseName, "欧阳先生", "欧阳修", "masked, fits"},
		{ChineseName, "李女士", "张丽", "masked, else"},
		{ChineseName, "王小明 (先生)", "王小明", "equal"},
		{ChineseName, "李明先生", "李明", "equal"},
		{ChineseAddress, "广东省广州市天河区体育西路12号", "广州天河体育西路12号", "equal"},
		{ChineseAddress, "广东省广州市天河区石牌街道体育西路12号3栋501", "广州市天河区体育西路12号3号楼501室", "same house"},
		{ChineseAddress, "广东省广州市天河区体育西路12号", "广州市天河区体育西路14号", "same road or estate, another number"},
		{ChineseAddress, "广东省广州市天河区体育西路12号", "广州市天河区体育西路", "same road or estate"},
		{ChineseAddress, "广东省广州市天河区阳光花园3栋2单元501", "天河区体育西路12号阳光花园3号楼501室", "same house"},
		{ChineseAddress, "上海市浦东新区张江镇祖冲之路1号", "上海浦东张江镇蔡伦路2号", "same town"},
		{ChineseAddress, "上海市浦东新区祖冲之路1号", "上海浦东蔡伦路2号", "same district"},
		{ChineseAddress, "北京市朝阳区建国路1号", "北京海淀区中关村大街2号", "same city"},
		{ChineseAddress, "广东省广州市天河区体育西路12号", "广东省深圳市南山区科技路1号", "same province"},
		{ChineseAddress, "长春市朝阳区", "北京市朝阳区", "else"},
		{ChineseAddress, "江苏省南京市鼓楼区北京西路7号", "南京鼓楼区北京西路7号", "equal"},
		{ChineseAddress, "吉林省延边朝鲜族自治州延吉市光明街5号", "延边延吉市光明街5号", "equal"},
		{ChineseAddress, "湖北省仙桃市沔阳大道1号", "湖北仙桃沔阳大道1号", "equal"},
		{ChineseAddress, "广州市天河区体育西路***", "广东省广州市天河区体育西路12号", "masked, same road or estate"},
		{ChineseAddress, "广州市天河区体育西路***", "广州市天河区体育西路***", "masked, same road or estate"},
		{ChineseAddress, "广州市天河区***", "广州市天河区***", "masked, fits"},
		{ChineseAddress, "广州市天河区体育西路12***", "广州市天河区体育西路128号", "masked, same road or estate"},
		{ChineseAddress, "广州市天河区体育西路***", "广州市天河区天河路1号", "masked, another road in the district"},
		{ChineseAddress, "广州市天河区体育西路***", "深圳市南山区科技路1号", "masked, road shown, else"},
		{ChineseAddress, "内蒙古自治区呼和浩特市新城区*", "内蒙古呼和浩特新城区成吉思汗大街1号", "masked, fits"},
		{ChineseAddress, "广东省广州市天河区**路**号", "广州市天河区体育西路12号", "masked, fits"},
		{ChineseAddress, "广东省广州市天河区石牌街道***", "广州市天河区冼村街道5号", "masked, same district"},
		{ChineseAddress, "广东省广州市天河区***", "广东省广州市越秀区中山路1号", "masked, else"},
		{ChineseAddress, "浙江省金华市义乌市北苑街道雪峰西路八十八号三栋五〇一室", "浙江省金華市義烏市北苑街道雪峰西路88號3棟501室", "equal"},
		{ChineseAddress, "上海市浦东新区三号路一百二十弄5号", "上海市浦東新區三號路120弄5號", "equal"},
		{ChineseAddress, "广州市天河区体育西路十二号", "广州市天河区体育西路14号", "same road or estate, another number"},
		{Place, "31.2304,121.4737", "31.230400 121.473700", "equal"},
		{Place, "31.2304,121.4737", "121.4737,31.2304", "equal"}, // the longitude first
		{Place, "31.2304,121.4737", "31.2309,121.4739", "within 100 metres"},
		{Place, "31.2304,121.4737", "31.2334,121.4737", "within a kilometre"},
		{Place, "31.2304,121.4737", "31.2804,121.4737", "within 10 kilometres"},
		{Place, "31.2304,121.4737", "31.2990,120.5853", "within 100 kilometres"}, // Shanghai, Suzhou
		{Place, "31.2304,121.4737", "39.9042,116.4074", "else"},
		{Place, "-17.7,179.9999", "-17.7,-179.9999", "within 100 metres"}, // across the date line
		{Phone, "138****1111", "138*1111", "masked, six digits or more fit"},
		{Phone, "138xxxx1111", "13800001111", "masked, six digits or more fit"},
		{Phone, "+86 138****1111", "13800001111", "masked, six digits or more fit"},
		{Phone, "*******1111", "13800001111", "masked, four or five digits fit"},
		{Phone, "*******1111", "13800001112", "masked, four or five shown, else"},
		{Name, "h***m", "heathcham", "masked, fits"},
		{Name, "h***m", "heath", "masked, else"},
		{Text, "广东省广州市天河区***", "广东广州天河区", "masked, fits"},
		{Text, "上海市浦东新区***", "上海浦东新区张江路12号", "masked, fits"},
		{ChineseName, "李*", "张三", "masked, else"},
		{ChineseName, "张三", "张三丰", "one character differs or is missing"},
		{ChineseName, "张三丰", "张无忌", "same surname"},
		{Text, "The Grey Heron", "grey heron the", "nearly equal"},
		{Text, "Heron", "The Grey Heron Inn", "one within the other"},
		{Address, "12 N. Oak St.", "12 North Oak Street", "equal"},
		{Address, "12 Oak St", "14 Oak Street", "same street, a slip in the number"},
		{Address, "12 Oak St", "355 Oak Street", "same street, another number"},
		{Address, "Oak Street", "12 Oak", "same number and street"},
		{Date, "1971-06-24", "24/06/1971", "equal"},
		{Date, "1971-06-24", "19710624", "equal"},
		{Date, "1971-06-24", "24 June 71", "equal"},
		{Date, "1971-06-24", "June 25th, 1971", "one digit"},
		{Date, "1971-06-24", "71-06-24", "equal"},
		{Date, "1971-06-05", "1971-05-06", "day and month swapped"},
		{Date, "1971-06-24", "1971-06-25", "one digit"},
		{Date, "1971-06-24", "1971-06-09", "two of day, month and year"},
		{Date, "1971-06-24", "1971-11-09", "same year, or month and day alike"},
		{Date, "1971-06-24", "1985-11-09", "else"},
		{Number, "1,000", "1000.0", "equal"},
		{Number, "1000", "1005", "within 1 or one percent"},
		{Number, "1000", "1090", "within ten percent"},
		{Number, "1000", "2000", "else"},
		{Code, "AB1 2CD", "ab12cd", "equal"},
		{Code, "12345", "12354", "one slip"},
		{Code, "12345", "12399", "two slips"},
		{Code, "12345", "98765", "else"},
		{Phone, "+86 138 0000 1111", "13800001111", "equal"},
		{Phone, "0086-138-0000-1111", "１３８００００１１１１", "equal"},
		{Phone, "138****1111", "13800001111", "masked, six digits or more fit"},
		{Phone, "138****1111", "13800001112", "masked, six shown, else"},
		{Phone, "312-555-0147", "5550147", "same last seven digits"},
		{Phone, "13800001111", "13800001112", "one slip"},
		{Email, "Ann@mail.example", "ann@mail.example", "equal"},
		{Email, "Li Wei <liwei@mail.example>", "liwei@mail.example", "equal"},
		{Email, "<liwei@mail.example>", "liwei@mail.example", "equal"},
		{Email, "ann@mail.example", "ann@post.example", "same user"},
		{Email, "ann.lee@mail.example", "ann.le@mail.exmple", "one or two slips"},
		{Email, "anna.lee12@mail.example", "anna.lee99@post.test", "similar user"},
		{Email, "ann@mail.example", "bob@mail.example", "same domain"},
		{Category, "F", "f", "equal"},
		{Category, "F", "M", "else"},
	} {
		column, ids, err := NewColumn(c.kind, []string{c.a, c.b}, []int{1, 1})
		if err != nil {
			t.Fatal(err)
		}
		level := column.Compare(ids[0], ids[1])
		if level == 0 {
			t.Errorf("%s: %q and %q: nothing to compare", c.kind, c.a, c.b)
			continue
		}
		if got := Levels(c.kind)[level-1]; got != c.want {
			t.Errorf("%s: %q and %q are %q, want %q", c.kind, c.a, c.b, got, c.want)
		}
	}
}

func TestMissingValuesAreNotCompared(t *testing.T) {
	t.Parallel()
	for _, kind := range Kinds() {
		column, ids, err := NewColumn(kind, []string{"", "N/A", "-", map[bool]string{true: "31.2,121.5", false: "2001-02-03"}[kind == Place]}, []int{1, 1, 1, 1})
		if err != nil {
			t.Fatal(err)
		}
		for i, id := range ids[:3] {
			if id != 0 || column.Compare(id, ids[3]) != 0 {
				t.Errorf("%s: missing value %d has id %d", kind, i, id)
			}
		}
	}
}

// What no number is, though programs read it as one, is not compared.
func TestInfinityIsNoNumber(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"inf", "-Inf", "+infinity", "INFINITY", "nan", "-nan", "1e999"} {
		if got := Form(Number, text); got != "" {
			t.Errorf("%s is the number %s", text, got)
		}
	}
}

// Who is spoken of by a title alone is nobody.
func TestTitlesAreNoNames(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{"先生": "", "*女士": "", "张*小姐": "张*", "張女士": "张*", "女士张": "女士张"} {
		if got := Form(ChineseName, raw); got != want {
			t.Errorf("%s is the name %q, want %q", raw, got, want)
		}
	}
}

// seeds of the fuzz test: pairs of each kind, and what is no text at all.
var fuzzSeeds = []string{"", "张*", "138****1234", "1971-02-30", "12 n oak st", "a@b", "@", "1e999", "NaN", "\xff\xfe", "é", "*", "the the the", "00000000000000000000000001", "31.2,121.5", "-1--2", "广东广州天河**路", "欧阳修", "ouyang xiu", "*******1135", "1********35", "文*西*1*8*", "ＡB ３号", "義烏市雪峰路八十八號", "五〇一室", "24 June 71", "71-06-24", "覃伟", "0086 138 0000 1111", "Li <li@mail.example>", "<@>", "张女士", "先生", "*先生", "inf"}

func FuzzCompare(f *testing.F) {
	for i, a := range fuzzSeeds {
		f.Add(a, fuzzSeeds[(i+3)%len(fuzzSeeds)])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, kind := range Kinds() {
			column, ids, err := NewColumn(kind, []string{a, b, a + b, a}, []int{1, 2, 3, 4})
			if err != nil {
				t.Fatal(err)
			}
			if ids[0] != ids[3] {
				t.Fatalf("%s: %q is two values", kind, a)
			}
			for _, x := range ids {
				if x != 0 && (column.Text(x) == "" || !utf8.ValidString(column.Text(x))) {
					t.Fatalf("%s: value %q", kind, column.Text(x))
				}
				for _, y := range ids {
					level := column.Compare(x, y)
					if level != column.Compare(y, x) {
						t.Fatalf("%s: %q and %q: level %d one way, %d the other", kind, a, b, level, column.Compare(y, x))
					}
					// Of a value and itself; two masks may say less, or nothing.
					ofItself := level == 1 || CountsShown(kind) || canMask(kind) && (level == 0 || slices.Contains(Groups(kind), level))
					if int(level) > len(Levels(kind)) || (x == 0 || y == 0) && level != 0 || level == 0 && x != 0 && y != 0 && !canMask(kind) || level == 1 && x != y || x == y && x != 0 && !ofItself {
						t.Fatalf("%s: %q and %q: level %d", kind, column.Text(x), column.Text(y), level)
					}
				}
			}
		}
	})
}

func TestComparingAllocatesNothing(t *testing.T) {
	raw := []string{"anna maria lee", "ann marie leigh", "12 north oak street", "21 oak st", "1971-06-24", "1971-06-25", "张三", "张*", "ann@mail.example", "anne@mail.exampel", "13800001111", "138****1112", "zhang san", "三张", "章珊", "广州天河体育西路12号3栋501", "广东省广州市天河区***", "義烏市雪峰路八十八號", "24 June 71", "覃伟", "tan wei", "0086 138 0000 1111", "31.2,121.5", "31.3 121.5"}
	counts := make([]int, len(raw))
	for _, kind := range Kinds() {
		column, ids, err := NewColumn(kind, raw, counts)
		if err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(10, func() {
			for _, a := range ids {
				for _, b := range ids {
					column.Compare(a, b)
				}
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", kind, n)
		}
	}
}

// TestOrderOfValuesChangesNothing compares the same values in columns that were
// made in two orders: the numbers of values, words and parts are others.
func TestOrderOfValuesChangesNothing(t *testing.T) {
	t.Parallel()
	for _, kind := range Kinds() {
		r := rand.New(rand.NewPCG(5, 5))
		raw := append(invented(r, kind, 150), "the grey heron inn", "grey herron the", "old mill road 12", "12 ole mill")
		column := func() (*Column, map[string]uint32) {
			counts := make([]int, len(raw))
			for i := range counts {
				counts[i] = len(raw[i]) // the same in any order
			}
			c, ids, err := NewColumn(kind, raw, counts)
			if err != nil {
				t.Fatal(err)
			}
			numbers := map[string]uint32{}
			for i, text := range raw {
				numbers[text] = ids[i]
			}
			return c, numbers
		}
		one, first := column()
		r.Shuffle(len(raw), func(i, j int) { raw[i], raw[j] = raw[j], raw[i] })
		two, second := column()
		for a := range first {
			for b := range first {
				if got, want := two.Compare(second[a], second[b]), one.Compare(first[a], first[b]); got != want {
					t.Fatalf("%s: %q and %q: level %d, in another order %d", kind, a, b, want, got)
				}
			}
		}
	}
}

func TestWordsOfATextAreWorthTheirRarity(t *testing.T) {
	t.Parallel()
	c, ids, err := NewColumn(Text, []string{"the grey heron", "the old mill", "the mill mill", "石牌街道"}, []int{1, 1, 1, 1})
	if err != nil {
		t.Fatal(err)
	}
	worth := map[string]float64{}
	for _, id := range ids {
		words := c.Words(id)
		if !slices.IsSorted(words) {
			t.Errorf("the words of %q are not sorted: %v", c.Text(id), words)
		}
		for _, w := range words {
			worth[c.Word(w)] = math.Round(c.Worth(w)*1000) / 1000
		}
	}
	if d := cmp.Diff(map[string]float64{
		"the": 0.288, "mill": 0.693, "grey": 1.386, "heron": 1.386, "old": 1.386, "石牌": 1.386, "牌街": 1.386, "街道": 1.386,
	}, worth); d != "" {
		t.Errorf("ln(rows / rows with it) (-want +got):\n%s", d)
	}
}

func TestCompareAllIsCompare(t *testing.T) {
	for _, kind := range Kinds() {
		raw := append(invented(rand.New(rand.NewPCG(6, 6)), kind, 100), "")
		c, ids, err := NewColumn(kind, raw, make([]int, len(raw)))
		if err != nil {
			t.Fatal(err)
		}
		var a, b []uint32
		var levels [Batch]Level
		for i, x := range ids {
			for _, y := range ids[:i] {
				if a, b = append(a, x), append(b, y); len(a) < Batch {
					continue
				}
				c.CompareAll(a, b, &levels)
				for k := range a {
					if want := c.Compare(a[k], b[k]); levels[k] != want {
						t.Fatalf("%s: %q and %q: level %d, alone %d", kind, c.Text(a[k]), c.Text(b[k]), levels[k], want)
					}
				}
				if n := testing.AllocsPerRun(1, func() { c.CompareAll(a, b, &levels) }); n != 0 {
					t.Fatalf("%s: %v allocations", kind, n)
				}
				a, b = a[:0], b[:0]
			}
		}
	}
}

func BenchmarkCompare(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, kind := range []Kind{Name, Date, Code, Phone, Email, Text} {
		var raw []string
		var counts []int
		for i := range 1000 {
			word := text(r, []rune("aeiounrstlmdk"), 9) + "x"
			raw = append(raw, map[Kind]string{
				Name: word, Date: fmt.Sprintf("19%02d-%02d-%02d", r.IntN(100), 1+r.IntN(12), 1+r.IntN(28)), Code: fmt.Sprint(10000 + r.IntN(90000)),
				Phone: fmt.Sprintf("138%08d", r.IntN(1e8)), Email: word + fmt.Sprint(i) + "@mail.example", Text: word + " " + text(r, []rune("aeiounrst"), 6) + " street",
			}[kind])
			counts = append(counts, 1)
		}
		column, ids, err := NewColumn(kind, raw, counts)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(string(kind), func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				column.Compare(ids[i%1000], ids[(i*7+13)%1000])
				i++
			}
		})
	}
}

// TestMasksThatShowNothingOfBothSayNothing wants no contradiction of masks that
// hide what the other shows: 张* and *伟 may be one person.
func TestMasksThatShowNothingOfBothSayNothing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind  Kind
		a, b  string
		level string // "" is nothing to compare
	}{
		{ChineseName, "张*", "*伟", ""},
		{ChineseName, "张**", "**伟", ""},
		{ChineseName, "张*伟", "*伟", "masked, fits"},
		{ChineseName, "张*伟", "*芳", "masked, else"},
		{Name, "an***", "***na", ""},
		{Name, "an***", "bo***", "masked, else"},
		{Phone, "1********35", "*******1135", "masked, two or three digits fit"},
		{Phone, "1*******135", "*******1135", "masked, two or three digits fit"},
		{Phone, "1*******135", "13866661135", "masked, two or three digits fit"}, // all mobile numbers begin with 1
		{Phone, "138********", "*******1135", ""},
		{Phone, "1**********", "1**********", ""},
		{Phone, "1********36", "*******1135", "masked, two or three shown, else"},
		{Phone, "*******1135", "138****1135", "masked, four or five digits fit"},
		{Phone, "138****1135", "13866661135", "masked, six digits or more fit"},
		{ChineseAddress, "广东省***", "广东省广州市天河区体育西路12号", ""},
	} {
		column, ids, err := NewColumn(c.kind, []string{c.a, c.b}, []int{1, 1})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if level := column.Compare(ids[0], ids[1]); level > 0 {
			got = Levels(c.kind)[level-1]
		}
		if got != c.level {
			t.Errorf("%s: %q and %q are %q, want %q", c.kind, c.a, c.b, got, c.level)
		}
	}
}
