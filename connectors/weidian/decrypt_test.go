package weidian

import (
	"bytes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"oneid/connectors"
)

func TestDecryptVectors(t *testing.T) {
	const one, two = "00112233445566778899aabbccddeeff", "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
	for name, c := range map[string]struct{ key, iv, cipher, plain string }{
		"phone":              {one, "d34d75db6df7e38e79ebaefbf3cf7d69", "qm5GAS+soIIAf3pvSVvA7NKBZvocWHXWGOzjr9FzTN4=", "13800138000"},
		"name":               {one, "d34d75db6df7e38e79ebaefbf3cf7d69", "cfxvQgwk+QTw5tl5/5wJgsEsm749OnFCxRSZP3KVecM=", "张三"},
		"empty":              {one, "d34d75db6df7e38e79ebaefbf3cf7d69", "4S4DSdPxkgKNJUZQE1OZZtt9oAoOFYF03p+twaLkEZY=", ""},
		"a space for a plus": {one, "d34d75db6df7e38e79ebaefbf3cf7d69", "qm5GAS soIIAf3pvSVvA7NKBZvocWHXWGOzjr9FzTN4=", "13800138000"},
		"two blocks":         {two, "d1fd5ed9dddce1be5aebdefcf3bf7a6b", "GCmtTw4diUA0Y1ni/ANSVpxdAphn2IM4MbZVgZUUqnU96vmmJuCQrxtOGLaE6PKuQ+M+zpwOyflSC2pfc+Pb1A==", "浙江省杭州市西湖区测试路1号2单元303室"},
	} {
		t.Run(name, func(t *testing.T) {
			key, err := newAESKey(c.key)
			if err != nil {
				t.Fatal(err)
			}
			if got := hex.EncodeToString(key.iv); got != c.iv {
				t.Errorf("IV %s, want %s", got, c.iv)
			}
			if got, ok := key.decrypt(c.cipher); !ok || got != c.plain {
				t.Errorf("decrypt = %q, %t; want %q", got, ok, c.plain)
			}
		})
	}
	other, _ := newAESKey(two)
	if _, ok := other.decrypt("qm5GAS+soIIAf3pvSVvA7NKBZvocWHXWGOzjr9FzTN4="); ok {
		t.Error("another key decrypts it too")
	}
	for _, bad := range []string{"", "xyz", "0011", "zz112233445566778899aabbccddeeff"} {
		if _, err := newAESKey(bad); err == nil {
			t.Errorf("a key of %d characters is taken", len(bad))
		}
	}
}

// What ends with a number of padding bytes and has other bytes before it was padded by
// nobody: another key's text ends so once in eight times.
func TestPaddingIsLookedAt(t *testing.T) {
	t.Parallel()
	key, err := newAESKey("00112233445566778899aabbccddeeff")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		padding []byte
		taken   bool
	}{
		"five of five":        {[]byte{5, 5, 5, 5, 5}, true},
		"one of five":         {[]byte{1, 2, 3, 4, 5}, false},
		"the first is not":    {[]byte{4, 5, 5, 5, 5}, false},
		"none":                {[]byte{0}, false},
		"more than a block":   {bytes.Repeat([]byte{block + 1}, block), false},
		"a whole block of it": {bytes.Repeat([]byte{block}, block), true},
	} {
		plain := strings.Repeat("1", (2*block-len(c.padding))%block)
		sealed := append([]byte(plain), c.padding...)
		cipher.NewCBCEncrypter(key.key, key.iv).CryptBlocks(sealed, sealed)
		if got, ok := key.decrypt(base64.StdEncoding.EncodeToString(sealed)); ok != c.taken || ok && got != plain {
			t.Errorf("%s: %q, %t", name, got, ok)
		}
	}
}

func FuzzDecrypt(f *testing.F) {
	f.Add("qm5GAS+soIIAf3pvSVvA7NKBZvocWHXWGOzjr9FzTN4=")
	f.Add("13800138000")
	f.Add(strings.Repeat("\n", 44))
	f.Add("qm5GAS+soIIAf3pvSVvA7NKBZvocWHXWGOzjr9FzTN4=\n")
	key, err := newAESKey("00112233445566778899aabbccddeeff")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if _, ok := key.decrypt(value); ok && !isCiphertext(value) {
			t.Errorf("%q was decrypted but has not the form of a ciphertext", value)
		}
		if isCiphertext(value) && isMobile(value) {
			t.Errorf("%q is both a ciphertext and a phone", value)
		}
	})
}

