package compare

import (
	"math"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestChineseAddressParts(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string][addressParts]string{
		"广东省广州市天河区石牌街道体育西路12号阳光花园3栋2单元501室": {"广东省", "广州市", "天河区", "石牌街道", "体育西路", "12", "阳光花园", "3", "501"},
		"中国 广东 广州 天河 体育西路 12-3 号":           {"广东省", "广州市", "天河区", "", "体育西路", "12-3", "", "", ""},
		"北京市北京市市辖区朝阳区建国路88号":                {"北京市", "北京市", "朝阳区", "", "建国路", "88", "", "", ""},
		"朝阳区建国路88号":                         {"", "", "朝阳区", "", "建国路", "88", "", "", ""}, // there are two
		"越秀区中山五路3号":                         {"广东省", "广州市", "越秀区", "", "中山五路", "3", "", "", ""},
		"昆山市周庄镇全福路":                         {"江苏省", "苏州市", "昆山市", "周庄镇", "全福路", "", "", "", ""},
		"海南藏族自治州共和县":                        {"青海省", "海南藏族自治州", "共和县", "", "", "", "", "", ""},
		"吉林市船营区":                            {"吉林省", "吉林市", "船营区", "", "", "", "", "", ""},
		"南京东路100号":                          {"", "", "", "", "南京东路", "100", "", "", ""},       // a road in Shanghai
		"广州市天河区体育西路12***":                   {"广东省", "广州市", "天河区", "", "体育西路", "", "", "", ""}, // of 120, it may be
		"广州市天河区体育西路12号3栋5*":                 {"广东省", "广州市", "天河区", "", "体育西路", "12", "", "3", ""},
		"广州市天河区体育西路12号阳光*":                  {"广东省", "广州市", "天河区", "", "体育西路", "12", "", "", ""},
		"香港特别行政区观塘区":                        {"香港特别行政区", "九龙", "观塘区", "", "", "", "", "", ""},
		"恩施土家族苗族自治州利川市":                     {"湖北省", "恩施土家族苗族自治州", "利川市", "", "", "", "", "", ""},
		"湖北恩施利川市":                           {"湖北省", "恩施土家族苗族自治州", "利川市", "", "", "", "", "", ""},
		"阳光花园3号楼501":                        {"", "", "", "", "", "", "阳光花园", "3", "501"},
	} {
		if got := chineseAddress(raw).parts; got != want {
			t.Errorf("%s: %q, want %q", raw, got, want)
		}
	}
}

// TestDivisionsAreFound wants each district back from its whole name, and from
// the short names of what it lies in.
func TestDivisionsAreFound(t *testing.T) {
	t.Parallel()
	g := divisions()
	n := 0
	for line := range strings.Lines(divisionsFile) {
		code, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		if len(code) != 6 || name == g.byCode[code[:4]] {
			continue // a city without districts
		}
		n++
		province, city := g.byCode[code[:2]], g.byCode[code[:4]]
		if len(g.byName[short(city)]) > 1 && code[:2] == "71" {
			continue // a city and the county around it have districts of one name
		}
		for _, text := range []string{province + city + name, short(province) + short(city) + name} {
			if got := chineseAddress(text).parts; got[provincePart] != province || got[districtPart] != name || city != "" && got[cityPart] != city {
				t.Errorf("%s: %q", text, got)
			}
		}
	}
	if n < 2800 {
		t.Errorf("%d districts", n)
	}
}

func FuzzChineseAddress(f *testing.F) {
	for _, seed := range []string{"广东省广州市天河区**路12号", "北京北京北京", "市辖区", "*", "天河", "12-3--4号楼", "中国", "\xff广", "镇镇镇路路路"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		v := chineseAddress(raw)
		if v.text == "" && v.parts != [addressParts]string{} {
			t.Fatalf("%q: no text, parts %q", raw, v.parts)
		}
		for _, part := range v.parts {
			if !utf8.ValidString(part) || strings.ContainsAny(part, " *") || !strings.Contains(v.text, part) {
				t.Fatalf("%q: part %q of %q", raw, part, v.text)
			}
		}
		LooksLikeChineseAddress(raw)
	})
}

func FuzzCoordinates(f *testing.F) {
	for _, seed := range []string{"31.2,121.5", "-1--2", "(1;2)", "121,31", "1e5,3", "91,91", "+1 +2", "--", "", "1.2.3,4", "90,180"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		lat, lon, ok := Coordinates(raw)
		v := coordinates(raw)
		if ok != (v.text != "") {
			t.Fatalf("%q: %v, %q", raw, ok, v.text)
		}
		if !ok {
			return
		}
		if !(math.Abs(lat) <= 90 && math.Abs(lon) <= 180) {
			t.Fatalf("%q: %v, %v", raw, lat, lon)
		}
		if again, _, ok := Coordinates(v.text); !ok || math.Abs(again-lat) > 1e-6 {
			t.Fatalf("%q: written as %q, which is read as %v", raw, v.text, again)
		}
	})
}

func FuzzChineseName(f *testing.F) {
	for _, seed := range []string{"张*", "*三", "欧阳修", "lv bu", "单于", "张三丰张三丰张三丰", "·", "ü", "v", "\xff"} {
		f.Add(seed, "zhangsan")
	}
	f.Fuzz(func(t *testing.T, raw, letters string) {
		s := spelling{map[string]uint16{"": 0}, []string{""}}
		name := s.name(prepare(ChineseName, raw).text)
		if name.n > mostCharacters || name.family > name.n {
			t.Fatalf("%q: %+v", raw, name)
		}
		c := &Column{syllables: s.syllables}
		c.spells(letters, &name)
		// Its own spelling is its spelling.
		own := ""
		for i := range name.n {
			if name.sounds[i][0] == 0 {
				return
			}
			own += s.syllables[name.sounds[i][0]]
		}
		if name.n > 0 && !c.spells(own, &name) {
			t.Fatalf("%q is not spelt %q", raw, own)
		}
		LooksLikeChineseName(raw)
	})
}

func FuzzPhone(f *testing.F) {
	for _, seed := range []string{"138****1234", "138xxxx1234", "+86 138 0000 1111", "*", "x", "●●●●1234", "1-800", "010-62345678-801", "13812345678转8001", "(021)51234567 ext. 8", "＊＊", "\xff"} {
		f.Add(seed, "13800001111")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		x, y := phone(a), phone(b)
		if strings.Trim(x, "0123456789*") != "" || x != "" && len(x) < 5 && !strings.HasPrefix(a, "+") {
			t.Fatalf("%q is the phone %q", a, x)
		}
		if x != "" && y != "" && maskedNumbers(x, y) != maskedNumbers(y, x) {
			t.Fatalf("%q and %q: not the same both ways", x, y)
		}
	})
}
