package resolve

import (
	"testing"
	"testing/synctest"
	"time"

	"oneid/internal/kafka"
)

// A batch that is not full goes on growing for as long as the one before is in
// work, and is used at once when that has ended; a full one is ready.
func TestBatchGrowsWhileOneIsInWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, idle, out := make(chan chunk), make(chan struct{}, 1), make(chan batch, 1)
		start := func() {
			go func() {
				b, err := cut(t.Context(), in, 5, 1<<20, 200*time.Millisecond, idle)
				if err != nil {
					t.Error(err)
				}
				out <- b
			}()
		}
		two := chunk{messages: make([]kafka.Fetched, 2)}
		size := func() int {
			synctest.Wait()
			select {
			case b := <-out:
				return b.size
			default:
				return 0
			}
		}

		start()
		in <- two
		time.Sleep(time.Minute)
		if n := size(); n != 0 {
			t.Fatalf("a batch of %d is handed on while one is in work", n)
		}
		in <- two
		idle <- struct{}{}
		if n := size(); n != 4 {
			t.Fatalf("the batch has %d messages when nothing is in work any more, want 4", n)
		}

		start()
		for range 3 {
			in <- two
		}
		if n := size(); n != 6 {
			t.Fatalf("a full batch has %d messages, want 6, whatever is in work", n)
		}

		start()
		idle <- struct{}{}
		in <- two
		if n := size(); n != 0 {
			t.Fatalf("a batch of %d does not wait for more", n)
		}
		time.Sleep(200 * time.Millisecond)
		if n := size(); n != 2 {
			t.Fatalf("after its wait the batch has %d messages, want 2", n)
		}
	})
}
