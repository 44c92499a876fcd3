package tmall

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"oneid/connectors"
)

// A rule says what a code of the platform means.
type rule struct {
	class connectors.Class
	kind  error
	// name is the platform's own text for the code.
	name string
	mend string
}

const (
	mendReport = "this is a fault of the connector: report it with the method and the codes"
	mendRights = "apply for the method's permission package in the app's page on open.taobao.com, then let the seller authorise the app again"
	mendKeys   = "check app_key and app_secret against the app's page on open.taobao.com"
	mendClock  = "set this machine's clock: it is more than ten minutes off"
)

// systemCodes are the platform's codes below 100.
var systemCodes = map[string]rule{
	"3":  {connectors.StopStream, nil, "Upload Fail", mendReport},
	"4":  {connectors.Throttle, connectors.ErrThrottled, "User Call Limited", ""},
	"5":  {connectors.Throttle, connectors.ErrThrottled, "Session Call Limited", ""},
	"6":  {connectors.Throttle, connectors.ErrThrottled, "Partner Call Limited", ""},
	"7":  {connectors.Throttle, connectors.ErrThrottled, "App Call Limited", ""},
	"8":  {connectors.Throttle, connectors.ErrThrottled, "App Call Exceeds Limited Frequency", ""},
	"9":  {connectors.StopStream, nil, "Http Action Not Allowed", mendReport},
	"10": {connectors.Retry, nil, "Service Currently Unavailable", ""},
	"11": {connectors.StopStream, connectors.ErrForbidden, "Insufficient ISV Permissions", mendRights},
	"12": {connectors.StopShop, connectors.ErrForbidden, "Insufficient User Permissions", mendRights},
	"13": {connectors.StopShop, connectors.ErrForbidden, "Insufficient Partner Permissions", mendRights},
	"21": {connectors.StopStream, nil, "Missing Method", mendReport},
	"22": {connectors.StopStream, nil, "Invalid Method", mendReport},
	"23": {connectors.StopStream, nil, "Invalid Format", mendReport},
	"24": {connectors.StopShop, connectors.ErrUnauthorized, "Missing Signature", mendReport},
	"25": {connectors.StopShop, connectors.ErrUnauthorized, "Invalid Signature", mendKeys},
	"26": {connectors.Refresh, connectors.ErrUnauthorized, "Missing Session", ""},
	"27": {connectors.Refresh, connectors.ErrUnauthorized, "Invalid Session", ""},
	"28": {connectors.StopShop, connectors.ErrUnauthorized, "Missing App Key", mendKeys},
	"29": {connectors.StopShop, connectors.ErrUnauthorized, "Invalid App Key", mendKeys},
	"30": {connectors.StopShop, connectors.ErrClock, "Missing Timestamp", mendReport},
	"31": {connectors.StopShop, connectors.ErrClock, "Invalid Timestamp", mendClock},
	"32": {connectors.StopStream, nil, "Missing Version", mendReport},
	"33": {connectors.StopStream, nil, "Invalid Version", mendReport},
	"34": {connectors.StopStream, nil, "Unsupported Version", mendReport},
	"40": {connectors.StopStream, nil, "Missing Required Arguments", mendReport},
	"41": {connectors.StopStream, nil, "Invalid Arguments", mendReport},
	"42": {connectors.StopStream, nil, "Forbidden Request", mendRights},
	"43": {connectors.StopStream, nil, "Parameter Error", mendReport},
	"53": {connectors.Refresh, connectors.ErrUnauthorized, "Invalid Session", ""},
}

