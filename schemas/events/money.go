package events

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"strings"
)

// Exponent is how many digits a currency's major unit has after the point (ISO 4217).
func Exponent(currency string) int {
	switch currency { // asked for with each amount
	case "BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND":
		return 3
	case "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF":
		return 0
	default:
		return 2
	}
}

var (
	errAmount   = errors.New("events: amount: want a decimal number such as 108.00")
	errTooLarge = errors.New("events: amount: too large")
)

// ParseMinor reads a decimal text in a currency's major unit ("108.00",
// "-5", ".5") exactly as an integer in its minor unit. It refuses anything
// else: digits that would be lost, exponents, thousands separators, overflow.
// The error does not repeat the text.
func ParseMinor(text, currency string) (int64, error) {
	return ParseFixed(text, Exponent(currency))
}

// ParseFixed reads a decimal text as ParseMinor does, with the given number of
// digits after the point: with 0 it reads a count ("3", "3.00").
func ParseFixed(text string, digits int) (int64, error) {
	s := strings.TrimSpace(text)
	negative := false
	if rest, ok := strings.CutPrefix(s, "-"); ok {
		s, negative = rest, true
	} else {
		s = strings.TrimPrefix(s, "+")
	}
	whole, fraction, _ := strings.Cut(s, ".")
	if whole == "" && fraction == "" {
		return 0, errAmount
	}
	kept := fraction
	if len(kept) > digits {
		kept = fraction[:digits]
		if strings.Trim(fraction[digits:], "0") != "" {
			return 0, fmt.Errorf("events: amount: want at most %d digits after the point: money is never rounded", digits)
		}
	}
	var n int64
	for _, part := range [2]string{whole, kept} {
		for i := range len(part) {
			d := part[i]
			if d < '0' || d > '9' {
				return 0, errAmount
			}
			if n > (math.MaxInt64-int64(d-'0'))/10 {
				return 0, errTooLarge
			}
			n = n*10 + int64(d-'0')
		}
	}
	for range digits - len(kept) {
		if n > math.MaxInt64/10 {
			return 0, errTooLarge
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

// Spread shares total out over weights by largest remainder, exactly for any
// amount: each gets its proportional part rounded towards zero, and what is
// left goes one by one to those that were cut most, the earlier of equals.
// The shares add up to total. Weights below 0 count as 0; if all are 0, they
// count as equal. No weights, no shares.
func Spread(total int64, weights []int64) []int64 {
	if len(weights) == 0 {
		return nil
	}
	// A product of two int64, and a sum of many, need more than 64 bits.
	w := make([]*big.Int, len(weights))
	sum := new(big.Int)
	for i, weight := range weights {
		w[i] = big.NewInt(max(weight, 0))
		sum.Add(sum, w[i])
	}
	if sum.Sign() == 0 {
		for i := range w {
			w[i] = big.NewInt(1)
		}
		sum.SetInt64(int64(len(w)))
	}
	shares := make([]int64, len(weights))
	cut := make([]*big.Int, len(weights))
	left := total
	for i := range w {
		part := new(big.Int).Mul(big.NewInt(total), w[i])
		quotient, rest := part.QuoRem(part, sum, new(big.Int))
		shares[i], cut[i] = quotient.Int64(), rest.Abs(rest)
		left -= shares[i]
	}
	step := int64(1)
	if left < 0 {
		step = -1
	}
	for ; left != 0; left -= step {
		most := 0
		for i := range cut {
			if cut[i].Cmp(cut[most]) > 0 {
				most = i
			}
		}
		shares[most] += step
		cut[most] = big.NewInt(-1)
	}
	return shares
}
