package events

import (
	"fmt"
	"strings"
)

// exponents are the digits after the point of a currency's major unit where
// they are not two (ISO 4217).
var exponents = map[string]int{
	"BHD": 3, "IQD": 3, "JOD": 3, "KWD": 3, "LYD": 3, "OMR": 3, "TND": 3,
	"BIF": 0, "CLP": 0, "DJF": 0, "GNF": 0, "ISK": 0, "JPY": 0, "KMF": 0, "KRW": 0,
	"PYG": 0, "RWF": 0, "UGX": 0, "VND": 0, "VUV": 0, "XAF": 0, "XOF": 0, "XPF": 0,
}

// Exponent is how many digits a currency's major unit has after the point.
func Exponent(currency string) int {
	if e, ok := exponents[currency]; ok {
		return e
	}
	return 2
}

// ParseMinor reads a decimal text in a currency's major unit ("108.00",
// "-5", ".5") exactly as an integer in its minor unit. It refuses anything
// else: digits that would be lost, exponents, thousands separators, overflow.
// The error does not repeat the text.
func ParseMinor(text, currency string) (int64, error) {
	s := strings.TrimSpace(text)
	negative := false
	if rest, ok := strings.CutPrefix(s, "-"); ok {
		s, negative = rest, true
	} else {
		s = strings.TrimPrefix(s, "+")
	}
	whole, fraction, _ := strings.Cut(s, ".")
	if whole == "" && fraction == "" {
		return 0, fmt.Errorf("events: amount: want a decimal number such as 108.00")
	}
	exponent := Exponent(currency)
	kept := fraction
	if len(kept) > exponent {
		kept = fraction[:exponent]
		if strings.Trim(fraction[exponent:], "0") != "" {
			return 0, fmt.Errorf("events: amount: more than %d digits after the point, which %s does not have", exponent, currency)
		}
	}
	var n int64
	for _, digits := range [2]string{whole, kept} {
		for i := range len(digits) {
			d := digits[i]
			if d < '0' || d > '9' {
				return 0, fmt.Errorf("events: amount: want a decimal number such as 108.00")
			}
			if n > (1<<63-1-int64(d-'0'))/10 {
				return 0, fmt.Errorf("events: amount: too large")
			}
			n = n*10 + int64(d-'0')
		}
	}
	for range exponent - len(kept) {
		if n > (1<<63-1)/10 {
			return 0, fmt.Errorf("events: amount: too large")
		}
		n *= 10
	}
	if negative {
		n = -n
	}
	return n, nil
}

// FormatMinor writes an amount in the major unit, with the currency's digits.
func FormatMinor(minor int64, currency string) string {
	exponent := Exponent(currency)
	sign := ""
	u := uint64(minor)
	if minor < 0 {
		sign, u = "-", -u
	}
	digits := fmt.Sprintf("%0*d", exponent+1, u)
	if exponent == 0 {
		return sign + digits
	}
	point := len(digits) - exponent
	return sign + digits[:point] + "." + digits[point:]
}

// Spread shares total out over weights by largest remainder, so that the
// shares add up to total exactly; with no weight at all, over equal parts.
// Weights must not be negative. It returns nil for no weights.
func Spread(total int64, weights []int64) []int64 {
	n := len(weights)
	if n == 0 {
		return nil
	}
	var sum int64
	for _, w := range weights {
		sum += w
	}
	if sum == 0 {
		weights, sum = make([]int64, n), int64(n)
		for i := range weights {
			weights[i] = 1
		}
	}
	shares := make([]int64, n)
	remainders := make([]int64, n)
	left := total
	for i, w := range weights {
		// 128-bit would be exact for any amount; amounts of orders in 分 stay
		// far below the 2^31 × 2^31 that fit here.
		shares[i] = total * w / sum
		remainders[i] = total * w % sum
		if remainders[i] < 0 {
			remainders[i] = -remainders[i]
		}
		left -= shares[i]
	}
	step := int64(1)
	if left < 0 {
		step = -1
	}
	for ; left != 0; left -= step {
		best := 0
		for i := range remainders {
			if remainders[i] > remainders[best] {
				best = i
			}
		}
		shares[best] += step
		remainders[best] = -1
	}
	return shares
}