// subCodes win over the system code.
var subCodes = map[string]rule{
	"invalid-sessionkey":                            {connectors.Refresh, connectors.ErrUnauthorized, "", ""},
	"session-expired":                               {connectors.Refresh, connectors.ErrUnauthorized, "", ""},
	"session-not-exist":                             {connectors.Refresh, connectors.ErrUnauthorized, "", ""},
	"isp.system-busy":                               {connectors.Throttle, connectors.ErrThrottled, "", ""},
	"isp.call-limited":                              {connectors.Throttle, connectors.ErrThrottled, "", ""},
	"isv.permission-ip-whitelist-limit":             {connectors.StopShop, connectors.ErrForbidden, "", "add this machine's address to the app's IP list on open.taobao.com"},
	"isv.api-not-exist":                             {connectors.StopStream, nil, "", mendReport},
	"isv.oaid-field-miss":                           {connectors.StopStream, nil, "", mendReport},
	"isv.trade-not-exist":                           {connectors.SkipRecord, nil, "", ""},
	"accesscontrol.limited-by-app-access-count":     {connectors.Throttle, connectors.ErrThrottled, "the app's calls of the day are used up", "wait, or ask the platform for a larger quota"},
	"accesscontrol.limited-by-dynamic-access-count": {connectors.Throttle, connectors.ErrThrottled, "the platform slows calls down", ""},
	"accesscontrol.limited-by-api-access-count":     {connectors.Throttle, connectors.ErrThrottled, "the method's limit", ""},
	"accesscontrol.limited-by-app-api-access-count": {connectors.Throttle, connectors.ErrThrottled, "the app's limit on the method", ""},
	subTooMuch:  {connectors.StopStream, nil, "too much for one window", mendReport},
	subRejected: {connectors.StopStream, nil, "too many timeouts", "the platform could not answer even a short window in time: try later, outside of its sales"},
}

// The answers that ask for a shorter window.
const (
	subTooMuch  = "isp.runtime-max-limit"
	subRejected = "isv.trade-service-rejection"
)

// rejectedWait is how long to leave the platform alone after subRejected.
const rejectedWait = 3 * time.Minute

// narrower says that a call may succeed with a shorter window, and how long
// to wait before.
func narrower(err error) (wait time.Duration, ok bool) {
	var e *connectors.Error
	if !errors.As(err, &e) {
		return 0, false
	}
	switch e.SubCode {
	case subTooMuch:
		return 0, true
	case subRejected:
		return rejectedWait, true
	}
	return 0, false
}

// classify makes an error of the platform's codes. Sub-codes by name first,
// then isp.* (the platform's fault) and isv.* (ours) where the system code
// (15, 50, 520 …) says nothing, then the system code.
func classify(shop, method, code, sub, subMsg, request string) error {
	e := &connectors.Error{Platform: Platform, Shop: shop, Op: method, SystemCode: clean(code), SubCode: clean(sub), RequestID: clean(request)}
	// The argument's name stands behind a colon: isv.invalid-parameter:fields.
	name, _, _ := strings.Cut(e.SubCode, ":")
	system, known := systemCodes[e.SystemCode]
	r, found := subCodes[name]
	switch {
	case found:
	case strings.HasPrefix(name, "accesscontrol."):
		r = rule{connectors.Throttle, connectors.ErrThrottled, "", ""}
	case known:
		r = system
	case strings.HasPrefix(name, "isp."):
		r = rule{connectors.Retry, nil, "", ""}
	case strings.HasPrefix(name, "isv."):
		r = rule{connectors.StopStream, nil, "", mendReport}
	default:
		r = rule{connectors.Retry, nil, "", ""}
	}
	e.Class, e.Kind, e.Mend, e.Message = r.class, r.kind, r.mend, r.name
	if e.Message == "" {
		e.Message = system.name
	}
	if e.Class == connectors.Throttle {
		e.Wait = banWait(subMsg)
	}
	return e
}

// clean keeps of a code what codes are made of: an answer's text is never
// repeated as it came.
func clean(code string) string {
	code = strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune(".-_:,", r) {
			return r
		}
		return -1
	}, code)
	return code[:min(len(code), 100)]
}

// banWait reads the seconds of "This ban will last for 1 more seconds"; at
// least one second.
func banWait(text string) time.Duration {
	start := strings.IndexAny(text, "0123456789")
	if start < 0 {
		return time.Second
	}
	digits := text[start:]
	if end := strings.IndexFunc(digits, func(r rune) bool { return r < '0' || r > '9' }); end >= 0 {
		digits = digits[:end]
	}
	seconds, err := strconv.Atoi(digits)
	if err != nil || seconds > math.MaxInt32 {
		seconds = 24 * 60 * 60
	}
	return max(time.Duration(seconds)*time.Second, time.Second)
}
