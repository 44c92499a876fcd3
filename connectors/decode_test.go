package connectors

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// row has each lenient type within each other. Its names hold no letters:
// encoding/json takes A for a, and Decode does not.
type row struct {
	Text  LenientText          `json:"1"`
	Whole LenientWhole         `json:"2"`
	Inner LenientObject[inner] `json:"3"`
	List  LenientList[inner]   `json:"4"`
	Raw   json.RawMessage      `json:"5"`
}

type inner struct {
	Text  LenientText              `json:"1"`
	Whole LenientWhole             `json:"2"`
	Deep  LenientObject[deep]      `json:"3"`
	List  LenientList[LenientText] `json:"4"`
}

type deep struct {
	Text LenientText       `json:"1"`
	Rows LenientList[deep] `json:"2"`
}

// Decode gives what encoding/json gives, and refuses what it refuses.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"1":"a","2":"12","3":{"1":1.50,"3":{"1":"x","2":[{"1":2}]}},"4":[{"1":"b"},{"2":7}],"5":[1, 2]}`,
		`{"1":null,"2":null,"3":null,"4":null,"5":null}`, `{"1":{},"2":false,"3":[],"4":"","5":""}`, `{"3":"","4":{}}`,
		`{"3":" {\"1\":\"inner\",\"3\":\"{\\\"1\\\":2}\"}","4":[]}`, `{"3":"{","4":[1]}`, `{"4":[null]}`, `{"2":"x"}`, `{"2":1.0}`, `{"2":1e2}`,
		`{"1":"a","1":"b","3":{"1":"a"},"3":{"2":2},"4":[{"1":"a"}],"4":[{}]}`, `{"1":123456789012345678901234567890}`, `[]`, `null`, `"text"`, `{"1":"a"} x`, `{"1":"a"`,
		"{\"1\":\"\xff\"}", `{"1":"\ud800"}`, `{"1":"\u4e2d\n"}`, ` { "1" : true } `, `{"9":{"1":[{}]},"2":3}`, `{"2":9223372036854775808}`, `{"1":01}`, strings.Repeat(`{"3":`, 200),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var want, got row
		wantErr, err := json.Unmarshal(raw, &want), Decode(raw, &got)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("Decode: %v, encoding/json: %v", err, wantErr)
		}
		if err != nil {
			return
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("encoding/json (-) and Decode (+) differ:\n%s", d)
		}
		if !Valid(raw) {
			t.Error("what was decoded is not Valid")
		}
	})
}

// strict has what row has not: what a reader reads without a method.
type strict struct {
	Text    string             `json:"1"`
	Pointer *deep              `json:"2"`
	Inner   inner              `json:"3"`
	List    []deep             `json:"4"`
	Texts   []LenientText      `json:"5"`
	Deeper  *strict            `json:"6,omitempty"`
	Loose   LenientObject[row] `json:"7"`
}

// A reader gives what the JSON library gives, or gives up.
func FuzzReader(f *testing.F) {
	for _, seed := range []string{
		`{"1":"a","2":{"1":1},"3":{"1":2,"4":[1,"2"]},"4":[{"1":"x"},{}],"5":["a",null,3],"6":{"1":"b","6":{}},"7":{"3":{"1":1}}}`,
		`{"1":null,"2":null,"3":null,"4":null,"5":null,"6":null,"7":null}`, `{"1":"a","1":null,"3":{"1":"x"},"3":{"2":1},"4":[{"1":1}],"4":[{"2":[]}]}`,
		`{"1":"\n"}`, "{\"1\":\"\xff\"}", `{"\u0031":"a"}`, `{"1":1}`, `{"4":{}}`, `{"4":[]}`, `{"5":[[]]}`, `null`, ` {} `, `{"2":[]}`, `{"7":"{\"1\":\"\\u00e9\"}"}`,
		`{"7":"{\"2\":\"x\"}"}`, `{"0":[{"1":"]"},"}"],"1":"z"}`, `{"3":{"2":"x"}}`, `{"2":{"2":[{"2":[]}]},"2":{"1":"a"}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var want, got strict
		wantErr, err := decode(raw, &want), Decode(raw, &got)
		if (err == nil) != (wantErr == nil) || Fault(err) != Fault(wantErr) {
			t.Fatalf("Decode: %v, the library: %v", err, wantErr)
		}
		if err != nil {
			return
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("the library (-) and Decode (+) differ:\n%s", d)
		}
	})
}

// What Decode is asked for most is read by readers, or they save nothing.
func TestReadersKnowTheTypes(t *testing.T) {
	t.Parallel()
	for _, of := range []any{row{}, strict{}, LenientObject[inner]{}, LenientList[deep]{}} {
		if readerOf(reflect.TypeOf(of)) == nil {
			t.Errorf("%T has no reader", of)
		}
	}
	if readerOf(reflect.TypeFor[struct {
		F float64 `json:"f"`
	}]()) != nil {
		t.Error("a float has a reader")
	}
}

func TestFaultRepeatsNoValue(t *testing.T) {
	t.Parallel()
	const secret = "13800001111"
	for raw, want := range map[string]string{
		`{"2":"` + secret + `x"}`:          ErrWhole.Error(),
		`{"4":[{"2":"` + secret + `.5"}]}`: ErrWhole.Error(),
		`{"4":[{},"` + secret + `"]}`:      "the field 4.1 has a wrong type",
		`{"1":"` + secret + `}`:            "it is not JSON",
		`["` + secret + `"]`:               "it has a wrong type",
	} {
		var r row
		if got := Fault(Decode([]byte(raw), &r)); got != want || strings.Contains(got, secret) {
			t.Errorf("Fault of %q = %q, want %q", raw, got, want)
		}
	}
	own := errors.New("an amount is none")
	if got := Fault(fmt.Errorf("%s: %w", secret, own), own); got != own.Error() {
		t.Errorf("Fault = %q, want the cause", got)
	}
}

func TestObject(t *testing.T) {
	t.Parallel()
	list, detail := json.RawMessage(`{ "order_id": "1" }`), json.RawMessage(`[1,"<b>"]`)
	raw := Object(Member{"list", list}, Member{"detail", detail})
	if want := `{"list":{ "order_id": "1" },"detail":[1,"<b>"]}`; string(raw) != want || !Valid(raw) {
		t.Errorf("Object = %s, want %s", raw, want)
	}
	if raw := Object(); string(raw) != "{}" {
		t.Errorf("Object of nothing = %s", raw)
	}
}
