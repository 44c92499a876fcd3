package identity

import (
	"strings"
	"testing"
)

func TestModelRulesFaults(t *testing.T) {
	t.Parallel()
	const types = "largest_customer: 5\ntypes:\n  phone: {join: {member: 40}}\n"
	for name, c := range map[string]struct{ source, want string }{
		"no name":                    {types + "model: {accept: 9, review: 4, strength: 5}\n", "model.use"},
		"review above accept":        {types + "model: {use: m, accept: 4, review: 9, strength: 5}\n", "4:"},
		"no threshold":               {types + "model: {use: m, strength: 5}\n", "bits above 0"},
		"not a number":               {types + "model: {use: m, accept: .nan, review: .nan, strength: 5}\n", "bits above 0"},
		"as strong as an identifier": {types + "model: {use: m, accept: 9, review: 4, strength: 40}\n", "less than every type's, 40"},
		"a bound below nothing":      {types + "model: {use: m, accept: 9, review: 4, strength: 5, block: -1}\n", "model.block"},
		"unknown key":                {types + "model: {used: m}\n", "4:"},
		"appearances as identifiers": {"largest_customer: 5\ntypes:\n  appearance: {join: {receiver: 5}}\n", "joins nobody by itself"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := ParseRules([]byte(c.source)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("ParseRules = %v, want an error with %q", err, c.want)
			}
		})
	}
	with, err := ParseRules([]byte(types + "model: {use: m, accept: 9, review: 4, strength: 5}\n"))
	if err != nil {
		t.Fatal(err)
	}
	without, err := ParseRules([]byte(types))
	if err != nil {
		t.Fatal(err)
	}
	if with.Alike(without) || without.Alike(with) || !with.Alike(with) {
		t.Error("rules with and without a model rule alike")
	}
}
