package douyin

import (
	_ "embed"

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

// subNoData says that there is nothing of what was asked for.
const subNoData = "isv.parameter-invalid:11003"

// refusal is the platform's refusal of a call; scheme is oldCode for a code of
// the old envelope, and empty otherwise.
func refusal(scheme, shop, method, code, sub, requestID string) *connectors.Error {
	e := &connectors.Error{Platform: Platform, Shop: shop, Op: method, SystemCode: connectors.CleanCode(code), SubCode: connectors.CleanCode(sub), RequestID: connectors.CleanCode(requestID)}
	codes.Find(scheme+e.SystemCode, e.SubCode).Apply(e)
	return e
}
