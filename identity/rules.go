package identity

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"sync"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/parser"
)

//go:embed rules.yaml
var defaultRules []byte

// Rules say which identifiers join accounts, and how far. They are read by
// ParseRules and not changed afterwards, so they may be shared.
type Rules struct {
	// LargestCustomer is the most accounts that links may bring together.
	LargestCustomer int `yaml:"largest_customer"`
	// Types holds the rule of each type that joins; one that is absent is kept
	// as evidence and joins nothing.
	Types map[IdentifierType]*TypeRule `yaml:"types"`
	// Model says how accounts join that no identifier joins; nil: they do not.
	Model *ModelRule `yaml:"model"`

	source []byte // the YAML that they were read from
}

// TypeRule is how one type of identifier joins; see rules.yaml. In the
// numbers 0 means no bound.
type TypeRule struct {
	Priority  int            `yaml:"priority"`
	Join      map[string]int `yaml:"join"` // role → strength, 1 to 100
	Exclusive int            `yaml:"exclusive"`
	Accounts  int            `yaml:"accounts"`
	Values    int            `yaml:"values"`
	PerShop   int            `yaml:"per_shop"`
	GapDays   int            `yaml:"gap_days"`
	// ReissueDays without a sighting, after which an identifier may have changed
	// hands if who had it before and who has it after contradict each other.
	ReissueDays int      `yaml:"reissue_days"`
	Never       []string `yaml:"never"`

	strength [RoleAgent + 1]int
	gap      int64 // seconds
	reissue  int64 // seconds
	never    []*regexp.Regexp
}

// DefaultRules returns the rules that OneID ships.
var DefaultRules = sync.OnceValue(func() *Rules {
	r, err := ParseRules(defaultRules)
	if err != nil {
		panic(err) // the embedded file is part of the program; a test reads it
	}
	return r
})

// DefaultRulesYAML returns the shipped rules as their commented source.
func DefaultRulesYAML() []byte { return bytes.Clone(defaultRules) }

// ParseRules reads rules strictly: an unknown key, a wrong type or a value
// out of its range is an error that names line and column, each fault of the
// values in one joined error. None repeats a line of the source or a pattern.
func ParseRules(source []byte) (rules *Rules, err error) {
	defer func() {
		// The YAML library panics on some text that is no YAML.
		if recover() != nil {
			rules, err = nil, errors.New("identity: read rules: this is no YAML that can be read")
		}
	}()
	type fields Rules // without UnmarshalText, which comes here
	var read fields
	if err := yaml.NewDecoder(bytes.NewReader(source), yaml.Strict()).Decode(&read); err != nil {
		return nil, fmt.Errorf("identity: read rules: %s", formFault(err))
	}
	r := Rules(read)
	var faults []error
	fault := func(path, format string, args ...any) {
		faults = append(faults, fmt.Errorf("identity: read rules: %s%s: %s", position(source, path), path[2:], fmt.Sprintf(format, args...)))
	}
	if r.LargestCustomer < 1 {
		fault("$.largest_customer", "want a number of accounts, 1 or more")
	}
	for _, name := range slices.Sorted(maps.Keys(r.Types)) {
		rule, path := r.Types[name], "$.types."+string(name)
		if rule == nil {
			fault(path, "want a rule")
			continue
		}
		for _, role := range slices.Sorted(maps.Keys(rule.Join)) {
			parsed, ok := ParseRole(role)
			strength := rule.Join[role]
			switch {
			case !ok:
				fault(path+".join."+role, "no such role; there are member, buyer, receiver, agent")
			case strength < 1 || strength > 100:
				fault(path+".join."+role, "want a strength from 1 to 100")
			default:
				rule.strength[parsed] = strength
			}
		}
		for key, n := range map[string]int{"exclusive": rule.Exclusive, "accounts": rule.Accounts, "values": rule.Values, "per_shop": rule.PerShop, "gap_days": rule.GapDays, "reissue_days": rule.ReissueDays} {
			if n < 0 {
				fault(path+"."+key, "want 0 (no bound) or more")
			}
		}
		rule.gap, rule.reissue = int64(rule.GapDays)*86400, int64(rule.ReissueDays)*86400
		for i, pattern := range rule.Never {
			compiled, err := regexp.Compile(pattern)
			if err != nil {
				fault(fmt.Sprintf("%s.never[%d]", path, i), "not an RE2 pattern: %s", patternFault(err))
				continue
			}
			rule.never = append(rule.never, compiled)
		}
	}
	r.modelFaults(fault)
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	r.source = bytes.Clone(source)
	return &r, nil
}

