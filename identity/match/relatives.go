package match

import (
	"fmt"

	"oneid/identity/match/compare"
)

// Relatives are a household that has its address and its phone in common. Such
// pairs agree in more than they differ in, and may be more than those of one
// person: then what is learned as one entity is the household. What tells is who
// they are: two people differ in their names and in their dates alike, and a slip
// or a new name differs in one of them.
const (
	// together is the share of the pairs of one address and one phone that differ
	// in one of two fields from which they differ in the other, too, if they are
	// two people.
	together = 0.5
	// fewestRelatives is how many such pairs there must be.
	fewestRelatives = 5
	// fewestSame is how many pairs must have both in common for each that has neither.
	fewestSame = 0.05
	// mostContradict is the share of the pairs of one entity from which differing
	// names or dates are more than slips.
	mostContradict = 0.5
)

// relatives adds a kind of neighbours who have all in common but what tells one
// person from another, and says whether there are any. Then it is to be learned
// again, for those were learned as one entity.
func (l *learning) relatives() (found bool) {
	var addresses, contacts, personal []int
	for i := range l.out.Fields {
		switch l.kind(i) {
		case compare.Address, compare.ChineseAddress:
			addresses = append(addresses, i)
		case compare.Phone, compare.Email:
			contacts = append(contacts, i)
		case compare.Name, compare.ChineseName, compare.Date:
			personal = append(personal, i)
		default: // says neither where someone is nor who
		}
	}
	var shared []counted // pairs of one house and one phone
	for _, s := range l.seen {
		if l.oneHouse(addresses, s.pattern) && l.oneContact(contacts, s.pattern) {
			shared = append(shared, s)
		}
	}
	telling := l.telling(personal, shared)
	if len(telling) == 0 {
		return false
	}
	differ, filled := 0.0, 0.0
	for _, s := range shared {
		if l.differs(telling, s.pattern) {
			differ += s.n
		}
	}
	for _, i := range contacts {
		share := float64(l.r.fields[i].filled) / float64(l.r.n)
		filled = max(filled, share*share)
	}
	if differ < fewestRelatives {
		return false
	}
	share := differ / filled / l.r.all
	l.out.Near = append(l.out.Near, share)
	for i := range l.out.Fields {
		f := &l.out.Fields[i]
		p := f.M
		for _, t := range telling {
			if i == t {
				p = f.U
			}
		}
		f.N = append(f.N, append([]float64(nil), p...))
	}
	l.makeRoom()
	return true
}

// telling are the fields of who someone is in which two of one house and one
// phone differ together.
func (l *learning) telling(personal []int, shared []counted) (list []int) {
	tells := make([]bool, len(l.out.Fields))
	for n, i := range personal {
		for _, k := range personal[:n] {
			if l.kind(i) == compare.Date && l.kind(k) == compare.Date {
				continue // when things were done differs for one person, too
			}
			var either, both, same float64
			for _, s := range shared {
				a, b := s.pattern.level(i), s.pattern.level(k)
				if a == 0 || b == 0 {
					continue
				}
				x, y := l.contradicts(i, a), l.contradicts(k, b)
				if x || y {
					either += s.n
				}
				if x && y {
					both += s.n
				}
				if a == 1 && b == 1 {
					same += s.n
				}
			}
			// Somebody is there twice, or nobody is told apart by these.
			if both >= fewestRelatives && both >= together*either && same >= max(fewestRelatives, fewestSame*both) {
				tells[i], tells[k] = true, true
			}
		}
	}
	for i, yes := range tells {
		if yes {
			list = append(list, i)
		}
	}
	return list
}

// contradicts says that a level of a field is that of values that show nothing in
// common. What it is worth does not matter: it may have been learned of relatives.
func (l *learning) contradicts(field int, level compare.Level) bool {
	return int(level) == len(groups(l.kind(field), l.out.Fields[field].M)[0])
}

// differs says that a pair contradicts itself in one of the fields and agrees in
// none.
func (l *learning) differs(fields []int, p pattern) (yes bool) {
	for _, i := range fields {
		level := p.level(i)
		switch {
		case level == 0:
		case l.contradicts(i, level):
			yes = true
		default:
			return false
		}
	}
	return yes
}

func (l *learning) oneHouse(addresses []int, p pattern) bool {
	for _, i := range addresses {
		if level := p.level(i); level > 0 && level <= house {
			return true
		}
	}
	return false
}

func (l *learning) oneContact(contacts []int, p pattern) bool {
	for _, i := range contacts {
		if yes, _ := l.agrees(i, p.level(i)); yes {
			return true
		}
	}
	return false
}

// contradicting says of names and dates in which most pairs that were learned as
// one entity differ that they do.
func (l *learning) contradicting() (warnings []string) {
	for i := range l.out.Fields {
		f := &l.out.Fields[i]
		switch l.kind(i) {
		case compare.Name, compare.ChineseName, compare.Date:
		default:
			continue
		}
		plain := len(groups(l.kind(i), f.M)[0])
		all := 0.0
		for level := 1; level <= plain; level++ {
			all += l.expected[0][i][level]
		}
		if differ := l.expected[0][i][plain]; differ >= fewestRelatives && differ >= mostContradict*all {
			warnings = append(warnings, fmt.Sprintf("%s: %.0f %% of the pairs that are taken for one entity have values that differ altogether: if it tells one person or thing from another, whole households or groups are taken for one; compare more columns that tell them apart, or say exclusive: true at it in a model", f.Name, 100*differ/all))
		}
	}
	return warnings
}
