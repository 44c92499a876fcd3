package guess

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"oneid/identity/match"
)

// typed invents people as a list has them that is typed by hand: names, birthdays,
// streets, towns and e-mail addresses in Latin letters, of one row to three each,
// every sixth value with a slip, every tenth empty.
func typed(seed uint64, n int) (table *match.Table, truth []uint32) {
	r := rand.New(rand.NewPCG(seed, 76))
	word := func(syllables int) (s string) {
		for range syllables {
			s += string("bdfgklmnprst"[r.IntN(12)]) + string("aeiou"[r.IntN(5)])
		}
		return s
	}
	list := func(n, syllables int) (words []string) {
		for range n {
			words = append(words, word(syllables))
		}
		return words
	}
	firsts, lasts, towns, streets := list(80, 2), list(300, 3), list(40, 3), list(200, 4)
	pick := func(from []string) string { return from[int(float64(len(from))*r.Float64()*r.Float64())] }
	slip := func(s string) string {
		i := r.IntN(len(s) - 1)
		switch r.IntN(3) {
		case 0:
			return s[:i] + s[i+1:]
		case 1:
			return s[:i] + string(s[i+1]) + string(s[i]) + s[i+2:]
		}
		return s[:i] + "e" + s[i+1:]
	}
	table = match.NewTable([]string{"first_name", "last_name", "born", "street", "town", "email"})
	for who := range n {
		first, last := pick(firsts), pick(lasts)
		one := []string{
			first, last, fmt.Sprintf("%d-%02d-%02d", 1940+r.IntN(60), 1+r.IntN(12), 1+r.IntN(28)),
			fmt.Sprintf("%d %s street", 1+r.IntN(150), pick(streets)), pick(towns), fmt.Sprintf("%s.%s%d@mail.example", first, last, r.IntN(90)),
		}
		for copies := range 1 + r.IntN(3) {
			row := append([]string{}, one...)
			for i := range row {
				switch {
				case r.IntN(10) == 0:
					row[i] = ""
				case copies > 0 && r.IntN(6) == 0:
					row[i] = slip(row[i])
				}
			}
			table.Add(0, row)
			truth = append(truth, uint32(who))
		}
	}
	return table, truth
}

// moved invents a list of so many customers. Every fifth is there twice: each value
// of the second row has a slip in one of eight, one row in eight has another phone,
// another e-mail address, or another address altogether: street, town and postcode.
func moved(seed uint64, customers int) (table *match.Table, truth []uint32) {
	r := rand.New(rand.NewPCG(seed, 102))
	word := func(syllables int) (s string) {
		for range syllables {
			s += string("bdfgklmnprst"[r.IntN(12)]) + string("aeiou"[r.IntN(5)])
		}
		return s
	}
	list := func(n, syllables int) (words []string) {
		for range n {
			words = append(words, word(syllables))
		}
		return words
	}
	firsts, lasts, streets := list(400, 3), list(1500, 4), list(1000, 4)
	pick := func(from []string) string { return from[int(float64(len(from))*r.Float64()*r.Float64())] }
	var places [][2]string // town and postcode
	for range 60 {
		for town, k := word(3), 1+r.IntN(12); k > 0; k-- {
			places = append(places, [2]string{town, fmt.Sprintf("%s%d %d", strings.ToUpper(word(1)), 1+r.IntN(30), 1+r.IntN(9))})
		}
	}
	live := func(row []string) {
		place := places[r.IntN(len(places))]
		row[3], row[4], row[5] = fmt.Sprintf("%d %s street", 1+r.IntN(200), pick(streets)), place[0], place[1]
	}
	phone := func() string { return fmt.Sprintf("07%09d", r.IntN(1e9)) }
	slip := func(s string) string {
		i := r.IntN(len(s) - 1)
		switch r.IntN(3) {
		case 0:
			return s[:i] + s[i+1:]
		case 1:
			return s[:i] + string(s[i+1]) + string(s[i]) + s[i+2:]
		}
		return s[:i] + "7" + s[i+1:]
	}
	table = match.NewTable([]string{"first_name", "last_name", "born", "street", "town", "postcode", "phone", "email"})
	add := func(who int, row []string) {
		row = append([]string{}, row...)
		for i, empty := range []float64{0.01, 0.01, 0.15, 0.1, 0.05, 0.1, 0.2, 0.25} {
			if r.Float64() < empty {
				row[i] = ""
			}
		}
		table.Add(0, row)
		truth = append(truth, uint32(who))
	}
	for who := range customers {
		first, last := pick(firsts), pick(lasts)
		row := []string{first, last, fmt.Sprintf("%d-%02d-%02d", 1940+r.IntN(65), 1+r.IntN(12), 1+r.IntN(28)), "", "", "", phone(), fmt.Sprintf("%s.%s%d@mail.example", first, last, r.IntN(999))}
		live(row)
		add(who, row)
		if r.IntN(5) > 0 {
			continue
		}
		for _, i := range []int{0, 1, 2, 3, 6, 7} {
			if r.IntN(8) == 0 {
				row[i] = slip(row[i])
			}
		}
		if r.IntN(8) == 0 {
			live(row)
		}
		if r.IntN(8) == 0 {
			row[6] = phone()
		}
		if r.IntN(8) == 0 {
			row[7] = fmt.Sprintf("%s%d@web.example", first, r.IntN(9999))
		}
		add(who, row)
	}
	return table, truth
}

// TestWhoMovedIsFound wants those who agree in all but the address, few as they are,
// taken for one entity and not for neighbours, in short lists as in longer ones.
func TestWhoMovedIsFound(t *testing.T) {
	t.Parallel()
	for _, customers := range []int{500, 1000, 2000} {
		for seed := range uint64(2) {
			table, truth := moved(seed, customers)
			precision, recall, _ := quality(t, table, truth)
			t.Logf("%d customers, seed %d: precision %.4f, recall %.4f", customers, seed, precision, recall)
			if precision < 0.97 || recall < 0.945 {
				t.Errorf("%d customers, seed %d: precision %.4f, recall %.4f; want 0.97 and 0.945", customers, seed, precision, recall)
			}
		}
	}
}

// TestQuality holds what one command reaches, with no labels and no model, on
// tables of the two kinds that people bring: typed, and masked by platforms. A
// bound is a point below what the worst of the seeds reached when it was written.
func TestQuality(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		for name, c := range map[string]struct {
			make func() (*match.Table, []uint32)
			f1   float64
		}{
			"typed":  {func() (*match.Table, []uint32) { return typed(seed, 400) }, 0.985},
			"masked": {func() (*match.Table, []uint32) { return households{accounts: 1500, families: 0.05}.table(seed) }, 0.91},
		} {
			table, truth := c.make()
			precision, recall, _ := quality(t, table, truth)
			f1 := 2 * precision * recall / (precision + recall)
			t.Logf("%s, seed %d: precision %.4f, recall %.4f, F1 %.4f", name, seed, precision, recall, f1)
			if f1 < c.f1 {
				t.Errorf("%s, seed %d: pairwise F1 %.4f, want %.3f; precision %.4f, recall %.4f", name, seed, f1, c.f1, precision, recall)
			}
		}
	}
}
