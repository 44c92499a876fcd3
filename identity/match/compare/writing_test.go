package compare

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// spelledOut is a number below 10,000 in Chinese numerals.
func spelledOut(n int) string {
	digits, units := []rune("零一二三四五六七八九"), []string{"千", "百", "十", ""}
	var b strings.Builder
	zero := false
	for i, unit := range []int{1000, 100, 10, 1} {
		digit := n / unit % 10
		if digit == 0 {
			zero = b.Len() > 0
			continue
		}
		if zero {
			b.WriteRune('零')
		}
		zero = false
		b.WriteString(string(digits[digit]) + units[i])
	}
	return b.String()
}

// Every number of a house is read, spelled out or digit by digit.
func TestNumeralsAreNumbers(t *testing.T) {
	t.Parallel()
	for n := 1; n < 10_000; n++ {
		var byDigit strings.Builder
		for _, digit := range fmt.Sprint(n) {
			byDigit.WriteRune([]rune("零一二三四五六七八九")[digit-'0'])
		}
		writings := []string{spelledOut(n), byDigit.String()}
		if short, ok := strings.CutPrefix(spelledOut(n), "一十"); ok {
			writings = append(writings, "十"+short)
		}
		for _, text := range writings {
			if got, want := arabic("长安街"+text+"号"), fmt.Sprintf("长安街%d号", n); got != want {
				t.Fatalf("%s is %s, want %s", text, got, want)
			}
		}
	}
}

func TestNumeralsThatNameStay(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"road":            "中山五路",
		"of a name":       "三号路",
		"bridge":          "八号桥街道",
		"village":         "十三楼村",
		"nothing counted": "三里屯",
		"half a number":   "一百五号",
		"no number":       "百号",
		"two units":       "十百号",
		"units that grow": "一十二百号",
		"two digits":      "一二十号",
		"begins with 0":   "零五号",
		"too long":        "一二三四五六七八九号",
	} {
		if got := arabic(text); got != text {
			t.Errorf("%s: %s became %s", name, text, got)
		}
	}
}

// Whoever writes in traditional characters lives in the same place.
func TestTraditionalPlacesAreThePlaces(t *testing.T) {
	t.Parallel()
	written := map[rune]rune{}
	for line := range strings.Lines(traditionalFile) {
		simple, forms, _ := strings.Cut(strings.TrimSpace(line), " ")
		s, _ := utf8.DecodeRuneInString(simple)
		written[s], _ = utf8.DecodeLastRuneInString(forms)
	}
	n := 0
	for line := range strings.Lines(divisionsFile) {
		code, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		traditional := strings.Map(func(r rune) rune {
			if form, ok := written[r]; ok {
				return form
			}
			return r
		}, name)
		if len(code) != 6 || traditional == name {
			continue
		}
		n++
		if got, want := chineseAddress(traditional+"解放路8号").parts, chineseAddress(name+"解放路8号").parts; got != want {
			t.Errorf("%s: %q, want %q as of %s", traditional, got, want, name)
		}
	}
	if n < 2000 {
		t.Errorf("%d districts are written otherwise; the characters are not there", n)
	}
}

// A prefecture of one people or several is called by its place and 州, as few say
// more; so is a county of them.
func TestShortNamesOfPrefectures(t *testing.T) {
	t.Parallel()
	g := divisions()
	n := 0
	for line := range strings.Lines(divisionsFile) {
		code, district, _ := strings.Cut(strings.TrimSpace(line), " ")
		if len(code) != 6 {
			continue
		}
		province, city := g.byCode[code[:2]], g.byCode[code[:4]]
		want := chineseAddress(province + city + district + "解放路8号").parts
		var texts []string
		if strings.HasSuffix(city, "自治州") {
			texts = append(texts, province+short(city)+"州"+district, short(province)+short(city)+"州"+district, short(city)+"州"+district)
		}
		for kind, sign := range map[string]string{"自治县": "县", "自治旗": "旗"} {
			if strings.HasSuffix(district, kind) && len(g.byName[short(district)+sign]) == 1 {
				texts = append(texts, province+city+short(district)+sign)
			}
		}
		for _, text := range texts {
			n++
			if got := chineseAddress(text + "解放路8号").parts; got != want {
				t.Errorf("%s: %q, want %q", text, got, want)
			}
		}
	}
	if n < 800 {
		t.Errorf("%d texts", n)
	}
}

