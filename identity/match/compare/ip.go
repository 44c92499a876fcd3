package compare

import (
	"net/netip"
	"strings"
)

// IP gives an IP address in one way of writing: without the zeros before a group's
// number, and of version 6 as RFC 5952 has it; false for what is none. A port or the bits
// of a network stay behind one of version 4.
func IP(raw string) (plain string, ok bool) {
	raw = strings.TrimSpace(raw)
	if at := strings.LastIndexAny(raw, ":/"); at > 0 && strings.Count(raw[:at], ".") == 3 && strings.IndexByte(raw[:at], ':') < 0 && len(raw)-at <= 6 && strings.Trim(raw[at+1:], "0123456789") == "" {
		if plain, ok = IP(raw[:at]); !ok {
			return "", false
		}
		return plain + raw[at:], true
	}
	if strings.Count(raw, ".") == 3 && strings.IndexByte(raw, ':') < 0 {
		groups := strings.Split(raw, ".")
		for i, group := range groups {
			if len(group) == 0 || len(group) > 3 {
				return "", false
			}
			if short := strings.TrimLeft(group, "0"); short != "" {
				groups[i] = short
			} else {
				groups[i] = "0"
			}
		}
		raw = strings.Join(groups, ".")
	} else if strings.Count(raw, ":") < 2 {
		return "", false
	}
	address, err := netip.ParseAddr(raw)
	if err != nil {
		return "", false
	}
	return address.Unmap().String(), true
}
