package tmall

import (
	"testing"
	"time"

	"oneid/connectors"
)

// What a cursor was made of is what it reached; what is no cursor has no moment.
func TestReached(t *testing.T) {
	t.Parallel()
	moment := time.Date(2026, 11, 11, 0, 0, 1, 0, time.UTC)
	if got, ok := (*Connector)(nil).Reached(cursorAt(moment)); !ok || !got.Equal(moment) {
		t.Errorf("a cursor of %s reached %s, %v", moment, got, ok)
	}
	for _, bad := range []connectors.Cursor{"", "x", "{}"} {
		if got, ok := (*Connector)(nil).Reached(bad); ok {
			t.Errorf("the cursor %q reached %s", bad, got)
		}
	}
}
