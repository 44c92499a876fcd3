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
	"oneid/identity/match/receivers"
)

var accountCount = flag.Int("accounts", 100_000, "accounts in the state before BenchmarkIncremental measures")

// masked shows of a text only every so many characters, from the first on.
func masked(text string, every int) string {
	runes := []rune(text)
	for i := range runes {
		if i%every != 0 {
			runes[i] = '*'
		}
	}
	return string(runes)
}

// surnames are some common ones, the first far more than the last.
var surnames = []rune("王李张刘陈杨黄赵周吴徐孙马朱胡郭何林高罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪范金石廖贾夏韦付方白邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严武戴莫孔向汤")

// buyer is one account of a person who has one in each of two shops. With a
// model two in three persons have no identifier in common, and receive parcels,
// which either platform masks in its own way.
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
	surname := surnames[min(r.IntN(len(surnames)), r.IntN(len(surnames)))]
	phone := fmt.Sprintf("1%010d", 3_000_000_000+r.Int64N(6_000_000_000))
	place := r.IntN(3000)
	detail := fmt.Sprintf("%c%c%c路%d号%d幢%d室", 0x4e00+r.IntN(500), 0x4e00+r.IntN(100), []rune("东西南北中")[r.IntN(5)], 1+r.IntN(400), 1+r.IntN(30), 101+r.IntN(1900))
	a := identity.Appearance{Name: string(surname) + "**", Province: fmt.Sprintf("第%d省", place/100), City: fmt.Sprintf("第%d市", place/10),
		District: fmt.Sprintf("第%d区", place), Town: fmt.Sprintf("第%d街道", place*8+r.IntN(8)), Phone: "*******" + phone[7:], Detail: masked(detail, 2)}
	if i%2 == 1 {
		a.Phone, a.Detail = phone[:1]+"********"+phone[9:], masked(detail, 3)
	}
	var hash identity.Hash
	binary.BigEndian.PutUint64(hash[:], uint64(i)*0x9e3779b97f4a7c15+7)
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
// batches of 10,000, and one by one. The model is the one that OneID ships.
func BenchmarkIncremental(b *testing.B) {
	shipped, err := receivers.Scorer()
	if err != nil {
		b.Fatal(err)
	}
	for _, model := range []bool{false, true} {
		b.Run(map[bool]string{false: "rules", true: "model"}[model], func(b *testing.B) {
			source := string(identity.DefaultRulesYAML())
			if model {
				source += string(receivers.RulesYAML())
			}
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			e, err := engine.New(forgetful{}, parsed(b, source), engine.Models(identity.Scorers{receivers.Name: shipped}))
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
			var filling, last time.Duration // all, and its last tenth
			for next < *accountCount {
				began := cpu()
				apply(10_000)
				filling += cpu() - began
				if next > *accountCount-*accountCount/10 {
					last += cpu() - began
				}
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
			ones := make([]time.Duration, 50_000)
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
			b.ReportMetric(float64(next-n-len(ones))/max(filling, 1).Seconds(), "filled/cpu-s")
			b.ReportMetric(float64(*accountCount/10)/max(last, 1).Seconds(), "last-tenth-filled/cpu-s")
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(max(*accountCount, 10_000)), "B/account")
			b.ReportMetric(float64(ones[len(ones)*99/100].Microseconds()), "p99-µs")
			b.ReportMetric(float64(ones[len(ones)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(ones[len(ones)-1].Microseconds()), "max-µs")
			b.ReportMetric(float64(next)/float64(customers), "accounts/customer")
		})
	}
}
