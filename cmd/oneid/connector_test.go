package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"oneid/connectors/simulator"
)

// spoken are the lines of a command by type; each must be JSON.
func spoken(t *testing.T, text string) map[string][]map[string]any {
	t.Helper()
	all := make(map[string][]map[string]any)
	for line := range strings.Lines(text) {
		var message map[string]any
		if err := json.Unmarshal([]byte(line), &message); err != nil {
			t.Fatalf("standard output holds a line that is none of the protocol's: %q", line)
		}
		kind, _ := message["type"].(string)
		all[kind] = append(all[kind], message)
	}
	return all
}

// With nothing but a file of settings: as Airbyte calls it, and as Singer's
// runners do; broken off, and gone on with.
func TestConnectorForOtherSchedulers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	shops := start(t, "simulate", "--people", "50", "--json")
	eventually(t, time.Minute, "the simulators answer", func() (bool, string) {
		return strings.Contains(shops.stdout.String(), "\n"), shops.stderr.String()
	})
	at := decode[simulator.Endpoints](t, shops.stdout.String()).Weidian
	file := func(name string, value any) string {
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		writeText(t, path, string(text))
		return path
	}
	settings := map[string]any{"shop": at.Shop, "url": at.URL, "app_key": at.AppKey, "app_secret": at.AppSecret, "requests_per_second": 10000, "airbyte_own": true}
	config := file("config.json", settings)

	if out := spoken(t, must(t, "connector", "spec", "weidian").stdout); len(out["SPEC"]) != 1 || len(out) != 1 {
		t.Errorf("spec says %v", out)
	}
	checked := must(t, "connector", "check", "weidian", "--config", config)
	if !strings.Contains(checked.stdout, `"SUCCEEDED"`) || !strings.Contains(checked.stderr, `no setting "airbyte_own"`) {
		t.Errorf("check says %s%s", checked.stdout, checked.stderr)
	}
	settings["app_secret"] = "another"
	if out := must(t, "connector", "check", "weidian", "--config", file("wrong.json", settings)); !strings.Contains(out.stdout, `"FAILED"`) || strings.Contains(out.stdout, "another") {
		t.Errorf("check of a wrong secret says %s", out.stdout)
	}
	settings["app_secret"] = at.AppSecret

	found := spoken(t, must(t, "connector", "discover", "weidian", "--config", config).stdout)["CATALOG"]
	var configured []any
	for _, stream := range found[0]["catalog"].(map[string]any)["streams"].([]any) {
		configured = append(configured, map[string]any{"stream": stream, "sync_mode": "incremental", "destination_sync_mode": "append"})
	}
	catalog := file("catalog.json", map[string]any{"streams": configured})
	whole := spoken(t, must(t, "connector", "read", "weidian", "--config", config, "--catalog", catalog).stdout)
	if len(whole["RECORD"]) < 50 || len(whole["STATE"]) < len(configured) {
		t.Fatalf("%d records and %d states", len(whole["RECORD"]), len(whole["STATE"]))
	}
	var states []any
	for _, s := range whole["STATE"] {
		states = append(states, s["state"])
	}
	again := spoken(t, must(t, "connector", "read", "weidian", "--config", config, "--catalog", catalog, "--state", file("state.json", states)).stdout)
	if len(again["RECORD"]) > len(whole["RECORD"])/4 {
		t.Errorf("a second reading gave %d records of %d", len(again["RECORD"]), len(whole["RECORD"]))
	}

	// Ctrl-C in the middle of a slow reading.
	settings["requests_per_second"] = 20
	slow := start(t, "connector", "read", "weidian", "--config", file("slow.json", settings), "--catalog", catalog)
	eventually(t, time.Minute, "a record comes", func() (bool, string) {
		return strings.Contains(slow.stdout.String(), `"RECORD"`), slow.stderr.String()
	})
	stopped := slow.signal(t, syscall.SIGINT)
	spoken(t, stopped.stdout)
	if stopped.code != 130 || !strings.Contains(stopped.stdout, `"INCOMPLETE"`) || strings.Contains(stopped.stdout, `"ERROR"`) {
		t.Errorf("after Ctrl-C: exit code %d:\n%s", stopped.code, stopped.stderr)
	}

	// What the scheduler gave is wrong: an error in its own words, and exit code 1.
	writeText(t, filepath.Join(dir, "broken.json"), "{")
	broken := filepath.Join(dir, "broken.json")
	for _, args := range [][]string{
		{"read", "weidian", "--config", broken, "--catalog", catalog}, {"read", "weidian", "--config", config}, {"discover", "weidian", "--config", broken},
		{"read", "weidian", "--config", config, "--catalog", config, "--state", catalog},
	} {
		a := oneid(t, append([]string{"connector"}, args...)...)
		if a.code != 1 || len(spoken(t, a.stdout)["TRACE"]) != 1 || !strings.Contains(a.stdout, "config_error") {
			t.Errorf("%v: exit code %d:\n%s%s", args, a.code, a.stdout, a.stderr)
		}
		if slices.Contains(args, "--state") && !strings.Contains(a.stdout, "a list of AirbyteStateMessage") {
			t.Errorf("a state that is an object: %s", a.stdout)
		}
	}
	unknown := file("unknown.json", map[string]any{"streams": []any{map[string]any{"stream": map[string]any{"name": "sheep"}}}})
	for what, args := range map[string][]string{
		`no connector for platform`: {"spec", "nowhere"}, `no connector for platform "nowhere"`: {"check", "nowhere", "--config", config},
		`no connector for platform "elsewhere"`: {"discover", "elsewhere"}, `no connector for platform "none"`: {"read", "none", "--config", config, "--catalog", catalog},
		`there is not: \"sheep\"`: {"read", "weidian", "--config", config, "--catalog", unknown}, "flag of Singer taps": {"read", "weidian", "--config", config, "--discover"},
	} {
		a := oneid(t, append([]string{"connector"}, args...)...)
		if a.code != 1 || len(spoken(t, a.stdout)["TRACE"]) != 1 || !strings.Contains(a.stdout, "config_error") || !strings.Contains(strings.ReplaceAll(a.stdout, `\"`, `"`), strings.ReplaceAll(what, `\"`, `"`)) {
			t.Errorf("%v: exit code %d, not told %q:\n%s%s", args, a.code, what, a.stdout, a.stderr)
		}
	}
	wantRefused(t, oneid(t, "connector", "spec", "nowhere"), 1, "no connector for platform", "hint:")

	// A Singer tap.
	cat := must(t, "connector", "read", "weidian", "--singer", "--config", config, "--discover").stdout
	writeText(t, filepath.Join(dir, "singer.json"), cat)
	tapped := spoken(t, must(t, "connector", "read", "weidian", "--singer", "--config", config, "--catalog", filepath.Join(dir, "singer.json")).stdout)
	if len(tapped["RECORD"]) != len(whole["RECORD"]) || len(tapped["SCHEMA"]) != len(configured) {
		t.Errorf("Singer is given %d records and %d schemas; Airbyte %d and %d", len(tapped["RECORD"]), len(tapped["SCHEMA"]), len(whole["RECORD"]), len(configured))
	}
	last := tapped["STATE"][len(tapped["STATE"])-1]["value"]
	next := spoken(t, must(t, "connector", "read", "weidian", "--singer", "--config", config, "--properties", filepath.Join(dir, "singer.json"), "--state", file("bookmarks.json", last)).stdout)
	if len(next["RECORD"]) > len(tapped["RECORD"])/4 {
		t.Errorf("a second reading gave %d records of %d", len(next["RECORD"]), len(tapped["RECORD"]))
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 13 {
		t.Errorf("the commands left %d files, %v", len(entries), err)
	}
}

