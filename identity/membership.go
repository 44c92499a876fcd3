package identity

// MembershipOf says of the evidence of one account when it was last seen as a
// member of its shop, and when it was last seen to leave, in Unix seconds; 0
// for never. A member list says the former by its phones and cards; a
// platform's ids are borne by those who are no members, too.
func MembershipOf(evidence []Evidence) (joined, left int64) {
	for _, e := range evidence {
		switch e.Identifier.Type {
		case Membership:
			if e.Role != RoleMember {
				left = max(left, e.Last)
				continue
			}
		case Phone, TmallMixMobile, MemberCard:
		default:
			continue
		}
		if e.Role == RoleMember {
			joined = max(joined, e.Last)
		}
	}
	return joined, left
}

// Bound says whether the account of the evidence is a member of its shop. Who
// joined and left within one second has left: a consent that was withdrawn is
// the safer word.
func Bound(evidence []Evidence) bool {
	joined, left := MembershipOf(evidence)
	return joined > 0 && joined > left
}
