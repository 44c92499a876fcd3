package simulator

import (
	"encoding/json"
	"strings"
	"testing"
)

const (
	vectorKey    = "7000000000000000001"
	vectorSecret = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
)

// The vectors were computed from the platform's algorithm by two programs in
// two languages.
func TestDouyinSignVectors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ method, timestamp, param, md5, hmac string }{
		"order list": {"order.searchList", "1767229260",
			`{"order_asc":true,"order_by":"update_time","page":0,"size":100,"update_time_end":1767229200,"update_time_start":1767225600}`,
			"4b31d43c8ecf70138fd0833f7ba00b0f", "e11c0676f94b26d588672bb8d24352d2d3e9424971f1322f4e06f00707278141"},
		"token, time as text": {"token.create", "2026-01-01 09:01:00",
			`{"code":"","grant_type":"authorization_self","shop_id":"4463798"}`,
			"c6880f7edd5caf801694dc47579a4ca5", "046c9c08540131211cdb9fc905920ea82693d3da1fbe9ad6cbd41d870a4159a2"},
		"token with nulls": {"token.create", "1767229260",
			`{"auth_id":null,"auth_subject_type":null,"code":"","grant_type":"authorization_self","shop_id":4463798}`,
			"f3adb38e0d74ef145b4907408db2b7db", "a7ff0a4f2f3787ea0e993bba9e7c40ccd862e0a0c878cccbd0939c997dcc275a"},
		"no HTML escapes": {"order.BatchSearchIndex", "1767229260",
			`{"plain_text_list":[{"encrypt_type":2,"plain_text":"&<>='/ô汉😀"},{"encrypt_type":3,"plain_text":"13800138000"}]}`,
			"36e25dea500795c006c8b00843c4c75d", "0b1d7c6eba6850ad5b44eda8eaec86b82fb6ec78f479b59a95e13b1322758329"},
		"after-sales": {"afterSale.List", "1767229260",
			`{"order_by":["update_time asc"],"page":0,"size":100,"update_end_time":1767229200,"update_start_time":1767225600}`,
			"1b765c56de50299230cea2aed9486b17", "6878a65551ee859562a0e251a052dd47a59e8657928614fbeee758ae7b1daf2d"},
		"JSON's own escapes": {"order.addOrderRemark", "1767229260",
			`{"order_id":"6910000000000000001","remark":"a\u2028b\t\"q\""}`,
			"b85067829532b04183e9dc63d15397bc", "204c67b256d293d85abcaf4175d5d127d6472a2ddf35ecbc5246ddb95057ccd5"},
		"no parameters": {"shop.brandList", "2026-01-01 09:01:00", `{}`,
			"83a651540b554725dfa68e210c422170", "766571bdab5e0218b78e97e911332a976c8e72900ff92c1b842f1e5644e51766"},
	} {
		t.Run(name, func(t *testing.T) {
			for signMethod, want := range map[string]string{"": c.md5, "md5": c.md5, "hmac-sha256": c.hmac} {
				got, ok := douyinSign(signMethod, vectorSecret, vectorKey, c.method, c.param, c.timestamp, "2")
				if !ok || got != want {
					t.Errorf("douyinSign(%q, %s) = %s, want %s", signMethod, c.method, got, want)
				}
			}
			var value any
			decoder := json.NewDecoder(strings.NewReader(c.param))
			decoder.UseNumber()
			if err := decoder.Decode(&value); err != nil {
				t.Fatal(err)
			}
			if got := douyinCanonical(value); got != c.param {
				t.Errorf("douyinCanonical gave %s, want %s", got, c.param)
			}
		})
	}
}

// HTML-escaped text has another signature, and is not canonical.
func TestDouyinSignOfEscapedTextDiffers(t *testing.T) {
	t.Parallel()
	escaped := `{"plain_text_list":[{"encrypt_type":2,"plain_text":"\u0026\u003c\u003e='/ô汉😀"},{"encrypt_type":3,"plain_text":"13800138000"}]}`
	got, _ := douyinSign("hmac-sha256", vectorSecret, vectorKey, "order.BatchSearchIndex", escaped, "1767229260", "2")
	if want := "04fe288335c0828d0ec9b59d745269018cfc04271401baeaf0754012c5065f90"; got != want {
		t.Errorf("sign of the escaped text = %s, want %s", got, want)
	}
	var value any
	if err := json.Unmarshal([]byte(escaped), &value); err != nil {
		t.Fatal(err)
	}
	if douyinCanonical(value) == escaped {
		t.Error("the escaped text counts as canonical")
	}
	if _, ok := douyinSign("sha1", vectorSecret, vectorKey, "a.b", "{}", "1", "2"); ok {
		t.Error("an unknown sign method was taken")
	}
}

func FuzzDouyinOpen(f *testing.F) {
	cipher := newDouyinCipher(vectorSecret, true)
	f.Add("$$a*b$1$$")
	f.Add(cipher.seal(douyinPhone, "13800001111"))
	f.Add(cipher.seal(douyinName, "张三"))
	f.Fuzz(func(_ *testing.T, text string) { cipher.open(text) })
}

func TestDouyinCipher(t *testing.T) {
	t.Parallel()
	for _, withIndex := range []bool{false, true} {
		cipher := newDouyinCipher(vectorSecret, withIndex)
		for kind, plain := range map[int]string{douyinPhone: "13800001111", douyinName: "张三", douyinAddress: "测试路1号"} {
			first, second := cipher.seal(kind, plain), cipher.seal(kind, plain)
			if first == second {
				t.Errorf("two ciphertexts of one value are equal: %s", first)
			}
			got, gotKind, ok := cipher.open(first)
			if !ok || got != plain || gotKind != kind {
				t.Errorf("open(%s) = %s, %d, %v, want %s, %d", first, got, gotKind, ok, plain, kind)
			}
			d := first[:1]
			index := strings.SplitN(first[1:], d, 2)[0]
			if want := map[bool]string{false: "", true: cipher.index(kind, plain)}[withIndex]; index != want {
				t.Errorf("index of %s = %q, want %q", first, index, want)
			}
			if !strings.HasSuffix(first, d+"1"+d+d) {
				t.Errorf("%s does not end with its version", first)
			}
		}
	}
	for mask, want := range map[string]string{
		maskDouyinPhone("13800001135"): "1********35", maskDouyinName("王小二"): "王**", maskDouyinName("张三"): "张**",
	} {
		if mask != want {
			t.Errorf("mask = %s, want %s", mask, want)
		}
	}
}
