package douyin

import (
	"encoding/json"
	"testing"
	"unicode/utf8"
)

const (
	testKey    = "7000000000000000001"
	testSecret = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
)

func TestSignVectors(t *testing.T) {
	for name, c := range map[string]struct {
		method, timestamp, param string
		params                   any
		md5, hmac                string
	}{
		"numbers and bools": {
			"order.searchList", "1767229260", `{"order_asc":true,"order_by":"update_time","page":0,"size":100,"update_time_end":1767229200,"update_time_start":1767225600}`,
			map[string]any{"update_time_start": 1767225600, "update_time_end": 1767229200, "order_by": "update_time", "order_asc": true, "page": 0, "size": 100},
			"4b31d43c8ecf70138fd0833f7ba00b0f", "e11c0676f94b26d588672bb8d24352d2d3e9424971f1322f4e06f00707278141",
		},
		"time as text": {
			"token.create", "2026-01-01 09:01:00", `{"code":"","grant_type":"authorization_self","shop_id":"4463798"}`,
			map[string]any{"shop_id": "4463798", "grant_type": "authorization_self", "code": ""},
			"c6880f7edd5caf801694dc47579a4ca5", "046c9c08540131211cdb9fc905920ea82693d3da1fbe9ad6cbd41d870a4159a2",
		},
		"nulls": {
			"token.create", "1767229260", `{"auth_id":null,"auth_subject_type":null,"code":"","grant_type":"authorization_self","shop_id":4463798}`,
			map[string]any{"auth_id": nil, "auth_subject_type": nil, "shop_id": 4463798, "grant_type": "authorization_self", "code": ""},
			"f3adb38e0d74ef145b4907408db2b7db", "a7ff0a4f2f3787ea0e993bba9e7c40ccd862e0a0c878cccbd0939c997dcc275a",
		},
		"nothing escaped, nested keys": {
			"order.BatchSearchIndex", "1767229260", `{"plain_text_list":[{"encrypt_type":2,"plain_text":"&<>='/ô汉😀"},{"encrypt_type":3,"plain_text":"13800138000"}]}`,
			map[string]any{"plain_text_list": []any{map[string]any{"plain_text": "&<>='/ô汉😀", "encrypt_type": 2}, map[string]any{"plain_text": "13800138000", "encrypt_type": 3}}},
			"36e25dea500795c006c8b00843c4c75d", "0b1d7c6eba6850ad5b44eda8eaec86b82fb6ec78f479b59a95e13b1322758329",
		},
		"order of a list": {
			"afterSale.List", "1767229260", `{"order_by":["update_time asc"],"page":0,"size":100,"update_end_time":1767229200,"update_start_time":1767225600}`,
			map[string]any{"update_start_time": 1767225600, "update_end_time": 1767229200, "order_by": []string{"update_time asc"}, "page": 0, "size": 100},
			"1b765c56de50299230cea2aed9486b17", "6878a65551ee859562a0e251a052dd47a59e8657928614fbeee758ae7b1daf2d",
		},
		"JSON's own escapes": {
			"order.addOrderRemark", "1767229260", `{"order_id":"6910000000000000001","remark":"a\u2028b\t\"q\""}`,
			map[string]any{"order_id": "6910000000000000001", "remark": "a\u2028b\t\"q\""},
			"b85067829532b04183e9dc63d15397bc", "204c67b256d293d85abcaf4175d5d127d6472a2ddf35ecbc5246ddb95057ccd5",
		},
		"no parameters": {
			"shop.brandList", "2026-01-01 09:01:00", `{}`, map[string]any{},
			"83a651540b554725dfa68e210c422170", "766571bdab5e0218b78e97e911332a976c8e72900ff92c1b842f1e5644e51766",
		},
	} {
		t.Run(name, func(t *testing.T) {
			param, err := canonical(c.params)
			if err != nil || param != c.param {
				t.Fatalf("canonical = %s, %v; want %s", param, err, c.param)
			}
			if got := sign(signMD5, testKey, testSecret, c.method, param, c.timestamp); got != c.md5 {
				t.Errorf("md5 = %s, want %s", got, c.md5)
			}
			if got := sign(signHMAC, testKey, testSecret, c.method, param, c.timestamp); got != c.hmac {
				t.Errorf("hmac = %s, want %s", got, c.hmac)
			}
		})
	}
	t.Run("HTML escapes are never made", func(t *testing.T) {
		param, err := canonicalText([]byte(`{"plain_text_list":[{"encrypt_type":2,"plain_text":"\u0026\u003c\u003e='/ô汉😀"},{"encrypt_type":3,"plain_text":"13800138000"}]}`))
		if err != nil {
			t.Fatal(err)
		}
		const escaped = "04fe288335c0828d0ec9b59d745269018cfc04271401baeaf0754012c5065f90"
		if got := sign(signHMAC, testKey, testSecret, "order.BatchSearchIndex", param, "1767229260"); got == escaped {
			t.Error("the signature is that of the escaped text")
		}
	})
}

func FuzzCanonical(f *testing.F) {
	for _, seed := range []string{`{}`, `{"b":1,"a":[{"d":null,"c":"<&>"}]}`, `{"n":9223372036854775808123}`, `"\u2028"`, `1e400`, `{"a":1}{`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		once, err := canonicalText(raw)
		if err != nil {
			return
		}
		if !utf8.ValidString(once) || !json.Valid([]byte(once)) {
			t.Fatalf("canonical(%q) = %q, which is not JSON", raw, once)
		}
		if twice, err := canonicalText([]byte(once)); err != nil || twice != once {
			t.Fatalf("canonical is not its own canonical form: %q, then %q, %v", once, twice, err)
		}
	})
}
