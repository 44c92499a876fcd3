package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"oneid/connectors"
	"oneid/connectors/all"
	"oneid/connectors/simulator"
	"oneid/internal/config"
)

// shop is a shop to pull from.
type shop struct {
	platform, name string
	connector      connectors.Connector
}

// shops makes the connectors of the shops that the settings name. Every fault
// of their settings comes back at once, each with its line.
func (f folder) shops(settings Settings) ([]shop, error) {
	var list []shop
	var faults []error
	file := filepath.Join(string(f), settingsFile)
	data, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the settings: %w", err)
	}
	for i, s := range settings.Shops {
		at := fmt.Sprintf("shops[%d]", i)
		spec, err := all.Spec(s.Platform)
		if err != nil {
			line, column := config.Locate(data, at+".platform")
			faults = append(faults, &config.Problem{File: file, Line: line, Column: column, Message: err.Error()})
			continue
		}
		place := func(key string) (line, column int) {
			if line, column = s.Settings.Place(key); line == 0 { // the shop has no settings
				return config.Locate(data, at)
			}
			return line, column
		}
		raw, err := s.Settings.JSON(file, string(f), secretsOf(spec))
		if err == nil {
			err = validateShop(file, s, spec, raw, place)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("shop %s/%s: %w", s.Platform, s.Shop, err))
			continue
		}
		connector, err := all.Open(s.Platform, s.Shop, raw)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		list = append(list, shop{s.Platform, s.Shop, connector})
	}
	return list, errors.Join(faults...)
}

// settingsSchema is what is read of a connector's JSON Schema.
type settingsSchema struct {
	Properties map[string]struct {
		WriteOnly bool `json:"writeOnly"`
	} `json:"properties"`
}

// unnamedError says that files are of a shop that the settings do not name, though
// they name shops of its platform: what is loaded into it never meets what the API
// gives.
type unnamedError struct {
	shop  string   // PLATFORM/SHOP
	named []string // those of its platform
}

func (e unnamedError) Error() string {
	return fmt.Sprintf("%s does not name a shop %s, but %s", settingsFile, e.shop, strings.Join(e.named, ", "))
}

// Code names the kind of error for CLI and API.
func (unnamedError) Code() string { return "shop.unnamed" }

// Hint says what to do.
func (unnamedError) Hint() string {
	return "name the shop as there, so that an order by file and by API is one; or say that it is another one: --new-shop, in a pipeline new_shop: true"
}

// checkNamed says whether what is loaded for a shop may be of that one: named are the
// shops of the settings, as PLATFORM/SHOP. Of a platform without any all may.
func checkNamed(name string, named []string) error {
	platform, _, _ := strings.Cut(name, "/")
	var same []string
	for _, other := range named {
		if other == name {
			return nil
		}
		if strings.HasPrefix(other, platform+"/") {
			same = append(same, other)
		}
	}
	if len(same) == 0 {
		return nil
	}
	return unnamedError{name, same}
}

// secretsOf are the settings of a connector that must not stand in YAML.
func secretsOf(spec connectors.Spec) map[string]bool {
	var schema settingsSchema
	if err := json.Unmarshal(spec.Settings, &schema); err != nil {
		panic(fmt.Sprintf("the settings' schema of %s is broken: %v", spec.Platform, err))
	}
	secrets := make(map[string]bool)
	for name, property := range schema.Properties {
		if property.WriteOnly {
			secrets[name] = true
		}
	}
	return secrets
}

