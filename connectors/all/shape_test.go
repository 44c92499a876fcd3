package all

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"oneid/connectors"
	"oneid/internal/golden"
)

// examples are payloads of each stream of a platform: the documents' examples,
// the test data and what the simulator makes up.
func examples(t *testing.T, platform string) (connectors.Connector, map[string][]json.RawMessage) {
	t.Helper()
	var c connectors.Connector
	payloads := make(map[string][]json.RawMessage)
	synctest.Test(t, func(t *testing.T) { // its clock makes them the same each time
		c, _, _ = limited(t, platform, 0)
		for _, stream := range c.Spec().Streams {
			for page, err := range c.Read(t.Context(), stream.Name, "") {
				if err != nil {
					t.Fatal(err)
				}
				for _, record := range page.Records {
					payloads[stream.Name] = append(payloads[stream.Name], record.Raw)
				}
			}
			for _, raw := range golden.Inputs(t, filepath.Join("..", platform, "testdata", stream.Name, "*.json")) {
				payloads[stream.Name] = append(payloads[stream.Name], raw)
			}
		}
	})
	return c, payloads
}

// What is known of the platforms' payloads (shape.json) is what the examples
// show, and what a person wrote there besides: -update adds what is new.
func TestShapes(t *testing.T) {
	t.Parallel()
	for _, platform := range platforms {
		file := filepath.Join("..", platform, "shape.json")
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		known, err := connectors.ParseShapes(text)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		learner := connectors.NewLearner(known)
		c, payloads := examples(t, platform)
		for stream, list := range payloads {
			for _, raw := range list {
				learner.Learn(stream, raw)
			}
		}
		got, err := learner.JSON()
		if err != nil {
			t.Fatal(err)
		}
		golden.Equal(t, file, got)
		for stream, list := range payloads {
			shape := c.(connectors.Shaped).Shape(stream)
			if shape == nil {
				t.Errorf("%s has no shape of %s", platform, stream)
				continue
			}
			w := connectors.NewWatch(shape, func(change connectors.Change) { t.Errorf("%s %s: an example shows: %s", platform, stream, change) })
			for _, raw := range list {
				w.Look(raw)
			}
		}
	}
}

// BenchmarkLook and BenchmarkMap say what it costs to compare a payload with
// its shape, beside what it costs to map it.
func BenchmarkLook(b *testing.B) {
	for _, platform := range platforms {
		b.Run(platform, func(b *testing.B) {
			c, raws := benchExamples(b, platform)
			w := connectors.NewWatch(c.(connectors.Shaped).Shape("orders"), func(change connectors.Change) { b.Fatal(change) })
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				w.Look(raws[i%len(raws)])
			}
		})
	}
}

func BenchmarkMap(b *testing.B) {
	for _, platform := range platforms {
		b.Run(platform, func(b *testing.B) {
			c, raws := benchExamples(b, platform)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := c.Map(connectors.Record{Stream: "orders", Shop: "1", Raw: raws[i%len(raws)]}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func benchExamples(b *testing.B, platform string) (connectors.Connector, []json.RawMessage) {
	b.Helper()
	open := ByPlatform[platform]
	c, err := open("1", json.RawMessage(`{"app_key":"1","app_secret":"s","access_token":"t"}`))
	if platform == "tmall" {
		c, err = open("1", json.RawMessage(`{"app_key":"1","app_secret":"s","session":"t"}`))
	}
	if platform == "douyin" {
		c, err = open("1", json.RawMessage(`{"app_key":"1","app_secret":"s"}`))
	}
	if err != nil {
		b.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join("..", platform, "testdata", "orders", "documented*.json"))
	if err != nil || len(files) == 0 {
		b.Fatal("no example: ", err)
	}
	var raws []json.RawMessage
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			b.Fatal(err)
		}
		raws = append(raws, raw)
	}
	return c, raws
}

// Whichever field of an example another kind, another name or no place is
// given: it is told, by its name, and nothing else is.
func TestDriftOfEachField(t *testing.T) {
	t.Parallel()
	for _, platform := range platforms {
		c, payloads := examples(t, platform)
		for stream, list := range payloads {
			shape := c.(connectors.Shaped).Shape(stream)
			var example map[string]any
			if err := json.Unmarshal(list[len(list)-1], &example); err != nil {
				t.Fatal(err)
			}
			gained, retyped := 0, 0
			each(example, func(object map[string]any, name string) {
				value := object[name]
				// Lost, if it was always there, and gained under another name.
				delete(object, name)
				object["brand_new"] = value
				for _, change := range changes(t, shape, example) {
					switch {
					case change.What == connectors.Gained && strings.HasSuffix(change.Field, "brand_new"):
						gained++
					case change.What != connectors.Lost || !strings.HasSuffix(change.Field, name):
						t.Errorf("%s %s without %s: %s", platform, stream, name, change)
					}
				}
				delete(object, "brand_new")
				object[name] = []any{map[string]any{"a": 1}}
				if _, ok := value.([]any); ok {
					object[name] = "text"
				}
				for _, change := range changes(t, shape, example) {
					if change.What != connectors.Retyped || !strings.HasSuffix(change.Field, name) {
						t.Errorf("%s %s with another kind of %s: %s", platform, stream, name, change)
					}
					retyped++
				}
				object[name] = value
			})
			if gained < 3 || retyped < 3 {
				t.Errorf("%s %s: %d fields gained, %d retyped", platform, stream, gained, retyped)
			}
		}
	}
}

// changes are what is told of a payload that comes again and again, each once.
func changes(t *testing.T, shape *connectors.Shape, payload any) []connectors.Change {
	t.Helper()
	raw, err := json.Marshal(payload)
	if err != nil {
		t.Fatal(err)
	}
	var told []connectors.Change
	w := connectors.NewWatch(shape, func(c connectors.Change) {
		if !slices.Contains(told, c) {
			told = append(told, c)
		}
	})
	for range 10 {
		w.Look(raw)
	}
	return told
}

// each calls f with each field that is not empty.
func each(value any, f func(object map[string]any, name string)) {
	switch v := value.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if v[name] == nil {
				continue
			}
			f(v, name)
			each(v[name], f)
		}
	case []any:
		if len(v) > 0 {
			each(v[0], f)
		}
	}
}
