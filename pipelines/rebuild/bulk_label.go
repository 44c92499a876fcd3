package rebuild

import (
	"context"
	"fmt"

	"oneid/internal/clickhouse"
)

// mostRounds is beyond what any graph of fewer than 2³² accounts needs: a round
// leaves about half of the accounts of a chain, and far less of anything else.
const mostRounds = 64

// label gives each account that shares a group with another the lowest number of
// its component. In each round every account picks one of those that it shares a
// group with, itself among them: the first in an order that is another one in
// each round, so that a chain in the order of births is no worse than any other.
// What was picked stands for all that picked it, and groups that hold one thing
// alone by then are gone. So a round reads what the one before has left, and not
// all there is (Bögeholz, Brand and Todor, In-database connected component
// analysis, ICDE 2020).
func (b *bulk) label(ctx context.Context) error {
	groups := "members"
	for left := 1; left > 0; {
		if b.out.Rounds++; b.out.Rounds > mostRounds {
			return fmt.Errorf("rebuild: accounts are still connected after %d rounds", mostRounds)
		}
		picked, next := fmt.Sprint("picked_", b.out.Rounds), fmt.Sprint("groups_", b.out.Rounds)
		// A number's place in the order of this round, and the number behind it.
		place := fmt.Sprintf("bitOr(bitShiftLeft(toUInt64(intHash32(bitXor(toUInt64(n), %d))), 32), toUInt64(n))", uint64(b.out.Rounds)<<40)
		_, err := b.make(ctx, picked, "n", "SELECT n, toUInt32(bitAnd(min(first), 4294967295)) AS p FROM (SELECT arrayJoin(ns) AS n, first FROM (SELECT groupArray(n) AS ns, min("+place+") AS first FROM "+b.of(groups)+" GROUP BY g)) GROUP BY n")
		if err != nil {
			return err
		}
		left, err = b.make(ctx, next, "g", "SELECT g, arrayJoin(ps) AS n FROM (SELECT g, groupUniqArray(p) AS ps FROM "+b.of(groups)+" AS m INNER JOIN "+b.of(picked)+" AS x USING (n) GROUP BY g HAVING length(ps) > 1)")
		if err != nil {
			return err
		}
		groups = next
		b.tell("rounds", b.out.Rounds)
	}
	// What an account picked has picked another in a later round, or is what its
	// component came down to.
	roots := fmt.Sprint("picked_", b.out.Rounds)
	for round := b.out.Rounds - 1; round > 0; round-- {
		next := fmt.Sprint("roots_", round)
		_, err := b.make(ctx, next, "n", "SELECT x.n AS n, ifNull(y.p, x.p) AS p FROM "+b.of(fmt.Sprint("picked_", round))+" AS x LEFT JOIN "+b.of(roots)+" AS y ON x.p = y.n", clickhouse.Setting{Name: "join_use_nulls", Value: 1})
		if err != nil {
			return err
		}
		roots = next
	}
	_, err := b.make(ctx, "labels", "n", "SELECT arrayJoin(ns) AS n, l FROM (SELECT groupArray(n) AS ns, min(n) AS l FROM "+b.of(roots)+" GROUP BY p)")
	return err
}
