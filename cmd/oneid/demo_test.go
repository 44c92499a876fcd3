package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oneid/identity/match/receivers"
)

// steady is a report without what differs from run to run.
func steady(r demoReport) demoReport {
	r.Seconds = 0
	return r
}

// Whatever the seed and size: what the simulators have is what ClickHouse
// has, and what the report says of itself is what other code counts.
func TestDemoStoresWhatTheSourcesHave(t *testing.T) {
	for _, c := range []struct{ people, seed int }{{100, 1}, {150, 20}, {200, 300}} {
		t.Run(fmt.Sprintf("%d people, seed %d", c.people, c.seed), func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "data")
			out := must(t, demoArgs(dir, c.people, c.seed)...).stdout
			wantKeys(t, out)
			report := decode[demoReport](t, out)
			wantWhole(t, dir, report, c.people)
			wantScores(t, dir, report)
			again := demoOf(t, dir, c.people, c.seed)
			if d := cmp.Diff(steady(report), steady(again)); d != "" {
				t.Errorf("called again on its folder it ends with other numbers:\n%s", d)
			}
		})
	}
}

// Masked receivers join accounts that no identifier joins, and nearly nobody
// wrongly, and no family, nobody for a gift and no phone that changed hands: with the
// shipped model, through the whole flow.
func TestDemoWithTheModel(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	const people, seed = 1000, 203
	report := decode[demoReport](t, must(t, append(demoArgs(dir, people, seed), "--model")...).stdout)
	wantWhole(t, dir, report, people)
	if report.Model != receivers.Name || report.Precision < 0.99 || report.Recall < report.RecallPossible+0.05 {
		t.Errorf("with the model %q: precision %.4f, recall %.4f; want 0.99 and 0.05 more than the %.4f of identifiers alone", report.Model, report.Precision, report.Recall, report.RecallPossible)
	}
	wantGuarded(t, dir)
	// The rules are the folder's now: what somebody wrote into them stays.
	rules := filepath.Join(dir, "rules.yaml")
	text, err := os.ReadFile(rules)
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, "# mine\n"...)
	if err := os.WriteFile(rules, text, 0o600); err != nil {
		t.Fatal(err)
	}
	again := decode[demoReport](t, must(t, append(demoArgs(dir, people, seed), "--model")...).stdout)
	if d := cmp.Diff(steady(report), steady(again)); d != "" {
		t.Errorf("called again on its folder it ends with other numbers:\n%s", d)
	}
	if now, err := os.ReadFile(rules); err != nil || string(now) != string(text) {
		t.Errorf("the folder's rules are written over (%v)", err)
	}
	without := demoFolder(t)
	wantRefused(t, oneid(t, append(demoArgs(without, 100, 4), "--model")...), 1, "begun without a model", "--dir")
}

// wantKeys checks the names of the report: others read them. It is one line.
func wantKeys(t *testing.T, out string) {
	t.Helper()
	if strings.Count(out, "\n") != 1 {
		t.Errorf("the report is not one line: %q", out)
	}
	type counts = map[string]struct{ Source, Stored *int }
	report := decode[map[string]json.RawMessage](t, out)
	for _, key := range []string{"platforms", "customers", "people", "precision", "recall", "recall_possible", "seconds", "events"} {
		if len(report[key]) == 0 {
			t.Errorf("the report has no %s: %s", key, out)
		}
	}
	for _, platform := range []string{"tmall", "douyin", "weidian"} {
		streams := decode[map[string]counts](t, string(report["platforms"]))[platform]
		for _, stream := range []string{"orders", "users", "tickets"} {
			if n := streams[stream]; n.Source == nil || n.Stored == nil {
				t.Errorf("the report has no source and stored of %s %s: %s", platform, stream, out)
			}
		}
	}
}

// wantWhole compares the counts of a report with each other and with the views.
func wantWhole(t *testing.T, dir string, r demoReport, people int) {
	t.Helper()
	if r.People != people || r.Events == 0 || r.Seconds <= 0 {
		t.Errorf("people %d, events %d, seconds %f", r.People, r.Events, r.Seconds)
	}
	seen := make(map[string]string)
	kinds := []string{"orders", "tickets", "refunds"}
	queries := []string{"SELECT count() FROM customer_360"}
	for _, of := range kinds {
		queries = append(queries, "SELECT platform, count() FROM customer_"+of+" GROUP BY platform")
	}
	answers := rowsOf(t, dir, queries...)
	for i, of := range kinds {
		for _, row := range answers[1+i] {
			seen[row[0]+" "+of] = row[1]
		}
	}
	for platform, streams := range r.Platforms {
		for stream, n := range streams {
			if n.Source != n.Stored || n.Source == 0 {
				t.Errorf("%s %s: %d at the source, %d stored", platform, stream, n.Source, n.Stored)
			}
			if in, ok := seen[platform+" "+stream]; stream != "users" && (!ok || in != fmt.Sprint(n.Stored)) {
				t.Errorf("%s %s: %d stored, %s in the view", platform, stream, n.Stored, in)
			}
		}
	}
	if n := answers[0][0][0]; n != fmt.Sprint(r.Customers) {
		t.Errorf("%d customers, but customer_360 has %s", r.Customers, n)
	}
}

