package sobot

import (
	"crypto/md5" // the desk's own choice
	"crypto/subtle"
	"encoding/hex"
)

// tokenSign signs a request for a token: the MD5 of the app's id, the time in
// seconds and the app's key, one after the other, in lower-case hexadecimal.
func tokenSign(appID, createTime, appKey string) string { return hash(appID, createTime, appKey) }

// pushSign signs a call of the desk to the brand: the MD5 of the company's id,
// the timestamp as its header says it, the secret and the body. The desk
// documents it for its look-ups in a brand's CRM; that pushes of tickets are
// signed the same way is assumed.
func pushSign(companyID, timestamp, secret string, body []byte) string {
	return hash(companyID, timestamp, secret, string(body))
}

func hash(parts ...string) string {
	sum := md5.New() // as above
	for _, part := range parts {
		_, _ = sum.Write([]byte(part)) // a hash takes everything
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// same compares two signatures in a time that says nothing of them.
func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
