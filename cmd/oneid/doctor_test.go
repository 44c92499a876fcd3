package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"oneid/schemas/config"
)

// examined is what the doctor says of a folder that was made and then changed.
func examined(t *testing.T, change func(f folder)) map[string][]doctorCheck {
	t.Helper()
	f := folder(filepath.Join(t.TempDir(), "data"))
	if err := f.make(config.Sample); err != nil {
		t.Fatal(err)
	}
	change(f)
	d := &doctor{folder: f}
	d.examine(t.Context())
	checks := make(map[string][]doctorCheck)
	for _, check := range d.checks {
		checks[check.Name] = append(checks[check.Name], check)
	}
	return checks
}

func TestDoctorFindsWhatIsWrong(t *testing.T) {
	write := func(f folder, name, text string, mode os.FileMode) {
		if err := os.MkdirAll(filepath.Dir(f.path(name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(f.path(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(f.path(name), mode); err != nil {
			t.Fatal(err)
		}
	}
	cases := map[string]struct {
		change       func(f folder)
		check        string
		detail, hint string
	}{
		"a secret that all may read": {
			func(f folder) { write(f, "secrets/token", "invented", 0o644) },
			"files", "0644", "chmod 600",
		},
		"a folder of keys that all may enter": {
			func(f folder) { _ = os.Chmod(f.path("keys"), 0o755) }, // that is the fault
			"files", "0755", "chmod 700",
		},
		"a file where a folder belongs": {
			func(f folder) { write(f, "state", "", 0o600) },
			"files", "no folder", "move it away",
		},
		"a setting that nobody knows": {
			func(f folder) { write(f, settingsFile, "brnad: tea\n", 0o600) },
			"settings", "brnad", "mend",
		},
		"a key ring that is none": {
			func(f folder) { write(f, "keys/keyring.json", "{", 0o600) },
			"keys", "keyring", "",
		},
		"a file of API keys that is none": {
			func(f folder) { write(f, "keys/api-keys.json", "{", 0o600) },
			"API keys", "api-keys.json", "restore",
		},
		"a Kafka that is away": {
			func(f folder) { write(f, settingsFile, "kafka: {brokers: [\"127.0.0.1:1\"]}\n", 0o600) },
			"Kafka", "127.0.0.1:1", "kafka.tls",
		},
		"a ClickHouse that is away": {
			func(f folder) { write(f, settingsFile, "clickhouse: {url: \"http://127.0.0.1:1\"}\n", 0o600) },
			"ClickHouse", "127.0.0.1:1", "",
		},
		"a source of points that is away": {
			func(f folder) {
				write(f, "secrets/points", "an invented secret of points", 0o600)
				write(f, settingsFile, "membership: {source_url: \"http://127.0.0.1:1/points\", source_secret_file: secrets/points}\n", 0o600)
			},
			"membership", "127.0.0.1:1", "membership.source_url",
		},
		"a source of points without its secret": {
			func(f folder) {
				write(f, settingsFile, "membership: {source_url: \"http://127.0.0.1:1/points\", source_secret_file: secrets/none}\n", 0o600)
			},
			"membership", "secrets/none", "mend that line",
		},
		"a shop of no known platform": {
			func(f folder) {
				write(f, settingsFile, "shops: [{platform: bazaar, shop: tea}]\n", 0o600)
			},
			"shops", "bazaar", "",
		},
		"a pipeline that does nothing": {
			func(f folder) { write(f, "pipelines/a.yaml", "task: dance\nevery: 1m\n", 0o600) },
			"pipelines", "a.yaml:1:1: task must be", "oneid run --sample",
		},
		"a second faulty pipeline": {
			func(f folder) {
				write(f, "pipelines/a.yaml", "task: dance\nevery: 1m\n", 0o600)
				write(f, "pipelines/b.yaml", "task: squash\n", 0o600)
			},
			"pipelines", "b.yaml", "oneid run --sample",
		},
		"a pipeline of another ending": {
			func(f folder) { write(f, "pipelines/a.yml", "task: squash\nevery: 1m\n", 0o600) },
			"pipelines", "a.yml", "oneid run --sample",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			checks := examined(t, c.change)[c.check]
			for _, check := range checks {
				if check.Status == doctorFail && strings.Contains(check.Detail, c.detail) && strings.Contains(check.Hint, c.hint) {
					return
				}
			}
			t.Errorf("%s: %+v; want a failure that says %q and advises %q", c.check, checks, c.detail, c.hint)
		})
	}
}

func TestDoctorFindsNothingWrongWithANewFolder(t *testing.T) {
	var before, after []string
	list := func(f folder) (names []string) {
		_ = filepath.WalkDir(string(f), func(path string, _ os.DirEntry, err error) error {
			names = append(names, path)
			return err
		})
		return names
	}
	var made folder
	for name, checks := range examined(t, func(f folder) { made, before = f, list(f) }) {
		for _, check := range checks {
			if check.Status == doctorFail && name != "disk" { // the disk is this machine's
				t.Errorf("%s: %s", name, check.Detail)
			}
		}
	}
	if after = list(made); strings.Join(before, "\n") != strings.Join(after, "\n") {
		t.Errorf("the doctor changed the folder from %v to %v", before, after)
	}
}

// A folder that was dropped into a watched folder is not loaded, and is spoken of;
// those that OneID makes there are not.
func TestDoctorSeesFoldersInAWatchedFolder(t *testing.T) {
	t.Parallel()
	checks := examined(t, func(f folder) {
		for _, dir := range []string{pipelinesFolder, "in/done", "in/failed", "in/.sync", "in/november"} {
			if err := os.MkdirAll(f.path(dir), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		writeText(t, f.path("in", "orders.csv"), "1\n")
		writeText(t, f.path(pipelinesFolder, "till.yaml"), "task: import\nevery: 1m\nfolder: in\nshop: tmall/s\n")
	})["pipelines"]
	if len(checks) != 2 || checks[0].Status != doctorOK || checks[1].Status != doctorWarn || !strings.HasSuffix(checks[1].Detail, "in in: november") {
		t.Errorf("the pipelines are %+v, want a warning of november alone", checks)
	}
}

// The source of points is asked about nobody, signed as ever, and may say that
// it knows no such member.
func TestDoctorAsksTheSourceOfPoints(t *testing.T) {
	asked := make(chan string, 10)
	source := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Header.Get("Webhook-Signature")
		w.WriteHeader(http.StatusNotFound)
	}))
	defer source.Close()
	checks := examined(t, func(f folder) {
		writeText(t, f.path("secrets/points"), "an invented secret of points")
		writeText(t, f.path(settingsFile), "membership: {source_url: \""+source.URL+"\", source_secret_file: secrets/points, source_timeout: 800ms}\n")
	})["membership"]
	if len(checks) != 1 || checks[0].Status != doctorOK || len(asked) != 1 || !strings.HasPrefix(<-asked, "v1,") {
		t.Errorf("the doctor says %+v, and asked %d times", checks, len(asked))
	}
}

func TestDoctorComparesClocks(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	cases := map[string]struct {
		server time.Time
		want   doctorStatus
	}{
		"between question and answer": {now.Add(time.Millisecond), doctorOK},
		"a little behind":             {now.Add(-time.Second), doctorOK},
		"behind":                      {now.Add(-3 * time.Second), doctorWarn},
		"far ahead":                   {now.Add(2 * time.Minute), doctorFail},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			d := new(doctor)
			d.clock("ClickHouse", c.server, now, now.Add(10*time.Millisecond))
			if got := d.checks[0].Status; got != c.want {
				t.Errorf("%s; want %s", got, c.want)
			}
		})
	}
}
