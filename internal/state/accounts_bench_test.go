//go:build unix

package state_test

import (
	"flag"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"oneid/identity"
	"oneid/identity/engine"
	"oneid/internal/state"
)

var sizes = flag.String("sizes", "200000", "accounts at which BenchmarkNewAccounts weighs the state, one behind the other")

// three is an account as `oneid bench flow` makes them: an id of its platform, a phone
// that it shares with nobody, and a receiver's.
func three(i int) engine.Update {
	u := engine.Update{Account: account(i)}
	for kind, typ := range map[byte]identity.IdentifierType{'o': identity.TmallOUID, 'p': identity.Phone, 'e': identity.Email} {
		u.Evidence = append(u.Evidence, seen(u.Account, typ, hashed(kind, uint64(i)), identity.RoleBuyer, 0, 1))
	}
	return u
}

// BenchmarkNewAccounts is what accounts that nobody has seen before cost the state, in
// batches of 50,000 as the flow takes them, and what each further one takes of the memory.
func BenchmarkNewAccounts(b *testing.B) {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // as in the process of the flow
	for b.Loop() {
		folder, err := state.Open(b.TempDir())
		if err != nil {
			b.Fatal(err)
		}
		store := &timed{Store: folder}
		e, err := engine.New(store, identity.DefaultRules())
		if err != nil {
			b.Fatal(err)
		}
		var used time.Duration
		var written int64
		sequence, n, value, before, at := uint64(0), 0, make([]byte, 40), int64(0), 0
		for _, size := range strings.Split(*sizes, ",") {
			upTo, err := strconv.Atoi(size)
			if err != nil {
				b.Fatal(err)
			}
			for n < upTo {
				updates, values := make([]engine.Update, min(50_000, upTo-n)), []state.SealedValue{}
				for i := range updates {
					updates[i] = three(n)
					n++
				}
				for _, typ := range []identity.IdentifierType{identity.Email, identity.Phone, identity.TmallOUID} {
					from := len(values)
					for _, u := range updates {
						for _, ev := range u.Evidence {
							if ev.Identifier.Type == typ {
								values = append(values, state.SealedValue{Identifier: ev.Identifier, Sealed: value})
							}
						}
					}
					sortValues(values[from:])
				}
				began, out := cpu(), blocks()
				if err := folder.PutValues(values); err != nil {
					b.Fatal(err)
				}
				if _, err := e.Apply(sequence, updates, nil); err != nil {
					b.Fatal(err)
				}
				e.Delivered(sequence)
				sequence++
				used, written = used+cpu()-began, written+blocks()-out
			}
			var now runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&now)
			if live := int64(now.HeapAlloc); at > 0 {
				b.ReportMetric(float64(live-before)/float64(n-at), fmt.Sprintf("B/account-to-%dk", n/1000))
			}
			before, at = int64(now.HeapAlloc), n
		}
		b.ReportMetric(used.Seconds()*1e6/float64(n), "cpu-s/M")
		b.ReportMetric(float64(written)/float64(n), "written-B/account")
		b.ReportMetric(float64(folder.DiskBytes())/float64(n), "disk-B/account")
		b.ReportMetric(float64(folder.MemoryBytes())/(1<<20), "store-MiB")
		runtime.KeepAlive(e)
		if err := folder.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// blocks is how many bytes the process has given to the disk.
func blocks() int64 {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	return int64(used.Oublock) * 512
}

func sortValues(values []state.SealedValue) {
	slices.SortFunc(values, func(a, b state.SealedValue) int { return a.Identifier.Compare(b.Identifier) })
}
