package connectors

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

const known = `{"orders": {
 "id": "text|number", "paid": "text?", "note": "null?",
 "lines": "list", "lines[]": "object", "lines[].sku": "text", "lines[].n": "number", "lines[].gift": "truth?",
 "who": "object?", "who.name": "text", "by_day": "object?", "by_day.*": "number?", "path": "list?", "path[]": "list", "path[][]": "number"
}}`

// looked is what is reported of so many payloads that are the same.
func looked(t testing.TB, shapes string, raw string, times int) []string {
	t.Helper()
	s, err := ParseShapes([]byte(shapes))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	w := NewWatch(s["orders"], func(c Change) { got = append(got, c.String()) })
	for range times {
		w.Look([]byte(raw))
	}
	slices.Sort(got)
	return slices.Compact(got)
}

func TestLook(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		raw   string
		times int
		want  []string
	}{
		"as known":                       {`{"id":1,"lines":[{"sku":"a","n":2},{"n":-1.5e3,"sku":"b","gift":true}],"who":{"name":"x"},"paid":"1"}`, 20, nil},
		"of another known kind":          {`{"id":"1","lines":[]}`, 20, nil},
		"white space":                    {" {\n \"id\" : 1 ,\t\"lines\" : [ { \"sku\" : \"a\" , \"n\" : 2 } ] } ", 20, nil},
		"null stands for any":            {`{"id":null,"lines":null,"who":null}`, 20, nil},
		"kind never known":               {`{"id":1,"lines":[],"note":{"x":[1]}}`, 20, nil},
		"names that are values":          {`{"id":1,"lines":[],"by_day":{"20240520":1,"13800001111":2}}`, 20, nil},
		"lists of lists":                 {`{"id":1,"lines":[],"path":[[1,2],[]]}`, 20, nil},
		"escaped name":                   {`{"\u0069d":1,"lines":[]}`, 20, nil},
		"gained":                         {`{"id":1,"lines":[{"sku":"a","n":2,"weight":7}],"tax":{"vat":"1"}}`, 1, []string{"gained lines[].weight (number)", "gained tax (object)"}},
		"gained under a value's name":    {`{"id":1,"lines":[],"13800001111":"Zhang San"}`, 1, []string{"gained * (text)"}},
		"retyped":                        {`{"id":{"v":1},"lines":[{"sku":5,"n":"2"}],"who":"x","path":[[1,"2"]]}`, 1, []string{"retyped id (text|number, now object)", "retyped lines[].n (number, now text)", "retyped lines[].sku (text, now number)", "retyped path[][] (number, now text)", "retyped who (object, now text)"}},
		"no object":                      {`[1]`, 1, []string{"retyped  (object, now list)"}},
		"lacking, but not for long":      {`{"lines":[{"n":1}],"who":{}}`, lostAfter - 1, nil},
		"lost":                           {`{"lines":[{"n":1}],"who":{}}`, lostAfter, []string{"lost id", "lost lines[].sku", "lost who.name"}},
		"of an object that is not there": {`{"id":1,"lines":[]}`, 20, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got := looked(t, known, c.raw, c.times); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// A field that a payload has in between is not lost.
func TestLostMeansInARow(t *testing.T) {
	t.Parallel()
	s, err := ParseShapes([]byte(known))
	if err != nil {
		t.Fatal(err)
	}
	w := NewWatch(s["orders"], func(c Change) { t.Error(c) })
	for range 10 {
		for range lostAfter - 1 {
			w.Look([]byte(`{"lines":[]}`))
		}
		w.Look([]byte(`{"id":1,"lines":[]}`))
	}
}

func TestParseShapesNamesEachFault(t *testing.T) {
	t.Parallel()
	_, err := ParseShapes([]byte(`{"orders":{"a":"txt","b":"number|"},"users":{"c":"text??"}}`))
	for _, want := range []string{"orders a", "orders b", "users c"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s in it", err, want)
		}
	}
	if _, err := ParseShapes([]byte(`[]`)); err == nil {
		t.Error("a list is no shapes")
	}
}

// What a person wrote stays, what examples show is added, and reading what was
// written changes nothing.
func TestLearn(t *testing.T) {
	t.Parallel()
	told, err := ParseShapes([]byte(`{"orders":{"id":"text?","memo":"null?"}}`))
	if err != nil {
		t.Fatal(err)
	}
	l := NewLearner(told)
	for _, raw := range []string{`{"id":1,"at":"x","lines":[{"n":1,"m":2}],"days":{"20260102":true}}`, `{"id":"2","at":null,"lines":[{"n":1},{"n":2}]}`} {
		l.Learn("orders", json.RawMessage(raw))
	}
	text, err := l.JSON()
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]map[string]string
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"id": "text|number?", "memo": "null?", "at": "text", "lines": "list", "lines[]": "object", "lines[].n": "number", "lines[].m": "number?",
		"days": "object?", "days.*": "truth?",
	}
	if fmt.Sprint(got["orders"]) != fmt.Sprint(want) {
		t.Errorf("got %v\nwant %v", got["orders"], want)
	}
	again, err := ParseShapes(text)
	if err != nil {
		t.Fatal(err)
	}
	if second, err := NewLearner(again).JSON(); err != nil || len(second) != len(text) && !strings.Contains(string(second), "?") {
		t.Errorf("%s, %v", second, err)
	}
}

// Whatever a payload is, looking at it ends; and one that was learnt is known.
func FuzzLook(f *testing.F) {
	for _, raw := range []string{`{"id":1,"lines":[{"sku":"a","n":2}]}`, `{"a":{"b":[[{}]]},"a":1}`, `{"":{"\u0041":null}}`, `{"a`, `{"a":}`, `[{`, `{"a":[1,]}`, "{\"\\", `{"a" "b"}`} {
		f.Add([]byte(raw))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := ParseShapes([]byte(known))
		if err != nil {
			t.Fatal(err)
		}
		w := NewWatch(s["orders"], func(Change) {})
		w.Look(raw)
		w.Look(raw)
		if !json.Valid(raw) || kindAt(raw, space(raw, 0)) != kindObject {
			return
		}
		l := NewLearner(nil)
		l.Learn("orders", raw)
		text, err := l.JSON()
		if err != nil {
			t.Fatal(err)
		}
		learnt, err := ParseShapes(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		w = NewWatch(learnt["orders"], func(c Change) { t.Errorf("%q, learnt as %s: %s", raw, text, c) })
		for range lostAfter {
			w.Look(raw)
		}
	})
}
