package simulator

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// What a sensitive text is: the platform's data_type and encrypt_type.
const (
	douyinAddress = 1
	douyinName    = 2
	douyinPhone   = 3
)

// douyinCipher makes and opens the platform's ciphertexts. Each call of seal
// gives another text for the same value, so that equality of ciphertexts says
// nothing, as on the platform.
type douyinCipher struct {
	secret    string
	aead      cipher.AEAD
	withIndex bool
}

func newDouyinCipher(secret string, withIndex bool) *douyinCipher {
	key := sha256.Sum256([]byte("fields" + secret))
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // the key has 32 bytes
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // AES has blocks of 16 bytes
	}
	return &douyinCipher{secret: secret, aead: aead, withIndex: withIndex}
}

// seal is d + index + d + body + d + version + d + d, where d is $ for a
// phone and # for the rest, and the body two base64 texts joined by *. An
// empty value stays empty.
func (c *douyinCipher) seal(kind int, plain string) string {
	if plain == "" {
		return ""
	}
	nonce := make([]byte, c.aead.NonceSize())
	_, _ = rand.Read(nonce) // never fails
	body := c.aead.Seal(nil, nonce, []byte(plain), []byte{byte(kind)})
	d, index := "#", ""
	if kind == douyinPhone {
		d = "$"
	}
	if c.withIndex {
		index = c.index(kind, plain)
	}
	text := base64.StdEncoding
	return d + index + d + text.EncodeToString(nonce) + "*" + text.EncodeToString(body) + d + "1" + d + d
}

// open gives the value of a ciphertext and what it is.
func (c *douyinCipher) open(text string) (plain string, kind int, ok bool) {
	kinds := []int{douyinName, douyinAddress}
	d := "#"
	if strings.HasPrefix(text, "$") {
		d, kinds = "$", []int{douyinPhone}
	}
	inner, found := strings.CutSuffix(text, d+"1"+d+d)
	if !found || !strings.HasPrefix(inner, d) {
		return "", 0, false
	}
	head, tail, found := strings.Cut(inner[strings.LastIndex(inner, d)+1:], "*")
	if !found {
		return "", 0, false
	}
	nonce, err := base64.StdEncoding.DecodeString(head)
	if err != nil || len(nonce) != c.aead.NonceSize() {
		return "", 0, false
	}
	body, err := base64.StdEncoding.DecodeString(tail)
	if err != nil {
		return "", 0, false
	}
	for _, kind := range kinds {
		if plain, err := c.aead.Open(nil, nonce, body, []byte{byte(kind)}); err == nil {
			return string(plain), kind, true
		}
	}
	return "", 0, false
}

// index is the search index of a value: 44 base64 characters for a phone, 4
// for a name or an address. One value has one index.
func (c *douyinCipher) index(kind int, plain string) string {
	mac := hmac.New(sha256.New, []byte("index"+c.secret))
	_, _ = mac.Write(append([]byte{byte(kind)}, plain...)) // a hash takes everything
	sum := mac.Sum(nil)
	if kind != douyinPhone {
		sum = sum[:3]
	}
	return base64.StdEncoding.EncodeToString(sum)
}

// maskDouyinPhone keeps the first digit and the last two.
func maskDouyinPhone(phone string) string { return maskMiddle(phone, 1, 2, 0) }

// maskDouyinName keeps the surname.
func maskDouyinName(name string) string { return maskMiddle(name, 1, 0, 2) }

// maskMiddle keeps head runes at the front and tail runes at the back; the
// rest becomes stars, at least min of them. Too short a text is all stars.
func maskMiddle(text string, head, tail, least int) string {
	runes := []rune(text)
	if len(runes) == 0 {
		return ""
	}
	if len(runes) <= head+tail {
		head, tail = min(head, len(runes)-1), 0
	}
	stars := max(least, len(runes)-head-tail)
	return string(runes[:head]) + strings.Repeat("*", stars) + string(runes[len(runes)-tail:])
}

// maskDouyinAddress keeps the first of each run of three characters.
func maskDouyinAddress(detail string) string {
	runes := []rune(detail)
	for i := range runes {
		if i%3 != 0 {
			runes[i] = '*'
		}
	}
	return string(runes)
}
