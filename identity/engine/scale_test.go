//go:build unix

package engine_test

import (
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"oneid/identity"
	"oneid/identity/engine"
)

var accountCount = flag.Int("accounts", 100_000, "accounts in the state before BenchmarkIncremental measures")

// parcels is a model of appearances as they are in life: who meets by name and
// the phone's end, or by the phone's end and district.
type parcels struct{}

func mixed(a, b string, salt uint64) uint64 {
	h := salt
	for _, s := range [...]string{a, b} {
		for i := range len(s) {
			h = (h ^ uint64(s[i])) * 0x100000001b3
		}
		h ^= 0xff
	}
	return h
}

func (parcels) Blocks(keys []uint64, a identity.Appearance) []uint64 {
	return append(keys, mixed(a.Name, a.Phone, 1), mixed(a.Phone, a.District, 2))
}

func (parcels) Weigh(a, b identity.Appearance) (bits float32) {
	for _, field := range [...]struct {
		a, b      string
		same, not float32
	}{{a.Name, b.Name, 5, -4}, {a.Phone, b.Phone, 9, -6}, {a.District, b.District, 4, -3}, {a.Detail, b.Detail, 6, -4}} {
		if field.a == field.b {
			bits += field.same
		} else {
			bits += field.not
		}
	}
	return bits
}

func (parcels) Explain(identity.Appearance, identity.Appearance) []string { return []string{"bits"} }

const parcelModel = "\nmodel: {use: parcels, accept: 15, review: 8, least_days: 7, block: 30, strength: 20, per_shop: 1}\n"

// buyer is one account of a person who has one in each of two shops. With a
// model two in three persons have no identifier in common, and receive parcels.
func buyer(i int, model bool) engine.Update {
	u := person(i)
	if !model {
		return u
	}
	no := i / 2
	if no%3 != 0 {
		u.Evidence = u.Evidence[:1]
	}
	r := rand.New(rand.NewPCG(uint64(no), 1))
	a := identity.Appearance{
		Name: string(rune('王'+r.IntN(400))) + "**", Phone: fmt.Sprintf("*******%04d", r.IntN(10_000)), Province: "浙江省", City: "杭州市",
		District: fmt.Sprint("区", r.IntN(3000)), Detail: fmt.Sprint(r.IntN(1000), "*", r.IntN(100)),
	}
	var hash identity.Hash
	binary.BigEndian.PutUint64(hash[:], uint64(no)*0x9e3779b97f4a7c15+7)
	u.Appearance = &a
	u.Evidence = append(slices.Clone(u.Evidence), identity.Evidence{Identifier: identity.Identifier{Type: identity.AppearanceType, Hash: hash}, Role: identity.RoleReceiver, Source: u.Account.Platform, First: 1, Last: 1 + 30*86400})
	return u
}

// cpu is what the process has used of it: what a machine that others use too
// tells better than a clock.
func cpu() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// BenchmarkIncremental is what updates cost a state of -accounts accounts: in
// batches of 10,000, and one by one.
func BenchmarkIncremental(b *testing.B) {
	for _, model := range []bool{false, true} {
		b.Run(map[bool]string{false: "rules", true: "model"}[model], func(b *testing.B) {
			source := string(identity.DefaultRulesYAML())
			if model {
				source += parcelModel
			}
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			e, err := engine.New(forgetful{}, parsed(b, source), engine.Models(identity.Scorers{"parcels": parcels{}}))
			if err != nil {
				b.Fatal(err)
			}
			sequence, next := uint64(0), 0
			apply := func(n int) time.Duration {
				updates := make([]engine.Update, n)
				for i := range updates {
					updates[i] = buyer(next, model)
					next++
				}
				began := time.Now()
				if _, err := e.Apply(sequence, updates, nil); err != nil {
					b.Fatal(err)
				}
				e.Delivered(sequence)
				sequence++
				return time.Since(began)
			}
			for next < *accountCount {
				apply(10_000)
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			var all, spent time.Duration
			n := 0
			b.ResetTimer()
			for b.Loop() {
				began := cpu()
				all += apply(10_000)
				spent += cpu() - began // with the making of the updates
				n += 10_000
			}
			b.StopTimer()
			ones := make([]time.Duration, 5000)
			for i := range ones {
				ones[i] = apply(1)
			}
			slices.Sort(ones)
			customers := 0
			for range e.Customers {
				customers++
			}
			b.ReportMetric(float64(n)/all.Seconds(), "updates/s")
			b.ReportMetric(float64(n)/spent.Seconds(), "updates/cpu-s")
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(max(*accountCount, 10_000)), "B/account")
			b.ReportMetric(float64(ones[len(ones)*99/100].Microseconds()), "p99-µs")
			b.ReportMetric(float64(ones[len(ones)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(next)/float64(customers), "accounts/customer")
		})
	}
}
