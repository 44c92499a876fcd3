package sobot

import (
	_ "embed"
	"strings"

	"oneid/connectors"
)

//go:embed codes.yaml
var codesTable []byte

// codes are what the desk's codes mean.
var codes = connectors.MustCodes(codesTable)

// tokenOp is the desk's name of the call that gives tokens.
const tokenOp = "get_token"

// refusal is the desk's refusal of a call. Whoever gets no token can read
// nothing: that is the shop's matter and not a stream's, whatever the code.
func refusal(shop, method, code string) *connectors.Error {
	e := &connectors.Error{Platform: Platform, Shop: shop, Op: method, SystemCode: connectors.CleanCode(code)}
	found := codes.Find(e.SystemCode, "")
	found.Apply(e)
	if method == tokenOp && e.Class >= connectors.Refresh {
		e.Class, e.Kind = connectors.StopShop, connectors.ErrUnauthorized
		e.Mend = "look up url, app_id and app_key: Sobot's after-sales staff give them out; and let this machine's clock follow a time server (NTP)"
	}
	return e
}

// good says that a code is that of success. Which one that is, is not
// documented: it is taken to be made of zeros.
func good(code string) bool { return code != "" && strings.Trim(code, "0") == "" }
