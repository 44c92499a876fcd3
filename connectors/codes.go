package connectors

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

// unknownTries is how often a call is tried that the platform refuses with a
// code that its table does not know.
const unknownTries = 3

// A Code is what one of a platform's codes means.
type Code struct {
	// System is the platform's code; "" stands for any.
	System string
	// Sub is its sub-code; "" stands for any, and one that ends with * for
	// whatever begins so.
	Sub   string
	Class Class
	// Tries is how often a call is tried in all before the class holds, where
	// the platform wants to be asked a few times more; 0 leaves it to the class.
	Tries int
	// Pause is how long the platform wants no calls after it, where the call is not
	// repeated.
	Pause time.Duration
	// Limit is whose limit a Throttle met or a Pause is of: one of the words in
	// limits, or "".
	Limit string
	// Kind is one of the sentinels of this package, or nil.
	Kind error
	// Text is what the platform calls it, or what is known of it. It holds no
	// value of a call.
	Text string
	// Mend says what to do about it; may be empty.
	Mend string
	// Sure says how sure the class is: one of the words in sureness.
	Sure string
}

// Name is the code as its table writes it.
func (c Code) Name() string {
	name := cmp.Or(c.System, "*")
	if c.Sub != "" {
		name += " " + c.Sub
	}
	return name
}

// sureness are the words for how sure a fact is: read in the documentation, in
// the source of public clients, in somebody's post, or nowhere.
var sureness = []string{"documented", "client", "post", "assumed"}

// limits are the words for whose limit was met.
var limits = []string{"", "app", "shop", "method", "shop method"}

// kinds are the words for the sentinels.
var kinds = map[string]error{"": nil, "unauthorised": ErrUnauthorized, "re-authorise": ErrReauthorise, "forbidden": ErrForbidden, "gone": ErrGone, "throttled": ErrThrottled, "clock": ErrClock}

// Codes is a platform's table of codes. It may be used concurrently.
type Codes struct {
	all []Code // those that tell most first
}

// group is how a table is written: the codes that mean the same.
type group struct {
	Class string `yaml:"class"`
	Tries int    `yaml:"tries"`
	// Pause is in seconds.
	Pause int    `yaml:"pause"`
	Limit string `yaml:"limit"`
	Kind  string `yaml:"kind"`
	Sure  string `yaml:"sure"`
	Mend  string `yaml:"mend"`
	// Codes are "SYSTEM" or "SYSTEM SUB", with the text of each.
	Codes map[string]string `yaml:"codes"`
}

// ParseCodes reads a table: a YAML list of groups. Its error names every fault
// of it at once.
func ParseCodes(text []byte) (*Codes, error) {
	var groups []group
	if err := yaml.UnmarshalWithOptions(text, &groups, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("read the table of codes: %w", err)
	}
	var c Codes
	var faults []error
	seen := make(map[string]bool)
	for _, g := range groups {
		class := Class(slices.Index(classNames[:], g.Class))
		kind := kinds[g.Kind]
		word := func(of, is string, words []string) {
			if !slices.Contains(words, is) {
				faults = append(faults, fmt.Errorf("%s %q: it is one of %q", of, is, words))
			}
		}
		word("class", g.Class, classNames[:])
		word("kind", g.Kind, slices.Sorted(maps.Keys(kinds)))
		word("sure", g.Sure, sureness)
		word("limit", g.Limit, limits)
		if class >= 0 && (class == Throttle || g.Pause > 0) != (g.Limit != "") || class <= Throttle && g.Pause != 0 || g.Pause < 0 {
			faults = append(faults, fmt.Errorf("class %q, limit %q, pause %d: a throttle or a pause says whose limit it met, and nothing else does; what is repeated has no pause", g.Class, g.Limit, g.Pause))
		}
		for _, name := range slices.Sorted(maps.Keys(g.Codes)) {
			system, sub, _ := strings.Cut(name, " ")
			if system == "" || seen[name] {
				faults = append(faults, fmt.Errorf("code %q stands there twice, or without its system code", name))
			}
			seen[name] = true
			if system == "*" {
				system = ""
			}
			c.all = append(c.all, Code{System: system, Sub: sub, Class: class, Tries: g.Tries, Pause: time.Duration(g.Pause) * time.Second, Limit: g.Limit, Kind: kind, Text: g.Codes[name], Mend: g.Mend, Sure: g.Sure})
		}
	}
	slices.SortFunc(c.all, func(a, b Code) int {
		return cmp.Or(cmp.Compare(b.tells(), a.tells()), cmp.Compare(len(b.Sub), len(a.Sub)), cmp.Compare(a.Name(), b.Name()))
	})
	return &c, errors.Join(faults...)
}

// MustCodes reads a table that is part of the program.
func MustCodes(text []byte) *Codes {
	c, err := ParseCodes(text)
	if err != nil {
		panic(err) // its test reads it too
	}
	return c
}

// tells ranks how much a code tells: a whole sub-code more than a code alone,
// and that more than the beginning of a sub-code, which any code may have.
func (c Code) tells() int {
	part := strings.HasSuffix(c.Sub, "*")
	switch {
	case c.Sub != "" && !part && c.System != "":
		return 5
	case c.Sub != "" && !part:
		return 4
	case c.Sub != "" && c.System != "":
		return 3
	case c.System != "":
		return 2
	}
	return 1
}

func (c Code) fits(system, sub string) bool {
	if c.System != "" && c.System != system {
		return false
	}
	if begin, part := strings.CutSuffix(c.Sub, "*"); part {
		return strings.HasPrefix(sub, begin)
	}
	return c.Sub == "" || c.Sub == sub
}

// All are the codes of the table, those that tell most first.
func (c *Codes) All() []Code { return slices.Clone(c.all) }

// Find is what a refusal means, by the code that tells most of it. One that
// the table does not know is tried again a little, and then stops the stream:
// nobody knows whether repeating it does harm, and the other streams may work.
func (c *Codes) Find(system, sub string) Code {
	for _, code := range c.all {
		if code.fits(system, sub) {
			return code
		}
	}
	return Code{
		System: system, Sub: sub, Class: StopStream, Tries: unknownTries, Text: "a code that OneID does not know",
		Mend: "look up what the platform says of the code, and report it: its table of codes lacks it",
	}
}

// Apply says in e what its codes mean.
func (c Code) Apply(e *Error) {
	e.Class, e.Tries, e.Wait, e.Limit, e.Kind, e.Message, e.Mend = c.Class, c.Tries, c.Pause, c.Limit, c.Kind, c.Text, c.Mend
	if c.Kind == ErrReauthorise { //nolint:errorlint // the table's own word
		e.Mend = reauthoriseMend(e.Platform, e.Shop)
	}
}

// CleanCode keeps of a code what codes are made of: an answer's text is never
// repeated as it came.
func CleanCode(code string) string {
	code = strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune(".-_:,", r) {
			return r
		}
		return -1
	}, code)
	return code[:min(len(code), 100)]
}
