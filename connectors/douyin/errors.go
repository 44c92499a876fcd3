package douyin

import (
	"strings"

	"oneid/connectors"
)

// rule is what a code means. sub is a prefix of the platform's sub_code, or
// the whole of it when it ends with a digit; "" fits any.
type rule struct {
	code, sub string
	class     connectors.Class
	kind      error
	mend      string
}

const (
	mendKeys     = "look up app_key and app_secret in the app's page on op.jinritemai.com"
	mendConsent  = "let the merchant authorise the app for this shop again"
	mendRight    = "apply for the method's permission package in the app's page on op.jinritemai.com"
	mendReport   = "this is a fault of the connector: report it with the codes"
	mendLater    = "the platform is disturbed: try again later"
	mendMember   = "have 会员通 opened for the shop and put the outer platform's number into app_id; users come without phones until then"
	mendAddress  = "put this machine's outgoing address on the app's IP allow-list"
	mendGone     = "the platform has taken this method out of service: a newer version of OneID is needed"
	mendTooMany  = "too many rows change within a second for the platform to list them"
	mendTooOld   = "the platform lists no orders older than 90 days: lower backfill_days, and import export files for what is older"
	mendSecurity = "the platform's security check stopped the call: ask its support, with the request's id"
)

// rules are the platform's codes, the special before the general.
var rules = []rule{
	{code: "20000", class: connectors.Retry, mend: mendLater},
	{code: "20001", class: connectors.Retry, mend: mendLater},
	{code: "30001", sub: "dop.authorization-no-existed", class: connectors.StopShop, kind: connectors.ErrUnauthorized, mend: mendConsent},
	{code: "30001", sub: "dop.authorization-closed", class: connectors.StopShop, kind: connectors.ErrUnauthorized, mend: mendConsent},
	{code: "30001", sub: "dop.app-forbidden", class: connectors.StopShop, kind: connectors.ErrForbidden, mend: "the platform has banned the app: ask its support"},
	{code: "30001", class: connectors.StopStream, kind: connectors.ErrForbidden, mend: mendRight},
	{code: "30002", class: connectors.StopShop, kind: connectors.ErrForbidden, mend: mendAddress},
	{code: "40001", class: connectors.StopShop, mend: mendReport},
	{code: "40002", class: connectors.StopStream, mend: mendReport},
	{code: "40003", sub: "isv.access-token-expired", class: connectors.Refresh, kind: connectors.ErrUnauthorized, mend: mendConsent},
	{code: "40003", sub: "isv.access-token-no-existed", class: connectors.Refresh, kind: connectors.ErrUnauthorized, mend: mendConsent},
	{code: "40003", sub: "isv.access-token-invalid", class: connectors.Refresh, kind: connectors.ErrUnauthorized, mend: mendConsent},
	{code: "40003", sub: "isv.authorization-type-invalid", class: connectors.StopShop, kind: connectors.ErrUnauthorized, mend: mendConsent},
	{code: "40003", sub: "isv.signature-invalid", class: connectors.StopShop, kind: connectors.ErrUnauthorized, mend: mendKeys},
	{code: "40003", sub: "isv.app-id-", class: connectors.StopShop, kind: connectors.ErrUnauthorized, mend: mendKeys},
	{code: "40003", sub: "isv.timestamp-", class: connectors.StopShop, kind: connectors.ErrClock, mend: "let this machine's clock follow a time server (NTP)"},
	{code: "40003", class: connectors.StopStream, mend: mendReport},
	{code: "40004", sub: subTooMany, class: connectors.StopStream, mend: mendTooMany},
	{code: "40004", sub: "isv.parameter-invalid:20022", class: connectors.StopStream, mend: mendTooOld},
	{code: "40004", sub: "isv.parameter-invalid:20014", class: connectors.SkipRecord},
	{code: "40004", sub: "isv.parameter-invalid:20001", class: connectors.SkipRecord},
	{code: "40004", class: connectors.StopStream, mend: mendReport},
	{code: "50000", class: connectors.StopShop, kind: connectors.ErrUnauthorized, mend: mendKeys},
	{code: "50001", sub: "dop.token-generate-failed:token-", class: connectors.StopShop, kind: connectors.ErrUnauthorized, mend: mendConsent},
	{code: "50001", sub: "dop.token-generate-failed:no-authorization", class: connectors.StopShop, kind: connectors.ErrUnauthorized, mend: mendConsent},
	{code: "50001", sub: "dop.token-generate-failed:code-", class: connectors.StopShop, kind: connectors.ErrUnauthorized, mend: mendConsent},
	{code: "50001", sub: "dop.token-generate-failed:app-forbidden", class: connectors.StopShop, kind: connectors.ErrForbidden, mend: "the platform has banned the app: ask its support"},
	{code: "50001", class: connectors.StopShop, kind: connectors.ErrUnauthorized, mend: mendKeys},
	{code: "50002", sub: "isv.business-failed:31012", class: connectors.Retry, mend: mendLater},
	{code: "50002", sub: "isv.business-failed:31009", class: connectors.StopShop, kind: connectors.ErrUnauthorized, mend: mendConsent},
	{code: "50002", sub: "isv.business-failed:20004", class: connectors.Retry, mend: mendLater},
	{code: "50002", sub: "isv.business-failed:20045", class: connectors.Retry, mend: mendLater},
	{code: "50002", sub: "isv.business-failed:20055", class: connectors.Retry, mend: mendLater},
	{code: "50002", sub: "isv.business-failed:628145015", class: connectors.Retry, mend: mendLater},
	{code: "50002", sub: "isv.business-failed:628004002", class: connectors.Retry, mend: mendLater},
	{code: "50002", sub: "isv.business-failed:628145010", class: connectors.Throttle, mend: "the platform moves the shop's members: wait"},
	{code: "50002", sub: "isv.business-failed:628002006", class: connectors.Throttle, kind: connectors.ErrThrottled},
	{code: "50002", sub: "isv.business-failed:628005200", class: connectors.StopStream, kind: connectors.ErrForbidden, mend: mendMember},
	{code: "50002", sub: "isv.business-failed:628145011", class: connectors.StopStream, kind: connectors.ErrForbidden, mend: mendMember},
	{code: "50002", sub: "isv.business-failed:628145008", class: connectors.StopStream, kind: connectors.ErrForbidden, mend: mendMember},
	{code: "50002", sub: "isv.business-failed:628145001", class: connectors.StopStream, kind: connectors.ErrForbidden, mend: mendMember},
	{code: "50002", sub: "isv.business-failed:628145002", class: connectors.StopStream, kind: connectors.ErrForbidden, mend: mendMember},
	{code: "50002", sub: "isv.business-failed:10002", class: connectors.StopStream, mend: mendReport},
	{code: "50002", class: connectors.SkipRecord},
	{code: "60000", class: connectors.Throttle, kind: connectors.ErrThrottled, mend: "lower requests_per_second"},
	{code: "70000", class: connectors.StopStream, mend: mendGone},
	{code: "80000", class: connectors.StopShop, kind: connectors.ErrForbidden, mend: mendSecurity},
	{code: "90000", class: connectors.Retry, mend: mendLater},
}

