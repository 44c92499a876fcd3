package main

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"oneid/connectors/all"
)

// Whoever adds a platform finds here which texts are to name it.
func TestTextsNameEachPlatform(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../../docs/connect.md")
	if err != nil {
		t.Fatal(err)
	}
	tag := func(of any, key string) string {
		field, _ := reflect.TypeOf(of).FieldByName("Platform")
		return field.Tag.Get(key)
	}
	for _, platform := range all.Platforms() {
		for where, found := range map[string]bool{
			"connectorArg in connector.go, its help":                   strings.Contains(tag(connectorArg{}, "help"), platform),
			"ShopSettings in settings.go, its doc":                     strings.Contains(tag(ShopSettings{}, "doc"), platform),
			"docs/connect.md, as a link to the connector's own README": strings.Contains(string(guide), "connectors/"+platform+"/README.md"),
		} {
			if !found {
				t.Errorf("%s does not name %s", where, platform)
			}
		}
	}
}
