package douyin

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"

	"oneid/connectors"
)

// A part that cannot be opened, a virtual number and an order without
// ciphertexts take nothing away from the others; the quota is an error of its
// own.
func TestDecrypt(t *testing.T) {
	t.Parallel()
	f, c := newFake(t)
	c.cfg.DecryptFields = decryptFields
	const phone, name, address = "$$UA==$1$$", "##Tg==#1##", "##QQ==#1##"
	order := func(id string) connectors.Record {
		return connectors.Record{Stream: Orders, Raw: []byte(`{"order_id":"` + id + `","big":12345678901234567890,"encrypt_post_tel":"` + phone + `","encrypt_post_receiver":"` + name +
			`","post_addr":{"city":{"name":"杭州市"},"encrypt_detail":"` + address + `"}}`)}
	}
	info := func(order, cipher, plain string, virtual bool) map[string]any {
		return map[string]any{"auth_id": order, "cipher_text": cipher, "decrypt_text": plain, "is_virtual_tel": virtual, "err_no": 0}
	}
	failed := info("3", phone, "", false)
	failed["err_no"] = 300008
	f.answer[decryptMethod] = func(_ int, param map[string]any, w http.ResponseWriter) {
		if n := len(param["cipher_infos"].([]any)); n != 9 {
			t.Errorf("%d texts are asked for, want 9", n)
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"code": 50002, "sub_code": "isv.business-failed:300008", "data": map[string]any{"decrypt_infos": []any{
			info("1", phone, "13900000001", false), info("1", name, "测试甲", false), info("1", address, "1号", false),
			info("2", phone, "18400000000-1234", true), info("3", name, "测试乙", false), failed,
		}}})
	}
	got, err := c.Decrypt(t.Context(), []connectors.Record{order("1"), order("2"), order("3"), {Raw: []byte(`{"order_id":"4"}`)}, {Raw: []byte(`[]`)}})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct{ outcome, raw string }{
		{"opened", `{"big":12345678901234567890,"encrypt_post_receiver":"##Tg==#1##","encrypt_post_tel":"$$UA==$1$$","order_id":"1","post_addr":{"city":{"name":"杭州市"},"detail":"1号","encrypt_detail":"##QQ==#1##"},"post_receiver":"测试甲","post_tel":"13900000001"}`},
		{"virtual", ""},
		{"partly", `{"big":12345678901234567890,"encrypt_post_receiver":"##Tg==#1##","encrypt_post_tel":"$$UA==$1$$","order_id":"3","post_addr":{"city":{"name":"杭州市"},"encrypt_detail":"##QQ==#1##"},"post_receiver":"测试乙"}`},
		{"nothing", ""},
		{"failed", ""},
	} {
		if got[i].Outcome != want.outcome || string(got[i].Record.Raw) != want.raw || (want.raw != "") == got[i].Record.Observed.IsZero() {
			t.Errorf("order %d is %s: %s", i+1, got[i].Outcome, got[i].Record.Raw)
		}
	}
	f.answer[decryptMethod] = func(_ int, _ map[string]any, w http.ResponseWriter) { refuse(w, 50002, "isv.business-failed:300003") }
	if _, err := c.Decrypt(t.Context(), []connectors.Record{order("1")}); !errors.Is(err, connectors.ErrDecryptQuota) {
		t.Errorf("beyond the quota: %v", err)
	}
	for _, wrong := range []Config{{DecryptFields: []string{"phone"}}, {DecryptPerDay: 1}, {DecryptFields: []string{"id_card"}, DecryptPerDay: 1}, {DecryptFields: []string{"phone", "phone"}, DecryptPerDay: 1}} {
		if decryptFault(wrong) == "" {
			t.Errorf("%v is taken", wrong.DecryptFields)
		}
	}
}
