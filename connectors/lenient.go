package connectors

import (
	"errors"
	"strconv"
	"strings"
	"unicode"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// LenientText is a value that the platform writes as a text or as a number: it is
// kept as it stands, so a number of 19 digits loses none. null and objects
// are "".
type LenientText string

// UnmarshalJSON implements json.Unmarshaler.
func (t *LenientText) UnmarshalJSON(raw []byte) error {
	*t = ""
	switch raw[0] {
	case '"':
		s, ok := Text(raw)
		if !ok {
			return errors.New("a text is cut off")
		}
		*t = LenientText(s)
	case 'n', '{', '[':
	default:
		*t = LenientText(raw)
	}
	return nil
}

// Names says that a platform's id names somebody: one of zeros, a word that stands
// where there is none and one that is masked (with stars or what else stands for
// hidden characters) do not, and would make one account of many people. It knows what
// identity/normalize knows, which lies too far off to be asked: a test compares.
func Names(id string) bool {
	return strings.Trim(id, "0 ") != "" && strings.ContainsFunc(id, letterOrDigit) &&
		!nobody[strings.ToLower(strings.TrimSpace(id))] && !hidden(id)
}

func letterOrDigit(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// nobody are what stands where there is no id.
var nobody = map[string]bool{
	"null": true, "undefined": true, "none": true, "nil": true, "nan": true, "n/a": true, "na": true, "#n/a": true, "\\n": true,
	"unknown": true, "false": true, "空": true, "无": true, "暂无": true, "没有": true, "未知": true, "未填写": true, "未绑定": true,
}

// hidden says that of an id a part is hidden.
func hidden(id string) bool {
	if strings.ContainsAny(id, "*∗✱﹡＊•●×✕■█某·○□…") || strings.Contains(id, "..") || strings.Contains(id, "##") || strings.Contains(id, "??") {
		return true
	}
	if len(id) > 2 && id[0] == id[len(id)-1] && strings.IndexByte("~$#", id[0]) >= 0 {
		return true
	}
	lower := strings.ToLower(id)
	return strings.Trim(lower, "0123456789x") == "" && (strings.HasPrefix(lower, "xxxx") || strings.Contains(strings.TrimLeft(lower, "x"), "xx"))
}

// LenientWhole is a whole number, written as a number or as a text; null, "" and
// false are 0.
type LenientWhole int64

// ErrWhole says that a number is not a whole one of at most 19 digits.
var ErrWhole = errors.New("a number is not a whole one of at most 19 digits")

// UnmarshalJSON implements json.Unmarshaler.
func (w *LenientWhole) UnmarshalJSON(raw []byte) error {
	if n, ok := digits(raw); ok {
		*w = n
		return nil
	}
	var t LenientText
	err := t.UnmarshalJSON(raw)
	if err == nil {
		*w, err = t.Whole()
	}
	return err
}

// digits reads up to 18 digits: nearly all numbers are no more.
func digits(raw []byte) (n LenientWhole, ok bool) {
	for _, c := range raw {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + LenientWhole(c-'0')
	}
	return n, len(raw) > 0 && len(raw) <= 18
}

// Whole reads the text as a whole number.
func (t LenientText) Whole() (LenientWhole, error) {
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
		return 0, ErrWhole
	}
	return LenientWhole(n), nil
}

// LenientTruth is true or false, written as such, as a number or as a text; null
// and "" are false.
type LenientTruth bool

// UnmarshalJSON implements json.Unmarshaler.
func (b *LenientTruth) UnmarshalJSON(raw []byte) error {
	var n LenientWhole
	err := n.UnmarshalJSON(raw)
	*b = n != 0
	return err
}

// LenientObject is an object that the platform may leave out, give as null, as an
// empty list (an empty map in the language of its servers) or as a text that
// holds the object's JSON.
type LenientObject[T any] struct{ V T }

func (*LenientObject[T]) lenient() {}

// UnmarshalJSONFrom reads the object where Decode comes upon it, in its one pass.
func (o *LenientObject[T]) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	kind := d.PeekKind()
	if kind == '{' {
		return json.UnmarshalDecode(d, &o.V)
	}
	if kind != '"' {
		return d.SkipValue()
	}
	inner, err := d.ReadToken()
	if err != nil {
		return err
	}
	if text := strings.TrimSpace(inner.String()); strings.HasPrefix(text, "{") {
		return Decode([]byte(text), &o.V)
	}
	return nil
}

// UnmarshalJSON is for encoding/json.
func (o *LenientObject[T]) UnmarshalJSON(raw []byte) error { return Decode(raw, o) }

// MarshalJSON writes the object itself.
func (o LenientObject[T]) MarshalJSON() ([]byte, error) { return json.Marshal(o.V) }

// LenientList is a list that the platform may leave out or give as null, "" or {}.
type LenientList[T any] []T

func (*LenientList[T]) lenient() {}

// UnmarshalJSONFrom reads the list where Decode comes upon it, in its one pass.
func (l *LenientList[T]) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	*l = nil
	if d.PeekKind() == '[' {
		return json.UnmarshalDecode(d, (*[]T)(l))
	}
	return d.SkipValue()
}

// UnmarshalJSON is for encoding/json.
func (l *LenientList[T]) UnmarshalJSON(raw []byte) error { return Decode(raw, l) }
