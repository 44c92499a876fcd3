package match

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// Who shares a key is what a map of the keys says, numbers in the order of their
// first records, for rules of one key and several, of parts, and of words, of which
// a record has several; for few records, and for so many that they are looked at in
// shares.
func TestBlocksAreWhoSharesAKey(t *testing.T) {
	t.Parallel()
	for seed, n := range []int{2, 30, 3000, 20000} {
		rows, _ := people(uint64(seed), n)
		draw := rand.New(rand.NewPCG(uint64(seed), 4))
		tab := NewTable([]string{"first", "last", "born", "town", "phone", "note"})
		for _, row := range rows {
			note := ""
			for range draw.IntN(4) {
				note += fmt.Sprintf(" w%dx", draw.IntN(n))
			}
			tab.Add(0, append(slices.Clone(row), note))
		}
		m := peopleModel()
		m.Comparisons = append(m.Comparisons, Comparison{Columns: []string{"note"}, Kind: "text"})
		if err := m.check(); err != nil {
			t.Fatal(err)
		}
		r, err := newRecords(t.Context(), tab, m)
		if err != nil {
			t.Fatal(err)
		}
		for _, rule := range []Rule{
			{Keys: []string{"phone"}}, {Keys: []string{"last", "born"}}, {Keys: []string{"last", "born.year"}, Most: 3},
			{Keys: []string{"first.initial"}, Most: 50}, {Keys: []string{"note.words"}}, {Keys: []string{"note.words", "town"}, Most: 4},
		} {
			wantSameBlock(t, r, rule)
		}
	}
}

// wantSameBlock compares a rule's block with what a map makes of it.
func wantSameBlock(t *testing.T, r *records, rule Rule) {
	t.Helper()
	keys := make([][]string, r.n) // of each record
	members := map[string][]uint32{}
	var order []string
	for record := range uint32(r.n) {
		keys[record] = []string{""}
		for _, key := range rule.Keys {
			name, what := r.model.key(key)
			i := r.model.comparison(name)
			c, id := r.fields[i].column, r.row(record)[i]
			var parts, next []string
			if what == "words" {
				for _, w := range rarest(c, id) {
					parts = append(parts, fmt.Sprint(w))
				}
			} else if p := part(c, id, what); p != "" {
				parts = []string{p}
			}
			for _, k := range keys[record] {
				for _, p := range parts {
					next = append(next, k+"\x00"+p)
				}
			}
			keys[record] = next
		}
		for _, k := range keys[record] {
			if members[k] == nil {
				order = append(order, k)
			}
			members[k] = append(members[k], record)
		}
	}
	number, skipped, pairs := map[string]uint32{}, 0, 0.0
	want := [][]uint32{nil}
	for _, k := range order {
		n := len(members[k])
		switch {
		case rule.Most > 0 && n > rule.Most:
			skipped++
		case n > 1:
			number[k] = uint32(len(want))
			want = append(want, members[k])
			pairs += float64(n*(n-1)) / 2
		}
	}
	b := r.newBlock(rule)
	if b.skipped != skipped || b.pairs != pairs || len(b.start)-1 != len(want) {
		t.Fatalf("%s: %d keys, %d left out, %.0f pairs; want %d, %d, %.0f", rule, len(b.start)-2, b.skipped, b.pairs, len(want)-1, skipped, pairs)
	}
	for k := range want {
		if got := b.members[b.start[k]:b.start[k+1]]; !slices.Equal(got, want[k]) {
			t.Fatalf("%s: key %d has the records %d, want %d", rule, k, got, want[k])
		}
	}
	for record := range uint32(r.n) {
		var mine []uint32
		for _, k := range keys[record] {
			if number[k] != 0 {
				mine = append(mine, number[k])
			}
		}
		slices.Sort(mine)
		var got []uint32
		switch {
		case b.at != nil:
			got = b.keys[b.at[record]:b.at[record+1]]
		case b.keys[record] != 0:
			got = b.keys[record : record+1]
		}
		if !slices.Equal(got, mine) {
			t.Fatalf("%s: record %d has the keys %d, want %d", rule, record, got, mine)
		}
	}
}
