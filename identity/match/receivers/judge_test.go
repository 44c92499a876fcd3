package receivers_test

import (
	"math"
	"testing"

	"oneid/connectors/simulator"
	"oneid/identity"
	"oneid/identity/match/receivers"
)

// bridge is the mean probability below which oneid match does not join two
// clusters, though a link between them is strong.
const bridge = 0.3

// judge is that of oneid match, for accounts: it looks at all pairs between two
// clusters that were seen with a receiver of their own, each by what of them is
// most alike.
func (p *population) judge(s identity.Scorer, g guards, refused func(link)) func(*sets, link) bool {
	own := make([][]*sighting, len(p.accounts))
	for i := range p.sightings {
		if one := &p.sightings[i]; one.last-one.first >= int64(g.leastDays)*86400 {
			own[one.account] = append(own[one.account], one)
		}
	}
	members := func(joined *sets, account int) (list []int) {
		root := joined.find(account)
		for i := range p.accounts {
			if joined.find(i) == root {
				list = append(list, i)
			}
		}
		return list
	}
	return func(joined *sets, l link) bool {
		sum, n := 0.0, 0.0
		left, right := members(joined, l.a), members(joined, l.b)
		for _, a := range left {
			for _, b := range right {
				best := math.Inf(-1)
				for _, x := range own[a] {
					for _, y := range own[b] {
						best = max(best, float64(s.Weigh(x.shown, y.shown)))
					}
				}
				if !math.IsInf(best, -1) {
					sum, n = sum+1/(1+math.Exp2(-best)), n+1
				}
			}
		}
		if n == 0 || sum/n >= bridge {
			return false
		}
		refused(l)
		return true
	}
}

// What the flow's guards let through a judge of bridges would not refuse either: a
// customer gets one account of a shop through the model, and who resembles two of one
// shop resembles nobody, so there are no dense groups for one false link to join. The
// flow has no judge (decision 080). Without those guards there is something to refuse.
func TestTheFlowNeedsNoJudge(t *testing.T) {
	t.Parallel()
	s, err := receivers.Scorer()
	if err != nil {
		t.Fatal(err)
	}
	lax := shipped
	lax.leastDays, lax.byFar, lax.perShop = 0, 0, len(simulator.Platforms)
	for name, c := range map[string]struct {
		guards guards
		needed bool
	}{"as shipped": {shipped, false}, "without guards": {lax, true}} {
		right, wrong := 0, 0
		for _, seed := range []uint64{205, 206, 207} {
			p := newPopulation(t, 3000, seed)
			p.resolve(p.links(s, c.guards), c.guards, p.judge(s, c.guards, func(l link) {
				if p.accounts[l.a].Person == p.accounts[l.b].Person {
					right++
				} else {
					wrong++
				}
			}))
		}
		t.Logf("%s: a judge refuses %d right joins and %d wrong ones", name, right, wrong)
		if needed := right+wrong > 0; needed != c.needed {
			t.Errorf("%s: a judge refuses %d right joins and %d wrong ones", name, right, wrong)
		}
	}
}
