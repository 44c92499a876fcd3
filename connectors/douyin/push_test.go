package douyin

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"oneid/connectors"
)

// The bodies and signatures below are independent of this code: they come with
// the facts on the platform.
const (
	pushTest = `[{"tag":"0","msg_id":"0","data":"2026-01-01T09:00:00.52842897+08:00"}]`
	pushPaid = `[{"tag":"101","msg_id":"69001:101:6910000000000000001:1767229200","data":"{\"p_id\":6910000000000000001,\"s_ids\":[6910000000000000001],\"shop_id\":4463798,\"order_status\":2,\"order_type\":0,\"biz\":2,\"pay_amount\":12900,\"pay_time\":1767229200,\"pay_type\":2}"}]`
)

func TestPushSignature(t *testing.T) {
	t.Parallel()
	_, c := newFake(t)
	for name, s := range map[string]struct {
		body, method, sign string
		refused            bool
	}{
		"test, md5":               {pushTest, "", "d8c6d1cd9edf3b95b4f1c8d8f6c57d91", false},
		"test, hmac":              {pushTest, "hmac-sha256", "3582a3a71e0211d19238c14f18dc73e77e662157edbe8184824dc924a6592b3d", false},
		"paid, md5":               {pushPaid, "md5", "152da8b07b15b9ebd7e90a7a646c92ba", false},
		"paid, hmac by its size":  {pushPaid, "", "949d23a405c020937c1195e59f6be72c570c3f69b0f384e2ec30712edd3040ee", false},
		"upper case":              {pushPaid, "", "152DA8B07B15B9EBD7E90A7A646C92BA", false},
		"other bytes":             {pushPaid + " ", "", "152da8b07b15b9ebd7e90a7a646c92ba", true},
		"none":                    {pushPaid, "", "", true},
		"a method that is unused": {pushPaid, "none", "", true},
	} {
		header := http.Header{}
		header.Set("app-id", testKey)
		header.Set("event-sign", s.sign)
		if s.method != "" {
			header.Set("sign-method", s.method)
		}
		if _, err := c.Open(connectors.Push{Header: header, Body: []byte(s.body)}); (err != nil) != s.refused {
			t.Errorf("%s: %v", name, err)
		}
		header.Set("app-id", "7000000000000000002")
		if _, err := c.Open(connectors.Push{Header: header, Body: []byte(s.body)}); err == nil {
			t.Errorf("%s: taken for another app", name)
		}
	}
}

func TestPushedMessages(t *testing.T) {
	t.Parallel()
	type about struct{ Type, Shop, Stream, ID string }
	for name, c := range map[string]struct {
		body string
		want []about
		errs int
	}{
		"test message":   {pushTest, []about{{Type: "0"}}, 0},
		"paid":           {pushPaid, []about{{"101", "4463798", Orders, "6910000000000000001"}}, 0},
		"number as text": {`[{"tag":126,"data":"{\"p_id\":\"6910000000000000001\",\"shop_id\":\"4463798\"}"}]`, []about{{"126", "4463798", Orders, "6910000000000000001"}}, 0},
		"an after-sale and its order": {
			`[{"tag":"206","data":"{\"p_id\":6910000000000000001,\"s_id\":1,\"aftersale_id\":7100000000000000001,\"shop_id\":4463798,\"update_time\":\"2026-01-01T09:00:00+08:00\"}"}]`,
			[]about{{"206", "4463798", Aftersales, "7100000000000000001"}, {"206", "4463798", Orders, "6910000000000000001"}}, 0,
		},
		"several":      {`[{"tag":"417","data":"{}"},{"tag":"103","data":"{\"p_id\":1,\"shop_id\":4463798}"}]`, []about{{Type: "417"}, {"103", "4463798", Orders, "1"}}, 0},
		"no order":     {`[{"tag":"101","data":"{\"shop_id\":4463798}"}]`, []about{{Type: "101", Shop: "4463798"}}, 1},
		"no number":    {`[{"tag":"101","data":"{\"p_id\":\"1 or 2\"}"}]`, []about{{Type: "101"}}, 1},
		"no data":      {`[{"tag":"101"}]`, []about{{Type: "101"}}, 1},
		"not a list":   {`{"tag":"101"}`, []about{{}}, 1},
		"not messages": {`[1,null]`, []about{{}, {}}, 2},
	} {
		var got []about
		errs := 0
		for _, m := range readPush([]byte(c.body)) {
			got = append(got, about{m.Type, m.Shop, m.Stream, m.ID})
			if m.Err != nil {
				errs++
			}
		}
		if d := cmp.Diff(c.want, got); d != "" || errs != c.errs {
			t.Errorf("%s: %d errors, want %d (-want +got):\n%s", name, errs, c.errs, d)
		}
	}
}

func FuzzPush(f *testing.F) {
	for _, body := range []string{pushTest, pushPaid, `[{"tag":206,"data":{"aftersale_id":1}}]`, `[[]]`, `[{"data":"\""}]`} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, m := range readPush(body) {
			switch {
			case m.Err != nil && m.Stream != "":
				t.Errorf("a message that cannot be understood names something to read")
			case (m.Stream == "") != (m.ID == ""):
				t.Errorf("stream %q without a number, or the other way round", m.Stream)
			case m.Stream != "" && !json.Valid([]byte(m.ID)) && m.ID[0] != '0':
				t.Errorf("a number that is none: %q", m.ID)
			}
		}
	})
}

// Of the orders that a message is about only the young are sure to be listed.
func TestWhatIsStillListed(t *testing.T) {
	c := new(Connector)
	for tag := range orderTags {
		if want := tag == "100" || tag == "101"; c.StillListed(Orders, string(tag)) != want {
			t.Errorf("the order of a message %s is listed: %v", tag, !want)
		}
	}
	for tag := range saleTags {
		if c.StillListed(Orders, string(tag)) || !c.StillListed(Aftersales, string(tag)) {
			t.Errorf("message %s: an order of any age may be of an after-sale, which is listed by its change", tag)
		}
	}
}
