package match

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
)

// ParseModel reads a model file. name is how errors call it.
func ParseModel(name string, text []byte) (*Model, error) {
	m := &Model{}
	if err := yaml.UnmarshalWithOptions(text, m, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("%s: %s", name, yaml.FormatError(err, false, true))
	}
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return m, nil
}

// Write writes the model with its comments, so that a person can go on from
// there.
func (m *Model) Write(w io.Writer) error {
	var b strings.Builder
	b.WriteString("# What `oneid match` compares. Change it, and give it back with --model.\n")
	b.WriteString("\n# Kinds, and their levels from equal to else: see `oneid match --help`.\ncomparisons:\n")
	for _, c := range m.Comparisons {
		comment(&b, "  ", c.Why)
		fmt.Fprintf(&b, "  - name: %s\n    columns: [%s]\n    kind: %s\n", quoted(c.Name), quotedList(c.Columns), c.Kind)
		if c.SwappedWith != "" {
			fmt.Fprintf(&b, "    swapped_with: %s\n", quoted(c.SwappedWith))
		}
		if c.Rarity {
			b.WriteString("    rarity: true # equal rare values are worth more than equal common ones\n")
		}
	}
	if len(m.Blocking) > 0 {
		b.WriteString("\n# Two records are compared if they agree on all keys of one rule. Left out, the\n# rules are chosen anew for each table.\nblocking:\n")
	}
	for _, r := range m.Blocking {
		comment(&b, "  ", r.Why)
		fmt.Fprintf(&b, "  - on: [%s]\n", quotedList(r.Keys))
		if r.Most > 0 {
			fmt.Fprintf(&b, "    most: %d # what more records agree on is left to the other rules\n", r.Most)
		}
	}
	if m.Accept > 0 {
		b.WriteString("\n# The probability from which two records are linked.\n")
		fmt.Fprintf(&b, "accept: %v\n", m.Accept)
	} else {
		b.WriteString("\n# The probability from which two records are linked is found by itself; to set\n# it: accept: 0.9\n")
	}
	fmt.Fprintf(&b, "\n# The same seed, records and model give the same clusters.\nseed: %d\n", m.Seed)
	_, err := io.WriteString(w, b.String())
	return err
}

func comment(b *strings.Builder, indent, text string) {
	if text != "" {
		fmt.Fprintf(b, "%s# %s\n", indent, strings.ReplaceAll(text, "\n", " "))
	}
}

func quoted(text string) string { return strconv.Quote(text) }

func quotedList(texts []string) string {
	list := make([]string, len(texts))
	for i, text := range texts {
		list[i] = quoted(text)
	}
	return strings.Join(list, ", ")
}

// ParseLearned reads what Learned.Write wrote.
func ParseLearned(name string, text []byte) (*Learned, error) {
	l := &Learned{}
	if err := json.Unmarshal(text, l); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return l, nil
}

// Write writes what was learned as JSON.
func (l *Learned) Write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(l)
}
