package douyin

import (
	"testing"
	"time"

	"oneid/connectors"
)

// A token is refreshed in its last hour, when that gives a new one; its end is told
// in seconds that are left, or as a moment.
func TestRenewAt(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		expires whole
		ends    time.Duration
		renewed time.Duration
	}{
		"a week":            {604_800, 7 * 24 * time.Hour, 7*24*time.Hour - renewBefore},
		"what is left":      {1200, 20 * time.Minute, 20*time.Minute - renewBefore},
		"half a minute":     {30, 30 * time.Second, 27 * time.Second},
		"as a moment":       {whole(now.Add(time.Hour).Unix()), time.Hour, time.Hour - renewBefore},
		"it has ended":      {whole(now.Add(-time.Hour).Unix()), -time.Hour, -time.Hour + 6*time.Minute},
		"longer than known": {instantMinus1, instantMinus1 * time.Second, instantMinus1*time.Second - renewBefore},
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
