package weidian

import (
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
