//go:build unix

package state_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"oneid/identity"
	"oneid/identity/engine"
	"oneid/internal/state"
)

var sizes = flag.String("sizes", "200000", "accounts at which BenchmarkNewAccounts weighs the state, one behind the other")

// three is an account as `oneid bench flow` makes them: seen with three identifiers that
// nobody else has.
func three(i int) engine.Update {
	u := engine.Update{Account: account(i)}
	for kind, typ := range threeTypes {
		u.Evidence = append(u.Evidence, seen(u.Account, typ, hashed('1'+byte(kind), uint64(i)), identity.RoleBuyer, 0, 1))
	}
	return u
}

// threeTypes are in their order.
var threeTypes = []identity.IdentifierType{identity.Email, identity.Phone, identity.TmallOUID}

// newcomers are a batch of accounts, and the sealed values of their identifiers in order.
func newcomers(from, to int) (updates []engine.Update, values []state.SealedValue) {
	for i := from; i < to; i++ {
		updates = append(updates, three(i))
	}
	sealed := rand.NewChaCha8([32]byte{})
	for kind := range threeTypes {
		for _, u := range updates {
			value := make([]byte, 40) // as long as a sealed phone
			_, _ = sealed.Read(value) // which never fails
			values = append(values, state.SealedValue{Identifier: u.Evidence[kind].Identifier, Sealed: value})
		}
	}
	slices.SortFunc(values, func(a, b state.SealedValue) int { return a.Identifier.Compare(b.Identifier) })
	return updates, values
}

// BenchmarkNewAccounts is what accounts that nobody has seen before cost the state, in
// batches of 50,000 as the flow takes them, and what they take of the memory: of two
// -sizes the difference is what the further ones take.
func BenchmarkNewAccounts(b *testing.B) {
	const batch = 50_000
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // as in the process of the flow
	for b.Loop() {
		folder, err := state.Open(b.TempDir())
		if err != nil {
			b.Fatal(err)
		}
		e, err := engine.New(folder, identity.DefaultRules())
		if err != nil {
			b.Fatal(err)
		}
		var used time.Duration
		n := 0
		for _, size := range strings.Split(*sizes, ",") {
			upTo, err := strconv.Atoi(size)
			if err != nil {
				b.Fatal(err)
			}
			began := cpu()
			for from := n; from < upTo; from += batch {
				newcomers(from, min(from+batch, upTo))
			}
			making := cpu() - began
			for began = cpu(); n < upTo; n = min(n+batch, upTo) {
				updates, values := newcomers(n, min(n+batch, upTo))
				if err := folder.PutValues(values); err != nil {
					b.Fatal(err)
				}
				if _, err := e.Apply(uint64(n), updates, nil); err != nil {
					b.Fatal(err)
				}
				e.Delivered(uint64(n))
			}
			used += cpu() - began - making
			var now runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&now)
			b.ReportMetric(float64(now.HeapAlloc)/(1<<20), fmt.Sprintf("MiB-at-%dk", n/1000))
		}
		b.ReportMetric(used.Seconds()*1e6/float64(n), "cpu-s/M")
		b.ReportMetric(float64(folder.DiskBytes())/float64(n), "disk-B/account")
		b.ReportMetric(float64(folder.MemoryBytes())/(1<<20), "store-MiB")
		const looks = 2000
		began := cpu()
		for i := range looks {
			if _, ok, err := folder.Value(three(i * (n / looks)).Evidence[i%len(threeTypes)].Identifier); !ok || err != nil {
				b.Fatal(ok, err)
			}
		}
		b.ReportMetric(float64((cpu()-began).Microseconds())/looks, "cpu-µs/value")
		began = cpu()
		if _, err := engine.New(folder, identity.DefaultRules()); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric((cpu()-began).Seconds()*1e6/float64(n), "start-cpu-s/M")
		runtime.KeepAlive(e)
		if err := folder.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
