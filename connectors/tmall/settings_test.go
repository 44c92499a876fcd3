package tmall

import (
	"testing"

	"oneid/connectors/conformance"
)

func TestDefaultsAreTheSchemas(t *testing.T) {
	t.Parallel()
	c, err := New("demo", Config{AppKey: "1", AppSecret: "s", Session: "t"})
	if err != nil {
		t.Fatal(err)
	}
	conformance.WantDefaults(t, c.Spec().Settings, c.cfg)
}
