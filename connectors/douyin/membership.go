package douyin

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"oneid/connectors"
)

var _ connectors.MemberSPI = (*Connector)(nil)

// memberCall are the parameters that a membership call may carry. Those of the
// shop product are assumed to be the local-life product's. Its phones are
// encrypted where they tell of another phone, and by some contracts when a
// member joins; that the text has the form of those of orders is assumed.
type memberCall struct {
	OpenID  text `json:"open_id"`
	UnionID text `json:"union_id"`
	ShopID  text `json:"shop_id"`
	Mobile  text `json:"mobile"`
	// UpdateTime is when it happened, in Unix seconds.
	UpdateTime text `json:"update_time"`
	Info       object[struct {
		Mobile object[struct {
			New text `json:"new_mobile"`
		}] `json:"mobile"`
	}] `json:"info"`
}

// phone is the one that holds from now on.
func (c memberCall) phone() text {
	if c.Info.V.Mobile.V.New != "" {
		return c.Info.V.Mobile.V.New
	}
	return c.Mobile
}

// ReadMembership implements connectors.MemberSPI.
func (c *Connector) ReadMembership(call connectors.SPICall, now time.Time) (connectors.Membership, error) {
	return readMembership(c.shop, c.cfg.AppKey, c.cfg.AppSecret, call, now)
}

func readMembership(shop, appKey, secret string, call connectors.SPICall, now time.Time) (connectors.Membership, error) {
	fail := func(kind error, why string) (connectors.Membership, error) {
		return connectors.Membership{}, fmt.Errorf("douyin: membership call: %w: %s", kind, why)
	}
	param := call.Query.Get("param_json")
	if param == "" {
		param = string(call.Body)
	}
	signed, ok := spiSigned(appKey, secret, param, call)
	if !ok {
		return fail(connectors.ErrForged, "are app_key and app_secret those of the app which the platform calls for?")
	}
	if !connectors.Unambiguous([]byte(param)) {
		return fail(connectors.ErrNotUnderstood, "its parameters are not JSON, or name one thing twice")
	}
	signedAt, ok := spiTime(call.Query.Get("timestamp"))
	if !ok || now.Sub(signedAt).Abs() > connectors.MaxCallAge {
		return fail(connectors.ErrForged, "its timestamp is none of these ten minutes")
	}
	var params memberCall
	if connectors.Decode([]byte(signed), &params) != nil {
		return fail(connectors.ErrNotUnderstood, "its parameters are not the JSON that the platform promises")
	}
	kind, ok := memberKind(call, params)
	if !ok {
		return fail(connectors.ErrNotUnderstood, "its address names no call that is known")
	}
	if params.OpenID == "" || len(params.OpenID) > maxAccount {
		return fail(connectors.ErrNotUnderstood, "it has no open_id")
	}
	if params.ShopID != "" && string(params.ShopID) != shop {
		return fail(connectors.ErrNotUnderstood, "it is of another shop")
	}
	m := connectors.Membership{
		Kind: kind, Call: call.Name, Account: memberAccount(string(params.OpenID)), At: signedAt, Body: json.RawMessage(signed),
		// One text has one key, however it was signed and in whatever form it came.
		Signature: spiSign(signHMAC, appKey, secret, signed, call.Query.Get("timestamp")),
	}
	switch phone := string(params.phone()); {
	case mobile.MatchString(phone):
		m.Phone = phone
	case phone != "":
		m.Sealed, m.PhoneIndex = true, phoneIndex(phone)
	}
	// A time that is still to come would hold for ever.
	if at, ok := spiTime(string(params.UpdateTime)); ok && at.Before(now.Add(connectors.MaxCallAge)) {
		m.At = at
	}
	return m, nil
}

// maxAccount bounds an id.
const maxAccount = 200

// memberAccount is the account of a member's open_id: the inverse of
// memberOpenID, and as assumed.
func memberAccount(openID string) string { return openID }

// memberKinds are the calls by what the address that was given to the platform
// says behind the shop. The console asks for an address for each call, and no
// parameter names it: assumed.
var memberKinds = map[string]connectors.MembershipKind{
	"query":  connectors.MemberQuery,
	"join":   connectors.MemberBind,
	"leave":  connectors.MemberUnbind,
	"update": connectors.MemberPhone,
}

