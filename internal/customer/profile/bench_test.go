package profile

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"oneid/identity"
)

// BenchmarkHistory is the history half of a look-up at 100,000 customers of
// five orders each, sixteen callers at once: ns/op over all of them, and the
// waits of one as p50-ms and p99-ms.
func BenchmarkHistory(b *testing.B) {
	const customers, callers = 100_000, 16
	c, d := open(b)
	for _, statement := range []string{
		"SYSTEM STOP VIEW customer_360_refresh",
		fmt.Sprintf("INSERT INTO orders (platform, shop, order_id, account, version, status, created_at, paid_at, currency, unit, paid_minor)"+
			" SELECT 'tmall', 's', toString(cityHash64(number)), concat('a', toString(number %% %d)), 1, 'paid', 1700000000 + number, 1700000000 + number, 'CNY', 100, number %% 10000 FROM numbers(%d)", customers, 5*customers),
		fmt.Sprintf("INSERT INTO refunds (platform, shop, refund_id, order_id, account, version, status, currency, unit, refund_minor)"+
			" SELECT 'tmall', 's', toString(number), toString(cityHash64(number)), concat('a', toString(number %% %d)), 1, 'succeeded', 'CNY', 100, 1 FROM numbers(%d)", customers, customers/2),
		fmt.Sprintf("INSERT INTO tickets (platform, shop, ticket_id, order_id, account, version, kind, status, created_at)"+
			" SELECT 'tmall', 's', toString(number), toString(cityHash64(number)), concat('a', toString(number %% %d)), 1, 'refund', 'open', 1700000000 FROM numbers(%d)", customers, customers/2),
	} {
		if err := d.Exec(b.Context(), statement); err != nil {
			b.Fatal(err)
		}
	}
	history := NewHistory(c, NewStored(c))
	waits := make([]time.Duration, b.N)
	b.ResetTimer()
	var all sync.WaitGroup
	for caller := range callers {
		all.Go(func() {
			r := rand.New(rand.NewPCG(uint64(caller), 0))
			for i := caller; i < b.N; i += callers {
				begin := time.Now()
				past, err := history.Of(b.Context(), []identity.Account{{Platform: "tmall", Shop: "s", ID: fmt.Sprint("a", r.IntN(customers))}})
				if err != nil || len(past.Orders) != 5 {
					b.Errorf("%v, %v", past, err)
					return
				}
				waits[i] = time.Since(begin)
			}
		})
	}
	all.Wait()
	b.StopTimer()
	slices.Sort(waits)
	b.ReportMetric(float64(waits[len(waits)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(waits[len(waits)*99/100].Microseconds())/1000, "p99-ms")
}
