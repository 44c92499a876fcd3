package profile

import (
	"slices"
	"testing"

	"oneid/identity"
)

// A shop is left when no account of the customer's is a member of it any more.
func TestLeftShops(t *testing.T) {
	t.Parallel()
	see := func(shop, id string, role identity.Role, last int64) identity.Evidence {
		return identity.Evidence{Account: identity.Account{Platform: "tmall", Shop: shop, ID: id}, Identifier: identity.Identifier{Type: identity.Membership}, Role: role, Last: last}
	}
	got := leftShops([]identity.Evidence{
		see("a", "1", identity.RoleMember, 1), see("a", "1", identity.RoleBuyer, 2),
		see("b", "2", identity.RoleMember, 1), see("b", "2", identity.RoleBuyer, 2), see("b", "3", identity.RoleMember, 1),
		see("c", "4", identity.RoleMember, 3), see("c", "4", identity.RoleBuyer, 2),
	})
	if want := []string{"tmall/a"}; !slices.Equal(got, want) {
		t.Errorf("left %v, want %v", got, want)
	}
}
