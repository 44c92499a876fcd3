package normalize

import (
	"math/rand/v2"
	"strings"
	"testing"

	"oneid/identity"
)

func TestPhone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		raw, want string
		reason    Reason
	}{
		"plain":                    {"13800001111", "13800001111", ""},
		"country code":             {"+86 138 0000 1111", "13800001111", ""},
		"country code, no plus":    {"8613800001111", "13800001111", ""},
		"international prefix":     {"0086-138-0000-1111", "13800001111", ""},
		"trunk zero":               {"013800001111", "13800001111", ""},
		"full width":               {"１３８００００１１１１", "13800001111", ""},
		"in brackets":              {"(+86)13800001111", "13800001111", ""},
		"invisible mark":           {"\u202a13800001111\u202c", "13800001111", ""},
		"virtual, extension":       {"13800001111-4021", "", Virtual},
		"virtual, 转":               {"13800001111转4021", "", Virtual},
		"virtual, comma":           {"13800001111,4021", "", Virtual},
		"virtual, space":           {"13800001111 4021", "", Virtual},
		"virtual, country code":    {"+86 13800001111-4021", "", Virtual},
		"virtual, expires":         {"13800001111(有效期至2026-01-01)", "", Virtual},
		"masked":                   {"138****1111", "", Masked},
		"masked, full width":       {"138＊＊＊＊1111", "", Masked},
		"cipher text":              {"$sE1kPz0=$1$", "", Masked},
		"landline":                 {"021-61234567", "+862161234567", ""},
		"landline, country code":   {"+86 21 6123 4567", "+862161234567", ""},
		"landline, extension":      {"021-61234567转801", "", Virtual},
		"Hong Kong":                {"+852 6123 4567", "+85261234567", ""},
		"United States":            {"+1 (212) 555-2368", "+12125552368", ""},
		"too short":                {"1380000", "", Malformed},
		"twelve digits":            {"138000011112", "", Malformed},
		"not a mobile's beginning": {"12000001111", "", Malformed},
		"text":                     {"none", "", Malformed},
		"empty":                    {" \t", "", Empty},
		"endless":                  {strings.Repeat("1", 10000), "", Malformed},
	} {
		t.Run(name, func(t *testing.T) {
			got, reason := Phone(c.raw)
			if got != c.want || reason != c.reason {
				t.Errorf("Phone(%q) = %q, %q, want %q, %q", c.raw, got, reason, c.want, c.reason)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		typ       identity.IdentifierType
		raw, want string
		reason    Reason
	}{
		"e-mail":               {identity.Email, " Li.Wei@Shop.CN ", "li.wei@shop.cn", ""},
		"e-mail, brackets":     {identity.Email, "<li.wei@shop.cn>", "li.wei@shop.cn", ""},
		"e-mail, with a name":  {identity.Email, "Li Wei < Li.Wei@shop.cn >", "li.wei@shop.cn", ""},
		"e-mail, two of them":  {identity.Email, "li@shop.cn <wei@shop.cn>", "", Malformed},
		"e-mail, half bracket": {identity.Email, "li.wei@shop.cn>", "", Malformed},
		"e-mail, masked":       {identity.Email, "l***i@shop.cn", "", Masked},
		"e-mail, two ats":      {identity.Email, "a@b@c.cn", "", Malformed},
		"card, separators":     {identity.MemberCard, "vip-000 123", "VIP000123", ""},
		"card, zeros":          {identity.MemberCard, "0000", "", Malformed},
		"unionid keeps case":   {identity.UnionID, "oAbC_1-x", "oAbC_1-x", ""},
		"unionid, null":        {identity.UnionID, "null", "", Empty},
		"mix_mobile, upper":    {identity.TmallMixMobile, strings.Repeat("AB", 16), strings.Repeat("ab", 16), ""},
		"mix_mobile, no hash":  {identity.TmallMixMobile, "13800001111", "", Malformed},
		"openid, masked":       {identity.OpenID, "o**x", "", Masked},
		"weidian buyer, zero":  {identity.WeidianBuyerID, "0", "", Empty},
		"unknown type, opaque": {"other", "x", "x", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, reason := Check(c.typ, c.raw)
			if got != c.want || reason != c.reason {
				t.Errorf("Check(%s, %q) = %q, %q, want %q, %q", c.typ, c.raw, got, reason, c.want, c.reason)
			}
		})
	}
}

// What is normal stays as it is, whatever came.
func FuzzCheck(f *testing.F) {
	types := []identity.IdentifierType{identity.Phone, identity.Email, identity.MemberCard, identity.TmallMixMobile, identity.UnionID}
	for i, raw := range []string{"+86 138 0000 1111", "A@b.cn", "vip-1", strings.Repeat("A", 32), "o1", "021-61234567"} {
		f.Add(i%len(types), raw)
	}
	f.Add(2, "N\x1dA")
	f.Add(2, "xx-xx-12")
	f.Add(2, "1-x.x-2")
	f.Add(4, "~a\u2026~")
	f.Add(1, "<\x7f@0.0")
	f.Add(1, "<<@0.0")
	f.Fuzz(func(t *testing.T, i int, raw string) {
		typ := types[uint(i)%uint(len(types))]
		value, ok := Normalize(typ, raw)
		if ok != (value != "") {
			t.Fatalf("Normalize(%s, %q) = %q, %v", typ, raw, value, ok)
		}
		if again, ok2 := Normalize(typ, value); ok && (!ok2 || again != value) {
			t.Fatalf("Normalize(%s, %q) = %q, and of that %q, %v", typ, raw, value, again, ok2)
		}
	})
}

// What stands in a table where somebody has no id is no id: else all who have none
// would be one person.
func TestWordsThatNameNobody(t *testing.T) {
	t.Parallel()
	for _, word := range []string{"none", "N/A", "-", "--", "?", "无", "暂无", "unknown", "nil", "NaN", "#N/A", `\N`, "未填写", "null", "NULL", "undefined", " None "} {
		for _, typ := range []identity.IdentifierType{identity.UnionID, identity.OpenID, identity.TmallOMID, identity.MemberCard, identity.ExternalCustomer} {
			if got, reason := Check(typ, word); got != "" || reason != Empty {
				t.Errorf("%s %q became %q (%s)", typ, word, got, reason)
			}
		}
	}
	for _, word := range []string{"N.A.", "n-a", "N A", "N\x1dA", "未-知"} {
		if got, reason := Check(identity.MemberCard, word); got != "" || reason != Empty {
			t.Errorf("the card %q became %q (%s)", word, got, reason)
		}
	}
	for raw, want := range map[string]string{"无锡8": "无锡8", "none1": "NONE1", "Na-1": "NA1"} {
		if got, _ := Check(identity.MemberCard, raw); got != want {
			t.Errorf("the card %q became %q, want %q", raw, got, want)
		}
	}
}

// The short way, of ids that need no cleaning, says what the long one says, which
// a blank before an id makes it go.
func TestABlankBeforeAnID(t *testing.T) {
	t.Parallel()
	ids := []string{"", "0", "000", "null", "NULL", "undefined", "undefinedd", "n/a", "N/A", "#N/A", "\\N", "-", "--", "a**b", "a*b", "a~b", "a\x7f", "\x1fa", "ａb", "é1", "空", "nİl", strings.Repeat("a", maxBytes-1), strings.Repeat("a", maxBytes+1)}
	random := rand.New(rand.NewPCG(1, 2))
	alphabet := []rune("0aZ9*-/nulNA~ !\t\x7fé空ａ")
	for range 20_000 {
		id := make([]rune, random.IntN(14))
		for i := range id {
			id[i] = alphabet[random.IntN(len(alphabet))]
		}
		ids = append(ids, string(id))
	}
	for _, id := range ids {
		got, why := opaque(id)
		if want, wantWhy := opaque(" " + id); got != want || why != wantWhy {
			t.Errorf("opaque(%q) = %q, %q; with a blank before it %q, %q", id, got, why, want, wantWhy)
		}
	}
}

// BenchmarkOpaque is what a platform's id costs; each event has some.
func BenchmarkOpaque(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if id, _ := opaque("AAHM8cm2AAKx0123456789Zq"); id == "" {
			b.Fatal("no id")
		}
	}
}
