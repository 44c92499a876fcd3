package rebuild

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"

	"oneid/identity"
	"oneid/internal/clickhouse"
)

// Weight counts the pairs of accounts whose weight lies between Bits and the next
// whole number.
type Weight struct {
	Bits  int `json:"bits"`
	Pairs int `json:"pairs"`
}

// mostWeight is where Weights end: what is above it stands with it.
const mostWeight = 40

// score weighs who was compared, all of it as SQL: the worth of levels and of
// rarity added up, the odds of neighbours taken off, the best of what two accounts
// were seen with, and the thresholds.
func (b *bulk) score(ctx context.Context) error {
	// A join with few rows on its right needs no way to the disk.
	hash := clickhouse.Setting{Name: "join_algorithm", Value: "hash"}
	if _, err := b.make(ctx, "worths", "levels", sumsSQL(b.scorer.Worths(), "SELECT DISTINCT levels FROM "+b.of("compared"))); err != nil {
		return err
	}
	weights := weightSQL("a, b, own", "SELECT a, b, own, rare, w.one AS one, w.near AS near FROM "+b.of("compared")+" AS c INNER JOIN "+b.of("worths")+" AS w USING (levels)")
	if _, err := b.make(ctx, "scored", "(a, b)", "SELECT a, b, best.2 AS weight, best.3 AS own FROM (SELECT a, b, max((own AND weight >= "+bitsSQL(b.rules.Model.Accept)+", weight, own)) AS best FROM ("+weights+") GROUP BY a, b)", hash); err != nil {
		return err
	}
	for into, condition := range map[*int]string{
		&b.out.Compared: "1", &b.out.Pairs: b.accepted(),
		&b.out.Asked: "weight >= " + bitsSQL(b.rules.Model.Review) + " AND NOT " + b.accepted(),
	} {
		if err := b.count(ctx, into, "SELECT count() FROM "+b.of("scored")+" WHERE "+condition); err != nil {
			return err
		}
	}
	var counted []struct {
		Bits  int64  `ch:"bits"`
		Pairs uint64 `ch:"pairs"`
	}
	err := b.ClickHouse.Select(ctx, "count the pairs of each weight", &counted, fmt.Sprintf("SELECT toInt64(floor(least(weight, %d))) AS bits, count() AS pairs FROM %s WHERE weight >= 0 AND own GROUP BY bits ORDER BY bits", mostWeight, b.of("scored")), bulkSpill...)
	if err != nil {
		return err
	}
	for _, w := range counted {
		b.out.Weights = append(b.out.Weights, Weight{int(w.Bits), int(w.Pairs)})
	}
	b.rows += 2 * b.out.Pairs
	err = b.ClickHouse.Exec(ctx, "add what the model joins", "INSERT INTO "+b.of("members")+" SELECT sipHash128('model', a, b), toFixedString('', 16), '', 0, 0, arrayJoin([a, b]), 1, "+asModel+
		" FROM "+b.of("scored")+" WHERE "+b.accepted(), bulkSpill...)
	if err != nil {
		return err
	}
	return b.countGroups(ctx)
}

// accepted is the SQL condition on a pair that joins two accounts, as
// identity.ModelRule.Joins.
func (b *bulk) accepted() string {
	return "(own AND weight >= " + bitsSQL(b.rules.Model.Accept) + ")"
}

// bitsSQL is a threshold as a number of the type of weights.
func bitsSQL(bits float32) string { return "toFloat32(" + floatSQL(float64(bits)) + ")" }

// floatSQL is a number, to the last bit.
func floatSQL(x float64) string {
	if math.IsInf(x, 0) || x != x {
		return "toFloat64('" + strconv.FormatFloat(x, 'g', -1, 64) + "')"
	}
	return "toFloat64(" + strconv.FormatFloat(x, 'g', -1, 64) + ")"
}