// A token that the platform renewed goes back into Singer's settings file,
// whole, and with the file's mode.
func TestSettingsAreWrittenBack(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(file, []byte(`{"shop":"1","session":"old"}`), 0o640); err != nil {
		t.Fatal(err)
	}
	// A command that was killed has left another file there, open to everybody.
	if err := os.WriteFile(file+".new", []byte("{"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file+".new", 0o666); err != nil {
		t.Fatal(err)
	}
	if err := writeBack(file, map[string]any{"shop": "1", "session": "new"}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	info, statErr := os.Stat(file)
	left, listErr := os.ReadDir(filepath.Dir(file))
	if listErr != nil || len(left) != 1 {
		t.Errorf("beside the settings lie %d files, %v", len(left)-1, listErr)
	}
	if err != nil || statErr != nil || !strings.Contains(string(text), `"session": "new"`) || info.Mode().Perm() != 0o640 {
		t.Errorf("%s, mode %v, %v %v", text, info.Mode(), err, statErr)
	}
}

// A check may renew a token, and the platform takes the one of the settings no
// more: the new one is told before the answer, and with it the next command
// reads. Without it the scheduler is told which setting to put a new one into.
func TestACheckTellsARenewedToken(t *testing.T) {
	t.Parallel()
	until := time.Now().Add(-time.Minute)
	world, err := simulator.New(simulator.Config{People: 20, Seed: 1, From: until.Add(-3 * 24 * time.Hour), Until: until})
	if err != nil {
		t.Fatal(err)
	}
	face := httptest.NewServer(simulator.Tmall(world, simulator.TmallOptions{SessionExpires: time.Now().Add(-time.Hour)}))
	t.Cleanup(face.Close)
	at := simulator.EndpointsOf(world, face.URL, "", "").Tmall
	dir := t.TempDir()
	file := func(name string, value any) string {
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		writeText(t, path, string(text))
		return path
	}
	config := file("config.json", map[string]any{
		"shop": at.Shop, "url": at.URL, "app_key": at.AppKey, "app_secret": at.AppSecret, "session": at.Session,
		"refresh_token": simulator.TmallCredentialsOf(world).RefreshToken, "backfill_days": 4, "requests_per_second": 1000,
	})
	checked := must(t, "connector", "check", "tmall", "--config", config).stdout
	told := spoken(t, checked)
	if len(told["CONTROL"]) != 1 || !strings.Contains(checked, `"SUCCEEDED"`) || strings.Index(checked, `"CONTROL"`) > strings.Index(checked, `"SUCCEEDED"`) {
		t.Fatalf("a check that renews the token says %s", checked)
	}
	renewed := file("renewed.json", told["CONTROL"][0]["control"].(map[string]any)["connectorConfig"].(map[string]any)["config"])
	catalog := file("catalog.json", map[string]any{"streams": []any{map[string]any{"stream": map[string]any{"name": "orders"}}}})
	if read := spoken(t, must(t, "connector", "read", "tmall", "--config", renewed, "--catalog", catalog).stdout); len(read["RECORD"]) == 0 || len(read["CONTROL"]) != 0 {
		t.Errorf("with the settings that the check told: %d records, %d times a new token", len(read["RECORD"]), len(read["CONTROL"]))
	}

	// The settings of before hold tokens that are dead.
	read := oneid(t, "connector", "read", "tmall", "--config", config, "--catalog", catalog)
	for command, said := range map[string]string{"check": must(t, "connector", "check", "tmall", "--config", config).stdout, "read": read.stdout, "read's standard error": read.stderr} {
		if !strings.Contains(said, "into these settings: session and refresh_token") || strings.Contains(said, "oneid connect ") {
			t.Errorf("%s with dead tokens says %s", command, said)
		}
	}
	if read.code != 1 {
		t.Errorf("a reading with dead tokens ends with exit code %d", read.code)
	}
}

// A token that a platform gives is used by the next commands too, where the
// scheduler keeps what CONTROL told: Weidian gives only so many, and Sobot ends the
// one before with each.
func TestOneTokenForManyCommands(t *testing.T) {
	t.Parallel()
	until := time.Now().Add(-time.Minute)
	world, err := simulator.New(simulator.Config{People: 50, Seed: 1, From: until.Add(-3 * 24 * time.Hour), Until: until})
	if err != nil {
		t.Fatal(err)
	}
	merchant, company := simulator.EndpointsOf(world, "", "", "").Weidian, simulator.SobotCredentialsOf(world)
	for platform, c := range map[string]struct {
		face           http.Handler
		tokens, stream string
		settings       map[string]any
	}{
		"weidian": {simulator.Weidian(world, simulator.WeidianOptions{}), "/token", "orders", map[string]any{"shop": merchant.Shop, "app_key": merchant.AppKey, "app_secret": merchant.AppSecret}},
		"sobot":   {simulator.Sobot(world, simulator.SobotOptions{}), "/api/get_token", "tickets", map[string]any{"shop": "desk", "app_id": company.AppID, "app_key": company.AppKey}},
	} {
		t.Run(platform, func(t *testing.T) {
			t.Parallel()
			var given atomic.Int64
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == c.tokens {
					given.Add(1)
				}
				c.face.ServeHTTP(w, r)
			}))
			t.Cleanup(server.Close)
			c.settings["url"], c.settings["backfill_days"], c.settings["requests_per_second"] = server.URL, 4, 1000
			config := filepath.Join(t.TempDir(), "config.json")
			keep := func(settings any) {
				text, err := json.Marshal(settings)
				if err != nil {
					t.Fatal(err)
				}
				writeText(t, config, string(text))
			}
			keep(c.settings)
			catalog := config + ".catalog"
			writeText(t, catalog, `{"streams":[{"stream":{"name":"`+c.stream+`"}}]}`)
			for i, args := range [][]string{{"check"}, {"check"}, {"read", "--catalog", catalog}, {"read", "--catalog", catalog}} {
				out := must(t, append([]string{"connector", args[0], platform, "--config", config}, args[1:]...)...).stdout
				told := spoken(t, out)
				if len(told["CONTROL"]) != map[bool]int{true: 1}[i == 0] || args[0] == "read" && len(told["RECORD"]) == 0 || args[0] == "check" && !strings.Contains(out, `"SUCCEEDED"`) {
					t.Fatalf("command %d, %v: %d times a new token, %d records", i, args, len(told["CONTROL"]), len(told["RECORD"]))
				}
				if i == 0 {
					keep(told["CONTROL"][0]["control"].(map[string]any)["connectorConfig"].(map[string]any)["config"])
				}
			}
			if got := given.Load(); got != 1 {
				t.Errorf("four commands took %d tokens", got)
			}
		})
	}
}
