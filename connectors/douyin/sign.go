package douyin

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
)

// The sign methods that the gateway takes.
const (
	signHMAC = "hmac-sha256"
	signMD5  = "md5"
)

// sign signs one call: the five signed parameters in their fixed order, name
// and value joined with nothing between, with the secret at both ends (in the
// HMAC form too, where it is also the key), in lower-case hexadecimal.
// param must be the very bytes that are sent, timestamp the very text.
func sign(signMethod, appKey, secret, method, param, timestamp string) string {
	text := []byte(secret + "app_key" + appKey + "method" + method + "param_json" + param + "timestamp" + timestamp + "v2" + secret)
	if signMethod == signMD5 {
		sum := md5.Sum(text)
		return hex.EncodeToString(sum[:])
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(text)
	return hex.EncodeToString(mac.Sum(nil))
}

// canonical is the text of v that is signed and sent: keys sorted by byte
// order on every level, no spaces, nothing escaped but what JSON asks for
// (and U+2028 and U+2029), numbers as they were written.
func canonical(v any) (string, error) {
	text, err := plain(v)
	if err != nil {
		return "", err
	}
	return canonicalText(text)
}

// canonicalText is the canonical form of one JSON text.
func canonicalText(text []byte) (string, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return "", errors.New("the parameters are not JSON")
	}
	if _, err := d.Token(); err != io.EOF {
		return "", errors.New("the parameters are more than one JSON value")
	}
	sorted, err := plain(v)
	return string(sorted), err
}

// plain is v as JSON without HTML escapes. Maps come out sorted by key.
func plain(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
