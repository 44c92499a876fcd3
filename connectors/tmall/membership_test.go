package tmall

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"oneid/connectors"
	"oneid/schemas/events"
)

const spiSecret = "secret-demo-0001"

// signedAt is 2024-05-20 00:35:00 in GMT+8.
var signedAt = time.Date(2024, 5, 19, 16, 35, 0, 0, time.UTC)

func spiCallOf(query map[string]string, body string) connectors.SPICall {
	call := connectors.SPICall{Query: url.Values{}, Header: http.Header{}, Body: []byte(body)}
	for name, value := range query {
		call.Query.Set(name, value)
	}
	return call
}

// The signatures were computed by another program from the description.
func TestSPISignature(t *testing.T) {
	t.Parallel()
	query := map[string]string{"app_key": "23000001", "method": "tmall.mei.crm.bind", "timestamp": "2024-05-20 00:35:00", "v": "2.0", "extra": ""}
	call := spiCallOf(query, `{"ouid":"AAGdemoOuid00000000001","mobile":"13912345671"}`)
	call.Header.Set("top-sign-list", "x-trace, ")
	call.Header.Set("x-trace", "abc")
	call.Query.Set("sign", "26AFF21AD9DB20A6B4813D916F845202")
	m, err := readMembership(spiSecret, call, signedAt.Add(9*time.Minute))
	if err != nil || m.Kind != connectors.MemberBind || m.Account != "AAGdemoOuid00000000001" || !m.At.Equal(signedAt) || m.Phone != "13912345671" {
		t.Fatalf("read %v at %s (%v)", m, m.At, err)
	}
	form := spiCallOf(query, "ouid=%E6%B5%8B%E8%AF%95&nick=t%2A%2A")
	form.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	form.Query.Set("sign", "DC09966C240971B45838E586B7F8FE96")
	if m, err := readMembership(spiSecret, form, signedAt); err != nil || m.Account != "测试" || m.Nick != "t**" {
		t.Errorf("a form: read %v (%v)", m.Account, err)
	}
	for name, change := range map[string]func(*connectors.SPICall, *time.Time){
		"another body":           func(c *connectors.SPICall, _ *time.Time) { c.Body = []byte(`{"ouid":"B"}`) },
		"another header":         func(c *connectors.SPICall, _ *time.Time) { c.Header = http.Header{} },
		"another parameter":      func(c *connectors.SPICall, _ *time.Time) { c.Query = url.Values{"sign": c.Query["sign"]} },
		"a parameter more":       func(c *connectors.SPICall, _ *time.Time) { c.Query = withValue(c.Query, "x", "1") },
		"no signature":           func(c *connectors.SPICall, _ *time.Time) { c.Query = withValue(c.Query, "sign", "") },
		"eleven minutes later":   func(_ *connectors.SPICall, now *time.Time) { *now = signedAt.Add(11 * time.Minute) },
		"eleven minutes earlier": func(_ *connectors.SPICall, now *time.Time) { *now = signedAt.Add(-11 * time.Minute) },
	} {
		changed, now := call, signedAt
		change(&changed, &now)
		if _, err := readMembership(spiSecret, changed, now); !errors.Is(err, connectors.ErrForged) {
			t.Errorf("%s: %v, want %v", name, err, connectors.ErrForged)
		}
	}
	if _, err := readMembership("another", call, signedAt); !errors.Is(err, connectors.ErrForged) {
		t.Errorf("another secret: %v", err)
	}
}

