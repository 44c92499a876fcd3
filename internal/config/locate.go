package config

import (
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Locate is where a key stands in a settings file, by its path ("kafka.sasl",
// "shops[1].platform"), or, of a key that is not there, its nearest parent: a
// missing value has its place too. It is 0, 0 where not even the first key of
// the path is there, and for a text that is no YAML.
func Locate(data []byte, path string) (line, column int) {
	defer func() {
		if recover() != nil { // as in Decode
			line, column = 0, 0
		}
	}()
	file, err := parser.ParseBytes(data, 0)
	if err != nil || len(file.Docs) == 0 {
		return 0, 0
	}
	node := file.Docs[0].Body
	for _, step := range strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' || r == ']' }) {
		var at ast.Node
		if at, node = below(node, step); at == nil {
			break
		}
		line, column = position(at)
	}
	return line, column
}

// below is the entry of a node that has a key or an index: where it begins, and
// its value.
func below(node ast.Node, step string) (at, value ast.Node) {
	switch n := node.(type) {
	case *ast.MappingNode:
		for _, entry := range n.Values {
			if entry.Key.GetToken().Value == step {
				return entry.Key, entry.Value
			}
		}
	case *ast.MappingValueNode:
		if n.Key.GetToken().Value == step {
			return n.Key, n.Value
		}
	case *ast.SequenceNode:
		if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(n.Values) {
			return first(n.Values[i]), n.Values[i]
		}
	}
	return nil, nil
}

// first is where a node begins: with its first key, if it has any.
func first(node ast.Node) ast.Node {
	switch n := node.(type) {
	case *ast.MappingNode:
		if len(n.Values) > 0 {
			return n.Values[0].Key
		}
	case *ast.MappingValueNode:
		return n.Key
	}
	return node
}
