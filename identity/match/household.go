package match

import (
	"math"

	"oneid/identity/match/compare"
)

// A household is several people at one address. Two of them differ in their phones
// as one who has a new phone does, and often enough have one surname, which is all
// that a mask shows of a name: such a pair cannot be told from one person by
// itself. How many there are can, by the pairs of one address that differ in
// everything else, for these are nobody's but neighbours'.
const (
	// kin is how many pairs of a household agree in one more field for each that
	// agrees in none. Of parents who keep their names, as in China, and children
	// who have one of them, it is one; the more, the more careful.
	kin = 2.0
	// house is the last level of an address that says one house: of those of one
	// road most are strangers by chance.
	house = 2
	// crowd is with how many times the pairs of one entity an address that two
	// records share is a crowd's: a district, a street. That strangers agree in it
	// by chance is known from u.
	crowd = 3.0
	// mostHouseholds is the share of all pairs that households may be: the learned
	// kinds have at least 0.05 beside them, and strangers 0.1. A table of few people
	// would have no strangers.
	mostHouseholds = 0.45
	// follows is the share of the pairs of one address and not of one entity
	// from which another field says the address again, as its city does.
	follows = 0.97
)

// households adds a kind of neighbours for each address and each other field that
// two of a household may agree in, and says whether there are any. What they have
// in common is not learned any more: pairs of one entity and of a household with
// one more thing in common look the same.
func (l *learning) households() (found bool) {
	for k := range l.out.Fields {
		if kind := l.kind(k); kind != compare.ChineseAddress && kind != compare.Address {
			continue
		}
		others := l.others(k)
		if len(others) < 2 {
			continue
		}
		apart := l.apart(k, others)
		sum := 0.0
		for level, n := range apart {
			if n > crowd*l.totals[0] {
				apart[level] = 0
			}
			sum += apart[level]
		}
		if sum < 1 {
			continue
		}
		for _, also := range others {
			l.addHousehold(k, also, others, apart, kin*sum/l.r.all)
			found = true
		}
	}
	if found {
		l.makeRoom()
	}
	return found
}

// makeRoom scales the households' shares down to what they may be in all, and bounds
// those of the kinds that are learned by what is left.
func (l *learning) makeRoom() {
	learned, households := l.out.Near[:l.kinds()], l.out.Near[l.kinds():]
	sum := 0.0
	for _, share := range households {
		sum += share
	}
	for k := range households {
		households[k] *= min(1, mostHouseholds/sum)
	}
	for k := range learned {
		learned[k] = min(learned[k], l.room()/float64(l.kinds()))
	}
}

// room is the share of all pairs that the learned kinds of neighbours may be.
func (l *learning) room() float64 {
	room := 0.5
	for _, share := range l.out.Near[l.kinds():] {
		room -= share
	}
	return room
}

// agrees says whether a level of a field speaks for one entity, or against it.
func (l *learning) agrees(field int, level compare.Level) (yes, no bool) {
	if level == 0 {
		return false, false
	}
	f := &l.out.Fields[field]
	bits := f.Weight(int(level))
	return bits > 1, bits < -0.5
}

// others are the fields that tell two of one address apart: those that say
// something, and that do not follow from the address.
func (l *learning) others(address int) (list []int) {
	for i := range l.out.Fields {
		if i == address || l.information(i, l.out.Fields[i].M) < 0.1 {
			continue
		}
		same, all := 0.0, 0.0
		for _, s := range l.seen {
			if level := s.pattern.level(address); level == 0 || level > house {
				continue
			}
			apart := false // in some other field
			for k := range l.out.Fields {
				_, no := l.agrees(k, s.pattern.level(k))
				apart = apart || no && k != i && k != address
			}
			if yes, no := l.agrees(i, s.pattern.level(i)); apart && (yes || no) {
				all += s.n
				if yes {
					same += s.n
				}
			}
		}
		if same < follows*all {
			list = append(list, i)
		}
	}
	return list
}

// apart counts, by the level of an address, the pairs that agree in it and differ
// in the others, two of them at least.
func (l *learning) apart(address int, others []int) (levels [16]float64) {
	for _, s := range l.seen {
		level := s.pattern.level(address)
		if level == 0 || level > house {
			continue
		}
		differ, agree := 0, false
		for _, i := range others {
			yes, no := l.agrees(i, s.pattern.level(i))
			agree = agree || yes
			if no {
				differ++
			}
		}
		if !agree && differ >= 2 {
			levels[level] += s.n
		}
	}
	return levels
}

// addHousehold adds the neighbours that have an address and one more field in
// common, and are strangers in the others.
func (l *learning) addHousehold(address, also int, others []int, apart [16]float64, share float64) {
	l.out.Near = append(l.out.Near, share)
	stranger := make([]bool, len(l.out.Fields))
	for _, i := range others {
		stranger[i] = i != also
	}
	for i := range l.out.Fields {
		f := &l.out.Fields[i]
		p := make([]float64, len(f.M))
		for k := range p {
			switch {
			case i == address:
				p[k] = math.Max(apart[k+1], 1e-6*f.U[k])
			case stranger[i]:
				p[k] = f.U[k]
			default:
				p[k] = f.M[k]
			}
		}
		normalise(l.kind(i), p)
		f.N = append(f.N, p)
	}
}
