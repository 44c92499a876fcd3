package connectors

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// DecodeSettings reads a shop's settings strictly into v, a pointer to a
// connector's Config: an unknown key or a wrong type is an error that names
// the key and repeats no value.
func DecodeSettings(settings json.RawMessage, v any) error {
	if len(bytes.TrimSpace(settings)) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(settings))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("settings: more than one object")
	}
	return nil
}
