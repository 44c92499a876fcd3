package events

import "testing"

func TestPushOrigin(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ stream, id, wantStream, wantID string }{
		{"orders", "17", "orders", "17"}, {"orders", "a b of c", "orders", "a b of c"}, {"", "", "", ""}, {"orders", "", "", ""},
	} {
		origin := PushOrigin(c.stream, c.id)
		if stream, id, push := PushOf(origin); !push || stream != c.wantStream || id != c.wantID {
			t.Errorf("%q is read as of %q %q, %v", origin, stream, id, push)
		}
	}
	for _, other := range []string{"", "orders.csv line 3", "oneid.orders/0@7", "a pushy file.csv line 2", "a push of orders"} {
		if stream, id, push := PushOf(other); push {
			t.Errorf("%q is read as a push of %q %q", other, stream, id)
		}
	}
}