// Words that stand between divisions, or instead of one, are no division.
func TestDivisionsHoweverCalled(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"四川凉山州西昌市航天路1号": "四川省凉山彝族自治州西昌市航天路1号", "云南大理州大理市人民路8号": "云南省大理白族自治州大理市人民路8号", "新疆巴州库尔勒市人民路8号": "新疆维吾尔自治区巴音郭楞蒙古自治州库尔勒市人民路8号",
		"巴州库尔勒市人民路8号": "新疆维吾尔自治区巴音郭楞蒙古自治州库尔勒市人民路8号", "新疆克州阿图什市友谊路2号": "克孜勒苏柯尔克孜自治州阿图什市友谊路2号", "新疆博州博乐市青得里大街3号": "博尔塔拉蒙古自治州博乐市青得里大街3号",
		"内蒙古锡盟锡林浩特市那达慕大街5号": "内蒙古自治区锡林郭勒盟锡林浩特市那达慕大街5号", "内蒙古阿盟阿拉善左旗和平路1号": "内蒙古自治区阿拉善盟阿拉善左旗和平路1号", "四川巴中市巴州区江北大道1号": "四川省巴中市巴州区江北大道1号",
		"新疆自治区伊犁州伊宁市解放路1号": "新疆维吾尔自治区伊犁哈萨克自治州伊宁市解放路1号", "广西自治区南宁市青秀区民族大道1号": "广西壮族自治区南宁市青秀区民族大道1号",
		"新疆生产建设兵团第八师石河子市北四路1号": "新疆石河子市北四路1号", "新疆兵团第一师阿拉尔市军垦大道1号": "新疆阿拉尔市军垦大道1号", "生产建设兵团第十三师新星市科技大道1号": "新疆新星市科技大道1号", "兵团第8师石河子市北四路1号": "新疆石河子市北四路1号",
		"新疆维吾尔自治区新疆生产建设兵团第八师石河子市北四路1号": "新疆石河子市北四路1号", "新疆第八师石河子市北四路1号": "新疆石河子市北四路1号", "新疆维吾尔自治区自治区直辖县级行政区划石河子市北四路1号": "新疆石河子市北四路1号",
		"海南省省直辖县级行政区划文昌市文建路1号": "海南省文昌市文建路1号", "湖北省直辖县级行政单位仙桃市仙桃大道1号": "湖北省仙桃市仙桃大道1号", "新疆自治区直辖县图木舒克市前海路1号": "新疆图木舒克市前海路1号",
		"重庆市县忠县白公路1号": "重庆忠县白公路1号", "重庆市重庆市县忠县白公路1号": "重庆忠县白公路1号", "重庆市彭水县民族路1号": "重庆市彭水苗族土家族自治县民族路1号",
	} {
		got, full := chineseAddress(text).parts, chineseAddress(want).parts
		if got != full || got[districtPart] == "" || got[roadPart] == "" {
			t.Errorf("%s: %q, want %q as of %s", text, got, full, want)
		}
	}
	for _, text := range []string{"兵团路8号", "新疆兵团路8号", "南京市玄武区兵团路8号", "直辖路1号"} {
		if got := chineseAddress(text).parts; got[roadPart] == "" || got[numberPart] == "" || strings.Contains(text, got[roadPart]+got[numberPart]) == false {
			t.Errorf("%s: %q", text, got)
		}
	}
}

