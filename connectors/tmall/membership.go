package tmall

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"oneid/connectors"
)

var _ connectors.MemberSPI = (*Connector)(nil)

// memberCall are the parameters that a call of the member centre may carry.
type memberCall struct {
	Nick      text `json:"nick"`
	OpenID    text `json:"open_id"`
	UnionID   text `json:"union_id"`
	Mobile    text `json:"mobile"`
	MixMobile text `json:"mix_mobile"`
	OUID      text `json:"ouid"`
	OMID      text `json:"omid"`
}

// account is the buyer's: the ouid, as everywhere. Older calls carry none; the
// account is then named by the open_id, and evidence joins it to the ouid's.
func (c memberCall) account() string {
	switch {
	case c.OUID != "":
		return string(c.OUID)
	case c.OpenID != "":
		return "open_id:" + string(c.OpenID)
	}
	return ""
}

// ReadMembership implements connectors.MemberSPI.
func (c *Connector) ReadMembership(call connectors.SPICall, now time.Time) (connectors.Membership, error) {
	return readMembership(c.cfg.AppSecret, call, now)
}

func readMembership(secret string, call connectors.SPICall, now time.Time) (connectors.Membership, error) {
	fail := func(kind error, why string) (connectors.Membership, error) {
		return connectors.Membership{}, fmt.Errorf("tmall: membership call: %w: %s", kind, why)
	}
	params := spiSigned(call)
	if !connectors.SameSignature(call.Query.Get("sign"), spiSign(secret, params, call.Body)) {
		return fail(connectors.ErrForged, "is the app_secret that of the app which the member centre calls for, and the body JSON?")
	}
	if recut(params) {
		return fail(connectors.ErrForged, "its parameters were cut anew from those of another call")
	}
	at, ok := spiTime(params["timestamp"], now)
	if !ok {
		return fail(connectors.ErrForged, "its timestamp is none of these ten minutes")
	}
	method := spiMethod(call, params)
	kind, ok := memberKinds[method]
	if !ok {
		return fail(connectors.ErrNotUnderstood, "it names no method that is known")
	}
	m := connectors.Membership{Kind: kind, Call: method, Signature: call.Query.Get("sign"), At: at, Body: call.Body}
	var member memberCall
	if connectors.Decode(m.Body, &member) != nil {
		return fail(connectors.ErrNotUnderstood, "its body is not the JSON that the platform promises")
	}
	if m.Account = member.account(); m.Account == "" || len(m.Account) > maxAccount {
		return fail(connectors.ErrNotUnderstood, "it has neither ouid nor open_id")
	}
	m.Phone, m.MixMobile, m.Nick = string(member.Mobile), string(member.MixMobile), string(member.Nick)
	return m, nil
}

// maxAccount bounds an id: the platform's have some 30 bytes.
const maxAccount = 200

// memberKinds are the calls that the brand implements. The names of the member
// query and of the unbinding are assumed: the documentation that could be read
// names the two calls and not their methods.
var memberKinds = map[string]connectors.MembershipKind{
	"tmall.mei.crm.member.bind.query": connectors.MemberQuery,
	"tmall.mei.crm.member.query":      connectors.MemberQuery,
	"tmall.mei.crm.bind":              connectors.MemberBind,
	"tmall.mei.crm.member.register":   connectors.MemberBind,
	"qimen.alibaba.member.activate":   connectors.MemberBind,
	"tmall.mei.crm.unbind":            connectors.MemberUnbind,
	"tmall.mei.crm.member.unbind":     connectors.MemberUnbind,
}

// spiMethod is which method a call is of: the gateway's method parameter, or
// the last part of the address where the console asks for one a call. Assumed.
func spiMethod(call connectors.SPICall, params map[string]string) string {
	if method := params["method"]; method != "" {
		return method
	}
	return call.Name
}

// spiTime is when a call was signed, by the gateway's timestamp parameter; now
// for a call without one. That it carries one is assumed. False for one that
// is not of these ten minutes.
func spiTime(value string, now time.Time) (time.Time, bool) {
	if value == "" {
		return now.UTC().Truncate(time.Second), true
	}
	at, err := time.ParseInLocation(timeLayout, value, zone)
	if err != nil {
		ms, bad := strconv.ParseInt(value, 10, 64)
		if bad != nil {
			return time.Time{}, false
		}
		at = time.UnixMilli(ms)
	}
	return at.UTC().Truncate(time.Second), now.Sub(at).Abs() <= connectors.MaxCallAge
}

