package main

import (
	"net/url"
	"strings"
	"testing"
)

// Whatever is pasted: a code or a reason why there is none, which repeats nothing of
// it; and of an address the code is taken of this consent alone.
func FuzzReadCode(f *testing.F) {
	const state = "AN-INVENTED-STATE"
	for _, line := range []string{
		"abc123", " abc123 \r\n", "", "\n", "https://brand.example/back?code=abc&state=" + state + "\n", "https://brand.example/back?state=" + state + "&error=access_denied",
		"https://brand.example/back?code=abc&state=another", "https://brand.example/back?code=%zz", "code=abc", "?code=abc&state=" + state, "https://[::1?code=secret", "a://b",
	} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := readCode(strings.NewReader(text), state)
		line, _, _ := strings.Cut(text, "\n")
		if len(text) > 16<<10 {
			return // it is cut off
		}
		line = strings.TrimSpace(line)
		if (got.err == nil) != (got.code != "") {
			t.Fatalf("code %q beside %v", got.code, got.err)
		}
		address, err := url.Parse(line)
		if got.err != nil {
			if err == nil && len(address.Query().Get("code")) > 20 && strings.Contains(got.err.Error(), address.Query().Get("code")) {
				t.Errorf("the error repeats the code: %v", got.err)
			}
			return
		}
		if got.code == line {
			if strings.Contains(line, "://") {
				t.Errorf("the address %q is taken for a code", line)
			}
			return
		}
		if err != nil || address.Query().Get("state") != state || address.Query().Get("code") != got.code {
			t.Errorf("of %q the code is %q", line, got.code)
		}
	})
}
