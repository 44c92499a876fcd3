package match

import (
	"bytes"
	"fmt"
	"math"
	"testing"

	"oneid/identity/match/compare"
)

// In a small table most pairs may be of households, and still what is learned are
// shares and probabilities, and it is written and read again: six people of two
// accounts each, in three houses.
func TestFewPeopleInFewHouses(t *testing.T) {
	t.Parallel()
	tab := NewTable([]string{"name", "phone", "birthday", "address"})
	for i, name := range []string{"Ann Grey", "Tom Heron", "Lisa Mill", "Bert Stone", "Eve Marsh", "Carl Field"} {
		for range 2 {
			tab.Add(0, []string{name, fmt.Sprintf("138%04d%04d", 1111*(i+1), 987*(i+3)), fmt.Sprintf("19%d1-%02d-1%d", 5+i%4, 1+2*i, i), fmt.Sprintf("%d%d %s Road", 1+i/2, 7-i/2, []string{"Oak", "River", "Church"}[i/2])})
		}
	}
	m := &Model{Comparisons: []Comparison{
		{Columns: []string{"name"}, Kind: compare.Name}, {Columns: []string{"phone"}, Kind: compare.Phone},
		{Columns: []string{"birthday"}, Kind: compare.Date}, {Columns: []string{"address"}, Kind: compare.Address},
	}}
	result := run(t, tab, m)
	learned := result.Learned
	if len(learned.Near) <= len(learned.Fields) {
		t.Fatalf("%d kinds of neighbours: no households are found", len(learned.Near))
	}
	rest := 1 - learned.Prior
	for _, near := range learned.Near {
		rest -= near
	}
	if !(rest >= 0.1-1e-9) {
		t.Errorf("of all pairs %v are strangers, %v one entity and %v neighbours", rest, learned.Prior, learned.Near)
	}
	if bits := learned.PriorBits(); math.IsNaN(bits) || math.IsInf(bits, 0) {
		t.Errorf("the prior is worth %v bits", bits)
	}
	for _, l := range result.Links {
		if p := l.Probability(); !(p >= 0 && p <= 1) {
			t.Errorf("rows %d and %d are one with the probability %v", l.A, l.B, p)
		}
	}
	var file bytes.Buffer
	if err := learned.Write(&file); err != nil {
		t.Fatal(err)
	}
	if _, err := ParseLearned("learned.json", file.Bytes()); err != nil {
		t.Error(err)
	}
	for row := range 12 {
		if want := uint32(row / 2 * 2); result.Cluster[row] != want {
			t.Errorf("row %d is in the cluster of %d, want %d", row, result.Cluster[row], want)
		}
	}
}
