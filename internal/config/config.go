// Package config reads settings: one strict YAML file, overridden key by key
// from the environment, with secrets that lie in files or in the environment
// and never in the YAML itself.
//
// Strict means that an unknown key, a key given twice, a wrong type and a
// missing secret are errors, each with its line and column. The package knows
// no setting of its own: a struct with yaml tags says what there is, and a doc
// tag on each field says what it means; Schema makes the JSON Schema of it.
package config

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// A Problem is one fault of a settings file.
type Problem struct { //nolint:errname // it is shown to a person as a problem, never matched as an error
	File         string
	Line, Column int // from 1; 0 when the fault has no place in the file
	Message      string
}

func (p *Problem) Error() string {
	if p.Line == 0 {
		return fmt.Sprintf("%s: %s", p.File, p.Message)
	}
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Message)
}

// Code names the kind of error for CLI and API.
func (p *Problem) Code() string { return "config" }

// Hint says what to do.
func (p *Problem) Hint() string {
	return "mend that line; the commented sample that `oneid init` writes names every key"
}

// Decode reads data, the content of the file called name, strictly into v, a
// pointer to a struct, and then applies the variables of environ (as from
// os.Environ) that begin with prefix and name a key of v: the key's path in
// capitals, joined by "_" (ONEID_KAFKA_BROKERS). Lists of texts are separated
// by commas; an element of a list of structs is named by its index.
func Decode(name string, data []byte, v any, prefix string, environ []string) (err error) {
	defer func() {
		// The YAML library panics on some text that is no YAML.
		if recover() != nil {
			err = &Problem{File: name, Message: "this is no YAML that can be read"}
		}
	}()
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return problem(name, err)
	}
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if err := yaml.NodeToValue(doc.Body, v, yaml.Strict()); err != nil {
			return problem(name, err)
		}
	}
	env := make(map[string]string)
	for _, pair := range environ {
		if key, value, ok := strings.Cut(pair, "="); ok && strings.HasPrefix(key, prefix) {
			env[key] = value
		}
	}
	return override(reflect.ValueOf(v).Elem(), strings.TrimSuffix(prefix, "_"), env)
}

// problem turns the YAML library's error into a Problem with its place.
func problem(name string, err error) error {
	var located yaml.Error
	if errors.As(err, &located) && located.GetToken() != nil {
		at := located.GetToken().Position
		return &Problem{File: name, Line: at.Line, Column: at.Column, Message: plain(located.GetMessage())}
	}
	var own *Problem
	if errors.As(err, &own) {
		return &Problem{File: name, Line: own.Line, Column: own.Column, Message: own.Message}
	}
	return &Problem{File: name, Message: err.Error()}
}

// plain says a type error in words: the library's names a field of Go.
func plain(message string) string {
	_, kind, ok := strings.Cut(message, " of type ")
	if !ok || !strings.HasPrefix(message, "cannot unmarshal") {
		return message
	}
	wanted, ok := map[string]string{"int": "a whole number", "int64": "a whole number", "bool": "true or false", "string": "a text"}[kind]
	switch {
	case ok:
	case strings.HasPrefix(kind, "[]"):
		wanted = "a list"
	default:
		wanted = "keys and values below"
	}
	return "the value has the wrong type: want " + wanted
}

// A Duration is written as Go writes one: 500ms, 2m, 1h30m.
type Duration time.Duration

var errDuration = errors.New("want a duration such as 500ms or 2m")

// UnmarshalYAML reads a duration.
func (d *Duration) UnmarshalYAML(node ast.Node) error {
	parsed, err := time.ParseDuration(node.GetToken().Value)
	if err != nil {
		line, column := position(node)
		return &Problem{Line: line, Column: column, Message: errDuration.Error()}
	}
	*d = Duration(parsed)
	return nil
}

var (
	durationType = reflect.TypeFor[Duration]()
	secretType   = reflect.TypeFor[Secret]()
	rawType      = reflect.TypeFor[Raw]()
)

// override sets the fields of the struct v that env names.
func override(v reflect.Value, path string, env map[string]string) error {
	var faults []error
	for i := range v.NumField() {
		key := keyOf(v.Type().Field(i))
		if key == "" {
			continue
		}
		name := path + "_" + strings.ToUpper(key)
		faults = append(faults, overrideField(v.Field(i), name, env))
	}
	return errors.Join(faults...)
}

func overrideField(field reflect.Value, name string, env map[string]string) error {
	switch {
	case field.Type() == secretType:
		secret := field.Addr().Interface().(*Secret)
		if value, ok := env[strings.TrimSuffix(name, "_FILE")]; ok {
			*secret = Secret{value: value, given: true}
		} else if value, ok := env[name]; ok {
			*secret = Secret{File: value}
		}
		return nil
	case field.Type() == rawType:
		raw := field.Addr().Interface().(*Raw)
		for key, value := range env {
			if rest, ok := strings.CutPrefix(key, name+"_"); ok {
				raw.set(strings.ToLower(rest), value)
			}
		}
		return nil
	case field.Kind() == reflect.Struct:
		return override(field, name, env)
	case field.Kind() == reflect.Slice && field.Type().Elem().Kind() == reflect.Struct:
		var faults []error
		for i := range field.Len() {
			faults = append(faults, override(field.Index(i), name+"_"+strconv.Itoa(i), env))
		}
		return errors.Join(faults...)
	}
	value, ok := env[name]
	if !ok {
		return nil
	}
	if err := setText(field, value); err != nil {
		return &Problem{File: "environment", Message: fmt.Sprintf("%s: %v", name, err)}
	}
	return nil
}

// setText sets a plain field from a text.
func setText(field reflect.Value, text string) error {
	if field.Type() == durationType {
		d, err := time.ParseDuration(text)
		if err != nil {
			return errDuration
		}
		field.SetInt(int64(d))
		return nil
	}
	switch field.Kind() {
	case reflect.String:
		field.SetString(text)
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return errors.New("want true or false")
		}
		field.SetBool(b)
	case reflect.Int, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return errors.New("want a whole number")
		}
		field.SetInt(n)
	case reflect.Slice:
		var list []string
		for item := range strings.SplitSeq(text, ",") {
			if item = strings.TrimSpace(item); item != "" {
				list = append(list, item)
			}
		}
		field.Set(reflect.ValueOf(list))
	default:
		return fmt.Errorf("cannot be set from the environment (%s)", field.Type())
	}
	return nil
}

// keyOf is the YAML key of a field, "" for one that the file cannot set.
func keyOf(field reflect.StructField) string {
	key, _, _ := strings.Cut(field.Tag.Get("yaml"), ",")
	if key == "-" {
		return ""
	}
	return key
}

// position is where a node stands in its file.
func position(node ast.Node) (line, column int) {
	if node == nil || node.GetToken() == nil {
		return 0, 0
	}
	at := node.GetToken().Position
	return at.Line, at.Column
}
