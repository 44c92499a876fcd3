package rebuild

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"oneid/identity"
	"oneid/identity/match/receivers"
	"oneid/pipelines/flowtest"
)

// randomWorths are those of a model that nobody would learn: any number of fields,
// levels and neighbours, some of whose levels are impossible or certain.
func randomWorths(r *rand.Rand) *identity.Worths {
	spread := []float64{0.5, 8, 40, 300}[r.IntN(4)]
	bits := func() float64 {
		switch r.IntN(60) {
		case 0:
			return math.Inf(-1)
		case 1:
			return math.Inf(1)
		case 2:
			return math.NaN()
		case 3:
			return math.Trunc(r.NormFloat64() * spread)
		}
		return r.NormFloat64() * spread
	}
	w := &identity.Worths{}
	for range 1 + r.IntN(6) {
		w.Shares = append(w.Shares, -r.Float64()*30)
	}
	for range 1 + r.IntN(16) {
		var f identity.FieldWorth
		levels := 1 + r.IntN(14)
		for range w.Shares {
			worth := make([]float64, levels+1)
			for level := range levels {
				worth[level+1] = bits()
			}
			f.Bits = append(f.Bits, worth)
		}
		w.Fields = append(w.Fields, f)
	}
	return w
}

// What SQL makes of levels is what this program makes of them, to the last bit, by
// the model that ships and by any other.
func TestWeightsAsSQL(t *testing.T) {
	t.Parallel()
	f := flowtest.New(t)
	shipped, err := receivers.Scorer()
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(7, 70))
	models := []*identity.Worths{shipped.Worths(), flowtest.Models["plain"].Worths()}
	for range 14 {
		models = append(models, randomWorths(r))
	}
	joined, fast, near := 0, 0, 0
	for i, w := range models {
		b := &bulk{Rebuild: rebuildOf(f), prefix: fmt.Sprintf("score_%d_", i)}
		if err := b.empty(t.Context(), "compared", "a UInt32, b UInt32, levels UInt64, rare Float64, own UInt8", "(a, b)"); err != nil {
			t.Fatal(err)
		}
		pairs := &compared{table: b.prefix + "compared"}
		var want []float32
		for n := range 4000 {
			var levels identity.Levels
			for field := range w.Fields {
				levels |= identity.Levels(r.IntN(len(w.Fields[field].Bits[0]))) << (4 * field)
			}
			rare := [...]float64{0, r.NormFloat64() * 4, float64(float32(r.NormFloat64() * 20)), r.NormFloat64() * 400}[r.IntN(4)]
			if n == 0 {
				levels, rare = 0, -1e6
			}
			pairs.a, pairs.b = append(pairs.a, uint32(n)), append(pairs.b, 0)
			pairs.levels, pairs.rare = append(pairs.levels, uint64(levels)), append(pairs.rare, rare)
			pairs.own = append(pairs.own, 1)
			sums := w.Sums(levels)
			want = append(want, sums.Weight(rare))
			switch {
			case sums.One+rare < identity.LowestWeight:
				fast++
			case float32(sums.One+rare) != want[n]:
				near++
			}
		}
		if err := f.ClickHouse.Insert(t.Context(), pairs, "pairs"); err != nil {
			t.Fatal(err)
		}
		seen := 0
		err := f.ClickHouse.Rows(t.Context(), "weigh", "SELECT a, weight FROM ("+weightSQL("a", "SELECT a, rare, w.one AS one, w.near AS near FROM "+b.of("compared")+" AS c INNER JOIN ("+sumsSQL(w, "SELECT DISTINCT levels FROM "+b.of("compared"))+") AS w USING (levels)")+")", func(scan func(...any) error) error {
			var n uint32
			var got float32
			if err := scan(&n, &got); err != nil {
				return err
			}
			if math.Float32bits(got) != math.Float32bits(want[n]) {
				t.Errorf("model %d: levels %#x with %v for what is rare weigh %v as SQL, and %v", i, pairs.levels[n], pairs.rare[n], got, want[n])
			}
			if want[n] > 0 {
				joined++
			}
			seen++
			return nil
		})
		if err != nil || seen != len(want) {
			t.Fatalf("model %d: %d pairs were weighed (%v)", i, seen, err)
		}
	}
	if joined < 1000 || fast < 1000 || near < 1000 {
		t.Errorf("%d pairs weigh more than 0, %d so little that no neighbour was asked, of %d neighbours took something: the test shows less than it says", joined, fast, near)
	}
}
