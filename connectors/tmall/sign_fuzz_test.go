package tmall

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"oneid/connectors/simulator"
)

// Whatever a parameter is called and holds, the gateway computes the signature that
// the connector made, by each method; with another value it refuses it.
func FuzzSign(f *testing.F) {
	until := time.Now().Add(-time.Minute)
	world, err := simulator.New(simulator.Config{People: 10, Seed: 1, From: until.Add(-24 * time.Hour), Until: until})
	if err != nil {
		f.Fatal(err)
	}
	keys, face := simulator.TmallCredentialsOf(world), simulator.Tmall(world, simulator.TmallOptions{})
	for _, value := range []string{"测试买家01", "a&b=c+d %", "", "\x00\xff", "😀", " ", "sign"} {
		f.Add("buyer_nick", value, uint8(0))
		f.Add(value, "x", uint8(1))
		f.Add("Z_"+value, value, uint8(2))
	}
	f.Fuzz(func(t *testing.T, name, value string, method uint8) {
		form := map[string]string{
			"method": "taobao.time.get", "app_key": keys.AppKey, "v": "2.0", "format": "json",
			"timestamp": time.Now().In(zone).Format(timeLayout), "sign_method": []string{"md5", "hmac", "hmac-sha256"}[method%3],
		}
		if _, system := form[name]; system || name == "sign" || name == "simplify" || name == "session" {
			return // another request
		}
		form[name] = value
		ask := func(form map[string]string, sign string) string {
			values := make(url.Values)
			for name, value := range form {
				values.Set(name, value)
			}
			values.Set("sign", sign)
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/router/rest", strings.NewReader(values.Encode()))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded;charset=utf-8")
			w := httptest.NewRecorder()
			face.ServeHTTP(w, r)
			return w.Body.String()
		}
		signed := sign(keys.AppSecret, form)
		if got := ask(form, signed); !strings.Contains(got, "time_get_response") {
			t.Fatalf("%q=%q by %s: %s", name, value, form["sign_method"], got)
		}
		form[name] = value + "1"
		if got := ask(form, signed); name != "" && !strings.Contains(got, `"code":25`) {
			t.Fatalf("%q=%q by %s: another value is taken: %s", name, value, form["sign_method"], got)
		}
	})
}
