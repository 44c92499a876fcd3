package events

import "google.golang.org/protobuf/proto"

// Mask hides the middle of a value: of a mainland phone it shows the first
// three and last four digits, of anything else at most a third.
func Mask(value string) string {
	r := []rune(value)
	n := len(r)
	switch {
	case n == 0:
		return ""
	case n == 11 && r[0] == '1':
		return string(r[:3]) + "****" + string(r[7:])
	case n < 6:
		return "***"
	}
	ends := min(n/6, 4)
	return string(r[:ends]) + "***" + string(r[n-ends:])
}

// Masked is a copy of what an event says of persons in which no value can be
// read: identifiers, names, phones and addresses below the district.
func Masked(p *Person) *Person {
	if p == nil {
		return nil
	}
	p = proto.CloneOf(p)
	for _, s := range p.GetSightings() {
		s.Value = Mask(s.GetValue())
	}
	if r := p.GetReceiver(); r != nil {
		r.Name, r.Phone, r.Town, r.Detail = Mask(r.GetName()), Mask(r.GetPhone()), Mask(r.GetTown()), Mask(r.GetDetail())
	}
	return p
}