// memberKind is which call it is; one that tells of a new phone is known by its
// parameters too.
func memberKind(call connectors.SPICall, params memberCall) (connectors.MembershipKind, bool) {
	if call.Name == "" && params.Info.V.Mobile.V.New != "" {
		return connectors.MemberPhone, true
	}
	kind, ok := memberKinds[call.Name]
	return kind, ok
}

// spiTime reads Unix seconds, or a text such as 2026-01-01 09:01:00 in GMT+8.
func spiTime(value string) (time.Time, bool) {
	ms, _ := moment(text(value)) // what is no time is none
	return time.UnixMilli(ms).UTC().Truncate(time.Second), ms > 0
}

// spiSigned is the text that the platform signed, in its sorted form: by sign or
// sign_v2, the parameters as they came, or sorted, with and without HTML's
// characters escaped. False if it signed none of them. Nothing but this text may be
// believed: what came may say more, in the same signature. One call has one text:
// its two signatures may be of two forms, and whoever has seen it may send either.
func spiSigned(appKey, secret, param string, call connectors.SPICall) (text string, ok bool) {
	if call.Query.Get("app_key") != appKey {
		return "", false
	}
	texts, one := []string{param}, param
	if sorted, err := canonicalText([]byte(param)); err == nil {
		var escaped bytes.Buffer
		json.HTMLEscape(&escaped, []byte(sorted))
		texts, one = append(texts, sorted, escaped.String()), sorted
	}
	for _, candidate := range texts {
		want := spiSign(call.Query.Get("sign_method"), appKey, secret, candidate, call.Query.Get("timestamp"))
		for _, name := range []string{"sign", "sign_v2"} {
			// All are compared, whichever fits.
			if connectors.SameSignature(strings.ToLower(call.Query.Get(name)), want) {
				ok = true
			}
		}
	}
	if !ok {
		return "", false
	}
	return one, true
}

// spiSign signs as sign does, without method and version; md5 unless it says
// otherwise.
func spiSign(method, appKey, secret, param, timestamp string) string {
	text := []byte(secret + "app_key" + appKey + "param_json" + param + "timestamp" + timestamp + secret)
	if method == signHMAC {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(text)
		return hex.EncodeToString(mac.Sum(nil))
	}
	sum := md5.Sum(text) // as the platform prescribes
	return hex.EncodeToString(sum[:])
}

// CarriesPoints implements connectors.MemberSPI: the answer to a joining does,
// and that of a query is assumed to.
func (c *Connector) CarriesPoints(kind connectors.MembershipKind) bool {
	return kind == connectors.MemberBind || kind == connectors.MemberQuery
}

// The codes of an answer: done, try again (the platform does so five times a
// day), refused for good.
const (
	memberDone    = 0
	memberAgain   = 100
	memberRefused = 200
)

// signFailure is the code of a call whose signature is wrong.
const signFailure = 100001

// AnswerMembership implements connectors.MemberSPI.
func (c *Connector) AnswerMembership(m connectors.Membership, a connectors.MembershipAnswer) connectors.SPIReply {
	envelope := map[string]any{"code": 0, "message": "success"}
	data := map[string]any{"error_code": memberDone, "description": "success"}
	switch a.Outcome {
	case connectors.MembershipDone:
		if c.CarriesPoints(m.Kind) {
			memberPoints(data, a)
		}
	case connectors.MembershipNobody, connectors.MembershipUnbound:
		data["error_code"], data["description"] = memberRefused, "not a member"
	case connectors.MembershipForged:
		envelope["code"], envelope["message"] = signFailure, "sign check failed"
		data["error_code"], data["description"] = memberAgain, "sign check failed"
	default: // also a form that is unknown: it may be known by the time it tries again
		data["error_code"], data["description"] = memberAgain, "try again"
	}
	envelope["data"] = data
	body, _ := json.Marshal(envelope) // texts and numbers always have a JSON form
	return connectors.SPIReply{Status: http.StatusOK, Body: body}
}

// memberPoints writes points and level. Their names are assumed to be those of
// the methods that list members, where 100 point_cent are a point.
func memberPoints(data map[string]any, a connectors.MembershipAnswer) {
	data["point_cent"], data["level"] = a.Points*100, a.Level
	if level, err := strconv.Atoi(a.Level); err == nil {
		data["level"] = level
	}
}