// A day is the same however it is written, where that leaves no doubt.
func TestDaysHoweverWritten(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(8, 8))
	for range 3000 {
		day := time.Date(1931+r.IntN(100), time.Month(1+r.IntN(12)), 1+r.IntN(28), 0, 0, 0, 0, time.UTC)
		writings := []string{"2006-01-02", "20060102", "2006年1月2日", "02/01/2006", "2.1.2006", "2 January 2006", "Jan 2, 2006", "January 2nd 2006", "2006 Jan 02", "02-Jan-2006", "02-Jan-06", "Jan 2, 06",
			"Mon, 02 Jan 2006 15:04:05 GMT", "2006-01-02T15:04:05Z", "2006/1/2 15:04"}
		if day.Year() > 1931 && day.Year() < 2000 { // 31 may be a day
			writings = append(writings, "06-01-02", "06.1.2", "02/01/06", "2.1.06", "06 Jan 02")
		}
		want := day.Format("20060102")
		for _, layout := range writings {
			text := day.Format(strings.Replace(layout, "2nd", "2", 1))
			for _, text := range []string{text, strings.ToUpper(text), strings.Replace(text, "Sep ", "Sept. ", 1)} {
				if got := date(text).text; got != want {
					t.Fatalf("%q is %q, want %q", text, got, want)
				}
			}
		}
	}
}

func TestFullWidthDays(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"１９７１－０６－２４", "１９７１年６月２４日", "２４ Ｊｕｎｅ ７１"} {
		if got := date(text).text; got != "19710624" {
			t.Errorf("%q is the day %q", text, got)
		}
	}
}

func TestDaysInDoubtAreNone(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"05/06/07", "31-12-11", "71/24/05", "71-06-45", "June 1971", "June 24", "24 71 June", "June June 24 71", "24 Juno 1971", "7 June 8", "June 971, 24", "24-06-197", "1.2.3", "June 5 10:30", "5 Jun 10:30:00", "June 5, 10:30"} {
		if got := date(text).text; got != "" {
			t.Errorf("%q is the day %s; nobody can tell", text, got)
		}
	}
}