// Nothing parts names from values in what is signed. Whoever has seen a call
// makes no other of it: none of today, and none of another method.
func TestASeenCallMakesNoOther(t *testing.T) {
	t.Parallel()
	const method, stamp = "tmall.mei.crm.bind", "2024-05-20 00:35:00"
	seen := spiCallOf(map[string]string{"app_key": "23000001", "method": method, "timestamp": stamp, "v": "2.0"}, `{"ouid":"a"}`)
	seen.Query.Set("sign", spiSign(spiSecret, spiSigned(seen, nil), seen.Body, false))
	if m, err := readMembership(spiSecret, seen, signedAt); err != nil || m.Kind != connectors.MemberBind {
		t.Fatalf("the call itself: %v (%v)", m, err)
	}
	form := url.Values{"ouid": {"a"}}
	seenForm := spiCallOf(map[string]string{"app_key": "23000001", "method": method, "timestamp": stamp}, form.Encode())
	seenForm.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	seenForm.Query.Set("sign", spiSign(spiSecret, spiSigned(seenForm, form), seenForm.Body, true))
	if _, err := readMembership(spiSecret, seenForm, signedAt); err != nil {
		t.Fatalf("the form itself: %v", err)
	}
	// with makes a call of other parameters under a signature that was seen.
	with := func(of connectors.SPICall, query, header map[string]string, body string) connectors.SPICall {
		call := spiCallOf(query, body)
		call.Header, call.Name = of.Header.Clone(), "tmall.mei.crm.unbind"
		for name, value := range header {
			call.Header.Set(name, value)
		}
		call.Query["sign"] = of.Query["sign"]
		return call
	}
	later := "2024-05-27 00:35:00"
	for name, call := range map[string]connectors.SPICall{
		"no timestamp, no method": with(seen, map[string]string{"app_key": "23000001method" + method + "timestamp" + stamp, "v": "2.0"}, nil, `{"ouid":"a"}`),
		"no timestamp":            with(seen, map[string]string{"app_key": "23000001", "method": method + "timestamp" + stamp, "v": "2.0"}, nil, `{"ouid":"a"}`),
		"no method":               with(seen, map[string]string{"app_key": "23000001method" + method, "timestamp": stamp, "v": "2.0"}, nil, `{"ouid":"a"}`),
		"a timestamp in its name": with(seen, map[string]string{"app_key": "23000001", "method": method, "timestamp" + stamp: "v2.0"}, nil, `{"ouid":"a"}`),
		"in a header": with(seen, map[string]string{"app_key": "23000001"}, map[string]string{
			"top-sign-list": "method", "method": method + "timestamp" + stamp + "v2.0"}, `{"ouid":"a"}`),
		"a form, two methods": with(seenForm, map[string]string{"app_key": "23000001", "method": "tmall.mei.crm.unbind", "timestamp": stamp}, nil, "ouid=a&method="+method),
		"a form, two timestamps": with(seenForm, map[string]string{"app_key": "23000001", "method": method, "timestamp": later}, nil,
			url.Values{"ouid": {"a"}, "timestamp": {stamp}}.Encode()),
		"a form, its member in the query": with(seenForm, map[string]string{"app_key": "23000001", "method": method, "timestamp": stamp, "ouid": "a"}, nil, "ouid=b"),
		"a form, its member in a header": with(seenForm, map[string]string{"app_key": "23000001", "method": method, "timestamp": stamp},
			map[string]string{"top-sign-list": "ouid", "ouid": "a"}, "ouid=b"),
	} {
		for _, now := range []time.Time{signedAt, signedAt.AddDate(0, 0, 7)} {
			m, err := readMembership(spiSecret, call, now)
			// What says the same of the same moment is the same call.
			same := err == nil && m.Kind == connectors.MemberBind && m.Account == "a" && m.At.Equal(signedAt) && now.Equal(signedAt)
			if !same && !errors.Is(err, connectors.ErrForged) {
				t.Errorf("%s, %s later: read %v of %s (%v), want %v", name, now.Sub(signedAt), m, m.At, err, connectors.ErrForged)
			}
		}
	}
}

// A call that is named by its address, says how it is signed and has no time is
// no other call's.
func TestACallOfFewParameters(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"md5", "hmac"} {
		call := spiCallOf(map[string]string{"app_key": "23000001", "sign_method": method, "v": "2.0"}, `{"ouid":"a"}`)
		call.Name = "tmall.mei.crm.unbind"
		call.Query.Set("sign", spiSign(spiSecret, spiSigned(call, nil), call.Body, false))
		if m, err := readMembership(spiSecret, call, signedAt); err != nil || m.Kind != connectors.MemberUnbind || !m.At.Equal(signedAt) {
			t.Errorf("read %v of %s (%v)", m, m.At, err)
		}
	}
}