// spiSigned are the parameters of a call that are signed: what the headers listed
// in top-sign-list and the query hold, without sign and without empty ones. Nothing
// else of them may be believed.
func spiSigned(call connectors.SPICall) map[string]string {
	signed := make(map[string]string, len(call.Query))
	for _, name := range strings.Split(call.Header.Get("top-sign-list"), ",") {
		if name = strings.TrimSpace(name); name != "" {
			signed[name] = call.Header.Get(name)
		}
	}
	for name := range call.Query {
		signed[name] = call.Query.Get(name)
	}
	maps.DeleteFunc(signed, func(name, value string) bool { return name == "" || value == "" || name == "sign" })
	return signed
}

// spiSign is the signature of a call of the platform: the secret, then name and
// value of what is signed, sorted by name, then the body, then the secret; MD5, in
// upper-case hexadecimal.
//
// The gateway signs the fields of a form as parameters. That cannot be believed:
// nothing parts a nick, which its buyer chose, from the names behind it, so that he
// writes the identifiers of somebody else into it. The member centre is documented
// to send JSON.
func spiSign(secret string, signed map[string]string, body []byte) string {
	var b bytes.Buffer
	b.WriteString(secret)
	b.WriteString(spiText(signed))
	b.Write(body)
	b.WriteString(secret)
	sum := md5.Sum(b.Bytes()) // as the platform prescribes
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}

func spiText(signed map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(signed)) {
		b.WriteString(name)
		b.WriteString(signed[name])
	}
	return b.String()
}

// recut says that the parameters may have the signature of others. Nothing parts
// names from values in what is signed, nor these from the body: whoever has seen one
// call could let its timestamp or its method end in the value before it, and make of
// it a call of today, or one of another method, or let the body begin elsewhere. A
// body begins with the first brace of what is signed: what it says stands fast.
func recut(signed map[string]string) bool {
	text := spiText(signed)
	if strings.Contains(text, "{") {
		return true
	}
	for name, hidden := range hiddenParams {
		// Of two that look like it one is a part of another.
		if seen := len(hidden.FindAllStringIndex(text, 2)); seen > 1 || seen == 1 && signed[name] == "" {
			return true
		}
	}
	return false
}

// hiddenParams are how a parameter looks that has become a part of another. A
// sign_method, which a call may have, is none.
var hiddenParams = map[string]*regexp.Regexp{
	"timestamp": regexp.MustCompile(`timestamp[0-9]`),
	"method":    regexp.MustCompile(`method[a-z]+\.[a-z]`),
}

// CarriesPoints implements connectors.MemberSPI: only the query's answer is
// documented to carry points and level.
func (c *Connector) CarriesPoints(kind connectors.MembershipKind) bool {
	return kind == connectors.MemberQuery
}

// answerCode is under which name the answer to a method carries its code.
// query_code is documented, of the member query; the others are assumed, after
// the last word of the method.
func answerCode(method string) string {
	if i := strings.LastIndexByte(method, '.'); i >= 0 && method[i+1:] != "" {
		return method[i+1:] + "_code"
	}
	return "query_code"
}

// memberCodes are the documented codes of the member query's answer; that the others
// have the same is assumed. So is that whoever is told "no such member" where the
// platform asks whether a buyer may be bound (bind.query) goes on to be registered:
// no document says what bind.query's codes mean.
var memberCodes = map[connectors.MembershipOutcome]string{
	connectors.MembershipDone:      "SUC",
	connectors.MembershipNobody:    "E01",
	connectors.MembershipUnbound:   "E02",
	connectors.MembershipAgain:     "E04", // our fault: the platform tries again
	connectors.MembershipMalformed: "E04", // an unknown form may be known by the time it tries again
	connectors.MembershipForged:    "E04", // with the right secret the next try succeeds
}

// AnswerMembership implements connectors.MemberSPI.
func (c *Connector) AnswerMembership(m connectors.Membership, a connectors.MembershipAnswer) connectors.SPIReply {
	answer := map[string]any{answerCode(m.Call): memberCodes[a.Outcome]}
	if a.Outcome == connectors.MembershipDone && m.Kind == connectors.MemberQuery {
		extend := map[string]string{}
		if a.Card != "" {
			extend["card_no"] = a.Card
		}
		text, _ := json.Marshal(extend) // texts always have a JSON form
		answer["member"] = map[string]string{
			"point": strconv.FormatInt(a.Points, 10), "level": a.Level, "nick": m.Nick, "mobile": m.Phone, "extend": string(text),
		}
	}
	body, _ := json.Marshal(answer) // as above
	status := http.StatusOK
	if a.Outcome == connectors.MembershipForged {
		status = http.StatusForbidden
	}
	return connectors.SPIReply{Status: status, Body: body}
}
