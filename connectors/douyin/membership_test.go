package douyin

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"oneid/connectors"
)

const (
	spiKey    = "7000000000000000001"
	spiSecret = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
	spiParam  = `{"mobile":"13912345671","open_id":"1@#A&B<>"}`
	spiStamp  = "1767229260"
)

var spiNow = time.Unix(1767229260, 0)

// The signatures were computed by another program from the description.
func TestSPISignature(t *testing.T) {
	t.Parallel()
	const (
		plainMD5, plainHMAC     = "d6be78e81ee89afd1ae4a8325e0b72bd", "ca848b002e7df1824b5890f6a1b7cb8b08ec29a11c4fcded28db27521df64d05"
		escapedMD5, escapedHMAC = "d0373d337d02f010ffc1392cb9c705da", "d6c1c111c57491496b1615202d18663e16723311b0a6a03b7f19136cc208caa0"
	)
	for name, c := range map[string]struct {
		param string
		query url.Values
		body  bool
		ok    bool
	}{
		"md5 by default":            {spiParam, url.Values{"sign": {plainMD5}}, true, true},
		"in the query":              {spiParam, url.Values{"sign": {plainMD5}}, false, true},
		"hmac":                      {spiParam, url.Values{"sign": {plainHMAC}, "sign_method": {"hmac-sha256"}}, true, true},
		"sign_v2":                   {spiParam, url.Values{"sign": {"0"}, "sign_v2": {plainMD5}}, true, true},
		"signed with escapes":       {spiParam, url.Values{"sign": {escapedMD5}}, true, true},
		"signed with escapes, hmac": {spiParam, url.Values{"sign": {escapedHMAC}, "sign_method": {"hmac-sha256"}}, true, true},
		"keys in another order":     {`{"open_id":"1@#A&B<>", "mobile":"13912345671"}`, url.Values{"sign": {plainMD5}}, true, true},
		"another body":              {`{"mobile":"13912345672","open_id":"1@#A&B<>"}`, url.Values{"sign": {plainMD5}}, true, false},
		"another app":               {spiParam, url.Values{"sign": {plainMD5}, "app_key": {"1"}}, true, false},
		"another method of signing": {spiParam, url.Values{"sign": {plainMD5}, "sign_method": {"hmac-sha256"}}, true, false},
		"no signature":              {spiParam, url.Values{}, true, false},
		"another time":              {spiParam, url.Values{"sign": {plainMD5}, "timestamp": {"1767229261"}}, true, false},
	} {
		call := connectors.SPICall{Name: "join", Query: url.Values{"app_key": {spiKey}, "timestamp": {spiStamp}}}
		for key, values := range c.query {
			call.Query[key] = values
		}
		if c.body {
			call.Body = []byte(c.param)
		} else {
			call.Query.Set("param_json", c.param)
		}
		m, err := readMembership("4463798", spiKey, spiSecret, call, spiNow)
		switch {
		case c.ok && (err != nil || m.Account != "1@#A&B<>" || m.Kind != connectors.MemberBind || m.Phone != "13912345671"):
			t.Errorf("%s: read %v (%v)", name, m, err)
		case !c.ok && !errors.Is(err, connectors.ErrForged):
			t.Errorf("%s: %v, want %v", name, err, connectors.ErrForged)
		}
	}
	call := connectors.SPICall{Name: "join", Query: url.Values{"app_key": {spiKey}, "timestamp": {spiStamp}, "sign": {plainMD5}}, Body: []byte(spiParam)}
	if _, err := readMembership("4463798", spiKey, spiSecret, call, spiNow.Add(11*time.Minute)); !errors.Is(err, connectors.ErrForged) {
		t.Errorf("eleven minutes later: %v", err)
	}
}

