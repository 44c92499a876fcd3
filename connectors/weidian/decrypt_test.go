package weidian

import (
	"encoding/hex"
	"testing"
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

func FuzzDecrypt(f *testing.F) {
	f.Add("qm5GAS+soIIAf3pvSVvA7NKBZvocWHXWGOzjr9FzTN4=")
	f.Add("13800138000")
	key, err := newAESKey("00112233445566778899aabbccddeeff")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if _, ok := key.decrypt(value); ok && !isCiphertext(value) {
			t.Errorf("%q was decrypted but has not the form of a ciphertext", value)
		}
		if isCiphertext(value) && mobile.MatchString(value) {
			t.Errorf("%q is both a ciphertext and a phone", value)
		}
	})
}