// wantScores computes precision and recall pair by pair, from the files and
// the view alone.
func wantScores(t *testing.T, dir string, r demoReport) {
	t.Helper()
	truth := readCSV(t, filepath.Join(dir, "truth.csv"))
	if d := cmp.Diff([]string{"account", "person"}, truth[0]); d != "" {
		t.Errorf("header of truth.csv: %s", d)
	}
	bridges := readCSV(t, filepath.Join(dir, "bridges.csv"))
	if d := cmp.Diff([]string{"account", "account", "identifier type"}, bridges[0]); d != "" {
		t.Errorf("header of bridges.csv: %s", d)
	}
	customers := make(map[string]string)
	for _, row := range rows(t, dir, "SELECT account, customer_id FROM identity_map_current") {
		if customers[row[0]] != "" {
			t.Errorf("identity_map_current has %s twice", row[0])
		}
		customers[row[0]] = row[1]
	}
	person, reach := make(map[string]string), make(map[string]string)
	var accounts []string
	for _, row := range truth[1:] {
		if strings.Count(row[0], "/") < 2 || customers[row[0]] == "" {
			t.Errorf("truth.csv has %s, which identity_map_current does not", row[0])
		}
		if person[row[0]] != "" {
			t.Errorf("truth.csv has %s twice", row[0])
		}
		person[row[0]], reach[row[0]] = row[1], row[0]
		accounts = append(accounts, row[0])
	}
	for changed := true; changed; { // the least name of what bridges connect
		changed = false
		for _, b := range bridges[1:] {
			if person[b[0]] == "" || person[b[0]] != person[b[1]] || b[0] == b[1] || b[2] == "" {
				t.Fatalf("the bridge %v does not join two accounts of one person", b)
			}
			if least := min(reach[b[0]], reach[b[1]]); reach[b[0]] != least || reach[b[1]] != least {
				reach[b[0]], reach[b[1]], changed = least, least, true
			}
		}
	}
	var same, joined, right, possible float64
	for i, a := range accounts {
		for _, b := range accounts[:i] {
			one, found := person[a] == person[b], customers[a] == customers[b]
			if one {
				same++
			}
			if found {
				joined++
			}
			if one && found {
				right++
			}
			if one && reach[a] == reach[b] {
				possible++
			}
		}
	}
	if same == 0 || joined == 0 {
		t.Fatalf("%g true pairs, %g joined: the population proves nothing", same, joined)
	}
	for name, c := range map[string]struct{ got, want float64 }{
		"precision":       {r.Precision, right / joined},
		"recall":          {r.Recall, right / same},
		"recall_possible": {r.RecallPossible, possible / same},
	} {
		if math.Abs(c.got-c.want) > 1e-9 {
			t.Errorf("%s is reported as %.6f, but is %.6f", name, c.got, c.want)
		}
	}
	if r.Precision < 0.95 || r.Recall < 0.95*r.RecallPossible {
		t.Errorf("precision %.3f, recall %.3f of %.3f possible", r.Precision, r.Recall, r.RecallPossible)
	}
}

// Killed or stopped anywhere, a demo called again ends with the numbers of one
// that ran through.
func TestDemoResumes(t *testing.T) {
	t.Parallel()
	const people, seed = 100, 7
	whole := filepath.Join(t.TempDir(), "data")
	want := demoOf(t, whole, people, seed)
	until := world(t, whole).Until
	// Until is recorded in the folder; a twin with the same is comparable.
	args := func(dir string) []string {
		return append(demoArgs(dir, people, seed), "--until", until.Format(time.RFC3339))
	}
	there := func(names ...string) func(string) bool {
		return func(dir string) bool {
			for _, name := range names {
				if found, _ := filepath.Glob(filepath.Join(dir, name)); len(found) == 0 {
					return false
				}
			}
			return true
		}
	}
	for name, c := range map[string]struct {
		signal syscall.Signal
		when   func(dir string) bool
		later  time.Duration
		code   int
	}{
		"killed as the engine starts":   {syscall.SIGKILL, there("secrets/*"), 0, -1},
		"killed as it pulls":            {syscall.SIGKILL, there("members-*.csv*"), 50 * time.Millisecond, -1},
		"killed as it resolves":         {syscall.SIGKILL, there("members-*.csv*"), 300 * time.Millisecond, -1},
		"Ctrl-C as the engine starts":   {syscall.SIGINT, there("secrets/*"), 0, 130},
		"Ctrl-C as it pulls":            {syscall.SIGINT, there("members-*.csv*"), 50 * time.Millisecond, 130},
		"SIGTERM as the world is ready": {syscall.SIGTERM, there(simulatorsFile), 0, 130},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "data")
			p := start(t, args(dir)...)
			eventually(t, 20*time.Second, "the moment to stop it", func() (bool, string) { return c.when(dir), p.stderr.String() })
			time.Sleep(c.later)
			a := p.signal(t, c.signal)
			if a.code != c.code {
				t.Errorf("exit code %d, want %d:\n%s", a.code, c.code, a.stderr)
			}
			if a.stdout != "" {
				t.Errorf("it reported nevertheless: %s", a.stdout)
			}
			if c.code == 130 && strings.Count(a.stderr, "\n") != 1 {
				t.Errorf("Ctrl-C should leave one line, left:\n%s", a.stderr)
			}
			got := decode[demoReport](t, must(t, args(dir)...).stdout)
			if d := cmp.Diff(steady(want), steady(got)); d != "" {
				t.Errorf("after that it ends with other numbers:\n%s", d)
			}
			for _, name := range []string{"truth.csv", "bridges.csv"} {
				if d := cmp.Diff(sorted(t, filepath.Join(whole, name)), sorted(t, filepath.Join(dir, name))); d != "" {
					t.Errorf("%s differs:\n%s", name, d)
				}
			}
		})
	}
}

