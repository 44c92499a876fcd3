package tmall

import (
	"testing"
	"time"

	"oneid/connectors"
)

// A session is renewed in the last tenth of its life, and at most a day before its
// end; one that cannot be, or of which nobody knows when it ends, never ahead.
func TestRenewAt(t *testing.T) {
	t.Parallel()
	given := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	token := func(life time.Duration, refresh string) connectors.Token {
		return connectors.Token{Access: "a", Refresh: refresh, Obtained: given, Expires: given.Add(life)}
	}
	for name, c := range map[string]struct {
		token connectors.Token
		after time.Duration // -1: never
	}{
		"of a year":            {token(365*24*time.Hour, "r"), 364 * 24 * time.Hour},
		"of a hundred minutes": {token(100*time.Minute, "r"), 90 * time.Minute},
		"without a refresh":    {token(time.Hour, ""), -1},
		"without an end":       {connectors.Token{Access: "a", Refresh: "r", Obtained: given}, -1},
		"of the settings":      {connectors.Token{Access: "a", Refresh: "r", Expires: given}, -1},
	} {
		got := renewAt(c.token)
		if c.after < 0 && !got.IsZero() || c.after >= 0 && !got.Equal(given.Add(c.after)) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// When a refresh token ends is told by two numbers that must agree; otherwise its
// owner is reminded of the session's own end.
func TestGrantedToken(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	in := func(d time.Duration) int64 { return now.Add(d).UnixMilli() }
	for name, c := range map[string]struct {
		answer       grantAnswer
		ends, reends time.Duration
	}{
		"as documented":        {grantAnswer{AccessToken: "a", ExpireTime: in(time.Hour), ExpiresIn: 9, ReExpiresIn: 7200, RefreshUntil: in(2 * time.Hour)}, time.Hour, 2 * time.Hour},
		"a refresh of nothing": {grantAnswer{AccessToken: "a", ExpiresIn: 3600, ReExpiresIn: 0, RefreshUntil: in(-time.Hour)}, time.Hour, time.Hour},
	} {
		got, err := c.answer.token(now)
		if err != nil || !got.Expires.Equal(now.Add(c.ends)) || !got.RefreshExpires.Equal(now.Add(c.reends)) || !got.Obtained.Equal(now) {
			t.Errorf("%s: %s, the refresh token until %s, %v", name, got, got.RefreshExpires, err)
		}
	}
	if _, err := (grantAnswer{}).token(now); err == nil {
		t.Error("an answer without a token is one")
	}
}
