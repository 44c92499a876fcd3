package identity

import "testing"

func TestBound(t *testing.T) {
	t.Parallel()
	see := func(typ IdentifierType, role Role, last int64) Evidence {
		return Evidence{Identifier: Identifier{Type: typ}, Role: role, First: last, Last: last}
	}
	for name, c := range map[string]struct {
		evidence []Evidence
		want     bool
	}{
		"nothing":                         {nil, false},
		"a buyer":                         {[]Evidence{see(TmallOUID, RoleBuyer, 5), see(Phone, RoleReceiver, 5)}, false},
		"an id that buyers have too":      {[]Evidence{see(TmallOMID, RoleMember, 5)}, false},
		"joined":                          {[]Evidence{see(Membership, RoleMember, 5)}, true},
		"on a member list":                {[]Evidence{see(Phone, RoleMember, 5)}, true},
		"left":                            {[]Evidence{see(Membership, RoleMember, 5), see(Membership, RoleBuyer, 9)}, false},
		"left, and on an older list":      {[]Evidence{see(Membership, RoleBuyer, 9), see(MemberCard, RoleMember, 5)}, false},
		"left, then joined":               {[]Evidence{see(Membership, RoleBuyer, 9), see(Membership, RoleMember, 12)}, true},
		"joined and left in one second":   {[]Evidence{see(Membership, RoleMember, 9), see(Membership, RoleBuyer, 9)}, false},
		"left without having ever joined": {[]Evidence{see(Membership, RoleBuyer, 9)}, false},
	} {
		if got := Bound(c.evidence); got != c.want {
			t.Errorf("%s: bound is %v", name, got)
		}
	}
}