// The signature of a call whose parameters name no member, known from elsewhere.
func TestSPISignatureVector(t *testing.T) {
	t.Parallel()
	for method, want := range map[string]string{
		"": "c48e4e06b367e2dd50a456f1036f4e6f", "md5": "c48e4e06b367e2dd50a456f1036f4e6f",
		"hmac-sha256": "62cbc9e91322f0faf32a6a4b69e0cfb6f9842c5e6b7d9579aafde4bb4e243a3a",
	} {
		if got := spiSign(method, spiKey, spiSecret, `{"shop_id":4463798,"trade_order_no":"T1"}`, "2026-01-01 09:01:00"); got != want {
			t.Errorf("%q: %s, want %s", method, got, want)
		}
	}
}

// signedSPI is a call with a right signature.
func signedSPI(name, param string) connectors.SPICall {
	return connectors.SPICall{Name: name, Body: []byte(param), Query: url.Values{
		"app_key": {spiKey}, "timestamp": {spiStamp}, "sign": {spiSign("", spiKey, spiSecret, param, spiStamp)},
	}}
}

func TestReadMembership(t *testing.T) {
	t.Parallel()
	const change = `{"open_id":"a","update_time":"1767220000","info":{"mobile":{"old_mobile":"13912345671","new_mobile":"15012345672"}}}`
	for name, c := range map[string]struct {
		call connectors.SPICall
		want connectors.Membership
		err  error
	}{
		"leave":                   {signedSPI("leave", `{"open_id":"a","shop_id":"4463798"}`), connectors.Membership{Kind: connectors.MemberUnbind, Account: "a", At: spiNow}, nil},
		"phone, its own time":     {signedSPI("update", change), connectors.Membership{Kind: connectors.MemberPhone, Account: "a", Phone: "15012345672", At: time.Unix(1767220000, 0)}, nil},
		"phone, by its form":      {signedSPI("", change), connectors.Membership{Kind: connectors.MemberPhone, Account: "a", Phone: "15012345672", At: time.Unix(1767220000, 0)}, nil},
		"a time still to come":    {signedSPI("join", `{"open_id":"a","update_time":4000000000}`), connectors.Membership{Kind: connectors.MemberBind, Account: "a", At: spiNow}, nil},
		"another shop's":          {signedSPI("join", `{"open_id":"a","shop_id":7}`), connectors.Membership{}, connectors.ErrNotUnderstood},
		"nobody's":                {signedSPI("join", `{"mobile":"13912345671"}`), connectors.Membership{}, connectors.ErrNotUnderstood},
		"a call that has no name": {signedSPI("", `{"open_id":"a"}`), connectors.Membership{}, connectors.ErrNotUnderstood},
		"no object":               {signedSPI("join", `[]`), connectors.Membership{}, connectors.ErrNotUnderstood},
	} {
		m, err := readMembership("4463798", spiKey, spiSecret, c.call, spiNow)
		if !errors.Is(err, c.err) || m.Kind != c.want.Kind || m.Account != c.want.Account || m.Phone != c.want.Phone || c.err == nil && !m.At.Equal(c.want.At) {
			t.Errorf("%s: read %v of %q at %s (%v)", name, m, m.Account, m.At, err)
		}
	}
}

