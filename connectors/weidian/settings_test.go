package weidian

import (
	"testing"

	"oneid/connectors/conformance"
)

func TestDefaultsAreTheSchemas(t *testing.T) {
	t.Parallel()
	c, err := New("1", Config{AccessToken: "t"})
	if err != nil {
		t.Fatal(err)
	}
	conformance.WantDefaults(t, c.Spec().Settings, c.cfg)
}
