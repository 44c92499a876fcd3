package rebuild

import (
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"oneid/identity"
	"oneid/identity/match/receivers"
	"oneid/identity/normalize"
	"oneid/internal/keyring"
	"oneid/pipelines/flowtest"
	"oneid/schemas/tables"
)

var benchAccounts = flag.Int("accounts", 100_000, "accounts that BenchmarkResolveAnew resolves")

// memoryMiB is the most memory that this process and the engine, its child, have
// taken since they began or since forget; 0 where the system does not tell.
func memoryMiB(b *testing.B) (own, children float64) {
	b.Helper()
	processes(b, func(pid, parent int, peak float64) {
		switch os.Getpid() {
		case pid:
			own = peak
		case parent:
			children += peak
		}
	})
	return own, children
}

// forget lets the most memory be that of now, where the system can.
func forget(b *testing.B) {
	b.Helper()
	debug.FreeOSMemory() // what inventing took is no part of it
	processes(b, func(pid, parent int, _ float64) {
		if os.Getpid() == pid || os.Getpid() == parent {
			_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
		}
	})
}

func processes(b *testing.B, do func(pid, parent int, peakMiB float64)) {
	b.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/status")
	if err != nil {
		b.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		status := map[string]float64{}
		for line := range strings.Lines(string(text)) {
			name, value, _ := strings.Cut(line, ":")
			if fields := strings.Fields(value); len(fields) > 0 {
				status[name], _ = strconv.ParseFloat(fields[0], 64)
			}
		}
		do(int(status["Pid"]), int(status["PPid"]), status["VmHWM"]/1024)
	}
}

// inventByRules invents accounts, two and a half of a person by their phone, some
// of whom share an e-mail with a neighbour.
func inventByRules(b *testing.B, f *flowtest.Flow, n int) {
	b.Helper()
	account := "['tmall', 'douyin', 'weidian'][number % 3 + 1] AS platform, concat('s', toString(number % 7)) AS shop, toString(number) AS account"
	person := fmt.Sprintf("cityHash64(number) %% %d", n*2/5)
	seen := "'member', 'bench', toDateTime('2026-01-01 00:00:00', 'UTC'), toDateTime('2026-02-01 00:00:00', 'UTC')"
	for _, statement := range []string{
		fmt.Sprintf("INSERT INTO identity_history (platform, shop, account, customer_id, version) SELECT %s, generateUUIDv4(), bitShiftLeft(toUInt64(1), 40) FROM numbers(%d)", account, n),
		fmt.Sprintf("INSERT INTO evidence (platform, shop, account, type, hash, role, source, first_seen, last_seen) SELECT %s, 'phone', substring(SHA256(toString(%s)), 1, 16), %s FROM numbers(%d)", account, person, seen, n),
		fmt.Sprintf("INSERT INTO evidence (platform, shop, account, type, hash, role, source, first_seen, last_seen) SELECT %s, 'email', substring(SHA256(concat('e', toString(intDiv(%s, 2)))), 1, 16), %s FROM numbers(%d) WHERE number %% 10 = 0", account, person, seen, n),
	} {
		if err := f.ClickHouse.Exec(b.Context(), "invent accounts", statement); err != nil {
			b.Fatal(err)
		}
	}
}

