//go:build unix

package state_test

import (
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"oneid/identity"
	"oneid/identity/engine"
	"oneid/identity/match/receivers"
	"oneid/internal/state"
)

var accountCount = flag.Int("accounts", 100_000, "accounts in the state before BenchmarkIncremental measures")

// population invents accounts, two a person: what each was first seen with
// follows from its number.
type population struct {
	r     *rand.Rand
	model bool
	born  int    // accounts so far
	fresh uint64 // what nobody has borne before is numbered
	shops int    // beyond the two of each person
}

const (
	beginning = 1_600_000_000 // Unix time of everybody's first order
	day       = 86400
)

var platforms = []string{"tmall", "douyin"}

func hashed(kind byte, n uint64) (h identity.Hash) {
	r := rand.NewPCG(n, uint64(kind))
	binary.LittleEndian.PutUint64(h[:], r.Uint64())
	binary.LittleEndian.PutUint64(h[8:], r.Uint64())
	return h
}

func account(i int) identity.Account {
	return identity.Account{Platform: platforms[i%2], Shop: "1", ID: fmt.Sprintf("u%011d", i)}
}

// seen is a piece of evidence from a day of the account's, over some days.
func seen(of identity.Account, typ identity.IdentifierType, h identity.Hash, role identity.Role, from, days int64) identity.Evidence {
	return identity.Evidence{Identifier: identity.Identifier{Type: typ, Hash: h}, Role: role, Source: of.Platform, First: beginning + from*day, Last: beginning + (from+days)*day}
}

// surnames are some common ones, the first far more than the last.
var surnames = []rune("王李张刘陈杨黄赵周吴徐孙马朱胡郭何林高罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪范金石廖贾夏韦付方白邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严武戴莫孔向汤")

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

// receiver is a person's, at his home of that number, as one of the platforms
// masks it.
func receiver(no, home uint64, platform int) *identity.Appearance {
	r := rand.New(rand.NewPCG(no, 1))
	surname := surnames[min(r.IntN(len(surnames)), r.IntN(len(surnames)))]
	phone := fmt.Sprintf("1%010d", 3_000_000_000+r.Int64N(6_000_000_000))
	r = rand.New(rand.NewPCG(no, 2+home))
	place := r.IntN(3000)
	detail := fmt.Sprintf("%c%c%c路%d号%d幢%d室", 0x4e00+r.IntN(500), 0x4e00+r.IntN(100), []rune("东西南北中")[r.IntN(5)], 1+r.IntN(400), 1+r.IntN(30), 101+r.IntN(1900))
	a := identity.Appearance{Name: string(surname) + "**", Province: fmt.Sprintf("第%d省", place/100), City: fmt.Sprintf("第%d市", place/10),
		District: fmt.Sprintf("第%d区", place), Town: fmt.Sprintf("第%d街道", place*8+r.IntN(8)), Phone: "*******" + phone[7:], Detail: masked(detail, 2)}
	if platform == 1 {
		a.Phone, a.Detail = phone[:1]+"********"+phone[9:], masked(detail, 3)
	}
	return &a
}

// receives adds an appearance to an update: seen over some days, so that it is
// no gift.
func (p *population) receives(u *engine.Update, no, home uint64, platform int, from int64) {
	if !p.model {
		return
	}
	u.Appearance = receiver(no, home, platform)
	u.Evidence = append(u.Evidence, seen(u.Account, identity.AppearanceType, hashed('r', no<<20|home<<1|uint64(platform)), identity.RoleReceiver, from, 30))
}

// hasPhone says whether an account shows the phone that its person has: with a
// model a third of them do.
func (p *population) hasPhone(i int) bool { return !p.model || i/2%3 == 0 }

func (p *population) birth(i int) engine.Update {
	u := engine.Update{Account: account(i)}
	u.Evidence = []identity.Evidence{seen(u.Account, identity.TmallOUID, hashed('o', uint64(i)), identity.RoleBuyer, 0, 1)}
	if p.hasPhone(i) {
		u.Evidence = append(u.Evidence, seen(u.Account, identity.Phone, hashed('p', uint64(i/2)), identity.RoleMember, 0, 1))
	}
	p.receives(&u, uint64(i/2), 0, i%2, 0)
	return u
}

// next is one of ten kinds of updates, by turns. Eight fall on accounts drawn at
// random from all that there are, which nothing has touched for long: two on
// customers whose third account is born, six on accounts that order again.
func (p *population) next() engine.Update {
	p.fresh++
	old := p.r.IntN(p.born &^ 1)
	u := engine.Update{Account: account(old)}
	fresh := hashed('f', p.fresh)
	member := func(h identity.Hash, from int64) {
		u.Evidence = append(u.Evidence, seen(u.Account, identity.Phone, h, identity.RoleMember, from, 1))
	}
	switch p.fresh % 10 {
	case 0, 5: // a person's first account, then the second
		p.born++
		return p.birth(p.born - 1)
	case 1, 6: // somebody known buys in a third shop
		p.shops++
		u.Account = identity.Account{Platform: "weidian", Shop: "1", ID: fmt.Sprintf("w%011d", p.shops)}
		u.Evidence = []identity.Evidence{seen(u.Account, identity.WeidianBuyerID, fresh, identity.RoleBuyer, 5, 1)}
		if p.hasPhone(old) {
			member(hashed('p', uint64(old/2)), 5)
		}
		p.receives(&u, uint64(old/2), 0, 1-old%2, 5)
	case 2, 7: // orders again as ever: all is known, and seen later
		u = p.birth(old)
		for i := range u.Evidence {
			u.Evidence[i].Last += 20 * day
		}
	case 3: // sends something to a stranger, whose phone the order shows
		u.Evidence = []identity.Evidence{seen(u.Account, identity.Phone, fresh, identity.RoleReceiver, 9, 0)}
		p.receives(&u, 1<<40|p.fresh, 0, old%2, 9)
		if p.model {
			u.Evidence[1].Last = u.Evidence[1].First // a gift
		}
	case 4: // has another phone
		member(fresh, 12)
	case 8: // has moved house
		u.Evidence = []identity.Evidence{seen(u.Account, identity.TmallOUID, hashed('o', uint64(old)), identity.RoleBuyer, 0, 14)}
		p.receives(&u, uint64(old/2), 1, old%2, 14)
	case 9: // has a phone that was another's: years ago, or just now
		member(hashed('p', uint64(p.r.IntN(p.born)/2)), 16+2000*int64(p.fresh/10%2))
	}
	return u
}