func world(t *testing.T, dir string) struct{ Until time.Time } {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "simulator.json"))
	if err != nil {
		t.Fatal(err)
	}
	return decode[struct{ Until time.Time }](t, string(text))
}

func sorted(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	slices.Sort(lines)
	return lines
}

// An instance that somebody made for shops of their own gets no invented
// people, from neither command, and is left as it was.
func TestNoInventedPeopleInARealInstance(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	must(t, "init", "--dir", dir)
	wantRefused(t, oneid(t, demoArgs(dir, 100, 4)...), 1, "an instance of its own", "hint: take another --dir")
	wantRefused(t, oneid(t, "simulate", "--dir", dir, "--people", "100"), 1, "an instance of its own", "hint: take another --dir")
	if _, err := os.Stat(filepath.Join(dir, "simulator.json")); err == nil {
		t.Error("the folder has a world now")
	}
	wantRefused(t, oneid(t, append(demoArgs(filepath.Join(t.TempDir(), "x"), 100, 4), "--until", "2999-01-01T00:00:00Z")...), 1, "future")
}

func TestDemoRefusesAnotherWorld(t *testing.T) {
	t.Parallel()
	dir := demoFolder(t)
	for name, c := range map[string]struct {
		args  []string
		texts []string
	}{
		"another seed":    {demoArgs(dir, 100, 5), []string{"seed 4", "hint: ", "--people 100 --seed 4"}},
		"another size":    {demoArgs(dir, 101, 4), []string{"100 people", "hint: "}},
		"another end":     {append(demoArgs(dir, 100, 4), "--until", "2026-01-01T00:00:00Z"), []string{"end at", "hint: "}},
		"too few people":  {demoArgs(filepath.Join(t.TempDir(), "few"), 99, 1), []string{"between 100 and 1,000,000"}},
		"too many people": {demoArgs(filepath.Join(t.TempDir(), "many"), 1000001, 1), []string{"between 100 and 1,000,000"}},
	} {
		t.Run(name, func(t *testing.T) {
			a := oneid(t, c.args...)
			wantRefused(t, a, 1, c.texts...)
			if a.stdout != "" {
				t.Errorf("it printed %q", a.stdout)
			}
		})
	}
}

// Without a terminal and --json the demo prints its table and its addresses,
// and ends; with --exit it prints the table alone.
func TestDemoTable(t *testing.T) {
	t.Parallel()
	dir := demoFolder(t)
	a := must(t, "demo", "--dir", dir, "--people", "100", "--seed", "4")
	for _, text := range []string{"tmall ", "douyin ", "weidian ", "orders", "users", "tickets", "equal", "people", "a second"} {
		if !strings.Contains(a.stdout, text) {
			t.Errorf("the table does not say %q:\n%s", text, a.stdout)
		}
	}
	if strings.Contains(a.stdout, "DIFFERENT") {
		t.Errorf("counts differ:\n%s", a.stdout)
	}
	addresses := []string{"curl -s http://127.0.0.1:", "database oneid, user bi", " query --dir " + dir, " up --dir " + dir}
	for _, text := range addresses {
		if !strings.Contains(a.stdout, text) {
			t.Errorf("the addresses do not say %q:\n%s", text, a.stdout)
		}
	}
	a = must(t, "demo", "--dir", dir, "--people", "100", "--seed", "4", "--exit")
	for _, text := range addresses {
		if strings.Contains(a.stdout, text) {
			t.Errorf("with --exit it says %q:\n%s", text, a.stdout)
		}
	}
}