// validateShop checks a shop's settings against its connector's schema.
// place is where a key stands, or would.
func validateShop(file string, s ShopSettings, spec connectors.Spec, raw json.RawMessage, place func(key string) (line, column int)) error {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(spec.Settings))
	if err != nil {
		return err
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("settings.json", document); err != nil {
		return err
	}
	schema, err := compiler.Compile("settings.json")
	if err != nil {
		return err
	}
	instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	var known settingsSchema
	var given map[string]json.RawMessage
	if err := errors.Join(json.Unmarshal(spec.Settings, &known), json.Unmarshal(raw, &given)); err != nil {
		return err
	}
	var unknown []error
	for name := range given {
		if _, ok := known.Properties[name]; !ok {
			line, column := place(name)
			unknown = append(unknown, &config.Problem{File: file, Line: line, Column: column, Message: fmt.Sprintf("the connector of %s knows no setting %s", s.Platform, name)})
		}
	}
	if len(unknown) > 0 {
		return errors.Join(unknown...)
	}
	err = schema.Validate(instance)
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return err
	}
	var faults []error
	for _, unit := range invalid.BasicOutput().Errors {
		if unit.Error == nil {
			continue
		}
		line, column := place(key(unit.InstanceLocation))
		// The message never repeats a value: settings may hold secrets.
		message := fmt.Sprintf("settings%s: %s", unit.InstanceLocation, keywordOf(unit.KeywordLocation))
		switch broken := unit.Error.Kind.(type) {
		case *kind.Required:
			message = fmt.Sprintf("settings%s: %s", unit.InstanceLocation, missing(broken.Missing, secretsOf(spec)))
		case *kind.Minimum:
			message = fmt.Sprintf("settings%s: the number must be at least %s", unit.InstanceLocation, broken.Want.RatString())
		case *kind.Maximum:
			message = fmt.Sprintf("settings%s: the number must be at most %s", unit.InstanceLocation, broken.Want.RatString())
		}
		faults = append(faults, &config.Problem{File: file, Line: line, Column: column, Message: message})
	}
	return errors.Join(faults...)
}

// missing says which settings must be there and are not, and where secrets
// belong.
func missing(names []string, secrets map[string]bool) string {
	said := make([]string, len(names))
	for i, name := range names {
		said[i] = name
		if secrets[name] {
			said[i] = name + "_file (the path of a file that holds it)"
		}
	}
	return strings.Join(said, ", ") + " must be there"
}

// key is the first key of a JSON pointer.
func key(pointer string) string {
	if len(pointer) < 2 {
		return ""
	}
	for i := 1; i < len(pointer); i++ {
		if pointer[i] == '/' {
			return pointer[1:i]
		}
	}
	return pointer[1:]
}

// keywordOf says in words which rule of the schema is broken.
func keywordOf(location string) string {
	switch filepath.Base(location) {
	case "additionalProperties":
		return "there is a key that the connector does not know"
	case "required":
		return "a setting that must be there is missing"
	case "type":
		return "the value has the wrong type"
	case "enum", "const":
		return "the value is none of those that are allowed"
	case "exclusiveMinimum", "exclusiveMaximum":
		return "the number is out of its bounds"
	case "pattern", "format", "minLength":
		return "the text has the wrong form"
	}
	return "the value is not allowed"
}

// simulated are the shops of running simulators: their own settings, with no
// limit on calls and hardly a pause behind the present. told: they tell of what
// changes by themselves, too.
func simulated(e simulator.Endpoints, told bool) ([]shop, error) {
	var list []shop
	for _, s := range simulatedSettings(e, told) {
		connector, err := all.Open(s.platform, s.shop, s.raw)
		if err != nil {
			return nil, err
		}
		list = append(list, shop{s.platform, s.shop, connector})
	}
	return list, nil
}

// shopSettings are the settings of one shop.
type shopSettings struct {
	platform, shop string
	raw            json.RawMessage
}

// simulatedSettings are those of the shops of running simulators.
func simulatedSettings(e simulator.Endpoints, told bool) []shopSettings {
	common := map[string]any{"requests_per_second": 100000, "settle_seconds": 1, "overlap_seconds": 5, "backfill_days": 90}
	with := func(own map[string]any) json.RawMessage {
		for name, value := range common {
			own[name] = value
		}
		data, err := json.Marshal(own)
		if err != nil {
			panic(err) // texts and numbers always have a JSON form
		}
		return data
	}
	return []shopSettings{
		{"tmall", e.Tmall.Shop, with(map[string]any{"url": e.Tmall.URL, "app_key": e.Tmall.AppKey, "app_secret": e.Tmall.AppSecret, "session": e.Tmall.Session, "refresh_token": e.Tmall.RefreshToken, "messages": told, "message_url": simulatedMessages(e), "late_seconds": 0})},
		{"douyin", e.Douyin.Shop, with(map[string]any{"url": e.Douyin.URL, "app_key": e.Douyin.AppKey, "app_secret": e.Douyin.AppSecret, "app_id": 1})},
		{"weidian", e.Weidian.Shop, with(map[string]any{"url": e.Weidian.URL, "app_key": e.Weidian.AppKey, "app_secret": e.Weidian.AppSecret, "access_token": e.Weidian.AccessToken, "push_secret": simulatedPushSecret})},
	}
}
