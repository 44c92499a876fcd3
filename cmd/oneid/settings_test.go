package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/goccy/go-yaml"

	"oneid/internal/config"
	schema "oneid/schemas/config"
)

var update = flag.Bool("update", false, "write golden files anew")

// The sample names every key, with its default, and nothing else: with all its
// comments taken away it is still valid, and equal to the defaults.
func TestSampleNamesEveryKeyWithItsDefault(t *testing.T) {
	var lines []string
	inBody := false
	for line := range strings.Lines(string(schema.Sample)) {
		inBody = inBody || line == "\n"
		bare, commented := strings.CutPrefix(line, "# ")
		if inBody && commented {
			lines = append(lines, bare)
		}
	}
	text := strings.Join(lines, "")
	text, shops, ok := strings.Cut(text, "shops:")
	if !ok {
		t.Fatal("the sample has no shops")
	}
	// A zero value must be overwritten by the sample's, so start from none.
	var got Settings
	if err := config.Decode("sample", []byte(text), &got, "NONE_", nil); err != nil {
		t.Fatal(err)
	}
	// Like the shop, the webhooks are examples.
	if len(got.Deliver.Webhooks) != 1 {
		t.Errorf("the sample has %d webhooks, want one", len(got.Deliver.Webhooks))
	}
	if len(got.Deliver.Alerts) != 1 {
		t.Errorf("the sample has %d webhooks of alerts, want one", len(got.Deliver.Alerts))
	}
	got.Deliver.Webhooks, got.Deliver.Alerts = nil, nil
	want := defaultSettings()
	if g, w := asJSON(t, got), asJSON(t, want); g != w {
		t.Errorf("the sample's values are not the defaults:\n got %s\nwant %s", g, w)
	}
	var withShops Settings
	if err := config.Decode("sample", []byte("shops:"+shops), &withShops, "NONE_", nil); err != nil || len(withShops.Shops) != 1 {
		t.Errorf("the sample's shop: %v", err)
	}
	var tree any
	if err := yaml.Unmarshal([]byte(text+"shops:"+shops), &tree); err != nil {
		t.Fatal(err)
	}
	for _, key := range config.Keys(Settings{}) {
		at := tree
		for part := range strings.SplitSeq(key, ".") {
			if list, ok := at.([]any); ok {
				at = list[0]
			}
			node, _ := at.(map[string]any)
			value, ok := node[part]
			if !ok {
				t.Errorf("the sample lacks %s", key)
				break
			}
			at = value
		}
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer("[]", "null").Replace(string(data))
}

func TestSettingsSchema(t *testing.T) {
	want, err := config.Schema("oneid.yaml", Settings{})
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, '\n')
	if *update {
		if err := os.WriteFile("../../schemas/config/oneid.schema.json", want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(schema.Schema, want) {
		t.Fatal("schemas/config/oneid.schema.json is not what the settings say; run with -update")
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema.Schema))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("oneid.schema.json", document); err != nil {
		t.Fatal(err)
	}
	compiled, err := compiler.Compile("oneid.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		text string
		good bool
	}{
		"a shop":        {`{"shops":[{"platform":"tmall","shop":"s","settings":{"app_key":"1"}}]}`, true},
		"unknown key":   {`{"kafak":{}}`, false},
		"wrong type":    {`{"kafka":{"partitions":"four"}}`, false},
		"no duration":   {`{"pull":{"every":"soon"}}`, false},
		"good duration": {`{"pull":{"every":"1m30s"}}`, true},
	} {
		instance, err := jsonschema.UnmarshalJSON(strings.NewReader(c.text))
		if err != nil {
			t.Fatal(err)
		}
		if err := compiled.Validate(instance); (err == nil) != c.good {
			t.Errorf("%s: Validate = %v, want good %v", name, err, c.good)
		}
	}
}

func TestSettingsFaults(t *testing.T) {
	for name, c := range map[string]struct{ text, says string }{
		"time zone":     {"timezone: Mars/Olympus\n", "IANA"},
		"no partitions": {"kafka:\n  partitions: 0\n", "at least 1"},
		"no password":   {"kafka:\n  sasl:\n    mechanism: plain\n", "oneid.yaml:2:3: kafka.sasl.password_file"},
		"no database":   {"clickhouse:\n  database: default\n", "oneid.yaml:2:3: clickhouse.database"},
		"no address":    {"api: {listen: here}\n", "oneid.yaml:1:7: api.listen"},
		"no brand":      {"brand: a b\n", "oneid.yaml:1:1: brand"},
		"shop twice":    {"shops:\n  - {platform: tmall, shop: s}\n  - {platform: tmall, shop: s}\n", "twice"},
		"shop unnamed":  {"shops:\n  - {platform: tmall}\n", "oneid.yaml:2:6: shops[0] needs both"},
		"log level":     {"log:\n  level: loud\n", "oneid.yaml:2:3: log.level"},
		"slow points":   {"membership:\n  source_timeout: 2s\n", "oneid.yaml:2:3: membership.source_timeout"},
		"no secret":     {"membership:\n  source_url: https://a.example\n", "membership.source_secret_file"},
	} {
		t.Run(name, func(t *testing.T) {
			f := folder(t.TempDir())
			if err := os.WriteFile(f.path(settingsFile), []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := loadSettings(string(f)); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("loadSettings = %v, want an error with %q", err, c.says)
			}
		})
	}
}

// What a shop lacks is named, with the place where it belongs.
func TestShopsFaults(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		says []string
	}{
		"no settings":    {"shops:\n  - platform: tmall\n    shop: x\n", []string{"oneid.yaml:2:5: settings: ", "app_key", "app_secret_file (the path of a file that holds it)"}},
		"some settings":  {"shops:\n  - platform: tmall\n    shop: x\n    settings: {app_key: \"1\"}\n", []string{"oneid.yaml:4:1", "app_secret_file"}},
		"no platform":    {"shops:\n  - platform: tmal\n    shop: x\n", []string{"oneid.yaml:2:5: ", "tmal"}},
		"unknown key":    {"shops:\n  - platform: tmall\n    shop: x\n    settings: {app_kee: \"1\"}\n", []string{"oneid.yaml:4:16: ", "app_kee"}},
		"looks too far":  {"shops:\n  - platform: tmall\n    shop: x\n    settings: {app_key: \"1\", app_secret_file: oneid.yaml, overlap_seconds: 86400}\n", []string{"oneid.yaml:4:", "settings/overlap_seconds: the number must be at most 21600"}},
		"looks ahead":    {"shops:\n  - platform: sobot\n    shop: x\n    settings: {overlap_seconds: -1}\n", []string{"oneid.yaml:4:", "settings/overlap_seconds: the number must be at least 0"}},
		"secret in YAML": {"shops:\n  - platform: tmall\n    shop: x\n    settings: {app_key: \"1\", app_secret: s3cret}\n", []string{"oneid.yaml:4:30: ", "app_secret is a secret"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := folder(t.TempDir())
			if err := os.WriteFile(f.path(settingsFile), []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			settings, err := loadSettings(string(f))
			if err != nil {
				t.Fatal(err)
			}
			_, err = f.shops(settings)
			for _, text := range c.says {
				if err == nil || !strings.Contains(err.Error(), text) {
					t.Errorf("shops = %v, want an error with %q", err, text)
				}
			}
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the error tells a secret: %v", err)
			}
		})
	}
}

// A secret's path in endpoints.json starts from the folder, however the folder
// was named.
func TestSecretsLieRelativeToTheFolder(t *testing.T) {
	t.Chdir(t.TempDir())
	absolute, err := filepath.Abs("d")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ folder, path string }{
		"relative":                {"./d", "d/secrets/x"},
		"absolute":                {absolute, absolute + "/secrets/x"},
		"folder relative":         {"d", absolute + "/secrets/x"},
		"path relative, absolute": {absolute, "d/secrets/x"},
	} {
		if got := folder(c.folder).relative(c.path); got != "secrets/x" {
			t.Errorf("%s: relative(%q) from %q = %q, want secrets/x", name, c.path, c.folder, got)
		}
	}
}
