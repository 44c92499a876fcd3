package connectors

import (
	"runtime"
	"strconv"
	"testing"
)

// A backfill that is ten times as long holds no more: neither values nor memory.
func TestRecentIsBounded(t *testing.T) {
	const size = 2000
	r := NewRecent[string, string](size)
	read := func(from, to int) uint64 {
		for i := from; i < to; i++ {
			r.Put("order "+strconv.Itoa(i), "buyer "+strconv.Itoa(i))
			for _, kept := range []int{i, max(i-size/2+1, 0)} {
				if got, ok := r.Get("order " + strconv.Itoa(kept)); !ok || got != "buyer "+strconv.Itoa(kept) {
					t.Fatalf("after order %d, order %d has the buyer %q, %v", i, kept, got, ok)
				}
			}
		}
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	short := read(0, 3*size)
	long := read(3*size, 30*size)
	if held := len(r.young) + len(r.old); held > size {
		t.Errorf("%d values are held, of at most %d", held, size)
	}
	if long > short+short/10 {
		t.Errorf("%d bytes are held after a stretch ten times as long, %d before", long, short)
	}
	if _, ok := r.Get("order 0"); ok {
		t.Error("the first of 60,000 orders is still known")
	}
}

func TestRecentTakesTheLastValue(t *testing.T) {
	t.Parallel()
	r := NewRecent[int, string](4)
	r.Put(1, "first")
	r.Put(2, "")
	r.Put(3, "") // 1 and 2 are of the old generation now
	r.Put(1, "second")
	if got, _ := r.Get(1); got != "second" {
		t.Errorf("Get = %q, want the value that was put last", got)
	}
}
