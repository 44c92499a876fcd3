package connectors

import (
	"bytes"
	"encoding/json"
	"errors"
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

// Faults gathers what is wrong with settings, so that all of it is said at once.
type Faults []error

// If notes a fault where there is one.
func (f *Faults) If(bad bool, text string) {
	if bad {
		*f = append(*f, errors.New(text))
	}
}

// Add notes an error, if it is one, with the setting that it is about.
func (f *Faults) Add(setting string, err error) {
	if err != nil {
		*f = append(*f, fmt.Errorf("%s: %w", setting, err))
	}
}

// Err is all that was noted; nil if nothing was.
func (f Faults) Err() error { return errors.Join(f...) }
