package weidian

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"oneid/connectors"
)

// A token of 25 hours is used for 20, a shorter one up to five minutes before its
// end, and a very short one for nine tenths of its life.
func TestRenewAt(t *testing.T) {
	t.Parallel()
	given := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for life, after := range map[time.Duration]time.Duration{
		25 * time.Hour: 20 * time.Hour, 10 * time.Hour: 10*time.Hour - 5*time.Minute, 20 * time.Minute: 18 * time.Minute, time.Minute: 54 * time.Second,
	} {
		if got := renewAt(connectors.Token{Access: "a", Obtained: given, Expires: given.Add(life)}); !got.Equal(given.Add(after)) {
			t.Errorf("one of %s is renewed after %s", life, got.Sub(given))
		}
	}
	for _, token := range []connectors.Token{{Access: "a"}, {Access: "a", Obtained: given}, {Access: "a", Expires: given}} {
		if got := renewAt(token); !got.IsZero() {
			t.Errorf("%+v is renewed at %s", token, got)
		}
	}
}

// A consent lasts 30 days, by the platform's word or without it, and no longer for the
// tokens that are got by it since, though their answers say nothing of it.
func TestAConsentEndsWhenItsFirstTokenSays(t *testing.T) {
	t.Parallel()
	told := time.Now().Add(20 * 24 * time.Hour).Truncate(time.Millisecond).UTC()
	for name, c := range map[string]struct {
		said any
		want time.Time
	}{"the platform tells": {told.UnixMilli(), told}, "it does not": {nil, time.Now().Add(30 * 24 * time.Hour)}} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/oauth2/access_token" {
				answer(w, 0, map[string]any{"access_token": "a1", "expire_in": 90000, "refresh_token": "r1", "openid": "1800000001", "refreshExpireTime": c.said})
				return
			}
			answer(w, 0, map[string]any{"access_token": "a2", "expire_in": 90000, "refresh_token": "r2", "refreshExpireTime": nil})
		}))
		t.Cleanup(server.Close)
		shop, err := New("1800000001", Config{URL: server.URL, AppKey: "600001", AppSecret: testSecret, RedirectURI: "https://brand.example/back", RequestsPerSecond: 10000})
		if err != nil {
			t.Fatal(err)
		}
		first, err := shop.Authorise(t.Context(), "code", func(_, _ connectors.Token) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		second, err := shop.client.renew(t.Context(), first)
		for _, token := range []connectors.Token{first, second} {
			if off := token.RefreshExpires.Sub(c.want).Abs(); err != nil || off > time.Hour {
				t.Errorf("%s: the consent of %s ends %s, want %s (%v)", name, token.Access, token.RefreshExpires, c.want, err)
			}
		}
		if second.Refresh != "r2" {
			t.Errorf("%s: the newer refresh token is %s", name, second.Refresh)
		}
	}
}
