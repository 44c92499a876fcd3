package douyin

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"oneid/connectors"
)

// A part that cannot be opened, a virtual number and an order without
// ciphertexts take nothing away from the others; the quota is an error of its
// own.
func TestDecrypt(t *testing.T) {
	t.Parallel()
	f, c := newFake(t)
	c.cfg.DecryptFields = []string{fieldPhone, fieldName, fieldAddress}
	const phone, name, address = "$$UA==$1$$", "##Tg==#1##", "##QQ==#1##"
	order := func(id string) connectors.Record {
		return connectors.Record{Stream: Orders, Raw: []byte(`{"order_id":"` + id + `","big":12345678901234567890,"encrypt_post_tel":"` + phone + `","encrypt_post_receiver":"` + name +
			`","post_addr":{"city":{"name":"杭州市"},"encrypt_detail":"` + address + `"}}`)}
	}
	info := func(order, cipher, plain string, virtual bool) map[string]any {
		return map[string]any{"auth_id": order, "cipher_text": cipher, "decrypt_text": plain, "is_virtual_tel": virtual, "err_no": 0}
	}
	failed := info("3", phone, "13900000003", false) // what stands beside a refusal is not what was sealed
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
	for _, wrong := range []Config{{DecryptFields: []string{"phone"}}, {DecryptPerDay: 1}, {DecryptFields: []string{"id_card"}, DecryptPerDay: 1}, {DecryptFields: []string{"phone", "phone"}, DecryptPerDay: 1}, {DecryptFields: []string{"member_phone"}, DecryptPerDay: 1}} {
		if decryptFault(wrong) == "" {
			t.Errorf("%v is taken", wrong.DecryptFields)
		}
	}
}

