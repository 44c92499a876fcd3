package identity

// Explain returns the shortest path of links from one account to another: at
// every step two links that share an identifier and span, or one decision or
// resemblance between two accounts; nil if they are not in one customer.
func Explain(evidence []Evidence, decisions []Decision, rules *Rules, from, to Account) []Step {
	return Path(Resolve(evidence, decisions, rules).Links, from, to)
}

// Step leads from one account to the next by what both bear.
type Step struct {
	From, To Account
	// Identifier and the strength of the weaker of its two links; or Decision.
	Identifier Identifier
	Strength   int
	Decision   string
	// Weight, in bits, is above 0 for a step of the model: from Identifier, the
	// appearance of From, to Other, that of To. Why tells its parts where a Scorer
	// was asked, with no value in them.
	Weight float32
	Other  Hash
	Why    []string
}

// Path finds the shortest path in links; nil if there is none or from is to.
func Path(links []Link, from, to Account) []Step {
	type hub struct {
		id   Identifier
		span int
	}
	hubs, of := map[hub][]Link{}, map[Account][]Link{}
	for _, l := range links {
		of[l.Account] = append(of[l.Account], l)
		if l.paired() {
			back := l
			back.Account, back.Other = l.Other, l.Account
			back.Identifier.Hash, back.OtherAppearance = l.OtherAppearance, l.Identifier.Hash
			of[back.Account] = append(of[back.Account], back)
			continue
		}
		hubs[hub{l.Identifier, l.Span}] = append(hubs[hub{l.Identifier, l.Span}], l)
	}
	came := map[Account]Step{from: {}}
	used := map[hub]bool{}
	for queue := []Account{from}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		if at == to {
			break
		}
		visit := func(s Step) {
			if _, ok := came[s.To]; !ok {
				came[s.To] = s
				queue = append(queue, s.To)
			}
		}
		for _, l := range of[at] {
			switch {
			case l.Decision != "":
				visit(Step{From: at, To: l.Other, Decision: l.Decision})
				continue
			case l.Weight > 0:
				visit(Step{From: at, To: l.Other, Identifier: l.Identifier, Strength: l.Strength, Weight: l.Weight, Other: l.OtherAppearance})
				continue
			}
			key := hub{l.Identifier, l.Span}
			if used[key] {
				continue
			}
			used[key] = true
			for _, m := range hubs[key] {
				visit(Step{From: at, To: m.Account, Identifier: l.Identifier, Strength: min(l.Strength, m.Strength)})
			}
		}
	}
	if _, ok := came[to]; !ok || from == to {
		return nil
	}
	var path []Step
	for at := to; at != from; at = came[at].From {
		path = append(path, came[at])
	}
	for i, j := 0, len(path)-1; i < j; i, j = i+1, j-1 {
		path[i], path[j] = path[j], path[i]
	}
	return path
}
