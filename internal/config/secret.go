package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// A Secret is named in YAML by the file that holds it (key …_file); the
// environment may give the file (…_FILE) or the secret itself. It prints as
// "secret", whatever it holds.
type Secret struct {
	// File is the path of the secret's file, relative to the data folder.
	File  string
	value string
	given bool
	// line and column of the path in the settings file.
	line, column int
}

// SecretFromFile names a secret that lies in a file.
func SecretFromFile(path string) Secret { return Secret{File: path} }

// UnmarshalYAML reads the path.
func (s *Secret) UnmarshalYAML(node ast.Node) error {
	s.line, s.column = position(node)
	return yaml.NodeToValue(node, &s.File)
}

func (s Secret) String() string { return "secret" }

// IsSet says whether the secret was given at all.
func (s Secret) IsSet() bool { return s.given || s.File != "" }

// Load is the secret's value; "" for one that was not given. folder is what
// a relative path starts from.
func (s Secret) Load(folder string) (string, error) {
	if s.given || s.File == "" {
		return s.value, nil
	}
	text, err := readSecret(folder, s.File)
	if err != nil {
		return "", &Problem{File: filepath.Join(folder, "oneid.yaml"), Line: s.line, Column: s.column, Message: err.Error()}
	}
	return text, nil
}

func readSecret(folder, path string) (string, error) {
	if !filepath.IsAbs(path) {
		path = filepath.Join(folder, path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read the secret: %w; put it into that file (mode 0600) or give it in the environment", err)
	}
	text := strings.TrimRight(string(data), "\r\n")
	if text == "" {
		return "", fmt.Errorf("the secret's file %s is empty; put the secret into it", path)
	}
	return text, nil
}

// Raw is a part of the file whose meaning somebody else knows (a connector):
// a mapping from keys to plain values or lists of them.
type Raw struct {
	node *ast.MappingNode
	env  map[string]string
}

// UnmarshalYAML keeps the node.
func (r *Raw) UnmarshalYAML(node ast.Node) error {
	switch n := node.(type) {
	case *ast.MappingNode:
		r.node = n
	case *ast.MappingValueNode:
		r.node = ast.Mapping(n.GetToken(), false, n)
	case *ast.NullNode:
	default:
		line, column := position(node)
		return &Problem{Line: line, Column: column, Message: "want keys and values here"}
	}
	return nil
}

func (r *Raw) set(key, value string) {
	if r.env == nil {
		r.env = make(map[string]string)
	}
	r.env[key] = value
}

// JSON is the part as a JSON object in which each key that ends with _file
// stands under its name without it, with the file's content, if secrets names
// it. A secret that the YAML holds literally is an error, as is one whose file
// cannot be read. folder is what relative paths start from. name is the
// settings file's, for errors.
func (r Raw) JSON(name, folder string, secrets map[string]bool) (json.RawMessage, error) {
	object := make(map[string]any)
	var faults []error
	if r.node != nil {
		for _, entry := range r.node.Values {
			key := entry.Key.GetToken().Value
			line, column := position(entry.Key)
			fault := func(message string) {
				faults = append(faults, &Problem{File: name, Line: line, Column: column, Message: message})
			}
			if secrets[key] {
				fault(fmt.Sprintf("%s is a secret and must not stand here: write %s_file with the path of a file that holds it, or set it in the environment", key, key))
				continue
			}
			var value any
			if err := yaml.NodeToValue(entry.Value, &value); err != nil {
				faults = append(faults, problem(name, err))
				continue
			}
			if bare, ok := strings.CutSuffix(key, "_file"); ok && secrets[bare] {
				if _, overridden := r.env[bare]; overridden {
					continue
				}
				text, err := readSecret(folder, fmt.Sprint(value))
				if err != nil {
					fault(key + ": " + err.Error())
					continue
				}
				key, value = bare, text
			}
			object[key] = value
		}
	}
	for key, text := range r.env {
		bare, isFile := strings.CutSuffix(key, "_file")
		if isFile && secrets[bare] {
			content, err := readSecret(folder, text)
			if err != nil {
				faults = append(faults, fmt.Errorf("environment: %s: %w", key, err))
				continue
			}
			object[bare] = content
			continue
		}
		if secrets[key] {
			object[key] = text
			continue
		}
		var value any
		if err := yaml.Unmarshal([]byte(text), &value); err != nil {
			value = text
		}
		object[key] = value
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return json.Marshal(object)
}

// Place is where a key of the part stands in its file; the part's own place
// for a key that is not there.
func (r Raw) Place(key string) (line, column int) {
	if r.node == nil {
		return 0, 0
	}
	for _, entry := range r.node.Values {
		if k := entry.Key.GetToken().Value; k == key || k == key+"_file" {
			return position(entry.Key)
		}
	}
	return position(r.node)
}
