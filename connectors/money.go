package connectors

import (
	"errors"
	"math/big"
	"strings"
)

// errAmount does not repeat the text: it may be anything.
var errAmount = errors.New("is not an amount such as 12.30")

// Minor reads an amount of decimal text ("12.30", "-0.5", "7") into the minor
// unit of a currency with the given number of decimals, exactly. Digits beyond
// the currency's must be zeros: money is never rounded. A text of any other
// form, or an amount too large for int64, is an error.
func Minor(text string, decimals int) (int64, error) {
	s, negative := text, false
	if rest, ok := strings.CutPrefix(s, "-"); ok {
		s, negative = rest, true
	} else {
		s = strings.TrimPrefix(s, "+")
	}
	whole, fraction, _ := strings.Cut(s, ".")
	if whole == "" && fraction == "" {
		return 0, errAmount
	}
	var minor int64
	add := func(digit byte) bool {
		if digit < '0' || digit > '9' || minor > (1<<63-1-9)/10 {
			return false
		}
		minor = minor*10 + int64(digit-'0')
		return true
	}
	for i := range len(whole) {
		if !add(whole[i]) {
			return 0, errAmount
		}
	}
	for i := range max(len(fraction), decimals) {
		digit := byte('0')
		if i < len(fraction) {
			digit = fraction[i]
		}
		if i >= decimals {
			if digit != '0' {
				return 0, errAmount
			}
			continue
		}
		if !add(digit) {
			return 0, errAmount
		}
	}
	if negative {
		minor = -minor
	}
	return minor, nil
}

// Decimals is how many digits a currency has behind the point: 0 for the few
// that have no minor unit, 2 for all others.
func Decimals(currency string) int {
	switch currency {
	case "JPY", "KRW", "VND", "CLP", "ISK", "XAF", "XOF":
		return 0
	}
	return 2
}

// Spread shares total among weights so that the shares sum to it exactly: each
// gets its proportional part rounded towards zero, and what is left goes, one
// by one, to those that were cut most (the earlier of equals). Weights that
// are negative count as 0; if all are 0 they count as equal. No weights, no
// shares.
func Spread(total int64, weights []int64) []int64 {
	if len(weights) == 0 {
		return nil
	}
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
