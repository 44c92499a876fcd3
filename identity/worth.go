package identity

import "math"

// Levels are how well two appearances agree, field by field: four bits a field,
// the first field lowest. 0 is a field that one of the two does not show, 1 is
// equal, and what the others mean a model says.
type Levels uint64

// Of is the level of a field.
func (l Levels) Of(field int) int { return int(l >> (4 * field) & 15) }

// Worths are what a Scorer's levels are worth. They are all that is needed to
// weigh a pair whose levels are known, here or as SQL: Weight uses nothing but
// sums, products and quotients of float64, in an order that is written down, so
// that whoever repeats them comes to the same number, bit by bit.
type Worths struct {
	// Shares are the bits of each class of pairs against strangers: the first is
	// one person, whose bits are the prior, and the others are neighbours.
	Shares []float64
	Fields []FieldWorth
}

// FieldWorth is what the levels of one field are worth.
type FieldWorth struct {
	Name string
	// Levels are the names of the levels from 1 on.
	Levels []string
	// Bits by class and level, from 0 on, which is worth nothing.
	Bits [][]float64
}

// LowestWeight is a weight below which nobody asks how many neighbours agree
// like that.
const LowestWeight = -10

// Sums are what levels are worth before it is known how rare equal values are.
type Sums struct {
	One  float64 // bits of one person against strangers
	Near float64 // odds of neighbours against them
}

// Sums adds up what levels are worth.
func (w *Worths) Sums(l Levels) (s Sums) {
	for class, bits := range w.Shares {
		for i := range w.Fields {
			bits += w.Fields[i].Bits[class][l.Of(i)]
		}
		if class == 0 {
			s.One = bits
		} else {
			s.Near += exp2(bits)
		}
	}
	return s
}

// Weight is the weight of a pair in bits, a number in any case; rare is what is
// added because its equal values are rare.
func (s Sums) Weight(rare float64) float32 {
	w := s.One + rare
	if w >= LowestWeight {
		w -= log2(1 + float64(s.Near*exp2(rare)))
	}
	if w != w {
		return -math.MaxFloat32
	}
	return float32(min(max(w, -math.MaxFloat32), math.MaxFloat32))
}

// Weight of a pair by its levels.
func (w *Worths) Weight(l Levels, rare float64) float32 { return w.Sums(l).Weight(rare) }

// The conversions below keep a product and a sum from being rounded as one,
// which some processors would do.

const (
	e1  = math.Ln2
	e2  = e1 * math.Ln2 / 2
	e3  = e2 * math.Ln2 / 3
	e4  = e3 * math.Ln2 / 4
	e5  = e4 * math.Ln2 / 5
	e6  = e5 * math.Ln2 / 6
	e7  = e6 * math.Ln2 / 7
	e8  = e7 * math.Ln2 / 8
	e9  = e8 * math.Ln2 / 9
	e10 = e9 * math.Ln2 / 10
	e11 = e10 * math.Ln2 / 11
	e12 = e11 * math.Ln2 / 12
	e13 = e12 * math.Ln2 / 13
	e14 = e13 * math.Ln2 / 14
)

// Exp2Terms are the factors of the powers of x, from the highest to the first, of
// which 2ˣ is made for x from -½ to ½, beside 1. More would not be seen in a float64.
var Exp2Terms = [...]float64{e14, e13, e12, e11, e10, e9, e8, e7, e6, e5, e4, e3, e2, e1}

// Log2Terms are those of t, t³, t⁵ and so on, from the highest to the first, of
// which the logarithm of (1+t)/(1-t) is made for numbers from √½ to √2.
var Log2Terms = [...]float64{
	2 / (23 * math.Ln2), 2 / (21 * math.Ln2), 2 / (19 * math.Ln2), 2 / (17 * math.Ln2), 2 / (15 * math.Ln2), 2 / (13 * math.Ln2),
	2 / (11 * math.Ln2), 2 / (9 * math.Ln2), 2 / (7 * math.Ln2), 2 / (5 * math.Ln2), 2 / (3 * math.Ln2), 2 / math.Ln2,
}

// MostBits bounds what exp2 is asked about, on either side of 0.
const MostBits = 1000

// exp2 is 2ˣ, of what is no number that of the least.
func exp2(x float64) float64 {
	switch {
	case !(x >= -MostBits):
		x = -MostBits
	case x > MostBits:
		x = MostBits
	}
	whole := math.Floor(x + 0.5)
	rest, sum := x-whole, 0.0
	for _, term := range Exp2Terms {
		sum = float64(sum*rest) + term
	}
	return (float64(sum*rest) + 1) * math.Float64frombits(uint64(whole+1023)<<52)
}

// log2 is the logarithm of a number from 1 on.
func log2(x float64) float64 {
	bits := math.Float64bits(x)
	exponent := float64(int64(bits>>52) - 1023)
	m := math.Float64frombits(bits&(1<<52-1) | 1023<<52)
	if m > math.Sqrt2 {
		m, exponent = m*0.5, exponent+1
	}
	t := (m - 1) / (m + 1)
	square, sum := float64(t*t), 0.0
	for _, term := range Log2Terms {
		sum = float64(sum*square) + term
	}
	return exponent + float64(t*sum)
}