// formFault is where the YAML is not of the rules' form, without the lines around
// it: what never joins may be a number.
func formFault(err error) string {
	var wrong *yaml.TypeError
	if errors.As(err, &wrong) && wrong.Token != nil {
		return fmt.Sprintf("%d:%d: want a value of type %s here", wrong.Token.Position.Line, wrong.Token.Position.Column, wrong.DstType)
	}
	return strings.TrimSpace(yaml.FormatError(err, false, false))
}

// patternFault is what is wrong with a pattern, without the pattern.
func patternFault(err error) string {
	var fault *syntax.Error
	if errors.As(err, &fault) {
		return string(fault.Code)
	}
	return "it cannot be read"
}

// MarshalText is the YAML that the rules were read from.
func (r *Rules) MarshalText() ([]byte, error) { return bytes.Clone(r.source), nil }

// UnmarshalText reads rules as ParseRules does.
func (r *Rules) UnmarshalText(text []byte) error {
	read, err := ParseRules(text)
	if err == nil {
		*r = *read
	}
	return err
}

// Alike says whether both rule alike, however they are written.
func (r *Rules) Alike(other *Rules) bool {
	if r.LargestCustomer != other.LargestCustomer || len(r.Types) != len(other.Types) || !r.Model.alike(other.Model) {
		return false
	}
	for typ := range r.Types {
		if !r.AlikeOf(other, typ) {
			return false
		}
	}
	return true
}

// AlikeOf says whether both rule alike about a type.
func (r *Rules) AlikeOf(other *Rules, typ IdentifierType) bool {
	a, b := r.Types[typ], other.Types[typ]
	if a == nil || b == nil {
		return a == b
	}
	return a.Priority == b.Priority && a.strength == b.strength && a.Exclusive == b.Exclusive && a.Accounts == b.Accounts && a.Values == b.Values &&
		a.PerShop == b.PerShop && a.gap == b.gap && a.reissue == b.reissue && slices.Equal(a.Never, b.Never)
}

// NeverDiffers lists the types of which other values never join.
func (r *Rules) NeverDiffers(other *Rules) []IdentifierType {
	never := func(r *Rules, typ IdentifierType) []string {
		if rule := r.Types[typ]; rule != nil {
			return rule.Never
		}
		return nil
	}
	var types []IdentifierType
	for _, rules := range []*Rules{r, other} {
		for typ := range rules.Types {
			if !slices.Equal(never(r, typ), never(other, typ)) {
				types = append(types, typ)
			}
		}
	}
	slices.Sort(types)
	return slices.Compact(types)
}

// position is "line:column: " of a path in a YAML source, "" if it isn't there.
func position(source []byte, path string) string {
	line, column, _ := scalar(source, path)
	if line == 0 {
		return ""
	}
	return fmt.Sprintf("%d:%d: ", line, column)
}

// scalar is where the value at a path begins in a YAML source, and how it is
// written there; line 0 if it isn't there.
func scalar(source []byte, path string) (line, column int, text string) {
	file, err := parser.ParseBytes(source, 0)
	if err != nil {
		return 0, 0, ""
	}
	p, err := yaml.PathString(path)
	if err != nil {
		return 0, 0, ""
	}
	node, err := p.FilterFile(file)
	if err != nil || node == nil || node.GetToken() == nil {
		return 0, 0, ""
	}
	token := node.GetToken()
	return token.Position.Line, token.Position.Column, strings.TrimSpace(token.Origin)
}

// Never says whether a normalised value of a type never joins.
func (r *Rules) Never(typ IdentifierType, value string) bool {
	rule := r.Types[typ]
	if rule == nil {
		return false
	}
	return slices.ContainsFunc(rule.never, func(p *regexp.Regexp) bool { return p.MatchString(value) })
}

// Strength says how strongly a type joins in a role, 0 if it doesn't.
func (r *Rules) Strength(typ IdentifierType, role Role) int {
	if rule := r.Types[typ]; rule != nil && role <= RoleAgent {
		return rule.strength[role]
	}
	return 0
}
