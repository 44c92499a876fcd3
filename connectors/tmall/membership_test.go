package tmall

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
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
	// A form, signed as the gateway does, is none of the member centre's.
	form := spiCallOf(query, "ouid=%E6%B5%8B%E8%AF%95&nick=t%2A%2A")
	form.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	form.Query.Set("sign", "DC09966C240971B45838E586B7F8FE96")
	if m, err := readMembership(spiSecret, form, signedAt); !errors.Is(err, connectors.ErrForged) {
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
	seen.Query.Set("sign", spiSign(spiSecret, spiSigned(seen), seen.Body))
	if m, err := readMembership(spiSecret, seen, signedAt); err != nil || m.Kind != connectors.MemberBind {
		t.Fatalf("the call itself: %v (%v)", m, err)
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
	for name, call := range map[string]connectors.SPICall{
		"no timestamp, no method": with(seen, map[string]string{"app_key": "23000001method" + method + "timestamp" + stamp, "v": "2.0"}, nil, `{"ouid":"a"}`),
		"no timestamp":            with(seen, map[string]string{"app_key": "23000001", "method": method + "timestamp" + stamp, "v": "2.0"}, nil, `{"ouid":"a"}`),
		"no method":               with(seen, map[string]string{"app_key": "23000001method" + method, "timestamp": stamp, "v": "2.0"}, nil, `{"ouid":"a"}`),
		"a timestamp in its name": with(seen, map[string]string{"app_key": "23000001", "method": method, "timestamp" + stamp: "v2.0"}, nil, `{"ouid":"a"}`),
		"in a header": with(seen, map[string]string{"app_key": "23000001"}, map[string]string{
			"top-sign-list": "method", "method": method + "timestamp" + stamp + "v2.0"}, `{"ouid":"a"}`),
		"a form": with(seen, map[string]string{"app_key": "23000001", "method": method, "timestamp": stamp}, map[string]string{
			"Content-Type": "application/x-www-form-urlencoded"}, url.Values{"v": {`2.0{"ouid":"a"}`}}.Encode()),
		"no body":                    with(seen, map[string]string{"app_key": "23000001", "method": method, "timestamp": stamp, "v": `2.0{"ouid":"a"}`}, nil, ""),
		"a body that begins earlier": with(seen, map[string]string{"app_key": "23000001", "method": method, "timestamp": stamp}, nil, `v2.0{"ouid":"a"}`),
	} {
		for _, now := range []time.Time{signedAt, signedAt.AddDate(0, 0, 7)} {
			m, err := readMembership(spiSecret, call, now)
			// What says the same of the same moment is the same call.
			same := err == nil && m.Kind == connectors.MemberBind && m.Account == "a" && m.At.Equal(signedAt) && now.Equal(signedAt)
			if !same && !errors.Is(err, connectors.ErrForged) && !errors.Is(err, connectors.ErrNotUnderstood) {
				t.Errorf("%s, %s later: read %v of %s (%v), want %v", name, now.Sub(signedAt), m, m.At, err, connectors.ErrForged)
			}
		}
	}
}

// recutOf gives a call that has the signature of a seen one: what it signs, cut anew
// into parameters of the address and the headers, and a body.
func recutOf(r *rand.Rand, seen connectors.SPICall, text string) connectors.SPICall {
	call := connectors.SPICall{Name: "tmall.mei.crm.unbind", Query: url.Values{"sign": seen.Query["sign"]}, Header: http.Header{}}
	// The body begins with a brace, or anywhere.
	var braces []int
	for at := range text {
		if text[at] == '{' || r.IntN(80) == 0 {
			braces = append(braces, at)
		}
	}
	end := braces[r.IntN(len(braces))]
	call.Body = []byte(text[end:])
	// Names begin where a known one does, or anywhere.
	starts := []int{0}
	for at := range text[:end] {
		known := slices.ContainsFunc(spiNames, func(name string) bool { return strings.HasPrefix(text[at:], name) })
		if at > 0 && (known && r.IntN(4) > 0 || r.IntN(60) == 0) {
			starts = append(starts, at)
		}
	}
	var params [][2]string
	for i, at := range starts {
		part := text[at:append(starts, end)[i+1]]
		cut := 0
		for _, name := range spiNames {
			if strings.HasPrefix(part, name) {
				cut = len(name)
			}
		}
		if cut == 0 {
			cut = r.IntN(len(part) + 1)
		}
		switch last := len(params) - 1; {
		case cut > 0 && cut < len(part) && (last < 0 || part[:cut] > params[last][0]):
			params = append(params, [2]string{part[:cut], part[cut:]})
		case last >= 0: // a part of the value before
			params[last][1] += part
		}
	}
	for _, param := range params {
		if r.IntN(3) == 0 && !strings.ContainsAny(param[0], ", {") {
			call.Header.Set("top-sign-list", call.Header.Get("top-sign-list")+","+param[0])
			call.Header.Set(param[0], param[1])
		} else {
			call.Query.Set(param[0], param[1])
		}
	}
	return call
}

var spiNames = []string{"app_key", "method", "timestamp", "v", "sign_method", "target_app_key"}

// Whatever a seen call holds (a nick that its buyer thought out for it, too), and
// however what it signs is cut anew: none of the cuts is good as a call that says
// something else, and each call itself is.
func TestNoCutSaysSomethingElse(t *testing.T) {
	t.Parallel()
	words := []string{"t**", "测试", "ouidVICTIM", "timestamp2024-05-20 00:35:01", "methodtmall.mei.crm.unbind", `{"ouid":"VICTIM"}`, "{", "}", `","ouid":"VICTIM`, "v2.0", " ", `{"ouid":"VICTIM","nick":"`, "&ouid=VICTIM"}
	same := 0
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 4))
		nick := ""
		for range 1 + r.IntN(4) {
			nick += words[r.IntN(len(words))]
		}
		extend, _ := json.Marshal(map[string]string{"card_no": nick}) // texts always have a JSON form
		member := map[string]any{"ouid": "AAGdemoOuid00000000001", "nick": nick, "mobile": "13912345671", "extend": string(extend), "more": map[string]string{"ouid": "VICTIM"}}
		query := map[string]string{"app_key": "23000001", "method": "tmall.mei.crm.bind", "timestamp": "2024-05-20 00:35:00"}
		if r.IntN(2) == 0 {
			query["timestamp"] = "1716136500000"
		}
		if r.IntN(2) == 0 {
			query["v"], query["sign_method"] = "2.0", "md5"
		}
		body, _ := json.Marshal(member)
		seen := spiCallOf(query, strings.Repeat(" ", r.IntN(2))+string(body))
		seen.Query.Set("sign", spiSign(spiSecret, spiSigned(seen), seen.Body))
		want, err := readMembership(spiSecret, seen, signedAt)
		if err != nil || want.Nick != nick || want.Account != "AAGdemoOuid00000000001" {
			t.Fatalf("seed %d: the call itself: %v (%v)", seed, want, err)
		}
		text := spiText(spiSigned(seen)) + string(seen.Body)
		for n := range 300 {
			call := recutOf(r, seen, text)
			got, err := readMembership(spiSecret, call, signedAt)
			if err != nil {
				continue
			}
			same++
			if got.Account != want.Account || got.Kind != want.Kind || got.Phone != want.Phone || got.Nick != want.Nick || !got.At.Equal(want.At) {
				t.Fatalf("seed %d, cut %d: %v of %q at %s is read from %q and %q, of which %q was signed", seed, n, got, got.Account, got.At, call.Query, call.Body, text)
			}
		}
	}
	if same < 1000 {
		t.Errorf("%d cuts were taken", same)
	}
}

// A call that is named by its address, says how it is signed and has no time is
// no other call's.
func TestACallOfFewParameters(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"md5", "hmac"} {
		call := spiCallOf(map[string]string{"app_key": "23000001", "sign_method": method, "v": "2.0"}, `{"ouid":"a"}`)
		call.Name = "tmall.mei.crm.unbind"
		call.Query.Set("sign", spiSign(spiSecret, spiSigned(call), call.Body))
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
		call.Query.Set("sign", spiSign(spiSecret, spiSigned(call), call.Body))
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
