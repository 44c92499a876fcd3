package match

import (
	"slices"
	"testing"
)

// Rules that are chosen keep to the limit, also where all pairs would be few enough.
func TestChosenRulesKeepToTheLimit(t *testing.T) {
	t.Parallel()
	rows, _ := people(8, 300)
	const limit = 20_000
	result, err := Run(t.Context(), table(rows), peopleModel(), Options{MaxPairs: limit})
	if err != nil {
		t.Fatal(err)
	}
	all := slices.ContainsFunc(result.Rules, func(r RuleCount) bool { return len(r.Rule.Keys) == 0 })
	if all || result.Candidates == 0 || result.Candidates > limit {
		t.Errorf("%d pairs compared, all of them %t, by %v; want some, and at most %d", result.Candidates, all, result.Rules, limit)
	}
}
