package connectors

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"
)

// Of valid JSON the cuts are those of encoding/json; of any other there is no
// panic.
func FuzzCut(f *testing.F) {
	for _, seed := range []string{
		`{"a":1,"b":"x\"}","c":{"d":[1,2,{"e":null}]},"f":[]}`, ` [ 1 , "a,]" , {"b" : [ ] } , true ] `, `[]`, `{}`, ` { } `,
		`{"\u0061":"\\"}`, `"text"`, `-1.5e3`, `{"a":`, `[1,`, `["`, `{"a"}`, `]`, `[}`, `{"名":"值"}`, `{"a":1,"a":2}`,
		`[[[[]]]]`, `{"a":"\\\"","b":1}`, `{"\"":1,"\u0062":2}`, "\"\xff\"", `[":"]`, `[1 2]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		got := make(map[string]json.RawMessage)
		Members(raw, func(name string, value json.RawMessage) { got[name] = value })
		found := Find(raw, "a", "\"", "b")
		elements := Elements(raw)
		text, isText := Text(raw)
		others := 0
		listed := Listed(raw, func(string, json.RawMessage) { others++ }, "a", "b")
		if !json.Valid(raw) {
			return
		}
		var list []json.RawMessage
		if json.Unmarshal(raw, &list) == nil && list != nil {
			if len(elements) != len(list) {
				t.Fatalf("Elements gave %d, want %d", len(elements), len(list))
			}
			for i := range list {
				if !bytes.Equal(elements[i], list[i]) {
					t.Errorf("element %d = %q, want %q", i, elements[i], list[i])
				}
			}
		}
		var want map[string]json.RawMessage
		if json.Unmarshal(raw, &want) == nil && want != nil {
			if len(got) != len(want) {
				t.Fatalf("Members gave %d, want %d", len(got), len(want))
			}
			for i, name := range []string{"a", "\"", "b"} {
				if first := found[i]; (first == nil) != (want[name] == nil) {
					t.Errorf("Find(%q) = %q, want %q", name, first, want[name])
				}
			}
			if first := Elements(found[0]); len(first) > 0 && !slices.EqualFunc(listed, first, func(a, b json.RawMessage) bool { return bytes.Equal(a, b) }) {
				t.Errorf("Listed gave %q, want the elements of %q", listed, found[0])
			}
			if listed == nil && others < len(want) {
				t.Errorf("Listed told of %d members of %d", others, len(want))
			}
			for name := range want {
				if !bytes.Equal(got[name], want[name]) {
					t.Errorf("member %q = %q, want %q", name, got[name], want[name])
				}
			}
		}
		var s string
		if trimmed := bytes.TrimSpace(raw); len(trimmed) == len(raw) && raw[0] == '"' && json.Unmarshal(raw, &s) == nil && (!isText || text != s) {
			t.Errorf("Text = %q, %v, want %q", text, isText, s)
		}
	})
}

func TestPick(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		`{"words":"w","b":[1, 2],"a":null}`: `{"a":null,"b":[1, 2]}`, `{"b":"x","b":"y"}`: `{"b":"x"}`,
		`{}`: `{}`, ``: `{}`, `null`: `{}`, `["a"]`: `{}`, `"a"`: `{}`,
	} {
		if got := string(Pick([]byte(raw), "a", "b")); got != want {
			t.Errorf("of %s the members a and b are %s, want %s", raw, got, want)
		}
	}
}
