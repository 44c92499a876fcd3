package connectors

import (
	"errors"
	"reflect"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// lenient is what platforms do and RFC 8259 leaves open: of two members of one
// name the last counts, and what is no UTF-8 is replaced.
var lenient = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// Decode reads a JSON text into out. It goes over the text once to check it, and
// once more to read it, by way of what is known of out's type. Names of members
// are matched exactly. Its error may repeat values: Fault says what is wrong
// without any.
func Decode(raw []byte, out any) error {
	if Valid(raw) {
		return DecodeValid(raw, out)
	}
	return decode(raw, out)
}

// DecodeValid is Decode of a text that was found Valid, or was cut out of such a
// one: it is not checked once more. Of any other text it may panic.
func DecodeValid(raw []byte, out any) error {
	at := reflect.ValueOf(out)
	if at.Kind() == reflect.Pointer && !at.IsNil() && len(raw) > 0 {
		if read := readerOf(at.Type().Elem()); read != nil {
			if _, ok := read(raw, space(raw, 0), at.Elem()); ok {
				return nil
			}
		}
	}
	return decode(raw, out)
}

// decode is Decode by the JSON library: it takes all types, takes longer, and
// says what is wrong.
func decode(raw []byte, out any) error { return json.Unmarshal(raw, out, lenient) }

// Valid says that raw is one JSON text, as Decode takes it.
func Valid(raw []byte) bool { return jsontext.Value(raw).IsValid(lenient) }

// Unambiguous says that raw is one JSON text, in which no object at any depth has
// two members of one name: of such a one readers may see different values.
func Unambiguous(raw []byte) bool {
	return jsontext.Value(raw).IsValid(jsontext.AllowInvalidUTF8(true))
}

// Fault says what is wrong with a JSON text that Decode refused, or that was
// refused with one of the causes while it was decoded. It names fields and
// repeats no value.
func Fault(err error, causes ...error) string {
	for _, cause := range append(causes, ErrWhole) {
		if errors.Is(err, cause) {
			return cause.Error()
		}
	}
	if kind, ok := errors.AsType[*json.SemanticError](err); ok {
		// A pointer such as /items/0 is made of names that are known and of places.
		field := strings.ReplaceAll(strings.TrimPrefix(string(kind.JSONPointer), "/"), "/", ".")
		if field == "" {
			return "it has a wrong type"
		}
		return "the field " + field + " has a wrong type"
	}
	return "it is not JSON"
}
