package main

import (
	"context"
	"fmt"
	"runtime/metrics"
	"sync/atomic"
	"time"

	"oneid/pipelines"
)

// stateMemory is what the state takes, as the garbage collector last saw it.
type stateMemory struct {
	over  atomic.Bool
	bytes atomic.Int64
}

// watchMemory compares what the state takes with resolve.memory_mib, until ctx
// ends. A state that has outgrown it goes on: it says so, and a person gives it
// more.
func (n *node) watchMemory(ctx context.Context) {
	for first := true; first || pipelines.Sleep(ctx, 10*time.Second) == nil; first = false {
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(live)
		n.memory.bytes.Store(max(int64(live[0].Value.Uint64())-n.resolver.Held(), 0))
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
