package douyin

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"oneid/connectors"
)

// text is a value that the platform writes as a text or as a number: it is
// kept as it stands, so a number of 19 digits loses none. null and objects
// are "".
type text string

// UnmarshalJSON implements json.Unmarshaler.
func (t *text) UnmarshalJSON(raw []byte) error {
	*t = ""
	switch raw[0] {
	case '"':
		s, ok := connectors.Text(raw)
		if !ok {
			return errors.New("a text is cut off")
		}
		*t = text(s)
	case 'n', '{', '[':
	default:
		*t = text(raw)
	}
	return nil
}

// whole is a whole number, written as a number or as a text; null, "" and
// false are 0.
type whole int64

var errWhole = errors.New("a number is not a whole one of at most 19 digits")

// UnmarshalJSON implements json.Unmarshaler.
func (w *whole) UnmarshalJSON(raw []byte) error {
	var t text
	err := t.UnmarshalJSON(raw)
	if err == nil {
		*w, err = t.whole()
	}
	return err
}

// whole reads the text as a whole number.
func (t text) whole() (whole, error) {
	s := strings.TrimSpace(string(t))
	if i := strings.IndexByte(s, '.'); i >= 0 && strings.Trim(s[i+1:], "0") == "" {
		s = s[:i]
	}
	switch s {
	case "", "false":
		return 0, nil
	case "true":
		return 1, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, errWhole
	}
	return whole(n), nil
}

// object is an object that the platform may leave out, give as null, as an
// empty list (an empty map in the language of its servers) or as a text that
// holds the object's JSON.
type object[T any] struct{ V T }

// UnmarshalJSON implements json.Unmarshaler.
func (o *object[T]) UnmarshalJSON(raw []byte) error {
	if raw[0] == '"' {
		var inner string
		if json.Unmarshal(raw, &inner) != nil {
			return errors.New("a text is cut off")
		}
		raw = bytes.TrimSpace([]byte(inner))
	}
	if len(raw) == 0 || raw[0] != '{' {
		return nil
	}
	return json.Unmarshal(raw, &o.V)
}

// MarshalJSON writes the object itself.
func (o object[T]) MarshalJSON() ([]byte, error) { return json.Marshal(o.V) }

// list is a list that the platform may leave out or give as null, "" or {}.
type list[T any] []T

// UnmarshalJSON implements json.Unmarshaler.
func (l *list[T]) UnmarshalJSON(raw []byte) error {
	*l = nil
	if raw[0] != '[' {
		return nil
	}
	if rows, ok := any(l).(*list[json.RawMessage]); ok {
		// As Unmarshal does, but without checking each row once more. What
		// UnmarshalJSON was given is not its own.
		*rows = connectors.Elements(bytes.Clone(raw))
		return nil
	}
	return json.Unmarshal(raw, (*[]T)(l))
}
