package simulator

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
)

// weidianPadding is the block of the PKCS7 padding: 32, though AES has 16.
const weidianPadding = 32

// sealWeidian encrypts a text as the 2.0 methods do: AES-128-CBC with the 16
// bytes that aesKey (32 hex characters) stands for, an IV of the first 16
// bytes of the base64 decoding of aesKey's own text, PKCS7 padding to 32
// bytes, standard base64. Equal texts give equal ciphertexts; the empty text
// is encrypted too.
func sealWeidian(aesKey, plain string) (string, error) {
	block, iv, err := weidianBlock(aesKey)
	if err != nil {
		return "", err
	}
	pad := weidianPadding - len(plain)%weidianPadding
	text := append([]byte(plain), bytes.Repeat([]byte{byte(pad)}, pad)...)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(text, text)
	return base64.StdEncoding.EncodeToString(text), nil
}

func weidianBlock(aesKey string) (cipher.Block, []byte, error) {
	key, err := hex.DecodeString(aesKey)
	if err != nil || len(key) != 16 {
		return nil, nil, errors.New("simulator: weidian key is not 32 hex characters")
	}
	iv, err := base64.StdEncoding.DecodeString(aesKey)
	if err != nil {
		return nil, nil, fmt.Errorf("simulator: make a weidian IV: %w", err)
	}
	block, err := aes.NewCipher(key)
	return block, iv[:16], err
}
