package all

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestOpenRefusesUnknownKeys(t *testing.T) {
	t.Parallel()
	for _, platform := range Platforms() {
		if _, err := Open(platform, "demo", json.RawMessage(`{"no_such_key":1}`)); err == nil {
			t.Errorf("%s: no error for an unknown key", platform)
		}
	}
	if _, err := Open("nowhere", "demo", nil); err == nil {
		t.Error("no error for an unknown platform")
	}
	if _, err := Spec(""); err == nil || !strings.Contains(err.Error(), "no platform is named") || !strings.Contains(err.Error(), "weidian") {
		t.Errorf("without a platform: %v", err)
	}
}
