package compare

import "testing"

func TestIP(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ raw, want string }{
		"version 4":              {"192.168.0.1", "192.168.0.1"},
		"blanks around":          {" 10.0.0.7 ", "10.0.0.7"},
		"zeros before":           {"010.000.002.013", "10.0.2.13"},
		"a port":                 {"1.23.4.5:080", "1.23.4.5:080"},
		"a network":              {"010.0.0.0/8", "10.0.0.0/8"},
		"a port of no address":   {"1.23.4.500:80", ""},
		"above 255":              {"1.2.3.256", ""},
		"three groups":           {"1.2.3", ""},
		"five groups":            {"06.12.34.56.78", ""},
		"a group is empty":       {"1..2.3", ""},
		"letters":                {"a.b.c.d", ""},
		"version 6":              {"2001:DB8:0:0::1", "2001:db8::1"},
		"version 6, digits only": {"2001:4860:4860::8888", "2001:4860:4860::8888"},
		"4 written as 6":         {"::ffff:192.0.2.1", "192.0.2.1"},
		"a network card's":       {"00:1b:44:11:3a:b7", ""},
		"a time":                 {"12:30:45", ""},
		"a price":                {"1234.56", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, ok := IP(c.raw); got != c.want || ok != (c.want != "") {
				t.Errorf("IP(%q) = %q, %t; want %q", c.raw, got, ok, c.want)
			}
		})
	}
}

// Without their dots 1.23.4.5 and 12.3.4.5 would be one.
func TestCodesThatAreAddressesKeepTheirDots(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"1.23.4.5", "12.3.4.5", false},
		{"1.23.4.5", "001.023.004.005", true},
		{"2001:db8::12:3", "2001:db8::1:23", false},
		{"2001:db8::12:3", "2001:DB8:0:0:0:0:12:3", true},
		{"AB1 2CD", "ab-12cd", true},
	} {
		if a, b := prepare(Code, c.a).text, prepare(Code, c.b).text; (a == b) != c.same {
			t.Errorf("%q is compared as %q, %q as %q; same: want %t", c.a, a, c.b, b, c.same)
		}
	}
}
