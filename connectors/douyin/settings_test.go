package douyin

import (
	"testing"

	"oneid/connectors/conformance"
)

func TestDefaultsAreTheSchemas(t *testing.T) {
	t.Parallel()
	c, err := New("1", Config{AppKey: "1", AppSecret: "s"})
	if err != nil {
		t.Fatal(err)
	}
	conformance.WantDefaults(t, c.Spec().Settings, c.cfg)
}
