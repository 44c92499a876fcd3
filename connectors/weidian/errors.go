package weidian

import (
	_ "embed"
	"strings"

	"oneid/connectors"
)

//go:embed codes.yaml
var codesTable []byte

// codes are what the platform's codes mean.
var codes = connectors.MustCodes(codesTable)

// refusal is the platform's refusal of a call.
func refusal(shop, method, code string) *connectors.Error {
	e := &connectors.Error{Platform: Platform, Shop: shop, Op: method, SystemCode: clean(code)}
	codes.Find(e.SystemCode, "").Apply(e)
	return e
}

// clean keeps of a code what codes are made of: an answer's text is never
// repeated as it came.
func clean(code string) string {
	code = strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return -1
	}, code)
	return code[:min(len(code), 20)]
}

// withoutRefundList says that the app may not list refunds, or that there is
// no such method for it.
func withoutRefundList(code string) bool {
	return code == "10006" || code == "10009" || code == "10011"
}