// timed is a store that knows how long it took.
type timed struct {
	*state.Store
	took time.Duration
}

func (s *timed) Commit(rows []engine.Row) error {
	began := time.Now()
	defer func() { s.took += time.Since(began) }()
	return s.Store.Commit(rows)
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

// BenchmarkIncremental is what updates cost a state of -accounts accounts that
// lies in a folder, as it does in the flow: identifiers are looked up, sealed
// values and rows written and synced. Updates come in batches of 10,000, then one
// by one, each a batch of its own. The model is the one that OneID ships.
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
			rules, err := identity.ParseRules([]byte(source))
			if err != nil {
				b.Fatal(err)
			}
			defer debug.SetGCPercent(debug.SetGCPercent(400)) // as in the process of the flow
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			folder, err := state.Open(b.TempDir())
			if err != nil {
				b.Fatal(err)
			}
			defer folder.Close()
			store := &timed{Store: folder}
			e, err := engine.New(store, rules, engine.Models(identity.Scorers{receivers.Name: shipped}))
			if err != nil {
				b.Fatal(err)
			}
			p := &population{r: rand.New(rand.NewPCG(1, 1)), model: model}
			sequence, value := uint64(0), make([]byte, 40) // as long as a sealed phone
			var used time.Duration
			apply := func(updates []engine.Update) time.Duration {
				began, cpuBefore := time.Now(), cpu()
				// In two parts beside each other, as the flow takes evidence out of events.
				var parts [2][]state.SealedValue
				var looking sync.WaitGroup
				for part := range parts {
					looking.Go(func() {
						own := updates[part*len(updates)/2 : (part+1)*len(updates)/2]
						e.LookUp(own)
						for _, u := range own {
							for i, ev := range u.Evidence {
								if u.Numbers[i] == 0 {
									parts[part] = append(parts[part], state.SealedValue{Identifier: ev.Identifier, Sealed: value})
								}
							}
						}
					})
				}
				looking.Wait()
				values := append(parts[0], parts[1]...)
				if err := folder.PutValues(values); err != nil {
					b.Fatal(err)
				}
				if _, err := e.Apply(sequence, updates, nil); err != nil {
					b.Fatal(err)
				}
				e.Delivered(sequence)
				sequence++
				used += cpu() - cpuBefore
				return time.Since(began)
			}
			batch := make([]engine.Update, 10_000)
			var filling time.Duration
			for p.born < *accountCount {
				for i := range batch {
					batch[i] = p.birth(p.born)
					p.born++
				}
				filling += apply(batch)
			}
			filled, customers := p.born, 0
			for range e.Customers {
				customers++
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			var all time.Duration
			used, store.took = 0, 0
			b.ResetTimer()
			for b.Loop() {
				for i := range batch {
					batch[i] = p.next()
				}
				all += apply(batch)
			}
			b.StopTimer()
			n := float64(b.N * len(batch))
			b.ReportMetric(n/all.Seconds(), "updates/s")
			b.ReportMetric(n/used.Seconds(), "updates/cpu-s")
			b.ReportMetric(100*store.took.Seconds()/all.Seconds(), "%-store")
			const singles = 20_000
			var waited, spent, unsynced [singles]time.Duration
			for i := range singles {
				one := []engine.Update{p.next()}
				written, usedBefore := store.took, used
				waited[i] = apply(one)
				spent[i], unsynced[i] = used-usedBefore, waited[i]-(store.took-written)
			}
			slices.Sort(waited[:])
			slices.Sort(spent[:])
			slices.Sort(unsynced[:])
			moved := customers
			for range e.Customers {
				moved--
			}
			if moved == 0 {
				b.Fatal("the updates changed no customer")
			}
			b.ReportMetric(float64(filled)/filling.Seconds(), "filled/s")
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(filled), "B/account")
			b.ReportMetric(float64(folder.DiskBytes())/float64(filled), "disk-B/account")
			b.ReportMetric(float64(waited[singles*99/100].Microseconds()), "p99-µs")
			b.ReportMetric(float64(waited[singles/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(unsynced[singles*99/100].Microseconds()), "p99-unsynced-µs")
			b.ReportMetric(float64(spent[singles*99/100].Microseconds()), "p99-cpu-µs")
			b.ReportMetric(float64(spent[singles-1].Microseconds()), "max-cpu-µs")
		})
	}
}
