package pull

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"oneid/connectors"
)

// While what was written since is read, also by one that is cut off, nobody is given a
// cursor that is older than what this process wrote; and what another wrote comes.
func TestARefreshShowsNothingHalfRead(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	open := func() *Cursors {
		c, err := OpenCursors(t.Context(), r.client, r.publisher, r.topics.Cursors)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c, other := open(), open()
	const key, last = "tmall/s/orders", 300
	for i := range last + 1 {
		if err := c.Put(t.Context(), key, connectors.Cursor(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := other.Put(t.Context(), "tmall/s/users", "theirs"); err != nil {
		t.Fatal(err)
	}
	var reading sync.WaitGroup
	done := make(chan struct{})
	reading.Go(func() {
		for {
			if at := c.Get(key); at != connectors.Cursor(fmt.Sprint(last)) {
				t.Errorf("the stream is read from %q again", at)
				return
			}
			select {
			case <-done:
				return
			default:
			}
		}
	})
	cut, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Refresh(cut); err == nil {
		t.Error("a refresh that was cut off says nothing")
	}
	err := c.Refresh(t.Context())
	close(done)
	reading.Wait()
	if err != nil || c.Get("tmall/s/users") != "theirs" || c.Get(key) != connectors.Cursor(fmt.Sprint(last)) {
		t.Errorf("%v, %q, %q", err, c.Get("tmall/s/users"), c.Get(key))
	}
}
