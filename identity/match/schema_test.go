package match_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"oneid/identity/match"
	"oneid/identity/match/compare"
	"oneid/identity/match/guess"
	"oneid/internal/golden"
)

const (
	modelSchemaFile   = "../../schemas/match/model.schema.json"
	learnedSchemaFile = "../../schemas/match/learned.schema.json"
)

type object = map[string]any

func described(text string, o object) object {
	o["description"] = text
	return o
}

func listOf(items object) object { return object{"type": "array", "items": items} }

func texts() object { return object{"type": "string"} }

// closed is an object with these properties and no others.
func closed(properties object, required ...string) object {
	return object{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
}

func share(text string) object {
	return described(text, object{"type": "number", "minimum": 0, "exclusiveMaximum": 1})
}

// modelSchema is made from what the program knows of kinds, levels and parts.
func modelSchema() object {
	comparison := closed(object{
		"name":         described("How rules and reports call it. Left out: the first column's name.", texts()),
		"columns":      described("The column that is compared, or the parts of a date (year, month, day), of a place (latitude, longitude) or of a Chinese address, the widest first.", object{"type": "array", "items": texts(), "minItems": 1}),
		"kind":         described("How values are compared.", object{"enum": compare.Kinds()}),
		"levels":       described("Levels that are told apart; one that is left out counts as the next weaker one. Left out altogether: all of the kind.", listOf(texts())),
		"swapped_with": described("Comparison of the column that is filled in place of this one now and then; both of kind name.", texts()),
		"exclusive":    described("An entity has one value of it: records with two values, however alike, are never in one cluster. A missing one is no value. Of kinds whose values are whole.", object{"type": "boolean"}),
		"rarity":       described("Equal rare values are worth more than equal common ones.", object{"type": "boolean"}),
	}, "columns", "kind")
	var byKind []object
	for _, kind := range compare.Kinds() {
		then := object{"levels": object{"items": object{"enum": compare.Levels(kind)}}}
		if kind != compare.Date && kind != compare.Place {
			then["columns"] = object{"maxItems": 1}
		}
		if kind != compare.Name {
			then["swapped_with"] = object{"const": ""}
		}
		if !slices.Contains([]compare.Kind{compare.Category, compare.Code, compare.Date, compare.Email, compare.Number}, kind) {
			then["exclusive"] = object{"const": false}
		}
		byKind = append(byKind, object{"if": object{"properties": object{"kind": object{"const": kind}}}, "then": object{"properties": then}})
	}
	comparison["allOf"] = byKind
	var parts []string
	for _, kind := range compare.Kinds() {
		if list := match.Parts(kind); len(list) > 0 {
			parts = append(parts, fmt.Sprintf("%s: %s", kind, strings.Join(list, ", ")))
		}
	}
	comparisons := described("What is compared.", listOf(comparison))
	comparisons["minItems"], comparisons["maxItems"] = 1, 16
	schema := closed(object{
		"version":     described("Version of this kind of file.", object{"enum": []int{0, 1}}),
		"comparisons": comparisons,
		"blocking": described("Two records are compared if they agree on all keys of one rule. Left out: chosen for each table.", listOf(closed(object{
			"on":   described("Names of comparisons, or NAME.PART; none is all pairs. Parts of kinds: "+strings.Join(parts, "; ")+".", listOf(texts())),
			"most": described("What more records agree on is left to the other rules; 0 leaves nothing out.", object{"type": "integer", "minimum": 0}),
		}))),
		"accept":     share("Probability from which two records are linked; 0 or left out finds the one that promises the best clusters."),
		"review":     share("Probability from which pairs that are not linked are worth a person's look; 0 or left out is none."),
		"clusters":   described("How links become clusters: guarded follows a link only if the records of its two clusters are alike on average; components follows each that no constraint refuses. Left out: guarded.", object{"enum": []match.Method{"", match.Guarded, match.Components}}),
		"largest":    described("The most records that a cluster may have; 0 or left out is no bound.", object{"type": "integer", "minimum": 0}),
		"per_source": described("The most records of one source that a cluster may have, where records of several are linked; 0 or left out is no bound.", object{"type": "integer", "minimum": 0}),
		"seed":       described("The same seed, records and model give the same clusters.", object{"type": "integer", "minimum": 0}),
	}, "comparisons")
	delete(schema["properties"].(object)["blocking"].(object)["items"].(object), "required")
	schema["$schema"], schema["title"] = "https://json-schema.org/draft/2020-12/schema", "A model: what oneid match compares"
	return schema
}

func learnedSchema() object {
	count := func(text string) object { return described(text, object{"type": "integer", "minimum": 0}) }
	shares := func(text string) object {
		return described(text, listOf(object{"type": "number", "exclusiveMinimum": 0, "maximum": 1}))
	}
	rule := closed(object{"on": listOf(texts()), "most": object{"type": "integer"}}, "on")
	field := closed(object{
		"name":         described("The comparison's name in the model.", texts()),
		"columns":      described("Its columns.", listOf(texts())),
		"kind":         described("How values are compared.", object{"enum": compare.Kinds()}),
		"swapped_with": described("The model's swapped_with.", texts()),
		"rarity":       described("The model's rarity.", object{"type": "boolean"}),
		"levels":       described("The kind's levels, from equal to else.", listOf(texts())),
		"kept":         described("The model's levels; left out, all.", listOf(texts())),
		"filled":       count("Records with a value."),
		"distinct":     count("Different values."),
		"equal_pairs":  described("Pairs of records that are equal.", object{"type": "number", "minimum": 0}),
		"m":            shares("Share of each level among pairs of one entity."),
		"u":            shares("Share of each level among pairs of strangers."),
		"unseen":       described("Levels at which no pair was that was learned from: what they are worth is assumed.", listOf(texts())),
		"n":            described("Share of each level among neighbours, by kind of neighbours.", listOf(shares("Of one kind."))),
		"frequencies": described("How many entities share a value.", closed(object{
			"entities": described("Entities that have a value.", object{"type": "number", "minimum": 0}),
			"at_least": count("So many entities share each value in common."),
			"rest":     described("How many entities share one of the other values, on average over their entities.", object{"type": "number", "minimum": 0}),
			"salt":     described("With a value it makes the value's key in common.", texts()),
			"common":   described("Entities by the key of a value: the first 16 hexadecimal digits of SHA-256 of salt, a zero byte and the value.", object{"type": "object", "additionalProperties": object{"type": "integer", "minimum": 0}}),
		}, "entities", "at_least", "rest", "salt", "common")),
	}, "name", "columns", "kind", "levels", "filled", "distinct", "equal_pairs", "m", "u", "n")
	fields := described("By comparison, in the model's order.", listOf(field))
	fields["minItems"], fields["maxItems"] = 1, 16
	schema := closed(object{
		"format":  object{"const": "oneid learned"},
		"version": object{"const": 1},
		"at":      described("When it was learned, RFC 3339.", texts()),
		"seed":    described("Of what was drawn at random.", object{"type": "integer", "minimum": 0}),
		"data": described("The records, without telling any.", closed(object{
			"fingerprint": described("Equal for the same records in any order; made of the counts here and of the fields.", texts()),
			"records":     count("How many they are."),
			"sources":     described("Records of each source, with --link.", listOf(object{"type": "integer", "minimum": 0})),
		}, "fingerprint", "records")),
		"blocking":  described("The rules whose pairs it was learned from.", listOf(rule)),
		"prior":     described("Share of all pairs that are one entity.", object{"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}),
		"near":      shares("Share of all pairs that are neighbours, by kind of neighbours."),
		"fields":    fields,
		"rounds":    count("Rounds of learning."),
		"converged": described("The last round changed next to nothing.", object{"type": "boolean"}),
		"warnings":  described("What was not learned as it should be, in plain words.", listOf(texts())),
	}, "format", "version", "seed", "data", "blocking", "prior", "near", "fields", "rounds", "converged")
	schema["$schema"], schema["title"] = "https://json-schema.org/draft/2020-12/schema", "What oneid learned of a table"
	return schema
}

// schema checks a schema's file, and compiles it.
func schema(t *testing.T, file string, want object) *jsonschema.Schema {
	t.Helper()
	text, err := json.MarshalIndent(want, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden.Equal(t, file, append(text, '\n'))
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource(file, document); err != nil {
		t.Fatal(err)
	}
	compiled, err := compiler.Compile(file)
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

func validate(t *testing.T, s *jsonschema.Schema, text []byte) error {
	t.Helper()
	instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(instance)
}

// people are a table with a column of most kinds.
func people(t *testing.T) *match.Table {
	t.Helper()
	text, err := os.ReadFile("../../deploy/examples/match/customers.csv")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	table := match.NewTable(strings.Split(lines[0], ","))
	for _, line := range lines[1:] {
		table.Add(0, strings.Split(line, ","))
	}
	return table
}

// What the program writes and reads is what the schema allows.
func TestModelSchema(t *testing.T) {
	t.Parallel()
	s := schema(t, modelSchemaFile, modelSchema())
	asJSON := func(text string) []byte {
		out, err := yaml.YAMLToJSON([]byte(text))
		if err != nil {
			t.Fatalf("%v:\n%s", err, text)
		}
		return out
	}
	sample, err := os.ReadFile("../../deploy/examples/match/model.yaml")
	if err != nil {
		t.Fatal(err)
	}
	guessed, err := guess.Model(people(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := match.Run(t.Context(), people(t), guessed, match.Options{RandomPairs: 1000}); err != nil { // it chooses rules
		t.Fatal(err)
	}
	var written bytes.Buffer
	if err := guessed.Write(&written); err != nil {
		t.Fatal(err)
	}
	invented, err := os.ReadFile("guess/testdata/invented.model.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"the sample": string(sample), "a guess": written.String(), "another guess": string(invented),
		"the least": "comparisons: [{columns: [a], kind: name}]",
	} {
		if _, err := match.ParseModel(name, []byte(text)); err != nil {
			t.Errorf("%s is refused: %v", name, err)
		}
		if err := validate(t, s, asJSON(text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The sample has every key.
	for key := range modelSchema()["properties"].(object) {
		if !strings.Contains("\n"+string(sample), "\n"+key+":") {
			t.Errorf("the sample lacks %s", key)
		}
	}
	for _, text := range []string{
		"version: 2\ncomparisons: [{columns: [a], kind: name}]",
		"comparisons: []",
		"comparisons: [{columns: [a], kind: name, colour: red}]",
		"comparisons: [{columns: [a], kind: smell}]",
		"comparisons: [{columns: [], kind: name}]",
		"comparisons: [{columns: [a, b], kind: name}]",
		"comparisons: [{columns: [a], kind: phone, swapped_with: b}]",
		"comparisons: [{columns: [a], kind: phone, levels: [swapped]}]",
		"comparisons: [{columns: [a], kind: name}]\naccept: 1",
		"comparisons: [{columns: [a], kind: name}]\nreview: -0.1",
		"comparisons: [{columns: [a], kind: name}]\nblocking: [{on: [a], most: -1}]",
		"comparisons: [{columns: [a], kind: name}]\nseed: -1",
		"comparisons: [{columns: [a], kind: name}]\nclusters: stars",
		"comparisons: [{columns: [a], kind: name}]\nlargest: -1",
		"comparisons: [{columns: [a], kind: name}]\nper_source: -1",
		"comparisons: [{columns: [a], kind: phone, exclusive: true}]",
	} {
		if _, err := match.ParseModel("m", []byte(text)); err == nil {
			t.Errorf("the program reads %q", text)
		}
		if validate(t, s, asJSON(text)) == nil {
			t.Errorf("the schema allows %q", text)
		}
	}
}

func TestLearnedSchema(t *testing.T) {
	t.Parallel()
	s := schema(t, learnedSchemaFile, learnedSchema())
	model, err := guess.Model(people(t))
	if err != nil {
		t.Fatal(err)
	}
	result, err := match.Run(t.Context(), people(t), model, match.Options{RandomPairs: 1000})
	if err != nil {
		t.Fatal(err)
	}
	var written bytes.Buffer
	if err := result.Learned.Write(&written); err != nil {
		t.Fatal(err)
	}
	if err := validate(t, s, written.Bytes()); err != nil {
		t.Errorf("what was learned: %v", err)
	}
	for name, change := range map[string]func(tree, field object){
		"newer":         func(tree, _ object) { tree["version"] = 2 },
		"foreign":       func(tree, _ object) { tree["format"] = "x" },
		"unknown key":   func(tree, _ object) { tree["more"] = 1 },
		"no prior":      func(tree, _ object) { delete(tree, "prior") },
		"m 0":           func(_, field object) { field["m"].([]any)[0] = 0 },
		"u 2":           func(_, field object) { field["u"].([]any)[0] = 2 },
		"no kind":       func(_, field object) { field["kind"] = "smell" },
		"negative":      func(_, field object) { field["frequencies"].(object)["rest"] = -1 },
		"no comparison": func(tree, _ object) { tree["fields"] = []any{} },
	} {
		var tree object
		if err := json.Unmarshal(written.Bytes(), &tree); err != nil {
			t.Fatal(err)
		}
		var field object
		for _, f := range tree["fields"].([]any) {
			if f.(object)["frequencies"] != nil {
				field = f.(object)
			}
		}
		change(tree, field)
		text, err := json.Marshal(tree)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := match.ParseLearned("l", text); err == nil {
			t.Errorf("%s: the program reads it", name)
		}
		if validate(t, s, text) == nil {
			t.Errorf("%s: the schema allows it", name)
		}
	}
}
