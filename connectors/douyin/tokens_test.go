package douyin

import (
	"testing"
	"time"

	"oneid/connectors"
)

// lastHour is when the platform gives a new pair for a token that still works, as its
// documents say: a refresh before it changes nothing.
const lastHour = time.Hour

// A token is refreshed in its last hour, when that gives a new one: not in its first
// minutes, which another clock may hold for the hour before, and early enough to be
// tried again. Its end is told in seconds that are left, or as a moment.
func TestRenewAt(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		expires whole
		ends    time.Duration
	}{
		"a week":            {604_800, 7 * 24 * time.Hour},
		"what is left":      {1200, 20 * time.Minute},
		"as a moment":       {whole(now.Add(time.Hour).Unix()), time.Hour},
		"longer than known": {instantMinus1, instantMinus1 * time.Second},
	} {
		token, err := grantAnswer{AccessToken: "a", ExpiresIn: c.expires}.token(now)
		ends := now.Add(c.ends)
		at := renewAt(token)
		if err != nil || !token.Expires.Equal(ends) || at.Before(ends.Add(-lastHour+5*time.Minute)) || at.After(ends.Add(-10*time.Minute)) {
			t.Errorf("%s: ends %s, renewed at %s, %v; want it in the last hour", name, token.Expires, at, err)
		}
	}
	// Of no platform that anyone has documented: in the last tenth.
	for name, c := range map[string]struct {
		expires       whole
		ends, renewed time.Duration
	}{
		"half a minute": {30, 30 * time.Second, 27 * time.Second},
		"it has ended":  {whole(now.Add(-time.Hour).Unix()), -time.Hour, -time.Hour + 6*time.Minute},
	} {
		token, err := grantAnswer{AccessToken: "a", ExpiresIn: c.expires}.token(now)
		if err != nil || !token.Expires.Equal(now.Add(c.ends)) || !renewAt(token).Equal(now.Add(c.renewed)) {
			t.Errorf("%s: ends %s, renewed at %s, %v", name, token.Expires, renewAt(token), err)
		}
	}
	if !renewAt(connectors.Token{}).IsZero() {
		t.Error("of a token without an end one knows when to renew it")
	}
	if _, err := (grantAnswer{}).token(now); err == nil {
		t.Error("an answer without a token is one")
	}
}

// instantMinus1 is the longest time that is taken for what is left.
const instantMinus1 = 999_999_999
