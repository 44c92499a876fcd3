package identity

import "slices"

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
