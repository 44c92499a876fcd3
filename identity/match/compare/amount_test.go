package compare

import (
	"strconv"
	"testing"
)

func TestAmount(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ raw, want string }{
		"plain":                    {"12.50", "12.50"},
		"lakhs":                    {"₹12,34,567", "1234567"},
		"no number of two":         {"12,34", "12.34"},
		"dollars":                  {"$12.00", "12.00"},
		"euros, comma":             {"12,50 €", "12.50"},
		"code before":              {"USD 1,234.50", "1234.50"},
		"code behind":              {"1.234,50 EUR", "1234.50"},
		"yuan":                     {"¥1234元", "1234"},
		"thousands by spaces":      {"1 234 567,8", "1234567.8"},
		"a comma parts thousands":  {"1,000", "1000"},
		"or it does not":           {"0,125", "0.125"},
		"below zero":               {"-$3", "-3"},
		"below zero, behind":       {"$-3.5", "-3.5"},
		"no whole part":            {".5", "0.5"},
		"several thousands":        {"1.234.567", "1234567"},
		"a phone":                  {"0171 2345678", ""},
		"a place":                  {"30.123,120.456", ""},
		"a code":                   {"A12", ""},
		"a date":                   {"12.05.1999", ""},
		"nothing":                  {"", ""},
		"a sign alone":             {"€", ""},
		"with words":               {"12 apples", ""},
		"a minus inside":           {"12-50", ""},
		"signs of which none fits": {"1,2,3", ""},
	} {
		if got, ok := Amount(c.raw); got != c.want || ok != (c.want != "") {
			t.Errorf("%s: Amount(%q) = %q, %t, want %q", name, c.raw, got, ok, c.want)
		}
	}
}

// What is an amount is a number, and stays the one that it is.
func FuzzAmount(f *testing.F) {
	for _, raw := range []string{"$1,234.50", "12,50 €", "-.5", "1'000", "0042", "12 apples", "１２", "EUR"} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		plain, ok := Amount(raw)
		if long, same := amount(raw); long != plain || same != ok {
			t.Fatalf("Amount(%q) = %q, %t, at length %q, %t", raw, plain, ok, long, same)
		}
		if !ok {
			return
		}
		want, err := strconv.ParseFloat(plain, 64)
		if err != nil && want == 0 {
			t.Fatalf("Amount(%q) = %q, no number", raw, plain)
		}
		if v := prepare(Number, raw); v.text != "" && v.amount != want {
			t.Errorf("%q is compared as %v, and is %v", raw, v.amount, want)
		}
	})
}

func TestWhatStandsForNothingIsNoValue(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		kind Kind
		raw  string
		none bool
	}{
		"NULL":              {Name, "NULL", true},
		"(null)":            {Name, " (null) ", true},
		"#N/A of a sheet":   {Code, "#N/A", true},
		"nan":               {Number, "nan", true},
		"one digit":         {Phone, "000-000-0000", true},
		"one digit abroad":  {Phone, "+1111111111", true},
		"a short one":       {Phone, "11111", false},
		"a masked one":      {Phone, "*******", false},
		"a number":          {Phone, "0700000001", false},
		"a code of zeros":   {Code, "0000000", false},
		"somebody is Null?": {Name, "Nulle", false},
	} {
		if got := prepare(c.kind, c.raw).text == ""; got != c.none {
			t.Errorf("%s: %q as %s is none: %t, want %t", name, c.raw, c.kind, got, c.none)
		}
	}
}
