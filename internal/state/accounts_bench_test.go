//go:build unix

package state_test

import (
	"flag"
	"fmt"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"oneid/identity"
	"oneid/identity/engine"
	"oneid/internal/state"
)

var sizes = flag.String("sizes", "200000", "accounts at which BenchmarkNewAccounts weighs the state, one behind the other")

// BenchmarkNewAccounts is what accounts that nobody has seen before cost the state, in
// batches of 50,000 events as the flow takes them, and what they take of the memory: for
// each of the -sizes but the first what the further ones take each.
func BenchmarkNewAccounts(b *testing.B) {
	const batch = 25_000
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
		var before float64
		weighed := 0
		for _, size := range strings.Split(*sizes, ",") {
			upTo, err := strconv.Atoi(size)
			if err != nil {
				b.Fatal(err)
			}
			began := cpu()
			for from := n; from < upTo; from += batch {
				buyers(from, min(from+batch, upTo))
			}
			making := cpu() - began
			for began = cpu(); n < upTo; n = min(n+batch, upTo) {
				take(b, folder, e, uint64(n), buyers(n, min(n+batch, upTo)))
			}
			used += cpu() - began - making
			now := lives()
			b.ReportMetric(now/(1<<20), fmt.Sprintf("MiB-at-%dk", n/1000))
			if weighed > 0 {
				b.ReportMetric((now-before)/float64(n-weighed), fmt.Sprintf("B/account-to-%dk", n/1000))
			}
			before, weighed = now, n
		}
		b.ReportMetric(used.Seconds()*1e6/float64(n), "cpu-s/M")
		b.ReportMetric(float64(folder.DiskBytes())/float64(n), "disk-B/account")
		b.ReportMetric(float64(folder.MemoryBytes())/(1<<20), "store-MiB")
		const looks = 2000
		began := cpu()
		for i := range looks {
			if _, ok, err := folder.Value(buyer(i * (n / looks)).seen()[0].Evidence[i%2].Identifier); !ok || err != nil {
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