// keyService answers open.secret.list alone, and counts.
type keyService struct {
	asked int
	keys  []string
}

func (k *keyService) RoundTrip(r *http.Request) (*http.Response, error) {
	k.asked++
	rec := httptest.NewRecorder()
	if err := r.ParseForm(); err != nil || !strings.Contains(r.Form.Get("public"), "open.secret.list") || strings.Contains(r.Form.Get("public"), "access_token") {
		return nil, errors.New("another call than for the key")
	}
	_, _ = rec.WriteString(`{"status":{"status_code":0,"status_reason":"success"},"result":[{"aesKey":"` + strings.Join(k.keys, `"},{"aesKey":"`) + `"}]}`)
	return rec.Result(), nil
}

// Opened is what the settings name and no more; the platform is asked for its
// key only if there is something to open.
func TestDecryptOrders(t *testing.T) {
	t.Parallel()
	const phone, name, other = "qm5GAS+soIIAf3pvSVvA7NKBZvocWHXWGOzjr9FzTN4=", "cfxvQgwk+QTw5tl5/5wJgsEsm749OnFCxRSZP3KVecM=", "GCmtTw4diUA0Y1ni/ANSVpxdAphn2IM4MbZVgZUUqnU96vmmJuCQrxtOGLaE6PKuQ+M+zpwOyflSC2pfc+Pb1A=="
	service := &keyService{keys: []string{"00112233445566778899aabbccddeeff"}}
	c, err := New("1800000001", Config{URL: "http://weidian.example", AppKey: "1", AppSecret: "s", AccessToken: "t", Transport: service,
		DecryptFields: []string{fieldAccount, fieldPhone}, DecryptPerDay: 10})
	if err != nil {
		t.Fatal(err)
	}
	order := func(account, receiver, name string) connectors.Record {
		return connectors.Record{Stream: Orders, Raw: []byte(`{"list":{"order_id":"8"},"detail":{"order_id":"8","big":12345678901234567890,"user_phone":"` + account +
			`","buyer_info":{"buyer_id":"1","phone":"` + receiver + `","name":"` + name + `"}}}`)}
	}
	if got, err := c.Decrypt(t.Context(), []connectors.Record{order("13800138000", "", name), {Raw: []byte(`[]`)}}); err != nil || got[0].Outcome != connectors.OpenedNothing || got[1].Outcome != connectors.OpenedFailed || service.asked != 0 {
		t.Errorf("with nothing to open: %v, %v, %d calls", got, err, service.asked)
	}
	got, err := c.Decrypt(t.Context(), []connectors.Record{order(phone, phone, name), order(phone, other, name), order(other, "138****8000", name)})
	if err != nil || service.asked != 1 {
		t.Fatalf("%v after %d calls, want one", err, service.asked)
	}
	for i, want := range []struct{ outcome, raw string }{
		{connectors.OpenedAll, `{"detail":{"big":12345678901234567890,"buyer_info":{"buyer_id":"1","name":"` + name + `","phone":"13800138000"},"order_id":"8","user_phone":"13800138000"},"list":{"order_id":"8"}}`},
		{connectors.OpenedPart, `{"detail":{"big":12345678901234567890,"buyer_info":{"buyer_id":"1","name":"` + name + `","phone":"` + other + `"},"order_id":"8","user_phone":"13800138000"},"list":{"order_id":"8"}}`},
		{connectors.OpenedFailed, ""},
	} {
		if got[i].Outcome != want.outcome || string(got[i].Record.Raw) != want.raw || (want.raw != "") == got[i].Record.Observed.IsZero() {
			t.Errorf("order %d is %s: %s", i+1, got[i].Outcome, got[i].Record.Raw)
		}
	}
	for _, wrong := range []Config{{DecryptFields: []string{"phone"}}, {DecryptPerDay: 1}, {DecryptFields: []string{"weixin"}, DecryptPerDay: 1}, {DecryptFields: []string{"phone", "phone"}, DecryptPerDay: 1}} {
		if decryptFault(wrong) == "" {
			t.Errorf("%v is taken", wrong.DecryptFields)
		}
	}
}

