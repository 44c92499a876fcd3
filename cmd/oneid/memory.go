package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"time"

	"oneid/pipelines"
)

// offHeap is what a process takes besides what Go's own limit counts, the
// program itself mostly, and what it takes above that limit while a collection
// that began there runs: some 190 MiB at a million accounts.
const offHeap = 200 << 20

// limitMemory holds this process to resolve.memory_mib, unless GOMEMLIMIT says
// otherwise: the collector runs the more often the nearer it is to that. The
// state counts in full, for it grows and is never garbage; what has outgrown the
// setting has room for what the flow may still take, so that the collector does
// not run all the time.
func (n *node) limitMemory(live int64) {
	flow := n.resolver.Memory
	debug.SetMemoryLimit(max(int64(n.settings.Resolve.MemoryMiB)<<20-offHeap, live+flow/4+max(flow/2-n.resolver.Held(), 0)))
}

// garbageRatio is how much garbage may lie beside what lives, in percent of it,
// before it is collected. The limit bounds the memory; well below it to collect
// four times less often is a tenth of the CPU time, and a shorter tail of look-ups.
const garbageRatio = 400

// stateMemory is what the state takes, as the garbage collector last saw it.
type stateMemory struct {
	over  atomic.Bool
	bytes atomic.Int64
}

// watchMemory compares what the state takes with resolve.memory_mib, until ctx
// ends. A state that has outgrown it goes on: it says so, and a person gives it
// more.
func (n *node) watchMemory(ctx context.Context) {
	given := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(given)
	if os.Getenv("GOGC") == "" {
		defer debug.SetGCPercent(debug.SetGCPercent(garbageRatio))
	}
	for first := true; first || pipelines.Sleep(ctx, 10*time.Second) == nil; first = false {
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(live)
		n.memory.bytes.Store(max(int64(live[0].Value.Uint64())-n.resolver.Held(), 0))
		if given == math.MaxInt64 {
			n.limitMemory(int64(live[0].Value.Uint64()))
		}
		over := n.memory.bytes.Load() > int64(n.settings.Resolve.MemoryMiB)<<20
		if n.memory.over.Swap(over) == over {
			continue
		}
		if over {
			n.log.Warn("the state has outgrown its memory", "mib", n.memory.bytes.Load()>>20, "resolve.memory_mib", n.settings.Resolve.MemoryMiB)
		} else {
			n.log.Info("the state fits its memory again", "mib", n.memory.bytes.Load()>>20)
		}
	}
}

func (n *node) memoryNote() string {
	return fmt.Sprintf("the state takes %d MiB, more than resolve.memory_mib (%d): raise it", n.memory.bytes.Load()>>20, n.settings.Resolve.MemoryMiB)
}

// roomForGarbage is how much garbage may lie beside what lives in a process that
// ends with its one piece of work, where less lives than that.
const roomForGarbage = 512 << 20

// spaciousness lets the collector run seldom in a process that reads much and ends
// soon, which is a tenth of its CPU time. Where much lives it runs as it does by
// itself, so that a large table takes no more memory than it would. GOGC and
// GOMEMLIMIT overrule it. The zero value has done nothing yet.
type spaciousness struct{ percent int }

// adapt goes by what lived at the last collection, and is called now and then.
func (s *spaciousness) adapt() {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	if percent := garbagePercent(live[0].Value.Uint64()); percent != s.percent {
		s.percent = percent
		debug.SetGCPercent(percent)
	}
}

// garbagePercent is how much garbage may lie beside so many bytes that live, in percent
// of them.
func garbagePercent(live uint64) int {
	return int(min(max(100*roomForGarbage/max(1, live), 100), garbageRatio))
}
