package all

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"oneid/connectors"
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

// No platform may be told to look back as far as a window is long: its streams would
// never get beyond what they read. The schema says so, and so does New.
func TestOverlapIsBounded(t *testing.T) {
	t.Parallel()
	for _, platform := range Platforms() {
		spec, err := Spec(platform)
		if err != nil {
			t.Fatal(err)
		}
		var schema struct {
			Properties map[string]struct{ Minimum, Maximum int }
		}
		if err := json.Unmarshal(spec.Settings, &schema); err != nil {
			t.Fatal(err)
		}
		if overlap := schema.Properties["overlap_seconds"]; overlap.Minimum != 0 || overlap.Maximum != connectors.MaxOverlapSeconds {
			t.Errorf("%s: the schema has %d to %d", platform, overlap.Minimum, overlap.Maximum)
		}
		for seconds, refused := range map[int]bool{-1: true, 0: false, connectors.MaxOverlapSeconds: false, connectors.MaxOverlapSeconds + 1: true} {
			_, err := Open(platform, "demo", json.RawMessage(fmt.Sprintf(`{"overlap_seconds":%d}`, seconds)))
			if err == nil || strings.Contains(err.Error(), "overlap_seconds must be 0 to 21600") != refused { // the keys are missing
				t.Errorf("%s: %d seconds: %v", platform, seconds, err)
			}
		}
	}
}