// inventForModel invents accounts, two of a person. One person in three has told
// both shops the same phone; the others are known by receivers alone, which either
// platform masks in its own way.
func inventForModel(b *testing.B, f *flowtest.Flow, n int) {
	b.Helper()
	surnames := []rune("王李张刘陈杨黄赵周吴徐孙马朱胡郭何林高罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪范金石")
	hide := func(text string, every int) string {
		runes := []rune(text)
		for i := range runes {
			if i%every != 0 {
				runes[i] = '*'
			}
		}
		return string(runes)
	}
	evidence, values := tables.NewEvidence(), tables.NewIdentifierValues()
	const first, last = 1_760_000_000, 1_765_000_000
	for i := range n {
		no := i / 2
		r := rand.New(rand.NewPCG(uint64(no), 1))
		name := string(surnames[min(r.IntN(len(surnames)), r.IntN(len(surnames)))]) + "**"
		phone := fmt.Sprintf("1%010d", 3_000_000_000+r.Int64N(6_000_000_000))
		place, town := r.IntN(3000), r.IntN(8)
		detail := fmt.Sprintf("%c%c%c路%d号%d幢%d室", 0x4e00+r.IntN(500), 0x4e00+r.IntN(100), []rune("东西南北中")[r.IntN(5)], 1+r.IntN(400), 1+r.IntN(30), 101+r.IntN(1900))
		a := identity.Appearance{Name: name, Province: fmt.Sprintf("第%d省", place/100), City: fmt.Sprintf("第%d市", place/10), District: fmt.Sprintf("第%d区", place), Town: fmt.Sprintf("第%d街道", place*8+town)}
		of := tables.Account{Platform: "tmall", Shop: "s1", ID: strconv.Itoa(i)}
		if a.Phone, a.Detail = "*******"+phone[7:], hide(detail, 2); i%2 == 1 {
			of.Platform, a.Phone, a.Detail = "douyin", phone[:1]+"********"+phone[9:], hide(detail, 3)
		}
		var hash [16]byte
		binary.BigEndian.PutUint64(hash[:], uint64(i)*0x9e3779b97f4a7c15+7)
		evidence.Append(of, string(identity.AppearanceType), hash, "receiver", "bench", first, last)
		sealed := f.Keys.Seal(nil, []byte(normalize.AppearanceValue(a)), keyring.IdentifierContext(string(identity.AppearanceType), hash))
		values.Append(string(identity.AppearanceType), hash, sealed)
		if no%3 == 0 {
			binary.BigEndian.PutUint64(hash[8:], uint64(no)*0x9e3779b97f4a7c15+1)
			binary.BigEndian.PutUint64(hash[:], uint64(no)*0x9e3779b97f4a7c15+3)
			evidence.Append(of, "phone", hash, "member", "bench", first, last)
		}
		if evidence.Rows() >= 200_000 || i == n-1 {
			for _, block := range []tables.Block{evidence, values} {
				if err := f.ClickHouse.Insert(b.Context(), block, fmt.Sprint("bench-", i)); err != nil {
					b.Fatal(err)
				}
				block.Reset()
			}
		}
	}
	err := f.ClickHouse.Exec(b.Context(), "invent accounts", fmt.Sprintf("INSERT INTO identity_history (platform, shop, account, customer_id, version) SELECT if(number %% 2 = 1, 'douyin', 'tmall'), 's1', toString(number), generateUUIDv4(), bitShiftLeft(toUInt64(1), 40) FROM numbers(%d)", n))
	if err != nil {
		b.Fatal(err)
	}
}

// BenchmarkResolveAnew resolves invented accounts by either engine, by rules alone
// and with the model that ships: rows a second, and that both find the same.
func BenchmarkResolveAnew(b *testing.B) {
	for _, with := range []string{"rules", "model"} {
		b.Run(with, func(b *testing.B) {
			f := flowtest.New(b)
			n := *benchAccounts
			if with == "rules" {
				inventByRules(b, f, n)
			} else {
				scorer, err := receivers.Scorer()
				if err != nil {
					b.Fatal(err)
				}
				rules, err := identity.ParseRules(append(identity.DefaultRulesYAML(), receivers.RulesYAML()...))
				if err != nil {
					b.Fatal(err)
				}
				f.Rules, f.Models[receivers.Name] = rules, scorer
				inventForModel(b, f, n)
			}
			found := map[string]bool{}
			for _, by := range []struct {
				name string
				run  func() (Bulk, error)
			}{ // in this order: where memory cannot be forgotten, this program's is that of the engine's way alone
				{"clickhouse", func() (Bulk, error) { return rebuildOf(f).Bulk(b.Context(), nil) }},
				{"go", func() (Bulk, error) { return rebuildOf(f).Again(b.Context(), nil) }},
			} {
				b.Run(by.name, func(b *testing.B) {
					forget(b)
					for b.Loop() {
						got, err := by.run()
						if err != nil {
							b.Fatal(err)
						}
						found[fmt.Sprint(got.Customers, " ", got.Checksum)] = true
						rows := 0
						for _, step := range got.Steps {
							b.Logf("%-30s %8.1f s %12d rows", step.What, step.Seconds, step.Rows)
							rows += step.Rows
						}
						b.Logf("%d accounts are %d customers, checksum %s; the model joins %d pairs", got.Accounts, got.Customers, got.Checksum, got.Pairs)
						b.ReportMetric(float64(got.Rounds), "rounds")
						b.ReportMetric(float64(rows)/float64(n), "rows/account")
						b.ReportMetric(float64(got.ContestedAccounts)/float64(n), "contested/account")
					}
					b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "accounts/s")
					own, children := memoryMiB(b)
					b.ReportMetric(own, "own-peak-MiB")
					b.ReportMetric(children, "engine-peak-MiB")
				})
			}
			if len(found) > 1 {
				b.Errorf("the engines find other customers: %v", found)
			}
		})
	}
}