// A number is the same however it is dialled.
func TestPhonesHoweverWritten(t *testing.T) {
	t.Parallel()
	wide := strings.NewReplacer("0", "０", "1", "１", "2", "２", "3", "３", "4", "４", "5", "５", "6", "６", "7", "７", "8", "８", "9", "９", "+", "＋")
	r := rand.New(rand.NewPCG(9, 9))
	for range 1000 {
		number := fmt.Sprintf("1%d%09d", 3+r.IntN(7), r.IntN(1e9))
		for _, shown := range []string{number, number[:3] + "****" + number[7:], "1*" + number[2:]} {
			for _, before := range []string{"", "0", "86", "+86", "+86 ", "0086", "0086-", "(+86)", "+86-0", "00 86 "} {
				for _, text := range []string{before + shown, before + shown[:3] + " " + shown[3:7] + " " + shown[7:], before + shown[:3] + "-" + shown[3:7] + "-" + shown[7:]} {
					for _, text := range []string{text, wide.Replace(text)} {
						if got := phone(text); got != shown {
							t.Fatalf("%q is %q, want %q", text, got, shown)
						}
					}
				}
			}
		}
	}
	for text, want := range map[string]string{
		"+86 10 6552 9988": "01065529988", "0086-571-8888-1111": "057188881111", "+86 (0)10 65529988": "01065529988", "+86 571 88888888": "057188888888", "+86 0571 88888888": "057188888888", "0086 0571 8888888": "05718888888", "010-65529988": "01065529988",
		"+1 312 555 0147": "3125550147", "+44 20 7946 0000": "442079460000", "8613": "", "0086": "", "86138": "86138", "+852 2345 6789": "85223456789",
	} {
		if got := phone(text); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}

// A number is the same with an extension, however that is written; a mobile one
// with one is a virtual one, and is nobody's.
func TestExtensionsAreNoPartOfANumber(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(7, 7))
	digits := func(n int) string {
		text := ""
		for range n {
			text += string('0' + rune(r.IntN(10)))
		}
		return text
	}
	for range 500 {
		lines := []string{"010-6" + digits(7), "(021)5" + digits(7), "020 8" + digits(3) + " " + digits(4), "0571-8" + digits(7), "0575-8" + digits(6), "0575 8" + digits(2) + " " + digits(4), "+86 10 6" + digits(7), "0086-571-8" + digits(7), "6" + digits(7), "8" + digits(6), "400" + digits(7), "400-" + digits(3) + "-" + digits(4), "800-8" + digits(2) + "-" + digits(4)}
		mobile := fmt.Sprintf("1%d%09d", 3+r.IntN(7), r.IntN(1e9))
		mobiles := []string{mobile, "+86 " + mobile, "86-" + mobile, "0" + mobile, mobile[:3] + "-" + mobile[3:7] + "-" + mobile[7:], mobile[:3] + "****" + mobile[7:]}
		short := digits(1 + r.IntN(5))
		for _, mark := range []string{"-", "转", "轉", " 转 ", ",", ", ", ";", "#", "x", " x", " ext. ", "Ext:", " extension ", "分机", "－", "（", " (", "-分机", " 转分机号：", "，"} {
			end := mark + short
			if strings.HasSuffix(strings.TrimSpace(mark), "(") || mark == "（" {
				end += ")"
			}
			for _, line := range lines {
				if got, want := phone(line+end), phone(line); got != want || want == "" {
					t.Fatalf("%q is %q, want %q as without it", line+end, got, want)
				}
			}
			for _, line := range mobiles {
				if got := phone(line + end); got != "" {
					t.Fatalf("%q is %q, and is a virtual number", line+end, got)
				}
			}
		}
	}
	for text, want := range map[string]string{
		"312-555-0147": "3125550147", "+44 20 7946 0000": "442079460000", "312-555-0147 x22": "3125550147", "1-312-555-0147 x22": "3125550147", "1 (312) 555-0147 ext. 22": "3125550147", "020 7946 0000": "02079460000", "01632 960 123": "01632960123",
		"13,800,001,111": "13800001111", "138,0000,1111": "13800001111", "312-555-0147; 0148": "31255501470148", "010-62345678/62345679": "0106234567862345679", "138-0000-1111": "13800001111", "571-8888-1111": "57188881111", "1234567-89": "123456789", "+49 711 1234567-12": "49711123456712", "00 44 20 7946 0000": "00442079460000", "123 x 45": "12345",
	} {
		if got := phone(text); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
	for _, pair := range [][3]string{{"010-62345678-801", "010-62345678", "equal"}, {"010-62345678转801", "+86 10 62345678", "equal"}, {"62345678-801", "010-62345678", "same last seven digits"}, {"13812345678-8001", "13812345678", ""}, {"13812345678,8001", "13812345678,9002", ""}} {
		if got := levelOf(t, Phone, pair[0], pair[1]); got != pair[2] {
			t.Errorf("%s and %s are %q, want %q", pair[0], pair[1], got, pair[2])
		}
	}
}

// What families are called counts in each of its usual readings.
func TestSurnamesOfSeveralReadings(t *testing.T) {
	t.Parallel()
	for surname, readings := range map[string]string{
		"覃": "qin tan", "盖": "ge gai", "乐": "yue le", "翟": "zhai di", "员": "yun yuan", "召": "shao zhao", "郗": "xi chi", "隗": "kui wei", "牟": "mu mou",
		"谌": "chen shen", "尉": "wei yu", "蓋": "ge gai", "樂": "yue le",
		"曾": "zeng", "单": "shan", "仇": "qiu", "解": "xie", "查": "zha", "区": "ou", "朴": "piao", "單": "shan", "區": "ou",
		"尉迟": "yuchi", "尉遲": "yuchi", "万俟": "moqi", "单于": "chanyu shanyu",
	} {
		name := surname + "伟"
		for reading := range strings.FieldsSeq(readings) {
			for _, letters := range []string{reading + " wei", "Wei " + strings.ToUpper(reading)} {
				if got := levelOf(t, ChineseName, name, letters); got != "same pinyin" {
					t.Errorf("%s and %s: %s, want same pinyin", name, letters, got)
				}
			}
		}
	}
	for name, letters := range map[string]string{"曾伟": "ceng wei", "单伟": "dan wei", "仇伟": "chou wei", "解伟": "jie wei", "查伟": "cha wei", "区伟": "qu wei", "朴伟": "pu wei"} {
		if got := levelOf(t, ChineseName, name, letters); got != "else" {
			t.Errorf("%s and %s: %s, but no family of it is called so", name, letters, got)
		}
	}
}

// A character has readings that no family of it uses: two usual surnames sound
// alike only by what families are called.
func TestUsualSurnamesMeetOnlyAsFamiliesAreCalled(t *testing.T) {
	t.Parallel()
	called := map[rune][]string{}
	for _, r := range usual {
		called[r] = strings.Split(surnames[string(r)], "/")
		if called[r][0] == "" {
			called[r] = readings(r)[:1]
		}
	}
	s := spelling{map[string]uint16{"": 0}, []string{""}}
	for a := range called {
		x := s.name(string(a) + "伟")
		for b := range called {
			if a == b {
				continue
			}
			y := s.name(string(b) + "伟")
			want := slices.ContainsFunc(called[a], func(reading string) bool { return slices.Contains(called[b], reading) })
			if got := soundAlike(&x, &y); got != want {
				t.Errorf("%c, called %q, and %c, called %q, sound alike: %v", a, called[a], b, called[b], got)
			}
		}
	}
	for name, pair := range map[string][2]string{
		"王 is not yu": {"王伟", "于伟"}, "nor to 余": {"王伟", "余伟"}, "叶 is not xie": {"叶丽", "谢丽"}, "许 is not hu": {"许静", "胡静"}, "陆 is not liu": {"刘洋", "陆洋"},
		"丁 is not zheng": {"丁磊", "郑磊"}, "祝 is not zhou": {"周敏", "祝敏"}, "霍 is not he": {"何军", "霍军"}, "万 is not mo": {"万强", "莫强"}, "夏 is not jia": {"夏芳", "贾芳"},
		"潘 is not fan": {"潘婷", "范婷"}, "余 is not xu": {"徐杰", "余杰"}, "阮 is not yuan": {"袁超", "阮超"}, "董 is not zhong": {"董洁", "钟洁"}, "朱 is not shu": {"朱琳", "舒琳"},
		"葉, too": {"葉丽", "谢丽"}, "in letters": {"yu li", "王丽"}, "in letters, 夏": {"jia fang", "夏芳"},
	} {
		if got := levelOf(t, ChineseName, pair[0], pair[1]); got == "same pinyin" {
			t.Errorf("%s: %s and %s are %s", name, pair[0], pair[1], got)
		}
	}
	for _, pair := range [][2]string{{"于伟", "余伟"}, {"张伟", "章玮"}, {"葉丽", "Ye Li"}, {"付军", "傅军"}, {"肖军", "萧军"}, {"闫军", "阎军"}, {"王乐", "王悦"}} {
		if got := levelOf(t, ChineseName, pair[0], pair[1]); got != "same pinyin" {
			t.Errorf("%s and %s are %s, want same pinyin", pair[0], pair[1], got)
		}
	}
}

func levelOf(t *testing.T, kind Kind, a, b string) string {
	t.Helper()
	column, ids, err := NewColumn(kind, []string{a, b}, []int{1, 1})
	if err != nil {
		t.Fatal(err)
	}
	level := column.Compare(ids[0], ids[1])
	if level == 0 {
		return ""
	}
	return Levels(kind)[level-1]
}

func FuzzDate(f *testing.F) {
	for _, seed := range []string{"1971-06-24", "24 June 71", "June 24th, '71", "71-06-24", "05/06/07", "二〇〇一", "JanFeb", "1 1 1 may", "T12:00", "２０２０-１-２", "99999999", "\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		v := date(raw)
		if v.text != "" && (len(v.text) != 8 || strings.Trim(v.text, "0123456789") != "") {
			t.Fatalf("%q is the day %q", raw, v.text)
		}
	})
}

func FuzzNumerals(f *testing.F) {
	for _, seed := range []string{"八十八号", "五零一室", "一百零二单元", "十十号", "号", "千号", "\xff十号", "零", "两两层"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		once := arabic(strings.ToValidUTF8(raw, ""))
		if !utf8.ValidString(once) || arabic(once) != once {
			t.Fatalf("%q becomes %q, and that %q", raw, once, arabic(once))
		}
		if simple := simplified(raw); simplified(simple) != simple {
			t.Fatalf("%q becomes %q, and that %q", raw, simple, simplified(simple))
		}
	})
}
