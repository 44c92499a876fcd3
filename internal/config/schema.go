package config

import (
	"encoding/json"
	"reflect"
)

// Schema is the JSON Schema (draft 2020-12) of the struct v: its yaml tags
// are the keys, its doc tags the descriptions. It allows no other keys.
func Schema(title string, v any) ([]byte, error) {
	schema := schemaOf(reflect.TypeOf(v))
	schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	schema["title"] = title
	return json.MarshalIndent(schema, "", "  ")
}

func schemaOf(t reflect.Type) map[string]any {
	switch t {
	case durationType:
		return map[string]any{"type": "string", "pattern": `^([0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h))+$`}
	case secretType:
		return map[string]any{"type": "string"}
	case rawType:
		return map[string]any{"type": "object"}
	}
	switch t.Kind() {
	case reflect.Struct:
		properties := make(map[string]any)
		for i := range t.NumField() {
			field := t.Field(i)
			key := keyOf(field)
			if key == "" {
				continue
			}
			property := schemaOf(field.Type)
			property["description"] = field.Tag.Get("doc")
			properties[key] = property
		}
		return map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	case reflect.Slice:
		return map[string]any{"type": "array", "items": schemaOf(t.Elem())}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int, reflect.Int64:
		return map[string]any{"type": "integer"}
	default:
		return map[string]any{"type": "string"}
	}
}

// Keys lists the path of every key of v ("kafka.sasl.user"), lists of structs
// by their elements' keys.
func Keys(v any) []string { return keysOf(reflect.TypeOf(v), "") }

func keysOf(t reflect.Type, path string) []string {
	if t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || t == secretType || t == rawType {
		return []string{path}
	}
	var keys []string
	for i := range t.NumField() {
		key := keyOf(t.Field(i))
		if key == "" {
			continue
		}
		if path != "" {
			key = path + "." + key
		}
		keys = append(keys, keysOf(t.Field(i).Type, key)...)
	}
	return keys
}
