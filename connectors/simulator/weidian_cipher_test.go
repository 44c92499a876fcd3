package simulator

import "testing"

func TestSealWeidianVectors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ key, plain, want string }{
		"phone":      {"00112233445566778899aabbccddeeff", "13800138000", "qm5GAS+soIIAf3pvSVvA7NKBZvocWHXWGOzjr9FzTN4="},
		"name":       {"00112233445566778899aabbccddeeff", "张三", "cfxvQgwk+QTw5tl5/5wJgsEsm749OnFCxRSZP3KVecM="},
		"empty text": {"00112233445566778899aabbccddeeff", "", "4S4DSdPxkgKNJUZQE1OZZtt9oAoOFYF03p+twaLkEZY="},
		"two blocks": {"0f1e2d3c4b5a69788796a5b4c3d2e1f0", "浙江省杭州市西湖区测试路1号2单元303室",
			"GCmtTw4diUA0Y1ni/ANSVpxdAphn2IM4MbZVgZUUqnU96vmmJuCQrxtOGLaE6PKuQ+M+zpwOyflSC2pfc+Pb1A=="},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := sealWeidian(c.key, c.plain); err != nil || got != c.want {
				t.Errorf("sealWeidian(%q) = %s, %v, want %s", c.plain, got, err, c.want)
			}
		})
	}
	if _, err := sealWeidian("abc", "x"); err == nil {
		t.Error("a short key was taken")
	}
}