// sumsSQL is the SQL of identity.Worths.Sums: one and near of each row of a query
// for levels. It is the same sums in the same order, and no power of the server's,
// which nobody promises to be the same in the next version: so they are the same
// to the last bit.
func sumsSQL(w *identity.Worths, from string) string {
	var classes, powers []string
	near := "toFloat64(0)"
	for class, share := range w.Shares {
		sum := floatSQL(share)
		for i, field := range w.Fields {
			bits := make([]string, len(field.Bits[class]))
			for level, worth := range field.Bits[class] {
				bits[level] = floatSQL(worth)
			}
			sum += fmt.Sprintf(" + arrayElement([%s], bitAnd(bitShiftRight(levels, %d), 15) + 1)", strings.Join(bits, ", "), 4*i)
		}
		classes = append(classes, fmt.Sprintf("%s AS class_%d", sum, class))
		if class > 0 {
			power := fmt.Sprint("near_", class)
			powers = append(powers, exp2SQL(fmt.Sprint("class_", class), power)...)
			near += " + " + power
		}
	}
	columns := append([]string{"levels", "class_0 AS one", near + " AS near"}, powers...)
	return fmt.Sprintf("SELECT levels, one, near FROM (SELECT %s FROM (SELECT levels, %s FROM (%s)))", strings.Join(columns, ", "), strings.Join(classes, ", "), from)
}

// weightSQL is the SQL of identity.Sums.Weight: the columns named and the weight of
// each row of a query for them, one, near and rare.
func weightSQL(columns, from string) string {
	odds := fmt.Sprintf("SELECT %s, one + rare AS sum, 1 + near * rarity AS odds, %s FROM (%s)", columns, strings.Join(exp2SQL("rare", "rarity"), ", "), from)
	return fmt.Sprintf("SELECT %s, if(sum >= %d, sum - against, sum) AS bits, toFloat32(if(isNaN(bits), -most, least(greatest(bits, -most), most))) AS weight, %s AS most, %s FROM (%s)",
		columns, identity.LowestWeight, floatSQL(math.MaxFloat32), strings.Join(log2SQL("odds", "against"), ", "), odds)
}

// exp2SQL are the columns of which the last is 2 to the power of x.
func exp2SQL(x, as string) []string {
	return []string{
		fmt.Sprintf("multiIf(NOT (%[1]s >= -%[2]d), toFloat64(-%[2]d), %[1]s > %[2]d, toFloat64(%[2]d), %[1]s) AS %[3]s_x", x, identity.MostBits, as),
		fmt.Sprintf("floor(%s_x + 0.5) AS %s_whole", as, as),
		fmt.Sprintf("%s_x - %s_whole AS %s_rest", as, as, as),
		fmt.Sprintf("(%s * %s_rest + 1) * reinterpretAsFloat64(bitShiftLeft(toUInt64(%s_whole + 1023), 52)) AS %s", seriesSQL(identity.Exp2Terms[:], as+"_rest"), as, as, as),
	}
}

// log2SQL are the columns of which the last is the logarithm of x.
func log2SQL(x, as string) []string {
	return []string{
		fmt.Sprintf("reinterpretAsUInt64(%s) AS %s_bits", x, as),
		fmt.Sprintf("reinterpretAsFloat64(bitOr(bitAnd(%s_bits, %d), %d)) AS %s_m", as, uint64(1<<52-1), uint64(1023<<52), as),
		fmt.Sprintf("%s_m > %s AS %s_big", as, floatSQL(math.Sqrt2), as),
		fmt.Sprintf("if(%s_big, %s_m * 0.5, %s_m) AS %s_half", as, as, as, as),
		fmt.Sprintf("(%s_half - 1) / (%s_half + 1) AS %s_t", as, as, as),
		fmt.Sprintf("%s_t * %s_t AS %s_square", as, as, as),
		fmt.Sprintf("toFloat64(toInt64(bitShiftRight(%s_bits, 52)) - 1023 + %s_big) + %s_t * %s AS %s", as, as, as, seriesSQL(identity.Log2Terms[:], as+"_square"), as),
	}
}

// seriesSQL adds up powers of x, the term of the highest first.
func seriesSQL(terms []float64, x string) string {
	sum := floatSQL(terms[0])
	for _, term := range terms[1:] {
		sum = "(" + sum + " * " + x + " + " + floatSQL(term) + ")"
	}
	return sum
}
