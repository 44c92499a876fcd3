package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// A pipeline of a file runs by itself and by hand beside `up`; what it did
// stands in the view and in OpenLineage events; status is green, and red once a
// run has failed, with an alert that a robot tells once each way.
func TestRunAndStatus(t *testing.T) {
	t.Parallel()
	dir := demoFolder(t)
	var mu sync.Mutex
	var said []string
	lineage := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		if r.URL.Path == "/lineage" {
			lineage++
			w.WriteHeader(http.StatusInternalServerError) // a failing endpoint stops no run
			return
		}
		if r.URL.Query().Get("key") != "K" {
			t.Errorf("a robot without its key was asked: %s", r.URL.Path)
		}
		said = append(said, string(body))
		_, _ = io.WriteString(w, `{"errcode":0}`)
	}))
	defer server.Close()
	writeText(t, filepath.Join(dir, "secrets", "robot"), server.URL+"/send?key=K")
	file, err := os.OpenFile(filepath.Join(dir, settingsFile), os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(file, "\ndeliver:\n  alerts_together: 1s\n  alerts:\n    - name: chat\n      format: wecom\n      url_file: secrets/robot\nopenlineage:\n  url: %s/lineage\n", server.URL)
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, pipelinesFolder), 0o700); err != nil {
		t.Fatal(err)
	}
	writeText(t, filepath.Join(dir, pipelinesFolder, "users.yaml"), "task: pull\nevery: 3s\nstreams: [users]\n")
	writeText(t, filepath.Join(dir, pipelinesFolder, "inbox.yaml"), "task: import\nevery: 1h\nfolder: inbox\nshop: tmall/till\nnew_shop: true\nmapping: till.yaml\n")
	p, _ := up(t, dir)
	eventually(t, time.Minute, "all streams were pulled", func() (bool, string) {
		a := oneid(t, "status", "--dir", dir, "--json")
		if a.code != 0 {
			return false, a.stdout + a.stderr
		}
		s := decode[statusReport](t, a.stdout)
		for _, j := range s.Jobs {
			if strings.HasPrefix(j.Job, "pull/") && (j.State != green || j.LagSeconds == nil || j.NextRun == nil || (j.Pipeline == "users") != strings.HasSuffix(j.Job, "/users")) {
				return false, fmt.Sprintf("%+v", j)
			}
		}
		return s.State == green && len(s.Jobs) >= 9, a.stdout
	})
	if a := must(t, "run", "users", "--dir", dir); strings.Count(a.stdout, "succeeded") != 3 || !strings.Contains(a.stderr, "users: done") {
		t.Errorf("by hand:\n%s%s", a.stdout, a.stderr)
	}
	wantRefused(t, oneid(t, "run", "nightly", "--dir", dir), 1, "there is no pipeline nightly", "inbox, pull, reconcile, squash, users")
	// A watched folder: the first file is none that the mapping knows.
	writeText(t, filepath.Join(dir, "till.yaml"), "platform: tmall\nshop: till\nkind: orders\ncolumns: {}\n")
	inbox := filepath.Join(dir, "inbox")
	if err := os.MkdirAll(inbox, 0o700); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	writeText(t, filepath.Join(inbox, "a.csv"), "x\n1\n")
	if err := os.Chtimes(filepath.Join(inbox, "a.csv"), old, old); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, oneid(t, "run", "inbox", "--dir", dir), 1, "import a.csv")
	if _, err := os.Stat(filepath.Join(inbox, "failed", "a.csv")); err != nil {
		t.Errorf("the bad file is not among the failed: %v", err)
	}
	wantRefused(t, oneid(t, "status", "--dir", dir), 3, "something is red")
	// Nothing is left to do, and still a file is not loaded; it is taken away.
	wantRefused(t, oneid(t, "run", "inbox", "--dir", dir), 1, "lie in failed/", "a.csv", "put them back")
	wantRefused(t, oneid(t, "status", "--dir", dir), 3, "something is red")
	if err := os.Remove(filepath.Join(inbox, "failed", "a.csv")); err != nil {
		t.Fatal(err)
	}
	must(t, "run", "inbox", "--dir", dir)
	must(t, "status", "--dir", dir)
	eventually(t, time.Minute, "the robot told of red and green", func() (bool, string) {
		mu.Lock()
		defer mu.Unlock()
		return len(said) >= 2 && lineage > 0, fmt.Sprint(said)
	})
	if got := one(t, dir, "SELECT groupArray(state) FROM (SELECT state FROM pipeline_runs WHERE pipeline = 'inbox' ORDER BY started_at)"); got != "['failed','failed','succeeded']" {
		t.Errorf("the runs of the inbox ended as %s", got)
	}
	down(t, dir, p)
	if strings.Contains(p.stderr.String(), "key=K") {
		t.Error("the log has the robot's key")
	}
	mu.Lock()
	defer mu.Unlock()
	if len(said) != 2 || !strings.Contains(said[0], "❗ OneID") || !strings.Contains(said[1], "✅ OneID") {
		t.Errorf("the robot said\n%s", strings.Join(said, "\n"))
	}
}
