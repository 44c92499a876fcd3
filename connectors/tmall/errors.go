package tmall

import (
	_ "embed"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"oneid/connectors"
)

//go:embed codes.yaml
var codesTable []byte

// codes are what the platform's codes mean.
var codes = connectors.MustCodes(codesTable)

// The answers that ask for a shorter window.
const (
	subTooMuch  = "isp.runtime-max-limit"
	subRejected = "isv.trade-service-rejection"
)

// narrower says that a call may succeed with a shorter window.
func narrower(err error) bool {
	var e *connectors.Error
	return errors.As(err, &e) && (e.SubCode == subTooMuch || e.SubCode == subRejected)
}

// classify makes an error of the platform's codes.
func classify(shop, method, code, sub, subMsg, request string) error {
	e := &connectors.Error{Platform: Platform, Shop: shop, Op: method, SystemCode: connectors.CleanCode(code), SubCode: connectors.CleanCode(sub), RequestID: connectors.CleanCode(request)}
	// The argument's name stands behind a colon: isv.invalid-parameter:fields.
	name, _, _ := strings.Cut(e.SubCode, ":")
	codes.Find(e.SystemCode, name).Apply(e)
	if e.Class == connectors.Throttle {
		e.Wait = banWait(subMsg)
	}
	return e
}

// banWait reads the seconds of "This ban will last for 1 more seconds", at
// least one; 0 where the text names none.
func banWait(text string) time.Duration {
	start := strings.IndexAny(text, "0123456789")
	if start < 0 {
		return 0
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
