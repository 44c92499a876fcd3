package weidian

import (
	_ "embed"

	"oneid/connectors"
)

//go:embed codes.yaml
var codesTable []byte

// codes are what the platform's codes mean.
var codes = connectors.MustCodes(codesTable)

// refusal is the platform's refusal of a call.
func refusal(shop, method, code string) *connectors.Error {
	e := &connectors.Error{Platform: Platform, Shop: shop, Op: method, SystemCode: connectors.CleanCode(code)}
	codes.Find(e.SystemCode, "").Apply(e)
	return e
}

// withoutRefundList says that the app may not list refunds, or that there is
// no such method for it.
func withoutRefundList(code string) bool {
	return code == "10006" || code == "10009" || code == "10011"
}
