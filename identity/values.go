package identity

import (
	"maps"
	"slices"
)

// TooMany says whether an account that bears values of a type is a bridge: whether it
// was seen with more of them at a time than its rule allows. Times are when each value
// was seen first and last, in Unix seconds, in any order; one counts until GapDays have
// gone by without it, for so long it joins whoever is seen with it.
//
// What is true stays so however many more values come and however much wider their
// times get.
func (r *Rules) TooMany(typ IdentifierType, times [][2]int64) bool {
	rule := r.Types[typ]
	if rule == nil || rule.Values == 0 || len(times) <= rule.Values {
		return false
	}
	if rule.gap == 0 {
		return true
	}
	begins, ends := make([]int64, len(times)), make([]int64, len(times))
	for i, t := range times {
		begins[i], ends[i] = t[0], t[1]+rule.gap
	}
	slices.Sort(begins)
	slices.Sort(ends)
	ended := 0
	for begun, at := range begins {
		for ends[ended] < at {
			ended++
		}
		if begun+1-ended > rule.Values {
			return true
		}
	}
	return false
}

// Bearing is an account with a type of identifiers.
type Bearing struct {
	Account Account
	Type    IdentifierType
}

// Bridges finds the accounts that bear more values of a type than they may, in roles
// that join, by all evidence of theirs.
func (r *Rules) Bridges(evidence []Evidence) map[Bearing]bool {
	seen := map[Bearing]map[Hash][2]int64{}
	for _, e := range evidence {
		if r.Strength(e.Identifier.Type, e.Role) == 0 || r.Types[e.Identifier.Type].Values == 0 {
			continue
		}
		of := Bearing{e.Account, e.Identifier.Type}
		if seen[of] == nil {
			seen[of] = map[Hash][2]int64{}
		}
		times, ok := seen[of][e.Identifier.Hash]
		if !ok {
			times = [2]int64{e.First, e.Last}
		}
		seen[of][e.Identifier.Hash] = [2]int64{min(times[0], e.First), max(times[1], e.Last)}
	}
	bridges := map[Bearing]bool{}
	for of, values := range seen {
		if r.TooMany(of.Type, slices.Collect(maps.Values(values))) {
			bridges[of] = true
		}
	}
	return bridges
}

// withoutBridges takes the bridges from an identifier's sightings, which keep their
// order, into an inert group.
func (r *Rules) withoutBridges(id Identifier, sightings []Sighting) (rest []Sighting, inert []Group) {
	isBridge := func(s Sighting) bool { return s.Bridge }
	if !slices.ContainsFunc(sightings, isBridge) {
		return sightings, nil
	}
	bridges := Group{Identifier: id, Inert: ReviewValues}
	for _, s := range sightings {
		if s.Bridge {
			bridges.Members = append(bridges.Members, s)
		} else {
			rest = append(rest, s)
		}
	}
	return rest, []Group{bridges}
}
