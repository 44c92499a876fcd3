package insight

import (
	"cmp"

	"oneid/identity"
)

// whys tell why identifiers do not join who bears them.
type whys struct {
	bridges map[identity.Bearing]bool
	// others are the first reasons of identifiers besides identity.ReviewValues, which
	// is one of who is a bridge alone.
	others map[identity.Identifier]string
}

// whysOf are those of all that is known of some accounts, and of what comes of it.
func whysOf(rules *identity.Rules, evidence []identity.Evidence, resolved identity.Resolution) whys {
	w := whys{rules.Bridges(evidence), map[identity.Identifier]string{}}
	for _, v := range resolved.Reviews {
		if v.Reason != identity.ReviewValues && w.others[v.Identifier] == "" {
			w.others[v.Identifier] = string(v.Reason)
		}
	}
	return w
}

// isBridge says whether an account is a bridge of an identifier's type.
func (w whys) isBridge(a identity.Account, id identity.Identifier) bool {
	return w.bridges[identity.Bearing{Account: a, Type: id.Type}]
}

// bearers are of each customer one account that bears an identifier: the lowest, and a
// bridge only where no other does, for through the others it joins.
func bearers[C comparable](w whys, id identity.Identifier, accounts map[identity.Account]C) map[C]identity.Account {
	out := map[C]identity.Account{}
	for a, customer := range accounts {
		b, ok := out[customer]
		if bridge := w.isBridge(a, id); !ok || bridge != w.isBridge(b, id) && !bridge || bridge == w.isBridge(b, id) && a.Compare(b) < 0 {
			out[customer] = a
		}
	}
	return out
}

// of is why an identifier does not join some bearers of it.
func (w whys) of(id identity.Identifier, bearers ...identity.Account) string {
	for _, a := range bearers {
		if w.isBridge(a, id) {
			return string(identity.ReviewValues)
		}
	}
	return cmp.Or(w.others[id], apart)
}
