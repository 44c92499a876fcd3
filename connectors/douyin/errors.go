package douyin

import (
	_ "embed"
	"strings"

	"oneid/connectors"
)

//go:embed codes.yaml
var codesTable []byte

// codes are what the platform's codes mean.
var codes = connectors.MustCodes(codesTable)

// oldCode begins the name of a code of the envelope of 2020 (err_no) in the
// table.
const oldCode = "err_no."

// subTooMany says that a query has more rows than maxRows.
const subTooMany = "isv.parameter-invalid:20013"

// refusal is the platform's refusal of a call; scheme is oldCode for a code of
// the old envelope, and empty otherwise.
func refusal(scheme, shop, method, code, sub, requestID string) *connectors.Error {
	e := &connectors.Error{Platform: Platform, Shop: shop, Op: method, SystemCode: clean(code), SubCode: clean(sub), RequestID: clean(requestID)}
	codes.Find(scheme+e.SystemCode, e.SubCode).Apply(e)
	return e
}

// clean keeps of a code what codes are made of: an answer's text is never
// repeated as it came.
func clean(code string) string {
	code = strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune(".-_:", r) {
			return r
		}
		return -1
	}, code)
	return code[:min(len(code), 100)]
}
