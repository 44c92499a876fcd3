package sobot

import (
	"testing"

	"oneid/connectors/conformance"
)

func TestDefaultsAreTheSchemas(t *testing.T) {
	t.Parallel()
	c, err := New("desk", Config{AppID: "1", AppKey: "s"})
	if err != nil {
		t.Fatal(err)
	}
	conformance.WantDefaults(t, c.Spec().Settings, c.cfg)
}
