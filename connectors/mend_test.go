package connectors

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"time"
)

func TestMend(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ raw, want string }{
		"a row is broken":          {`{"total":3,"list":[{"a":1},{"a":01},{"a":3}]}`, `{"total":3,"list":[{"a":1},"{\"a\":01}",{"a":3}]}`},
		"quotes within a text":     {`{"list":[{"a":"he said "no" "},{"a":3}]}`, `{"list":["{\"a\":\"he said \"no\" \"}",{"a":3}]}`},
		"two of several lists":     {`{"x":[nul],"n":1,"y":[{"a":,}]}`, `{"x":["nul"],"n":1,"y":["{\"a\":,}"]}`},
		"a list alone":             {` [{"a":1}, {a:1}] `, ` [{"a":1}, "{a:1}"] `},
		"nothing is":               {`{"list":[{"a":1}]}`, `{"list":[{"a":1}]}`},
		"cut off in a row":         {`{"total":3,"list":[{"a":1},{"a":`, ""},
		"cut off between rows":     {`{"total":3,"list":[{"a":1},`, ""},
		"cut off behind the list":  {`{"list":[{"a":1}],"tot`, ""},
		"a member beside the list": {`{"total":03,"list":[{"a":1}]}`, ""},
		"no name":                  {`{total:3,"list":[{"a":1}]}`, ""},
		"a comma too many":         {`{"list":[{"a":1},,{"a":2}]}`, ""},
		"a quote that opens":       {`{"list":[{"a":"x"y"},{"a":2}]}`, `{"list":["{\"a\":\"x\"y\"}",{"a":2}]}`},
		"quotes that open, around": {`[{"a":"x"y"}, {"a":2} ,{"a":"x"y"}]`, `["{\"a\":\"x\"y\"}", {"a":2} ,"{\"a\":\"x\"y\"}"]`},
		"one in the last row":      {`{"list":[{"a":1},{"a":"x"y"}],"n":1}`, `{"list":[{"a":1},"{\"a\":\"x\"y\"}"],"n":1}`},
		"rows that hold rows":      {`{"list":[{"a":[{"a":1},{"a":2}],"t":"x"y"},{"a":[{"a":3}]}]}`, `{"list":["{\"a\":[{\"a\":1},{\"a\":2}],\"t\":\"x\"y\"}",{"a":[{"a":3}]}]}`},
		"rows of other names":      {`{"list":[{"a":"x"y"},{"b":2}]}`, ""},
		"a bracket in a text":      {`{"list":[{"a":"x{"y"},{"a":2}]}`, ""},
		"nothing at all":           {``, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, ok := Mend([]byte(tc.raw))
			if ok != (tc.want != "") || (ok && string(got) != tc.want) {
				t.Errorf("Mend = %s, %t, want %s", got, ok, tc.want)
			}
		})
	}
}

// A row that was put in quotes is a bad record of its own bytes.
func TestBrokenRowKeepsItsBytes(t *testing.T) {
	t.Parallel()
	broken := `{"name":"李 \"雷\"" , "at":	1,}`
	mended, ok := Mend([]byte(`{"list":[{"id":1},` + broken + `]}`))
	if !ok {
		t.Fatal("the envelope is whole")
	}
	page := PageOf("orders", "s", "page 1", time.Now(), Listed(mended, func(string, json.RawMessage) {}, "list"))
	if len(page.Records) != 1 || len(page.Bad) != 1 || !errors.Is(page.Bad[0].Err, ErrBroken) || string(page.Bad[0].Raw) != broken {
		t.Errorf("%d records, bad %q", len(page.Records), page.Bad)
	}
}

// What is mended is Valid, and what is Valid is not touched.
func FuzzMend(f *testing.F) {
	for _, seed := range []string{
		`{"total":3,"list":[{"a":1},{"a":01},{"a":3}]}`, `[{"a":1}, {a:1}]`, `{"list":[{"a":"he said "no" "}]}`, `{"list":[`, `{"x":["\ud800"]}`,
		"{\"list\":[{\"a\":\"\xff\"},{\"a\":01}]}", `[01]`, `[[01]]`, `{"a":[1}]`, `[{"a":"x"y"},{"a":2},{"a":"x"y"}]`, `[{"a":1"`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		mended, ok := Mend(raw)
		if !ok {
			return
		}
		if !Valid(mended) {
			t.Fatalf("%q is not valid", mended)
		}
		if Valid(raw) && !bytes.Equal(mended, raw) {
			t.Fatalf("%q became %q", raw, mended)
		}
	})
}