func withValue(values url.Values, name, value string) url.Values {
	changed := url.Values{name: {value}}
	for other := range values {
		if other != name {
			changed[other] = values[other]
		}
	}
	return changed
}

func TestSPIAnswers(t *testing.T) {
	t.Parallel()
	c := new(Connector)
	query := connectors.Membership{Kind: connectors.MemberQuery, Call: "tmall.mei.crm.member.bind.query", Phone: "13912345671", Nick: "t**"}
	bind := connectors.Membership{Kind: connectors.MemberBind, Call: "tmall.mei.crm.bind"}
	for name, want := range map[string]struct {
		call    connectors.Membership
		outcome connectors.MembershipOutcome
		status  int
		body    string
	}{
		"bound":     {query, connectors.MembershipDone, 200, `{"member":{"extend":"{\"card_no\":\"1000001\"}","level":"2","mobile":"13912345671","nick":"t**","point":"120"},"query_code":"SUC"}`},
		"nobody":    {query, connectors.MembershipNobody, 200, `{"query_code":"E01"}`},
		"not bound": {query, connectors.MembershipUnbound, 200, `{"query_code":"E02"}`},
		"again":     {query, connectors.MembershipAgain, 200, `{"query_code":"E04"}`},
		"bind":      {bind, connectors.MembershipDone, 200, `{"bind_code":"SUC"}`},
		"forged":    {connectors.Membership{}, connectors.MembershipForged, 403, `{"query_code":"E04"}`},
	} {
		got := c.AnswerMembership(want.call, connectors.MembershipAnswer{Outcome: want.outcome, Points: 120, Level: "2", Card: "1000001"})
		if got.Status != want.status || string(got.Body) != want.body {
			t.Errorf("%s: %d %s, want %d %s", name, got.Status, got.Body, want.status, want.body)
		}
	}
}

// Every call is read or refused, and what is read becomes an event whose
// payload maps to the same event again.
func FuzzMembership(f *testing.F) {
	f.Add("tmall.mei.crm.bind", "2024-05-20 00:35:00", "application/json", []byte(`{"ouid":"a","mobile":"13912345671"}`))
	f.Add("tmall.mei.crm.member.query", "1716136500000", "", []byte(`{"open_id":1,"mix_mobile":"x","omid":null}`))
	f.Add("tmall.mei.crm.unbind", "", "application/x-www-form-urlencoded", []byte("ouid=a&nick=b"))
	c := &Connector{shop: "demo", cfg: Config{AppKey: "1", AppSecret: spiSecret}}
	f.Fuzz(func(t *testing.T, method, stamp, content string, body []byte) {
		call := spiCallOf(map[string]string{"method": method, "timestamp": stamp}, string(body))
		call.Header.Set("Content-Type", content)
		if _, err := c.ReadMembership(call, signedAt); err == nil {
			t.Fatal("a call without a signature is taken")
		}
		form, err := spiForm(call)
		if err != nil {
			return
		}
		call.Query.Set("sign", spiSign(spiSecret, spiSigned(call, form), call.Body, form != nil))
		m, err := c.ReadMembership(call, signedAt)
		c.AnswerMembership(m, connectors.MembershipAnswer{Outcome: connectors.MembershipDone})
		if err != nil {
			if strings.Contains(err.Error(), "13912345671") {
				t.Fatal("the error repeats a value")
			}
			return
		}
		record, err := m.Record("demo", true, signedAt)
		if err != nil {
			return
		}
		list, err := c.Map(record)
		if err != nil {
			return
		}
		again, err := c.Map(record)
		if err != nil || len(list) != 1 || !proto.Equal(list[0], again[0]) || list[0].GetHeader().GetAccount() != m.Account || !json.Valid(list[0].GetHeader().GetRaw()) {
			t.Fatalf("%v maps to %v, then to %v (%v)", m, list, again, err)
		}
		if events.Check(list[0]) == nil && list[0].GetHeader().GetVersion().GetModifiedMs()/1000 != m.At.Unix() {
			t.Fatalf("%v has another time than %s", list[0], m.At)
		}
	})
}
