package normalize

import (
	"strings"
	"testing"

	"oneid/identity"
)

// Whatever hides a part of an identifier, and whichever part: it is no value, so
// that two people who share what is shown are not joined.
func TestNoMaskedValueIsAValue(t *testing.T) {
	t.Parallel()
	for typ, plain := range map[identity.IdentifierType]string{
		identity.Phone: "13812345678", identity.Email: "liweiming@shop.cn", identity.MemberCard: "VIP00012345", identity.ExternalCustomer: "190000001",
		identity.TmallMixMobile: "0123456789abcdef0123456789abcdef", identity.UnionID: "oAbC_1-yDeF234567890", identity.OpenID: "oZbC_1-yDeF234567890",
		identity.TmallOUID: "AAGbc0123456", identity.TmallOpenUID: "AAHbc0123456", identity.TmallOMID: "AAMbc0123456", identity.TmallUnionID: "AAUbc0123456",
		identity.DouyinOpenID: "1@#q04abcdef0=", identity.DouyinUnionID: "19f0a1b2-33", identity.WeidianBuyerID: "190000001", "other": "190000001",
	} {
		if _, reason := Check(typ, plain); reason != "" {
			t.Errorf("%s in clear is no value: %s", typ, reason)
		}
		signs := "*＊﹡∗✱•●×✕■█某.…·○□#?"
		if strings.Trim(plain, "0123456789VIP") == "" || typ == identity.Email {
			signs += "xX"
		}
		if typ == identity.Phone || typ == identity.MemberCard {
			signs += "-_"
		}
		end := len(plain)
		if at := strings.IndexByte(plain, '@'); typ == identity.Email {
			end = at
		}
		for _, sign := range signs {
			for from := 0; from+4 <= end; from++ {
				masked := plain[:from] + strings.Repeat(string(sign), 4) + plain[from+4:]
				if value, reason := Check(typ, masked); value != "" || reason == "" {
					t.Errorf("%s %q became %q", typ, masked, value)
				}
			}
		}
		for _, whole := range []string{"***", "138****", "1380000****", "1380000xxxx", "~AAECAwQ=~1~", "~13812345678~", "$AAECAwQ=$1$$", "$13812345678$", "##AAECAw##"} {
			if value, reason := Check(typ, whole); value != "" || reason == "" {
				t.Errorf("%s %q became %q", typ, whole, value)
			}
		}
	}
}

// What has a sign or an x of its own is no mask.
func TestWhatOnlyLooksMasked(t *testing.T) {
	t.Parallel()
	for raw, typ := range map[string]identity.IdentifierType{
		"li.wei-1_a@shop.cn": identity.Email, "xx@shop.cn": identity.Email, "xxx1990@shop.cn": identity.Email, "a__b@shop.cn": identity.Email,
		"vip-000 123": identity.MemberCard, "XX000123": identity.MemberCard, "FOXX12": identity.MemberCard, "VIP-XL-3": identity.MemberCard, "12x4": identity.MemberCard,
		"oAbC_1-xxxxD": identity.UnionID, "1@#q04a=": identity.DouyinOpenID, "AAGx0~": identity.TmallOUID, "a#1": identity.ExternalCustomer,
	} {
		if value, reason := Check(typ, raw); value == "" {
			t.Errorf("%s %q is no value: %s", typ, raw, reason)
		}
	}
}

// A receiver's mask is one sign, whatever the platform's.
func TestMasksOfReceiversAreOne(t *testing.T) {
	t.Parallel()
	want := AsSeen("张*", "138****1135", "", "", "", "", "文一**路**号")
	for _, sign := range "＊﹡∗✱•●×✕■█某" {
		mask := strings.NewReplacer("*", string(sign))
		if got := AsSeen(mask.Replace("张*"), mask.Replace("138****1135"), "", "", "", "", mask.Replace("文一**路**号")); got != want {
			t.Errorf("%q: %+v, want %+v", sign, got, want)
		}
	}
}
