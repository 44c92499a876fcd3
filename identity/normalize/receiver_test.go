package normalize_test

import (
	"strings"
	"testing"

	"oneid/identity"
	"oneid/identity/normalize"
)

func TestAsSeen(t *testing.T) {
	t.Parallel()
	f := func(name, phone, detail string, want identity.Appearance) {
		t.Helper()
		want.Province, want.City = "浙江省", "杭州市"
		if got := normalize.AsSeen(name, phone, "浙江省", " 杭州 市", "", "", detail); got != want {
			t.Errorf("AsSeen(%q, %q, %q) = %+v, want %+v", name, phone, detail, got, want)
		}
	}
	f("王小明", "13812341135", "文一西路18号", identity.Appearance{Name: "王**", Phone: "*******1135", Detail: "文*西*1*号"})
	f("王", "+86 138-1234-1135", "", identity.Appearance{Name: "王", Phone: "*******1135"})
	f("欧阳小小明", "", "", identity.Appearance{Name: "欧****"})
	f("", "", "三墩镇文一西路18号", identity.Appearance{Town: "三墩镇", Detail: "文*西*1*号"})
	// As platforms mask them.
	f("王**", "1********35", "文*西*1*号", identity.Appearance{Name: "王**", Phone: "1********35", Detail: "文*西*1*号"})
	f("＊明", "138****1135", "文一**路**号", identity.Appearance{Name: "*明", Phone: "138****1135", Detail: "文一**路**号"})
	// Masked too little, or what only looks so.
	f("王小明*", "138*12341135", "文一西路*18号", identity.Appearance{Name: "王小**", Phone: "138*1234****", Detail: "文*西***8*"})
	// Not a person's, or nothing.
	f("***", "13812341135-4021", "****", identity.Appearance{})
	f("", "$Zx9abc$1$$", "", identity.Appearance{})
}

func FuzzAsSeen(f *testing.F) {
	f.Add("王小明", "13812341135", "文一西路18号")
	f.Add("王*", "138****1135", "文*西*1*8*")
	f.Fuzz(func(t *testing.T, name, phone, detail string) {
		a := normalize.AsSeen(name, phone, "", "", "", "", detail)
		again := normalize.AsSeen(a.Name, a.Phone, a.Province, a.City, a.District, a.Town, a.Detail)
		if again != a {
			t.Errorf("%+v is %+v when it is masked again", a, again)
		}
		for _, field := range []string{a.Name, a.Detail} {
			if runes := []rune(field); len(runes) > 1 && !strings.Contains(field, "*") {
				t.Errorf("%q is whole", field)
			}
		}
		if digits := strings.Map(func(r rune) rune {
			if r < '0' || r > '9' {
				return -1
			}
			return r
		}, a.Phone); len(digits) > 7 {
			t.Errorf("%q shows a phone", a.Phone)
		}
		value := normalize.AppearanceValue(a)
		if read, err := normalize.ParseAppearance(value); err != nil || read != a {
			t.Errorf("%s reads as %+v, %v; want %+v", value, read, err, a)
		}
	})
}
