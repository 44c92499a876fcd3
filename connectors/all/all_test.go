package all

import (
	"encoding/json"
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
}
