//go:build unix

package resolve

import (
	"flag"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"syscall"
	"testing"
	"time"

	"oneid/identity"
	"oneid/identity/engine"
	"oneid/identity/extract"
	"oneid/internal/keyring"
	"oneid/schemas/events"
)

var accountCount = flag.Int("accounts", 1_000_000, "accounts in the state before BenchmarkIdentity measures")

// forgetful takes rows and keeps none, so that the state's disk is not measured.
type forgetful struct{}

func (forgetful) Commit([]engine.Row) error                              { return nil }
func (forgetful) Scan(engine.Table, func(key, value []byte) error) error { return nil }

// BenchmarkIdentity is what who is who costs a batch of 50,000 events, from the
// decoded event to what is to be inserted: of accounts that are all known and bring
// nothing new, and of which every fifth is the first of its account.
func BenchmarkIdentity(b *testing.B) {
	const size = 50_000
	keys, err := keyring.Create(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	hash := func(typ identity.IdentifierType, scope, value string) identity.Hash {
		return keys.Hash(string(typ), scope, value)
	}
	e, err := engine.New(forgetful{}, identity.DefaultRules())
	if err != nil {
		b.Fatal(err)
	}
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // as in the process of the flow
	who := &Identity{Engine: e, Extract: &extract.Extractor{Hash: hash, Rules: identity.DefaultRules()}, Keys: keys}
	batch := &Batch{Sequence: 1}
	apply := func() resolved {
		r, err := who.apply(batch)
		if err != nil {
			b.Fatal(err)
		}
		e.Delivered(batch.Sequence)
		batch.Sequence++
		return r
	}
	born := 0
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for born < *accountCount {
		batch.Events = batch.Events[:0]
		for range size / 2 {
			batch.Events = append(batch.Events, event(born, 0), event(born, 7))
			born++
		}
		apply()
	}
	clear(batch.Events)
	runtime.GC()
	runtime.ReadMemStats(&after)
	bytesEach := float64(after.HeapAlloc-before.HeapAlloc) / float64(born)
	r := rand.New(rand.NewPCG(1, 1))
	run := func(name string, next func(i int) *events.Event) {
		b.Run(name, func(b *testing.B) {
			var used time.Duration
			changed := 0
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				batch.Events = batch.Events[:0]
				for i := range size {
					batch.Events = append(batch.Events, next(i))
				}
				runtime.GC()
				began := processor()
				b.StartTimer()
				changes := apply().changes
				used += processor() - began
				changed += len(changes.Born) + len(changes.Evidence)
			}
			b.ReportMetric(float64(used.Nanoseconds())/float64(b.N*size), "cpu-ns/event")
			b.ReportMetric(bytesEach, "bytes/account")
			b.ReportMetric(float64(changed)/float64(b.N*size), "changes/event")
		})
	}
	known := born
	run("warm", func(i int) *events.Event { return event(r.IntN(known), i) })
	run("cold", func(i int) *events.Event {
		if i%5 == 0 {
			born++
			return event(born-1, 7)
		}
		return event(born-1-r.IntN(min(born-known, 1000)), i)
	})
}

// processor is what the process has used of it.
func processor() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