func TestSPIAnswers(t *testing.T) {
	t.Parallel()
	c := new(Connector)
	join, leave := connectors.Membership{Kind: connectors.MemberBind}, connectors.Membership{Kind: connectors.MemberUnbind}
	for name, want := range map[string]struct {
		call    connectors.Membership
		outcome connectors.MembershipOutcome
		level   string
		body    string
	}{
		"joined":         {join, connectors.MembershipDone, "2", `{"code":0,"data":{"description":"success","error_code":0,"level":2,"point_cent":12000},"message":"success"}`},
		"a named level":  {join, connectors.MembershipDone, "gold", `{"code":0,"data":{"description":"success","error_code":0,"level":"gold","point_cent":12000},"message":"success"}`},
		"left":           {leave, connectors.MembershipDone, "2", `{"code":0,"data":{"description":"success","error_code":0},"message":"success"}`},
		"again":          {join, connectors.MembershipAgain, "2", `{"code":0,"data":{"description":"try again","error_code":100},"message":"success"}`},
		"not understood": {join, connectors.MembershipMalformed, "2", `{"code":0,"data":{"description":"try again","error_code":100},"message":"success"}`},
		"no member":      {join, connectors.MembershipNobody, "2", `{"code":0,"data":{"description":"not a member","error_code":200},"message":"success"}`},
		"forged":         {connectors.Membership{}, connectors.MembershipForged, "2", `{"code":100001,"data":{"description":"sign check failed","error_code":100},"message":"sign check failed"}`},
	} {
		got := c.AnswerMembership(want.call, connectors.MembershipAnswer{Outcome: want.outcome, Points: 120, Level: want.level})
		if got.Status != 200 || string(got.Body) != want.body {
			t.Errorf("%s: %d %s, want %s", name, got.Status, got.Body, want.body)
		}
	}
}

// Whoever has seen a call makes no other of it: what comes with its signature says
// the same and is known again by the same key, or is refused.
func TestASeenCallMakesNoOther(t *testing.T) {
	t.Parallel()
	// A body is changed in its blanks, its order, its escapes and by what is added.
	changes := []func(string) string{
		func(s string) string { return strings.Replace(s, "{", "{ ", 1) },
		func(s string) string { return s + "\n" },
		func(s string) string { return strings.ReplaceAll(s, "<", `\u003c`) },
		func(s string) string { return strings.Replace(s, "open_id", `open\u005fid`, 1) },
		func(s string) string {
			return strings.Replace(s, "{", `{"info":{"mobile":{"new_mobile":"15012345672"}},`, 1)
		},
		func(s string) string { return strings.Replace(s, "{", `{"open_id":"b",`, 1) },
		func(s string) string { return strings.Replace(s, "{", `{"Mobile":"15012345672",`, 1) },
		func(s string) string { return strings.TrimSuffix(s, "}") + `,"shop_id":"4463798"}` },
		func(s string) string {
			first, rest, _ := strings.Cut(strings.Trim(s, "{}"), ",")
			return "{" + rest + "," + first + "}"
		},
	}
	signings := []func(param string) string{
		func(s string) string { return s },
		func(s string) string { sorted, _ := canonicalText([]byte(s)); return sorted },
		func(s string) string {
			sorted, _ := canonicalText([]byte(s))
			return strings.NewReplacer("<", `\u003c`, ">", `\u003e`, "&", `\u0026`).Replace(sorted)
		},
	}
	same := 0
	for _, param := range []string{
		spiParam, `{"open_id":"a", "mobile":"13912345671"}`, `{"info":{},"mobile":"13912345671","open_id":"<a>"}`,
		`{"info":null,"mobile":"13912345671","open_id":"a"}`, `{"info":"{\"mobile\":{\"new_mobile\":\"13912345671\"}}","open_id":"a"}`,
	} {
		for i, signing := range signings {
			seen := signedSPI("join", param)
			seen.Query.Set("sign", spiSign("", spiKey, spiSecret, signing(param), spiStamp))
			want, err := readMembership("4463798", spiKey, spiSecret, seen, spiNow)
			if err != nil {
				t.Fatalf("%s, signing %d: %v", param, i, err)
			}
			for j, change := range changes {
				for k, second := range append(changes, func(s string) string { return s }) {
					call := connectors.SPICall{Name: "join", Query: seen.Query, Body: []byte(second(change(param)))}
					got, err := readMembership("4463798", spiKey, spiSecret, call, spiNow)
					if err != nil {
						continue
					}
					same++
					if d := cmp.Diff(want, got); d != "" {
						t.Errorf("%s, signing %d, changes %d and %d: the signature is believed of %s:\n%s", param, i, j, k, call.Body, d)
					}
				}
			}
		}
	}
	if same == 0 {
		t.Error("no change was accepted")
	}
}

