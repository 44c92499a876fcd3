package simulator

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync"
	"testing"
	"time"
)

// Douyin tells another phone encrypted always, and the phone of who joins where
// the contract says so: each time as another text, with or without an index.
func TestMembersPhonesAreEncrypted(t *testing.T) {
	t.Parallel()
	world, err := New(Config{People: 100, Seed: 3, Until: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ encrypted, withIndex bool }{"another phone alone": {}, "all": {encrypted: true}, "with an index": {true, true}} {
		var mu sync.Mutex
		texts, indexes, plain, changed := make(map[string]int), make(map[string]map[string]bool), 0, 0
		brand := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			var call struct {
				OpenID string `json:"open_id"`
				Mobile string `json:"mobile"`
				Info   struct {
					Mobile struct {
						Old string `json:"old_mobile"`
						New string `json:"new_mobile"`
					} `json:"mobile"`
				} `json:"info"`
			}
			if err := json.Unmarshal(body, &call); err != nil {
				t.Error(err)
			}
			_, _ = io.WriteString(w, `{"code":0,"message":"success","data":{"error_code":0,"description":"success","level":1}}`)
			mu.Lock()
			defer mu.Unlock()
			told := []string{call.Mobile}
			if path.Base(r.URL.Path) == "update" {
				changed++
				told = []string{call.Info.Mobile.Old, call.Info.Mobile.New}
			}
			for _, text := range told {
				switch parts := strings.Split(text, "$"); {
				case text == "":
				case len(parts) == 6 && parts[2] != "":
					texts[text]++
					key := path.Base(r.URL.Path) + call.OpenID
					if indexes[parts[1]] == nil {
						indexes[parts[1]] = make(map[string]bool)
					}
					indexes[parts[1]][key] = true
				default:
					plain++
				}
			}
		}))
		report, err := world.CallMembers(t.Context(), MemberCalls{Platform: PlatformDouyin, URL: brand.URL, Seed: 1, Repeats: 3, Encrypted: c.encrypted, WithIndex: c.withIndex})
		brand.Close()
		if err != nil || len(report.Faults) > 0 || changed == 0 {
			t.Fatalf("%s: %+v, %d changes, %v", name, report, changed, err)
		}
		if (plain > 0) == c.encrypted {
			t.Errorf("%s: %d phones are in clear", name, plain)
		}
		for text, times := range texts {
			if times > 1 {
				t.Errorf("%s: a ciphertext came %d times: %.8s…", name, times, text)
			}
		}
		if _, without := indexes[""]; without == c.withIndex || c.withIndex && len(indexes) < 10 {
			t.Errorf("%s: %d different indexes", name, len(indexes))
		}
	}
}
