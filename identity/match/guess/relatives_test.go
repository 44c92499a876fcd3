package guess

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"oneid/identity/match"
)

// relatives invents households of one to three people with one surname, one address
// and one phone, of one row or two each. born is the share of the rows with a date
// of birth; without any there is no column of them.
func relatives(seed uint64, born float64) (table *match.Table, truth []uint32) {
	r := rand.New(rand.NewPCG(seed, 94))
	word := func(syllables int) (s string) {
		for range syllables {
			s += string("bdfgklmnprst"[r.IntN(12)]) + string("aeiou"[r.IntN(5)])
		}
		return s
	}
	var givens, families, streets []string
	for range 20 {
		givens, families, streets = append(givens, word(3)), append(families, word(2), word(3), word(4)), append(streets, word(4))
	}
	columns := []string{"given", "family", "address", "phone", "dob"}
	if born == 0 {
		columns = columns[:4]
	}
	table = match.NewTable(columns)
	people := uint32(0)
	for range 500 {
		family := families[r.IntN(len(families))]
		address, phone := fmt.Sprintf("%d %s street", 1+r.IntN(300), streets[r.IntN(len(streets))]), fmt.Sprintf("07%09d", r.IntN(1e9))
		for range 1 + r.IntN(3) {
			given, day := givens[r.IntN(len(givens))], fmt.Sprintf("%d-%02d-%02d", 1940+r.IntN(65), 1+r.IntN(12), 1+r.IntN(28))
			for range 1 + r.IntN(3)/2 {
				row := []string{given, family, address, phone, day}
				if r.IntN(5) == 0 {
					row[3] = ""
				}
				if r.Float64() >= born {
					row[4] = ""
				}
				table.Add(0, row[:len(columns)])
				truth = append(truth, people)
			}
			people++
		}
	}
	return table, truth
}

// TestRelativesStayApart wants households that share their phone, too, told apart
// by who is called and born otherwise; and where one column alone tells it that the
// links contradict themselves is said.
func TestRelativesStayApart(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		born, precision, recall float64
		said                    bool
	}{
		"each is born":      {1, 0.98, 0.98, false},
		"half of them are":  {0.5, 0.82, 0.98, false},
		"one column tells":  {0, 0, 0, true},
		"most of them born": {0.8, 0.88, 0.98, false},
	} {
		for seed := range uint64(2) {
			table, truth := relatives(seed, c.born)
			precision, recall, result := quality(t, table, truth)
			t.Logf("%s, seed %d: precision %.3f, recall %.3f", name, seed, precision, recall)
			said := slices.ContainsFunc(result.Warnings, func(w string) bool {
				return strings.HasPrefix(w, "given: ") && strings.Contains(w, "differ altogether")
			})
			if precision < c.precision || recall < c.recall || said != c.said {
				t.Errorf("%s, seed %d: precision %.3f, recall %.3f, said that links contradict themselves: %t; want %.2f, %.2f, %t", name, seed, precision, recall, said, c.precision, c.recall, c.said)
			}
		}
	}
}

// When things were done differs for one person, too: such dates tell no relatives apart.
func TestDatesOfEventsTellNobodyApart(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 0))
	day := func() string {
		return time.Date(2004, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, r.IntN(7000)).Format(time.DateOnly)
	}
	word := func(letters int) string {
		var b strings.Builder
		for range letters {
			b.WriteByte(byte('a' + r.IntN(26)))
		}
		return b.String()
	}
	table, truth := match.NewTable([]string{"name", "address", "phone", "created_at", "updated_at"}), []uint32(nil)
	for who := range 700 {
		name, address, phone := word(6)+" "+word(8), fmt.Sprintf("%d %s street", 1+r.IntN(90), word(7)), fmt.Sprintf("07%09d", r.IntN(1e9))
		for range 1 + r.IntN(3) {
			table.Add(0, []string{name, address, phone, day(), day()})
			truth = append(truth, uint32(who))
		}
	}
	if precision, recall, _ := quality(t, table, truth); precision < 0.98 || recall < 0.95 {
		t.Errorf("precision %.3f, recall %.3f", precision, recall)
	}
}