// oldRules are the codes of the envelope of 2020 (err_no), where the same
// numbers mean other things.
var oldRules = []rule{
	{code: "1", class: connectors.Refresh, kind: connectors.ErrUnauthorized, mend: mendConsent},
	{code: "2", class: connectors.StopStream, kind: connectors.ErrForbidden, mend: mendRight},
	{code: "7", class: connectors.Retry, mend: mendLater},
	{code: "8", class: connectors.Retry, mend: mendLater},
	{code: "9", class: connectors.Throttle, kind: connectors.ErrThrottled, mend: "lower requests_per_second"},
	{code: "11", class: connectors.StopShop, kind: connectors.ErrUnauthorized, mend: mendKeys},
	{code: "30001", class: connectors.StopShop, kind: connectors.ErrUnauthorized, mend: mendConsent},
	{code: "30002", class: connectors.Refresh, kind: connectors.ErrUnauthorized, mend: mendConsent},
	{code: "30003", class: connectors.StopShop, kind: connectors.ErrUnauthorized, mend: mendConsent},
	{code: "30004", class: connectors.StopShop, kind: connectors.ErrForbidden, mend: "the platform has banned the app: ask its support"},
	{code: "30005", class: connectors.Refresh, kind: connectors.ErrUnauthorized, mend: mendConsent},
	{code: "30006", class: connectors.StopShop, kind: connectors.ErrUnauthorized, mend: mendConsent},
	{code: "30007", class: connectors.Refresh, kind: connectors.ErrUnauthorized, mend: mendConsent},
}

// subTooMany says that a query has more rows than maxRows.
const subTooMany = "isv.parameter-invalid:20013"

// refusal is the platform's refusal of a call, classified by the first rule
// that fits; what no rule knows stops the stream, since nobody knows whether
// repeating it does harm.
func refusal(rules []rule, shop, method, code, sub, requestID string) *connectors.Error {
	e := &connectors.Error{
		Platform: Platform, Shop: shop, Op: method, SystemCode: code, SubCode: sub, RequestID: requestID,
		Class: connectors.StopStream, Mend: mendReport,
	}
	for _, r := range rules {
		if r.code == code && r.fits(sub) {
			e.Class, e.Kind, e.Mend = r.class, r.kind, r.mend
			break
		}
	}
	return e
}

func (r rule) fits(sub string) bool {
	if r.sub != "" && r.sub[len(r.sub)-1] >= '0' && r.sub[len(r.sub)-1] <= '9' {
		return sub == r.sub
	}
	return strings.HasPrefix(sub, r.sub)
}