// The two signatures of a call may be of two forms of its parameters. Sent with
// either of them alone it is the same call, and known again.
func TestTwoSignaturesOfTwoForms(t *testing.T) {
	t.Parallel()
	const param = `{"open_id":"<a>", "mobile":"13912345671"}`
	sorted, err := canonicalText([]byte(param))
	if err != nil {
		t.Fatal(err)
	}
	forms := []string{param, sorted, strings.NewReplacer("<", `\u003c`, ">", `\u003e`).Replace(sorted)}
	want, err := readMembership("4463798", spiKey, spiSecret, signedSPI("join", param), spiNow)
	if err != nil {
		t.Fatal(err)
	}
	for i, first := range forms {
		for j, second := range forms {
			one, other := spiSign("", spiKey, spiSecret, first, spiStamp), spiSign("", spiKey, spiSecret, second, spiStamp)
			for _, signs := range [][2]string{{one, other}, {one, ""}, {"", other}, {other, "0"}} {
				call := signedSPI("join", param)
				call.Query.Set("sign", signs[0])
				call.Query.Set("sign_v2", signs[1])
				if got, err := readMembership("4463798", spiKey, spiSecret, call, spiNow); err != nil || !cmp.Equal(want, got) {
					t.Errorf("forms %d and %d, signatures %q: %v:\n%s", i, j, signs, err, cmp.Diff(want, got))
				}
			}
		}
	}
}

// A call in which a name stands twice says two things.
func TestNamesThatStandTwice(t *testing.T) {
	t.Parallel()
	for _, param := range []string{
		`{"open_id":"a","open_id":"a"}`, `{"open_id":"a","open\u005fid":"b"}`, `{"open_id":"a","info":{"mobile":{"new_mobile":"1","new_mobile":"2"}}}`,
		`{"open_id":"a","x":[{"y":1,"y":1}]}`,
	} {
		if m, err := readMembership("4463798", spiKey, spiSecret, signedSPI("join", param), spiNow); !errors.Is(err, connectors.ErrNotUnderstood) {
			t.Errorf("%s: read %v (%v)", param, m, err)
		}
	}
}

// Every call is read or refused, and what is read becomes an event.
func FuzzMembership(f *testing.F) {
	f.Add("join", spiStamp, []byte(spiParam))
	f.Add("", "2026-01-01 09:01:00", []byte(`{"open_id":1,"info":"{\"mobile\":{\"new_mobile\":\"15012345672\"}}","update_time":1767229260}`))
	f.Add("leave", "x", []byte(`{"open_id":"a","union_id":[],"shop_id":4463798.0}`))
	c := &Connector{shop: "4463798", cfg: Config{AppKey: spiKey, AppSecret: spiSecret}}
	f.Fuzz(func(t *testing.T, name, stamp string, body []byte) {
		call := connectors.SPICall{Name: name, Body: body, Query: url.Values{"app_key": {spiKey}, "timestamp": {stamp}}}
		if _, err := c.ReadMembership(call, spiNow); err == nil {
			t.Fatal("a call without a signature is taken")
		}
		call.Query.Set("sign", spiSign("", spiKey, spiSecret, string(body), stamp))
		m, err := c.ReadMembership(call, spiNow)
		c.AnswerMembership(m, connectors.MembershipAnswer{Outcome: connectors.MembershipDone})
		if err != nil {
			if strings.Contains(err.Error(), "13912345671") {
				t.Fatal("the error repeats a value")
			}
			return
		}
		record, err := m.Record("4463798", true, spiNow)
		if err != nil {
			return
		}
		list, err := c.Map(record)
		if err != nil {
			return
		}
		again, err := c.Map(record)
		if err != nil || len(list) != 1 || !proto.Equal(list[0], again[0]) || list[0].GetHeader().GetAccount() != m.Account {
			t.Fatalf("%v maps to %v, then to %v (%v)", m, list, again, err)
		}
		wantSound(t, list[0])
	})
}
