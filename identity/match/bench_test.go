package match

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"oneid/identity/match/compare"
)

// population invents n records with seven columns: names and towns of which a
// few are common and many are rare, and one record in five that is another
// one's, with slips.
func population(seed uint64, n int) *Table {
	r := rand.New(rand.NewPCG(seed, 7))
	one := func(list []string) string { return list[r.IntN(len(list))] }
	starts, vowels, ends := []string{"b", "br", "ch", "d", "f", "gr", "h", "k", "l", "m", "p", "s", "st", "t", "w"}, []string{"a", "e", "i", "o", "u", "ee", "oa"}, []string{"n", "r", "s", "ck", "ley", "son", "ton", "ford"}
	words := func(n, syllables int) []string {
		list := make([]string, n)
		for i := range list {
			for range 1 + r.IntN(syllables) {
				list[i] += one(starts) + one(vowels)
			}
			list[i] += one(ends)
		}
		return list
	}
	// Rank k is drawn about as often as 1/k.
	common := func(list []string) string {
		return list[int(math.Pow(float64(len(list)), r.Float64()))-1]
	}
	slip := func(s string, letters string) string {
		if len(s) < 2 {
			return s
		}
		i := r.IntN(len(s) - 1)
		switch r.IntN(3) {
		case 0:
			return s[:i] + s[i+1:]
		case 1:
			return s[:i] + string(s[i+1]) + string(s[i]) + s[i+2:]
		}
		return s[:i] + string(letters[r.IntN(len(letters))]) + s[i+1:]
	}
	const alphabet, digits = "abcdefghijklmnopqrstuvwxyz", "0123456789"
	firsts, lasts, towns := words(1500, 2), words(n/10, 3), words(400, 2)
	codes := make([]string, n/12)
	for i := range codes {
		codes[i] = fmt.Sprintf("%c%c%d %d%c%c", alphabet[r.IntN(26)], alphabet[r.IntN(26)], 1+r.IntN(30), r.IntN(10), alphabet[r.IntN(26)], alphabet[r.IntN(26)])
	}
	t := NewTable([]string{"first", "last", "born", "town", "code", "phone", "mail"})
	holes := []float64{0.01, 0.01, 0.15, 0.05, 0.1, 0.2, 0.25}
	add := func(row []string) {
		mine := make([]string, len(row))
		for i := range row {
			if r.Float64() >= holes[i] {
				mine[i] = row[i]
			}
		}
		t.Add(0, mine)
	}
	for t.Len() < n {
		first, last := common(firsts), common(lasts)
		row := []string{
			first, last, fmt.Sprintf("%d-%02d-%02d", 1935+r.IntN(73), 1+r.IntN(12), 1+r.IntN(28)), common(towns), one(codes),
			fmt.Sprintf("07%09d", r.IntN(1e9)), fmt.Sprintf("%s.%s%d@%s.example", first, last, r.IntN(999), one([]string{"mail", "post", "web", "corp"})),
		}
		add(row)
		if r.IntN(4) == 0 {
			for _, i := range []int{0, 1, 2, 5, 6} {
				if r.IntN(3) == 0 {
					row[i] = slip(row[i], map[bool]string{true: digits, false: alphabet}[i == 2 || i == 5])
				}
			}
			add(row)
		}
	}
	return t
}

// BenchmarkPairs says what a new pair costs with seven comparisons, one core,
// in three ways: two records at random, the pairs that blocking rules make (they
// agree in something, so more has to be looked at), and these with their
// weight. A round compares each of half a million pairs once, in parts of about
// a millisecond; the tenth of them that is done first tells what the machine can
// do where other work is done beside, the median what it did.
func BenchmarkPairs(b *testing.B) {
	m := &Model{Comparisons: []Comparison{
		{Columns: []string{"first"}, Kind: compare.Name, Rarity: true, SwappedWith: "last"},
		{Columns: []string{"last"}, Kind: compare.Name, Rarity: true},
		{Columns: []string{"born"}, Kind: compare.Date},
		{Columns: []string{"town"}, Kind: compare.Name, Rarity: true},
		{Columns: []string{"code"}, Kind: compare.Code},
		{Columns: []string{"phone"}, Kind: compare.Phone},
		{Columns: []string{"mail"}, Kind: compare.Email},
	}, Blocking: []Rule{
		{Keys: []string{"phone"}}, {Keys: []string{"mail"}}, {Keys: []string{"last", "born"}}, {Keys: []string{"first", "born"}}, {Keys: []string{"code", "last"}},
		{Keys: []string{"code", "first"}}, {Keys: []string{"first", "last", "born.year"}}, {Keys: []string{"last", "first.initial", "town.initial"}}, {Keys: []string{"first", "code.start"}},
	}}
	table := population(1, 100000)
	learned, err := Run(b.Context(), table, m, Options{})
	if err != nil {
		b.Fatal(err)
	}
	r, err := newRecords(b.Context(), table, m)
	if err != nil {
		b.Fatal(err)
	}
	const different = 1 << 19
	random, blocked := make([][2]uint32, different), make([][2]uint32, 0, different)
	draw := rand.New(rand.NewPCG(1, 1))
	for i := range random {
		random[i] = [2]uint32{uint32(draw.IntN(r.n)), uint32(draw.IntN(r.n))}
	}
	blocks := make([]*block, len(m.Blocking))
	for i, rule := range m.Blocking {
		blocks[i] = r.newBlock(rule)
	}
	c := newCandidates(r, blocks)
	for _, u := range c.units() {
		c.pairs(u, func(x, y uint32) {
			if len(blocked) < different {
				blocked = append(blocked, [2]uint32{x, y})
			}
		})
	}
	if len(blocked) < different {
		b.Fatalf("only %d pairs", len(blocked))
	}
	s := newScorer(r, learned.Learned)
	count := map[pattern]float64{}
	for _, p := range blocked {
		count[r.compare(p[0], p[1])]++
	}
	var seen []counted
	for p, n := range count {
		seen = append(seen, counted{p, n})
	}
	s.know(seen)
	var sink float64
	for _, bench := range []struct {
		name  string
		pairs [][2]uint32
		weigh bool
	}{{"random", random, false}, {"blocked", blocked, false}, {"blocked, weighed", blocked, true}} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			const part = 1 << 12
			var parts []time.Duration
			var some batch
			for b.Loop() {
				for from := 0; from < different; from += part {
					began := time.Now()
					for _, p := range bench.pairs[from : from+part] {
						if !some.add(p[0], p[1]) {
							continue
						}
						r.compareAll(&some)
						if bench.weigh {
							for k := range some.n {
								sink += s.weight(some.levels[k], r.row(some.a[k]))
							}
						}
						some.n = 0
					}
					parts = append(parts, time.Since(began))
				}
			}
			slices.Sort(parts)
			b.ReportMetric(float64(parts[len(parts)/2].Nanoseconds())/part, "median-ns/pair")
			b.ReportMetric(float64(parts[len(parts)/10].Nanoseconds())/part, "tenth-ns/pair")
			b.ReportMetric(float64(parts[len(parts)/100].Nanoseconds())/part, "hundredth-ns/pair")
			b.ReportMetric(0, "ns/op")
		})
	}
}
