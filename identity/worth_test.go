package identity

import (
	"math"
	"math/rand/v2"
	"testing"
)

// The powers and logarithms of which weights are made are those of the library,
// but for the last bits, and say something of any number.
func TestPowersAndLogarithms(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		x := (r.Float64() - 0.5) * []float64{1e-9, 1, 20, 400, 1990}[r.IntN(5)]
		if got, want := exp2(x), math.Exp2(x); math.Abs(got-want) > 1e-15*want {
			t.Fatalf("exp2(%v) = %v, want %v", x, got, want)
		}
		y := 1 + math.Exp2(x)
		want := math.Log2(y)
		if y < 1.5 { // where that of the library loses digits
			want = math.Log1p(y-1) / math.Ln2
		}
		if got := log2(y); math.Abs(got-want) > 1e-15*want {
			t.Fatalf("log2(%v) = %v, want %v", y, got, want)
		}
	}
	for x := -MostBits; x <= MostBits; x++ {
		if got, want := exp2(float64(x)), math.Ldexp(1, x); got != want {
			t.Fatalf("exp2(%d) = %v", x, got)
		}
		if got := log2(math.Ldexp(1, max(x, 0))); got != float64(max(x, 0)) {
			t.Fatalf("log2(2^%d) = %v", x, got)
		}
	}
	for _, x := range []float64{math.Inf(1), math.Inf(-1), math.MaxFloat64, -math.MaxFloat64, math.Copysign(math.NaN(), -1)} {
		if got := exp2(x); got != math.Ldexp(1, int(math.Copysign(MostBits, x))) {
			t.Errorf("exp2(%v) = %v", x, got)
		}
	}
}

// Weights are numbers, whatever a model holds to be impossible.
func TestWeightsAreNumbers(t *testing.T) {
	t.Parallel()
	w := &Worths{Shares: []float64{-20, -5}, Fields: []FieldWorth{
		{Bits: [][]float64{{0, 12, -4}, {0, 3, -1}}},
		{Bits: [][]float64{{0, math.Inf(1), math.Inf(-1), math.NaN()}, {0, math.Inf(1), 1, 0}}},
	}}
	for levels, want := range map[Levels]float32{
		0x00: -20, 0x01: float32(-8 - math.Log2(1+0.25)), 0x21: -math.MaxFloat32, 0x31: -math.MaxFloat32, 0x11: math.MaxFloat32,
	} {
		if got := w.Weight(levels, 0); got != want {
			t.Errorf("levels %#x weigh %v, want %v", levels, got, want)
		}
	}
	if got, want := w.Weight(1, 3), float32(-5-math.Log2(1+2)); got != want {
		t.Errorf("with rare values it weighs %v, want %v", got, want)
	}
}
