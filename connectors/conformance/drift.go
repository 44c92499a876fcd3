package conformance

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"oneid/connectors"
	"oneid/internal/golden"
)

// driftLook is how many payloads of a stream are changed: a field is called lost
// when so many in a row lack it.
const driftLook = 12

// A sound shop's payloads are of the form that is known; and one that gains a
// field, loses one or has one of another kind is told.
func testDrift(t *testing.T, s Subject) {
	b := open(t, s, nil)
	shaped, ok := b.Connector.(connectors.Shaped)
	if !ok {
		t.Fatal("the connector is no connectors.Shaped: nobody would see that the platform's payloads change; embed a shape.json and give it by Shape")
	}
	payloads := make(map[string][]json.RawMessage)
	for _, stream := range b.Spec().Streams {
		for _, r := range whole(t, b, stream.Name, "").records {
			payloads[stream.Name] = append(payloads[stream.Name], r.Raw)
		}
	}
	if s.Shapes != "" {
		learn(t, s.Shapes, payloads)
	}
	lost := false
	for stream, list := range payloads {
		shape := shaped.Shape(stream)
		if shape == nil {
			t.Errorf("%s: shape.json, as it is compiled in, knows nothing of it: run the test with -update, and then once more", stream)
			continue
		}
		for _, c := range changes(shape, list) {
			t.Errorf("%s: a sound shop's payloads differ from shape.json: %s; if that is right, run the test with -update", stream, c)
		}
		lost = drifts(t, stream, shape, list) || lost
	}
	// A stream of several kinds of payloads may have no field that all of them have.
	if !lost {
		t.Error("no field of any stream is told when it is lost: does shape.json know one that is always there?")
	}
}

// learn adds to the file of the shapes what the payloads show.
func learn(t *testing.T, file string, payloads map[string][]json.RawMessage) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v: begin with a file that holds {}", err)
	}
	known, err := connectors.ParseShapes(text)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	learner := connectors.NewLearner(known)
	for stream, list := range payloads {
		for _, raw := range list {
			learner.Learn(stream, raw)
		}
	}
	text, err = learner.JSON()
	if err != nil {
		t.Fatal(err)
	}
	golden.Equal(t, file, text)
}

// changes are how payloads differ from a shape, each once.
func changes(shape *connectors.Shape, payloads []json.RawMessage) []connectors.Change {
	var out []connectors.Change
	w := connectors.NewWatch(shape, func(c connectors.Change) {
		if !slices.Contains(out, c) {
			out = append(out, c)
		}
	})
	for _, raw := range payloads {
		w.Look(raw)
	}
	return out
}

// drifts changes payloads as a platform would, and sees whether that is told. lost
// says that a field which is lost is.
func drifts(t *testing.T, stream string, shape *connectors.Shape, payloads []json.RawMessage) (lost bool) {
	t.Helper()
	some := payloads[:min(len(payloads), driftLook)]
	edited := func(edit func(object map[string]any)) []json.RawMessage {
		var out []json.RawMessage
		for i := range driftLook {
			var object map[string]any
			if err := json.Unmarshal(some[i%len(some)], &object); err != nil {
				t.Fatalf("%s: a payload is no JSON object: %v", stream, err)
			}
			edit(object)
			out = append(out, encode(t, object))
		}
		return out
	}
	told := make(map[string]bool)
	note := func(what, field string, payloads []json.RawMessage) {
		for _, c := range changes(shape, payloads) {
			told[what] = told[what] || c.What == what && strings.HasPrefix(c.Field, field)
		}
	}
	note(connectors.Gained, "a_field_of_tomorrow", edited(func(object map[string]any) { grow(object) }))
	var first map[string]any
	if err := json.Unmarshal(some[0], &first); err != nil {
		t.Fatalf("%s: %v", stream, err)
	}
	for name := range first {
		note(connectors.Lost, name, edited(func(object map[string]any) { delete(object, name) }))
		note(connectors.Retyped, name, edited(func(object map[string]any) { object[name] = []any{map[string]any{"a": true}} }))
	}
	for _, what := range []string{connectors.Gained, connectors.Retyped} {
		if !told[what] {
			t.Errorf("%s: no field that is %s is told: is shape.json that of this connector, and of this stream?", stream, what)
		}
	}
	return told[connectors.Lost]
}