// An app whose key was changed has orders under both: each field is opened by the
// key that it was written under, whichever comes first.
func TestDecryptUnderTwoKeys(t *testing.T) {
	t.Parallel()
	const one, two = "00112233445566778899aabbccddeeff", "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
	const phone, address = "qm5GAS+soIIAf3pvSVvA7NKBZvocWHXWGOzjr9FzTN4=", "GCmtTw4diUA0Y1ni/ANSVpxdAphn2IM4MbZVgZUUqnU96vmmJuCQrxtOGLaE6PKuQ+M+zpwOyflSC2pfc+Pb1A=="
	order := func(phone, address string) connectors.Record {
		return connectors.Record{Stream: Orders, Raw: []byte(`{"detail":{"order_id":"8","user_phone":"` + phone + `","buyer_info":{"address":"` + address + `"}}}`)}
	}
	for _, keys := range [][]string{{one, two}, {two, one}} {
		service := &keyService{keys: keys}
		c, err := New("1800000001", Config{URL: "http://weidian.example", AppKey: "1", AppSecret: "s", AccessToken: "t", Transport: service,
			DecryptFields: []string{fieldAccount, fieldAddress}, DecryptPerDay: 10})
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.Decrypt(t.Context(), []connectors.Record{order(phone, address), order(phone, ""), order("", address)})
		if err != nil || service.asked != 1 {
			t.Fatalf("%v after %d calls", err, service.asked)
		}
		const home = "浙江省杭州市西湖区测试路1号2单元303室"
		for i, want := range []connectors.Record{order("13800138000", home), order("13800138000", ""), order("", home)} {
			var a, b any
			if json.Unmarshal(got[i].Record.Raw, &a) != nil || json.Unmarshal(want.Raw, &b) != nil || !reflect.DeepEqual(a, b) || got[i].Outcome != connectors.OpenedAll {
				t.Errorf("keys %v: order %d is %s: %s", keys, i+1, got[i].Outcome, got[i].Record.Raw)
			}
		}
	}
}

// A ciphertext of a phone is an identifier of its own, in one form; what is no
// phone for certain is none: the empty text, which the platform encrypts too and
// which would be everybody's.
func TestCiphertextsOfPhones(t *testing.T) {
	t.Parallel()
	const phone, name = "qm5GAS+soIIAf3pvSVvA7NKBZvocWHXWGOzjr9FzTN4=", "cfxvQgwk+QTw5tl5/5wJgsEsm749OnFCxRSZP3KVecM="
	const empty, long = "4S4DSdPxkgKNJUZQE1OZZtt9oAoOFYF03p+twaLkEZY=", "GCmtTw4diUA0Y1ni/ANSVpxdAphn2IM4MbZVgZUUqnU96vmmJuCQrxtOGLaE6PKuQ+M+zpwOyflSC2pfc+Pb1A=="
	for title, c := range map[string]struct{ account, weixin, receiver, name, home, card, want string }{
		"both":                       {account: phone, receiver: phone, name: name, want: "BUYER " + phone + ", RECEIVER " + phone},
		"a space for a plus":         {account: strings.ReplaceAll(phone, "+", " "), want: "BUYER " + phone},
		"the buyer's in clear":       {account: "13800138001", receiver: phone, want: "BUYER 13800138001, RECEIVER " + phone},
		"no phone, nor an address":   {account: empty, receiver: phone, home: empty, want: "RECEIVER " + phone},
		"no phones, nor a card":      {account: empty, receiver: empty, card: empty},
		"no receiver, nor a WeChat":  {account: phone, receiver: empty, weixin: empty, want: "BUYER " + phone},
		"no phone, nor a name":       {account: strings.ReplaceAll(empty, "+", " "), name: empty},
		"two blocks are no phone":    {account: long},
		"masked":                     {account: "138****8000", receiver: "138****8000"},
		"a WeChat that is the phone": {account: phone, weixin: phone}, // it cannot be told from the empty text
	} {
		t.Run(title, func(t *testing.T) {
			raw := `{"list":{"update_time":"2026-01-06 09:00:00"},"detail":{"order_id":"8","user_phone":"` + c.account + `","weixin":"` + c.weixin +
				`","buyer_info":{"buyer_id":"1","phone":"` + c.receiver + `","name":"` + c.name + `","self_address":"` + c.home + `","idCardNo":"` + c.card + `"}}}`
			mapped, err := mapRecord(recordOf(Orders, []byte(raw)))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, s := range mapped[0].GetHeader().GetPerson().GetSightings() {
				if (s.GetType() == "phone") != isMobile(s.GetValue()) || s.GetScope() != "" {
					t.Errorf("%s is seen as %s in the scope %q", s.GetValue(), s.GetType(), s.GetScope())
				}
				got = append(got, strings.TrimPrefix(s.GetRole().String(), "ROLE_")+" "+s.GetValue())
			}
			if strings.Join(got, ", ") != c.want {
				t.Errorf("seen: %v, want %s", got, c.want)
			}
		})
	}
}
