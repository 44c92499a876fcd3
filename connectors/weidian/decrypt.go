package weidian

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"unicode/utf8"
)

// block is the size that the platform pads to; AES's own is half of it.
const block = 32

// aesKey is one version of the app's key: 32 hexadecimal characters.
type aesKey struct {
	key cipher.Block
	iv  []byte
}

// newAESKey reads a key. The platform takes the key from the text as
// hexadecimal, and the initial vector from the same text as base64.
func newAESKey(text string) (aesKey, error) {
	key, err := hex.DecodeString(text)
	if err != nil || len(key) != 16 {
		return aesKey{}, errors.New("the AES key is not 32 hexadecimal characters")
	}
	iv, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return aesKey{}, errors.New("the AES key is not 32 hexadecimal characters")
	}
	b, err := aes.NewCipher(key)
	return aesKey{b, iv[:aes.BlockSize]}, err
}

// ciphertext gives the bytes of a value that has the form of the platform's
// ciphertexts: base64 of a multiple of 32 bytes, and of some. In forms a plus
// sign may have become a space. Line breaks are no part of the form, although
// the decoder passes over them.
func ciphertext(value string) ([]byte, bool) {
	if len(value) < base64.StdEncoding.EncodedLen(block) || strings.ContainsAny(value, "\r\n") {
		return nil, false
	}
	raw, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(value, " ", "+"))
	return raw, err == nil && len(raw)%block == 0
}

// isCiphertext says that a value has the form of the platform's ciphertexts.
func isCiphertext(value string) bool {
	_, ok := ciphertext(value)
	return ok
}

// decrypt gives a value in clear; false for one that is no ciphertext under
// this key.
func (k aesKey) decrypt(value string) (string, bool) {
	raw, ok := ciphertext(value)
	if !ok {
		return "", false
	}
	cipher.NewCBCDecrypter(k.key, k.iv).CryptBlocks(raw, raw)
	pad := int(raw[len(raw)-1])
	if pad < 1 || pad > block {
		return "", false
	}
	plain := raw[:len(raw)-pad]
	for _, b := range raw[len(plain):] {
		if int(b) != pad {
			return "", false
		}
	}
	if !utf8.Valid(plain) {
		return "", false
	}
	return string(plain), true
}
