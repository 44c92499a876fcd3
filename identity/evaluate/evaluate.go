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
	customers, people := map[C]uint32{}, map[P]uint32{}
	var of, persons []uint32 // each account's, by numbers
	alone := uint32(0)
	for account, person := range truth {
		p, ok := people[person]
		if !ok {
			p = uint32(len(people))
			people[person] = p
		}
		persons = append(persons, p)
		id, found := customer(account)
		c, known := customers[id]
		if !found || !known {
			c = uint32(len(customers)) + alone
		}
		switch {
		case !found:
			alone++
		case !known:
			customers[id] = c
		}
		of = append(of, c)
	}
	return CompareNumbered(persons, of)
}

// CompareNumbered is Compare of accounts by their places, where people and
// customers have numbers, none far above how many accounts there are. It takes no
// map, which of millions costs more than all else.
func CompareNumbered(people, customers []uint32) Score {
	var s Score
	s.Accounts = len(people)
	sizes, persons := sizesOf(customers), sizesOf(people)
	for _, n := range sizes {
		s.FoundPairs += n * (n - 1) / 2
		s.Customers += int(min(n, 1))
	}
	for _, n := range persons {
		s.TruePairs += n * (n - 1) / 2
		s.People += int(min(n, 1))
	}
	// Accounts by customer, those of one in their order.
	next := make([]int64, len(sizes))
	for c := 1; c < len(sizes); c++ {
		next[c] = next[c-1] + sizes[c-1]
	}
	order := make([]uint32, len(customers))
	for account, c := range customers {
		order[next[c]] = uint32(account)
		next[c]++
	}
	// How many of a customer's accounts are one person's, at the first of them, so
	// that sums, and what is printed of them, are the same each time.
	both := make([]int64, len(people))
	first := make([]uint32, len(persons)) // the person's first account of the customer seen last, plus 1
	for _, account := range order {
		p := people[account]
		if f := first[p]; f == 0 || customers[f-1] != customers[account] {
			first[p] = account + 1
		}
		both[first[p]-1]++
	}
	for account, n := range both {
		if n > 0 {
			s.RightPairs += n * (n - 1) / 2
			s.BCubedPrecision += float64(n*n) / float64(sizes[customers[account]])
			s.BCubedRecall += float64(n*n) / float64(persons[people[account]])
		}
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

// sizesOf says how often each number is there.
func sizesOf(numbers []uint32) (sizes []int64) {
	for _, n := range numbers {
		if int(n) >= len(sizes) {
			sizes = append(sizes, make([]int64, int(n)+1-len(sizes))...)
		}
		sizes[n]++
	}
	return sizes
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
