// Package evaluate measures a clustering of accounts against the truth, in
// time that grows with the accounts and not with their pairs.
package evaluate

import "iter"

// Score compares a clustering with a truth over the accounts that both name.
type Score struct {
	Accounts, Customers, People int
	// Pairs of accounts: found together, truly together, and both.
	FoundPairs, TruePairs, RightPairs int64
	// Precision is RightPairs / FoundPairs, Recall RightPairs / TruePairs; 1
	// where there are no pairs to be wrong about.
	Precision, Recall float64
	// BCubed is the mean over accounts of the same within the account's own
	// customer and person: a large customer does not outweigh all others.
	BCubedPrecision, BCubedRecall float64
}

// Compare scores a clustering. truth yields each account once with its person;
// customer says in which customer an account was found, false for an account
// that was not (it counts as a customer of its own).
func Compare[A, C, P comparable](truth iter.Seq2[A, P], customer func(A) (C, bool)) Score {
	type cell struct {
		customer int
		person   int
	}
	customers, people := map[C]int{}, map[P]int{}
	cells := map[cell]int64{}
	var order []cell // so that sums, and what is printed of them, are the same each time
	var sizes, persons []int64
	var s Score
	for account, person := range truth {
		s.Accounts++
		p, ok := people[person]
		if !ok {
			p = len(persons)
			people[person] = p
			persons = append(persons, 0)
		}
		c := len(sizes)
		if id, found := customer(account); !found {
			sizes = append(sizes, 0)
		} else if known, ok := customers[id]; ok {
			c = known
		} else {
			customers[id] = c
			sizes = append(sizes, 0)
		}
		sizes[c]++
		persons[p]++
		if cells[cell{c, p}]++; cells[cell{c, p}] == 1 {
			order = append(order, cell{c, p})
		}
	}
	s.Customers, s.People = len(sizes), len(persons)
	for _, n := range sizes {
		s.FoundPairs += n * (n - 1) / 2
	}
	for _, n := range persons {
		s.TruePairs += n * (n - 1) / 2
	}
	for _, at := range order {
		n := cells[at]
		s.RightPairs += n * (n - 1) / 2
		s.BCubedPrecision += float64(n*n) / float64(sizes[at.customer])
		s.BCubedRecall += float64(n*n) / float64(persons[at.person])
	}
	s.Precision, s.Recall = share(s.RightPairs, s.FoundPairs), share(s.RightPairs, s.TruePairs)
	if s.Accounts > 0 {
		s.BCubedPrecision /= float64(s.Accounts)
		s.BCubedRecall /= float64(s.Accounts)
	} else {
		s.BCubedPrecision, s.BCubedRecall = 1, 1
	}
	return s
}

// RecallPossible is the best recall that the evidence allows: the share of
// true pairs that bridges, edges between two accounts of one person, connect.
// A bridge whose accounts are not in the truth, or not of one person, is left
// out.
func RecallPossible[A, P comparable](truth iter.Seq2[A, P], bridges iter.Seq2[A, A]) float64 {
	number, person := map[A]int{}, []int{}
	people := map[P]int{}
	for account, p := range truth {
		if _, ok := people[p]; !ok {
			people[p] = len(people)
		}
		number[account] = len(person)
		person = append(person, people[p])
	}
	parent := make([]int, len(person))
	for i := range parent {
		parent[i] = i
	}
	find := func(i int) int {
		for parent[i] != i {
			parent[i] = parent[parent[i]]
			i = parent[i]
		}
		return i
	}
	for a, b := range bridges {
		i, okA := number[a]
		j, okB := number[b]
		if okA && okB && person[i] == person[j] {
			parent[find(i)] = find(j)
		}
	}
	connected, together := map[int]int64{}, make([]int64, len(people))
	for i := range parent {
		connected[find(i)]++
		together[person[i]]++
	}
	var possible, all int64
	for _, n := range connected {
		possible += n * (n - 1) / 2
	}
	for _, n := range together {
		all += n * (n - 1) / 2
	}
	return share(possible, all)
}

func share(part, whole int64) float64 {
	if whole == 0 {
		return 1
	}
	return float64(part) / float64(whole)
}
