package weidian

import "oneid/connectors"

// meaning is what a code means.
type meaning struct {
	class connectors.Class
	kind  error
	mend  string
}

const (
	mendLater     = "the platform is disturbed: try again later"
	mendSlower    = "lower requests_per_second"
	mendKeys      = "look up app_key and app_secret in the app's page on open.weidian.com"
	mendAuthorise = "let the merchant authorise the app again"
	mendRight     = "apply for the method in the app's page on open.weidian.com"
	mendAddress   = "put this machine's outgoing address on the app's IP allow-list"
	mendApp       = "ask the platform about the state of the app"
	mendReport    = "this is a fault of the connector: report it with the code"
)

// meanings are the platform's codes.
var meanings = map[string]meaning{
	"-1":    {connectors.Retry, nil, mendLater},
	"10000": {connectors.Retry, nil, mendLater},
	"10001": {connectors.Retry, nil, mendLater},
	"10002": {connectors.Retry, nil, mendLater},
	"10004": {connectors.Throttle, connectors.ErrThrottled, mendSlower},
	"10005": {connectors.Throttle, connectors.ErrThrottled, mendSlower},
	"10013": {connectors.Refresh, connectors.ErrUnauthorized, mendAuthorise},
	"10016": {connectors.Refresh, connectors.ErrUnauthorized, mendAuthorise},
	"10026": {connectors.Refresh, connectors.ErrUnauthorized, mendAuthorise},
	"10021": {connectors.Refresh, connectors.ErrUnauthorized, mendAuthorise},
	"10023": {connectors.StopShop, connectors.ErrUnauthorized, mendAuthorise},
	"10017": {connectors.StopShop, connectors.ErrUnauthorized, mendAuthorise},
	"10003": {connectors.StopShop, connectors.ErrForbidden, mendAddress},
	"10006": {connectors.StopStream, connectors.ErrForbidden, mendRight},
	"10009": {connectors.StopStream, connectors.ErrForbidden, mendRight},
	"10014": {connectors.StopShop, connectors.ErrUnauthorized, mendKeys},
	"10015": {connectors.StopShop, connectors.ErrUnauthorized, mendKeys},
	"10022": {connectors.StopShop, connectors.ErrUnauthorized, mendKeys},
	"10024": {connectors.StopShop, connectors.ErrForbidden, mendApp},
	"10025": {connectors.StopShop, connectors.ErrForbidden, mendApp},
	"10027": {connectors.StopShop, connectors.ErrForbidden, "an app in test serves five merchants: have it released"},
	"10028": {connectors.StopShop, connectors.ErrForbidden, mendApp},
	"10029": {connectors.StopShop, connectors.ErrForbidden, mendApp},
	"10101": {connectors.StopShop, connectors.ErrForbidden, mendApp},
	"10007": {connectors.StopStream, nil, mendReport},
	"10008": {connectors.StopStream, nil, mendReport},
	"10010": {connectors.StopStream, nil, mendReport},
	"10011": {connectors.StopStream, nil, mendReport},
	"10012": {connectors.StopStream, nil, mendReport},
	"10018": {connectors.StopStream, nil, mendReport},
	"10019": {connectors.StopStream, nil, mendReport},
	"10020": {connectors.StopStream, nil, mendReport},
	"10100": {connectors.StopStream, nil, mendReport},
	"10102": {connectors.StopStream, nil, mendReport},
	"20015": {connectors.SkipRecord, nil, mendReport},
	"20032": {connectors.StopStream, nil, mendReport},
	"20046": {connectors.StopStream, nil, mendReport},
	"20055": {connectors.StopStream, connectors.ErrClock, "the window lies in the platform's future: let this machine's clock follow a time server (NTP)"},
	"20501": {connectors.StopStream, nil, mendReport},
	"20502": {connectors.StopStream, nil, "lower page_size"},
	"20018": {connectors.SkipRecord, nil, ""},
	"20025": {connectors.SkipRecord, nil, ""},
}

// refusal is the platform's refusal of a call; what the table does not know
// stops the stream, since nobody knows whether repeating it does harm.
func refusal(shop, method, code string) *connectors.Error {
	m, ok := meanings[code]
	if !ok {
		m = meaning{connectors.StopStream, nil, mendReport}
	}
	return &connectors.Error{
		Platform: Platform, Shop: shop, Op: method, SystemCode: code, Class: m.class, Kind: m.kind, Mend: m.mend,
	}
}

// withoutRefundList says that the app may not list refunds, or that there is
// no such method for it.
func withoutRefundList(code string) bool {
	return code == "10006" || code == "10009" || code == "10011"
}