// A batch is also refused inside of an answer of success: what opens nothing says why, and
// what opens a part of it is kept.
func TestDecryptRefusedInside(t *testing.T) {
	t.Parallel()
	const phone = "$$UA==$1$$"
	order := connectors.Record{Stream: Orders, Raw: []byte(`{"order_id":"1","encrypt_post_tel":"` + phone + `"}`)}
	opened := `{"auth_id":"1","cipher_text":"` + phone + `","decrypt_text":"13900000001","err_no":0}`
	for name, tc := range map[string]struct {
		data, outcome string
		quota, fails  bool
	}{
		"success":                      {`{"decrypt_infos":[` + opened + `],"custom_err":{"err_code":0}}`, "opened", false, false},
		"success without custom_err":   {`{"decrypt_infos":[` + opened + `]}`, "opened", false, false},
		"the quota":                    {`{"decrypt_infos":[],"custom_err":{"err_code":300003,"err_msg":"解密额度不足"}}`, "", true, true},
		"the quota as text":            {`{"decrypt_infos":null,"custom_err":{"err_code":"300003"}}`, "", true, true},
		"the quota of each":            {`{"decrypt_infos":[{"auth_id":"1","cipher_text":"` + phone + `","err_no":300003}],"custom_err":{"err_code":0}}`, "", true, true},
		"the quota after one":          {`{"decrypt_infos":[` + opened + `],"custom_err":{"err_code":300003}}`, "opened", false, false},
		"nothing could be opened":      {`{"decrypt_infos":[],"custom_err":{"err_code":300008}}`, "failed", false, false},
		"a text with an error":         {`{"decrypt_infos":[{"auth_id":"1","cipher_text":"` + phone + `","decrypt_text":"13900000001","err_no":300008}]}`, "failed", false, false},
		"another code":                 {`{"decrypt_infos":[],"custom_err":{"err_code":300010}}`, "", false, true},
		"a custom_err of another form": {`{"decrypt_infos":[` + opened + `],"custom_err":""}`, "opened", false, false},
	} {
		f, c := newFake(t)
		c.cfg.DecryptFields = []string{fieldPhone}
		f.answer[decryptMethod] = func(_ int, _ map[string]any, w http.ResponseWriter) { ok(w, json.RawMessage(tc.data)) }
		got, err := c.Decrypt(t.Context(), []connectors.Record{order})
		if errors.Is(err, connectors.ErrDecryptQuota) != tc.quota || (err != nil) != tc.fails || err == nil && got[0].Outcome != tc.outcome {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// A member's phone that came encrypted is asked for by the member's id; it is
// opened where the platform shows it, and the call is otherwise as it was.
func TestOpenMembers(t *testing.T) {
	t.Parallel()
	f, c := newFake(t)
	c.cfg.DecryptFields, c.cfg.DecryptPerDay = []string{fieldName, fieldMember}, 10
	if got := c.Decrypts(); len(got) != 2 || got[0].Stream != connectors.MembershipStream || got[0].PerCall != 10 || got[1].Stream != Orders || len(got[1].Fields) != 1 {
		t.Errorf("asked for is %+v, want members first, then names of orders", got)
	}
	call := func(kind connectors.MembershipKind, params string) connectors.Record {
		raw, err := json.Marshal(connectors.MembershipRecord{Kind: kind, At: 1767229260, Call: json.RawMessage(params)})
		if err != nil {
			t.Fatal(err)
		}
		return connectors.Record{Stream: connectors.MembershipStream, Shop: "4463798", Raw: raw}
	}
	f.answer["member.mGetMemberInfoByOpenIdList"] = func(_ int, param map[string]any, w http.ResponseWriter) {
		if n := len(param["open_id_list"].([]any)); n != 4 {
			t.Errorf("%d members are asked for, want 4", n)
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"code": 10000, "data": map[string]any{"member_infos": []any{
			map[string]any{"success": true, "open_id": "a", "mobile": "13900000001"}, map[string]any{"success": true, "open_id": "b", "mobile": "13900000002"},
			map[string]any{"success": true, "open_id": "c", "mobile": ""}, map[string]any{"success": false, "open_id": "d", "err_code": 628145004},
		}}})
	}
	const sealed = `"$$UA==$1$$"`
	got, err := c.Decrypt(t.Context(), []connectors.Record{
		call(connectors.MemberBind, `{"open_id":"a","mobile":`+sealed+`,"n":12345678901234567890}`),
		call(connectors.MemberPhone, `{"open_id":"b","info":{"mobile":{"old_mobile":`+sealed+`,"new_mobile":`+sealed+`}}}`),
		call(connectors.MemberBind, `{"open_id":"c","mobile":`+sealed+`}`), call(connectors.MemberBind, `{"open_id":"d","mobile":`+sealed+`}`),
		call(connectors.MemberBind, `{"open_id":"e","mobile":"13900000005"}`), {Stream: connectors.MembershipStream, Raw: []byte(`[]`)},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct{ outcome, call string }{
		{"opened", `{"mobile":"13900000001","n":12345678901234567890,"open_id":"a"}`},
		{"opened", `{"info":{"mobile":{"new_mobile":"13900000002","old_mobile":"$$UA==$1$$"}},"open_id":"b"}`},
		{"nothing", ""}, {"failed", ""}, {"nothing", ""}, {"failed", ""},
	} {
		var record connectors.MembershipRecord
		_ = json.Unmarshal(got[i].Record.Raw, &record)
		if got[i].Outcome != want.outcome || string(record.Call) != want.call {
			t.Errorf("member %d is %s: %s", i+1, got[i].Outcome, record.Call)
		}
		if want.call == "" {
			continue
		}
		mapped, err := c.Map(got[i].Record)
		if err != nil || !strings.Contains(mapped[0].GetHeader().GetPerson().String(), "1390000000") || mapped[0].GetHeader().GetVersion().GetModifiedMs()/1000 != 1767229260 {
			t.Errorf("member %d is mapped to %v, %v", i+1, mapped, err)
		}
	}
}

// An encrypted phone is no phone: it is seen by its index, within the shop, or
// not at all; and nobody is asked for points with it.
func TestSealedMemberIsNoPhone(t *testing.T) {
	t.Parallel()
	const index = "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE="
	for name, c := range map[string]struct {
		kind         connectors.MembershipKind
		params, want string
	}{
		"joins":                {connectors.MemberBind, `{"open_id":"a","mobile":"$$UA==$1$$"}`, ""},
		"joins, with an index": {connectors.MemberBind, `{"open_id":"a","mobile":"$` + index + `$UA==$1$$"}`, index},
		"another phone":        {connectors.MemberPhone, `{"open_id":"a","info":{"mobile":{"old_mobile":"$$QQ==$1$$","new_mobile":"$` + index + `$UA==$1$$"}}}`, index},
		"asks":                 {connectors.MemberQuery, `{"open_id":"a","mobile":"$` + index + `$UA==$1$$"}`, ""},
		"masked":               {connectors.MemberBind, `{"open_id":"a","mobile":"139****0001"}`, ""},
		"virtual":              {connectors.MemberBind, `{"open_id":"a","mobile":"18400000000-1234"}`, ""},
	} {
		raw, err := json.Marshal(connectors.MembershipRecord{Kind: c.kind, At: 1767229260, Call: json.RawMessage(c.params)})
		if err != nil {
			t.Fatal(err)
		}
		mapped, err := mapMembership(connectors.Record{Stream: connectors.MembershipStream, Shop: "4463798", Raw: raw})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, s := range mapped[0].GetHeader().GetPerson().GetSightings() {
			switch s.GetType() {
			case "phone":
				t.Errorf("%s: it is seen as a phone", name)
			case "douyin_phone_index":
				got = s.GetValue()
			}
		}
		if got != c.want {
			t.Errorf("%s: its index is %q, want %q", name, got, c.want)
		}
	}
}

// Under a masked id many buyers would be one account.
func TestMaskedIdsAreNoAccounts(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"t**1", "t＊＊1", "t●●1", "李某", "12xxxx89", "$AAE=$1$$"} {
		if account := accountOf(text(id), "8"); account != "order:8" {
			t.Errorf("an order of %q is of the account %q", id, account)
		}
		call, err := json.Marshal(map[string]string{"open_id": id, "mobile": "13800001111"})
		if err != nil {
			t.Fatal(err)
		}
		raw, err := json.Marshal(connectors.MembershipRecord{Kind: connectors.MemberBind, At: 1767229260, Call: call})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := mapMembership(connectors.Record{Stream: connectors.MembershipStream, Shop: "4463798", Raw: raw}); err == nil || strings.Contains(err.Error(), id) {
			t.Errorf("%q joins: %v", id, err)
		}
	}
}
