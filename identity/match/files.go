package match

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// modelVersion is the newest version of model files that is read.
const modelVersion = 1

// FileError is what is wrong with a model file or with a file of what was
// learned.
type FileError struct {
	// File as the caller calls it; Line and Column from 1, 0 where the whole
	// file is meant.
	File         string
	Line, Column int
	// Text says what is wrong, and repeats nothing of a file that is not of
	// its kind: it may be a table of people.
	Text string
	hint string
}

func (e *FileError) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Text
	}
	return fmt.Sprintf("%s line %d, column %d: %s", e.File, e.Line, e.Column, e.Text)
}

// Hint says what to do.
func (e *FileError) Hint() string { return e.hint }

const (
	modelHint   = "`oneid match TABLE` writes a model that you can change; docs/match.md says what may be in one"
	learnedHint = "`oneid identity train TABLE --model MODEL --out FILE` writes one"
	newerHint   = "use a newer oneid"
)

// ParseModel reads a model file. name is how errors call it. Errors are
// FileErrors, all of a file at once, joined.
func ParseModel(name string, text []byte) (m *Model, err error) {
	// The YAML library does so over some files that nobody would write.
	defer func() {
		if recover() != nil {
			m, err = nil, &FileError{File: name, Text: "it cannot be read as YAML", hint: modelHint}
		}
	}()
	whole := func(text, hint string) error { return &FileError{File: name, Text: text, hint: hint} }
	// The tree is looked at first, which follows no references: what the file
	// is, and of which version, is told before what is wrong within.
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil, yamlError(name, err)
	}
	var top []*ast.MappingValueNode
	documents := 0
	for _, d := range file.Docs {
		switch body := d.Body.(type) {
		case nil:
			continue
		case *ast.MappingNode:
			top = body.Values
		}
		documents++
	}
	known := documents == 0
	for _, value := range top {
		switch key := value.Key.String(); key {
		case "comparisons":
			known = true
		case "version":
			if n, ok := value.Value.(*ast.IntegerNode); ok {
				if v, ok := n.Value.(uint64); ok && v > modelVersion {
					return nil, whole(fmt.Sprintf("it is a model of version %d; this oneid reads up to version %d", v, modelVersion), newerHint)
				}
			}
		}
	}
	if documents > 1 {
		return nil, whole(fmt.Sprintf("there are %d YAML documents in it; a model is one", documents), modelHint)
	}
	if !known {
		return nil, whole("it is no model: there are no comparisons in it", modelHint)
	}
	for _, d := range file.Docs {
		if tag := findTag(d.Body); tag != nil {
			at := tag.GetToken().Position
			return nil, &FileError{File: name, Line: at.Line, Column: at.Column, Text: "a model has no tags (!…)", hint: modelHint}
		}
	}
	m = &Model{}
	if err := yaml.UnmarshalWithOptions(text, m, yaml.Strict()); err != nil {
		return nil, yamlError(name, err)
	}
	var faults []error
	if m.Version < 0 || m.Version > modelVersion {
		hint := newerHint
		if m.Version < 0 {
			hint = modelHint
		}
		faults = append(faults, whole(fmt.Sprintf("its version is %d; there is version %d", m.Version, modelVersion), hint))
	}
	for _, f := range m.faults() {
		e := &FileError{File: name, Text: f.text, hint: modelHint}
		e.Line, e.Column = position(file, f.path)
		faults = append(faults, e)
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return m, nil
}

// findTag finds the first tag below a node; nil if there is none.
func findTag(node ast.Node) ast.Node {
	if node == nil {
		return nil
	}
	if found := ast.Filter(ast.TagType, node); len(found) > 0 {
		return found[0]
	}
	return nil
}

// yamlError says what the YAML parser found, without the lines around it.
func yamlError(name string, err error) error {
	e := &FileError{File: name, Text: err.Error(), hint: modelHint}
	var at yaml.Error
	if errors.As(err, &at) {
		e.Text = at.GetMessage()
		if token := at.GetToken(); token != nil && token.Position != nil {
			e.Line, e.Column = token.Position.Line, token.Position.Column
		}
	}
	return e
}

// position finds where in a file a path, or the longest part of it that is
// there, lies; 0 for nowhere.
func position(file *ast.File, path string) (line, column int) {
	for path != "$" {
		if p, err := yaml.PathString(path); err == nil {
			if node, err := p.FilterFile(file); err == nil && node != nil && node.GetToken() != nil && node.GetToken().Position != nil {
				if m, ok := node.(*ast.MappingNode); ok && len(m.Values) > 0 && m.Values[0].Key.GetToken() != nil {
					node = m.Values[0].Key
				}
				return node.GetToken().Position.Line, node.GetToken().Position.Column
			}
		}
		path = path[:max(1, strings.LastIndexAny(path, ".["))]
	}
	return 0, 0
}

// Write writes the model with its comments, so that a person can go on from
// there.
func (m *Model) Write(w io.Writer) error {
	var b strings.Builder
	b.WriteString("# What `oneid match` compares. Change it, and give it back with --model.\n")
	fmt.Fprintf(&b, "version: %d # of this kind of file\n", modelVersion)
	b.WriteString("\n# Kinds, and their levels from equal to else: see `oneid match --help`.\ncomparisons:\n")
	for _, c := range m.Comparisons {
		comment(&b, "  ", c.Why)
		fmt.Fprintf(&b, "  - name: %s\n    columns: [%s]\n    kind: %s\n", quoted(c.Name), quotedList(c.Columns), c.Kind)
		if len(c.Levels) > 0 {
			fmt.Fprintf(&b, "    levels: [%s] # others count as the next weaker one\n", quotedList(c.Levels))
		}
		if c.SwappedWith != "" {
			fmt.Fprintf(&b, "    swapped_with: %s\n", quoted(c.SwappedWith))
		}
		if c.Rarity {
			b.WriteString("    rarity: true # equal rare values are worth more than equal common ones\n")
		}
		if c.Exclusive {
			b.WriteString("    exclusive: true # records with two values are never in one cluster\n")
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
	if m.Review > 0 {
		b.WriteString("\n# The probability from which a pair that is not linked is worth a person's look.\n")
		fmt.Fprintf(&b, "review: %v\n", m.Review)
	}
	if m.Clusters != "" {
		b.WriteString("\n# guarded follows no link that next to nothing else speaks for; components\n# follows all.\n")
		fmt.Fprintf(&b, "clusters: %s\n", m.Clusters)
	}
	if m.Largest > 0 {
		fmt.Fprintf(&b, "\n# The most records that a cluster may have.\nlargest: %d\n", m.Largest)
	}
	if m.PerSource > 0 {
		fmt.Fprintf(&b, "\n# The most records of one source that a cluster may have, with --link.\nper_source: %d\n", m.PerSource)
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
