package conformance

import (
	"encoding/json"
	"reflect"
	"testing"
)

// WantDefaults fails the test where a connector that was made of no more than it must
// be told works by another value of a setting, a number or a truth, than its schema
// names as the default.
// cfg are its settings, as they are after New.
func WantDefaults(t *testing.T, schema json.RawMessage, cfg any) {
	t.Helper()
	var settings struct {
		Properties map[string]struct {
			Default any `json:"default"`
		} `json:"properties"`
	}
	if err := json.Unmarshal(schema, &settings); err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var used map[string]any
	if err := json.Unmarshal(raw, &used); err != nil {
		t.Fatal(err)
	}
	named := 0
	for name, p := range settings.Properties {
		if _, isText := p.Default.(string); isText || p.Default == nil {
			continue // an address may be chosen where it is called
		}
		if named++; !reflect.DeepEqual(p.Default, used[name]) {
			t.Errorf("%s is %v where it is not set, and the schema says %v", name, used[name], p.Default)
		}
	}
	if named < 4 {
		t.Errorf("the schema names %d defaults", named)
	}
}
